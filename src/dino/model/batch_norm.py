"""BatchNorm over the images of several processes."""

from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dino.core.errors import ConfigurationError


def has_batch_norm(network: nn.Module) -> bool:
    """Whether the images of a batch meet in `network`."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every BatchNorm inside `network` see the images of all processes.

    Parameters, buffers and their names stay the same. A network without is left alone. Raises
    `ConfigurationError` on processors, where torch has no such layer.
    """
    if not has_batch_norm(network):
        return
    if next(network.parameters()).device.type == "cpu":
        raise ConfigurationError(
            "pretrain: expected GPUs, or a single process, for a network with BatchNorm (of the "
            "architecture or of pretrain.head.batch_norm), whose statistics torch synchronises on "
            "GPUs alone; got several processes without"
        )
    # the children are replaced in place
    convert_sync_batchnorm(network)
