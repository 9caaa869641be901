from dino.core.score import bounds, setting, setting_values


def test_a_setting_is_text_that_its_values_are_read_from_again() -> None:
    text = setting(split="test", k=20)
    assert text == "split=test, k=20"
    assert setting_values(text) == {"split": "test", "k": "20"}
    assert setting_values(setting()) == {}


def test_bounds_are_those_of_the_interval_or_none() -> None:
    assert bounds((1.0, 2.0)) == {"low": 1.0, "high": 2.0}
    assert bounds(None) == {"low": None, "high": None}
