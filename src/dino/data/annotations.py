"""The annotations of an image besides label and mask: boxes, place in a video, matches."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

_BOX = pa.struct(
    [
        ("class_name", pa.string()),
        ("left_px", pa.float64()),
        ("top_px", pa.float64()),
        ("right_px", pa.float64()),
        ("bottom_px", pa.float64()),
        ("ignore", pa.bool_()),
    ]
)
_NAMES = pa.list_(pa.string())
COLUMNS: Mapping[str, pa.DataType] = {
    "boxes": pa.list_(_BOX),
    "sequence": pa.string(),
    "frame": pa.int64(),
    "easy": _NAMES,
    "hard": _NAMES,
    "junk": _NAMES,
}
"""The manifest's columns of annotations and their types; it has those that some image needs."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle around an object, in pixels of the upright image from its upper left corner.

    Its width is right_px - left_px: a box around the first pixel alone is 0, 0, 1, 1.
    """

    class_name: str
    left_px: float
    top_px: float
    right_px: float
    bottom_px: float
    ignore: bool = False
    """Whether a detection of it is not counted: VOC's `difficult`, COCO's `iscrowd`."""


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Which images show the same as a query, by their ids."""

    easy: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    junk: tuple[str, ...] = ()
    """Neither right nor wrong: they are left out of the ranking."""


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """All of them of one image; None is what nobody has said."""

    boxes: tuple[Box, ...] | None = None
    """Empty: the image shows no object."""
    size_px: tuple[int, int] | None = None
    """Width and height of the image that the boxes were drawn on."""
    sequence: str | None = None
    """The name of the video that the image is a frame of."""
    frame: int | None = None
    """Its number in the video."""
    matches: Matches | None = None
    """None: the image is no query."""

    def columns(self) -> dict[str, Any]:
        """Its part of a row of the manifest, without what is None."""
        row: dict[str, Any] = {"sequence": self.sequence, "frame": self.frame}
        if self.boxes is not None:
            row["boxes"] = [asdict(box) for box in self.boxes]
        if self.matches is not None:
            row |= {name: list(ids) for name, ids in asdict(self.matches).items()}
        return {name: value for name, value in row.items() if value is not None}

    def resized(self, horizontal: float, vertical: float) -> "Annotations":
        """The annotations of the image after a change of its width and height by factors."""
        if self.boxes is None:
            return self
        boxes = tuple(
            replace(
                box,
                left_px=box.left_px * horizontal,
                right_px=box.right_px * horizontal,
                top_px=box.top_px * vertical,
                bottom_px=box.bottom_px * vertical,
            )
            for box in self.boxes
        )
        return replace(self, boxes=boxes, size_px=None)


def annotations_of(row: Mapping[str, Any]) -> Annotations:
    """The annotations in a row of the manifest, as `Annotations.columns` wrote them."""
    said = {name: row[name] for name in COLUMNS if name in row and not _is_missing(row[name])}
    matches = {name: tuple(said[name]) for name in ("easy", "hard", "junk") if name in said}
    return Annotations(
        boxes=tuple(Box(**box) for box in said["boxes"]) if "boxes" in said else None,
        sequence=said.get("sequence"),
        frame=int(said["frame"]) if "frame" in said else None,
        matches=Matches(**matches) if matches else None,
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
