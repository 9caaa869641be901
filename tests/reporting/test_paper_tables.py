"""The tables of the paper hold its numbers once, ours beside them, and nothing invented."""

import io
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_rel
from score_rows import knn_rows, with_rows

from dino.metrics.paired import mean_difference
from dino.reporting.ours import Ours
from dino.reporting.paper import all_paper_rows, paper_rows
from dino.reporting.results import Results
from dino.reporting.summary import summarise
from dino.reporting.table import Table
from dino.reporting.tables.catalogue import timed_tables
from dino.reporting.tables.comparison import Comparison
from dino.reporting.tables.costs import crops_table, throughput_table
from dino.reporting.tables.paper import COMPARISONS, CROPS, paper_tables

REPEATED = "paper_centering"
"""Shows rows of the components again."""


IMAGENET = {"train": 1_271_167, "val": 10_000, "test": 50_000}


def _matrix(
    one_run: Results,
    scores: dict[str, list[float]],
    architecture: str = "vit_micro_7",
    source: str = "digits",
    epochs: float = 2,
) -> Results:
    """Runs of `architecture` with these k-NN top-1 by variant, one a seed."""
    run = one_run.runs[0]
    log = run.log.assign(epoch=run.log["epoch"] * epochs / run.log["epoch"].iloc[-1])
    runs = tuple(
        replace(
            run,
            name=f"{architecture}-{variant}-s{seed}",
            architecture=architecture,
            variant=variant,
            seed=seed,
            log=log,
            rows=with_rows(run.rows, "knn", knn_rows("teacher", top1)),
        )
        for variant, values in scores.items()
        for seed, top1 in enumerate(values)
    )
    counts = one_run.dataset["counts"] if source == "digits" else IMAGENET
    dataset = {**one_run.dataset, "source": source, "counts": counts}
    return replace(one_run, runs=runs, dataset=dataset)


def _tables(results: Results) -> dict[str, Table]:
    return {t.name: t for t in paper_tables(Ours(results=results, summary=summarise(results)))}


def _csv(table: Table) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(table.csv()), index_col=0)


def test_every_published_number_has_its_place_in_one_table() -> None:
    places = Counter(
        row
        for comparison in (*COMPARISONS, CROPS)
        if comparison.name != REPEATED
        for row in comparison.published
    )
    places.update(paper_rows("throughput"))
    assert places == dict.fromkeys(all_paper_rows(), 1)


def test_the_tables_hold_the_published_numbers(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [77.0]})
    tables = _tables(results)
    for comparison in COMPARISONS:
        frame = tables[comparison.name].frame.iloc[: len(comparison.published)]
        shown = frame["paper"].fillna(frame["reference"]).tolist()
        assert shown == [row.value for row in comparison.published]


def test_numbers_of_the_reference_repository_have_a_column_of_their_own(one_run: Results) -> None:
    main = _tables(_matrix(one_run, {"dino": [77.0]}))["paper_main"].frame
    reference = main[main["reference"].notna()]
    assert reference["reference"].tolist() == [69.3, 74.0, 73.3, 76.0]
    assert reference["paper"].isna().all()


def test_published_numbers_have_the_decimals_of_the_paper(one_run: Results) -> None:
    table = _tables(_matrix(one_run, {"dino": [77.0]}))["paper_components"]
    assert "| DINO | k-NN top-1 | 72.8 |" in table.markdown()
    assert "DINO,k-NN top-1,72.8,,77.00,76.00,78.00,," in table.csv()


def test_what_was_not_run_is_empty(one_run: Results) -> None:
    for name, table in _tables(_matrix(one_run, {"dino": [77.0]})).items():
        frame = table.frame
        measured = frame["ours"].notna()
        assert (
            frame.loc[~measured, ["ours_low", "ours_sd", "ours_minus_paper", "n"]]
            .isna()
            .all(axis=None)
        )
        if name in ("paper_prototypes", "paper_temperature", "paper_batch_size"):
            assert not measured.any()
        assert "nan" not in table.csv() + table.markdown() + table.latex()


def test_a_change_of_ours_is_the_paired_difference_with_students_interval(
    one_run: Results,
) -> None:
    dino, mse = [77.0, 79.0, 76.0], [60.5, 61.0, 62.25]
    row = _csv(_tables(_matrix(one_run, {"dino": dino, "mse": mse}))["paper_components"]).loc[
        "mean squared error"
    ]
    expected = ttest_rel(mse, dino).confidence_interval(0.95)
    assert row["ours_minus_baseline"] == round(np.subtract(mse, dino).mean(), 2)
    assert row["ours_minus_baseline_low"] == round(float(expected.low), 2)
    assert row["ours_minus_baseline_high"] == round(float(expected.high), 2)
    assert row["paper_minus_baseline"] == -20.2
    assert (row["ours"], row["n"]) == (61.25, 3)
    assert row["ours_sd"] == round(float(np.std(mse, ddof=1)), 2)


