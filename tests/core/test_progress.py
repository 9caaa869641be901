import pytest

from dino.core.progress import set_position, title


def test_a_bar_says_which_of_how_many_runs_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINO_POSITION", "")
    runs = ["vit-dino-s0", "vit-dino-s1"]
    set_position(runs, "vit-dino-s1")
    assert title("pretrain") == "pretrain 2 of 2: vit-dino-s1"
    set_position(runs, None)
    assert title("prepare") == "prepare"
    set_position(runs[:1], "vit-dino-s0")
    assert title("pretrain") == "pretrain"
