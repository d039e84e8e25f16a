"""The model card (Mitchell et al. 2019) of a bundle, in Markdown."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from lepta.bundle.manifest import InputSpec, Manifest
from lepta.evaluation.report.plots import plots_of
from lepta.evaluation.results import Evaluation, figure, interval_text, metric_of
from lepta.tasks import Task
from lepta.tasks.detection import Detection
from lepta.tasks.drawing import to_png

if TYPE_CHECKING:
    from lepta.evaluation.checking import CheckReport

_ASK = "*Not stated. Whoever deploys the model must fill this in:* "


def model_card(
    manifest: Manifest, evaluation: Evaluation | None = None, checks: CheckReport | None = None
) -> str:
    """Return the card. What only people can know is left open, and says so.

    Args:
        manifest: what the bundle says of itself.
        evaluation: figures and plots; without it the manifest's metrics are listed.
        checks: what the checks of the data found.
    """
    parts = [
        f"# Model card: {_plain(manifest.name)}",
        _details(manifest),
        _use(manifest),
        _data(manifest, checks),
        _figures(manifest, evaluation),
        _pictures(evaluation) if evaluation is not None else "",
        _limits(manifest, evaluation, checks),
        _ethics(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def predicts(task: Task) -> str:
    """Return what a task predicts, in words."""
    classes = tuple(getattr(task, "classes", ())) if task.is_classification else ()
    if len(classes) == 2:
        return f"`{task.target}`: {_plain(classes[1])} (the positive class) or {_plain(classes[0])}"
    if classes:
        shown = ", ".join(map(_plain, classes[:12])) + (", …" if len(classes) > 12 else "")
        return f"`{task.target}`, one of {len(classes)} classes: {shown}"
    return f"`{task.target}`, {_plain(task.describe())}"


def _details(manifest: Manifest) -> str:
    lineage = manifest.lineage
    lines = [
        "## The model",
        "",
        f"- Predicts {predicts(manifest.task)}.",
        f"- Made {manifest.created} with Lepta {lineage.version or '(version not recorded)'}, "
        f"seed {lineage.seed}.",
    ]
    learner = lineage.config.get("learner")
    if isinstance(learner, str):
        lines.append(f"- Learner: {_plain(learner)}.")
    threshold = getattr(manifest.task, "threshold", None)
    if threshold is not None and manifest.task.is_classification:
        lines.append(f"- The positive class is answered from a probability of {threshold:.3g} on.")
    if threshold is not None and isinstance(manifest.task, Detection):
        lines.append(f"- A box is answered from a score of {threshold:.3g} on.")
    if lineage.parent:
        lines.append(f"- Made from the bundle with the manifest `{lineage.parent}`.")
    lines += ["", "| Input | Kind | Unit | Values |", "|---|---|---|---|"]
    lines += [_input(spec) for spec in manifest.signature.inputs[:60]]
    return "\n".join(lines)


def _input(spec: InputSpec) -> str:
    values = ", ".join(map(_plain, spec.classes[:8])) + (", …" if len(spec.classes) > 8 else "")
    if not values and len(spec.shape) > 2:
        values = " x ".join("any" if size == -1 else str(size) for size in spec.shape[1:])
    return f"| {_plain(spec.name)} | {spec.kind.value} | {_plain(spec.unit)} | {values} |"


def _use(manifest: Manifest) -> str:
    return "\n".join(
        [
            "## Intended use",
            "",
            f"- {_ASK}who should use its answers on `{manifest.task.target}`, for which decision, "
            "and who checks them.",
            f"- {_ASK}what it must not be used for.",
            "- It has been measured on the data named below and nowhere else. It is not a medical "
            "device and has no approval of any authority unless somebody states so here.",
        ]
    )


def _data(manifest: Manifest, checks: CheckReport | None) -> str:
    lineage = manifest.lineage
    rows = ", ".join(f"{name} {count:,}" for name, count in lineage.rows.items())
    lines = ["## Data", ""]
    lines.append(f"- Rows: {rows or 'not recorded'}.")
    if lineage.dataset:
        lines.append(f"- Fingerprint (SHA-256): `{lineage.dataset}`.")
    lines.append(f"- {_ASK}where the data come from, under which licence, whom they leave out.")
    if checks is not None and checks.shortcuts is not None:
        mark = "**Shortcut.** " if checks.shortcuts.flagged else ""
        lines.append(f"- {mark}{_plain(checks.shortcuts.verdict)}")
    if checks is not None:
        lines += [f"- {_plain(issue.text)}" for issue in checks.issues if issue.severity != "info"]
    return "\n".join(lines)


def _figures(manifest: Manifest, evaluation: Evaluation | None) -> str:
    metrics = evaluation.metrics if evaluation is not None else manifest.metrics
    if not metrics:
        return "## Figures\n\nNone have been measured."
    level = evaluation.level if evaluation is not None else 0.95
    extent = evaluation.extent if evaluation is not None else f"{metrics[0].n:,} rows"
    lines = [
        "## Figures",
        "",
        f"On {extent} of the split “{_plain(metrics[0].split)}”.",
        "",
        f"| Metric | Value | {level * 100:g} % interval | Method |",
        "|---|--:|--:|---|",
    ]
    lines += [
        f"| {metric_of(m).label} | {figure(m.value)} | {interval_text(m)} | {m.method} |"
        for m in metrics
    ]
    return "\n".join(lines)


def _pictures(evaluation: Evaluation) -> str:
    blocks = []
    for plot in plots_of(evaluation):
        data = base64.b64encode(to_png(plot.draw(evaluation))).decode("ascii")
        blocks.append(
            f"### {plot.title}\n\n![{plot.title}](data:image/png;base64,{data})\n\n{plot.caption}"
        )
    return "\n\n".join(blocks)


def _limits(manifest: Manifest, evaluation: Evaluation | None, checks: CheckReport | None) -> str:
    lines = [
        "## Limits",
        "",
        "- The intervals tell what chance leaves open on rows like those measured. They do not "
        "tell how the model does at another place, with another device, or later.",
    ]
    if checks is None:
        lines.append("- The shortcut audit of the data is not part of this card.")
    if evaluation is not None and evaluation.groups is None:
        lines.append("- Rows were taken as independent; no groups (patients, devices) were given.")
    notes = [*manifest.notes, *(evaluation.notes if evaluation is not None else ())]
    return "\n".join(lines + [f"- {_plain(note)}" for note in notes])


def _ethics() -> str:
    return "\n".join(
        [
            "## Ethical considerations",
            "",
            "- Errors were not broken down by sex, age, origin or any other group of people; a "
            "good mean can hide harm to some.",
            f"- {_ASK}whom a wrong answer harms, and what is done about it.",
            "- Data that change make a model worse without a sign. Watch it in use.",
        ]
    )


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    flat = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in flat)
