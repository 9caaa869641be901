"""Whether what a result was made from is still what lies on the disk."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dino.core.artifacts import read_json, sha256_of_file
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import MODELS
from dino.reporting.recorded_parameters import Chain, Flat, differences
from dino.reporting.why.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Something with a checksum, and what became of it."""

    name: str
    expected: str
    text: str
    differs: bool = False


def findings(evidence: Evidence, run: str | None, chain: Chain) -> tuple[Checked, ...]:
    """The checks of the data set, the checkpoint and the exported models of one run's chain."""
    return tuple(found for found in _findings(evidence, run, chain) if found is not None)


def _findings(evidence: Evidence, run: str | None, chain: Chain) -> Iterable[Checked | None]:
    data = _agreed("data", {stage: record.get("data") for stage, record in chain.items()})
    description = evidence.project.data(evidence.dataset or "") / "dataset.json"
    yield _compare(
        evidence, data, description, lambda path: str(read_json(path).get("fingerprint"))
    )
    if run is None:
        return
    paths = evidence.project.run(run)
    checkpoint = {stage: record.get("checkpoint") for stage, record in chain.items()}
    yield _compare(evidence, _agreed("checkpoint", checkpoint), paths.checkpoint, sha256_of_file)
    for model in MODELS:
        models = {stage: record.get("models", {}).get(model) for stage, record in chain.items()}
        weights = paths.model(model) / "model.safetensors"
        yield _compare(evidence, _agreed(model, models), weights, sha256_of_file)


def _agreed(name: str, of_stages: Mapping[str, str | None]) -> Checked | None:
    """The checksum that all stages name, or that they name several; None without any."""
    known = {stage: value for stage, value in of_stages.items() if value is not None}
    if not known:
        return None
    first = next(iter(known.values()))
    if len(set(known.values())) == 1:
        return Checked(name=name, expected=first, text="")
    stages = ", ".join(f"{stage} {value[:12]}" for stage, value in known.items())
    return Checked(
        name=name,
        expected=first,
        text=f"DIFFERS between the stages ({stages}): run `snakemake`",
        differs=True,
    )


def _compare(
    evidence: Evidence, found: Checked | None, path: Path, checksum: Callable[[Path], str]
) -> Checked | None:
    if found is None or found.differs:
        return found
    differs = False
    if not evidence.of_this_project:
        text = "not kept with the record"
    elif not path.is_file():
        text = f"{path}: absent; `dvc pull` fetches it, if it was pushed"
    else:
        actual = checksum(path)
        differs = actual != found.expected
        text = f"{path}: the same"
        if differs:
            text = f"{path}: DIFFERS, it is {actual}; run `dvc checkout` or `snakemake`"
    return Checked(name=found.name, expected=found.expected, text=text, differs=differs)


def changed_parameters(
    evidence: Evidence, run: str | None, recorded: Flat
) -> dict[str, tuple[Any, Any]] | str:
    """Name: the value of then and that of now; or why they cannot be compared.

    A record's params.yaml was kept with its results, and does not change.
    """
    if not evidence.of_this_project:
        return {}
    if not evidence.parameters.is_file():
        return f"{evidence.parameters}: absent"
    try:
        return differences(read_parameters(evidence.parameters), run, recorded)
    except DinoError as error:
        return str(error)
