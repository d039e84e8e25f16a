"""LightGBM's trees as arrays, and as one ONNX ``TreeEnsemble`` node.

LightGBM compares float64 values with float64 thresholds; the graph compares float32 ones. A
threshold is rounded *down* to float32: for a float32 value x, ``x <= t`` holds exactly when
``x <= floor32(t)``, so that every row takes the same path in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lepta.core.errors import ExportError
from lepta.models.graph import Graph

_LEQ, _MEMBER = 0, 6
_SUM = 1


@dataclass(frozen=True)
class Node:
    """An inner node of a tree; a child is the number of a node, or ~leaf."""

    feature: int
    threshold: float
    members: tuple[float, ...]
    missing_left: bool
    left: int
    right: int


@dataclass(frozen=True)
class Tree:
    """Inner nodes (the root first), leaf values, and the output they add to."""

    nodes: tuple[Node, ...]
    leaves: tuple[float, ...]
    target: int


@dataclass(frozen=True)
class Ensemble:
    """Trees whose leaves sum to raw scores (rows, targets)."""

    trees: tuple[Tree, ...]
    targets: int

    def emit(self, graph: Graph, matrix: str) -> str:
        """Add the node; return the name of the raw scores (rows, targets)."""
        columns = _Columns()
        for tree in self.trees:
            columns.add(tree)
        return graph.op(
            "TreeEnsemble",
            matrix,
            domain="ai.onnx.ml",
            n_targets=self.targets,
            aggregate_function=_SUM,
            post_transform=0,
            **columns.attributes(),
        )


class _Columns:
    """Attributes of the ONNX node, gathered tree by tree."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.modes: list[int] = []
        self.splits: list[float] = []
        self.missing: list[int] = []
        self.true: list[tuple[int, int]] = []
        self.false: list[tuple[int, int]] = []
        self.members: list[float] = []
        self.weights: list[float] = []
        self.targets: list[int] = []

    def add(self, tree: Tree) -> None:
        first_node, first_leaf = len(self.features), len(self.weights)
        self.roots.append(first_node)
        self.weights += tree.leaves
        self.targets += [tree.target] * len(tree.leaves)

        def child(number: int) -> tuple[int, int]:
            return (first_leaf + ~number, 1) if number < 0 else (first_node + number, 0)

        for node in tree.nodes:
            self.features.append(node.feature)
            self.modes.append(_MEMBER if node.members else _LEQ)
            self.splits.append(node.threshold)
            self.missing.append(int(node.missing_left))
            self.true.append(child(node.left))
            self.false.append(child(node.right))
            if node.members:
                self.members += [*node.members, float("nan")]

    def attributes(self) -> dict[str, Any]:
        def floats(name: str, values: list[float]) -> Any:
            return helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values)

        attributes: dict[str, Any] = {
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_modes": helper.make_tensor(
                "modes", TensorProto.UINT8, [len(self.modes)], self.modes
            ),
            "nodes_splits": floats("splits", self.splits),
            "nodes_missing_value_tracks_true": self.missing,
            "nodes_truenodeids": [number for number, _ in self.true],
            "nodes_trueleafs": [leaf for _, leaf in self.true],
            "nodes_falsenodeids": [number for number, _ in self.false],
            "nodes_falseleafs": [leaf for _, leaf in self.false],
            "leaf_weights": floats("weights", self.weights),
            "leaf_targetids": self.targets,
        }
        if self.members:
            attributes["membership_values"] = floats("members", self.members)
        return attributes


def read_ensemble(dump: dict[str, Any]) -> Ensemble:
    """Read the document of ``Booster.dump_model()``."""
    targets = int(dump["num_tree_per_iteration"])
    trees = tuple(
        _read_tree(info["tree_structure"], number % targets)
        for number, info in enumerate(dump["tree_info"])
    )
    return Ensemble(trees=trees, targets=targets)


def _read_tree(root: dict[str, Any], target: int) -> Tree:
    if "split_index" not in root:  # a stump: both children are the one leaf
        value = float(root["leaf_value"])
        node = Node(0, 0.0, (), missing_left=True, left=~0, right=~1)
        return Tree((node,), (value, value), target)
    inner = list(_walk(root))
    order = {id(node): number for number, node in enumerate(n for n in inner if _is_split(n))}
    leaves = [n for n in inner if not _is_split(n)]
    spots = {id(leaf): number for number, leaf in enumerate(leaves)}

    def place(child: dict[str, Any]) -> int:
        return order[id(child)] if _is_split(child) else ~spots[id(child)]

    nodes = tuple(
        _read_node(n, place(n["left_child"]), place(n["right_child"]))
        for n in inner
        if _is_split(n)
    )
    return Tree(nodes, tuple(float(leaf["leaf_value"]) for leaf in leaves), target)


def _is_split(node: dict[str, Any]) -> bool:
    return "split_index" in node


def _walk(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        if _is_split(node):
            stack += [node["right_child"], node["left_child"]]


def _read_node(node: dict[str, Any], left: int, right: int) -> Node:
    feature = int(node["split_feature"])
    if node["decision_type"] == "==":
        members = tuple(float(code) for code in str(node["threshold"]).split("||"))
        return Node(feature, 0.0, members, missing_left=False, left=left, right=right)
    if node["decision_type"] != "<=":
        raise ExportError(f"LightGBM's decision {node['decision_type']!r} is not known.")
    threshold = floor32(float(node["threshold"]))
    missing_left = bool(node["default_left"])
    if node["missing_type"] == "None":  # LightGBM then reads a missing value as zero
        missing_left = threshold >= 0.0
    return Node(feature, threshold, (), missing_left=missing_left, left=left, right=right)


def floor32(value: float) -> float:
    """Return the largest float32 that is not above ``value``."""
    with np.errstate(over="ignore"):
        near: NDArray[np.float32] = np.array(value, np.float32)
    if float(near) > value:
        near = np.nextafter(near, np.float32(-np.inf))
    return float(near)
