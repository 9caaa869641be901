from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets.table import embed_table_storage
from pyarrow import parquet

from dino.core.configuration.dataset import DatasetConfig, HuggingfaceConfig
from dino.core.errors import DataError
from dino.data import parts
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.data.sources.huggingface import huggingface

# where there are fewer cores than a test asks for
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


@pytest.fixture
def files(tmp_path, image_file):
    return [str(image_file(tmp_path / f"{i}.jpg", seed=i)) for i in range(5)]


def _table(files, labels, names=("ant", "bee")):
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    )
    return datasets.Dataset.from_dict({"image": files, "label": labels}, features)


def test_the_hubs_parquet_files_are_read(tmp_path, files):
    data = tmp_path / "imagenet-1k" / "data"
    data.mkdir(parents=True)
    for split, chosen, labels in (
        ("train", files[:3], [1, 0, 1]),
        ("validation", files[3:], [0, 1]),
    ):
        embedded = embed_table_storage(_table(chosen, labels).data.table)
        parquet.write_table(embedded, data / f"{split}-00000-of-00001.parquet")
    config = HuggingfaceConfig(test_split="validation")
    source = huggingface(data.parent, config, tmp_path / "downloads")
    assert source.classes == ("ant", "bee")
    assert source.train.labels.tolist() == [1, 0, 1]
    assert source.test.ids == ["validation/0000000", "validation/0000001"]
    assert source.test.read(1).encoded == Path(files[4]).read_bytes()


def test_several_processes_read_the_same(tmp_path, image_file, monkeypatch):
    files = [str(image_file(tmp_path / f"{i}.png", seed=i)) for i in range(40)]
    tables = {"train": _table(files, [0, 1] * 20), "test": _table(files[:4], [0, 1] * 2)}
    datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "saved"))
    config = DatasetConfig(source="huggingface", path=str(tmp_path / "saved"), val_images=4)
    monkeypatch.setattr(parts, "IMAGES_PER_PART", 10)
    for cores in (1, 2):
        monkeypatch.setattr(parts, "cores", lambda cores=cores: cores)
        description = prepare(open_source(config, tmp_path), config, tmp_path / str(cores))
        assert description["counts"] == {"train": 36, "val": 4, "test": 4}
        assert description["leaks"] == 8
    one, two = ((tmp_path / name / "images.arrow").read_bytes() for name in "12")
    assert one == two


def test_a_saved_data_set_is_read(tmp_path, files):
    masks = [np.full((10, 12), i, dtype=np.uint8) for i in range(5)]
    table = datasets.Dataset.from_dict(
        {"photo": files, "kind": ["x", "y", None, "y", "x"], "mask": masks},
        datasets.Features(
            {"photo": datasets.Image(), "kind": datasets.Value("string"), "mask": datasets.Image()}
        ),
    )
    datasets.DatasetDict(train=table).save_to_disk(str(tmp_path / "saved"))
    config = HuggingfaceConfig(
        image_column="photo", label_column="kind", mask_column="mask", test_split=None
    )
    source = huggingface(tmp_path / "saved", config, tmp_path / "downloads")
    assert source.classes == ("x", "y")
    assert source.train.labels.tolist() == [0, 1, -1, 1, 0]
    assert source.test is None
    assert source.mask_kind == "objects of mask"
    assert source.train.read(3).mask is not None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train_split": "training"}, "expected a split 'training', found train"),
        ({"test_split": None, "image_column": "x"}, "expected a column 'x', found image, label"),
        ({"test_split": None, "label_column": "y"}, "expected a column 'y', found image, label"),
    ],
)
def test_what_is_missing_is_named(tmp_path, files, config, message):
    datasets.DatasetDict(train=_table(files, [0] * 5)).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match=message):
        huggingface(tmp_path / "saved", HuggingfaceConfig(**config), tmp_path / "downloads")


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    config = HuggingfaceConfig(name="nobody/nothing")
    with pytest.raises(DataError, match=r"set path in params\.yaml") as caught:
        huggingface(None, config, tmp_path / "downloads")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("int64", [4, -1, None, 2, 4]),
        ("float32", [4.0, -1.0, float("nan"), 2.0, 4.0]),
        ("string", ["4", "-1", " ", "2", "4"]),
    ],
)
def test_minus_one_is_no_class(tmp_path, files, kind, labels):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value(kind)})
    table = datasets.Dataset.from_dict({"image": files, "label": labels}, features)
    datasets.DatasetDict(train=table).save_to_disk(str(tmp_path / "saved"))
    config = HuggingfaceConfig(test_split=None)
    source = huggingface(tmp_path / "saved", config, tmp_path / "downloads")
    assert [float(name) for name in source.classes] == [2, 4]
    assert source.train.labels.tolist() == [1, -1, -1, 0, 1]


def test_what_is_no_label_is_refused(tmp_path, files):
    for name, labels in (("negative", [0, 1, -2, 0, 1]), ("list", [[0], [1], [0], [1], []])):
        table = datasets.Dataset.from_dict({"image": files, "label": labels})
        table = table.cast_column("image", datasets.Image())
        datasets.DatasetDict(train=table).save_to_disk(str(tmp_path / name))
        with pytest.raises(DataError, match=r"column 'label': expected .*, got (-2|\[0\])"):
            huggingface(tmp_path / name, HuggingfaceConfig(test_split=None), tmp_path)


def test_a_folder_of_a_split_is_not_mixed_into_another(tmp_path, image_file):
    for name in ("Train/a/1.png", "Train/b/2.png", "Test/a/3.png", "Test/b/4.png"):
        image_file(tmp_path / "images" / name)
    config = HuggingfaceConfig(test_split=None)
    with pytest.raises(DataError, match=r"take Test/ for no split.*call the folders train, valid"):
        huggingface(tmp_path / "images", config, tmp_path / "downloads")
