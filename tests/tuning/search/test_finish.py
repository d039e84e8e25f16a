"""What a candidate costs, whatever kinds of field it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lepta
from lepta.core.events import Context
from lepta.models.bag import Bag
from lepta.models.learner import Learner
from lepta.training.neural import Mixed
from lepta.training.options import LoopOptions
from lepta.tuning.search.finish import costs_of


def test_rows_with_texts_and_images_are_timed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 40)
    texts: list[str | None] = ["a good one" if good else "a bad one" for good in label]
    texts[0] = None
    columns = {
        "image": (rng.random((40, 12, 12)) * 100 + 100 * label[:, None, None]).astype("u1"),
        "text": texts,
        "age": rng.normal(size=40),
        "y": np.where(label, "yes", "no"),
    }
    data = lepta.Dataset.read(columns, target="y", kinds={"text": "text"})
    train, valid = data.take(np.arange(30)), data.take(np.arange(30, 40))
    context = Context(threads=1, cache=tmp_path)
    loop = LoopOptions(epochs=1, device="cpu:fp32")
    learners: tuple[Learner, ...] = (Bag(tokenizer="own"), Mixed(size=16, loop=loop))
    for learner in learners:
        found = costs_of(learner.fit(train, valid, data.task, context), data)
        assert found["bytes"] > 100
        assert 0 < found["milliseconds"] < 1000
