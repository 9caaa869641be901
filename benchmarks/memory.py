"""How much memory this process has held, as the kernel counts it."""

import os
from pathlib import Path

from benchmarks.errors import BenchmarkError


def reset_peak() -> int:
    """The process's resident bytes now, from where the kernel's record of its peak starts."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise BenchmarkError(
            f"/proc/self/clear_refs: cannot be written ({error.strerror}), so that the peak of the "
            "memory cannot be measured; allow it or leave out what measures memory"
        ) from None
    return _status_bytes("VmRSS")


def peak() -> int:
    """The most bytes that were resident since `reset_peak`."""
    return _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError(f"/proc/self/status: expected a line {field}, found none")
