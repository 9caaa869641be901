"""The tables of the paper with times and memory, which no two machines have alike."""

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from dino.reporting.ours import Ours
from dino.reporting.paper import METRICS, PaperRow, paper_rows
from dino.reporting.record_readme import SECONDS_PER_HOUR, wall_seconds
from dino.reporting.results import Group
from dino.reporting.table import Table, frame
from dino.reporting.tables.comparison import TEXT, caption_of, columns_of, lines, of_data
from dino.reporting.tables.paper import CROPS

COSTS = {
    "paper_hours": "Hours, paper",
    "ours_hours": "Hours, ours",
    "paper_memory_gb": "Memory in GB, paper",
    "ours_memory_gb": "Memory in GB, ours",
}


def crops_table(ours: Ours, provenance: dict[str, Any]) -> Table:
    """Accuracy, hours and memory by the number of crops."""
    columns = columns_of(CROPS) | COSTS
    rows = []
    for line in lines(CROPS, ours):
        if line.published:
            line.cells["paper_hours"] = line.published.hours
            line.cells["paper_memory_gb"] = line.published.memory_gb
        group = ours.group(ours.architecture_beside("vit_small_16"), _variant(line.published))
        if group:
            records = [provenance["runs"][run.name]["pretrain"] for run in group.runs]
            line.cells["ours_hours"] = _mean(_hours(record) for record in records)
            line.cells["ours_memory_gb"] = _mean(_memory_gb(record) for record in records)
        rows.append(line.cells)
    return Table(
        name=CROPS.name,
        caption=(
            f"{caption_of(CROPS, ours)} Hours of the whole training: in the paper on 16 GPUs, "
            "in ours from the speed of the last attempt. Memory: the most of each GPU, in ours "
            "without one of the process; means over seeds."
        ),
        headings=columns,
        frame=frame(rows, columns, text=tuple(name for name in TEXT if name in columns)),
        decimals={
            "paper": 1,
            "reference": 1,
            "paper_minus_baseline": 1,
            "paper_hours": 1,
            "paper_memory_gb": 1,
        },
    )


def throughput_table(ours: Ours, provenance: dict[str, Any]) -> Table:
    """Images per second of each architecture's forward pass."""
    headings = {
        "setting": "Machine",
        "architecture": "Architecture",
        "paper": "Paper, images per second",
        "ours": "Ours, images per second",
        "ours_sd": "Ours, sd",
        "n": "n",
    }
    published = paper_rows("throughput")
    rows: list[dict[str, Any]] = [
        {"setting": row.label, "architecture": row.architecture, "paper": row.value}
        for row in published
    ]
    rows += [row for group in ours.results.leading if (row := _speed(group, provenance))]
    return Table(
        name="paper_throughput",
        caption=(
            f"{METRICS['images_per_second'].capitalize()} through a backbone. Paper: the forward "
            "pass alone on a V100. Ours: the stage features, which decodes each image once and "
            f"passes it through teacher and random init, both counted; {of_data(ours)}, on the "
            "machine named. A difference between the two would be one of machines."
        ),
        headings=headings,
        frame=frame(rows, headings, text=("setting", "architecture", "n")),
        decimals={"paper": 0, "ours": 1},
    )


def _variant(row: PaperRow | None) -> str:
    return row.variant if row else ""


def _speed(group: Group, provenance: dict[str, Any]) -> dict[str, Any] | None:
    records = [provenance["runs"][run.name]["features"] for run in group.runs]
    speeds = [r["images_per_second"] for r in records if r.get("images_per_second") is not None]
    if not speeds:
        return None
    machine = records[0].get("machine", {})
    gpu = "GPU beside " if records[0].get("peak_gpu_memory_mib") else ""
    cores = f"{machine['cores']} cores of " if not gpu and machine.get("cores") else ""
    return {
        "setting": f"{gpu}{cores}{machine.get('processor', 'unknown')}",
        "architecture": group.architecture,
        "ours": fmean(speeds),
        "n": str(len(speeds)),
    }


def _hours(record: dict[str, Any]) -> float | None:
    """The time of the whole training, from the steps of its last attempt; None without steps."""
    return wall_seconds(record) / SECONDS_PER_HOUR if record.get("steps") else None


def _memory_gb(record: dict[str, Any]) -> float | None:
    if not record.get("steps"):
        return None
    used = record.get("peak_gpu_memory_mib") or record.get("peak_memory_mib")
    return None if used is None else float(used) * 2**20 / 1e9


def _mean(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return fmean(measured) if measured else None
