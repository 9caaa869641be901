import numpy as np
import torch
from networks import arrays_below, assert_close, head_of, names_with_gradient

from dino.core.configuration.pretrain import HeadConfig
from dino.model.head import DinoHead


def test_heads_are_the_references(golden):
    file = golden("head")
    variants = [name.removesuffix("/x") for name in file if name.endswith("/x")]
    assert variants
    for variant in variants:
        _compare(file, variant)


def _compare(file, variant):
    weights = arrays_below(file, f"{variant}/state/")
    trainable = file[f"{variant}/trainable"].tolist()
    config = head_of(weights, norm_last_layer="last_layer.weight_g" not in trainable)
    head = DinoHead(int(file["in_dim"]), config)
    head.load_state_dict(weights)
    assert names_with_gradient(head) == trainable, variant

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
