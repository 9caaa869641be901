import numpy as np
import pytest
import torch
from networks import arrays_below, assert_close, names_with_gradient

from dino.core.configuration.pretrain import HeadConfig
from dino.model.head import DinoHead

VARIANTS = {
    "norm": {},
    "free": {"norm_last_layer": False},
    "shallow": {"layers": 1},
    "two": {"layers": 2},
    "bn": {"batch_norm": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_head_is_the_references(golden, variant):
    file = golden("head")
    config = HeadConfig(
        out_dim=int(file["out_dim"]),
        hidden_dim=int(file["hidden_dim"]),
        bottleneck_dim=int(file["bottleneck_dim"]),
        **VARIANTS[variant],
    )
    head = DinoHead(int(file["in_dim"]), config)
    head.load_state_dict(arrays_below(file, f"{variant}/state/"))
    assert names_with_gradient(head) == file[f"{variant}/trainable"].tolist()

    x = torch.from_numpy(file[f"{variant}/x"]).requires_grad_()
    out = head(x)
    out.backward(torch.from_numpy(file[f"{variant}/upstream"]))

    assert_close(out, file[f"{variant}/out"], atol=1e-6)
    assert_close(x.grad, file[f"{variant}/grad_x"], atol=1e-5, rtol=1e-4)
    for name, expected in arrays_below(file, f"{variant}/grad/").items():
        assert_close(head.get_parameter(name).grad, expected.numpy(), atol=1e-5, rtol=1e-4)
    for name, expected in arrays_below(file, f"{variant}/state_after/").items():
        assert_close(head.state_dict()[name], expected.numpy(), atol=1e-6)


def test_initial_weights_are_spread_as_the_references(golden):
    file = golden("head")
    sizes = dict(zip(file["init/names"].tolist(), file["init/std"], strict=True))
    state = DinoHead(384, HeadConfig(out_dim=4096)).state_dict()
    assert set(state) == set(sizes)
    for name, std in sizes.items():
        np.testing.assert_allclose(state[name].std().item(), std, rtol=0.03, atol=1e-7)
