"""A data set: where its images come from, and how they are split and stored."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from dino.core.configuration.number import PositiveInt, Seed, SidePx
from dino.core.configuration.section import section

SourceName = Literal[
    "fashion_mnist",
    "digits",
    "folder",
    "class_folders",
    "manifest",
    "imagenet",
    "imagenette",
    "cifar10",
    "cifar100",
    "stl10",
    "oxford_iiit_pet",
    "voc2012",
    "coco",
    "davis2017",
    "huggingface",
]
NEED_PATH = ("folder", "class_folders", "manifest", "imagenet", "coco", "davis2017")
"""Sources that nobody can download without asking."""


@section
class HuggingfaceConfig:
    """An image data set in Hugging Face's formats: from the hub, or below `path`."""

    name: str | None = None
    """On the hub, such as uoft-cs/cifar10; not used where `path` is a folder of it."""
    subset: str | None = None
    """Where the data set has several configurations."""
    revision: str | None = None
    """Commit or tag on the hub, so that the data stay what they were."""
    image_column: str = "image"
    label_column: str | None = "label"
    """null: unlabelled."""
    mask_column: str | None = None
    """Images of 0 (background), 1 to 254 (objects) and 255 (void)."""
    train_split: str = "train"
    val_split: str | None = None
    """null: `val_images` of the training images are held out."""
    test_split: str | None = "test"
    """null: `test_images` of the training images are held out."""


@section
class ColumnsConfig:
    """What the columns of a manifest (CSV or Parquet) are called."""

    path: str = "path"
    """Files, relative to the manifest's folder."""
    label: str = "label"
    """Names or numbers of classes; an empty cell is an unlabelled image. May be absent."""
    split: str = "split"
    """train, val or test. May be absent."""
    mask: str = "mask"
    """Files, as `HuggingfaceConfig.mask_column`. May be absent."""
    boxes: str = "boxes"
    """Lists of class_name, left_px, top_px, right_px, bottom_px and ignore, as
    `dino.data.annotations.Box` has them. May be absent, as all that follow.
    """
    sequence: str = "sequence"
    """Names of videos."""
    frame: str = "frame"
    """Numbers of frames."""
    easy: str = "easy"
    """Lists of files that a query is to find."""
    hard: str = "hard"
    """Lists of files that it is to find too, with more effort."""
    junk: str = "junk"
    """Lists of files that count for nothing."""


@section
class DatasetConfig:
    """The source of the images, the splits, and how images are stored."""

    source: SourceName = "fashion_mnist"
    """docs/data.md says what each reads."""
    path: str | None = None
    """Folder (or archive, or manifest) with the source's files; null: look in the usual places,
    then download.
    """
    huggingface: HuggingfaceConfig = Field(default_factory=HuggingfaceConfig)
    columns: ColumnsConfig = Field(default_factory=ColumnsConfig)
    masks: Literal["instances", "classes"] = "instances"
    """What VOC's masks tell apart."""
    task: Literal["segmentation", "detection"] = "segmentation"
    """Which of VOC's images: those with masks, or all that have boxes."""
    val_images: PositiveInt = 5000
    """Training images held out, stratified by class, for every choice and the online monitor; not
    used where the source has a validation split of its own.
    """
    test_images: PositiveInt | None = None
    """Training images held out as the test split of a source that has none."""
    max_train_images: PositiveInt | None = None
    """Keep at most this many training images, stratified; null keeps all."""
    max_test_images: PositiveInt | None = None
    """Keep at most this many test images, stratified; null keeps all."""
    seed: Seed = 0
    """Seed of the split."""
    storage: Literal["copy", "pack", "index"] = "copy"
    """copy: the files' bytes as they came; pack: resized and encoded anew; index: the originals
    stay where they are.
    """
    pack_short_side_px: SidePx = 256
    """With pack: the short side of larger images; smaller ones keep their size."""
    pack_format: Literal["jpeg", "png"] = "jpeg"
    """With pack."""
    min_side_px: SidePx = 1
    """Images with a shorter side are quarantined."""
    max_pixels: Annotated[int, Strict(), Field(ge=1, le=178_956_970)] = 178_956_970
    """Images of more pixels are quarantined unread. At most where Pillow suspects an attack, and
    works on no image any more.
    """
    strict: bool = False
    """Whether quarantined images, and equal images in two splits, are an error."""

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.source == "digits" and self.path is not None:
            raise ValueError(f"expected path to be null with source: digits, got {self.path}")
        if self.source in NEED_PATH and self.path is None:
            raise ValueError(f"expected path to be set with source: {self.source}, got null")
        if self.source == "huggingface" and self.path is None and self.huggingface.name is None:
            raise ValueError(
                "expected path or huggingface.name with source: huggingface, got neither"
            )
        return self
