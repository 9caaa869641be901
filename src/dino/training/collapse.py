"""The failures of a training: two kinds of collapse, and NaN or infinite numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dino.core.configuration.pretrain import MonitorConfig
from dino.core.errors import CollapseError
from dino.training.monitor import LogRow
from dino.training.step import StepResult

_IMAGES_NAMED = 5

Kind = Literal["uniform", "one-dimensional"]


@dataclass(frozen=True)
class Collapse:
    """A collapse: the teacher's distributions no longer tell images apart."""

    kind: Kind
    since_step: int
    step: int
    evidence: str
    """The number that shows the collapse, beside its threshold."""

    def __str__(self) -> str:
        return (
            f"step {self.step}: the teacher's distributions have collapsed ({self.kind}) since "
            f"step {self.since_step}, {self.evidence}; {_REMEDIES[self.kind]}"
        )


_REMEDIES: dict[Kind, str] = {
    "uniform": (
        "lower pretrain.loss.teacher_temperature, the sharpening, take pretrain.loss.name "
        "cross_entropy, or let the teacher follow more slowly (pretrain.teacher)"
    ),
    "one-dimensional": (
        "keep pretrain.loss.centering on and pretrain.loss.center_momentum below 1, or let the "
        "teacher follow more slowly (pretrain.teacher)"
    ),
}


def collapse(log: Sequence[LogRow], config: MonitorConfig, prototypes: int) -> Collapse | None:
    """The collapse that the newest rows of the log show; None for a healthy training.

    It has to show in all rows of the last `patience_steps` steps, none of them before
    `after_epochs`. The log is all that is asked: a continued training judges as an uninterrupted
    one, and no step waits for the device.
    """
    kind = _kind(log[-1], config, prototypes) if log else None
    if kind is None:
        return None
    first = len(log) - 1
    while first > 0 and _kind(log[first - 1], config, prototypes) == kind:
        first -= 1
    since_step = log[first - 1].step if first > 0 else 0
    last = log[-1]
    if last.step - since_step < config.patience_steps:
        return None
    if kind == "uniform":
        evidence = (
            f"their entropy is {last.teacher_entropy:.3g} nats, over {config.uniform_entropy:g} of "
            f"ln {prototypes} = {math.log(prototypes):.3g}"
        )
    else:
        evidence = (
            f"one of {prototypes} prototypes has {last.prototype_share:.3g} of their probability, "
            f"over {config.prototype_share:g}"
        )
    return Collapse(kind, since_step, last.step, evidence)


def _kind(row: LogRow, config: MonitorConfig, prototypes: int) -> Kind | None:
    if row.epoch <= config.after_epochs:
        return None
    if row.teacher_entropy > config.uniform_entropy * math.log(prototypes):
        return "uniform"
    if row.prototype_share > config.prototype_share:
        return "one-dimensional"
    return None


def not_finite(
    result: StepResult, step: int, epoch: int, names: Sequence[str], images: Sequence[str]
) -> CollapseError:
    """The error for a step whose loss or gradients are NaN or infinite.

    `names` are those of the parameters whose gradients the result has, `images` the batch's ids.
    The error's report has all of them.
    """
    norms = dict(zip(names, result.gradient_norms.tolist(), strict=True))
    bad = [name for name, norm in norms.items() if not math.isfinite(norm)]
    loss = float(result.loss)
    report: dict[str, Any] = {
        "step": step,
        "epoch": epoch,
        "loss": str(loss),
        "gradient_norms": {name: str(norm) for name, norm in norms.items()},
        "images": list(images),
    }
    more = f" and {len(images) - _IMAGES_NAMED} more" if len(images) > _IMAGES_NAMED else ""
    return CollapseError(
        f"step {step} (epoch {epoch}): the loss is {loss}, the gradients of {len(bad)} of "
        f"{len(norms)} parameters are not finite{f', the first {bad[0]}' if bad else ''}; images "
        f"{', '.join(images[:_IMAGES_NAMED])}{more}; lower pretrain.optimizer.learning_rate or set "
        "pretrain.precision: float32",
        report,
    )
