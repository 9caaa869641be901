from dino.core.stages import STAGES
from dino.reporting.graph import edges, nodes


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
    assert len(set(places.values())) == len(STAGES)
    for source, target in edges():
        column, row = places[source]
        assert column < places[target][0]
        between = {(c, row) for c in range(column + 1, places[target][0])}
        assert not between & set(places.values())
