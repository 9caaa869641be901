"""Files of any kind give the features of their pixels, and one line where they cannot."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dino.cli import run
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.errors import ConfigurationError, DataError
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.features.api import Teacher, load_teacher
from dino.features.preprocessing import centre_crop_pixels
from dino.features.teacher import save_backbone
from dino.model.student_teacher import initial_backbone

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
TEACHER = "artifacts/a-dino-s0/teacher"
ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=4,
    embed_dim=16,
    depth=1,
    num_heads=2,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a teacher, and files of every kind in files/."""
    monkeypatch.chdir(tmp_path)
    weights = initial_backbone(ARCHITECTURE, 1).state_dict()
    save_backbone(tmp_path / TEACHER, ARCHITECTURE, weights)
    files = tmp_path / "files"
    files.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    transparent = np.dstack([COLOUR, np.zeros_like(GREY)])
    transparent[3:9, 3:9, 3] = 255
    white = np.where(transparent[..., 3:] == 255, COLOUR, 255).astype(np.uint8)
    for name, pixels in {
        "grey16": GREY.astype(np.uint16) * 257,
        "grey8": GREY,
        "transparent": transparent,
        "on_white": white,
        "upright": np.rot90(COLOUR, -1),
    }.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(files / f"{name}.png")
    Image.fromarray(COLOUR).save(files / "turned.png", exif=exif)
    Image.fromarray(COLOUR).convert("CMYK").save(files / "cmyk.tif")
    Image.fromarray(COLOUR).quantize(8).save(files / "palette.gif")
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(files / "film.webp", save_all=True, append_images=frames[1:], lossless=True)
    Image.fromarray(COLOUR).save(files / "photo.avif")
    return tmp_path


def _table(path: str) -> tuple[list[str], np.ndarray, dict[bytes, bytes]]:
    table = pq.read_table(path)
    rows = np.stack(table["features"].to_numpy())
    return table["path"].to_pylist(), rows, table.schema.metadata


@pytest.fixture
def teacher(place: Path) -> Teacher:
    return load_teacher(TEACHER)


def test_kinds_of_files_that_hold_the_same_pixels_have_the_same_features(teacher: Teacher) -> None:
    for one, other in (("grey16", "grey8"), ("transparent", "on_white"), ("turned", "upright")):
        first, second = teacher.extract([f"files/{one}.png", f"files/{other}.png"])
        np.testing.assert_array_equal(first, second)


def test_paths_images_and_arrays_have_the_same_features(teacher: Teacher) -> None:
    for path in sorted(Path("files").iterdir()):
        with Image.open(path) as opened:
            features = teacher.extract([path, str(path), opened, opened, opened])
            array = np.asarray(opened)
        assert (features == features[0]).all(), path.name
        # an array holds neither an orientation nor a palette nor a way to print
        if path.name not in ("turned.png", "palette.gif", "cmyk.tif"):
            np.testing.assert_array_equal(teacher.extract(array), features[:1])
    with pytest.raises(DataError, match="an array of float64, 2 x 2: cannot be read"):
        teacher.extract(np.zeros((2, 2)))
    with pytest.raises(ConfigurationError, match="batch_size: expected at least 1, got 0"):
        teacher.extract("files/grey8.png", batch_size=0)


def test_prepared_images_and_files_are_seen_alike(place: Path, teacher: Teacher) -> None:
    config = DatasetConfig(source="folder", path="files", val_images=2, test_images=2)
    prepare(open_source(config, place), config, place / "prepared")
    dataset = PreparedDataset.open(place / "prepared")
    assert len(dataset) == 10
    seen = FeaturesConfig(resize_px=8, crop_px=8)
    prepared = {
        name: teacher.features(
            centre_crop_pixels(dataset.image(index), seen.resize_px, seen.crop_px)[None]
        )[0]
        for index, name in enumerate(dataset.manifest["id"])
    }
    assert run(["features", "files", "-o", "f.parquet", "--batch-size", "1"]) == 0
    paths, rows, _ = _table("f.parquet")
    assert [path.removeprefix("files/") for path in paths] == sorted(prepared)
    for path, row in zip(paths, rows, strict=True):
        np.testing.assert_array_equal(row, prepared[path.removeprefix("files/")])


def test_features_of_length_one_have_cosines_as_products(teacher: Teacher) -> None:
    paths = ["files/grey8.png", "files/upright.png"]
    plain, normalised = teacher.extract(paths), teacher.extract(paths, normalise=True)
    cosine = plain[0] @ plain[1] / np.linalg.norm(plain[0]) / np.linalg.norm(plain[1])
    np.testing.assert_allclose(normalised @ normalised.T, [[1, cosine], [cosine, 1]], rtol=1e-5)
    assert run(["features", *paths, "-o", "f.parquet", "--normalise"]) == 0
    _, rows, metadata = _table("f.parquet")
    np.testing.assert_array_equal(rows, normalised)
    assert metadata[b"normalised"] == b"each feature has length 1"


