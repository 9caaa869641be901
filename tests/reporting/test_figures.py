import io
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dino.reporting.figures.attention_maps import attention_maps
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.figures.training_curves import POINTS_PER_CURVE, thinned
from dino.reporting.picture import Picture, house_style
from dino.reporting.results import Results
from dino.reporting.summary import summarise


def _pictures(results: Results) -> dict[str, Picture]:
    return {p.name: p for p in all_pictures(results, summarise(results), prototypes=1024)}


@pytest.fixture(scope="module")
def pictures(results: Results) -> dict[str, Picture]:
    return _pictures(results)


def test_there_are_three_figures_as_png_and_svg(pictures: dict[str, Picture]) -> None:
    assert set(pictures) == {"training_curves", "accuracy", "attention_maps"}
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
    assert "45.00 %" in pictures["attention_maps"].alternative


def test_missing_accuracies_are_a_figure_that_says_why(no_labels: Results) -> None:
    pictures = _pictures(no_labels)
    assert "the data set has no labels" in pictures["accuracy"].alternative
    assert Image.open(io.BytesIO(pictures["accuracy"].png)).width == 1500


def test_missing_attention_is_a_figure_that_says_why(no_attention: Results) -> None:
    with house_style():
        picture = attention_maps(no_attention)
    assert "resnet50-dino-s0: resnet50 has no [CLS] token" in picture.alternative
    assert Image.open(io.BytesIO(picture.png)).width == 1500


def test_runs_without_attention_are_named_beside_those_that_have_it(
    results: Results, no_attention: Results
) -> None:
    mixed = replace(results, runs=(no_attention.runs[0], results.runs[0]))
    with house_style():
        caption = attention_maps(mixed).caption
    assert "vit_micro_7-dino-s0's last block" in caption
    assert "Not shown: resnet50-dino-s0 (resnet50 has no [CLS] token)." in caption


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
    assert len(_pictures(replace(one_run, runs=runs))) == 3


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
    some = _pictures(replace(results, runs=(untrained, second)))["training_curves"]
    assert f"Not trained here: {first.name}." in some.caption
    assert f"{second.name}: the loss goes" in some.alternative
    none = _pictures(replace(results, runs=(untrained,)))["training_curves"]
    assert none.alternative == f"Nine empty plots. Not trained here: {first.name}."
