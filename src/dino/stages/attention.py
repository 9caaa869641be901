"""attention: score the [CLS] attention as a segmentation of the object."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dino.core.artifacts import replacing, sha256_of_file, write_json, write_text
from dino.core.configuration.attention import protocol_key
from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.attention import attention, attention_protocol, image_table
from dino.evaluation.attention_examples import attention_examples, ranked_examples
from dino.evaluation.attention_explorer import attention_explorer
from dino.evaluation.masked_images import scored_images
from dino.features.teacher import load_backbone

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write attention.json and attention_images.csv of the run, and attention_maps.npz."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.attention
    dataset = PreparedDataset.open(project.data)
    backbones = {model: load_backbone(paths.model(model)) for model in MODELS}
    results = {model: attention(backbones[model], dataset, config) for model in MODELS}
    examples = attention_examples(backbones[TEACHER], backbones[RANDOM_INIT], dataset, config)
    by_paper = results[TEACHER].images.get(protocol_key("paper", config.masses[0]))
    examples |= ranked_examples(
        backbones[TEACHER], dataset, config, None if by_paper is None else by_paper.jaccards
    )
    examples |= attention_explorer(backbones, dataset, config)
    with replacing(paths.attention_maps) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **examples)
    table = image_table(results, scored_images(dataset, config), config)
    write_text(
        paths.attention_images,
        table.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
    )
    result: dict[str, Any] = {
        "headline": config.headline,
        "protocol": plain(attention_protocol(dataset, config)),
    }
    for model in MODELS:
        scores = results[model]
        result[model] = {"scores": plain(scores.scores), "reason": scores.reason}
    write_json(paths.result("attention"), result)
    write_json(
        paths.provenance("attention"),
        provenance(
            "attention",
            {"attention": config},
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            seed=run.seed,
            precision="float32",
            models={
                model: sha256_of_file(paths.model(model) / "model.safetensors") for model in MODELS
            },
        ),
    )
