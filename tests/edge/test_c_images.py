"""Networks of images compute the same in C, in real numbers and in whole ones."""

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits

import lepta
from lepta.runtime import Predictor

SHORT = {"loop": {"epochs": 2}}


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    images = np.kron(found.images[:160] * 15, np.ones((2, 2))).astype(np.uint8)
    columns = {"image": images, "sum": images.sum((1, 2)), "digit": found.target[:160] % 3}
    return lepta.Dataset.read(columns, target="digit", kinds={"digit": "category"})


def fit(data, learner, **settings):
    settings = {**SHORT, **settings}
    return lepta.fit(data, learner=learner, settings=settings, audit=False, refit=False)


@pytest.fixture(scope="module")
def resnet(digits):
    return fit(digits, "resnet", width=0.25, block="separable")


def images_of(bundle, count=12):
    """Random images, and numbers where the model takes some, one of them missing."""
    shapes = {tensor.name: tensor.shape for tensor in bundle.signature.tensors}
    rows = {"image_0": np.random.default_rng(3).integers(0, 256, (count, 16, 16, 1), np.uint8)}
    if "numbers" in shapes:
        rows["numbers"] = np.linspace(0, 9e4, count, dtype=np.float32)[:, None]
        rows["numbers"][3] = np.nan
    return rows


def same(bundle, model, rows, atol):
    expected = Predictor(bundle, self_test=False).run(rows)
    answers = model(rows, expected[0].size)
    np.testing.assert_allclose(answers, expected.reshape(answers.shape), atol=atol)


def test_a_residual_network_beside_a_number(resnet, compiled):
    model = compiled(resnet)
    same(resnet, model, images_of(resnet), 1e-5)
    assert "3 examples" in model.self_test()
    assert "[16][16][1], contiguous" in model.source.with_suffix(".h").read_text()


class Rows(CalibrationDataReader):
    def __init__(self, rows):
        self.rows = iter(range(len(rows["image_0"])))
        self.held = {**rows, "numbers": np.nan_to_num(rows["numbers"])}

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {n: v[row : row + 1] for n, v in self.held.items()}


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_a_quantised_network_takes_less(resnet, compiled, tmp_path, activations):
    source, target = tmp_path / "real.onnx", tmp_path / "whole.onnx"
    source.write_bytes(resnet.read("model.onnx"))
    quantize_static(
        source,
        target,
        Rows(images_of(resnet)),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "MaxPool", "Relu"],
    )
    bundle = resnet.with_members({"model.onnx": target.read_bytes()})
    model = compiled(bundle)
    rows = images_of(bundle)
    same(bundle, model, rows, 0.02)  # where a sum is a tie, one step of 256 is rounded otherwise
    assert len(model.source.read_bytes()) < 0.75 * len(compiled(resnet).source.read_bytes())
    assert {n.op_type for n in onnx.load(target).graph.node} > {"QuantizeLinear", "Conv"}


@pytest.mark.slow
def test_a_map_for_each_image(digits, compiled):
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    masks = (images[..., 0] > 128).astype(np.uint8)
    data = lepta.Dataset.read({"image": images, "mask": masks}, target="mask", task="segmentation")
    bundle = fit(data, "unet")
    same(bundle, compiled(bundle), images_of(bundle, 4), 1e-5)
