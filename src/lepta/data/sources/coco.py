"""COCO JSON files: the images they list, with their boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.data.files import Files
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw


class Coco:
    """A JSON file with ``images``, ``annotations`` and ``categories``, beside the images."""

    @staticmethod
    def matches(source: Any) -> bool:
        from lepta.data.boxes.annotations import coco_document

        return isinstance(source, Path) and coco_document(source) is not None

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        from lepta.data.boxes.annotations import coco_annotations, coco_document
        from lepta.data.boxes.joining import boxed

        document = coco_document(source)
        if document is None or not document["images"]:
            raise DataError(
                "The file lists no images.",
                where=Where(file=str(source)),
                fix="A COCO file holds images, annotations and categories.",
            )
        found = coco_annotations(document, str(source))
        raw = Raw(
            table=pa.table({"file": pa.array(list(found.boxes), pa.large_string())}),
            files=Files(source.parent),
            name=source.name,
            kinds={"file": Kind.IMAGE},
        )
        return boxed(raw, found, options)
