"""A figure as files and words, and the look that all figures share."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

DPI = 150
WIDTH_IN = 10.0
BLUE, ORANGE, GREEN, *_ = sns.color_palette("colorblind").as_hex()

_STYLE: Any = {
    **sns.axes_style("whitegrid"),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "0.6",
    "grid.color": "0.9",
    "legend.frameon": False,
    # equal inputs give equal bytes: the ids of elements come from this instead of chance
    "svg.hashsalt": "dino",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as files, and the words beside it and in its place."""

    name: str
    caption: str
    alternative: str
    """What a reader who cannot see the figure should know."""
    png: bytes
    svg: bytes


@contextmanager
def house_style() -> Iterator[None]:
    """The context in which figures are drawn and rendered, whatever the user's matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def picture(figure: Figure, *, name: str, caption: str, alternative: str) -> Picture:
    """`figure` rendered as PNG and SVG, without dates or versions in them."""
    return Picture(
        name=name,
        caption=caption,
        alternative=alternative,
        png=_render(figure, "png", {"Software": None}),
        svg=_render(figure, "svg", {"Date": None, "Creator": None}),
    )


def palette(names: tuple[str, ...]) -> dict[str, Any]:
    """A colour for each name, told apart by readers with any colour vision."""
    colours = "colorblind" if len(names) <= 10 else "viridis"
    return dict(zip(names, sns.color_palette(colours, len(names)), strict=True))


def _render(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata, facecolor="white")
    return stream.getvalue()
