import pytest

from benchmarks.timing import interleaved_seconds, medians, spread, turns


def test_sides_take_turns_and_every_second_round_is_reversed():
    calls = []
    sides = {name: lambda name=name: calls.append(name) or 0.0 for name in ("ours", "textbook")}
    assert turns(sides, rounds=3) == {"ours": [0.0] * 3, "textbook": [0.0] * 3}
    assert calls == ["ours", "textbook", "textbook", "ours", "ours", "textbook"]


def test_a_call_takes_the_time_that_passes_in_it(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: next(clock))
    seconds = interleaved_seconds({"a": lambda: None}, rounds=2)
    assert seconds == {"a": [2.0, 3.0]}
    assert medians(seconds) == {"a": 2.5}
    assert spread(seconds["a"]) == pytest.approx(0.4)
