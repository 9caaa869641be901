import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from dino.data.decoding import (
    UnreadableImageError,
    decoded,
    decoded_mask,
    image_of_array,
    in_known_mode,
)

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


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("low_byte", [0, 100, 255])
def test_of_sixteen_bits_the_high_byte_counts(format, low_byte):
    wide = GREY.astype(np.uint16) * 256 + low_byte
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


ORIENTATION, RESOLUTION = 0x0112, 0x011A
BYTE, ASCII, SHORT, LONG = 1, 2, 3, 4
TURNED = (ORIENTATION, SHORT, 1, 6 << 16)


def _exif(*tags: tuple[int, int, int, int], entries: int | None = None) -> bytes:
    """EXIF of one directory, whose tags are (number, type, count, value or offset)."""
    directory = b"".join(struct.pack(">HHII", *tag) for tag in tags)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", entries or len(tags)) + directory


def _with_exif(exif: bytes, format: str = "JPEG") -> bytes:
    file = _file(Image.fromarray(COLOUR), format, **({} if format == "JPEG" else {"exif": exif}))
    if format == "JPEG":
        file = file[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + file[2:]
    return file


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        # a resolution of the wrong type, one beyond the file, and a directory that goes beyond it
        _exif(TURNED, (RESOLUTION, BYTE, 1, 26)),
        _exif(TURNED, (RESOLUTION, 5, 1, 2**31)),
        _exif(TURNED, entries=200),
        # a directory of the camera's tags that is nowhere
        _exif(TURNED, (0x8769, LONG, 1, 2**31)),
        # the orientation of another type
        _exif((ORIENTATION, BYTE, 1, 6 << 24)),
        _exif((ORIENTATION, LONG, 1, 6)),
        _exif((ORIENTATION, ASCII, 2, ord("6") << 24)),
        _exif((ORIENTATION, SHORT, 2, 6 << 16)),
    ],
)
def test_damaged_metadata_cost_neither_the_pixels_nor_the_orientation(exif, format):
    assert decoded(_with_exif(exif, format)).size == (6, 9)


def test_what_is_no_orientation_turns_nothing():
    for exif in (_exif((ORIENTATION, SHORT, 1, 77 << 16)), b"Exif\0\0what is this"):
        assert decoded(_with_exif(exif)).size == (9, 6)


def test_an_orientation_in_xmp_counts_where_exif_has_none():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    segment = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    for exif in (_exif((RESOLUTION, BYTE, 1, 26)), b"Exif\0\0what is this"):
        file = _with_exif(exif)
        app1 = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
        assert decoded(file[:2] + app1 + file[2:]).size == (6, 9)


def test_a_tiff_is_turned_whatever_else_its_tags_say():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ORIENTATION] = 6
    # directories of the camera and the place that are nowhere, and text that is no XMP
    for number, kind, value in ((0x8769, LONG, 2**31), (0x8825, LONG, 2**31), (700, SHORT, 9)):
        tags[number] = value
        tags.tagtype[number] = kind
    file = _file(Image.fromarray(COLOUR), "TIFF", tiffinfo=tags)
    np.testing.assert_array_equal(np.asarray(decoded(file)), np.rot90(COLOUR, -1))


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
    with pytest.raises(UnreadableImageError, match=r"too many pixels: .*400000000 pixels"):
        decoded(bytes(content))
    with pytest.raises(UnreadableImageError, match="9 by 6 pixels are more than max_pixels 53"):
        decoded(_file(Image.fromarray(COLOUR)), max_pixels=53)


def test_an_image_of_one_bit_a_pixel_may_have_as_many_pixels_as_others():
    file = _file(Image.new("1", (13_378, 13_378)))
    for read in (decoded, decoded_mask):
        with pytest.raises(UnreadableImageError, match=r"13378 by 13378|178970884 pixels"):
            read(file)


def test_reading_leaves_pillow_and_the_filters_of_warnings_as_they_were():
    assert Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    before = list(warnings.filters)
    # a tag that ends beyond the file, of which Pillow warns
    file = _with_exif(_exif((ORIENTATION, 3, 1, 6 << 16), (0x010F, 2, 900, 5000)))
    with ThreadPoolExecutor(8) as threads:
        sizes = {image.size for image in threads.map(decoded, [file] * 64)}
    assert sizes == {(6, 9)}
    assert warnings.filters == before


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


def test_a_transparent_level_of_sixteen_bits_is_white():
    wide = GREY.astype(np.uint16) * 257
    image = decoded(_file(Image.fromarray(wide), transparency=int(wide[2, 3])))
    assert (np.asarray(image)[wide == wide[2, 3]] == 255).all()
    np.testing.assert_array_equal(np.asarray(image)[wide != wide[2, 3]], GREY[wide != wide[2, 3]])


def test_a_large_image_is_composited_in_strips_as_a_small_one(monkeypatch):
    file = _file(Image.fromarray(np.dstack([COLOUR, GREY])))
    whole = np.asarray(decoded(file))
    monkeypatch.setattr("dino.data.decoding._PIXELS_AT_ONCE", 20)
    np.testing.assert_array_equal(np.asarray(decoded(file)), whole)


def test_postscript_is_not_run():
    with pytest.raises(UnreadableImageError, match="not an image file that Pillow knows"):
        decoded(_file(Image.fromarray(COLOUR), "EPS"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_an_image_of_a_program_is_read_as_its_file(mode):
    image = Image.fromarray(COLOUR).convert("L" if mode == "I;16" else mode).convert(mode)
    file = decoded(_file(image, "TIFF"))
    assert in_known_mode(image).mode == file.mode
    np.testing.assert_array_equal(np.asarray(in_known_mode(image)), np.asarray(file))


def test_multiplied_alpha_is_composited_too():
    for mode, plain in (("La", "LA"), ("RGBa", "RGBA")):
        image = Image.new(plain, (2, 2), (0,) * len(plain)).convert(mode)
        assert np.asarray(in_known_mode(image)).min() == 255


def test_an_image_that_was_opened_from_a_file_is_turned_once():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for format in ("PNG", "TIFF"):
        file = _file(Image.fromarray(COLOUR), format, exif=exif)
        expected = np.rot90(COLOUR, -1)
        opened = Image.open(io.BytesIO(file))
        np.testing.assert_array_equal(np.asarray(in_known_mode(opened)), expected)
        # and the same image again, and one that its program has turned
        np.testing.assert_array_equal(np.asarray(in_known_mode(opened)), expected)
        turned = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(np.asarray(in_known_mode(turned)), expected)


def test_arrays_are_images_in_the_mode_that_they_look_like():
    alpha = np.dstack([COLOUR, GREY])
    file = decoded(_file(Image.fromarray(alpha)))
    np.testing.assert_array_equal(np.asarray(in_known_mode(image_of_array(alpha))), file)
    for array in (GREY, GREY[..., None], GREY.astype(np.uint16) * 257):
        np.testing.assert_array_equal(np.asarray(in_known_mode(image_of_array(array))), GREY)
    for array in (COLOUR / 255, COLOUR.astype(np.int64), GREY[0], alpha[None], GREY[:0]):
        with pytest.raises(UnreadableImageError, match="expected uint8, uint16 or bool of height"):
            image_of_array(array)


def test_a_masks_palette_stays_and_its_orientation_is_the_images():
    indices = GREY % 5
    palette = Image.fromarray(indices)
    palette.putpalette(list(range(30)))
    np.testing.assert_array_equal(np.asarray(decoded_mask(_file(palette))), indices)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert decoded_mask(_file(palette, exif=exif)).size == (6, 9)
