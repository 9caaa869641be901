"""What can be known is refused before anything runs, whoever is asked to run it."""

import pytest
from workplace import Workplace, fresh_clone

from dino.core.pipeline import read_pipeline

TOLD = "datasets.digits: path: {path} does not exist; correct it in params.yaml"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A project whose outputs are all there, and whose images have moved."""
    project = fresh_clone(tmp_path_factory.mktemp("refusals") / "project")
    for step in read_pipeline(project.root):
        for output in step.outputs:
            path = project.root / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"a good {output}")
    project.set("datasets.digits.source", "class_folders")
    project.set("datasets.digits.path", str(project.root / "moved"))
    return project


def _outputs(project: Workplace) -> dict[str, bytes]:
    return {
        output: (project.root / output).read_bytes()
        for step in read_pipeline(project.root)
        for output in step.outputs
        if (project.root / output).is_file()
    }


def _refusal(output: str) -> str:
    """The one line that is not Snakemake's, DVC's or the bridge's own."""
    (line,) = [line for line in output.splitlines() if "does not exist" in line]
    assert "Traceback" not in output
    return line


@pytest.mark.parametrize(
    "command",
    [("snakemake", "-n"), ("snakemake",), ("dino", "prepare"), ("dino", "doctor")],
    ids=" ".join,
)
def test_moved_images_cost_nothing(project: Workplace, command: tuple[str, ...]) -> None:
    before = _outputs(project)
    output = project(*command, succeeds=False)
    told = TOLD.format(path=project.root / "moved")
    if command[-1] == "doctor":
        assert f"  - {told}" in output
        assert "Nothing is missing" not in output
    else:
        assert _refusal(output) == f"{command[0]}{' prepare' * (command[0] == 'dino')}: {told}"
    assert _outputs(project) == before
    assert project.executed == []


def test_drawing_the_graph_needs_no_images(project: Workplace) -> None:
    assert "prepare" in project("snakemake", "--rulegraph")


def test_dvc_is_refused_by_the_first_command(project: Workplace) -> None:
    output = project("dvc", "repro", succeeds=False)
    told = TOLD.format(path=project.root / "moved")
    assert _refusal(output).startswith(f"dino prepare: {told}")
    assert project.executed == []


def test_slurm_without_a_cluster_is_refused_before_planning(project: Workplace) -> None:
    project.variables["SLURM_CONF"] = "/nowhere/slurm.conf"
    before = _outputs(project)
    commands = ("snakemake", "--profile", "slurm", "-n"), ("dino", "doctor", "--slurm")
    for command in commands:
        output = project(*command, succeeds=False)
        (line,) = [line for line in output.splitlines() if "slurm.conf" in line]
        assert "without a cluster" in line or "not found; SLURM's commands" in line
        assert "Traceback" not in output
    assert _outputs(project) == before
    del project.variables["SLURM_CONF"]
