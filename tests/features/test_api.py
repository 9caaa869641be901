"""Features as a product: three lines of Python, one command, nothing but a folder."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dino.cli import run
from dino.core.artifacts import sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError, ConfigurationError, DataError
from dino.data.normalisation import normalised
from dino.features.api import load_teacher
from dino.features.preprocessing import centre_crop_pixels
from dino.features.teacher import load_backbone, save_backbone
from dino.model.student_teacher import initial_backbone
from dino.model.timm_folder import PixelStatistics

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=4,
    embed_dim=16,
    depth=2,
    num_heads=2,
)


def _export(folder: Path, pixels: PixelStatistics | None = None) -> Path:
    save_backbone(folder, ARCHITECTURE, initial_backbone(ARCHITECTURE, 1).state_dict(), pixels)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of any project: a teacher, and five images in photos/."""
    monkeypatch.chdir(tmp_path)
    _export(tmp_path / "artifacts" / "vit_micro_7-dino-s0" / "teacher")
    generator = np.random.default_rng(0)
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for name in ("one.png", "two.png", "below/three.JPEG", "grey.png", "wide.png"):
        shape = {"grey.png": (9, 9), "wide.png": (10, 30, 3)}.get(name, (12, 12, 3))
        pixels = generator.integers(256, size=shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path


def _table(path: str) -> tuple[list[str], np.ndarray, dict[bytes, bytes]]:
    table = pq.read_table(path)
    features = table["features"].combine_chunks()
    rows = features.flatten().to_numpy().reshape(len(table), features.type.list_size)
    return table["path"].to_pylist(), rows, table.schema.metadata


def test_the_lines_in_the_document_work(place: Path) -> None:
    text = (ROOT / "docs" / "teachers.md").read_text()
    of_features, inside = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, np.ndarray] = {}
    exec(of_features, names)
    assert names["features"].shape == (2, 16)
    assert names["features"].dtype == np.float32
    np.testing.assert_allclose(np.diag(names["cosines"]), [1, 1], rtol=1e-5)
    exec(inside, names)
    # 8 px, patches of 4 px that begin every 2 px
    assert names["keys"].shape == (1, 3, 3, 16)
    assert names["maps"].shape == (1, 2, 3, 3)
    assert names["feature"].shape == (1, 16)


@torch.no_grad()
def test_features_are_those_of_the_backbone_whatever_the_batch(place: Path) -> None:
    folder = place / "artifacts" / "vit_micro_7-dino-s0" / "teacher"
    teacher = load_teacher(folder)
    paths = sorted((place / "photos").glob("*.png"))
    features = teacher.extract(paths, batch_size=3)
    backbone = load_backbone(folder)
    for path, feature in zip(paths, features, strict=True):
        pixels = centre_crop_pixels(Image.open(path), 8, 8)
        expected = backbone.global_feature(normalised(pixels[None]))[0].numpy()
        np.testing.assert_allclose(feature, expected, atol=1e-5)
    np.testing.assert_allclose(teacher.extract(Image.open(p) for p in paths), features, atol=1e-6)
    assert teacher.extract([]).shape == (0, 16)
    np.testing.assert_allclose(teacher.extract(str(paths[0])), features[:1], atol=1e-6)


def test_sizes_are_those_of_the_folder_or_those_that_are_asked_for(tmp_path: Path) -> None:
    seen = PixelStatistics(mean=(0.5,) * 3, std=(0.5,) * 3, crop_share=0.8)
    folder = _export(tmp_path / "t", seen)
    assert (load_teacher(folder).resize_px, load_teacher(folder).crop_px) == (10, 8)
    other = load_teacher(folder, resize_px=16, crop_px=12)
    assert (other.resize_px, other.crop_px) == (16, 12)
    assert other.extract([Image.new("L", (20, 30))]).shape == (1, 16)
    with pytest.raises(ConfigurationError, match="resize_px: expected at least crop_px 8, got 4"):
        load_teacher(folder, resize_px=4)
    with pytest.raises(ConfigurationError, match="a multiple of the teacher's patches of 4 px"):
        load_teacher(folder, crop_px=3)


def test_what_is_no_teacher_and_what_is_no_image_is_named(place: Path) -> None:
    with pytest.raises(CheckpointError, match="photos: expected an exported teacher"):
        load_teacher("photos")
    teacher = load_teacher("artifacts/vit_micro_7-dino-s0/teacher")
    with pytest.raises(DataError, match=r"notes\.txt: cannot be read"):
        teacher.extract(["photos/one.png", "photos/notes.txt"])


def test_the_command_writes_a_table_of_all_images_below_a_folder(place: Path) -> None:
    assert run(["features", "photos", "photos/one.png", "-o", "out/features.parquet"]) == 0
    paths, rows, metadata = _table("out/features.parquet")
    names = ["below/three.JPEG", "grey.png", "one.png", "two.png", "wide.png"]
    assert paths == [f"photos/{name}" for name in names]
    folder = place / "artifacts" / "vit_micro_7-dino-s0" / "teacher"
    np.testing.assert_allclose(rows, load_teacher(folder).extract(paths), atol=1e-6)
    assert metadata[b"model_sha256"].decode() == sha256_of_file(folder / "model.safetensors")
    assert metadata[b"crop_px"] == b"8"
    before = Path("out/features.parquet").read_bytes()
    assert run(["features", "photos", "-o", "out/features.parquet"]) == 0
    assert Path("out/features.parquet").read_bytes() == before


def test_images_that_cannot_be_read_are_left_out_by_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("photos/two.png").read_bytes()
    Path("photos/two.png").write_bytes(whole[: len(whole) // 2])
    Path("photos/empty.png").write_bytes(b"")
    command = ["features", "photos", "-o", "f.parquet", "--batch-size", "2"]
    assert run(command) == 0
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2
    assert "photos/empty.png: cannot be read" in errors[0]
    assert "photos/two.png: cannot be read" in errors[1]
    assert len(_table("f.parquet")[0]) == 4
    assert run([*command, "--strict"]) == 1
    assert len(_table("f.parquet")[0]) == 4
    assert run(["features", "photos/empty.png", "-o", "none.parquet"]) == 1
    assert "none of the 1 images could be read" in capsys.readouterr().err
    assert not Path("none.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["photos"], "or images and -o FEATURES.parquet"),
        ([], "or images and -o FEATURES.parquet"),
        (["photos", "--run", "a", "-o", "f.parquet"], "expected either --run NAME"),
        (["nowhere", "-o", "f.parquet"], "nowhere: no such file or folder"),
        (["artifacts", "-o", "f.parquet"], "artifacts: no image found; endings looked for"),
        (["photos", "-o", "f.parquet", "--teacher", "photos"], "expected an exported teacher"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert run(["features", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("dino features: ")
    assert error in line


def test_of_several_teachers_one_has_to_be_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _export(place / "artifacts" / "b-dino-s0" / "teacher")
    assert run(["features", "photos", "-o", "f.parquet"]) == 1
    assert "--teacher: expected the folder" in capsys.readouterr().err
    named = ["--teacher", "artifacts/b-dino-s0/teacher"]
    assert run(["features", "photos", "-o", "f.parquet", *named]) == 0
