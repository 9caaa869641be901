from pathlib import Path

import pytest

from dino.core.errors import SupersededError
from dino.launch.attempt import ensure_newest_attempt, join_attempt


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DINO_ATTEMPT", "DINO_ATTEMPT_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_outside_of_jobs_there_is_nothing_to_be_replaced() -> None:
    ensure_newest_attempt()


def test_the_newest_attempt_may_write_and_an_older_one_may_not(tmp_path: Path) -> None:
    file = tmp_path / "attempt"
    join_attempt(file, "7.0", begin=True)
    ensure_newest_attempt()
    file.write_text("7.1")
    with pytest.raises(SupersededError, match=r"attempt 7\.0 was given up.*attempt 7\.1 does"):
        ensure_newest_attempt()


def test_other_processes_of_an_attempt_join_it(tmp_path: Path) -> None:
    file = tmp_path / "attempt"
    file.write_text("7.0")
    join_attempt(file, "7.0", begin=False)
    ensure_newest_attempt()
