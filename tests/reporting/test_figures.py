import io
import math
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from score_rows import unmeasured

from dino.reporting.figures import training_curves as training_curves_module
from dino.reporting.figures.accuracy import accuracy
from dino.reporting.figures.attention_maps import attention_maps
from dino.reporting.figures.attention_ranking import attention_ranking
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.figures.class_map import class_map
from dino.reporting.figures.collapse import collapse
from dino.reporting.figures.robustness import robustness
from dino.reporting.figures.training_curves import (
    MAX_CURVES,
    POINTS_PER_CURVE,
    drawn,
    thinned,
    training_curves,
)
from dino.reporting.picture import Picture, house_style
from dino.reporting.results import Results, RunResults
from dino.reporting.summary import summarise


def _pictures(results: Results) -> dict[str, Picture]:
    return {p.name: p for p in all_pictures(results, summarise(results), prototypes=1024)}


@pytest.fixture(scope="module")
def pictures(results: Results) -> dict[str, Picture]:
    return _pictures(results)


def test_there_are_seven_figures_as_png_and_svg(pictures: dict[str, Picture]) -> None:
    assert set(pictures) == {
        "training_curves",
        "accuracy",
        "collapse",
        "attention_maps",
        "attention_ranking",
        "class_map",
        "robustness",
    }
    for picture in pictures.values():
        image = Image.open(io.BytesIO(picture.png))
        assert image.width == 1500
        assert image.convert("L").getextrema()[0] < 100
        assert ElementTree.fromstring(picture.svg).tag.endswith("svg")


def test_figures_name_no_date_and_no_program(pictures: dict[str, Picture]) -> None:
    for picture in pictures.values():
        assert not Image.open(io.BytesIO(picture.png)).info.keys() & {"Software", "date"}
        assert b"<dc:date>" not in picture.svg
        assert b"<dc:creator>" not in picture.svg


def test_captions_and_alternatives_carry_numbers(pictures: dict[str, Picture]) -> None:
    assert "k-NN 77.00 %" in pictures["accuracy"].alternative
    assert "random init 69.50 %" in pictures["accuracy"].alternative
    assert "over 2 epochs" in pictures["training_curves"].alternative
    assert "45.00 % [43.50, 46.50]" in pictures["attention_maps"].alternative
    assert "from 81 % to 12 %" in pictures["attention_ranking"].alternative
    assert "with the superclasses 0.65 [0.55, 0.75] (at most 0.87)" in pictures["class_map"].caption
    assert "order: 9, 8, 7, 6, 5, 4, 3, 2, 0, 1." in pictures["class_map"].alternative
    assert "of 1000, by the paper's protocol with 60 %" in pictures["attention_ranking"].caption
    assert "77.00 % clean and 57.00 % in the mean" in pictures["robustness"].alternative


def test_missing_accuracies_are_a_figure_that_says_why(no_labels: Results) -> None:
    with house_style():
        picture = accuracy(no_labels, summarise(no_labels))
    assert "the data set has no labels" in picture.alternative
    assert Image.open(io.BytesIO(picture.png)).width == 1500


def test_missing_attention_is_a_figure_that_says_why(no_attention: Results) -> None:
    with house_style():
        picture = attention_maps(no_attention)
    assert "resnet50-dino-s0: resnet50 has no [CLS] token" in picture.alternative
    assert Image.open(io.BytesIO(picture.png)).width == 1500


def test_nothing_to_rank_is_a_figure_that_says_so(no_attention: Results) -> None:
    with house_style():
        picture = attention_ranking(no_attention)
    assert picture.alternative == "No attention masks to rank: resnet50 has no [CLS] token."
    assert picture.is_words


def test_a_few_images_are_ranked_without_words_for_the_rows(one_run: Results) -> None:
    run = one_run.runs[0]
    maps = {key: value[:4] if "ranked" in key else value for key, value in run.maps.items()}
    with house_style():
        assert attention_ranking(replace(one_run, runs=(replace(run, maps=maps),))).png


