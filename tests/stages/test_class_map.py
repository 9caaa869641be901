from pathlib import Path

import pandas as pd

from dino.core.artifacts import read_json, write_json
from dino.core.configuration.parameters import read_parameters
from dino.core.paths import Project
from dino.stages.class_map import execute

ROOT = Path(__file__).parents[2]


def test_a_data_set_without_labels_has_a_reason_instead_of_a_map(tmp_path: Path) -> None:
    project = Project(root=tmp_path)
    project.data.mkdir(parents=True)
    pd.DataFrame({"id": ["0"], "split": ["test"], "label": [-1]}).to_parquet(
        project.data / "manifest.parquet"
    )
    write_json(project.data / "dataset.json", {"classes": [], "fingerprint": "ab"})
    parameters = read_parameters(ROOT / "params.yaml")
    run = parameters.all_runs()[0]
    execute(project, parameters, run)
    result = read_json(project.run(run.name).result("class_map"))
    assert result == {"reason": "the data set has no labels"}
    assert read_json(project.run(run.name).provenance("class_map"))["stage"] == "class_map"
