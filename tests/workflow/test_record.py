"""`dino record NAME` really runs a preset, apart from the project's own results."""

import json
import time

import numpy as np
import pytest
import yaml
from PIL import Image
from workplace import PARAMETERS, PER_RUN, Workplace

from dino.core.configuration.presets import read_preset
from dino.core.stages import EVALUATIONS

SWITCHES = ("linear", "linear_paper", "low_shot", "class_map", "finetune", "robustness")
PRESET = """# Tiny: two steps on digits
# Source:   nowhere
# Run:      dino record tiny
# Cost:     seconds
# Disk:     nothing
# Expected: nothing
"""
# only what is in no commit differs from the results of the commit
OWN_SEED = 3
RUN = f"tiny-dino-s{OWN_SEED}"


def _preset(**more: object) -> str:
    values = PARAMETERS | {stage: PARAMETERS[stage] | {"enabled": False} for stage in SWITCHES}
    values |= {"runs": {"architecture": ["tiny"], "variant": ["dino"], "seed": [OWN_SEED]}}
    return PRESET + yaml.safe_dump(values | more, sort_keys=False)


@pytest.fixture(scope="module")
def recorded(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    project = sources.copy(tmp_path_factory.mktemp("record") / "project")
    (project.root / "presets" / "tiny.yaml").write_text(_preset())
    (project.root / "presets" / "tiny.trials.csv").write_text("tried,val\nless,10.0\n")
    project.commit("a preset")
    # work in progress that a record must neither use nor touch
    project.set("pretrain.batch_size", 16)
    project("dino", "record", "tiny")
    return project


def test_it_has_the_form_of_results_and_names_the_commit(recorded: Workplace) -> None:
    record = recorded.root / "records" / "tiny"
    summary = json.loads((record / "summary.json").read_text())
    assert list(summary["runs"]) == [RUN]
    commit = recorded("git", "rev-parse", "HEAD").strip()
    stages = json.loads((record / "provenance.json").read_text())["runs"][RUN]
    assert set(stages) == set(PER_RUN)
    assert all(of["git"] == {"commit": commit, "dirty": False} for of in stages.values())
    assert not list(record.rglob("provenance/"))
    measured = {path.stem for path in (record / "runs" / RUN).glob("*.json")}
    assert measured == set(EVALUATIONS) - set(SWITCHES)
    assert stages["pretrain"]["parameters"]["pretrain"]["batch_size"] == 32
    assert (record / "params.yaml").read_text() == read_preset(recorded.root, "tiny").text
    environment = json.loads((record / "environment.json").read_text())
    assert environment["hours"]["pretrain"] * 3600 == pytest.approx(
        stages["pretrain"]["wall_seconds"], abs=2
    )
    assert (record / "trials.csv").read_text() == "tried,val\nless,10.0\n"
    readme = (record / "README.md").read_text()
    assert f"{summary['runs'][RUN]['knn_top1']:.2f}" in readme
    assert commit[:12] in readme


def test_the_projects_own_results_are_left_alone(recorded: Workplace) -> None:
    changed = recorded("git", "status", "--porcelain").splitlines()
    assert sorted(line.split()[1] for line in changed) == ["params.yaml", "records/"]


def test_again_it_computes_what_changed_alone(recorded: Workplace) -> None:
    project = recorded
    before = (project.root / "records" / "tiny" / "summary.json").read_bytes()
    assert _executed_by_record(project) == []
    assert (project.root / "records" / "tiny" / "summary.json").read_bytes() == before
    project.append("src/dino/reporting/summary.py", "# a remark\n")
    refusal = project("dino", "record", "tiny", succeeds=False).splitlines()[-1]
    assert refusal == (
        "dino record: src/dino/reporting/summary.py: differs from the last commit, and a record "
        "names one; commit first"
    )
    project("git", "commit", "--quiet", "--all", "--message", "a remark")
    assert _executed_by_record(project) == ["report"]


def _executed_by_record(project: Workplace) -> list[str]:
    started = time.time()
    project("dino", "record", "tiny")
    locks = (project.root / "work" / "records" / "tiny" / "work" / "locks").glob("*")
    return sorted(lock.name for lock in locks if lock.stat().st_mtime > started)


def test_a_workflow_that_fails_leaves_the_record_as_it_was(recorded: Workplace) -> None:
    record = recorded.root / "records" / "tiny"
    before = (record / "summary.json").read_bytes()
    nowhere = {"source": "folder", "path": "nowhere"}
    (recorded.root / "presets" / "tiny.yaml").write_text(_preset(datasets={"digits": nowhere}))
    recorded("git", "commit", "--quiet", "--all", "--message", "a preset that cannot run")
    refusal = recorded("dino", "record", "tiny", succeeds=False).splitlines()[-1]
    assert refusal.startswith("dino record: tiny: snakemake ended with 1")
    assert (record / "summary.json").read_bytes() == before
    refusal = recorded("dino", "record", "tiny", "--until", "knn", succeeds=False).splitlines()[-1]
    assert refusal.startswith("dino record: --until: expected options of snakemake among --profile")
    unknown = recorded("dino", "record", "big", succeeds=False).splitlines()[-1]
    assert unknown.startswith("dino record: expected a preset among ")
    assert unknown.endswith("tiny, got big")


def test_a_preset_may_name_images_below_the_project(recorded: Workplace) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    (recorded.root / "pictures").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(recorded.root / "pictures" / f"{number}.png")
    images = {"source": "folder", "path": "pictures", "val_images": 20, "test_images": 20}
    preset = recorded.root / "presets" / "pictures.yaml"
    preset.write_text(_preset(datasets={"digits": images}))
    recorded.commit("a preset with images of one's own")
    left = recorded.root / "work" / "records" / "pictures" / "pictures"
    left.parent.mkdir()
    left.symlink_to("/where/the/project/lay/before")
    recorded("dino", "record", "pictures")
    summary = json.loads((recorded.root / "records" / "pictures" / "summary.json").read_text())
    assert summary["dataset"]["images"]["train"] == 160
    preset.write_text(_preset(datasets={"digits": images | {"path": "../pictures"}}))
    recorded.commit("a preset with images elsewhere")
    refusal = recorded("dino", "record", "pictures", succeeds=False).splitlines()[-1]
    assert refusal.startswith("dino record: ../pictures: expected a path below the project's root")
