"""Linear classification by the paper's protocol: new random crops in each epoch (section 4.1)."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.distributed import cores
from dino.core.precision import autocast, best_device, resolve_precision
from dino.data.batch_loader import batch_loader
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.data.resized_crops import ResizedCrops, ShuffledBatches
from dino.evaluation.linear import (
    LinearResult,
    LinearTraining,
    classifier_input,
    initial_classifier,
    trained,
)
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import tokens_of_last_blocks
from dino.features.labelled_splits import LabelledSplits


def linear_paper(
    backbone: FrozenBackbone,
    dataset: PreparedDataset,
    splits: LabelledSplits,
    config: LinearPaperConfig,
    features: FeaturesConfig,
) -> LinearResult:
    """The accuracy of a classifier trained on random crops of train, scored on centre crops.

    The backbone is frozen, so that the features of val and test, which come in `splits`, need not
    be computed in each epoch. Last and best epoch are those of the learning rate that is best on
    val.
    """
    device = best_device()
    backbone = backbone.to(device)
    splits = splits.to(device)
    crops = ResizedCrops(
        dataset,
        size_px=features.crop_px,
        scale=config.scale,
        flip_probability=config.flip_probability,
        seed=config.seed,
    )
    labels = torch.tensor(dataset.manifest["label"].to_list())
    precision = resolve_precision(features.precision, device)

    # one thread a batch: on a processor the operations of small networks are too short to be
    # divided among the cores one by one
    threads = ThreadPoolExecutor(cores(), initializer=lambda: torch.set_num_threads(1))

    @torch.no_grad()
    def features_of(pixels: Tensor) -> Float[Tensor, "batch dim"]:
        parts = []
        for part in pixels.split(features.batch_size):
            with autocast(precision, device):
                tokens = tokens_of_last_blocks(
                    backbone, normalised(part.to(device)), features.last_blocks
                )
            cls_tokens, patch_mean = (token.float() for token in tokens)
            parts.append(classifier_input(cls_tokens, patch_mean, config.average_pool))
        return torch.cat(parts)

    order = ShuffledBatches(dataset.labelled_indices("train"), config.batch_size, config.seed)
    loader = batch_loader(
        crops,
        batch_bytes=config.batch_size * 3 * features.crop_px**2,
        workers=max(1, cores() // 2),
        batch_sampler=order,
        persistent_workers=True,
    )

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order.epoch = epoch
        ahead: deque[tuple[Future[Tensor], Tensor]] = deque()
        for pixels, images in loader:
            ahead.append((threads.submit(features_of, pixels), labels[images].to(device)))
            # what a batch's features are does not depend on the classifier
            if len(ahead) > cores():
                computed, its_labels = ahead.popleft()
                yield computed.result(), its_labels
        for computed, its_labels in ahead:
            yield computed.result(), its_labels

    generator = torch.Generator().manual_seed(config.seed)
    classifier = initial_classifier(splits.val.features.shape[1], splits.classes, generator).to(
        device
    )
    training = LinearTraining(
        classifier,
        learning_rates=config.learning_rates,
        batch_size=config.batch_size,
        epochs=config.epochs,
    )
    with threads:
        return trained(training, batches, val=splits.val, test=splits.test)
