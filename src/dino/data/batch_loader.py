"""The one way to batches made by worker processes: it knows how much shared memory they need.

Workers hand a batch over in shared memory, a file system at /dev/shm of which containers have
64 MiB or less. Where it is too small the same batches come through pipes or, where there is not
even room for the workers' semaphores, without workers: slower, which a line says.
"""

import mmap
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from dino.core.errors import DinoError

SHARED_MEMORY = Path("/dev/shm")
_PREFETCH = 2
_REMEDY = "give the container more: docker run --shm-size=1g, or a larger /dev/shm"
_SEMAPHORES, _SEMAPHORES_A_WORKER = 12, 3
"""The semaphores of a loader, each a page of shared memory: queues, their locks, an event."""
_MADE_IN_PASSING = 2
"""Batches beyond those made ahead: the one in use and the one that comes."""
_LOST = ("DataLoader worker", "shared memory", "shm", "mmap")
"""Texts in torch's errors after a worker died, or when shared memory was full."""


class BatchLoader:
    """Batches, again in each iteration, from a `DataLoader` that `batch_loader` has set up."""

    def __init__(self, loader: "DataLoader[Any]", *, pickled: bool) -> None:
        """`pickled`: the loader gives each batch as the bytes of a pickle."""
        self.loader = loader
        self.pickled = pickled

    def __iter__(self) -> Iterator[Any]:
        """Start the workers now; raises `DinoError`, while batches come, when one has died."""
        return _Batches(iter(self.loader), self.pickled)

    def __len__(self) -> int:
        """Batches in an iteration."""
        return len(self.loader)


@dataclass(frozen=True)
class _Batches:
    batches: Iterator[Any]
    pickled: bool

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self.batches)
        except RuntimeError as error:
            if not any(sign in str(error) for sign in _LOST):
                raise
            raise _lost(error) from None
        # its own worker wrote it
        return pickle.loads(batch) if self.pickled else batch


@dataclass(frozen=True)
class _Shared:
    """A batch that lies in shared memory before it is sent.

    Where that is full, the error reaches whoever asked for the batch. While a batch is sent,
    `DataLoader` would lose it without a word, and the training would wait for ever.
    """

    collate: Callable[[Any], Any]

    def __call__(self, items: Any) -> Any:
        batch = self.collate(items)
        # torch's own collate has put its tensors there already
        return batch.share_memory() if hasattr(batch, "share_memory") else batch


@dataclass(frozen=True)
class _Pickled:
    """A batch as bytes, which travel through a pipe."""

    collate: Callable[[Any], Any]

    def __call__(self, items: Any) -> bytes:
        return pickle.dumps(self.collate(items), protocol=pickle.HIGHEST_PROTOCOL)


def batch_loader(
    dataset: "Dataset[Any]",
    *,
    batch_bytes: int,
    workers: int,
    collate: Callable[[Any], Any] = default_collate,
    prefetch: int = _PREFETCH,
    **options: Any,
) -> BatchLoader:
    """Batches of `batch_bytes` each, made ahead by as many `workers` as shared memory allows.

    `prefetch` batches are made ahead by each; `options` are `DataLoader`'s own. What a batch
    holds depends on neither.
    """
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else sys.maxsize
    # the processes of a training share it
    free //= max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    semaphores = mmap.PAGESIZE * (_SEMAPHORES + _SEMAPHORES_A_WORKER * workers)
    needed = semaphores + batch_bytes * (workers * prefetch + _MADE_IN_PASSING)
    pickled = False
    if workers and needed > free:
        pickled = semaphores <= free
        how = "come through pipes" if pickled else "are made without worker processes"
        print(
            f"shared memory: {SHARED_MEMORY} has {_mib(free)} MiB left of the {_mib(needed)} that "
            f"{workers} workers need; batches {how}, which is slower; {_REMEDY}",
            file=sys.stderr,
            flush=True,
        )
        workers = workers if pickled else 0
    if not workers:
        options = {**options, "multiprocessing_context": None, "persistent_workers": False}
    loader: DataLoader[Any] = DataLoader(
        dataset,
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        collate_fn=_Pickled(collate) if pickled else _Shared(collate) if workers else collate,
        **options,
    )
    return BatchLoader(loader, pickled=pickled)


def _lost(error: RuntimeError) -> DinoError:
    reason = str(error).strip().splitlines()[0][:200]
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    return DinoError(
        f"a process was killed that made batches ahead, perhaps for want of memory ({reason}; "
        f"{SHARED_MEMORY} has {_mib(free)} MiB left); run the command again to continue; if it "
        f"happens again, on fewer cores (taskset), or {_REMEDY}"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.3g}"
