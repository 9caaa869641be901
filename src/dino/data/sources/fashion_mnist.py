"""Fashion-MNIST (Xiao et al. 2017): found on the machine, or fetched."""

import gzip
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dino.core.errors import DataError
from dino.data.source import Source, SourceImage, SourceSplit, image_of_pixels

CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# SHA-256 of the unpacked files: packagers compress them anew
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
_NETWORK_TIMEOUT_S = 60


def fashion_mnist(path: Path | None, downloads: Path) -> Source:
    """70,000 grey images of 28×28 px in 10 classes, with silhouettes as approximate masks.

    Looked for in `path` alone where one is given; else in the installed Debian package, in that
    package fetched without installing it, and in torchvision's download, the last two below
    `downloads`. Every file's checksum is verified. Raises `DataError` that says what was tried.
    """
    folder = path if path is not None else _find(downloads)
    contents = {name: _verified(folder, name) for name in FILES}
    return Source(
        classes=CLASSES,
        train=_split("train", contents, "train"),
        test=_split("test", contents, "t10k"),
        mask_kind="approximate: non-zero pixels",
    )


def is_there(path: Path | None) -> bool:
    """Whether `fashion_mnist` looks in one folder alone and fetches nothing."""
    return path is not None or all(_file(INSTALLED, name) for name in FILES)


def as_published() -> Source:
    """The source that `fashion_mnist` gives, known before the files are fetched, without images."""

    def split(name: str, of_a_class: int) -> SourceSplit:
        labels = np.repeat(np.arange(len(CLASSES), dtype=np.int64), of_a_class)
        ids = [f"{name}/{index:05d}" for index in range(len(labels))]
        return SourceSplit(ids=ids, labels=labels, read=_not_fetched)

    return Source(
        classes=CLASSES,
        train=split("train", 6000),
        test=split("test", 1000),
        mask_kind="approximate: non-zero pixels",
    )


def _not_fetched(index: int) -> SourceImage:
    raise OSError(f"image {index} was not fetched yet")


def _find(downloads: Path) -> Path:
    tried = []
    candidates: tuple[tuple[str, Callable[[], Path]], ...] = (
        (f"{INSTALLED} (Debian package {DEBIAN_PACKAGE})", lambda: INSTALLED),
        ("apt-get download", lambda: _fetch_debian_package(downloads / "debian")),
        ("torchvision", lambda: _fetch_with_torchvision(downloads / "torchvision")),
    )
    for name, locate in candidates:
        try:
            folder = locate()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            tried.append(f"{name}: {_reason(error)}")
            continue
        if all(_file(folder, file) for file in FILES):
            return folder
        tried.append(f"{name}: not there")
    raise DataError(
        f"Fashion-MNIST was not found; tried {'; '.join(tried)}. Set path in params.yaml "
        "to a folder with its four ubyte files, or source: digits, which needs nothing"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        return " ".join(error.stderr.split())[-200:]
    return " ".join(str(error).split())[:200]


def _fetch_debian_package(folder: Path) -> Path:
    unpacked = folder / INSTALLED.relative_to("/")
    if all(_file(unpacked, name) for name in FILES):
        return unpacked
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise OSError("this system has no apt-get")
    folder.mkdir(parents=True, exist_ok=True)

    def call(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=300)

    print(f"fetching Debian's {DEBIAN_PACKAGE} (31 MB) ...", flush=True)
    try:
        call("apt-get", "download", DEBIAN_PACKAGE)
    except subprocess.CalledProcessError:
        # package lists are missing or old; only root may refresh them
        if os.geteuid() != 0:
            raise
        call("apt-get", "update")
        call("apt-get", "download", DEBIAN_PACKAGE)
    archives = sorted(folder.glob(f"{DEBIAN_PACKAGE}_*.deb"))
    if not archives:
        raise OSError("apt-get downloaded nothing")
    call("dpkg-deb", "--extract", archives[-1].name, ".")
    return unpacked


def _fetch_with_torchvision(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT_S)
    try:
        FashionMNIST(str(folder), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return folder / "FashionMNIST" / "raw"


def _file(folder: Path, name: str) -> Path | None:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def _verified(folder: Path, name: str) -> bytes:
    path = _file(folder, name)
    if path is None:
        raise DataError(
            f"{folder}: expected Fashion-MNIST's {name} or {name}.gz there, found neither; "
            "correct path in params.yaml or set it to null"
        )
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); the file is damaged, fetch it again"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILES[name]:
        raise DataError(
            f"{path}: wrong checksum, expected sha256 {FILES[name]} of the unpacked file, "
            f"got {digest}; fetch it again"
        )
    return content


def _split(split: str, contents: dict[str, bytes], prefix: str) -> SourceSplit:
    images = _idx(contents[f"{prefix}-images-idx3-ubyte"])
    labels = _idx(contents[f"{prefix}-labels-idx1-ubyte"]).astype(np.int64)
    return SourceSplit(
        ids=[f"{split}/{index:05d}" for index in range(len(labels))],
        labels=labels,
        read=lambda i: image_of_pixels(images[i], images[i] > 0),
    )


def _idx(content: bytes) -> np.ndarray:
    """The array in a file of the IDX format: two zeros, a type code, the dimensions, the data."""
    _, type_code, dimensions = struct.unpack_from(">HBB", content)
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    assert type_code == 8, "the checksum was verified: the type is unsigned byte"
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
