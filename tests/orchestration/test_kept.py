"""Outputs that a step had, before and after a computation that fails or is killed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dino.core.artifacts import write_folder, write_text
from dino.core.locking import only_one
from dino.core.outputs import remove
from dino.core.pipeline import Step, read_pipeline
from dino.orchestration.kept import LONG_AGO_NS, Kept, kept_folder, recover

PIPELINE = """
stages:
  train:
    cmd: dino train
    deps: [src/train.py]
    outs:
      - artifacts/weights
      - results/train.json: {cache: false}
      - results/tables: {cache: false}
    plots:
      - results/log.csv: {cache: false}
"""
OLD = {
    "artifacts/weights": "old",
    "results/train.json": "{}",
    "results/log.csv": "epoch",
    "results/tables/accuracy.csv": "accuracy",
    "results/tables/small/accuracy.md": "| accuracy |",
}
TABLES = "results/tables"
OUTPUTS = ("artifacts/weights", "results/train.json", TABLES, "results/log.csv")


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step of a project that DVC knows; its outputs are there."""
    monkeypatch.delenv("DVC_STAGE", raising=False)
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for folder in (".dvc", ".git"):
        (tmp_path / folder).mkdir()
    for path, text in OLD.items():
        write_text(tmp_path / path, text)
    for path in (*OLD, TABLES):
        os.utime(tmp_path / path, ns=(10**18, 10**18))
    return read_pipeline(tmp_path)[0]


def _contents(root: Path) -> dict[str, str]:
    return {path: (root / path).read_text() for path in OLD if (root / path).is_file()}


def _remove(root: Path) -> None:
    for path in OUTPUTS:
        remove(root / path)


def test_what_git_holds_is_no_part_of_the_cache(step: Step) -> None:
    assert step.outputs == OUTPUTS
    assert step.uncached == OUTPUTS[1:]


def test_failure_in_the_middle_leaves_no_mixture(step: Step, tmp_path: Path) -> None:
    kept = Kept(tmp_path, step)
    kept.begin()
    write_text(tmp_path / "results/log.csv", "new")
    write_text(tmp_path / "artifacts/weights", "new")
    write_folder(tmp_path / TABLES, {"robustness.csv": b"new"})
    kept.put_back()
    assert _contents(tmp_path) == OLD
    assert {(tmp_path / path).stat().st_mtime_ns for path in (*OLD, TABLES)} == {10**18}
    assert not (tmp_path / TABLES / "robustness.csv").exists()


def test_new_file_beside_old_ones_is_removed_after_a_failure(step: Step, tmp_path: Path) -> None:
    # such as a clone whose large files were not pulled
    (tmp_path / "artifacts/weights").unlink()
    kept = Kept(tmp_path, step)
    kept.begin()
    write_text(tmp_path / "artifacts/weights", "new")
    kept.put_back()
    assert _contents(tmp_path) == {
        path: text for path, text in OLD.items() if path != "artifacts/weights"
    }


def test_first_failure_leaves_what_it_has_written(step: Step, tmp_path: Path) -> None:
    _remove(tmp_path)
    kept = Kept(tmp_path, step)
    kept.begin()
    write_text(tmp_path / "results/log.csv", "half a training")
    kept.put_back()
    assert _contents(tmp_path) == {"results/log.csv": "half a training"}


def test_success_leaves_the_new_ones_and_holds_no_older(step: Step, tmp_path: Path) -> None:
    kept = Kept(tmp_path, step)
    kept.begin()
    for path in OLD:
        write_text(tmp_path / path, "new")
    kept.succeed()
    kept.put_back()
    assert set(_contents(tmp_path).values()) == {"new"}
    held = [
        path for path in kept_folder(tmp_path).rglob("*") if path.name in ("weights", "log.csv")
    ]
    assert {path.read_text() for path in held} == {"new"}
    # as links: they take no space
    assert {path.stat().st_nlink for path in held} == {2}


