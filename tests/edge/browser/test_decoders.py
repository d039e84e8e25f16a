"""The decoders of the page give the arrays that the decoders of the runtime give."""

import base64
import io
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from pictures import DEPTHS, SAMPLES, png
from PIL import Image
from server import serving

from lepta.core.errors import DecodeError
from lepta.runtime.decoders import DicomDecoder, ImageDecoder

_CALL = """(async () => {
  const {%(function)s} = await import('./%(module)s.js');
  const bytes = Uint8Array.from(atob('%(data)s'), (letter) => letter.charCodeAt(0));
  try {
    const image = await %(function)s(bytes, %(options)s);
    const raw = new Uint8Array(image.data.buffer);
    let text = '';
    for (let i = 0; i < raw.length; i += 32768) {
      text += String.fromCharCode(...raw.subarray(i, i + 32768));
    }
    const shape = [image.height, image.width, image.channels];
    return {shape, dtype: image.dtype, data: btoa(text)};
  } catch (error) {
    if (error.name !== 'Refusal') throw error;
    return {refusal: error.message};
  }
})()"""
DICOM = Path(str(files("pydicom"))) / "data" / "test_files"
COMPRESSED = ("J2K", "jpeg2k", "JPEG2000", "jp2k", "JPEGLS", "jpeg_ls", "_jls_", "gdcm_KY")
RGB_JPEG = ("no_color_transform", "+eb+cr", "SC_rgb_jpeg.dcm", "app14")


@pytest.fixture(scope="module")
def page(chrome, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "page"
    shutil.copytree(str(files("lepta.edge.browser") / "page"), folder)
    with serving(folder) as url:
        chrome.call("Page.navigate", url=url)
        chrome.until("document.readyState === 'complete'")
        yield chrome


def decoded(page, kind, data, options="{}"):
    function, module = {
        "dicom": ("decodeDicom", "dicom"),
        "image": ("decodeImage", "image"),
    }[kind]
    text = base64.b64encode(data).decode("ascii")
    found = page.evaluate(
        _CALL % {"function": function, "module": module, "data": text, "options": options}
    )
    if "refusal" in found:
        return found["refusal"]
    raw = np.frombuffer(base64.b64decode(found["data"]), found["dtype"])
    return raw.reshape(found["shape"])


def expected(decoder, data):
    try:
        return decoder(data)
    except DecodeError as error:
        return str(error)


@pytest.mark.parametrize("path", sorted(DICOM.glob("*.dcm")), ids=lambda path: path.name)
def test_dicom_files(page, path):
    data = path.read_bytes()
    wanted, got = expected(DicomDecoder(), data), decoded(page, "dicom", data)
    if isinstance(wanted, str):
        assert isinstance(got, str)
    elif any(part in path.name for part in COMPRESSED):
        assert "compressed as JPEG" in got
    elif any(part in path.name for part in RGB_JPEG):
        assert "is not decoded by this page" in got
    else:
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "examples_rgb_color.dcm", "SC_rgb_rle_2frame.dcm"]
)
def test_dicom_channels_and_frames(page, name, channels):
    data = (DICOM / name).read_bytes()
    got = decoded(page, "dicom", data, f"{{channels: {channels}, frame: 0}}")
    wanted = DicomDecoder(channels=channels, frame=0)(data)
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert "no frame 7" in decoded(page, "dicom", data, "{frame: 7}")
    assert "limit is 10" in decoded(page, "dicom", data, "{max_pixels: 10}")


