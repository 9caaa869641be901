"""From an image file of any kind to the two modes that everything else knows: "L" and "RGB"."""

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image, UnidentifiedImageError

from dino.core.configuration.dataset import DatasetConfig

MAX_PIXELS: int = DatasetConfig.max_pixels
"""The limit that `dino prepare` has by default, and everything else that opens images."""
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_MAY_BE_ROTATED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_ORIENTATION_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its EXIF orientation; 1 needs none."""
_WHITE = 255
_PIXELS_AT_ONCE = 2**24
_COMMON = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
# Ghostscript, which runs programs, opens EPS; the others hold no picture that Pillow decodes
_LEFT_OUT = {"EPS", "BUFR", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}


class UnreadableImageError(Exception):
    """Why a file is not an image that can be used, in a few words."""


def decoded(encoded: bytes | memoryview, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image in a file, in mode "L" where it is grey, else "RGB".

    It stands upright (EXIF), what is transparent is white, CMYK and palettes are converted,
    16 bits are scaled to 8, and of an animation this is the first frame. Raises
    `UnreadableImageError`; for more than `max_pixels` before any pixel is decoded.
    """
    with _readable():
        return _in_known_mode(_upright(_opened(encoded, max_pixels)))


def in_known_mode(image: Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`image`, from whatever program, as `decoded` gives it: upright, in mode "L" or "RGB".

    It is turned as long as it carries an orientation: Pillow keeps one when it converts or resizes
    an image, and `PIL.ImageOps.exif_transpose` removes it. Raises `UnreadableImageError`.
    """
    with _readable():
        _check_size(image, max_pixels)
        image.load()
        return _in_known_mode(_upright(image))


def image_of_array(pixels: Shaped[np.ndarray, "..."]) -> Image.Image:
    """An array as an image, in the mode that its type and channels ask for.

    bool, uint8 and uint16 are known; uint8 with 1 to 4 channels, the last of 2 and 4 is alpha.
    Raises `UnreadableImageError` for others.
    """
    single = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if single.dtype in (np.uint8, np.bool_, np.uint16) and 0 not in single.shape:
        grey = single.ndim == 2
        if grey or (single.ndim == 3 and single.dtype == np.uint8 and single.shape[2] in (2, 3, 4)):
            return Image.fromarray(np.ascontiguousarray(single))
    raise UnreadableImageError(
        "expected uint8, uint16 or bool of height x width, or uint8 x 1 to 4 channels"
    )


def decoded_mask(encoded: bytes | memoryview, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The mask in a file, upright, in the file's mode: of a palette its indices are the values.

    Raises `UnreadableImageError`, as `decoded`.
    """
    with _readable():
        return _upright(_opened(encoded, max_pixels))


@cache
def formats() -> tuple[str, ...]:
    """The image formats that are read: Pillow's names, common ones first."""
    Image.init()
    known = [name for name in Image.ID if name not in _LEFT_OUT]
    return tuple(dict.fromkeys([name for name in _COMMON if name in known] + known))


@cache
def endings() -> frozenset[str]:
    """The endings of image files' names, in small letters: .jpg, .png and many more."""
    read = {*formats(), "MPO"}
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in read)


@contextmanager
def _readable() -> Iterator[None]:
    """Errors of any type become `UnreadableImageError`; what Pillow warns of is not said."""
    try:
        with _quiet:
            yield
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image file that Pillow knows") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels: {_one_line(error).split(',')[0]}") from None
    # decoders of damaged files raise errors of any type
    except Exception as error:
        raise UnreadableImageError(f"cannot be decoded: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Quiet:
    """A block in which Pillow does not warn, of damaged metadata for instance.

    `warnings.catch_warnings` puts back a list that it found, so that threads which overlap can
    leave another list behind than there was. Here all blocks share one filter, for Pillow's
    modules alone, and the last one removes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._filter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._filter = warnings.filters[0]

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                # not there where another thread has replaced the list meanwhile
                with suppress(ValueError):
                    warnings.filters.remove(self._filter)  # type: ignore[attr-defined]


_quiet = _Quiet()


def _opened(encoded: bytes | memoryview, max_pixels: int) -> Image.Image:
    if len(encoded) == 0:
        raise UnreadableImageError("the file is empty")
    image = Image.open(io.BytesIO(encoded), formats=formats())
    _check_size(image, max_pixels)
    if image.format == "TIFF":
        _keep_orientation_alone(image)
    image.load()
    return image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise UnreadableImageError(
            f"{image.width} by {image.height} pixels are more than max_pixels {max_pixels}"
        )


def _keep_orientation_alone(image: Image.Image) -> None:
    """Forget a TIFF's other metadata, which Pillow reads, damaged or not, when it loads pixels."""
    # parsers of damaged metadata raise errors of any type
    with suppress(Exception):
        image.getexif()
    exif = image.getexif()
    for tag in list(exif):
        if tag != ExifTags.Base.Orientation:
            del exif[tag]
    image.info.pop("xmp", None)


def _upright(image: Image.Image) -> Image.Image:
    # reading EXIF takes as long as decoding a small image, and most have none
    if image.format == "TIFF" or any(key in image.info for key in _MAY_BE_ROTATED):
        turn = _UPRIGHT.get(_orientation(image))
        # not ImageOps.exif_transpose, which writes the metadata anew and fails at damaged ones
        return image if turn is None else image.transpose(turn)
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, that the metadata say, whatever else in them is damaged."""
    # parsers of damaged metadata raise errors of any type
    value: Any = None
    with suppress(Exception):
        value = image.getexif().get(ExifTags.Base.Orientation)
    with suppress(Exception):
        if value is None:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
            found = _ORIENTATION_IN_XMP.search(xmp.encode() if isinstance(xmp, str) else xmp)
            value = found[1] if found else 1
        # of a wrong type: a sequence, one byte, a digit
        first = value[0] if isinstance(value, tuple | bytes) else value
        is_digit = isinstance(first, int) and first in b"12345678"
        return first - ord("0") if is_digit else int(first)
    return 1


def _in_known_mode(image: Image.Image) -> Image.Image:
    mode = "L" if image.mode in _GREY else "RGB"
    if image.mode == "F":
        raise UnreadableImageError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):
        return _in_eight_bits(image)
    if image.mode == "La":
        # Pillow converts it to this mode alone
        image = image.convert("LA")
    if image.has_transparency_data:
        return _on_white(image, mode)
    return image if image.mode == mode else image.convert(mode)


def _on_white(image: Image.Image, mode: str) -> Image.Image:
    """`image` composited on white, in strips: each stage of it takes four bytes a pixel."""
    composited = Image.new(mode, image.size)
    for top, bottom in _strips(image):
        opaque = image.crop((0, top, image.width, bottom)).convert("RGBA")
        white = Image.new("RGBA", opaque.size, (_WHITE,) * 4)
        composited.paste(Image.alpha_composite(white, opaque).convert(mode), (0, top))
    return composited


def _in_eight_bits(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2**16:
        raise UnreadableImageError(f"expected 16-bit pixels, got values from {low} to {high}")
    # the high byte, as Pillow takes it of colours: it gives 8 bits back however they were widened
    scaled = (pixels >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[pixels == transparent] = _WHITE
    return Image.fromarray(scaled)


def _strips(image: Image.Image) -> Iterator[tuple[int, int]]:
    """First row and end of strips that make up `image`; one alone for most images."""
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, min(top + rows, image.height)
