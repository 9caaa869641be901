"""All tables of the report."""

from typing import Any

from dino.reporting.ours import Ours
from dino.reporting.results import Results
from dino.reporting.table import Table
from dino.reporting.tables.accuracy import accuracy_table
from dino.reporting.tables.attention import attention_table
from dino.reporting.tables.class_map import class_map_table
from dino.reporting.tables.costs import crops_table, throughput_table
from dino.reporting.tables.finetune import finetune_table
from dino.reporting.tables.low_shot import low_shot_table
from dino.reporting.tables.paper import paper_tables
from dino.reporting.tables.parameters import parameter_table
from dino.reporting.tables.robustness import robustness_table


def all_tables(results: Results, summary: dict[str, Any], parameters: Any) -> tuple[Table, ...]:
    """Every table of the report that equal results give the same bytes of.

    `parameters` is the whole of params.yaml, resolved.
    """
    return (
        accuracy_table(results, summary),
        low_shot_table(results, summary),
        attention_table(results, summary),
        class_map_table(results, summary),
        finetune_table(results, summary),
        robustness_table(results, summary),
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