def _with(run: RunResults, stage: str, details: dict[str, Any], **more: Any) -> RunResults:
    return replace(run, details={**run.details, stage: details}, **more)


def _with_class_map(results: Results, scores: dict[str, Any], **changes: Any) -> Results:
    run = results.runs[0]
    old = run.details["class_map"]
    changed = {**old, **changes, "teacher": {**old["teacher"], **scores}}
    rows = tuple(
        row | {"value": None, "low": None, "high": None}
        if row["metric"] == "spearman" and scores.get("spearman_reason")
        else row
        for row in run.rows
    )
    return replace(results, runs=(_with(run, "class_map", changed, rows=rows),))


def test_classes_without_superclasses_have_one_colour_and_no_number(one_run: Results) -> None:
    scores = {"spearman_reason": "class_map.superclasses is null"}
    with house_style():
        picture = class_map(_with_class_map(one_run, scores, superclass_of=None))
    assert "no number (class_map.superclasses is null)" in picture.caption


def test_too_few_classes_for_a_map_still_have_a_dendrogram(one_run: Results) -> None:
    scores = {"coordinates": None, "coordinates_reason": "a map needs at least 4 classes"}
    with house_style():
        assert class_map(_with_class_map(one_run, scores)).png


def test_a_data_set_without_labels_has_a_figure_that_says_so(one_run: Results) -> None:
    run = unmeasured(one_run.runs[0], "the data set has no labels", "class_map")
    with house_style():
        picture = class_map(replace(one_run, runs=(run,)))
    assert picture.alternative == "No map of the classes: the data set has no labels."


def test_runs_without_attention_are_named_beside_those_that_have_it(
    results: Results, no_attention: Results
) -> None:
    mixed = replace(results, runs=(no_attention.runs[0], results.runs[0]))
    with house_style():
        caption = attention_maps(mixed).caption
    assert "vit_micro_7-dino-s0's last block" in caption
    assert "Not shown: resnet50-dino-s0: resnet50 has no [CLS] token." in caption


def test_twenty_runs_of_twelve_heads_and_a_single_step_are_drawn(one_run: Results) -> None:
    run = one_run.runs[0]
    maps = dict(run.maps)
    for name in ("teacher_maps", "random_init_maps", "teacher_masks", "teacher_jaccard"):
        maps[name] = np.repeat(maps[name], 3, axis=1)
    # one epoch end is not reached: the online k-NN was never computed
    log = run.log.iloc[:1].assign(online_knn_top1=math.nan)
    runs = tuple(
        replace(run, name=f"arch_{i}-dino-s0", architecture=f"arch_{i}", maps=maps, log=log)
        for i in range(20)
    )
    assert len(_pictures(replace(one_run, runs=runs))) == 7


def _matrix(one_run: Results, variants: tuple[str, ...], seeds: int) -> Results:
    run = one_run.runs[0]
    runs = tuple(
        replace(run, name=f"vit_micro_7-{variant}-s{seed}", variant=variant, seed=seed)
        for variant in variants
        for seed in range(seeds)
    )
    return replace(one_run, runs=runs)


def test_of_many_runs_one_seed_of_each_group_has_a_curve(one_run: Results) -> None:
    few, words = drawn(_matrix(one_run, ("dino", "mse"), 3))
    assert (len(few), words) == (6, "")
    many, words = drawn(_matrix(one_run, ("dino", "mse", "predictor", "byol"), 3))
    assert [run.variant for run in many] == ["dino", "mse", "predictor", "byol"]
    assert words == " Of several seeds the first is drawn."
    first, words = drawn(_matrix(one_run, tuple(f"k_{i}" for i in range(MAX_CURVES + 1)), 2))
    assert len(first) == MAX_CURVES
    assert words.endswith(f"Not drawn, to stay readable: vit_micro_7-k_{MAX_CURVES}.")


