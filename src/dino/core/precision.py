"""Which arithmetic a device runs fastest, and the context that uses it."""

from typing import Literal, cast

import torch

Precision = Literal["float32", "bf16", "fp16"]
_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """The first CUDA device where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(setting: str, device: torch.device) -> Precision:
    """`setting` itself, or for "auto" bf16 where the device multiplies it in hardware.

    Processors without AMX or AVX512_BF16 emulate bf16 and are slower with it than with float32.
    """
    if setting in _DTYPES:
        return cast(Precision, setting)
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities()
    in_hardware = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return "bf16" if in_hardware else "float32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which matrix products run in `precision`."""
    return torch.autocast(
        device.type,
        dtype=_DTYPES[precision] if precision != "float32" else None,
        enabled=precision != "float32",
        # all threads share the cache of converted weights: with it a result on the processor
        # would depend on which thread of a step came first
        cache_enabled=device.type != "cpu",
    )
