"""card: describe the exported teacher in a README.md beside it."""

from typing import TYPE_CHECKING

from dino.core.artifacts import read_json, write_text
from dino.core.paths import TEACHER, Project
from dino.core.provenance import Stopwatch
from dino.reporting.agreement import ensure_agreement
from dino.reporting.card import CardInputs, model_card
from dino.reporting.forms import read_record, read_result
from dino.stages.saving import save_provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run

_DESCRIBED = ("pretrain", "export", "knn", "linear", "attention")
"""The stages whose results the card holds."""


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write artifacts/RUN/teacher/README.md."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    ensure_agreement(project, parameters, [run], _DESCRIBED)
    inputs = CardInputs(
        run=run.name,
        dataset=read_result(project.data(parameters.trained_on) / "dataset.json"),
        model=read_json(paths.model(TEACHER) / "config.json"),
        knn=read_result(paths.result("knn")),
        linear=read_result(paths.result("linear")),
        attention=read_result(paths.result("attention")),
        pretrain=read_record(paths.provenance("pretrain")),
        export=read_record(paths.provenance("export")),
    )
    write_text(paths.model(TEACHER) / "README.md", model_card(inputs))
    save_provenance(
        project,
        "card",
        run,
        stopwatch,
        {"architecture": parameters.architectures[run.architecture]},
        data=inputs.dataset["fingerprint"],
        precision=None,
    )
