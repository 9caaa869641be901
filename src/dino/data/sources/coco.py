"""COCO: photographs with a box around each object."""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from dino.core.errors import DataError
from dino.data.annotations import Annotations, Box
from dino.data.source import Source, SourceSplit
from dino.data.sources.files import ImageFile, split_of_files


def coco(path: Path) -> Source:
    """118,287 images of COCO 2017 with boxes; the 5,000 validation images are the test split.

    `path` holds annotations/instances_train2017.json and instances_val2017.json, and the images
    in train2017/ and val2017/; other years alike. An image shows objects of several classes, so
    that it has no label. Raises `DataError` where a file is missing or of another form.
    """
    return Source(
        classes=(), train=_split(path, "train"), test=_split(path, "val"), mask_kind=None, root=path
    )


def _split(root: Path, split: str) -> SourceSplit:
    found = sorted((root / "annotations").glob(f"instances_{split}*.json"))
    if len(found) != 1:
        raise DataError(
            f"{root / 'annotations'}: expected one file instances_{split}YEAR.json, found "
            f"{len(found)}; correct path in params.yaml"
        )
    folder = found[0].stem.removeprefix("instances_")
    try:
        content = json.loads(found[0].read_text(encoding="utf-8"))
        names = {category["id"]: category["name"] for category in content["categories"]}
        boxes: dict[Any, list[Box]] = defaultdict(list)
        for entry in content["annotations"]:
            boxes[entry["image_id"]].append(_box(entry, names))
        files = [
            ImageFile(
                path=f"{folder}/{image['file_name']}",
                label=-1,
                annotations=partial(
                    Annotations,
                    boxes=tuple(boxes[image["id"]]),
                    size_px=(image["width"], image["height"]),
                ),
            )
            for image in content["images"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{found[0]}: not a file of COCO's instances ({type(error).__name__}: {error}); fetch "
            "it again"
        ) from None
    return split_of_files(root, files)


def _box(entry: dict[str, Any], names: dict[Any, str]) -> Box:
    left, top, width, height = (float(number) for number in entry["bbox"])
    return Box(
        class_name=names[entry["category_id"]],
        left_px=left,
        top_px=top,
        right_px=left + width,
        bottom_px=top + height,
        ignore=bool(entry.get("iscrowd", False)),
    )
