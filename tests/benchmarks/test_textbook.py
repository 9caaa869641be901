import numpy as np
import pytest
import torch
from networks import architecture_of, arrays_below, assert_close, head_of

from benchmarks.textbook.network import named_as_ours
from benchmarks.textbook.training import Training
from dino.core.configuration.pretrain import OptimizerConfig, PretrainConfig


@pytest.mark.parametrize("trajectory", ["adamw", "adamw_free"])
def test_textbook_training_follows_the_reference(request, trajectory):
    folder = request.config.getoption("--golden")
    file = np.load(folder / f"training_trajectory_{trajectory}.npz")
    config = PretrainConfig(
        epochs=int(file["cfg/epochs"]),
        head=head_of(
            arrays_below(file, "student_init/head."),
            norm_last_layer=bool(file["cfg/norm_last_layer"]),
        ),
        optimizer=OptimizerConfig(
            warmup_epochs=0,
            clip_norm=float(file["cfg/clip_grad"]),
            freeze_last_layer_epochs=int(file["cfg/freeze_last_layer"]),
        ),
    )
    assert int(file["cfg/warmup_teacher_temp_epochs"]) == 1
    initial = arrays_below(file, "student_init/")
    training = Training(initial, architecture_of(file), config)
    for step in range(len(file["lr"])):
        epoch = step // int(file["cfg/niter_per_epoch"])
        loss = training.step(
            [
                *torch.from_numpy(file["crops_global"][step]),
                *torch.from_numpy(file["crops_local"][step]),
            ],
            epoch=epoch,
            learning_rate=float(file["lr"][step]),
            weight_decay=float(file["wd"][step]),
            teacher_momentum=float(file["momentum"][step]),
            teacher_temperature=float(
                file["cfg/teacher_temp" if epoch else "cfg/warmup_teacher_temp"]
            ),
        )
        assert_close(loss, file["loss"][step], atol=2e-5)
        assert_close(training.center, file["center"][step], atol=5e-6)
    for network, key in (
        (training.student, "student_final/"),
        (training.teacher, "teacher_final/"),
    ):
        expected = arrays_below(file, key)
        for name, parameter in named_as_ours(network):
            # AdamW moves the key bias, whose true gradient is 0, by rounding noise
            tolerance = 5e-3 if name.endswith("qkv.bias") else 2e-5
            assert_close(parameter, expected[name].numpy(), atol=tolerance)
