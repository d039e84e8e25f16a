"""What the page is told of a model: ``model.json`` and ``examples.json``."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where
from lepta.core.files import sha256
from lepta.core.schema import Kind
from lepta.runtime.predictor import examples_of

Json = dict[str, Any]

TASKS = (
    "anomaly",
    "binary",
    "detection",
    "forecasting",
    "multiclass",
    "multilabel",
    "ordinal",
    "quantile",
    "ranking",
    "recommendation",
    "regression",
    "segmentation",
)
"""Tasks whose answers the page can show."""
_PLAIN = {Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME, Kind.ID, Kind.SERIES, Kind.SEQUENCE}
_DECODERS: dict[str, dict[str, tuple[int | None, ...]]] = {
    "image": {"channels": (1, 3), "bits": (8, 16, 32), "frame": (0,)},
    "dicom": {"channels": (None, 1, 3)},
}
"""Decoders that the page has, and the values of their options that it knows."""
_FEW = 6
"""Most classes and fields that are named in one sentence."""
_SECTIONS = ("Data", "Ethical considerations")
_WARNING_SECTIONS = ("Intended use", "Limits")
_NOT_MEDICAL = (
    "It is not a medical device and has no approval of any authority unless somebody states so."
)


def check_bundle(bundle: Bundle) -> None:
    """Refuse a bundle that the page cannot show or feed.

    Raises:
        ExportError: the task, or an input field, is of a kind that the page has no code for.
    """
    if bundle.task.name not in TASKS:
        raise ExportError(
            f"The browser page does not show answers of the task {bundle.task.name!r}.",
            fix=f"It shows: {', '.join(TASKS)}. Serve this model with 'lepta serve'.",
        )
    for spec in bundle.signature.inputs:
        known = spec.kind in _PLAIN and not spec.decoder
        options = _DECODERS.get(spec.decoder)
        if spec.kind == Kind.IMAGE and options is not None:
            known = all(
                name not in spec.options or spec.options[name] in values
                for name, values in options.items()
            )
        if not known:
            how = f" (decoder {spec.decoder!r}, {spec.options})" if spec.decoder else ""
            raise ExportError(
                f"The browser page does not read inputs of the kind {spec.kind.value!r}{how}.",
                where=Where(field=spec.name),
                fix="It reads images, DICOM files, numbers, categories, date-times, series and "
                "sequences. Serve this model with 'lepta serve'.",
            )


def describe(bundle: Bundle, runtime: Json, tested: str) -> Json:
    """Return the content of ``model.json``.

    Args:
        bundle: what is exported.
        runtime: version, script, WebAssembly and its size.
        tested: what is known of the graph in ONNX Runtime Web.
    """
    manifest, task = bundle.manifest, bundle.task
    graph = bundle.read("model.onnx")
    sections = _sections(bundle.read("card.md").decode("utf-8")) if _has_card(bundle) else {}
    return {
        "name": manifest.name,
        "purpose": _purpose(bundle),
        "task": task.model_dump(mode="json"),
        "bounded": task.bounded,
        "output": task.output().model_dump(mode="json"),
        "signature": manifest.signature.model_dump(mode="json", include={"inputs", "tensors"}),
        "model": {"file": "model.onnx", "sha256": sha256(graph), "size": len(graph)},
        "runtime": runtime,
        "known": _known(bundle),
        "warnings": _warnings(sections, manifest.notes),
        "card": [{"title": t, "lines": sections[t]} for t in _SECTIONS if sections.get(t)],
        **_figures(bundle),
        "facts": [
            ["Model", f"{len(graph):,} bytes, ONNX"],
            ["Runtime", f"ONNX Runtime Web {runtime['version']} (WebAssembly, 1 thread); {tested}"],
            ["Made", f"{manifest.created} with Lepta {manifest.lineage.version or '?'}"],
            ["Manifest (SHA-256)", bundle.digest],
        ],
        "footer": "Made with Lepta. Answers are computed by WebAssembly in this page.",
    }


def _purpose(bundle: Bundle) -> str:
    task, fields = bundle.task, [spec.name for spec in bundle.signature.inputs]
    classes = tuple(getattr(task, "classes", ()))
    answers = f" ({' or '.join(classes)})" if 0 < len(classes) <= _FEW else ""
    more = len(fields) - _FEW
    shown = ", ".join(fields[:_FEW]) + (f" and {more} more" if more > 0 else "")
    return f"Predicts {task.target}{answers} from {shown}."


def _has_card(bundle: Bundle) -> bool:
    return "card.md" in bundle.names


def _sections(card: str) -> dict[str, list[str]]:
    """Return the bullets of each section of a model card, as plain text."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in card.splitlines():
        if line.startswith("## "):
            title = line[3:].strip()
        elif line.startswith("- "):
            found.setdefault(title, []).append(_plain(line[2:]))
    return found


