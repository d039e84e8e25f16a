"""Options of networks that a search may choose, and that they build what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepta
from lepta.core.events import Context
from lepta.core.space import Choice, Range, default_of, space_of
from lepta.models.learner import LEARNERS
from lepta.models.networks import network_to_onnx
from lepta.models.networks.encoders import encoder_for
from lepta.runtime.session import open_session
from lepta.training.finetune import Finetune
from lepta.training.neural import Cnn, Mixed, ResNet
from lepta.training.options import LoopOptions

SHAPE = (-1, 3, 20, 20)


@pytest.mark.parametrize("kind", [ResNet, Cnn, Mixed, Finetune])
def test_ranges_hold_the_default_or_say_that_it_is_chosen(kind: type) -> None:
    space = space_of(kind)
    assert "loop.learning_rate" in space
    for name, spread in space.items():
        value = default_of(kind, name)
        if isinstance(spread, Choice):
            assert value in spread.options, name
        else:
            assert isinstance(spread, Range)
            assert spread.low <= value <= spread.high, name


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("block", "kernel"), [("basic", 5), ("plain", 3), ("separable", 7)])
def test_every_cell_runs_in_the_graph_as_in_torch(block: str, kernel: int) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"block": block, "kernel": kernel, "widths": (4, 6)}
    encoder = encoder_for("resnet", SHAPE, **options).eval()
    images = torch.rand(3, *SHAPE[1:])
    model = network_to_onnx(encoder, [images[:2]])
    session = open_session(model.SerializeToString())
    (got,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(got, encoder(images).detach().numpy(), atol=1e-5)


def test_options_of_a_residual_network_change_it() -> None:
    def built(**options: Any) -> nn.Module:
        given = ResNet(**options).architecture()["image"]
        return encoder_for("resnet", SHAPE, **given)

    usual = parameters(built())
    assert parameters(built(width=2.0)) > 3 * usual
    assert parameters(built(stages=4)) > 3 * usual
    assert parameters(built(stages=2)) < usual / 3
    assert parameters(built(block="separable")) < usual / 3
    assert parameters(built(block="plain")) < usual < parameters(built(kernel=5))
    assert built(pool=True).strides[0] == 2 * built().strides[0]


def test_only_what_was_changed_is_asked_of_another_encoder() -> None:
    assert ResNet().architecture() == {"image": {}}
    assert Cnn(width=2.0).architecture() == {"image": {"width": 2.0}}
    assert LEARNERS.get("neural") is Mixed


@pytest.mark.parametrize("fusion", ["gated", "joined"])
def test_fields_are_fused_as_asked(fusion: Any, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 40)
    columns = {
        "image": (rng.random((40, 12, 12)) * 100 + 100 * label[:, None, None]).astype("u1"),
        "text": np.where(label, "a good one", "a bad one"),
        "y": np.where(label, "yes", "no"),
    }
    data = lepta.Dataset.read(columns, target="y", kinds={"text": "text"})
    parts = data.take(np.arange(30)), data.take(np.arange(30, 40))
    loop = LoopOptions(epochs=1, device="cpu:fp32")
    learner = Mixed(fusion=fusion, text_encoder="transformer", size=16, loop=loop)
    fitted = learner.fit(*parts, data.task, Context(threads=1, cache=tmp_path))
    network: Any = fitted.network
    assert (network.fusion.gates is None) == (fusion == "joined")
    assert network.plan.parts[1].encoder == "transformer"
    assert np.isfinite(fitted.raw_of(parts[1], Context(cache=tmp_path))).all()
