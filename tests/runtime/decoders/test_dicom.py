"""DICOM images: units, photometry, frames, compression, and what is no image."""

import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedCTImageStorage,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    RTPlanStorage,
    SegmentationStorage,
)

from lepta.core.errors import ConfigError, DecodeError
from lepta.runtime.decoders import DicomDecoder
from lepta.runtime.decoders.base import quiet

RNG = np.random.default_rng(0)
SIGNED = RNG.integers(-200, 3000, (12, 10)).astype(np.int16)
UNSIGNED = RNG.integers(0, 4096, (12, 10)).astype(np.uint16)
FRAMES = RNG.integers(0, 4096, (5, 8, 6)).astype(np.uint16)
COLOUR = RNG.integers(0, 256, (12, 10, 3)).astype(np.uint8)


def shipped(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(path).read_bytes()


def test_slope_and_intercept_give_hounsfield_units(dicom) -> None:
    decoded = DicomDecoder()(dicom(SIGNED, RescaleSlope="2", RescaleIntercept="-1024"))
    assert decoded.dtype == np.float32
    assert np.array_equal(decoded, SIGNED[..., None] * 2.0 - 1024)


def test_without_rescale_the_stored_values_are_given(dicom) -> None:
    assert np.array_equal(DicomDecoder()(dicom(UNSIGNED))[..., 0], UNSIGNED)
    assert np.array_equal(
        DicomDecoder()(dicom(UNSIGNED, RescaleIntercept="-5", RescaleSlope=None))[..., 0],
        UNSIGNED.astype(np.float32) - 5,
    )


def test_bits_beyond_those_stored_are_ignored(dicom) -> None:
    dirty = UNSIGNED | 0xF000
    assert np.array_equal(DicomDecoder()(dicom(dirty, BitsStored=12))[..., 0], UNSIGNED)


def test_monochrome1_is_mirrored_in_its_range(dicom) -> None:
    data = dicom(UNSIGNED, Modality="DX", BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(DicomDecoder()(data)[..., 0], 4095.0 - UNSIGNED)


def test_monochrome1_is_mirrored_after_the_rescale(dicom) -> None:
    data = dicom(
        SIGNED, Modality="CR", PhotometricInterpretation="MONOCHROME1",
        RescaleSlope="0.5", RescaleIntercept="10", RescaleType="US",
    )  # fmt: skip
    expected = 0.5 * (-1.0 - SIGNED.astype(np.float64)) + 10
    assert np.array_equal(DicomDecoder()(data)[..., 0], expected)


@pytest.mark.parametrize("tags", [{}, {"Modality": "DX", "RescaleType": "HU"}])
def test_a_measured_quantity_is_never_mirrored(dicom, tags) -> None:
    data = dicom(
        SIGNED, PhotometricInterpretation="MONOCHROME1",
        RescaleSlope="1", RescaleIntercept="-1024", **tags,
    )  # fmt: skip
    assert np.array_equal(DicomDecoder()(data)[..., 0], SIGNED - 1024.0)


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_modality_table(make, encode_dataset, photometric) -> None:
    stored = RNG.integers(0, 16, (6, 6)).astype(np.uint16)
    table = RNG.integers(0, 4096, 12).astype(np.uint16)
    dataset = make(stored, Modality="DX", PhotometricInterpretation=photometric)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [12, 2, 12])
    item.add_new("LUTData", "OW", table.tobytes())
    dataset.ModalityLUTSequence = Sequence([item])
    decoded = DicomDecoder()(encode_dataset(dataset))[..., 0]
    expected = table[np.clip(stored.astype(int) - 2, 0, 11)].astype(float)
    assert np.array_equal(decoded, expected if photometric[-1] == "2" else 4095 - expected)


def test_dose_grid(dicom) -> None:
    data = dicom(UNSIGNED, Modality="RTDOSE", DoseGridScaling="0.001")
    assert np.allclose(DicomDecoder()(data)[..., 0], UNSIGNED * 0.001)


@pytest.mark.parametrize(("frame", "index"), [("middle", 2), (0, 0), (4, 4)])
def test_frames(dicom, frame, index) -> None:
    assert np.array_equal(DicomDecoder(frame=frame)(dicom(FRAMES))[..., 0], FRAMES[index])


def test_a_frame_that_is_not_there(dicom) -> None:
    with pytest.raises(DecodeError, match="no frame 5; the file has 5"):
        DicomDecoder(frame=5)(dicom(FRAMES))


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_frames_are_scaled_each_by_its_own(make, encode_dataset, shared) -> None:
    dataset = make(FRAMES, SOPClassUID=EnhancedCTImageStorage, RescaleSlope="99")
    groups = []
    for index in range(5):
        scale = Dataset()
        scale.RescaleSlope, scale.RescaleIntercept = str(index + 1), "-1000"
        group = Dataset()
        group.PixelValueTransformationSequence = Sequence([scale])
        groups.append(group)
    if shared:
        dataset.SharedFunctionalGroupsSequence = Sequence(groups[:1])
        dataset.PerFrameFunctionalGroupsSequence = Sequence([Dataset() for _ in groups])
    else:
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    data = encode_dataset(dataset)
    for index in range(5):
        slope = 1 if shared else index + 1
        decoded = DicomDecoder(frame=index)(data)[..., 0]
        assert np.array_equal(decoded, FRAMES[index] * float(slope) - 1000)


def test_segmentation_frames(make, encode_dataset) -> None:
    mask = RNG.integers(0, 2, (3, 8, 8)).astype(np.uint8)
    dataset = make(mask, SOPClassUID=SegmentationStorage, Modality="SEG")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.SegmentationType = "BINARY"
    dataset.PixelData = np.packbits(mask.reshape(-1), bitorder="little").tobytes()
    assert np.array_equal(DicomDecoder()(encode_dataset(dataset))[..., 0], mask[1])


def test_colour_and_channels(dicom) -> None:
    data = dicom(COLOUR, Modality="US")
    assert np.array_equal(DicomDecoder()(data), COLOUR)
    grey = DicomDecoder(channels=1)(data)
    assert grey.shape == (12, 10, 1)
    assert np.allclose(grey[..., 0], COLOUR @ np.array([0.299, 0.587, 0.114]), atol=1e-3)
    assert DicomDecoder(channels=3)(dicom(SIGNED)).shape == (12, 10, 3)


def test_colour_of_16_bits_comes_as_0_to_255(dicom) -> None:
    wide = COLOUR.astype(np.uint16) * 257
    assert np.allclose(DicomDecoder()(dicom(wide, Modality="OT")), COLOUR, atol=1e-3)


def test_palette(make, encode_dataset) -> None:
    stored = RNG.integers(0, 256, (6, 6)).astype(np.uint8)
    dataset = make(stored, Modality="US", PhotometricInterpretation="PALETTE COLOR")
    tables = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", (table * 257).tobytes())
    decoded = DicomDecoder()(encode_dataset(dataset))
    assert np.allclose(decoded, tables.T[stored], atol=1e-3)


def test_ybr_becomes_rgb() -> None:
    plain = DicomDecoder()(shipped("SC_rgb_small_odd.dcm"))
    assert plain.shape == (3, 3, 3)
    for name in ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm"):
        decoded = DicomDecoder()(shipped(name))
        assert decoded.shape == (100, 100, 3)
        assert decoded[5, 50, 0] > 240, name  # the first bar is red
        assert decoded[5, 50, 1:].max() < 15, name


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
             "MR_small_bigendian.dcm", "MR_small_implicit.dcm"],
)  # fmt: skip
def test_lossless_files_agree_with_the_plain_one(name: str) -> None:
    plain = DicomDecoder()(shipped("MR_small.dcm"))
    assert np.array_equal(DicomDecoder()(shipped(name)), plain)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_here(make, encode_dataset, syntax) -> None:
    dataset = make(UNSIGNED, RescaleSlope="1", RescaleIntercept="-1024")
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(DicomDecoder()(encode_dataset(dataset))[..., 0], UNSIGNED - 1024.0)


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "GDCMJ2K_TextGBR.dcm", "examples_jpeg2k.dcm"])
def test_jpeg_2000(name: str) -> None:
    decoded = DicomDecoder()(shipped(name))
    assert np.isfinite(decoded).all()
    assert decoded.std() > 1


