"""One feature set per teacher: [CLS] tokens and mean patch token of every image, kept in a file."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dino.core.artifacts import replacing
from dino.core.checksums import ensure_same_network
from dino.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features of all images of a data set, in the order of its manifest."""

    cls_tokens: Float32[Tensor, "images blocks dim"]
    """[CLS] of the last blocks after the final norm, oldest block first."""
    patch_mean: Float32[Tensor, "images channels"]
    """Mean over the patch tokens of the last block after the final norm."""
    data: str
    """Fingerprint of the data set."""
    model: str
    """SHA-256 of the backbone's weights."""

    @property
    def last_cls_token(self) -> Float32[Tensor, "images dim"]:
        """The [CLS] token of the last block."""
        return self.cls_tokens[:, -1]

    def save(self, path: Path) -> None:
        """Write a safetensors file that names the data and the model in its metadata."""
        tensors = {"cls_tokens": self.cls_tokens, "patch_mean": self.patch_mean}
        with replacing(path) as temporary:
            save_file(tensors, temporary, {"data": self.data, "model": self.model})


def load_features(path: Path, data: str, model: str | None = None) -> FeatureSet:
    """The features at `path`.

    Raises `DataError` when they are of other data than `data`, or by another network than the one
    whose weights have the SHA-256 `model` (None: no network is used beside them).
    """
    if not path.is_file():
        raise DataError(f"{path}: not found; run `dino features`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            features = FeatureSet(
                cls_tokens=file.get_tensor("cls_tokens"),
                patch_mean=file.get_tensor("patch_mean"),
                data=metadata["data"],
                model=metadata["model"],
            )
    except (SafetensorError, OSError, KeyError) as error:
        raise DataError(
            f"{path}: not a whole file of features ({error}); delete it and run `dino features`"
        ) from None
    if features.data != data:
        raise DataError(
            f"{path}: made from other data ({features.data[:12]}) than the prepared ones "
            f"({data[:12]}); run `dino features` again"
        )
    if model is not None:
        ensure_same_network(path, features.model, model)
    return features
