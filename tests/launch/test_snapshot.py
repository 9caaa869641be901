from pathlib import Path

import pytest

from dino.core.artifacts import write_json
from dino.core.errors import DinoError
from dino.core.pipeline import Step
from dino.core.provenance import git_state
from dino.launch.snapshot import RESULT, Snapshot, job_prefix, read_result

# of tests/launch/conftest.py
OUTPUTS = ("artifacts/r/checkpoint.pth", "results/runs/r/pretrain.csv")


def computed(snapshot: Snapshot, text: str = "new\n") -> Snapshot:
    """The snapshot after its job has written its files."""
    snapshot.make()
    for output in OUTPUTS:
        path = snapshot.folder / output
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return snapshot


def test_job_sees_the_project_as_it_was(root: Path, step: Step) -> None:
    snapshot = Snapshot(root, step)
    snapshot.make()
    (root / "params.yaml").write_text("edited\n")
    (root / "src" / "dino" / "cli.py").write_text("edited\n")
    assert (snapshot.folder / "params.yaml").read_text() == "pretrain: {epochs: 1}\n"
    assert (snapshot.folder / "src" / "dino" / "cli.py").read_text() == "code\n"
    # everything else is there, whatever a parameter may name
    for name in ("data/digits/dataset.json", "artifacts/other/checkpoint.pth", "pictures/a.png"):
        assert (snapshot.folder / name).read_text() == (root / name).read_text()


def test_what_the_job_writes_is_not_seen_before_it_is_published(root: Path, step: Step) -> None:
    snapshot = computed(Snapshot(root, step))
    assert not any((root / output).exists() for output in OUTPUTS)
    snapshot.publish()
    for output in OUTPUTS:
        assert (root / output).read_text() == "new\n"
        # newer than what it was made from
        newest_input = (root / "data" / "digits" / "dataset.json").stat().st_mtime_ns
        assert (root / output).stat().st_mtime_ns >= newest_input
    assert (root / "artifacts" / "other" / "checkpoint.pth").read_text() == "weights\n"


def test_published_files_can_be_deleted_and_published_again(root: Path, step: Step) -> None:
    snapshot = computed(Snapshot(root, step))
    snapshot.publish()
    (root / OUTPUTS[0]).unlink()
    Snapshot(root, step).publish()
    assert (root / OUTPUTS[0]).read_text() == "new\n"


def test_old_files_of_the_project_are_neither_seen_nor_changed_by_the_job(
    root: Path, step: Step
) -> None:
    for output in OUTPUTS:
        (root / output).parent.mkdir(parents=True, exist_ok=True)
        (root / output).write_text("old\n")
    snapshot = Snapshot(root, step)
    snapshot.make()
    assert not any((snapshot.folder / output).exists() for output in OUTPUTS)
    computed(snapshot)
    assert (root / OUTPUTS[0]).read_text() == "old\n"


@pytest.mark.parametrize("path", ["params.yaml", "src/dino/cli.py", "data/digits/dataset.json"])
def test_result_of_what_was_edited_meanwhile_is_refused(root: Path, step: Step, path: str) -> None:
    snapshot = computed(Snapshot(root, step))
    write_json(snapshot.folder / RESULT, {"exit_code": 0})
    before = (root / path).read_text()
    (root / path).write_text("pretrain: {epochs: 7}\n")
    with pytest.raises(DinoError, match="were changed after the command was given"):
        snapshot.publish()
    assert not (root / OUTPUTS[0]).exists()
    # and asked for now, it is another job
    assert Snapshot(root, step).job_name != snapshot.job_name
    # undone, the result is what was asked for, unless the job may have read something else
    (root / path).write_text(before)
    assert (read_result(snapshot.folder) is None) is (path == "data/digits/dataset.json")


@pytest.mark.parametrize("path", ["params.yaml", "src/dino/cli.py", "data/digits/dataset.json"])
def test_what_is_edited_before_the_job_is_submitted_is_noticed(
    root: Path, step: Step, path: str
) -> None:
    snapshot = Snapshot(root, step)
    assert snapshot.key
    (root / path).write_text("pretrain: {epochs: 7}\n")
    with pytest.raises(DinoError, match="run the command again"):
        snapshot.make()


def test_folder_of_a_failed_job_gets_the_present_code(root: Path, step: Step) -> None:
    snapshot = Snapshot(root, step)
    snapshot.make()
    # which no stage imports: a launcher's, say
    (root / "src" / "dino" / "launcher.py").write_text("mended\n")
    snapshot.make()
    assert (snapshot.folder / "src" / "dino" / "launcher.py").read_text() == "mended\n"


def test_key_depends_on_parameters(root: Path, step: Step) -> None:
    before = Snapshot(root, step).key
    (root / "params.yaml").write_text("pretrain: {epochs: 2}\n")
    assert Snapshot(root, step).key != before


def test_missing_file_of_a_finished_job_is_named(root: Path, step: Step) -> None:
    snapshot = computed(Snapshot(root, step))
    (snapshot.folder / OUTPUTS[1]).unlink()
    with pytest.raises(DinoError, match=r"pretrain\.csv: not found"):
        snapshot.publish()


def test_missing_input_is_named(root: Path, step: Step) -> None:
    (root / "data" / "digits" / "dataset.json").unlink()
    with pytest.raises(DinoError, match="run the stages before pretrain first"):
        _ = Snapshot(root, step).key


def test_interrupted_training_continues_wherever_it_is_computed(root: Path, step: Step) -> None:
    snapshot = Snapshot(root, step)
    snapshot.make()
    (snapshot.folder / "work" / "r" / "step_1.pth").write_text("state")
    assert (root / "work" / "r" / "step_1.pth").read_text() == "state"


def test_older_finished_jobs_are_forgotten_and_running_ones_are_not(root: Path, step: Step) -> None:
    def with_epochs(epochs: int) -> Snapshot:
        (root / "params.yaml").write_text(f"pretrain: {{epochs: {epochs}}}\n")
        return computed(Snapshot(root, step))

    finished, running, newest = with_epochs(1), with_epochs(2), with_epochs(3)
    write_json(finished.folder / RESULT, {"exit_code": 0})
    newest.remove_older()
    assert not finished.folder.exists()
    assert running.folder.exists()
    assert read_result(running.folder) is None


def test_checkouts_do_not_share_names(root: Path, tmp_path: Path) -> None:
    assert job_prefix(root) != job_prefix(tmp_path)


def test_provenance_in_a_copy_is_that_of_the_checkout(root: Path, step: Step) -> None:
    snapshot = Snapshot(root, step)
    snapshot.make()
    assert git_state(snapshot.folder) == git_state(root)
