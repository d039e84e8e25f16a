"""Volumes: order, spacing, mixed series, multi-frame files, zips, NRRD."""

import io
import zipfile

import nrrd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, RTStructureSetStorage

from lepta.core.errors import ConfigError, DecodeError
from lepta.runtime.decoders import SeriesDecoder

RNG = np.random.default_rng(0)
VOXELS = RNG.integers(0, 3000, (6, 8, 7)).astype(np.int16)
AXIAL = ["1", "0", "0", "0", "1", "0"]


@pytest.fixture
def slices(dicom):
    def build(places, **tags):
        return [
            dicom(
                VOXELS[index],
                **{
                    "ImagePositionPatient": ["-10", "5", f"{z}"],
                    "ImageOrientationPatient": AXIAL,
                    "PixelSpacing": ["0.8", "0.7"],
                    "SliceThickness": "3",
                    "RescaleSlope": "1",
                    "RescaleIntercept": "-1024",
                    "InstanceNumber": str(100 - index),
                    **tags,
                },
            )
            for index, z in enumerate(places)
        ]

    return build


def test_slices_are_sorted_along_the_normal(slices) -> None:
    files = slices(np.arange(6) * 2.5 - 40)
    order = [3, 0, 5, 1, 4, 2]
    volume = SeriesDecoder().read([files[index] for index in order], "scan")
    assert volume.values.dtype == np.float32
    assert np.array_equal(volume.values, VOXELS - 1024.0)
    assert volume.spacing == (2.5, 0.8, 0.7)
    assert volume.notes == ()
    assert np.array_equal(SeriesDecoder()(files), volume.values)


def test_oblique_slices(slices) -> None:
    turn = ["0", "1", "0", "0", "0", "-1"]
    files = slices(np.zeros(3), ImageOrientationPatient=turn, ImagePositionPatient=None)
    from pydicom import dcmread

    moved = []
    for index, data in enumerate(files):
        dataset = dcmread(io.BytesIO(data))
        dataset.ImagePositionPatient = [str(4 * index), "0", "0"]
        stream = io.BytesIO()
        dataset.save_as(stream)
        moved.append(stream.getvalue())
    volume = SeriesDecoder().read(moved)
    assert volume.spacing[0] == 4.0
    assert np.array_equal(volume.values, VOXELS[2::-1] - 1024.0)


def test_without_positions_the_instance_numbers_decide(slices) -> None:
    files = slices(range(4), ImagePositionPatient=None)
    volume = SeriesDecoder().read(files)
    assert np.array_equal(volume.values, VOXELS[3::-1] - 1024.0)
    assert volume.spacing == (3.0, 0.8, 0.7)
    assert "instance numbers" in volume.notes[0]
    same = slices(range(4), ImagePositionPatient=None, InstanceNumber="1")
    with pytest.raises(DecodeError, match="neither positions nor distinct"):
        SeriesDecoder().read(same)


def test_uneven_spacing_is_noted_or_refused(slices) -> None:
    files = slices([0, 2, 4, 8])
    volume = SeriesDecoder().read(files)
    assert volume.spacing[0] == 2.0
    assert "2.00 to 4.00 mm" in volume.notes[0]
    with pytest.raises(DecodeError, match=r"2.00 to 4.00 mm"):
        SeriesDecoder(uneven="refuse").read(files, "gap")


def test_mixed_files_are_refused(slices, dicom) -> None:
    files = slices([0, 2])
    with pytest.raises(DecodeError, match="2 different series") as caught:
        SeriesDecoder().read([*files, *slices([4], SeriesInstanceUID="9.9")], "mixed")
    assert "file mixed" in str(caught.value)
    with pytest.raises(DecodeError, match="2 different heights"):
        SeriesDecoder().read([*files, dicom(VOXELS[0, :4])])
    with pytest.raises(DecodeError, match="same place"):
        SeriesDecoder().read([*files, files[0]])
    turned = slices([4], ImageOrientationPatient=["0", "1", "0", "0", "0", "1"])
    with pytest.raises(DecodeError, match="not parallel"):
        SeriesDecoder().read([*files, *turned])
    with pytest.raises(DecodeError, match="several frames"):
        SeriesDecoder().read([*files, dicom(VOXELS)])


