"""Every preset says what differs from the defaults, and both engines can plan what it makes."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from workplace import PER_RUN, ROOT, STAGES, Workplace

from dino.core.configuration.parameters import Parameters, read_parameters
from dino.core.configuration.presets import preset_names, read_preset
from dino.core.configuration.section import parse
from dino.core.pipeline import read_pipeline
from dino.core.provenance import plain

NAMES = preset_names(ROOT)
SECTIONS = set(Parameters.__dataclass_fields__)
LEAST = {
    "runs": {"architecture": ["vit"], "variant": ["dino"], "seed": [0]},
    "architectures": {"vit": {"timm_name": "vit_tiny_patch16_224"}},
    "variants": {"dino": {}},
}
LONGEST_COST, LONGEST_TITLE = 28, 90
IMAGES_OF_A_CLASS = 6000
"""In each of two classes: enough for 10,000 validation images and the largest batch."""

# DVC's own reading of dvc.yaml, of all presets in one process that imports DVC once
STEPS_OF_DVC = """
import json, shutil, sys
from dvc.repo import Repo
found = {}
for name in sys.argv[1:]:
    shutil.copy(f"whole/{name}.yaml", "params.yaml")
    with Repo(".") as repo:
        stages = [s for s in repo.index.stages if s.addressing != "dvc.yaml"]
        found[name] = {stage.addressing: stage.cmd for stage in stages}
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def plans(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What `snakemake -n` plans for each preset in a fresh clone.

    The user's images and weights are files without content: their names are looked at.
    """
    folder = tmp_path_factory.mktemp("presets")
    images = folder / "images"
    for split in ("train", "val"):
        for label in ("n01", "n02"):
            (images / split / label).mkdir(parents=True)
            for number in range(IMAGES_OF_A_CLASS):
                (images / split / label / f"{number}.JPEG").touch()

    def plan(name: str) -> dict[str, int]:
        project = sources.copy(folder / name)
        (project.root / "params.yaml").write_text(read_preset(ROOT, name).text)
        parameters = read_parameters(project.root / "params.yaml")
        for key, dataset in parameters.datasets.items():
            if dataset.path is not None:
                project.set(f"datasets.{key}.path", str(images))
        for architecture in parameters.architectures.values():
            if architecture.weights is not None and architecture.weights.file is not None:
                weights = project.root / architecture.weights.file
                weights.parent.mkdir(exist_ok=True)
                weights.touch()
        return project.planned()

    with ThreadPoolExecutor(max_workers=2) as threads:
        return dict(zip(NAMES, threads.map(plan, NAMES), strict=True))


@pytest.fixture(scope="module")
def steps_of_dvc(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """For each preset, the stages that DVC sees and their commands."""
    project = sources.copy(tmp_path_factory.mktemp("dvc") / "project")
    (project.root / "whole").mkdir()
    for name in NAMES:
        (project.root / "whole" / f"{name}.yaml").write_text(read_preset(ROOT, name).text)
    found: dict[str, dict] = json.loads(project(sys.executable, "-c", STEPS_OF_DVC, *NAMES))
    return found


def test_params_yaml_is_fashion_quick() -> None:
    # dino preset fashion-quick --force: it is the default, and every clone begins with it
    assert (ROOT / "params.yaml").read_text() == read_preset(ROOT, "fashion-quick").text


@pytest.mark.parametrize("name", NAMES)
def test_preset_makes_every_section_and_has_a_whole_header(name: str) -> None:
    preset = read_preset(ROOT, name)
    assert set(yaml.safe_load(preset.text)) == SECTIONS
    assert 0 < len(preset.title) <= LONGEST_TITLE
    assert len(preset.fields["Cost"].splitlines()[0]) <= LONGEST_COST
    assert "snakemake" in preset.fields["Run"]


@pytest.mark.parametrize("name", NAMES)
def test_preset_says_only_what_differs_from_the_defaults(name: str) -> None:
    written = yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text())
    defaults = plain(parse(Parameters, LEAST, where=""))
    assert written.get("variants") != {"dino": {}}
    sections = written.keys() - LEAST.keys() - {"datasets"}
    assert _equal_values({key: written[key] for key in sections}, defaults) == []


def _equal_values(written: dict, defaults: dict, above: str = "") -> list[str]:
    """The keys of `written` whose values are those of `defaults`, and the empty ones."""
    equal = []
    for key, value in written.items():
        if value == defaults[key] or value == {}:
            equal.append(f"{above}{key}")
        elif isinstance(value, dict) and isinstance(defaults[key], dict):
            equal += _equal_values(value, defaults[key], f"{above}{key}.")
    return equal


@pytest.mark.parametrize("name", NAMES)
def test_preset_is_described_with_its_cost(name: str) -> None:
    rows = (ROOT / "docs" / "presets.md").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith(f"| `{name}`"))
    assert f"| {read_preset(ROOT, name).fields['Cost'].splitlines()[0]} " in row


@pytest.mark.parametrize("name", NAMES)
def test_snakemake_plans_the_preset(name: str, plans: dict[str, dict]) -> None:
    runs = read_parameters(ROOT / "presets" / f"{name}.yaml").all_runs()
    expected = {stage: len(runs) if stage in PER_RUN else 1 for stage in STAGES}
    assert plans[name] == expected


@pytest.mark.parametrize("name", NAMES)
def test_dvc_sees_the_steps_of_the_preset(
    name: str, steps_of_dvc: dict[str, dict], sources: Workplace, tmp_path: Path
) -> None:
    shutil.copy(sources.root / "dvc.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(read_preset(ROOT, name).text)
    steps = read_pipeline(tmp_path)
    assert {step.name: step.command for step in steps} == steps_of_dvc[name]
    assert all(value is not None for step in steps for value in step.parameters.values())
