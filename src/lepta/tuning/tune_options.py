"""The options of ``tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field as Option

from lepta.core.config import Seconds
from lepta.tuning.options import FitOptions


class TuneOptions(FitOptions):
    """What is searched, and for how long; how each model is trained is as in ``fit``."""

    space: dict[str, Any] | Path | None = Option(
        default=None,
        description="What may be tried, once for each option: NAME=0.001..0.1 log, NAME=32..512, "
        "NAME=relu|gelu or NAME=default; all ranges that the learner names where none is given.",
        json_schema_extra={"metavar": "NAME=RANGE"},
    )
    trials: int | None = Option(
        default=None,
        ge=1,
        description="Trials at the most, those of the folder counted; 50 where no time is given.",
    )
    time: Seconds | None = Option(
        default=None, description="Time budget, as 60s, 10m or 1h, packing included; none: trials."
    )
    pruning: bool = Option(
        default=True,
        description="Give trials of networks up that fall behind others after as many epochs.",
    )
    folder: Path | None = Option(
        default=None,
        description="Folder of the study: its trials, tuning.html; the same command goes on there "
        "after a kill.",
        json_schema_extra={"metavar": "FOLDER"},
    )
    workers: int | None = Option(  # type: ignore[assignment]
        default=None,
        ge=1,
        description="Trials at once; as many as there are cores by default, at most 8, and one "
        "where networks train on an accelerator.",
    )
    engine: Literal["local", "ray"] = Option(
        default="local", description="Where trials run: on this machine or on a Ray cluster."
    )
    memory: float | None = Option(
        default=None,
        gt=0,
        description="GiB that a trial may take; its share of nine tenths of all by default.",
    )

    def for_fit(self, learner: str) -> FitOptions:
        """Return the options with which each trial fits."""
        own = {"time": None, "workers": 1, "engine": "local", "address": None, "checkpoint": None}
        given = {name: getattr(self, name) for name in FitOptions.model_fields}
        return FitOptions.model_construct(**(given | own | {"learner": learner}))
