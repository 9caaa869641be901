"""Batches where shared memory is as small as in a container, or full."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import Dataset

from dino.core.errors import DinoError
from dino.data.batch_loader import batch_loader

BATCH_BYTES = 32 * 1024
SCRIPT = """
import json, sys
from test_batch_loader import BATCH_BYTES, Squares, batch_loader
fill = int(sys.argv[1])
loader = batch_loader(Squares(), batch_bytes=int(sys.argv[2]), workers=2, batch_size=4)
if fill:
    open("/dev/shm/full", "wb").write(bytes(fill))
print(json.dumps([int(batch.sum()) for _ in range(2) for batch in loader]))
"""


class Squares(Dataset):
    """Eight images of 8 KiB."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((BATCH_BYTES // 4,), index**2, dtype=torch.uint8)


EXPECTED = [int(sum(i**2 for i in rows)) * BATCH_BYTES // 4 for rows in (range(4), range(4, 8))] * 2


@pytest.fixture(scope="module")
def small():
    """Runs SCRIPT where /dev/shm has so many KiB."""
    mount = ["unshare", "--mount", "sh", "-c"]
    possible = (
        shutil.which("unshare")
        and not subprocess.run(
            [*mount, "mount -t tmpfs -o size=64k tmpfs /dev/shm"], capture_output=True
        ).returncode
    )
    if not possible:
        if os.environ.get("CI"):
            pytest.fail("CI has to be able to mount a small /dev/shm")
        pytest.skip("this user may not mount a small file system")

    def run(size_kib: int, fill: int = 0, batch_bytes: int = BATCH_BYTES):
        command = f'mount -t tmpfs -o size={size_kib}k tmpfs /dev/shm && exec "$@"'
        arguments = [sys.executable, "-c", SCRIPT, str(fill), str(batch_bytes)]
        return subprocess.run(
            [*mount, command, "sh", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},  # noqa: PTH120
        )

    return run


@pytest.mark.parametrize(
    ("size_kib", "how"),
    [(4096, None), (128, "come through pipes"), (64, "are made without worker processes")],
)
def test_batches_are_the_same_however_small_shared_memory_is(small, size_kib, how):
    done = small(size_kib)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED
    if how is None:
        assert done.stderr == ""
    else:
        (line,) = done.stderr.splitlines()
        assert line.startswith("shared memory: /dev/shm has ")
        assert how in line and "docker run --shm-size=1g" in line


def test_shared_memory_that_is_full_later_ends_in_a_dino_error_not_in_waiting(small):
    done = small(256, fill=180 * 1024)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "DinoError: a process was killed that made batches ahead" in last
    assert "docker run --shm-size=1g" in last


class Deadly(Squares):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 5:
            os.kill(os.getpid(), signal.SIGBUS)
        return super().__getitem__(index)


def test_a_worker_that_dies_is_one_line():
    loader = batch_loader(Deadly(), batch_bytes=BATCH_BYTES, workers=2, batch_size=4)
    with pytest.raises(DinoError, match=r"a process was killed that made batches") as refused:
        list(loader)
    assert "\n" not in str(refused.value)
