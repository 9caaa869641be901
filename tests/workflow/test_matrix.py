"""The scenarios of docs/workflow.md with several variants, and experiments that wait in a queue."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from workplace import LEARNING_RATE, PER_RUN, RUN, Changed, Workplace

# the first test to need it waits for a whole run
pytestmark = pytest.mark.timeout(900)

VARIANT = "tiny-fast-s0"
RATES = ("0.001", "0.01", "0.02")
"""Those of the first commit and of the second, which the run cache restores, and a new one."""
ONE_RUN = dict.fromkeys(PER_RUN, 1) | {"report": 1}
TWO_RUNS = dict.fromkeys(PER_RUN, 2) | {"report": 1}


@pytest.fixture(scope="module")
def experiments(
    changed: Changed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Workplace]]:
    """Three learning rates queued, then executed, beside the other tests."""

    def execute() -> Workplace:
        project = changed.project.copy(tmp_path_factory.mktemp("queue") / "project")
        for rate in RATES:
            name = f"rate_{rate.replace('.', '_')}"
            project("dvc", "exp", "run", "--queue", "--name", name, "-S", f"{LEARNING_RATE}={rate}")
        project("dvc", "exp", "run", "--run-all")
        return project

    pool = ThreadPoolExecutor(max_workers=1)
    yield pool.submit(execute)
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def varied(
    computed_by_dvc: Workplace,
    experiments: Future[Workplace],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workplace:
    """A variant added, `snakemake`, commit. Tests use copies of it."""
    project = computed_by_dvc.copy(tmp_path_factory.mktemp("varied") / "project")
    project.set("variants.fast", {"optimizer": {"learning_rate": 0.01}})
    project.set("runs.variant", ["dino", "fast"])
    new = {f"{stage}@tiny-fast-0" for stage in PER_RUN}
    assert project.out_of_date() == {*new, "report"}
    project("snakemake")
    executed = project.executed
    project.commit("a variant")
    project.executed = executed
    return project


@pytest.fixture
def project(varied: Workplace, tmp_path: Path) -> Workplace:
    """A copy of the project with two variants, to do as one likes in."""
    return varied.copy(tmp_path / "project")


def test_new_variant_executes_its_own_run_and_the_report(
    varied: Workplace, computed_by_dvc: Workplace, changed: Changed
) -> None:
    assert varied.executed == sorted([*(f"{stage}-{VARIANT}" for stage in PER_RUN), "report"])
    runs = json.loads(varied.table)["runs"]
    assert list(runs) == [RUN, VARIANT]
    assert runs[RUN] == json.loads(computed_by_dvc.table)["runs"][RUN]
    # its override is the learning rate that all of `pretrain` has elsewhere
    assert runs[VARIANT] == json.loads(changed.project.table)["runs"][RUN]


def test_dvc_has_nothing_to_do_after_snakemake(project: Workplace) -> None:
    project("dvc", "repro")
    assert project.executed == []
    assert project.planned() == {}
    assert project("git", "status", "--porcelain") == ""


def test_other_overrides_concern_the_runs_of_their_variant(project: Workplace) -> None:
    project.set("variants.fast.optimizer.learning_rate", 0.02)
    assert project.out_of_date() == {"pretrain@tiny-fast-0", "report"}
    assert project.planned() == ONE_RUN
    plan = project("snakemake", "--dry-run", "--printshellcmds", "--quiet", "host")
    assert f"dino pretrain --run {VARIANT}" in plan
    assert f"dino pretrain --run {RUN}" not in plan
    # what all variants share concerns both
    project.set(LEARNING_RATE, 0.003)
    assert project.planned() == TWO_RUNS


def test_new_seed_concerns_its_own_runs_in_every_variant(project: Workplace) -> None:
    project.set("runs.seed", [0, 1])
    new = {f"{stage}@tiny-{name}-1" for stage in PER_RUN for name in ("dino", "fast")}
    assert project.out_of_date() == {*new, "report"}
    assert project.planned() == TWO_RUNS


def test_another_k_and_an_edited_plot_concern_no_training(project: Workplace) -> None:
    project.append("src/dino/reporting/figures/accuracy.py", "\n# another comment\n")
    assert project.planned() == {"report": 1}
    project.set("knn.headline", 10)
    assert project.planned() == {"knn": 2, "card": 2, "baselines": 1, "report": 1}


def test_commit_before_the_variant_is_complete_and_so_is_the_one_after(
    project: Workplace, computed_by_dvc: Workplace, varied: Workplace
) -> None:
    branch = project("git", "branch", "--show-current").strip()
    project("git", "checkout", "--quiet", "HEAD~1")
    project("dvc", "checkout")
    assert project.planned() == {}
    assert project.table == computed_by_dvc.table
    project("git", "checkout", "--quiet", branch)
    project("dvc", "checkout")
    assert project.planned() == {}
    assert project.table == varied.table


def test_clone_with_pulled_data_has_nothing_to_do(project: Workplace, tmp_path: Path) -> None:
    project("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project("dvc", "push")
    project.commit("a place for the data")
    project("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Workplace(tmp_path / "clone")
    clone("dvc", "pull")
    assert clone.planned() == {}
    clone("dvc", "repro")
    assert clone.executed == []
    # what was pulled is what the numbers were made from
    for run in (RUN, VARIANT):
        assert ": the same" in clone("dino", "why", f"{run}:knn_top1")


def test_metrics_of_the_last_commit_are_a_table_of_one_file(project: Workplace) -> None:
    header, *rows = project("dvc", "metrics", "diff", "HEAD~1").splitlines()
    assert header.split() == ["Path", "Metric", "HEAD~1", "workspace", "Change"]
    assert {row.split()[0] for row in rows} == {"results/metrics.json"}
    assert len(rows) <= 12
    names = [row.split()[1] for row in rows]
    assert names == sorted(names)
    assert f"{VARIANT}.knn_top1" in names
    assert not any(RUN in name for name in names)
    # every cell begins below its heading
    starts = [header.index(word) for word in header.split()]
    assert all(row[start - 1] == " " != row[start] for row in rows for start in starts[1:])
    assert max(map(len, rows)) <= 140


def test_queued_experiments_are_rows_with_their_parameters(
    experiments: Future[Workplace], computed_by_dvc: Workplace, changed: Changed
) -> None:
    project = experiments.result()
    table = io.StringIO(project("dvc", "exp", "show", "--csv"))
    rows = {row["Experiment"]: row for row in csv.DictReader(table) if row["Experiment"]}
    assert {row[LEARNING_RATE] for row in rows.values()} == set(RATES)
    assert {row["State"] for row in rows.values()} == {"Success"}
    assert len(rows) == 3

    def file_of(name: str, path: str) -> str:
        return project("git", "show", f"{rows[name]['rev']}:{path}")

    assert file_of("rate_0_001", "results/summary.json") == computed_by_dvc.table
    assert file_of("rate_0_01", "results/summary.json") == changed.project.table
    for rate in RATES:
        record = file_of(
            f"rate_{rate.replace('.', '_')}", f"results/runs/{RUN}/provenance/pretrain.json"
        )
        used = json.loads(record)["parameters"]["pretrain"]["optimizer"]["learning_rate"]
        assert used == float(rate)
    # the workspace stays as it is
    assert project("git", "status", "--porcelain") == ""
    assert project.planned() == {}
