"""Preprocessing fitted once for many fits over the same rows, as a search makes them.

Models of several folds that read one and the same preprocessing can be added up into one model
(:meth:`lepta.models.learner.Fitted.combine`). No targets are looked at, so that a fold's held-out
rows tell nothing that would help to predict them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context

if TYPE_CHECKING:
    from lepta.data import Dataset
    from lepta.models.front.front import Front

_KEY = "shared rows"


@dataclass(frozen=True, eq=False)
class SharedRows:
    """The rows that preprocessing is fitted on, and the parts of them that are used.

    Attributes:
        whole: all the rows.
        parts: by the identity of a dataset, itself and the positions of its rows in ``whole``.
    """

    whole: Dataset
    parts: Mapping[int, tuple[Dataset, NDArray[np.int64]]]


def share_rows(context: Context, whole: Dataset, parts: Sequence[NDArray[np.int64]]) -> Context:
    """Return a context in which preprocessing is fitted on ``whole``, and run over it once.

    Args:
        context: the context of the search.
        whole: all rows that may be learned from.
        parts: positions in ``whole``; :func:`shared_part` gives the dataset of each.
    """
    made = [(whole.take(positions), positions) for positions in parts]
    by_identity = {id(data): (data, positions) for data, positions in made}
    return replace(context, memo={_KEY: SharedRows(whole, by_identity)})


def shared_part(context: Context, number: int) -> Dataset:
    """Return the dataset of the ``number``-th part."""
    return list(_shared(context).parts.values())[number][0]


def fit_once(
    data: Dataset, key: Sequence[Any], context: Context, fit: Callable[[Dataset], Front]
) -> Front:
    """Return ``fit(data)``, or what was fitted on the shared rows if ``data`` is one of the parts.

    Args:
        data: training rows.
        key: all else that the fit depends on.
        context: of the fit.
        fit: fits preprocessing on rows.
    """
    if context.memo is None or id(data) not in _shared(context).parts:
        return fit(data)
    whole = _shared(context).whole
    return context.once(("front", *map(_hashable, key)), lambda: fit(whole))


def run_once(
    front: Front, data: Dataset, context: Context, run: Callable[[Dataset], dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Return ``run(data)``; for a part of the shared rows, its rows of what is run over all."""
    if context.memo is None or whole_of(data, context) is data is not _shared(context).whole:
        return run(data)
    shared = _shared(context)
    _, arrays = context.once(("prepared", id(front)), lambda: (front, run(shared.whole)))
    if data is shared.whole:
        return dict(arrays)
    positions = shared.parts[id(data)][1]
    return {name: np.asarray(array[positions]) for name, array in arrays.items()}


def whole_of(data: Dataset, context: Context) -> Dataset:
    """Return the shared rows if ``data`` is one of their parts, else ``data``.

    Inputs, not targets, of these rows may be looked at.
    """
    if context.memo is None or id(data) not in _shared(context).parts:
        return data
    return _shared(context).whole


def shared_key(context: Context, front: Front) -> Hashable | None:
    """Return what tells a shared preprocessing apart, in any process; None if it is not shared."""
    found = (key for key, made in (context.memo or {}).items() if made is front)
    return next(found, None)


def _shared(context: Context) -> SharedRows:
    found = (context.memo or {}).get(_KEY)
    assert isinstance(found, SharedRows)  # noqa: S101
    return found


def _hashable(value: Any) -> Hashable:
    if isinstance(value, partial):
        return (value.func, value.args, tuple(sorted(value.keywords.items())))
    if isinstance(value, list | set | frozenset):
        return tuple(sorted(value))
    hashable: Hashable = value
    return hashable
