"""What the name of a column or of a file says."""

from __future__ import annotations

import re

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp",
    ".pgm", ".ppm", ".pnm", ".jp2",
)  # fmt: skip
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
MEDIA_SUFFIXES = IMAGE_SUFFIXES + DICOM_SUFFIXES + VOLUME_SUFFIXES + AUDIO_SUFFIXES

SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "holdout", "hold-out", "eval", "ts"), "test"),
}
SPLIT_NAMES = {"split", "fold", "subset", "partition", "set", "phase", "usage"}

_SUBJECTS = {
    "patient", "subject", "person", "participant", "individual", "user", "customer", "client",
    "student", "pupil", "speaker", "donor", "family", "household", "animal", "owner", "member",
    "volunteer", "track",
}  # fmt: skip
_IDS = {"id", "ids", "uid", "uuid", "guid", "identifier", "nr", "no", "number", "key", "index",
        "idx", "name", "code"}  # fmt: skip
_ROW_IDS = {"id", "uid", "uuid", "guid", "identifier", "index", "idx", "key", "rowid", "unnamed",
            "instant", "rownames", "serial"}  # fmt: skip
_NOMINAL = {
    "code", "class", "type", "category", "kind", "label", "sex", "gender", "race", "ethnicity",
    "marital", "marriage", "country", "region", "city", "state", "zip", "zipcode", "postcode",
    "site", "scanner", "vendor", "manufacturer", "colour", "color", "department", "cluster",
    "species", "brand", "defect", "diagnosis",
}  # fmt: skip
_CLASS = {"class", "label", "category", "type", "kind", "species", "diagnosis", "defect", "digit"}
_TIMES = {"date", "time", "year", "month", "day", "hour", "week", "timestamp", "age", "cycle"}
_PIXELS = {"orig", "original", "image", "img", "file", "px", "pixel", "pixels", "picture", "scan"}
_FILE_WORDS = {
    "bytes", "filesize", "format", "ext", "extension", "filename", "filepath", "path", "url",
    "uri", "mtime", "ctime", "dpi", "compression", "md5", "sha1", "sha256", "checksum", "hash",
    "mime", "mimetype", "channels", "bits", "frames", "syntax", "samplerate", "sr", "bitrate",
}  # fmt: skip
_SIZES = {"width", "height", "rows", "cols", "columns", "w", "h", "size", "name", "depth", "mode",
          "shape", "resolution", "aspect"}  # fmt: skip


def words(name: str) -> list[str]:
    """Return the words of a column name: "PatientID" and "patient_id" are patient, id."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    spaced = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", spaced)
    return [word.casefold() for word in re.split(r"[\W_]+", spaced) if word]


def split_name(value: str) -> str | None:
    """Return "train", "valid" or "test" for the usual names of splits, else None."""
    return SPLITS.get(str(value).strip().casefold())


def names_splits(name: str) -> bool:
    """Whether a column of this name may say in which split a row is."""
    return bool(SPLIT_NAMES & set(words(name)))


def names_group(name: str) -> bool:
    """Whether a column of this name says to whom a row belongs."""
    found = words(name)
    return bool(_SUBJECTS & set(found)) and all(w in _SUBJECTS | _IDS for w in found)


def names_row(name: str) -> bool:
    """Whether a column of this name is an identifier."""
    found = words(name)
    return bool(found) and bool(_ROW_IDS & {found[0], found[-1]})


def names_codes(name: str) -> bool:
    """Whether whole numbers under this name stand for something that has no order."""
    return bool(_NOMINAL & set(words(name)))


def names_class(name: str) -> bool:
    """Whether whole numbers under this name are classes to predict, however many."""
    return bool(_CLASS & set(words(name)))


def names_time(name: str) -> bool:
    """Whether a column of this name counts time."""
    return bool(_TIMES & set(words(name)))


def describes_file(name: str, others: set[str]) -> bool:
    """Whether a column beside media says something of the file (its size, its format).

    Args:
        name: the column.
        others: all column names in lower case; a lone "height" may be that of a person.
    """
    found = set(words(name))
    if found & _FILE_WORDS or name.casefold() in ("file_name", "file_size", "sample_rate"):
        return True
    pairs = {"width": "height", "height": "width", "rows": "cols", "cols": "rows",
             "columns": "rows"}  # fmt: skip
    if pairs.get(name.casefold(), "") in others:
        return True
    return bool(found & _PIXELS) and bool(found & _SIZES)


_TARGETS = {"label", "labels", "target", "class", "outcome", "diagnosis", "y"}


def names_target(name: str) -> bool:
    """Whether a column's name says that it is what to predict."""
    return bool(_TARGETS & set(words(name)))
