import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dino.core.artifacts import read_json, replacing, write_json, write_text
from dino.core.errors import DinoError


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of 64 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "folder" / "result.json"
    write_json(path, {"b": 1, "a": [2.5]})
    assert read_json(path) == {"a": [2.5], "b": 1}
    assert _names(path.parent) == ["result.json"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_who_may_read_a_file_is_what_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = tmp_path / "folder"
        write_json(folder / "result.json", {})
        with replacing(folder / "weights") as temporary:
            save_file({"weights": torch.zeros(2)}, temporary)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("result.json", "weights"), 0o666 & ~umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "one", {"a": 1, "b": 2})
    write_json(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "result"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("new")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["result"]


def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(DinoError, match="cannot be written") as caught:
        write_json(tmp_path / "results" / "summary.json", {})
    assert "\n" not in str(caught.value)


def test_no_space_is_named_and_the_old_file_stays(full_disk):
    path = full_disk / "result"
    write_text(path, "old")
    with pytest.raises(DinoError, match="no space left"):
        write_text(path, "x" * 200_000)
    assert path.read_text() == "old"
    assert _names(full_disk) == ["result"]


def test_a_device_that_is_always_full_is_named_too(tmp_path):
    # what is written goes to the temporary path, here a device that refuses every byte
    path = tmp_path / "result"
    with pytest.raises(DinoError, match="no space left"), replacing(path) as temporary:
        temporary.symlink_to("/dev/full")
        with temporary.open("w") as stream:
            stream.write("x" * 100_000)
    assert not path.exists()


def test_a_damaged_json_file_is_named(tmp_path):
    path: Path = tmp_path / "result.json"
    path.write_text("{")
    with pytest.raises(DinoError, match=r"result\.json: not valid JSON"):
        read_json(path)
    with pytest.raises(DinoError, match="not found"):
        read_json(tmp_path / "none.json")
