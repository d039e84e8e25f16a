"""Ordinal classification: classes in an order, such as grades."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from lepta.core.errors import ConfigError, Where
from lepta.core.schema import Field
from lepta.core.values import label_of
from lepta.tasks.base import GraphBuilder
from lepta.tasks.classification import Classification


class Ordinal(Classification):
    """Predict one of several classes that stand in an order.

    A raw score for each class but the last is the logit of being above it, given that the row is
    at least of it (continuation ratios, Fienberg 1980; for networks CORN, Shi et al. 2023,
    arXiv:2111.08851). Their products fall from class to class by themselves, and so give
    probabilities of the classes. The answer is the median class, which errs by the fewest steps.

    Attributes:
        classes: the classes, the lowest first. ``order`` gives another order than that of
            numbers, or of the alphabet.
    """

    name: Literal["ordinal"] = "ordinal"
    classes: tuple[str, ...] = Option(min_length=3)

    objective: ClassVar[str] = "lepta.tasks.ordinal.objective:ContinuationRatios"
    metrics: ClassVar[tuple[str, ...]] = (
        "quadratic_kappa",
        "class_mae",
        "median_accuracy",
        "log_loss",
    )

    @classmethod
    def suits(cls, field: Field) -> bool:
        return False

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        order = options.pop("order", None)
        if order is None:
            return super().of(field, **options)
        parts = order.split(",") if isinstance(order, str) else list(order)
        labels = tuple(label_of(part) or "" for part in parts)
        if sorted(labels) != sorted(field.classes):
            raise ConfigError(
                f"The order {', '.join(labels)} does not name every class of {field.name!r} once.",
                where=Where(field=field.name),
                fix=f"The classes are: {', '.join(field.classes)}.",
            )
        return super().of(field.model_copy(update={"classes": labels}), **options)

    @property
    def raw_width(self) -> int:
        return self.width - 1

    @property
    def reading(self) -> dict[str, Any]:
        return {"order": self.classes}

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        logits = np.asarray(raw, np.float64) / temperature
        above = np.exp(np.cumsum(-np.logaddexp(0.0, -logits), axis=1))
        steps = np.pad(above, ((0, 0), (1, 0)), constant_values=1.0)
        return np.asarray(steps - np.pad(above, ((0, 0), (0, 1))), np.float32)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        if temperature != 1.0:
            raw = graph.op("Div", raw, graph.const(temperature, "float32"))
        likely = graph.op("Neg", graph.op("Softplus", graph.op("Neg", raw)))
        above = graph.op("Exp", graph.op("CumSum", likely, graph.const(1, "int64")))
        first = graph.const([0, 1, 0, 0], "int64"), graph.const(1.0, "float32")
        last = graph.const([0, 0, 0, 1], "int64"), graph.const(0.0, "float32")
        return graph.op("Sub", graph.op("Pad", above, *first), graph.op("Pad", above, *last))

    def codes(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        return median_class(scores)

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(median_class(scores) - y).astype(np.float64)
        return errors

    def describe(self) -> str:
        return f"one of {self.width} classes in order: {' < '.join(self.classes)}"


def median_class(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first class at or below which half of the probability lies, (rows,)."""
    below = np.cumsum(np.asarray(scores, np.float64), axis=1)
    return np.asarray((below >= 0.5 - 1e-6).argmax(axis=1), np.int64)
