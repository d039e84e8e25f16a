"""The parts of the loop: order, shares, schedules, layout, steps, probes, finder."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lepta.core.errors import ConfigError
from lepta.engine import Device
from lepta.models.networks import Network, ReferenceCnn
from lepta.tasks.objective import objective_of
from lepta.training.augment import blend, compose, draw_places, move
from lepta.training.finder import HIGHEST, LOWEST, find_learning_rate
from lepta.training.layout import fast_layout
from lepta.training.probes import Probe
from lepta.training.rows import Rows, batches, count_steps, share
from lepta.training.schedule import SCHEDULES
from lepta.training.step import Stepper
from lepta.tuning.candidates import build_learner
from lepta.tuning.options import FitOptions

CPU = Device(device="cpu", precision="fp32", threads=1)


@given(
    rows=st.integers(1, 400),
    batch=st.integers(1, 64),
    world=st.integers(1, 5),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch_whatever_the_number_of_workers(
    rows, batch, world, seed, epoch
):
    steps = batches(rows, batch, seed, epoch)
    assert len(steps) == count_steps(rows, batch)
    assert all(len(step) <= max(batch, 3) for step in steps)
    seen = [share(step, rank, world) for step in steps for rank in range(world)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(rows))


def test_the_order_changes_with_the_epoch_and_the_seed_only():
    first, same, later, other = (
        np.concatenate(batches(100, 8, *key)) for key in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert (first == same).all()
    assert (first != later).any()
    assert (first != other).any()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_zero_and_one(name):
    shares = [SCHEDULES[name](progress) for progress in np.linspace(0, 1, 101)]
    assert min(shares) > 0
    assert max(shares) == pytest.approx(1.0)
    if name != "constant":
        assert shares[-1] < 0.01
        assert shares[0] < 0.1


def test_the_fast_layout_changes_no_value_and_no_gradient(train):
    images = torch.from_numpy(train.arrays[0][:8])
    network = Network([ReferenceCnn(1, 16)], 64, 2).eval()

    def gradients():
        network.zero_grad()
        raw = network(images)
        raw.square().sum().backward()
        return [raw.detach(), *(p.grad.clone() for p in network.parameters())]

    layers = [type(layer) for layer in network.encoders[0].body]
    plain = gradients()
    names = list(network.state_dict())
    with fast_layout(network):
        assert [type(layer) for layer in network.encoders[0].body] != layers
        assert list(network.state_dict()) == names
        fast = gradients()
    assert [type(layer) for layer in network.encoders[0].body] == layers
    for one, other in zip(plain, fast, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def steppers(network, rows, task, options, places):
    for place in places:
        torch.manual_seed(0)
        yield Stepper(copy.deepcopy(network), rows, objective_of(task), options, CPU, place)


def still(network):
    """Return the network without what depends on the other rows of a batch, or on chance."""
    body = network.encoders[0].body
    body[1], body[4] = nn.Identity(), nn.Identity()
    return network


def test_a_step_in_parts_is_the_step_in_one(network, train, task, options):
    rows, weights = np.arange(16), np.random.default_rng(0).uniform(0.5, 2, len(train))
    data = Rows(train.arrays, train.y, weights)
    whole = next(steppers(still(network), data, task, options, [(0, 1)]))
    parts = next(steppers(network, data, task, replace(options, accumulate=5), [(0, 1)]))
    assert float(whole(rows, 3, 0.01)) == pytest.approx(float(parts(rows, 3, 0.01)), rel=1e-5)
    for one, other in zip(whole.parameters, parts.parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_gradients_of_the_workers_average_to_that_of_the_batch(network, train, task, options):
    weights = np.random.default_rng(0).uniform(0.5, 2, len(train))
    data = Rows(train.arrays, train.y, weights)
    options = replace(options, clip=0.0)

    def gradients(stepper, rows):
        stepper._change = lambda: None
        stepper(rows, 0, 0.0)
        return [p.grad for p in stepper.parameters]

    places = [(0, 1), (0, 3), (1, 3), (2, 3)]
    for rows in (np.arange(16), np.arange(2)):  # of the second, one worker has no row
        whole, *mine = (
            gradients(stepper, rows)
            for stepper in steppers(still(copy.deepcopy(network)), data, task, options, places)
        )
        for wanted, *found in zip(whole, *mine, strict=True):
            torch.testing.assert_close(sum(found) / 3, wanted, rtol=1e-3, atol=1e-6)


def test_workers_exchange_gradients_equally_often(network, train, task, options):
    def count(stepper):
        forward, calls = stepper.forward, []
        stepper.forward = lambda *args: calls.append(1) or forward(*args)
        stepper(np.arange(9), 0, 0.01)
        return len(calls)

    options = replace(options, accumulate=5)
    places = [(0, 2), (1, 2)]
    assert [count(s) for s in steppers(network, train, task, options, places)] == [5, 5]


def test_masks_move_with_their_images():
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(4, 1, 32, 32, generator=generator) > 0.5).float()
    images = torch.nn.functional.interpolate(images[:, :, ::8, ::8], scale_factor=8)
    theta = draw_places(4, generator)
    moved, masks = move(images, theta), move(images, theta, "nearest")
    assert ((moved > 0.5) == (masks > 0.5)).float().mean() > 0.97
    assert (masks != images).any()


@given(seed=st.integers(0, 1000), crop=st.floats(0.05, 1.0), mirror=st.booleans())
def test_parts_shown_are_as_large_as_was_asked_and_lie_in_the_image(seed, crop, mirror):
    plain = draw_places(16, torch.Generator().manual_seed(seed))
    theta = draw_places(16, torch.Generator().manual_seed(seed), crop, mirror)
    inner = torch.linalg.solve(
        plain[:, :, :2], theta - torch.nn.functional.pad(plain[:, :, 2:], (2, 0))
    )
    area = torch.linalg.det(inner[:, :, :2])
    assert (area.abs() >= crop * 0.999).all()
    assert (area.abs() <= 1.001).all()
    assert mirror or (area > 0).all()
    reach = inner[:, :, :2].abs().sum(2) + inner[:, :, 2].abs()
    assert (reach <= 1.001).all()


def test_half_of_the_images_are_mirrored_and_maps_are_composed_in_order():
    generator = torch.Generator().manual_seed(0)
    theta = draw_places(400, generator, mirror=True)
    assert 0.4 < (torch.linalg.det(theta[:, :, :2]) < 0).float().mean() < 0.6
    images = torch.rand(1, 1, 8, 8, generator=generator)
    flip = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    torch.testing.assert_close(move(images, flip), images.flip(3))
    part = torch.tensor([[[0.5, 0, 0.5], [0, 0.5, -0.5]]])  # the upper right quarter
    found = move(images.flip(3), part)
    torch.testing.assert_close(move(images, compose(flip, part)), found)


@pytest.mark.parametrize("wrong", [{"loop.crop": 0}, {"loop.crop": 1.5}, {"loop.contrast": -0.1}])
def test_parts_and_contrast_are_held_to_their_bounds(wrong):
    with pytest.raises(ConfigError, match=r"should be (greater|less) than"):
        build_learner("resnet", FitOptions(settings=wrong))


def test_blending_keeps_shares():
    values = torch.arange(6.0).reshape(3, 2)
    (found,) = blend([values], 0.75, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(found, 0.75 * values + 0.25 * values[[2, 0, 1]])


def test_the_finder_names_a_rate_that_trains_and_leaves_the_network(network, train, task, options):
    before = copy.deepcopy(network.state_dict())
    found = find_learning_rate(network, train, objective_of(task), options, CPU, seed=0)
    assert LOWEST * 10 < found.best < HIGHEST
    assert list(found.rates) == sorted(found.rates)
    assert min(found.losses) < found.losses[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_what_was_measured_is_remembered_and_the_network_left(
    network, train, task, options, context, monkeypatch
):
    before = copy.deepcopy(network.state_dict())
    monkeypatch.setattr("lepta.training.probes._remembered", {})
    probe = Probe(network, train, objective_of(task), replace(options, device="cpu"), context)
    device, batch = probe.precision(CPU), probe.batch(CPU)
    assert device.precision in ("fp32", "bf16")
    assert batch == 16  # 200 rows are few: larger batches would leave too few steps
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    monkeypatch.setattr("lepta.training.probes._remembered", {})
    monkeypatch.setattr(Probe, "_seconds", lambda *_: pytest.fail("measured again"))
    assert probe.precision(CPU).precision == device.precision
    assert probe.batch(CPU) == batch


def test_a_precision_that_was_asked_for_is_not_measured(
    network, train, task, options, context, monkeypatch
):
    monkeypatch.setattr(Probe, "_seconds", lambda *_: pytest.fail("measured"))
    probe = Probe(network, train, objective_of(task), options, context)
    assert probe.precision(CPU) is CPU
