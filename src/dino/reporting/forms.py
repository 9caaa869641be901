"""The form of the files that the report reads, checked before anything is made of them."""

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from dino.core.artifacts import read_json
from dino.core.errors import DinoError

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]


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


class Head(TypedDict):
    per_head: list[Number]


class Attention(TypedDict):
    heads: dict[str, Head]
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
    spearman_reason: str | None


class KnnFile(Result):
    headline: Count


class LowShotFile(Result):
    drawn: dict[str, list[Count]]


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


class Finetuned(TypedDict):
    layer_decay: Number


class FinetuneFile(Result):
    epochs: Count
    train_images: Count
    teacher: Finetuned
    random_init: Finetuned


class RobustnessFile(Result):
    images: Count
    neighbours: Count


class Baseline(TypedDict):
    reason: NotRequired[str | None]


class BaselinesFile(TypedDict):
    reason: str | None
    scores: list[BaselineRow]
    raw_pixels: Baseline
    centre_box: Baseline
    otsu: Baseline


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
    "low_shot": LowShotFile,
    "attention": AttentionFile,
    "class_map": ClassMapFile,
    "finetune": FinetuneFile,
    "robustness": RobustnessFile,
}
"""By the file's name: the details that the report shows beside the rows of scores.

Other keys may stand beside them, and a file that is not named here has rows alone.
"""


def read_result(path: Path) -> dict[str, Any]:
    """A result file: rows of scores and, of FORMS, details; or the reason why there are none.

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
