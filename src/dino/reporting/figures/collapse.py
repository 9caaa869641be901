"""The figure of collapses: entropy and KL without centering, without sharpening, and with both."""

import math

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.reporting.figures.training_curves import reference_line, thinned
from dino.reporting.picture import BLUE, GREEN, ORANGE, WIDTH_IN, Picture, picture, words
from dino.reporting.results import Results, RunResults

NAME = "collapse"
VARIANTS = {
    "no_centering": ("no centering", GREEN, ":"),
    "no_sharpening": ("no sharpening", ORANGE, "--"),
    "dino": ("both (DINO)", BLUE, "-"),
}
PANELS = {
    "teacher_entropy": ("Entropy of the teacher", "entropy (nats)"),
    "kl": ("KL(teacher ‖ student)", "divergence (nats)"),
}


def collapse(results: Results, prototypes: int) -> Picture:
    """The telemetry of the first architecture that was trained, one line a run."""
    runs = _runs(results)
    if not runs:
        return _nothing(results)
    figure = Figure(figsize=(WIDTH_IN, 3.8), layout="constrained")
    for (column, (title, label)), axes in zip(PANELS.items(), figure.subplots(1, 2), strict=True):
        _curves(axes, runs, column)
        axes.set(title=title, xlabel="epochs", ylabel=label, xlim=(0, None))
        axes.margins(y=0.1)
    uniform = math.log(prototypes)
    entropy = figure.axes[0]
    reference_line(entropy, uniform, f"ln {prototypes}: uniform", "0.3", (0, (1, 3)))
    handles, labels = entropy.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once))
    return picture(
        figure,
        name=NAME,
        caption=(
            f"Collapse, {runs[0].architecture}: entropy of the teacher's distributions and their "
            "divergence from the student's over training, one line a run. In the paper one "
            "prototype wins everywhere without centering (entropy 0), the distribution becomes "
            "uniform without sharpening (ln K), and in both the divergence falls to 0; DINO has "
            "both." + _missing(runs)
        ),
        alternative=f"Two line plots. {' '.join(_in_words(run) for run in runs)}",
    )


def _runs(results: Results) -> list[RunResults]:
    """The groups of one architecture with any of VARIANTS, in the order of VARIANTS.

    The first that was trained in another of them than DINO; without any the first of all.
    """
    trained = [run for run in results.runs if run.trained and run.variant in VARIANTS]
    changed = [run.architecture for run in trained if run.variant != "dino"]
    shown = [*changed, *(run.architecture for run in trained)][:1]
    order = list(VARIANTS)
    return sorted(
        (run for run in trained if run.architecture in shown),
        key=lambda run: order.index(run.variant),
    )


def _curves(axes: Axes, runs: list[RunResults], column: str) -> None:
    for run in runs:
        label, colour, dashes = VARIANTS[run.variant]
        curve: pd.DataFrame = thinned(run.log, column)
        sns.lineplot(
            curve,
            x="epoch",
            y=column,
            color=colour,
            linestyle=dashes,
            linewidth=1.5,
            alpha=0.85,
            errorbar=None,
            label=label,
            # a line needs two points
            marker="o" if len(curve) < 2 else None,
            legend=False,
            ax=axes,
        )


def _missing(runs: list[RunResults]) -> str:
    present = {run.variant for run in runs}
    missing = ", ".join(label for name, (label, *_) in VARIANTS.items() if name not in present)
    return f" Not run: {missing}." if missing else ""


def _in_words(run: RunResults) -> str:
    last = run.log.iloc[-1]
    return (
        f"{run.name} ends with an entropy of {last['teacher_entropy']:.2f} nats and a divergence "
        f"of {last['kl']:.3f} nats."
    )


def _nothing(results: Results) -> Picture:
    text = f"No collapse to look for: none of {', '.join(VARIANTS)} was trained here."
    return words(NAME, text + results.not_trained)
