"""Training steps by several processes on this machine, for tests."""

import os
import socket
from pathlib import Path

import torch
import torch.multiprocessing as mp

from dino.core.distributed import process_group, rank


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_ranks(world_size: int, function, *arguments, folder: Path) -> list:
    """What `function(*arguments)` returns in each of `world_size` gloo processes."""
    port = free_port()
    mp.start_processes(
        _rank,
        args=(world_size, port, function, arguments, folder),
        nprocs=world_size,
        start_method="spawn",
    )
    return [torch.load(folder / f"{rank}.pth", weights_only=True) for rank in range(world_size)]


def _rank(index, world_size, port, function, arguments, folder):
    os.environ |= {
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    with process_group():
        torch.save(function(*arguments), folder / f"{rank()}.pth")
