"""The checks that come before any job, whoever starts it."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.pipeline import Target
from dino.core.stages import SHARED
from dino.orchestration.folders import unwritable_folders
from dino.orchestration.images import Images, images_to_prepare, prepared_images
from dino.orchestration.rules import RULES, TRUNK
from dino.orchestration.situation import Planned, Situation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters

Steps = Iterable[Target]


def ensure_possible(project: Project, parameters: "Parameters", steps: Steps) -> None:
    """Raise a `DinoError` of one line for the first of `problems`."""
    refuse(problems(project, parameters, steps))


def refuse(found: Iterable[DinoError]) -> None:
    """Raise the first of `found`, with the number of the others."""
    errors = list(found)
    if errors:
        others = len(errors) - 1
        more = f" (and {others} more: `dino doctor` lists them)" if others else ""
        raise DinoError(f"{errors[0]}{more}")


def problems(project: Project, parameters: "Parameters", steps: Steps) -> Iterator[DinoError]:
    """The reasons for which one of `steps` will refuse, each once.

    Where `prepare` is among them its source is listed, else the prepared data say how many images
    there are. Nothing is written, fetched or decoded.
    """
    runs = {run.name: run for run in parameters.all_runs()}
    planned = tuple(
        Planned(
            step.stage,
            None if step.run is None else runs[step.run],
            step.dataset or parameters.trained_on,
        )
        for step in enabled(parameters, steps)
    )
    if not planned:
        return
    yield from unwritable_folders(project, parameters)
    images: dict[str, Images | None] = {}
    for dataset in dict.fromkeys(step.dataset for step in planned):
        images[dataset] = None
        try:
            images[dataset] = _images(project, parameters, planned, dataset)
        except DinoError as error:
            yield error
    processes = 1
    try:
        if any(step.stage == "pretrain" for step in planned):
            processes = _processes(project)
    except DinoError as error:
        yield error
    situation = Situation(
        project=project,
        parameters=parameters,
        planned=planned,
        images=images,
        processes=processes,
    )
    told: set[str] = set()
    for step in planned:
        for rule in RULES.get(step.stage, ()):
            try:
                rule(situation, step)
            except DinoError as error:
                if str(error) not in told:
                    told.add(str(error))
                    yield error


def steps_from(parameters: "Parameters", target: Target) -> Iterator[Target]:
    """`target`, and the steps that build on it."""
    yield target
    of_other_images = target.dataset not in (None, parameters.trained_on)
    if target.stage not in TRUNK or of_other_images:
        return
    order = list(RULES)
    for later in order[order.index(target.stage) + 1 :]:
        if later not in SHARED:
            runs = [run.name for run in parameters.all_runs()]
            yield from (Target(later, run) for run in ([target.run] if target.run else runs))
        elif target.run is None:
            yield Target(later)


def enabled(parameters: "Parameters", steps: Steps) -> list[Target]:
    """`steps` without the stages that params.yaml switches off."""
    return [step for step in steps if parameters.enabled(step.stage)]


def _images(
    project: Project, parameters: "Parameters", planned: tuple[Planned, ...], dataset: str
) -> Images | None:
    if Planned("prepare", None, dataset) in planned:
        return images_to_prepare(parameters.datasets[dataset], project, dataset)
    return prepared_images(project.data(dataset))


def _processes(project: Project) -> int:
    """The number of processes that train together, by the environment and slurm/settings.yaml."""
    if os.environ.get("DINO_LAUNCHER") == "slurm":
        from dino.launch.settings import read_settings

        settings = read_settings(project.root)
        if "pretrain" in settings.submit:
            return settings.job("pretrain").tasks
    if "WORLD_SIZE" in os.environ or "DINO_PROCESSES" not in os.environ:
        return int(os.environ.get("WORLD_SIZE", "1"))
    from dino.launch.local import processes_wanted

    return processes_wanted()
