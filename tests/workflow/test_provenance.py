"""Beside every result stands what it was made from, whichever stage made it."""

import json
from importlib import metadata
from typing import Any

import pytest
from workplace import PER_RUN, RUN, STAGES, Workplace

from dino.core.provenance import PACKAGES
from dino.core.stages import PER_DATASET

KEYS = {
    "stage",
    "parameters",
    "data",
    "seed",
    "precision",
    "git",
    "packages",
    "python",
    "machine",
    "command",
    "started_at",
    "wall_seconds",
    "peak_memory_mib",
}
MEASURING = tuple(stage for stage in STAGES if stage != "report")
READS_NO_IMAGES = ("export",)
COMPUTES_NOTHING = ("prepare", "export", "card")
"""They move and describe files; there is no arithmetic with a precision."""
NEEDS_NO_SEED = ("baselines",)
"""What is random in it has its own seed, among the parameters of each evaluation."""


@pytest.fixture(scope="module")
def gathered(computed_by_dvc: Workplace) -> dict[str, Any]:
    """results/provenance.json, which is the report's own."""
    # the recipes below work/ are written whenever Snakemake looks
    computed_by_dvc.planned()
    provenance: dict[str, Any] = json.loads(_read(computed_by_dvc, "provenance.json"))
    return provenance


def _file_of(stage: str) -> str:
    """The name of its provenance and recipe, without .json, below their folders."""
    return f"{stage}/digits" if stage in PER_DATASET else stage


def _read(project: Workplace, path: str) -> str:
    return (project.root / "results" / path).read_text()


@pytest.mark.parametrize("stage", MEASURING)
def test_every_stage_says_what_its_result_was_made_from(
    stage: str, computed_by_dvc: Workplace, gathered: dict[str, Any]
) -> None:
    per_run = stage in PER_RUN
    record = json.loads(
        _read(
            computed_by_dvc,
            f"runs/{RUN}/provenance/{stage}.json"
            if per_run
            else f"provenance/{_file_of(stage)}.json",
        )
    )
    of = f" --run {RUN}" if per_run else " --dataset digits" if stage in PER_DATASET else ""
    assert set(record) >= KEYS
    assert record["stage"] == stage
    assert record["command"] == f"dino {stage}{of}"
    fingerprint = json.loads((computed_by_dvc.root / "data/digits/dataset.json").read_text())
    nothing = stage in READS_NO_IMAGES
    assert record["data"] == (None if nothing else fingerprint["fingerprint"])
    precisions = (None,) if stage in COMPUTES_NOTHING else ("float32", "bf16")
    assert record["precision"] in precisions
    assert record["seed"] == (None if stage in NEEDS_NO_SEED else 0)
    assert record["git"] == {
        "commit": computed_by_dvc("git", "rev-parse", "HEAD~1").strip(),
        "dirty": False,
    }
    assert record["packages"] == {name: metadata.version(name) for name in PACKAGES}
    assert all(record["machine"][key] for key in ("host", "system", "processor", "cores"))
    assert record["wall_seconds"] >= 0
    assert record["peak_memory_mib"] > 0
    # the report has read this very record
    assert (gathered["runs"][RUN] if per_run else gathered)[stage] == record


@pytest.mark.parametrize("stage", MEASURING)
def test_resolved_parameters_are_those_of_dvc_yaml(
    stage: str, computed_by_dvc: Workplace, gathered: dict[str, Any]
) -> None:
    record = (gathered["runs"][RUN] if stage in PER_RUN else gathered)[stage]
    recorded = record["parameters"]
    recipe = f"{stage}/{RUN}.json" if stage in PER_RUN else f"{_file_of(stage)}.json"
    recipes = computed_by_dvc.root / "work" / "recipes"
    depends_on = json.loads((recipes / recipe).read_text())["params.yaml"]
    sections = {key.partition(".")[0] for key in depends_on}
    names = {"architectures": "architecture", "variants": "variant"}
    assert set(recorded) == {names.get(name, name) for name in sections}
    # with the defaults of what params.yaml leaves out
    for key, written in depends_on.items():
        section = recorded.get(key)
        if isinstance(section, dict):
            assert set(section) >= set(written or ())


def test_a_report_is_of_every_stage(gathered: dict[str, Any]) -> None:
    assert {*gathered, *gathered["runs"][RUN]} - {"runs"} == set(MEASURING)
