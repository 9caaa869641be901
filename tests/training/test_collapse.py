"""The monitor on logs written by hand, and on trainings that do collapse."""

import dataclasses
import functools
import math
from pathlib import Path

import pytest
from tiny_training import ARCHITECTURE, CONFIG, changed

from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.pretrain import MonitorConfig
from dino.core.errors import CollapseError
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.training.collapse import collapse
from dino.training.interruption import Interruption
from dino.training.monitor import LogRow
from dino.training.pretrain import Pretraining

PROTOTYPES = 64
UNIFORM = math.log(PROTOTYPES)
MONITOR = MonitorConfig(after_epochs=1, patience_steps=60)


def _log(*rows):
    """A row every 20 steps, an epoch every 20 steps too, from (entropy, prototype share)."""
    empty = dict.fromkeys((f.name for f in dataclasses.fields(LogRow)), 0.0)
    return [
        LogRow(
            **empty
            | {
                "step": 20 * (i + 1),
                "epoch": i + 1.0,
                "images": 0,
                "skipped_steps": 0,
                "teacher_entropy": entropy,
                "prototype_share": share,
            }
        )
        for i, (entropy, share) in enumerate(rows)
    ]


HEALTHY, FLAT, PEAKED = (0.8 * UNIFORM, 0.2), (0.99 * UNIFORM, 0.02), (0.05, 0.95)


def test_a_collapse_is_named_after_the_patience():
    assert collapse([], MONITOR, PROTOTYPES) is None
    for row, kind in ((FLAT, "uniform"), (PEAKED, "one-dimensional")):
        log = _log(HEALTHY, HEALTHY, row, row, row)
        assert collapse(log[:4], MONITOR, PROTOTYPES) is None
        found = collapse(log, MONITOR, PROTOTYPES)
        assert (found.kind, found.since_step, found.step) == (kind, 40, 100)


def test_what_recovers_or_changes_its_kind_starts_anew():
    for other in (HEALTHY, PEAKED):
        assert collapse(_log(HEALTHY, FLAT, FLAT, other, FLAT, FLAT), MONITOR, PROTOTYPES) is None
    assert collapse(_log(HEALTHY, FLAT, FLAT, FLAT, HEALTHY), MONITOR, PROTOTYPES) is None


def test_nothing_is_judged_before_its_epoch():
    log = _log(FLAT, FLAT, FLAT, FLAT)
    assert collapse(log, MONITOR, PROTOTYPES).since_step == 20
    assert collapse(log[:3], MONITOR, PROTOTYPES) is None
    late = dataclasses.replace(MONITOR, after_epochs=4)
    assert collapse(log, late, PROTOTYPES) is None


def test_thresholds_are_those_of_the_configuration():
    log = _log(*[HEALTHY] * 5)
    assert collapse(log, MONITOR, PROTOTYPES) is None
    strict = dataclasses.replace(MONITOR, uniform_entropy=0.79)
    assert collapse(log, strict, PROTOTYPES).kind == "uniform"
    strict = dataclasses.replace(MONITOR, prototype_share=0.19)
    assert collapse(log, strict, PROTOTYPES).kind == "one-dimensional"


# ---- trainings: 7 epochs of 20 steps on 320 digits

QUICK = dataclasses.replace(MONITOR, patience_steps=40)
SHARP = {"teacher_temperature": 0.01, "warmup_teacher_temperature": 0.01}
RECIPE = changed(
    CONFIG,
    epochs=7,
    online_knn_every_epochs=0,
    crops={"global_scale": (0.5, 1.0), "local_scale": (0.2, 0.5), "solarize_probability": 0.0},
    head={"out_dim": PROTOTYPES, "hidden_dim": 64, "bottleneck_dim": 32},
    loss=SHARP,
    teacher={"momentum": 0.97},
    optimizer={"learning_rate": 0.0005, "final_weight_decay": 0.04},
    monitor=dataclasses.asdict(QUICK),
)
DEPARTURES = {
    "healthy": {},
    "no centering": {"loss": {"centering": "none"}},
    "no sharpening": {"loss": {"teacher_temperature": 0.1, "warmup_teacher_temperature": 0.1}},
    "student copy": {"teacher": {"kind": "student_copy"}},
}
COLLAPSES = {
    "no centering": "one-dimensional",
    "no sharpening": "uniform",
    "student copy": "one-dimensional",
}


