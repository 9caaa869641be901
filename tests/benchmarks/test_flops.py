from itertools import pairwise

from tiny_training import ARCHITECTURE, CONFIG

from benchmarks.flops import flops_per_image
from benchmarks.vit_small import ARCHITECTURE as VIT_SMALL
from benchmarks.vit_small import CONFIG as REFERENCE_SIZES


def _forward(side_px):
    """Twice the multiplications of patches, blocks and head, and of the patches alone."""
    dim, depth, patch_px = ARCHITECTURE.embed_dim, ARCHITECTURE.depth, ARCHITECTURE.patch_px
    head = CONFIG.head
    patches = (side_px // patch_px) ** 2
    tokens = patches + 1
    embedding = patches * dim * 3 * patch_px**2
    block = tokens * dim * (3 + 1 + 4 + 4) * dim + 2 * tokens**2 * dim
    widths = [dim, head.hidden_dim, head.hidden_dim, head.bottleneck_dim, head.out_dim]
    projection = sum(a * b for a, b in pairwise(widths))
    return 2 * (embedding + depth * block + projection), 2 * embedding


def test_counted_flops_are_those_of_the_closed_form():
    crops = CONFIG.crops
    expected = 0
    for side_px, count in ((crops.global_size_px, 2), (crops.local_size_px, crops.local_crops)):
        forward, embedding = _forward(side_px)
        # backward is twice forward, but pixels need no gradient
        expected += count * (3 * forward - embedding)
        if side_px == crops.global_size_px:
            expected += 2 * forward
    assert flops_per_image(ARCHITECTURE, CONFIG) == expected


def test_a_vit_small_needs_114_gflop_an_image():
    assert 113 <= flops_per_image(VIT_SMALL, REFERENCE_SIZES) / 1e9 <= 114.5
