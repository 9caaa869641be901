"""What a user types, and what a wrong one is told."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
from workplace import PER_RUN, STAGES, Workplace

from dino.core.configuration.presets import FIELDS
from dino.core.outputs import files_of
from dino.core.pipeline import read_pipeline

ONCE = dict.fromkeys(STAGES, 1)


@pytest.fixture
def project(sources: Workplace, tmp_path: Path) -> Workplace:
    """A fresh clone in which nothing was computed."""
    return sources.copy(tmp_path / "project")


@pytest.fixture
def computed(computed_by_dvc: Workplace, tmp_path: Path) -> Workplace:
    return computed_by_dvc.copy(tmp_path / "project")


def test_plain_snakemake_plans_every_stage(project: Workplace) -> None:
    assert project.planned() == ONCE
    # a dry run leaves nothing that git or a later run would see
    assert project("git", "status", "--porcelain") == ""


def test_matrix_multiplies_the_stages_of_a_run(project: Workplace) -> None:
    project.set("runs.seed", [0, 1, 2])
    assert project.planned() == ONCE | dict.fromkeys(PER_RUN, 3)


def test_works_without_dvc_and_git(project: Workplace) -> None:
    (project.root / ".git").rename(project.root.parent / "git")
    assert project.planned() == ONCE


def test_slurm_profile_plans_the_same_jobs_and_keeps_no_core(project: Workplace) -> None:
    plan = project("snakemake", "--profile", "slurm", "--dry-run", "--quiet", "host")
    assert "threads:" not in plan
    for stage in STAGES:
        assert f"rule {stage}:" in plan


@pytest.mark.parametrize("setting", ["knn={headline: 10}", "launcher_=slurm"])
def test_config_option_is_refused(project: Workplace, setting: str) -> None:
    output = project("snakemake", "--dry-run", "--config", setting, succeeds=False)
    assert "edit params.yaml" in output
    assert "dvc exp run -S" in output
    assert "Traceback" not in output


def test_launcher_is_no_parameter(computed: Workplace) -> None:
    assert computed.planned() == {}
    plan = computed("snakemake", "--dry-run", "--config", "launcher=slurm")
    assert "Nothing to be done" in plan


def test_a_preset_and_back_leaves_nothing_to_do(computed: Workplace) -> None:
    header = "# Tiny\n#\n" + "".join(f"# {field}: -\n" for field in FIELDS)
    mine = header + (computed.root / "params.yaml").read_text()
    (computed.root / "presets" / "tiny.yaml").write_text(mine)
    computed("dino", "preset", "cifar10")
    assert computed.planned() == ONCE
    assert "all values are equal" not in computed("dino", "preset", "tiny")
    assert computed.planned() == {}
    assert "up to date" in computed("dvc", "repro", "--dry")


def test_unknown_parameter_is_one_line(project: Workplace) -> None:
    project.set("knn.neighbors", [5])
    output = project("snakemake", "--dry-run", succeeds=False)
    assert output.splitlines()[1:] == [
        "snakemake: params.yaml.knn.neighbors: unknown key; remove it or correct its spelling"
    ]


def test_broken_yaml_is_one_line(project: Workplace) -> None:
    project.append("params.yaml", "knn: [\n")
    output = project("snakemake", "--dry-run", succeeds=False)
    assert "params.yaml" in output
    assert "Traceback" not in output


def test_snakemake_lint_finds_nothing_but_the_virtual_environment(project: Workplace) -> None:
    project(sys.executable, "workflow/lint.py")
    # and it would find something else
    rule = project.root / "workflow" / "rules" / "knn.smk"
    rule.write_text(rule.read_text().replace("    log:\n", "    params:\n"))
    output = project(sys.executable, "workflow/lint.py", succeeds=False)
    assert "No log directive defined" in output


def test_snakefiles_are_formatted(project: Workplace) -> None:
    project("snakefmt", "--check", "Snakefile", "workflow")


def test_snakemake_report_has_figures_and_tables(computed: Workplace) -> None:
    computed("snakemake", "--report", "results/snakemake-report.html")
    report = (computed.root / "results" / "snakemake-report.html").read_text()
    assert "training_curves.png" in report
    assert "accuracy.csv" in report


def test_dvc_draws_the_graph(computed: Workplace) -> None:
    dot = computed("dvc", "dag", "--dot")
    assert '"features@tiny-dino-0" -> "knn@tiny-dino-0"' in dot
    assert '"knn@tiny-dino-0" -> "report"' in dot


def test_lock_can_be_checked_without_the_data(computed: Workplace, tmp_path: Path) -> None:
    computed("git", "clone", "--quiet", str(computed.root), str(tmp_path / "clone"))
    clone = Workplace(tmp_path / "clone")
    output = clone("dvc", "repro", "--allow-missing", "--dry")
    assert "Running stage" not in output


def test_metrics_and_plots_are_compared_with_the_last_commit(computed: Workplace) -> None:
    metrics = computed.root / "results" / "metrics.json"
    values = json.loads(metrics.read_text())
    values["tiny-dino-s0"]["knn_top1"] += 1
    metrics.write_text(json.dumps(values))
    difference = json.loads(computed("dvc", "metrics", "diff", "--json"))
    assert difference["results/metrics.json"]["tiny-dino-s0.knn_top1"]["diff"] == 1


def test_figures_are_compared_with_the_last_commit_on_a_page_that_needs_no_network(
    computed: Workplace,
) -> None:
    figure = computed.root / "results/figures/training_curves.png"
    shutil.copyfile(computed.root / "results/figures/accuracy.png", figure)
    computed("dvc", "plots", "diff", "--out", "plots")
    page = (computed.root / "plots" / "index.html").read_text()
    assert "training_curves.png" in page
    assert "http" not in page
    computed("git", "checkout", "--", "results/figures")


def test_every_output_may_be_read_by_whom_the_umask_allows(computed_by_dvc: Workplace) -> None:
    umask = os.umask(0o022)
    os.umask(umask)
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for step in read_pipeline(computed_by_dvc.root)
        for output in step.outputs
        for path in files_of(computed_by_dvc.root / output)
    }
    assert modes == dict.fromkeys(modes, 0o666 & ~umask)
