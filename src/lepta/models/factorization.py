"""Matrix factorisation: a number for each pair of categories, such as a user's rating of a film."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.models.front import Front, fit_front
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner, center_and_scale, row_weights
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

SPREAD = 0.3
"""Standard deviation of the factors before the first pass."""

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How factors are fitted.

    Attributes:
        rank: factors of each category.
        strength: squared penalty on factors, where the target has a standard deviation of one.
        bias_strength: squared penalty on biases: about so many rows are needed to trust a bias.
        passes: times that both sides are solved.
        seed: of the first factors.
    """

    rank: int
    strength: float
    bias_strength: float
    passes: int
    seed: int


@dataclass(frozen=True)
class FactorizationFitted(Fitted):
    """A mean, and for each side (categories + 1, rank + 1): factors, then a bias.

    The first row of a side stands for categories that were never seen, and is zero: they are
    answered by the mean and the other side's bias.
    """

    front: Front
    task: Task
    center: float
    sides: tuple[NDArray[np.float32], NDArray[np.float32]]
    settings: Settings

    def refit(self, rows: Dataset, context: Context) -> FactorizationFitted:
        front = _front(rows, context)
        center, sides = _fit_rows(front, rows, self.task, self.settings, context)
        return replace(self, front=front, center=center, sides=sides)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        codes = arrays[TABLE].astype(np.int64)
        values = predicted(codes, self.sides) + self.center
        return np.asarray(values[:, None], np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        codes = graph.op("Cast", values[TABLE], to=7)
        rank = self.settings.rank
        factors, biases = [], []
        for column, side in enumerate(self.sides):
            own = graph.op("Gather", codes, graph.const(column, "int64"), axis=1)
            factors.append(graph.op("Gather", graph.const(side[:, :rank]), own, axis=0))
            biases.append(graph.op("Gather", graph.const(side[:, rank:]), own, axis=0))
        product = graph.op("Mul", *factors)
        likes = graph.op("ReduceSum", product, graph.const([1], "int64"), keepdims=1)
        return graph.op("Sum", likes, *biases, graph.const([[self.center]], "float32"))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        first, second = self.sides
        weights = {"center": np.array([self.center]), "first": first, "second": second}
        return {
            "workshop/factorization.safetensors": save(weights),
            "workshop/recipe.json": json.dumps({"learner": "factorization"}).encode(),
        }


@dataclass(frozen=True)
class Factorization(Learner):
    """Mean, biases and factors of two categories, by alternating least squares.

    The squared error of ``mean + bias[user] + bias[item] + factors[user] . factors[item]`` is made
    least with penalties on biases and factors (Koren, Bell & Volinsky, "Matrix factorization
    techniques for recommender systems", 2009). Either category may be the user.

    Attributes:
        rank: factors of each category.
        strengths: penalties on the factors that are tried; the best on validation rows is kept.
        bias_strength: penalty on the biases, in rows.
        passes: times that both sides are solved.
    """

    rank: int = 40
    strengths: tuple[float, ...] = (8.0, 10.0, 14.0)
    bias_strength: float = 5.0
    passes: int = 8

    tasks: ClassVar[frozenset[str]] = frozenset({"regression"})

    def unfit_for(self, schema: Schema, task: Task) -> str:
        if [field.kind for field in schema.inputs] == [Kind.CATEGORY] * 2:
            return ""
        found = ", ".join(f"{field.name} ({field.kind.value})" for field in schema.inputs)
        return (
            f"its inputs are two categories, such as user and item, and these are {found or 'none'}"
            "; set kinds={...: 'category'} for the two and roles={...: 'ignore'} for the others"
        )

    def fit(
        self, train: Dataset, valid: Dataset, task: Task, context: Context
    ) -> FactorizationFitted:
        front = _front(train, context)
        codes, truth = front.run(valid, context)[TABLE].astype(np.int64), valid.targets(task)
        watched = row_weights(valid, task, balance=False)
        best: FactorizationFitted | None = None
        least = np.inf
        with context.stage("factorization", total=len(self.strengths), unit="strength") as stage:
            for strength in self.strengths:
                if best is not None and context.seconds_left() <= 0:
                    break
                settings = Settings(
                    self.rank, strength, self.bias_strength, self.passes, context.seed
                )
                center, sides = _fit_rows(front, train, task, settings, context)
                errors = (predicted(codes, sides) + center - truth) ** 2
                loss = float(np.average(errors, weights=watched))
                stage.advance(loss=loss)
                if best is None or loss < least:
                    least, best = loss, FactorizationFitted(front, task, center, sides, settings)
        assert best is not None  # noqa: S101
        return best


def _front(rows: Dataset, context: Context) -> Front:
    return fit_front(rows, style="ids", image=None, context=context)


def _fit_rows(
    front: Front, rows: Dataset, task: Task, settings: Settings, context: Context
) -> tuple[float, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the mean of the target and both sides, in the target's unit."""
    assert front.table is not None  # noqa: S101
    codes, y = front.run(rows, context)[TABLE].astype(np.int64), rows.targets(task)
    first, second = (len(words) + 1 for words in front.table.vocabulary)
    center, scale = center_and_scale(y)
    weights = row_weights(rows, task, balance=False)
    fitted = factors((y - center) / scale, codes, (first, second), settings, weights)
    scaled = [_in_unit(side, scale) for side in fitted]
    return center, (scaled[0], scaled[1])


def _in_unit(side: Floats, scale: float) -> NDArray[np.float32]:
    """Return a side of a target that was divided by ``scale``: a factor is half of a product."""
    by = np.full(side.shape[1], np.sqrt(scale))
    by[-1] = scale
    return np.asarray(side * by, np.float32)


def predicted(codes: Codes, sides: tuple[NDArray[Any], NDArray[Any]]) -> NDArray[Any]:
    """Return ``bias + bias + product of factors`` of pairs (rows, 2); (rows,)."""
    first, second = sides[0][codes[:, 0]], sides[1][codes[:, 1]]
    products = (first[:, :-1] * second[:, :-1]).sum(axis=1)
    return np.asarray(first[:, -1] + second[:, -1] + products)


def factors(
    y: Floats,
    codes: Codes,
    sizes: tuple[int, int],
    settings: Settings,
    weights: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Fit both sides by alternating least squares; a pass solves one side, then the other.

    Args:
        y: target (rows,), mean 0 and standard deviation 1.
        codes: categories (rows, 2).
        sizes: number of codes of each side; 0 stands for the unknown.
        settings: rank, penalties and passes.
        weights: weight of each row, mean one.

    Returns:
        Two arrays (size, rank + 1), factors and then a bias; zeros where there is no row.
    """
    mass = np.ones(len(y)) if weights is None else weights
    rng = np.random.default_rng(settings.seed)
    sides = [
        np.hstack([rng.normal(0.0, SPREAD, (size, settings.rank)), np.zeros((size, 1))])
        for size in sizes
    ]
    for side in (1, 0) * 3:
        rest = y - sides[1 - side][codes[:, 1 - side], -1]
        total = np.bincount(codes[:, side], mass * rest, sizes[side])
        count = np.bincount(codes[:, side], mass, sizes[side])
        sides[side][:, -1] = total / (count + settings.bias_strength)
    groups = [_groups(codes[:, side], sizes[side]) for side in (0, 1)]
    for _ in range(settings.passes):
        for side in (0, 1):
            across = codes[:, 1 - side]
            sides[side] = _solved(sides[1 - side], across, y, mass, groups[side], settings)
    return sides[0], sides[1]


def _groups(codes: Codes, size: int) -> list[Codes]:
    """Return the rows of each code."""
    ends = np.cumsum(np.bincount(codes, minlength=size))[:-1]
    return [np.asarray(rows) for rows in np.split(np.argsort(codes, kind="stable"), ends)]


def _solved(
    other: Floats, across: Codes, y: Floats, mass: Floats, groups: list[Codes], settings: Settings
) -> Floats:
    """Return one side (size, rank + 1), given the other side and its code at every row."""
    penalty = np.diag([settings.strength] * settings.rank + [settings.bias_strength])
    side = np.zeros((len(groups), settings.rank + 1))
    for code, rows in enumerate(groups):
        if code and len(rows):
            x = other[across[rows]]
            rest = y[rows] - x[:, -1]
            x[:, -1] = 1.0
            heavy = x.T * mass[rows]
            side[code] = np.linalg.solve(heavy @ x + penalty, heavy @ rest)
    return side
