"""The one list of stages, beside the pipeline that DVC reads."""

from pathlib import Path

from dino.core.pipeline import read_pipeline
from dino.core.stages import PER_RUN, SHARED, STAGES, ancestors

ROOT = Path(__file__).parents[2]


def test_list_of_stages_is_that_of_dvc_yaml() -> None:
    steps = read_pipeline(ROOT)
    maker = {output: step.stage for step in steps for output in step.outputs}
    from_pipeline: dict[str, set[str]] = {step.stage: set() for step in steps}
    for step in steps:
        from_pipeline[step.stage] |= {maker[path] for path in step.inputs}
    assert {name: set(stage.reads) for name, stage in STAGES.items()} == from_pipeline
    assert list(STAGES) == list(from_pipeline)
    assert set(PER_RUN) == {step.stage for step in steps if step.run is not None}
    assert {*PER_RUN, *SHARED} == set(STAGES) - {"report"}


def test_ancestors_are_all_that_a_stage_is_made_from() -> None:
    assert ancestors("prepare") == set()
    assert ancestors("knn") == {"prepare", "pretrain", "export", "features"}
    assert ancestors("report") == set(STAGES) - {"report"}
