"""Boxes: codes, answers, the matching and the metrics against pycocotools, parity."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.schema import Field, Kind, Role
from lepta.evaluation import measure
from lepta.tasks import task_for, task_from_json
from lepta.tasks.detection import Detection
from lepta.tasks.detection.boxes import overlap
from lepta.tasks.detection.matching import match
from lepta.tasks.metrics import METRICS

TASK = Detection(target="boxes", classes=("cat", "dog", "hen"), threshold=0.5, most=30)


def _random(seed: int, rows: int = 20, most: int = 30) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return truth, and scores of which some boxes lie near the true ones; many scores tie."""
    rng = np.random.default_rng(seed)
    truth, scores = np.empty(rows, object), np.zeros((rows, most, 6), np.float32)
    for row in range(rows):
        truth[row] = _boxes(rng, int(rng.integers(0, 6)))
        count = int(rng.integers(0, most + 1))
        said = _boxes(rng, count)
        for place in range(min(count, 2 * len(truth[row]))):
            said[place] = truth[row][place % len(truth[row])]
            said[place, :4] += rng.normal(0, 3, 4)
            said[place, 2:4] = np.maximum(said[place, 2:4], said[place, :2] + 1)
        points = np.sort(rng.integers(1, 40, count))[::-1] / 40
        scores[row, :count] = np.column_stack([said[:, :4], points, said[:, 4]])
    return truth, scores


def _boxes(rng: np.random.Generator, count: int) -> NDArray[Any]:
    corners = rng.uniform(0, 150, (count, 2))
    sides = rng.uniform(12, 50, (count, 2))
    classes = rng.integers(0, 3, (count, 1))
    return np.hstack([corners, corners + sides, classes]).astype(np.float32)


