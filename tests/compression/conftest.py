"""Real small bundles, fitted once: a residual CNN on digits, a network and trees on a table."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

import lepta
from lepta.core.events import Context
from lepta.core.schema import Kind

ONCE = {"loop.device": "cpu:fp32", "loop.augment": False}


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def digits():
    x, y = load_digits(return_X_y=True)
    grey = (x.reshape(-1, 8, 8) * 15.9).astype("u1")
    images = [png(np.asarray(Image.fromarray(a).resize((20, 20)))) for a in grey]
    table = {"img": images, "digit": [f"d{label}" for label in y]}
    return lepta.Dataset.read(table, target="digit", kinds={"img": Kind.IMAGE})


@pytest.fixture(scope="session")
def network(digits):
    settings = ONCE | {"loop.epochs": 3, "size": 16, "width": 0.5}
    return lepta.fit(
        digits, learner="resnet", audit=False, settings=settings, context=Context(threads=1)
    )


@pytest.fixture(scope="session")
def tumours():
    x, y = load_breast_cancer(return_X_y=True)
    table = {f"f{place}": x[:, place] for place in range(10)}
    table["kind"] = np.where(x[:, 20] > 16, "large", "small").tolist()
    return lepta.Dataset.read(table | {"ill": np.where(y, "no", "yes").tolist()}, target="ill")


@pytest.fixture(scope="session")
def table_network(tumours):
    settings = ONCE | {"loop.epochs": 10}
    return lepta.fit(tumours, learner="mlp", audit=False, settings=settings)
