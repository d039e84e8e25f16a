"""Boxes in one file an image: text of YOLO, or XML of Pascal VOC."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from lepta.core.config import read_mapping
from lepta.core.errors import ConfigError, DataError, Where
from lepta.core.events import Context
from lepta.data.boxes.annotations import Annotations, Written
from lepta.data.boxes.forms import corners_of

_NAMES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
_VOC = ("xmin", "ymin", "xmax", "ymax")


def read_folder(folder: Path, context: Context) -> Annotations:
    """Read the text (YOLO) or XML (Pascal VOC) files of a folder and of the folders in it.

    Raises:
        DataError: there is neither, or a file is not written as such files are.
    """
    texts = [path for path in sorted(folder.rglob("*.txt")) if path.name not in _NAMES]
    pages = sorted(folder.rglob("*.xml"))
    if not texts and not pages:
        raise DataError(
            "The folder holds neither text files (YOLO) nor XML files (Pascal VOC) of boxes.",
            where=Where(file=str(folder)),
            fix="Give a folder with one such file an image, a table, or a COCO JSON file.",
        )
    found = Annotations(relative=bool(texts))
    if not texts:
        for path in context.track(pages, "Reading boxes", len(pages)):
            found.boxes[_name(path, folder)] = _voc(path)
        return found
    names = class_names(folder)
    for path in context.track(texts, "Reading boxes", len(texts)):
        found.boxes[_name(path, folder)] = _yolo(path, names)
    return found


def _name(path: Path, folder: Path) -> str:
    """Return what the image of a file is called, without its ending."""
    return PurePosixPath(path.relative_to(folder).with_suffix("")).as_posix()


def class_names(folder: Path) -> dict[int, str]:
    """Return the names of YOLO's class numbers, from a list or a YAML file in or above a folder."""
    for place in (folder, folder.parent):
        for name in _NAMES:
            path = place / name
            if not path.is_file():
                continue
            if path.suffix != ".yaml":
                lines = path.read_text(encoding="utf-8").splitlines()
                return dict(enumerate(line.strip() for line in lines if line.strip()))
            names = read_mapping(path).get("names")
            if isinstance(names, dict):
                return {int(number): str(each) for number, each in names.items()}
            if isinstance(names, list):
                return dict(enumerate(map(str, names)))
            raise ConfigError("There is no list of 'names' of classes.", where=Where(str(path)))
    return {}


def _yolo(path: Path, names: dict[int, str]) -> list[Written]:
    """Read lines of class, centre, width and height, or of class and the corners of a polygon."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        where = Where(file=str(path), row=number)
        polygon = len(parts) >= 7 and len(parts) % 2 == 1
        if len(parts) not in (5, 6) and not polygon:
            raise DataError(
                f"A line has 5 numbers (class, centre x and y, width, height), this {len(parts)}.",
                where=where,
                fix="Mend the line.",
            )
        code, numbers = _numbers(parts, where)
        if polygon:
            xs, ys = numbers[0::2], numbers[1::2]
            corners = corners_of((min(xs), min(ys), max(xs), max(ys)), False, where)
        else:
            x, y, width, height = numbers[:4]
            corner = (x - width / 2, y - height / 2, width, height)
            corners = corners_of(corner, True, where, ("x", "y", "width", "height"))
        if max(map(abs, corners)) > 2:
            raise DataError(
                "Places are shares of width and height, between 0 and 1; these are larger.",
                where=where,
                fix="Divide them by the size of the image, or give the boxes as a table in pixels.",
            )
        if names and code not in names:
            raise DataError(
                f"The class {code} has no name.",
                where=where,
                fix=f"The names are: {', '.join(names.values())}.",
            )
        found.append(Written(corners, names.get(code, str(code)), where))
    return found


def _numbers(parts: list[str], where: Where) -> tuple[int, list[float]]:
    try:
        return int(parts[0]), [float(part) for part in parts[1:]]
    except ValueError as error:
        raise DataError(
            f"These are no numbers: {' '.join(parts)[:80]}", where=where, fix="Mend the line."
        ) from error


def _voc(path: Path) -> list[Written]:
    """Read the objects of a Pascal VOC file; its pixels are counted from 1."""
    objects = _Objects(path)
    found = []
    for number, (label, places) in enumerate(objects.found, 1):
        where = Where(file=str(path), row=number, field="object")
        x0, y0, x1, y1 = corners_of((places.get(name) for name in _VOC), False, where, _VOC)
        found.append(Written((x0 - 1, y0 - 1, x1, y1), label, where))
    return found


class _Objects:
    """The objects of a VOC file, (name, places); entities are refused, nothing is expanded."""

    def __init__(self, path: Path) -> None:
        self.found: list[tuple[str, dict[str, str]]] = []
        self._path: list[str] = []
        self._text = ""
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            parser.Parse(path.read_bytes(), True)
        except (expat.ExpatError, ValueError) as error:
            raise DataError(
                f"This is no XML of boxes: {error}",
                where=Where(file=str(path)),
                fix="Write it again, or leave it out.",
            ) from error

    def _refuse(self, *_: Any) -> None:
        raise ValueError("it has a document type, which boxes do not need")

    def _begin(self, name: str, _: Any) -> None:
        self._path.append(name)
        self._text = ""
        if self._path[1:] == ["object"]:
            self.found.append(("", {}))

    def _add(self, text: str) -> None:
        self._text += text

    def _end(self, name: str) -> None:
        inside = self._path[1:]
        if inside == ["object", "name"]:
            self.found[-1] = (self._text.strip(), self.found[-1][1])
        elif inside[:2] == ["object", "bndbox"] and name in _VOC:
            self.found[-1][1][name] = self._text.strip()
        self._path.pop()
        self._text = ""
