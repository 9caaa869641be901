"""A table as CSV, Markdown and LaTeX."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dino.reporting.labels import one_line
from dino.reporting.summary import DECIMALS

NOT_MEASURED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "{}$&%#_"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    MINUS: "$-$",
    NOT_MEASURED: "--",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
}
_MARKUP = re.compile(
    r"[\\`*|<$~]|(?<![A-Za-z0-9_])_|_(?![A-Za-z0-9_])|\](?=[(\[:])|&(?=#?\w+;)|!(?=\[)"
)
"""The characters that mean something in Markdown."""

_NEEDS_UNICODE = "% Letters beyond ASCII: XeLaTeX or LuaLaTeX, with a font that has them."

ENDS = ("low", "high")
"""The endings of the columns with the bounds of an interval."""
BESIDE = (*ENDS, "sd")
"""The endings of columns that are shown in their number's cell: interval, deviation over seeds."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, its caption and the headings that replace the names of its columns."""

    name: str
    caption: str
    headings: Mapping[str, str]
    frame: pd.DataFrame
    decimals: Mapping[str, int] = field(default_factory=dict)
    """The decimals of the columns that differ from DECIMALS."""
    absent: str | None = None
    """The reason why it is empty; None if it is not."""

    def csv(self) -> str:
        """Comma-separated values under the columns' names; what was not measured is empty."""
        frame = self.frame.astype(dict.fromkeys(self.decimals, object))
        for name, places in self.decimals.items():
            frame[name] = [None if pd.isna(v) else f"{v:.{places}f}" for v in self.frame[name]]
        return frame.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")

    def markdown(self) -> str:
        """A GitHub table with its caption below; the reason alone where there is nothing."""
        if self.absent is not None:
            return f"{markdown_text(self.absent)}\n"
        rule = ["---:" if number else ":---" for number in self.numeric()]
        header, *cells = (
            [markdown_text(cell) for cell in row] for row in (self.header(), *self.rows())
        )
        lines = ["| " + " | ".join(row) + " |" for row in (header, rule, *cells)]
        return "\n".join([*lines, "", markdown_text(self.caption), ""])

    def latex(self) -> str:
        """A `table` for the package booktabs, labelled `tab:` and its name.

        Where there is nothing in it, a comment.
        """
        if self.absent is not None:
            return f"% {one_line(self.absent)}\n"
        header, *cells = (
            [latex_text(cell) for cell in row] for row in (self.header(), *self.rows())
        )
        text: str = pd.DataFrame(cells, columns=pd.Index(header)).to_latex(
            index=False,
            escape=False,
            column_format="".join("r" if number else "l" for number in self.numeric()),
            caption=latex_text(self.caption),
            label=f"tab:{self.name}",
            position="tbp",
        )
        return text if text.isascii() else f"{_NEEDS_UNICODE}\n{text}"

    def header(self) -> list[str]:
        """The headings, in the order of the columns.

        An interval has none of its own, and what no row has is left out.
        """
        return [self.headings[name] for name in self._shown()]

    def rows(self) -> list[list[str]]:
        """The cells as text: percentages with two decimals, differences with their sign.

        The interval NAME_low, NAME_high stands behind NAME in its cell, for a mean over seeds
        their deviation NAME_sd in its place.
        """
        return [
            [
                cell(row[name], "minus_" in name, self.decimals.get(name, DECIMALS))
                + (
                    spread(row.get(f"{name}_sd"))
                    or interval(row.get(f"{name}_low"), row.get(f"{name}_high"))
                )
                for name in self._shown()
            ]
            for row in self.frame.to_dict("records")
        ]

    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which are set flush right."""
        return [pd.api.types.is_float_dtype(self.frame[name]) for name in self._shown()]

    def _shown(self) -> list[str]:
        names = [str(name) for name in self.frame]
        beside = {f"{name}_{what}" for name in names for what in BESIDE}
        return [name for name in names if name not in beside and self.frame[name].notna().any()]


def markdown_text(text: str) -> str:
    """`text` in one line, every character literal on GitHub."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def latex_text(text: str) -> str:
    """`text` in one line, every character literal in LaTeX."""
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def nothing(name: str, reason: str, columns: Mapping[str, str]) -> Table:
    """A table without a row: what it would hold was not measured, for a reason."""
    sentence = f"Not measured: {reason}."
    return Table(
        name=name,
        caption=sentence,
        headings=columns,
        frame=pd.DataFrame(columns=pd.Index(list(columns))),
        absent=sentence,
    )


def frame(
    rows: list[dict[str, Any]], columns: Mapping[str, str], text: tuple[str, ...]
) -> pd.DataFrame:
    """`rows` under the names of `columns`: numbers, except in those named by `text`."""
    table = pd.DataFrame(rows, columns=pd.Index(list(columns)))
    return table.astype({name: object if name in text else float for name in columns})


def with_intervals(
    headings: Mapping[str, str], names: Container[str], seeds: bool = False
) -> dict[str, str]:
    """`headings` with NAME_low and NAME_high behind each of `names`, for `frame`.

    With `seeds` NAME_sd too: some row is a mean over several.
    """
    columns = {}
    for name, heading in headings.items():
        columns[name] = heading
        if name in names:
            beside = BESIDE if seeds else ENDS
            columns |= {f"{name}_{what}": f"{heading}, {what}" for what in beside}
    return columns


def spread(deviation: Any) -> str:
    """A deviation as it stands behind its mean; nothing where there is none."""
    if deviation is None or pd.isna(deviation):
        return ""
    return f" ± {cell(deviation)}"


def interval(low: Any, high: Any) -> str:
    """An interval as it stands behind its number; nothing where there is none."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    return f" [{cell(low)}, {cell(high)}]"


def cell(value: Any, signed: bool = False, decimals: int = DECIMALS) -> str:
    """A value as people read it."""
    if value is None or pd.isna(value):
        return NOT_MEASURED
    if isinstance(value, str):
        return value
    return f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", MINUS)