@pytest.fixture(scope="module")
def digits_to_train_on(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits_to_train_on")
    config = DatasetConfig(source="digits", val_images=50, max_train_images=320, max_test_images=20)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)


def _new(dataset, departure, on_collapse):
    config = changed(RECIPE, **DEPARTURES[departure])
    config = changed(config, monitor={"on_collapse": on_collapse})
    architecture = dataclasses.replace(ARCHITECTURE, embed_dim=32, patch_size_px=2)
    return Pretraining(dataset, architecture, config, seed=0)


def _nothing(training):
    pass


def _train(training, on_checkpoint=_nothing):
    training.train(_nothing, on_checkpoint, Interruption())
    return training


@dataclasses.dataclass(frozen=True)
class Stopped:
    """A training that a collapse has ended."""

    training: Pretraining
    message: str
    checkpoint: Path
    """The last one before the collapse was named."""

    def continued(self, dataset, departure, on_collapse):
        """A new training that goes on from the checkpoint."""
        training = _new(dataset, departure, on_collapse)
        training.restore(load_checkpoint(self.checkpoint))
        return training


@pytest.fixture(scope="module")
def stopped(digits_to_train_on, tmp_path_factory):
    """The function from a departure to its training, which is trained once."""
    folder = tmp_path_factory.mktemp("stopped")

    @functools.cache
    def of(departure):
        checkpoint = folder / f"{departure}.pth"

        def keep(training):
            save_checkpoint(checkpoint, training.content())

        training = _new(digits_to_train_on, departure, "stop")
        with pytest.raises(CollapseError) as caught:
            _train(training, keep)
        return Stopped(training, str(caught.value), checkpoint)

    return of


def test_a_training_by_the_recipe_is_called_healthy(digits_to_train_on, capsys):
    training = _train(_new(digits_to_train_on, "healthy", "stop"))
    assert training.step == len(training.schedules)
    assert "collapsed" not in capsys.readouterr().err
    # it really is: images are told apart, and the student still learns from the teacher
    assert training.log[-1].teacher_entropy < 0.9 * UNIFORM
    assert training.log[-1].kl > 0.5


@pytest.mark.parametrize("departure", COLLAPSES)
def test_a_training_that_collapses_is_stopped_with_the_kind_of_it(stopped, departure):
    training, message = stopped(departure).training, stopped(departure).message
    assert f"collapsed ({COLLAPSES[departure]})" in message
    assert message.startswith(f"step {training.step}:")
    assert "\n" not in message
    assert training.step < len(training.schedules)


@pytest.mark.parametrize(("on_collapse", "warnings"), [("warn", 1), ("ignore", 0)])
def test_a_warning_is_given_once_and_none_where_it_is_ignored(
    stopped, digits_to_train_on, capsys, on_collapse, warnings
):
    collapsed = stopped("no sharpening")
    training = _train(collapsed.continued(digits_to_train_on, "no sharpening", on_collapse))
    assert training.step == len(training.schedules)
    # it shows in several rows
    assert training.step - collapsed.training.step >= 20
    lines = capsys.readouterr().err.splitlines()
    assert sum("warning:" in line and "(uniform)" in line for line in lines) == warnings


def test_a_continued_training_is_judged_as_one_that_was_not_interrupted(
    stopped, digits_to_train_on
):
    whole = stopped("no centering")
    training = whole.continued(digits_to_train_on, "no centering", "stop")
    # in the middle of the patience
    assert collapse(training.log, dataclasses.replace(QUICK, patience_steps=1), PROTOTYPES)
    with pytest.raises(CollapseError) as caught:
        _train(training)
    assert str(caught.value) == whole.message
