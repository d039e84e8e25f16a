"""Tables that the tests of hybrids learn from."""

import numpy as np

from lepta.data import Dataset

TASKS = ("binary", "multiclass", "regression")


def bent(seed: int, rows: int = 120, task: str = "regression") -> Dataset:
    """Return numbers with gaps, a category and a date; the target follows a bend and a logarithm.

    Args:
        seed: of the randomness.
        rows: how many.
        task: "regression", "binary" or "multiclass" (three classes).
    """
    rng = np.random.default_rng(seed)
    number, other = rng.normal(size=rows), rng.lognormal(size=rows)
    value = np.maximum(number, 0) * 3 + np.log(other) + rng.normal(0, 0.1, rows)
    other[rng.random(rows) < 0.1] = np.nan
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, rows).astype("timedelta64[D]")
    city = rng.choice(["Rome", "Oslo", "Łódź"], rows).astype(object)
    city[rng.random(rows) < 0.1] = None
    columns = {"number": number, "other": other, "city": city.tolist(), "day": days.astype(str)}
    targets = {
        "regression": 1000 + 10 * value,
        "binary": np.where(value > 1, "yes", "no"),
        "multiclass": np.array(["a", "b", "c"])[np.digitize(value, [0.0, 2.0])],
    }
    return Dataset.read({**columns, "y": targets[task]}, target="y", task=task)


def graph_scores(model, data: Dataset) -> np.ndarray:
    """Return the final scores of a dataset by the graph of a model."""
    from lepta.bundle.manifest import Signature
    from lepta.models.front.front import plain_columns
    from lepta.models.learner import to_onnx
    from lepta.runtime.pack import pack
    from lepta.runtime.session import open_session

    session = open_session(to_onnx(model).SerializeToString())
    signature = Signature(inputs=model.front.inputs, tensors=model.front.tensors, outputs=())
    return session.run(None, pack(signature, plain_columns(data, model.front.inputs)))[0]
