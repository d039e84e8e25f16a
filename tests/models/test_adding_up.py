"""Learners of tables whose models add up: a bag of folds is one model of the kind."""

import pickle
import time

import numpy as np
import pytest

import lepta
from lepta.core.events import Context
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.learner import LEARNERS, Fitted, to_onnx
from lepta.training.tables.lean import LeanOptions

LEARNED: dict[str, dict[str, object]] = {
    "kernel": {"pieces": 8},
    "neighbours": {"rows": 5000},
    "linear": {},
    "tabm": {"network": LeanOptions(members=3, width=16, epochs=40, patience=6), "linear": True},
}
ONE = [name for name in LEARNED if name != "neighbours"]
"""Those whose models add up to one."""
CASES = [(name, task) for name in LEARNED for task in ("binary", "multiclass", "regression")]


def rows(task: str, count: int = 150, **columns: object) -> lepta.Dataset:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=count), rng.choice(["x", "y", "z"], count).astype(object)
    value = np.sin(2 * a) + (b == "x") + rng.normal(0, 0.2, count)
    a[::11], b[::13] = np.nan, None
    target = {
        "binary": np.where(value > 0, "yes", "no"),
        "multiclass": np.digitize(value, [-0.5, 0.8]).astype(str),
        "regression": 50 + 10 * value,
    }[task]
    return lepta.Dataset.read(
        {"a": a, "b": b, **columns, "y": target}, target="y", task=task,
        roles={"w": "weight"} if "w" in columns else {},
    )  # fmt: skip


def fold_models(name: str, data: lepta.Dataset) -> tuple[list[Fitted], Context]:
    order = np.arange(len(data))
    parts = [part for k in range(3) for part in (order[order % 3 != k], order[order % 3 == k])]
    context = share_rows(Context(threads=1), data, parts)
    learner = LEARNERS.get(name)(**LEARNED[name])
    models = [
        learner.fit(
            shared_part(context, 2 * k), shared_part(context, 2 * k + 1), data.task, context
        )
        for k in range(3)
    ]
    return models, context


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case[0] in ONE])
def test_a_bag_of_folds_is_one_model(name: str, task: str) -> None:
    data = rows(task)
    (first, *others), context = fold_models(name, data)
    shares = [0.5, 0.3, 0.4]
    whole = first.combine(others, shares)
    assert whole is not None
    wanted = sum(
        share * model.raw_of(data, context)
        for share, model in zip(shares, [first, *others], strict=True)
    )
    np.testing.assert_allclose(whole.raw_of(data, context), wanted, rtol=1e-4, atol=1e-4)
    single, bag = (len(to_onnx(model).graph.node) for model in (first, whole))
    assert bag <= single + 2


@pytest.mark.parametrize("name", LEARNED)
def test_models_come_back_from_other_processes_as_they_were(name: str) -> None:
    data = rows("multiclass")
    learner = LEARNERS.get(name)(**LEARNED[name])
    one, again = (
        learner.fit(data, data, data.task, Context(threads=1, seed=3)).raw_of(data, Context())
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, again)
    fitted = learner.fit(data, data, data.task, Context(threads=1, seed=3))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.raw_of(data, Context()), one)


@pytest.mark.parametrize("name", LEARNED)
def test_a_row_without_weight_is_no_row(name: str) -> None:
    """Rows of another truth, without weight, change little; with weight they change much."""
    data = rows("regression")
    wrong = np.arange(len(data)) % 3 == 0
    y = np.where(wrong, 500.0, data.targets(data.task))
    columns = {"a": data.numpy("a"), "b": data.column("b"), "y": y}
    good = data.keep(~wrong)

    def miss(weights: np.ndarray) -> float:
        read = lepta.Dataset.read(
            {**columns, "w": weights}, target="y", roles={"w": "weight"}, task="regression"
        )
        fitted = LEARNERS.get(name)(**LEARNED[name]).fit(read, read, read.task, Context(threads=1))
        return float(np.abs(fitted.raw_of(good, Context())[:, 0] - good.targets(data.task)).mean())

    assert miss(np.where(wrong, 0.0, 1.0)) < 10
    assert miss(np.ones(len(data))) > 15


@pytest.mark.parametrize(("name", "task"), CASES)
def test_time_is_kept(name: str, task: str) -> None:
    data = rows(task, 6000)
    began = time.monotonic()
    context = Context(threads=1, deadline=began + 0.2)
    fitted = LEARNERS.get(name)(**LEARNED[name]).fit(data, data, data.task, context)
    assert time.monotonic() - began < 3
    assert np.isfinite(fitted.raw_of(data, Context())).all()
