import torch

from dino.core.seeding import seeded, stream


def test_a_stream_depends_on_its_key_alone():
    first = stream(1, 2, 3).random(4)
    stream(9).random(100)
    assert (stream(1, 2, 3).random(4) == first).all()
    assert (stream(1, 2, 4).random(4) != first).any()


def test_a_seeded_block_leaves_the_generators_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0):
        inside = torch.rand(3)
    with seeded(0):
        assert torch.equal(inside, torch.rand(3))
    assert torch.equal(torch.rand(3), expected)
