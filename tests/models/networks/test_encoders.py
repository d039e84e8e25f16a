"""Every encoder keeps the contract, and those that cannot be made say why."""

import pytest
import torch

from lepta.core.errors import ConfigError
from lepta.core.schema import Kind
from lepta.models.networks.conformance import encoder_faults
from lepta.models.networks.encoders import ENCODERS, encoder_for, encoders_for

SMALL = {"width": 0.25, "depth": 0.1}
SHAPES: dict[Kind, tuple[int, ...]] = {
    Kind.IMAGE: (-1, 3, 32, 40),
    Kind.VOLUME: (-1, 1, 6, 12, 9),
    Kind.TEXT: (-1, 11),
    Kind.AUDIO: (-1, 20, 26),
    Kind.SERIES: (-1, 3, 21),
    Kind.NUMBER: (-1, 7),
}
"""The shape of a small array of each kind of field."""
NEEDED = {Kind.TEXT: {"vocabulary": 50}}
"""Options without a default."""


def shape_and_needs(name: str) -> tuple[tuple[int, ...], dict[str, int]]:
    kind = ENCODERS.get(name).kinds[0]
    least = (1, *ENCODERS.get(name).smallest)
    shape = tuple(-1 if n < 0 else max(n, m) for n, m in zip(SHAPES[kind], least, strict=True))
    return shape, NEEDED.get(kind, {})


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder_keeps_the_contract(name: str) -> None:
    shape, needed = shape_and_needs(name)
    assert encoder_faults(name, shape, **needed, **SMALL) == []


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder_is_small_by_default_and_scales(name: str) -> None:
    shape, needed = shape_and_needs(name)
    sizes = [
        sum(p.numel() for p in encoder_for(name, shape, **needed, **options).parameters())
        for options in (SMALL, {}, {"width": 1.5}, {"depth": 2.0})
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[3] != sizes[1]
    assert sizes[1] < 12_000_000


def test_encoders_are_listed_by_kind() -> None:
    assert {"cnn", "resnet", "resnet18"} <= set(encoders_for(Kind.IMAGE))
    assert "mlp" in encoders_for(Kind.CATEGORY)
    assert "mlp" not in encoders_for(Kind.IMAGE)


@pytest.mark.parametrize(
    ("name", "shape", "options", "said"),
    [
        ("resnett", (-1, 3, 32, 32), {}, "Did you mean 'resnet'"),
        ("resnet", (-1, 30), {}, r"takes arrays \(rows, channels, height, width\)"),
        ("resnet", (-1, 3, 4, 4), {}, "needs height of 8 at the least; here it is 4"),
        ("resnet", (-1, 3, 32, 32), {"dept": 1}, "no option 'dept'. Did you mean 'depth'"),
        ("mlp", (-1, 5), {"dropout": 1.5}, "Option 'dropout'.* less than 1"),
    ],
)
def test_misfits_are_explained(
    name: str, shape: tuple[int, ...], options: dict[str, float], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        encoder_for(name, shape, **options)


@pytest.mark.parametrize(
    ("name", "shape", "count", "total"),
    [
        ("resnet", (2, 3, 32, 32), 173_304, 7.7207699),
        ("resnet", (2, 1, 64, 64), 172_872, 10.1772070),
        ("cnn", (2, 1, 28, 28), 121_280, 2.2113774),
        ("mlp", (2, 7), 133_376, -3.6412745),
    ],
)
def test_old_recipes_build_the_networks_they_did(
    name: str, shape: tuple[int, ...], count: int, total: float
) -> None:
    torch.manual_seed(0)
    encoder = encoder_for(name, shape).eval()
    values = torch.linspace(0, 1, int(torch.tensor(shape).prod())).view(shape)
    assert sum(p.numel() for p in encoder.parameters()) == count
    assert encoder(values).sum().item() == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("name", encoders_for(Kind.TEXT))
def test_padding_does_not_change_what_a_text_means(name: str) -> None:
    torch.manual_seed(0)
    encoder = encoder_for(name, (-1, 12), vocabulary=30).eval()
    encoder.embed.weight.data[0] = 7.0
    tokens = torch.randint(1, 30, (3, 12))
    tokens[:, 8:] = 0
    tokens[2] = 0
    whole, short = encoder(tokens), encoder(tokens[:, :8])
    torch.testing.assert_close(whole, short, atol=1e-5, rtol=0)
    assert not torch.allclose(whole[0], whole[1])
