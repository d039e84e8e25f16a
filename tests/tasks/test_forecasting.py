"""Forecasting: shapes, answers, and metrics against their definitions."""

import numpy as np
import pytest
import torch

from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.schema import Field, Kind
from lepta.evaluation import Evaluation, measure
from lepta.evaluation.report import page
from lepta.tasks import task_for, task_from_json
from lepta.tasks.forecasting import Forecasting
from lepta.tasks.forecasting.objective import Pinball

TASK = Forecasting(target="load", fields=("load", "wind"), horizon=3)


def _scores(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(rows, 3, 2))
    middle = y + rng.normal(size=y.shape)
    return y, np.stack([middle - 1.3, middle, middle + 1.3], axis=3).astype(np.float32)


def test_it_survives_json() -> None:
    assert task_from_json(TASK.model_dump(mode="json")) == TASK


def test_a_target_that_is_no_stretch_is_refused() -> None:
    with pytest.raises(SchemaError, match="no stretch of time"):
        task_for(Field(name="load", kind=Kind.NUMBER), "forecasting")


def test_quantiles_rise_around_the_median() -> None:
    field = Field(name="load", kind=Kind.SERIES)
    with pytest.raises(ConfigError, match=r"0\.5 stands in the middle"):
        task_for(field, "forecasting", horizon=2, fields=("load",), quantiles=(0.1, 0.9))


def test_a_gap_in_the_truth_is_refused_by_row() -> None:
    values = np.zeros((2, 3, 2))
    values[1, 2, 0] = np.nan
    with pytest.raises(DataError, match="finite array") as refused:
        TASK.encode(values)
    assert refused.value.where is not None
    assert refused.value.where.row == 2


def test_columns_hold_every_field_and_quantile() -> None:
    _, scores = _scores(4)
    columns = TASK.columns(scores)
    assert list(columns)[:2] == ["prediction", "quantile[load:0.1]"]
    assert len(columns) == 1 + 2 * 3
    assert columns["quantile[wind:0.9]"][1] == scores[1, :, 1, 2].tolist()


def test_metrics_are_what_they_are_called() -> None:
    y, scores = _scores(300)
    found = {m.name: m for m in measure(TASK, y, scores)}
    middle = scores[..., 1].astype(float)
    assert found["forecast_mae"].value == pytest.approx(np.abs(middle - y).mean())
    assert found["forecast_rmse"].value == pytest.approx(np.sqrt(((middle - y) ** 2).mean()))
    inside = (np.abs(middle - y) <= 1.3).mean()
    assert found["forecast_coverage"].value == pytest.approx(inside, abs=1e-3)
    for measured in found.values():
        assert measured.low < measured.value < measured.high


def test_pinball_is_least_at_the_quantiles() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4000, 3, 2))
    loss = Pinball(TASK)
    loss.fit(y)

    def mean(levels: list[float]) -> float:
        raw = torch.tensor(levels).expand(4000, 3, 2, 3).reshape(4000, -1)
        return float(loss.losses(raw, torch.from_numpy(y)).mean())

    best = mean([-1.2816, 0.0, 1.2816])
    assert best < min(mean([-1.0, 0.0, 1.2816]), mean([-1.2816, 0.2, 1.2816]))
    assert best < mean([-1.2816, 0.0, 1.6])


def test_the_report_draws_it() -> None:
    y, scores = _scores(40)
    rows = tuple(f"row {k}" for k in range(40))
    text = page(Evaluation("load", TASK, measure(TASK, y, scores), y, scores, rows=rows))
    assert "Error by step ahead" in text
    assert "Worst rows" in text
