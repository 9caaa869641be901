"""The records in git: each file says something, and every number leads to its origin."""

import json
from pathlib import Path

import pytest

from dino.cli import run

ROOT = Path(__file__).parents[2]
RECORDS = sorted(path.parent for path in ROOT.glob("records/*/summary.json"))


@pytest.fixture(params=RECORDS, ids=lambda record: record.name)
def record(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    path: Path = request.param
    return path


def test_no_file_repeats_the_provenance_or_holds_a_reason_alone(record: Path) -> None:
    assert (record / "provenance.json").is_file()
    assert not list(record.rglob("provenance/"))
    for path in record.rglob("*.json"):
        assert set(json.loads(path.read_text())) != {"reason"}, path


def test_its_numbers_lead_to_the_commands(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = json.loads((record / "summary.json").read_text())["runs"]
    name = next(iter(runs))
    for number in ("knn_top1", "attention_jaccard"):
        assert run(["why", f"records/{record.name}:{name}:{number}"]) == 0
        account = capsys.readouterr().out
        assert f"{number} = {runs[name][number]}" in account
        assert f"dino pretrain --run {name}" in account
        assert "DIFFERS" not in account
