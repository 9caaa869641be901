"""What is watched while a network trains."""

import csv
import io
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.features.neighbours import class_votes, nearest_neighbours
from dino.features.preprocessing import centre_crop_pixels
from dino.training.step import StepResult, StepValues

_NEIGHBOURS = 20
_TEMPERATURE = 0.07
_BATCH_SIZE = 500


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
    """Of all gradients together, before clipping."""
    center_norm: float
    prototype_share: float
    """Mean probability of the prototype that the teacher prefers: 1/K when uniform, 1 when one
    prototype wins for all images.
    """
    feature_std: float
    """Of the teacher's L2-normalised features over the batch, times √dim: 0 when all are equal,
    1 when they point everywhere.
    """
    skipped_steps: int
    """Steps that fp16 overflow has undone so far."""
    online_knn_top1: float | None
    """In percent, on val; None between the epochs that compute it."""

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
        """The row of the steps that `measured` comes from, one `measure` each."""
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
        """What the progress bar shows."""
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
    """What the log averages over steps, in the order of _MEASURED; stays on the device.

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


class OnlineKnn:
    """The teacher's k-NN accuracy on val while it trains; the test images are never looked at."""

    def __init__(self, dataset: PreparedDataset, bank_size: int, size_px: int) -> None:
        train = dataset.indices("train")
        # spread over the split, since its images may be in the order of their classes
        spread = np.linspace(0, len(train) - 1, min(bank_size, len(train)))
        self._bank = train[np.round(spread).astype(np.int64)]
        self._queries = dataset.indices("val")
        self._labels = dataset.manifest["label"].to_numpy(dtype=np.int64)
        self._classes = len(dataset.classes)
        self._dataset = dataset
        self._size_px = size_px
        self._pixels: dict[str, Tensor] = {}

    @property
    def is_possible(self) -> bool:
        """Whether every image involved has a label."""
        return bool((self._labels[np.concatenate([self._bank, self._queries])] >= 0).all())

    @torch.no_grad()
    def top1(self, backbone: nn.Module, device: torch.device) -> float:
        """Percentage of val images whose class wins the vote of their 20 nearest neighbours."""
        was_training = backbone.training
        backbone.eval()
        bank = self._features("bank", self._bank, backbone, device)
        queries = self._features("queries", self._queries, backbone, device)
        backbone.train(was_training)
        similarities, neighbours = nearest_neighbours(bank, queries, _NEIGHBOURS)
        labels = torch.from_numpy(self._labels[self._bank])[neighbours.cpu()]
        votes = class_votes(similarities.cpu(), labels, _TEMPERATURE, self._classes)
        truth = torch.from_numpy(self._labels[self._queries])
        return 100 * float((votes.argmax(dim=1) == truth).double().mean())

    def _features(
        self,
        name: str,
        images: Int64[np.ndarray, " images"],
        backbone: nn.Module,
        device: torch.device,
    ) -> Tensor:
        if name not in self._pixels:
            self._pixels[name] = self._read(images)
        batches = self._pixels[name].split(_BATCH_SIZE)
        return torch.cat([backbone(normalised(batch.to(device))).float() for batch in batches])

    def _read(self, images: Int64[np.ndarray, " images"]) -> UInt8[Tensor, "images 3 px px"]:
        size_px = self._size_px
        return torch.stack(
            [centre_crop_pixels(self._dataset.image(int(i)), size_px, size_px) for i in images]
        )
