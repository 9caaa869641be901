import pytest
from tiny_training import ARCHITECTURE, CONFIG

from benchmarks import sides
from benchmarks.growth import Sizes, deviation_from_line, measure


def test_a_line_does_not_deviate_from_one():
    assert deviation_from_line([1, 2, 4], [3.0, 5.0, 9.0]) == pytest.approx(0, abs=1e-9)


def test_a_parabola_does():
    assert deviation_from_line([1, 2, 4, 8], [1.0, 4.0, 16.0, 64.0]) > 0.3


def test_every_size_has_a_row(monkeypatch):
    monkeypatch.setattr(sides, "cores", lambda: 1)
    base = Sizes(batch=2, local_crops=1, prototypes=24, image_px=16)
    series = {"batch": (2, 4), "prototypes": (24, 48)}
    architecture = ARCHITECTURE
    growth = measure(["growth"], 1, architecture, base, series, CONFIG.head)["growth"]
    assert [(row["series"], row["batch"], row["prototypes"]) for row in growth["rows"]] == [
        ("batch", 2, 24),
        ("batch", 4, 24),
        ("prototypes", 2, 24),
        ("prototypes", 2, 48),
    ]
    assert all(row["seconds"] > 0 for row in growth["rows"])
    assert growth["deviation_from_line"].keys() == {"batch"}
