import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dino.core.pipeline import read_pipeline
from dino.doctor import doctor

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fresh clone, of which nothing was run."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    return tmp_path


def _set(root: Path, section: str, **values: object) -> None:
    parameters = yaml.safe_load((root / "params.yaml").read_text())
    parameters[section].update(values)
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))


def _set_images(root: Path, **values: object) -> None:
    parameters = yaml.safe_load((root / "params.yaml").read_text())
    parameters["datasets"]["fashion"].update(values)
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))


def _lines(text: str) -> dict[str, str]:
    """Label: text, of the aligned lines."""
    rows = (line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  "))
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _touch_outputs(root: Path, *stages: str) -> None:
    for step in read_pipeline(root):
        for output in step.outputs if step.stage in stages else ():
            (root / output).parent.mkdir(parents=True, exist_ok=True)
            (root / output).touch()


def test_a_fresh_clone_can_run_and_starts_with_prepare(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(root) == 0
    text = capsys.readouterr().out
    lines = _lines(text)
    assert lines["prepare"] == "ready to run"
    assert lines["pretrain"] == "waits for prepare"
    assert lines["report"].startswith("waits for prepare, baselines")
    assert "Nothing is missing" in text


def test_the_machine_is_described(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor(root)
    lines = _lines(capsys.readouterr().out)
    assert lines["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert lines["cores"].endswith(f"of {os.cpu_count()}")
    assert lines["memory"].endswith("GiB")
    assert lines["precision"].startswith(("auto means bf16 on", "auto means float32 on"))
    assert {"torch", "timm", "git", "dvc", "snakemake", "SLURM", "CUDA"} <= lines.keys()


def test_what_ran_is_done_and_what_follows_is_ready(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _touch_outputs(root, "prepare", "pretrain", "export")
    assert doctor(root) == 0
    lines = _lines(capsys.readouterr().out)
    assert lines["prepare"] == lines["pretrain"] == lines["export"] == "done"
    assert lines["features"] == lines["attention"] == "ready to run"
    assert lines["knn"] == "waits for features"


def test_runs_of_a_stage_are_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _touch_outputs(root, "prepare", "pretrain")
    _set(root, "runs", seed=[0, 1, 2])
    assert doctor(root) == 0
    lines = _lines(capsys.readouterr().out)
    assert lines["pretrain"] == "1 of 3 runs: done; 2 of 3 runs: ready to run"


def test_a_bad_parameter_is_named_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _set(root, "pretrain", epochs=0)
    assert doctor(root) == 1
    text = capsys.readouterr().out
    assert text.count("params.yaml.pretrain.epochs") == 1
    assert "unknown until params.yaml can be used" in text


def test_a_file_in_a_folders_place_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "results").write_text("")
    assert doctor(root) == 1
    assert f"- {root / 'results'} is a file where a folder is needed" in capsys.readouterr().out


def test_a_path_without_the_images_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _set_images(root, path=str(root / "nowhere"))
    assert doctor(root) == 1
    text = capsys.readouterr().out
    assert text.count(f"- datasets.fashion: path: {root / 'nowhere'} does not exist") == 1
    assert "Nothing is missing" not in text


def test_bundled_images_need_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _set_images(root, source="digits", path=None, val_images=200)
    _set(root, "class_map", superclasses=None)
    assert doctor(root) == 0
    counts = "digits: 1,237 train, 200 val, 360 test images, 10 classes"
    assert _lines(capsys.readouterr().out)["fashion"] == counts


def test_images_of_other_sources_are_looked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "photos").mkdir()
    for index in range(100):
        (root / "photos" / f"{index}.png").touch()
    photos = {"source": "folder", "path": str(root / "photos"), "test_images": 10}
    _set_images(root, **photos, val_images=10)
    assert doctor(root) == 0
    counts = f"folder in {root / 'photos'}: 80 train, 10 val, 10 test images, no classes"
    assert _lines(capsys.readouterr().out)["fashion"] == counts
    _set_images(root, val_images=50)
    assert doctor(root) == 1
    told = "- pretrain.batch_size: expected at most the 40 training images, got 64"
    assert told in capsys.readouterr().out
    _set_images(root, source="cifar10", path=None, test_images=None)
    assert doctor(root) == 0
    assert _lines(capsys.readouterr().out)["fashion"] == "cifar10, counted when fetched or unpacked"


def test_superclasses_of_another_data_set_are_told_before_anything_runs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README's lines for one's own folders of classes lead to, with other defaults."""
    for index in range(120):
        folder = root / "photos" / ("cats" if index % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.png").touch()
    photos = {"source": "class_folders", "path": str(root / "photos")}
    _set_images(root, **photos, val_images=10, test_images=10)
    assert doctor(root) == 1
    text = capsys.readouterr().out
    assert "set class_map.superclasses to null" in text
    assert "Nothing is missing" not in text
    _set(root, "class_map", superclasses=None)
    assert doctor(root) == 0


def test_a_folder_that_is_no_project_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(tmp_path) == 1
    assert "params.yaml: not found; run the command from the project's root" in (
        capsys.readouterr().out
    )


def test_doctor_changes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    doctor(root)
    assert sorted(root.rglob("*")) == before


def test_the_command_exits_with_the_doctors_verdict(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dino.cli", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "To do before every stage can run:" in done.stdout
    assert done.stderr == ""
