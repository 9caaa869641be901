"""The two protocols of linear classification on the project's own data and first run."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import cores
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.parameters import read_parameters
from dino.core.paths import TEACHER, Project
from dino.data.dataset import PreparedDataset
from dino.evaluation.linear import LinearResult, classifier_input, linear
from dino.evaluation.linear_paper import linear_paper
from dino.features.feature_set import load_features
from dino.features.labelled_splits import labelled_splits
from dino.features.teacher import load_backbone

CACHED_ROUNDS = 3


def measure(
    names: Collection[str], rounds: int = CACHED_ROUNDS, root: Path = Path()
) -> dict[str, Any]:
    """The result `linear_cached`; needs what `dino features` of the first run has written.

    Both are timed for the epochs, rates and batch of `linear_paper`; the paper's protocol, which
    takes about a minute, once.
    """
    torch.set_num_threads(cores())
    project = Project(root=root)
    parameters = read_parameters(project.parameters)
    paths = project.run(parameters.all_runs()[0].name)
    paper = parameters.linear_paper
    dataset = PreparedDataset.open(project.data(parameters.trained_on))
    features = load_features(paths.features(TEACHER), data=dataset.fingerprint)
    inputs = classifier_input(features.cls_tokens, features.patch_mean, paper.average_pool)
    splits = labelled_splits(inputs, dataset.manifest, dataset.classes)
    backbone = load_backbone(paths.model(TEACHER))
    same = LinearConfig(
        epochs=paper.epochs,
        batch_size=paper.batch_size,
        learning_rates=paper.learning_rates,
        average_pool=paper.average_pool,
        seed=paper.seed,
    )
    cached = [_timed(lambda: linear(splits, same)) for _ in range(rounds)]
    by_paper, textbook_s = _timed(
        lambda: linear_paper(backbone, dataset, splits, paper, parameters.features)
    )
    # what `dino linear` reports, with as many epochs as params.yaml gives it
    reported = linear(splits, replace(parameters.linear, average_pool=paper.average_pool))
    ours_s = sorted(seconds for _, seconds in cached)[len(cached) // 2]
    top1 = by_paper.last.test_top1
    return {
        "linear_cached": {
            "ratio": textbook_s / ours_s,
            "ours_s": ours_s,
            "textbook_s": textbook_s,
            "epochs": paper.epochs,
            "cached_rounds": rounds,
            "textbook_top1": top1,
            "ours_top1": reported.last.test_top1,
            "ours_top1_of_equal_epochs": cached[0][0].last.test_top1,
            "top1_difference": reported.last.test_top1 - top1,
        }
    }


def _timed(train: Callable[[], LinearResult]) -> tuple[LinearResult, float]:
    start = time.perf_counter()
    result = train()
    return result, time.perf_counter() - start
