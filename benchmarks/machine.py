"""What the machine is and what it can do at best."""

import os
import time
from typing import Any

import torch

from dino.core.provenance import processor_name

PEAK_SIDE = 4096
"""Rows and columns of the matrices whose product measures the peak."""


def cores() -> int:
    """How many cores this process may use; torch uses as many threads."""
    return len(os.sched_getaffinity(0))


def has_amx() -> bool:
    """Whether the processor multiplies matrices in bf16 in tiles of their own."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def facts() -> dict[str, Any]:
    """What identifies the machine: results of two machines never stand in one file."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "processor": processor_name(),
        "cores": cores(),
        "amx_bf16": has_amx(),
        "avx512_bf16": bool(capabilities.get("avx512_bf16")),
        "torch": torch.__version__,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
    }


def matrix_product_peak(dtype: torch.dtype, repetitions: int = 7) -> float:
    """FLOP/s of the fastest of several products of two square matrices of 4096, on all cores."""
    a = torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype)
    b = torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype)
    product = a @ b
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        torch.matmul(a, b, out=product)
        best = min(best, time.perf_counter() - start)
    return 2 * PEAK_SIDE**3 / best
