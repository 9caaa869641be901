"""All tables of the report."""

from typing import Any

from dino.reporting.ours import Ours
from dino.reporting.results import Results
from dino.reporting.table import Table
from dino.reporting.tables.accuracy import ACCURACY
from dino.reporting.tables.attention import ATTENTION
from dino.reporting.tables.class_map import CLASS_MAP
from dino.reporting.tables.costs import crops_table, throughput_table
from dino.reporting.tables.finetune import FINETUNE
from dino.reporting.tables.low_shot import LOW_SHOT
from dino.reporting.tables.paper import paper_tables
from dino.reporting.tables.parameters import parameter_table
from dino.reporting.tables.pivot import Column, Pivot
from dino.reporting.tables.robustness import ROBUSTNESS

SILHOUETTE = Pivot(
    name="silhouette",
    caption=(
        "Mean silhouette of the images, -1 to 1: above 0 an image lies nearer to its own class "
        "than to any other. Brackets: 95 % bootstrap interval over the images."
    ),
    columns={"silhouette": Column("Silhouette", key="silhouette")},
)
PIVOTS = {
    pivot.name: pivot
    for pivot in (ACCURACY, LOW_SHOT, ATTENTION, CLASS_MAP, FINETUNE, ROBUSTNESS, SILHOUETTE)
}
"""The tables of our scores, by name."""


def all_tables(results: Results, summary: dict[str, Any], parameters: Any) -> tuple[Table, ...]:
    """Every table of the report that is the same, byte for byte, where the results are.

    `parameters` is the whole of params.yaml, resolved.
    """
    return (
        *(pivot.table(results) for pivot in PIVOTS.values()),
        *paper_tables(Ours(results=results, summary=summary)),
        parameter_table(parameters),
    )


def timed_tables(
    results: Results, summary: dict[str, Any], provenance: dict[str, Any]
) -> tuple[Table, ...]:
    """The tables of times and memory, which alone differ between equal runs.

    They stand in files of their own and nowhere else. `provenance` is that of all stages.
    """
    ours = Ours(results=results, summary=summary)
    return crops_table(ours, provenance), throughput_table(ours, provenance)
