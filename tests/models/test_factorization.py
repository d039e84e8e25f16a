"""Factors of two categories: what they find, what they say of strangers, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.errors import TrainError
from lepta.models.factorization import Settings, factors, predicted
from lepta.models.front.table import TableFront
from lepta.models.learner import LEARNERS
from lepta.runtime import Predictor

KINDS = {"user": "category", "item": "category", "stars": "number"}
FAST = {"rank": 4, "strengths": (2.0, 200.0), "passes": 6}


def planted(users: int = 60, items: int = 40, seed: int = 0) -> pd.DataFrame:
    """Half of all pairs: a mean, biases, and two tastes that biases cannot say."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(users * items)[: users * items // 2]
    user, item = chosen // items, chosen % items
    tastes = (rng.normal(size=(n, 2)) for n in (users, items))
    likes = np.einsum("rk,rk->r", *(t[of] for t, of in zip(tastes, (user, item), strict=True)))
    sides = rng.normal(scale=0.5, size=users)[user] + rng.normal(scale=0.5, size=items)[item]
    stars = 20 + 3 * (likes + sides + rng.normal(scale=0.1, size=len(user)))
    return pd.DataFrame({"user": [f"u{k}" for k in user], "item": item, "stars": stars})


def read(frame: pd.DataFrame) -> lepta.Dataset:
    return lepta.Dataset.read(frame, target="stars", kinds=KINDS, task="regression")


@pytest.fixture(scope="module")
def model() -> lepta.Bundle:
    return lepta.fit(read(planted()), learner="factorization", settings=FAST, audit=False)


def error(model: lepta.Bundle) -> float:
    (value,) = (metric.value for metric in model.manifest.metrics if metric.name == "rmse")
    return float(value)


def test_tastes_are_found_that_biases_cannot_say(model: lepta.Bundle) -> None:
    """A penalty so large that no factor is left leaves the biases."""
    only = FAST | {"strengths": (1e9,)}
    biases = lepta.fit(read(planted()), learner="factorization", settings=only, audit=False)
    assert error(model) < 0.5 * error(biases)


def test_strangers_are_answered_by_what_is_known(model: lepta.Bundle) -> None:
    frame = planted()
    rows = {"user": ["nobody"] * 41, "item": [*map(str, range(40)), "none"]}
    said = Predictor(model).scores(rows)[:, 0]
    assert said[-1] == pytest.approx(frame.stars.mean(), abs=0.5)
    means = frame.groupby("item").stars.mean().reindex(range(40))
    assert np.corrcoef(said[:-1], means)[0, 1] > 0.8


def test_weights_count_like_rows() -> None:
    rng = np.random.default_rng(1)
    codes = np.stack([rng.integers(1, 8, 120), rng.integers(1, 6, 120)], axis=1)
    y, mass = rng.normal(size=120), rng.integers(1, 4, 120)
    how = Settings(rank=2, strength=1.0, bias_strength=2.0, passes=4, seed=0)
    heavy = factors(y, codes, (8, 6), how, mass.astype(float))
    often = factors(np.repeat(y, mass), np.repeat(codes, mass, axis=0), (8, 6), how)
    for one, other in zip(heavy, often, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 5), rows=st.integers(1, 60))
def test_the_unknown_are_zero_and_penalties_bound_the_rest(seed: int, rank: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 9, rows), rng.integers(0, 5, rows)], axis=1)
    y = rng.normal(size=rows)
    how = Settings(rank=rank, strength=1.0, bias_strength=1.0, passes=3, seed=seed)
    sides = factors(y, codes, (10, 5), how)
    for side in sides:
        assert not side[0].any()
        assert np.isfinite(side).all()
    assert not sides[0][9].any()  # a code without rows
    strict = factors(y, codes, (10, 5), Settings(rank, 1e9, 1e9, 3, seed))
    assert np.abs(predicted(codes, strict)).max() < 1e-6


def test_no_category_is_too_rare_for_a_look_up() -> None:
    words = np.array([f"w{k}" for k in range(1500)], object)
    fields = read(planted()).schema.inputs[:1]
    sizes = {
        style: len(TableFront.fit({"user": words}, fields, style).vocabulary[0])
        for style in ("codes", "ids")
    }
    assert sizes == {"codes": 1000, "ids": 1500}


def test_other_inputs_are_refused_by_name() -> None:
    data = read(planted().assign(age=np.arange(1200.0)))
    with pytest.raises(TrainError, match=r"age \(number\)"):
        lepta.fit(data, learner="factorization", audit=False)
    learner = LEARNERS.get("factorization")()
    assert not learner.refusal(read(planted()).schema, read(planted()).task)
