"""The attention explorer of the report page: its data, small and ready for the script."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dino.reporting.figures.attention_maps import COLOURS
from dino.reporting.kinds import RANDOM_INIT
from dino.reporting.results import Results, RunResults

MOST_RUNS = 4
BUDGET_BYTES = 4_000_000
"""All arrays together, before base64: six images of a ViT-S/16 at 224 px take 3.3 MB.

Where all images of all runs take more, each run shows fewer of them, and where one image of each is
too much, fewer runs are shown; one image of one run always is. The page says what is left out."""
_PICTURE_QUALITY = 88
_SCRIPTS = ("explorer_numbers.js", "explorer.js")
"""The parts of one script, in order."""


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """What the page shows of the attention."""

    data: dict[str, Any]
    """`runs`, as the script expects them, and `colours`: 256 RGB triplets."""
    absent: tuple[tuple[str, str], ...]
    """Runs without an explorer, and why."""
    left_out: str
    """A sentence on what the page is too small for; empty where everything is shown."""
    script: str
    style: str


def explorer(results: Results) -> Explorer:
    """The first run of each architecture in each variant, at most `MOST_RUNS` that have any."""
    first = [group.runs[0] for group in results.groups]
    reasons = {run.name: str(run.maps["explorer_reason"]) for run in first}
    able = [run for run in first if not reasons[run.name]]
    shown = able[:MOST_RUNS]
    while len(shown) > 1 and images_shown([run.maps for run in shown]) == 0:
        shown.pop()
    images = max(1, images_shown([run.maps for run in shown]))
    folder = Path(__file__).parent
    return Explorer(
        data={"colours": _base64(_colours()), "runs": [_run(run, images) for run in shown]},
        absent=tuple((name, reason) for name, reason in reasons.items() if reason),
        left_out=_left_out(able, len(shown), images),
        script="\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        style=(folder / "explorer.css").read_text(encoding="utf-8"),
    )


def _left_out(able: list[RunResults], runs: int, images: int) -> str:
    """What `able` runs have that the first `runs` of them with `images` each leave out."""
    most = max((len(run.maps["explorer_image"]) for run in able[:runs]), default=0)
    parts = []
    if images < most:
        parts.append(f"{images} of {most} images of each run are shown")
    if names := [run.name for run in able[runs:]]:
        parts.append(f"not shown: {', '.join(names)}")
    if not parts:
        return ""
    text = "; ".join(parts)
    return (
        f"{text[0].upper()}{text[1:]}. The explorer takes {BUDGET_BYTES // 10**6} MB at most and "
        f"{MOST_RUNS} runs, so that this page opens at once; all arrays are in "
        "artifacts/RUN/attention_maps.npz, and a smaller attention.image_size_px leaves room for "
        "more."
    )


def images_shown(runs: list[dict[str, NDArray[Any]]]) -> int:
    """How many images each of `runs` may show, so that the page stays light."""
    of_one = sum(
        maps[f"explorer_{model}_{kind}"][:1].nbytes
        for maps in runs
        for model in ("teacher", "random_init")
        for kind in ("attention", "similarity")
    )
    return BUDGET_BYTES // max(of_one, 1)


def _run(run: RunResults, images: int) -> dict[str, Any]:
    maps = run.maps
    cells = maps["explorer_teacher_similarity"].shape[-1]
    return {
        "name": run.name,
        "models": [
            run.kind.capitalize(),
            RANDOM_INIT.capitalize(),
        ],
        "heads": maps["explorer_teacher_attention"].shape[1],
        "grid": int(np.sqrt(cells)),
        "sizePx": int(maps["explorer_image_size_px"]),
        "patchPx": int(maps["explorer_patch_size_px"]),
        "patchesPerCell": int(maps["explorer_patches_per_cell"]),
        "images": [
            {
                "id": str(maps["explorer_id"][i]),
                "name": str(maps["explorer_class_name"][i]),
                "picture": _picture(maps["explorer_image"][i]),
                "models": [_model(maps, model, i) for model in ("teacher", "random_init")],
            }
            for i in range(min(images, len(maps["explorer_image"])))
        ],
    }


def _model(maps: dict[str, NDArray[Any]], model: str, i: int) -> dict[str, Any]:
    rows = maps[f"explorer_{model}_row_maximum"][i].astype("<f4")
    return {
        "attention": _base64(maps[f"explorer_{model}_attention"][i]),
        "rowMaximum": _base64(rows),
        "similarity": _base64(maps[f"explorer_{model}_similarity"][i]),
        "lowestSimilarity": round(float(maps[f"explorer_{model}_lowest_similarity"][i]), 6),
    }


def _picture(pixels: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_PICTURE_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _colours() -> NDArray[np.uint8]:
    """The palette of the figures."""
    rgba = matplotlib.colormaps[COLOURS](np.arange(256), bytes=True)
    return np.ascontiguousarray(rgba[:, :3])


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
