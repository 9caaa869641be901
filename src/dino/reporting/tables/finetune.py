"""Fine-tuned teachers beside the same networks trained from scratch."""

from typing import Any

from dino.reporting.results import Results
from dino.reporting.summary import Scores, difference, scores_of_group
from dino.reporting.table import Table, frame, nothing, with_intervals

HEADINGS = {
    "start": "Start",
    "finetune_top1": "Top-1, last epoch",
    "minus_scratch": "Above from scratch",
    "finetune_best_top1": "Top-1, best on val",
}
_SHOWN = with_intervals(HEADINGS, ("finetune_top1",), seeds=True)


def finetune_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a group, then one an architecture's random weights: the whole network's accuracy."""
    columns = with_intervals(HEADINGS, ("finetune_top1",), results.has_seeds)
    if reason := results.reason("finetune"):
        return nothing("finetune", reason, columns)
    scratch = summary["baselines"]["random_init"]["by_architecture"]
    rows = [
        _row(
            f"{group.kind}, {group.label}",
            scores_of_group(summary, group),
            scratch[group.architecture],
        )
        for group in results.groups
    ]
    rows += [
        _row(f"from scratch, {architecture}", scores, None)
        for architecture, scores in scratch.items()
    ]
    return Table(
        name="finetune",
        caption=_caption(results.measured("finetune")) + results.over_seeds,
        headings=columns,
        frame=frame(rows, columns, text=("start",)),
    )


def _row(start: str, scores: Scores, scratch: Scores | None) -> dict[str, Any]:
    row: dict[str, Any] = {key: value for key, value in scores.items() if key in _SHOWN}
    if scratch is not None:
        row["minus_scratch"] = difference(scores["finetune_top1"], scratch["finetune_top1"])
    return {"start": start, **row}


def _caption(result: dict[str, Any]) -> str:
    teacher, scratch = result["teacher"], result["random_init"]
    return (
        f"Accuracy in percent on the test split of the whole network, trained for "
        f"{result['epochs']} epochs on {result['train_images']} labelled images, with 95 % "
        "bootstrap intervals over the test images; differences in points. From scratch is the same "
        "network from its random weights (mean over seeds), with the same images, augmentation and "
        f"schedule. Layer decay {teacher['layer_decay']:g} for the teacher and "
        f"{scratch['layer_decay']:g} from scratch."
    )
