"""Masks: codes, scores in the graph, metrics against other libraries, run lengths."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

import lepta
from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.schema import Field, Kind, Role
from lepta.evaluation import measure
from lepta.models.graph import Graph
from lepta.runtime.session import open_session
from lepta.tasks import task_for
from lepta.tasks.metrics import METRICS
from lepta.tasks.objective import objective_of
from lepta.tasks.segmentation import IGNORED, Segmentation, from_run_lengths, run_lengths

TWO = Segmentation(target="mask", classes=("background", "lesion"), values=(0, 255))
THREE = Segmentation(target="mask", classes=("none", "liver", "tumour"), values=(0, 1, 7))
RNG = np.random.default_rng(0)


def _field(*values: str) -> Field:
    return Field(name="mask", kind=Kind.MASK, role=Role.TARGET, classes=values)


def _scores(rows: int, side: int, classes: int) -> np.ndarray:
    odds = RNG.random((rows, side, side, classes)) ** 3
    return (odds / odds.sum(-1, keepdims=True)).astype(np.float32)


def test_the_task_comes_from_the_values_of_the_masks() -> None:
    assert task_for(_field("0", "255")).classes == ("background", "foreground")
    assert task_for(_field("0", "1", "7")).classes == ("background", "1", "7")
    named = task_for(_field("0", "1", "255"), classes=("air", "bone"), ignore=255)
    assert (named.classes, named.values, named.ignore) == (("air", "bone"), (0, 1), 255)
    with pytest.raises(DataError, match="only the value 0"):
        task_for(_field("0"))
    with pytest.raises(ConfigError, match="hold 2 values"):
        task_for(_field("0", "1"), classes=("a", "b", "c"))
    with pytest.raises(SchemaError, match="is no mask"):
        task_for(Field(name="n", kind=Kind.NUMBER), "segmentation")


def test_masks_become_codes_and_codes_masks() -> None:
    masks = [np.array([[0, 7], [1, 0]]), np.array([[7, 7, 1]])]
    codes = THREE.encode(masks)
    assert codes.dtype == object
    assert codes[0].tolist() == [[0, 2], [1, 0]]
    scores = np.empty(2, object)
    for row, mask in enumerate(codes):
        scores[row] = np.eye(3, dtype=np.float32)[mask]
    assert [mask.tolist() for mask in THREE.decide(scores)] == [mask.tolist() for mask in masks]
    with pytest.raises(DataError, match="holds 3, which is no class") as caught:
        THREE.encode([np.zeros((2, 2)), np.full((2, 2), 3)])
    assert caught.value.where.row == 2
    ignoring = TWO.model_copy(update={"ignore": 9})
    assert ignoring.encode([np.array([[0, 9]])]).tolist() == [[[0, IGNORED]]]


@pytest.mark.parametrize("task", [TWO, THREE])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_graph_finishes_as_numpy_does(task: Segmentation, temperature: float) -> None:
    raw = RNG.normal(0, 20, (2, task.width, 5, 4)).astype(np.float32)
    graph, output = Graph(), task.output()
    scores = task.emit(graph, graph.input("raw", "float32", (-1, task.width, -1, -1)), temperature)
    graph.output(scores, output.name, output.dtype, output.shape)
    (found,) = open_session(graph.build().SerializeToString()).run(None, {"raw": raw})
    wanted = task.finish(raw, temperature)
    assert found.shape == wanted.shape == (2, 5, 4) + ((3,) if task is THREE else ())
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_metrics_are_those_of_torchmetrics() -> None:
    y, scores = RNG.integers(0, 3, (6, 9, 9)).astype(np.uint8), _scores(6, 9, 3)
    said, true = torch.tensor(scores).argmax(-1).ravel(), torch.tensor(y).long().ravel()
    each = multiclass_f1_score(said, true, num_classes=3, average=None)[1:].mean()
    assert METRICS.get("dice")(y, scores) == pytest.approx(float(each), abs=1e-6)
    overlap = multiclass_jaccard_index(said, true, num_classes=3, average=None)[1:].mean()
    assert METRICS.get("iou")(y, scores) == pytest.approx(float(overlap), abs=1e-6)
    right = float((said == true).float().mean())
    assert METRICS.get("pixel_accuracy")(y, scores) == pytest.approx(right, abs=1e-6)


def test_weights_are_repeated_rows_and_ignored_pixels_do_not_count() -> None:
    y, scores = RNG.integers(0, 2, (5, 8, 8)).astype(np.uint8), RNG.random((5, 8, 8))
    times = np.array([2, 0, 1, 3, 1])
    for name in TWO.metrics:
        metric = METRICS.get(name)
        again = metric(np.repeat(y, times, 0), np.repeat(scores, times, 0))
        assert metric(y, scores, times) == pytest.approx(again)
    half = y.copy()
    half[:, :, 4:] = IGNORED
    assert METRICS.get("dice")(half, scores) == METRICS.get("dice")(y[:, :, :4], scores[:, :, :4])


def test_hausdorff_distance_by_brute_force() -> None:
    y = np.zeros((1, 20, 20), np.uint8)
    y[0, 3:9, 4:12] = 1
    scores = np.zeros((1, 20, 20), np.float32)
    scores[0, 5:14, 6:15] = 1
    edges = [np.argwhere(m & ~binary_erosion(m)) for m in (y[0] > 0, scores[0] > 0.5)]
    apart = cdist(*edges)
    wanted = np.percentile(np.concatenate([apart.min(1), apart.min(0)]), 95)
    assert METRICS.get("hausdorff95")(y, scores) == pytest.approx(wanted)
    assert METRICS.get("hausdorff95")(y, scores * 0) is None


def test_an_image_without_the_class_is_no_special_case() -> None:
    y, scores = np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4), np.float32)
    y[0, :2], scores[0, :2] = 1, 0.9
    assert METRICS.get("dice")(y, scores) == 1.0
    assert METRICS.get("dice_per_image")(y, scores) == 1.0
    assert METRICS.get("dice")(y[1:], scores[1:]) is None
    assert TWO.row_errors(y, scores).tolist() == [0, 0, 0]
    measured = {m.name: m for m in measure(TWO, y, scores)}
    assert measured["pixel_accuracy"].value == 1.0


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_round_trip(mask: np.ndarray) -> None:
    runs = run_lengths(mask)
    assert sum(runs) == mask.size
    assert (from_run_lengths(runs, mask.shape) == mask).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_lengths_are_those_of_coco() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    mask = RNG.random((6, 7)) < 0.4
    rle = coco.frPyObjects({"size": [6, 7], "counts": run_lengths(mask)}, 6, 7)
    assert (coco.decode(rle) == mask).all()


def test_an_answer_is_runs_and_shares() -> None:
    scores = np.zeros((1, 2, 3), np.float32)
    scores[0, 0, 1] = 0.9
    table = TWO.columns(scores)
    assert table["prediction"][0] == {"size": [2, 3], "counts": {"lesion": [2, 1, 3]}}
    assert table["area[lesion]"].tolist() == [1 / 6]


def test_scores_of_another_size_than_the_mask_are_refused() -> None:
    with pytest.raises(DataError, match="has the size"):
        TWO.check(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 5), np.float32))


def test_the_loss_falls_to_nothing_and_leaves_ignored_pixels_out() -> None:
    objective = objective_of(THREE)
    y = torch.from_numpy(RNG.integers(0, 3, (2, 6, 6)).astype(np.uint8))
    right = torch.nn.functional.one_hot(y.long(), 3).permute(0, 3, 1, 2).float() * 40
    assert objective.losses(right, y).max() < 1e-3
    assert objective.losses(-right, y).min() > 10
    hidden = y.clone()
    hidden[:, :3] = IGNORED
    wrong = right.clone()
    wrong[:, :, :3] *= -1
    assert objective.losses(wrong, hidden).max() < 1e-3


def test_masks_move_as_images_do() -> None:
    y = torch.zeros(1, 8, 8, dtype=torch.uint8)
    y[0, 2, 1] = 1
    shift = torch.tensor([[[1.0, 0, -0.25], [0, 1, 0.25]]])  # one pixel is 0.25 wide
    moved = objective_of(TWO).moved(y, shift)
    assert moved.dtype == torch.uint8
    assert torch.nonzero(moved[0]).tolist() == [[1, 2]]


def test_options_may_be_text() -> None:
    task = task_for(_field("0", "1", "255"), "segmentation", ignore="255", classes="ground, tree")
    assert (task.classes, task.values, task.ignore) == (("ground", "tree"), (0, 1), 255)


def test_the_distance_of_borders_leaves_ignored_pixels_out() -> None:
    y = np.zeros((1, 20, 20), np.uint8)
    y[0, 2:5, 2:5], y[0, 10:, 10:] = 1, IGNORED
    scores = np.where(y == 1, 1.0, 0.0)
    scores[0, 15:18, 15:18] = 1.0
    assert METRICS.get("hausdorff95")(y, scores) == 0


@pytest.mark.parametrize("strange", [0.5, np.nan, -1.0, 70000.0])
def test_values_that_no_mask_holds_are_refused(strange: float) -> None:
    masks = np.zeros((6, 8, 8))
    masks[:, 2:4, 2:4] = strange
    columns = {"image": np.zeros((6, 8, 8), np.float32), "mask": masks}
    with pytest.raises(SchemaError, match="whole numbers from 0 to 65535"):
        lepta.Dataset.read(columns, target="mask", kinds={"image": "image", "mask": "mask"})
