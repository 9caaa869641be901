"""The model card that stands beside an exported teacher: a README.md as Hugging Face reads it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.kinds import random_init_is, source_of

DECIMALS = 2
_NOT_MEASURED = "\N{EN DASH}"
_KNN, _LINEAR, _LINEAR_BEST, _ATTENTION = (
    "k-NN top-1",
    "Linear top-1, last epoch",
    "Linear top-1, best epoch on val",
    "Jaccard of the [CLS] attention",
)


@dataclass(frozen=True, kw_only=True)
class CardInputs:
    """What the stages of one run have written, as read from their JSON files."""

    run: str
    dataset: Mapping[str, Any]
    """The data set's dataset.json."""
    model: Mapping[str, Any]
    """The config.json of the exported teacher."""
    knn: Mapping[str, Any]
    linear: Mapping[str, Any]
    attention: Mapping[str, Any]
    pretrain: Mapping[str, Any]
    """Provenance of the stage pretrain."""
    export: Mapping[str, Any]
    """Provenance of the stage export."""


@dataclass(frozen=True, kw_only=True)
class _Metric:
    name: str
    teacher: float | None
    random_init: float | None
    interval: tuple[float, float] | None
    reason: str | None


def model_card(inputs: CardInputs) -> str:
    """Markdown with YAML in front: data, training, metrics, origin, use and limits.

    Equal inputs give equal text. What was not measured says why.
    """
    metrics = tuple(_metrics(inputs))
    parts = [
        _front_matter(inputs, metrics),
        f"# {inputs.run}\n\n{_summary(inputs)}",
        f"## Use\n\n{_use(inputs)}",
        f"## Metrics\n\n{_metric_table(inputs, metrics)}",
        f"## Data\n\n{_data(inputs)}",
        f"## Training\n\n{_training(inputs)}",
        f"## Origin\n\n{_origin(inputs)}",
        f"## Limits\n\n{_limits(inputs)}",
    ]
    return "\n\n".join(parts) + "\n"


def _weights(inputs: CardInputs) -> Mapping[str, Any] | None:
    """The source of a teacher that was trained elsewhere; None for one that was trained here."""
    found: Mapping[str, Any] | None = inputs.export["parameters"]["architecture"].get("weights")
    return found


def _front_matter(inputs: CardInputs, metrics: tuple[_Metric, ...]) -> str:
    source = json.dumps(inputs.dataset["source"])
    lines = [
        "---",
        "library_name: timm",
        "pipeline_tag: image-feature-extraction",
        "tags:",
        *(["  - dino", "  - self-supervised-learning"] if _weights(inputs) is None else []),
        f"  - {json.dumps(inputs.model['architecture'])}",
        "model-index:",
        f"  - name: {inputs.run}",
        "    results:",
    ]
    measured = [metric for metric in metrics if metric.teacher is not None]
    if not measured:
        lines[-1] += " []"
    else:
        lines += [
            "      - task: {type: image-feature-extraction}",
            f"        dataset: {{name: {source}, type: {source}, split: test}}",
            "        metrics:",
        ]
    for metric in measured:
        value = f"{metric.teacher:.{DECIMALS}f}"
        lines += [
            f"          - name: {json.dumps(metric.name)}",
            f"            type: {'jaccard' if metric.name == _ATTENTION else 'accuracy'}",
            f"            value: {value}",
        ]
    return "\n".join([*lines, "---"])


def _summary(inputs: CardInputs) -> str:
    weights = _weights(inputs)
    size_px = inputs.model["pretrained_cfg"]["input_size"][-1]
    network = f"{inputs.model['architecture']}, {size_px} px"
    if weights is None:
        return (
            f"The momentum teacher of a DINO pretraining (self-distillation with no labels, "
            f"arXiv 2104.14294): the backbone of {network}, without its projection head."
        )
    return (
        f"A frozen backbone ({network}) that was trained elsewhere and evaluated here: "
        f"{source_of(weights, '`')}."
    )


def _use(inputs: CardInputs) -> str:
    return "\n".join(
        [
            "```python",
            "from dino.features.api import load_teacher",
            "",
            f'teacher = load_teacher("artifacts/{inputs.run}/{TEACHER}")',
            'features = teacher.extract(["image.jpg"])  # one row of float32 an image',
            "```",
            "",
            "Without this project, at the exported image size: "
            '`timm.create_model("local-dir:FOLDER", pretrained=True)`.',
        ]
    )


