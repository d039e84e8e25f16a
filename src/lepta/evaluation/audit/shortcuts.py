"""The shortcut audit: metadata alone must not predict the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.core.values import label_of
from lepta.data import Dataset
from lepta.data.split import group_codes
from lepta.evaluation.audit import verdict
from lepta.evaluation.audit.columns import column_sources, paths_of
from lepta.evaluation.audit.files import file_sources
from lepta.evaluation.audit.names import named
from lepta.evaluation.audit.sources import FAMILIES, Source
from lepta.evaluation.audit.strength import (
    Ground,
    Strength,
    alone,
    chance_limit,
    fit_predict,
    judge,
    make_folds,
    together,
)

ROWS = 5000
"""Rows looked at, at most; a larger dataset is sampled."""
WEAK, WEAK_R2 = 0.6, 0.1
"""AUC and R² below which a shortcut is real but too weak to be worth an alarm."""


@dataclass(frozen=True)
class ShortcutReport:
    """What a model that sees no content can tell of the target.

    Attributes:
        target: name of the target.
        rows: rows looked at.
        folds: folds of the cross-validation.
        flagged: whether metadata that the content shows predicts the target.
        overall: all visible metadata together, out of fold; None where there is none to judge.
        on_test: the same, fitted on the other rows and scored on the given test split.
        limit: what chance alone stays below in a clean dataset of this size.
        parts: several families together, strongest first.
        families: each family of metadata, strongest first.
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
    on_test: Strength | None
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
    y, groups = sample.targets(), group_codes(sample)
    found, storage = collect(sample, context)
    fold = make_folds(task, y, groups, folds, chosen)
    if fold is None:
        return _nothing(task.target, len(sample), found, storage, verdict.TOO_FEW)
    ground = Ground(task, y, fold, groups)
    visible = [source for source in found if FAMILIES[source.family].visible]
    each = _each(found, ground, context)
    threads = context.threads or 1
    with context.stage("Predicting from metadata", 1) as stage:
        overall = _judged("all visible metadata", "", visible, ground, chosen, threads)
        on_test = _on_test(visible, ground, is_test, chosen, threads)
        parts, families = _combined(visible, ground, chosen, threads)
        stage.advance()
    sources, signs = _split(found, each)
    flagged = _alarming(overall) or any(_alarming(strength) for strength in sources)
    report = ShortcutReport(
        target=task.target,
        rows=len(sample),
        folds=int(fold.max()) + 1,
        flagged=flagged,
        overall=overall,
        on_test=on_test,
        limit=chance_limit(ground),
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
    return found, tuple(storage)


def _sample(data: Dataset, seed: int) -> tuple[Dataset, np.ndarray[Any, np.dtype[np.bool_]] | None]:
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


def _each(found: Sequence[Source], ground: Ground, context: Context) -> list[Strength]:
    tracked = context.track(found, "Trying each source alone", len(found))
    return [
        judge(
            source.name,
            FAMILIES[source.family].label,
            alone(source, ground),
            ground,
            tests=len(found),
            sources=(source.name,),
        )
        for source in tracked
    ]


def _judged(  # noqa: PLR0913
    name: str, family: str, sources: Sequence[Source], ground: Ground, seed: int, threads: int
) -> Strength | None:
    if not sources:
        return None
    predicted = (
        alone(sources[0], ground)
        if len(sources) == 1
        else together(sources, ground, seed, threads)
    )
    names = tuple(source.name for source in sources)
    return judge(name, family, predicted, ground, sources=names)


def _on_test(
    sources: Sequence[Source], ground: Ground, is_test: Any, seed: int, threads: int
) -> Strength | None:
    if is_test is None or not sources or not 0 < is_test.sum() < len(is_test):
        return None
    held = ground.y[is_test]
    if ground.task.is_classification and len(np.unique(held)) < 2:
        return None
    predicted = fit_predict(sources, ground, ~is_test, is_test, seed, threads)
    names = tuple(source.name for source in sources)
    return judge("all visible metadata", "", predicted, ground, sources=names, rows=is_test)


def _combined(
    visible: Sequence[Source], ground: Ground, seed: int, threads: int
) -> tuple[tuple[Strength, ...], tuple[Strength, ...]]:
    by_family: dict[str, list[Source]] = {}
    by_part: dict[str, list[Source]] = {}
    for source in visible:
        family = FAMILIES[source.family]
        by_family.setdefault(family.label, []).append(source)
        if family.part:
            by_part.setdefault(family.part, []).append(source)
    families = [_judged(k, k, found, ground, seed, threads) for k, found in by_family.items()]
    parts = [
        _judged(k, k, found, ground, seed, threads)
        for k, found in by_part.items()
        if len({source.family for source in found}) > 1
    ]
    return _ordered(parts), _ordered(families)


def _ordered(strengths: Sequence[Strength | None]) -> tuple[Strength, ...]:
    found = [strength for strength in strengths if strength is not None]
    return tuple(sorted(found, key=lambda strength: -strength.value))


def _split(
    found: Sequence[Source], each: Sequence[Strength]
) -> tuple[tuple[Strength, ...], tuple[Strength, ...]]:
    """Return what is more than chance: sources that the content shows, and signs."""
    real = [(s, strength) for s, strength in zip(found, each, strict=True) if strength.real]
    visible = [strength for s, strength in real if FAMILIES[s.family].visible]
    signs = [strength for s, strength in real if not FAMILIES[s.family].visible]
    return _ordered(visible), _ordered(signs)


def _alarming(strength: Strength | None) -> bool:
    if strength is None or not strength.real:
        return False
    return strength.value >= (WEAK if strength.measure == "AUC" else WEAK_R2)


def _nothing(
    target: str, rows: int, found: Sequence[Source], storage: tuple[str, ...], why: str
) -> ShortcutReport:
    return ShortcutReport(
        target=target,
        rows=rows,
        folds=0,
        flagged=False,
        overall=None,
        on_test=None,
        limit=0.5,
        parts=(),
        families=(),
        sources=(),
        signs=(),
        storage=storage,
        looked_at=tuple(source.name for source in found),
        verdict=why,
    )
