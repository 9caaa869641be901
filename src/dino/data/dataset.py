"""The prepared data set: a manifest with one row an image, and the images in one Arrow file.

The images stay encoded as they came (or packed smaller, or where they are: `storage`) and
are read through a memory map, so that any image costs the same and a data set larger than the
memory can be used. Hugging Face `datasets` stores images
in the same Arrow format; its folders also hold random fingerprints, which would make two equal
preparations look different to DVC.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from dino.core.artifacts import read_json
from dino.core.errors import DataError
from dino.data.annotations import COLUMNS, Annotations, annotations_of
from dino.data.decoding import UnreadableImageError, decoded, decoded_mask

Split = Literal["train", "val", "test"]
MANIFEST = "manifest.parquet"
IMAGES = "images.arrow"
DESCRIPTION = "dataset.json"
QUARANTINE = "quarantine.csv"
LEAKS = "leaks.csv"
VOID = 255
"""The value in `PreparedDataset.objects` of pixels that are neither object nor background."""
IMAGES_SCHEMA = pa.schema([("image", pa.binary()), ("mask", pa.binary())])


def check_labelled(split: Split, labels: Int64[np.ndarray, " images"]) -> None:
    """Raise `DataError` unless the images of a split can be classified.

    Training images may be without a label (-1), but not all of them; others may not.
    """
    unlabelled = int((labels < 0).sum())
    if unlabelled and (split != "train" or unlabelled == len(labels)):
        raise DataError(
            f"{unlabelled} of {len(labels)} {split} images have no label, which "
            "classification needs; label them, or correct datasets in params.yaml"
        )


def read_manifest(folder: Path) -> pd.DataFrame:
    """One row an image: id, split, label, class_name, width_px, height_px, channels, sha256,
    has_mask; path where the originals are indexed, and the columns of `dino.data.annotations` that
    the source has. The row number is the image's index in
    every other file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{path}: not found; run `{_again(folder)}`")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); delete it and run `{_again(folder)}`"
        ) from None


def read_description(folder: Path) -> dict[str, Any]:
    """The facts about all images together: classes, counts, fingerprint, storage."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(f"{path}: not found; run `{_again(folder)}`")
    description: dict[str, Any] = read_json(path)
    return description


def _again(folder: Path) -> str:
    """The command that makes `folder`."""
    return f"dino prepare --dataset {folder.name}"


@dataclass(frozen=True, kw_only=True)
class PreparedDataset:
    """Images, labels, masks and splits as `dino prepare` left them."""

    folder: Path
    manifest: pd.DataFrame
    description: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "PreparedDataset":
        """The data set below `folder`; raises `DataError` when a file is missing or damaged."""
        manifest = read_manifest(folder)
        dataset = cls(folder=folder, manifest=manifest, description=read_description(folder))
        if len(dataset._images) != len(manifest):
            raise DataError(
                f"{folder / IMAGES}: expected {len(manifest)} images as in {MANIFEST}, "
                f"found {len(dataset._images)}; run `{_again(folder)}` again"
            )
        return dataset

    def __len__(self) -> int:
        return len(self.manifest)

    def __getstate__(self) -> dict[str, Any]:
        # a memory map cannot be sent to a worker process, which opens its own
        return {name: self.__dict__[name] for name in ("folder", "manifest", "description")}

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.description["classes"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the ids, splits, labels and checksums of all images."""
        return str(self.description["fingerprint"])

    @cached_property
    def channels(self) -> int:
        """1 where every image is grey, else 3."""
        return int(self.manifest["channels"].max())

    def indices(self, split: Split) -> Int64[np.ndarray, " images"]:
        """The indices of a split's images; raises `DataError` when it has none."""
        found = np.flatnonzero(self.manifest["split"].to_numpy() == split).astype(np.int64)
        if len(found) == 0:
            raise DataError(
                f"{self.folder}: the {split} split is empty; correct "
                f"datasets.{self.folder.name} in params.yaml"
            )
        return found

    def labelled_indices(self, split: Split) -> Int64[np.ndarray, " images"]:
        """The indices of a split's images that have a label.

        Training images may be without one; raises `DataError` where others are, and where no
        training image has one.
        """
        found, labels = self.indices(split), self.labels(split)
        check_labelled(split, labels)
        return found[labels >= 0]

    def labels(self, split: Split) -> Int64[np.ndarray, " images"]:
        """The class index of each image of a split, in the order of `indices`; -1: unlabelled."""
        return self.manifest["label"].to_numpy(dtype=np.int64)[self.indices(split)]

    def image(self, index: int) -> Image.Image:
        """The image, upright, in mode "L" where all images are grey, else "RGB".

        Raises `DataError` for an original that vanished or changed since it was indexed.
        """
        try:
            image = decoded(self._encoded(index))
        except UnreadableImageError as error:
            raise DataError(
                f"{self.folder / IMAGES}: image {self.manifest['id'][index]} cannot be read "
                f"({error}); run `{_again(self.folder)}` again"
            ) from None
        mode = "L" if self.channels == 1 else "RGB"
        return image if image.mode == mode else image.convert(mode)

    def _encoded(self, index: int) -> bytes | memoryview:
        if self._originals is None:
            return memoryview(self._images.column("image")[index].as_buffer())
        path, sha256 = self._originals[0][index], self._originals[1][index]
        original = Path(self.description["root"]) / path
        try:
            encoded = original.read_bytes()
        except OSError as error:
            raise DataError(
                f"{original}: cannot be read ({error.strerror}), but the prepared data refer to "
                f"it; bring it back or run `{_again(self.folder)}` again"
            ) from None
        if hashlib.sha256(encoded).hexdigest() != sha256:
            raise DataError(
                f"{original}: has changed since `dino prepare` indexed it; bring the original back "
                f"or run `{_again(self.folder)}` again"
            )
        return encoded

    def mask(self, index: int) -> Bool[np.ndarray, "height width"] | None:
        """True on the objects, void pixels excluded; None where the image has no mask."""
        objects = self.objects(index)
        return None if objects is None else (objects > 0) & (objects < VOID)

    def objects(self, index: int) -> UInt8[np.ndarray, "height width"] | None:
        """0 on the background, 1 to 254 on the objects that the source tells apart, 255 where it
        is void; None where the image has no mask.

        The numbers are instances or classes, as the description's mask_kind says; where the source
        has a foreground alone, that is 1.
        """
        encoded = self._images.column("mask")[index]
        if not encoded.is_valid:
            return None
        mask = decoded_mask(memoryview(encoded.as_buffer()))
        pixels = np.asarray(mask)
        return pixels.astype(np.uint8) if mask.mode == "1" else pixels

    def annotations(self, index: int) -> Annotations:
        """The image's boxes, place in a video and matches, as far as the source has them."""
        return annotations_of(
            {name: self.manifest[name][index] for name in COLUMNS if name in self.manifest}
        )

    @cached_property
    def _originals(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Files and their checksums where images.arrow does not hold them."""
        if self.description.get("storage") != "index":
            return None
        return self.manifest["path"].to_numpy(), self.manifest["sha256"].to_numpy()

    @cached_property
    def _images(self) -> pa.Table:
        path = self.folder / IMAGES
        try:
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError:
            raise DataError(f"{path}: not found; run `{_again(self.folder)}`") from None
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(
                f"{path}: cannot be read ({error}); delete it and run `{_again(self.folder)}`"
            ) from None
