"""Anomaly detection: what is not like the normal rows."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import model_validator

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field
from lepta.tasks.anomaly.ranks import Ranks
from lepta.tasks.base import GraphBuilder, OutputSpec, Task
from lepta.tasks.classification import Classification


class Anomaly(Classification):
    """Tell anomalous rows from normal ones, having learned from normal rows only.

    The score of a row is the share of new normal rows that a model finds less strange, and a row
    is answered anomalous where that share is at least :attr:`threshold`. Its complement is a
    conformal p-value (Bates et al. 2023, arXiv:2104.08279), smoothed to be a line from rank to
    rank; it is learned on the normal validation rows, which no training saw, and is part of the
    graph. Anomalous training rows are not used; those of the validation rows choose the learner.

    Attributes:
        classes: labels of the normal and of the anomalous rows.
        false_alarms: share of the normal rows that may be answered anomalous.
        knots: raw scores, rising, where the shares are known; learned.
        shares: share of normal rows below each knot.
    """

    name: Literal["anomaly"] = "anomaly"
    classes: tuple[str, ...] = Option(min_length=2, max_length=2)
    false_alarms: float = Option(default=0.05, gt=0.0, lt=1.0)
    knots: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    objective: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = (
        "auroc",
        "average_precision",
        "recall",
        "false_alarm_rate",
    )
    is_classification: ClassVar[bool] = False
    tuned: ClassVar[bool] = True
    promises: ClassVar[bool] = True
    one_sided: ClassVar[tuple[str, ...]] = ("train", "valid")
    learners: ClassVar[tuple[str, ...]] = ("isolation-forest", "patchcore")
    report: ClassVar[str] = "lepta.tasks.anomaly.report:PLOTS"

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if len(field.classes) > 2:
            raise SchemaError(
                f"The target {field.name!r} has {len(field.classes)} classes; rows are normal or "
                "anomalous.",
                where=Where(field=field.name),
                fix="Give all anomalous rows one label, or use the task 'multiclass'.",
            )
        return super().of(field, **options)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.knots) != len(self.shares) or len(self.knots) == 1:
            raise ValueError("there is one share a knot, and two of them or more")
        if any(b <= a for a, b in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError("knots rise from one to the next")
        return self

    @property
    def width(self) -> int:
        return 1

    @property
    def normal(self) -> str:
        """Label of the normal rows."""
        return self.classes[0]

    @property
    def anomalous(self) -> str:
        """Label of the anomalous rows."""
        return self.classes[1]

    @property
    def threshold(self) -> float:
        """Score from which a row is answered anomalous."""
        return 1.0 - self.false_alarms

    def output(self) -> OutputSpec:
        return OutputSpec(name="score", dtype="float32", shape=(-1, 1))

    @property
    def _ranks(self) -> Ranks:
        return Ranks(np.array(self.knots, np.float32), np.array(self.shares, np.float32))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        """Turn strangeness (rows, 1) into shares; values as they are, if nothing was learned."""
        values = np.asarray(raw, np.float32)
        return self._ranks(values) if self.knots else np.clip(values, 0, 1)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        if self.knots:
            return self._ranks.emit(graph, raw)
        return graph.op("Clip", raw, graph.const(0.0, "float32"), graph.const(1.0, "float32"))

    def calibrated(
        self, raw: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> Self:
        """Return the task with the ranks of the normal rows' raw scores.

        Raises:
            DataError: no row is normal.
        """
        normal = np.asarray(y) == 0
        if not normal.any():
            raise DataError(
                f"No validation row is {self.normal!r}, and the threshold is learned on them.",
                where=Where(field=self.target),
                fix="Split anew, or gather normal rows.",
            )
        known = None if weights is None else weights[normal]
        ranks = Ranks.of(np.asarray(raw)[normal, 0], known, self.threshold)
        learned = {"knots": tuple(ranks.knots.tolist()), "shares": tuple(ranks.shares.tolist())}
        return self.model_copy(update=learned)

    def codes(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        return (scores[:, 0].astype(np.float64) >= self.threshold).astype(np.int64)

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        y, scores = Task.check(self, y, scores)
        if not np.isin(y, (0, 1)).all():
            raise DataError(
                "A truth is 0 (normal) or 1 (anomalous).",
                where=Where(field=self.target),
                fix="Encode the labels with task.encode(...).",
            )
        return y.astype(np.int64), scores

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"prediction": self.decide(scores), "score": scores[:, 0]}

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(scores[:, 0].astype(np.float64) - y)
        return errors

    def answer_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.classes)}

    def describe(self) -> str:
        return (
            f"whether a row is {self.anomalous} or {self.normal}; a score of {self.threshold:g} "
            f"or more is {self.anomalous}, as {self.false_alarms:g} of the normal rows may be"
        )


__all__ = ["Anomaly"]
