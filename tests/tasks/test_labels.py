"""Several labels a row, and classes in an order: read, fitted, and the same in the graph."""

import numpy as np
import onnxruntime as ort
import pytest

import lepta
from lepta.core.errors import ConfigError, DataError, TrainError
from lepta.core.events import Context
from lepta.evaluation import measure
from lepta.models.graph import Graph
from lepta.tasks import Multilabel, Ordinal, Task

TAGS = Multilabel(target="tags", classes=("a", "b"))
GRADES = Ordinal(target="grade", classes=("low", "mid", "high"))


def _rows(count: int = 500) -> dict[str, list[object]]:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=count), rng.normal(size=count)
    on = np.stack([x + 0.4 * rng.normal(size=count) > 0, z > 0.5], axis=1)
    lists = [[label for label, there in zip("ab", row, strict=True) if there] for row in on]
    step = np.digitize(x + 0.4 * rng.normal(size=count), [-0.6, 0.6])
    grades = [("low", "mid", "high")[k] for k in step]
    return {"x": x.tolist(), "z": z.tolist(), "tags": lists, "grade": grades}


def _graph(task: Task, raw: np.ndarray) -> np.ndarray:
    graph = Graph()
    out = task.emit(graph, graph.input("raw", "float32", (-1, raw.shape[1])))
    spec = task.output()
    graph.output(out, spec.name, spec.dtype, spec.shape)
    (got,) = ort.InferenceSession(graph.build().SerializeToString()).run(None, {"raw": raw})
    return np.asarray(got)


@pytest.mark.parametrize("task", [TAGS, GRADES])
def test_the_graph_gives_the_same_probabilities(task: Task) -> None:
    raw = np.random.default_rng(0).normal(scale=8, size=(50, 2)).astype(np.float32)
    np.testing.assert_allclose(_graph(task, raw), task.finish(raw), atol=1e-6)


def test_probabilities_of_grades_add_up_and_the_median_is_answered() -> None:
    raw = np.random.default_rng(0).normal(scale=3, size=(200, 2))
    scores = GRADES.finish(raw)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert GRADES.decide(np.array([[0.4, 0.15, 0.45]])).tolist() == ["mid"]


def test_lists_text_and_columns_say_the_same() -> None:
    rows = _rows(60)
    text = {**rows, "tags": ["|".join(labels) for labels in rows["tags"]]}  # type: ignore[arg-type]
    flags = {name: values for name, values in rows.items() if name != "tags"}
    for label in "ab":
        flags[label] = [int(label in labels) for labels in rows["tags"]]  # type: ignore[operator]
    wanted = None
    for table, target in ((rows, "tags"), (text, "tags"), (flags, "a,b")):
        data = lepta.Dataset.read(table, target=target, task="multilabel")
        y = data.targets()
        wanted = y if wanted is None else wanted
        np.testing.assert_array_equal(y, wanted)
        assert data.task.classes == ("a", "b")  # type: ignore[attr-defined]


def test_a_label_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="'c' is not a label"):
        TAGS.encode([["a"], ["c"]])


def test_an_order_names_every_class_once() -> None:
    with pytest.raises(ConfigError, match="does not name every class"):
        _ = lepta.Dataset.read(
            _rows(30), target="grade", task="ordinal", task_options={"order": "low,high"}
        ).task


def test_metrics_of_labels_are_what_they_are_called() -> None:
    y = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.4, 0.8], [0.2, 0.3], [0.1, 0.9]])
    found = {m.name: m.value for m in measure(TAGS, y, scores)}
    assert found["hamming_loss"] == pytest.approx(1 / 8)
    assert found["subset_accuracy"] == pytest.approx(3 / 4)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["micro_f1"] == pytest.approx(6 / 7)
    assert found["label_average_precision"] == found["label_auroc"] == 1.0


def test_metrics_of_grades_count_steps() -> None:
    y = np.array([0, 1, 2, 2])
    scores = np.eye(3)[[0, 1, 2, 0]]
    found = {m.name: m.value for m in measure(GRADES, y, scores)}
    assert found["class_mae"] == pytest.approx(0.5)
    assert found["median_accuracy"] == pytest.approx(0.75)
    chance = np.mean([(a - b) ** 2 for a in (0, 1, 2, 0) for b in y])
    assert found["quadratic_kappa"] == pytest.approx(1 - 1.0 / chance)


@pytest.mark.parametrize("learner", ["linear", "trees"])
@pytest.mark.parametrize("task", ["multilabel", "ordinal"])
def test_a_fit_ends_in_answers(
    task: str, learner: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = _rows()
    target, other = ("tags", "grade") if task == "multilabel" else ("grade", "tags")
    table = {name: values for name, values in rows.items() if name != other}
    bundle = lepta.fit(
        table,
        target=target,
        task=task,
        task_options={} if task == "multilabel" else {"order": "low,mid,high"},
        learner=learner,
        settings={"rounds": 60} if learner == "trees" else {},
        context=Context(cache=tmp_path_factory.mktemp("cache"), threads=1),
    )
    first = bundle.manifest.metrics[0]
    assert first.value is not None
    assert first.value > 0.6
    predicted = lepta.predict(bundle, {"x": [3.0, -3.0], "z": [3.0, -3.0]}).rows()
    wanted = [["a", "b"], []] if task == "multilabel" else ["high", "low"]
    assert [row["prediction"] for row in predicted] == wanted
    assert "b" in bundle.read("card.md").decode()


def test_probabilities_near_nothing_have_a_threshold_too() -> None:
    """Networks that are sure answer 1e-8 for what is likelier than 1e-10."""
    task = Multilabel(target="tags", classes=("a",))
    raw = np.r_[np.linspace(-17, -16, 20), np.linspace(-22, -20, 80)][:, None]
    y = np.r_[np.ones(20), np.zeros(80)][:, None]
    made = task.calibrated(raw, y)
    assert made.answered(made.finish(raw)).sum() == 20


def test_labels_are_parted_in_other_files_as_in_training() -> None:
    rows = {"x": [1.0, 2.0, 3.0], "tags": ["red, dark;big", "big", "red, dark"]}
    data = lepta.Dataset.read(rows, target="tags", task="multilabel")
    assert data.task.reading == {"separator": ";"}
    one = lepta.Dataset.read(
        {"x": [1.0], "tags": ["red, dark"]},
        target="tags",
        task="multilabel",
        task_options=data.task.reading,
    )
    assert one.targets(data.task).sum() == 1


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_balance_that_a_learner_has_not_is_refused(name: str) -> None:
    tags = lepta.Dataset.read(_rows(60), target="tags", task="multilabel")
    with pytest.raises(TrainError, match="does not weigh the classes of the task 'multilabel'"):
        lepta.fit(tags, learner=name, balance=True, audit=False)
    x = np.random.default_rng(0).normal(size=60)
    number = lepta.Dataset.read({"x": x, "y": x**2}, target="y")
    with pytest.raises(TrainError, match=r"No learner can take this data\..*'regression'"):
        lepta.fit(number, balance=True, audit=False)
