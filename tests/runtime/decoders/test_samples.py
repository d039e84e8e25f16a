"""Every real file is read, or refused by name with a reason."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lepta.core.errors import DecodeError
from lepta.runtime.decoders import DicomDecoder, SeriesDecoder, dicom_tags

REFUSED = {
    "pydicom-data/bad_sequence.dcm": "compressed as JPEG Lossless",
    "pydicom/rtplan.dcm": "holds no image: it is an RT Plan",
    "pydicom/rtstruct.dcm": "holds no image: it is an RT Structure Set",
    "pydicom/waveform_ecg.dcm": "holds no image: it is a 12-lead ECG Waveform",
    "rt-utils/invalid_reference_rt.dcm": "holds no image: it is an RT Structure Set",
    "rt-utils/non_existent_reference_rt.dcm": "holds no image: it is an RT Structure Set",
    "rt-utils/rt.dcm": "holds no image: it is an RT Structure Set",
}
COLOUR = {
    "pydicom-data/US1_J2KI.dcm",
    "pydicom-data/OBXXXX1A_rle_2frame.dcm",
    "pydicom/examples_jpeg2k.dcm",
}


@pytest.fixture(scope="module")
def archive(samples: Path):
    with zipfile.ZipFile(samples / "dicom_samples" / "dicom_samples.zip") as found:
        yield found


@pytest.fixture(scope="module")
def manifest(samples: Path) -> list[dict[str, str]]:
    with (samples / "dicom_samples" / "manifest.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.samples
def test_every_file(archive: zipfile.ZipFile, manifest: list[dict[str, str]]) -> None:
    assert len(manifest) == 36
    for row in manifest:
        name = row["file"]
        data = archive.read(name)
        if name in REFUSED:
            with pytest.raises(DecodeError, match=REFUSED[name]) as caught:
                DicomDecoder()(data, name)
            assert f"file {name}" in str(caught.value)
        elif name.endswith(".nrrd"):
            values = SeriesDecoder()(data, name)
            assert values.shape == (3, 512, 512)
            assert values.max() >= 1
        else:
            check_image(DicomDecoder()(data, name), row)
            tags = dicom_tags(data, name)
            assert (tags["Modality"], tags["Rows"]) == (row["modality"], float(row["rows"]))


def check_image(pixels: np.ndarray, row: dict[str, str]) -> None:
    name = row["file"]
    channels = 3 if name in COLOUR else 1
    assert pixels.shape == (int(float(row["rows"])), int(float(row["cols"])), channels), name
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert pixels.std() > 0, name
    if row["modality"] == "CT" and "Supplemental" not in name:
        assert pixels.min() <= -890, name
    if channels == 3:
        assert 0 <= pixels.min() <= pixels.max() <= 255


@pytest.mark.samples
def test_the_series(archive: zipfile.ZipFile) -> None:
    names = sorted(n for n in archive.namelist() if n.startswith("dcmqi/ct-3slice/"))
    volume = SeriesDecoder(uneven="refuse").read([archive.read(n) for n in names[::-1]], "ct")
    assert volume.values.shape == (3, 512, 512)
    assert volume.spacing == (1.0, 0.810547, 0.810547)


@pytest.mark.samples
def test_compressed_and_plain_agree(archive: zipfile.ZipFile) -> None:
    plain = DicomDecoder()(archive.read("pydicom-data/emri_small.dcm"))
    packed = DicomDecoder()(archive.read("pydicom-data/emri_small_jpeg_2k_lossless.dcm"))
    assert np.array_equal(plain, packed)
