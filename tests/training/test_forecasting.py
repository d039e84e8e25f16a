"""A forecaster learns what follows from the past, and ships as one graph."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lepta
from lepta.app.cli import main
from lepta.core.errors import DataError
from lepta.data.latest import latest
from lepta.data.rereading import reading_of
from lepta.data.windows import WindowOptions
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
    assert found["forecast_mae"].method == "clustered bootstrap"
    assert len(np.unique(found.groups)) == len(test) // 12 + 1
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


def test_new_rows_are_read_with_the_fields_of_training(model: lepta.Bundle) -> None:
    """In their order, and as numbers, whatever the columns of the new rows look like."""
    told = reading_of(model.manifest)
    assert list(told["window"]["past"]) == ["load", "late", "plan"]
    assert told["kinds"] == dict.fromkeys(("load", "late", "plan"), "number")


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


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sensors by the hour, in a file."""
    hour = np.arange(400)
    rows = ["when,sensor,load,plan"]
    for sensor, level in (("a", 20.0), ("b", 60.0)):
        for k in hour:
            value = level + 5 * np.sin(2 * np.pi * k / 24)
            rows.append(f"2026-01-{1 + k // 24:02d}T{k % 24:02d}:00,{sensor},{value:.4f},{k % 24}")
    path = tmp_path_factory.mktemp("sensors") / "sensors.csv"
    path.write_text("\n".join(rows).replace("2026-01-32", "2026-02-01"))
    return path


def test_the_series_of_a_file_go_on(table: Path, tmp_path: Path) -> None:
    window = {"length": 24, "horizon": 4, "by": "sensor"}
    fast = {"loop.epochs": 15, "hidden": 32, "local": 32}
    model = lepta.fit(
        str(table), target="load", time_field="when", window=window, settings=fast, audit=False
    )
    path = model.save(tmp_path / "sensors.lepta")
    assert lepta.evaluate(path, table)["forecast_mae"].value < 1.5
    said = lepta.forecast(path, table)
    assert said["sensor"].tolist() == ["a"] * 4 + ["b"] * 4
    assert said["step"].tolist() == [1, 2, 3, 4] * 2
    wanted = [level + 5 * np.sin(2 * np.pi * k / 24) for level in (20, 60) for k in range(400, 404)]
    assert np.abs(said["prediction"] - wanted).max() < 2.5
    out = tmp_path / "next.csv"
    assert main(["predict", str(path), str(table), "-o", str(out)]) == 0
    assert out.read_text().startswith("sensor,start,step,field,prediction,quantile[0.1]")
    assert "2026-01-17" in out.read_text()


def test_what_is_known_ahead_must_be_given(table: Path) -> None:
    options = WindowOptions(length=8, horizon=3, by="sensor", past=("load",), known=("plan",))
    data = lepta.Dataset.read(table, target="load", time_field="when")
    with pytest.raises(DataError, match="given for 0 of 3 rows"):
        latest(data, options)
