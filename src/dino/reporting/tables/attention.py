"""Attention masks by every protocol, beside random init and trivial masks."""

from statistics import fmean
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.results import Results
from dino.reporting.summary import DECIMALS
from dino.reporting.tables.pivot import Column, Pivot


def _caption(results: Results) -> str:
    others = len(results.groups) > len(results.leading)
    return (
        "Jaccard index in percent between a mask and the truth, mean over images, with its "
        "95 % bootstrap interval over images; rows of random init are means over seeds. Mass: the "
        "share of the attention that a mask keeps. Protocol: the head that is best for each object "
        "(paper), the best one of the training images (best_head_fixed), or the mean of the heads. "
        "Best single head: the one with the highest mean on these very images. "
        + protocol_sentence(results)
        + (" Other variants: the first protocol alone." if others else "")
    )


def protocol_sentence(results: Results) -> str:
    """What all protocols of the attention masks share, in words."""
    protocol = results.runs[0].details["attention"]["protocol"]
    return (
        f"{protocol['images']} images of {protocol['split']} at {protocol['image_size_px']} px; "
        f"truth: {protocol['masks'] or 'none'}, scored as {protocol['objects']}; void pixels: "
        f"{protocol['void']}; a fixed head is chosen on {protocol['selection_images']} images of "
        f"{protocol['selection_split']}."
    )


def _only(results: Results, scores: pd.DataFrame) -> pd.DataFrame:
    """The headline's protocol, and the others that were measured of the first variants."""
    leading = [run.name for group in results.leading for run in group.runs]
    others = scores["run"].isin(leading) | (scores["model"] == RANDOM_INIT)
    return scores[(scores["key"] == "attention_jaccard") | (others & scores["value"].notna())]


def _mask(results: Results, _: pd.DataFrame, own: pd.DataFrame) -> dict[str, Any]:
    """The best single head by the paper's protocol, and why there is no number."""
    protocol, mass, model = own.iloc[0][["protocol", "mass", "model"]]
    runs = [run.details["attention"] for run in results.runs if run.name in set(own["run"])]
    if not runs:
        return {"note": results.baselines[model].get("reason")}
    heads = [a[model]["heads"].get(f"{protocol}@{mass}", {}).get("per_head", []) for a in runs]
    best = [max(per_head) for per_head in heads if per_head]
    return {
        "best_single_head": round(fmean(best), DECIMALS) if protocol == "paper" and best else None,
        "note": runs[0][model]["reason"],
    }


def _why_none(results: Results) -> str | None:
    """Why no masks were scored."""
    reasons = [run.details["attention"][TEACHER]["reason"] for run in results.runs]
    return next(filter(None, reasons), None)


_JACCARD = {"evaluation": "attention", "metric": "jaccard"}
ATTENTION = Pivot(
    name="attention",
    caption=_caption,
    columns={
        "attention_jaccard": Column("Jaccard", where=_JACCARD),
        "minus_random_init": Column("Above random init", where=_JACCARD, minus=RANDOM_INIT),
    },
    by={"protocol": "Protocol", "mass": "Mass"},
    numbers={"best_single_head": "Best single head"},
    words={"note": "Note"},
    more=_mask,
    only=_only,
    features="Mask",
    why_none=_why_none,
)
"""The Jaccard index of the attention masks, before step 0 too, and of two trivial masks."""
