import numpy as np
import pytest
import torch

from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.pretrain import CropsConfig
from dino.data.dataset import PreparedDataset
from dino.data.loader import CropDataset, EpochBatches, crop_loader
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD, normalised
from dino.data.preparation import prepare
from dino.data.sources.digits import digits

CROPS = CropsConfig(global_size_px=8, local_size_px=4, local_crops=3)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    prepare(digits(), DatasetConfig(source="digits", val_images=100), folder)
    return CropDataset(PreparedDataset.open(folder), CROPS, seed=0)


def _epoch(crops, epoch, workers=0, first_batch=0):
    batches = EpochBatches(crops.dataset.indices("train")[:50], 8, seed=0)
    batches.epoch, batches.first_batch = epoch, first_batch
    return list(crop_loader(crops, batches, workers))


def test_crops_do_not_depend_on_the_number_of_workers(crops):
    alone, with_workers = _epoch(crops, 0), _epoch(crops, 0, workers=2)
    assert len(alone) == len(with_workers) == 6
    for a, b in zip(alone, with_workers, strict=True):
        assert torch.equal(a.global_crops, b.global_crops)
        assert torch.equal(a.local_crops, b.local_crops)
        assert torch.equal(a.images, b.images)


def test_an_epoch_can_be_entered_in_the_middle(crops):
    whole, rest = _epoch(crops, 1), _epoch(crops, 1, first_batch=4)
    assert len(rest) == 2
    assert torch.equal(whole[4].global_crops, rest[0].global_crops)


def test_epochs_differ_in_order_and_in_crops(crops):
    first, second = _epoch(crops, 0), _epoch(crops, 1)
    images = [torch.cat([b.images for b in epoch]) for epoch in (first, second)]
    assert not torch.equal(*images)
    assert len(set(images[0].tolist())) == 48
    shared = (set(first[0].images.tolist()) & {int(i) for b in second for i in b.images}).pop()
    one = next(b.global_crops[:, b.images == shared] for b in first if shared in b.images)
    two = next(b.global_crops[:, b.images == shared] for b in second if shared in b.images)
    assert not torch.equal(one, two)


def test_the_processes_of_a_training_share_each_batch(crops):
    images = crops.dataset.indices("train")[:50]
    alone = list(EpochBatches(images, 8, seed=0))
    parts = [list(EpochBatches(images, 8, seed=0, rank=rank, world_size=4)) for rank in range(4)]
    for batch, *shares in zip(alone, *parts, strict=True):
        assert [key for share in shares for key in share] == batch


def test_crops_stand_in_the_order_of_the_views(crops):
    batch = _epoch(crops, 0)[0]
    assert [tuple(crop.shape) for crop in batch.crops] == [(8, 1, 8, 8)] * 2 + [(8, 1, 4, 4)] * 3
    assert torch.equal(batch.crops[3], batch.local_crops[1])


def test_a_grey_image_is_normalised_to_three_channels(crops):
    pixels = _epoch(crops, 0)[0].crops[3]
    grey = pixels[:, 0].float() / 255
    for channel in range(3):
        expected = (grey - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        torch.testing.assert_close(normalised(pixels)[:, channel], expected)


def test_normalisation_is_the_references(request):
    golden = np.load(request.config.getoption("--golden") / "augmentation.npz")
    pixels = torch.from_numpy(golden["exact/image"]).movedim(-1, 0)
    np.testing.assert_allclose(normalised(pixels), golden["exact/normalized"], atol=1e-6)
