import csv
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.data.splitting import assigned

BAD = {
    "truncated.jpg": "truncated",
    "empty.png": "the file is empty",
    "text.jpg": "not an image file that Pillow knows",
    "bomb.png": "too many pixels",
    "gone.jpg": "No such file or directory",
    "folder.jpg": "Is a directory",
    "forbidden.jpg": "Permission denied",
}
GOOD = ("cmyk.jpg", "sixteen bits.png", "palette.png", "turned.jpg", "dot.png", "film.gif")
NAMES = (
    "with space.png",
    'it\'s "quoted", really.png',
    "ünï-漢字.png",
    "comma,new\nline.png",
    "a\rb.png",
)


@pytest.fixture
def folder(tmp_path, image_file):
    """Two classes of 10 good images each, and in the first one what goes wrong."""
    root = tmp_path / "images"
    for label, name in enumerate(("a", "b")):
        for index in range(10):
            image_file(root / name / f"{index}.png", seed=20 * label + index)
    first = root / "a"
    image_file(first / "whole.jpg", size=(60, 60), seed=100)
    (first / "truncated.jpg").write_bytes((first / "whole.jpg").read_bytes()[:-200])
    (first / "empty.png").touch()
    (first / "text.jpg").write_text("<html>404</html>")
    (first / "bomb.png").write_bytes(bomb())
    (first / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (first / "folder.jpg").mkdir()
    image_file(first / "forbidden.jpg", seed=101).chmod(0)
    image_file(first / "cmyk.jpg", mode="CMYK", seed=102)
    image_file(first / "sixteen bits.png", pixels=np.arange(120, dtype=np.uint16).reshape(10, 12))
    image_file(first / "palette.png", mode="P", seed=103, transparency=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    image_file(first / "turned.jpg", seed=104, exif=exif)
    image_file(first / "dot.png", size=(1, 1), seed=105)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(first / "film.gif", save_all=True, append_images=frames[1:])
    for index, name in enumerate(NAMES):
        image_file(first / name, seed=200 + index)
    return root


def bomb():
    """A PNG file whose header promises 20,000 by 20,000 px."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content).to_bytes(4)
        return len(content).to_bytes(4) + kind + content + checksum

    header = (20_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))


def _config(root, **changes):
    return DatasetConfig(
        source="class_folders", path=str(root), val_images=4, test_images=4, **changes
    )


def _prepare(root, to, **changes):
    config = _config(root, **changes)
    return prepare(open_source(config, to / "downloads"), config, to / "prepared")


def _rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_image_is_read_right_or_in_quarantine(folder, tmp_path, capsys):
    description = _prepare(folder, tmp_path)
    dataset = PreparedDataset.open(tmp_path / "prepared")
    # root reads what nobody may
    bad = {name: why for name, why in BAD.items() if name != "forbidden.jpg" or os.geteuid() != 0}
    reasons = {row["id"]: row["reason"] for row in _rows(tmp_path / "prepared" / "quarantine.csv")}
    assert set(reasons) == {f"a/{name}" for name in bad}
    for name, reason in bad.items():
        assert reason in reasons[f"a/{name}"]
    assert description["quarantined"] == len(bad)
    kept = set(dataset.manifest["id"])
    assert {f"a/{name}" for name in (*GOOD, *NAMES)} < kept
    assert len(kept) == 20 + 1 + len(GOOD) + len(NAMES) + len(BAD) - len(bad)
    for index in range(len(dataset)):
        image = dataset.image(index)
        row = dataset.manifest.iloc[index]
        assert image.mode == "RGB"
        assert image.size == (row["width_px"], row["height_px"])
    turned = dataset.manifest.index[dataset.manifest["id"] == "a/turned.jpg"][0]
    assert dataset.image(turned).size == (10, 12)
    output = capsys.readouterr().out
    assert f"prepare: {len(bad)} images in quarantine (a/" in output


def test_strict_makes_the_quarantine_an_error_and_loses_nothing(folder, tmp_path):
    work = tmp_path / "work"
    config = _config(folder, strict=True)
    with pytest.raises(DataError, match=r"strict: \d images in quarantine") as caught:
        prepare(open_source(config, tmp_path), config, tmp_path / "prepared", work)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "prepared").exists()
    (report,) = work.glob("*/quarantine.csv")
    assert len(_rows(report)) >= 6
    # what was examined is not examined again
    parts = {path: path.stat().st_mtime_ns for path in work.glob("*/part-*.arrow")}
    assert parts
    config = _config(folder)
    source = open_source(config, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dino.data.preparation.shutil.rmtree", lambda *_, **__: None)
        prepare(source, config, tmp_path / "prepared", work)
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


def test_the_quarantine_names_the_split_that_an_image_was_drawn_for(folder, tmp_path, image_file):
    image_file(folder / "in no class.png", seed=300)
    config = _config(folder)
    source = open_source(config, tmp_path)
    drawn = {
        assignment.source.ids[position]: assignment.split
        for assignment in assigned(source, config)
        for position in assignment.chosen
    }
    assert "in no class.png" not in drawn
    _prepare(folder, tmp_path)
    rows = _rows(tmp_path / "prepared" / "quarantine.csv")
    assert {row["id"]: row["split"] for row in rows} == {
        row["id"]: drawn.get(row["id"], "") for row in rows
    }
    assert len({row["split"] for row in rows}) > 2


def test_an_image_of_no_class_takes_no_place_of_another(folder, tmp_path, image_file):
    for index in range(20):
        image_file(folder / f"{index}.png", seed=300 + index)
    counts = _prepare(folder, tmp_path, max_train_images=10)["counts"]
    bad = [row for row in _rows(tmp_path / "prepared" / "quarantine.csv") if row["split"]]
    assert sum(counts.values()) == 10 + 4 + 4 - len(bad)


def test_small_images_are_quarantined_where_that_is_asked(folder, tmp_path):
    _prepare(folder, tmp_path, min_side_px=5)
    reasons = {row["id"]: row["reason"] for row in _rows(tmp_path / "prepared" / "quarantine.csv")}
    assert "1 by 1 pixels are less than min_side_px 5" in reasons["a/dot.png"]
    assert "4 by 4 pixels are less than min_side_px 5" in reasons["a/film.gif"]


def test_nothing_but_bad_images_is_an_error(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(12):
        (root / f"{index}.jpg").write_text("no image")
    config = DatasetConfig(source="folder", path=str(root), val_images=4, test_images=4)
    with pytest.raises(DataError, match=r"can be used; the first, 0\.jpg: not an image file"):
        prepare(open_source(config, tmp_path), config, tmp_path / "prepared")


def test_equal_images_in_two_splits_are_leaks(tmp_path, image_file, capsys):
    root = tmp_path / "images"
    for split in ("train", "val", "test"):
        for label in "ab":
            for index in range(3):
                seed = zlib.crc32(f"{split}{label}{index}".encode())
                image_file(root / split / label / f"{index}.png", seed=seed)
    # the same pixels in another file format, and within one split
    image_file(root / "train" / "a" / "x.png", seed=7)
    image_file(root / "test" / "a" / "x.bmp", seed=7)
    image_file(root / "train" / "b" / "y.png", seed=8)
    image_file(root / "train" / "b" / "z.png", seed=8)
    config = DatasetConfig(source="class_folders", path=str(root))
    description = prepare(open_source(config, tmp_path), config, tmp_path / "prepared")
    assert description["leaks"] == 2
    assert _rows(tmp_path / "prepared" / "leaks.csv") == [
        {"group": "0", "split": "train", "id": "train/a/x.png"},
        {"group": "0", "split": "test", "id": "test/a/x.bmp"},
    ]
    assert "2 images that another split holds too" in capsys.readouterr().out
    config = DatasetConfig(source="class_folders", path=str(root), strict=True)
    with pytest.raises(DataError, match=r"strict: 2 images that another split holds"):
        prepare(open_source(config, tmp_path), config, tmp_path / "again")


def test_a_duplicate_that_is_held_out_is_a_leak(tmp_path, image_file):
    root = tmp_path / "images"
    for index in range(20):
        image_file(root / f"{index}.png", seed=index // 2)
    config = DatasetConfig(source="folder", path=str(root), val_images=5, test_images=5)
    assert prepare(open_source(config, tmp_path), config, tmp_path)["leaks"] > 0
