"""What the doctor says of a training's time, against the time that it takes."""

import time
from pathlib import Path

import pytest
import yaml
from tiny_training import ARCHITECTURE, CONFIG

from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DataError
from dino.core.paths import Project
from dino.doctor import doctor
from dino.training.trial import Trial, estimates, training_images, trial
from soak.training import PARAMETERS


def test_a_trial_is_the_cost_of_an_image():
    started = time.perf_counter()
    tried = trial(ARCHITECTURE, CONFIG, 8)
    # several times what it takes on a quiet machine
    assert time.perf_counter() - started < 60
    assert 0 < tried.step_seconds < 1
    assert 0 < tried.crop_seconds < 0.1
    assert tried.checkpoint_bytes > 16 * 1000
    assert tried.feature_dim == ARCHITECTURE.embed_dim


def test_twice_the_images_take_twice_the_time():
    cost = Trial(step_seconds=0.1, crop_seconds=0.02, checkpoint_bytes=1, feature_dim=1)
    assert cost.seconds(200) == pytest.approx(2 * cost.seconds(100))


def test_the_doctor_says_how_long_and_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMETERS))
    doctor(tmp_path, trial=True)
    text = capsys.readouterr().out
    assert "Training\n  vit-dino " in text
    assert "a run: 32000 images" in text
    assert "GiB for checkpoints and features" in text


def test_images_that_nobody_has_counted_are_not_guessed(tmp_path: Path):
    photos = {"source": "folder", "path": str(tmp_path)}
    parameters = parse(Parameters, {**PARAMETERS, "datasets": {"photos": photos}}, "")
    with pytest.raises(DataError, match="once `dino prepare` has run"):
        training_images(parameters, Project(root=tmp_path))


def test_a_teacher_from_elsewhere_takes_no_time():
    values = {**PARAMETERS, "architectures": {}}
    vit = {**PARAMETERS["architectures"]["vit"], "weights": {"file": "teacher.pth"}}
    values["architectures"] = {"vit": vit}
    labels = [label for label, _ in estimates(parse(Parameters, values, ""), 100, 8)]
    assert "pretrain" not in labels and "vit-dino" not in labels


def test_a_batch_above_the_images_takes_no_time():
    batch = PARAMETERS["pretrain"]["batch_size"]
    labels = [label for label, _ in estimates(parse(Parameters, PARAMETERS, ""), batch - 1, 8)]
    assert "pretrain" not in labels and "vit-dino" not in labels