def _metrics(inputs: CardInputs) -> Iterator[_Metric]:
    for name, result, key in (
        (_KNN, inputs.knn, "knn_top1"),
        (_LINEAR, inputs.linear, "linear_top1"),
        (_LINEAR_BEST, inputs.linear, "linear_best_top1"),
        (_ATTENTION, inputs.attention, "attention_jaccard"),
    ):
        named = {row["model"]: row for row in result["scores"] if row["key"] == key}
        teacher = named.get(TEACHER, _NO_SCORE)
        value, low, high = (teacher[column] for column in ("value", "low", "high"))
        headline = f", k = {result['headline']}" if name == _KNN and value is not None else ""
        yield _Metric(
            name=f"{name}{headline}",
            teacher=value,
            random_init=named.get(RANDOM_INIT, _NO_SCORE)["value"],
            interval=None if low is None or high is None else (low, high),
            reason=None if value is not None else _reason(result),
        )


_NO_SCORE: Mapping[str, Any] = {"value": None, "low": None, "high": None}


def _reason(result: Mapping[str, Any]) -> str:
    found = result.get("reason") or result.get(TEACHER, {}).get("reason")
    return str(found) if found else "no number in the result file"


def _metric_table(inputs: CardInputs, metrics: tuple[_Metric, ...]) -> str:
    lines = [
        "| | this model | 95 % interval | random init | difference |",
        "| :--- | ---: | ---: | ---: | ---: |",
    ]
    for metric in metrics:
        points = None
        if metric.teacher is not None and metric.random_init is not None:
            # of the numbers as they are shown
            points = round(metric.teacher, DECIMALS) - round(metric.random_init, DECIMALS)
        cells = (
            _cell(metric.teacher),
            _cell(metric.interval),
            _cell(metric.random_init),
            _NOT_MEASURED if points is None else f"{points:+.{DECIMALS}f}",
        )
        lines.append(f"| {metric.name} | {' | '.join(cells)} |")
    lines += [
        "",
        "In percent, on the test split. Random init is "
        f"{random_init_is(_weights(inputs) is None)}, of the run's seed.",
    ]
    lines += [
        f"\nNot measured: {metric.name} ({metric.reason})." for metric in metrics if metric.reason
    ]
    return "\n".join(lines)


def _cell(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return _NOT_MEASURED
    numbers = value if isinstance(value, tuple) else (value,)
    return " to ".join(f"{number:.{DECIMALS}f}" for number in numbers)


def _data(inputs: CardInputs) -> str:
    dataset = inputs.dataset
    counts = ", ".join(f"{dataset['counts'][split]} {split}" for split in ("train", "val", "test"))
    classes = len(dataset["classes"])
    trained = inputs.pretrain.get("data")
    what = "Trained and evaluated on" if _weights(inputs) is None else "Evaluated on"
    lines = [
        f"- {what} `{dataset['source']}`: {counts} images, {classes or 'no'} classes",
        f"- fingerprint: `{dataset['fingerprint']}`",
    ]
    if trained not in (None, dataset["fingerprint"]):
        lines.append(f"- trained on other data: `{trained}`")
    if dataset.get("mask_kind"):
        lines.append(f"- masks: {dataset['mask_kind']}")
    return "\n".join(lines)


def _training(inputs: CardInputs) -> str:
    weights = _weights(inputs)
    if weights is not None:
        return (
            f"Not trained here. The weights are {source_of(weights, '`')}, SHA-256 "
            f"`{inputs.pretrain.get('weights')}`."
        )
    keys = ("seed", "precision", "device", "processes", "skipped_steps")
    known = {key: inputs.pretrain[key] for key in keys if inputs.pretrain.get(key) is not None}
    parameters = {
        "architecture": inputs.export["parameters"]["architecture"],
        "pretrain": inputs.pretrain["parameters"]["pretrain"],
    }
    described = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items())
    text = json.dumps(parameters, indent=2, sort_keys=True)
    return f"{described}.\n\n```json\n{text}\n```"


def _origin(inputs: CardInputs) -> str:
    git = inputs.pretrain["git"]
    dirty = {True: ", with changes that were not committed", None: ", state unknown"}
    packages = inputs.pretrain["packages"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    return "\n".join(
        [
            f"- commit: `{git['commit']}`{dirty.get(git['dirty'], '')}",
            f"- Python {inputs.pretrain['python']}, {versions}",
            f"- checkpoint: SHA-256 `{inputs.export['checkpoint']}`",
        ]
    )


def _limits(inputs: CardInputs) -> str:
    size_px = inputs.model["pretrained_cfg"]["input_size"][-1]
    lines = [
        "- What the features know comes from the images above alone: of other kinds of images "
        "nothing was measured.",
        f"- Made for images of {size_px} px"
        + (
            "; the positions at other sizes follow config.json, which plain timm does not apply."
            if "positions_at_other_sizes" in inputs.model
            else "; what it says of other sizes is up to timm's network."
        ),
        "- Frozen features: no classifier and no projection head are part of it.",
    ]
    if _weights(inputs) is not None:
        lines[0] = (
            "- What it was trained on is its source's to say: here it was evaluated on the images "
            "above alone."
        )
    elif inputs.pretrain.get("device") == "cpu":
        lines.append("- Trained on a processor, with a budget to match: no record was aimed at.")
    return "\n".join(lines)
