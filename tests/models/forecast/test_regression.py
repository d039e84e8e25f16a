"""Direct autoregression by ridge, from one pass over the rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from lepta.models.forecast.regression import Affine, Anchor, Products, mixture


def rows(series: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    own = 5 + rng.normal(size=(60, series, 4)).cumsum(axis=2)
    beside = rng.normal(size=(60, 3))
    y = own[:, :, -1:] + beside[:, None, :1] + rng.normal(size=(60, series, 2))
    return own, beside, y


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("anchor", ["none", "last", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_ridge_regression(anchor: Anchor, beside: bool, weighted: bool) -> None:
    own, told, y = rows(1)
    weights = np.random.default_rng(1).random(60) if weighted else None
    found = Products.of((own, told, y), each=False, weights=weights).normal(anchor, beside=beside)
    said = found.solve(0.1)(own, told)
    level = {"none": 0.0, "last": own[:, 0, -1:], "mean": own[:, 0].mean(axis=1, keepdims=True)}
    x = np.hstack([own[:, 0] - level[anchor], told if beside else told[:, :0]])
    total = 60 if weights is None else weights.sum()
    mean = np.average(x, axis=0, weights=weights)
    size = np.average(((x - mean) ** 2).sum(axis=1), weights=weights) / x.shape[1]
    ridge = Ridge(alpha=0.1 * size * total).fit(x, y[:, 0] - level[anchor], weights)
    np.testing.assert_allclose(said[:, 0], ridge.predict(x) + level[anchor], atol=1e-6)


def test_each_series_may_have_its_own() -> None:
    own, told, y = rows(2)
    y[:, 1] = -own[:, 1, :2]
    each = Products.of((own, told, y), each=True).normal("none", beside=True).solve(1e-5)
    shared = Products.of((own, told, y), each=False).normal("none", beside=True).solve(1e-5)
    assert each.window.shape == (2, 4, 2)
    assert shared.window.shape == (4, 2)
    off = [np.abs(model(own, told) - y).mean() for model in (each, shared)]
    assert off[0] < 0.7 * off[1]
    both = mixture([each, shared], [0.25, 0.75])
    wanted = 0.25 * each(own, told) + 0.75 * shared(own, told)
    np.testing.assert_allclose(both(own, told), wanted)
    assert isinstance(both.rounded(), Affine)
