import os
from pathlib import Path

from dino.launch.job_record import JobRecord


def checkpoint(folder: Path, name: str, time: int) -> None:
    path = folder / "state" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("weights")
    os.utime(path, (time, time))


def record(folder: Path) -> JobRecord:
    return JobRecord(folder, folder / "state")


def test_failures_count_in_a_row_and_only_without_a_newer_checkpoint(tmp_path: Path) -> None:
    # of other parameters, and further than this training will come
    checkpoint(tmp_path, "old/step_000009000-a.pth", 1)
    record(tmp_path).note("7")
    assert record(tmp_path).failures_with("7") == 1
    record(tmp_path).note("8", failures=1)
    assert record(tmp_path).failures_with("8") == 2
    checkpoint(tmp_path, "new/step_000000020-b.pth", 2)
    assert record(tmp_path).failures_with("8") == 0


def test_what_another_launcher_has_submitted_is_not_forgotten(tmp_path: Path) -> None:
    record(tmp_path).note("8")
    record(tmp_path).note_end("7")
    assert record(tmp_path).job_id == "8"
    assert record(tmp_path).failures_with("7") == 0


def test_after_a_failure_the_next_command_begins_anew(tmp_path: Path) -> None:
    assert record(tmp_path).job_id is None
    record(tmp_path).note("7")
    record(tmp_path).note_end("7")
    assert record(tmp_path).job_id is None
