"""What became of a study: a page to read, and its trials as data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lepta.core.space import Choice, Space
from lepta.evaluation.report.markup import Markup, element, html, section, table
from lepta.tasks.drawing import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    SECOND,
    legend,
    new_axes,
    new_figure,
    plain,
    to_svg,
)
from lepta.tuning.sampling import place
from lepta.tuning.spaces import written
from lepta.tuning.study import Record, brief

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 30
"""Trials in the table."""
_AXES = 8
"""Options in the plot of parallel coordinates."""


def document(records: Sequence[Record], importances: Mapping[str, float]) -> bytes:
    """Return the trials and the importance of options as JSON."""
    trials = [
        {
            "number": record.number,
            "state": record.state,
            "loss": record.loss,
            "params": record.params,
            "curve": record.curve,
            "why": record.why,
            **record.facts,
        }
        for record in records
    ]
    made = {"trials": trials, "importances": dict(importances)}
    return json.dumps(made, indent=1, ensure_ascii=False, default=str).encode()


def tuning_page(
    name: str,
    metric: str,
    space: Space,
    records: Sequence[Record],
    importances: Mapping[str, float],
) -> str:
    """Return the page as HTML text: light and dark, no script, no external resource.

    Args:
        name: of the model.
        metric: that was chosen by.
        space: what was searched.
        records: all trials.
        importances: share of the differences that each option explains.
    """
    title = f"{name}: tuning"
    style = files("lepta.evaluation.report").joinpath("report.css").read_text(encoding="utf-8")
    ended = [record for record in records if record.state == "ended"]
    body = element(
        "main",
        _header(name, metric, records, ended),
        section(
            "The search",
            "Each dot is a trial, hollow where it was given up early; the line is the best so far.",
            _drawn(_history(ended, records, metric), "history", "Loss of each trial"),
        ),
        _importance(importances),
        section(
            "Where good trials lie",
            "One line a trial, dark where it did well; each axis is an option over its range.",
            _drawn(_parallel(ended, space, importances), "parallel", "Options of each trial"),
        ),
        section("What was searched", "", _ranges(space)),
        section(
            "Trials", f"The best {_SHOWN}, the best first.", _trials(ended, records, metric, space)
        ),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _header(name: str, metric: str, records: Sequence[Record], ended: Sequence[Record]) -> Markup:
    counts = {state: sum(one.state == state for one in records) for state in ("given up", "failed")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    best = min(ended, key=_order)
    chosen = ", ".join(f"{key} {brief(value)}" for key, value in best.params.items())
    lead = (
        f"{len(records)} trials{f' ({told})' if told else ''}. The best is trial {best.number} "
        f"with {metric} {_score(best)} on the rows to choose by: {chosen}."
    )
    return element(
        "header",
        element("p", "Tuning report", class_="over"),
        element("h1", name),
        element("p", lead, class_="lede"),
    )


def _order(record: Record) -> tuple[float, int]:
    return (math.inf if record.loss is None else record.loss, record.number)


def _score(record: Record) -> str:
    value = record.facts.get("score")
    return "" if value is None else f"{value:.4g}"


def _drawn(figure: Figure, name: str, title: str) -> Markup:
    return element("figure", Markup(to_svg(figure, name, title)))


def _history(ended: Sequence[Record], records: Sequence[Record], metric: str) -> Figure:
    figure = new_figure(8.4, 3.4)
    axes = new_axes(figure, "trial", f"{metric} (less is better)")
    numbers, losses = [r.number for r in ended], [r.loss for r in ended if r.loss is not None]
    sign = 1.0
    if ended and ended[0].loss is not None and ended[0].facts.get("score") == -ended[0].loss:
        sign = -1.0
        axes.set_ylabel(metric, color=MUTED, fontsize=10)
    best, least = [], math.inf
    for loss in losses:
        least = min(least, loss)
        best.append(sign * least)
    left = [r for r in records if r.state == "given up" and r.loss is not None]
    axes.scatter(
        [r.number for r in left],
        [sign * (r.loss or 0.0) for r in left],
        s=16,
        facecolors="none",
        edgecolors=MUTED,
        label="given up",
    )
    axes.scatter(numbers, [sign * loss for loss in losses], s=16, color=ACCENT, label="ended")
    axes.step(numbers, best, where="post", color=SECOND, linewidth=1.6, label="best so far")
    shown = sorted([*losses])
    if len(shown) >= 8:  # trials that went astray do not hide the others
        low, high = shown[0], shown[int(0.9 * (len(shown) - 1))]
        margin = 0.15 * (high - low) or 0.05 * abs(low) or 1.0
        bounds = sorted((sign * (low - margin), sign * (high + margin)))
        axes.set_ylim(*bounds)
    legend(axes, loc="best")
    return figure


def _importance(importances: Mapping[str, float]) -> Markup:
    if not importances:
        lead = "There are too few trials to tell which options matter."
        return section("What mattered", lead)
    shown = list(importances.items())[:12][::-1]
    figure = new_figure(8.4, 0.8 + 0.34 * len(shown))
    axes = new_axes(figure, "share of the differences between trials", "")
    places = range(len(shown))
    axes.barh(places, [share for _, share in shown], color=ACCENT, height=0.6)
    axes.set_yticks(places, labels=[plain(name, 34) for name, _ in shown])
    for place_, (_, share) in zip(places, shown, strict=True):
        axes.text(share + 0.01, place_, f"{share:.0%}", va="center", color=INK, fontsize=9)
    axes.set_xlim(0, max(share for _, share in shown) * 1.15 + 0.02)
    return section(
        "What mattered",
        "How much of the differences between trials each option explains by itself (fANOVA, over "
        "ranks). A small share may mean that the range was too narrow to matter.",
        _drawn(figure, "importance", "Importance of options"),
    )


def _parallel(ended: Sequence[Record], space: Space, importances: Mapping[str, float]) -> Figure:
    names = sorted(space, key=lambda name: -importances.get(name, 0.0))[:_AXES]
    figure = new_figure(8.4, 3.8)
    axes = new_axes(figure, "", "")
    axes.grid(visible=False)
    ranked = sorted(ended, key=_order)
    for rank, record in reversed(list(enumerate(ranked))):
        heights = [place(space[name], record.params[name]) for name in names]
        good = 1.0 - rank / max(1, len(ranked) - 1)
        axes.plot(
            range(len(names)),
            heights,
            color=SECOND if rank == 0 else ACCENT,
            alpha=1.0 if rank == 0 else 0.08 + 0.6 * good**3,
            linewidth=2.0 if rank == 0 else 1.0,
        )
    for position, name in enumerate(names):
        axes.axvline(position, color=LINE, linewidth=1.0, zorder=0)
        low, high = _ends(space, name)
        axes.text(position, -0.05, low, ha="center", va="top", color=MUTED, fontsize=8)
        axes.text(position, 1.05, high, ha="center", va="bottom", color=MUTED, fontsize=8)
    axes.set_xticks(range(len(names)), labels=[plain(name.split(".")[-1], 16) for name in names])
    axes.tick_params(axis="x", pad=16)
    axes.set_yticks([])
    axes.set_ylim(-0.04, 1.04)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _ends(space: Space, name: str) -> tuple[str, str]:
    spread = space[name]
    ends: tuple[Any, Any] = (
        (spread.options[0], spread.options[-1])
        if isinstance(spread, Choice)
        else (spread.low, spread.high)
    )
    return plain(brief(ends[0]), 12), plain(brief(ends[1]), 12)


def _ranges(space: Space) -> Markup:
    rows = [(name, written(spread)) for name, spread in space.items()]
    return table(["option", "range"], rows, ["", ""])


def _trials(
    ended: Sequence[Record], records: Sequence[Record], metric: str, space: Space
) -> Markup:
    best = sorted(ended, key=_order)[:_SHOWN]
    rows = [
        (
            record.number,
            _score(record),
            f"{record.facts.get('seconds', 0.0):.1f}",
            *(brief(record.params[name]) for name in space),
            record.why,
        )
        for record in best
    ]
    head = ["trial", metric, "seconds", *space, "why"]
    return table(head, rows, ["n", "n", "n", *("n" for _ in space), ""])
