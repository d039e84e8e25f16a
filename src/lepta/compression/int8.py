"""Whole numbers of eight bits: static quantisation after training.

Quantise and dequantise nodes (QDQ) stand around the layers of the network's body; ONNX Runtime and
OpenVINO compute what lies between in int8 (Jacob et al. 2018, arXiv:1712.05877). Weights are
signed, a scale a channel; activations unsigned, as signed ones keep many convolutions in float on
x86.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from lepta.compression.body import body_of, layers_of, plain_graph
from lepta.compression.candidate import MODEL, Candidate, Material
from lepta.compression.providers import PROVIDERS, Tensors
from lepta.compression.ranges import CALIBRATORS, Calibrator, Seen, observe
from lepta.compression.steps import Compressor, Stage
from lepta.core.errors import CompressError
from lepta.core.events import Context
from lepta.core.space import Choice, Range

BETWEEN = frozenset(
    {"Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu"}
    | {"MaxPool", "Pad", "Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators between layers that are computed in int8 too, so that nothing is converted back."""
_MOST_GROUPS = 24
_TRIED_ROWS = 64
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Int8(Compressor):
    """Eight bits for weights and activations, ranges taken from training rows.

    Attributes:
        calibrator: how ranges are chosen; "auto" measures which one changes the scores least.
        in_float: share of the layers left in float: those whose quantisation alone changes the
            scores most.
        rows: training rows that ranges are taken from.
        narrow: seven bits for weights, for x86 processors without VNNI, whose sums of two products
            of eight bits overflow.
    """

    calibrator: Annotated[
        Calibrator | Literal["auto"], Choice("auto", "minmax", "percentile", "mse")
    ] = "auto"
    in_float: Annotated[float, Range(0.0, 0.75)] = 0.0
    rows: Annotated[int, Range(32, 1024, log=True)] = 256
    narrow: bool = False
    name = "int8"
    stage = Stage.NUMBERS

    def refusal(self, candidate: Candidate, material: Material) -> str:
        model = candidate.model
        if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
            return "it is quantised already"
        if not layers_of(plain_graph(candidate.bundle.read(MODEL))):
            return "it has no layer of a network, as trees and tables have none"
        return ""

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        model = plain_graph(candidate.bundle.read(MODEL))
        batches = material.tensors(material.train, self.rows, context)
        layers = layers_of(model)
        names = {node.name for node in layers}
        body = [n for n in body_of(model, layers) if n.name in names or n.op_type in BETWEEN]
        key = (candidate.bundle.digest, material.provider, self.rows, self.narrow, self.calibrator)
        trial = Trial(model, batches, material.provider, self.narrow)

        def calibrated() -> tuple[Calibrator, Ranges]:
            seen = observe(model, activations(model, body), batches, context.seed)
            kind = self._chosen(trial, body, seen)
            return kind, {name: found.range(kind) for name, found in seen.items()}

        chosen, ranges = context.once(("ranges", *key), calibrated)
        left, kept = math.ceil(self.in_float * len(layers)), body
        if left:
            order = context.once(
                ("worst layers", *key), lambda: worst_layers(trial, layers, ranges)
            )
            kept = [node for node in body if node.name not in order[:left]]
        quantised = quantise(model, kept, ranges, narrow=self.narrow)
        facts = {"calibrator": chosen, "layers": len(layers), "layers in float": left}
        return candidate.then(self, quantised, facts=facts)

    def _chosen(self, trial: Trial, body: list[NodeProto], seen: Mapping[str, Seen]) -> Calibrator:
        if self.calibrator != "auto":
            return self.calibrator
        errors = {
            kind: trial.error(body, {name: found.range(kind) for name, found in seen.items()})
            for kind in CALIBRATORS
        }
        return min(errors, key=lambda kind: errors[kind])

    def ladder(self) -> tuple[Compressor, ...]:
        """Leave more and more of the layers in float, at first only one in fifty."""
        shares = (0.02, 0.1, 0.25, 0.5)
        return tuple(replace(self, in_float=share) for share in shares if share > self.in_float)


class Trial:
    """How far the scores move when some of the nodes are quantised."""

    def __init__(
        self, model: ModelProto, batches: Sequence[Tensors], provider: str, narrow: bool
    ) -> None:
        self.model, self.narrow = model, narrow
        self._open = PROVIDERS.get(provider)
        self._batches = batches[: max(1, -(-_TRIED_ROWS // max(1, _rows(batches[:1]))))]
        self._wanted: list[NDArray[np.float32]] = []

    def error(self, nodes: Collection[NodeProto], ranges: Ranges) -> float:
        """Return the root mean square of the change of the scores."""
        if not self._wanted:
            given = self._open(self.model.SerializeToString())
            self._wanted = [given(batch) for batch in self._batches]
        quantised = quantise(self.model, nodes, ranges, narrow=self.narrow)
        runner = self._open(quantised.SerializeToString())
        gaps = [
            np.square(runner(batch) - wanted).mean()
            for batch, wanted in zip(self._batches, self._wanted, strict=True)
        ]
        error = float(np.sqrt(np.mean(gaps)))
        return error if np.isfinite(error) else np.inf


def worst_layers(trial: Trial, layers: Sequence[NodeProto], ranges: Ranges) -> list[str]:
    """Return the names of the layers, those first whose quantisation alone moves scores most.

    Neighbours are measured together where there are many layers.
    """
    groups = np.array_split(np.arange(len(layers)), min(_MOST_GROUPS, len(layers)))
    errors = []
    for group in groups:
        nodes = [layers[place] for place in group]
        errors.append(trial.error(nodes, ranges) / len(group))
    order = np.argsort(errors)[::-1]
    return [layers[place].name for group in order for place in groups[group]]


def activations(model: ModelProto, nodes: Sequence[NodeProto]) -> list[str]:
    """Return the names of what goes into nodes and comes out, constants left out."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names = {name for node in nodes for name in (*node.input, *node.output)}
    return sorted(names - constants - {""})


def quantise(
    model: ModelProto, nodes: Collection[NodeProto], ranges: Ranges, *, narrow: bool = False
) -> ModelProto:
    """Return a graph whose ``nodes`` are surrounded by QDQ nodes, by ONNX Runtime's quantiser.

    Args:
        model: the graph, its nodes named; it is not changed.
        nodes: some of its body.
        ranges: of their activations.
        narrow: seven bits for weights.

    Raises:
        CompressError: the quantiser cannot do it.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    copy = ModelProto()
    copy.CopyFrom(model)
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    try:
        quantiser = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=narrow,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, data),
            nodes_to_quantize=[node.name for node in nodes],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({node.op_type for node in nodes}),
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        made: ModelProto = quantiser.quantize_model()
    except Exception as error:
        raise CompressError(f"The graph cannot be quantised: {error}") from error
    return made


def _rows(batches: Sequence[Tensors]) -> int:
    return sum(len(next(iter(batch.values()))) for batch in batches)
