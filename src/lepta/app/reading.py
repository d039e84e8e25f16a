"""What the commands that read data have in common."""

from __future__ import annotations

from typing import Any

from pydantic import Field as Option

from lepta.core.config import Config
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.data.options import ReadOptions

DATA = Option(
    description="Table (CSV, Parquet, JSON lines, Arrow) or folder of images or DICOM files.",
    json_schema_extra={"positional": True, "metavar": "DATA"},
)


def read(data: str, options: Config, context: Context, **changes: Any) -> Dataset:
    """Read ``data`` with those of ``options`` that belong to ``Dataset.read``."""
    given = {
        name: getattr(options, name) for name in ReadOptions.model_fields if hasattr(options, name)
    }
    return Dataset.read(data, context=context, **(given | changes))
