"""Outputs that are files, and outputs that are folders of files."""

import os
from pathlib import Path

import pytest

from dino.core.artifacts import write_folder
from dino.core.errors import DinoError
from dino.core.outputs import (
    TIMESTAMP,
    files_of,
    is_there,
    link,
    remove,
    replacing_output,
    same_files,
    set_time,
    time_ns,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "tables", {"accuracy.csv": b"1", "accuracy.md": b"2"})
    return tmp_path / "tables"


def test_folder_consists_of_its_files(folder: Path) -> None:
    (folder / TIMESTAMP).touch()
    assert [path.name for path in files_of(folder)] == ["accuracy.csv", "accuracy.md"]
    assert files_of(folder / "accuracy.md") == (folder / "accuracy.md",)


def test_folder_without_a_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not is_there(tmp_path / "empty")
    assert not is_there(tmp_path / "missing")


def test_time_of_a_folder_is_that_of_snakemakes_file_in_it(folder: Path) -> None:
    set_time(folder, 10**18)
    assert time_ns(folder) == folder.stat().st_mtime_ns == 10**18
    (folder / TIMESTAMP).touch()
    assert time_ns(folder) > 10**18
    set_time(folder, 10**18)
    assert time_ns(folder) == (folder / TIMESTAMP).stat().st_mtime_ns == 10**18
    assert time_ns(folder.with_name("missing")) == 0


def test_link_of_a_folder_has_its_files_and_time(folder: Path, tmp_path: Path) -> None:
    set_time(folder, 10**18)
    link(folder, tmp_path / "kept/tables")
    assert same_files(folder, tmp_path / "kept/tables")
    assert time_ns(tmp_path / "kept/tables") == 10**18
    write_folder(folder, {"accuracy.csv": b"1", "accuracy.md": b"2"})
    assert not same_files(folder, tmp_path / "kept/tables")


def test_new_folder_holds_nothing_of_the_older_one(folder: Path, tmp_path: Path) -> None:
    write_folder(folder, {"attention.csv": b"3"})
    assert [path.name for path in files_of(folder)] == ["attention.csv"]
    assert list(tmp_path.iterdir()) == [folder]


def test_folder_stays_when_its_successor_fails(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing_output(folder) as draft:
        write_folder(draft, {"accuracy.csv": b"half"})
        raise RuntimeError
    assert (folder / "accuracy.csv").read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [folder]


def test_drafts_of_a_killed_process_are_removed(folder: Path, tmp_path: Path) -> None:
    dead = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(dead, 0)
    draft = tmp_path / f".tables.{dead}.tmp"
    draft.mkdir()
    (draft / "accuracy.csv").touch()
    write_folder(folder, {"accuracy.csv": b"1"})
    assert not draft.exists()


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(DinoError, match=r"results/tables: cannot be written"):
        write_folder(tmp_path / "results/tables", {"accuracy.csv": b"1"})


def test_removing_what_is_missing_is_no_error(folder: Path) -> None:
    remove(folder)
    remove(folder)
    assert not folder.exists()
