"""Changes of colour, in place on (channels, height, width); one channel is grey, three are RGB."""

import math

import numpy as np
from numba import njit

_RED, _GREEN, _BLUE = np.uint32(19595), np.uint32(38470), np.uint32(7471)
"""Luma of ITU-R 601-2, in 65536ths."""
_HALF = np.uint32(0x8000)
_SOLARIZE_THRESHOLD = 128


@njit(cache=True)
def brightness(crop, factor):
    """Move `crop` away from black by `factor`; 1 leaves it as it is."""
    _away_from(crop, 0, factor)


@njit(cache=True)
def contrast(crop, factor):
    """Move `crop` away from its mean luma by `factor`."""
    luma = _luma(crop)
    _away_from(crop, int(luma.sum() / luma.size + 0.5), factor)


@njit(cache=True)
def saturation(crop, factor):
    """Move `crop` away from its luma, pixel by pixel, by `factor`; grey stays grey."""
    if len(crop) == 1:
        return
    luma, share = _luma(crop), np.float32(factor)
    for channel in range(len(crop)):
        plane = crop[channel].reshape(-1)
        for i in range(len(plane)):
            plane[i] = _blended(np.int32(luma[i]), plane[i], share)


@njit(cache=True)
def hue(crop, factor):
    """Turn the colour circle by the share `factor` of it, in 255 steps; grey stays grey."""
    if len(crop) == 1:
        return
    steps = np.int32(int(factor * 255))
    reds, greens, blues = crop[0].reshape(-1), crop[1].reshape(-1), crop[2].reshape(-1)
    for i in range(len(reds)):
        red, green, blue = reds[i], greens[i], blues[i]
        value, lowest = max(red, green, blue), min(red, green, blue)
        spread = np.float32(np.int32(value) - np.int32(lowest))
        grey = value == lowest
        spread = np.float32(1.0) if grey else spread
        # where the colour stands on the circle, in bytes as Pillow's HSV images
        from_red = np.float32(np.int32(value) - np.int32(red)) / spread
        from_green = np.float32(np.int32(value) - np.int32(green)) / spread
        from_blue = np.float32(np.int32(value) - np.int32(blue)) / spread
        sixth = np.float32(4.0 + from_green - from_red)
        sixth = np.float32(2.0 + from_red - from_blue) if green == value else sixth
        sixth = from_blue - from_green if red == value else sixth
        turn = sixth / 6.0 + 1.0
        angle = np.float32(turn - math.floor(turn))
        share = spread / np.float32(max(value, np.uint8(1)))
        circle = (np.int32(angle * 255.0) + steps) & 0xFF
        purity = np.float32(np.int32(share * 255.0)) / 255.0
        # and back
        position = np.float32(circle) * 6.0 / 255.0
        sector = np.int32(math.floor(position))
        part = np.float32(position - np.float32(sector))
        fraction = np.float32(purity)
        bright = np.float32(value)
        low = _rounded(bright * (1.0 - fraction))
        falling = _rounded(bright * (1.0 - fraction * part))
        rising = _rounded(bright * (1.0 - fraction * (1.0 - part)))
        sector = sector % 6
        r = falling if sector == 1 else (low if sector == 2 or sector == 3 else value)
        r = rising if sector == 4 else r
        g = rising if sector == 0 else (falling if sector == 3 else low)
        g = value if sector == 1 or sector == 2 else g
        b = rising if sector == 2 else (falling if sector == 5 else low)
        b = value if sector == 3 or sector == 4 else b
        reds[i] = value if grey else r
        greens[i] = value if grey else g
        blues[i] = value if grey else b


@njit(cache=True)
def greyscale(crop):
    """Give every channel the luma."""
    luma = _luma(crop)
    for channel in range(len(crop)):
        crop[channel].reshape(-1)[:] = luma


@njit(cache=True)
def solarize(crop):
    """Invert what is bright, 128 or more."""
    pixels = crop.reshape(-1)
    for i in range(len(pixels)):
        pixels[i] = pixels[i] if pixels[i] < _SOLARIZE_THRESHOLD else 255 - pixels[i]


@njit(cache=True)
def _luma(crop):
    """The bytes of a grey image, in one row."""
    if len(crop) == 1:
        return crop[0].copy().reshape(-1)
    red, green, blue = crop[0].reshape(-1), crop[1].reshape(-1), crop[2].reshape(-1)
    luma = np.empty(len(red), np.uint8)
    for i in range(len(red)):
        total = _RED * np.uint32(red[i]) + _GREEN * np.uint32(green[i]) + _BLUE * np.uint32(blue[i])
        luma[i] = np.uint8(np.uint32(total + _HALF) >> np.uint32(16))
    return luma


@njit(cache=True)
def _away_from(crop, level, factor):
    pixels = crop.reshape(-1)
    share = np.float32(factor)
    for i in range(len(pixels)):
        pixels[i] = _blended(np.int32(level), pixels[i], share)


@njit(cache=True)
def _blended(level, pixel, share):
    """`level` + `share` · (`pixel` - `level`), cut off behind the point, between 0 and 255."""
    value = np.float32(level) + share * np.float32(np.int32(pixel) - level)
    return np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))


@njit(cache=True)
def _rounded(value):
    """The byte next to a `value` that is not negative; halves go up."""
    return np.uint8(np.int32(value + 0.5))
