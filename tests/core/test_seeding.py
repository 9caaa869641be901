import random
from itertools import product

import numpy as np
import pytest
import torch

from dino.core.seeding import Purpose, all_seeded, hashed, seeded, stream, uniforms

GAMMA = 0x9E3779B97F4A7C15


def test_a_stream_depends_on_its_key_alone():
    purpose = Purpose.PRETRAIN_ORDER
    first = stream(purpose, 2, 3).random(4)
    stream(Purpose.SPLIT, 9).random(100)
    assert (stream(purpose, 2, 3).random(4) == first).all()
    assert (stream(purpose, 2, 4).random(4) != first).any()


def test_no_two_keys_share_a_stream():
    keys = [
        (purpose, *indices)
        for purpose in Purpose
        for indices in product((0, 1, 2**32 - 1), repeat=len(purpose.indices))
    ]
    assert len({purpose.number for purpose in Purpose}) == len(Purpose)
    for draw in (lambda key: stream(*key).random(), lambda key: uniforms(*key).item()):
        assert len({draw(key) for key in keys}) == len(keys)


def test_another_count_of_indices_and_words_of_more_than_32_bits_are_refused():
    for draw in (stream, uniforms):
        with pytest.raises(AssertionError, match=r"PRETRAIN_ORDER has \('seed', 'epoch'\), got 1"):
            draw(Purpose.PRETRAIN_ORDER, 0)
    with pytest.raises(AssertionError, match="PRETRAIN_ORDER"):
        stream(Purpose.PRETRAIN_ORDER, 2**32, 1)


def test_hashes_of_one_word_are_splitmix64s():
    # published first outputs of SplitMix64 from state 0 and from state 1234567
    state = np.array([0, GAMMA - (1 << 64), 1234567])
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 6457827717110365317]
    assert hashed(state).tolist() == [(number >> 11) / 2.0**53 for number in expected]


def test_a_uniform_depends_on_its_own_key_alone():
    images, crops, blocks = np.arange(40), np.arange(10), np.arange(24)
    purpose = Purpose.PRETRAIN_DROP_PATH
    table = uniforms(purpose, 7, 3, images, crops[:, None], blocks[:, None, None])
    assert table.shape == (24, 10, 40)
    assert 0 <= table.min() < table.max() < 1
    for block, crop, image in [(0, 0, 0), (23, 9, 39), (5, 2, 17)]:
        assert uniforms(purpose, 7, 3, image, crop, block) == table[block, crop, image]
    order = np.random.default_rng(0).permutation(40)
    assert np.array_equal(uniforms(purpose, 7, 3, images[order], 4, 1), table[1, 4, order])


def test_the_order_of_a_keys_words_matters():
    words = np.arange(100)
    table = hashed(words[:, None], words)
    assert len(np.unique(table)) == table.size
    assert hashed(5) != hashed(5, 0) != hashed(0, 5)


def test_negative_and_large_words_are_words():
    words = np.array([-1, -(2**63), 2**63 - 1, 0, 2**32])
    assert len(np.unique(hashed(words))) == 5


@pytest.mark.parametrize("word", range(5))
def test_hashes_of_neighbouring_keys_are_uniform_and_independent(word):
    """Along each word of the key, over 2^18 keys that differ in it by 1, around small numbers."""
    count = 2**18
    key = [3, 11, 29, 2, 6]
    numbers = hashed(*(np.arange(count) if i == word else k for i, k in enumerate(key)))
    # chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6
    cells = np.bincount((numbers * 256).astype(int), minlength=256)
    assert _chi_square(cells) < 255 + 5 * 22.6
    # pairs of neighbours fill the square, 16 by 16
    first, second = (numbers[:-1] * 16).astype(int), (numbers[1:] * 16).astype(int)
    assert _chi_square(np.bincount(16 * first + second, minlength=256)) < 255 + 5 * 22.6
    for lag in (1, 2, 3, 10, 24, 64):
        correlation = np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(count)


@pytest.mark.parametrize("word", range(5))
def test_a_turned_bit_of_a_key_turns_every_bit_of_its_number_half_the_time(word):
    count = 4096
    key = list(np.random.default_rng(1).integers(0, 1000, (5, count)))
    before = (hashed(*key) * 2.0**53).astype(np.int64)
    for bit in range(0, 63, 3):
        key_after = [k ^ (1 << bit) if i == word else k for i, k in enumerate(key)]
        turned = before ^ (hashed(*key_after) * 2.0**53).astype(np.int64)
        shares = [((turned >> place) & 1).mean() for place in range(53)]
        # a share of half has a standard deviation of 1/128; 5.5 of them for 21 × 53 shares
        assert np.abs(np.array(shares) - 0.5).max() < 5.5 / 128


def _chi_square(cells):
    expected = cells.sum() / len(cells)
    return ((cells - expected) ** 2 / expected).sum()


def test_a_seeded_block_leaves_the_generators_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0):
        inside = torch.rand(3)
    with seeded(0):
        assert torch.equal(inside, torch.rand(3))
    assert torch.equal(torch.rand(3), expected)


def test_all_global_generators_depend_on_the_key_and_are_left_alone():
    def draws():
        # the generators that libraries draw from
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    with all_seeded(Purpose.FINETUNE_MIXING, 0, 2):
        first = draws()
        following = draws()
    before = random.getstate(), torch.get_rng_state()
    with all_seeded(Purpose.FINETUNE_MIXING, 0, 2):
        assert draws() == first
        assert draws() == following
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
    with all_seeded(Purpose.FINETUNE_MIXING, 0, 3):
        assert all(one != other for one, other in zip(draws(), first, strict=True))
