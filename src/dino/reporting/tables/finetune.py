"""Fine-tuned teachers beside the same networks trained from scratch."""

from typing import Any

from dino.reporting.results import Results
from dino.reporting.summary import Scores, difference
from dino.reporting.table import Table, frame

HEADINGS = {
    "start": "Start",
    "finetune_top1": "Top-1, last epoch",
    "finetune_top1_low": "95 % from",
    "finetune_top1_high": "to",
    "minus_scratch": "Above from scratch",
    "finetune_best_top1": "Top-1, best on val",
}


def finetune_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a run, then one an architecture's random weights: the whole network's accuracy."""
    scratch = summary["baselines"]["random_init"]["by_architecture"]
    rows = [
        _row(f"DINO teacher, {run.name}", summary["runs"][run.name], scratch[run.architecture])
        for run in results.runs
    ]
    rows += [
        _row(f"from scratch, {architecture}", scores, None)
        for architecture, scores in scratch.items()
    ]
    return Table(
        name="finetune",
        caption=_caption(results.runs[0].finetune),
        headings=HEADINGS,
        frame=frame(rows, HEADINGS, text=("start",)),
    )


def _row(start: str, scores: Scores, scratch: Scores | None) -> dict[str, Any]:
    row: dict[str, Any] = {key: scores[key] for key in HEADINGS if key in scores}
    if scratch is not None:
        row["minus_scratch"] = difference(scores["finetune_top1"], scratch["finetune_top1"])
    return {"start": start, **row}


def _caption(result: dict[str, Any]) -> str:
    if result.get("reason"):
        return f"Not measured: {result['reason']}."
    teacher, scratch = result["teacher"], result["random_init"]
    return (
        f"Accuracy in percent on the test split of the whole network, trained for "
        f"{result['epochs']} epochs on {result['train_images']} labelled images, with 95 % "
        "bootstrap intervals over the test images; differences in points. From scratch is the same "
        "network from its random weights (mean over seeds), with the same images, augmentation and "
        f"schedule. Layer decay {teacher['layer_decay']:g} for the teacher and "
        f"{scratch['layer_decay']:g} from scratch."
    )
