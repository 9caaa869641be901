"""Which images a project trains on and how they are split."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from dino.core.configuration.section import section


@section
class PrepareConfig:
    """The source of the images and the part of its training split that is held out."""

    source: Literal["fashion_mnist", "digits"] = "fashion_mnist"
    """fashion_mnist: 70,000 grey images of 28 px; digits: scikit-learn's 1,797 of 8 px."""
    path: str | None = None
    """Folder that holds the source's files; null: look in the usual places, then download."""
    val_images: PositiveInt = 5000
    """Training images held out, stratified by class, for every choice and the online monitor."""
    max_train_images: PositiveInt | None = None
    """Keep at most this many training images, stratified; null keeps all."""
    max_test_images: PositiveInt | None = None
    """Keep at most this many test images, stratified; null keeps all."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the split."""

    @model_validator(mode="after")
    def _path_is_used(self) -> Self:
        if self.source == "digits" and self.path is not None:
            raise ValueError(f"expected path to be null with source: digits, got {self.path}")
        return self
