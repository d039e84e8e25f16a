"""N-grams counted in training and in the graph, and the linear model on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lepta
from lepta.core.events import Context
from lepta.core.space import Choice, Range, space_of
from lepta.models.bag import Bag
from lepta.models.front.grams import Grams
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.graph import Graph
from lepta.models.learner import Learner, to_onnx
from lepta.models.linear import Linear
from lepta.runtime.session import open_session

TOKENS = arrays(np.int64, st.tuples(st.integers(1, 6), st.just(7)), elements=st.integers(0, 5))


def padded(ids: np.ndarray) -> np.ndarray:
    """Return the ids with what stands after the first padding taken away."""
    return np.where(np.cumprod(ids != 0, axis=1, dtype=bool), ids, 0)


def by_graph(grams: Grams, ids: np.ndarray) -> np.ndarray:
    graph = Graph()
    tokens = graph.input("ids", "int64", (-1, ids.shape[1]))
    graph.output(grams.emit(graph, tokens), "vectors", "float32", (-1, len(grams)))
    (vectors,) = open_session(graph.build().SerializeToString()).run(None, {"ids": ids})
    return np.asarray(vectors)


@given(TOKENS, TOKENS, st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_the_graph_counts_as_training_does(
    seen: np.ndarray, new: np.ndarray, longest: int, least: int
) -> None:
    seen, new = padded(seen), padded(new)
    if not seen.any():
        return
    grams = Grams.of(seen, longest, least, 1000)
    vectors = grams.run(new).toarray()
    np.testing.assert_allclose(by_graph(grams, new), vectors, atol=1e-6)
    norms = np.linalg.norm(vectors, axis=1)
    assert np.all((norms == 0) | np.isclose(norms, 1, atol=1e-5))


def test_ngrams_are_those_that_enough_texts_have() -> None:
    ids = np.array([[2, 3, 2, 3], [2, 3, 4, 0], [4, 2, 0, 0]])
    grams = Grams.of(ids, 2, 2, 1000)
    one, two = grams.keys
    assert one.tolist() == [2, 3, 4]
    assert two.tolist() == [2 * 5 + 3], "only the pair 2 3 stands in two texts"
    assert np.argmax(grams.rarity[:3]) != 0, "2 stands in all texts, so it counts least"
    assert len(Grams.of(ids, 2, 1, 2)) <= 2


def reviews(rows: int = 120) -> lepta.Dataset:
    """Texts that are good if "not" stands before "bad", which no single word tells."""
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(rows):
        order = rng.permutation(["bad", "good"])
        texts.append(f"the cloth is not {order[0]} and the price is {order[1]}")
        labels.append("yes" if order[0] == "bad" else "no")
    columns = {"text": texts, "age": rng.normal(size=rows), "label": labels}
    data = lepta.Dataset.read(columns, target="label", kinds={"text": "text"})
    first = np.arange(rows)
    return data.with_splits({"train": first[: rows // 2], "valid": first[rows // 2 :]})


@pytest.fixture(scope="module")
def data() -> lepta.Dataset:
    return reviews()


def test_pairs_of_words_tell_what_single_ones_do_not(data: lepta.Dataset) -> None:
    def loss(grams: int) -> float:
        bag = Bag(grams=grams, tokenizer="own")
        fitted = bag.fit(data["train"], data["valid"], data.task, Context())
        scores = fitted.scores(data["valid"], Context())
        y = data["valid"].targets(data.task)
        return float(-np.log(scores[np.arange(len(y)), y]).mean())

    assert loss(1) > 0.5
    assert loss(2) < 0.1


@pytest.mark.parametrize("learner", [Bag(tokenizer="own"), Linear()])
def test_models_of_folds_add_up_to_one(data: lepta.Dataset, learner: Learner) -> None:
    halves = np.array_split(np.arange(len(data)), 2)
    context = share_rows(Context(), data, halves)
    parts = [shared_part(context, number) for number in (0, 1)]
    models = [learner.fit(parts[n], parts[1 - n], data.task, context) for n in (0, 1)]
    both = models[0].combine(models[1:], [0.25, 0.75])
    assert both is not None
    wanted = 0.25 * models[0].raw_of(data, Context()) + 0.75 * models[1].raw_of(data, Context())
    np.testing.assert_allclose(both.raw_of(data, Context()), wanted, atol=1e-5)
    assert len(to_onnx(both).graph.node) == len(to_onnx(models[0]).graph.node)
    apart = learner.fit(data["train"], data["valid"], data.task, Context())
    assert models[0].combine([apart], [0.5, 0.5]) is None, "its columns may be others"


def test_a_given_strength_is_taken(data: lepta.Dataset) -> None:
    fitted = Bag(strength=7.0, tokenizer="own").fit(
        data["train"], data["valid"], data.task, Context()
    )
    assert fitted.strength == 7.0
    space = space_of(Bag)
    assert isinstance(space["strength"], Range)
    assert isinstance(space["grams"], Choice)


def test_without_text_it_is_refused() -> None:
    data = lepta.Dataset.read({"x": [1.0, 2.0] * 9, "y": ["a", "b"] * 9}, target="y")
    assert "no text" in Bag().refusal(data.schema, data.task)
