"""`python -m soak`: kill a training at random, write results/soak.{json,md}."""

import argparse
import hashlib
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from soak.report import origin, page, parser, save
from soak.training import MOMENTS, Training

EPOCHS = 10
KILLS = 30
_LIMIT = {"step": 160, "write": 40, "rename": 40, "epoch": 10}
"""Within which the count of a moment is drawn; what comes too late is no kill."""


def main() -> int:
    """The exit code: 1 when a training ended with another checkpoint."""
    options = _options()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        training = Training(Path(scratch), EPOCHS)
        expected = training.finish()
        training.restart()
        # once more, now that everything is imported: how long a training takes, and that two agree
        start = time.monotonic()
        if training.finish() != expected:
            raise SystemExit("soak: two trainings that nobody killed differ")
        duration = time.monotonic() - start
        training.restart()
        kills: list[dict[str, Any]] = []
        hashes: list[str] = []
        while len(kills) < options.kills or not training.checkpoint.exists():
            if training.checkpoint.exists():
                training.restart()
            kill = _kill(training, draw, duration) if len(kills) < options.kills else None
            if kill is not None:
                kills.append({"training": len(hashes) + 1, **kill})
                print(f"kill {len(kills)}: {kill['moment']}, {kill['resumed']}", flush=True)
                continue
            if not training.checkpoint.exists():
                training.finish()
            hashes.append(_sha256(training))
            print(f"training {len(hashes)}: equal {hashes[-1] == expected}", flush=True)
    result = {
        "kills": kills,
        "trainings": len(hashes),
        "equal": sum(found == expected for found in hashes),
        "checkpoint_sha256": expected,
        "found_sha256": sorted(set(hashes)),
        **origin(options.seed),
    }
    save(options.output, "soak", result, _page(result))
    return 0 if result["equal"] == len(hashes) else 1


def _kill(training: Training, draw: random.Random, duration: float) -> dict[str, Any] | None:
    """What a process was killed at; None when it ended before that."""
    moment = draw.choice((*MOMENTS, "time", "time", "time", "time"))
    if moment == "time":
        seconds = draw.uniform(0, duration)
        process = training.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
        where = f"after {seconds:.2f} s"
    else:
        count = draw.randint(1, _LIMIT[moment])
        process = training.start((moment, count))
        where = f"{moment} {count}"
    process.join()
    if process.exitcode == 0:
        return None
    if process.exitcode != -9:
        raise RuntimeError(training.log.read_text())
    left = sorted(training.work.rglob("step_*.pth"))
    return {
        "moment": where,
        "resumed": training.said("continuing") or "started at step 0",
        "drafts_left": len(list(training.work.rglob("*.tmp"))),
        "newest_checkpoint": left[-1].name if left else None,
    }


def _sha256(training: Training) -> str:
    return hashlib.sha256(training.checkpoint.read_bytes()).hexdigest()


def _page(result: dict[str, Any]) -> str:
    rows = [
        f"| {i} | {kill['training']} | {kill['moment']} | {kill['resumed']} "
        f"| {kill['newest_checkpoint'] or 'none'} | {kill['drafts_left']} |"
        for i, kill in enumerate(result["kills"], start=1)
    ]
    return page(
        result,
        "Killed and continued",
        f"`make soak`: {len(result['kills'])} SIGKILLs in {result['trainings']} trainings of "
        f"{EPOCHS} epochs of 20 steps, loader workers on; {result['equal']} of "
        f"{result['trainings']} end with the checkpoint of an uninterrupted one, byte for "
        f"byte (SHA-256 {result['checkpoint_sha256']}).",
        "| kill | training | killed at | the process before it was killed | newest checkpoint "
        "left | unfinished files left |\n|---|---|---|---|---|---|",
        rows,
    )


def _options() -> argparse.Namespace:
    options = parser("python -m soak", "Kill a training at random moments and continue it.")
    options.add_argument("--kills", type=int, default=KILLS)
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
