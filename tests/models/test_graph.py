"""One graph out of parts."""

from __future__ import annotations

import numpy as np

from lepta.models.graph import Graph
from lepta.runtime.session import open_session


def part(weights: np.ndarray) -> Graph:
    graph = Graph()
    x = graph.input("x", "float32", (-1, len(weights)))
    graph.output(graph.op("MatMul", x, graph.const(weights)), "y", "float32", (-1, 40))
    return graph


def test_a_part_that_stands_in_twice_keeps_its_weights_once() -> None:
    weights = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    other = (weights * 2).astype(np.float32)
    whole = Graph()
    inputs = [whole.input(name, "float32", (-1, 50)) for name in "abc"]
    models = [part(weights).build(), part(weights).build(), part(other).build()]
    found = [
        whole.embed(model, {"x": value})[0] for model, value in zip(models, inputs, strict=True)
    ]
    whole.output(whole.op("Sum", *found), "sum", "float32", (-1, 40))
    model = whole.build()
    assert len(model.graph.initializer) == 2
    rows = {name: np.full((3, 50), 1.0 + k, np.float32) for k, name in enumerate("abc")}
    (got,) = open_session(model.SerializeToString()).run(None, rows)
    wanted = rows["a"] @ weights + rows["b"] @ weights + rows["c"] @ other
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
