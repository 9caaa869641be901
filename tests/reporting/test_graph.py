from dino.core.stages import EVALUATIONS, STAGES
from dino.reporting.graph import edges, nodes


def test_arrows_that_a_longer_path_implies_are_left_out() -> None:
    assert ("prepare", "pretrain") in edges()
    assert ("prepare", "knn") not in edges()
    assert {
        ("prepare", "baselines"),
        ("pretrain", "export"),
        ("export", "features"),
        ("export", "attention"),
        ("features", "knn"),
        ("features", "linear_paper"),
        ("knn", "card"),
        ("card", "report"),
        ("baselines", "report"),
    } < set(edges())
    assert not {("export", "linear_paper"), ("knn", "report"), ("pretrain", "report")} & set(
        edges()
    )


def test_every_evaluation_has_one_arrow_in_and_one_out() -> None:
    for stage in EVALUATIONS:
        assert [target for _, target in edges()].count(stage) == 1
        assert [source for source, _ in edges()].count(stage) == 1


def test_arrows_point_right_and_cross_no_box() -> None:
    places = {node.name: (node.column, node.row) for node in nodes()}
    assert len(set(places.values())) == len(STAGES)
    for source, target in edges():
        column, row = places[source]
        assert column < places[target][0]
        between = {(c, row) for c in range(column + 1, places[target][0])}
        assert not between & set(places.values())
