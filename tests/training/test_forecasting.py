"""A forecaster learns what follows from the past, and ships as one graph."""

import numpy as np
import pytest
import torch

import lepta
from lepta.models.networks import network_to_onnx
from lepta.models.networks.forecast import Forecaster, ForecastShape
from lepta.runtime.session import open_session


@pytest.fixture(scope="module")
def waves() -> lepta.Dataset:
    """Two waves, the second of which follows the first by three hours."""
    hour = np.arange(700)
    rng = np.random.default_rng(0)
    load = 50 + 10 * np.sin(2 * np.pi * hour / 24) + rng.normal(size=700)
    columns = {"hour": hour, "load": load, "late": np.roll(load, 3), "plan": hour % 24}
    window = {"length": 24, "horizon": 6, "also": ["late"], "known": ["plan"]}
    return lepta.Dataset.read(columns, target="load", time_field="hour", window=window)


@pytest.fixture(scope="module")
def model(waves: lepta.Dataset) -> lepta.Bundle:
    return lepta.fit(waves, settings={"loop.epochs": 12, "hidden": 32, "local": 32}, audit=False)


def test_it_is_better_than_the_last_value(waves: lepta.Dataset, model: lepta.Bundle) -> None:
    test = waves.split()["test"]
    found = lepta.evaluate(model, test)
    repeated = np.abs(test.targets() - test.numpy("past")[:, -1:, :2]).mean()
    assert found["forecast_mae"].value < 0.5 * repeated
    assert 0.5 < found["forecast_coverage"].value < 0.99
    steps = np.abs(found.task.decide(found.scores) - found.y).mean(axis=(0, 1))
    assert steps[1] < 2.0


def test_a_saved_one_answers_plain_arrays(
    model: lepta.Bundle, waves: lepta.Dataset, tmp_path: object
) -> None:
    path = model.save(f"{tmp_path}/waves.lepta")
    rows = waves.take([5, 9])
    said = lepta.predict(path, rows.inputs())
    assert said.prediction.shape == (2, 6, 2)
    assert (np.diff(said.scores, axis=3) >= 0).all()
    one = said.rows()[0]
    assert len(one["prediction"]) == 6
    assert one["quantile[late:0.5]"] == pytest.approx(said.scores[0, :, 1, 1].tolist())


def test_the_graph_gives_what_the_network_gives() -> None:
    torch.manual_seed(0)
    shape = ForecastShape(1, (3, 8), 5, targets=(2, -1), horizon=4, quantiles=3)
    network = Forecaster(shape, (torch.randn(3), torch.rand(3) + 0.5), hidden=8, local=8).eval()
    examples = [torch.zeros(2, 5), torch.zeros(2, 3, 8)]
    session = open_session(network_to_onnx(network, examples).SerializeToString())
    names = [node.name for node in session.get_inputs()]
    for rows in (1, 2, 5):
        arrays = [torch.randn(rows, 5), torch.randn(rows, 3, 8)]
        fed = {name: array.numpy() for name, array in zip(names, arrays, strict=True)}
        (got,) = session.run(None, fed)
        wanted = network(*arrays).detach().numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        assert (np.diff(wanted.reshape(rows, 4, 2, 3), axis=3) > 0).all()
