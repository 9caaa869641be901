"""Networks and blocks of timm's, built again as a class of this project."""

from typing import TypeVar

from torch import nn

Kind = TypeVar("Kind", bound=nn.Module)


def specialised(kind: type[Kind], module: nn.Module) -> Kind:
    """A new `kind` with the parameters, buffers, parts and settings of `module`.

    `kind` extends the class of `module` by methods alone: timm builds its own classes from a
    name, and draws their initial weights as it does so.
    """
    assert issubclass(kind, type(module)), f"{kind.__name__} does not extend {type(module)}"
    built = kind.__new__(kind)
    built.__dict__.update(module.__dict__)
    return built
