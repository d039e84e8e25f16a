"""Item-to-item transitions: what is taken soon after what, for recommending the next item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.schema import Kind, Role, Schema
from lepta.core.values import label_of
from lepta.models.front import Front
from lepta.models.front.sequence import SequenceFront
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner
from lepta.tasks import Task
from lepta.tasks.recommendation import MASKED, Recommendation
from lepta.tasks.recommendation.metrics import ranks

if TYPE_CHECKING:
    from lepta.data import Dataset

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

PRIOR = 1e-6
"""Weight of popularity beside transitions: it orders what no transition leads to."""
_UNSEEN = 0.1
"""Times that an item counts as taken beyond those it was, so that its share is not 0."""
_HELD = 5
_TARGETS = 4_000
_CHUNK = 256
_FADED = 1e-6


@dataclass(frozen=True)
class Settings:
    """How transitions are counted, weighed and followed.

    Attributes:
        decay: half-life of a pair, in steps between its items.
        backward: weight of a pair against its order.
        shrink: times that an item counts as taken beyond those it was, against rare ones.
        power: how much a popular item is held back, 0 for not at all.
        half_life: half-life of an item in the history, in items taken after it.
    """

    decay: float = 8.0
    backward: float = 0.2
    shrink: float = 10.0
    power: float = 0.3
    half_life: float = 3.0

    @property
    def recent(self) -> NDArray[np.float32]:
        """Weights of the last items of a history that still count, the latest last."""
        count = int(np.ceil(self.half_life * np.log2(1.0 / _FADED)))
        return np.asarray(0.5 ** (np.arange(count)[::-1] / self.half_life), np.float32)


@dataclass(frozen=True)
class Counts:
    """Counts of events: pairs of items by order, and items.

    Attributes:
        forward: sparse matrix (items, items), the decayed counts of "row, later column".
        popular: how often each item was taken, (items,).
    """

    forward: Any
    popular: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TransitionsFitted(Fitted):
    """The strongest transitions from each item, and the popularity of all.

    Attributes:
        followers: codes (items + 1, neighbours) of what follows an item; 0 for none. The first row
            is that of unknown items and of padding, and is empty.
        strengths: of these transitions, the same shape.
        prior: small weight of each item's popularity, (items,).
        settings: how they came about.
        options: those of the learner.
    """

    front: Front
    task: Recommendation
    followers: NDArray[np.int32]
    strengths: Floats
    prior: Floats
    settings: Settings
    options: Transitions

    def refit(self, rows: Dataset, context: Context) -> TransitionsFitted:
        sequences = _sequences(rows, self.task)
        return self.options.made(sequences.values(), self.task, self.front, self.settings)

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        (codes,) = arrays.values()
        weights = self.settings.recent
        recent = np.pad(codes, ((0, 0), (len(weights), 0)))[:, -len(weights) :]
        items = len(self.prior)
        found = np.empty((len(codes), items), np.float32)
        for row, own in enumerate(recent):
            strengths = self.strengths[own] * weights[:, None]
            total = np.bincount(self.followers[own].ravel(), strengths.ravel(), items + 1)[1:]
            found[row] = np.log(total + self.prior)
            if not self.task.repeat:
                found[row, codes[row][codes[row] > 0] - 1] = MASKED
        return found

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        (codes,) = values.values()
        weights, items = self.settings.recent, len(self.prior)
        size = len(weights)
        recent = graph.op("Pad", codes, graph.const([0, size, 0, 0], "int64"))
        recent = graph.op(
            "Slice", recent, *(graph.const([k], "int64") for k in (-size, 2**31 - 1, 1))
        )
        followers = graph.op("Gather", graph.const(self.followers), recent, axis=0)
        strengths = graph.op("Gather", graph.const(self.strengths), recent, axis=0)
        strengths = graph.op("Mul", strengths, graph.const(weights[None, :, None]))
        flat = graph.const([0, -1], "int64")
        followers = graph.op("Cast", graph.op("Reshape", followers, flat), to=7)
        strengths = graph.op("Reshape", strengths, flat)
        rows = graph.op("Gather", graph.op("Shape", codes), graph.const([0], "int64"))
        shape = graph.op("Concat", rows, graph.const([items + 1], "int64"), axis=0)
        empty = graph.op("Expand", graph.const(0.0, "float32"), shape)
        total = graph.op("ScatterElements", empty, followers, strengths, axis=1, reduction="add")
        scores = graph.op("Log", graph.op("Add", _items(graph, total), graph.const(self.prior)))
        if self.task.repeat:
            return scores
        ones = graph.op("Expand", graph.const(1.0, "float32"), graph.op("Shape", codes))
        taken = _items(graph, graph.op("ScatterElements", empty, codes, ones, axis=1))
        taken = graph.op("Greater", taken, graph.const(0.0, "float32"))
        return graph.op("Where", taken, graph.const(MASKED, "float32"), scores)

    def workshop(self) -> dict[str, bytes]:
        """Return the settings; the tables are in the graph, and new events need new counts."""
        recipe = {"learner": "transitions", "settings": vars(self.settings)}
        return {"workshop/recipe.json": json.dumps(recipe).encode()}


def _items(graph: Graph, matrix: str) -> str:
    """Leave out the first column, that of unknown items and padding."""
    first, last, axis = (graph.const([k], "int64") for k in (1, 2**31 - 1, 1))
    return graph.op("Slice", matrix, first, last, axis)


@dataclass(frozen=True)
class Transitions(Learner):
    """Sequential item-to-item recommendation: transitions between items, weighed by recency.

    An item is scored by how often it was taken soon after each item of the history: pairs within
    ``reach`` steps, decayed by their distance, divided by the popularity of the first item and by
    a power of that of the second; the latest items of the history count most. This is the
    sequential rules of Kamehkhosh et al. ("A comparison of frequent pattern techniques and a deep
    learning method for session-based recommendation", 2017) with recency and normalisation as in
    item-based neighbourhoods (Deshpande & Karypis, "Item-based top-N recommendation algorithms",
    2004). How much of each is chosen by NDCG at 10 on the last events that are not for testing.

    Attributes:
        reach: most steps between the items of a pair.
        neighbours: transitions that are kept of each item.
        decays, backwards, shrinks, powers, half_lives: values of :class:`Settings` that are tried,
            one setting after the other, twice.
    """

    reach: int = 32
    neighbours: int = 200
    decays: tuple[float, ...] = (4.0, 8.0, 16.0)
    backwards: tuple[float, ...] = (0.0, 0.2, 0.5)
    shrinks: tuple[float, ...] = (5.0, 10.0, 20.0)
    powers: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    half_lives: tuple[float, ...] = (2.0, 3.0, 5.0)

    tasks: ClassVar[frozenset[str]] = frozenset({"recommendation"})

    def unfit_for(self, schema: Schema, task: Task) -> str:
        if [field.kind for field in schema.inputs] == [Kind.SEQUENCE]:
            return ""
        found = ", ".join(f"{field.name} ({field.kind.value})" for field in schema.inputs)
        return f"its input is one sequence, such as the items taken before, not {found or 'none'}"

    def fit(
        self, train: Dataset, valid: Dataset, task: Task, context: Context
    ) -> TransitionsFitted:
        assert isinstance(task, Recommendation)  # noqa: S101
        (source,) = train.schema.inputs
        part = SequenceFront(source=source, tensor="sequence_0", optional=False, words=task.items)
        front = Front(table=None, fields=(part,))
        known, last = _sequences(train, task), _sequences(valid, task)
        settings = _Search(self, known | last, set(last), task, context).best()
        return self.made(known.values(), task, front, settings)

    def made(
        self, sequences: Any, task: Recommendation, front: Front, settings: Settings
    ) -> TransitionsFitted:
        """Return the model that ``settings`` make of sequences of codes."""
        counts = count_pairs(sequences, task.width, settings.decay, self.reach)
        followers, strengths = _strongest(weighed(counts, settings), self.neighbours)
        prior = (counts.popular + _UNSEEN) / (counts.popular.sum() + _UNSEEN * task.width)
        return TransitionsFitted(
            front=front,
            task=task,
            followers=followers,
            strengths=strengths,
            prior=np.asarray(PRIOR * prior, np.float32),
            settings=settings,
            options=self,
        )


class _Search:
    """The choice of settings on the last events of the sequences ``judged``.

    The last five events of each (half of them where there are fewer than ten) are predicted from
    those before; pairs are counted without them.
    """

    def __init__(
        self,
        learner: Transitions,
        sequences: Mapping[Any, Ints],
        judged: set[Any],
        task: Recommendation,
        context: Context,
    ) -> None:
        self.learner, self.task, self.context = learner, task, context
        held = {k: min(_HELD, len(s) // 2) if k in judged else 0 for k, s in sequences.items()}
        self.known = [s[: len(s) - held[key]] for key, s in sequences.items()]
        places = [(k, len(sequences[k]) - n) for k in judged for n in range(1, held[k] + 1)]
        rng = np.random.default_rng(context.seed)
        order = rng.permutation(len(places))[:_TARGETS]
        self.targets = [(sequences[k][:place], int(sequences[k][place]))
                        for k, place in (places[n] for n in order)]  # fmt: skip
        self.counts: dict[float, Counts] = {}
        self.tried: dict[Settings, float] = {}

    def best(self) -> Settings:
        """Return the settings with the highest NDCG at 10, one setting searched after the other."""
        learner = self.learner
        tried = {
            "decay": learner.decays,
            "backward": learner.backwards,
            "shrink": learner.shrinks,
            "power": learner.powers,
            "half_life": learner.half_lives,
        }
        chosen = Settings(**{name: values[len(values) // 2] for name, values in tried.items()})
        if not self.targets:
            return chosen
        total = 2 * sum(map(len, tried.values()))
        with self.context.stage("transitions", total=total, unit="setting") as stage:
            for name, values in (*tried.items(), *tried.items()):
                for value in values:
                    if self.tried and self.context.seconds_left() <= 0:
                        return chosen
                    new = replace(chosen, **{name: value})
                    if self._value(new) > self._value(chosen):
                        chosen = new
                    stage.advance(ndcg=self._value(chosen))
        self.context.say(
            f"transitions: {chosen} (NDCG at 10 {self._value(chosen):.4f} on "
            f"{len(self.targets)} events held out)"
        )
        return chosen

    def _value(self, settings: Settings) -> float:
        if settings not in self.tried:
            self.tried[settings] = self._judged(settings)
        return self.tried[settings]

    def _judged(self, settings: Settings) -> float:
        if settings.decay not in self.counts:
            counts = count_pairs(self.known, self.task.width, settings.decay, self.learner.reach)
            self.counts[settings.decay] = counts
        counts = self.counts[settings.decay]
        matrix = weighed(counts, settings)
        prior = PRIOR * (counts.popular + _UNSEEN) / max(counts.popular.sum(), 1.0)
        gains = []
        for begin in range(0, len(self.targets), _CHUNK):
            part = self.targets[begin : begin + _CHUNK]
            scores = self._scores([seen for seen, _ in part], matrix, settings) + prior
            if not self.task.repeat:
                for row, (seen, _) in enumerate(part):
                    scores[row, seen] = 0.0
            found = ranks(np.array([item for _, item in part]), scores)
            gains.append(np.where(found <= 10, 1.0 / np.log2(found + 1.0), 0.0))
        return float(np.concatenate(gains).mean())

    def _scores(self, seen: list[Ints], matrix: Any, settings: Settings) -> NDArray[Any]:
        weights = settings.recent
        recent = [codes[-len(weights) :] for codes in seen]
        rows = np.repeat(np.arange(len(recent)), [len(codes) for codes in recent])
        mass = np.concatenate([weights[len(weights) - len(codes) :] for codes in recent])
        history = _sparse(mass, rows, np.concatenate(recent), (len(seen), self.task.width))
        return np.asarray((history @ matrix).toarray())


def _sequences(data: Dataset, task: Recommendation) -> dict[Any, Ints]:
    """Return the codes of each group's longest sequence, what came next included.

    Without a group, and for rows that lack one, each row is a sequence of its own.
    """
    codes = {item: code for code, item in enumerate(task.items)}
    (source,) = data.schema.inputs
    group = data.schema.one(Role.GROUP)
    keys = [None] * len(data) if group is None else data.column(group.name)
    targets = data.column(task.target)
    found: dict[Any, Ints] = {}
    for row, history in enumerate(data.column(source.name)):
        items = [*(history or ()), label_of(targets[row]) or ""]
        sequence = np.array([codes[item] for item in items if item in codes], np.int64)
        key = ("row", int(data.row_numbers[row])) if keys[row] is None else keys[row]
        if len(sequence) and len(sequence) > len(found.get(key, ())):
            found[key] = sequence
    return found


def count_pairs(sequences: Any, items: int, decay: float, reach: int) -> Counts:
    """Count ordered pairs of items; one some steps apart counts 0.5 ** ((steps - 1) / decay).

    Args:
        sequences: codes of items in order, one array a user.
        items: number of items.
        decay: half-life in steps.
        reach: most steps.
    """
    held = list(sequences)
    codes = np.concatenate(held) if held else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(held)), [len(s) for s in held])
    forward = _sparse(np.empty(0), codes[:0], codes[:0], (items, items))
    for steps in range(1, min(reach, len(codes) - 1) + 1):
        same = owner[:-steps] == owner[steps:]
        first, second = codes[:-steps][same], codes[steps:][same]
        mass = np.full(len(first), 0.5 ** ((steps - 1) / decay))
        forward = forward + _sparse(mass, first, second, (items, items))
    return Counts(forward, np.bincount(codes, minlength=items).astype(np.float64))


def weighed(counts: Counts, settings: Settings) -> Any:
    """Return the strengths of all transitions, a sparse matrix (items, items)."""
    both = counts.forward + settings.backward * counts.forward.T
    mass = counts.popular + settings.shrink
    pairs = both.tocoo()
    strengths = pairs.data / (mass[pairs.row] * mass[pairs.col] ** settings.power)
    return _sparse(strengths, pairs.row, pairs.col, both.shape)


def _strongest(matrix: Any, most: int) -> tuple[NDArray[np.int32], Floats]:
    """Return the strongest entries of each row, the codes counted from 1; a first row is empty."""
    items = matrix.shape[0]
    width = max(1, min(most, int(np.diff(matrix.indptr).max(initial=0))))
    followers = np.zeros((items + 1, width), np.int32)
    strengths = np.zeros((items + 1, width), np.float32)
    for row in range(items):
        begin, end = matrix.indptr[row : row + 2]
        order = np.argsort(-matrix.data[begin:end], kind="stable")[:width]
        followers[row + 1, : len(order)] = matrix.indices[begin:end][order] + 1
        strengths[row + 1, : len(order)] = matrix.data[begin:end][order]
    return followers, strengths


def _sparse(values: Any, rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
    try:
        from scipy.sparse import csr_matrix
    except ModuleNotFoundError as error:
        raise missing_extra("scipy", "train", "Counting transitions") from error
    return csr_matrix((np.asarray(values, np.float32), (rows, columns)), shape=shape)
