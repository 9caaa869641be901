"""Names that users gave, as figures can draw them: literal, short, in letters that the font has."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import get_font

LONGEST = 26
"""Characters of a label; a longer name is cut."""
_RIGHT_TO_LEFT = ("R", "AL")
_MOST_EXPLAINED = 20


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels that stand for names in a figure."""

    drawn: dict[str, str]
    """The label of each name; different names have different labels."""
    note: str
    """A sentence for the caption on labels that are numbers; empty without any."""


def labels(
    names: Sequence[str], longest: int = LONGEST, shown: Collection[str] | None = None
) -> Labels:
    """A label for each of `names`.

    A name in a script that the figures' font lacks, or that is written from right to left, is
    replaced by its number in `names`, which the caption explains. So is a name that, cut to its
    first characters, is that of another. `shown`: those that the figure has; None: all.
    """
    plain = {name: one_line(name) for name in names}
    short = {name: _shortened(text, longest) for name, text in plain.items()}
    equal = Counter(short.values())
    drawn, numbered = {}, []
    for number, name in enumerate(plain, start=1):
        can_be_drawn = bool(short[name]) and _is_drawable(short[name])
        if can_be_drawn and equal[short[name]] == 1:
            drawn[name] = short[name]
        else:
            drawn[name] = f"[{number}] {short[name]}" if can_be_drawn else f"[{number}]"
            if shown is None or name in shown:
                numbered.append(f"[{number}] {plain[name] or '(an empty name)'}")
    return Labels(drawn=drawn, note=_note(numbered))


def one_line(text: str) -> str:
    """`text` composed, without control characters, with single spaces."""
    composed = unicodedata.normalize("NFC", text)
    visible = "".join(
        " " if unicodedata.category(c) == "Cc" else c
        for c in composed
        if unicodedata.category(c) not in ("Cf", "Cs")
    )
    return " ".join(visible.split())


def _note(numbered: list[str]) -> str:
    if not numbered:
        return ""
    more = len(numbered) - _MOST_EXPLAINED
    rest = f" and {more} more" if more > 0 else ""
    return f" Numbers stand for names: {'; '.join(numbered[:_MOST_EXPLAINED])}{rest}."


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _is_drawable(text: str) -> bool:
    known = _letters()
    return all(ord(c) in known and unicodedata.bidirectional(c) not in _RIGHT_TO_LEFT for c in text)


@cache
def _letters() -> frozenset[int]:
    """The code points of the font that matplotlib brings along and the figures are drawn in."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(get_font(path).get_charmap())
