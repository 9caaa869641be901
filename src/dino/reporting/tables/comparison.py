"""Published numbers beside ours: the rows and columns that the tables of the paper share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dino.core.paths import RANDOM_INIT
from dino.reporting.ours import Measured, Ours, epochs_trained, points
from dino.reporting.paper import METRICS, PaperRow, paper_rows
from dino.reporting.results import Group
from dino.reporting.table import Table, frame

KNN = ("imagenet_knn_top1", "knn_top1")
"""The measure and the score of rows that are ours alone."""
TEXT = ("setting", "architecture", "measure", "n")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table of the paper: which published rows it has and what ours stand beside them."""

    name: str
    caption: str
    sources: tuple[str, ...]
    """Tables of paper.csv."""
    settings: tuple[str, ...] = ()
    """The variants shown of them; empty: all."""
    baseline: str | None = None
    """The variant that the others are a change of, in an ablation."""
    by_architecture: bool = False
    """Whether ours stands beside the paper's number of the same architecture alone, and what has
    no such number in a row of its own. Otherwise one architecture of ours stands beside the
    paper's one.
    """
    more: dict[str, str] = field(default_factory=dict)
    """Variants of ours in rows of their own, with their labels."""

    @property
    def published(self) -> tuple[PaperRow, ...]:
        """Its rows of paper.csv."""
        rows = paper_rows(*self.sources)
        return tuple(row for row in rows if not self.settings or row.variant in self.settings)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table, and where its parts come from."""

    cells: dict[str, Any]
    published: PaperRow | None
    group: Group | None


def comparison_table(comparison: Comparison, ours: Ours) -> Table:
    """Published numbers, ours beside them, and the difference where it means something."""
    columns = columns_of(comparison)
    rows = [line.cells for line in lines(comparison, ours)]
    return Table(
        name=comparison.name,
        caption=caption_of(comparison, ours),
        headings=columns,
        frame=frame(rows, columns, text=tuple(name for name in TEXT if name in columns)),
        decimals={"paper": 1, "reference": 1}
        | ({"paper_minus_baseline": 1} if comparison.baseline else {}),
    )


def columns_of(comparison: Comparison) -> dict[str, str]:
    """The headings of the columns that a comparison has."""
    return {
        "setting": "Setting",
        **({"architecture": "Architecture"} if comparison.by_architecture else {}),
        "measure": "Measure",
        "paper": "Paper",
        "reference": "Reference repository",
        "ours": "Ours",
        "ours_low": "Ours, low",
        "ours_high": "Ours, high",
        "ours_sd": "Ours, sd",
        "ours_minus_paper": "Difference",
        **(_CHANGES if comparison.baseline else {}),
        "n": "n",
    }


_CHANGES = {
    "paper_minus_baseline": "Change, paper",
    "ours_minus_baseline": "Change, ours",
    "ours_minus_baseline_low": "Change, ours, low",
    "ours_minus_baseline_high": "Change, ours, high",
}


def lines(comparison: Comparison, ours: Ours) -> Iterator[Line]:
    """The published rows in their order, then the rows of ours alone."""
    shown = set()
    for row in comparison.published:
        architecture = _architecture(comparison, row, ours)
        group = None if architecture is None else _group(row, architecture, ours)
        variant = group.variant if group else row.variant
        measured = None
        if architecture is not None and row.score and _stands_beside(comparison, row, group):
            measured = ours.measured(architecture, variant, row.score)
            shown.add((architecture, variant, row.score))
        cells = _cells(row.label, architecture or row.architecture, row.metric, measured)
        cells["architecture"] = row.architecture
        cells["reference" if row.by_reference else "paper"] = row.value
        same = architecture == row.architecture and _same_data(row, group, ours)
        if measured and same and _same_length(row, group):
            cells["ours_minus_paper"] = points(measured.value, row.value)
        if comparison.baseline:
            cells |= _change_in_paper(comparison, row)
            cells |= _change_in_ours(comparison, ours, architecture, row.variant, row.score)
        yield Line(cells=cells, published=row, group=group if measured else None)
    if comparison.by_architecture:
        yield from _other_architectures(comparison, ours, shown)
    yield from _other_variants(comparison, ours)


def caption_of(comparison: Comparison, ours: Ours) -> str:
    """What the table shows, what ours is, and how its numbers are to be read."""
    sentences = [comparison.caption, _who(comparison, ours)]
    if not comparison.by_architecture or any(row.dataset for row in comparison.published):
        sentences.append("Difference: ours minus published, in points, where data set and "
                         "architecture are the paper's.")  # fmt: skip
    if comparison.baseline:
        label = next(r.label for r in comparison.published if r.variant == comparison.baseline)
        sentences.append(
            f'Change: from "{label}" to the setting, in the paper and in ours, there the mean of '
            "the paired differences of equal seeds with its 95 % interval (Student's t)."
        )
    sentences.append(
        "n: seeds of ours, of several the mean ± the sample standard deviation, of one with the "
        "95 % bootstrap interval over the images."
    )
    if any(row.variant == RANDOM_INIT for row in comparison.published):
        sentences.append("Random weights of several seeds: the mean of their intervals.")
    images = ours.results.runs[0].details["finetune"].get("train_images")
    if images and any(row.score == "finetune_top1" for row in comparison.published):
        sentences.append(f"Fine-tuning of ours: on {images} labelled images.")
    if any(row.score == "linear_paper_top1" for row in comparison.published):
        sentences.append("Linear top-1 of ours is by the paper's protocol, stage linear_paper.")
    return " ".join(sentences)


def _who(comparison: Comparison, ours: Ours) -> str:
    if comparison.by_architecture:
        return f"Ours: {', '.join(ours.results.architectures)}, {of_data(ours)}."
    (theirs, *_) = comparison.published
    architecture = ours.architecture_beside(theirs.architecture)
    groups = [group for group in ours.results.groups if group.architecture == architecture]
    lengths = {length for g in groups if (length := epochs_trained(g)) is not None}
    epochs = " or ".join(str(length) for length in sorted(lengths))
    trained = f", trained for {epochs} epochs" if epochs else ", with given weights"
    return f"Ours: {architecture}{trained}, {of_data(ours)}."


def of_data(ours: Ours) -> str:
    """The data set of ours, in words."""
    images = ours.results.dataset["counts"]["train"]
    return f"on {ours.dataset} ({images} training images)"


def _architecture(comparison: Comparison, row: PaperRow, ours: Ours) -> str | None:
    if not comparison.by_architecture:
        return ours.architecture_beside(row.architecture)
    return row.architecture if row.architecture in ours.results.architectures else None


def _same_data(row: PaperRow, group: Group | None, ours: Ours) -> bool:
    # the paper's attention is that of teachers trained on ImageNet: ours were if they were given
    trained_here = group is not None and group.runs[0].trained
    same = row.dataset == ours.dataset and not ours.is_part
    if row.score == "finetune_top1":
        same = same and not ours.finetuned_on_part
    return same and not (row.table == "attention" and trained_here)


def _same_length(row: PaperRow, group: Group | None) -> bool:
    """Whether ours was trained as long as the row says, or is what somebody published."""
    epochs = None if group is None else epochs_trained(group)
    return epochs is None or epochs == row.epochs


def _group(row: PaperRow, architecture: str, ours: Ours) -> Group | None:
    """Ours of the row's setting; published weights are their own setting."""
    group = ours.group(architecture, row.variant)
    given = ours.group(architecture, "dino") if row.table == "main" else None
    return given if group is None and given and not given.runs[0].trained else group


