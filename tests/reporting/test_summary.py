import json
import math
from dataclasses import replace

from score_rows import row

from dino.reporting.results import Results
from dino.reporting.summary import difference, headlines, scores_of_group, summarise


def test_a_run_has_its_test_scores_at_the_headline_k_rounded_to_two_decimals(
    results: Results,
) -> None:
    scores = summarise(results)["runs"]["vit_nano_7-dino-s1"]
    assert {k: v for k, v in scores.items() if not k.endswith(("_low", "_high"))} == {
        "knn_top1": 80.0,
        "knn_top5": 99.0,
        "knn_val_top1": 81.0,
        "linear_top1": 81.0,
        "linear_top5": 99.5,
        "linear_best_top1": 81.26,
        "linear_paper_top1": 82.0,
        "linear_paper_top5": 99.5,
        "linear_paper_best_top1": 82.26,
        "low_shot_1_top1": 70.01,
        "low_shot_1_top1_deviation": 0.5,
        "low_shot_10_top1": 70.1,
        "low_shot_10_top1_deviation": 0.5,
        "attention_jaccard": 45.0,
        "attention_fixed_head_jaccard": 40.0,
        "attention_mean_heads_jaccard": 20.0,
        "class_map_spearman": 0.65,
        "finetune_top1": 82.0,
        "finetune_best_top1": 82.5,
        "robustness_top1": 60.0,
        "robustness_clean_top1": 80.0,
    }


def test_every_accuracy_has_its_interval_beside_it(results: Results) -> None:
    scores = summarise(results)["runs"]["vit_nano_7-dino-s1"]
    for name in [key for key in scores if key.endswith(("top1", "top5"))]:
        assert scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"]
    assert (scores["knn_top1_low"], scores["knn_top1_high"]) == (79.0, 81.0)


def test_what_no_model_was_measured_by_is_left_out(no_labels: Results) -> None:
    summary = summarise(no_labels)
    assert no_labels.no_accuracies == "the data set has no labels"
    assert summary["baselines"]["raw_pixels"] == {}
    for scores in (
        *summary["runs"].values(),
        summary["baselines"]["random_init"]["by_architecture"]["vit_micro_7"],
    ):
        assert {name.partition("_")[0] for name in scores} == {"attention"}
    assert summary["runs"]["vit_micro_7-dino-s0"]["attention_jaccard"] == 45.0
    json.dumps(summary, allow_nan=False)


def test_random_init_is_the_mean_over_runs_and_over_each_architectures_runs(
    results: Results,
) -> None:
    random_init = summarise(results)["baselines"]["random_init"]
    # 69, 70, 71 and 72
    assert random_init["knn_top1"] == 70.5
    assert random_init["linear_top1"] == 71.5
    assert random_init["by_architecture"]["vit_micro_7"]["knn_top1"] == 69.5
    assert random_init["by_architecture"]["vit_nano_7"]["knn_top1"] == 71.5
    assert random_init["attention_jaccard"] == 33.0
    # the from-scratch training: 57, 58, 59 and 60
    assert random_init["finetune_top1"] == 58.5
    assert random_init["robustness_top1"] == 48.5


def test_what_needs_no_network_stands_once(results: Results) -> None:
    baselines = summarise(results)["baselines"]
    raw_pixels = baselines["raw_pixels"]
    assert {k: v for k, v in raw_pixels.items() if not k.endswith(("_low", "_high"))} == {
        "knn_top1": 84.6,
        "knn_top5": 99.0,
        "knn_val_top1": 85.6,
        "linear_top1": 85.6,
        "linear_top5": 99.5,
        "linear_best_top1": 85.86,
        "class_map_spearman": 0.5,
        "robustness_top1": 60.0,
        "robustness_clean_top1": 80.0,
        "low_shot_1_top1": 70.01,
        "low_shot_1_top1_deviation": 0.5,
        "low_shot_10_top1": 70.1,
        "low_shot_10_top1_deviation": 0.5,
    }
    assert baselines["centre_box"] == {
        "attention_jaccard": 51.24,
        "attention_jaccard_low": 50.5,
        "attention_jaccard_high": 52.0,
    }
    assert baselines["otsu"]["attention_jaccard"] == 80.0


def test_the_dataset_is_described_without_its_list_of_classes(results: Results) -> None:
    assert summarise(results)["dataset"] == {
        "source": "digits",
        "classes": 10,
        "images": {"train": 1000, "val": 200, "test": 597},
        "masks": "approximate: non-zero pixels",
        "fingerprint": "ab" * 32,
    }


