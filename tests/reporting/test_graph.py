from pathlib import Path

from dino.core.pipeline import read_pipeline
from dino.reporting.graph import DEPENDENCIES, PER_RUN, edges, nodes

ROOT = Path(__file__).parents[2]


def test_the_picture_shows_the_stages_of_dvc_yaml() -> None:
    steps = read_pipeline(ROOT)
    maker = {output: step.stage for step in steps for output in step.outputs}
    from_pipeline: dict[str, set[str]] = {step.stage: set() for step in steps}
    for step in steps:
        from_pipeline[step.stage] |= {maker[path] for path in step.inputs}
    assert {stage: set(sources) for stage, sources in DEPENDENCIES.items()} == from_pipeline
    assert set(PER_RUN) == {step.stage for step in steps if step.run is not None}


def test_arrows_that_a_longer_path_implies_are_left_out() -> None:
    assert ("prepare", "pretrain") in edges()
    assert ("prepare", "knn") not in edges()
    assert set(edges()) == {
        ("prepare", "pretrain"),
        ("prepare", "baselines"),
        ("pretrain", "export"),
        ("export", "features"),
        ("export", "attention"),
        ("export", "finetune"),
        ("features", "robustness"),
        ("finetune", "report"),
        ("robustness", "report"),
        ("features", "knn"),
        ("features", "linear"),
        ("features", "linear_paper"),
        ("features", "low_shot"),
        ("knn", "card"),
        ("linear", "card"),
        ("linear_paper", "report"),
        ("low_shot", "report"),
        ("attention", "card"),
        ("card", "report"),
        ("features", "class_map"),
        ("class_map", "report"),
        ("baselines", "report"),
    }


def test_arrows_point_right_and_cross_no_box() -> None:
    places = {node.name: (node.column, node.row) for node in nodes()}
    assert len(set(places.values())) == len(DEPENDENCIES)
    for source, target in edges():
        column, row = places[source]
        assert column < places[target][0]
        between = {(c, row) for c in range(column + 1, places[target][0])}
        assert not between & set(places.values())
