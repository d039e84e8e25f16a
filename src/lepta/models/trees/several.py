"""Tasks that several boosters learn together: one ensemble for each raw score."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.models.front import Front, fit_front
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, center_and_scale, row_weights
from lepta.models.trees.ensemble import Ensemble, Node, Tree, read_ensemble
from lepta.tasks import Quantile, Task

if TYPE_CHECKING:
    from lepta.data import Dataset
    from lepta.models.trees.learner import Trees


@dataclass(frozen=True)
class Part:
    """What one booster learns.

    Attributes:
        objective: LightGBM's parameters for it.
        y: targets, (rows,).
        rows: which rows it learns from, (rows,).
    """

    objective: dict[str, Any]
    y: NDArray[np.float64]
    rows: NDArray[np.bool_]

    def of(self, x: NDArray[np.float32], weights: NDArray[np.float64] | None) -> Any:
        """Return the rows (x, y, weights) that the part learns from."""
        chosen = None if weights is None else weights[self.rows]
        return x[self.rows], self.y[self.rows], chosen

    @property
    def constant(self) -> float | None:
        """The raw score of every row where there is nothing to tell apart; else None."""
        y = self.y[self.rows]
        if self.objective["objective"] != "binary" or (len(y) and y.min() < y.max()):
            return None
        share = (y.sum() + 0.5) / (len(y) + 1)
        return float(np.log(share / (1 - share)))


def _quantiles(task: Task, y: NDArray[Any]) -> list[Part]:
    assert isinstance(task, Quantile)  # noqa: S101
    everywhere = np.ones(len(y), np.bool_)
    return [
        Part({"objective": "quantile", "alpha": level}, y, everywhere) for level in task.quantiles
    ]


def _labels(task: Task, y: NDArray[Any]) -> list[Part]:
    everywhere = np.ones(len(y), np.bool_)
    return [Part({"objective": "binary"}, y[:, k], everywhere) for k in range(task.width)]


def _steps(task: Task, y: NDArray[Any]) -> list[Part]:
    """Whether a row that reaches a class goes further, asked of these rows only."""
    return [
        Part({"objective": "binary"}, (y > k).astype(np.float64), y >= k)
        for k in range(task.raw_width)
    ]


PARTS: dict[str, Callable[[Task, NDArray[Any]], list[Part]]] = {
    "quantile": _quantiles,
    "multilabel": _labels,
    "ordinal": _steps,
}
"""Task name -> how its target is divided, one part for each raw score."""
_NUMBERS = frozenset({"quantile"})


@dataclass(frozen=True)
class Booster:
    """A trained booster, or a constant where there was nothing to learn."""

    model: Any
    constant: float = 0.0

    @property
    def rounds(self) -> int:
        """Rounds that did best on the validation rows."""
        return 1 if self.model is None else max(1, int(self.model.best_iteration))

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw score of each row, (rows,)."""
        if self.model is None:
            return np.full(len(x), self.constant)
        return np.asarray(self.model.predict(x, raw_score=True), np.float64)

    def trees(self, target: int) -> tuple[Tree, ...]:
        """Return the trees, adding to the raw score number ``target``."""
        if self.model is None:
            node = Node(0, 0.0, (), missing_left=True, left=~0, right=~1)
            return (Tree((node,), (self.constant, self.constant), target),)
        found = read_ensemble(self.model.dump_model()).trees
        return tuple(replace(tree, target=target) for tree in found)


@dataclass(frozen=True)
class SeveralFitted(Fitted):
    """Boosters, one a raw score; ``center`` and ``scale`` are of a target that is a number."""

    front: Front
    task: Task
    boosters: tuple[Booster, ...]
    learner: Trees
    center: float
    scale: float

    def refit(self, rows: Dataset, context: Context) -> SeveralFitted:
        rounds = [booster.rounds for booster in self.boosters]
        return _grow(self.learner, self.front, self.task, (rows, None), rounds, context)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        scores = np.stack([booster.raw(arrays[TABLE]) for booster in self.boosters], axis=1)
        return np.asarray(scores * self.scale + self.center, np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        trees = chain.from_iterable(b.trees(k) for k, b in enumerate(self.boosters))
        scores = Ensemble(tuple(trees), len(self.boosters)).emit(graph, values[TABLE])
        if (self.center, self.scale) == (0.0, 1.0):
            return scores
        scaled = graph.op("Mul", scores, graph.const(self.scale, "float32"))
        return graph.op("Add", scaled, graph.const(self.center, "float32"))

    def workshop(self) -> dict[str, bytes]:
        texts = {
            f"workshop/lightgbm_{number}.txt": booster.model.model_to_string().encode()
            for number, booster in enumerate(self.boosters)
            if booster.model is not None
        }
        recipe = {
            "learner": "trees",
            "center": self.center,
            "scale": self.scale,
            "constants": [b.constant if b.model is None else None for b in self.boosters],
        }
        return {**texts, "workshop/recipe.json": json.dumps(recipe).encode()}


def fit_several(
    learner: Trees, train: Dataset, valid: Dataset, task: Task, context: Context
) -> SeveralFitted:
    """Boost one ensemble for each raw score of ``task``, each stopped early on its own."""
    front = fit_front(train, style="codes", image=None, context=context)
    rounds = [learner.rounds] * task.raw_width
    return _grow(learner, front, task, (train, valid), rounds, context)


def _grow(
    learner: Trees,
    front: Front,
    task: Task,
    rows: tuple[Dataset, Dataset | None],
    rounds: Sequence[int],
    context: Context,
) -> SeveralFitted:
    train, valid = rows
    y = train.targets(task)
    center, scale = center_and_scale(y) if task.name in _NUMBERS else (0.0, 1.0)
    x, weights = front.run(train, context)[TABLE], row_weights(train, task, balance=False)
    parts = PARTS[task.name](task, (y - center) / scale)
    watch: list[Any] = [None] * len(parts)
    if valid is not None:
        watched = row_weights(valid, task, balance=False)
        seen, yv = front.run(valid, context)[TABLE], (valid.targets(task) - center) / scale
        watch = [part.of(seen, watched) for part in PARTS[task.name](task, yv)]
    boosters = []
    for number, (part, held) in enumerate(zip(parts, watch, strict=True)):
        if part.constant is not None:
            boosters.append(Booster(None, part.constant))
            continue
        share = context.share(len(parts) - number)
        unseen = held if held is not None and len(held[1]) else None
        objective = part.objective | ({"is_unbalance": True} if _skewed(learner, part) else {})
        chosen = part.of(x, weights)
        boosters.append(
            Booster(learner.boost(front, objective, chosen, unseen, rounds[number], share))
        )
    return SeveralFitted(front, task, tuple(boosters), learner, center, scale)


def _skewed(learner: Trees, part: Part) -> bool:
    return learner.balance and part.objective["objective"] == "binary"
