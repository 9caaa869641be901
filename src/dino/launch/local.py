"""A training as processes on this machine, one for each GPU."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from dino.core.errors import ConfigurationError

_ENDS_WITHIN_S = 30
"""The time for the other processes to end after one has failed; they may notice a step later."""
_PROCESSES_A_CORE = 4
_SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)


def processes_wanted() -> int:
    """How many processes a training has here: DINO_PROCESSES, else one for each GPU, at least 1.

    Raises `ConfigurationError` for anything else, for more processes than the machine has GPUs
    and, without any, for more than four a core: some more than cores compute what as many GPUs
    would, if slowly.
    """
    wanted = os.environ.get("DINO_PROCESSES")
    if wanted is not None and (not wanted.isdecimal() or int(wanted) < 1):
        raise ConfigurationError(f"DINO_PROCESSES: expected a number of processes, got {wanted!r}")
    if wanted == "1":
        return 1
    import torch

    gpus = torch.cuda.device_count()
    if wanted is None:
        return max(1, gpus)
    all_cores = os.cpu_count() or 1
    most, why = (
        (gpus, f"one for each of this machine's {gpus} GPUs")
        if gpus
        else (_PROCESSES_A_CORE * all_cores, f"{_PROCESSES_A_CORE} for each of {all_cores} cores")
    )
    if int(wanted) > most:
        raise ConfigurationError(f"DINO_PROCESSES: expected at most {most}, {why}, got {wanted}")
    return int(wanted)


def run_processes(count: int, arguments: Sequence[str]) -> int:
    """The exit code of `dino` with `arguments`, executed by `count` processes that train together.

    SIGTERM, SIGUSR2 and SIGINT are passed on. Of several codes it is the first that is not 0; after
    a SIGINT, 130.
    """
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    children: list[subprocess.Popen[bytes]] = []
    passed: set[int] = set()

    def pass_on(number: int, frame: FrameType | None) -> None:
        passed.add(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    try:
        for rank in range(count):
            who = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            command = [sys.executable, "-m", "dino.cli", *arguments]
            # in a group of their own: Ctrl-C reaches them through this process alone, and once
            children.append(
                subprocess.Popen(
                    command, env={**os.environ, **shared, **who}, start_new_session=True
                )
            )
        code = _first_failure(children)
        return 128 + signal.SIGINT if code and signal.SIGINT in passed else code
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_failure(children: Sequence[subprocess.Popen[bytes]]) -> int:
    failure, deadline = 0, float("inf")
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        failed = next((child.returncode for child in children if child.returncode), 0)
        if failed and not failure:
            failure, deadline = failed, time.monotonic() + _ENDS_WITHIN_S
        time.sleep(0.1)
    code = failure or next((child.returncode for child in children if child.returncode), 0)
    # killed by a signal: as a shell says it
    return 128 - code if code < 0 else code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
