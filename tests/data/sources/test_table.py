import io
import math

import pandas as pd
import pytest
from PIL import Image

from dino.core.configuration.dataset import ColumnsConfig
from dino.core.errors import DataError
from dino.data.decoding import UnreadableImageError
from dino.data.sources.table import manifest

COLUMNS = ColumnsConfig()


@pytest.fixture
def images(tmp_path, image_file):
    for name in "abcd":
        image_file(tmp_path / "images" / f"{name}.png")
    return [f"images/{name}.png" for name in "abcd"]


def test_a_csv_names_files_classes_and_splits(tmp_path, images):
    table = pd.DataFrame(
        {"path": images, "label": ["NA", "10", None, "2"], "split": ["train", "train", "val", ""]}
    )
    table.to_csv(tmp_path / "m.csv", index=False)
    source = manifest(tmp_path / "m.csv", COLUMNS)
    assert source.classes == ("2", "10", "NA")
    assert source.train.ids == [images[0], images[1], images[3]]
    assert source.train.labels.tolist() == [2, 1, 0]
    assert source.val.labels.tolist() == [-1]
    assert source.test is None
    assert source.train.read(1).encoded == (tmp_path / images[1]).read_bytes()


def test_a_parquet_may_have_other_columns(tmp_path, images):
    table = pd.DataFrame({"file": [str(tmp_path / name) for name in images], "y": [7, None, 3, 3]})
    table.to_parquet(tmp_path / "m.parquet")
    columns = ColumnsConfig(path="file", label="y")
    source = manifest(tmp_path / "m.parquet", columns)
    assert source.classes == ("3", "7")
    assert source.train.labels.tolist() == [1, -1, 0, 0]
    assert source.train.read(0).encoded == (tmp_path / images[0]).read_bytes()


def test_masks_are_files_too(tmp_path, images):
    mask = Image.new("L", (12, 10), 3)
    mask.save(tmp_path / "mask.png")
    lines = "path,mask\n" + f"{images[0]},mask.png\n{images[1]},\n"
    (tmp_path / "m.csv").write_text(lines)
    source = manifest(tmp_path / "m.csv", COLUMNS)
    assert source.mask_kind is not None
    assert Image.open(io.BytesIO(source.train.read(0).mask)).getpixel((0, 0)) == 3
    assert source.train.read(1).mask is None
    assert source.classes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.png\n", r"expected a column 'path'.*found file; correct columns"),
        ("path\na.png\na.png\n", "a.png is there more than once"),
        ("path,label\n,x\n", "row 1 has no path"),
        ("path,split\na.png,dev\n", "expected train, val or test in column 'split', got 'dev'"),
        ("", "cannot be read as a table of images"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        manifest(tmp_path / "m.csv", COLUMNS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["-1", "-1.0", " -1", "", " ", "NaN", "nan", "null"])
def test_a_label_of_minus_one_or_none_is_no_class(tmp_path, images, missing):
    rows = [f"{name},{label}\n" for name, label in zip(images, ("7", missing, "NA"), strict=False)]
    (tmp_path / "m.csv").write_text("path,label\n" + "".join(rows))
    source = manifest(tmp_path / "m.csv", COLUMNS)
    assert source.classes == ("7", "NA")
    assert source.train.labels.tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    "labels",
    [
        [1, -1, 0, -1],
        [1.0, -1.0, 0.0, math.nan],
        ["1", "-1", "0", None],
        pd.array([1, -1, 0, None], "Int64"),
        pd.array([1, -1, 0, None], "int32[pyarrow]"),
    ],
)
def test_minus_one_is_unlabelled_in_parquet_of_any_type(tmp_path, images, labels):
    pd.DataFrame({"path": images, "label": labels}).to_parquet(tmp_path / "m.parquet")
    source = manifest(tmp_path / "m.parquet", COLUMNS)
    assert source.classes == ("0", "1")
    assert source.train.labels.tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize("label", ["-2", "-1.5", "-inf"])
def test_other_negative_numbers_are_refused(tmp_path, images, label):
    (tmp_path / "m.csv").write_text(f"path,label\n{images[0]},0\n{images[1]},{label}\n")
    with pytest.raises(DataError, match=rf"column 'label': expected a name .* got {label}$"):
        manifest(tmp_path / "m.csv", COLUMNS)


def test_a_path_that_can_be_none_is_for_the_quarantine(tmp_path, images):
    (tmp_path / "m.csv").write_bytes(f"path\n{images[0]}\n{'x' * 300}.png\n".encode())
    source = manifest(tmp_path / "m.csv", COLUMNS)
    with pytest.raises(OSError, match="File name too long"):
        source.train.read(1)
    pd.DataFrame({"path": ["a\0.png"]}).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(UnreadableImageError, match="not the path of a file"):
        manifest(tmp_path / "m.parquet", COLUMNS).train.read(0)
