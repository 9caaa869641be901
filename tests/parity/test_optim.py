import numpy as np
import pytest
import torch
from networks import assert_close
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig, OptimizerConfig
from dino.model.student_teacher import build_student_teacher
from dino.optim.gradients import clip_each, freeze_last_layer
from dino.optim.parameter_groups import build_optimizer, decayed_and_not, set_step_values


class _Named(nn.Module):
    """Parameters under the names of a golden file, whatever characters these have."""

    def __init__(self, values):
        super().__init__()
        self.by_name = {
            name: nn.Parameter(torch.from_numpy(value.copy())) for name, value in values.items()
        }

    def named_parameters(self, *args, **kwargs):
        return iter(self.by_name.items())

    def parameters(self, recurse=True):
        return iter(self.by_name.values())


def _student(names, norm_last_layer):
    """A student with the parameter names of the golden file."""
    # BatchNorm stands between every two linear layers, and has a weight of its own
    batch_norm = "head.mlp.1.weight" in names
    mlp = [name for name in names if name.startswith("head.mlp.") and name.endswith("weight")]
    depth = 1 + max(int(n.split(".")[2]) for n in names if n.startswith("backbone.blocks."))
    architecture = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=16,
        patch_size_px=4,
        embed_dim=24,
        depth=depth,
        num_heads=2,
    )
    head = HeadConfig(
        out_dim=40,
        hidden_dim=32,
        bottleneck_dim=16,
        layers=(len(mlp) + 1) // 2 if batch_norm else len(mlp),
        batch_norm=batch_norm,
        norm_last_layer=norm_last_layer,
    )
    return build_student_teacher(architecture, head, seed=0).student


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_the_same_parameters_are_decayed(golden, norm_last_layer):
    file = golden("optim")
    key = "groups_norm" if norm_last_layer else "groups_free"
    student = _student(file[f"{key}/all"].tolist(), norm_last_layer)
    assert [name for name, _ in student.named_parameters()] == file[f"{key}/all"].tolist()
    decayed, not_decayed = decayed_and_not(student)
    assert list(decayed) == file[f"{key}/decayed"].tolist()
    assert list(not_decayed) == file[f"{key}/not_decayed"].tolist()


def test_every_gradient_is_clipped_on_its_own(golden):
    file = golden("optim")
    cases = sorted({name.split("/")[0] for name in file if name.startswith("clip")})
    assert cases
    for case in cases:
        prefix = f"{case}/before/"
        names = [name.removeprefix(prefix) for name in file if name.startswith(prefix)]
        parameters = {}
        for name in names:
            gradient = torch.from_numpy(file[prefix + name].copy())
            parameters[name] = nn.Parameter(torch.zeros_like(gradient))
            parameters[name].grad = gradient
        ordered = [parameters[name] for name in file[f"{case}/names_with_grad"].tolist()]
        norms = clip_each(ordered, float(file[f"{case}/clip"]))
        np.testing.assert_allclose(norms.numpy(), file[f"{case}/norms"], rtol=1e-5, atol=1e-7)
        for name, parameter in parameters.items():
            assert_close(parameter.grad, file[f"{case}/after/{name}"], atol=1e-7, rtol=1e-5)


def test_the_last_layer_is_frozen_in_the_same_epochs(golden):
    file = golden("optim")
    names = file["cancel/names"].tolist()
    for (epoch, freeze_epochs), is_none in zip(
        file["cancel/cases"], file["cancel/is_none"], strict=True
    ):
        network = _Named({name: np.zeros(1, np.float32) for name in names})
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        freeze_last_layer(network, int(epoch), int(freeze_epochs))
        assert [p.grad is None for p in network.parameters()] == is_none.tolist()


def test_optimizers_move_the_parameters_as_the_references(golden):
    file = golden("optim")
    optimizers = [name.removesuffix("/lr") for name in file if name.endswith("/lr")]
    assert optimizers
    for name in optimizers:
        _compare(file, name)


def _compare(file, name):
    names = file[f"{name}/names"].tolist()
    network = _Named({n: file[f"{name}/p0/{n}"] for n in names})
    optimizer = build_optimizer(network, OptimizerConfig(name=name))
    _regroup(optimizer, network, {n: int(file[f"{name}/group/{n}"]) for n in names})
    for step, (learning_rate, weight_decay) in enumerate(
        zip(file[f"{name}/lr"], file[f"{name}/wd"], strict=True)
    ):
        set_step_values(optimizer, float(learning_rate), float(weight_decay))
        for n, parameter in network.by_name.items():
            key = f"{name}/grad{step}/{n}"
            parameter.grad = torch.from_numpy(file[key].copy()) if key in file else None
        optimizer.step()
        for n, parameter in network.by_name.items():
            expected = file[f"{name}/p{step + 1}/{n}"]
            assert_close(parameter, expected, atol=1e-7, rtol=1e-5)
            key = f"{name}/mu{step + 1}/{n}"
            if key in file:
                assert_close(optimizer.state[parameter]["mu"], file[key], atol=1e-7, rtol=1e-5)
    for n, parameter in network.by_name.items():
        for state in ("exp_avg", "exp_avg_sq", "step"):
            key = f"{name}/final_{state}/{n}"
            if key in file:
                actual = optimizer.state[parameter][state]
                assert_close(actual, file[key], atol=1e-7, rtol=1e-5)


def _regroup(optimizer, network, groups):
    """Put the parameters into the groups that the golden file names."""
    for index, group in enumerate(optimizer.param_groups):
        group["params"] = [p for n, p in network.by_name.items() if groups[n] == index]
