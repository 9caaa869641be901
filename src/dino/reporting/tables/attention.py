"""Attention masks beside random init and trivial masks."""

from statistics import fmean
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.results import Results
from dino.reporting.summary import DECIMALS, difference
from dino.reporting.table import Table, frame

HEADINGS = {
    "mask": "Mask",
    "attention_jaccard": "Jaccard",
    "minus_random_init": "Above random init",
    "best_single_head": "Best single head",
    "protocol": "Protocol",
    "note": "Note",
}


def attention_table(results: Results, summary: dict[str, Any]) -> Table:
    """Jaccard of the attention masks, of the same before step 0, and of two trivial masks."""
    random_init = summary["baselines"]["random_init"]["by_architecture"]
    rows: list[dict[str, Any]] = []
    for run in results.runs:
        jaccard = summary["runs"][run.name]["attention_jaccard"]
        before = random_init[run.architecture]["attention_jaccard"]
        rows.append(
            {
                "mask": f"{run.kind} attention, {run.name}",
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
        headings=HEADINGS,
        frame=frame(rows, HEADINGS, text=("mask", "protocol", "note")),
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