def _coco(truth: NDArray[Any], scores: NDArray[Any]) -> list[float]:
    """Return map50, map, map75 and recall100 as pycocotools summarises them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def sized(box: Any) -> list[float]:
        x0, y0, x1, y1 = map(float, box[:4])
        return [x0, y0, x1 - x0, y1 - y0]

    true = [
        {"image_id": row, "category_id": int(b[4]), "bbox": sized(b), "iscrowd": 0,
         "area": sized(b)[2] * sized(b)[3]}
        for row, boxes in enumerate(truth) for b in boxes
    ]  # fmt: skip
    said = [
        {"image_id": row, "category_id": int(b[5]), "bbox": sized(b), "score": float(b[4])}
        for row, boxes in enumerate(scores)
        for b in boxes[boxes[:, 4] > 0]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": row} for row in range(len(truth))],
            "annotations": [{**box, "id": number} for number, box in enumerate(true, 1)],
            "categories": [{"id": code} for code in range(3)],
        }
        known.createIndex()
        evaluated = COCOeval(known, known.loadRes(said), "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return [float(evaluated.stats[place]) for place in (1, 0, 2, 8)]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_the_metrics_are_those_of_coco(seed: int) -> None:
    truth, scores = _random(seed)
    found = [METRICS.get(name)(truth, scores) for name in ("map50", "map", "map75", "recall100")]
    np.testing.assert_allclose(found, _coco(truth, scores), atol=1e-12)


def test_a_weighting_counts_images_as_if_they_stood_there_that_often() -> None:
    truth, scores = _random(3)
    weights = np.random.default_rng(0).integers(0, 3, len(truth))
    scores[..., 4] += np.arange(len(truth))[:, None] * 1e-4 * (scores[..., 4] > 0)  # no ties
    scores[..., 4] /= 1.1
    again = np.repeat(np.arange(len(truth)), weights)
    for name in (*TASK.metrics, "box_f1"):
        metric = TASK.metric(name)
        value = metric(truth, scores, weights.astype(float), threshold=0.5)
        assert value == pytest.approx(metric(truth[again], scores[again], threshold=0.5), abs=2e-3)


def test_precision_and_recall_by_hand() -> None:
    truth = np.empty(2, object)
    truth[:] = [TASK.encode([[_box(0, 0, 10, 10, "cat"), _box(50, 50, 60, 60, "dog")]])[0],
                np.empty((0, 5), np.float32)]  # fmt: skip
    scores = np.zeros((2, 30, 6), np.float32)
    scores[0, :3] = [[0, 0, 10, 9, 0.9, 0], [0, 0, 10, 10, 0.8, 0], [50, 50, 60, 60, 0.4, 1]]
    scores[1, 0] = [0, 0, 5, 5, 0.6, 2]
    said = {name: TASK.metric(name)(truth, scores, threshold=0.5) for name in TASK.metrics[-3:]}
    assert said == pytest.approx({"box_precision": 1 / 3, "box_recall": 0.5, "box_f1": 0.4})
    assert TASK.row_errors(truth, scores).tolist() == [0.5, 1.0]
    assert match(truth, scores).tallies(0.3)[0].tolist() == [2, 3, 2]


def _box(x0: float, y0: float, x1: float, y1: float, label: str) -> dict[str, Any]:
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "class": label}


def test_measured_with_intervals() -> None:
    truth, scores = _random(1, rows=60)
    measured = {m.name: m for m in measure(TASK, truth, scores)}
    assert tuple(measured) == TASK.metrics
    for each in measured.values():
        assert each.low < each.value < each.high


def test_the_task_comes_from_the_field() -> None:
    field = Field(name="boxes", kind=Kind.BOXES, role=Role.TARGET, classes=("a", "b"))
    task = task_for(field)
    assert (task.name, task.classes, task.output().shape) == ("detection", ("a", "b"), (-1, 100, 6))
    assert task_from_json(task.model_dump(mode="json")) == task
    assert task_for(field, "detection", most=20, threshold="0.4").most == 20
    with pytest.raises(ConfigError, match="threshold"):
        task_for(field, threshold=2)
    with pytest.raises(ConfigError, match="distinct"):
        task_for(field, classes=["a", "a"])
    with pytest.raises(DataError, match="There is no box"):
        task_for(field.model_copy(update={"classes": ()}))
    with pytest.raises(SchemaError, match="holds no boxes"):
        task_for(Field(name="n", kind=Kind.NUMBER), "detection")


def test_boxes_become_arrays_and_faults_are_named() -> None:
    encoded = TASK.encode([[_box(1, 2, 3, 4, "hen")], []])
    assert encoded[0].tolist() == [[1, 2, 3, 4, 2]]
    assert encoded[1].shape == (0, 5)
    for boxes, message in (
        (None, "is missing"),
        ([_box(3, 2, 3, 4, "cat")], "has no area"),
        ([_box(1, float("nan"), 3, 4, "cat")], "has no area"),
        ([_box(1, 2, 3, 4, "hens")], "Did you mean 'hen'"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            TASK.encode([[], boxes])
        assert caught.value.where is not None
        assert caught.value.where.row == 2


def test_answers_are_the_boxes_above_the_threshold() -> None:
    scores = np.zeros((2, 30, 6), np.float32)
    scores[0, :2] = [[1.234567, 2, 3, 4, 0.5, 1], [1, 2, 3, 4, 0.499, 0]]
    columns = TASK.columns(scores)
    assert list(columns) == ["prediction", "count"]
    assert columns["prediction"].tolist() == [
        [{"box": [1.23, 2.0, 3.0, 4.0], "score": 0.5, "label": "dog"}],
        [],
    ]
    assert columns["count"].tolist() == [1, 0]
    item = TASK.answer_schema()["items"]
    assert set(item["properties"]) == set(columns["prediction"][0][0])


def test_impossible_scores_are_refused() -> None:
    truth, scores = _random(0, rows=3)
    TASK.check(truth, scores)
    with pytest.raises(DataError, match="need"):
        TASK.check(truth, scores[:2])
    for column, value, message in (
        (0, np.nan, "not a number"),
        (4, 1.5, "no box with a score"),
        (5, 3.0, "no box with a score"),
        (2, -1000.0, "no box with a score"),
    ):
        wrong = scores.copy()
        wrong[1, 0] = [0, 0, 10, 10, 0.9, 1]
        wrong[1, 0, column] = value
        with pytest.raises(DataError, match=message) as caught:
            TASK.check(truth, wrong)
        assert caught.value.where is not None
        assert caught.value.where.row == 2
    truth[1] = np.array([[0, 0, 1, 1, 7]], np.float32)
    with pytest.raises(DataError, match="class code"):
        TASK.check(truth, scores)


def test_the_threshold_is_the_one_of_the_best_f1_unless_it_is_given() -> None:
    truth, scores = _random(5, rows=40)
    free = Detection(target="boxes", classes=("cat", "dog", "hen"))
    learned = free.calibrated(scores, truth)
    f1 = free.metric("box_f1")
    best = max(f1(truth, scores, threshold=cut) or 0.0 for cut in np.linspace(0, 1, 201))
    assert f1(truth, scores, threshold=learned.threshold) == pytest.approx(best)
    assert learned.threshold != free.threshold
    assert TASK.calibrated(scores, truth) is TASK
    assert free.calibrated(np.zeros_like(scores), truth) is free


@given(st.integers(0, 10_000))
def test_the_order_of_boxes_makes_no_gap(seed: int) -> None:
    _, scores = _random(seed, rows=4)
    mixed = scores.copy()
    for row in mixed:
        np.random.default_rng(seed).shuffle(row)
    assert TASK.gap(scores, mixed) == pytest.approx(0.0, abs=1e-6)


def test_what_differs_makes_a_gap() -> None:
    scores = np.zeros((1, 4, 6), np.float32)
    scores[0, :3] = [[0, 0, 20, 20, 0.9, 0], [40, 40, 60, 60, 0.6, 1], [80, 0, 90, 9, 0.04, 0]]
    missing, moved, scored, faint = (scores.copy() for _ in range(4))
    missing[0, 0] = 0
    moved[0, 0, :4] += [5, 0, 5, 0]
    scored[0, 1, 4] = 0.5
    faint[0, 2] = [0, 80, 9, 90, 0.045, 1]
    assert TASK.gap(scores, missing) == pytest.approx(0.85)
    assert TASK.gap(missing, scores) == pytest.approx(0.85)
    assert TASK.gap(scores, moved) == pytest.approx(0.85 * 0.4, rel=1e-5)
    assert TASK.gap(scores, scored) == pytest.approx(0.1, rel=1e-5)
    assert TASK.gap(scores, faint) == 0.0
    other = scores.copy()
    other[0, 0, 5] = 1
    assert TASK.gap(scores, other) > 0.8


def test_a_full_list_may_end_elsewhere() -> None:
    scores = np.zeros((1, 2, 6), np.float32)
    scores[0] = [[0, 0, 20, 20, 0.9, 0], [40, 40, 60, 60, 0.6, 1]]
    other = scores.copy()
    other[0, 1] = [0, 40, 20, 60, 0.6, 1]
    assert TASK.gap(scores, other) == 0.0


def test_overlap_of_boxes_without_area_is_none() -> None:
    point = np.zeros((1, 4))
    assert overlap(point, point).tolist() == [[0.0]]
