"""The public data sets, as small files of their formats with checksums to match."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets
from torchvision.datasets import imagenet as torchvision_imagenet
from torchvision.datasets import voc as torchvision_voc

from dino.core.errors import DataError
from dino.data.decoding import UnreadableImageError, decoded
from dino.data.sources.arrays import cifar, stl10
from dino.data.sources.imagenet import DEVKIT, KAGGLE, TRAIN, VAL, imagenet, imagenette
from dino.data.sources.segmentations import oxford_iiit_pet, voc2012

RNG = np.random.default_rng(0)


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def _tar(path, *members, mode="w:gz"):
    """An archive of files and folders under their names; returns its MD5."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            archive.add(member, member.name)
    return _md5(path)


def _pixels(item):
    return np.asarray(decoded(item.encoded))


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "labels", "names"),
    [
        ("cifar10", datasets.CIFAR10, "labels", "label_names"),
        ("cifar100", datasets.CIFAR100, "fine_labels", "fine_label_names"),
    ],
)
def test_cifar(tmp_path, monkeypatch, name, kind, labels, names, archived):
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    data = RNG.integers(0, 256, (4, 3072), dtype=np.uint8)

    def write(entries, content):
        for entry in entries:
            (folder / entry[0]).write_bytes(pickle.dumps(content))
        return [[entry[0], _md5(folder / entry[0])] for entry in entries]

    content = {"data": data, labels: [0, 1, 1, 0]}
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, write(getattr(kind, part), content))
    meta = [[kind.meta["filename"]]]
    md5 = write(meta, {names: ["ant", "bee"]})[0][1]
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})
    path = folder
    if archived:
        path = tmp_path / "archive"
        path.mkdir()
        monkeypatch.setattr(kind, "tgz_md5", _tar(path / kind.filename, folder))
    source = cifar(name, path, tmp_path / "downloads")
    assert source.classes == ("ant", "bee")
    assert len(source.train) == 4 * len(kind.train_list)
    assert source.test.labels.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(
        _pixels(source.test.read(2)), data[2].reshape(3, 32, 32).transpose(1, 2, 0)
    )
    if not archived:
        (folder / kind.test_list[0][0]).write_bytes(b"")
        with pytest.raises(DataError, match="corrupted"):
            cifar(name, path, tmp_path / "downloads")


