import os
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from dino.core.errors import CheckpointError, DinoError
from dino.model.checkpoint import KEYS
from dino.training.checkpoints import CheckpointFolder

NUMBERS = 4096


def _content(step):
    generator = torch.Generator().manual_seed(step)
    content = {key: {} for key in KEYS - {"format"}}
    return content | {"step": step, "center": torch.randn(1, NUMBERS, generator=generator)}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "run", keep=2)


def _names(folder):
    return sorted(path.name.split("-")[0] for path in folder.glob("*.pth"))


def test_the_newest_are_kept_and_milestones_for_good(folder):
    for step in range(5):
        folder.save(step, _content(step))
        if step % 2 == 0:
            folder.milestone(step, _content(step))
    assert _names(folder.folder) == ["step_000000003", "step_000000004"]
    assert _names(folder.milestones) == ["epoch_0000", "epoch_0002", "epoch_0004"]
    newest = folder.load(folder.newest())
    assert newest["step"] == 4
    assert torch.equal(newest["center"], _content(4)["center"])
    folder.clear()
    assert _names(folder.folder) == []
    assert len(_names(folder.milestones)) == 3


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a flipped bit": _flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_reported_and_the_one_before_is_used(folder, capsys, damage):
    before, newest = folder.save(1, _content(1)), folder.save(2, _content(2))
    DAMAGES[damage](newest)
    assert folder.newest() == before
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(newest) in lines[0]
    assert "damaged" in lines[0]
    assert not newest.exists()
    assert newest.with_name(f"{newest.name}.damaged").exists()
    # the next start has nothing to report
    assert folder.newest() == before
    assert capsys.readouterr().err == ""


def test_a_damaged_one_is_never_loaded(folder):
    path = folder.save(1, _content(1))
    _flip(path)
    with pytest.raises(CheckpointError, match="its bytes differ from its checksum"):
        folder.load(path)


def test_with_none_whole_a_milestone_is_used_and_with_no_milestone_the_start(folder, capsys):
    milestone = folder.milestone(1, _content(1))
    for step in (2, 3):
        _flip(folder.save(step, _content(step)))
    assert folder.newest() == milestone
    for step in (4, 5):
        _flip(folder.save(step, _content(step)))
    _flip(milestone)
    assert folder.newest() is None
    assert "no checkpoint is whole; starting at step 0" in capsys.readouterr().err


def test_a_file_that_a_killed_process_was_writing_is_removed(folder):
    whole = folder.save(1, _content(1))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    draft = folder.folder / f".step_000000002.pth.{gone.pid}.tmp"
    draft.write_bytes(whole.read_bytes()[:100])
    assert folder.newest() == whole
    assert not draft.exists()


def test_the_bytes_reach_the_disk_before_the_name_does(folder, monkeypatch):
    events = []
    fsync = os.fsync

    def recorded(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        events.append((path.rsplit("/", 1)[-1].split(".")[-1], sorted(_names(folder.folder))))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    folder.save(7, _content(7))
    # the temporary file while no checkpoint is there, then the folder that names it
    assert events == [("tmp", []), ("run", ["step_000000007"])]


def test_a_disk_that_is_full_is_one_line_and_leaves_the_last_good_one(folder):
    good = folder.save(1, _content(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the kernel refuses to write on, as it does on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (good.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(DinoError) as caught:
            folder.save(2, _content(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert folder.newest() == good
    assert [path for path in folder.folder.iterdir() if path != good] == []


def test_no_space_left_is_called_by_its_name(tmp_path):
    mount = tmp_path / "full"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        folder = CheckpointFolder(mount, keep=4)
        for step in range(4):
            try:
                folder.save(step, _content(step * 1000))
            except DinoError as error:
                assert "no space left on the disk" in str(error)
                break
        else:
            pytest.fail("all four fitted")
        assert folder.load(folder.newest())["step"] == (step - 1) * 1000
    finally:
        subprocess.run(["umount", str(mount)], check=True)
