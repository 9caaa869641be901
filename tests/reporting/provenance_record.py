"""What a stage records beside its result."""

from typing import Any


def record(stage: str, run: str) -> dict[str, Any]:
    """Of one execution for `run`, in a tree with changes where the stage is export."""
    models = {"teacher": "cd" * 32, "random_init": "ef" * 32}
    return {
        "stage": stage,
        "command": f"dino {stage} --run {run}",
        "git": {"commit": "0123456789" * 4, "dirty": stage == "export"},
        "data": "ab" * 32,
        "seed": 0,
        "precision": "float32",
        "python": "3.11.9",
        "packages": {"torch": "2.9.0" if stage == "pretrain" else "2.9.1"},
        "machine": {"host": "here", "processor": "a processor"},
        "started_at": "2026-01-01T00:00:00+00:00",
        "wall_seconds": 2.5,
        "checkpoint": "12" * 32 if stage == "pretrain" else None,
        **({"models": models} if stage == "attention" else {}),
    }
