"""What users do with two engines that keep their own notes of what is up to date.

Every test executes the real commands in a copy of a small project, names the jobs that should run
and compares the final table with a run in an empty folder. docs/workflow.md explains the bridge
that makes them pass.
"""

import json
import shutil
from pathlib import Path

import pytest
from workplace import PER_RUN, RUN, STAGES, Workplace

NOTHING = "Nothing to be done"
LEARNING_RATE = "pretrain.optimizer.learning_rate"
EVERYTHING = sorted(f"{stage}-{RUN}" if stage in PER_RUN else stage for stage in STAGES)
FROM_PRETRAIN_ON = sorted([*(f"{stage}-{RUN}" for stage in PER_RUN), "report"])
FROM_KNN_ON = sorted([f"knn-{RUN}", "baselines", "report"])
"""The k-NN of raw pixels is a baseline."""


@pytest.fixture(scope="module")
def learning_rate_changed(
    computed_by_dvc: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """The project after `dvc repro`, another learning rate and `snakemake`, committed."""
    project = computed_by_dvc.copy(tmp_path_factory.mktemp("snakemake") / "project")
    project.set(LEARNING_RATE, 0.01)
    project("snakemake")
    executed = project.executed
    project.commit("another learning rate")
    project.executed = executed
    return project


@pytest.fixture(scope="module")
def another_k(learning_rate_changed: Workplace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The final numbers of a clean run with the other learning rate and another k."""
    folder = tmp_path_factory.mktemp("clean")
    project = learning_rate_changed.copy(folder / "project")
    project.set("knn.headline", 10)
    return project.table_of_a_clean_run(folder / "clean")


def test_first_run_executes_every_stage_and_leaves_git_clean(computed_by_dvc: Workplace) -> None:
    assert computed_by_dvc("git", "status", "--porcelain") == ""
    ignored = {path.name for path in computed_by_dvc.root.rglob(".gitignore")}
    assert len(list(computed_by_dvc.root.rglob(".gitignore"))) == 2, ignored


def test_learning_rate_edited_after_dvc_repro_reruns_pretraining_in_snakemake(
    learning_rate_changed: Workplace, computed_by_dvc: Workplace, tmp_path: Path
) -> None:
    assert learning_rate_changed.executed == FROM_PRETRAIN_ON
    assert learning_rate_changed.table != computed_by_dvc.table
    assert learning_rate_changed.table == learning_rate_changed.table_of_a_clean_run(
        tmp_path / "clean"
    )


def test_dvc_has_nothing_to_do_after_snakemake(
    learning_rate_changed: Workplace, tmp_path: Path
) -> None:
    project = learning_rate_changed.copy(tmp_path / "project")
    assert "Data and pipelines are up to date" in project("dvc", "status")
    project("dvc", "repro")
    assert project.executed == []
    assert project("git", "status", "--porcelain") == ""


def test_new_seed_executes_its_own_run_and_the_report(
    computed_by_dvc: Workplace, tmp_path: Path
) -> None:
    project = computed_by_dvc.copy(tmp_path / "project")
    project.set("runs.seed", [0, 1])
    project("dvc", "repro")
    new = [job.replace("s0", "s1") for job in FROM_PRETRAIN_ON]
    assert project.executed == new
    old_runs = json.loads(computed_by_dvc.table)["runs"]
    runs = json.loads(project.table)["runs"]
    assert list(runs) == [RUN, "tiny-dino-s1"]
    assert runs[RUN] == old_runs[RUN]
    project("snakemake")
    assert project.executed == []


def test_checked_out_commit_is_complete_and_a_value_used_before_is_restored(
    computed_by_dvc: Workplace, learning_rate_changed: Workplace, tmp_path: Path
) -> None:
    project = learning_rate_changed.copy(tmp_path / "project")
    project("git", "checkout", "--quiet", "HEAD~1")
    project("dvc", "checkout")
    assert NOTHING in project("snakemake", "--dry-run")
    assert project.table == computed_by_dvc.table

    project.set(LEARNING_RATE, 0.01)
    project("dvc", "repro")
    assert set(project.executed) <= set(FROM_PRETRAIN_ON)
    assert project.table == learning_rate_changed.table
    assert NOTHING in project("snakemake", "--dry-run")


def test_clone_with_pulled_data_has_nothing_to_do_until_k_changes(
    learning_rate_changed: Workplace, another_k: str, tmp_path: Path
) -> None:
    project = learning_rate_changed.copy(tmp_path / "project")
    project("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project("dvc", "push")
    project.commit("a place for the data")
    project("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Workplace(tmp_path / "clone")
    clone("dvc", "pull")
    clone("dvc", "repro")
    assert clone.executed == []
    assert NOTHING in clone("snakemake", "--dry-run")

    clone.set("knn.headline", 10)
    clone("snakemake")
    assert clone.executed == FROM_KNN_ON
    assert clone.table == another_k
    clone("dvc", "repro")
    assert clone.executed == []


def test_experiments_give_the_table_of_a_clean_run(
    learning_rate_changed: Workplace, another_k: str, tmp_path: Path
) -> None:
    project = learning_rate_changed.copy(tmp_path / "project")
    before = project.table
    # elsewhere: the workspace stays as it is
    project("dvc", "exp", "run", "--temp", "--name", "elsewhere", "-S", "knn.headline=10")
    assert project.table == before
    assert project.executed == []
    experiment = project("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/elsewhere")
    assert project("git", "show", f"{experiment.strip()}:results/summary.json") == another_k
    assert NOTHING in project("snakemake", "--dry-run")
    # here, from the cache that the first experiment filled
    project("dvc", "exp", "run", "--name", "here", "-S", "knn.headline=10")
    assert set(project.executed) <= set(FROM_KNN_ON)
    assert project.table == another_k
    assert NOTHING in project("snakemake", "--dry-run")


def test_crashed_pretraining_is_run_again(
    computed_by_dvc: Workplace, learning_rate_changed: Workplace, tmp_path: Path
) -> None:
    project = computed_by_dvc.copy(tmp_path / "project")
    project.set(LEARNING_RATE, 0.01)
    # a file where the training wants to keep its state
    state = project.root / "work" / RUN
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("in the way")
    project("snakemake", succeeds=False)
    assert project.executed == [f"pretrain-{RUN}"]
    assert f"pretrain@{RUN.replace('-dino-s', '-')}" in project("dvc", "status")

    state.unlink()
    project("snakemake")
    assert project.executed == FROM_PRETRAIN_ON
    assert project.table == learning_rate_changed.table


def test_edited_plot_reruns_the_report_alone(computed_by_dvc: Workplace, tmp_path: Path) -> None:
    project = computed_by_dvc.copy(tmp_path / "project")
    figures = "src/dino/reporting/figures.py"
    assert NOTHING in project("snakemake", "--dry-run")
    project.append(figures, "\n# another comment\n")
    assert f"report depends on what changed: {figures}" in project("snakemake")
    assert project.executed == ["report"]
    assert project.table == computed_by_dvc.table
    assert "Data and pipelines are up to date" in project("dvc", "status")
    # and back: nothing to do, although the file is newer than the report
    project("git", "checkout", "--quiet", "--", figures, "dvc.lock", "results")
    assert NOTHING in project("snakemake", "--dry-run")
