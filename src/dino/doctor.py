"""`dino doctor`: what this machine offers, and what is missing for each stage."""

import os
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.pipeline import Step, read_pipeline
from dino.core.provenance import processor_name
from dino.orchestration.bridge import Bridge
from dino.orchestration.checks import problems
from dino.orchestration.cluster import cluster_problems
from dino.orchestration.images import images_to_prepare, prepared_images

GIB = 2**30
INSTALL = "install the project's packages: pip install -e ."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    label: str
    text: str
    remedy: str | None = None
    """What the user must do before everything can run; None: nothing."""


def doctor(root: Path, *, trial: bool = False) -> int:
    """The exit code: 0 if every stage of the project at `root` could run, 1 if not.

    Prints what it finds; changes nothing. With `trial` some real training steps say how long the
    trainings will take.
    """
    print(f"Project at {root}")
    remedies = []
    for title, examine in {**SECTIONS, **({"Training": _trainings} if trial else {})}.items():
        print(f"\n{title}")
        for finding in examine(root):
            print(f"  {finding.label:<12} {finding.text}")
            if finding.remedy is not None:
                remedies.append(finding.remedy)
    if not remedies:
        print("\nNothing is missing. `snakemake -n` shows which stages are to run.")
        return 0
    print("\nTo do before every stage can run:")
    for remedy in remedies:
        print(f"  - {remedy}")
    return 1


def _machine(root: Path) -> Iterator[Finding]:
    yield Finding(label="system", text=f"{platform.system()} {platform.release()}")
    yield Finding(label="processor", text=processor_name())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(label="cores", text=f"{usable} usable of {os.cpu_count()}")
    yield Finding(label="memory", text=f"{_memory_bytes() / GIB:.1f} GiB")
    yield Finding(label="disk", text=f"{shutil.disk_usage(root).free / GIB:.1f} GiB free")
    slurm = shutil.which("sinfo")
    yield Finding(
        label="SLURM",
        text=f"sinfo at {slurm}; `dino doctor --slurm` checks slurm/settings.yaml"
        if slurm
        else "not on this machine",
    )


def _memory_bytes() -> int:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        # no control group, or one without a limit ("max")
        return physical


def _software(root: Path) -> Iterator[Finding]:
    yield Finding(label="Python", text=f"{platform.python_version()} at {sys.executable}")
    for package in ("torch", "torchvision", "timm"):
        try:
            yield Finding(label=package, text=metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding(label=package, text="not installed", remedy=INSTALL)
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for tool, purpose in (
        ("snakemake", "runs the stages, also on clusters"),
        ("dvc", "runs the stages, versions data and results"),
        ("git", "records the commit beside every result"),
    ):
        path = shutil.which(tool, path=folders)
        yield Finding(label=tool, text=path or f"not found; optional: it {purpose}")


def _arithmetic(root: Path) -> Iterator[Finding]:
    try:
        import torch

        from dino.core.precision import best_device, resolve_precision
    except ImportError as error:
        text = f"cannot be imported ({error})"
        yield Finding(label="torch", text=text, remedy=INSTALL)
        return
    capabilities = torch.cpu.get_capabilities()
    known = {"AMX": "amx_bf16", "AVX512_BF16": "avx512_bf16", "AVX512": "avx512_f", "AVX2": "avx2"}
    found = [name for name, key in known.items() if capabilities.get(key)]
    yield Finding(label="vectors", text=", ".join(found) or "none that matter")
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    names = [f"{device.name}, {device.total_memory / GIB:.0f} GiB" for device in devices]
    yield Finding(label="CUDA", text="; ".join(names) or "no device: training uses the processor")
    device = best_device()
    precision = resolve_precision("auto", device)
    yield Finding(label="precision", text=f"auto means {precision} on {device.type}")


def _project(root: Path) -> Iterator[Finding]:
    project = Project(root=root)
    try:
        parameters = read_parameters(project.parameters)
    except DinoError as error:
        yield Finding(label="params.yaml", text="cannot be used", remedy=str(error))
        return
    runs = ", ".join(run.name for run in parameters.all_runs())
    yield Finding(label="params.yaml", text=f"valid; runs: {runs}")
    for name, config in parameters.datasets.items():
        yield _source(name, config, project)


def _source(name: str, config: DatasetConfig, project: Project) -> Finding:
    """The number of images that `prepare` has found, or will find; nothing is fetched."""
    try:
        prepared = prepared_images(project.data(name))
        images = prepared or images_to_prepare(config, project, name)
    except DinoError as error:
        # which is told again where it stops a stage
        return Finding(label=name, text=f"cannot be used: {error}")
    where = config.path or config.huggingface.name
    source = config.source + (f" in {where}" if where else "")
    if images is None:
        return Finding(label=name, text=f"{source}, counted when fetched or unpacked")
    how = f"prepared from {config.source}" if prepared else source
    return Finding(label=name, text=f"{how}: {images.text}")


def _plan(root: Path) -> Iterator[Finding]:
    """The reasons for which the next command would refuse."""
    project = Project(root=root)
    try:
        parameters = read_parameters(project.parameters)
        steps = [step.target for step in Bridge(root).out_of_date()]
    except DinoError:
        return  # said of params.yaml and of the stages
    found = [*cluster_problems(project, parameters, steps), *problems(project, parameters, steps)]
    for error in found:
        yield Finding(label="refused", text=str(error), remedy=str(error))
    if not found:
        text = f"{len(steps)} steps are to run; nothing is known that stops them"
        yield Finding(label="checked", text=text)


def _stages(root: Path) -> Iterator[Finding]:
    try:
        read_parameters(Project(root=root).parameters)
    except DinoError:
        yield Finding(label="all", text="unknown until params.yaml can be used")
        return
    try:
        steps = read_pipeline(root)
    except DinoError as error:
        yield Finding(label="all", text="unknown: dvc.yaml cannot be read", remedy=str(error))
        return
    maker = {output: step.stage for step in steps for output in step.outputs}
    of_stage: dict[str, list[str]] = {}
    for step in steps:
        of_stage.setdefault(step.stage, []).append(_state(root, step, maker))
    for stage, states in of_stage.items():
        counts = Counter(states)
        many = len(states) > 1
        text = "; ".join(
            f"{n} of {len(states)} runs: {s}" if many else s for s, n in counts.items()
        )
        yield Finding(label=stage, text=text)


def _state(root: Path, step: Step, maker: dict[str, str]) -> str:
    if all((root / output).exists() for output in step.outputs):
        return "done"
    missing = [path for path in step.inputs if not (root / path).exists()]
    if not missing:
        return "ready to run"
    return "waits for " + ", ".join(dict.fromkeys(maker[path] for path in missing))


def _trainings(root: Path) -> Iterator[Finding]:
    """The time of the trainings, by a trial of some seconds."""
    project = Project(root=root)
    try:
        parameters = read_parameters(project.parameters)
        from dino.training.trial import estimates, training_images

        for label, text in estimates(parameters, *training_images(parameters, project)):
            yield Finding(label=label, text=text)
    except DinoError as error:
        yield Finding(label="unknown", text=str(error))


SECTIONS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "Machine": _machine,
    "Software": _software,
    "Arithmetic": _arithmetic,
    "Project": _project,
    "Stages": _stages,
    "Before the next command": _plan,
}
