"""The parameters that stages recorded, beside those of params.yaml."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dino.core.provenance import plain

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters

Chain = Mapping[str, Mapping[str, Any]]
"""The stages that a result of one run went through, with their provenance."""
Flat = dict[str, Any]
"""Values by their dotted names."""
MISSING = "(none)"
"""The text for a value that was not recorded then, or is no parameter now."""


def parameters_of(run: str | None, chain: Chain) -> Flat:
    """Every resolved parameter that the stages recorded, by its name in params.yaml."""
    sections: dict[str, Any] = {}
    for record in chain.values():
        sections |= record.get("parameters", {})
    if "architecture" in sections:
        name = (run or "").partition("-")[0]
        sections["architectures"] = {name: sections.pop("architecture")}
    return flattened(sections)


def flattened(values: Mapping[str, Any], above: str = "") -> Flat:
    """Nested dictionaries as one, with dotted names."""
    flat: Flat = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat


def differences(
    parameters: "Parameters", run: str | None, recorded: Flat
) -> dict[str, tuple[Any, Any]]:
    """Name: the recorded value and that of `parameters`, where they differ."""
    now = _resolved(parameters, run, recorded)
    return {
        name: (recorded.get(name, MISSING), now.get(name, MISSING))
        for name in dict.fromkeys((*recorded, *now))
        if recorded.get(name, MISSING) != now.get(name, MISSING)
    }


def _resolved(parameters: "Parameters", run: str | None, recorded: Flat) -> Flat:
    """The parameters that the same stages would record now."""
    names = dict.fromkeys(key.partition(".")[0] for key in recorded)
    sections = {name: getattr(parameters, name, None) for name in names}
    if "datasets" in names:
        made = {key.split(".")[1] for key in recorded if key.startswith("datasets.")}
        sections["datasets"] = {name: parameters.datasets.get(name) for name in made}
    if run is not None:
        of_run = parameters.run_named(run)
        special = {
            "architectures": {of_run.architecture: parameters.architectures[of_run.architecture]},
            "variant": of_run.variant,
            "pretrain": parameters.pretrain_of(of_run),
        }
        sections |= {name: value for name, value in special.items() if name in names}
    return flattened(plain(sections))
