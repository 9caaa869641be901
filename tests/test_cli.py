"""Bad input is one clear line on standard error and a non-zero exit, and nothing is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from dino.cli import run
from dino.core.provenance import plain
from dino.core.stages import STAGES
from dino.model.checkpoint import save_checkpoint

PARAMETERS = {
    "runs": {"architecture": ["vit"], "variant": ["dino"], "seed": [0]},
    "variants": {"dino": {}},
    "architectures": {
        "vit": {
            "timm_name": "vit_tiny_patch16_224",
            "image_size_px": 8,
            "patch_size_px": 4,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 2,
        }
    },
    "datasets": {"digits": {"source": "digits", "val_images": 100, "max_train_images": 100}},
    "pretrain": {"crops": {"global_size_px": 8, "local_size_px": 4}, "batch_size": 50},
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 2},
    "attention": {"image_size_px": 8},
    "finetune": {"enabled": False},
}
RUN = "vit-dino-s0"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["dino"])
    _write(PARAMETERS)
    return tmp_path


def _write(values):
    Path("params.yaml").write_text(yaml.safe_dump(values))


def _refused(capsys, *arguments):
    assert run(list(arguments)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"dino {arguments[0]}: ")
    assert "Traceback" not in error
    return error


def test_every_stage_has_a_module_and_help(capsys):
    for stage in STAGES:
        with pytest.raises(SystemExit) as caught:
            run([stage, "--help"])
        assert caught.value.code == 0
        assert "usage: dino" in capsys.readouterr().out
        assert (Path(__file__).parents[1] / "src/dino/stages" / f"{stage}.py").is_file()


def test_outside_a_project_the_missing_file_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "params.yaml: not found" in _refused(capsys, "prepare")


def test_an_unknown_key_is_named(project, capsys):
    _write({**PARAMETERS, "prepar": {}})
    assert "prepar: unknown key" in _refused(capsys, "prepare")


def test_an_unknown_run_is_answered_with_the_known_ones(project, capsys):
    assert RUN in _refused(capsys, "knn", "--run", "vit-dino-s9")


def test_a_launcher_that_is_not_there_is_refused(project, capsys, monkeypatch):
    monkeypatch.setenv("DINO_LAUNCHER", "lsf")
    assert "DINO_LAUNCHER: expected local or slurm, got lsf" in _refused(capsys, "prepare")


def test_slurm_without_its_settings_is_refused(project, capsys, monkeypatch):
    monkeypatch.setenv("DINO_LAUNCHER", "slurm")
    assert "slurm/settings.yaml: not found" in _refused(capsys, "prepare")


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("pretrain", "manifest.parquet"),
        ("export", "checkpoint.pth"),
        ("features", "manifest.parquet"),
        ("knn", "dataset.json"),
        ("attention", "manifest.parquet"),
    ],
)
def test_a_missing_input_says_which_stage_makes_it(project, capsys, stage, missing):
    error = _refused(capsys, stage, "--run", RUN)
    assert f"{missing}: not found; run `dino" in error


def test_a_file_in_place_of_the_results_folder_is_named(project, capsys):
    Path("results").write_text("not a folder")
    error = _refused(capsys, "prepare")
    assert "results" in error
    assert "is a file where a folder is needed; move it away" in error
    assert Path("results").read_text() == "not a folder"


def test_a_full_disk_is_named_and_what_was_there_stays(project, capsys):
    assert run(["prepare"]) == 0
    folder = project / "data" / "digits"
    before = (folder / "dataset.json").read_bytes()
    # the same files on a file system that has no room for another copy
    small = project / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        for path in folder.iterdir():
            shutil.copy(path, small)
        with (
            (small / "filler").open("wb", buffering=0) as filler,
            pytest.raises(OSError, match="No space left"),
        ):
            while True:
                filler.write(bytes(4096))
        shutil.rmtree(folder)
        folder.symlink_to(small)
        assert "no space left" in _refused(capsys, "prepare")
        assert (folder / "dataset.json").read_bytes() == before
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_checkpoint_of_another_architecture_is_refused(project, capsys):
    architecture = {**PARAMETERS["architectures"]["vit"], "depth": 3}
    content = {
        "fingerprint": "",
        "architecture": plain(architecture),
        "head": {},
        "seed": 0,
        "student": {},
        "teacher": {},
        "optimizer": {},
        "center": torch.zeros(1),
        "scaler": {},
        "step": 0,
        "skipped": 0,
        "log": [],
        "measured": torch.empty(0),
    }
    save_checkpoint(project / "artifacts" / RUN / "checkpoint.pth", content)
    error = _refused(capsys, "export", "--run", RUN)
    assert "other values of architectures.vit" in error


@pytest.mark.parametrize(
    "arguments", ["preset --list", "why records/fashion-reference/summary.json"]
)
def test_a_command_whose_output_nobody_reads_on_is_quiet(arguments):
    with subprocess.Popen(
        ["dino", *arguments.split()],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (141, b"")


def test_errors_that_nobody_reads_are_quiet_too():
    shell = "dino preset --show nothing 2>&1 | true; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert (done.returncode in (1, 141), done.stderr) == (True, "")
