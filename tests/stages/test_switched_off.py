"""Evaluations that params.yaml switches off."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workplace import PARAMETERS, PER_RUN, RUN

from dino.cli import run
from dino.core.artifacts import read_json, write_json
from dino.core.configuration.parameters import NEED_LABELS
from dino.core.stages import STAGES

SWITCHES = ("linear", "linear_paper", "low_shot", "class_map", "finetune", "robustness")


def _write(folder):
    switched_off = {stage: PARAMETERS[stage] | {"enabled": False} for stage in SWITCHES}
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMETERS | switched_off))


def test_the_report_of_the_other_evaluations_is_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["dino"])
    _write(tmp_path)
    for stage in STAGES:
        assert run([stage, *(["--run", RUN] if stage in PER_RUN else [])]) == 0
    for stage in SWITCHES:
        result = json.loads(Path(f"results/runs/{RUN}/{stage}.json").read_text())
        assert result == {"reason": f"{stage}.enabled is false in params.yaml", "scores": []}
    summary = json.loads(Path("results/summary.json").read_text())
    for scores in (summary["runs"][RUN], summary["baselines"]["raw_pixels"]):
        assert scores["knn_top1"] is not None
        assert "linear_top1" not in scores
        assert "robustness_top1" not in scores


def test_what_is_switched_off_costs_no_time(tmp_path):
    """It needs nothing of what comes before, and does not load torch."""
    _write(tmp_path)
    script = (
        "import sys\n"
        "from dino.cli import run\n"
        f"assert run(['finetune', '--run', '{RUN}']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


@pytest.mark.parametrize("stage", NEED_LABELS)
def test_without_labels_the_reason_is_written_without_loading_torch(tmp_path, stage):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMETERS))
    write_json(
        tmp_path / "data" / "digits" / "dataset.json", {"classes": [], "fingerprint": "ab" * 32}
    )
    script = (
        "import sys\n"
        "from dino.cli import run\n"
        f"assert run([{stage!r}, '--run', '{RUN}']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    results = tmp_path / "results" / "runs" / RUN
    result = read_json(results / f"{stage}.json")
    assert result == {"reason": "the data set has no labels", "scores": []}
    assert read_json(results / "provenance" / f"{stage}.json")["data"] == "ab" * 32
