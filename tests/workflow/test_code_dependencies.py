"""Editing a plot never repeats a pretraining; editing the loss always does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def code() -> dict[str, set[str]]:
    """The source files that dvc.yaml declares for each stage."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    # what is done for each data set stands below `do`
    definitions = {stage: entry.get("do", entry) for stage, entry in stages.items()}
    return {
        stage: {path for path in definition["deps"] if path.startswith("src/")}
        for stage, definition in definitions.items()
    }


def test_declared_code_is_what_the_stages_import() -> None:
    script = [sys.executable, "workflow/code_dependencies.py", "--check"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_packages_themselves_hold_no_code() -> None:
    # they are not declared, so that nothing may depend on them
    for path in (ROOT / "src" / "dino").rglob("__init__.py"):
        statements = ast.parse(path.read_text()).body
        assert all(
            isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in statements
        )


def test_loss_concerns_pretraining_alone(code: dict[str, set[str]]) -> None:
    loss = "src/dino/objective/dino_loss.py"
    assert {stage for stage, files in code.items() if loss in files} == {"pretrain"}


def test_plots_concern_the_report_alone(code: dict[str, set[str]]) -> None:
    plots = "src/dino/reporting/figures/accuracy.py"
    assert {stage for stage, files in code.items() if plots in files} == {"report"}


def test_stages_depend_on_their_own_section_alone(code: dict[str, set[str]]) -> None:
    knn = "src/dino/core/configuration/knn.py"
    assert {stage for stage, files in code.items() if knn in files} == {"knn", "baselines"}
    everything = "src/dino/core/configuration/parameters.py"
    assert not any(everything in files for files in code.values())
