"""A torch module's way into ONNX."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from lepta.core.errors import ExportError
from lepta.models.graph import OPSET


def network_to_onnx(network: nn.Module, examples: Sequence[Tensor]) -> ModelProto:
    """Return a torch module as ONNX, the number of rows free.

    Raises:
        ExportError: torch cannot trace the module, or it computes with the number of rows.
    """
    network = _plain(network)
    with _quiet():
        try:
            program = torch.onnx.export(
                network,
                tuple(example.contiguous() for example in examples),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=_free_rows(network, len(examples)),
                verbose=False,
                optimize=True,
            )
        except Exception as error:
            raise ExportError(f"torch cannot export the network: {error}") from error
    if program is None:
        raise ExportError("torch exported nothing.")
    model: ModelProto = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
    _require_free_rows(model, len(examples[0]))
    return model


def _require_free_rows(model: ModelProto, rows: int) -> None:
    """Refuse a graph that takes as many rows as the examples have and no other number."""
    for node in model.graph.input:
        first = node.type.tensor_type.shape.dim[0]
        if first.WhichOneof("value") == "dim_value":
            raise ExportError(
                f"The network was fixed at {rows} rows while it was traced: it turns their number "
                "into a Python number.",
                fix="Write tensor.shape[0] instead of len(tensor), without int() or float(), and "
                "-1 or flatten(1) where a shape is asked for.",
            )


def _plain(network: nn.Module) -> nn.Module:
    """Return the module on the CPU, in float32, channels first, ready to predict."""
    network = network.eval().cpu().float()
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    return network


def _free_rows(network: nn.Module, count: int) -> Any:
    rows = torch.export.Dim("rows", min=1, max=2**20)
    axes = tuple({0: rows} for _ in range(count))
    parameters = inspect.signature(network.forward).parameters.values()
    starred = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return (axes,) if starred else axes


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter off: it warns of its own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
