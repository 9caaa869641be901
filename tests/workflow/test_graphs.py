"""Snakefile and dvc.yaml describe one graph: the same commands, inputs, outputs and code."""

import json
import re
from dataclasses import dataclass

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from workplace import RUN, STAGES, Workplace

from dino.core import stages
from dino.core.pipeline import read_pipeline


@dataclass(frozen=True)
class Job:
    """A job as Snakemake would execute it."""

    rule: str
    inputs: set[str]
    outputs: set[str]
    log: str
    command: str


@pytest.fixture(scope="module")
def jobs(computed_by_dvc: Workplace) -> dict[str, Job]:
    """What plain `snakemake` would execute if it had to do everything, by rule."""
    plan = computed_by_dvc(
        "snakemake", "--dry-run", "--forceall", "--printshellcmds", "--quiet", "host"
    )
    found = {}
    for block in re.split(r"\n(?=(?:local)?rule )", plan)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)
        assert rule
        if rule[1] == "all":
            continue
        entries = dict(
            re.findall(r"^ *(input|output|log|Shell command): (.*)$", block, re.MULTILINE)
        )
        found[rule[1]] = Job(
            rule=rule[1],
            inputs=set(entries["input"].split(", ")),
            outputs=set(entries["output"].split(", ")),
            log=entries["log"],
            command=entries["Shell command"],
        )
    return found


@pytest.fixture(scope="module")
def lock(computed_by_dvc: Workplace) -> dict[str, dict[str, list[str] | str]]:
    """dvc.lock, which DVC writes with everything filled in: command, dependencies and outputs."""
    stages = yaml.safe_load((computed_by_dvc.root / "dvc.lock").read_text())["stages"]
    return {
        name.partition("@")[0]: {
            "command": stage["cmd"],
            "deps": [entry["path"] for entry in stage["deps"]],
            "outs": [entry["path"] for entry in stage["outs"]],
        }
        for name, stage in stages.items()
    }


def test_both_engines_have_every_stage(jobs: dict[str, Job], lock: dict[str, dict]) -> None:
    assert set(jobs) == set(lock) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_both_engines_run_the_same_command(
    stage: str, jobs: dict[str, Job], lock: dict[str, dict]
) -> None:
    # Snakemake keeps what the command prints, and shows it
    assert jobs[stage].command == f"{lock[stage]['command']} 2>&1 | tee -i {jobs[stage].log}"


@pytest.mark.parametrize("stage", STAGES)
def test_both_engines_know_the_same_outputs(
    stage: str, jobs: dict[str, Job], lock: dict[str, dict]
) -> None:
    assert jobs[stage].outputs == set(lock[stage]["outs"])


@pytest.mark.parametrize("stage", STAGES)
def test_both_engines_know_the_same_inputs(
    stage: str, jobs: dict[str, Job], lock: dict[str, dict]
) -> None:
    below_runs = {
        path for job in jobs.values() for path in job.outputs if path.startswith("results/runs/")
    }
    expected = {path for path in lock[stage]["deps"] if not path.startswith("src/")}
    if stage == "report":
        # DVC's stage without a matrix cannot name the runs' files, only the folder; the maps lie
        # elsewhere and change together with the provenance of the stage that makes them
        expected.remove("results/runs")
        expected |= below_runs - {f"results/runs/{RUN}/attention_maps.npz"}
        expected.add(f"artifacts/{RUN}/attention_maps.npz")
    recipes = {path for path in jobs[stage].inputs if path.startswith("work/recipes/")}
    assert jobs[stage].inputs - recipes == expected
    assert len(recipes) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_recipe_holds_the_code_that_dvc_tracks(
    stage: str, jobs: dict[str, Job], lock: dict[str, dict], computed_by_dvc: Workplace
) -> None:
    (recipe,) = (path for path in jobs[stage].inputs if path.startswith("work/recipes/"))
    content = json.loads((computed_by_dvc.root / recipe).read_text())
    code = {path for path in lock[stage]["deps"] if path.startswith("src/")}
    assert set(content["code"]) == code
    assert content["command"] == lock[stage]["command"]


def test_steps_are_those_that_dvc_sees(computed_by_dvc: Workplace) -> None:
    # by DVC's own reader: it writes 1e-06, which PyYAML takes for a text
    stages = load_yaml(str(computed_by_dvc.root / "dvc.lock"))["stages"]
    steps = read_pipeline(computed_by_dvc.root)
    assert {step.name for step in steps} == set(stages)
    for step in steps:
        assert step.command == stages[step.name]["cmd"]
        assert dict(step.parameters) == stages[step.name]["params"]["params.yaml"]
        assert set(step.outputs) == {entry["path"] for entry in stages[step.name]["outs"]}


def test_default_target_is_every_output(computed_by_dvc: Workplace, jobs: dict[str, Job]) -> None:
    # a missing file that no job asks for would go unnoticed
    for path in ("checkpoint.pth", "random_init/config.json"):
        assert any(output.endswith(path) for job in jobs.values() for output in job.outputs)
    project = computed_by_dvc
    plan = project("snakemake", "--dry-run", "--forceall", "--quiet", "host")
    everything = re.search(r"rule all:\n *input: (.*)\n", plan)
    assert everything
    assert set(everything[1].split(", ")) == {o for job in jobs.values() for o in job.outputs}


def test_list_of_stages_says_what_each_reads(jobs: dict[str, Job]) -> None:
    makers = {output: job.rule for job in jobs.values() for output in job.outputs}
    edges = {(makers[path], job.rule) for job in jobs.values() for path in job.inputs & set(makers)}
    listed = {(source, name) for name, stage in stages.STAGES.items() for source in stage.reads}
    assert _reachable(listed) == _reachable(edges)


def _reachable(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs that some path of edges joins."""
    while True:
        more = edges | {(a, d) for a, b in edges for c, d in edges if b == c}
        if more == edges:
            return edges
        edges = more