def test_csv_and_npy_hold_what_parquet_holds(place: Path) -> None:
    (place / "files" / "a\rb,\n.png").write_bytes((place / "files" / "grey8.png").read_bytes())
    for name in ("f.parquet", "f.csv", "f.NPY"):
        assert run(["features", "files", "-o", name]) == 0
    paths, rows, _ = _table("f.parquet")
    assert "files/a\rb,\n.png" in paths
    table = pd.read_csv("f.csv")
    assert table["path"].tolist() == paths
    assert list(table.columns[:2]) == ["path", "feature_0"]
    np.testing.assert_array_equal(table.iloc[:, 1:].to_numpy(np.float32), rows)
    np.testing.assert_array_equal(np.load("f.NPY"), rows)
    with Path("f.paths.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == paths


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("x.txt", r"-o: expected a name that ends in \.parquet, \.csv or \.npy, got x\.txt"),
        ("features", "-o: expected a name that ends in"),
        ("files/grey8.png/x.csv", "grey8.png is not writable"),
        ("folder.csv", "-o: expected the name of a file, got the folder"),
    ],
)
def test_where_features_cannot_be_written_is_said_before_the_teacher_is_opened(
    place: Path, capsys: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    Path("folder.csv").mkdir()
    # a teacher that nobody can open
    command = ["features", "files", "-o", output, "--teacher", "nowhere"]
    assert run(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere" not in line
    assert re.search(message, line)


def test_a_name_that_is_not_utf8_is_left_out_and_the_rest_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (place / "files" / "grey8.png").read_bytes()
    Path(os.fsdecode(b"files/caf\xe9.png")).write_bytes(content)
    for name in ("f.parquet", "f.csv", "f.npy"):
        assert run(["features", "files", "-o", name]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line == r"dino features: files/caf\xe9.png: its name is not UTF-8; left out"
    assert len(_table("f.parquet")[0]) == len(np.load("f.npy")) == len(pd.read_csv("f.csv")) == 10
    assert run(["features", "files", "-o", "f.csv", "--strict"]) == 1
    capsys.readouterr()
    assert run(["features", os.fsdecode(b"files/caf\xe9.png"), "-o", "none.csv"]) == 1
    assert "none of the 1 images could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x" * 300, "no such file or folder (File name too long)"),
        ("no\nwhere.png", r"no\nwhere.png: no such file or folder"),
        ("heic", "heic: no image found; endings looked for: .jpg,"),
    ],
)
def test_sources_that_hold_no_image_are_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    Path("heic").mkdir()
    Path("heic/1.HEIC").write_bytes(b"x")
    assert run(["features", "files", source, "-o", "f.csv"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_an_image_as_long_as_a_strip_gives_what_its_centre_gives(teacher: Teacher) -> None:
    column = np.linspace(0, 255, 40_000).astype(np.uint8)[:, None]
    strip = Image.fromarray(np.dstack([column, 255 - column, column // 2]))
    pixels = centre_crop_pixels(strip, 256, 224)
    assert pixels.shape == (3, 224, 224)
    for channel, value in enumerate((127, 127, 63)):
        assert (pixels[channel].int() - value).abs().max() <= 1
    # the same square where the whole image can be resized too
    smooth = Image.fromarray(np.repeat(np.asarray(strip)[::100], 9, axis=1))
    whole = centre_crop_pixels(smooth, 64, 48).int()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dino.features.preprocessing._MAX_RESIZED_PIXELS", 0)
        assert (centre_crop_pixels(smooth, 64, 48).int() - whole).abs().max() <= 1


def test_hostile_sizes_take_little_memory(place: Path) -> None:
    Path("hostile").mkdir()
    Image.new("1", (20_000, 20_000)).save("hostile/bomb.png")
    Image.new("RGB", (1, 20_000)).save("hostile/strip.png")
    measured = (
        "import resource, sys; from dino.cli import run; "
        "import dino.commands.image_features; "
        "loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "code = run(sys.argv[1:]); "
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - loaded)"
    )
    command = ["features", "hostile", "-o", "f.csv", "--resize-px", "256"]
    done = subprocess.run(
        [sys.executable, "-c", measured, *command], capture_output=True, text=True, check=True
    )
    code, kilobytes = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "hostile/bomb.png: cannot be read (too many pixels" in done.stderr
    assert len(pd.read_csv("f.csv")) == 1
    assert int(kilobytes) < 400_000


@pytest.mark.parametrize("option", [["--normalise"], ["--batch-size", "8"], ["-o", "x.csv"]])
def test_options_for_own_images_are_refused_beside_a_run(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["features", "--run", "a-dino-s0", *option]) == 1
    assert "expected either --run NAME alone" in capsys.readouterr().err
