"""Plain images: depths, colours, orientation, pages, limits, damage."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lepta.core.errors import ConfigError, DecodeError
from lepta.runtime.decoders import DECODERS, ImageDecoder

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (7, 9), np.uint8)
GREY16 = RNG.integers(0, 65536, (7, 9), np.uint16)
RGB8 = RNG.integers(0, 256, (7, 9, 3), np.uint8)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png16_rgb(values: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow cannot write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def test_the_registry_makes_it() -> None:
    assert DECODERS.get("image")(channels=1).channels == 1
    assert {"dicom", "image", "series"} <= set(DECODERS.names())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "PPM"])
def test_grey_8_is_exact(kind: str) -> None:
    data = encode(Image.fromarray(GREY8), kind)
    decoded = ImageDecoder(channels=1)(data)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded[..., 0], GREY8)
    assert np.array_equal(ImageDecoder(channels=3)(data), np.repeat(GREY8[..., None], 3, 2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_colour_is_exact(kind: str) -> None:
    data = encode(Image.fromarray(RGB8), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(ImageDecoder()(data), RGB8)


def test_colour_becomes_grey_by_luma() -> None:
    grey = ImageDecoder(channels=1)(encode(Image.fromarray(RGB8), "PNG"))
    luma = RGB8 @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[..., 0] - luma).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_16_keeps_its_bits(kind: str) -> None:
    data = encode(Image.fromarray(GREY16), kind)
    wide = ImageDecoder(channels=1, bits=16)(data)
    assert wide.dtype == np.uint16
    assert np.array_equal(wide[..., 0], GREY16)


def test_grey_16_to_8_goes_by_range_and_does_not_saturate() -> None:
    narrow = ImageDecoder(channels=1, bits=8)(encode(Image.fromarray(GREY16), "PNG"))[..., 0]
    assert np.array_equal(narrow, np.rint(GREY16 / 257).astype(np.uint8))
    assert np.unique(narrow).size > 20


def test_8_to_16_and_back_is_exact() -> None:
    wide = ImageDecoder(channels=1, bits=16)(encode(Image.fromarray(GREY8), "PNG"))[..., 0]
    assert np.array_equal(wide, GREY8.astype(np.uint16) * 257)
    back = ImageDecoder(channels=1)(encode(Image.fromarray(wide), "PNG"))[..., 0]
    assert np.array_equal(back, GREY8)


def test_colour_of_16_bits_is_read_at_8() -> None:
    values = RNG.integers(0, 65536, (5, 6, 3), np.uint16)
    decoded = ImageDecoder(bits=16)(png16_rgb(values)).astype(int)
    assert np.abs(decoded - values).max() <= 257


def test_white_is_zero_of_16_bits_is_mirrored() -> None:
    data = encode(Image.fromarray(GREY16), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(ImageDecoder(channels=1, bits=16)(data)[..., 0], 65535 - GREY16)


def test_floats_and_integers_stay_numbers() -> None:
    values = RNG.normal(0, 1000, (5, 6)).astype(np.float32)
    data = encode(Image.fromarray(values), "TIFF")
    assert np.array_equal(ImageDecoder(channels=1, bits=32)(data)[..., 0], values)
    with pytest.raises(DecodeError, match="no range"):
        ImageDecoder(channels=1)(data, "scan.tif")
    whole = RNG.integers(-(2**20), 2**20, (5, 6), np.int32)
    data = encode(Image.fromarray(whole), "TIFF")
    assert np.array_equal(ImageDecoder(channels=1, bits=32)(data)[..., 0], whole)


def test_bits_32_keeps_the_numbers_of_the_file() -> None:
    data = encode(Image.fromarray(GREY16), "PNG")
    assert np.array_equal(ImageDecoder(channels=1, bits=32)(data)[..., 0], GREY16)


def test_transparency_is_laid_on_white() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[1, 1] = (0, 0, 0, 51)
    decoded = ImageDecoder()(encode(Image.fromarray(pixels), "PNG"))
    assert decoded[0, 0].tolist() == [255, 0, 0]
    assert decoded[0, 1].tolist() == [255, 255, 255]
    assert decoded[1, 1].tolist() == [204, 204, 204]
    grey = ImageDecoder(channels=1)(encode(Image.fromarray(pixels[..., 2:]), "PNG"))
    assert grey[0, 1, 0] == 255


def test_transparent_grey_16() -> None:
    data = encode(Image.fromarray(GREY16), "PNG", transparency=int(GREY16[0, 0]))
    decoded = ImageDecoder(channels=1, bits=16)(data)[..., 0]
    assert decoded[0, 0] == 65535
    clear = GREY16[0, 0] == GREY16
    assert np.array_equal(decoded, np.where(clear, np.uint16(65535), GREY16))


def test_palette_with_and_without_transparency() -> None:
    image = Image.fromarray(RGB8).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(ImageDecoder()(encode(image, "PNG")), expected)
    clear = ImageDecoder()(encode(image, "PNG", transparency=0))
    assert (clear[np.asarray(image) == 0] == 255).all()


def test_bilevel() -> None:
    bits = GREY8 > 127
    for kind in ("PNG", "TIFF", "BMP"):
        decoded = ImageDecoder(channels=1)(encode(Image.fromarray(bits), kind))
        assert np.array_equal(decoded[..., 0], bits * np.uint8(255))


def test_cmyk_jpeg() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255
    data = encode(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)
    red, green, blue = ImageDecoder()(data)[8, 8]
    assert red < 10
    assert green > 245
    assert blue > 245


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_orientation(kind: str, turn: int) -> None:
    corner = np.zeros((16, 24), np.uint8)
    corner[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.fromarray(corner)
    for source in (image, Image.fromarray(corner.astype(np.uint16) * 257)):
        if kind == "JPEG" and source is not image:
            continue
        decoded = ImageDecoder(channels=1)(encode(source, kind, exif=exif))[..., 0]
        expected = np.asarray(_upright(image, turn))
        assert decoded.shape == expected.shape
        assert np.abs(decoded.astype(int) - expected).max() < 60


def _upright(image: Image.Image, turn: int) -> Image.Image:
    from PIL import ImageOps

    copy = image.copy()
    copy.getexif()[0x0112] = turn
    return ImageOps.exif_transpose(copy)


def test_pages() -> None:
    second = Image.fromarray(255 - GREY8)
    data = encode(Image.fromarray(GREY8), "TIFF", save_all=True, append_images=[second])
    assert np.array_equal(ImageDecoder(channels=1)(data)[..., 0], GREY8)
    assert np.array_equal(ImageDecoder(channels=1, frame=1)(data)[..., 0], 255 - GREY8)
    with pytest.raises(DecodeError, match="no page 2; the file has 2"):
        ImageDecoder(frame=2)(data)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    data = encode(Image.new("1", (4000, 4000)), "PNG")
    with pytest.raises(DecodeError, match="16,000,000 pixels; the limit is 1,000,000") as caught:
        ImageDecoder(max_pixels=1_000_000)(data, "bomb.png")
    assert "max_pixels" in (caught.value.fix or "")
    huge = bytearray(png16_rgb(np.zeros((1, 1, 3), np.uint16)))
    huge[16:24] = struct.pack(">II", 60000, 60000)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    with pytest.raises(DecodeError):
        ImageDecoder()(bytes(huge))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_a_truncated_file_is_named(kind: str) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, kind)
    for keep in (0.9, 0.5, 0.1):
        with pytest.raises(DecodeError, match=r"file cut\.img"):
            ImageDecoder()(data[: int(len(data) * keep)], "cut.img")


def test_what_is_no_image_is_told_apart() -> None:
    with pytest.raises(DecodeError, match="is empty"):
        ImageDecoder()(b"")
    with pytest.raises(DecodeError, match="DICOM file") as caught:
        ImageDecoder()(bytes(128) + b"DICM" + bytes(10), "a.png")
    assert "'dicom'" in (caught.value.fix or "")
    with pytest.raises(DecodeError, match="not an image"):
        ImageDecoder()(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "run.eps")


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="channels=2"):
        ImageDecoder(channels=2)
    with pytest.raises(ConfigError, match="bits=12"):
        ImageDecoder(bits=12)


def test_warnings_of_the_library_stay_inside_and_others_do_not() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = bytearray(encode(Image.fromarray(RGB8), "JPEG", exif=exif))
    at = data.index(b"Exif\0\0") + 14
    data[at : at + 2] = b"\xff\x7f"
    before = list(warnings.filters)
    assert ImageDecoder()(bytes(data)).shape == (7, 9, 3)
    assert list(warnings.filters) == before
