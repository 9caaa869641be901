"""Every parameter."""

import json
from collections.abc import Iterator
from typing import Any

from dino.core.provenance import plain
from dino.reporting.table import Table, frame

HEADINGS = {"parameter": "Parameter", "value": "Value"}


def parameter_table(parameters: Any) -> Table:
    """Every value of params.yaml, with the defaults of what is not written there."""
    rows = [
        {"parameter": name, "value": json.dumps(value, ensure_ascii=False)}
        for name, value in _flat(plain(parameters))
    ]
    return Table(
        name="parameters",
        caption="Resolved parameters: params.yaml with the defaults of what it leaves out.",
        headings=HEADINGS,
        frame=frame(rows, HEADINGS, text=tuple(HEADINGS)),
    )


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
