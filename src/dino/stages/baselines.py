"""baselines: score what needs no training: raw pixels, centre box, Otsu's threshold."""

from typing import TYPE_CHECKING

from dino.core.artifacts import write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import centre_box, otsu, raw_pixel_robustness, raw_pixels
from dino.evaluation.class_map import class_map
from dino.evaluation.knn import knn
from dino.evaluation.linear import linear
from dino.features.labelled_splits import labelled_splits

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def execute(project: Project, parameters: "Parameters") -> None:
    """Write results/baselines.json."""
    stopwatch = Stopwatch()
    dataset = PreparedDataset.open(project.data)
    pixels = raw_pixels(dataset)
    splits = labelled_splits(pixels, dataset.manifest, dataset.classes)
    result = {
        "raw_pixels": {
            "knn": plain(knn(splits, parameters.knn)),
            "linear": plain(linear(splits, parameters.linear)),
            "class_map": plain(
                class_map(pixels.numpy(), dataset.manifest, dataset.classes, parameters.class_map)
            ),
            "robustness": plain(raw_pixel_robustness(pixels, dataset, parameters.robustness)),
        },
        "centre_box": plain(centre_box(dataset, parameters.attention)),
        "otsu": plain(otsu(dataset, parameters.attention)),
    }
    write_json(project.results / "baselines.json", result)
    write_json(
        project.provenance("baselines"),
        provenance(
            "baselines",
            {
                "knn": parameters.knn,
                "linear": parameters.linear,
                "attention": parameters.attention,
                "class_map": parameters.class_map,
                "robustness": parameters.robustness,
            },
            project.root,
            stopwatch,
            data=dataset.fingerprint,
        ),
    )