def test_deflated(make, encode_dataset) -> None:
    plain = make(SIGNED)
    plain.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data = encode_dataset(plain)
    assert np.array_equal(DicomDecoder()(data)[..., 0], SIGNED)


def test_a_deflated_bomb_is_refused(make, encode_dataset, monkeypatch) -> None:
    dataset = make(SIGNED)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data = encode_dataset(dataset)
    begin = 144 + struct.unpack_from("<I", data, 140)[0]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = data[:begin] + squeeze.compress(bytes(1 << 24)) + squeeze.flush()
    monkeypatch.setattr("lepta.runtime.decoders.dicomfile.MAX_INFLATED", 1 << 20)
    with pytest.raises(DecodeError, match="inflates to more than"):
        DicomDecoder()(bomb, "bomb.dcm")


def test_a_compression_that_nothing_reads_is_named(make, encode_dataset) -> None:
    dataset = make(SIGNED)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    with pytest.raises(DecodeError, match="compressed as JPEG Lossless") as caught:
        DicomDecoder()(encode_dataset(dataset), "old.dcm")
    assert "JPEG-LS" in (caught.value.fix or "")


def test_a_file_without_header_is_read(make) -> None:
    dataset = make(SIGNED, syntax=ImplicitVRLittleEndian)
    stream = pydicom.filebase.DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, True
    pydicom.filewriter.write_dataset(stream, dataset)
    assert np.array_equal(DicomDecoder()(stream.getvalue())[..., 0], SIGNED)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rtplan.dcm", "holds no image: it is an RT Plan"),
        ("rtstruct.dcm", "holds no image: it is an RT Structure Set"),
        ("waveform_ecg.dcm", "holds no image: it is a 12-lead ECG Waveform"),
        ("test-SR.dcm", "holds no image: it is a"),
        ("MR_truncated.dcm", "cannot be decoded"),
        ("rtplan_truncated.dcm", "cut off"),
    ],
)
def test_no_image(name: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what) as caught:
        DicomDecoder()(shipped(name), name)
    assert name in str(caught.value)


