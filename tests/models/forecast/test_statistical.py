"""Statistical forecasts: one graph, no future, the same twice, in time."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import lepta
from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.models.forecast.statistical import Statistical, StatisticalFitted
from lepta.models.learner import to_onnx
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session

Read = Callable[..., lepta.Dataset]


def fitted(
    data: lepta.Dataset, context: Context | None = None, **options: object
) -> StatisticalFitted:
    learner = Statistical(**options)  # type: ignore[arg-type]
    return learner.fit(data["train"], data["valid"], data.task, context or Context())


def error(model: StatisticalFitted, data: lepta.Dataset) -> float:
    y = data.targets(model.task)
    return float(np.abs(model.task.decide(model.scores(data, Context())) - y).mean())


def test_what_is_known_ahead_is_used(waves: lepta.Dataset) -> None:
    with_plan, without = fitted(waves), fitted(waves, beside=False)
    assert error(with_plan, waves["test"]) < 1.1
    assert error(with_plan, waves["test"]) < 0.8 * error(without, waves["test"])
    scores = with_plan.scores(waves["test"], Context())
    assert (np.diff(scores, axis=3) >= 0).all()
    y = waves["test"].targets(with_plan.task)
    assert 0.7 < ((scores[..., 0] <= y) & (y <= scores[..., 2])).mean() < 0.9


@pytest.mark.parametrize("kind", ["seasonal-naive", "drift", "theta", "ets", "ar"])
@pytest.mark.parametrize("logarithm", [False, True])
def test_the_graph_gives_the_same(
    waves: lepta.Dataset, kind: str, logarithm: bool, read: Read
) -> None:
    model = fitted(waves, kind=kind, logarithm=logarithm)
    assert (model.own.logs is not None) == logarithm
    session = open_session(to_onnx(model).SerializeToString())
    rows = read(120, gaps=True)
    wanted = model.scores(rows, Context())
    for some in (np.arange(len(rows)), np.array([0]), np.array([3, 1])):
        part = rows.take(some)
        fed = pack(model.front.signature(model.task), part.inputs())
        (got,) = session.run(None, fed)
        np.testing.assert_allclose(got, wanted[some], rtol=1e-5, atol=1e-4)


def test_a_series_that_has_just_begun_holds_its_first_value(waves: lepta.Dataset) -> None:
    model = fitted(waves, kind="seasonal-naive")
    short = model.own.run(np.zeros((1, 3, 30), np.float32))
    assert (short == 0).all()
    past = np.zeros((1, 3, 30), np.float32)
    past[:, :, 20:] = np.arange(1, 11)
    own = model.own.run(past)
    assert (own[0, :, :20] == 1.0).all()
    assert (own[0, :, 20:] == past[0, :2, 20:]).all()


def test_no_future_is_looked_at(read: Read) -> None:
    """A table that goes on otherwise gives the same model, and the same forecast at the break."""
    told, other = read(400), read(400, broken=330)
    cut = int(np.flatnonzero(told.numpy("past")[:, -1, 0] != other.numpy("past")[:, -1, 0])[0])
    rows = np.arange(cut - 5)  # these forecast nothing of what is after the break
    splits = {"train": rows[:230], "valid": rows[230:]}
    models = [fitted(data.with_splits(splits)) for data in (told, other)]
    graphs = [to_onnx(model).SerializeToString() for model in models]
    assert graphs[0] == graphs[1]
    last = [
        m.scores(d.take([cut - 1]), Context()) for m, d in zip(models, (told, other), strict=True)
    ]
    np.testing.assert_array_equal(*last)
    assert not np.array_equal(told.targets()[cut - 1], other.targets()[cut - 1])


def test_it_keeps_to_the_deadline(waves: lepta.Dataset) -> None:
    began = time.monotonic()
    model = fitted(waves, Context(deadline=began))
    assert time.monotonic() - began < 2.0
    assert model.members[0][1].name == "seasonal-naive 24"


@pytest.mark.parametrize("local", [False, True])
def test_models_add_up_to_one(waves: lepta.Dataset, local: bool) -> None:
    context = Context()
    one = fitted(waves, kind="ets", logarithm=False)
    learner = Statistical(kind="ar", logarithm=False)
    rows = (waves["train"], waves["valid"])
    other = learner.fit_with(one.front, rows, one.task, context)
    least = np.array([[0.1], [0.2]]) if local else None
    one, other = (replace(m, spread=replace(m.spread, least=least)) for m in (one, other))
    both = one.combine([other], [0.3, 0.9])
    assert both is not None
    test = waves["test"]
    wanted = 0.3 * one.raw_of(test, context) + 0.9 * other.raw_of(test, context)
    np.testing.assert_allclose(both.raw_of(test, context), wanted, rtol=1e-4, atol=1e-3)
    assert one.combine([fitted(waves, logarithm=True)], [0.5, 0.5]) is None


def test_more_rows_are_learned_from(waves: lepta.Dataset) -> None:
    model = fitted(waves)
    seen = waves.take(np.concatenate([waves.splits["train"], waves.splits["valid"]]))
    more = model.refit(seen, Context())
    assert [member.name for _, member in more.members] == [m.name for _, m in model.members]
    assert not np.array_equal(more.affine.window, model.affine.window)
    assert error(more, waves["test"]) < 1.1


def test_the_past_must_be_seen() -> None:
    columns = {"hour": np.arange(90), "load": np.arange(90.0) % 7, "plan": np.arange(90.0) % 5}
    window = {"length": 14, "horizon": 2, "past": ["plan"]}
    data = lepta.Dataset.read(columns, target="load", time_field="hour", window=window)
    with pytest.raises(TrainError, match="'load' is not seen"):
        fitted(data.split(valid=0.2, test=0.2))


def test_options_are_held_to_the_data(waves: lepta.Dataset) -> None:
    with pytest.raises(ConfigError, match="longer than the 30 steps"):
        fitted(waves, period=31)
    columns = {"hour": np.arange(90), "load": np.arange(90.0) % 7 - 3}
    window = {"length": 14, "horizon": 2}
    data = lepta.Dataset.read(columns, target="load", time_field="hour", window=window)
    with pytest.raises(ConfigError, match="no logarithm"):
        fitted(data.split(valid=0.2, test=0.2), logarithm=True)
