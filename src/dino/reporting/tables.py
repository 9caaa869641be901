"""The tables of the report as CSV, Markdown and LaTeX."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.core.provenance import plain
from dino.reporting.results import Results
from dino.reporting.summary import DECIMALS, Scores, difference

ACCURACY = {
    "features": "Features",
    "knn_top1": "k-NN top-1",
    "knn_minus_random_init": "k-NN above random init",
    "knn_minus_raw_pixels": "k-NN above raw pixels",
    "knn_top5": "k-NN top-5",
    "knn_val_top1": "k-NN top-1 on val",
    "linear_top1": "Linear, last epoch",
    "linear_minus_random_init": "Linear above random init",
    "linear_minus_raw_pixels": "Linear above raw pixels",
    "linear_best_top1": "Linear, best on val",
    "against_raw_pixels": "Against raw pixels",
}
ATTENTION = {
    "mask": "Mask",
    "attention_jaccard": "Jaccard",
    "minus_random_init": "Above random init",
    "best_single_head": "Best single head",
    "protocol": "Protocol",
    "note": "Note",
}
PARAMETERS = {"parameter": "Parameter", "value": "Value"}

NOT_MEASURED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, its caption and the headings that replace the names of its columns."""

    name: str
    caption: str
    headings: Mapping[str, str]
    frame: pd.DataFrame

    def csv(self) -> str:
        """Comma-separated values under the columns' names; what was not measured is empty."""
        return self.frame.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")

    def markdown(self) -> str:
        """A GitHub table with its caption below."""
        rule = ["---:" if number else ":---" for number in self.numeric()]
        cells = [[cell.replace("|", "\\|") for cell in row] for row in self.rows()]
        lines = ["| " + " | ".join(row) + " |" for row in (self.header(), rule, *cells)]
        return "\n".join([*lines, "", self.caption, ""])

    def latex(self) -> str:
        """A `table` for the package booktabs, labelled `tab:` and its name."""
        text = pd.DataFrame(self.rows(), columns=pd.Index(self.header())).to_latex(
            index=False,
            escape=True,
            column_format="".join("r" if number else "l" for number in self.numeric()),
            caption=self.caption.replace("%", "\\%").replace("_", "\\_"),
            label=f"tab:{self.name}",
            position="tbp",
        )
        return text.replace(MINUS, "$-$").replace(NOT_MEASURED, "--")

    def header(self) -> list[str]:
        """The headings, in the order of the columns."""
        return [self.headings[str(name)] for name in self.frame]

    def rows(self) -> list[list[str]]:
        """The cells as text: percentages with two decimals, differences with their sign."""
        return [
            [_text(value, signed="minus_" in str(name)) for name, value in row.items()]
            for row in self.frame.to_dict("records")
        ]

    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which are set flush right."""
        return [pd.api.types.is_float_dtype(self.frame[name]) for name in self.frame]


def all_tables(results: Results, summary: dict[str, Any], parameters: Any) -> tuple[Table, ...]:
    """Every table of the report; `parameters` is the whole of params.yaml, resolved."""
    return (
        accuracy_table(results, summary),
        attention_table(results, summary),
        parameter_table(parameters),
    )


def accuracy_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a run, then a row a baseline: k-NN and linear accuracy beside the baselines'."""
    raw_pixels = summary["baselines"]["raw_pixels"]
    random_init = summary["baselines"]["random_init"]["by_architecture"]
    rows = [
        {"features": f"DINO, {run.name}"}
        | _accuracies(summary["runs"][run.name], random_init[run.architecture], raw_pixels)
        for run in results.runs
    ]
    rows += [
        {"features": f"random init, {architecture}"} | _accuracies(scores, None, raw_pixels)
        for architecture, scores in random_init.items()
    ]
    rows.append({"features": "raw pixels"} | _accuracies(raw_pixels, None, None))
    return Table(
        name="accuracy",
        caption=(
            "Accuracy in percent on the test split unless val is named, differences in points. "
            f"k-NN with k = {results.headline}. The linear classifier is scored after its last "
            "epoch; the epoch that was best on val stands beside it. Random init is the same "
            "network before its first step, the mean over its seeds."
        ),
        headings=ACCURACY,
        frame=_frame(rows, ACCURACY, text=("features", "against_raw_pixels")),
    )


