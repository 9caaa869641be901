"""One training step of a ViT-S/16 at the reference's sizes, beside the textbook's."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch

from benchmarks.agreement import BF16, FLOAT32, Tolerance, assert_agreement
from benchmarks.errors import BenchmarkError
from benchmarks.flops import flops_per_image
from benchmarks.machine import has_amx, matrix_product_peak
from benchmarks.sides import Side, our_side, random_crops, textbook_side
from benchmarks.timing import interleaved_seconds, medians, spread
from benchmarks.vit_small import ARCHITECTURE, CONFIG
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig

ROUNDS = 7
LEAST_TEXTBOOK_SHARE = 0.2
"""Of the bf16 peak: below it the textbook is no opponent."""
NO_AMX = "asked for on processors with AMX, which this one lacks"


class Pair(NamedTuple):
    """Who is compared with whom, and how equal they must be."""

    ours: str
    textbook: str
    tolerance: Tolerance
    key: str
    """What the result is called."""


PAIRS = {
    "train_step_float32": Pair("ours_float32", "textbook_float32", FLOAT32, "ratio"),
    "train_step_bf16": Pair("ours_bf16", "textbook_float32", BF16, "ratio"),
    "train_step_bf16_autocast": Pair("ours_bf16", "textbook_bf16", BF16, "ratio"),
    "train_step_peak_share": Pair("ours_bf16", "textbook_bf16", BF16, "share"),
}
SIDES: dict[str, Callable[[ArchitectureConfig, PretrainConfig], Side]] = {
    "ours_float32": lambda architecture, config: our_side(architecture, config, "float32"),
    "ours_bf16": lambda architecture, config: our_side(architecture, config, "bf16"),
    "textbook_float32": textbook_side,
    "textbook_bf16": lambda architecture, config: textbook_side(architecture, config, bf16=True),
}


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    architecture: ArchitectureConfig = ARCHITECTURE,
    config: PretrainConfig = CONFIG,
) -> dict[str, Any]:
    """A result for each of `names`, and the machine's peaks; all sides take turns."""
    peaks = {
        "float32_tflops": matrix_product_peak(torch.float32) / 1e12,
        "bf16_tflops": matrix_product_peak(torch.bfloat16) / 1e12,
    }
    flops = flops_per_image(architecture, config) * config.batch_size
    crops = random_crops(config)
    needed = sorted({side for name in names for side in PAIRS[name][:2]})
    sides = {name: SIDES[name](architecture, config) for name in needed}
    numbers = {name: side.first_step(crops) for name, side in sides.items()}
    differences = {
        name: assert_agreement(name, numbers[pair.ours], numbers[pair.textbook], pair.tolerance)
        for name, pair in PAIRS.items()
        if name in names
    }
    # of no more use, and as large as the networks
    numbers.clear()
    seconds = interleaved_seconds(
        {name: lambda side=side: side.step(crops) for name, side in sides.items()}, rounds
    )
    times = medians(seconds)
    shares = {name: flops / time / peaks_of(name, peaks) for name, time in times.items()}
    _assert_worthy(shares)
    results: dict[str, Any] = {"matrix_product_peak": peaks}
    for name in names:
        pair = PAIRS[name]
        results[name] = {
            **_headline(name, times, shares),
            "ours_s": times[pair.ours],
            "textbook_s": times[pair.textbook],
            "ours_images_per_s": config.batch_size / times[pair.ours],
            "textbook_images_per_s": config.batch_size / times[pair.textbook],
            "ours_share": shares[pair.ours],
            "textbook_share": shares[pair.textbook],
            "ours_spread": spread(seconds[pair.ours]),
            "textbook_spread": spread(seconds[pair.textbook]),
            "gflop_per_image": flops / config.batch_size / 1e9,
            "rounds": rounds,
            **differences[name],
            "tolerance": {
                "loss": pair.tolerance.loss,
                "gradient": pair.tolerance.gradient,
                "tensor": pair.tolerance.tensor,
            },
        }
    return results


def peaks_of(side: str, peaks: dict[str, float]) -> float:
    """The peak, in FLOP/s, of the precision that `side` computes in."""
    return 1e12 * peaks["bf16_tflops" if side.endswith("bf16") else "float32_tflops"]


def _headline(name: str, times: dict[str, float], shares: dict[str, float]) -> dict[str, Any]:
    pair = PAIRS[name]
    value = shares[pair.ours] if pair.key == "share" else times[pair.textbook] / times[pair.ours]
    if pair.ours == "ours_bf16" and not has_amx():
        return {pair.key: None, f"measured_{pair.key}": value, "reason": NO_AMX}
    return {pair.key: value}


def _assert_worthy(shares: dict[str, float]) -> None:
    share = shares.get("textbook_bf16")
    if share is not None and has_amx() and share < LEAST_TEXTBOOK_SHARE:
        raise BenchmarkError(
            f"the textbook under bf16 autocast reached {share:.1%} of the bf16 peak, expected at "
            f"least {LEAST_TEXTBOOK_SHARE:.0%}; run it on a quiet machine"
        )
