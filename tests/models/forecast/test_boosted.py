"""Trees over lags ship in the graph, see no future, and stop in time."""

import pickle
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import lepta
from lepta.core.events import Context
from lepta.core.space import space_of
from lepta.models.forecast.boosted import BoostedForecast, ForecastTrees
from lepta.models.learner import to_onnx
from lepta.models.trees.learner import Trees
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session

Read = Callable[..., lepta.Dataset]
SMALL = Trees(rounds=60, patience=20, learning_rate=0.1, leaves=15, min_rows=20)


def fitted(
    data: lepta.Dataset, context: Context | None = None, **options: object
) -> BoostedForecast:
    learner = ForecastTrees(trees=SMALL, **options)  # type: ignore[arg-type]
    context = context or Context(threads=1)
    return learner.fit(data["train"], data["valid"], data.task, context)


@pytest.fixture(scope="module")
def model(waves: lepta.Dataset) -> BoostedForecast:
    return fitted(waves)


def error(model: BoostedForecast, data: lepta.Dataset) -> float:
    y = data.targets(model.task)
    return float(np.abs(model.task.decide(model.scores(data, Context())) - y).mean())


def test_trees_forecast_by_themselves(waves: lepta.Dataset, model: BoostedForecast) -> None:
    alone = fitted(waves, residual=False)
    repeated = np.abs(waves["test"].targets() - waves["test"].numpy("past")[:, -1:, :2]).mean()
    assert error(alone, waves["test"]) < 0.35 * repeated
    assert error(model, waves["test"]) < error(alone, waves["test"])
    assert error(model, waves["test"]) < 1.05 * error(model.base, waves["test"])


@pytest.mark.parametrize("residual", [False, True])
def test_the_graph_gives_the_same(
    waves: lepta.Dataset, model: BoostedForecast, read: Read, residual: bool
) -> None:
    chosen = model if residual else fitted(waves, residual=False)
    session = open_session(to_onnx(chosen).SerializeToString())
    rows = read(160, gaps=True)
    wanted = chosen.scores(rows, Context())
    for some in (np.arange(len(rows)), np.array([0]), np.array([3, 1])):
        part = rows.take(some)
        (got,) = session.run(None, pack(chosen.front.signature(chosen.task), part.inputs()))
        np.testing.assert_allclose(got, wanted[some], rtol=1e-5, atol=1e-3)


def test_what_is_read_is_of_its_step(waves: lepta.Dataset, model: BoostedForecast) -> None:
    """Seasons, the calendar and what is known ahead are those of the step that is forecast."""
    rows = waves.take([100])
    x = model.lags.run(model.front.run(rows, Context()), np.arange(1))
    x = x.reshape(2, 5, -1)
    np.testing.assert_array_equal(x[0, :, 0], np.arange(1, 6))
    np.testing.assert_array_equal(x[:, 0, 1], [0, 1])
    own = model.base.own.run(model.front.run(rows, Context())["past"])
    assert model.lags.periods == (24,)
    ago = own[0][:, 30 - 24 : 30 - 24 + 5]
    matches = [column for column in range(x.shape[2]) if np.allclose(x[..., column], ago)]
    assert len(matches) == 1
    hour = (np.asarray(rows.numpy("start"), float)[0] / 3600 + np.arange(5)) % 24
    assert any(np.allclose(x[0, :, c] * 24, hour, atol=0.01) for c in range(x.shape[2]))
    plan = model.front.run(rows, Context())["ahead"][0, 0]
    assert any(np.allclose(x[0, :, c], plan) for c in range(x.shape[2]))


def test_no_future_is_looked_at(read: Read) -> None:
    told, other = read(400), read(400, broken=330)
    cut = int(np.flatnonzero(told.numpy("past")[:, -1, 0] != other.numpy("past")[:, -1, 0])[0])
    splits = {"train": np.arange(230), "valid": np.arange(230, cut - 5)}
    models = [fitted(data.with_splits(splits)) for data in (told, other)]
    graphs = [to_onnx(model).SerializeToString() for model in models]
    assert graphs[0] == graphs[1]
    rows = [data.take([cut - 1]) for data in (told, other)]
    last = [m.scores(d, Context()) for m, d in zip(models, rows, strict=True)]
    np.testing.assert_array_equal(*last)


def test_it_keeps_to_the_deadline(waves: lepta.Dataset) -> None:
    began = time.monotonic()
    learner = ForecastTrees(trees=replace(SMALL, rounds=100_000, patience=100_000))
    rows = waves["train"], waves["valid"]
    learner.fit(*rows, waves.task, Context(deadline=began + 1.0, threads=1))
    assert time.monotonic() - began < 4.0


def test_it_goes_to_another_process_and_learns_more(
    waves: lepta.Dataset, model: BoostedForecast
) -> None:
    copy = pickle.loads(pickle.dumps(model))
    rows = waves["test"]
    np.testing.assert_array_equal(copy.scores(rows, Context()), model.scores(rows, Context()))
    seen = waves.take(np.concatenate([waves.splits["train"], waves.splits["valid"]]))
    more = model.refit(seen, Context(threads=1))
    assert more.booster.model.num_trees() == model.booster.rounds
    assert error(more, rows) < 1.1 * error(model, rows)


def test_what_can_be_tuned_is_told() -> None:
    assert {"residual", "recent"} <= set(space_of(ForecastTrees))


@pytest.mark.parametrize(("length", "horizon"), [(1, 1), (2, 3), (6, 1)])
def test_short_windows_are_enough(length: int, horizon: int) -> None:
    """Of one step, without a season, a calendar, or anything known ahead."""
    walk = np.random.default_rng(0).normal(size=150).cumsum()
    window = {"length": length, "horizon": horizon}
    data = lepta.Dataset.read({"load": walk}, target="load", window=window)
    data = data.split(valid=0.2, test=0.2)
    model = fitted(data)
    session = open_session(to_onnx(model).SerializeToString())
    rows = data["test"]
    (got,) = session.run(None, pack(model.front.signature(model.task), rows.inputs()))
    np.testing.assert_allclose(got, model.scores(rows, Context()), rtol=1e-5, atol=1e-4)
    repeated = np.abs(rows.targets() - np.asarray(rows.numpy("past"))[:, -1:]).mean()
    assert error(model, rows) < 1.5 * repeated
