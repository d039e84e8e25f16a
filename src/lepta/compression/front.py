"""What was tried, as data and as a section of the model card: a table and the Pareto front."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lepta.compression.options import CompressOptions
from lepta.compression.search import Tried, pareto
from lepta.tasks.drawing import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    legend,
    new_axes,
    new_figure,
    plain,
    to_png,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 40


def document(
    tried: Sequence[Tried], chosen: Tried, metric: str, options: CompressOptions
) -> dict[str, Any]:
    """Return all that was tried as JSON values."""
    front = {id(one) for one in pareto(tried)}
    return {
        "metric": metric,
        "options": options.model_dump(mode="json"),
        "chosen": chosen.label,
        "tried": [_entry(one, id(one) in front) for one in tried],
    }


def _entry(one: Tried, front: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"steps": one.label, "seconds": round(one.seconds, 3)}
    if one.candidate is not None:
        entry |= {
            "milliseconds": one.milliseconds,
            "ratio": one.ratio,
            "bytes": one.size,
            "facts": dict(one.candidate.facts),
            "same answers": one.same,
            "temperature": one.temperature,
            "front": front,
        }
    for name, verdict in (("search", one.foretold), ("confirmed", one.confirmed)):
        if verdict is not None:
            values = {key: getattr(verdict, key) for key in ("before", "after", "drop", "bound")}
            finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
            entry[name] = finite | {"accepted": verdict.accepted, "rows": verdict.rows}
    return entry | ({"why not": one.why} if one.why else {})


def to_bytes(found: dict[str, Any]) -> bytes:
    """Return the document as a member of a bundle."""
    return json.dumps(found, indent=1, ensure_ascii=False, default=str).encode()


def card_section(
    tried: Sequence[Tried], chosen: Tried, metric: str, options: CompressOptions
) -> str:
    """Return the section of the model card, in Markdown."""
    given = tried[0]
    text = (
        f"Made from the model given by: {_cell(chosen.label)}. One row takes "
        f"{chosen.milliseconds:.3g} ms on {options.provider} with one thread, where the model "
        f"given took {given.milliseconds:.3g} ms; the graph has {chosen.size / 1000:,.0f} kB "
        f"instead of {given.size / 1000:,.0f} kB. {promise(chosen, metric, options)}"
    )
    lines = [
        "## Compression",
        "",
        text,
        "",
        f"| Steps | ms a row | kB | Loss of {metric} foretold at most | confirmed at most | |",
        "|---|--:|--:|--:|--:|---|",
        *[_row(one, chosen) for one in tried[:_SHOWN]],
    ]
    picture = base64.b64encode(to_png(_figure(tried, chosen))).decode("ascii")
    lines += ["", f"![Speed and size of what was tried](data:image/png;base64,{picture})"]
    lines += ["", "Filled points keep the promise on the rows that they were compared by."]
    return "\n".join(lines) + "\n"


def promise(chosen: Tried, metric: str, options: CompressOptions) -> str:
    """Return in words what is known of what was lost."""
    if chosen.confirmed is None:
        return "Its answers are the same but for rounding."
    found = chosen.confirmed
    return (
        f"On {found.rows} rows that neither model nor search had seen, {metric} went from "
        f"{found.before:.4g} to {found.after:.4g}; with {options.level:.0%} confidence no more "
        f"than {found.bound:.3g} is lost (accepted: {options.max_drop:g})."
    )


def _row(one: Tried, chosen: Tried) -> str:
    mark = "**chosen**" if one is chosen else _cell(one.why)
    if one.candidate is None:
        return f"| {_cell(one.label)} | | | | | {mark} |"
    foretold = "same" if one.same else "" if one.foretold is None else _figure_of(one.bound)
    confirmed = "" if one.confirmed is None else _figure_of(one.confirmed.bound)
    numbers = f"{one.milliseconds:.3g} | {one.size / 1000:,.0f} | {foretold} | {confirmed}"
    return f"| {_cell(one.label)} | {numbers} | {mark} |"


def _figure_of(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "all"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/").replace("<", "(")


def _figure(tried: Sequence[Tried], chosen: Tried) -> Figure:
    figure = new_figure(7.2, 3.8)
    axes = new_axes(figure, "milliseconds a row", "kilobytes of the graph")
    made = [one for one in tried if one.candidate is not None]
    for kept in (True, False):
        some = [one for one in made if one.kept == kept]
        axes.scatter(
            [one.milliseconds for one in some],
            [one.size / 1000 for one in some],
            s=26,
            label="keeps the promise" if kept else "does not",
            facecolors=ACCENT if kept else "none",
            edgecolors=ACCENT if kept else MUTED,
        )
    axes.scatter(
        [chosen.milliseconds], [chosen.size / 1000], s=90, facecolors="none",
        edgecolors=SECOND, linewidths=1.8, label="chosen",
    )  # fmt: skip
    for one in pareto(tried):
        axes.annotate(
            plain(one.label, 34), (one.milliseconds, one.size / 1000), fontsize=7, color=INK,
            xytext=(4, 4), textcoords="offset points",
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend(axes, loc="upper left")
    return figure
