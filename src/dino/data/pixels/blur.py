"""Gaussian blur as Pillow has it: three box blurs with boxes that end inside a pixel.

Gwosdek, Grewenig, Bruhn, Weickert 2011: Theoretical foundations of Gaussian convolution by
extended box filtering.
"""

import math

import numpy as np
from numba import njit

_PASSES = 3
_BITS = np.uint32(24)
_HALF = np.uint32(1 << 23)


@njit(cache=True)
def gaussian_blur(crop, radius_px):
    """Blur `crop` (channels, height, width) in place; `radius_px` is the standard deviation."""
    channels, height, width = crop.shape
    radius = _box_radius(np.float32(radius_px))
    reach = int(radius)
    # a pixel inside the box, and one at its ends; single precision is Pillow's
    full = np.uint32(np.float32(1 << 24) / (radius * np.float32(2.0) + np.float32(1.0)))
    partial = np.uint32(((1 << 24) - (2 * reach + 1) * full) // 2)
    sums = np.empty(width, np.uint32)
    line = np.empty(width + 2 * (reach + 1), np.uint8)
    spare = np.empty((height, width), np.uint8)
    for channel in range(channels):
        plane = crop[channel]
        for y in range(height):
            for _ in range(_PASSES):
                _blur_row(plane[y], reach, full, partial, sums, line)
        _blur_columns(plane, spare, reach, full, partial, sums)
        _blur_columns(spare, plane, reach, full, partial, sums)
        _blur_columns(plane, spare, reach, full, partial, sums)
        plane[:] = spare


@njit(cache=True)
def _blur_row(row, reach, full, partial, sums, line):
    margin, width = reach + 1, len(row)
    line[:margin] = row[0]
    line[margin : margin + width] = row
    line[margin + width :] = row[width - 1]
    sums[:] = 0
    for k in range(1, 2 * margin):
        _add(sums, line[k : k + width])
    _weigh(sums, line[:width], line[2 * margin :], full, partial, row)


@njit(cache=True)
def _blur_columns(source, target, reach, full, partial, sums):
    last = len(source) - 1
    for y in range(last + 1):
        sums[:] = 0
        for k in range(y - reach, y + reach + 1):
            _add(sums, source[min(max(k, 0), last)])
        above, below = source[max(y - reach - 1, 0)], source[min(y + reach + 1, last)]
        _weigh(sums, above, below, full, partial, target[y])


@njit(cache=True)
def _add(sums, line):
    for i in range(len(sums)):
        sums[i] += np.uint32(line[i])


@njit(cache=True)
def _weigh(sums, before, after, full, partial, out):
    """Write the rounded mean of a box: its `sums` inside and the two pixels at its ends."""
    for i in range(len(sums)):
        ends = np.uint32(before[i]) + np.uint32(after[i])
        total = np.uint32(sums[i] * full + ends * partial + _HALF)
        out[i] = np.uint8(total >> _BITS)


@njit(cache=True)
def _box_radius(radius_px):
    """Half of the box's length less one half, so that `_PASSES` boxes have the same variance."""
    variance = np.float32(radius_px * radius_px / np.float32(_PASSES))
    length = np.float32(math.sqrt(12.0 * variance + 1.0))
    whole = np.float32(math.floor((length - 1.0) / 2.0))
    one = np.float32(1.0)
    part = (np.float32(2.0) * whole + one) * (whole * (whole + one) - np.float32(3.0) * variance)
    part /= np.float32(6.0) * (variance - (whole + one) * (whole + one))
    return whole + part
