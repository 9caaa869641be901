"""The attempt at a job to which this process belongs, so that an abandoned one writes nothing.

A cluster that loses sight of a node starts its job again elsewhere, while the processes on the
node may be alive. The newest attempt's name stands in a file that all can read; the others find
there that they were replaced.
"""

import os
from pathlib import Path

from dino.core.artifacts import write_text
from dino.core.errors import SupersededError

_FILE, _NAME = "DINO_ATTEMPT_FILE", "DINO_ATTEMPT"


def join_attempt(file: Path, name: str, *, begin: bool) -> None:
    """Let this process belong to the attempt `name`; `begin`: it is the newest from now on."""
    os.environ |= {_FILE: str(file), _NAME: name}
    if begin:
        write_text(file, name)


def ensure_newest_attempt() -> None:
    """Raise `SupersededError` when another attempt has begun since; free outside of jobs."""
    file = os.environ.get(_FILE)
    if file is None:
        return
    newest = Path(file).read_text(encoding="utf-8")
    if newest != os.environ[_NAME]:
        raise SupersededError(
            f"attempt {os.environ[_NAME]} was given up for dead and attempt {newest} does its "
            "work; this one ends without writing anything more"
        )
