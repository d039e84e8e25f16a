"""The nodes in front of a foreign graph: from Lepta's tensors to the inputs it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from lepta.bundle.manifest import InputSpec, TensorSpec
from lepta.core.errors import ConfigError, suggest
from lepta.core.schema import Kind
from lepta.models.graph import Graph
from lepta.models.imported.schema import BITS, ImportedInput, ImportSchema
from lepta.models.imported.versions import dtype_of, graph_inputs, shape_of

_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Target:
    """One input of a foreign graph: its name, NumPy type and shape (-1 is free, rows first)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Feeding:
    """Which fields feed which input of a foreign graph."""

    schema: ImportSchema
    targets: Mapping[str, Target]
    chosen: Mapping[str, tuple[ImportedInput, ...]]

    @classmethod
    def of(cls, schema: ImportSchema, model: ModelProto) -> Feeding:
        """Match the inputs that the schema describes to those of the graph.

        Raises:
            ConfigError: an input is unknown or described by nobody, or its shape does not fit.
        """
        targets = {
            name: Target(name, dtype_of(value), shape_of(value))
            for name, value in graph_inputs(model).items()
        }
        chosen: dict[str, list[ImportedInput]] = {name: [] for name in targets}
        for entry in schema.inputs:
            chosen[_target_of(entry, targets)].append(entry)
        for name, entries in chosen.items():
            if not entries:
                raise ConfigError(
                    f"Nothing in the schema feeds the graph's input {name!r}.",
                    fix=f"Describe it under inputs, with tensor: {name}.",
                )
            _check(targets[name], entries)
        return cls(schema, targets, {name: tuple(found) for name, found in chosen.items()})

    @cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The public input fields."""
        return tuple(
            _spec(entry, name, self) for entry in self.schema.inputs for name in entry.name
        )

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors of the finished graph: numbers, strings, and one an image."""
        found = []
        for name, dtype in (
            ("numbers", "float32"),
            ("doubles", "float64"),
            ("categories", "string"),
        ):
            plain = (spec for spec in self.inputs if spec.kind != Kind.IMAGE)
            fields = tuple(spec.name for spec in plain if spec.dtype == dtype)
            if fields:
                shape = (-1, len(fields))
                found.append(TensorSpec(name=name, dtype=dtype, shape=shape, fields=fields))
        images = [spec for spec in self.inputs if spec.kind == Kind.IMAGE]
        for position, spec in enumerate(images):
            tensor, fields = f"image_{position}", (spec.name,)
            found.append(TensorSpec(name=tensor, dtype=spec.dtype, shape=spec.shape, fields=fields))
        return tuple(found)

    def emit(self, graph: Graph) -> dict[str, str]:
        """Declare the inputs and add the nodes; return the value for each foreign input."""
        values = {t.name: graph.input(t.name, t.dtype, t.shape) for t in self.tensors}
        place = {
            field: (values[tensor.name], column)
            for tensor in self.tensors
            for column, field in enumerate(tensor.fields)
        }
        fed = {}
        for name, entries in self.chosen.items():
            target = self.targets[name]
            if entries[0].kind == "image":
                fed[name] = _image(graph, place[entries[0].name[0]][0], entries[0], target)
            else:
                parts = [_plain(graph, place, entry, target) for entry in entries]
                joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
                flat = graph.const([-1], "int64")
                fed[name] = joined if len(target.shape) > 1 else graph.op("Reshape", joined, flat)
        return fed


def _target_of(entry: ImportedInput, targets: Mapping[str, Target]) -> str:
    wanted = entry.tensor or (entry.name[0] if entry.name[0] in targets else "")
    if not wanted and len(targets) == 1:
        return next(iter(targets))
    if wanted not in targets:
        raise ConfigError(
            f"{entry.label}: "
            + (f"the graph has no input {wanted!r}." if wanted else "its tensor is not stated.")
            + (suggest(wanted, targets) if wanted else ""),
            fix=f"Say tensor: NAME. The graph's inputs: {', '.join(targets)}.",
        )
    return wanted


