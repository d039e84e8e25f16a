"""Volumes: a DICOM series, a multi-frame file, a zip of slices, or NRRD."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepta.runtime.decoders.base import MAX_PIXELS, check_choice, refusal, refusing
from lepta.runtime.decoders.dicom import decode_frame, frame_count
from lepta.runtime.decoders.dicomfile import PIXELS, Dataset, class_name, read_dataset

Array = NDArray[np.float32]

MAX_VOXELS = 1024**3
_SAME_PLACE_MM = 1e-3


@dataclass(frozen=True)
class Volume:
    """A volume and where it lies.

    Attributes:
        values: (depth, height, width) float32 in modality units; for DICOM, depth grows along the
            slice normal (towards the head in axial slices).
        spacing: millimetres between voxels along depth, height and width; NaN where unknown.
        notes: what a reader should know: uneven spacing, files left out, an order that was guessed.
    """

    values: Array
    spacing: tuple[float, float, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesDecoder:
    """Decode slices to a volume (depth, height, width) float32.

    Takes the files of one series in any order, or one file: multi-frame DICOM, a zip of slices, or
    NRRD. Slices are sorted by Image Position (Patient) along the normal of Image Orientation
    (Patient), or, where these are missing, by Instance Number.

    Args:
        uneven: "keep" a series whose slices lie at uneven distances, with a note, or "refuse" it.
        max_voxels: larger volumes are refused.
    """

    uneven: Literal["keep", "refuse"] = "keep"
    max_voxels: int = MAX_VOXELS

    dtype = "float32"

    def __post_init__(self) -> None:
        check_choice("series", "uneven", self.uneven, ("keep", "refuse"))

    def __call__(self, data: bytes | Sequence[bytes], name: str = "") -> Array:
        """Return the values of :meth:`read`."""
        return self.read(data, name).values

    def read(
        self, data: bytes | Sequence[bytes], name: str = "", names: Sequence[str] = ()
    ) -> Volume:
        """Return the volume in ``data``.

        Args:
            data: one file, or the files of a series.
            name: name of the file or folder, for messages.
            names: names of the files of a series, for messages.

        Raises:
            DecodeError: a file is damaged, the files are of several series or sizes, two slices
                lie at one place, or the volume is too large.
        """
        with refusing(name, "The series cannot be decoded"):
            return self._read(data, name, list(names))

    def _read(self, data: bytes | Sequence[bytes], name: str, names: list[str]) -> Volume:
        if isinstance(data, bytes):
            if data[:4] == b"NRRD":
                from lepta.runtime.decoders.nrrd import read_nrrd

                return read_nrrd(data, name, self.max_voxels)
            if data[:4] != b"PK\x03\x04":
                return self._frames(read_dataset(data, name), name)
            data, names = _unzip(data, name, self.max_voxels * 4)
        labels = names or [f"{name or 'slice'}[{index}]" for index in range(len(data))]
        return self._slices(list(data), labels, name)

    def _frames(self, dataset: Dataset, name: str) -> Volume:
        """Return the frames of one file."""
        count = frame_count(dataset, name)
        self._check_voxels(dataset, count, name)
        with refusing(name, "The places of the frames cannot be read"):
            places, frames = _frame_places(dataset, count), list(range(count))
            spacing = _in_plane(dataset)
        notes: list[str] = []
        if places is None or np.diff(np.sort(places)).min(initial=np.inf) < _SAME_PLACE_MM:
            step = _thickness(dataset)
            if count > 1:
                notes.append("The frames are in the order of the file; their places do not tell.")
        else:
            frames = [int(index) for index in np.argsort(places, kind="stable")]
            step = self._step(np.sort(places), dataset, notes, name)
        values = np.stack([_plane(dataset, index, name) for index in frames])
        return Volume(values, (step, *spacing), tuple(notes))

    def _slices(self, files: list[bytes], labels: list[str], name: str) -> Volume:
        notes: list[str] = []
        slices = _images(files, labels, name, notes)
        _check_alike(slices, name)
        self._check_voxels(slices[0][0], len(slices), name)
        with refusing(name, "The places of the slices cannot be read"):
            slices, places = _sorted(slices, notes, name)
            spacing = _in_plane(slices[0][0])
        step = self._step(places, slices[0][0], notes, name)
        values = np.stack([_plane(dataset, 0, label) for dataset, label in slices])
        return Volume(values, (step, *spacing), tuple(notes))

    def _check_voxels(self, dataset: Dataset, count: int, name: str) -> None:
        with refusing(name, "The size of the volume cannot be read"):
            voxels = int(dataset.Rows) * int(dataset.Columns) * count
        if voxels > self.max_voxels:
            raise refusal(f"The volume has {voxels:,} voxels; limit {self.max_voxels:,}.", name)

    def _step(
        self, places: NDArray[np.float64] | None, dataset: Dataset, notes: list[str], name: str
    ) -> float:
        """Return the distance between slices; note, or refuse, uneven ones."""
        if places is None or len(places) < 2:
            return _thickness(dataset)
        gaps = np.diff(places)
        step = round(float(np.median(gaps)), 6)
        if np.abs(gaps - step).max() > max(0.01 * step, 0.01):
            note = f"The slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart"
            if self.uneven == "refuse":
                raise refusal(f"{note}.", name, "Look for a missing slice, or set uneven='keep'.")
            notes.append(f"{note}; the spacing given is the median.")
        return step


def _images(
    files: list[bytes], labels: list[str], name: str, notes: list[str]
) -> list[tuple[Dataset, str]]:
    """Read the files that hold images; the others are left out with a note."""
    slices = []
    for data, label in zip(files, labels, strict=True):
        dataset = read_dataset(data, label)
        if "Rows" in dataset or any(key in dataset for key in PIXELS):
            if frame_count(dataset, label) > 1:
                raise refusal("A file with several frames stands among single slices.", label)
            slices.append((dataset, label))
        else:
            with refusing(label, "The file cannot be told"):
                notes.append(f"{label} is left out: it is no image but {class_name(dataset)}.")
    if not slices:
        raise refusal("There is no image among the files of the series.", name)
    return slices


def _check_alike(slices: list[tuple[Dataset, str]], name: str) -> None:
    for key, noun in (
        ("SeriesInstanceUID", "series"),
        ("Rows", "heights"),
        ("Columns", "widths"),
        ("SamplesPerPixel", "numbers of channels"),
    ):
        found: dict[str, str] = {}
        for dataset, label in slices:
            with refusing(label, "The file cannot be read"):
                found.setdefault(str(dataset.get(key, "")), label)
        if len(found) > 1:
            raise refusal(
                f"The files are of {len(found)} different {noun}, "
                f"for instance {' and '.join(list(found.values())[:2])}.",
                name,
                "Give the files of one series at a time.",
            )


def _sorted(
    slices: list[tuple[Dataset, str]], notes: list[str], name: str
) -> tuple[list[tuple[Dataset, str]], NDArray[np.float64] | None]:
    """Return the slices in order, and their places in mm where known."""
    places = [_place(dataset) for dataset, _ in slices]
    if all(place is not None for place in places):
        normals = np.array([place[0] for place in places if place])
        if np.abs(normals - normals[0]).max() > 0.01:
            raise refusal("The slices of the series are not parallel.", name)
        along = np.array([place[1] for place in places if place]) @ normals[0]
        order = np.argsort(along, kind="stable")
        _check_apart(along[order], [slices[index][1] for index in order], name)
        return [slices[index] for index in order], along[order]
    numbers = [dataset.get("InstanceNumber") for dataset, _ in slices]
    if any(number is None for number in numbers) or len(set(numbers)) < len(numbers):
        raise refusal("The slices have neither positions nor distinct instance numbers.", name)
    if len(slices) > 1:
        notes.append("The slices have no positions; they are in the order of instance numbers.")
    order = np.argsort([int(number) for number in numbers], kind="stable")
    return [slices[index] for index in order], None


def _check_apart(along: NDArray[np.float64], labels: list[str], name: str) -> None:
    close = np.flatnonzero(np.diff(along) < _SAME_PLACE_MM)
    if len(close):
        first = int(close[0])
        raise refusal(
            f"{labels[first]} and {labels[first + 1]} lie at the same place.",
            name,
            "Give one phase or time point at a time, and every slice once.",
        )


def _place(group: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the normal of a slice and the position of its corner."""
    axes, corner = group.get("ImageOrientationPatient"), group.get("ImagePositionPatient")
    if not axes or not corner or len(axes) != 6 or len(corner) != 3:
        return None
    row, column = np.array(axes[:3], np.float64), np.array(axes[3:], np.float64)
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    place = np.array(corner, np.float64)
    if length < 0.5 or not np.isfinite([*normal, *place]).all():
        return None
    return normal / length, place


