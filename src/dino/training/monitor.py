"""The numbers that are logged while a network trains."""

import csv
import io
from dataclasses import asdict, dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from dino.training.step import StepResult, StepValues


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """Means over the steps since the row before; entropies in nats."""

    step: int
    epoch: float
    images: int
    loss: float
    learning_rate: float
    weight_decay: float
    teacher_momentum: float
    teacher_temperature: float
    teacher_entropy: float
    kl: float
    gradient_norm: float
    """The norm of all gradients together, before clipping."""
    center_norm: float
    prototype_share: float
    """Mean probability of the prototype that the teacher prefers: 1/K when uniform, 1 when one
    prototype wins for all images.
    """
    feature_std: float
    """The deviation of the teacher's L2-normalised features over the batch, times √dim: 0 when all
    are equal, 1 when they point everywhere.
    """
    skipped_steps: int
    """The number of steps so far that were undone because fp16 overflowed."""
    online_knn_top1: float | None
    """The percentage on val; None between the epochs that compute it."""

    @classmethod
    def of(
        cls,
        measured: list[Float[Tensor, " measured"]],
        values: StepValues,
        *,
        step: int,
        epoch: float,
        images: int,
        skipped_steps: int,
        online_knn_top1: float | None,
    ) -> "LogRow":
        """The row for steps whose numbers, one `measure` each, are `measured`."""
        means = torch.stack(measured).mean(dim=0).tolist()
        return cls(
            step=step,
            epoch=epoch,
            images=images,
            skipped_steps=skipped_steps,
            learning_rate=values.learning_rate,
            weight_decay=values.weight_decay,
            teacher_momentum=values.teacher_momentum,
            teacher_temperature=values.teacher_temperature,
            online_knn_top1=online_knn_top1,
            **dict(zip(_MEASURED, means, strict=True)),
        )

    def progress_text(self) -> str:
        """The numbers that the progress bar shows."""
        text = f"loss {self.loss:.3f}, teacher entropy {self.teacher_entropy:.3f}"
        if self.online_knn_top1 is not None:
            text += f", k-NN on val {self.online_knn_top1:.1f} %"
        return text


_MEASURED = (
    "loss",
    "teacher_entropy",
    "kl",
    "gradient_norm",
    "center_norm",
    "prototype_share",
    "feature_std",
)


def measure(
    result: StepResult, center: Float[Tensor, "1 prototypes"]
) -> Float[Tensor, " measured"]:
    """The numbers that the log averages over steps, in the order of _MEASURED, on the device.

    The variance of unit vectors is what the square of their mean leaves of 1.
    """
    numbers = (
        result.loss,
        result.teacher_entropy,
        result.kl,
        result.gradient_norms.norm(),
        center.norm(),
        result.mean_distribution.max(),
        (1 - result.mean_feature.square().sum()).clamp(min=0).sqrt(),
    )
    return torch.stack([number.float() for number in numbers])


def log_csv(log: list[LogRow]) -> str:
    """The log as CSV with a header; what was not measured is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(LogRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in log)
    return stream.getvalue()
