"""How a training step's time grows with images, crops, prototypes and image size."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.sides import CPU, our_side, random_crops
from benchmarks.timing import interleaved_seconds, medians
from benchmarks.vit_small import ARCHITECTURE
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import CropsConfig, HeadConfig, PretrainConfig
from dino.core.precision import resolve_precision

ROUNDS = 3
LINEAR = ("batch", "local_crops")
"""What the time is to grow linearly with."""


class Sizes(NamedTuple):
    """What a step's time depends on."""

    batch: int
    local_crops: int
    prototypes: int
    image_px: int
    """Side of a global crop; that of a local one is in proportion, as 96 to 224."""


BASE = Sizes(batch=4, local_crops=4, prototypes=8192, image_px=224)
SERIES: Mapping[str, Sequence[int]] = {
    "batch": (2, 4, 8, 16),
    "local_crops": (0, 4, 8, 16),
    "prototypes": (4096, 8192, 32768, 65536),
    "image_px": (112, 224, 336),
}
"""One size is moved at a time, the others are those of BASE."""


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    architecture: ArchitectureConfig = ARCHITECTURE,
    base: Sizes = BASE,
    series: Mapping[str, Sequence[int]] = SERIES,
    head: HeadConfig | None = None,
) -> dict[str, Any]:
    """The result `growth`: sizes and seconds, and how far a series is from a straight line."""
    head = head or HeadConfig()
    all_sizes = {
        (name, value): base._replace(**{name: value})
        for name, values in series.items()
        for value in values
    }
    precision = resolve_precision("auto", CPU)
    # one network for each number of prototypes; the other sizes are those of the crops
    sides = {
        prototypes: our_side(architecture, _config(base, head, prototypes), precision)
        for prototypes in {sizes.prototypes for sizes in all_sizes.values()}
    }
    crops = {sizes: random_crops(_config(sizes, head)) for sizes in set(all_sizes.values())}
    steps = {
        str(tuple(sizes)): lambda sizes=sizes: sides[sizes.prototypes].step(crops[sizes])
        for sizes in sorted(crops)
    }
    for step in steps.values():
        step()
    times = medians(interleaved_seconds(steps, rounds))
    rows = [
        {"series": name, **sizes._asdict(), "seconds": times[str(tuple(sizes))]}
        for (name, _), sizes in all_sizes.items()
    ]
    deviations = {
        name: deviation_from_line(
            [row[name] for row in rows if row["series"] == name],
            [row["seconds"] for row in rows if row["series"] == name],
        )
        for name in LINEAR
        if name in series
    }
    return {
        "growth": {
            "rows": rows,
            "deviation_from_line": deviations,
            "precision": precision,
            "rounds": rounds,
        }
    }


def deviation_from_line(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The largest difference between a time and the line fitted to all, as a share of the time."""
    # relative errors are what is minimised: the small sizes count as much as the large
    slope, intercept = np.polyfit(sizes, seconds, 1, w=1 / np.asarray(seconds))
    fitted = slope * np.asarray(sizes) + intercept
    return float(np.abs(fitted / np.asarray(seconds) - 1).max())


def _config(sizes: Sizes, head: HeadConfig, prototypes: int | None = None) -> PretrainConfig:
    return PretrainConfig(
        batch_size=sizes.batch,
        crops=CropsConfig(
            global_size_px=sizes.image_px,
            local_size_px=sizes.image_px * 96 // 224,
            local_crops=sizes.local_crops,
        ),
        head=HeadConfig(
            out_dim=prototypes or sizes.prototypes,
            hidden_dim=head.hidden_dim,
            bottleneck_dim=head.bottleneck_dim,
        ),
    )
