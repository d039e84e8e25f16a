"""Ranking: metrics against scikit-learn and by hand, the loss, and models of queries."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

import lepta
from lepta.core.errors import DataError, SchemaError
from lepta.evaluation import Evaluation, measure
from lepta.evaluation.report import page
from lepta.tasks import task_from_json
from lepta.tasks.ranking import Ranking
from lepta.tasks.ranking.metrics import Ordered, average_precision, ndcg, reciprocal_rank
from lepta.tasks.ranking.objective import ListNet

TASK = Ranking(target="grade")


def search(queries: int = 120, seed: int = 0) -> dict[str, list]:
    """Offers of searches: cheap and near ones are relevant, but only those of the right kind.

    A feature that is constant within a query is large where all grades are: it must not mislead.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, list] = {k: [] for k in ("query", "price", "far", "kind", "season", "grade")}
    for query in range(queries):
        rows = int(rng.integers(8, 25))
        price, far = rng.random(rows), rng.random(rows)
        kind = rng.choice(["flat", "house", "barn"], rows)
        good = (kind != "barn") * (2.2 - 2 * price - np.abs(far - 0.3)) + rng.normal(0, 0.2, rows)
        grades = np.digitize(good + rng.normal(0, 0.5), [0.6, 1.2, 1.7])
        columns["query"] += [f"q{query}"] * rows
        columns["price"] += price.tolist()
        columns["far"] += far.tolist()
        columns["kind"] += kind.tolist()
        columns["season"] += [float(rng.random())] * rows
        columns["grade"] += grades.tolist()
    order = rng.permutation(len(columns["query"]))
    return {name: [values[k] for k in order] for name, values in columns.items()}


def _sample(queries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(queries), rng.integers(2, 20, queries)))
    y = np.column_stack([rng.integers(0, 4, len(codes)), codes]).astype(np.float64)
    return y, rng.permutation(len(codes))[:, None] / len(codes)


def test_it_survives_json() -> None:
    assert task_from_json(TASK.model_dump(mode="json")) == TASK


@given(st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_metrics_agree_with_others(queries: int, seed: int) -> None:
    y, scores = _sample(queries, seed)
    ordered = Ordered.of(y, scores)
    for code in range(queries):
        mine = y[:, 1] == code
        grades, said = y[mine, 0], scores[mine, 0]
        if not grades.any():
            assert np.isnan(ndcg(ordered)[code])
            continue
        gains = 2.0**grades - 1
        wanted = ndcg_score([gains], [said], k=10)
        assert ndcg(ordered, 10)[code] == pytest.approx(wanted)
        assert ndcg(ordered)[code] == pytest.approx(ndcg_score([gains], [said]))
        wanted = average_precision_score(grades > 0, said)
        assert average_precision(ordered)[code] == pytest.approx(wanted)
        first = np.flatnonzero(grades[np.argsort(-said)] > 0)[0] + 1
        assert reciprocal_rank(ordered)[code] == pytest.approx(1 / first)


def test_queries_count_the_same_and_are_drawn_whole() -> None:
    y, scores = _sample(40, 1)
    found = {m.name: m for m in measure(TASK, y, scores, groups=y[:, 1])}
    values = ndcg(Ordered.of(y, scores), 10)
    assert found["query_ndcg_10"].value == pytest.approx(np.nanmean(values))
    for measured in found.values():
        assert measured.method == "clustered bootstrap"
        assert measured.low < measured.value < measured.high


def test_ties_count_against_the_model() -> None:
    y = np.array([[1.0, 0], [0, 0], [0, 0]])
    assert reciprocal_rank(Ordered.of(y, np.zeros((3, 1)))) == pytest.approx([1 / 3])


def test_the_loss_is_the_cross_entropy_of_each_query() -> None:
    y, scores = _sample(5, 2)
    losses = ListNet(TASK).losses(torch.from_numpy(4 * scores), torch.from_numpy(y)).numpy()
    for code in range(5):
        mine = y[:, 1] == code
        gains, odds = 2.0 ** y[mine, 0] - 1, np.exp(4 * scores[mine, 0])
        if gains.any():
            wanted = -(gains / gains.sum() * np.log(odds / odds.sum())).sum()
            assert losses[mine].sum() == pytest.approx(wanted)


@pytest.mark.parametrize("value", [0.5, -1.0, 31.0])
def test_what_is_no_grade_is_refused_by_row(value: float) -> None:
    with pytest.raises(DataError, match="no grade of relevance") as refused:
        TASK.encode([0.0, value])
    assert refused.value.where is not None
    assert refused.value.where.row == 2


def test_rows_without_queries_are_refused() -> None:
    columns = search(10)
    data = lepta.Dataset.read(columns, target="grade", task="ranking", roles={"query": "ignore"})
    with pytest.raises(SchemaError, match="belong to one query"):
        lepta.fit(data)


def test_trees_and_linear_models_learn_to_rank() -> None:
    """What is sought is no straight line, so trees do better; both better than by price alone."""
    data = lepta.Dataset.read(search(), target="grade", task="ranking", group="query").split()
    for part in data.splits:
        queries = set(data[part].column("query"))
        assert all(not queries & set(data[o].column("query")) for o in data.splits if o != part)
    found = {}
    for learner in ("trees", "linear"):
        model = lepta.fit(
            data, learner=learner, settings={"rounds": 150} if learner == "trees" else {}
        )
        found[learner] = lepta.evaluate(model, data["test"])
    test = data["test"]
    price = -test.numpy("price")[:, None]
    by_price = measure(TASK, test.targets(), price)[0].value
    assert found["trees"]["query_ndcg_10"].value > found["linear"]["query_ndcg_10"].value - 0.02
    assert found["linear"]["query_ndcg_10"].value > by_price + 0.05
    assert found["trees"].groups is not None
    html = page(found["trees"])
    assert "Quality by length of the list" in html
    assert isinstance(found["trees"], Evaluation)


def test_a_table_is_measured_by_the_queries_of_the_training(tmp_path: Path) -> None:
    model = lepta.fit(search(40), target="grade", task="ranking", group="query", learner="linear")
    unseen = search(15, seed=1)
    path = tmp_path / "unseen.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(unseen)
        writer.writerows(zip(*unseen.values(), strict=True))
    found = lepta.evaluate(model, path)
    assert found.groups is not None
    assert len(np.unique(found.groups)) == 15
    assert len(lepta.predict(model, {k: v for k, v in unseen.items() if k != "query"})) == len(
        found
    )