def test_changes_pair_equal_seeds_alone(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [77.0, 79.0], "mse": [60.0, 61.0]})
    *others, last = results.runs
    results = replace(results, runs=(*others, replace(last, seed=7, name="other")))
    row = _csv(_tables(results)["paper_components"]).loc["mean squared error"]
    assert row["ours_minus_baseline"] == -17.0
    assert math.isnan(row["ours_minus_baseline_low"])


def test_one_pair_has_no_interval_and_none_has_no_difference() -> None:
    assert mean_difference([3.0], [1.0]) == (2.0, None)
    assert mean_difference([], []) is None


def test_on_another_data_set_nothing_is_subtracted_from_ours(one_run: Results) -> None:
    for architecture in ("vit_micro_7", "vit_small_16"):
        for table in _tables(_matrix(one_run, {"dino": [77.0]}, architecture)).values():
            assert table.frame["ours_minus_paper"].isna().all()


def test_with_another_architecture_nothing_is_subtracted_from_ours(one_run: Results) -> None:
    for table in _tables(_matrix(one_run, {"dino": [77.0]}, source="imagenet")).values():
        assert table.frame["ours_minus_paper"].isna().all()


def test_the_papers_data_and_architecture_have_a_difference(one_run: Results) -> None:
    scores = {"dino": [72.5], "mse": [53.0]}
    tables = _tables(_matrix(one_run, scores, "vit_small_16", "imagenet", epochs=300))
    rows = _csv(tables["paper_components"])
    assert rows.loc["mean squared error", "ours_minus_paper"] == 0.4
    main = tables["paper_main"].frame.set_index(["setting", "measure"])
    assert main.loc[("boosted, 300 epochs", "k-NN top-1"), "ours_minus_paper"] == -0.8
    # one training stands beside the number of its own length alone
    assert main["ours"].notna().sum() == 2
    assert "Ours: vit_small_16, trained for 300 epochs, on imagenet" in (
        tables["paper_components"].caption
    )


def test_with_a_part_of_the_papers_data_nothing_is_subtracted(one_run: Results) -> None:
    whole = _matrix(one_run, {"dino": [72.5]}, "vit_small_16", "imagenet", epochs=300)
    for split, images in (("train", 100_000), ("test", 5_000)):
        counts = {**IMAGENET, split: images}
        part = replace(whole, dataset={**whole.dataset, "counts": counts})
        for table in _tables(part).values():
            assert table.frame["ours_minus_paper"].isna().all()


def test_a_training_of_another_length_has_a_row_of_its_own(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [60.0]}, "vit_small_16", "imagenet", epochs=30)
    rows = _csv(_tables(results)["paper_main"])
    assert (rows.loc["ours, 30 epochs", "ours"] == [60.0, 79.0]).all()
    assert rows["ours_minus_paper"].isna().all()


def test_another_length_than_the_papers_has_no_difference(one_run: Results) -> None:
    """Ablations of 300 epochs are no measure for a training of 100."""
    results = _matrix(one_run, {"dino": [69.3]}, "vit_small_16", "imagenet", epochs=100)
    tables = _tables(results)
    components = _csv(tables["paper_components"])
    assert components.loc["DINO", "ours"].iloc[0] == 69.3
    assert components["ours_minus_paper"].isna().all()
    assert tables["paper_low_shot"].frame["ours_minus_paper"].isna().all()


def test_the_papers_resnet_is_that_of_lars(one_run: Results) -> None:
    for variant, beside in (("dino", 0), ("lars", 2)):
        results = _matrix(one_run, {variant: [67.5]}, "resnet50", "imagenet", epochs=800)
        rows = _tables(results)["paper_main"].frame
        published = rows[(rows["architecture"] == "resnet50") & rows["paper"].notna()]
        assert published["ours"].notna().sum() == beside


def test_given_weights_are_no_ablation(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [74.5]}, "vit_small_16", "imagenet")
    (run,) = results.runs
    results = replace(results, runs=(replace(run, log=run.log.iloc[:0]),))
    for name in ("paper_components", "paper_teacher", "paper_centering"):
        assert _tables(results)[name].frame["ours"].isna().all()


