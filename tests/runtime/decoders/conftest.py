"""DICOM files made for the tests."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Make = Callable[..., Dataset]


def make_dataset(pixels: np.ndarray, **tags: Any) -> Dataset:
    """A CT image of ``pixels`` (height, width) or (frames, height, width) or colour."""
    colour = pixels.ndim >= 3 and pixels.shape[-1] == 3
    shape = pixels.shape[:-1] if colour else pixels.shape
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    bits = pixels.dtype.itemsize * 8
    facts: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "Rows": shape[-2],
        "Columns": shape[-1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if colour:
        facts["PlanarConfiguration"] = 0
    if len(shape) == 3:
        facts["NumberOfFrames"] = shape[0]
    for keyword, value in (facts | tags).items():
        if value is None:
            continue
        setattr(dataset, keyword, value)
    if "HighBit" not in tags:
        dataset.HighBit = dataset.BitsStored - 1
    little = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"))
    dataset.PixelData = little.tobytes() + b"\0" * (little.nbytes % 2)
    return dataset


def to_bytes(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture(scope="session")
def make() -> Make:
    """Builds a data set; see ``make_dataset``."""
    return make_dataset


@pytest.fixture(scope="session")
def dicom() -> Callable[..., bytes]:
    """Builds the bytes of a DICOM file; see ``make_dataset``."""
    return lambda pixels, **tags: to_bytes(make_dataset(pixels, **tags))


@pytest.fixture(scope="session")
def encode_dataset() -> Callable[[Dataset], bytes]:
    """Writes a data set."""
    return to_bytes
