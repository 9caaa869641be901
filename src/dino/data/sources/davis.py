"""DAVIS: videos of which every frame has the masks of its objects."""

from functools import partial
from pathlib import Path

from dino.core.errors import DataError
from dino.data.annotations import Annotations
from dino.data.source import Source, SourceSplit
from dino.data.sources.files import ImageFile, image_paths, split_of_files
from dino.data.sources.segmentations import lines_of, mask_file


def davis2017(path: Path) -> Source:
    """60 training videos of DAVIS 2017; the 30 validation videos are the test split.

    `path` holds ImageSets/2017/train.txt and val.txt, the frames in JPEGImages/480p/VIDEO and
    the masks in Annotations/480p/VIDEO. Each frame is an image, which knows its video and its
    number there. What is held out as val are frames of training videos. Raises `DataError` where a
    list or a video is missing.
    """
    return Source(
        classes=(),
        train=_split(path, "train"),
        test=_split(path, "val"),
        mask_kind="instances",
        root=path,
    )


def _split(root: Path, split: str) -> SourceSplit:
    files = []
    for video in lines_of(root / "ImageSets" / "2017" / f"{split}.txt"):
        for frame in image_paths(root, f"JPEGImages/480p/{video}"):
            name = Path(frame).stem
            if not name.isdecimal():
                raise DataError(f"{root / frame}: expected the frame's number as its name")
            mask = root / "Annotations" / "480p" / video / f"{name}.png"
            files.append(
                ImageFile(
                    path=frame,
                    label=-1,
                    mask=partial(mask_file, mask),
                    annotations=partial(Annotations, sequence=video, frame=int(name)),
                )
            )
    return split_of_files(root, files)
