"""`dino why` in a project that both engines know, with its files as they are and tampered with."""

import json
import sys
from pathlib import Path

import pytest
from workplace import RUN, Workplace

from dino.core.artifacts import sha256_of_file

NUMBER = f"accuracy:{RUN}:knn_top1"


@pytest.fixture
def project(computed_by_dvc: Workplace, tmp_path: Path) -> Workplace:
    return computed_by_dvc.copy(tmp_path / "project")


def test_a_number_leads_to_the_checkpoint_and_the_commands(project: Workplace) -> None:
    account = project("dino", "why", NUMBER)
    top1 = json.loads(project.table)["runs"][RUN]["knn_top1"]
    assert account.startswith(f"knn_top1 = {top1} [")
    checkpoint = project.root / "artifacts" / RUN / "checkpoint.pth"
    assert sha256_of_file(checkpoint) in account
    for path in (
        "data/digits/dataset.json",
        f"artifacts/{RUN}/checkpoint.pth",
        f"artifacts/{RUN}/teacher/model.safetensors",
        f"artifacts/{RUN}/random_init/model.safetensors",
    ):
        assert f"{path}: the same" in account
    commit = project("git", "rev-parse", "HEAD~1").strip()
    assert f"commit     {commit}, clean" in account
    assert "parameters, as params.yaml still has them" in account
    for stage in ("pretrain", "export", "features", "knn"):
        assert f"dino {stage} --run {RUN}" in account
    assert project("git", "status", "--porcelain") == ""


def test_everything_that_the_workflow_made_has_an_account(project: Workplace) -> None:
    script = (
        "import sys; sys.path.insert(0, 'src')\n"
        "from dino.cli import run\n"
        "from dino.core.pipeline import read_pipeline\n"
        "from pathlib import Path\n"
        "outputs = [path for step in read_pipeline(Path()) for path in step.outputs]\n"
        "failed = [path for path in outputs if run(['why', path])]\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(failed or None)"
    )
    project(sys.executable, "-c", script)


def test_another_checkpoint_in_its_place_is_noticed(project: Workplace) -> None:
    checkpoint = project.root / "artifacts" / RUN / "checkpoint.pth"
    with checkpoint.open("ab") as stream:
        stream.write(b"tampered")
    account = project("dino", "why", NUMBER, succeeds=False)
    assert f"artifacts/{RUN}/checkpoint.pth: DIFFERS" in account
    assert sha256_of_file(checkpoint) in account
    # a number that no training went into is none the worse
    project("dino", "why", "accuracy:raw_pixels:knn_top1")
    project("dvc", "checkout", "--force")
    assert "checkpoint.pth: the same" in project("dino", "why", NUMBER)


def test_a_clone_without_the_data_says_what_is_absent(project: Workplace, tmp_path: Path) -> None:
    project("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Workplace(tmp_path / "clone")
    clone.set("knn.headline", 10)
    account = clone("dino", "why", NUMBER)
    assert f"artifacts/{RUN}/checkpoint.pth: absent; `dvc pull` fetches it" in account
    assert "params.yaml has changed since: knn.headline 5 -> 10" in account


def test_an_unknown_name_is_one_line(project: Workplace) -> None:
    output = project("dino", "why", "tiny-dino-s7", succeeds=False)
    assert output.count("\n") == 1
    assert f"dino why: tiny-dino-s7: expected a run ({RUN})" in output
