"""Several workers train one network; a killed training goes on to the very same weights."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lepta
from lepta.core.events import Context, Event, StageAdvanced
from lepta.data.simulate import simulate_ct
from lepta.training.loop import predict_network, train_network
from lepta.training.rows import Rows
from lepta.training.spread import _opened, _written

FIT = """
import sys
import lepta
from lepta.core.events import Context

labels, cache, runs = sys.argv[1:]
scans = lepta.Dataset.read(labels, target="lesion", group="patient_id")
loop = {"epochs": 4, "batch": 8, "checkpoint": runs, "checkpoint_seconds": 0, "device": "cpu:fp32"}
settings = {"loop": loop, "size": 32}
lepta.fit(scans, learner="cnn", audit=False, settings=settings, context=Context(threads=1))
"""


@pytest.mark.slow
def test_a_fit_killed_in_mid_epoch_ends_with_the_same_model(tmp_path: Path) -> None:
    labels = simulate_ct(tmp_path / "ct", patients=16, slices=4, size=32)
    script = tmp_path / "fit.py"
    script.write_text(FIT)
    cache, runs = tmp_path / "cache", tmp_path / "runs"
    victim = subprocess.Popen([sys.executable, script, labels, cache, runs])
    try:
        until = time.monotonic() + 120
        # 5 steps an epoch: the twelfth is inside the third.
        while not list(runs.glob("*/step-000000000012.checkpoint")):
            assert victim.poll() is None, "the fit ended before it was killed"
            assert time.monotonic() < until
            time.sleep(0.005)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    (left,) = [max(folder.glob("step-*")) for folder in runs.iterdir()]
    assert left.name < "step-000000000020"

    def fit(folder: Path) -> lepta.Bundle:
        scans = lepta.Dataset.read(str(labels), target="lesion", group="patient_id")
        loop = {"epochs": 4, "batch": 8, "checkpoint": str(folder), "device": "cpu:fp32"}
        return lepta.fit(
            scans,
            learner="cnn",
            audit=False,
            settings={"loop": loop, "size": 32},
            context=Context(threads=1),
        )

    resumed, undisturbed = fit(runs), fit(tmp_path / "other")
    for member in ("model.onnx", "workshop/network.safetensors"):
        assert resumed.read(member) == undisturbed.read(member)


def test_rows_that_are_written_again_leave_those_in_use(train, tmp_path: Path) -> None:
    """The same command begun twice must not take the rows from under the first."""
    held = _opened(_written(train, tmp_path / "train"))
    _written(Rows([train.arrays[0] + 1], train.y), tmp_path / "train")
    assert np.array_equal(held.arrays[0], train.arrays[0])


def test_two_workers_learn_what_one_does(network, train, valid, task, options, context) -> None:
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    options = replace(options, epochs=4, workers=2)
    first = train_network(network, train, valid, task, options, context)
    weights = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    scores = predict_network(first, ["image"], {"image": valid.arrays[0]})
    assert (scores.argmax(1) == valid.y).mean() >= 0.9
    network.load_state_dict(start)
    again = train_network(network, train, valid, task, options, context)
    assert all(torch.equal(again.state_dict()[name], weights[name]) for name in weights)


def test_workers_agree_on_a_short_schedule_and_on_parts(
    network, train, valid, task, options, context
) -> None:
    """Each has its own clock, and of nine rows one has five and the other four."""
    options = replace(
        options, epochs=10**6, patience=10**6, batch=9, accumulate=5, workers=2, strategy="fsdp"
    )
    events: list[Event] = []
    began = time.monotonic()
    limited = replace(context, deadline=began + 12, report=events.append)
    small = [Rows([rows.arrays[0][:27]], rows.y[:27]) for rows in (train, valid)]
    train_network(network, *small, task, options, limited)
    assert time.monotonic() - began < 60
    assert sum(isinstance(event, StageAdvanced) for event in events) > 1


def test_shards_and_copies_are_trained_alike(network, train, valid, task, options, context) -> None:
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    losses = []
    for changes in ({"workers": 1}, {"workers": 2}, {"workers": 2, "strategy": "fsdp"}):
        events: list[Event] = []
        network.load_state_dict(start)
        network.encoders[0].body[1] = torch.nn.Identity()  # else workers normalise apart
        network.encoders[0].body[4] = torch.nn.Identity()
        start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        given = replace(options, average=0.9, epochs=2, **changes)
        reporting = replace(context, report=events.append)
        train_network(network, train, valid, task, given, reporting)
        values = [event.values for event in events if isinstance(event, StageAdvanced)]
        losses.append([(value["loss"], value["valid_loss"]) for value in values])
    for found in losses[1:]:
        assert np.allclose(found, losses[0], rtol=1e-3), losses
