"""``compress``: a bundle in, a smaller and faster bundle out that keeps what it promises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.compression.candidate import Candidate, Material
from lepta.compression.finishing import packed
from lepta.compression.judge import Judge
from lepta.compression.options import CompressOptions
from lepta.compression.rows import Rows, rows_of
from lepta.compression.search import Search, Tried, choose, confirm, meets
from lepta.compression.steps import COMPRESSORS, Compressor
from lepta.core.errors import ConfigError, suggest
from lepta.core.events import Context
from lepta.engine import tune_process

ALWAYS = ("fold", "half")
"""Steps that keep every answer, and so may always be taken."""


def compress(
    bundle: Bundle | Path | str,
    data: Any,
    *,
    steps: Sequence[Compressor] = (),
    context: Context | None = None,
    **options: Any,
) -> Bundle:
    """Make a model smaller and faster, losing no more of a metric than was allowed.

    Chains of steps are tried; what each loses is measured on rows that the model has not learned
    from, with a confidence bound; and the best of those that keep the promise is returned. It is
    never slower than the model given on the provider meant, and never worse than promised.

    Args:
        bundle: a bundle or the path of one.
        data: labelled rows, best those that the model was fitted on: steps learn from ``train``,
            ``valid`` judges (``test`` where the model has learned from ``valid`` too), and the
            outcome is measured on ``test``. A dataset, or a path, which is read as it was then.
        steps: steps with their options, in place of those that ``target`` names.
        context: progress reporter, cache, threads.
        options: fields of :class:`~lepta.compression.options.CompressOptions`; others are options
            of ``Dataset.read`` that differ from those with which the model's data were read.

    Returns:
        A bundle with the same signature and task. Its card shows what was tried, and
        ``compression.json`` tells all of it. Where nothing better keeps the promise, the bundle
        given.

    Raises:
        ConfigError: an option or a step is unknown.
        CompressError: no rows can judge what is lost.
        BundleError: the bundle is damaged.
    """
    tune_process()
    known = CompressOptions.model_fields
    reading = {name: options.pop(name) for name in list(options) if name not in known}
    chosen = CompressOptions.parse(options)
    parent = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    metric = _metric(parent, chosen)
    taken = (*steps, *steps_of(",".join(ALWAYS))) if steps else steps_of(chosen.target)
    context = replace(context or Context(), seed=chosen.seed, memo={})
    if chosen.threads is not None:
        context = replace(context, threads=chosen.threads)
    if chosen.time is not None:
        context = replace(context, deadline=time.monotonic() + chosen.time)
    rows = rows_of(parent, data, chosen, context, reading)
    tried, best = searched(parent, rows, taken, metric, chosen, context)
    _tell(tried, best, chosen, context)
    if best.candidate is None or not best.candidate.steps:
        return parent
    return packed(parent, tried, best, rows, metric, chosen, context)


def searched(
    parent: Bundle,
    rows: Rows,
    steps: Sequence[Compressor],
    metric: str,
    options: CompressOptions,
    context: Context,
) -> tuple[list[Tried], Tried]:
    """Return what was tried, the model given first, and the best of it."""
    judge = Judge(parent, rows.search, metric, options, context)
    court = Judge(parent, rows.confirm, metric, options, context)
    material = Material(parent, rows.train, rows.search, metric, options.max_drop, options.provider)
    start = Candidate(parent)
    search = Search(start, material, judge, court.guard.units, steps, options, context)
    tried = confirm(search.run(), court)
    return tried, choose(tried, options)


def steps_of(target: str) -> tuple[Compressor, ...]:
    """Return the steps that a target names.

    Raises:
        ConfigError: there is no such step.
    """
    known = COMPRESSORS.names()
    names = [name.strip() for name in target.split(",") if name.strip()]
    wanted = list(known) if "auto" in names else [*names, *ALWAYS]
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"There is no target {name!r}.{suggest(name, ('auto', *known))}",
                fix=f"Targets: auto, {', '.join(known)}.",
            )
    return tuple(COMPRESSORS.get(name)() for name in dict.fromkeys(wanted))


def _metric(bundle: Bundle, options: CompressOptions) -> str:
    names = bundle.task.metrics
    if options.metric and options.metric not in names:
        raise ConfigError(
            f"The task {bundle.task.name} has no metric {options.metric!r}."
            f"{suggest(options.metric, names)}",
            fix=f"Its metrics are: {', '.join(names)}.",
        )
    return options.metric or names[0]


def _tell(tried: Sequence[Tried], best: Tried, options: CompressOptions, context: Context) -> None:
    given = tried[0]
    if best.candidate is None or not best.candidate.steps:
        reasons = sorted({f"{one.label}: {one.why}" for one in tried if one.why})
        context.say(
            "Nothing smaller or faster keeps the promise; the model stays as it is. "
            + "; ".join(reasons[:4]),
            "warning",
        )
    elif not meets(best, options):
        context.say(
            f"The best that keeps the promise takes {best.milliseconds:.3g} ms and "
            f"{best.size / 1000:,.0f} kB, which is more than was asked for.",
            "warning",
        )
    else:
        context.say(
            f"{best.label}: {given.milliseconds / best.milliseconds:.2f} times as fast, "
            f"{given.size / best.size:.2f} times as small."
        )
