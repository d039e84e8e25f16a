"""Folders, or one zip file of such a folder: class-named folders of images, and DICOM files."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lepta.core.errors import DataError, DecodeError, Where
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.data.archives import Archive
from lepta.data.files import Files
from lepta.data.issues import Issue, listed
from lepta.data.names import DICOM_SUFFIXES, IMAGE_SUFFIXES, split_name
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw

_PEEKED = 20


def _is_place(source: Any) -> bool:
    return isinstance(source, Path) and (source.is_dir() or source.suffix.lower() == ".zip")


def _walk(source: Path) -> Iterator[str]:
    if source.suffix.lower() == ".zip" and source.is_file():
        yield from Archive(source).names
        return
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            yield (Path(folder) / name).relative_to(source).as_posix()


def _names(source: Path) -> list[str]:
    return [
        name
        for name in _walk(source)
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]


def _files(source: Path) -> Files:
    return Files(source) if source.is_dir() else Files(None, archives=(source,))


class ImageFolder:
    """CLASS/image.png, or SPLIT/CLASS/image.png."""

    @staticmethod
    def matches(source: Any) -> bool:
        return _is_place(source) and any(
            name.lower().endswith(IMAGE_SUFFIXES) and "/" in name for name in _walk(source)
        )

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        names = _names(source)
        images = [n for n in names if n.lower().endswith((*IMAGE_SUFFIXES, *DICOM_SUFFIXES))]
        folders = [PurePosixPath(name).parts[:-1] for name in images]
        skip = _common(folders)
        labelled = [(n, f[skip:]) for n, f in zip(images, folders, strict=True) if f[skip:]]
        if not labelled:
            raise DataError(
                "The images do not lie in folders named after their classes.",
                where=Where(file=str(source)),
                fix="Sort them into one folder per class, or write a table of file and label.",
            )
        has_split = all(len(f) > 1 and split_name(f[0]) for _, f in labelled)
        columns = {
            "file": [name for name, _ in labelled],
            "label": [f[1] if has_split else f[0] for _, f in labelled],
        }
        if has_split:
            columns["split"] = [f[0] for _, f in labelled]
        left = sorted(set(names) - {name for name, _ in labelled})
        return Raw(
            table=pa.table({k: pa.array(v, pa.large_string()) for k, v in columns.items()}),
            files=_files(source),
            name=source.name,
            target="label",
            kinds={"file": Kind.IMAGE},
            issues=_left_out(left, "is no image in a class folder"),
        )


def _common(folders: Sequence[tuple[str, ...]]) -> int:
    """Return how many leading folders all images share, as an archive's top folder."""
    levels = list(zip(*folders, strict=False))
    common = next((i for i, names in enumerate(levels) if len(set(names)) > 1), len(levels))
    deepest = max((len(folder) for folder in folders), default=0)
    return common if deepest > common else 0


def _left_out(names: Sequence[str], why: str) -> tuple[Issue, ...]:
    if not names:
        return ()
    return (
        Issue(
            code="left_out",
            severity="info",
            text=f"{len(names)} file(s) were left out, because each {why}: {listed(names)}.",
        ),
    )


class ImageFiles:
    """Images whose labels are elsewhere, in no folders, or in those of splits."""

    @staticmethod
    def matches(source: Any) -> bool:
        return not ImageFolder.matches(source) and ImageFiles.holds(source)

    @staticmethod
    def holds(source: Any) -> bool:
        """Whether a source is a place of images, whatever their folders mean."""
        return _is_place(source) and any(n.lower().endswith(IMAGE_SUFFIXES) for n in _walk(source))

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        images = [n for n in _names(source) if n.lower().endswith(IMAGE_SUFFIXES)]
        if not images:
            raise DataError(
                "There are no images.",
                where=Where(file=str(source)),
                fix="Give the folder (or zip file) that the images lie in.",
            )
        columns = {"file": images}
        folders = [PurePosixPath(name).parts[:-1] for name in images]
        level = _common(folders)
        if all(len(f) > level and split_name(f[level]) for f in folders):
            columns["split"] = [folder[level] for folder in folders]
        return Raw(
            table=pa.table({k: pa.array(v, pa.large_string()) for k, v in columns.items()}),
            files=_files(source),
            name=source.name,
            kinds={"file": Kind.IMAGE},
        )


class DicomFolder:
    """A folder of DICOM files: one row per file, or per series when ``series`` is asked for."""

    @staticmethod
    def matches(source: Any) -> bool:
        if not _is_place(source):
            return False
        files = _files(source)
        return any(_is_dicom(files, n) for _, n in zip(range(_PEEKED), _walk(source), strict=False))

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        files, names = _files(source), _names(source)
        dicom = [n for n in context.track(names, "Finding DICOM files") if _is_dicom(files, n)]
        rows = [_row(files, name) for name in context.track(dicom, "Reading headers", len(dicom))]
        kind = Kind.IMAGE
        if options.series:
            rows, kind = _series(rows, source), Kind.VOLUME
        if not rows:
            raise DataError("There are no DICOM files.", where=Where(file=str(source)))
        return Raw(
            table=_table(rows),
            files=files,
            name=source.name,
            kinds={"file": kind},
            issues=_left_out(sorted(set(names) - set(dicom)), "is not DICOM"),
        )


def _is_dicom(files: Files, name: str) -> bool:
    if name.lower().endswith(DICOM_SUFFIXES):
        return True
    if PurePosixPath(name).suffix.lower() in (".csv", ".json", ".txt", ".zip", *IMAGE_SUFFIXES):
        return False
    return files.read(name)[128:132] == b"DICM"


_TAGS = {"patient_id": "PatientID", "series_uid": "SeriesInstanceUID", "modality": "Modality"}


def _row(files: Files, name: str) -> dict[str, str | None]:
    from lepta.runtime.decoders.base import refusing
    from lepta.runtime.decoders.dicomfile import read_dataset

    tags: dict[str, str | None] = dict.fromkeys(_TAGS)
    try:
        header = read_dataset(files.read(name), name, pixels=False)
        with refusing(name, "The tags cannot be read"):
            for column, keyword in _TAGS.items():
                tags[column] = str(header.get(keyword, "") or "") or None
    except DecodeError:
        return {"file": name, **tags}
    return {"file": name, **tags}


def _series(rows: list[dict[str, str | None]], source: Path) -> list[dict[str, str | None]]:
    """One row per folder; a folder that holds several series is refused."""
    folders = defaultdict(list)
    for row in rows:
        folders[str(PurePosixPath(row["file"] or "").parent)].append(row)
    for folder, members in folders.items():
        series = Counter(row["series_uid"] for row in members)
        if len(series) > 1:
            raise DataError(
                f"The folder holds {len(series)} DICOM series; a volume is one series.",
                where=Where(file=str(source / folder)),
                fix="Put each series into a folder of its own.",
            )
    return [{**members[0], "file": folder} for folder, members in sorted(folders.items())]


def _table(rows: list[dict[str, str | None]]) -> Any:
    import pyarrow as pa

    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return pa.table({key: pa.array(values, pa.large_string()) for key, values in columns.items()})
