"""The road on real data, where LEPTA_SAMPLES names the folder of it."""

from pathlib import Path

import numpy as np
import pytest

import lepta
from lepta.core.events import Context, Message

pytestmark = [pytest.mark.samples, pytest.mark.slow]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(cache=tmp_path_factory.mktemp("cache"))


def _metric(bundle: lepta.Bundle, name: str) -> float:
    return next(m.value for m in bundle.manifest.metrics if m.name == name)


def test_covid_ct_by_transfer_warns_of_its_shortcut(samples: Path, tmp_path: Path) -> None:
    said: list[object] = []
    context = Context(report=said.append, cache=tmp_path / "cache")
    path = samples / "covid_ct" / "labels.csv"
    data = lepta.Dataset.read(path, target="label", split="split", context=context)
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 425,
        "valid": 118,
        "test": 203,
    }
    bundle = lepta.fit(data, learner="transfer", context=context)
    assert _metric(bundle, "auroc") >= 0.89
    warned = [
        event.text for event in said if isinstance(event, Message) and event.level == "warning"
    ]
    assert any("Without seeing any content" in text for text in warned)
    assert any("Without seeing any content" in note for note in bundle.manifest.notes)
    assert "Without seeing any content" in bundle.read("card.md").decode()


def test_steel_defects_in_five_folds(samples: Path, context: Context) -> None:
    path = samples / "neu_det" / "labels.csv"
    data = lepta.Dataset.read(path, target="label", context=context)
    evaluation = lepta.cross_validate(data, k=5, learner="transfer", context=context)
    assert evaluation["accuracy"].value >= 0.99


def test_credit_card_default(samples: Path, context: Context) -> None:
    path = samples / "finance" / "taiwan_default.parquet"
    data = lepta.Dataset.read(path, target="default", context=context)
    bundle = lepta.fit(data, context=context)
    assert _metric(bundle, "auroc") >= 0.775


def test_traffic_signs(samples: Path, context: Context) -> None:
    arrays = np.load(samples / "gtsrb32" / "gtsrb32.npz")
    train, test = len(arrays["y_train"]), len(arrays["y_test"])
    columns = {
        "image": np.concatenate([arrays["X_train"], arrays["X_test"]]),
        "label": np.concatenate([arrays["y_train"], arrays["y_test"]]),
        "track": [*map(str, arrays["track"]), *(f"test {n}" for n in range(test))],
        "split": ["train"] * train + ["test"] * test,
    }
    data = lepta.Dataset.read(columns, target="label", group="track", split="split")
    settings = {"loop": {"epochs": 12}}
    bundle = lepta.fit(data, learner="resnet", settings=settings, context=context)
    assert _metric(bundle, "accuracy") >= 0.86
