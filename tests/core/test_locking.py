import os
import subprocess
import sys
import time

import pytest

from dino.core.errors import DinoError
from dino.core.locking import only_one

HOLD = """
import os, sys, time
from pathlib import Path
from dino.core.locking import only_one
with only_one(Path(sys.argv[1]), "knn-run"):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock and has forked another one; the pid of the latter."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        yield process, child
        process.kill()
        os.kill(child, 9)


def test_the_same_work_is_refused_while_it_runs(tmp_path, holder):
    with (
        pytest.raises(DinoError, match="another process is running this already"),
        only_one(tmp_path, "knn-run"),
    ):
        pass
    with only_one(tmp_path, "linear-run"):
        pass


def test_a_killed_process_holds_nothing_though_its_workers_live(tmp_path, holder):
    process, child = holder
    process.kill()
    process.wait()
    os.kill(child, 0)
    start = time.monotonic()
    with only_one(tmp_path, "knn-run"):
        assert time.monotonic() - start < 5
