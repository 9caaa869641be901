"""attention: score the [CLS] attention as a segmentation of the object."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dino.core.artifacts import replacing, write_text
from dino.core.configuration.attention import protocol_key
from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.core.score import Score
from dino.evaluation.attention import (
    attention,
    attention_details,
    attention_protocol,
    attention_scores,
    image_table,
)
from dino.evaluation.attention_examples import attention_examples, ranked_examples
from dino.evaluation.attention_explorer import attention_explorer
from dino.evaluation.masked_images import scored_images
from dino.features.teacher import load_backbone
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write attention.json and attention_images.csv of the run, and attention_maps.npz."""
    evaluation = Evaluation(project, parameters, run, "attention")
    config, dataset = parameters.attention, evaluation.dataset
    backbones = {model: load_backbone(evaluation.network(model)) for model in MODELS}
    results = {model: attention(backbones[model], dataset, config) for model in MODELS}
    examples = attention_examples(backbones[TEACHER], backbones[RANDOM_INIT], dataset, config)
    by_paper = results[TEACHER].images.get(protocol_key("paper", config.masses[0]))
    examples |= ranked_examples(
        backbones[TEACHER], dataset, config, None if by_paper is None else by_paper.jaccards
    )
    examples |= attention_explorer(backbones, dataset, config)
    with replacing(evaluation.paths.attention_maps) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **examples)
    table = image_table(results, scored_images(dataset, config), config)
    write_text(
        evaluation.paths.attention_images,
        table.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
    )
    protocol = attention_protocol(dataset, config)
    scores: list[Score] = []
    details: dict[str, Any] = {"headline": config.headline, "protocol": protocol}
    for model, found in results.items():
        scores += attention_scores(model, found, protocol.images, config)
        details[model] = attention_details(found)
    evaluation.save(scores, details)
