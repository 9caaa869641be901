"""`python -m benchmarks.prepare [IMAGES ...]`: what `prepare` costs, and that it grows linearly.

Writes results/benchmarks_prepare.{json,md}. Each size is a folder of generated JPEG files, prepared
in a process of its own.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.results import rounded
from dino.cli import set_environment
from dino.core.artifacts import write_json, write_text

SIZES = (1_000, 10_000, 100_000)
STORAGE = ("copy", "pack", "index")
SIDE_PX = 64
PACK_PX = 32
_CLASSES = 10
_MIB = 2**20


def generate(folder: Path, images: int) -> int:
    """Write `images` different JPEG files in ten folders; returns their bytes."""
    rng = np.random.default_rng(images)
    total = 0
    for index in range(images):
        path = folder / f"class_{index % _CLASSES}" / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE_PX * 4 // 3, SIDE_PX), Image.Resampling.BICUBIC).save(path)
        total += path.stat().st_size
    return total


def prepared(images: Path, storage: str, held_out: int, folder: Path) -> dict[str, float]:
    """Seconds, bytes written and the peak memory (MiB) of one preparation."""
    from dino.core.configuration.dataset import DatasetConfig
    from dino.data.preparation import prepare
    from dino.data.sources.catalogue import open_source

    config = DatasetConfig(
        source="class_folders",
        path=str(images),
        val_images=held_out,
        test_images=held_out,
        storage=storage,  # type: ignore[arg-type]
        pack_short_side_px=PACK_PX,
    )
    before_mib = _peak_mib()
    start = time.perf_counter()
    prepare(open_source(config, folder / "downloads"), config, folder / "prepared")
    return {
        "seconds": time.perf_counter() - start,
        "bytes": sum(path.stat().st_size for path in (folder / "prepared").iterdir()),
        "peak_mib": _peak_mib(),
        "imports_mib": before_mib,
    }


def measure(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each size and way of storage."""
    rows = []
    for size in sizes:
        with TemporaryDirectory() as name:
            folder = Path(name)
            original = generate(folder / "images", size)
            for storage in STORAGE:
                # a process for each: the peak of its memory is its own
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    arguments = (folder / "images", storage, size // 10, folder / storage)
                    row = pool.submit(prepared, *arguments).result()
                rows.append({"images": size, "storage": storage, "original_bytes": original, **row})
                print(rows[-1], flush=True)
    return rows


def markdown(results: dict[str, Any]) -> str:
    """The rows as a table."""
    machine = results["machine"]
    lines = [
        "# What `prepare` costs",
        "",
        f"Generated JPEG files of {SIDE_PX * 4 // 3} by {SIDE_PX} px in {_CLASSES} folders "
        f"(`class_folders`), packed to {PACK_PX} px; {machine['processor']}, {machine['cores']} "
        "cores. Memory is what the main process needs beyond its imports, at its peak. Written by "
        "`python -m benchmarks.prepare`.",
        "",
        "| images | storage | seconds | per 1,000 | MiB read | MiB written | memory (MiB) |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in results["rows"]:
        thousands = row["images"] / 1000
        lines.append(
            f"| {row['images']:,} | {row['storage']} | {row['seconds']:.1f} "
            f"| {row['seconds'] / thousands:.2f} | {row['original_bytes'] / _MIB:.1f} "
            f"| {row['bytes'] / _MIB:.1f} | {row['peak_mib'] - row['imports_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Measure and write both files."""
    set_environment()
    from benchmarks.machine import facts
    from dino.core.provenance import git_state

    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("images", nargs="*", type=int, help=f"default: {SIZES}")
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    rows = measure(options.images or SIZES)
    results = {"machine": facts(), "git": git_state(Path.cwd()), "rows": rounded(rows)}
    write_json(options.output / "benchmarks_prepare.json", results)
    write_text(options.output / "benchmarks_prepare.md", markdown(results))
    print(f"--- {options.output / 'benchmarks_prepare.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
