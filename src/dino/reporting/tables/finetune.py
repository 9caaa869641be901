"""Fine-tuned teachers beside the same networks trained from scratch."""

from dino.core.paths import RANDOM_INIT
from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot


def _caption(results: Results) -> str:
    result = results.measured("finetune")
    teacher, scratch = result["teacher"], result["random_init"]
    return (
        f"Accuracy in percent on the test split of the whole network, trained for "
        f"{result['epochs']} epochs on {result['train_images']} labelled images, with 95 % "
        "bootstrap intervals over the test images; differences in points. From scratch is the same "
        "network from its random weights (mean over seeds), with the same images, augmentation and "
        f"schedule. Layer decay {teacher['layer_decay']:g} for the teacher and "
        f"{scratch['layer_decay']:g} from scratch."
    )


FINETUNE = Pivot(
    name="finetune",
    caption=_caption,
    columns={
        "finetune_top1": Column("Top-1, last epoch", key="finetune_top1"),
        "minus_scratch": Column("Above from scratch", key="finetune_top1", minus=RANDOM_INIT),
        "finetune_best_top1": Column("Top-1, best on val", key="finetune_best_top1"),
    },
    features="Start",
    names={RANDOM_INIT: "from scratch"},
)
"""The accuracy of the whole network, from the teacher and from scratch."""
