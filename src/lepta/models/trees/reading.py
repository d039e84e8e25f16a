"""The trees of each library, read from its own form."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ExportError
from lepta.models.trees.ensemble import Ensemble, below32, floor32

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


def read_catboost(
    document: dict[str, Any],
) -> tuple[Ensemble, NDArray[np.float64], NDArray[np.float64] | None]:
    """Read what ``CatBoost.save_model(format="json")`` wrote.

    Returns:
        The trees, the bias (targets,), and raw scores by leaf if there is more than one target;
        the leaves of each tree then hold their number, for a target of the tree's own.
    """
    scale, bias = document["scale_and_bias"]
    targets = len(bias)
    nan_left = np.array(
        [f["nan_value_treatment"] != "AsTrue" for f in document["features_info"]["float_features"]]
    )
    trees, vectors, first = [], [], 0
    for number, entry in enumerate(document["oblivious_trees"]):
        values = np.array(entry["leaf_values"]) * scale
        target = 0
        if targets > 1:
            rows, place = np.unique(values.reshape(-1, targets), axis=0, return_inverse=True)
            vectors.append(rows)
            values, target = first + place, targets + number
            first += len(rows)
        trees.append(_read_levels(entry["splits"] or [], nan_left, values, target))
    ensemble = Ensemble.join(trees).pruned()  # many leaves hold no row, and add nothing
    return ensemble, np.array(bias), np.concatenate(vectors) if vectors else None


def _read_levels(
    splits: list[dict[str, Any]], nan_left: NDArray[Any], values: NDArray[Any], target: int
) -> Ensemble:
    """Return a tree that asks all rows the same questions, as one of nodes.

    Its last question is asked first: leaves then lie in order, with the first as lowest bit.
    """
    if any(split["split_type"] != "FloatFeature" for split in splits):
        raise ExportError("Of CatBoost's questions, only those about numbers have a graph.")
    asked = splits[::-1]
    level = np.repeat(np.arange(len(asked)), 2 ** np.arange(len(asked)))
    column = np.array([split["float_feature_index"] for split in asked], np.int64)
    border = np.array([split["border"] for split in asked], np.float32)
    inner = len(level)
    children = [2 * np.arange(inner) + side for side in (1, 2)]
    left, right = (np.where(child < inner, child, ~(child - inner)) for child in children)
    return Ensemble.of_thresholds(
        column[level], border[level], nan_left[column[level]], (left, right), values, target
    )


def read_xgboost(document: dict[str, Any]) -> tuple[Ensemble, NDArray[np.float64]]:
    """Read what ``Booster.save_raw("json")`` gives.

    Returns:
        The trees, and the bias (targets,).
    """
    learner = document["learner"]
    known = learner["learner_model_param"]
    start = np.atleast_1d(np.array(json.loads(known["base_score"]), np.float64))
    if learner["objective"]["name"] == "binary:logistic":
        start = np.log(start / (1 - start))
    model = learner["gradient_booster"]["model"]
    trees = [
        _read_nodes(tree, target)
        for tree, target in zip(model["trees"], model["tree_info"], strict=True)
    ]
    targets = max(1, int(known["num_class"]))
    return Ensemble.join(trees), np.broadcast_to(start, targets).copy()


def _read_nodes(tree: dict[str, Any], target: int) -> Ensemble:
    children = np.array([tree["left_children"], tree["right_children"]], np.int64)
    conditions = np.array(tree["split_conditions"], np.float32)
    is_leaf = children[0] < 0
    if len(conditions) == 1:
        return Ensemble.constant(float(conditions[0]), target)
    inner = ~is_leaf
    place = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(inner) - 1)
    left, right = place[children[:, inner]]
    in_set = np.array(tree["split_type"], np.bool_)
    counts = np.zeros(len(conditions), np.int64)
    counts[np.array(tree["categories_nodes"], np.int64)] = tree["categories_sizes"]
    order = np.argsort(np.array(tree["categories_nodes"], np.int64))
    members = [
        tree["categories"][begin : begin + size]
        for begin, size in np.array(
            [tree["categories_segments"], tree["categories_sizes"]], np.int64
        ).T[order]
    ]
    missing_left = np.array(tree["default_left"], np.bool_)
    swapped = in_set[inner]  # codes of a set go right
    return Ensemble.of(
        roots=[0],
        column=np.array(tree["split_indices"])[inner],
        threshold=np.where(swapped, np.float32(0), below32(conditions[inner])),
        missing_left=missing_left[inner] & ~swapped,
        left=np.where(swapped, right, left),
        right=np.where(swapped, left, right),
        counts=counts[inner],
        members=np.concatenate(members) if members else [],
        values=conditions[is_leaf],
        targets=np.full(int(is_leaf.sum()), target),
    )
