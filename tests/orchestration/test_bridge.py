"""What the bridge does with times, whatever DVC says. tests/workflow has the real DVC."""

import json
import os
from pathlib import Path

import pytest

from dino.core.pipeline import read_pipeline
from dino.orchestration.bridge import LONG_AGO_NS, Bridge, BusyError

PARAMETERS = "rate: 1\nk: 5\n"
PIPELINE = """
stages:
  train:
    cmd: dino train
    params: [rate]
    deps: [src/train.py]
    outs: [weights]
  score:
    cmd: dino score
    params: [k]
    deps: [src/score.py, weights]
    outs: [score.json]
  table:
    cmd: dino table
    deps: [src/table.py, score.json]
    outs: [table.csv]
"""
INPUTS = {"weights": [], "score.json": ["weights"], "table.csv": ["score.json"]}
RECIPES = {"weights": "train", "score.json": "score", "table.csv": "table"}


class PretendedDvc(Bridge):
    """A bridge to a DVC that says what a test wants and remembers what it is told."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.changed: set[str] = set()
        self.calls: list[tuple[str, ...]] = []

    def _dvc(self, task: str, *program: str) -> str:
        names = {step.name for step in read_pipeline(self.root)}
        self.calls.append((task, *(word for word in program if word in names)))
        return json.dumps({name: ["changed"] for name in self.changed})


@pytest.fixture
def bridge(tmp_path: Path) -> PretendedDvc:
    """A project in which every step was executed and both engines agree on it."""
    for folder in (".dvc", ".git", "src"):
        (tmp_path / folder).mkdir()
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "dvc.lock").write_text("first")
    for name in ("train", "score", "table"):
        (tmp_path / "src" / f"{name}.py").write_text(f"print('{name}')")
    for output in ("weights", "score.json", "table.csv"):
        (tmp_path / output).write_text("made")
    bridge = PretendedDvc(tmp_path)
    bridge.agree()
    bridge.calls.clear()
    return bridge


def _out_of_date(bridge: Bridge) -> list[str]:
    """The outputs that Snakemake would make again: older than their recipe or an input."""

    def time_ns(path: Path) -> int:
        return path.stat().st_mtime_ns

    return [
        output
        for output, inputs in INPUTS.items()
        if time_ns(bridge.root / output)
        < max(
            time_ns(bridge.recipes / f"{RECIPES[output]}.json"),
            *(time_ns(bridge.root / path) for path in inputs),
            0,
        )
    ]


def _settle(bridge: Bridge) -> None:
    """Let the clock move on: later writes are newer than what is there."""
    for path in bridge.root.rglob("*"):
        if path.is_file():
            time_ns = path.stat().st_mtime_ns - 10**10
            os.utime(path, ns=(time_ns, time_ns))


def test_dvc_is_not_asked_when_everything_is_in_order(bridge: PretendedDvc) -> None:
    bridge.agree()
    assert bridge.calls == []
    assert _out_of_date(bridge) == []


def test_parameter_concerns_the_steps_that_declare_it(
    bridge: PretendedDvc, capsys: pytest.CaptureFixture[str]
) -> None:
    _settle(bridge)
    (bridge.root / "params.yaml").write_text("rate: 1\nk: 6\n")
    bridge.changed = {"score"}
    bridge.agree()
    assert _out_of_date(bridge) == ["score.json"]
    assert capsys.readouterr().err == "score depends on what changed: k in params.yaml\n"


def test_code_counts_by_its_content(bridge: PretendedDvc) -> None:
    _settle(bridge)
    code = bridge.root / "src" / "table.py"
    code.write_text(code.read_text())
    bridge.agree()
    assert bridge.calls == []
    code.write_text("print('another table')")
    bridge.changed = {"table"}
    bridge.agree()
    assert _out_of_date(bridge) == ["table.csv"]


def test_what_dvc_calls_unchanged_is_right_whatever_its_time(bridge: PretendedDvc) -> None:
    for output in INPUTS:
        os.utime(bridge.root / output, ns=(0, 0))
    bridge.agree()
    assert bridge.calls == [("status", "train", "score", "table")]
    assert _out_of_date(bridge) == []


def test_what_dvc_calls_changed_is_out_of_date_after_dvc_lock_moved(bridge: PretendedDvc) -> None:
    (bridge.root / "dvc.lock").write_text("another commit's")
    bridge.changed = {"score"}
    bridge.agree()
    assert _out_of_date(bridge) == ["score.json"]
    assert (bridge.root / "score.json").stat().st_mtime_ns == LONG_AGO_NS
    assert (bridge.root / "score.json").read_text() == "made"
    # and stays so, although DVC is not asked a second time about the same dvc.lock
    bridge.agree()
    assert _out_of_date(bridge) == ["score.json"]


def test_work_that_dvc_has_not_heard_of_is_kept(bridge: PretendedDvc) -> None:
    # Snakemake was interrupted after train: its new weights are good, whatever dvc.lock says
    _settle(bridge)
    (bridge.root / "weights").write_text("new")
    bridge.changed = {"train", "score"}
    bridge.agree()
    # of what Snakemake takes for good, nothing is to be asked
    assert bridge.calls == [("status", "score", "table")]
    assert _out_of_date(bridge) == ["score.json"]


def test_work_on_top_of_an_unchanged_step_is_kept(bridge: PretendedDvc) -> None:
    # score's parameter changed and score ran; then Snakemake was killed
    _settle(bridge)
    (bridge.root / "params.yaml").write_text("rate: 1\nk: 6\n")
    bridge.changed = {"score"}
    bridge.agree()
    (bridge.root / "score.json").write_text("new")
    bridge.changed = {"score", "table"}
    bridge.agree()
    # train is unchanged; were it given a new time, the new score would look older than it
    assert _out_of_date(bridge) == ["table.csv"]


def test_only_steps_that_are_up_to_date_are_recorded(bridge: PretendedDvc) -> None:
    _settle(bridge)
    (bridge.root / "weights").write_text("new")
    bridge.record()
    # score is older than the weights, and table was made from that score
    assert bridge.calls == [("commit", "train")]


def test_step_whose_output_is_missing_is_not_recorded(bridge: PretendedDvc) -> None:
    (bridge.root / "score.json").unlink()
    bridge.record()
    assert bridge.calls == [("commit", "train")]


def test_step_whose_code_was_edited_meanwhile_is_not_recorded(bridge: PretendedDvc) -> None:
    _settle(bridge)
    (bridge.root / "src" / "train.py").write_text("print('edited while it ran')")
    bridge.record()
    assert bridge.calls == []


def test_what_depends_on_a_key_that_params_yaml_leaves_out_is_not_recorded(
    bridge: PretendedDvc, capsys: pytest.CaptureFixture[str]
) -> None:
    (bridge.root / "params.yaml").write_text("rate: null\n")
    bridge.agree()
    for output in ("weights", "score.json", "table.csv"):
        (bridge.root / output).write_text("made with the default of k")
    bridge.calls.clear()
    bridge.record()
    # null is a value that params.yaml has
    assert bridge.calls == [("commit", "train", "table")]
    assert "dvc.lock: steps that depend on k are left out" in capsys.readouterr().err


def test_nothing_is_recorded_over_a_dvc_lock_that_moved_meanwhile(bridge: PretendedDvc) -> None:
    (bridge.root / "dvc.lock").write_text("by another process")
    bridge.record()
    assert bridge.calls == []


def test_recipes_work_without_dvc(bridge: PretendedDvc) -> None:
    (bridge.root / ".git").rmdir()
    alone = PretendedDvc(bridge.root)
    _settle(alone)
    (alone.root / "params.yaml").write_text("rate: 2\nk: 5\n")
    alone.agree()
    alone.record()
    assert alone.calls == []
    assert _out_of_date(alone) == ["weights"]


def test_dvc_that_fails_costs_no_results(
    bridge: PretendedDvc, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the real dvc in a folder that is no repository
    monkeypatch.setattr(PretendedDvc, "_dvc", Bridge._dvc)
    bridge.record()
    assert "DVC does not know of these results yet: dvc commit failed: " in capsys.readouterr().err


def _writers(bridge: Bridge) -> dict[str, dict[str, object]]:
    """File: who writes it, as DVC would read it."""
    lock: dict[str, dict[str, dict[str, object]]] = json.loads(
        (bridge.root / ".dvc" / "tmp" / "rwlock").read_text()
    )
    return {Path(path).name: writer for path, writer in lock.get("write", {}).items()}


def test_what_snakemake_is_about_to_write_stands_in_the_list_of_dvc(bridge: PretendedDvc) -> None:
    _settle(bridge)
    (bridge.root / "params.yaml").write_text("rate: 1\nk: 6\n")
    bridge.changed = {"score"}
    bridge.agree()
    bridge.claim()
    writer = {"pid": os.getpid(), "cmd": "snakemake"}
    assert _writers(bridge) == {"score.json": writer, "table.csv": writer}
    bridge.record()
    assert _writers(bridge) == {}


def test_a_file_that_another_command_writes_is_not_claimed(bridge: PretendedDvc) -> None:
    (bridge.root / "weights").unlink()
    folder = bridge.root / ".dvc" / "tmp"
    folder.mkdir()
    # the process that started this one lives
    writer = {"pid": os.getppid(), "cmd": "dvc repro"}
    lock = {"write": {str(bridge.root / "weights"): writer}, "read": {}}
    (folder / "rwlock").write_text(json.dumps(lock))
    with pytest.raises(BusyError) as caught:
        bridge.claim()
    assert str(caught.value) == (
        f"dvc repro (PID {os.getppid()}) is at work here; wait for it to end, then run the "
        "command again"
    )


def test_without_dvc_nothing_is_claimed(bridge: PretendedDvc) -> None:
    (bridge.root / ".git").rmdir()
    PretendedDvc(bridge.root).claim()
    assert not (bridge.root / ".dvc" / "tmp").exists()


def test_to_look_while_another_snakemake_works_is_no_error(
    bridge: PretendedDvc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: str) -> str:
        raise BusyError("it is being blocked by:\n  (PID 7): snakemake")

    monkeypatch.setattr(bridge, "_dvc", busy)
    (bridge.root / "table.csv").unlink()
    bridge.agree()
    assert not (bridge.root / "table.csv").exists()


def test_outputs_that_snakemake_removed_are_put_back_with_their_times(bridge: PretendedDvc) -> None:
    _settle(bridge)
    (bridge.root / "params.yaml").write_text("rate: 1\nk: 6\n")
    bridge.changed = {"score"}
    bridge.agree()
    before = (bridge.root / "score.json").stat().st_mtime_ns
    bridge.claim()
    (bridge.root / "score.json").unlink()
    bridge.record()
    assert (bridge.root / "score.json").read_text() == "made"
    assert (bridge.root / "score.json").stat().st_mtime_ns == before
    # as out of date as it was: not recorded for good
    assert _out_of_date(bridge) == ["score.json"]
    assert ("commit", "train") in bridge.calls


def test_snakemake_that_was_killed_is_undone_by_the_next_one(bridge: PretendedDvc) -> None:
    bridge.claim()
    (bridge.root / "weights").unlink()
    bridge._claimed.close()  # as the system does
    PretendedDvc(bridge.root).agree()
    assert (bridge.root / "weights").read_text() == "made"


def test_file_that_the_user_removed_is_made_again(bridge: PretendedDvc) -> None:
    bridge.claim()
    bridge.record()
    (bridge.root / "score.json").unlink()
    again = PretendedDvc(bridge.root)
    again.changed = {"score"}
    again.agree()
    again.claim()
    again.record()
    assert not (bridge.root / "score.json").exists()
