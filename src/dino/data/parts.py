"""The images in parts of a thousand: made by several processes, kept until all are there."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from torch.utils.data import Dataset
from tqdm import tqdm

from dino.core.artifacts import replacing
from dino.core.configuration.dataset import DatasetConfig
from dino.core.distributed import cores
from dino.core.errors import DinoError
from dino.data.batch_loader import batch_loader
from dino.data.dataset import IMAGES_SCHEMA
from dino.data.examination import Rejected, examine
from dino.data.splitting import Assignment

IMAGES_PER_PART = 1024
_ABOUT = b"about"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows of a part and its rejected images."""

    rows: pd.DataFrame
    """Rows of the manifest with a further column, `pixels_sha256`."""
    rejected: tuple[Rejected, ...]


class PartFiles(Dataset[Any]):
    """The parts of a preparation in a folder; asking for one that is not there makes it."""

    def __init__(
        self,
        assignments: Sequence[Assignment],
        classes: tuple[str, ...],
        config: DatasetConfig,
        folder: Path,
    ) -> None:
        self.assignments = assignments
        self.ends = np.cumsum([len(assignment.chosen) for assignment in assignments])
        self.classes = classes
        self.config = config
        self.folder = folder

    def __len__(self) -> int:
        return -(-self.total // IMAGES_PER_PART)

    @property
    def total(self) -> int:
        """Images to examine."""
        return int(self.ends[-1])

    def path(self, part: int) -> Path:
        """The file of a part: Arrow, its rows of the manifest among the metadata."""
        return self.folder / f"part-{part:05d}.arrow"

    def images(self, part: int) -> int:
        """The number of images that are examined in a part."""
        return min(IMAGES_PER_PART, self.total - part * IMAGES_PER_PART)

    def __getitem__(self, part: int) -> int | DinoError:
        """The part's number once its file is there; an error that stops the preparation."""
        start = part * IMAGES_PER_PART
        rows, rejected, images = [], [], []
        try:
            for index in range(start, start + self.images(part)):
                examined = examine(*self._item(index), self.classes, self.config)
                if isinstance(examined, Rejected):
                    rejected.append(asdict(examined))
                    continue
                rows.append({**examined.row, "pixels_sha256": examined.pixels_sha256})
                images.append({"image": examined.image, "mask": examined.mask})
            about = json.dumps({"rows": rows, "rejected": rejected})
            schema = IMAGES_SCHEMA.with_metadata({_ABOUT: about.encode()})
            with (
                replacing(self.path(part)) as temporary,
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, schema) as writer,
            ):
                writer.write_batch(pa.RecordBatch.from_pylist(images, schema=schema))
        except DinoError as error:
            # a loader would put a traceback into the message of an error that is raised
            return error
        return part

    def stored(self, part: int) -> pa.RecordBatch:
        """The part's batch for images.arrow, mapped from its file."""
        return self._open(part).get_batch(0).replace_schema_metadata(None)

    def about(self, part: int) -> Part:
        """The rest."""
        about = json.loads(self._open(part).schema.metadata[_ABOUT])
        return Part(
            rows=pd.DataFrame(about["rows"]),
            rejected=tuple(Rejected(**rejected) for rejected in about["rejected"]),
        )

    def _open(self, part: int) -> pa.RecordBatchFileReader:
        return pa.ipc.open_file(pa.memory_map(str(self.path(part))))

    def _item(self, index: int) -> tuple[Assignment, int]:
        which = int(np.searchsorted(self.ends, index, side="right"))
        chosen = self.assignments[which].chosen
        return self.assignments[which], int(chosen[index - self.ends[which] + len(chosen)])


def make_missing(parts: PartFiles) -> None:
    """Make the parts that are not there yet, on every core, and show how long it takes.

    Raises the `DinoError` that stopped a part, and one for a process that was killed.
    """
    missing = [part for part in range(len(parts)) if not parts.path(part).is_file()]
    there = parts.total - sum(parts.images(part) for part in missing)
    if there:
        print(f"continuing: {there} of {parts.total} images are there", flush=True)
    progress = tqdm(total=parts.total, initial=there, desc="prepare", unit="images")
    with progress:
        for part in _made(parts, missing):
            progress.update(parts.images(part))


def _made(parts: PartFiles, missing: list[int]) -> Iterator[int]:
    workers = min(cores(), len(missing))
    loader = batch_loader(
        parts,
        # numbers and errors: the parts themselves are files
        batch_bytes=0,
        # one process more would have nothing to compute on
        workers=workers if workers > 1 else 0,
        collate=_itself,
        sampler=missing,
        batch_size=None,
        multiprocessing_context="fork",
    )
    for part in loader:
        if isinstance(part, DinoError):
            raise part
        yield part


def _itself(part: Any) -> Any:
    return part
