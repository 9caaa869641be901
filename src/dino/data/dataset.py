"""The prepared data set: a manifest with one row an image, and the images in one Arrow file.

The images stay encoded as they came and are read through a memory map, so that any image costs
the same and a data set larger than the memory can be used. Hugging Face `datasets` stores images
in the same Arrow format; its folders also hold random fingerprints, which would make two equal
preparations look different to DVC.
"""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int64
from PIL import Image

from dino.core.artifacts import read_json
from dino.core.errors import DataError

Split = Literal["train", "val", "test"]
MANIFEST = "manifest.parquet"
IMAGES = "images.arrow"
DESCRIPTION = "dataset.json"
IMAGES_SCHEMA = pa.schema([("image", pa.binary()), ("mask", pa.binary())])


def read_manifest(folder: Path) -> pd.DataFrame:
    """One row an image: id, split, label, class_name, width_px, height_px, channels, sha256,
    has_mask. The row number is the image's index in every other file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{path}: not found; run `dino prepare`")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); delete it and run `dino prepare`"
        ) from None


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
        dataset = cls(folder=folder, manifest=manifest, description=read_json(folder / DESCRIPTION))
        if len(dataset._images) != len(manifest):
            raise DataError(
                f"{folder / IMAGES}: expected {len(manifest)} images as in {MANIFEST}, "
                f"found {len(dataset._images)}; run `dino prepare` again"
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
                f"{self.folder}: the {split} split is empty; correct prepare in params.yaml"
            )
        return found

    def labels(self, split: Split) -> Int64[np.ndarray, " images"]:
        """The class index of each image of a split, in the order of `indices`; -1: unlabelled."""
        return self.manifest["label"].to_numpy(dtype=np.int64)[self.indices(split)]

    def image(self, index: int) -> Image.Image:
        """The image, in mode "L" where it is grey, else "RGB"."""
        encoded = self._images.column("image")[index].as_buffer()
        image = Image.open(io.BytesIO(memoryview(encoded)))
        return image.convert("L" if self.channels == 1 else "RGB")

    def mask(self, index: int) -> Bool[np.ndarray, "height width"] | None:
        """True on the object; None where the image has no mask."""
        encoded = self._images.column("mask")[index]
        if not encoded.is_valid:
            return None
        return np.asarray(Image.open(io.BytesIO(memoryview(encoded.as_buffer()))), dtype=bool)

    @cached_property
    def _images(self) -> pa.Table:
        path = self.folder / IMAGES
        try:
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError:
            raise DataError(f"{path}: not found; run `dino prepare`") from None
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(
                f"{path}: cannot be read ({error}); delete it and run `dino prepare`"
            ) from None
