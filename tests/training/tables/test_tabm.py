"""Small networks on tables: their encoding, their arrays, and how they are trained."""

import time
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.events import Context
from lepta.models.graph import Graph
from lepta.models.linear import Linear, linear_loss
from lepta.models.pieces import Pieces
from lepta.runtime.session import open_session
from lepta.training.tables.lean import LeanOptions, LeanRows, train_members
from lepta.training.tables.learner import ENCODINGS, TabM
from lepta.training.tables.members import Layer, Members

FAST = LeanOptions(members=4, width=16, epochs=40)


def random_members(rng: np.random.Generator, groups: int, inputs: int) -> Members:
    def made(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    sizes = [inputs, 5, 4]
    layers = tuple(
        Layer(made(groups, 3, n), made(groups, n, m), made(groups, 3, m))
        for n, m in pairwise(sizes)
    )
    return Members(layers, made(groups, 3 * 4, 2), made(2))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    groups=st.integers(1, 3),
    rows=st.integers(1, 9),
    most=st.sampled_from([1, 2, 8]),
    encoding=st.sampled_from(["pieces", "waves"]),
)
def test_the_graph_says_what_the_arrays_say(
    seed: int, groups: int, rows: int, most: int, encoding: str
) -> None:
    rng = np.random.default_rng(seed)
    table = np.round(rng.normal(size=(30, 3)), 1).astype(np.float32)
    table[:, 2] = table[:, 2] > 0
    encoded = ENCODINGS[encoding].of(table, most)
    members = random_members(rng, groups, 3 + len(encoded.columns))
    graph = Graph()
    name = graph.input("x", "float32", (-1, 3))
    graph.output(members.emit(graph, encoded.emit(graph, name)), "y", "float32", (-1, 2))
    x = np.vstack([table[: rows - 1], rng.normal(0, 5, (1, 3))]).astype(np.float32)
    (got,) = open_session(graph.build().SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(got, members.raw(encoded.run(x)), atol=1e-3, rtol=1e-4)


def test_a_sum_of_members_is_the_sum() -> None:
    rng = np.random.default_rng(0)
    parts = [random_members(rng, groups, 6) for groups in (1, 2)]
    x = rng.normal(size=(7, 6)).astype(np.float32)
    wanted = 0.3 * parts[0].raw(x) - 2 * parts[1].raw(x)
    np.testing.assert_allclose(Members.add(parts, [0.3, -2.0]).raw(x), wanted, atol=1e-3)


def test_pieces_are_places_between_quantiles() -> None:
    table = np.arange(101, dtype=np.float32)[:, None]
    encoded = Pieces.of(table, 4).run(table)
    assert encoded.shape == (101, 5)
    np.testing.assert_allclose(encoded[37, 1:], [0.5, -0.02, -0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(encoded[-1, 1:], 0.5)
    flags = np.tile([0.0, 1.0], 40).astype(np.float32)[:, None]
    assert not len(Pieces.of(flags, 4).columns)
    near = np.array([0, 1e-6, 2e-6, 1, 2, 3], np.float32)[:, None]
    assert Pieces.of(near, 5).width.min() > 1e-3


def waves(rows: int = 600) -> lepta.Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    y = 7000 + 300 * (np.sin(3 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0))
    columns = {f"x{k}": x[:, k] for k in range(3)}
    return lepta.Dataset.read({**columns, "y": y}, target="y", task="regression")


@pytest.mark.parametrize("encoding", ["pieces", "waves"])
def test_what_lines_cannot_say_is_learned(encoding: Literal["pieces", "waves"]) -> None:
    data = waves()
    parts = [data.take(rows) for rows in np.split(np.arange(600), [400, 500])]
    losses = []
    for learner in (Linear(), TabM(encoding=encoding, network=FAST)):
        fitted = learner.fit(parts[0], parts[1], data.task, Context(threads=1))
        raw = fitted.raw_of(parts[2], Context())
        losses.append(linear_loss(raw, parts[2].targets(data.task), data.task))
    assert losses[1] < 0.3 * losses[0]


def test_lines_go_on_where_networks_do_not() -> None:
    x = np.linspace(-1, 1, 400)
    columns = {"x": x, "y": 50 * x + np.sin(9 * x)}
    data = lepta.Dataset.read(columns, target="y", task="regression")
    inner, outer = data.keep(np.abs(x) < 0.6), data.keep(np.abs(x) > 0.8)
    errors = {}
    for linear in (False, True):
        learner = TabM(network=FAST, linear=linear)
        fitted = learner.fit(inner, inner, data.task, Context(threads=1))
        raw = fitted.raw_of(outer, Context())[:, 0]
        errors[linear] = np.abs(raw - outer.targets(data.task)).mean()
    assert errors[True] < 0.5 * errors[False]


def test_a_model_fitted_again_knows_all_rows() -> None:
    """The second half says the opposite of the first."""
    x = np.tile(np.linspace(-1, 1, 150), 2)
    y = np.where(np.arange(300) < 150, x, -x)
    data = lepta.Dataset.read({"x": x, "y": y}, target="y", task="regression")
    first = data.take(np.arange(150))
    fitted = TabM(network=FAST).fit(first, first, data.task, Context(threads=1))
    assert np.ptp(fitted.raw_of(first, Context())) > 1.5
    again = fitted.refit(data, Context(threads=1))
    assert np.ptp(again.raw_of(first, Context())) < 0.5


def test_a_step_is_the_last_when_time_is_up() -> None:
    rng = np.random.default_rng(0)
    rows = LeanRows(rng.normal(size=(20_000, 50)).astype(np.float32), rng.normal(size=20_000), None)
    task = waves(60).task
    began = time.monotonic()
    context = Context(threads=1, deadline=began + 0.1)
    members, epochs = train_members(rows, rows, task, LeanOptions(), context)
    assert epochs == 1
    assert time.monotonic() - began < 3
    assert np.isfinite(members.raw(rows.x[:10])).all()


@pytest.mark.parametrize("name", ["members", "width", "depth"])
def test_sizes_are_as_asked(name: str) -> None:
    data = waves(80)
    one = TabM(network=LeanOptions(epochs=1, **{name: 3}))
    body = one.fit(data, data, data.task, Context(threads=1)).body
    found = {"members": body.layers[0].bias.shape[1], "width": body.layers[0].bias.shape[2]}
    assert {**found, "depth": len(body.layers)}[name] == 3
