"""The file in a job's working folder by which launchers know of each other's job."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dino.core.artifacts import read_json, write_json

RECORD = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """The newest job of the step whose working folder is `folder`.

    `state` is where the step keeps what an interrupted computation continues from, None where
    there is no such place.
    """

    folder: Path
    state: Path | None

    @property
    def job_id(self) -> str | None:
        """The id of the job that was noted last; None if it failed and the user was told."""
        record = self._read()
        return None if record is None or record["ended"] else str(record["job_id"])

    def note(self, job_id: str, failures: int = 0) -> None:
        """Note `job_id` as the newest job, after `failures` in a row without a new checkpoint."""
        write_json(
            self.folder / RECORD,
            {
                "job_id": job_id,
                "failures": failures,
                "checkpoint": self._newest_checkpoint(),
                "ended": False,
            },
        )

    def note_end(self, job_id: str) -> None:
        """Note that the user was told of the failure of `job_id`: the next command begins anew."""
        record = self._read()
        if record is not None and record["job_id"] == job_id:
            write_json(self.folder / RECORD, {**record, "ended": True})

    def failures_with(self, dead: str) -> int:
        """The number of jobs in a row, up to `dead`, that ended without a newer checkpoint."""
        record = self._read()
        if record is None or record["ended"] or record["job_id"] != dead:
            return 0
        if record["checkpoint"] != self._newest_checkpoint():
            return 0
        return int(record["failures"]) + 1

    def _read(self) -> dict[str, Any] | None:
        path = self.folder / RECORD
        record: dict[str, Any] | None = read_json(path) if path.is_file() else None
        return record

    def _newest_checkpoint(self) -> str | None:
        found = []
        for path in self.state.rglob("step_*.pth") if self.state else ():
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, str(path)))
        return max(found)[1] if found else None
