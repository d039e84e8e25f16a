"""Evaluate a bundle on data whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Kind, Role
from lepta.evaluation.measuring import Sample, measure, read_sample
from lepta.evaluation.results import Evaluation
from lepta.runtime.predictions import gather

if TYPE_CHECKING:
    from lepta.bundle import Bundle, Manifest, Signature
    from lepta.data import Dataset
    from lepta.runtime import Predictor

_FEW_GROUPS = 20
_FEW_ROWS = 10


def evaluate(
    model: Predictor | Bundle | Path | str,
    data: Dataset | Path | str,
    *,
    level: float = 0.95,
    seed: int | None = None,
    split: str = "test",
    scores: NDArray[Any] | None = None,
    context: Context | None = None,
) -> Evaluation:
    """Measure a model on every row of ``data``.

    Groups and weights that the data's schema names are honoured: intervals then treat groups, not
    rows, as independent. Forecasts that overlap in time are grouped by stretches of time.

    Args:
        model: a bundle, the path of one, or a predictor.
        data: the rows, usually ``data["test"]``; a path is read with the model's target.
        level: confidence level of the intervals.
        seed: seed of the resampling; the context's by default.
        split: what to call these rows in the result.
        scores: of the rows, where they are known already, as of models that never saw the rows.
        context: progress and threads.

    Raises:
        BundleError: the bundle is damaged.
        SchemaError: the data lacks the target.
        DataError: a target value is missing or is no class that the model knows.
        InputError: an input that the model needs is missing.
    """
    context = context or Context()
    predictor = _predictor(model, context)
    task = predictor.task
    rows = dataset_of(data, predictor.manifest, context)
    chosen = context.seed if seed is None else seed
    y = rows.targets(task)
    if scores is None:
        scores = scores_of(predictor, rows, context)
    groups, weights = groups_of(rows), column_of(rows, Role.WEIGHT)
    with context.stage("Measuring", 1) as stage:
        metrics = measure(
            task, y, scores, groups=groups, weights=weights, level=level, seed=chosen, split=split
        )
        stage.advance()
    sample = read_sample(task, y, scores, groups, weights)
    return Evaluation(
        name=predictor.manifest.name,
        task=task,
        metrics=metrics,
        y=sample.y,
        scores=sample.scores,
        groups=sample.groups,
        weights=sample.weights,
        split=split,
        level=level,
        seed=chosen,
        notes=notes_on(sample, rows),
        rows=row_names(rows),
        manifest=predictor.manifest,
        picture=_picture(rows, predictor.signature),
    )


def _predictor(model: Any, context: Context) -> Predictor:
    from lepta.runtime import Predictor

    if isinstance(model, Predictor) or hasattr(model, "scores"):
        return model  # type: ignore[no-any-return]
    return Predictor(model, threads=context.threads or 1)


def dataset_of(data: Any, manifest: Manifest, context: Context) -> Dataset:
    """Return labelled rows; a path is read as the rows were that the model was trained on."""
    from lepta.data import Dataset

    if isinstance(data, Dataset):
        return data
    return Dataset.read(data, context=context, **recorded_reading(manifest))


def recorded_reading(manifest: Manifest) -> dict[str, Any]:
    """Return the options that read labelled rows as those were that a model was trained on."""
    from lepta.data.rereading import reading_of

    task = manifest.task
    named = {"target": task.target, "task": task.name, "task_options": task.reading}
    return {**named, **reading_of(manifest, measured=True)}


def inputs_of(rows: Dataset, signature: Signature) -> dict[str, Sequence[Any]]:
    """Return the columns that a model takes; a field ignored in ``rows`` may be one of them."""
    schema = rows.schema
    for spec in signature.inputs:
        if spec.name in schema and schema[spec.name].role != Role.INPUT:
            schema = schema.replace(spec.name, role=Role.INPUT)
    return rows.with_schema(schema).inputs()


def scores_of(predictor: Predictor, rows: Dataset, context: Context) -> NDArray[Any]:
    """Return the scores of ``rows``, with progress."""
    columns = inputs_of(rows, predictor.signature)
    count = len(rows)
    pieces = []
    with context.stage("Predicting", count, "rows") as stage:
        for begin in range(0, count, 256):
            part = {name: values[begin : begin + 256] for name, values in columns.items()}
            index = np.arange(begin, min(begin + 256, count))
            pieces.append((index, predictor.scores(part)))
            stage.advance(len(index))
    return gather(pieces, count, predictor.task.output())


def _picture(rows: Dataset, signature: Signature) -> Callable[[int], np.ndarray[Any, Any]] | None:
    """Return the function that decodes a row's first image, as the model sees it."""
    spec = next((spec for spec in signature.inputs if spec.kind == Kind.IMAGE), None)
    return None if spec is None else partial(rows.decode, spec.name)


def groups_of(rows: Dataset) -> Any:
    """Return what is independent of each other: the group of each row, or None."""
    from lepta.data.windows import stretches

    given = column_of(rows, Role.GROUP)
    return stretches(rows) if given is None else given


def column_of(rows: Dataset, role: Role) -> list[Any] | None:
    """Return the values of the field with a role, if there is one."""
    field = rows.schema.one(role)
    return None if field is None else rows.column(field.name)


def row_names(rows: Dataset) -> tuple[str, ...]:
    """Return a name for each row: the path of its first file, else its number as read."""
    for name in rows.media():
        paths = [rows.location(name, row) for row in range(len(rows))]
        if all(paths):
            return tuple(str(path) for path in paths)
    return tuple(f"row {number}" for number in rows.row_numbers)


def notes_on(sample: Sample, rows: Dataset | None = None) -> tuple[str, ...]:
    """Return what a reader should know before believing the figures."""
    notes = []
    if sample.groups is not None and len(np.unique(sample.groups)) < _FEW_GROUPS:
        notes.append(
            f"There are only {len(np.unique(sample.groups))} groups; the intervals may be too "
            "narrow."
        )
    classes = getattr(sample.task, "classes", ()) if sample.task.is_classification else ()
    for code, label in enumerate(classes):
        count = int(np.count_nonzero(sample.y == code))
        if count == 0:
            notes.append(
                f"No row is {label!r}; what needs it is undefined or leaves the class out."
            )
        elif count < _FEW_ROWS:
            notes.append(f"Only {count} row(s) are {label!r}; figures about it mean little.")
    if rows is not None and "train" in rows.splits and len(rows.splits["train"]):
        notes.append(
            "The data names rows to train on, and they were measured too. Measure the rows of one "
            "split only if the model was trained on this data."
        )
    return tuple(notes[:8])
