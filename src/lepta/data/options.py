"""The options of reading a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field as Option

from lepta.core.config import Config
from lepta.core.schema import Kind, Role
from lepta.data.windows import WindowOptions


class ReadOptions(Config):
    """How to read a dataset: what the fields are for; everything else is inferred."""

    target: str | None = Option(None, description="Field to predict.")
    task: str | None = Option(
        None, description="What kind of prediction; inferred from the target when not given."
    )
    task_options: dict[str, Any] = Option(
        default_factory=dict, description="Options of the task, by name, such as horizon=24."
    )
    group: str | None = Option(
        None, description="Field whose equal values (a patient, a customer) stay in one split."
    )
    time_field: str | None = Option(
        None, description="Field to split by time; the last part is the test split."
    )
    weight: str | None = Option(None, description="Field with the weight of each row.")
    split: str | None = Option(None, description="Field that names the split of each row.")
    positive: str | None = Option(
        None, description="Class to find, of a target with two; inferred when not given."
    )
    kinds: dict[str, Kind] = Option(
        default_factory=dict, description="Kinds of fields, instead of the inferred ones."
    )
    roles: dict[str, Role] = Option(
        default_factory=dict, description="Roles of fields, instead of the inferred ones."
    )
    formats: dict[str, str] = Option(
        default_factory=dict,
        description="Form of dates that are text, by field, such as %m/%d/%Y; else inferred.",
    )
    boxes: str | None = Option(
        None,
        description="Boxes in the images: a table with one a row, a COCO JSON file, or a folder of "
        "YOLO or Pascal VOC files.",
    )
    box_label: str | None = Option(
        None, description="Column with the class of each box, where its name does not say so."
    )
    window: WindowOptions = Option(
        default_factory=WindowOptions, description="Rows in order of time become windows."
    )
    format: str | None = Option(
        None, description="Name of the source that reads the data; chosen by the data if absent."
    )
    series: bool = Option(
        False, description="One row per DICOM series of a folder, instead of one per file."
    )


class Origin(Config):
    """Where a dataset was read from, and how.

    Attributes:
        source: path or address as it was given, without user and password; None where the data
            were in memory.
        options: those of ``Dataset.read``.
    """

    source: str | None = None
    options: ReadOptions = ReadOptions()

    @classmethod
    def of(cls, source: Any, options: ReadOptions) -> Self:
        """Return the origin of data read from ``source``."""
        if not isinstance(source, str | Path):
            return cls(source=None, options=options)
        text = str(source)
        if "://" in text:
            parts = urlsplit(text)
            text = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return cls(source=text, options=options)

    def with_window(self, window: WindowOptions) -> Self:
        """Return the origin with the fields of the window as they were chosen."""
        options = self.options.model_copy(update={"window": window})
        return self.model_copy(update={"options": options})
