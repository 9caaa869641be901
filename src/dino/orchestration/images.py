"""The labels and classes of a project's images, before a stage reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int64

from dino.core.artifacts import read_json
from dino.core.errors import DataError, naming
from dino.core.paths import Project
from dino.data.dataset import DESCRIPTION, MANIFEST, Split

if TYPE_CHECKING:
    from dino.core.configuration.dataset import DatasetConfig

_MEASURED = 1000
"""The number of files whose size is asked for, so that a million takes no time."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The facts about a data set that are known without its pixels."""

    classes: tuple[str, ...]
    """The names of the classes; empty if nothing is labelled."""
    labels: Mapping[Split, Int64[np.ndarray, " images"]]
    """The class index of each image; -1 means unlabelled."""
    stored_bytes: int = 0
    """About how much `prepare` will write; 0 if that is not known."""

    @property
    def labelled(self) -> int:
        """The number of training images with a label."""
        return int((self.labels["train"] >= 0).sum())

    @property
    def text(self) -> str:
        """A text with the numbers of images and classes."""
        counts = ", ".join(f"{len(labels):,} {split}" for split, labels in self.labels.items())
        return f"{counts} images, {len(self.classes) or 'no'} classes"


def prepared_images(folder: Path) -> Images | None:
    """The images that `dino prepare` wrote to `folder`; None before that."""
    if not (folder / DESCRIPTION).is_file() or not (folder / MANIFEST).is_file():
        return None
    classes = read_json(folder / DESCRIPTION)["classes"]
    try:
        table = pq.read_table(folder / MANIFEST, columns=["split", "label"])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / MANIFEST}: cannot be read ({error}); delete it and run "
            f"`dino prepare --dataset {folder.name}`"
        ) from None
    splits = table["split"].to_numpy()
    labels = table["label"].to_numpy().astype(np.int64)
    return Images(
        classes=tuple(classes), labels={split: labels[splits == split] for split in get_args(Split)}
    )


def images_to_prepare(config: "DatasetConfig", project: Project, name: str) -> Images | None:
    """The images that `dino prepare` will find for the data set `name`, by listing its source.

    Nothing is fetched or decoded. Raises `DataError` where it would. None where the source has
    to be fetched or unpacked first.
    """
    # here, because only `prepare` needs these, and loading them takes time
    from dino.data.sources.catalogue import listed_source
    from dino.data.splitting import checked_assignments

    with naming(f"datasets.{name}"):
        source = listed_source(config, project.downloads)
        if source is None:
            return None
        assignments = checked_assignments(source, config)
    files = [
        source.root / part.source.paths[position]
        for part in assignments
        if source.root is not None and part.source.paths is not None
        for position in part.chosen.tolist()
    ]
    return Images(
        classes=source.classes,
        labels={part.split: part.source.labels[part.chosen] for part in assignments},
        stored_bytes=_bytes(files) if config.storage == "copy" else 0,
    )


def _bytes(files: Sequence[Path]) -> int:
    """About the sum of the sizes of `files`, from some that are spread evenly."""
    some = files[:: max(1, len(files) // _MEASURED)]
    sizes = [file.stat().st_size for file in some if file.is_file()]
    return len(files) * sum(sizes) // max(1, len(sizes))