def _dataset(stored, **values):
    """Return a DICOM file of ``stored``; keywords are attributes."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = stored.tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _transformed(slope, intercept):
    import pydicom

    inner, outer = pydicom.Dataset(), pydicom.Dataset()
    inner.RescaleSlope, inner.RescaleIntercept, inner.RescaleType = slope, intercept, "US"
    outer.PixelValueTransformationSequence = [inner]
    return [outer]


def _table(first, entries):
    import pydicom

    table = pydicom.Dataset()
    table.LUTDescriptor = [len(entries), first, 16]
    table.ModalityLUTType = "US"
    table.LUTData = np.array(entries, np.uint16).tobytes()
    return [table]


NOISE = np.random.default_rng(7)
MADE = {
    "mirrored": _dataset(
        NOISE.integers(0, 4096, (6, 4), np.uint16),
        PhotometricInterpretation="MONOCHROME1",
        BitsStored=12,
        RescaleSlope="0.5",
        RescaleIntercept="-3",
    ),
    "measured": _dataset(
        NOISE.integers(0, 4096, (6, 4), np.uint16),
        PhotometricInterpretation="MONOCHROME1",
        Modality="CT",
        RescaleSlope="1.7",
        RescaleIntercept="-1024",
    ),
    "signed, with unused bits": _dataset(
        NOISE.integers(-32768, 32767, (5, 6), np.int16), BitsStored=11
    ),
    "bytes": _dataset(NOISE.integers(0, 256, (5, 6), np.uint8), RescaleSlope="2"),
    "words": _dataset(NOISE.integers(0, 2**31, (4, 4), np.uint32), BitsStored=30),
    "shared": _dataset(
        NOISE.integers(0, 99, (4, 4), np.uint16),
        SharedFunctionalGroupsSequence=_transformed("3", "1"),
    ),
    "looked up": _dataset(
        NOISE.integers(0, 12, (4, 4), np.uint16),
        ModalityLUTSequence=_table(2, (5, 50, 500, 5000, 50000)),
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_dicom_values(page, name):
    got = decoded(page, "dicom", MADE[name])
    np.testing.assert_array_equal(got, DicomDecoder()(MADE[name]))


@pytest.mark.parametrize("cut", [0, 60, 133, 200, 400])
def test_dicom_that_is_cut_off_is_refused(page, cut):
    data = MADE["mirrored"]
    assert isinstance(decoded(page, "dicom", data[:cut]), str)
    assert isinstance(decoded(page, "dicom", data[:-3]), str)


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("colour", "depth"), DEPTHS)
def test_png_is_exact(page, colour, depth, interlaced):
    rng = np.random.default_rng(10 * colour + depth)
    samples = rng.integers(0, 2**depth, (11, 13, SAMPLES[colour]))
    palette = rng.bytes(3 * 2**depth) if colour == 3 else b""
    data = png(samples, colour, depth, interlaced=interlaced, palette=palette)
    for channels, bits in ((1, 8), (3, 8), (1, 16), (3, 32)):
        options = f"{{channels: {channels}, bits: {bits}}}"
        got = decoded(page, "image", data, options)
        wanted = ImageDecoder(channels=channels, bits=bits)(data)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted, err_msg=options)


@pytest.mark.parametrize(
    ("colour", "depth", "clear"),
    [(0, 8, b"\0\7"), (0, 16, b"\1\2"), (2, 8, b"\0\1\0\2\0\3"), (3, 4, bytes(range(0, 160, 10)))],
)
def test_png_with_one_clear_colour(page, colour, depth, clear):
    rng = np.random.default_rng(depth)
    samples = rng.integers(0, 2**depth, (9, 9, SAMPLES[colour]))
    samples[:4] = np.frombuffer(clear, ">u2")[: SAMPLES[colour]] if colour != 3 else 3
    palette = rng.bytes(48) if colour == 3 else b""
    data = png(samples, colour, depth, palette=palette, clear=clear)
    np.testing.assert_array_equal(decoded(page, "image", data), ImageDecoder()(data))


def _saved(mode, kind, **options):
    rng = np.random.default_rng(3)
    shape = (24, 40) if mode == "L" else (24, 40, 3)
    smooth = np.cumsum(rng.normal(0, 6, shape), axis=1) + 128
    stream = io.BytesIO()
    Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8)).save(stream, kind, **options)
    return stream.getvalue()


def _turned(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


PROFILE = (DICOM / "crayons.icc").read_bytes()
PHOTOGRAPHS = {
    "grey": (_saved("L", "JPEG", quality=90), 1),
    "colour": (_saved("RGB", "JPEG", quality=90, subsampling=0), 2),
    "halved": (_saved("RGB", "JPEG", quality=75), 3),
    "progressive": (_saved("RGB", "JPEG", progressive=True), 3),
    "managed": (_saved("RGB", "JPEG", subsampling=0, icc_profile=PROFILE), 2),
    "managed PNG": (_saved("RGB", "PNG", icc_profile=PROFILE), 0),
    "BMP": (_saved("RGB", "BMP"), 0),
    "WebP": (_saved("RGB", "WEBP", lossless=True), 0),
    "GIF": (_saved("L", "GIF"), 0),
    **{f"turned {t}": (_saved("L", "JPEG", exif=_turned(t)), 1) for t in range(1, 9)},
    **{f"turned PNG {t}": (_saved("RGB", "PNG", exif=_turned(t)), 0) for t in (1, 6, 7)},
}
"""Files, and by how much a value may differ."""


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs(page, name):
    data, tolerance = PHOTOGRAPHS[name]
    for channels in (1, 3):
        got = decoded(page, "image", data, f"{{channels: {channels}}}")
        wanted = ImageDecoder(channels=channels)(data)
        assert got.shape == wanted.shape
        gap = np.abs(got.astype(int) - wanted.astype(int))
        assert gap.max() <= tolerance, (gap.max(), gap.mean())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"nothing that anybody knows", "known format"),
        (MADE["bytes"], "DICOM file"),
        (_saved("RGB", "PNG")[:200], "damaged or cut off"),
        (_saved("RGB", "PNG")[:20], "damaged"),
        (_saved("RGB", "JPEG")[:100], "damaged"),
    ],
    ids=["empty", "unknown", "dicom", "cut", "header", "jpeg"],
)
def test_what_is_no_image_is_refused(page, data, said):
    with pytest.raises(DecodeError):
        ImageDecoder()(data)
    assert said in decoded(page, "image", data)


def test_what_the_page_cannot_read_is_named(page):
    data = _saved("RGB", "PNG")
    assert "TIFF files are not read" in decoded(page, "image", _saved("RGB", "TIFF"))
    assert "limit is 99" in decoded(page, "image", data, "{max_pixels: 99}")
    assert "first page" in decoded(page, "image", data, "{frame: 1}")
