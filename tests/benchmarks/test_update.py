import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG

from benchmarks import update
from benchmarks.errors import BenchmarkError


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(update, "cores", lambda: 1)


def test_both_sides_move_the_networks_alike():
    result = update.measure(["update"], 1, ARCHITECTURE, CONFIG)["update"]
    assert result["parameter_difference"] < 1e-6
    assert result["ratio"] == pytest.approx(result["textbook_s"] / result["ours_s"])


def test_a_teacher_that_moves_otherwise_is_refused(monkeypatch):
    @torch.no_grad()
    def move_teacher(teacher, student, momentum):
        for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
            ours.lerp_(theirs, (1 - momentum) * 1.001)

    monkeypatch.setattr(update, "move_teacher", move_teacher)
    with pytest.raises(BenchmarkError, match="parameters differ"):
        update.measure(["update"], 1, ARCHITECTURE, CONFIG)
