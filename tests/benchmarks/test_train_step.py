import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG

from benchmarks import sides, train_step
from benchmarks.agreement import BF16, FLOAT32, Tolerance, assert_agreement
from benchmarks.errors import BenchmarkError
from benchmarks.sides import our_side, random_crops, textbook_side

CROPS = random_crops(CONFIG)
# the loss of so small a network varies more with rounding than that of the benchmarked one
LOOSE = Tolerance(loss=0.02, gradient=0.1, tensor=0.3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(sides, "cores", lambda: 1)
    monkeypatch.setattr(train_step, "matrix_product_peak", lambda dtype: 1e12)
    for name, pair in train_step.PAIRS.items():
        if pair.tolerance is BF16:
            loose = pair._replace(tolerance=LOOSE)
            monkeypatch.setitem(train_step.PAIRS, name, loose)


def test_both_sides_take_the_same_steps_in_float32():
    ours, textbook = (
        our_side(ARCHITECTURE, CONFIG, "float32"),
        textbook_side(ARCHITECTURE, CONFIG),
    )
    assert_agreement("float32", ours.first_step(CROPS), textbook.first_step(CROPS), FLOAT32)
    for _ in range(3):
        torch.testing.assert_close(ours.step(CROPS), textbook.step(CROPS), rtol=1e-5, atol=0)


def test_both_sides_agree_in_bf16():
    ours, textbook = (
        our_side(ARCHITECTURE, CONFIG, "bf16"),
        textbook_side(ARCHITECTURE, CONFIG, bf16=True),
    )
    assert_agreement("bf16", ours.first_step(CROPS), textbook.first_step(CROPS), BF16)


def test_a_side_with_other_weights_is_refused(monkeypatch):
    def textbook(architecture, config):
        side = textbook_side(architecture, config)
        side.step(CROPS)
        return side

    monkeypatch.setitem(train_step.SIDES, "textbook_float32", textbook)
    with pytest.raises(BenchmarkError, match="train_step_float32: the sides disagree"):
        train_step.measure(["train_step_float32"], 1, ARCHITECTURE, CONFIG)


def test_without_amx_a_bf16_result_is_null_with_what_was_measured(monkeypatch):
    monkeypatch.setattr(train_step, "has_amx", lambda: False)
    results = train_step.measure(list(train_step.PAIRS), 1, ARCHITECTURE, CONFIG)
    for name, key in (
        ("train_step_bf16", "ratio"),
        ("train_step_bf16_autocast", "ratio"),
        ("train_step_peak_share", "share"),
    ):
        assert results[name][key] is None
        assert results[name][f"measured_{key}"] > 0
        assert "AMX" in results[name]["reason"]
    float32 = results["train_step_float32"]
    assert float32["ratio"] == pytest.approx(float32["textbook_s"] / float32["ours_s"])


def test_with_amx_a_textbook_far_from_the_peak_is_refused(monkeypatch):
    monkeypatch.setattr(train_step, "has_amx", lambda: True)
    with pytest.raises(BenchmarkError, match="expected at least 20%"):
        train_step.measure(["train_step_bf16_autocast"], 1, ARCHITECTURE, CONFIG)


def test_with_amx_ratio_and_share_are_numbers(monkeypatch):
    monkeypatch.setattr(train_step, "has_amx", lambda: True)
    monkeypatch.setattr(train_step, "matrix_product_peak", lambda dtype: 1.0)
    names = ["train_step_bf16", "train_step_peak_share"]
    results = train_step.measure(names, 1, ARCHITECTURE, CONFIG)
    assert results["train_step_bf16"]["ratio"] > 0
    assert results["train_step_peak_share"]["share"] > 0
