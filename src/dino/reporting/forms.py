"""The form of the files that the report reads, checked before anything is made of them."""

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from dino.core.artifacts import read_json
from dino.core.errors import DinoError

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]
Interval = Annotated[list[Number], Field(min_length=2, max_length=2)] | None


class Row(TypedDict):
    """A score, as `dino.core.score` describes it."""

    model: str
    setting: str
    metric: str
    value: Number | None
    low: Number | None
    high: Number | None
    n: Count | None
    unit: str
    key: str


class BaselineRow(Row):
    evaluation: str


class Result(TypedDict):
    """The part of a result file that all evaluations have in common."""

    reason: str | None
    scores: list[Row]


class Dataset(TypedDict):
    source: str
    classes: list[str]
    counts: dict[str, Count]
    fingerprint: str
    mask_kind: NotRequired[str | None]


class Top1(TypedDict):
    top1: Number
    top1_interval: NotRequired[Interval]


class Neighbours(Top1):
    top5: Number
    top5_interval: NotRequired[Interval]


class Knn(TypedDict):
    val: dict[str, Neighbours]
    test: dict[str, Neighbours]


class TestTop1(TypedDict):
    test_top1: Number
    test_top1_interval: NotRequired[Interval]


class TestTop5(TestTop1):
    test_top5: Number
    test_top5_interval: NotRequired[Interval]


class Linear(TypedDict):
    last: TestTop5
    best_on_val: TestTop1


class Draw(TypedDict):
    images: Count


class Share(TestTop1):
    fraction: Number
    deviation: Number | None
    draws: Annotated[list[Draw], Field(min_length=1)]


class LowShot(TypedDict):
    shares: list[Share]


class Masks(TypedDict):
    jaccard: Number | None
    interval: Interval
    reason: NotRequired[str | None]


class Heads(Masks):
    per_head: list[Number]


class Attention(TypedDict):
    scores: dict[str, Heads]
    reason: str | None


class Protocol(TypedDict):
    image_size_px: Count
    images: Count
    split: str
    masks: str | None
    objects: str
    void: str
    selection_images: Count
    selection_split: str


class ClassMap(TypedDict):
    left_out: dict[str, str]
    linkage: list[list[Number]]
    coordinates: list[list[Number] | None] | None
    coordinates_reason: str | None
    spearman: Number | None
    spearman_highest: Number | None
    spearman_interval: Interval
    spearman_reason: str | None


class Finetune(TypedDict):
    layer_decay: Number
    last: TestTop1
    best_on_val: TestTop1


class Robustness(TypedDict):
    clean: Top1
    corruptions: dict[str, dict[str, Top1]]
    mean: Top1
    relative_drop: Number | None


class KnnFile(Result):
    headline: Count
    teacher: Knn
    random_init: Knn


class LinearFile(Result):
    teacher: Linear
    random_init: Linear


class LinearPaperFile(Result):
    teacher: Linear


class LowShotFile(Result):
    teacher: LowShot
    random_init: LowShot


class AttentionFile(Result):
    headline: str
    protocol: Protocol
    teacher: Attention
    random_init: Attention


class ClassMapFile(Result):
    split: str
    classes: list[str]
    superclass_of: list[str] | None
    teacher: ClassMap
    random_init: ClassMap


class FinetuneFile(Result):
    epochs: Count
    train_images: Count
    teacher: Finetune
    random_init: Finetune


class RobustnessFile(Result):
    images: Count
    neighbours: Count
    teacher: Robustness
    random_init: Robustness


class RawPixels(TypedDict):
    knn: NotRequired[Knn]
    linear: NotRequired[Linear]
    low_shot: NotRequired[LowShot]
    class_map: NotRequired[ClassMap]
    robustness: NotRequired[Robustness]


class BaselinesFile(TypedDict):
    reason: str | None
    scores: list[BaselineRow]
    raw_pixels: RawPixels
    centre_box: Masks
    otsu: Masks


class Record(TypedDict):
    """A stage's provenance, as far as everything that reads it agrees."""

    stage: str
    parameters: NotRequired[dict[str, Any]]
    data: NotRequired[str | None]
    wall_seconds: Number


FORMS: dict[str, Any] = {
    "dataset": Dataset,
    "baselines": BaselinesFile,
    "knn": KnnFile,
    "linear": LinearFile,
    "linear_paper": LinearPaperFile,
    "low_shot": LowShotFile,
    "attention": AttentionFile,
    "class_map": ClassMapFile,
    "finetune": FinetuneFile,
    "robustness": RobustnessFile,
}
"""By the file's name; keys that are not named here may stand beside them."""


def read_result(path: Path) -> dict[str, Any]:
    """A file of FORMS, or one that says why nothing was measured and holds no scores.

    Raises `DinoError` that names the file and the key which is not what it should be.
    """
    content = read_json(path)
    nothing = isinstance(content, dict) and content.get("reason") is not None
    return _checked(path, content, Result if nothing else FORMS.get(path.stem, Result))


def read_record(path: Path) -> dict[str, Any]:
    """The provenance of a stage."""
    return _checked(path, read_json(path), Record)


def _checked(path: Path, content: Any, form: Any) -> dict[str, Any]:
    try:
        TypeAdapter(form).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        message = first["msg"][0].lower() + first["msg"][1:]
        raise DinoError(
            f"{path}: {key}: {message}; delete the file and run its stage again"
        ) from None
    found: dict[str, Any] = content
    return found
