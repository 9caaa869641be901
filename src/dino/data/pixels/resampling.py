"""Crop and bicubic resampling with antialiasing, in Pillow's fixed-point arithmetic."""

import math

import numpy as np
from numba import njit

_A = -0.5
"""The parameter of the cubic convolution kernel (Keys 1981)."""
_SUPPORT = 2.0
_BITS = np.int32(22)
"""Behind the point of a weight; with 8 bits of a pixel and the sign's overshoot they fill 32."""
_ONE = float(1 << 22)
_HALF = np.int32(1 << 21)
_TILE = 32


@njit(cache=True)
def transposed_planes(pixels):
    """The planes of interleaved `pixels` (height, width, channels), as (channels, width, height).

    Columns become contiguous: `resized_crop` sums along rows, for a whole column at a time.
    """
    height, width, channels = pixels.shape
    planes = np.empty((channels, width, height), np.uint8)
    # in tiles, which fit the nearest cache in both layouts
    for top in range(0, height, _TILE):
        bottom = min(top + _TILE, height)
        for left in range(0, width, _TILE):
            for x in range(left, min(left + _TILE, width)):
                for channel in range(channels):
                    for y in range(top, bottom):
                        planes[channel, x, y] = pixels[y, x, channel]
    return planes


@njit(cache=True)
def resized_crop(planes, left, top, width, height, flip, out):
    """Write the box of transposed `planes`, resized and maybe mirrored, to `out` (C, side, side).

    Rows first, rounded to bytes, then columns; what lies outside the box has no weight.
    """
    channels, out_height, out_width = out.shape
    x_first, x_count, x_weights = _weights(width, out_width)
    y_first, y_count, y_weights = _weights(height, out_height)
    sums = np.empty(max(height, out_width), np.int32)
    narrow = np.empty((out_width, height), np.uint8)
    rows = np.empty((height, out_width), np.uint8)
    for channel in range(channels):
        box = planes[channel, left : left + width, top : top + height]
        for x in range(out_width):
            target = narrow[out_width - 1 - x if flip else x]
            _weighted_sum(box[x_first[x] :], x_weights[x, : x_count[x]], sums[:height], target)
        _transpose(narrow, rows)
        for y in range(out_height):
            target = out[channel, y]
            _weighted_sum(rows[y_first[y] :], y_weights[y, : y_count[y]], sums[:out_width], target)


@njit(cache=True)
def _weighted_sum(lines, weights, sums, out):
    """Write the sum of the first `lines`, one weight each, to `out`; `sums` is room to work."""
    sums[:] = _HALF
    for k in range(len(weights)):
        weight, line = weights[k], lines[k]
        for i in range(len(sums)):
            sums[i] += np.int32(weight * np.int32(line[i]))
    for i in range(len(sums)):
        out[i] = np.uint8(min(max(np.int32(sums[i] >> _BITS), np.int32(0)), np.int32(255)))


@njit(cache=True)
def _transpose(matrix, out):
    rows, columns = matrix.shape
    for top in range(0, rows, _TILE):
        bottom = min(top + _TILE, rows)
        for left in range(0, columns, _TILE):
            for x in range(left, min(left + _TILE, columns)):
                for y in range(top, bottom):
                    out[x, y] = matrix[y, x]


@njit(cache=True)
def _weights(size, out_size):
    """For each pixel of the result: first source pixel, number of them, their weights."""
    scale = size / out_size
    # enlarging interpolates; reducing widens the kernel, or fine structure would alias
    filter_scale = max(scale, 1.0)
    support = _SUPPORT * filter_scale
    first = np.empty(out_size, np.int64)
    count = np.empty(out_size, np.int64)
    weights = np.zeros((out_size, math.ceil(support) * 2 + 1), np.int32)
    floats = np.empty(weights.shape[1], np.float64)
    for x in range(out_size):
        centre = (x + 0.5) * scale
        first[x] = max(int(centre - support + 0.5), 0)
        count[x] = min(int(centre + support + 0.5), size) - first[x]
        total = 0.0
        for k in range(count[x]):
            floats[k] = _cubic((k + first[x] - centre + 0.5) * (1.0 / filter_scale))
            total += floats[k]
        for k in range(count[x]):
            fixed = floats[k] / total * _ONE
            weights[x, k] = int(fixed - 0.5) if fixed < 0 else int(fixed + 0.5)
    return first, count, weights


@njit(cache=True)
def _cubic(x):
    x = abs(x)
    if x < 1.0:
        return ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1.0
    if x < _SUPPORT:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * _A
    return 0.0
