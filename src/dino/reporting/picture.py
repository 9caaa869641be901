"""A figure as files and words, and the look that all figures share."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

DPI = 150
WIDTH_IN = 10.0
BLUE, ORANGE, GREEN, _, PURPLE, *_ = sns.color_palette("colorblind").as_hex()

_STYLE: Any = {
    **sns.axes_style("whitegrid"),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "0.6",
    "grid.color": "0.9",
    "legend.frameon": False,
    # names are literal: a dollar begins no formula
    "text.parse_math": False,
    # equal inputs give equal bytes: the ids of elements come from this instead of chance
    "svg.hashsalt": "dino",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as files, and the words beside it and in its place."""

    name: str
    caption: str
    alternative: str
    """The text for a reader who cannot see the figure."""
    png: bytes
    svg: bytes
    is_words: bool = False
    """Whether there is nothing to draw, and the files hold the caption alone."""


@contextmanager
def house_style() -> Iterator[None]:
    """The context in which figures are drawn and rendered, whatever the user's matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def picture(
    figure: Figure, *, name: str, caption: str, alternative: str, is_words: bool = False
) -> Picture:
    """`figure` rendered as PNG and SVG, without dates or versions in them."""
    return Picture(
        name=name,
        caption=caption,
        alternative=alternative,
        is_words=is_words,
        png=_render(figure, "png", {"Software": None}),
        svg=_render(figure, "svg", {"Date": None, "Creator": None}),
    )


def words(name: str, text: str) -> Picture:
    """A figure with the reason why there is nothing to show."""
    lines = textwrap.wrap(text, width=110)
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 0.2 * len(lines)), layout="constrained")
    figure.text(0.5, 0.5, "\n".join(lines), ha="center", va="center")
    return picture(figure, name=name, caption=text, alternative=text, is_words=True)


def palette(names: tuple[str, ...]) -> dict[str, Any]:
    """A colour for each name, told apart by readers with any colour vision."""
    colours = "colorblind" if len(names) <= 10 else "viridis"
    return dict(zip(names, sns.color_palette(colours, len(names)), strict=True))


def _render(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata, facecolor="white")
    return stream.getvalue()