def _frame_places(dataset: Dataset, count: int) -> NDArray[np.float64] | None:
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if count < 2 or len(groups) != count:
        return None
    found = [_group_place(dataset, group) for group in groups]
    places = [place for place in found if place is not None]
    if len(places) < count:
        return None
    return np.array([corner @ places[0][0] for _, corner in places])


def _group_place(
    dataset: Dataset, group: Dataset
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    from pydicom.dataset import Dataset as Group

    both = Group()
    for key in ("PlaneOrientationSequence", "PlanePositionSequence"):
        for part in (group, *(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]):
            if part.get(key):
                both.update(part.get(key)[0])
                break
    return _place(both)


def _measures(dataset: Dataset) -> Dataset:
    """Return the data set in which pixel spacing and slice thickness stand."""
    for key in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (dataset.get(key) or ())[:1]:
            if group.get("PixelMeasuresSequence"):
                return group.PixelMeasuresSequence[0]
    return dataset


def _in_plane(dataset: Dataset) -> tuple[float, float]:
    measures = _measures(dataset)
    found = measures.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    return (float(found[0]), float(found[1])) if found else (np.nan, np.nan)


def _thickness(dataset: Dataset) -> float:
    measures = _measures(dataset)
    try:
        return float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness"))
    except (TypeError, ValueError):
        return float("nan")


def _plane(dataset: Dataset, index: int, name: str) -> Array:
    pixels = decode_frame(dataset, index, name, MAX_PIXELS)
    if pixels.shape[2] != 1:
        raise refusal("A colour image is no slice of a volume.", name)
    return pixels[..., 0]


def _unzip(data: bytes, name: str, limit: int) -> tuple[list[bytes], list[str]]:
    """Return the files of a zip and their names.

    Raises:
        DecodeError: damaged, or larger than ``limit`` bytes when unpacked.
    """
    files, names, left = [], [], limit
    with refusing(name, "The zip file cannot be read"), zipfile.ZipFile(io.BytesIO(data)) as parts:
        for info in parts.infolist():
            if info.is_dir():
                continue
            with parts.open(info) as stream:
                files.append(stream.read(left + 1))
            left -= len(files[-1])
            if left < 0:
                raise refusal(f"The zip file unpacks to more than {limit:,} bytes.", name)
            names.append(info.filename)
    return files, names
