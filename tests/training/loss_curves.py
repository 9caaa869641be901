"""Two hundred steps of a tiny training in each precision: the loss that refactors must keep.

`python tests/training/loss_curves.py` writes tests/golden/loss_curves.json anew; do so only for a
change that is meant to change numbers, and say why in its commit.
"""

import dataclasses
import json
import tempfile
from pathlib import Path

import torch
from tiny_training import ARCHITECTURE, CONFIG, changed

from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.training.interruption import Interruption
from dino.training.pretrain import LOG_EVERY_STEPS, Pretraining

GOLDEN = Path(__file__).parents[1] / "golden" / "loss_curves.json"
STEPS = 200
EPOCHS = 10
BATCH_SIZE = 32
_DATA = DatasetConfig(
    source="digits",
    val_images=50,
    max_train_images=STEPS // EPOCHS * BATCH_SIZE,
    max_test_images=20,
)


def loss_curve(precision: str, folder: Path) -> list[float]:
    """The mean loss of every 20 steps."""
    torch.set_num_threads(1)
    prepare(digits(), _DATA, folder)
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=0.1)
    config = changed(
        CONFIG,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        precision=precision,
        online_knn_every_epochs=0,
        optimizer={"learning_rate": 0.002, "warmup_epochs": 2},
    )
    training = Pretraining(PreparedDataset.open(folder), architecture, config, seed=0)
    assert len(training.schedules) == STEPS
    training.train(lambda _: None, lambda _: None, Interruption())
    assert len(training.log) == STEPS // LOG_EVERY_STEPS
    return [row.loss for row in training.log]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        curves = {
            precision: loss_curve(precision, Path(scratch) / precision)
            for precision in ("float32", "bf16")
        }
    GOLDEN.write_text(json.dumps(curves, indent=2) + "\n")
    print(GOLDEN.read_text())
