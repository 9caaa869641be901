"""`dino preset`: what it shows, and that it never loses a params.yaml."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dino.cli import run
from dino.core.configuration.presets import preset_names, read_preset
from dino.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
RUNS = """\
runs: {architecture: [a], variant: [dino], seed: [0]}
architectures: {a: {timm_name: vit_tiny_patch16_224}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of the project, as far as the command looks at it."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    _git("init", "--quiet")
    _commit()
    return tmp_path


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def _commit() -> None:
    _git("add", "--all")
    author = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    _git(*author, "commit", "--quiet", "--message", "all")


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["preset", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dino preset: ")
    assert error.strip().count("\n") == 0
    return error


def test_params_yaml_becomes_the_whole_text_of_the_preset(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["preset", "imagenet-vits16-vanilla100"]) == 0
    whole = read_preset(project, "imagenet-vits16-vanilla100").text
    assert (project / "params.yaml").read_text() == whole
    lines = capsys.readouterr().out.splitlines()
    # values that neither file may write stand there too
    assert "-pretrain.crops.local_crops: 3" in lines
    assert "+pretrain.crops.local_crops: 8" in lines
    assert not any("knn.headline" in line for line in lines)
    assert "cost: 8 GPUs, 1.75 days" in lines
    assert any(line.startswith("next: set datasets.imagenet.path") for line in lines)


def test_the_default_preset_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["preset", "fashion-quick"]) == 0
    assert "params.yaml is fashion-quick already" in capsys.readouterr().out
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True)
    assert status.stdout == ""


def test_changes_that_no_commit_holds_are_not_lost(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = (project / "params.yaml").read_text() + "# mine\n"
    (project / "params.yaml").write_text(mine)
    error = _refused(capsys, "cifar10")
    assert "params.yaml: has changes that are in no commit" in error
    assert "--force" in error
    assert (project / "params.yaml").read_text() == mine
    _commit()
    assert run(["preset", "cifar10"]) == 0
    # a preset is in no commit either, and not lost
    assert run(["preset", "stl10"]) == 0
    (project / "params.yaml").write_text(mine)
    _git("add", "params.yaml")
    assert run(["preset", "own-images", "--force"]) == 0
    assert (project / "params.yaml").read_text() == read_preset(project, "own-images").text


def test_without_git_nothing_is_lost_either(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    shutil.rmtree(project / ".git")
    assert run(["preset", "cifar10"]) == 0
    (project / "params.yaml").write_text("mine: 1\n")
    assert "in no commit" in _refused(capsys, "stl10")
    monkeypatch.setenv("PATH", "")
    assert "in no commit" in _refused(capsys, "stl10")


def test_a_broken_or_missing_params_yaml_can_be_replaced(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").write_text("runs: [")
    assert run(["preset", "cifar10", "--force"]) == 0
    assert "no difference can be shown: " in capsys.readouterr().out
    (project / "params.yaml").unlink()
    assert run(["preset", "cifar10"]) == 0
    assert (project / "params.yaml").read_text() == read_preset(project, "cifar10").text


def test_an_unknown_name_is_answered_with_the_known_ones(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _refused(capsys, "imagenet22k")
    assert "got imagenet22k" in error
    assert all(name in error for name in preset_names(ROOT))
    assert "or --list" in _refused(capsys)


def test_outside_a_project_it_says_where_to_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["cifar10"], ["--list"]):
        assert "run from the project's root" in _refused(capsys, *arguments)


def test_list_shows_cost_and_title_of_each(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["preset", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["preset", *preset_names(ROOT)]
    (line,) = (line for line in lines if line.startswith("cifar10 "))
    assert line.endswith(read_preset(ROOT, "cifar10").title)
    assert "1 GPU, 3 hours" in line


def test_a_damaged_preset_hides_no_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "presets" / "aaa.yaml").write_bytes(b"\xff")
    assert run(["preset", "--list"]) == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()[1:]] == [*preset_names(ROOT)]
    assert "presets/aaa.yaml: cannot be read as text" in printed.err


def test_show_prints_the_whole_text_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "params.yaml").read_text()
    assert run(["preset", "cifar10", "--show"]) == 0
    assert capsys.readouterr().out == read_preset(ROOT, "cifar10").text
    assert (project / "params.yaml").read_text() == before


def test_values_that_are_not_valid_name_the_presets_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "presets" / "cifar10.yaml"
    path.write_text(path.read_text() + "knn: {neighbors: [1]}\n")
    error = _refused(capsys, "cifar10")
    assert "presets/cifar10.yaml: knn.neighbors: unknown key; remove it" in error


def test_a_preset_of_ones_own_needs_a_whole_header(project: Path) -> None:
    mine = project / "presets" / "mine.yaml"
    header = "# Mine\n#\n# Source:  me\n# Run:     snakemake\n# Cost:    nothing\n#   much\n"
    mine.write_text(header + "\n" + RUNS)
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: expected a line `# Disk: \.\.\.`"):
        read_preset(project, "mine")
    mine.write_text(header + "# Disk:    none\n# Expected: all\n\n" + RUNS)
    assert read_preset(project, "mine").title == "Mine"
    assert read_preset(project, "mine").fields["Cost"] == "nothing\nmuch"
