"""Look-ups of texts and codes, and trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.edge.c.operators.base import lowers
from lepta.edge.c.text import ctype, literal, smallest
from lepta.edge.c.writer import Writer, strides_of
from lepta.edge.program import Array, Node

_LEQ, _LT, _MEMBER = 0, 1, 6
_AVERAGE, _SUM = 0, 1
_LIMIT = 1 << 24
"""Positions up to here are exact in float32."""


@lowers("ai.onnx.ml:LabelEncoder")
def label_encoder(out: Writer, node: Node) -> None:
    """A code for each known text or number."""
    keys, values = _list(node, "keys"), _list(node, "values")
    default = _default(node, out.value(node.outputs[0]).dtype)
    text = out.kind(node.inputs[0]).endswith("*")
    if not text and out.kind(node.inputs[0]) == "int32_t":
        keys = keys.astype(np.int32)
    finder = out.kernel("find") if text else out.kernel("find_number", X=ctype(str(keys.dtype)))
    table, read = out.table(keys), out.at(node.inputs[0])
    to, kind = out.define(node.outputs[0]), out.kind(node.outputs[0])
    shape = out.value(node.outputs[0]).shape
    first = int(values[0]) if values.dtype.kind == "i" else 0
    run = values.dtype.kind == "i" and bool((values == first + np.arange(len(values))).all())
    stored = "" if run else out.table(values, kind)
    with out.loops(shape, [strides_of(shape)]) as (index,), out.block(""):
        out.line(f"const int32_t at = {finder}({table}, {len(keys)}, {read(index)});")
        found = f"at + {first}" if run else f"{stored}[at]"
        out.line(f"{to}[{index}] = at < 0 ? {literal(default, kind)} : {found};")


def _list(node: Node, stem: str) -> Array:
    for suffix in ("strings", "int64s", "floats", "tensor"):
        if (content := node.get(f"{stem}_{suffix}")) is not None:
            if suffix == "strings":
                return np.array([text.decode() for text in content], object)
            return np.asarray(content, {"int64s": np.int64, "floats": np.float32}.get(suffix))
    raise KeyError(stem)


def _default(node: Node, dtype: str) -> Any:
    if (given := node.get("default_tensor")) is not None:
        return np.asarray(given).ravel()[0]
    if dtype == "object":
        return node.get("default_string", "_Unused")
    name = "default_int64" if dtype.startswith("int") else "default_float"
    return node.get(name, -1 if dtype.startswith("int") else -0.0)


@lowers("ai.onnx.ml:TreeEnsemble")
def trees(out: Writer, node: Node) -> None:
    """Sums of the leaves that a row comes to."""
    modes = np.asarray(node.get("nodes_modes")).ravel()
    aggregate = int(node.get("aggregate_function", _SUM))
    if not np.isin(modes, (_LEQ, _LT, _MEMBER)).all():
        raise out.refusal(node, "with comparisons other than <=, < and membership")
    if aggregate not in (_AVERAGE, _SUM) or int(node.get("post_transform", 0)):
        raise out.refusal(node, "with this aggregate or transform")
    if out.kind(node.inputs[0]) != "float":
        raise out.refusal(node, "of other numbers than float32")
    rows, width = out.value(node.outputs[0]).shape
    columns = out.value(node.inputs[0]).shape[1]
    x = out.pointer(node.inputs[0])
    to = out.define(node.outputs[0])
    arguments, kinds = _tables(out, node, modes)
    kernel = out.kernel("trees", **kinds)
    with out.loops((rows * width,), [(1,)]) as (index,):
        out.line(f"{to}[{index}] = 0.0f;")
    for row in range(rows):
        out.line(f"{kernel}({x} + {row * columns}, {to} + {row * width}, {arguments});")
    if aggregate == _AVERAGE:
        count = len(node.get("tree_roots"))
        with out.loops((rows * width,), [(1,)]) as (index,):
            out.line(f"{to}[{index}] /= {count};")


def _tables(out: Writer, node: Node, modes: Array) -> tuple[str, dict[str, str]]:
    """Return the arguments of the function that walks trees, and the types of its arrays."""
    threshold = np.array(node.get("nodes_splits"), np.float32).ravel()
    less = modes == _LT
    threshold[less] = np.nextafter(threshold[less], np.float32(-np.inf))
    member = modes == _MEMBER
    members = np.asarray(node.get("membership_values", []), np.float32).ravel()
    begins = np.concatenate([[0], np.flatnonzero(np.isnan(members)) + 1])
    threshold[member] = begins[: int(member.sum())]
    members = np.append(members, np.float32(np.nan))
    if len(members) >= _LIMIT:
        raise out.refusal(node, "with so many categories")
    missing = np.asarray(node.get("nodes_missing_value_tracks_true", np.zeros(len(modes), int)))
    columns = np.asarray(node.get("nodes_featureids"))
    ask = smallest(4 * columns + 2 * member + (missing if len(missing) else 0))
    if ask.dtype.kind == "i":
        ask = ask.astype(np.int32)
    left, right = (
        smallest(np.where(np.asarray(node.get(f"{n}leafs")) > 0, ~at, at))
        for n in ("nodes_true", "nodes_false")
        for at in [np.asarray(node.get(f"{n}nodeids"))]
    )
    targets = smallest(np.asarray(node.get("leaf_targetids")))
    weights = np.asarray(node.get("leaf_weights"), np.float32).ravel()
    roots = np.asarray(node.get("tree_roots"), np.int32)
    tables = [ask, threshold, members, left, right, weights, targets]
    arguments = [out.table(roots), str(len(roots)), *(out.table(table) for table in tables)]
    kinds = {
        key: ctype(str(table.dtype))
        for key, table in zip("ALRT", (ask, left, right, targets), strict=True)
    }
    return ", ".join(arguments), kinds
