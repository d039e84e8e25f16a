"""Distillation of any model of a table into one small model of a family that answers fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.compression.steps import Compressor, Stage
from lepta.core.errors import CompressError
from lepta.core.events import Context
from lepta.core.schema import Field, Kind, Role, Schema
from lepta.core.space import Choice, Range
from lepta.data import Dataset
from lepta.evaluation.evaluating import inputs_of
from lepta.models.front import Front
from lepta.models.front.front import PLAIN
from lepta.models.graph import Graph
from lepta.models.learner import LEARNERS, Fitted, Learner, to_onnx
from lepta.runtime import Predictor
from lepta.tasks import Task
from lepta.training.tables.lean import LeanOptions
from lepta.training.tables.learner import TabM

if TYPE_CHECKING:
    from lepta.compression.candidate import Candidate, Material

Floats = NDArray[np.float64]

_TASKS = ("binary", "multiclass", "regression")
_MOST_CLASSES = 12
"""Raw scores that are taught one by one, at the most."""
_LEAST_PROBABILITY = 1e-6
_MIXED = 0.3
"""Share of the fields of a made-up row that come from another row."""
_MADE = 30_000
"""Made-up rows at the most; there are up to three for each real one."""

_TREES: tuple[dict[str, Any], ...] = (
    {"rounds": 25, "leaves": 16, "learning_rate": 0.3},
    {"rounds": 50, "leaves": 16, "learning_rate": 0.2},
    {"rounds": 100, "leaves": 31, "learning_rate": 0.1},
    {"rounds": 200, "leaves": 31, "learning_rate": 0.06},
    {"rounds": 400, "leaves": 48, "learning_rate": 0.04},
)
_NETWORKS = ((16, 1, 6), (32, 1, 8), (64, 1, 12), (96, 2, 16), (128, 8, 16))
"""Students from the smallest to the largest; of networks width, members and pieces of a number."""


@dataclass(frozen=True)
class Taught(Fitted):
    """Students of one raw score each, as a model of the teacher's task.

    The raw scores of two classes are half of the one score each, with opposite signs.
    """

    front: Front
    task: Task
    students: tuple[Fitted, ...]

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        scores = np.hstack([student.raw(arrays) for student in self.students])
        return np.asarray(scores @ _widening(self.task), np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        parts = [student.emit(graph, values) for student in self.students]
        joined = parts[0] if len(parts) == 1 else graph.op("Concat", *parts, axis=1)
        wide = _widening(self.task)
        if wide.shape == (1, 1):
            return joined
        return graph.op("MatMul", joined, graph.const(wide, "float32"))

    def workshop(self) -> dict[str, bytes]:
        return self.students[0].workshop() if len(self.students) == 1 else {}


@dataclass(frozen=True)
class Distil(Compressor):
    """Teach a small model to give the scores of a large one (Hinton et al. 2015).

    The student learns the teacher's raw scores of the training rows and of made-up rows, in which
    some fields come from another row (Bucila et al. 2006): there the teacher's answer is known
    too, though nobody measured one.

    Attributes:
        learner: family of the student.
        size: from 0, the smallest, to 4.
    """

    learner: Annotated[Literal["tabm", "trees"], Choice("tabm", "trees")] = "tabm"
    size: Annotated[int, Range(0, 4)] = 1

    name: ClassVar[str] = "distil"
    stage: ClassVar[Stage] = Stage.REPLACE
    trains: ClassVar[bool] = True

    def refusal(self, candidate: Candidate, material: Material) -> str:
        task = candidate.bundle.task
        if task.name not in _TASKS or task.width > _MOST_CLASSES:
            return f"it teaches no task {task.name!r} of {task.width} classes"
        others = [f.name for f in material.train.schema.inputs if f.kind not in PLAIN]
        return f"the field {others[0]!r} is not plain" if others else ""

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        task = candidate.bundle.task
        teacher = Predictor(candidate.bundle, threads=context.threads or 1, self_test=False)
        seen = _joined(material.train, _made_up(material.train, context.seed))
        pairs = [(rows, _raw_scores(teacher, rows, task)) for rows in (seen, material.valid)]
        students = []
        for number in range(pairs[0][1].shape[1]):
            train, valid = (_relabelled(rows, raw[:, number]) for rows, raw in pairs)
            students.append(
                self._learner.fit(train, valid, train.task, replace(context, memo=None))
            )
        front = students[0].front
        taught = Taught(front, task, tuple(students))
        if front.signature(task).tensors != candidate.bundle.signature.tensors:
            raise CompressError(
                "The student reads other tensors than its teacher.",
                fix="Leave the step 'distil' out.",
            )
        facts = {"made-up rows": len(seen) - len(material.train)}
        return candidate.then(self, to_onnx(taught), workshop=taught.workshop(), facts=facts)

    @property
    def _learner(self) -> Learner:
        if self.learner == "trees":
            grown: Learner = LEARNERS.get("trees")(**_TREES[self.size], extra=False)
            return grown
        width, members, pieces = _NETWORKS[self.size]
        return TabM(network=LeanOptions(width=width, members=members), pieces=pieces)

    def ladder(self) -> tuple[Distil, ...]:
        return tuple(replace(self, size=size) for size in range(self.size + 1, 5))

    def bolder(self) -> tuple[Distil, ...]:
        return tuple(replace(self, size=size) for size in reversed(range(self.size)))


def _widening(task: Task) -> NDArray[np.float32]:
    """Return the matrix from the scores that are taught to the raw scores of a task."""
    if task.name == "binary":
        return np.array([[-0.5, 0.5]], np.float32)
    return np.eye(task.raw_width, dtype=np.float32)


def _raw_scores(teacher: Predictor, rows: Dataset, task: Task) -> Floats:
    """Return what a student is to give, (rows, scores): values, or centred logarithms."""
    scores = np.asarray(teacher.scores(inputs_of(rows, teacher.signature)), np.float64)
    if not task.is_classification:
        return scores
    logits = np.log(np.maximum(scores, _LEAST_PROBABILITY))
    if task.width == 2:
        return logits[:, 1:] - logits[:, :1]
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def _relabelled(rows: Dataset, values: Floats) -> Dataset:
    """Return the rows with numbers to learn in place of the target, and equal weights."""
    import pyarrow as pa

    fields, columns = [], {}
    for field in rows.schema.fields:
        if field.role == Role.INPUT:
            fields.append(field)
            columns[field.name] = rows.table[field.name]
        elif field.role == Role.TARGET:
            fields.append(Field(name=field.name, kind=Kind.NUMBER, role=Role.TARGET))
            columns[field.name] = pa.array(values)
    schema = Schema(fields=tuple(fields))
    return replace(rows, table=pa.table(columns), schema=schema, wish=("regression", {}), splits={})


def _made_up(rows: Dataset, seed: int) -> Dataset:
    """Return rows in which some input fields come from another row."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    count = min(_MADE, 3 * len(rows))
    first, second = (rng.integers(0, len(rows), count) for _ in range(2))
    columns = {}
    for field in rows.schema.fields:
        other = field.role == Role.INPUT and (rng.random(count) < _MIXED)
        columns[field.name] = rows.table[field.name].take(pa.array(np.where(other, second, first)))
    return replace(rows, table=pa.table(columns), rows=None, splits={}, name="made-up rows")


def _joined(one: Dataset, two: Dataset) -> Dataset:
    import pyarrow as pa

    return replace(one, table=pa.concat_tables([one.table, two.table]), rows=None, splits={})
