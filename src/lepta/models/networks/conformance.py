"""What every encoder must do, for the tests of the house and of plug-ins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepta.models.networks.encoders.base import Encoder, Pyramid, encoder_for
from lepta.models.networks.export import network_to_onnx
from lepta.runtime.session import open_session

ROWS = (1, 2, 5)
"""Numbers of rows that the exported graph is run with."""
TOLERANCE = 1e-4


def encoder_faults(name: str, shape: Sequence[int], **options: Any) -> list[str]:
    """Return how the encoder called ``name`` breaks the contract: an empty list where it does not.

    It is built for arrays of ``shape``, run, trained for one step and exported; the graph is
    compared with torch at several numbers of rows.

    Raises:
        ConfigError: it cannot be built for ``shape``.
        ExportError: it cannot be exported.
    """
    torch.manual_seed(0)
    encoder = encoder_for(name, shape, **options)
    faults = _outputs(encoder, shape)
    return faults or [*_training(encoder, shape), *_exporting(encoder, shape)]


def example(encoder: Encoder, shape: Sequence[int], rows: int) -> Tensor:
    """Return random input: numbers in [0, 1], or tokens with padding at the end of some rows."""
    size = (rows, *shape[1:])
    if encoder.dtype.is_floating_point:
        return torch.rand(size, dtype=encoder.dtype)
    vocabulary: Any = getattr(encoder, "vocabulary", 2)
    ids = torch.randint(1, int(vocabulary), size)
    lengths = torch.randint(1, size[1] + 1, (rows, 1))
    return torch.where(torch.arange(size[1]) < lengths, ids, 0)


class _All(nn.Module):
    """An encoder's features and maps as one tuple."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        if not isinstance(self.encoder, Pyramid):
            return (self.encoder(values),)
        maps = self.encoder.maps(values)
        return (self.encoder.summary(maps[-1]), *maps)


def _outputs(encoder: Encoder, shape: Sequence[int]) -> list[str]:
    found = [tuple(part.shape) for part in _All(encoder)(example(encoder, shape, 3))]
    wanted: list[tuple[int, ...]] = [(3, encoder.features)]
    if isinstance(encoder, Pyramid):
        wanted += [
            (3, channels, *(-(-length // stride) for length in shape[2:]))
            for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
        ]
    return [] if found == wanted else [f"outputs have the shapes {found}, not {wanted}"]


def _training(encoder: Encoder, shape: Sequence[int]) -> list[str]:
    """Take one step by the gradient of a random projection of the features."""
    encoder.train()
    optimiser = torch.optim.SGD(encoder.parameters(), lr=1e-3)
    features = encoder(example(encoder, shape, 4))
    (features * torch.randn_like(features)).sum().backward()
    faults = []
    for name, parameter in encoder.named_parameters():
        if parameter.grad is None or not bool(parameter.grad.any()):
            faults.append(f"no gradient reaches {name}")
        elif not bool(parameter.grad.isfinite().all()):
            faults.append(f"the gradient of {name} is not finite")
    optimiser.step()
    return faults


def _exporting(encoder: Encoder, shape: Sequence[int]) -> list[str]:
    _disturb(encoder)
    module = _All(encoder).eval()
    model = network_to_onnx(module, [example(encoder, shape, 2)])
    session = open_session(model.SerializeToString())
    faults = []
    for rows in ROWS:
        values = example(encoder, shape, rows)
        with torch.no_grad():
            wanted = [part.numpy() for part in module(values)]
        found = session.run(None, {session.get_inputs()[0].name: values.numpy()})
        worst = max(_distance(a, b) for a, b in zip(found, wanted, strict=True))
        if worst > TOLERANCE:
            faults.append(f"the graph differs from torch by {worst:.2g} with {rows} rows")
    return faults


def _distance(found: Any, wanted: Any) -> float:
    if found.shape != wanted.shape or not np.isfinite(wanted).all():
        return float("inf")
    return float(np.abs(found - wanted).max(initial=0.0))


def _disturb(encoder: Encoder) -> None:
    """Give batch normalisation other statistics than those with which it does nothing."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            for statistic, low, high in ((module.running_mean, -1, 1), (module.running_var, 1, 2)):
                if statistic is not None:
                    statistic.uniform_(low, high)
