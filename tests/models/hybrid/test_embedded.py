"""Features of pretrained networks, a linear model of them, and trees for what it leaves."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.events import Context
from lepta.core.schema import Field, Kind
from lepta.data import Dataset
from lepta.models.front import Front, fit_front
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.hybrid.embedded import EmbeddedTrees, View
from lepta.models.trees import Trees
from lepta.runtime.session import open_session

from .conftest import bent

SMALL = Trees(rounds=8, min_rows=5, learning_rate=0.2)


class Features:
    """Stands where the preprocessing of a field stands: a name and a width."""

    def __init__(self, name: str, width: int) -> None:
        self.source, self.optional, self.out_shape = (
            Field(name=name, kind=Kind.TEXT),
            False,
            (-1, width),
        )


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), tabular=st.booleans(), most=st.integers(1, 9))
def test_the_graph_sees_what_training_sees(seed: int, tabular: bool, most: int) -> None:
    rng = np.random.default_rng(seed)
    data = bent(seed, 40)
    table = fit_front(data, style="codes", image=None, context=Context())
    front = Front(table.table if tabular else None, (Features("one", 6), Features("two", 3)))
    arrays = {"one": rng.normal(5, 3, (40, 6)).astype("f4"), "two": rng.random((40, 3), "f4")}
    arrays |= table.run(data, Context()) if tabular else {}
    view = View.fit(front, arrays, most, seed)
    assert view.directions.shape == (9, most)
    weights = rng.normal(size=(len(view.center), 2)).astype("f4")
    bias = rng.normal(size=2).astype("f4")
    graph = Graph()
    values = {name: graph.input(f"in_{n}", "float32", (-1, array.shape[1]))
              for n, (name, array) in enumerate(arrays.items())}  # fmt: skip
    for number, name in enumerate(view.emit(graph, values, weights, bias)):
        graph.output(name, f"out_{number}", "float32", (-1, -1))
    session = open_session(graph.build().SerializeToString())
    given_ = {values[name]: array for name, array in arrays.items()}
    scores, seen = session.run(None, given_)
    np.testing.assert_allclose(scores, view.standard(arrays) @ weights + bias, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(seen, view.table(arrays), rtol=1e-3, atol=1e-3)
    if tabular:
        np.testing.assert_array_equal(seen[:, : arrays[TABLE].shape[1]], arrays[TABLE])


def test_directions_are_those_of_most_spread() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(200, 1))
    features = (hidden @ rng.normal(size=(1, 20)) + 0.1 * rng.normal(size=(200, 20))).astype("f4")
    view = View.fit(Front(None, (Features("one", 20),)), {"one": features}, 2, 0)
    along = view.table({"one": features})
    assert abs(np.corrcoef(along[:, 0], hidden[:, 0])[0, 1]) > 0.99
    np.testing.assert_allclose(along.mean(0), 0, atol=1e-3)


@pytest.fixture(scope="module")
def reviews() -> Dataset:
    rng = np.random.default_rng(0)
    good = rng.random(60) < 0.5
    text = np.where(good, "a good one, and it fits", "a bad one, and it tears")
    price = rng.normal(size=60)
    y = np.where(good == (price > 0), "kept", "returned")  # text and table must be seen together
    columns = {"text": text.tolist(), "price": price, "y": y}
    return Dataset.read(columns, target="y", kinds={"text": "text"})


def test_text_and_table_are_seen_together(reviews: Dataset) -> None:
    context = Context(threads=1)
    train, valid = reviews.take(np.arange(40)), reviews.take(np.arange(40, 60))
    learner = EmbeddedTrees(directions=2, trees=replace(SMALL, rounds=60, columns=1.0))
    model = learner.fit(train, valid, reviews.task, context)
    y = reviews.targets(reviews.task)
    raw = model.raw_of(reviews, context)
    linear = model.view.standard(model.front.run(reviews, context)) @ model.weights + model.bias
    assert (raw.argmax(1) == y).mean() > 0.9
    assert (linear.argmax(1)[40:] == y[40:]).mean() < 0.8
    kept = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(kept.raw_of(reviews, context), raw)
    again = learner.fit(train, valid, reviews.task, context)
    np.testing.assert_array_equal(again.raw_of(reviews, context), raw)
    assert model.refit(reviews, context).strength == model.strength


def test_no_text_and_no_image_is_refused() -> None:
    data = bent(0, 40)
    assert "no image and no text" in EmbeddedTrees().refusal(data.schema, data.task)
