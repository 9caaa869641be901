"""The progress of a job, read from what it prints."""

import csv
import re
from pathlib import Path

LOGS = "logs"
"""The folder, below a job's working folder, of what its processes print."""
_BAR = re.compile(r"\d+%\|")
_TAIL_BYTES = 8192
_LINES = 15


def progress(folder: Path) -> str | None:
    """The newest progress bar of the job in `folder`: share, images, time left, images/s, loss;
    and a training's epoch.
    """
    log = _log(folder)
    if log is None:
        return None
    bars = [line for line in _tail(log) if _BAR.search(line)]
    if not bars:
        return None
    epoch = _epoch(folder)
    # the bar itself says nothing that its percentage does not
    return re.sub(r"\|.*?\|", "", bars[-1]) + ("" if epoch is None else f", epoch {epoch:.1f}")


def last_lines(folder: Path) -> tuple[Path | None, list[str]]:
    """The log of the newest attempt in `folder`, and its last lines without progress bars."""
    log = _log(folder)
    if log is None:
        return None, []
    return log, [line for line in _tail(log) if not _BAR.search(line)][-_LINES:]


def _epoch(folder: Path) -> float | None:
    """The epoch in the last row of the training's log; None before the first row."""
    for log in folder.glob("results/runs/*/pretrain.csv"):
        if not log.resolve().is_relative_to(folder.resolve()):
            continue  # of another run, by a link
        with log.open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if rows:
            return float(rows[-1]["epoch"])
    return None


def _log(folder: Path) -> Path | None:
    """The file with what the first process, and srun, wrote to standard error."""
    logs = sorted((folder / LOGS).glob("*_0_log.err"), key=lambda path: path.stat().st_mtime)
    return logs[-1] if logs else None


def _tail(log: Path) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
