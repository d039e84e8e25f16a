"""A network that adds to a statistical forecast begins as it, improves on it, and ships."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import lepta
from lepta.core.events import Context
from lepta.data.windows import PAST
from lepta.models.forecast.statistical import Statistical, StatisticalFitted
from lepta.models.networks import network_to_onnx
from lepta.models.networks.residual import ResidualForecaster
from lepta.runtime.session import open_session
from lepta.training.forecasting import HybridForecastLearner, statistics_of


@pytest.fixture(scope="module")
def sawtooth() -> lepta.Dataset:
    """A season that a linear model follows, and a sign known ahead that it cannot read."""
    rng = np.random.default_rng(0)
    hour = np.arange(700)
    sign = rng.uniform(-1, 1, 700)
    load = 60 + 10 * np.sin(2 * np.pi * hour / 24) + 12 * np.abs(sign) + rng.normal(size=700)
    columns = {"hour": hour, "load": load, "half": np.roll(load, 2) / 2, "sign": sign}
    window = {"length": 24, "horizon": 3, "also": ["half"], "known": ["sign"]}
    data = lepta.Dataset.read(columns, target="load", time_field="hour", window=window)
    return data.split(valid=0.15, test=0.2)


def based(data: lepta.Dataset, **options: object) -> StatisticalFitted:
    learner = Statistical(**options)  # type: ignore[arg-type]
    return learner.fit(data["train"], data["valid"], data.task, Context())


def network_of(base: StatisticalFitted, arrays: dict[str, np.ndarray]) -> ResidualForecaster:
    columns = sum(array[0].size for array in arrays.values())
    place = base.front.names.index(PAST)
    known = statistics_of(base, place, arrays[PAST].shape[1], columns)
    return ResidualForecaster(known, hidden=8, local=8).eval()


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("kind", ["theta", "ar"])
@pytest.mark.parametrize("local", [False, True])
def test_it_begins_as_the_statistical_forecast(
    sawtooth: lepta.Dataset, kind: str, logarithm: bool, local: bool
) -> None:
    base = based(sawtooth, kind=kind, logarithm=logarithm)
    least = np.array([[0.1], [0.2]]) if local else None
    offsets = np.sort(base.spread.offsets + np.array([-0.1, 0.0, 0.1]), axis=2)
    base = replace(base, spread=replace(base.spread, least=least, offsets=offsets))
    rows = sawtooth["test"]
    arrays = base.front.run(rows, Context())
    arrays[PAST][0, :, :7] = 0.0  # this series has just begun
    network = network_of(base, arrays)
    with torch.no_grad():
        said = network(*(torch.from_numpy(arrays[name]) for name in base.front.names))
    np.testing.assert_allclose(said.numpy(), base.raw(arrays), rtol=1e-4, atol=2e-3)


def test_the_graph_gives_what_the_network_gives(sawtooth: lepta.Dataset) -> None:
    base = based(sawtooth, logarithm=True)
    arrays = base.front.run(sawtooth["test"], Context())
    torch.manual_seed(0)
    network = network_of(base, arrays)
    torch.nn.init.normal_(network.local[-1].weight, std=0.1)
    names = base.front.names
    examples = [torch.from_numpy(arrays[name][:2]) for name in names]
    session = open_session(network_to_onnx(network, examples).SerializeToString())
    taken = [node.name for node in session.get_inputs()]
    for count in (1, 5):
        some = [arrays[name][:count] for name in names]
        (got,) = session.run(None, dict(zip(taken, some, strict=True)))
        wanted = network(*map(torch.from_numpy, some)).detach().numpy()
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-3)
        levels = wanted.reshape(count, 3, 2, 3)
        assert (np.diff(levels, axis=3) > 0).all()


def test_it_learns_what_the_statistical_forecast_leaves(
    sawtooth: lepta.Dataset, tmp_path: object
) -> None:
    settings = {"loop.epochs": 25, "batch": 16, "hidden": 64, "local": 32, "dropout": 0.1}
    model = lepta.fit(
        sawtooth, learner="hybrid-forecaster", settings=settings, audit=False, refit=False
    )
    plain = based(sawtooth)
    test = sawtooth["test"]
    y = test.targets()
    off = np.abs(plain.task.decide(plain.scores(test, Context())) - y).mean()
    found = lepta.evaluate(model, test)
    assert found["forecast_mae"].value < 0.93 * off
    said = lepta.predict(model.save(f"{tmp_path}/saw.lepta"), test.take([0, 5]).inputs())
    assert said.prediction.shape == (2, 3, 2)


def test_it_comes_back_from_another_process(sawtooth: lepta.Dataset) -> None:
    learner = HybridForecastLearner(hidden=8, local=8)
    learner = replace(learner, loop=replace(learner.loop, epochs=1, device="cpu:fp32"))
    model = learner.fit(sawtooth["train"], sawtooth["valid"], sawtooth.task, Context())
    rows = sawtooth["test"]
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.scores(rows, Context()), model.scores(rows, Context()))
