"""What files say of themselves without their pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from lepta.core.errors import DecodeError
from lepta.runtime.decoders import dicom_tags, image_info

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 4096, (12, 10)).astype(np.uint16)
PHOTO = Image.fromarray(RNG.integers(0, 256, (40, 30, 3), np.uint8))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_tags(dicom) -> None:
    facts = dicom_tags(
        dicom(
            PIXELS, BitsStored=12, KVP="120", PixelSpacing=["0.5", "0.6"], PatientAge="018M",
            PatientSex="F", Manufacturer="ACME", ImageType=["ORIGINAL", "PRIMARY"],
            StudyDate="20240131", StudyTime="101112.5", PatientName="Doe^Jane", PatientID="7",
            InstanceNumber="3", InstitutionName="Clinic", SoftwareVersions=["a", "b"],
        )
    )  # fmt: skip
    expected = {
        "Modality": "CT", "Kind": "CT Image", "Rows": 12.0, "Columns": 10.0, "BitsStored": 12.0,
        "KVP": 120.0, "PixelSpacing": 0.5, "PatientAge": 1.5, "PatientSex": "F",
        "Manufacturer": "ACME", "ImageType": "ORIGINAL\\PRIMARY", "StudyDate": 20240131.0,
        "StudyTime": 101112.5, "InstanceNumber": 3.0, "InstitutionName": "Clinic",
        "SoftwareVersions": "a\\b", "TransferSyntaxUID": "1.2.840.10008.1.2.1",
        "PhotometricInterpretation": "MONOCHROME2",
    }  # fmt: skip
    assert facts.items() >= expected.items()
    assert not {"PatientName", "PatientID", "ConvolutionKernel"} & facts.keys()
    assert "Doe" not in str(facts)


def test_tags_need_no_pixels(dicom) -> None:
    data = dicom(PIXELS)
    assert dicom_tags(data[:-200]) == dicom_tags(data)


def test_a_tag_written_wrongly_is_left_out(dicom) -> None:
    data = dicom(PIXELS, KVP="120", SliceThickness="5.0").replace(b"5.0 ", b"5.x ")
    facts = dicom_tags(data)
    assert facts["KVP"] == 120.0
    assert "SliceThickness" not in facts


def test_tags_of_what_is_no_dicom() -> None:
    with pytest.raises(DecodeError, match="photo"):
        dicom_tags(encode(PHOTO, "PNG"), "photo.png")


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
def test_jpeg_quality_is_estimated(quality: int) -> None:
    facts = image_info(encode(PHOTO, "JPEG", quality=quality, dpi=(72, 72)))
    assert facts["quality"] == pytest.approx(quality, abs=1)
    assert facts["dpi"] == 72.0
    assert (facts["format"], facts["width"], facts["height"]) == ("JPEG", 30.0, 40.0)
    assert facts["has_exif"] == 0.0


def test_exif_and_progressive() -> None:
    exif = Image.Exif()
    exif[0x0110] = "Scanner 9"
    facts = image_info(encode(PHOTO, "JPEG", exif=exif, progressive=True, subsampling=0))
    assert facts["has_exif"] == 1.0
    assert facts["camera"] == "Scanner 9"
    assert facts["progressive"] == 1.0
    assert facts["subsampling"] == 0.0


def test_depth_and_alpha() -> None:
    facts = image_info(encode(Image.fromarray(PIXELS), "PNG"))
    assert (facts["bit_depth"], facts["channels"], facts["has_alpha"]) == (16.0, 1.0, 0.0)
    facts = image_info(encode(PHOTO.convert("RGBA"), "PNG"))
    assert (facts["bit_depth"], facts["channels"], facts["has_alpha"]) == (8.0, 4.0, 1.0)
    facts = image_info(encode(Image.fromarray(PIXELS), "TIFF", compression="tiff_lzw"))
    assert (facts["bit_depth"], facts["compression"]) == (16.0, "tiff_lzw")
    assert image_info(encode(PHOTO.convert("1"), "PNG"))["bit_depth"] == 1.0


def test_pixels_are_not_decoded() -> None:
    data = encode(PHOTO, "JPEG")
    assert image_info(data[: len(data) // 2]) == image_info(data)
