"""The README.md of a record: where, when and how long its workflow ran."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SECONDS_PER_HOUR = 3600
_OF_THE_PLACE = ("git", "machine", "python", "packages")


def environment_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Commits, machines, packages and hours of everything in a provenance.json.

    A list holds every different value, in the order of the stages: after a change of code only
    what depends on it ran again, at another commit. `hours` add up the stages' wall times; that of
    a training which was interrupted is extrapolated from the steps of its last attempt.
    """
    records = list(_records(provenance))
    environment: dict[str, Any] = {
        name: _different(record[name] for record in records) for name in _OF_THE_PLACE
    }
    environment["devices"] = _different(
        record["device"] for record in records if "device" in record
    )
    hours = {"pretrain": 0.0, "evaluation": 0.0}
    for record in records:
        kind = "pretrain" if record["stage"] == "pretrain" else "evaluation"
        hours[kind] += wall_seconds(record) / SECONDS_PER_HOUR
    environment["hours"] = {kind: round(value, 3) for kind, value in hours.items()}
    environment["peak_memory_mib"] = max(record["peak_memory_mib"] for record in records)
    environment["started_at"] = min(record["started_at"] for record in records)
    return environment


def wall_seconds(record: Mapping[str, Any]) -> float:
    """The time of a stage, from its provenance; for a training, that of all its steps."""
    seconds = float(record["wall_seconds"])
    steps = record.get("steps")
    return seconds * record["total_steps"] / steps if steps else seconds


def record_text(
    name: str,
    title: str,
    environment: Mapping[str, Any],
    tables: list[str],
    figures: Sequence[str],
    has_trials: bool,
) -> str:
    """The README.md of records/NAME: command, place, cost; texts of tables, names of figures."""
    machine = environment["machine"][0]
    hours = environment["hours"]
    commits = ", ".join(f"`{state['commit'][:12]}`" for state in environment["git"])
    packages = environment["packages"][0]
    parts = [
        f"# {name}",
        f"{title}. Made by `dino record {name}` at {commits}.",
        f"{machine['processor']}, {machine['cores']} cores"
        + "".join(f", {device}" for device in environment["devices"] if device != "cpu")
        + f"; Python {environment['python'][0]}, torch {packages['torch']}, timm "
        f"{packages['timm']}. Pretraining {hours['pretrain']:.2f} h, everything else "
        f"{hours['evaluation']:.2f} h.",
        *tables,
        *(f"![{figure.replace('_', ' ')}](figures/{figure}.png)" for figure in figures),
        "The k-NN curve during training searches part of the training images "
        "(`pretrain.online_knn_bank`), everything else all of them.",
        *(["What was tried before, with its scores on val: trials.csv."] if has_trials else []),
        "summary.json and the tables have the form of results/; params.yaml is what was run; "
        "provenance.json says of every stage from what, by what and where it was made: "
        f"`dino why records/{name}/summary.json`. All figures are in report.html.",
    ]
    return "\n\n".join(parts) + "\n"


def _records(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The record of every stage, wherever it stands in provenance.json."""
    for value in provenance.values():
        if "stage" in value:
            yield value
        else:
            yield from _records(value)


def _different(values: Iterator[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
