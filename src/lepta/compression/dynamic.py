"""Weights of eight bits whose activations are measured anew for each call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from onnx import ModelProto, NodeProto

from lepta.compression.body import layers_of, named, plain_graph
from lepta.compression.candidate import MODEL, Candidate, Material
from lepta.compression.steps import Compressor, Stage
from lepta.core.errors import CompressError
from lepta.core.events import Context
from lepta.core.space import Range

QUANTISED = ("QuantizeLinear", "DynamicQuantizeLinear")
DENSE = ("Gemm", "MatMul")


@dataclass(frozen=True)
class Dynamic(Compressor):
    """Eight bits for dense layers, ranges of activations measured in each call.

    It suits transformers, whose activations differ much from row to row; convolutions would be
    slower, and stay as they are.

    Attributes:
        least: numbers of the smallest weight that is worth it.
    """

    least: Annotated[int, Range(1024, 1 << 20, log=True)] = 16384
    name = "dynamic"
    stage = Stage.NUMBERS

    def refusal(self, candidate: Candidate, material: Material) -> str:
        if any(node.op_type in QUANTISED for node in candidate.model.graph.node):
            return "it is quantised already"
        if not self._dense(plain_graph(candidate.bundle.read(MODEL))):
            return "it has no large dense layer"
        return ""

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_model import ONNXModel
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode

        model = plain_graph(candidate.bundle.read(MODEL))
        ONNXModel(model).replace_gemm_with_matmul()
        named(model)
        try:
            quantiser = ONNXQuantizer(
                model,
                per_channel=True,
                reduce_range=False,
                mode=QuantizationMode.IntegerOps,
                static=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=None,
                nodes_to_quantize=[node.name for node in self._dense(model)],
                nodes_to_exclude=[],
                op_types_to_quantize=["MatMul"],
                extra_options={"MatMulConstBOnly": True},
            )
            made: ModelProto = quantiser.quantize_model()
        except Exception as error:
            raise CompressError(f"The dense layers cannot be quantised: {error}") from error
        return candidate.then(self, made)

    def _dense(self, model: ModelProto) -> list[NodeProto]:
        sizes = {tensor.name: tensor.ByteSize() // 4 for tensor in model.graph.initializer}
        return [
            node
            for node in layers_of(model)
            if node.op_type in DENSE and sizes[node.input[1]] >= self.least
        ]
