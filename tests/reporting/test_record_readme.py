"""What a record says of the place where it was made."""

import json
import re
from pathlib import Path

import pytest

from dino.reporting.record_readme import environment_of, wall_seconds


def _record(stage, seconds, commit="a", **more):
    return {
        "stage": stage,
        "git": {"commit": commit, "dirty": False},
        "machine": {"processor": "one"},
        "python": "3.11",
        "packages": {"torch": "2"},
        "wall_seconds": seconds,
        "peak_memory_mib": 100 + seconds,
        "started_at": f"2021-01-0{seconds % 9 + 1}",
        **more,
    }


def test_hours_add_up_over_stages_and_runs():
    pretrain = {"total_steps": 10, "steps": 10, "device": "cpu"}
    environment = environment_of(
        {
            "prepare": _record("prepare", 1800),
            "runs": {
                "a-dino-s0": {
                    "pretrain": _record("pretrain", 3600, **pretrain),
                    "knn": _record("knn", 900),
                },
                "a-dino-s1": {"pretrain": _record("pretrain", 7200, commit="b", **pretrain)},
            },
        }
    )
    assert environment["hours"] == {"pretrain": 3.0, "evaluation": 0.75}
    assert [state["commit"] for state in environment["git"]] == ["a", "b"]
    assert environment["machine"] == [{"processor": "one"}]
    assert environment["devices"] == ["cpu"]
    assert environment["peak_memory_mib"] == 7300
    assert environment["started_at"] == "2021-01-01"


@pytest.mark.parametrize(
    ("steps", "total", "seconds"), [(10, 10, 60.0), (4, 10, 150.0), (0, 0, 60.0), (0, 10, 60.0)]
)
def test_the_time_of_an_interrupted_training_is_that_of_all_its_steps(steps, total, seconds):
    record = _record("pretrain", 60, steps=steps, total_steps=total)
    assert wall_seconds(record) == seconds


@pytest.mark.parametrize(("name", "figure"), [("reference", "accuracy"), ("ablations", "collapse")])
def test_the_projects_own_records_show_what_they_hold(name: str, figure: str) -> None:
    record = Path(__file__).parents[2] / "records" / f"fashion-{name}"
    text = (record / "README.md").read_text()
    figures = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert f"figures/{figure}.png" in figures
    assert all((record / linked).is_file() for linked in figures)
    summary = json.loads((record / "summary.json").read_text())
    means = [group["mean"]["knn_top1"] for group in summary["groups"].values()]
    assert means
    assert all(f"| {mean:.2f} " in text for mean in means)
