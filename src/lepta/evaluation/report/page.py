"""The report of an evaluation: one HTML page with nothing to fetch."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import Manifest, Measured
from lepta.evaluation.report.findings import findings
from lepta.evaluation.report.markup import Markup, bar, element, html, join, section, table
from lepta.evaluation.report.plots import plots_of
from lepta.evaluation.results import Evaluation, figure, interval_text, metric_of
from lepta.tasks.drawing import to_svg

if TYPE_CHECKING:
    from lepta.evaluation.checking import CheckReport

_CARDS = {
    "binary": ("auroc", "recall", "specificity", "precision"),
    "multiclass": ("accuracy", "f1", "auroc", "ece"),
    "regression": ("rmse", "mae", "r2"),
}
_AVERAGED = {"precision", "recall", "specificity", "f1", "auroc", "average_precision"}


def page(evaluation: Evaluation, checks: CheckReport | None = None) -> str:
    """Return the report as HTML text: light and dark, no script, no external resource."""
    title = f"{evaluation.name or 'Model'}: evaluation"
    style = files("lepta.evaluation.report").joinpath("report.css").read_text(encoding="utf-8")
    body = element(
        "main",
        _header(evaluation),
        _cards(evaluation),
        _notes(evaluation),
        findings(checks) if checks is not None else "",
        _metrics(evaluation),
        _plots(evaluation),
        _classes(evaluation),
        _worst(evaluation),
        _model(evaluation.manifest) if evaluation.manifest is not None else "",
        _footer(evaluation),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _header(evaluation: Evaluation) -> Markup:
    return element(
        "header",
        element("p", "Evaluation report", class_="over"),
        element("h1", evaluation.name or "Model"),
        element(
            "p",
            "Predicts ",
            element("b", evaluation.task.target),
            _kind(evaluation),
            f" Measured on {evaluation.extent} of the split “{evaluation.split}”.",
            class_="lede",
        ),
    )


def _kind(evaluation: Evaluation) -> str:
    classes = evaluation.classes if evaluation.task.is_classification else ()
    if len(classes) == 2:
        return f": {classes[1]} (the positive class) or {classes[0]}."
    if classes:
        shown = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else ".")
        return f", one of {len(classes)} classes: {shown}"
    return f", {evaluation.task.describe()}."


def _cards(evaluation: Evaluation) -> Markup:
    wanted = _CARDS.get(evaluation.task.name, ())
    by_name = {measured.name: measured for measured in evaluation.metrics}
    chosen = [by_name[name] for name in wanted if name in by_name] or list(evaluation.metrics[:4])
    first, rest = chosen[0], chosen[1:]
    explanation = element("p", metric_of(first).explanation, class_="label")
    cards = [_card(first, evaluation.level, explanation)]
    cards += [_card(measured, evaluation.level) for measured in rest]
    return element("div", *cards, class_="cards three" if len(cards) == 3 else "cards")


def _card(measured: Measured, level: float, extra: Markup | None = None) -> Markup:
    low_high = f"{interval_text(measured)[1:-1].replace(', ', ' to ')} ({level * 100:g} %)"
    return element(
        "div",
        element("p", metric_of(measured).label, class_="label"),
        element("p", figure(measured.value), class_="value"),
        bar(measured),
        element("p", low_high, class_="range") if measured.low is not None else "",
        extra or "",
        class_="card first" if extra else "card",
    )


def _notes(evaluation: Evaluation) -> Markup:
    return join(
        element("div", element("b", "Note"), element("p", note), class_="note")
        for note in evaluation.notes
    )


def _metrics(evaluation: Evaluation) -> Markup:
    bars = evaluation.task.is_classification
    rows = [
        (
            metric_of(m).label,
            figure(m.value),
            interval_text(m),
            *((bar(m),) if bars else ()),
            _explained(m, len(evaluation.classes)),
        )
        for m in evaluation.metrics
    ]
    interval = f"{evaluation.level * 100:g} % interval"
    head = ("Metric", "Value", interval, *(("0 to 1",) if bars else ()), "What it says")
    kinds = ("name", "n", "n", *(("",) if bars else ()), "say")
    lead = "Every figure with the interval that the size of this test leaves open. " + (
        "Whole groups count as independent, not rows." if evaluation.groups is not None else ""
    )
    return section("All figures", lead.strip(), table(head, rows, kinds))


def _explained(measured: Measured, classes: int) -> str:
    metric = metric_of(measured)
    mean = "" if classes <= 2 or metric.name not in _AVERAGED else " Mean over the classes."
    return f"{metric.explanation}{mean} {'Higher' if metric.maximise else 'Lower'} is better."


def _plots(evaluation: Evaluation) -> Markup:
    figures = []
    for plot in plots_of(evaluation):
        svg = Markup(to_svg(plot.draw(evaluation), plot.name, f"{plot.title}. {plot.caption}"))
        wide = plot.name == "confusion" and len(evaluation.classes) > 6
        figures.append(
            element(
                "figure",
                element("h3", plot.title),
                element("figcaption", plot.caption),
                svg,
                class_="wide" if wide else "",
            )
        )
    return section("In pictures", "", element("div", *figures, class_="plots"))


def _classes(evaluation: Evaluation) -> Markup:
    found = evaluation.per_class()
    if not found:
        return Markup("")
    rows = [
        (row["class"], f"{row['rows']:,}", *(figure(row[k]) for k in ("precision", "recall", "f1")))
        for row in found
    ]
    return section(
        "Class by class",
        "Precision: of what was answered so, the share that is. Recall: of what is so, the share "
        "that was found.",
        table(("Class", "Rows", "Precision", "Recall", "F1"), rows, ("name", *"nnnn")),
    )


def _worst(evaluation: Evaluation) -> Markup:
    if not evaluation.rows:
        return Markup("")
    chosen = evaluation.worst()
    if not len(chosen):
        return Markup("")
    if evaluation.task.is_classification:
        lead = "The most confident errors. Look at them first: some will be labels, not answers."
        return section("Worst rows", lead, _wrong(evaluation, chosen))
    lead = "The largest errors. Look at them first: some will be the data's."
    return section("Worst rows", lead, _errors(evaluation, chosen))


def _wrong(evaluation: Evaluation, chosen: NDArray[np.int64]) -> Markup:
    answers = evaluation.task.decide(evaluation.scores)
    rows = [
        (
            evaluation.rows[k],
            evaluation.classes[int(evaluation.y[k])],
            answers[k],
            figure(float(evaluation.scores[k, int(evaluation.y[k])])),
        )
        for k in chosen
    ]
    head = ("Row", "True", "Answered", "Probability of the truth")
    return table(head, rows, ("wrap", "", "", "n"))


def _errors(evaluation: Evaluation, chosen: NDArray[np.int64]) -> Markup:
    """Return the table of errors, with truth and answer where they are one number each."""
    errors = evaluation.task.row_errors(evaluation.y, evaluation.scores)
    assert errors is not None  # noqa: S101
    names, scores = evaluation.rows, evaluation.scores
    if evaluation.y.ndim != 1 or scores.ndim != 2 or scores.shape[1] != 1:
        short = [(names[k], figure(float(errors[k]))) for k in chosen]
        return table(("Row", "Error"), short, ("wrap", "n"))
    said, true = scores[:, 0].astype(float), evaluation.y.astype(float)
    rows = [(names[k], figure(true[k]), figure(said[k]), figure(said[k] - true[k])) for k in chosen]
    return table(("Row", "True", "Predicted", "Error"), rows, ("wrap", *"nnn"))


def _model(manifest: Manifest) -> Markup:
    lineage = manifest.lineage
    counts = ", ".join(f"{name} {count:,}" for name, count in lineage.rows.items())
    inputs = ", ".join(
        f"{spec.name} ({spec.kind.value}{f', {spec.unit}' if spec.unit else ''})"
        for spec in manifest.signature.inputs[:40]
    )
    facts = {
        "Made": manifest.created,
        "Inputs": inputs,
        "Data, rows": counts,
        "Data, SHA-256": lineage.dataset,
        "Lepta": lineage.version,
        "Seed": lineage.seed,
    }
    items = [
        part
        for name, value in facts.items()
        if value != ""
        for part in (element("dt", name), element("dd", value))
    ]
    config = json.dumps(lineage.config, indent=2, ensure_ascii=False) if lineage.config else ""
    return section(
        "Where it comes from",
        "",
        element("dl", *items),
        element("details", element("summary", "Configuration"), element("pre", config))
        if config
        else "",
    )


def _footer(evaluation: Evaluation) -> Markup:
    methods = ", ".join(dict.fromkeys(m.method for m in evaluation.metrics if m.method))
    return element(
        "footer",
        element(
            "p",
            f"Intervals: {methods or 'none'}; level {evaluation.level * 100:g} %. They tell what "
            "chance leaves open on rows like these. They do not tell how the model does at another "
            "place, with another device, or later.",
        ),
        element("p", "Made by Lepta. This page loads nothing and sends nothing."),
    )
