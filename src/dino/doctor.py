"""What this machine offers, and what is missing for each stage."""

import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dino.core.configuration.parameters import Parameters, read_parameters
from dino.core.configuration.prepare import PrepareConfig
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.pipeline import Step, read_pipeline
from dino.core.provenance import processor_name

GIB = 2**30
INSTALL = "install the project's packages: pip install -e ."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    label: str
    text: str
    remedy: str | None = None
    """What the user must do before everything can run; None: nothing."""


def doctor(root: Path) -> int:
    """0 when every stage of the project at `root` could run, 1 when the user must mend something.

    Prints what it finds; changes nothing.
    """
    print(f"Project at {root}")
    remedies = []
    for title, examine in SECTIONS.items():
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
    yield _source(parameters.prepare, project)
    yield from _folders(root, parameters)


def _source(config: PrepareConfig, project: Project) -> Finding:
    """Where `prepare` will find the images; nothing is fetched."""
    from dino.data.sources import fashion_mnist

    label = "images"
    if (project.data / "dataset.json").is_file():
        return Finding(label=label, text=f"prepared from {config.source}")
    if config.source == "digits":
        return Finding(label=label, text="digits, bundled with scikit-learn")
    if config.source != "fashion_mnist":
        return _source_elsewhere(config)

    def holds_all(folder: Path) -> bool:
        return all(
            any((folder / f"{name}{suffix}").is_file() for suffix in ("", ".gz"))
            for name in fashion_mnist.FILES
        )

    if config.path is not None:
        if holds_all(Path(config.path)):
            return Finding(label=label, text=f"{config.source} in {config.path}")
        return Finding(
            label=label,
            text=f"not in {config.path}",
            remedy=f"set prepare.path in params.yaml to a folder with "
            f"{', '.join(fashion_mnist.FILES)} (or .gz), or to null",
        )
    if holds_all(fashion_mnist.INSTALLED):
        return Finding(label=label, text=f"{config.source} in {fashion_mnist.INSTALLED}")
    apt = shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None
    how = f"Debian's {fashion_mnist.DEBIAN_PACKAGE}" if apt else "torchvision's download"
    return Finding(label=label, text=f"{config.source} will be fetched: {how} (31 MB)")


def _source_elsewhere(config: PrepareConfig) -> Finding:
    if config.path is None:
        return Finding(label="images", text=f"{config.source} will be downloaded")
    if Path(config.path).exists():
        return Finding(label="images", text=f"{config.source} in {config.path}")
    return Finding(
        label="images",
        text=f"{config.path} does not exist",
        remedy="set prepare.path in params.yaml to the images of prepare.source",
    )


def _folders(root: Path, parameters: Parameters) -> Iterator[Finding]:
    project = Project(root=root)
    wanted = [project.data, project.results, root / "work", root / "logs", root / "artifacts"]
    for run in parameters.all_runs():
        paths = project.run(run.name)
        wanted += [paths.results, paths.artifacts, paths.work]
    # folders that are not there yet are made in the nearest one that is
    existing = {next(p for p in (folder, *folder.parents) if p.exists()) for folder in wanted}
    refused = {folder: reason for folder in sorted(existing) if (reason := _refusal(folder))}
    for folder, reason in refused.items():
        yield Finding(label="folder", text=f"{folder} {reason}", remedy=f"{folder} {reason}")
    if not refused:
        yield Finding(label="folders", text="writable")


def _refusal(folder: Path) -> str | None:
    """Why no file can be made in `folder`, None when one can."""
    if not folder.is_dir():
        return "is a file where a folder is needed; move it away"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror}); check its permissions and the disk"


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


SECTIONS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "Machine": _machine,
    "Software": _software,
    "Arithmetic": _arithmetic,
    "Project": _project,
    "Stages": _stages,
}