def _accuracies(
    scores: Scores, random_init: Scores | None, raw_pixels: Scores | None
) -> dict[str, Any]:
    row: dict[str, Any] = {k: v for k, v in scores.items() if k in ACCURACY}
    for classifier in ("knn", "linear"):
        key = f"{classifier}_top1"
        for name, baseline in (("random_init", random_init), ("raw_pixels", raw_pixels)):
            if baseline is not None:
                row[f"{classifier}_minus_{name}"] = difference(scores[key], baseline[key])
    if raw_pixels is not None:
        row["against_raw_pixels"] = ", ".join(
            f"{label} {_side(scores[key], raw_pixels[key])}"
            for label, key in (("k-NN", "knn_top1"), ("linear", "linear_top1"))
        )
    return row


def _side(score: float | None, baseline: float | None) -> str:
    points = difference(score, baseline)
    if points is None:
        return "not measured"
    return "above" if points > 0 else "below" if points < 0 else "equal"


def attention_table(results: Results, summary: dict[str, Any]) -> Table:
    """Jaccard of the attention masks, of the same before step 0, and of two trivial masks."""
    random_init = summary["baselines"]["random_init"]["by_architecture"]
    rows: list[dict[str, Any]] = []
    for run in results.runs:
        jaccard = summary["runs"][run.name]["attention_jaccard"]
        before = random_init[run.architecture]["attention_jaccard"]
        rows.append(
            {
                "mask": f"DINO attention, {run.name}",
                "attention_jaccard": jaccard,
                "minus_random_init": difference(jaccard, before),
            }
            | _protocol_columns(run.attention, TEACHER)
        )
    for architecture, scores in random_init.items():
        seeds = [run.attention for run in results.runs if run.architecture == architecture]
        columns = [_protocol_columns(attention, RANDOM_INIT) for attention in seeds]
        heads = [c["best_single_head"] for c in columns if c["best_single_head"] is not None]
        rows.append(
            {
                "mask": f"random-init attention, {architecture}",
                "attention_jaccard": scores["attention_jaccard"],
            }
            | columns[0]
            | {"best_single_head": round(fmean(heads), DECIMALS) if heads else None}
        )
    rows += [
        {
            "mask": label,
            "attention_jaccard": summary["baselines"][key]["attention_jaccard"],
            "note": results.baselines[key].get("reason"),
        }
        for key, label in (("centre_box", "centre box"), ("otsu", "Otsu's threshold"))
    ]
    return Table(
        name="attention",
        caption=(
            "Jaccard index in percent between a mask and the foreground, mean over images. "
            + protocol_sentence(results)
        ),
        headings=ATTENTION,
        frame=_frame(rows, ATTENTION, text=("mask", "protocol", "note")),
    )


def protocol_sentence(results: Results) -> str:
    """The protocol of the attention masks, in words."""
    protocol = results.runs[0].attention["protocol"]
    return (
        f"Protocol: {protocol['images']} images of {protocol['split']} at "
        f"{protocol['image_size_px']} px, {100 * protocol['mass']:g} % of the attention's mass, "
        f"head: {protocol['head']}; ground-truth masks: {protocol['masks'] or 'none'}."
    )


def _protocol_columns(attention: dict[str, Any], model: str) -> dict[str, Any]:
    protocol, scores = attention["protocol"], attention[model]
    per_head = scores.get("per_head")
    return {
        "best_single_head": round(max(per_head), DECIMALS) if per_head else None,
        "protocol": f"{100 * protocol['mass']:g} % of the mass, head: {protocol['head']}",
        "note": scores.get("reason"),
    }


def parameter_table(parameters: Any) -> Table:
    """Every value of params.yaml, with the defaults of what is not written there."""
    rows = [
        {"parameter": name, "value": json.dumps(value, ensure_ascii=False)}
        for name, value in _flat(plain(parameters))
    ]
    return Table(
        name="parameters",
        caption="Resolved parameters: params.yaml with the defaults of what it leaves out.",
        headings=PARAMETERS,
        frame=_frame(rows, PARAMETERS, text=tuple(PARAMETERS)),
    )


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _frame(
    rows: list[dict[str, Any]], columns: Mapping[str, str], text: tuple[str, ...]
) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=pd.Index(list(columns)))
    return frame.astype({name: object if name in text else float for name in columns})


def _text(value: Any, signed: bool) -> str:
    if pd.isna(value):
        return NOT_MEASURED
    if isinstance(value, str):
        return value
    return f"{value:{'+' if signed else ''}.{DECIMALS}f}".replace("-", MINUS)