def test_stl10_trains_on_its_unlabelled_images_too(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = {
        name: RNG.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        for name, count in (("train", 3), ("unlabeled", 4), ("test", 2))
    }
    for name, array in images.items():
        (folder / f"{name}_X.bin").write_bytes(array.tobytes())
    (folder / "train_y.bin").write_bytes(bytes([1, 2, 1]))
    (folder / "test_y.bin").write_bytes(bytes([2, 1]))
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    for part in ("train_list", "test_list"):
        entries = [[name, _md5(folder / name)] for name, _ in getattr(datasets.STL10, part)]
        monkeypatch.setattr(datasets.STL10, part, entries)
    source = stl10(tmp_path, tmp_path / "downloads")
    assert source.classes == ("airplane", "bird")
    assert source.train.labels.tolist() == [0, 1, 0, -1, -1, -1, -1]
    assert source.train.ids[3] == "unlabeled/000000"
    # torchvision is the judge of the order of rows and columns
    theirs = np.asarray(datasets.STL10(str(tmp_path), split="train+unlabeled")[5][0])
    np.testing.assert_array_equal(_pixels(source.train.read(5)), theirs)
    (folder / "test_X.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"test_X\.bin: wrong checksum"):
        stl10(tmp_path, tmp_path / "downloads")


def test_imagenette(tmp_path, monkeypatch, image_file):
    root = tmp_path / "imagenette2-320"
    for name in ("train/n02102040/1.JPEG", "train/n01440764/2.JPEG", "val/n01440764/3.JPEG"):
        image_file(root / name, format="JPEG")
    url, _ = datasets.Imagenette._ARCHIVES["320px"]
    md5 = _tar(tmp_path / "imagenette2-320.tgz", root)
    monkeypatch.setattr(datasets.Imagenette, "_ARCHIVES", {"320px": (url, md5)})
    archive = tmp_path / "archive"
    archive.mkdir()
    (tmp_path / "imagenette2-320.tgz").rename(archive / "imagenette2-320.tgz")
    for path in (tmp_path, root, archive):
        source = imagenette(path, tmp_path / "downloads")
        assert source.classes == ("tench", "English springer")
        assert source.val is None
        assert source.test.labels.tolist() == [0]


def test_oxford_iiit_pet(tmp_path, monkeypatch, image_file):
    trimap = np.array([[1, 2], [3, 1]], dtype=np.uint8).repeat(5, 0).repeat(6, 1)
    annotations = tmp_path / "annotations"
    for image in ("Abyssinian_1", "great_pyrenees_2", "Abyssinian_3"):
        image_file(tmp_path / "images" / f"{image}.jpg")
        image_file(annotations / "trimaps" / f"{image}.png", mode="L", pixels=trimap)
    (annotations / "trainval.txt").write_text("Abyssinian_1 1 1 1\ngreat_pyrenees_2 2 2 1\n")
    (annotations / "test.txt").write_text("#Image CLASS-ID\nAbyssinian_3 1 1 1\n")
    archive = tmp_path / "archive"
    archive.mkdir()
    resources = [
        (f"https://example.org/{name}.tar.gz", _tar(archive / f"{name}.tar.gz", tmp_path / name))
        for name in ("images", "annotations")
    ]
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", resources)
    for path in (tmp_path, archive):
        source = oxford_iiit_pet(path, tmp_path / "downloads")
        assert source.classes == ("Abyssinian", "great pyrenees")
        assert source.train.labels.tolist() == [0, 1]
        mask = np.asarray(Image.open(io.BytesIO(source.test.read(0).mask)))
        np.testing.assert_array_equal(mask, np.choose(trimap, [255, 1, 0, 255]))


def test_voc2012_tells_instances_or_classes_apart(tmp_path, monkeypatch, image_file):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    objects = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8).repeat(5, 0).repeat(4, 1)
    for image in ("2007_1", "2007_2"):
        image_file(root / "JPEGImages" / f"{image}.jpg")
        for folder, scale in (("SegmentationObject", 1), ("SegmentationClass", 7)):
            values = np.where(objects == 255, 255, objects * scale).astype(np.uint8)
            mask = Image.fromarray(values).copy()
            mask.putpalette(list(range(256)) * 3)
            (root / folder).mkdir(exist_ok=True)
            mask.save(root / folder / f"{image}.png")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n")
    (lists / "val.txt").write_text("2007_2\n")
    entry = torchvision_voc.DATASET_YEAR_DICT["2012"]
    archive = tmp_path / "archive"
    archive.mkdir()
    md5 = _tar(archive / entry["filename"], tmp_path / "VOCdevkit", mode="w")
    monkeypatch.setitem(torchvision_voc.DATASET_YEAR_DICT, "2012", {**entry, "md5": md5})
    for path in (tmp_path, root, archive):
        for masks, scale in (("instances", 1), ("classes", 7)):
            source = voc2012(path, tmp_path / "downloads", masks)
            assert source.classes == ()
            assert source.test.ids == ["JPEGImages/2007_2.jpg"]
            mask = np.asarray(Image.open(io.BytesIO(source.test.read(0).mask)))
            np.testing.assert_array_equal(
                mask, np.where(objects == 255, 255, objects.astype(int) * scale)
            )
    (root / "SegmentationObject" / "2007_2.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"its mask .* cannot be read"):
        voc2012(tmp_path, tmp_path / "downloads").test.read(0)


def _ilsvrc(root, image_file, flat=False):
    for wnid in ("n02", "n01"):
        for number in range(2):
            image_file(root / "train" / wnid / f"{wnid}_{number}.JPEG", format="JPEG")
    for number, wnid in ((1, "n02"), (2, "n01"), (3, "n02")):
        folder = root / "val" / ("" if flat else wnid)
        image_file(folder / f"ILSVRC2012_val_{number:08d}.JPEG", seed=number, format="JPEG")


def _devkit(folder):
    data = folder / DEVKIT.removesuffix(".tar.gz") / "data"
    data.mkdir(parents=True)
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    savemat(data / "meta.mat", {"synsets": np.array([(1, "n02"), (2, "n01")], dtype=kind)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n1\n")
    return data.parent


def test_imagenet_in_folders_of_classes(tmp_path, image_file):
    _ilsvrc(tmp_path, image_file)
    source = imagenet(tmp_path, tmp_path / "downloads")
    assert source.classes == ("n01", "n02")
    assert source.train.labels.tolist() == [0, 0, 1, 1]
    assert source.val is None
    assert source.test.labels.tolist() == [0, 1, 1]


def test_imagenet_with_its_devkit(tmp_path, image_file):
    _ilsvrc(tmp_path, image_file, flat=True)
    with pytest.raises(DataError, match="classes of its images are not known"):
        imagenet(tmp_path, tmp_path / "downloads")
    _devkit(tmp_path)
    assert imagenet(tmp_path, tmp_path / "downloads").test.labels.tolist() == [1, 0, 1]
    image_file(tmp_path / "val" / "other.JPEG", format="JPEG")
    test = imagenet(tmp_path, tmp_path / "downloads").test
    assert test.unusable == {3: "its class is not known"}


def test_imagenet_as_kaggle_has_it(tmp_path, image_file):
    _ilsvrc(tmp_path / KAGGLE, image_file, flat=True)
    lines = [f"ILSVRC2012_val_{n:08d},{w} 1 2 3 4" for n, w in ((1, "n02"), (2, "n01"), (3, "n02"))]
    text = "\n".join(["ImageId,PredictionString", *lines])
    (tmp_path / "LOC_val_solution.csv").write_text(text)
    assert imagenet(tmp_path, tmp_path / "downloads").test.labels.tolist() == [1, 0, 1]


def test_imagenet_in_its_archives(tmp_path, monkeypatch, image_file):
    _ilsvrc(tmp_path, image_file, flat=True)
    archives = tmp_path / "archives"
    archives.mkdir()
    inner = []
    for wnid in ("n01", "n02"):
        images = sorted((tmp_path / "train" / wnid).iterdir())
        _tar(tmp_path / f"{wnid}.tar", *images, mode="w")
        inner.append(tmp_path / f"{wnid}.tar")
    md5 = {
        "train": (TRAIN, _tar(archives / TRAIN, *inner, mode="w")),
        "val": (VAL, _tar(archives / VAL, *sorted((tmp_path / "val").iterdir()), mode="w")),
        "devkit": (DEVKIT, _tar(archives / DEVKIT, _devkit(tmp_path))),
    }
    monkeypatch.setattr(torchvision_imagenet, "ARCHIVE_META", md5)
    for _ in range(2):
        source = imagenet(archives, tmp_path / "downloads")
        assert source.train.labels.tolist() == [0, 0, 1, 1]
        assert source.test.labels.tolist() == [1, 0, 1]
    assert len(decoded(source.train.read(0).encoded).mode) == 3