def test_files_without_images_are_left_out(slices, make, encode_dataset) -> None:
    plan = make(VOXELS[0], SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(plan, keyword)
    contours = encode_dataset(plan)
    volume = SeriesDecoder().read([contours, *slices([0, 2])], names=["rs.dcm", "1", "2"])
    assert volume.values.shape == (2, 8, 7)
    assert "rs.dcm is left out: it is no image but RT Structure Set" in volume.notes[0]
    with pytest.raises(DecodeError, match="no image among"):
        SeriesDecoder().read([contours], "plans")
    with pytest.raises(DecodeError, match="no image among"):
        SeriesDecoder().read([], "empty")


def test_a_damaged_slice_is_named(slices) -> None:
    files = slices([0, 2])
    with pytest.raises(DecodeError, match=r"file two\.dcm"):
        SeriesDecoder().read([files[0], files[1][:-10]], "scan", ["one.dcm", "two.dcm"])
    with pytest.raises(DecodeError, match=r"scan\[1\]"):
        SeriesDecoder().read([files[0], b"nothing"], "scan")


def test_frames_of_one_file_are_sorted_by_their_places(make, encode_dataset) -> None:
    dataset = make(VOXELS, SOPClassUID=EnhancedCTImageStorage)
    groups = []
    for index in range(6):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = ["0", "0", str(-3 * index)]
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    axes, measures, shared = Dataset(), Dataset(), Dataset()
    axes.ImageOrientationPatient = AXIAL
    measures.PixelSpacing, measures.SliceThickness = ["0.5", "0.6"], "2"
    shared.PlaneOrientationSequence = Sequence([axes])
    shared.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    volume = SeriesDecoder().read(encode_dataset(dataset))
    assert np.array_equal(volume.values, VOXELS[::-1])
    assert volume.spacing == (3.0, 0.5, 0.6)


def test_frames_without_places_keep_their_order(dicom) -> None:
    volume = SeriesDecoder().read(dicom(VOXELS))
    assert np.array_equal(volume.values, VOXELS)
    assert "order of the file" in volume.notes[0]
    assert all(np.isnan(volume.spacing))


def test_colour_and_size_limits(dicom) -> None:
    with pytest.raises(DecodeError, match="colour image is no slice"):
        SeriesDecoder()(dicom(np.zeros((4, 4, 3), np.uint8), Modality="US"))
    with pytest.raises(DecodeError, match="336 voxels"):
        SeriesDecoder(max_voxels=300)(dicom(VOXELS))
    with pytest.raises(ConfigError, match="uneven='maybe'"):
        SeriesDecoder(uneven="maybe")


def test_a_zip_of_slices(slices) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.mkdir("scan")
        for index, data in enumerate(slices([4, 0, 2])):
            parts.writestr(f"scan/{index}.dcm", data)
    volume = SeriesDecoder().read(stream.getvalue(), "scan.zip")
    assert np.array_equal(volume.values, VOXELS[[1, 2, 0]] - 1024.0)
    with pytest.raises(DecodeError, match="zip file"):
        SeriesDecoder().read(stream.getvalue()[:-30], "scan.zip")
    with pytest.raises(DecodeError, match="unpacks to more than"):
        SeriesDecoder(max_voxels=100).read(stream.getvalue(), "scan.zip")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_nrrd(encoding: str, dtype: str) -> None:
    values = (VOXELS % 200).astype(dtype)
    stream = io.BytesIO()
    header = {
        "encoding": encoding,
        "space": "left-posterior-superior",
        "space directions": np.diag([0.7, 0.8, 2.5]),
        "space origin": np.zeros(3),
    }
    nrrd.write(stream, values.transpose(2, 1, 0), header)
    volume = SeriesDecoder().read(stream.getvalue(), "mask.nrrd")
    assert np.array_equal(volume.values, values)
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))


def nrrd_text(*lines: str, body: bytes = b"") -> bytes:
    return "\n".join(("NRRD0004", *lines, "", "")).encode() + body


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (nrrd_text("type: short", "dimension: 3", "sizes: 2 2 2", "endian: little",
                   "encoding: raw", "data file: /etc/passwd"), "names another file"),
        (nrrd_text("type: short", "dimension: 3", "sizes: 2 2 2", "endian: little",
                   "encoding: raw", body=bytes(10)), "cut off: 10 of 16 bytes"),
        (nrrd_text("type: uchar", "dimension: 4", "sizes: 2 2 2 2", "encoding: raw",
                   body=bytes(16)), "no volume of one channel"),
        (nrrd_text("type: uchar", "dimension: 3", "sizes: 9999 9999 9999", "encoding: raw"),
         "voxels; limit"),
        (nrrd_text("type: block", "dimension: 2", "sizes: 2 2", "encoding: raw", body=bytes(9)),
         "type 'block'"),
        (nrrd_text("type: uchar", "dimension: 2", "sizes: 2 2", "encoding: hex", body=b"00"),
         "encoding 'hex'"),
        (b"NRRD0004\nnonsense", "cannot be read"),
    ],
)  # fmt: skip
def test_nrrd_refusals(data: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=what) as caught:
        SeriesDecoder()(data, "bad.nrrd")
    assert "bad.nrrd" in str(caught.value)


def test_a_flat_nrrd_is_one_slice() -> None:
    data = nrrd_text("type: uchar", "dimension: 2", "sizes: 3 2", "spacings: 0.5 2",
                     "encoding: raw", body=bytes(range(6)))  # fmt: skip
    volume = SeriesDecoder().read(data)
    assert volume.values.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert np.isnan(volume.spacing[0])
    assert volume.spacing[1:] == (2.0, 0.5)
