"""The options of ``fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field as Option
from pydantic import field_serializer

from lepta.core.config import Config, Seconds


class FitOptions(Config):
    """How a model is chosen and trained."""

    time: Seconds | None = Option(
        default=None, description="Time budget, as 60s, 10m or 1h; none: until it stops improving."
    )
    learner: str = Option(
        default="auto",
        description="auto, or a name: linear, trees, mlp (tables), transfer, finetune, resnet, cnn "
        "(images), neural (any mix), statistical, forecast-trees, forecaster, hybrid-forecaster "
        "(time), unet, detector, isolation-forest, patchcore, factorization, transitions.",
    )
    model: Any = Option(
        default=None,
        description="A model of one's own: a torch module, a Keras model, a scikit-learn "
        "estimator, a function that returns one, or FILE.py:NAME.",
        json_schema_extra={"metavar": "FILE.py:NAME"},
    )
    valid: float = Option(
        default=0.2, gt=0, lt=0.9, description="Share of rows to choose by, unless they are given."
    )
    test: float = Option(
        default=0.2,
        ge=0,
        lt=0.9,
        description="Share of rows to measure on, unless they are given; with 0 the model learns "
        "from all rows, and is measured while some are held out.",
    )
    drop_missing: bool = Option(
        default=False, description="Leave out rows whose target is missing, instead of refusing."
    )
    balance: bool = Option(
        default=False,
        description="Weigh classes so that each counts the same (labels: trees only).",
    )
    calibrate: bool = Option(default=True, description="Calibrate probabilities (temperature).")
    refit: bool = Option(
        default=True,
        description="Fit the chosen model once more on train and valid rows together, where it is "
        "no network, which needs the valid rows to know when to stop.",
    )
    refit_full: bool = Option(
        default=False,
        description="After measuring, fit what was chosen once more on all rows, the test rows "
        "too; this takes time beyond the budget, and the metrics stay those of the model before.",
    )
    threshold: float | None = Option(
        default=None,
        ge=0,
        le=1,
        description="Probability from which the positive class, or a box, is answered.",
    )
    audit: bool = Option(
        default=True, description="Check the data and audit it for shortcuts; the report tells."
    )
    metric: str | None = Option(
        default=None,
        description="Metric to choose by; none: log loss of classes, else the task's first one. "
        "With accuracy or f1 of two classes, the threshold is chosen for it too.",
    )
    miss_cost: float | None = Option(
        default=None,
        gt=0,
        description="What it costs to miss a positive row, in costs of a false alarm: the "
        "threshold is chosen for it.",
    )
    examples: int = Option(
        default=3, ge=0, le=20, description="Test rows kept in the bundle for its self-test."
    )
    device: str = Option(
        default="auto",
        description="Where networks are trained: auto, cpu, cuda, rocm, mps, xpu or tpu; with "
        "index and precision where wanted, as cuda:0:bf16.",
    )
    threads: int | None = Option(
        default=None, ge=1, description="Threads on the processor; all usable cores by default."
    )
    workers: int = Option(default=1, ge=1, description="Processes that train one network together.")
    engine: Literal["local", "ray"] = Option(
        default="local", description="Where they run: on this machine or on a Ray cluster."
    )
    address: str | None = Option(default=None, description="Address of the Ray cluster.")
    checkpoint: Path | None = Option(
        default=None,
        description="Folder in which a network's training is kept; the same command goes on there "
        "after a kill.",
        json_schema_extra={"metavar": "FOLDER"},
    )
    seed: int = Option(default=0, ge=0, description="The one seed of all randomness.")
    name: str = Option(default="model", description="Name of the model.")
    settings: dict[str, Any] = Option(
        default_factory=dict, description="Options of the learner, by name."
    )

    @field_serializer("model")
    def _named(self, model: Any) -> str | None:
        from lepta.models.custom import summary

        return None if model is None else summary(model)
