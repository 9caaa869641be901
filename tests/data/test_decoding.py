import io
import zlib

import numpy as np
import pytest
from PIL import Image

from dino.data.decoding import UnreadableImageError, decoded

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = COLOUR[..., 0].copy()


def _file(image: Image.Image, format: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_colour_comes_back_as_it_went_in(format):
    image = decoded(_file(Image.fromarray(COLOUR), format))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), COLOUR)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_stays_grey(mode):
    assert decoded(_file(Image.fromarray(GREY).convert(mode))).mode == "L"


def test_sixteen_bits_are_scaled_to_eight():
    wide = GREY.astype(np.uint16) * 257
    for format in ("PNG", "TIFF"):
        image = decoded(_file(Image.fromarray(wide), format))
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), GREY)


def test_what_is_transparent_is_white():
    alpha = np.zeros_like(GREY)
    alpha[:3] = 255
    image = decoded(_file(Image.fromarray(np.dstack([COLOUR, alpha]))))
    np.testing.assert_array_equal(np.asarray(image)[:3], COLOUR[:3])
    assert (np.asarray(image)[3:] == 255).all()


def test_palettes_with_a_transparent_entry_are_read():
    palette = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    image = decoded(_file(palette, transparency=3))
    holes = np.asarray(palette) == 3
    assert image.mode == "RGB"
    assert (np.asarray(image)[holes] == 255).all()
    expected = np.asarray(palette.convert("RGB"))[~holes]
    np.testing.assert_array_equal(np.asarray(image)[~holes], expected)


def test_a_transparent_colour_is_white():
    image = decoded(_file(Image.fromarray(COLOUR), transparency=tuple(COLOUR[2, 4].tolist())))
    assert (np.asarray(image)[2, 4] == 255).all()


def test_cmyk_is_converted():
    cmyk = Image.fromarray(COLOUR).convert("CMYK")
    image = decoded(_file(cmyk, "TIFF"))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(cmyk.convert("RGB")))
    assert decoded(_file(cmyk, "JPEG")).mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decoded(_file(Image.fromarray(COLOUR), "PNG", exif=exif))
    turned = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, -1),
        7: np.rot90(COLOUR, 2).transpose(1, 0, 2),
        8: np.rot90(COLOUR, 1),
    }
    np.testing.assert_array_equal(np.asarray(image), turned[orientation])


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_read(format):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if format == "WEBP" else {}
    content = _file(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert np.asarray(decoded(content))[1, 1].tolist() == [255, 0, 0]


def test_too_many_pixels_are_refused_before_they_are_decoded():
    # the header of a PNG file of 20,000 by 20,000 px, and no pixels at all
    content = bytearray(_file(Image.new("RGB", (1, 1))))
    content[16:24] = (20_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4)
    with pytest.raises(UnreadableImageError, match="20000 by 20000 pixels are more than max_pix"):
        decoded(bytes(content), max_pixels=178_956_970)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "not an image file that Pillow knows"),
        (_file(Image.fromarray(COLOUR), "JPEG")[:-40], "cannot be decoded: .*truncated"),
        (_file(Image.fromarray(COLOUR))[:80], "cannot be decoded"),
        (_file(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "floating-point"),
        (_file(Image.fromarray(GREY.astype(np.int32) * 2**20), "TIFF"), "expected 16-bit"),
    ],
)
def test_what_is_wrong_is_said(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decoded(content)
