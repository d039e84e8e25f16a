"""The shortcut audit: metadata alone must not predict the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.core.values import label_of
from lepta.data import Dataset
from lepta.evaluation.audit import verdict
from lepta.evaluation.audit.chance import alarming, real_alone, real_together
from lepta.evaluation.audit.columns import ROW_ORDER, column_sources, paths_of
from lepta.evaluation.audit.files import file_sources
from lepta.evaluation.audit.names import named
from lepta.evaluation.audit.sources import FAMILIES, Source
from lepta.evaluation.audit.strength import (
    Ground,
    Strength,
    alone,
    fit_predict,
    groups_of,
    judge,
    make_folds,
    quick,
    together,
)
from lepta.tasks.metrics.numbers import r2
from lepta.tasks.metrics.ranking import auroc

ROWS = 5000
"""Rows looked at, at most; a larger dataset is sampled."""


@dataclass(frozen=True)
class ShortcutReport:
    """What a model that sees no content can tell of the target.

    Attributes:
        target: name of the target.
        rows: rows looked at.
        folds: folds of the cross-validation.
        flagged: whether metadata that the content shows predicts the target.
        overall: all visible metadata together; None where there is none to judge.
        limit: what chance alone stays below in a clean dataset of this size.
        parts: several families together, strongest first; looked into only where some metadata
            tells more than chance.
        families: each family of metadata, strongest first; the same.
        sources: each source alone, strongest first; only those that are not chance.
        signs: what a model does not see but what tells that classes come from different places
            (names, order, gaps in other columns); only those that are not chance.
        storage: ways in which the label itself is stored (a class-named folder): harmless.
        looked_at: names of all sources that were looked at.
        verdict: the finding in plain words.
    """

    target: str
    rows: int
    folds: int
    flagged: bool
    overall: Strength | None
    limit: float
    parts: tuple[Strength, ...]
    families: tuple[Strength, ...]
    sources: tuple[Strength, ...]
    signs: tuple[Strength, ...]
    storage: tuple[str, ...]
    looked_at: tuple[str, ...]
    verdict: str

    def __str__(self) -> str:
        return verdict.text(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-able mapping."""
        return asdict(self)


def audit_shortcuts(
    data: Dataset, *, context: Context | None = None, folds: int = 5, seed: int | None = None
) -> ShortcutReport:
    """Try to predict the target from metadata alone.

    Metadata is what can be known of a row without its content: size, type and header of its
    files, acquisition tags, names and folders, order, gaps, columns that describe the file. Each
    source is tried alone, each family and all of them together by trees, always out of fold; rows
    of one group are never on both sides.

    Args:
        data: a dataset with a target. Rows without one are left out.
        context: seed, threads, progress.
        folds: folds of the cross-validation.
        seed: seed to use instead of the context's.

    Raises:
        SchemaError: there is no target.
        DataError: the target has fewer than two classes.
        MissingExtraError: scikit-learn is not installed.
    """
    context = context or Context()
    chosen = context.seed if seed is None else seed
    sample, is_test = _sample(data, chosen)
    task = sample.task
    y, groups = sample.targets(), groups_of(sample)
    found, storage = collect(sample, context)
    fold = make_folds(task, y, groups, folds, chosen)
    if fold is None:
        return _nothing(task.target, len(sample), found, storage, verdict.TOO_FEW)
    ground = Ground(task, y, fold, groups)
    visible = [source for source in found if FAMILIES[source.family].visible]
    each = _each(found, ground, chosen, context)
    judged = _Judge(ground, is_test, chosen, context.threads or 1)
    sources, signs = _split(found, each)
    overall, parts, families = _combined(visible, judged, bool(sources), context)
    strongest = [s for s in (overall, *sources) if s is not None]
    flagged = any(s.real and alarming(s.value, ground) for s in strongest)
    report = ShortcutReport(
        target=task.target,
        rows=len(sample),
        folds=int(fold.max()) + 1,
        flagged=flagged,
        overall=overall,
        limit=ground.limit,
        parts=parts,
        families=families,
        sources=sources,
        signs=signs,
        storage=storage,
        looked_at=tuple(source.name for source in found),
        verdict="",
    )
    return verdict.with_verdict(report)


def collect(data: Dataset, context: Context) -> tuple[list[Source], tuple[str, ...]]:
    """Return all sources of metadata in ``data``, and how it stores its labels."""
    found = [source for source in column_sources(data) if source is not None]
    found += [source for source in file_sources(data, context) if source is not None]
    labels = None
    if data.task.is_classification:
        labels = [label_of(value) for value in data.column(data.task.target)]
    storage: list[str] = []
    grouped = data.schema.one(Role.GROUP) is not None
    for name, paths in paths_of(data).items():
        told = named(name, paths, labels, is_media=name in data.media(), grouped=grouped)
        found += told.sources
        storage += told.storage
    if labels is not None and _in_blocks(labels):
        storage.append("The rows are sorted by class, which a model does not see.")
        found = [source for source in found if source.name != ROW_ORDER]
    return found, tuple(storage)


