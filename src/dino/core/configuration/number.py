"""The kinds of numbers in params.yaml, each with bounds outside of which it means nothing.

A number is written as one: neither true nor a string is taken for it.
"""

from typing import Annotated

from pydantic import Field, Strict

_LARGEST_COUNT = 2**31 - 1
_LARGEST_SIDE_PX = 2**14
_LARGEST_WIDTH = 2**16
_LARGEST_DEPTH = 2**10
_LARGEST = 1e6

Seed = Annotated[int, Strict(), Field(ge=0, lt=2**32)]
"""A seed that numpy, torch and scikit-learn accept."""
PositiveInt = Annotated[int, Strict(), Field(ge=1, le=_LARGEST_COUNT)]
NonNegativeInt = Annotated[int, Strict(), Field(ge=0, le=_LARGEST_COUNT)]
SidePx = Annotated[int, Strict(), Field(ge=1, le=_LARGEST_SIDE_PX)]
"""The side of an image or crop."""
Width = Annotated[int, Strict(), Field(ge=1, le=_LARGEST_WIDTH)]
"""The length of a layer's vectors."""
Depth = Annotated[int, Strict(), Field(ge=1, le=_LARGEST_DEPTH)]
"""The number of layers, heads or blocks."""
PositiveFloat = Annotated[float, Strict(), Field(gt=0, le=_LARGEST)]
NonNegativeFloat = Annotated[float, Strict(), Field(ge=0, le=_LARGEST)]
LearningRate = Annotated[float, Strict(), Field(gt=0, le=1e4)]
Temperature = Annotated[float, Strict(), Field(ge=1e-6, le=1e4)]
"""Scores between -1 and 1 are divided by it; the bounds keep float32 from overflowing."""
VoteTemperature = Annotated[float, Strict(), Field(ge=0.002, le=1e4)]
"""The temperature of the neighbours' votes exp(similarity / temperature), which overflow below
0.0015."""
Probability = Annotated[float, Strict(), Field(ge=0, le=1)]
PositiveShare = Annotated[float, Strict(), Field(gt=0, le=1)]
ShareBelowOne = Annotated[float, Strict(), Field(ge=0, lt=1)]
ProperShare = Annotated[float, Strict(), Field(gt=0, lt=1)]
