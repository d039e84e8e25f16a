"""A search of forecasts tries the cheapest first, and what it finds adds up to one graph."""

import numpy as np
import pytest

import lepta
from lepta.core.events import Context
from lepta.models.hybrid.blend import Blend
from lepta.models.learner import LEARNERS, to_onnx
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session
from lepta.tuning.options import FitOptions
from lepta.tuning.search.folding import plan_folds
from lepta.tuning.search.portfolio import portfolio
from lepta.tuning.search.run import searched
from lepta.tuning.search.unit import Candidate, fit_unit, open_bench


@pytest.fixture(scope="module")
def loads() -> lepta.Dataset:
    rng = np.random.default_rng(0)
    hour = np.arange(400)
    load = 50 + 10 * np.sin(2 * np.pi * hour / 24) + rng.normal(size=400)
    columns = {"hour": hour, "load": load, "plan": rng.random(400)}
    window = {"length": 30, "horizon": 4, "known": ["plan"]}
    data = lepta.Dataset.read(columns, target="load", time_field="hour", window=window)
    return data.split(valid=0.2, test=0.2)


def test_the_cheapest_is_tried_first(loads: lepta.Dataset) -> None:
    assert searched(FitOptions(time=60.0), loads.task)
    found = [candidate.learner for candidate in portfolio(loads.schema, loads.task, len(loads))]
    assert found == ["statistical", "forecast-trees", "forecaster", "hybrid-forecaster"]


def test_what_is_found_adds_up(loads: lepta.Dataset) -> None:
    folds = plan_folds(loads, loads.task, 0, given=False)
    assert not folds.crossed
    bench = open_bench(folds, loads.task, FitOptions(), None)
    small = {"trees.rounds": 5}
    units = [
        fit_unit(bench, Candidate(name, settings), 0, 60.0)
        for name, settings in (
            ("statistical", {}),
            ("forecast-trees", small),
            ("statistical", {"kind": "ets", "logarithm": False}),
        )
    ]
    weights = [0.5, 0.3, 0.2]
    blend = Blend.of([unit.fitted for unit in units], weights)
    test = loads["test"]
    wanted = sum(w * u.fitted.raw_of(test, Context()) for w, u in zip(weights, units, strict=True))
    np.testing.assert_allclose(blend.raw_of(test, Context()), wanted, rtol=1e-5, atol=1e-3)
    session = open_session(to_onnx(blend).SerializeToString())
    (got,) = session.run(None, pack(blend.front.signature(loads.task), test.inputs()))
    np.testing.assert_allclose(got.reshape(len(test), -1), wanted, rtol=1e-5, atol=1e-3)


def test_every_learner_of_the_task_is_registered(loads: lepta.Dataset) -> None:
    for name in loads.task.learners:
        assert not LEARNERS.get(name)().refusal(loads.schema, loads.task)