def _check(target: Target, entries: list[ImportedInput]) -> None:
    images = [entry for entry in entries if entry.kind == "image"]
    if images and len(entries) > 1:
        raise ConfigError(
            f"The graph's input {target.name!r} takes one image; {len(entries)} entries name it.",
            fix="Give each its own tensor.",
        )
    if images:
        layout(images[0], target), channels(images[0], target)
        return
    width = sum(len(entry.name) for entry in entries)
    wanted = target.shape[1] if len(target.shape) == 2 else 1
    if len(target.shape) not in (1, 2) or wanted not in (-1, width):
        raise ConfigError(
            f"The graph's input {target.name!r} has the shape {list(target.shape)}, and the schema "
            f"gives it {width} column(s).",
            fix="Name every column, in order, and no other.",
        )
    for entry in entries:
        if (entry.kind == "number") == (target.dtype == "string"):
            _check_text(entry, target)
        if entry.kind == "number" and entry.fill is None and not knows_nan(target.dtype):
            raise ConfigError(
                f"{entry.label}: the graph's input {target.name!r} takes {target.dtype}, which "
                "has no value for a missing number.",
                fix="Say fill: NUMBER, what a missing one counts as, such as fill: 0.",
            )


def knows_nan(dtype: str) -> bool:
    """Whether a type of numbers has a value for a missing one."""
    return np.issubdtype(np.dtype(dtype), np.floating)


def _check_text(entry: ImportedInput, target: Target) -> None:
    if entry.kind == "number":
        raise ConfigError(
            f"{entry.label}: the graph's input {target.name!r} takes text, not numbers.",
            fix="Say kind: category.",
        )
    if not entry.classes:
        raise ConfigError(
            f"{entry.label}: the graph takes numbers, so the codes of the category are needed.",
            fix="List classes: in the order of their codes, 0 first.",
        )


def layout(entry: ImportedInput, target: Target) -> str:
    """Return NCHW or NHWC.

    Raises:
        ConfigError: it is not stated and the shape does not tell.
    """
    if len(target.shape) != 4:
        raise ConfigError(
            f"{entry.label}: the graph's input {target.name!r} has {len(target.shape)} axes; an "
            "image has 4 (rows, channels, height and width, in some order).",
            fix="Describe it as numbers, or export the model with images as input.",
        )
    if entry.layout:
        return entry.layout
    first, last = (target.shape[axis] in _CHANNELS for axis in (1, 3))
    if first == last:
        raise ConfigError(
            f"{entry.label}: the shape {list(target.shape)} does not tell where the channels are.",
            fix="Say layout: NCHW (PyTorch) or layout: NHWC (TensorFlow).",
        )
    return "NCHW" if first else "NHWC"


def channels(entry: ImportedInput, target: Target) -> int:
    """Return the number of channels, from the schema or from the graph.

    Raises:
        ConfigError: it is not known, or the two disagree.
    """
    found = target.shape[1 if layout(entry, target) == "NCHW" else 3]
    if entry.channels and found in (-1, entry.channels):
        return entry.channels
    if entry.channels or found not in _CHANNELS:
        raise ConfigError(
            f"{entry.label}: the graph's input {target.name!r} has "
            f"{'any number of' if found < 0 else found} channels"
            + (f", the schema says {entry.channels}." if entry.channels else "."),
            fix="Say channels: 1 or channels: 3, and the right layout.",
        )
    return found


def size(entry: ImportedInput, target: Target) -> tuple[int, int] | None:
    """Return height and width that the graph needs, or None where it takes any."""
    axes = (2, 3) if layout(entry, target) == "NCHW" else (1, 2)
    fixed = (target.shape[axes[0]], target.shape[axes[1]])
    if entry.size is None:
        return fixed if -1 not in fixed else None
    if any(have not in (-1, want) for have, want in zip(fixed, entry.size, strict=True)):
        raise ConfigError(
            f"{entry.label}: the graph takes {fixed[0]} x {fixed[1]} pixels, the schema says "
            f"{entry.size[0]} x {entry.size[1]}.",
            fix="Leave size: out.",
        )
    return entry.size


def _spec(entry: ImportedInput, name: str, feeding: Feeding) -> InputSpec:
    target = feeding.targets[_target_of(entry, feeding.targets)]
    if entry.kind != "image":
        dtype = _wide(target.dtype) if entry.kind == "number" else "string"
        return InputSpec(
            name=name,
            kind=entry.field_kind,
            dtype=dtype,
            shape=(-1,),
            unit=entry.unit,
            classes=entry.classes,
        )
    count = channels(entry, target)
    plain = {"channels": count, "bits": entry.bits} if entry.decoder == "image" else {}
    return InputSpec(
        name=name,
        kind=Kind.IMAGE,
        dtype=BITS[entry.bits],
        shape=(-1, -1, -1, count),
        unit=entry.unit,
        decoder=entry.decoder,
        options=plain,
    )


