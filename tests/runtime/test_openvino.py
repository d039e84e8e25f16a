"""Images are shrunk by OpenVINO as they are by ONNX Runtime."""

import numpy as np
import pytest

from lepta.compression.providers import onnxruntime, openvino
from lepta.models.graph import Graph


@pytest.mark.parametrize("size", [(33, 70), (8, 8), (128, 31)])
def test_what_is_shrunk_is_smoothed(size: tuple[int, int]) -> None:
    pytest.importorskip("openvino")
    graph = Graph()
    image = graph.input("x", "float32", (-1, 3, -1, -1))
    sizes = graph.const(np.array([1, 3, 16, 16], np.int64))
    shrunk = graph.op("Resize", image, "", "", sizes, mode="linear", antialias=1)
    graph.output(shrunk, "y", "float32", (-1, 3, 16, 16))
    model = graph.build().SerializeToString()
    x = np.random.default_rng(0).random((1, 3, *size), np.float32)
    np.testing.assert_allclose(openvino(model)({"x": x}), onnxruntime(model)({"x": x}), atol=1e-5)
