"""What users do with two engines that keep their own notes of what is up to date.

Every test executes the real commands in a copy of a small project, names the jobs that should run
and compares the final table with that of a run in an empty folder. docs/workflow.md explains the
bridge that makes them pass.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from workplace import LEARNING_RATE, PER_RUN, RUN, Changed, Workplace

# the first test to need it waits for a whole run
pytestmark = pytest.mark.timeout(900)

FROM_PRETRAIN_ON = sorted([*(f"{stage}-{RUN}" for stage in PER_RUN), "report"])
FROM_KNN_ON = sorted([f"knn-{RUN}", f"card-{RUN}", "baselines", "report"])
"""The model card holds its number; the k-NN of raw pixels is a baseline."""


@dataclass(frozen=True)
class Background:
    """What needs a core and some time, and no other test: it is executed beside them."""

    clean: Future[Workplace]
    """The other learning rate in an empty folder, by no engine."""
    clean_with_another_k: Future[Workplace]
    """The same, then another k."""
    new_seed: Future[Workplace]
    """`dvc repro` after a seed was added."""


@pytest.fixture(scope="module", autouse=True)
def background(
    sources: Workplace, computed_by_dvc: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Background]:
    folder = tmp_path_factory.mktemp("background")

    def clean() -> Workplace:
        sources.copy(folder / "sources").set(LEARNING_RATE, 0.01)
        return Workplace(folder / "sources").clean_run(folder / "clean")

    def clean_with_another_k() -> Workplace:
        project = Workplace(folder / "clean").copy(folder / "another_k")
        project.set("knn.headline", 10)
        project.execute("knn", "baselines", "report")
        return project

    def new_seed() -> Workplace:
        project = computed_by_dvc.copy(folder / "new_seed")
        project.set("runs.seed", [0, 1])
        project("dvc", "repro")
        return project

    pool = ThreadPoolExecutor(max_workers=1)
    yield Background(*(pool.submit(task) for task in (clean, clean_with_another_k, new_seed)))
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def clean(background: Background) -> Workplace:
    """The other learning rate in an empty folder, by no engine."""
    return background.clean.result()


@pytest.fixture
def table_of_another_k(background: Background) -> str:
    """The final numbers of the other learning rate and another k, by no engine."""
    return background.clean_with_another_k.result().table


def test_first_run_leaves_git_clean(computed_by_dvc: Workplace) -> None:
    assert computed_by_dvc("git", "status", "--porcelain") == ""
    assert sorted(
        str(path.relative_to(computed_by_dvc.root))
        for path in computed_by_dvc.root.rglob(".gitignore")
    ) == [".dvc/.gitignore", ".gitignore"]


def test_learning_rate_edited_after_dvc_repro_makes_snakemake_pretrain(
    changed: Changed, computed_by_dvc: Workplace, clean: Workplace
) -> None:
    assert changed.planned == dict.fromkeys([*PER_RUN, "report"], 1)
    assert changed.project.table != computed_by_dvc.table
    assert changed.project.table == clean.table
    # another process, another folder, another way to start it: the same bytes
    assert changed.project.tables == clean.tables


def test_crashed_pretraining_is_run_again(changed: Changed, clean: Workplace) -> None:
    assert changed.until_the_crash == [f"pretrain-{RUN}"]
    # what was not computed is not recorded as done
    assert "pretrain@tiny-dino-0:" in changed.status_after_the_crash
    assert changed.after_the_crash == FROM_PRETRAIN_ON
    assert changed.project.table == clean.table


def test_dvc_has_nothing_to_do_after_snakemake(changed: Changed, tmp_path: Path) -> None:
    project = changed.project.copy(tmp_path / "project")
    project("dvc", "repro")
    assert project.executed == []
    assert project("git", "status", "--porcelain") == ""


def test_checked_out_commit_is_complete_and_a_value_used_before_is_not_computed_again(
    computed_by_dvc: Workplace, changed: Changed, tmp_path: Path
) -> None:
    project = changed.project.copy(tmp_path / "project")
    project("git", "checkout", "--quiet", "HEAD~1")
    project("dvc", "checkout")
    assert project.planned() == {}
    assert project.table == computed_by_dvc.table

    project.set(LEARNING_RATE, 0.01)
    project("dvc", "repro")
    assert project.executed == []
    assert project.table == changed.project.table
    assert project.planned() == {}

    # the same as an experiment in the workspace
    project("git", "checkout", "--quiet", ".")
    project("dvc", "checkout")
    project("dvc", "exp", "run", "-S", f"{LEARNING_RATE}=0.01")
    assert project.executed == []
    assert project.table == changed.project.table
    assert project.planned() == {}


def test_clone_with_pulled_data_has_nothing_to_do_until_k_changes(
    changed: Changed, table_of_another_k: str, tmp_path: Path
) -> None:
    project = changed.project.copy(tmp_path / "project")
    project("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project("dvc", "push")
    project.commit("a place for the data")
    project("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Workplace(tmp_path / "clone")
    clone("dvc", "pull")
    clone("dvc", "repro")
    assert clone.executed == []
    assert clone.planned() == {}

    clone.set("knn.headline", 10)
    clone("snakemake")
    assert clone.executed == FROM_KNN_ON
    assert clone.table == table_of_another_k


def test_experiment_elsewhere_gives_the_table_of_a_clean_run(
    changed: Changed, table_of_another_k: str, tmp_path: Path
) -> None:
    project = changed.project.copy(tmp_path / "project")
    project("dvc", "exp", "run", "--temp", "--name", "elsewhere", "-S", "knn.headline=10")
    experiment = project("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/elsewhere")
    summary = project("git", "show", f"{experiment.strip()}:results/summary.json")
    assert summary == table_of_another_k
    # the workspace stays as it is, until the experiment is fetched into it
    assert project.table == changed.project.table
    assert project.planned() == {}
    project("dvc", "exp", "apply", "elsewhere")
    assert project.table == table_of_another_k
    assert project.planned() == {}


def test_edited_plot_reruns_the_report_alone(computed_by_dvc: Workplace, tmp_path: Path) -> None:
    project = computed_by_dvc.copy(tmp_path / "project")
    figures = "src/dino/reporting/figures/accuracy.py"
    assert project.planned() == {}
    project.append(figures, "\n# another comment\n")
    assert f"report depends on what changed: {figures}" in project("snakemake")
    assert project.executed == ["report"]
    assert project.table == computed_by_dvc.table
    # and back: nothing to do, although the files are newer than what was made from them
    project("git", "checkout", "--quiet", "--", figures, "dvc.lock", "results")
    assert project.planned() == {}


def test_new_seed_executes_its_own_run_and_the_report(
    computed_by_dvc: Workplace, background: Background
) -> None:
    project = background.new_seed.result()
    assert project.executed == sorted(job.replace("s0", "s1") for job in FROM_PRETRAIN_ON)
    old, new = json.loads(computed_by_dvc.table)["runs"], json.loads(project.table)["runs"]
    assert list(new) == [RUN, "tiny-dino-s1"]
    assert new[RUN] == old[RUN]
    assert project.planned() == {}


def test_second_engine_refuses_in_one_line_and_spoils_nothing(
    changed: Changed, table_of_another_k: str, tmp_path: Path
) -> None:
    project = changed.project.copy(tmp_path / "project")
    project.set("knn.headline", 10)
    first = subprocess.Popen(
        ["snakemake"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # as soon as it has said what it writes
    list_of_writers = project.root / ".dvc" / "tmp" / "rwlock"
    while "snakemake" not in _text(list_of_writers) and first.poll() is None:
        time.sleep(0.05)
    # to look is allowed
    assert set(project.planned()) <= {"knn", "card", "baselines", "report"}
    output = project("dvc", "repro", succeeds=False)
    assert f"(PID {first.pid}): snakemake" in output
    assert "is busy, it is being blocked by" in output
    output, _ = first.communicate()
    assert first.returncode == 0, output
    assert project.table == table_of_another_k
    assert project.out_of_date() == set()
    assert project.planned() == {}


def test_snakemake_refuses_while_dvc_is_at_work(changed: Changed, tmp_path: Path) -> None:
    project = changed.project.copy(tmp_path / "project")
    project.set("knn.headline", 10)
    # what DVC writes while it executes a stage, for a process that lives
    with subprocess.Popen(["sleep", "60"]) as other:
        path = project.root / f"results/runs/{RUN}/knn.json"
        writer = {"pid": other.pid, "cmd": "dvc repro"}
        lock = project.root / ".dvc" / "tmp" / "rwlock"
        lock.write_text(json.dumps({"write": {str(path): writer}, "read": {}}))
        output = project("snakemake", succeeds=False)
        other.kill()
    assert project.executed == []
    assert output.splitlines()[-1] == (
        f"snakemake: dvc repro (PID {other.pid}) is at work here; wait for it to end, then run "
        "the command again"
    )
    # of a process that has died nothing is left to wait for
    assert project.planned() != {}


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
