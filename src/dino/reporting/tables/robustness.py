"""k-NN accuracy of corrupted images beside the baselines."""

from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot

CORRUPTIONS = {
    "noise": "Noise",
    "blur": "Blur",
    "contrast": "Contrast",
    "pixelate": "Pixelate",
    "jpeg": "JPEG",
}


def _caption(results: Results) -> str:
    result = results.measured("robustness")
    return (
        f"k-NN top-1 (k = {result['neighbours']}) in percent of {result['images']} test images, "
        "clean and in each corruption: the mean over three severities. The neighbours are clean "
        "training images. The mean of all 15 has a 95 % bootstrap interval over the images; lost "
        "of clean is its distance from clean in percent of clean."
    )


def _where(**values: str) -> dict[str, str]:
    return {"evaluation": "robustness", "metric": "top1"} | values


ROBUSTNESS = Pivot(
    name="robustness",
    caption=_caption,
    columns={
        "clean": Column("Clean", where=_where(corruption="none"), interval=False),
        **{
            name: Column(heading, where=_where(corruption=name), interval=False)
            for name, heading in CORRUPTIONS.items()
        },
        "robustness_top1": Column("Mean of corruptions", key="robustness_top1"),
        "relative_drop": Column(
            "Lost of clean", where=_where(metric="relative_drop"), interval=False
        ),
    },
)
"""The mean over the severities of each corruption, and over all."""
