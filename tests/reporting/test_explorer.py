import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from explorer_arrays import CELLS, HEADS, IMAGES

from dino.core.configuration.parameters import read_parameters
from dino.core.paths import Project
from dino.reporting import explorer as module
from dino.reporting.executions import executions
from dino.reporting.explorer import explorer, images_shown
from dino.reporting.reading import read_provenance, read_results
from dino.reporting.results import Results
from dino.reporting.table import NOT_MEASURED


def test_the_first_seed_of_each_architecture_is_shown(results: Results) -> None:
    runs = explorer(results).data["runs"]
    assert [run["name"] for run in runs] == ["vit_micro_7-dino-s0", "vit_nano_7-dino-s0"]
    assert runs[0]["models"] == ["Teacher", "Random init"]


def test_no_more_than_four_runs_are_shown(tmp_path: Path, projects: Callable[..., Project]) -> None:
    names = tuple(f"vit_{letter}_7" for letter in "abcdef")
    project = projects(tmp_path, names, seeds=(0,), without_attention=("vit_a_7",))
    shown = explorer(read_results(project, read_parameters(project.parameters)))
    assert [run["name"][:5] for run in shown.data["runs"]] == ["vit_b", "vit_c", "vit_d", "vit_e"]
    assert shown.absent == (("vit_a_7-dino-s0", "resnet50 has no [CLS] token"),)
    assert "Not shown: vit_f_7-dino-s0." in shown.left_out


def test_the_arrays_are_the_stages_bytes(one_run: Results) -> None:
    (run,) = explorer(one_run).data["runs"]
    assert (run["heads"], run["grid"] ** 2, len(run["images"])) == (HEADS, CELLS, IMAGES)
    maps = one_run.runs[0].maps
    teacher = run["images"][1]["models"][0]
    attention = np.frombuffer(base64.b64decode(teacher["attention"]), np.uint8)
    np.testing.assert_array_equal(attention, maps["explorer_teacher_attention"][1].ravel())
    rows = np.frombuffer(base64.b64decode(teacher["rowMaximum"]), "<f4")
    np.testing.assert_array_equal(rows, maps["explorer_teacher_row_maximum"][1].ravel())
    assert teacher["lowestSimilarity"] == -0.5


def test_large_grids_leave_fewer_images() -> None:
    def maps(heads: int, cells: int) -> dict[str, np.ndarray]:
        return {
            f"explorer_{model}_{kind}": np.zeros(shape, np.uint8)
            for model in ("teacher", "random_init")
            for kind, shape in (
                ("attention", (6, heads, 1 + cells, 1 + cells)),
                ("similarity", (6, cells, cells)),
            )
        }

    assert images_shown([maps(4, 64)]) >= 6
    assert images_shown([maps(6, 100)]) >= 6
    # a ViT-S/16 at 224 px
    assert images_shown([maps(6, 196)]) >= 6
    assert images_shown([maps(12, 196)]) == 3
    assert images_shown([maps(12, 196)] * 4) == 0


def test_where_nothing_fits_one_image_of_one_run_is_shown(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_both = explorer(results).data["runs"]
    assert explorer(results).left_out == ""
    monkeypatch.setattr(module, "BUDGET_BYTES", 1)
    (run,) = explorer(results).data["runs"]
    assert run["images"] == of_both[0]["images"][:1]
    said = explorer(results).left_out
    assert said.startswith("1 of 3 images of each run are shown; not shown: vit_nano_7-dino-s0.")


def test_executions_name_commit_command_weights_and_versions(
    tmp_path: Path, projects: Callable[..., Project]
) -> None:
    project = projects(tmp_path, ("vit_micro_7",), seeds=(0,))
    shared, run = executions(read_provenance(project, read_parameters(project.parameters)))
    assert shared.stages[0].stage == "prepare" and shared.stages[0].command == NOT_MEASURED
    stages = {stage.stage: stage for stage in run.stages}
    assert stages["export"].commit == "0123456789 + changes"
    assert run.commits == "0123456789, 0123456789 + changes"
    assert stages["knn"].command == "dino knn --run vit_micro_7-dino-s0"
    assert stages["pretrain"].weights == (("checkpoint", "12" * 6),)
    assert stages["attention"].weights == (("random init", "ef" * 6), ("teacher", "cd" * 6))
    assert (stages["knn"].data, stages["knn"].precision, stages["knn"].seed) == (
        *("ab" * 6, "float32"),
        "0",
    )
    assert run.packages[0] == ("pretrain", "Python 3.11.9, torch 2.9.0")
    assert run.packages[1][1] == "Python 3.11.9, torch 2.9.1"