def test_killed_computation_is_undone_by_the_next_command(
    step: Step, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Kept(tmp_path, step).begin()
    write_text(tmp_path / "artifacts/weights", "new")
    (tmp_path / "results/train.json").unlink()
    recover(tmp_path, [step])
    assert _contents(tmp_path) == OLD
    assert "train: put back what it had before it was killed" in capsys.readouterr().err
    # once: what is written by hand later is no business of it
    write_text(tmp_path / "artifacts/weights", "by hand")
    recover(tmp_path, [step])
    assert _contents(tmp_path) == OLD | {"artifacts/weights": "by hand"}


def test_next_computation_does_not_take_the_rest_of_a_killed_one_for_good(
    step: Step, tmp_path: Path
) -> None:
    Kept(tmp_path, step).begin()
    write_text(tmp_path / "results/log.csv", "new")
    kept = Kept(tmp_path, step)
    kept.begin()
    kept.put_back()
    assert _contents(tmp_path) == OLD


def test_step_that_another_process_computes_is_left_alone(step: Step, tmp_path: Path) -> None:
    Kept(tmp_path, step).begin()
    write_text(tmp_path / "artifacts/weights", "new")
    holder = (
        "import sys; from pathlib import Path; from dino.core.locking import only_one\n"
        "with only_one(Path(sys.argv[1]), 'train'): print('held', flush=True); sys.stdin.read()"
    )
    command = ["python", "-c", holder, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        recover(tmp_path, [step])
        assert (tmp_path / "artifacts/weights").read_text() == "new"
        other.communicate()
    recover(tmp_path, [step])
    assert _contents(tmp_path) == OLD


def test_file_that_cannot_be_linked_is_copied(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # work/ on another file system
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    kept = Kept(tmp_path, step)
    kept.begin()
    for path in OLD:
        write_text(tmp_path / path, "new")
    kept.put_back()
    assert _contents(tmp_path) == OLD


def test_without_dvc_nothing_is_held_after_a_success(step: Step, tmp_path: Path) -> None:
    (tmp_path / ".git").rmdir()
    kept = Kept(tmp_path, step)
    kept.begin()
    kept.succeed()
    assert not kept.folder.exists()


class TestRemovedByDvc:
    """DVC removes the outputs, then executes the command."""

    @pytest.fixture
    def project(
        self, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[Path, Step]:
        """A real repository whose dvc.lock and cache have the outputs; git has the small ones."""
        for folder in (".dvc", ".git"):
            (tmp_path / folder).rmdir()
        write_text(tmp_path / "src/train.py", "")

        def run(*command: str) -> None:
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

        run("git", "init", "--quiet")
        run("dvc", "init", "--quiet")
        run("dvc", "commit", "--force", "--quiet")
        run("git", "add", "results")
        run("git", "-c", "user.name=a", "-c", "user.email=b", "commit", "--quiet", "-m", "results")
        monkeypatch.setenv("DVC_STAGE", "train")
        return tmp_path, step

    def test_cache_and_git_have_what_was_never_held(self, project: tuple[Path, Step]) -> None:
        root, step = project
        # a clone after `dvc pull`; the run cache, which DVC fills here alone, is empty in it
        shutil.rmtree(root / ".dvc/cache/runs")
        for path, text in OLD.items():
            if path == "artifacts/weights":
                continue
            md5 = hashlib.md5(text.encode()).hexdigest()
            (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
        _remove(root)
        kept = Kept(root, step)
        kept.begin()
        write_text(root / "artifacts/weights", "new")
        kept.put_back()
        assert _contents(root) == OLD
        # of an older commit, perhaps: Snakemake must not take them for new
        assert {(root / path).stat().st_mtime_ns for path in OUTPUTS} == {LONG_AGO_NS}

    def test_work_that_dvc_has_not_heard_of_is_put_back(
        self, project: tuple[Path, Step], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, step = project
        monkeypatch.delenv("DVC_STAGE")
        by_hand = Kept(root, step)
        by_hand.begin()
        for path in OLD:
            write_text(root / path, "by hand")
        by_hand.succeed()
        monkeypatch.setenv("DVC_STAGE", "train")
        _remove(root)
        Kept(root, step).put_back()
        assert set(_contents(root).values()) == {"by hand"}

    def test_what_a_checkout_brought_comes_before_what_is_held(
        self, project: tuple[Path, Step]
    ) -> None:
        root, step = project
        kept = Kept(root, step)
        kept.begin()
        for path in OLD:
            write_text(root / path, "of another commit")
        kept.succeed()
        for path, text in OLD.items():
            write_text(root / path, text)
        # dvc.lock is that commit's now
        lock = (root / "dvc.lock").read_text()
        (root / "dvc.lock").write_text(lock.replace("cmd: dino train", "cmd: dino train --again"))
        _remove(root)
        kept = Kept(root, step)
        kept.begin()
        kept.put_back()
        assert _contents(root) == OLD

    def test_success_holds_what_the_cache_will_not(self, project: tuple[Path, Step]) -> None:
        root, step = project
        _remove(root)
        kept = Kept(root, step)
        kept.begin()
        for path in OLD:
            write_text(root / path, f"new {path}")
        kept.succeed()
        names = {path.name for path in kept.folder.rglob("*") if path.is_file()}
        assert names == {"train.json", "log.csv", "accuracy.csv", "accuracy.md", "dvc.lock"}
        with only_one(root, "train"):
            pass
