"""The processes of one training: the rank of this one, and sums over all of them.

A launcher (torchrun, or a SLURM job) starts the processes and says in the environment who is who;
without one there is a single process and every function here is free.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dino.core.errors import ConfigurationError

T = TypeVar("T")
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def rank() -> int:
    """The number of this process among those that train together, counted from 0."""
    return _number("RANK", 0)


def world_size() -> int:
    """The number of processes that train together."""
    return _number("WORLD_SIZE", 1)


def is_main() -> bool:
    """Whether this process writes the files and prints."""
    return rank() == 0


def cores() -> int:
    """The number of cores of this process: its part of those that the machine or job offers."""
    usable = len(os.sched_getaffinity(0))
    # SLURM says what was asked for each process, whether or not it binds them to cores
    if "SLURM_CPUS_PER_TASK" in os.environ:
        return max(1, min(_number("SLURM_CPUS_PER_TASK", usable), usable))
    return max(1, usable // max(1, _number("LOCAL_WORLD_SIZE", 1)))


def _number(name: str, otherwise: int) -> int:
    """The number that a launcher set in the environment, `otherwise` where there is none."""
    text = os.environ.get(name, str(otherwise))
    if not text.isdecimal():
        raise ConfigurationError(f"{name}: expected a number in the environment, got {text!r}")
    return int(text)


@contextmanager
def process_group() -> Iterator[None]:
    """A block in which the processes of the environment can talk to each other.

    NCCL where there are GPUs, one for each process of a machine, else gloo. Raises
    `ConfigurationError` for an environment that says only half of what is needed.
    """
    if world_size() == 1:
        yield
        return
    missing = [name for name in _LAUNCHED if name not in os.environ]
    if missing:
        raise ConfigurationError(
            f"WORLD_SIZE={world_size()}: expected {', '.join(missing)} in the environment too; "
            "start the processes with torchrun, or unset WORLD_SIZE"
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def mean_over_ranks(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over all processes.

    They travel as one flat float32 buffer, so that one reduction in one order serves them all.
    """
    if world_size() == 1:
        return
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(
        list(tensors), [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]
    )


def from_main(value: T) -> T:
    """The main process's `value`, in every process."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
