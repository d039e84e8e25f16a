"""Whatever the bytes, a decoder returns an array or raises DecodeError, and nothing else."""

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEGLSLossless, RLELossless

from lepta.core.errors import DecodeError
from lepta.runtime.decoders import (
    DicomDecoder,
    ImageDecoder,
    SeriesDecoder,
    dicom_tags,
    image_info,
)

RNG = np.random.default_rng(0)
FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
READERS: list[Callable[[bytes], Any]] = [
    ImageDecoder(max_pixels=10**6),
    ImageDecoder(channels=1, bits=16, max_pixels=10**6),
    DicomDecoder(max_pixels=10**6),
    SeriesDecoder(max_voxels=10**6),
    dicom_tags,
    image_info,
]


def survive(data: bytes) -> None:
    for read in READERS:
        with suppress(DecodeError):
            read(data)


def images() -> list[bytes]:
    grey = Image.fromarray(RNG.integers(0, 65536, (9, 7), np.uint16))
    colour = Image.fromarray(RNG.integers(0, 256, (9, 7, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = []
    for image, kind, options in (
        (grey, "PNG", {}),
        (grey, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "TIFF", {}),
        (colour, "JPEG", {"exif": exif}),
        (colour, "BMP", {}),
        (colour, "WEBP", {}),
        (colour.quantize(8), "GIF", {}),
        (colour, "PPM", {}),
    ):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        made.append(stream.getvalue())
    return made


@pytest.fixture(scope="module")
def files(make, encode_dataset) -> list[bytes]:
    pixels = RNG.integers(0, 4096, (9, 8)).astype(np.uint16)
    tags = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "PixelSpacing": ["1", "1"]}
    found = [encode_dataset(make(pixels, **tags))]
    for syntax in (RLELossless, JPEGLSLossless):
        dataset = make(pixels, **tags)
        dataset.compress(syntax)
        found.append(encode_dataset(dataset))
    stream = io.BytesIO()
    nrrd.write(stream, RNG.integers(0, 9, (4, 5, 6)).astype(np.int16), {"encoding": "gzip"})
    return [*found, stream.getvalue(), *images()]


@FAST
@given(st.binary(max_size=600))
def test_random_bytes(data: bytes) -> None:
    survive(data)
    survive(bytes(128) + b"DICM" + data)


@FAST
@given(st.data())
def test_truncated(files: list[bytes], data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(files))
    survive(whole[: data.draw(st.integers(0, len(whole)))])


@FAST
@given(st.data())
def test_damaged(files: list[bytes], data: st.DataObject) -> None:
    broken = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    survive(bytes(broken))
