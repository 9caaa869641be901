"""From an image file of any kind to the two modes that everything else knows: "L" and "RGB"."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# sizes are checked in `decoded`, with a limit that params.yaml states
Image.MAX_IMAGE_PIXELS = None
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_MAY_BE_ROTATED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_WHITE = 255


class UnreadableImageError(Exception):
    """Why a file is not an image that can be used, in a few words."""


def decoded(encoded: bytes | memoryview, max_pixels: int | None = None) -> Image.Image:
    """The image in a file, in mode "L" where it is grey, else "RGB".

    It stands upright (EXIF), what is transparent is white, CMYK and palettes are converted,
    16 bits are scaled to 8, and of an animation this is the first frame. Raises
    `UnreadableImageError`; for more than `max_pixels` before any pixel is decoded.
    """
    if len(encoded) == 0:
        raise UnreadableImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            # of damaged metadata, which is not used
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(encoded))
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"{image.width} by {image.height} pixels are more than max_pixels {max_pixels}"
                )
            image.load()
            return _in_known_mode(_upright(image))
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image file that Pillow knows") from None
    # decoders of damaged files raise errors of any type
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"cannot be decoded: {reason}") from None


def _upright(image: Image.Image) -> Image.Image:
    # reading EXIF takes as long as decoding a small image, and most have none
    if image.format == "TIFF" or any(key in image.info for key in _MAY_BE_ROTATED):
        return ImageOps.exif_transpose(image)
    return image


def _in_known_mode(image: Image.Image) -> Image.Image:
    mode = "L" if image.mode in _GREY else "RGB"
    if image.mode == "F":
        raise UnreadableImageError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):
        return _in_eight_bits(image)
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (_WHITE,) * 4)
        return Image.alpha_composite(white, opaque).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.int64)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2**16:
        raise UnreadableImageError(f"expected 16-bit pixels, got values from {low} to {high}")
    return Image.fromarray(np.round(pixels / 257).astype(np.uint8))