def test_a_backbone_without_attention_has_no_jaccard_nor_has_the_mean_of_such(
    no_attention: Results,
) -> None:
    summary = summarise(no_attention)
    assert summary["runs"]["resnet50-dino-s0"]["attention_jaccard"] is None
    assert summary["runs"]["resnet50-dino-s0"]["attention_jaccard_low"] is None
    assert summary["baselines"]["random_init"]["attention_jaccard"] is None
    json.dumps(summary, allow_nan=False)


def test_a_group_has_mean_and_sample_deviation_of_its_seeds(results: Results) -> None:
    groups = summarise(results)["groups"]
    assert list(groups) == ["vit_micro_7-dino", "vit_nano_7-dino"]
    group = groups["vit_nano_7-dino"]
    # 79 and 80
    assert (group["n"], group["mean"]["knn_top1"]) == (2, 79.5)
    assert group["deviation"]["knn_top1"] == round(math.sqrt(0.5), 2)
    assert group["deviation"]["attention_jaccard"] == 0
    # the mean of the bounds is one, their deviation says nothing
    assert group["mean"]["knn_top1_low"] == 78.5
    assert not any(key.endswith(("_low", "_high")) for key in group["deviation"])


def test_a_group_of_one_seed_has_no_deviation(one_run: Results) -> None:
    summary = summarise(one_run)
    assert summary["groups"]["vit_micro_7-dino"] == {
        "n": 1,
        "mean": summary["runs"]["vit_micro_7-dino-s0"],
        "deviation": None,
    }


def test_variants_are_groups_of_their_own(results: Results) -> None:
    first, second = results.runs[:2]
    groups = summarise(replace(results, runs=(first, replace(second, variant="mse"))))["groups"]
    assert list(groups) == ["vit_micro_7-dino", "vit_micro_7-mse"]
    assert groups["vit_micro_7-mse"]["mean"]["knn_top1"] == 78.0


def test_a_score_that_a_seed_lacks_is_that_of_the_others(results: Results) -> None:
    first, second = results.runs[:2]
    rows = tuple(row for row in second.rows if row["evaluation"] != "finetune")
    switched_off = replace(second, rows=rows)
    summary = summarise(replace(results, runs=(first, switched_off)))
    group = summary["groups"]["vit_micro_7-dino"]
    assert group["mean"]["finetune_top1"] == 79.0
    assert group["deviation"]["finetune_top1"] is None
    assert summary["runs"][second.name]["finetune_top1"] is None


def test_scores_of_a_group_carry_its_deviation_beside_them(results: Results) -> None:
    scores = scores_of_group(summarise(results), results.groups[0])
    assert (scores["knn_top1"], scores["knn_top1_sd"]) == (77.5, 0.71)
    assert scores["low_shot_1_top1_deviation"] == 0.5


def test_a_difference_needs_both_numbers() -> None:
    assert difference(77.1, 84.6) == -7.5
    assert difference(None, 84.6) is None
    assert difference(77.1, None) is None


def test_what_only_the_teacher_was_measured_by_is_none_of_random_init(results: Results) -> None:
    assert summarise(results)["baselines"]["random_init"]["linear_paper_top1"] is None


def test_an_evaluation_that_nobody_knows_is_in_the_summary_and_in_the_headlines(
    results: Results,
) -> None:
    rows = [
        {"evaluation": "silhouette", **row(model, "", "silhouette", value, 0.1, key=key, unit="")}
        for model, value in (("teacher", 0.254), ("random_init", 0.1))
        for key in ("silhouette", "silhouette_of_val")
    ]
    runs = tuple(replace(run, rows=(*run.rows, *rows)) for run in results.runs)
    extended = replace(results, runs=runs)
    summary = summarise(extended)
    first = summary["runs"]["vit_nano_7-dino-s0"]
    assert (first["silhouette"], first["silhouette_low"]) == (0.25, 0.15)
    assert summary["baselines"]["random_init"]["silhouette"] == 0.1
    metrics = headlines(extended, summary)["vit_nano_7-dino-s0"]
    assert metrics["silhouette"] == 0.25 and "silhouette_of_val" not in metrics


def test_the_headlines_are_one_score_of_each_evaluation_and_groups_are_of_several_seeds(
    results: Results, one_run: Results
) -> None:
    metrics = headlines(results, summarise(results))
    assert list(metrics) == [
        *(run.name for run in results.runs),
        "vit_micro_7-dino",
        "vit_nano_7-dino",
    ]
    assert metrics["vit_nano_7-dino"] == {
        "knn_top1": 79.5,
        "linear_top1": 80.5,
        "linear_paper_top1": 81.5,
        "low_shot_1_top1": 69.51,
        "attention_jaccard": 45.0,
        "class_map_spearman": 0.65,
        "finetune_top1": 81.5,
        "robustness_top1": 59.5,
    }
    assert list(headlines(one_run, summarise(one_run))) == ["vit_micro_7-dino-s0"]
