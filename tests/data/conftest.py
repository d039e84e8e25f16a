"""Files that the tests of data are made of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the test's folder."""

    def run(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return run


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., Path]:
    """Write a PNG of random pixels (height, width) or (height, width, 3), 8 or 16 bits."""

    def run(name: str, seed: int = 0, shape: tuple[int, ...] = (8, 10), bits: int = 8) -> Path:
        from PIL import Image

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dtype = np.uint16 if bits == 16 else np.uint8
        pixels = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(dtype)
        Image.fromarray(pixels).save(path)
        return path

    return run


@pytest.fixture
def dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write a CT slice as DICOM."""

    def run(name: str, patient: str = "P1", series: str = "1.2.3", number: int = 1) -> Path:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{series}.{number}"
        data.PatientID, data.SeriesInstanceUID, data.Modality = patient, series, "CT"
        data.InstanceNumber = number
        data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = [1, 1], 1
        data.Rows, data.Columns, data.SamplesPerPixel = 12, 16, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        pixels = np.random.default_rng(number).integers(0, 4096, (12, 16)).astype(np.uint16)
        data.PixelData = pixels.tobytes()
        data.save_as(path, enforce_file_format=True)
        return path

    return run
