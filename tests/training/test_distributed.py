import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG, changed
from two_ranks import run_ranks

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.distributed import from_main, mean_over_ranks, rank, world_size
from dino.core.errors import ConfigurationError
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.schedules import Schedules
from dino.training.step import Stepper

STEPS = range(4, 8)


def steps(architecture: ArchitectureConfig, config: PretrainConfig) -> dict:
    """Four steps on this process's share of the same batches."""
    networks = build_student_teacher(architecture, config.head, seed=0)
    center = Center(config.head.out_dim, config.loss.center_momentum)
    optimizer = build_optimizer(networks.student, config.optimizer)
    stepper = Stepper(networks, center, optimizer, config, "float32")
    generator = torch.Generator().manual_seed(0)
    seen = []
    for step in STEPS:
        crops = [torch.randn(8, 3, px, px, generator=generator) for px in (8, 8, 4)]
        mine = slice(rank() * 8 // world_size(), (rank() + 1) * 8 // world_size())
        values = Schedules(config, 4).at(step)
        images = torch.arange(8) + 8 * step
        result = stepper.step(
            [crop[mine] for crop in crops], 1, values, step=step, images=images[mine]
        )
        seen.append(torch.stack([result.loss, result.teacher_entropy, result.stop]))
    return {
        "seen": torch.stack(seen),
        "center": center.value,
        "norms": result.gradient_norms,
        **networks.state_dict(),
    }


@pytest.mark.parametrize("centering", ["mean", "sinkhorn_knopp", "softmax"])
def test_two_ranks_equal_one_with_the_doubled_batch(tmp_path, centering):
    architecture = ArchitectureConfig(**{**vars(ARCHITECTURE), "drop_path": 0.5})
    config = changed(
        CONFIG, loss={"centering": centering}, optimizer={"name": "sgd", "learning_rate": 0.5}
    )
    alone = steps(architecture, config)
    for ranks in run_ranks(2, steps, architecture, config, folder=tmp_path):
        for name, expected in alone.items():
            torch.testing.assert_close(ranks[name], expected, rtol=2e-4, atol=2e-6, msg=name)


def reduced() -> dict:
    tensors = [torch.full((2, 3), float(rank())), torch.tensor(10.0 * rank())]
    mean_over_ranks(tensors)
    return {"mean": tensors[0], "scalar": tensors[1], "main": torch.tensor(from_main(rank()))}


def test_a_mean_over_ranks_is_the_same_everywhere(tmp_path):
    for each in run_ranks(3, reduced, folder=tmp_path):
        assert torch.equal(each["mean"], torch.ones(2, 3))
        assert each["scalar"] == 10.0
        assert each["main"] == 0


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    from dino.core.distributed import process_group

    with pytest.raises(ConfigurationError, match="expected RANK"), process_group():
        pass
