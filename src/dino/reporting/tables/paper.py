"""The tables of the paper, from published numbers and ours."""

from collections.abc import Iterable
from dataclasses import replace

from dino.reporting.ours import Ours
from dino.reporting.paper import all_paper_rows
from dino.reporting.results import Results
from dino.reporting.table import Table
from dino.reporting.tables.comparison import Comparison, comparison_table

_OF_CENTERING = {
    "no_centering": "no centering",
    "no_sharpening": "no sharpening",
    "softmax_centering": "softmax over the batch",
}
CROPS = Comparison(
    name="paper_crops",
    caption="Numbers of crops, with the time and memory of training; in the paper 100 epochs.",
    sources=("multicrop_100ep",),
    baseline="batch_1024",
)
"""The table with columns of its own, made by tables/costs.py."""
COMPARISONS = (
    Comparison(
        name="paper_main",
        caption="Main results: classifiers on frozen features.",
        sources=("main",),
        by_architecture=True,
    ),
    Comparison(
        name="paper_components",
        caption="Components taken away or replaced; in the paper 300 epochs.",
        sources=("components_300ep",),
        baseline="dino",
    ),
    Comparison(
        name="paper_teacher",
        caption="What the teacher is made from; in the paper 300 epochs.",
        sources=("teacher",),
        baseline="dino",
    ),
    Comparison(
        name="paper_centering",
        caption=(
            "What keeps the teacher from collapsing; in the paper 300 epochs, its numbers again "
            "those of the components."
        ),
        sources=("components_300ep",),
        settings=("dino", "sinkhorn_knopp"),
        baseline="dino",
        more=_OF_CENTERING,
    ),
    Comparison(
        name="paper_batch_size",
        caption="Batch size, without multi-crop; in the paper 100 epochs.",
        sources=("batch_size_100ep",),
        baseline="batch_1024",
    ),
    Comparison(
        name="paper_prototypes",
        caption="Number of prototypes K; in the paper 100 epochs.",
        sources=("out_dim_100ep",),
        baseline="k_65536",
    ),
    Comparison(
        name="paper_center_momentum",
        caption="Momentum of the center; in the paper 100 epochs.",
        sources=("center_momentum_100ep",),
        baseline="center_0_9",
    ),
    Comparison(
        name="paper_temperature",
        caption="Temperature of the teacher; in the paper 100 epochs.",
        sources=("teacher_temperature_100ep",),
        baseline="temperature_0_04_to_0_07",
    ),
    Comparison(
        name="paper_low_shot",
        caption="Few labels on frozen features.",
        sources=("low_shot",),
    ),
    Comparison(
        name="paper_attention",
        caption=(
            "Jaccard index in percent between the attention's masks and the truth, by the paper's "
            "protocol with 60 % of the mass; in the paper on PASCAL VOC 2012."
        ),
        sources=("attention",),
        by_architecture=True,
    ),
    Comparison(
        name="paper_other",
        caption="Other uses of the frozen or fine-tuned features.",
        sources=("retrieval", "copy_detection", "video", "finetune", "object_discovery"),
        by_architecture=True,
    ),
)
"""The tables whose numbers are the same for equal runs."""


def paper_tables(ours: Ours) -> Iterable[Table]:
    """Every table of the paper but those of time and memory."""
    for comparison in COMPARISONS:
        if comparison.name == "paper_components":
            comparison = replace(comparison, more=_not_in_the_paper(ours.results))
        yield comparison_table(comparison, ours)


def _not_in_the_paper(results: Results) -> dict[str, str]:
    """Our variants that no published number belongs to, with what they are called."""
    published = {row.variant for row in all_paper_rows()}
    variants = dict.fromkeys(group.variant for group in results.groups)
    return {
        variant: _OF_CENTERING.get(variant, f"ours: {variant}")
        for variant in variants
        if variant not in published
    }
