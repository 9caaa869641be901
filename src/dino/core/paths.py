"""The paths of every stage's files below the project's root, the same as in dvc.yaml."""

from dataclasses import dataclass
from pathlib import Path

TEACHER = "teacher"
RANDOM_INIT = "random_init"
RAW_PIXELS = "raw_pixels"
MODELS = (TEACHER, RANDOM_INIT)
"""The two exported backbones of a run: the trained teacher, and the same one before step 0."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """The files that belong to no single run."""

    root: Path

    @property
    def parameters(self) -> Path:
        return self.root / "params.yaml"

    def data(self, dataset: str) -> Path:
        """Folder of a prepared data set: manifest.parquet, images.arrow, dataset.json."""
        return self.root / "data" / dataset

    @property
    def downloads(self) -> Path:
        """Folder for what `prepare` fetches; safe to delete."""
        return self.root / "work" / "downloads"

    def preparation(self, dataset: str) -> Path:
        """Folder of an interrupted `prepare`'s state, which no engine tracks."""
        return self.root / "work" / "prepare" / dataset

    @property
    def results(self) -> Path:
        return self.root / "results"

    def result(self, stage: str) -> Path:
        return self.results / f"{stage}.json"

    def provenance(self, stage: str, dataset: str | None = None) -> Path:
        """The provenance of a stage, for `dataset` if each data set has its own."""
        name = stage if dataset is None else f"{stage}/{dataset}"
        return self.results / "provenance" / f"{name}.json"

    def run(self, name: str) -> "RunPaths":
        return RunPaths(root=self.root, name=name)


@dataclass(frozen=True, kw_only=True)
class RunPaths:
    """The files of one run."""

    root: Path
    name: str

    @property
    def work(self) -> Path:
        """Folder of the state from which an interrupted run resumes; no engine tracks it."""
        return self.root / "work" / self.name

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts" / self.name

    @property
    def checkpoint(self) -> Path:
        return self.artifacts / "checkpoint.pth"

    @property
    def attention_maps(self) -> Path:
        return self.artifacts / "attention_maps.npz"

    @property
    def attention_images(self) -> Path:
        return self.results / "attention_images.csv"

    @property
    def results(self) -> Path:
        """Folder of its numbers; the report depends on results/runs as a whole (see dvc.yaml)."""
        return self.root / "results" / "runs" / self.name

    @property
    def training_log(self) -> Path:
        return self.results / "pretrain.csv"

    def model(self, model: str) -> Path:
        """Folder of an exported backbone (`model` is one of MODELS)."""
        return self.artifacts / model

    def features(self, model: str) -> Path:
        return self.artifacts / "features" / f"{model}.safetensors"

    def result(self, stage: str) -> Path:
        return self.results / f"{stage}.json"

    def provenance(self, stage: str) -> Path:
        return self.results / "provenance" / f"{stage}.json"