def _in_blocks(labels: Sequence[str | None]) -> bool:
    changes = sum(a != b for a, b in pairwise(labels))
    return changes == len(set(labels)) - 1


def _sample(data: Dataset, seed: int) -> tuple[Dataset, NDArray[np.bool_] | None]:
    """Return at most ``ROWS`` rows that have a target, and which of them are the given test."""
    target = data.task.target
    known = np.array([label_of(value) is not None for value in data.column(target)], bool)
    rows = np.flatnonzero(known)
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, ROWS, replace=False))
    is_test = None
    if "test" in data.splits and len(data.splits["test"]):
        is_test = np.isin(rows, data.splits["test"])
    return data.take(rows), is_test


def _each(found: Sequence[Source], ground: Ground, seed: int, context: Context) -> list[Strength]:
    tracked = context.track(found, "Trying each source alone", len(found))
    predicted = [alone(source, ground) for source in tracked]
    values = [quick(scores, ground) for scores in predicted]
    return [
        judge(
            source.name,
            FAMILIES[source.family].label,
            scores,
            ground,
            real=real,
            sources=(source.name,),
        )
        for source, scores, real in zip(
            found, predicted, real_alone(found, values, ground, seed), strict=True
        )
    ]


@dataclass(frozen=True, eq=False)
class _Judge:
    """Judges several sources together."""

    ground: Ground
    is_test: NDArray[np.bool_] | None
    seed: int
    threads: int

    def __call__(self, name: str, family: str, sources: Sequence[Source]) -> Strength:
        ground = self.ground
        if len(sources) == 1:
            predicted = alone(sources[0], ground)
        else:
            predicted = together(sources, ground, self.seed, self.threads)
        names = tuple(source.name for source in sources)
        strength = judge(name, family, predicted, ground, sources=names)
        return replace(strength, on_test=self._on_test(sources))

    def tested(self, sources: Sequence[Source]) -> Strength:
        """Judge all sources, and hold them against chance."""
        strength = self("all visible metadata", "", sources)
        real = real_together(sources, strength.value, self.ground, self.seed)
        return replace(strength, real=real)

    def _on_test(self, sources: Sequence[Source]) -> float | None:
        held = self.is_test
        if held is None or not 0 < held.sum() < len(held):
            return None
        predicted = fit_predict(sources, self.ground, ~held, held, self.seed, self.threads)
        metric = auroc if self.ground.task.is_classification else r2
        return metric(self.ground.y[held], predicted)


def _combined(
    visible: Sequence[Source], judged: _Judge, suspicious: bool, context: Context
) -> tuple[Strength | None, tuple[Strength, ...], tuple[Strength, ...]]:
    """Return how strong everything is, then parts and families where that is worth a look."""
    by_family: dict[str, list[Source]] = {}
    by_part: dict[str, list[Source]] = {}
    for source in visible:
        family = FAMILIES[source.family]
        by_family.setdefault(family.label, []).append(source)
        if family.part:
            by_part.setdefault(family.part, []).append(source)
    wide = {
        part: sources
        for part, sources in by_part.items()
        if len({source.family for source in sources}) > 1
    }
    with context.stage("Predicting from metadata", 1 + len(wide) + len(by_family)) as stage:
        overall = judged.tested(visible) if visible else None
        stage.advance()
        if not suspicious and not (overall and overall.real):
            return overall, (), ()
        found = []
        for name, sources in (wide | by_family).items():
            found.append(judged(name, name, sources))
            stage.advance()
    return overall, _ordered(found[: len(wide)]), _ordered(found[len(wide) :])


def _ordered(strengths: Sequence[Strength]) -> tuple[Strength, ...]:
    return tuple(sorted(strengths, key=lambda strength: -strength.value))


def _split(
    found: Sequence[Source], each: Sequence[Strength]
) -> tuple[tuple[Strength, ...], tuple[Strength, ...]]:
    """Return what is more than chance: sources that the content shows, and signs."""
    real = [(s, strength) for s, strength in zip(found, each, strict=True) if strength.real]
    visible = [strength for s, strength in real if FAMILIES[s.family].visible]
    signs = [strength for s, strength in real if not FAMILIES[s.family].visible]
    return _ordered(visible), _ordered(signs)


def _nothing(
    target: str, rows: int, found: Sequence[Source], storage: tuple[str, ...], why: str
) -> ShortcutReport:
    return ShortcutReport(
        target=target,
        rows=rows,
        folds=0,
        flagged=False,
        overall=None,
        limit=0.5,
        parts=(),
        families=(),
        sources=(),
        signs=(),
        storage=storage,
        looked_at=tuple(source.name for source in found),
        verdict=why,
    )
