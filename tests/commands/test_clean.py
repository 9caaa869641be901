"""What `dino clean` shows and removes, in a project of real files."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workplace import PARAMETERS, ROOT

from dino.commands.clean import execute
from dino.core.artifacts import write_json, write_text
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.pipeline import Target, read_step
from dino.core.provenance import plain
from dino.core.resumable import note_training, training_identity
from dino.orchestration.kept import Kept

RUN, OLD = "tiny-dino-s0", "tiny-dino-s7"
GOES = {
    f"artifacts/{OLD}/checkpoint.pth": "run that params.yaml does not ask for",
    f"results/runs/{OLD}/knn.json": "run that params.yaml does not ask for",
    f"work/{OLD}/0123/step_000000001-0.pth": "run that params.yaml does not ask for",
    f"logs/pretrain/{OLD}.log": "log of a run",
    f"work/{RUN}/other/step_000000001-0.pth": "interrupted training with other parameters",
    f"work/kept/pretrain@tiny-dino-7/links/artifacts/{OLD}/checkpoint.pth": "outputs of a run",
    f"work/jobs/pretrain-{OLD}/0123/result.json": "SLURM job of a run",
    "data/old/dataset.json": "data set that params.yaml does not have",
    "work/downloads/images.zip": "download",
    "work/prepare/digits/0123/part-00000.arrow": "interrupted preparation",
    "work/records/finished/params.yaml": "where records/finished was computed",
    ".snakemake/log/2026.snakemake.log": "logs of earlier snakemakes",
}
STAYS = (
    f"artifacts/{RUN}/checkpoint.pth",
    f"results/runs/{RUN}/knn.json",
    f"work/{RUN}/now/step_000000001-0.pth",
    f"work/{RUN}/other/milestones/epoch_0001-0.pth",
    f"work/jobs/pretrain-{RUN}/0123/result.json",
    f"logs/pretrain/{RUN}.log",
    "work/records/interrupted/params.yaml",
    "records/finished/provenance.json",
    "results/runs/notes/read.me",
    "work/my-own-notes/read.me",
    "weights/teacher.pth",
    # in git, and named in params.yaml
    "results/runs/tiny-dino-s8/knn.json",
    "artifacts/tiny-dino-s9/checkpoint.pth",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with what other parameters, interruptions and old runs leave behind."""
    parameters = copy.deepcopy(PARAMETERS)
    parameters["pretrain"]["initial"] = "artifacts/tiny-dino-s9/checkpoint.pth"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    for path in (*GOES, *STAYS):
        write_text(tmp_path / path, "x" * 1000)
    project = Project(root=tmp_path)
    read = read_parameters(project.parameters)
    write_json(project.data("digits") / "dataset.json", {"fingerprint": "0"})
    made = {"parameters": {"datasets": plain(read.datasets)}}
    write_json(project.provenance("prepare", "digits"), made)
    now = training_identity(project, read, read.run_named(RUN))
    note_training(tmp_path / "work" / RUN / "now", now)
    note_training(tmp_path / "work" / RUN / "other", now | {"data": "1"})
    for command in (["init", "--quiet"], ["add", "results/runs/tiny-dino-s8"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def _is_there(root: Path, path: str) -> bool:
    return (root / path).is_file()


def test_what_would_be_removed_is_shown_with_size_reason_and_how_to_get_it_again(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(root, remove=False)
    lines = capsys.readouterr().out.splitlines()
    for path, reason in GOES.items():
        (line,) = (
            line
            for line in lines
            if ": " in line and path.startswith(line.split(": ")[0].split("  ")[-1].strip())
        )
        assert reason in line
        assert "; again: " in line
    assert any(line.startswith(f"{'1000 B':>10}  logs/pretrain/{OLD}.log") for line in lines)
    assert any("in all; `dino clean --yes` removes it" in line for line in lines)
    assert all(_is_there(root, path) for path in (*GOES, *STAYS))


def test_what_params_yaml_git_and_records_need_stays(root: Path) -> None:
    execute(root, remove=True)
    assert [path for path in GOES if _is_there(root, path)] == []
    assert [path for path in STAYS if not _is_there(root, path)] == []


def test_second_time_there_is_nothing_to_remove(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(root, remove=True)
    capsys.readouterr()
    execute(root, remove=True)
    assert "nothing to remove" in capsys.readouterr().out


def test_data_that_are_not_whole_keep_their_downloads_and_parts(root: Path) -> None:
    (root / "data/digits/dataset.json").unlink()
    execute(root, remove=True)
    assert _is_there(root, "work/downloads/images.zip")
    assert _is_there(root, "work/prepare/digits/0123/part-00000.arrow")
    # and which training could be resumed, nobody knows
    assert _is_there(root, f"work/{RUN}/other/step_000000001-0.pth")


def test_link_to_another_place_is_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_text(elsewhere / "checkpoint.pth", "x")
    (root / "artifacts/tiny-dino-s6").symlink_to(elsewhere)
    execute(root, remove=True)
    assert (root / "artifacts/tiny-dino-s6/checkpoint.pth").is_file()


def test_file_held_twice_gives_its_space_back_once(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = root / f"work/kept/pretrain@tiny-dino-7/links/artifacts/{OLD}/checkpoint.pth"
    held.unlink()
    os.link(root / f"artifacts/{OLD}/checkpoint.pth", held)
    execute(root, remove=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10].strip() for line in lines if "pretrain@tiny-dino-7" in line] == ["0 B"]


def test_held_outputs_of_a_killed_computation_are_put_back_first(root: Path) -> None:
    step = read_step(root, Target("knn", RUN))
    for path in step.outputs:
        write_text(root / path, "good")
    Kept(root, step).begin()
    (root / step.outputs[0]).unlink()
    execute(root, remove=True)
    assert (root / step.outputs[0]).read_text() == "good"


def test_held_output_goes_when_another_has_replaced_it(root: Path) -> None:
    step = read_step(root, Target("knn", RUN))
    for path in step.outputs:
        write_text(root / path, "good")
    kept = Kept(root, step)
    kept.hold(step.outputs)
    replaced, copied = (kept.folder / "links" / path for path in step.outputs)
    write_text(root / step.outputs[0], "another")
    # an equal one, as DVC makes
    write_text(root / step.outputs[1], "good")
    execute(root, remove=True)
    assert not replaced.exists()
    assert copied.exists()


def test_nothing_is_removed_while_a_stage_computes(root: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from dino.core.locking import only_one\n"
        "with only_one(Path(sys.argv[1]), 'report'): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DinoError, match="report is at work here; wait for it to end"):
            execute(root, remove=True)
        other.communicate()
    assert all(_is_there(root, path) for path in GOES)


def test_nothing_is_removed_while_dvc_writes(root: Path) -> None:
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    write_json(root / ".dvc/tmp/rwlock", {"write": {}, "read": {str(root / "x"): [holder]}})
    with pytest.raises(DinoError, match="dvc repro is at work here"):
        execute(root, remove=True)
