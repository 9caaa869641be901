"""The name of a stage's progress bar, which tells the run that it works on."""

import os

_VARIABLE = "DINO_POSITION"


def set_position(runs: list[str], run: str | None) -> None:
    """Note that this process works on `run`, one of `runs`; None means on all of them."""
    several = run is not None and len(runs) > 1
    place = f" {runs.index(run) + 1} of {len(runs)}: {run}" if run and several else ""
    os.environ[_VARIABLE] = place


def title(stage: str) -> str:
    """The name of `stage`'s bar: pretrain; with several runs pretrain 2 of 8: vit-dino-s1."""
    return stage + os.environ.get(_VARIABLE, "")
