"""Broken lines, from the table that trees read."""

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front import fit_front
from lepta.models.front.front import TABLE
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.graph import Graph
from lepta.models.hybrid.additive import Spline, basis_of
from lepta.models.learner import LEARNERS
from lepta.models.linear import linear_loss
from lepta.runtime.session import open_session

from .conftest import bent


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), knots=st.integers(0, 5))
def test_the_graph_makes_the_same_columns(seed: int, knots: int) -> None:
    data = bent(seed)
    front = fit_front(data, style="codes", image=None, context=Context())
    x = front.run(data, Context())[TABLE]
    basis = basis_of(front).bend(x, knots) if knots else basis_of(front)
    strange = x.copy()
    strange[:, 0] *= 1e6
    strange[:5, 1] = np.nan
    strange[5:9, 2] = 0  # no known city
    graph = Graph()
    graph.output(basis.emit(graph, graph.input("x", "float32", (-1, x.shape[1]))), "y", "float32",
                 (-1, basis.width))  # fmt: skip
    session = open_session(graph.build().SerializeToString())
    for rows in (x, strange, strange[:1]):
        np.testing.assert_allclose(session.run(None, {"x": rows})[0], basis.run(rows), atol=1e-5)


def test_without_hinges_it_is_what_linear_models_read() -> None:
    data = bent(0)
    codes = fit_front(data, style="codes", image=None, context=Context())
    dense = fit_front(data, style="dense", image=None, context=Context())
    made = basis_of(codes).run(codes.run(data, Context())[TABLE])
    wanted = dense.run(data, Context())[TABLE]  # numbers, flag, unknown city, cities, times
    order = [0, 1, 2, *range(7, 17), 4, 5, 6]
    np.testing.assert_allclose(made, wanted[:, order], atol=1e-5)


def test_it_bends_and_goes_on_straight() -> None:
    data = bent(0, 600)
    train, valid = data.take(np.arange(450)), data.take(np.arange(450, 600))
    context = Context(threads=1)
    losses = {}
    for name in ("linear", "spline"):
        model = LEARNERS.get(name)().fit(train, valid, data.task, context)
        losses[name] = linear_loss(
            model.raw_of(valid, context), valid.targets(data.task), data.task
        )
    assert losses["spline"] < 0.5 * losses["linear"]


def test_a_bag_is_one_model() -> None:
    data = bent(1, 200)
    parts = [np.arange(200)[np.arange(200) % 4 != k] for k in range(3)]
    context = share_rows(Context(threads=1), data, parts)
    trains = [shared_part(context, number) for number in range(3)]
    models = [Spline(knots=3 + k).fit(t, t, data.task, context) for k, t in enumerate(trains)]
    whole = models[0].combine(models[1:], (0.5, 0.2, 0.3))
    arrays = models[0].front.run(data, Context())
    wanted = sum(w * m.raw(arrays) for w, m in zip((0.5, 0.2, 0.3), models, strict=True))
    np.testing.assert_allclose(whole.raw(arrays), wanted, atol=1e-4)
    kept = pickle.loads(pickle.dumps(whole))  # as it comes back from a worker
    np.testing.assert_allclose(kept.raw(arrays), wanted, atol=1e-4)
    alone = Spline().fit(data, data, data.task, Context())
    assert models[0].combine([alone], (0.5, 0.5)) is None


def test_no_table_no_spline() -> None:
    data = Dataset.read({"words": ["a b c d"] * 8, "y": [1.0, 2.0] * 4}, target="y",
                        kinds={"words": "text"})  # fmt: skip
    assert "no plain field" in Spline().refusal(data.schema, data.task)
