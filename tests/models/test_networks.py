"""Networks survive the way into ONNX."""

import numpy as np
import pytest
import torch
from torch import nn

from lepta.core.errors import ExportError
from lepta.models.graph import Graph
from lepta.models.networks import Network, ReferenceCnn, ResidualCnn, TableMlp, network_to_onnx
from lepta.runtime.session import open_session


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        (lambda: ReferenceCnn(1, 128), (1, 128, 128)),
        (lambda: ResidualCnn(3, 64), (3, 64, 64)),
        (lambda: ResidualCnn(1, 28), (1, 28, 28)),
        (lambda: TableMlp(7), (7,)),
    ],
    ids=["reference", "residual-64", "residual-28", "table"],
)
def test_onnx_gives_what_torch_gives(encoder: object, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    part: nn.Module = encoder()
    network = Network([part], part.features, 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    model = network_to_onnx(network, [torch.zeros(2, *shape)])
    graph = Graph()
    given = graph.input("x", "float32", (-1, *shape))
    (scores,) = graph.embed(model, {model.graph.input[0].name: given})
    graph.output(scores, "y", "float32", (-1, 3))
    session = open_session(graph.build().SerializeToString())
    for rows in (1, 2, 5):
        x = torch.rand(rows, *shape)
        wanted = network.eval()(x).detach().numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], wanted, atol=1e-4)


def test_reference_network_has_the_reference_shape() -> None:
    layers = [type(layer).__name__ for layer in ReferenceCnn(1, 128).body]
    kept = [name for name in layers if name in ("Conv2d", "MaxPool2d", "Flatten", "Linear")]
    assert kept == ["Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d", "Flatten", "Linear"]
    assert sum(p.numel() for p in ReferenceCnn(1, 128).parameters()) == 3_705_280


class Counting(nn.Module):
    def forward(self, table: torch.Tensor) -> torch.Tensor:
        return table / len(table)


def test_a_network_that_counts_rows_in_python_is_refused() -> None:
    with pytest.raises(ExportError, match=r"fixed at 2 rows(.|\n)*shape\[0\] instead of len"):
        network_to_onnx(Counting(), [torch.zeros(2, 3)])