def _plain(text: str) -> str:
    """Return Markdown as plain text: marks go, escaped characters stay."""
    return re.sub(r"\\(.)|[*`]", lambda match: match[1] or "", text)


def _warnings(sections: dict[str, list[str]], notes: tuple[str, ...]) -> list[Json]:
    lines = [line for title in _WARNING_SECTIONS for line in sections.get(title, [])]
    lines += [line for line in sections.get("Data", []) if line.startswith("Shortcut.")]
    lines += notes
    if not any("not a medical device" in line for line in lines):
        lines.insert(0, _NOT_MEDICAL)
    first = sorted(dict.fromkeys(lines), key=lambda line: not _is_strong(line))
    return [{"text": line, "strong": _is_strong(line)} for line in first]


def _is_strong(line: str) -> bool:
    return "not a medical device" in line or line.startswith("Shortcut.")


def _known(bundle: Bundle) -> Json:
    """Return what the profile of the training rows says of each input; see ``unlike.js``."""
    if "profile.json" not in bundle.names:
        return {}
    fields = json.loads(bundle.read("profile.json")).get("fields", {})
    known = {}
    for spec in bundle.signature.inputs:
        seen = fields.get(spec.name, {})
        if spec.kind == Kind.NUMBER and "min" in seen:
            known[spec.name] = {"low": seen["min"], "high": seen["max"]}
        elif spec.kind == Kind.CATEGORY and spec.classes:
            known[spec.name] = {"labels": spec.classes}
        elif spec.kind == Kind.IMAGE and len(seen.get("types", {})) == 1:
            known[spec.name] = _known_images(seen)
    return known


def _known_images(seen: Json) -> Json:
    alike = len(seen["channels"]) == 1
    return {
        "height": seen["height"],
        "width": seen["width"],
        "type": next(iter(seen["types"])),
        "channels": int(next(iter(seen["channels"]))) if alike else 0,
        "mean": seen["mean"],
        "between": seen["mean_between"],
        "std": seen["std"],
    }


def _figures(bundle: Bundle) -> Json:
    metrics = bundle.manifest.metrics
    if not metrics:
        return {"metrics": [], "measured": ""}
    from lepta.evaluation.results import figure, interval_text, metric_of

    rows = [[metric_of(m).label, figure(m.value), interval_text(m)] for m in metrics]
    return {
        "metrics": rows,
        "measured": f"On {metrics[0].n:,} rows of the split “{metrics[0].split}”.",
    }


def examples(bundle: Bundle) -> list[Json]:
    """Return the content of ``examples.json``: for each, the tensors and the scores expected."""
    found = []
    for _, tensors, expected in examples_of(bundle):
        held = {name: _tensor(value) for name, value in tensors.items()}
        found.append({"expected": _tensor(expected), "tensors": held})
    return found


def _tensor(array: NDArray[Any]) -> Json:
    if array.dtype == object:
        return {"dtype": "string", "shape": array.shape, "data": array.reshape(-1).tolist()}
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": array.shape, "data": text}
