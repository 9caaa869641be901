import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import loss
from benchmarks.loss import numbers_of, parts_of, random_scores

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("crops", [2, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_both_sides_have_one_loss_and_gradient(monkeypatch, crops, threads):
    monkeypatch.setattr(loss, "cores", lambda: threads)
    scores = random_scores(crops, batch=4, prototypes=32)
    ours, textbook = (numbers_of(side(scores), (crops, 4, 32)) for side in loss.SIDES.values())
    assert ours.loss == pytest.approx(textbook.loss, rel=1e-6)
    torch.testing.assert_close(ours.gradients, textbook.gradients)


def test_a_part_of_the_batch_has_all_views_of_its_images():
    scores = random_scores(crops=3, batch=4, prototypes=8)
    second = parts_of(scores, 2)[1]
    torch.testing.assert_close(second.student, scores.student[[2, 3, 6, 7, 10, 11]])
    torch.testing.assert_close(second.teacher, scores.teacher[[2, 3, 6, 7]])


HOLDS_TWO = """
import torch
from benchmarks import loss

def side(scores):
    def run():
        held = [torch.zeros(1)] * 2
        for i in range(6):
            held[i % 2] = torch.ones(2**24 if len(scores.teacher) > 4 else 1)
        return held
    return run

loss.cores = lambda: 1
loss.SIDES["ours"] = side
print(loss.peak_bytes("ours", (2, 4, 8)))
"""


def test_peak_memory_is_what_a_side_holds_at_once():
    # in a process of its own, as in the benchmark: this one has freed memory to fill first
    done = subprocess.run(
        [sys.executable, "-c", HOLDS_TWO], cwd=ROOT, check=True, capture_output=True, text=True
    )
    # of six tensors of 64 MiB two are held, and a third comes before the first of them goes
    assert 191 < int(done.stdout) / 2**20 < 210


def test_measured_loss_has_ratio_and_absolute_times(monkeypatch):
    monkeypatch.setattr(loss, "cores", lambda: 1)
    result = loss.measure(["loss_time"], rounds=1, crops=3, batch=4, prototypes=64)["loss_time"]
    assert result["ratio"] == pytest.approx(result["textbook_s"] / result["ours_s"])
