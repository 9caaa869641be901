"""A project with several data sets prepares those that a stage reads."""

from pathlib import Path

import pytest
from workplace import PARAMETERS, STAGES, Workplace

OTHER = PARAMETERS["datasets"]["digits"] | {"seed": 1}


@pytest.fixture
def project(sources: Workplace, tmp_path: Path) -> Workplace:
    """A fresh clone with a second data set, which nothing reads."""
    project = sources.copy(tmp_path / "project")
    project.set("datasets.other", OTHER)
    return project


def test_snakemake_leaves_out_what_no_stage_reads(project: Workplace) -> None:
    plan = project("snakemake", "--dry-run", "--printshellcmds", "--quiet", "host")
    assert "dino prepare --dataset digits" in plan
    assert "--dataset other" not in plan
    assert project.planned() == dict.fromkeys(STAGES, 1)


def test_dvc_leaves_it_out_where_the_report_alone_is_asked_for(
    computed_by_dvc: Workplace, tmp_path: Path
) -> None:
    project = computed_by_dvc.copy(tmp_path / "project")
    project.set("datasets.other", OTHER)
    assert project.out_of_date() == {"prepare@other", "report"}
    assert project.planned() == {"report": 1}
    project("dvc", "repro", "report")
    assert project.executed == ["report"]
    assert project.table == computed_by_dvc.table


def test_it_is_prepared_when_it_is_named(project: Workplace) -> None:
    project("dino", "prepare", "--dataset", "other")
    assert project.executed == ["prepare-other"]
    root = project.root
    assert (root / "data/other/manifest.parquet").is_file()
    assert (root / "results/provenance/prepare/other.json").is_file()
    assert not (root / "data/digits").exists()
    # without a name it is the one trained on
    project("dino", "prepare")
    assert project.executed == ["prepare-digits"]
    refusal = project("dino", "prepare", "--dataset", "third", succeeds=False).splitlines()[-1]
    assert refusal == (
        "dino prepare: --dataset: expected one of the data sets in params.yaml (digits, other), "
        "got third"
    )


def test_training_on_another_one_runs_all_stages_on_it(project: Workplace) -> None:
    project.set("pretrain.dataset", "other")
    plan = project("snakemake", "--dry-run", "--printshellcmds", "--quiet", "host")
    assert "dino prepare --dataset other" in plan
    assert "data/digits/" not in plan
