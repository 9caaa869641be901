import torch

from dino.objective.center import Center


def test_the_center_follows_the_mean_of_the_scores():
    center = Center(12, momentum=0.9)
    scores = torch.randn(10, 12, generator=torch.Generator().manual_seed(0))
    center.update(scores)
    center.update(scores)
    torch.testing.assert_close(center.value, 0.19 * scores.mean(dim=0, keepdim=True))
