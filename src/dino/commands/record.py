"""record: really run a preset, and keep what came out in records/NAME."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dino.core.artifacts import read_json, write_json, write_text
from dino.core.configuration.parameters import Parameters, read_parameters
from dino.core.configuration.presets import FOLDER, Preset, read_preset
from dino.core.errors import ConfigurationError, DinoError
from dino.core.locking import only_one
from dino.core.outputs import files_of
from dino.core.pipeline import read_pipeline
from dino.core.provenance import SNAPSHOT, git_state
from dino.reporting.record_readme import environment_of, record_text

WORKFLOW = ("Snakefile", "dvc.yaml", "profiles", "slurm", "src", "workflow")
"""The files and folders with which a copy of the project can compute everything."""
OPTIONS = ("--profile", "--cores", "--jobs", "--keep-going", "--rerun-incomplete", "-c", "-j")
"""The options of snakemake that say where and how jobs run, not which."""
LINKED = ("work/downloads", "weights")
"""The folders that every copy shares: downloads and weights."""
TRIALS = ".trials.csv"
"""The ending of the file beside a preset with earlier trials and their scores on val."""
TABLES, FIGURES = ("accuracy",), ("accuracy", "training_curves")
"""The tables and figures in a record's README.md."""
OF_VARIANTS = ("paper_components",), ("collapse",)
"""Further tables and figures if DINO was trained in several variants."""


def execute(root: Path, name: str, snakemake_options: list[str]) -> None:
    """Run the workflow of the preset `name` in work/records/NAME; write its results to records/.

    The copy of the project there has the code of HEAD and results of its own: neither params.yaml
    nor results/ is touched, and an interrupted record continues. Raises `ConfigurationError` where
    a commit would not say what was run, and `DinoError` when the workflow fails.
    """
    preset = read_preset(root, name)
    parameters = read_parameters(root / FOLDER / f"{name}.yaml")
    _ensure_whole(snakemake_options)
    commit = _commit(root, name)
    with only_one(root, f"record-{name}"):
        workplace = root / "work" / "records" / name
        _set_up(root, workplace, [*LINKED, *_relative_paths(parameters)])
        write_text(workplace / "params.yaml", preset.text)
        facts = {"git": {"commit": commit, "dirty": False}, "preset": name}
        write_json(workplace / SNAPSHOT, facts)
        command = [sys.executable, "-m", "snakemake", *snakemake_options]
        # nothing of this checkout is to be found before the copy's own code
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        code = subprocess.run(command, cwd=workplace, env=environment).returncode
        if code:
            raise DinoError(
                f"{name}: snakemake ended with {code} in {workplace.relative_to(root)}; "
                "what is finished stays there: the same command continues"
            )
        _keep(root, workplace, preset, parameters)
    print(f"records/{name}: written")


def _ensure_whole(options: list[str]) -> None:
    """Raise `ConfigurationError` for options that may leave a part of the workflow undone."""
    unknown = [o for o in options if o.startswith("-") and o.partition("=")[0] not in OPTIONS]
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]}: expected options of snakemake among {', '.join(OPTIONS)}, since a "
            "record holds the whole workflow"
        )


def _commit(root: Path, name: str) -> str:
    """The commit of HEAD; raises `ConfigurationError` if files that would be run differ from it."""
    commit = git_state(root)["commit"]
    if commit is None:
        raise ConfigurationError("expected a git checkout, whose commit a record names")
    paths = [*WORKFLOW, f"{FOLDER}/{name}.yaml", f"{FOLDER}/{name}{TRIALS}"]
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], cwd=root, capture_output=True, text=True
    )
    changed = [line[3:] for line in done.stdout.splitlines()]
    if changed:
        more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
        raise ConfigurationError(
            f"{changed[0]}{more}: differs from the last commit, and a record names one; "
            "commit first"
        )
    return str(commit)


def _relative_paths(parameters: Parameters) -> list[str]:
    """The images and weights below the project's root that the parameters name."""
    named = [dataset.path for dataset in parameters.datasets.values()]
    for run in parameters.all_runs():
        pretrain = parameters.pretrain_of(run)
        weights = parameters.architectures[run.architecture].weights
        named += [pretrain.initial, pretrain.teacher.checkpoint]
        named += [weights.file, weights.folder] if weights else []
    relative = [path for path in dict.fromkeys(named) if path and not Path(path).is_absolute()]
    for path in relative:
        if ".." in Path(path).parts:
            raise ConfigurationError(
                f"{path}: expected a path below the project's root or an absolute one, since a "
                "record is made in another folder"
            )
    return relative


def _set_up(root: Path, workplace: Path, linked: list[str]) -> None:
    """Copy the code of `root` to `workplace`, and link `linked`; computed files stay."""
    workplace.mkdir(parents=True, exist_ok=True)
    for entry in WORKFLOW:
        source, target = root / entry, workplace / entry
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy2(source, target)
    (root / "work" / "downloads").mkdir(exist_ok=True)
    for name in linked:
        link = workplace / name
        if (root / name).exists() and not link.exists():
            link.unlink(missing_ok=True)  # leads to where the project was before
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(root / name)


def _says_something(path: Path, file: Path) -> bool:
    """Whether a record keeps `file`, which is results/`path`.

    It does not keep a stage's provenance, which provenance.json repeats, nor the result of an
    evaluation that gives only the reason why there is none, which summary.json shows as null.
    """
    if "provenance" in path.parts:
        return False
    if path.suffix != ".json":
        return True
    content = read_json(file)
    reason_alone = content.get("reason") and not any(
        value for key, value in content.items() if key != "reason"
    )
    return not reason_alone


def _keep(root: Path, workplace: Path, preset: Preset, parameters: Parameters) -> None:
    """Replace records/NAME by the files that the workflow has written below results/."""
    name = preset.name
    new = root / "records" / f".{name}.tmp"
    shutil.rmtree(new, ignore_errors=True)
    for step in read_pipeline(workplace):
        for output in step.outputs:
            if not output.startswith("results/"):
                continue
            for file in files_of(workplace / output):
                path = file.relative_to(workplace / "results")
                if not _says_something(path, file):
                    continue
                target = new / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    shutil.copyfile(workplace / "params.yaml", new / "params.yaml")
    environment = environment_of(read_json(new / "provenance.json"))
    write_json(new / "environment.json", environment)
    several = len(parameters.runs.variant) > 1
    tables, figures = (
        kind + (more if several else ())
        for kind, more in zip((TABLES, FIGURES), OF_VARIANTS, strict=True)
    )
    texts = [(new / "tables" / f"{table}.md").read_text(encoding="utf-8") for table in tables]
    trials = root / FOLDER / f"{name}{TRIALS}"
    if trials.is_file():
        shutil.copyfile(trials, new / TRIALS.lstrip("."))
    text = record_text(preset.name, preset.title, environment, texts, figures, trials.is_file())
    write_text(new / "README.md", text)
    shutil.rmtree(root / "records" / name, ignore_errors=True)
    new.rename(root / "records" / name)