def test_an_object_without_class_is_told_by_its_modality(make, encode_dataset) -> None:
    dataset = make(SIGNED, SOPClassUID=RTPlanStorage)
    for keyword in ("PixelData", "Rows", "SOPClassUID"):
        delattr(dataset, keyword)
    dataset.Modality = "RTRECORD"
    dataset.file_meta.MediaStorageSOPClassUID = RTPlanStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2"
    dataset.SOPInstanceUID = "1.2"
    stream = pydicom.filebase.DicomBytesIO()
    dataset.save_as(stream, implicit_vr=False, little_endian=True)
    with pytest.raises(DecodeError, match=r"it is an? RTRECORD object"):
        DicomDecoder()(stream.getvalue())


def test_an_image_class_without_pixels(make, encode_dataset) -> None:
    dataset = make(SIGNED)
    del dataset.PixelData
    with pytest.raises(DecodeError, match="no pixel data, although it is a CT Image"):
        DicomDecoder()(encode_dataset(dataset))


def test_every_truncation_is_refused(make, encode_dataset) -> None:
    dataset = make(UNSIGNED, RescaleSlope="1", RescaleIntercept="-1024")
    packed = make(UNSIGNED)
    packed.compress(RLELossless, generate_instance_uid=False)
    for data in (encode_dataset(dataset), encode_dataset(packed)):
        for end in range(0, len(data) - 8, 7):
            with pytest.raises(DecodeError, match=r"file cut\.dcm"):
                DicomDecoder()(data[:end], "cut.dcm")


def test_too_large(dicom, make, encode_dataset) -> None:
    with pytest.raises(DecodeError, match="120 pixels; the limit is 100"):
        DicomDecoder(max_pixels=100)(dicom(SIGNED))
    dataset = make(SIGNED)
    dataset.compress(RLELossless)
    dataset.Rows = dataset.Columns = 65535
    with pytest.raises(DecodeError, match="the limit is"):
        DicomDecoder()(encode_dataset(dataset))


def test_not_dicom() -> None:
    with pytest.raises(DecodeError, match="is empty"):
        DicomDecoder()(b"")
    with pytest.raises(DecodeError, match="not a"):
        DicomDecoder()(b"PNG and nothing else" * 20)


def test_wrong_options() -> None:
    for options in ({"frame": -1}, {"frame": True}, {"channels": 4}, {"frame": "last"}):
        with pytest.raises(ConfigError):
            DicomDecoder(**options)


def test_warnings_of_the_library_stay_inside(make, encode_dataset) -> None:
    dataset = make(SIGNED)
    data = encode_dataset(dataset) + b"\xfc\xff\xfc\xffOB"
    bad = data.replace(b"1.2.3.4\0", b"1.2..3x\0")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert DicomDecoder()(bad).shape == (12, 10, 1)
    assert seen == []


def test_quiet_leaves_other_warnings_and_filters_alone() -> None:
    before = list(warnings.filters)
    with quiet(), quiet(), pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)
    assert list(warnings.filters) == before


def test_many_threads_stay_quiet(make, encode_dataset) -> None:
    data = encode_dataset(make(SIGNED)).replace(b"1.2.3.4\0", b"1.2..3x\0")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                DicomDecoder()(data)
        except BaseException as error:
            failures.append(error)

    before = list(warnings.filters)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


def test_j2k_lossless_of_signed_ct() -> None:
    decoded = DicomDecoder()(shipped("693_J2KI.dcm"))
    assert decoded.shape == (512, 512, 1)
    assert decoded.min() < -1000
