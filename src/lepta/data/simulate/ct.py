"""A simulated study: chests under CT, some with lesions, as DICOM files and a table of labels."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, DataError, Where, missing_extra
from lepta.core.events import Context
from lepta.core.png import grey_png
from lepta.data.simulate.anatomy import FIELD_MM, SPACING_MM, draw_patient, draw_slice, scan

CURRENT_MA = (100, 400)
"""Range of the tube current, which the scanner changes from slice to slice."""

README = """\
SIMULATED DATA. These CT slices were computed by Lepta from random numbers. They show no person,
are not anatomically exact, and serve to demonstrate software. They are of no medical use.

slices/      {count} CT slices (DICOM CT Image Storage, uncompressed) of {patients} made-up patients
labels.csv   file, lesion (yes or no), patient_id: one row a slice
{masks}
Made by simulate_ct(patients={patients}, slices={slices}, size={size}, seed={seed}{option}).
"""
MASKS = """\
masks/       where the lesions are (PNG, 255 in a lesion, else 0); the column mask names them
"""


def simulate_ct(
    folder: Path | str,
    *,
    patients: int = 120,
    slices: int = 6,
    size: int = 128,
    seed: int = 0,
    masks: bool = False,
    context: Context | None = None,
) -> Path:
    """Write a simulated CT study and return the path of its ``labels.csv``.

    Half of the patients have one to three lesions in the lungs; a slice is labelled "yes" where a
    lesion's cross-section has a radius of at least 13 mm, and smaller ones are not drawn. Vessels,
    granulomas and pleural thickening look alike in part. Nothing but the pixels tells the label:
    all patients are scanned alike, lesions lie at every slice equally often, files have one size,
    names and order are shuffled.

    Args:
        folder: where to write; must not exist, or be empty. It appears complete or not at all.
        patients: number of patients.
        slices: slices of each patient, 5 mm apart.
        size: width and height of a slice in pixels.
        seed: the same seed gives the same bytes.
        masks: write a mask of the lesions of each slice, too, and the column ``mask``.
        context: takes the progress.

    Raises:
        ConfigError: a number is out of range.
        DataError: the folder holds files, or cannot be written.
        MissingExtraError: pydicom or SciPy is not installed.
    """
    _check(patients, slices, size)
    target = Path(folder)
    with _complete_folder(target) as draft:
        shape = (patients, slices, size, seed)
        rows = _write_slices(draft, shape, masks, context or Context())
        names = ("file", "lesion", "patient_id", *(("mask",) if masks else ()))
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerows([names, *rows])
        (draft / "labels.csv").write_text(table.getvalue(), encoding="utf-8")
        about = README.format(
            count=len(rows),
            patients=patients,
            slices=slices,
            size=size,
            seed=seed,
            masks=MASKS if masks else "",
            option=", masks=True" if masks else "",
        )
        (draft / "README.txt").write_text(about, encoding="utf-8")
    return target / "labels.csv"


def _check(patients: int, slices: int, size: int) -> None:
    for name, value, low, high in (
        ("patients", patients, 2, 9999),
        ("slices", slices, 1, 200),
        ("size", size, 32, 512),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} must lie between {low} and {high}; got {value}.")


@contextmanager
def _complete_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write in, which takes the name of ``target`` once all is written."""
    where = Where(file=str(target))
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DataError(
                "The folder for the simulated study is not empty.",
                where=where,
                fix="Choose a new folder, or remove this one.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise DataError(f"The folder cannot be written: {error}", where=where) from error
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        raise DataError(f"The study cannot be written: {error}", where=where) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_slices(
    draft: Path, shape: tuple[int, int, int, int], masks: bool, context: Context
) -> list[tuple[str, ...]]:
    """Write every slice; return the rows of the table, shuffled."""
    patients, slices, size, seed = shape
    (draft / "slices").mkdir()
    if masks:
        (draft / "masks").mkdir()
    rng = np.random.default_rng([seed, patients, slices])
    sick = rng.permutation(patients) % 2 == 1
    numbers = rng.permutation(9999)[:patients] + 1
    names = _names(patients * slices, rng)
    rows: list[tuple[str, ...]] = []
    for index in context.track(range(patients), "simulating CT", total=patients):
        draw = np.random.default_rng([seed, index])
        patient = draw_patient(draw, slices=slices, lesions=bool(sick[index]))
        patient_id = f"SIM-{numbers[index]:04d}"
        header = _header(patient_id, size, seed)
        for z in range(slices):
            image, lesion, where = draw_slice(patient, z, draw, size)
            current = int(draw.integers(*CURRENT_MA))
            file = f"slices/{names[len(rows)]}.dcm"
            data = _encode(header, z, current, scan(image, patient, current, draw))
            (draft / file).write_bytes(data)
            row: tuple[str, ...] = (file, "yes" if lesion else "no", patient_id)
            if masks:
                mask = f"masks/{names[len(rows)]}.png"
                (draft / mask).write_bytes(grey_png(where.astype(np.uint8) * np.uint8(255)))
                row = (*row, mask)
            rows.append(row)
    return [rows[index] for index in rng.permutation(len(rows))]


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Return distinct file names that tell nothing."""
    drawn = rng.choice(2**31, size=count, replace=False)
    return [f"{value:08x}" for value in drawn]


def _header(patient_id: str, size: int, seed: int) -> Any:
    """Return the data set that a patient's slices share."""
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
    except ModuleNotFoundError as error:
        raise missing_extra("pydicom", "medical", "Writing DICOM files") from error
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = CTImageStorage
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    facts = {
        "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],
        "SOPClassUID": CTImageStorage,
        "StudyDate": "20000101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "Modality": "CT",
        "Manufacturer": "SIMULATED by Lepta",
        "ReferringPhysicianName": "",
        "SeriesDescription": "SIMULATED chest, no patient",
        "PatientName": f"SIMULATED^{patient_id}",
        "PatientID": patient_id,
        "PatientBirthDate": "",
        "PatientSex": "",
        "ImageComments": "SIMULATED: shows no person, not for medical use",
        "SliceThickness": f"{SPACING_MM:.1f}",
        "KVP": "120",
        "ConvolutionKernel": "SIM40",
        "PatientPosition": "HFS",
        "StudyInstanceUID": _uid("study", seed, patient_id),
        "SeriesInstanceUID": _uid("series", seed, patient_id),
        "FrameOfReferenceUID": _uid("frame", seed, patient_id),
        "StudyID": patient_id,
        "SeriesNumber": "1",
        "AcquisitionNumber": "1",
        "PositionReferenceIndicator": "",
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": size,
        "Columns": size,
        "PixelSpacing": [f"{FIELD_MM / size:.6f}"] * 2,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "WindowCenter": "-500",
        "WindowWidth": "1500",
    }
    for keyword, value in facts.items():
        setattr(header, keyword, value)
    return header


def _encode(header: Any, z: int, current_ma: int, hu: NDArray[np.int16]) -> bytes:
    """Return the bytes of one slice."""
    corner = -FIELD_MM / 2 + FIELD_MM / hu.shape[1] / 2
    uid = _uid(header.SeriesInstanceUID, z, "slice")
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = uid
    header.XRayTubeCurrent = str(current_ma)
    header.InstanceNumber = f"{z + 1:03d}"
    header.ImagePositionPatient = [
        f"{corner:.4f}",
        f"{corner:.4f}",
        f"{-1200 + z * SPACING_MM:.1f}",
    ]
    header.SliceLocation = header.ImagePositionPatient[2]
    header.PixelData = (hu + np.int16(1024)).astype("<i2").tobytes()
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _uid(*parts: object) -> str:
    """Return a UID under pydicom's root that is always the same for the same parts."""
    from pydicom.uid import PYDICOM_ROOT_UID, generate_uid

    return str(generate_uid(PYDICOM_ROOT_UID, [str(part) for part in ("lepta", *parts)]))
