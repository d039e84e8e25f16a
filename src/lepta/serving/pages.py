"""What people look at: the OpenAPI document, the page that shows it, and the front page."""

from __future__ import annotations

import html
import json
import shlex
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import numpy as np

from lepta import __version__
from lepta.bundle.manifest import InputSpec
from lepta.core.schema import MEDIA, Kind
from lepta.serving.config import ServeConfig
from lepta.serving.dataplane import DataPlane, Model, Tensor

POLICY = (
    b"default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; "
    b"style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
Schema = dict[str, Any]
_ERRORS = {
    "400": "The request does not fit the model's signature.",
    "404": "There is no such model or version.",
    "413": "The body or the number of rows is over the limit.",
    "429": "The queue is full; try again after Retry-After seconds.",
    "500": "Something unforeseen; the answer holds the number under which the log has it.",
    "503": "No answer in time, or the service is stopping.",
}


def docs_page() -> str:
    """Return the page that shows the OpenAPI document and lets people try it."""
    return _template("docs.html")


def landing_page(plane: DataPlane) -> str:
    """Return the front page: what is served and how to ask it."""
    cards = "\n".join(_card(model) for model in plane.models())
    return _template("index.html").replace("{{models}}", cards).replace("{{version}}", __version__)


def openapi(plane: DataPlane, config: ServeConfig) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document made from the signatures of the models."""
    paths: dict[str, Any] = {}
    for model in plane.models():
        name = quote(model.name, safe="")
        paths[f"/predict/{name}"] = {"post": _predict_operation(model, config)}
        paths[f"/v2/models/{name}"] = {"get": _get("What the model takes and gives", model)}
        paths[f"/v2/models/{name}/ready"] = {"get": _get("Whether the model is ready", model)}
        paths[f"/v2/models/{name}/infer"] = {"post": _infer_operation(model)}
    for path, summary in (
        ("/v2", "Name, version and extensions of the service"),
        ("/v2/health/live", "Whether the service is alive"),
        ("/v2/health/ready", "Whether the service takes requests"),
        ("/metrics", "Counters and latencies for Prometheus"),
    ):
        paths[path] = {"get": _get(summary)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lepta",
            "version": __version__,
            "description": "Predictions by HTTP: rows as JSON or files on /predict, tensors by the "
            "Open Inference Protocol v2 (with the binary tensor data extension) on /v2.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _object({"error": {"type": "string"}})}},
    }


def row_schema(model: Model) -> Schema:
    """Return the JSON schema of one row."""
    properties = {spec.name: _value_schema(spec) for spec in model.signature.inputs}
    required = [spec.name for spec in model.signature.inputs if spec.required]
    return {**_object(properties, required), "additionalProperties": False}


def _predict_operation(model: Model, config: ServeConfig) -> dict[str, Any]:
    row = row_schema(model)
    rows = {"type": "array", "items": row, "maxItems": config.max_rows}
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"oneOf": [_object({"rows": rows}), row, rows]},
            "example": {"rows": [example_row(model)]},
        }
    }
    media = [spec for spec in model.signature.inputs if spec.kind in MEDIA]
    if media:
        content["multipart/form-data"] = {"schema": _form_schema(model)}
    if len(media) == 1:
        sound = media[0].kind == Kind.AUDIO
        for kind in ("audio/*",) if sound else ("image/*", "application/dicom"):
            content[kind] = {"schema": {"type": "string", "format": "binary"}}
    answer = _object(
        {
            "model": {"type": "string"},
            "version": {"type": "string"},
            "predictions": {"type": "array", "items": _answer_schema(model)},
        }
    )
    return {
        "operationId": f"predict_{model.name}",
        "tags": [model.name],
        "summary": f"Predict {model.task.target}",
        "requestBody": {"required": True, "content": content},
        "responses": _responses({"application/json": {"schema": answer}}),
    }


def _infer_operation(model: Model) -> dict[str, Any]:
    tensor = _object(
        {
            "name": {"type": "string", "enum": [tensor.name for tensor in model.inputs]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        ["name", "shape", "datatype"],
    )
    request = _object(
        {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": _object({"name": {"type": "string"}})},
        },
        ["inputs"],
    )
    row = example_row(model)
    example = {
        "inputs": [_example_tensor(tensor, row[tensor.name]) for tensor in model.inputs],
    }
    return {
        "operationId": f"infer_{model.name}",
        "tags": [model.name],
        "summary": "Infer tensors (Open Inference Protocol v2)",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": request, "example": example},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": _responses({"application/json": {"schema": {"type": "object"}}}),
    }


def _example_tensor(tensor: Tensor, value: Any) -> dict[str, Any]:
    form = {"datatype": tensor.datatype}
    if isinstance(value, list):
        form = {"datatype": tensor.parameters.get("or", form)["datatype"]}
    elif tensor.datatype != "BYTES":
        value = 0.0
    return {"name": tensor.name, "shape": [1, *np.shape(value)], **form, "data": [value]}


def example_row(model: Model) -> dict[str, Any]:
    """Return a row that the model accepts, for forms and examples."""
    return {spec.name: _example_value(spec) for spec in model.signature.inputs}


_GREY = (
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAGElEQVR42mNsYMAPmBhGFYwqGFUwQhUAAJe+"
    "AMD8WknZAAAAAElFTkSuQmCC"
)
"""A grey PNG of 32 by 32 pixels, in base64."""


_SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="
"""A WAV file of one silent sample, in base64."""


def _example_value(spec: InputSpec) -> Any:
    if spec.kind == Kind.SEQUENCE:
        return ["a", "b"]
    if spec.kind in (Kind.VOLUME, Kind.SERIES):
        return np.zeros([size if size > 0 else 2 for size in spec.shape[1:]]).tolist()
    if spec.kind in MEDIA:
        return _SILENCE if spec.kind == Kind.AUDIO else _GREY
    if spec.kind == Kind.DATETIME:
        return "2026-01-31T12:00:00Z"
    if spec.kind == Kind.TEXT or spec.dtype == "string":
        return spec.classes[0] if spec.classes else "text"
    return 0.0


def _value_schema(spec: InputSpec) -> Schema:
    unit = f" Unit: {spec.unit}." if spec.unit else ""
    if spec.kind == Kind.TEXT:
        return {"type": ["string", "null"], "description": "text"}
    if spec.kind in (Kind.SERIES, Kind.SEQUENCE):
        return _list_schema(spec, unit)
    if spec.kind in MEDIA:
        return {
            "type": "string" if spec.required else ["string", "null"],
            "contentEncoding": "base64",
            "description": f"{spec.kind.value}: the content of a file, in base64 (never a path).",
        }
    if spec.kind == Kind.DATETIME:
        return {"type": ["string", "number", "null"], "description": "ISO 8601, or seconds (UTC)."}
    if spec.dtype != "string":
        return {"type": ["number", "null"], "description": f"A number.{unit}"}
    schema: Schema = {"type": ["string", "number", "boolean", "null"]}
    if 0 < len(spec.classes) <= 50:
        schema["examples"] = list(spec.classes)
    return {**schema, "description": spec.kind.value}


def _list_schema(spec: InputSpec, unit: str) -> Schema:
    if spec.kind == Kind.SEQUENCE:
        labels = {"type": ["string", "number"]}
        return {"type": ["array", "null"], "items": labels, "description": "The latest last."}
    shape = f"{spec.shape[2]} channel(s); other lengths than {spec.shape[1]} are brought to it"
    return {"type": "array", "description": f"Steps of {shape}. null is a gap.{unit}"}


def _form_schema(model: Model) -> Schema:
    properties = {
        spec.name: {"type": "string", "format": "binary"}
        if spec.kind in MEDIA
        else {"type": "string"}
        for spec in model.signature.inputs
    }
    return _object(properties, [spec.name for spec in model.signature.inputs if spec.required])


def _answer_schema(model: Model) -> Schema:
    if not model.task.is_classification:
        return _object({"prediction": model.task.answer_schema()})
    classes = list(getattr(model.task, "classes", ()))
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        {
            "prediction": {"type": "string", "enum": classes},
            "probability": _object(dict.fromkeys(classes, share)),
        }
    )


def _get(summary: str, model: Model | None = None) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": [model.name if model else "service"],
        "responses": {"200": {"description": "As asked."}},
    }


def _responses(content: dict[str, Any]) -> dict[str, Any]:
    failure = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    found = {"200": {"description": "The answer.", "content": content}}
    return found | {
        status: {"description": text, "content": failure} for status, text in _ERRORS.items()
    }


def _object(properties: dict[str, Any], required: list[str] | None = None) -> Schema:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def _card(model: Model) -> str:
    name = html.escape(model.name)
    fields = ", ".join(html.escape(spec.name) for spec in model.signature.inputs[:12])
    if len(model.signature.inputs) > 12:
        fields += f" and {len(model.signature.inputs) - 12} more"
    path = f"/predict/{quote(model.name, safe='')}"
    if len(model.signature.inputs) == 1 and model.signature.inputs[0].kind in MEDIA:
        command = f"curl -F {html.escape(model.signature.inputs[0].name)}=@FILE ORIGIN{path}"
    else:
        rows = json.dumps({"rows": [example_row(model)]}, ensure_ascii=False)
        given = shlex.quote(rows) if len(rows) < 400 else "@rows.json"
        command = f"curl --json {html.escape(given)} ORIGIN{path}"
    return (
        f"<article><h2>{name} <small>version {html.escape(model.version)}</small></h2>"
        f"<p>Predicts <b>{html.escape(model.task.target)}</b> "
        f"({html.escape(model.task.name)}) from {fields}.</p>"
        f"<pre>{command}</pre></article>"
    )


@cache
def _template(name: str) -> str:
    return files("lepta.serving").joinpath(name).read_text(encoding="utf-8")