def test_robustness_of_many_groups_names_those_in_the_table_alone(one_run: Results) -> None:
    many = _matrix(one_run, tuple(f"k_{i}" for i in range(8)), 1)
    with house_style():
        caption = robustness(many, summarise(many)).caption
    assert caption.endswith("In the table alone: vit_micro_7-k_6, vit_micro_7-k_7.")


def test_collapse_shows_the_variants_that_were_trained_and_names_the_others(
    one_run: Results,
) -> None:
    with house_style():
        alone = collapse(one_run, prototypes=1024)
        three = collapse(_matrix(one_run, ("no_centering", "dino", "mse"), 1), prototypes=1024)
    assert "Not run: no centering, no sharpening." in alone.caption
    assert "Not run: no sharpening." in three.caption
    ends = re.findall(r"(\S+)-s0 ends with an entropy", three.alternative)
    assert ends == ["vit_micro_7-no_centering", "vit_micro_7-dino"]


def test_collapse_is_that_of_the_architecture_with_the_variants(one_run: Results) -> None:
    run = one_run.runs[0]
    runs = [
        replace(
            run, name=f"{architecture}-{variant}-s0", architecture=architecture, variant=variant
        )
        for architecture, variant in (("a", "dino"), ("b", "dino"), ("b", "no_centering"))
    ]
    with house_style():
        shown = collapse(replace(one_run, runs=tuple(runs)), prototypes=1024)
    assert shown.caption.startswith("Collapse, b: ")
    assert "b-no_centering-s0" in shown.alternative and "a-dino-s0" not in shown.alternative


def test_without_a_trained_run_there_is_no_collapse_to_see(one_run: Results) -> None:
    (run,) = one_run.runs
    with house_style():
        nothing = collapse(replace(one_run, runs=(replace(run, log=run.log.iloc[:0]),)), 1024)
    assert nothing.is_words
    assert nothing.caption.startswith("No collapse to look for: none of no_centering, ")


def test_robustness_without_labels_is_a_figure_that_says_why(one_run: Results) -> None:
    run = unmeasured(one_run.runs[0], "the data set has no labels", "robustness")
    unlabelled = replace(one_run, runs=(run,))
    with house_style():
        picture = robustness(unlabelled, summarise(unlabelled))
    assert picture.alternative == "Robustness was not measured: the data set has no labels."


def test_a_mask_of_nothing_has_no_outline(one_run: Results) -> None:
    run = one_run.runs[0]
    maps = {**run.maps, "teacher_masks": np.zeros_like(run.maps["teacher_masks"])}
    with house_style():
        assert attention_maps(replace(one_run, runs=(replace(run, maps=maps),))).png


def test_thinning_averages_equal_stretches_and_keeps_short_logs() -> None:
    steps = np.arange(10 * POINTS_PER_CURVE)
    log = pd.DataFrame({"epoch": steps / 100, "loss": steps.astype(float)})
    curve = thinned(log, "loss")
    assert len(curve) == POINTS_PER_CURVE
    np.testing.assert_allclose(curve["loss"], 4.5 + 10 * np.arange(POINTS_PER_CURVE))
    pd.testing.assert_frame_equal(thinned(log[:7], "loss"), log[:7], check_index_type=False)


def test_runs_that_were_not_trained_here_are_left_out_by_name(results: Results) -> None:
    first, second = results.runs[:2]
    untrained = replace(first, log=first.log.iloc[:0])
    some = _training_curves(replace(results, runs=(untrained, second)))
    assert f"Not trained here: {first.name}." in some.caption
    assert f"{second.name}: the loss goes" in some.alternative
    none = _training_curves(replace(results, runs=(untrained,)))
    assert none.alternative == f"No training to show. Not trained here: {first.name}."
    assert none.is_words


def _training_curves(results: Results) -> Picture:
    with house_style():
        return training_curves(results, summarise(results), prototypes=1024)


