"""dvc.yaml filled in as DVC does it."""

from pathlib import Path

import pytest

from dino.core.errors import ConfigurationError
from dino.core.pipeline import Step, Target, read_pipeline, read_step

PARAMETERS = """
runs: {architecture: [small, large], seed: [0, 7]}
architectures: {small: {depth: 2}, large: {depth: 9}}
train: {rate: 0.1, steps: 3}
"""
PIPELINE = """
stages:
  train:
    matrix: {architecture: "${runs.architecture}", seed: "${runs.seed}"}
    cmd: dino train --run ${item.architecture}-dino-s${item.seed}
    params: ["architectures.${item.architecture}", train.rate]
    deps: [src/train.py]
    outs:
      - artifacts/${item.architecture}-dino-s${item.seed}/weights
      - results/runs/${item.architecture}-dino-s${item.seed}/train.json: {cache: false}
    plots:
      - results/runs/${item.architecture}-dino-s${item.seed}/train.csv: {cache: false, x: epoch}
  report:
    cmd: dino report
    params:
      - params.yaml:
    deps: [src/report.py, results/runs]
    metrics:
      - results/summary.json: {cache: false}
"""


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    return {step.name: step for step in read_pipeline(tmp_path)}


def test_matrix_makes_a_step_of_every_combination(steps: dict[str, Step]) -> None:
    names = ["train@small-0", "train@small-7", "train@large-0", "train@large-7", "report"]
    assert list(steps) == names


def test_expressions_are_filled_in(steps: dict[str, Step]) -> None:
    step = steps["train@large-7"]
    assert step.command == "dino train --run large-dino-s7"
    assert step.run == "large-dino-s7"
    assert step.parameters == {"architectures.large": {"depth": 9}, "train.rate": 0.1}
    assert step.code == ("src/train.py",)
    assert step.outputs == (
        "artifacts/large-dino-s7/weights",
        "results/runs/large-dino-s7/train.json",
        "results/runs/large-dino-s7/train.csv",
    )


def test_folder_stands_for_the_outputs_below_it(steps: dict[str, Step]) -> None:
    assert steps["report"].inputs == tuple(
        f"results/runs/{run}/train.{suffix}"
        for run in ("small-dino-s0", "small-dino-s7", "large-dino-s0", "large-dino-s7")
        for suffix in ("json", "csv")
    )


def test_file_of_parameters_stands_for_all_of_them(steps: dict[str, Step]) -> None:
    assert list(steps["report"].parameters) == ["runs", "architectures", "train"]
    assert steps["report"].run is None


def test_an_axis_that_is_no_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("runs: {architecture: [small], seed: 7}")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    with pytest.raises(ConfigurationError, match=r"runs\.seed: this key is required, as a list"):
        read_pipeline(tmp_path)


def test_missing_pipeline_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    with pytest.raises(ConfigurationError, match=r"dvc\.yaml: not found; run from"):
        read_pipeline(tmp_path)


DATASETS = """
stages:
  prepare:
    foreach: ${datasets}
    do:
      cmd: dino prepare --dataset ${key}
      params: ["datasets.${key}"]
      deps: [src/prepare.py]
      outs: ["data/${key}/dataset.json"]
  train:
    cmd: dino train
    params: [train]
    deps: [src/train.py, "data/${train.dataset}/dataset.json"]
    outs: [weights]
"""


def _of_datasets(root: Path, train: str) -> tuple[Step, ...]:
    (root / "params.yaml").write_text(f"datasets: {{a: {{n: 1}}, b: {{n: 2}}}}\ntrain: {train}\n")
    (root / "dvc.yaml").write_text(DATASETS)
    return read_pipeline(root)


def test_only_data_sets_that_a_step_reads_are_prepared(tmp_path: Path) -> None:
    prepare, train = _of_datasets(tmp_path, "{dataset: b}")
    assert prepare.name == "prepare@b"
    assert prepare.target == Target("prepare", None, "b")
    assert prepare.parameters == {"datasets.b": {"n": 2}}
    assert train.inputs == prepare.outputs == ("data/b/dataset.json",)
    # whoever names another one may have it all the same
    other = read_step(tmp_path, Target("prepare", None, "a"))
    assert other.command == "dino prepare --dataset a"


def test_a_step_that_is_unknown_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    _of_datasets(tmp_path, "{dataset: b}")
    with pytest.raises(ConfigurationError, match=r"`dino prepare --dataset a`, .*--dataset b`"):
        read_step(tmp_path, Target("prepare", None, "c"))


def test_a_key_that_dvc_yaml_asks_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"params\.yaml: train\.dataset: "):
        _of_datasets(tmp_path, "{}")