def _wide(dtype: str) -> str:
    """Return the type of numbers that become ``dtype``: float32 has seven digits only."""
    return "float32" if np.can_cast(dtype, np.float32) else "float64"


def _image(graph: Graph, tensor: str, entry: ImportedInput, target: Target) -> str:
    """Add resizing, the window, the range, mean and deviation, and the layout."""
    values = graph.op("Transpose", graph.op("Cast", tensor, to=1), perm=[0, 3, 1, 2])
    wanted = size(entry, target)
    if wanted is not None:
        sides = graph.op(
            "Concat", graph.op("Shape", values, end=2), graph.const(wanted, "int64"), axis=0
        )
        values = graph.op(
            "Resize",
            values,
            "",
            "",
            sides,
            mode="linear",
            antialias=1,
            coordinate_transformation_mode="half_pixel",
        )
    assert entry.range is not None  # noqa: S101
    (low, high), (bottom, top) = entry.pixels, entry.range
    values = graph.op("Clip", values, graph.const(low, "float32"), graph.const(high, "float32"))
    factor = (top - bottom) / (high - low)
    values = _affine(graph, values, factor, bottom - low * factor)
    if entry.order == "BGR":
        values = graph.op("Gather", values, graph.const([2, 1, 0], "int64"), axis=1)
    values = _standardise(graph, values, entry, (1, -1, 1, 1))
    if layout(entry, target) == "NHWC":
        values = graph.op("Transpose", values, perm=[0, 2, 3, 1])
    if not knows_nan(target.dtype):
        values = graph.op("Round", values)  # a cast would cut digits off
    return _cast(graph, values, "float32", target.dtype)


def _plain(
    graph: Graph, place: Mapping[str, tuple[str, int]], entry: ImportedInput, target: Target
) -> str:
    """Add the columns of plain fields, as the foreign input takes them."""
    tensor = place[entry.name[0]][0]
    columns = graph.const([place[name][1] for name in entry.name], "int64")
    values = graph.op("Gather", tensor, columns, axis=1)
    if entry.kind == "number":
        have = _wide(target.dtype)
        if entry.fill is not None:
            absent = graph.op("IsNaN", values)
            values = graph.op("Where", absent, graph.const(entry.fill, have), values)
        values = _standardise(graph, values, entry, (1, -1), have)
        return _cast(graph, values, have, target.dtype)
    if target.dtype == "string":
        return _spelled(graph, values, entry)
    codes = graph.op(
        "LabelEncoder",
        values,
        domain="ai.onnx.ml",
        keys_strings=list(entry.labels),
        values_int64s=list(range(len(entry.classes))),
        default_int64=entry.unknown,
    )
    return _cast(graph, codes, "int64", target.dtype)


def _spelled(graph: Graph, values: str, entry: ImportedInput) -> str:
    """Add the step from labels ("true", "1") to the classes as the graph spells them ("True")."""
    other = {label: name for label, name in zip(entry.labels, entry.classes, strict=True)
             if label != name}  # fmt: skip
    if not other:
        return values
    keys: dict[str, Any] = {"domain": "ai.onnx.ml", "keys_strings": list(other)}
    spelled = graph.op("LabelEncoder", values, values_strings=list(other.values()), **keys)
    known = graph.op(
        "LabelEncoder", values, values_int64s=[1] * len(other), default_int64=0, **keys
    )
    return graph.op("Where", graph.op("Cast", known, to=9), spelled, values)


def _affine(graph: Graph, values: str, factor: float, offset: float) -> str:
    if factor != 1.0:
        values = graph.op("Mul", values, graph.const(factor, "float32"))
    return graph.op("Add", values, graph.const(offset, "float32")) if offset else values


def _standardise(
    graph: Graph, values: str, entry: ImportedInput, shape: tuple[int, ...], dtype: str = "float32"
) -> str:
    for kind, numbers in (("Sub", entry.mean), ("Div", entry.std)):
        if numbers:
            array: Any = np.asarray(numbers, dtype).reshape(shape)
            values = graph.op(kind, values, graph.const(array))
    return values


def _cast(graph: Graph, values: str, have: str, want: str) -> str:
    if have == want:
        return values
    return graph.op("Cast", values, to=helper.np_dtype_to_tensor_dtype(np.dtype(want)))