def test_given_weights_are_called_so_in_every_figure(one_run: Results) -> None:
    (run,) = one_run.runs
    weights = {"file": "weights/vits16.pth", "network": None}
    given = replace(one_run, runs=(replace(run, log=run.log.iloc[:0], weights=weights),))
    with house_style():
        figure = accuracy(given, summarise(given))
        maps = attention_maps(given)
    assert f"{run.name} (the teacher in weights/vits16.pth)" in figure.caption
    for picture in (figure, maps):
        assert "the same network with random weights" in picture.caption
        assert "step" not in picture.caption and "trained teacher" not in picture.alternative


def _drawn_curves(results: Results) -> list[Line2D]:
    """The lines of the runs in the figure of training curves; those of references are dashed."""
    figures: list[Figure] = []
    with house_style(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            training_curves_module, "picture", lambda figure, **_: figures.append(figure)
        )
        training_curves_module.training_curves(results, summarise(results), prototypes=1024)
    lines = [line for axes in figures[0].axes for line in axes.lines]
    return [line for line in lines if line.get_linestyle() not in ("--", ":")]


def test_a_training_of_one_log_row_is_drawn_as_markers(one_run: Results) -> None:
    (run,) = one_run.runs
    lines = _drawn_curves(replace(one_run, runs=(replace(run, log=run.log.iloc[-1:]),)))
    assert len(lines) >= 9
    assert all(line.get_marker() not in ("None", "", None) for line in lines)
    whole = _drawn_curves(one_run)
    assert any(line.get_marker() in ("None", "", None) for line in whole)


def test_images_without_masks_are_shown_with_their_attention_alone(one_run: Results) -> None:
    (run,) = one_run.runs
    scored = {"mask", "teacher_masks", "teacher_jaccard"}
    maps = {key: value[:0] if key in scored else value for key, value in run.maps.items()}
    nothing = {"scores": {}, "reason": "no test image has a mask"}
    attention = {**run.details["attention"], "teacher": nothing}
    unmasked = replace(one_run, runs=(_with(run, "attention", attention, maps=maps),))
    with house_style():
        picture = attention_maps(unmasked)
    assert not picture.is_words
    assert "Without masks: no test image has a mask." in picture.caption
    assert "ground" not in picture.caption + picture.alternative


def test_names_of_any_letters_are_literal_in_every_figure(one_run: Results) -> None:
    names = [
        "US$_$ coin", "cost $^$5", "100% & #1", "_leading", "{a} <b>", "pipe|`\\", "new\nline",
        "猫", "قطة", "x" * 200,
    ]  # fmt: skip
    (run,) = one_run.runs
    of_images = np.array([*names[5:], names[0], *names[1:4]])
    maps = {
        **run.maps,
        "class_name": of_images[: len(run.maps["class_name"])],
        "ranked_class_name": of_images[: len(run.maps["ranked_class_name"])],
    }
    classes = {**run.details["class_map"], "classes": names, "superclass_of": ["_猫", "$A$"] * 5}
    odd = replace(
        one_run,
        dataset={**one_run.dataset, "classes": names},
        runs=(_with(run, "class_map", classes, maps=maps),),
    )
    with house_style():
        pictures = [attention_maps(odd), attention_ranking(odd), class_map(odd)]
    assert all("[8] 猫; [9] قطة." in picture.caption for picture in pictures)
    assert "Numbers stand for names: [1] _猫." in pictures[2].caption


def test_a_class_that_was_left_out_is_named_below_the_map(one_run: Results) -> None:
    scores = one_run.runs[0].details["class_map"]["teacher"]
    without = {
        "left_out": {"9": "the mean of its features is zero"},
        "linkage": [[0, 1, 0.1, 2], *([i, 7 + i, 0.1 * i, i + 1] for i in range(2, 9))],
        "coordinates": [*scores["coordinates"][:-1], None],
    }
    with house_style():
        picture = class_map(_with_class_map(one_run, without))
    assert "Left out: 9 (the mean of its features is zero)." in picture.caption
    assert picture.alternative.startswith("Scatter plot and dendrogram of 9 classes")