def _stands_beside(comparison: Comparison, row: PaperRow, group: Group | None) -> bool:
    """Whether a number of ours belongs into the row, whatever the difference means.

    Given weights are no ablation, and of several lengths that were published ours is but one.
    """
    if group is None:
        return True
    epochs = epochs_trained(group)
    if epochs is None:
        return comparison.baseline is None and not row.by_reference
    return row.table != "main" or row.epochs in (None, epochs)


def _cells(
    setting: str, architecture: str, metric: str, measured: Measured | None
) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "setting": setting,
        "architecture": architecture,
        "measure": METRICS[metric],
    }
    if measured:
        cells |= {
            "ours": measured.value,
            "ours_low": measured.low,
            "ours_high": measured.high,
            "ours_sd": measured.sd,
            "n": str(measured.n),
        }
    return cells


def _change_in_paper(comparison: Comparison, row: PaperRow) -> dict[str, Any]:
    for other in comparison.published:
        if (other.variant, other.metric) == (comparison.baseline, row.metric) and other != row:
            return {"paper_minus_baseline": points(row.value, other.value)}
    return {}


def _change_in_ours(
    comparison: Comparison, ours: Ours, architecture: str | None, variant: str, score: str
) -> dict[str, Any]:
    if architecture is None or comparison.baseline is None:
        return {}
    change = ours.change(architecture, variant, comparison.baseline, score)
    if change is None:
        return {}
    mean, interval = change
    low, high = interval or (None, None)
    return {
        "ours_minus_baseline": mean,
        "ours_minus_baseline_low": low,
        "ours_minus_baseline_high": high,
    }


def _other_architectures(
    comparison: Comparison, ours: Ours, shown: set[tuple[str, str, str]]
) -> Iterator[Line]:
    """What was measured of ours and has no published number of its architecture."""
    kinds = {(row.variant, row.score): row for row in comparison.published if row.score}
    for architecture in ours.results.architectures:
        for (variant, score), row in kinds.items():
            if (architecture, variant, score) in shown:
                continue
            group = ours.group(architecture, variant)
            measured = ours.measured(architecture, variant, score)
            if measured is None:
                continue
            label = row.label if row.table != "main" else _own_label(group)
            cells = _cells(label, architecture, row.metric, measured)
            yield Line(cells=cells, published=None, group=group)


def _own_label(group: Group | None) -> str:
    epochs = None if group is None else epochs_trained(group)
    return "ours, given weights" if epochs is None else f"ours, {epochs} epochs"


def _other_variants(comparison: Comparison, ours: Ours) -> Iterator[Line]:
    metric, score = KNN
    architecture = ours.architecture_beside(comparison.published[0].architecture)
    for variant, label in comparison.more.items():
        measured = ours.measured(architecture, variant, score)
        cells = _cells(label, architecture, metric, measured)
        cells |= _change_in_ours(comparison, ours, architecture, variant, score)
        group = ours.group(architecture, variant)
        yield Line(cells=cells, published=None, group=group if measured else None)
