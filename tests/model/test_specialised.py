import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from dino.model.specialised import specialised


class Doubling(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def test_a_specialised_module_has_the_same_parameters_and_the_methods_of_its_class():
    plain, x = nn.Linear(3, 2).eval(), torch.randn(4, 3)
    doubling = specialised(Doubling, plain)
    assert type(doubling) is Doubling and type(plain) is nn.Linear
    assert doubling.weight is plain.weight and not doubling.training
    assert torch.equal(doubling(x), 2 * plain(x))


def test_another_kind_of_module_is_a_mistake():
    with pytest.raises(AssertionError, match="Doubling does not extend"):
        specialised(Doubling, Block(4, 1))
