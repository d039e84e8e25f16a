"""Texts to counts of their n-grams of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, Where, missing_extra
from lepta.core.schema import Field
from lepta.models.front.text import TextFront
from lepta.models.graph import Graph
from lepta.runtime.decoders.tokens import PADDING

if TYPE_CHECKING:
    from lepta.data import Dataset

_LEAST = 1e-6
"""Least length of a vector that is made 1."""
_NONE = -1
"""Key of a window that reaches beyond the text."""


@dataclass(frozen=True, eq=False)
class Grams:
    """Which n-grams of tokens are counted, and how much each counts.

    A text becomes a vector of length 1: of each n-gram the logarithm of one more than its count,
    times the logarithm of how rare it is among the training texts (Salton & Buckley 1988).

    Attributes:
        base: one more than the largest token id; an n-gram's key is its ids as digits to it.
        keys: of each length, from one token on, the sorted keys of the n-grams.
        rarity: (n-grams,), in the order of ``keys``.
    """

    base: int
    keys: tuple[NDArray[np.int64], ...] = field(repr=False)
    rarity: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, ids: NDArray[np.int64], longest: int, least: int, most: int) -> Grams:
        """Choose the n-grams that stand in ``least`` texts or more, ``most`` at the most.

        Where none does, those are taken that stand in the most texts.

        Args:
            ids: tokens of the training texts, (rows, length).
            longest: tokens of the longest n-grams.
            least: texts in which an n-gram stands.
            most: n-grams that are kept, those that stand in the most texts.
        """
        base = int(ids.max(initial=0)) + 1
        found = [_texts_with(keys) for keys in _windows(ids, longest, base)]
        counts = np.concatenate([count for _, count in found])
        least = min(least, int(counts.max(initial=0)))
        enough = np.sort(counts[counts >= least])[::-1]
        floor = max(least, int(enough[most]) + 1) if len(enough) > most else least
        kept = [(keys[count >= floor], count[count >= floor]) for keys, count in found]
        common = np.concatenate([count for _, count in kept])
        rarity = np.log((1 + len(ids)) / (1 + common)) + 1
        return cls(base, tuple(keys for keys, _ in kept), rarity.astype(np.float32))

    def __len__(self) -> int:
        return len(self.rarity)

    def run(self, ids: NDArray[np.int64]) -> Any:
        """Return the vectors of texts (rows, length) of token ids, a sparse (rows, n-grams)."""
        try:
            from scipy.sparse import coo_array
        except ModuleNotFoundError as error:
            raise missing_extra("scipy", "train", "A bag of words") from error
        rows, columns, first = [], [], 0
        for known, keys in zip(self.keys, _windows(ids, len(self.keys), self.base), strict=True):
            place = np.searchsorted(known, keys)
            here = np.zeros(keys.shape, np.bool_)
            if len(known):
                here = (keys >= 0) & (known[np.minimum(place, len(known) - 1)] == keys)
            rows.append(np.nonzero(here)[0])
            columns.append(first + place[here])
            first += len(known)
        at = (np.concatenate(rows), np.concatenate(columns))
        shape = (len(ids), len(self))
        counts = coo_array((np.ones(len(at[0]), np.float32), at), shape=shape).tocsr()
        counts.data = np.log1p(counts.data) * self.rarity[counts.indices]
        norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
        counts.data /= np.repeat(np.maximum(norms, _LEAST), np.diff(counts.indptr))
        return counts

    def emit(self, graph: Graph, ids: str) -> str:
        """Add the nodes from token ids (rows, length); return the vectors (rows, n-grams)."""
        digits = [_digits(keys, n, self.base) for n, keys in enumerate(self.keys, 1)]
        sizes = [part.size for part in digits]
        counts = graph.op(
            "TfIdfVectorizer",
            ids,
            mode="TF",
            min_gram_length=1,
            max_gram_length=len(digits),
            max_skip_count=0,
            ngram_counts=[sum(sizes[:n]) for n in range(len(sizes))],
            ngram_indexes=list(range(len(self))),
            pool_int64s=np.concatenate(digits).tolist(),
        )
        logs = graph.op("Log", graph.op("Add", counts, graph.const(1.0, "float32")))
        values = graph.op("Mul", logs, graph.const(self.rarity))
        norms = graph.op("ReduceL2", values, graph.const([1], "int64"), keepdims=1)
        return graph.op("Div", values, graph.op("Max", norms, graph.const(_LEAST, "float32")))


@dataclass(frozen=True, eq=False)
class GramFront(TextFront):
    """One text field to token ids, of which n-grams are counted afterwards.

    Attributes:
        grams: which.
    """

    grams: Grams

    @classmethod
    def of(
        cls,
        data: Dataset,
        source: Field,
        tensor: str,
        optional: bool,
        member: str,
        given: tuple[bytes, int] | None = None,
        counted: tuple[int, int, int] = (2, 2, 30_000),
    ) -> GramFront:
        """Fit the tokenizer as :class:`TextFront` does, then choose n-grams.

        ``counted`` are the last three arguments of :meth:`Grams.of`.

        Raises:
            DataError: no row has a text.
        """
        plain = TextFront.fit(data, source, tensor, optional, member, given)
        grams = Grams.of(plain.tokens(data), *counted)
        if not len(grams):
            raise DataError(
                f"No training text in {source.name!r} has a word.",
                where=Where(field=source.name),
                fix=f"Leave the field out with roles={{{source.name!r}: 'ignore'}}.",
            )
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            member=member,
            tokenizer=plain.tokenizer,
            vocabulary=plain.vocabulary,
            length=plain.length,
            grams=grams,
        )


def _windows(ids: NDArray[np.int64], longest: int, base: int) -> list[NDArray[np.int64]]:
    """Return the keys of all windows of each length, (rows, windows); ``_NONE`` past the end."""
    keys = np.where(ids < base, ids, _NONE)
    keys[ids == PADDING] = _NONE
    found = [keys]
    for size in range(2, min(longest, ids.shape[1]) + 1):
        before, last = found[-1][:, :-1], keys[:, size - 1 :]
        found.append(np.where((before >= 0) & (last >= 0), before * base + last, _NONE))
    return found


def _texts_with(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct keys, sorted, and in how many rows each stands."""
    ordered = np.sort(keys, axis=1)
    first = np.ones(keys.shape, np.bool_)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return np.unique(ordered[first & (ordered >= 0)], return_counts=True)


def _digits(keys: NDArray[np.int64], size: int, base: int) -> NDArray[np.int64]:
    """Return the token ids of n-grams of ``size`` tokens one after the other."""
    powers = [base**power for power in reversed(range(size))]
    return np.stack([keys // power % base for power in powers], 1).ravel()
