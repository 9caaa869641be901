"""What stops a benchmark: numbers that disagree, a machine that cannot be measured."""

from dino.core.errors import DinoError


class BenchmarkError(DinoError):
    """A benchmark whose result would mean nothing."""
