"""scikit-learn estimators as bundles."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR, LinearSVC

import lepta
from lepta.core.errors import ExportError, TrainError
from lepta.core.events import Context

pytest.importorskip("skl2onnx")

LOADERS = {"cancer": load_breast_cancer, "iris": load_iris, "diabetes": load_diabetes}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(cache=tmp_path_factory.mktemp("cache"), threads=1)


def read(name: str, rows: int = 240) -> lepta.Dataset:
    frame = LOADERS[name](as_frame=True).frame.sample(
        rows if name != "iris" else 150, random_state=0
    )
    return lepta.Dataset.read(frame, target="target")


@pytest.mark.parametrize(
    ("estimator", "data", "metric", "least"),
    [
        (LogisticRegression(max_iter=2000), "cancer", "auroc", 0.97),
        (RandomForestClassifier(20), "iris", "accuracy", 0.85),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), "cancer", "auroc", 0.93),
        (RidgeClassifier(), "cancer", "auroc", 0.97),
        (LinearSVC(), "iris", "accuracy", 0.85),
        (make_pipeline(PolynomialFeatures(2), RandomForestRegressor(10)), "diabetes", "r2", 0.1),
        (SVR(C=100.0), "diabetes", "r2", 0.2),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str | float) else str(value),
)
def test_an_estimator_becomes_a_bundle(
    estimator: Any, data: str, metric: str, least: float, context: Context
) -> None:
    bundle = lepta.fit(read(data), model=estimator, audit=False, context=context)
    assert bundle.manifest.lineage.config["learner"] == "sklearn"
    assert next(m.value for m in bundle.manifest.metrics if m.name == metric) > least
    assert not hasattr(estimator, "n_features_in_")  # the estimator given is left alone


def test_an_estimator_of_the_wrong_kind_is_refused(context: Context) -> None:
    with pytest.raises(TrainError, match="MLPRegressor is no classifier"):
        lepta.fit(read("cancer"), model=MLPRegressor(), audit=False, context=context)


def test_one_that_takes_no_weights_says_so(context: Context) -> None:
    model = KNeighborsClassifier()
    with pytest.raises(TrainError, match="takes no row weights"):
        lepta.fit(read("cancer"), model=model, balance=True, audit=False, context=context)


class Unknown(LogisticRegression):
    def predict_proba(self, x: Any) -> Any:
        return np.roll(super().predict_proba(x), 1, axis=1)


def test_one_that_has_no_onnx_form_names_others(context: Context) -> None:
    for model in (Unknown(), BaggingClassifier(Unknown())):
        with pytest.raises(ExportError) as caught:
            lepta.fit(read("cancer"), model=model, audit=False, context=context)
        assert "RandomForestClassifier" in str(caught.value)


def test_the_seed_decides(context: Context) -> None:
    data, forest = read("iris"), RandomForestClassifier(5)
    one, again, other = (
        lepta.fit(data, model=forest, seed=seed, audit=False, context=context).read("model.onnx")
        for seed in (1, 1, 2)
    )
    assert one == again != other
