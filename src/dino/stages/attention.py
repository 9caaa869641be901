"""attention: score the [CLS] attention as a segmentation of the object."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dino.core.artifacts import replacing, sha256_of_file, write_json
from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.attention import attention, attention_examples, attention_protocol
from dino.features.teacher import load_backbone

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/attention.json and artifacts/RUN/attention_maps.npz."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.attention
    dataset = PreparedDataset.open(project.data)
    backbones = {model: load_backbone(paths.model(model)) for model in MODELS}
    result: dict[str, Any] = {"protocol": plain(attention_protocol(dataset, config))}
    for model in MODELS:
        result[model] = plain(attention(backbones[model], dataset, config))
    examples = attention_examples(backbones[TEACHER], backbones[RANDOM_INIT], dataset, config)
    with replacing(paths.attention_maps) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **examples)
    write_json(paths.result("attention"), result)
    write_json(
        paths.provenance("attention"),
        provenance(
            "attention",
            {"attention": config},
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            models={
                model: sha256_of_file(paths.model(model) / "model.safetensors") for model in MODELS
            },
        ),
    )
