"""A teacher's features of whole images, computed once and shared by the evaluations."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from dino.core.configuration.features import FeaturesConfig
from dino.core.distributed import cores
from dino.core.errors import CheckpointError, ConfigurationError
from dino.core.precision import autocast, best_device, resolve_precision
from dino.core.progress import title
from dino.data.batch_loader import batch_loader
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.features.feature_set import FeatureSet
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.preprocessing import centre_crop_pixels


def tokens_of_last_blocks(
    backbone: FrozenBackbone, images: Float[Tensor, "batch 3 height width"], blocks: int
) -> tuple[Float[Tensor, "batch blocks dim"], Float[Tensor, "batch channels"]]:
    """[CLS] tokens of the last `blocks` blocks, oldest first, and the last one's mean patch token.

    All after the final norm, as the reference's `get_intermediate_layers`. With `blocks` 1 the
    token is the backbone's feature, which may be wider than its patches; a backbone without [CLS]
    has no other.
    """
    if blocks == 1:
        feature, patches = backbone.feature_and_patches(images)
        return feature[:, None], patches.mean(dim=1)
    if not backbone.has_cls_token:
        raise ConfigurationError(
            f"features.last_blocks: expected 1 for {backbone.name}, which has no [CLS] token in "
            f"each block, got {blocks}"
        )
    if blocks > backbone.layers:
        raise ConfigurationError(
            f"features.last_blocks: expected at most the backbone's {backbone.layers} blocks, got "
            f"{blocks}"
        )
    tokens = backbone.tokens(images, range(-blocks, 0), normed=True)
    cls_tokens = torch.stack([layer.values[:, 0] for layer in tokens], dim=1)
    return cls_tokens, tokens[-1].values[:, backbone.prefix_tokens :].mean(dim=1)


def extract_features(
    backbones: Mapping[str, FrozenBackbone],
    models: Mapping[str, str],
    dataset: PreparedDataset,
    config: FeaturesConfig,
) -> dict[str, FeatureSet]:
    """The features of every image by each of `backbones`, in one pass over the images.

    `models` holds the SHA-256 of each backbone's weights. Raises `CheckpointError` when a
    backbone gives numbers that are not finite.
    """
    features = {}
    for name, (cls_tokens, patch_mean) in extract_tokens(
        backbones, _CroppedImages(dataset, config), config
    ).items():
        features[name] = FeatureSet(
            cls_tokens=cls_tokens,
            patch_mean=patch_mean,
            data=dataset.fingerprint,
            model=models[name],
        )
    return features


def extract_tokens(
    backbones: Mapping[str, FrozenBackbone],
    pixels: "Dataset[UInt8[Tensor, '3 crop crop']]",
    config: FeaturesConfig,
) -> dict[str, tuple[Float[Tensor, "images blocks dim"], Float[Tensor, "images channels"]]]:
    """For each of `backbones`, what `tokens_of_last_blocks` gives for all of `pixels`, in order.

    On the processor and in float32. Raises `CheckpointError` when a backbone gives numbers that
    are not finite.
    """
    device = best_device()
    networks = {name: backbone.to(device) for name, backbone in backbones.items()}
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in networks}
    usable = cores()
    loader = batch_loader(
        pixels,
        batch_bytes=config.batch_size * 3 * config.crop_px**2,
        workers=usable if device.type == "cuda" else max(1, usable // 2),
        batch_size=config.batch_size,
    )
    count = len(pixels)  # type: ignore[arg-type]
    progress = tqdm(total=count, desc=title("features"), unit="images", mininterval=2)
    precision = resolve_precision(config.precision, device)

    @torch.no_grad()
    def extract(name: str, images: Float[Tensor, "batch 3 height width"]) -> None:
        with autocast(precision, device):
            tokens = tokens_of_last_blocks(networks[name], images, config.last_blocks)
        cls_tokens, patch_mean = tokens
        parts[name].append((cls_tokens.float().cpu(), patch_mean.float().cpu()))

    # one thread a network: on a processor the operations of small ones are too short to be
    # divided among the cores one by one
    threads = ThreadPoolExecutor(
        len(networks),
        initializer=lambda: torch.set_num_threads(max(1, usable // len(networks))),
    )
    with progress, threads:
        for batch in loader:
            images = normalised(batch.to(device))
            list(threads.map(extract, networks, [images] * len(networks)))
            progress.update(len(batch))
    tokens = {}
    for name, batches in parts.items():
        cls_tokens, patch_means = (torch.cat(part) for part in zip(*batches, strict=True))
        ensure_finite_features(cls_tokens, name)
        ensure_finite_features(patch_means, name)
        tokens[name] = cls_tokens, patch_means
    return tokens


def ensure_finite_features(features: Float[Tensor, "images *dims"], name: str) -> None:
    """Raise `CheckpointError` when a feature of the network `name` is NaN or infinite."""
    if not torch.isfinite(features).all():
        raise CheckpointError(
            f"the features of {name} are not finite: its weights are damaged or its training "
            "diverged; pretrain again with a lower learning rate or in float32"
        )


class _CroppedImages(Dataset[Tensor]):
    def __init__(self, dataset: PreparedDataset, config: FeaturesConfig) -> None:
        self._dataset = dataset
        self._config = config

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 crop crop"]:
        image = self._dataset.image(index)
        return centre_crop_pixels(image, self._config.resize_px, self._config.crop_px)
