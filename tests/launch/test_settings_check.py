import pytest

from dino.launch.settings_check import _minutes


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("30:00", 30),
        ("4:00:00", 240),
        ("1-00:00:00", 1440),
        ("2-12:30:30", 3630.5),
        ("infinite", float("inf")),
        ("n/a", float("inf")),
    ],
)
def test_time_limits_are_read_as_sinfo_writes_them(limit: str, minutes: float) -> None:
    assert _minutes(limit) == minutes