def test_fine_tuning_on_part_of_the_labels_says_so_and_has_no_difference(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [74.5]}, "vit_small_16", "imagenet")
    (run,) = results.runs
    results = replace(results, runs=(replace(run, log=run.log.iloc[:0]),))
    table = _tables(results)["paper_other"]
    assert "Fine-tuning of ours: on 500 labelled images." in table.caption
    assert table.frame["ours"].notna().any()
    assert table.frame["ours_minus_paper"].isna().all()


def test_given_weights_stand_beside_the_published_ones(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [74.4]}, "vit_small_16", "imagenet")
    (run,) = results.runs
    results = replace(results, runs=(replace(run, log=run.log.iloc[:0]),))
    rows = _csv(_tables(results)["paper_main"]).loc["published, 800 epochs"]
    assert rows["ours_minus_paper"].iloc[0] == -0.1


def test_attention_is_compared_for_teachers_that_were_given_alone(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [1.0]}, "vit_small_16", "voc2012")
    trained = _csv(_tables(results)["paper_attention"])
    assert trained.loc["DINO", "ours"].iloc[0] == 45.0
    assert math.isnan(trained.loc["DINO", "ours_minus_paper"].iloc[0])
    (run,) = results.runs
    given = _tables(replace(results, runs=(replace(run, log=run.log.iloc[:0]),)))
    assert _csv(given["paper_attention"]).loc["DINO", "ours_minus_paper"].iloc[0] == -0.9


def test_attention_by_another_protocol_is_not_shown(one_run: Results) -> None:
    (run,) = one_run.runs
    attention = {**run.details["attention"], "headline": "mean_of_heads@0.6"}
    other = replace(run, details={**run.details, "attention": attention})
    table = _tables(replace(one_run, runs=(other,)))["paper_attention"]
    assert table.frame["ours"].isna().all()


def test_variants_that_the_paper_lacks_are_rows_of_the_components(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [77.0], "no_centering": [10.0], "wider": [78.0]})
    rows = _csv(_tables(results)["paper_components"])
    assert rows.loc["no centering", "ours_minus_baseline"] == -67.0
    assert rows.loc["ours: wider", "ours"] == 78.0
    assert math.isnan(rows.loc["ours: wider", "paper"])


def _provenance(results: Results) -> dict[str, Any]:
    pretrain = {"wall_seconds": 360.0, "steps": 50, "total_steps": 100, "peak_memory_mib": 2000}
    machine = {"processor": "a processor", "cores": 2}
    features = {"images_per_second": 123.4, "peak_gpu_memory_mib": None, "machine": machine}
    return {"runs": {r.name: {"pretrain": pretrain, "features": features} for r in results.runs}}


def test_hours_are_those_of_the_whole_training(one_run: Results) -> None:
    results = _matrix(one_run, {"dino": [77.0], "crops_2_6": [70.0]})
    ours = Ours(results=results, summary=summarise(results))
    rows = _csv(crops_table(ours, _provenance(results)))
    row = rows.loc["2 of 224 px + 6 of 96 px"]
    # 360 s for half of it
    assert (row["ours_hours"], row["paper_hours"]) == (0.2, 20.3)
    assert (row["ours_memory_gb"], row["paper_memory_gb"]) == (2.1, 12.9)
    assert rows.drop("2 of 224 px + 6 of 96 px")["ours_hours"].isna().all()


def test_a_gpus_memory_counts_where_there_was_one(one_run: Results) -> None:
    results = _matrix(one_run, {"crops_2_2": [70.0]})
    provenance = _provenance(results)
    provenance["runs"][results.runs[0].name]["pretrain"]["peak_gpu_memory_mib"] = 9000
    ours = Ours(results=results, summary=summarise(results))
    assert _csv(crops_table(ours, provenance))["ours_memory_gb"].dropna().tolist() == [9.44]


def test_speed_stands_beside_the_machine(one_run: Results) -> None:
    ours = Ours(results=one_run, summary=summarise(one_run))
    rows = _csv(throughput_table(ours, _provenance(one_run)))
    assert rows.loc["V100", "paper"].tolist() == [1007, 180, 312, 63, 1237]
    assert rows.loc["2 cores of a processor", "ours"] == 123.4


def test_without_records_times_are_empty(one_run: Results) -> None:
    stages: dict[str, dict[str, Any]] = {"pretrain": {}, "features": {}}
    provenance = {"runs": {run.name: stages for run in one_run.runs}}
    for table in timed_tables(one_run, summarise(one_run), provenance):
        assert table.frame["ours"].isna().all()


def test_ablations_name_a_setting_of_their_own_as_baseline() -> None:
    ablations: list[Comparison] = [c for c in (*COMPARISONS, CROPS) if c.baseline]
    assert len(ablations) == 8
    for comparison in ablations:
        assert comparison.baseline in {row.variant for row in comparison.published}
