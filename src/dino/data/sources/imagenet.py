"""ImageNet-1k in the layouts of ILSVRC, and its small relative Imagenette."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dino.core.errors import DataError
from dino.data.source import Source
from dino.data.sources.archives import Archive, located, unpack
from dino.data.sources.files import ImageFile, image_paths, split_of_files
from dino.data.sources.folders import class_folders

TRAIN, VAL, DEVKIT = (
    "ILSVRC2012_img_train.tar",
    "ILSVRC2012_img_val.tar",
    "ILSVRC2012_devkit_t12.tar.gz",
)
KAGGLE = Path("ILSVRC") / "Data" / "CLS-LOC"
KAGGLE_TRUTH = "LOC_val_solution.csv"
SPLITS = {"train": "train", "val": "val"}
IMAGENETTE = ("imagenette2-160", "imagenette2-320", "imagenette2")
"""Folders of the sizes that are published; downloaded is the second."""


def imagenet(path: Path, downloads: Path) -> Source:
    """1,281,167 training images in 1,000 classes; its validation images are the test split.

    `path` holds train/ and val/, the folders of the competition on Kaggle (ILSVRC/, with
    LOC_val_solution.csv), or the three archives, which are unpacked below `downloads`. In val/ the
    images lie in folders of their classes, or together beside the devkit. Classes are WordNet
    ids. Raises `DataError` where the classes of val/ are not known.
    """
    root = path
    if (path / KAGGLE).is_dir():
        root = path / KAGGLE
    elif (path / TRAIN).is_file() and not (path / "train").is_dir():
        root = _unpacked(path, downloads / "imagenet")
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise DataError(
                f"{path}: expected ImageNet's {split}/ there, or {TRAIN}, {VAL} and {DEVKIT}; "
                "correct path in params.yaml"
            )
    source = class_folders(root, split_folders=SPLITS)
    if any(child.is_dir() for child in (root / "val").iterdir()):
        return replace(source, val=None, test=source.val)
    truth = _truth(path, downloads)
    index = {name: label for label, name in enumerate(source.classes)}
    files = []
    for file in image_paths(root, "val"):
        name = truth.get(Path(file).stem)
        known = name in index
        files.append(
            ImageFile(
                path=file,
                label=index[name] if name is not None and known else -1,
                problem=None if known else "its class is not known",
            )
        )
    return replace(source, val=None, test=split_of_files(root, files))


def has_to_be_unpacked(path: Path) -> bool:
    """Whether `imagenet` finds archives in `path` in the place of folders."""
    if (path / KAGGLE).is_dir():
        return False
    devkit = DEVKIT.removesuffix(".tar.gz")
    return ((path / TRAIN).is_file() and not (path / "train").is_dir()) or (
        (path / DEVKIT).is_file() and not (path / devkit).is_dir()
    )


def imagenette(path: Path | None, downloads: Path) -> Source:
    """13,394 images of ten easy classes of ImageNet; its validation images are the test split."""
    from torchvision.datasets import Imagenette

    url, md5 = Imagenette._ARCHIVES["320px"]
    archive = Archive(url=url, name=url.rsplit("/", 1)[1], md5=md5)
    folder = located(path, "train", [archive], downloads, "Imagenette", below=("", *IMAGENETTE))
    names = {wnid: names[0] for wnid, names in Imagenette._WNID_TO_CLASS.items()}
    source = class_folders(folder, names, SPLITS)
    return replace(source, val=None, test=source.val)


def _unpacked(path: Path, folder: Path) -> Path:
    from torchvision.datasets.imagenet import ARCHIVE_META

    md5 = dict(ARCHIVE_META.values())
    unpack(path / TRAIN, folder / "train", md5[TRAIN])
    for archive in sorted((folder / "train").glob("*.tar")):
        unpack(archive, archive.with_suffix(""))
        archive.unlink()
    if (path / VAL).is_file():
        unpack(path / VAL, folder / "val", md5[VAL])
    return folder


def _truth(path: Path, downloads: Path) -> Mapping[str, str]:
    """The WordNet id of each validation image, by its name without suffix."""
    if (path / KAGGLE_TRUTH).is_file():
        with (path / KAGGLE_TRUTH).open(newline="", encoding="utf-8") as stream:
            return {
                row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(stream)
            }
    devkit = path / DEVKIT.removesuffix(".tar.gz")
    if not devkit.is_dir() and (path / DEVKIT).is_file():
        from torchvision.datasets.imagenet import ARCHIVE_META

        unpack(path / DEVKIT, downloads / "imagenet" / "devkit", ARCHIVE_META["devkit"][1])
        devkit = downloads / "imagenet" / "devkit" / devkit.name
    if not devkit.is_dir():
        raise DataError(
            f"{path}: expected folders of classes in val/, or {DEVKIT} or {KAGGLE_TRUTH} beside "
            "it; without them the classes of its images are not known"
        )
    return _truth_of_devkit(devkit)


def _truth_of_devkit(folder: Path) -> Mapping[str, str]:
    from scipy.io import loadmat

    synsets = loadmat(folder / "data" / "meta.mat", squeeze_me=True)["synsets"]
    wnids = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    truth = folder / "data" / "ILSVRC2012_validation_ground_truth.txt"
    return {
        f"ILSVRC2012_val_{number:08d}": wnids[int(line)]
        for number, line in enumerate(truth.read_text().split(), start=1)
    }
