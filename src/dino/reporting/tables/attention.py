"""Attention masks by every protocol, beside random init and trivial masks."""

from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.kinds import RANDOM_INIT as RANDOM_INIT_KIND
from dino.reporting.results import Results
from dino.reporting.summary import DECIMALS, difference
from dino.reporting.table import Table, frame, nothing, with_deviation

HEADINGS = {
    "mask": "Mask",
    "attention_jaccard": "Jaccard",
    "low": "95 % low",
    "high": "95 % high",
    "minus_random_init": "Above random init",
    "best_single_head": "Best single head",
    "protocol": "Protocol",
    "note": "Note",
}
PROTOCOLS = {
    "paper": "head: best per object",
    "best_head_fixed": "head: best of the training images",
    "mean_of_heads": "mean of the heads",
}


def attention_table(results: Results, summary: dict[str, Any]) -> Table:
    """Jaccard of the attention masks, of the same before step 0, and of two trivial masks.

    The headline's protocol gives a row each its plain name; other variants have no further rows.
    """
    columns = with_deviation(HEADINGS, "attention_jaccard", results.has_seeds)
    if reason := _why_none(results):
        return nothing("attention", reason, columns)
    of_architecture = {
        architecture: [run.attention for run in results.runs if run.architecture == architecture]
        for architecture in results.architectures
    }
    rows: list[dict[str, Any]] = []
    leading = {group.name for group in results.leading}
    for group in results.groups:
        seeds = [run.attention for run in group.runs]
        keys = _keys(seeds[0])
        for key in keys if group.name in leading else list(keys)[:1]:
            row = _row(f"{group.kind} attention, {group.label}", key, seeds, TEACHER)
            before = _row("", key, of_architecture[group.architecture], RANDOM_INIT)
            points = difference(row["attention_jaccard"], before["attention_jaccard"])
            row |= {"minus_random_init": points, "attention_jaccard_sd": _deviation(seeds, key)}
            rows.append(row)
    for architecture, seeds in of_architecture.items():
        name = f"{RANDOM_INIT_KIND} attention, {architecture}"
        rows += [_row(name, key, seeds, RANDOM_INIT) for key in _keys(seeds[0])]
    for name, label in (("centre_box", "centre box"), ("otsu", "Otsu's threshold")):
        scores = summary["baselines"][name]
        rows.append(
            {
                "mask": label,
                "attention_jaccard": scores["attention_jaccard"],
                "low": scores["attention_jaccard_low"],
                "high": scores["attention_jaccard_high"],
                "note": results.baselines[name].get("reason"),
            }
        )
    others = len(results.groups) > len(leading)
    return Table(
        name="attention",
        caption=(
            "Jaccard index in percent between a mask and the truth, mean over images, with its "
            "95 % bootstrap interval over images; rows of random init are means over seeds. Best "
            "single head: the one with the highest mean on these very images. "
            + protocol_sentence(results)
            + deviation_sentence(results)
            + (" Other variants: the first protocol alone." if others else "")
        ),
        headings=columns,
        frame=frame(rows, columns, text=("mask", "protocol", "note")),
    )


def _why_none(results: Results) -> str | None:
    """Why no masks were scored; None where some were."""
    reasons = [run.attention[TEACHER]["reason"] for run in results.runs]
    reasons += [results.baselines[name].get("reason") for name in ("centre_box", "otsu")]
    return None if None in reasons else str(reasons[-1])


def deviation_sentence(results: Results) -> str:
    """What stands behind ± where rows are means over seeds, and what their bounds are."""
    if not results.has_seeds:
        return ""
    return " Of several seeds: means, also of the bounds, ± the deviation over them."


def protocol_sentence(results: Results) -> str:
    """What all protocols of the attention masks share, in words."""
    protocol = results.runs[0].attention["protocol"]
    return (
        f"{protocol['images']} images of {protocol['split']} at {protocol['image_size_px']} px; "
        f"truth: {protocol['masks'] or 'none'}, scored as {protocol['objects']}; void pixels: "
        f"{protocol['void']}; a fixed head is chosen on {protocol['selection_images']} images of "
        f"{protocol['selection_split']}."
    )


def _keys(attention: dict[str, Any]) -> Iterable[str]:
    """The protocols measured, the headline's first, or that of the headline where none was."""
    headline, order = attention["headline"], list(PROTOCOLS)

    def place(key: str) -> tuple[bool, int, str]:
        protocol, _, mass = key.partition("@")
        return key != headline, order.index(protocol), mass

    return sorted(attention[TEACHER]["scores"], key=place) or [headline]


def _row(name: str, key: str, seeds: list[dict[str, Any]], model: str) -> dict[str, Any]:
    nothing = {
        "jaccard": None,
        "interval": None,
        "per_head": [],
        "reason": seeds[0][model]["reason"],
    }
    scores = [attention[model]["scores"].get(key, nothing) for attention in seeds]
    intervals = [score["interval"] or (None, None) for score in scores]
    protocol, _, mass = key.partition("@")
    heads = [max(score["per_head"], default=None) for score in scores]
    return {
        "mask": name if key == seeds[0]["headline"] else f"{name}: {key}",
        "attention_jaccard": _mean(score["jaccard"] for score in scores),
        "low": _mean(low for low, _ in intervals),
        "high": _mean(high for _, high in intervals),
        "best_single_head": _mean(heads) if protocol == "paper" else None,
        "protocol": f"{100 * float(mass):g} % of the mass, {PROTOCOLS[protocol]}",
        "note": scores[0]["reason"],
    }


def _deviation(seeds: list[dict[str, Any]], key: str) -> float | None:
    """Of the teachers' Jaccard index over several seeds."""
    scores = [attention[TEACHER]["scores"].get(key, {}).get("jaccard") for attention in seeds]
    measured = [score for score in scores if score is not None]
    return round(stdev(measured), DECIMALS) if len(measured) > 1 else None


def _mean(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return round(fmean(measured), DECIMALS) if measured else None
