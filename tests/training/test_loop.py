"""The loop learns, repeats itself for the same seed, and survives being stopped anywhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context, StageAdvanced
from lepta.engine.worker import Alone
from lepta.tasks import Regression
from lepta.training.loop import predict_network, train_as, train_network
from lepta.training.probes import Probe
from lepta.training.rows import Rows
from lepta.training.state import identity

KINDS = {
    "plain": {},
    "average": {"average": 0.9},
    "mixup": {"mixup": 0.4},
    "augment": {"augment": True},
    "focal and smoothed": {"focal": 2.0, "smoothing": 0.1},
    "cosine": {"schedule": "cosine"},
    "constant in parts": {"schedule": "constant", "accumulate": 3},
}


def accuracy(network, rows):
    scores = predict_network(network, ["image"], {"image": rows.arrays[0]})
    return (scores.argmax(1) == rows.y).mean()


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS.keys())
def test_every_way_of_training_learns(changes, network, train, valid, task, options, context):
    trained = train_network(
        network, train, valid, task, replace(options, epochs=6, **changes), context
    )
    assert accuracy(trained, valid) >= 0.95


def test_one_seed_makes_everything_the_same(network, train, valid, task, options, context):
    options = replace(options, augment=True, mixup=0.3, average=0.9)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(np.random.default_rng().integers(1 << 30))
        before = torch.get_rng_state()
        copy = type(network)([type(network.encoders[0])()], 8, 2)
        copy.load_state_dict(network.state_dict())
        torch.set_rng_state(before)
        runs.append(train_network(copy, train, valid, task, options, replace(context, seed=seed)))
        assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers moved"
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


class Stopped(Alone):
    """A worker that is asked to stop at a step."""

    def __init__(self, folder, context, after):
        super().__init__(folder, context)
        self.left = after

    def should_stop(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_stopped_at_any_step_it_goes_on_to_the_same_weights(
    average, train, valid, task, options, context, tmp_path, network
):
    options = replace(options, augment=True, average=average, checkpoint_seconds=0.0)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    whole = train_network(network, train, valid, task, options, context)
    wanted = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    for after in (1, 12, 13, 14, 27, 39):
        folder = tmp_path / str(after)
        for stop in (after, 1 << 30):
            network.load_state_dict(start)
            worker = Stopped(folder, context, stop)
            found = train_as(worker, network, train, valid, task, options)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted), after


def test_what_was_measured_is_in_the_checkpoint(
    train, valid, task, options, context, tmp_path, network, monkeypatch
):
    options = replace(options, batch="auto")
    train_as(Stopped(tmp_path, context, 1), network, train, valid, task, options)
    monkeypatch.delattr(Probe, "_seconds")
    resumed = replace(context, choices={})
    train_as(Alone(tmp_path, resumed), network, train, valid, task, options)
    assert resumed.choices == context.choices != {}


def test_a_finished_training_gives_its_result_again(
    network, train, valid, task, options, context, tmp_path
):
    options = replace(options, checkpoint=str(tmp_path / "runs"))
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = train_network(network, train, valid, task, options, context)
    wanted = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    events = []
    network.load_state_dict(start)
    again = train_network(
        network, train, valid, task, options, replace(context, report=events.append)
    )
    assert all(torch.equal(again.state_dict()[name], wanted[name]) for name in wanted)
    assert [event.done for event in events if isinstance(event, StageAdvanced)] == [3]


def test_another_training_never_goes_on_from_the_state_of_this(
    network, train, valid, task, options, context, tmp_path
):
    runs = tmp_path / "runs"
    options = replace(options, checkpoint=str(runs), epochs=1)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    other = Rows(train.arrays, 1 - train.y)
    brighter = train.arrays[0].copy()
    brighter[1] += 0.1
    weighed = replace(train, weights=np.linspace(0.5, 1.5, len(train)))
    turned = task.model_copy(update={"classes": ("yes", "no")})
    for data, watched, asked, given, seed in (
        (train, valid, task, options, 1),
        (train, valid, task, replace(options, weight_decay=0.1), 1),
        (other, valid, task, options, 1),
        (train, valid, task, options, 2),
        (replace(train, arrays=[brighter]), valid, task, options, 1),
        (weighed, valid, task, options, 1),
        (train, train, task, options, 1),
        (train, valid, turned, options, 1),
    ):
        network.load_state_dict(start)
        train_network(network, data, watched, asked, given, replace(context, seed=seed))
    assert len(list(runs.iterdir())) == 8


def test_what_the_weights_do_not_show_tells_trainings_apart(network, train, valid, task, options):
    def name():
        return identity(network, train, valid, task, options, 1)

    names = [name(), name()]
    network.encoders[0].body[4].p = 0.3
    names.append(name())
    network.encoders[0].requires_grad_(False)
    names.append(name())
    network.parameter_groups = lambda: [{"params": [*network.head.parameters()], "scale": 0.5}]
    names.append(name())
    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_it_stops_when_validation_no_longer_improves(network, train, task, options, context):
    events = []
    noise = np.random.default_rng(0)
    valid = Rows([noise.normal(size=(40, 1, 16, 16)).astype(np.float32)], noise.integers(0, 2, 40))
    options = replace(options, epochs=50, patience=2)
    train_network(network, train, valid, task, options, replace(context, report=events.append))
    losses = [e.values["valid_loss"] for e in events if isinstance(e, StageAdvanced)]
    assert len(losses) < 50
    assert len(losses) - 1 - int(np.argmin(losses)) == 3


def test_progress_tells_losses_and_seconds(network, train, valid, task, options, context):
    events = []
    train_network(network, train, valid, task, options, replace(context, report=events.append))
    values = [event.values for event in events if isinstance(event, StageAdvanced)]
    assert len(values) == 3
    assert all(set(value) == {"loss", "valid_loss", "seconds"} for value in values)


def test_rows_of_no_weight_teach_nothing(network, train, valid, task, options, context):
    wrong = Rows(
        [np.concatenate([train.arrays[0]] * 2)],
        np.concatenate([train.y, 1 - train.y]),
        np.repeat([2.0, 0.0], len(train)),
    )
    trained = train_network(network, wrong, valid, task, replace(options, epochs=6), context)
    assert accuracy(trained, valid) >= 0.95


def test_a_number_is_learnt_in_its_own_unit(network, train, valid, options, context):
    def brightness(rows):
        return 5000 + 1000 * rows.arrays[0].max((1, 2, 3)).astype(np.float64)

    network.head = torch.nn.Linear(8, 1)
    network.register_buffer("center", torch.zeros(1))
    network.register_buffer("scale", torch.ones(1))
    task = Regression(target="t")
    trained = train_network(
        network,
        Rows(train.arrays, brightness(train)),
        Rows(valid.arrays, brightness(valid)),
        task,
        replace(options, epochs=10),
        context,
    )
    found = predict_network(trained, ["image"], {"image": valid.arrays[0]})[:, 0]
    y = brightness(valid)
    assert np.sqrt(np.mean((found - y) ** 2)) < 0.6 * y.std()


def test_values_that_blow_up_are_an_error_with_a_remedy(
    network, train, valid, task, options, context
):
    broken = Rows([np.full_like(train.arrays[0], np.nan)], train.y)
    with pytest.raises(TrainError, match=r"loss is nan after epoch 1(.|\n)*fix: +Take a lower"):
        train_network(network, broken, valid, task, options, context)


def test_tokens_are_not_blended(train, valid, task, options, context, network):
    codes = Rows([train.arrays[0].astype(np.int64)], train.y)
    with pytest.raises(TrainError, match="Mixup blends numbers"):
        train_network(network, codes, valid, task, replace(options, mixup=0.2), context)


def test_a_device_that_is_not_there_is_refused(network, train, valid, task, options, context):
    with pytest.raises(ConfigError, match="no device"):
        train_network(network, train, valid, task, replace(options, device="cuda:7"), context)


def test_the_deadline_ends_the_training(network, train, valid, task, options):
    import time

    context = Context(deadline=time.monotonic() + 1.0, threads=1)
    train_network(
        network, train, valid, task, replace(options, epochs=10_000, patience=10_000), context
    )
    assert time.monotonic() < context.deadline + 2.0
