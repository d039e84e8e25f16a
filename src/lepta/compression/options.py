"""The options of ``compress``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic import Field as Option

from lepta.core.config import Config, Seconds

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000_000, "kib": 1024, "mib": 1024**2}


def parse_size(value: object) -> int:
    """Return bytes from a number, or from text such as "900kB", "1.5 MB", "2MiB"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if not match or match[2].casefold() not in _UNITS:
        raise ValueError(f"{value!r} is not a size; write 900kB, 1.5MB or 2MiB")
    return int(float(match[1]) * _UNITS[match[2].casefold()])


Bytes = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str)]
"""Bytes; accepts "900kB", "1.5MB"."""


STEPS: str = Option(
    default="auto",
    description="Steps that may be taken: auto for all that apply, or names such as int8 or "
    "prune,int8. Folding and 16-bit storage, which keep every answer, are always among them.",
)


class CompressOptions(Config):
    """What a compressed model must keep, and what it should become."""

    target: str = STEPS
    max_drop: float = Option(
        default=0.01,
        ge=0,
        lt=1,
        description="Most that may be lost of the metric, with confidence: 0.01 is one point of "
        "accuracy; of errors without an upper end, such as RMSE, one per cent of it.",
    )
    metric: str = Option(
        default="", description="Metric that must not drop; by default the task's first."
    )
    level: float = Option(
        default=0.95, gt=0.5, lt=1, description="Confidence with which the promise is kept."
    )
    latency: float | None = Option(
        default=None,
        gt=0,
        description="Milliseconds of one row that suffice: of models as fast, the smallest is "
        "taken. By default the fastest is.",
    )
    size: Bytes | None = Option(
        default=None, description="Largest graph, such as 900kB: of those, the fastest is taken."
    )
    provider: str = Option(
        default="onnxruntime", description="What the model will run on: onnxruntime or openvino."
    )
    judges: tuple[str, ...] = Option(
        default=(),
        description="Splits whose rows judge; none of them may have been trained on. By default "
        "valid, or test where the model has learned from valid too.",
    )
    time: Seconds | None = Option(
        default=None, description="Time budget, as 10m; none: until everything has been tried."
    )
    examples: int = Option(
        default=3, ge=0, le=20, description="Rows kept in the bundle for its self-test."
    )
    threads: int | None = Option(
        default=None, ge=1, description="Threads of what trains; speed is measured with one."
    )
    seed: int = Option(default=0, ge=0, description="The one seed of all randomness.")
