"""A command that fails costs nothing: the outputs that were there are there afterwards.

Both engines remove a step's outputs before they execute it (docs/workflow.md).
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workplace import RUN, STAGES, Workplace

from dino.core.outputs import files_of
from dino.core.pipeline import Step, read_pipeline

# the first test to need it waits for a whole run
pytestmark = pytest.mark.timeout(900)

Files = dict[str, tuple[bytes, int]]


@pytest.fixture(scope="module")
def project(computed_by_dvc: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A computed project, which every test leaves as it was."""
    return computed_by_dvc.copy(tmp_path_factory.mktemp("failures") / "project")


@pytest.fixture(scope="module")
def good(project: Workplace) -> Files:
    """The files that every stage has written, with their times."""
    assert project.planned() == {}
    return _files(project, read_pipeline(project.root))


@pytest.fixture(scope="module")
def after_snakemake(project: Workplace, good: Files) -> Files:
    """The same after runs of Snakemake in which every stage was executed and failed."""
    steps = read_pipeline(project.root)
    for stages in _independent(steps):
        with _in_the_way(project, steps):
            output = project(
                "snakemake",
                "--keep-going",
                *("--allowed-rules", "all", *stages),
                *("--forcerun", *stages),
                succeeds=False,
            )
        for stage in stages:
            assert f"dino {stage}: " in output
    return _files(project, steps)


@pytest.fixture(scope="module")
def after_dvc(project: Workplace, after_snakemake: Files) -> Files:
    """The same after a run of DVC in which every stage was executed and failed."""
    steps = read_pipeline(project.root)
    names = [step.name for step in steps]
    with _in_the_way(project, steps):
        output = project(
            "dvc", "repro", "--force", "--keep-going", "--single-item", *names, succeeds=False
        )
    for stage in STAGES:
        assert f"dino {stage}: " in output
    return _files(project, steps)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_fails_in_snakemake_leaves_its_outputs(
    stage: str, project: Workplace, good: Files, after_snakemake: Files
) -> None:
    _compare(stage, project, good, after_snakemake)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_fails_in_dvc_repro_leaves_its_outputs(
    stage: str, project: Workplace, good: Files, after_dvc: Files
) -> None:
    _compare(stage, project, good, after_dvc)


def test_after_failures_nothing_is_to_be_done(project: Workplace, after_dvc: Files) -> None:
    assert project("git", "status", "--porcelain") == ""
    assert project.out_of_date() == set()
    assert project.planned() == {}


def test_failure_in_the_middle_of_a_computation_costs_nothing(
    project: Workplace, good: Files, after_dvc: Files
) -> None:
    # cut off, the features are found to be damaged after torch was loaded
    features = project.root / f"artifacts/{RUN}/features/teacher.safetensors"
    content = features.read_bytes()
    features.write_bytes(content[:-1])
    for command in (
        ("snakemake", f"results/runs/{RUN}/knn.json"),
        ("dvc", "repro", "--single-item", "knn@tiny-dino-0"),
        ("dino", "knn", "--run", RUN),
    ):
        assert "features/teacher.safetensors" in project(*command, succeeds=False)
        for path in (f"results/runs/{RUN}/knn.json", f"results/runs/{RUN}/provenance/knn.json"):
            assert (project.root / path).read_bytes() == good[path][0]
    features.write_bytes(content)
    # newer than what it was made from, the damaged file was recorded as Snakemake's work
    project("git", "checkout", "--quiet", "--", "dvc.lock")
    assert project.planned() == {}


def test_killed_snakemake_and_stage_are_undone_by_the_next_command(
    project: Workplace, good: Files, after_dvc: Files
) -> None:
    log = project.root / f"results/runs/{RUN}/pretrain.csv"
    with subprocess.Popen(
        ["snakemake", "--forcerun", "pretrain", "--until", "pretrain"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as killed:
        while log.exists() and killed.poll() is None:
            time.sleep(0.02)
        os.killpg(killed.pid, signal.SIGKILL)
    assert not log.exists()
    project("snakemake", "--unlock")
    steps = read_pipeline(project.root)
    assert _contents(_files(project, steps)) == _contents(good)
    assert project.out_of_date() == set()


def _files(project: Workplace, steps: tuple[Step, ...]) -> Files:
    outputs = [project.root / path for step in steps for path in step.outputs]
    return {
        str(path.relative_to(project.root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for output in outputs
        for path in files_of(output)
    }


def _contents(files: Files) -> dict[str, bytes]:
    return {path: content for path, (content, _) in files.items()}


def _compare(stage: str, project: Workplace, before: Files, after: Files) -> None:
    steps = tuple(step for step in read_pipeline(project.root) if step.stage == stage)
    paths = _files(project, steps)
    assert paths
    assert paths.keys() == {
        path
        for path in before
        if any(Path(path).is_relative_to(output) for step in steps for output in step.outputs)
    }
    for path in paths:
        assert after[path][0] == before[path][0]
        # never newer: what was out of date stays so
        assert after[path][1] <= before[path][1]


@contextmanager
def _in_the_way(project: Workplace, steps: tuple[Step, ...]) -> Iterator[None]:
    """A folder where each stage opens its lock: it fails, after the engine removed its outputs."""
    paths = [project.root / "work/locks" / step.lock for step in steps]
    for path in paths:
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)
    yield
    for path in paths:
        path.rmdir()


def _independent(steps: tuple[Step, ...]) -> Iterator[list[str]]:
    """The stages in groups: no stage of a group reads what another of it writes."""
    depth: dict[str, int] = {}
    groups: dict[int, list[str]] = {}
    for step in steps:
        level = 1 + max((depth[path] for path in step.inputs), default=0)
        depth |= dict.fromkeys(step.outputs, level)
        if step.stage not in groups.setdefault(level, []):
            groups[level].append(step.stage)
    yield from groups.values()
