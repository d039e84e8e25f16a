"""Recommendation: lists and their metrics, against plain references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from lepta.core.errors import DataError, SchemaError
from lepta.core.schema import Field, Kind
from lepta.evaluation import Evaluation, measure
from lepta.evaluation.report import page
from lepta.tasks import task_for, task_from_json
from lepta.tasks.recommendation import MASKED, Recommendation
from lepta.tasks.recommendation.metrics import MISS, popularity_ranks, ranks

ITEMS = tuple(f"i{k}" for k in range(30))
TASK = Recommendation(target="item", items=ITEMS, top=3)


def _sample(rows: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and shares that lean to it; a third of the items must not be recommended."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(ITEMS), rows)
    raw = rng.normal(size=(rows, len(ITEMS)))
    raw[np.arange(rows), y] += 1.5
    raw[rng.random(raw.shape) < 0.3] = MASKED
    return y, TASK.finish(raw)


def test_it_survives_json() -> None:
    assert task_from_json(TASK.model_dump(mode="json")) == TASK


def test_a_target_without_a_catalogue_is_refused() -> None:
    with pytest.raises(SchemaError, match="no items to recommend"):
        task_for(Field(name="item", kind=Kind.ID), "recommendation")


def test_an_item_that_is_not_in_the_catalogue_is_a_miss() -> None:
    assert TASK.encode(["i1", "new", "i2"]).tolist() == [1, -1, 2]
    _, scores = _sample(3)
    (hits,) = (m.value for m in measure(TASK, [-1, -1, -1], scores) if m.name == "hit_rate_50")
    assert hits == 0.0
    with pytest.raises(DataError, match="missing") as refused:
        TASK.encode(["i1", None])
    assert refused.value.where is not None
    assert refused.value.where.row == 2


def test_lists_hold_the_best_and_nothing_that_is_masked() -> None:
    raw = np.full((2, len(ITEMS)), MASKED)
    raw[0, [4, 2, 9, 7]] = [3.0, 1.0, 2.0, 0.0]
    raw[1, 5] = 0.0
    scores = TASK.finish(raw)
    assert scores.sum(axis=1) == pytest.approx(1.0)
    assert TASK.decide(scores).tolist() == [["i4", "i9", "i2"], ["i5", "", ""]]
    first, second = TASK.columns(scores)["prediction"]
    assert [pair["item"] for pair in first] == ["i4", "i9", "i2"]
    assert second == [{"item": "i5", "score": 1.0}]


def test_metrics_are_what_they_are_called() -> None:
    y, scores = _sample()
    found = {m.name: m for m in measure(TASK, y, scores)}
    places = [sorted(row, reverse=True).index(row[item]) + 1 if row[item] > 0 else np.inf
              for row, item in zip(scores, y, strict=True)]  # fmt: skip
    truth = np.eye(len(ITEMS))[y]
    offered = scores[np.arange(len(y)), y] > 0
    assert found["hit_rate_10"].value == pytest.approx(np.mean([p <= 10 for p in places]))
    assert found["hit_rate_1"].value == pytest.approx(np.mean([p == 1 for p in places]))
    assert found["mrr"].value == pytest.approx(np.mean([1 / p for p in places]))
    gains = ndcg_score(truth[offered], scores[offered], k=10) * offered.mean()
    assert found["ndcg_10"].value == pytest.approx(gains)
    for measured in found.values():
        assert measured.low <= measured.value <= measured.high


def test_ties_count_against_the_model() -> None:
    flat = np.full((1, 20), 0.05)
    assert ranks(np.array([0]), flat).tolist() == [20]


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_popularity_ranks_those_offered_in_the_order_of_the_catalogue(seed: int) -> None:
    y, scores = _sample(20, seed)
    for row, place in enumerate(popularity_ranks(y, scores)):
        offered = np.flatnonzero(scores[row] > 0).tolist()
        wanted = offered.index(y[row]) + 1 if y[row] in offered else MISS
        assert place == wanted


def test_the_report_draws_lists() -> None:
    y, scores = _sample()
    evaluation = Evaluation("films", TASK, measure(TASK, y, scores), y, scores)
    html = page(evaluation)
    for title in ("Hits by length of the list", "Hits by length of history", "Variety"):
        assert title in html
