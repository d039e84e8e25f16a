"""Decision trees as arrays, added up, and as one ONNX ``TreeEnsemble`` node.

Boosters and forests differ in how they grow trees, and not in what trees are. So every tree
model ends here: nodes of all trees in one set of arrays, leaves already in the unit of the raw
scores. Models that read the same columns are then added up by putting their trees side by side.

Libraries compare float64 values with float64 thresholds; the graph compares float32 ones. A
threshold is rounded *down* to float32: for a float32 value x, ``x <= t`` holds exactly when
``x <= floor32(t)``, so that every row takes the same path in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lepta.models.graph import Graph

_LEQ, _MEMBER = 0, 6
_SUM = 1


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Nodes and leaves of some trees.

    A row begins at a root; at a node it goes left where its value of the column is at most the
    threshold (or, at a node with members, one of them), else right. A child is the number of a
    node, or ~leaf.

    Attributes:
        roots: the first node of each tree, (trees,).
        column: column that a node looks at, (nodes,).
        threshold: (nodes,) of float32.
        missing_left: where a row without a value goes, (nodes,).
        left, right: children, (nodes,).
        counts: how many members a node has, (nodes,); 0 for one with a threshold.
        members: those of all nodes, one after the other, (members,).
        values: what each leaf adds, (leaves,).
        targets: to which raw score, (leaves,).
    """

    roots: NDArray[np.int64]
    column: NDArray[np.int64]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    counts: NDArray[np.int64]
    members: NDArray[np.float32]
    values: NDArray[np.float64]
    targets: NDArray[np.int64]

    @classmethod
    def of(cls, **arrays: Any) -> Ensemble:
        """Return the ensemble of the attributes, of whatever type they are."""
        return cls(**{name: np.asarray(value, _TYPES[name]) for name, value in arrays.items()})

    @classmethod
    def of_thresholds(
        cls,
        column: Any,
        threshold: Any,
        missing_left: Any,
        children: tuple[Any, Any],
        values: Any,
        target: int = 0,
    ) -> Ensemble:
        """Return one tree whose nodes all have (float32) thresholds, the root first.

        A tree of one leaf has no nodes: it becomes a node whose ways lead to the same value.
        """
        if len(values) == 1:
            return cls.constant(float(values[0]), target)
        return cls.of(
            roots=[0],
            column=column,
            threshold=threshold,
            missing_left=missing_left,
            left=children[0],
            right=children[1],
            counts=np.zeros(len(children[0])),
            members=[],
            values=values,
            targets=np.full(len(values), target),
        )

    @classmethod
    def constant(cls, value: float, target: int = 0) -> Ensemble:
        """Return one tree that adds ``value`` to every row."""
        values = np.array([value] * 2)  # of two leaves, so that there is a node
        return cls.of_thresholds([0], [0.0], [True], ([~0], [~1]), values, target)

    @classmethod
    def join(cls, parts: Sequence[Ensemble]) -> Ensemble:
        """Return the trees of all parts, side by side."""
        nodes = np.cumsum([0, *(len(part.column) for part in parts)])
        leaves = np.cumsum([0, *(len(part.values) for part in parts)])
        moved = [
            replace(
                part,
                roots=part.roots + node,
                left=np.where(part.left < 0, part.left - leaf, part.left + node),
                right=np.where(part.right < 0, part.right - leaf, part.right + node),
            )
            for part, node, leaf in zip(parts, nodes, leaves, strict=False)
        ]
        return cls(*(np.concatenate([getattr(p, f.name) for p in moved]) for f in fields(cls)))

    def pruned(self) -> Ensemble:
        """Return the same without questions whose answer makes no difference."""
        left, right = self.left.copy(), self.right.copy()
        gone = np.zeros(len(left), np.bool_)
        asked = np.setdiff1d(np.arange(len(left)), self.roots)
        while True:
            ends = (left[asked] < 0) & (right[asked] < 0)
            first, second = (np.where(ends, ~child[asked], 0) for child in (left, right))
            same = (self.values[first] == self.values[second]) & ends
            same &= self.targets[first] == self.targets[second]
            if not same.any():
                break
            numbers = np.arange(len(left))
            numbers[asked[same]] = left[asked[same]]
            gone[asked[same]] = True
            left, right = (np.where(c < 0, c, numbers[np.maximum(c, 0)]) for c in (left, right))
            asked = asked[~same]
        return self._without(gone, left, right)

    def _without(
        self, gone: NDArray[np.bool_], left: NDArray[np.int64], right: NDArray[np.int64]
    ) -> Ensemble:
        """Return the ensemble with other children, nodes that are gone and lone leaves left out."""
        kept = np.cumsum(~gone) - 1
        children = np.concatenate([left[~gone], right[~gone]])
        used, place = np.unique(~children[children < 0], return_inverse=True)
        moved = kept[np.maximum(children, 0)]
        moved[children < 0] = ~place
        return replace(
            self,
            roots=kept[self.roots],
            column=self.column[~gone],
            threshold=self.threshold[~gone],
            missing_left=self.missing_left[~gone],
            left=moved[: len(moved) // 2],
            right=moved[len(moved) // 2 :],
            counts=self.counts[~gone],
            members=self.members[~np.repeat(gone, self.counts)],
            values=self.values[used],
            targets=self.targets[used],
        )

    def emit(self, graph: Graph, matrix: str, width: int) -> str:
        """Add the node; return the name of the sums of leaves (rows, width)."""
        return graph.op(
            "TreeEnsemble",
            matrix,
            domain="ai.onnx.ml",
            n_targets=width,
            aggregate_function=_SUM,
            post_transform=0,
            **self._attributes(),
        )

    def _attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "tree_roots": self.roots.tolist(),
            "nodes_featureids": self.column.tolist(),
            "nodes_modes": helper.make_tensor(
                "modes",
                TensorProto.UINT8,
                [len(self.counts)],
                np.where(self.counts > 0, _MEMBER, _LEQ).astype(np.uint8).tobytes(),
                raw=True,
            ),
            "nodes_splits": numpy_helper.from_array(self.threshold, "splits"),
            "nodes_missing_value_tracks_true": self.missing_left.astype(np.int64).tolist(),
            "leaf_weights": numpy_helper.from_array(self.values.astype(np.float32), "weights"),
            "leaf_targetids": self.targets.tolist(),
        }
        for name, child in (("true", self.left), ("false", self.right)):
            attributes[f"nodes_{name}nodeids"] = np.where(child < 0, ~child, child).tolist()
            attributes[f"nodes_{name}leafs"] = (child < 0).astype(np.int64).tolist()
        if len(self.members):
            ends = np.cumsum(self.counts[self.counts > 0])
            parted = np.insert(self.members, ends, np.float32(np.nan))
            attributes["membership_values"] = numpy_helper.from_array(parted, "members")
        return attributes


_TYPES: dict[str, Any] = {
    "roots": np.int64,
    "column": np.int64,
    "threshold": np.float32,
    "missing_left": np.bool_,
    "left": np.int64,
    "right": np.int64,
    "counts": np.int64,
    "members": np.float32,
    "values": np.float64,
    "targets": np.int64,
}


def floor32(values: Any) -> NDArray[np.float32]:
    """Return the largest float32 numbers that are not above ``values``."""
    exact = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    above = near.astype(np.float64) > exact
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near)


def below32(values: Any) -> NDArray[np.float32]:
    """Return the largest float32 numbers that are below float32 ``values``.

    ``x < t`` holds exactly when ``x <= below32(t)``.
    """
    return np.nextafter(np.asarray(values, np.float32), np.float32(-np.inf))
