"""The trees of each library, read from its own form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ExportError
from lepta.models.trees.ensemble import Ensemble, floor32

_CATEGORICAL, _DEFAULT_LEFT, _MISSING = 1, 2, 12
"""Bits of LightGBM's ``decision_type``; how missing values are known is in the last two."""
_NONE, _ZERO = 0, 4


def read_lightgbm(text: str) -> Ensemble:
    """Read ``Booster.model_to_string()``.

    Raises:
        ExportError: a tree decides in a way that the graph has no form for.
    """
    head, *blocks = text.split("\nend of trees", maxsplit=1)[0].split("\nTree=")
    targets = int(_entries(head)["num_tree_per_iteration"])
    trees = [_read_text(_entries(block), n % targets) for n, block in enumerate(blocks)]
    return Ensemble.join(trees)


def _entries(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _read_text(entries: dict[str, str], target: int) -> Ensemble:
    def numbers(name: str, kind: Any) -> NDArray[Any]:
        return np.array(entries[name].split(), kind)

    values = numbers("leaf_value", np.float64)
    if len(values) == 1:
        return Ensemble.constant(float(values[0]), target)
    threshold, decision = numbers("threshold", np.float64), numbers("decision_type", np.int64)
    missing = decision & _MISSING
    if (missing == _ZERO).any() or int(entries.get("is_linear", "0")):
        raise ExportError("LightGBM's options zero_as_missing and linear_tree have no graph.")
    in_set = (decision & _CATEGORICAL) > 0
    counts = np.zeros(len(threshold), np.int64)
    members: list[NDArray[Any]] = []
    if in_set.any():
        ends, words = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.uint32)
        for node in np.flatnonzero(in_set):
            place = int(threshold[node])
            members.append(_codes(words[ends[place] : ends[place + 1]]))
            counts[node] = len(members[-1])
    split = np.where(in_set, np.float32(0), floor32(threshold))
    left = (decision & _DEFAULT_LEFT) > 0
    return Ensemble.of(
        roots=[0],
        column=numbers("split_feature", np.int64),
        threshold=split,
        missing_left=np.where(missing == _NONE, split >= 0, left) & ~in_set,
        left=numbers("left_child", np.int64),
        right=numbers("right_child", np.int64),
        counts=counts,
        members=np.concatenate(members) if members else [],
        values=values,
        targets=np.full(len(values), target),
    )


def _codes(words: NDArray[np.uint32]) -> NDArray[Any]:
    """Return the numbers of the bits that are set."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))


def read_tree(tree: Any, values: NDArray[np.float64], target: int = 0) -> Ensemble:
    """Read a tree of scikit-learn (``tree_``), with a value for each node; leaves keep theirs."""
    is_leaf = tree.children_left < 0
    place = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    return Ensemble.of_thresholds(
        tree.feature[~is_leaf],
        floor32(tree.threshold[~is_leaf]),
        tree.missing_go_to_left[~is_leaf],
        (place[tree.children_left[~is_leaf]], place[tree.children_right[~is_leaf]]),
        values[is_leaf],
        target,
    )
