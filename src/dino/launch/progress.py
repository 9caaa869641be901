"""How far a job is, read off what it prints."""

import re
from pathlib import Path

LOGS = "logs"
"""Folder, in a job's working folder, of what its processes print."""
_BAR = re.compile(r"\d+%\|")
_TAIL_BYTES = 8192
_LINES = 15


def progress(folder: Path) -> str | None:
    """The newest progress bar of the job in `folder`: share, images, time left, images/s, loss."""
    log = _log(folder)
    if log is None:
        return None
    bars = [line for line in _tail(log) if _BAR.search(line)]
    # the bar itself says nothing that its percentage does not
    return re.sub(r"\|.*?\|", "", bars[-1]) if bars else None


def last_lines(folder: Path) -> tuple[Path | None, list[str]]:
    """The log of the newest attempt in `folder`, and its last lines without progress bars."""
    log = _log(folder)
    if log is None:
        return None, []
    return log, [line for line in _tail(log) if not _BAR.search(line)][-_LINES:]


def _log(folder: Path) -> Path | None:
    """What the first process, and srun, wrote to standard error."""
    logs = sorted((folder / LOGS).glob("*_0_log.err"), key=lambda path: path.stat().st_mtime)
    return logs[-1] if logs else None


def _tail(log: Path) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
