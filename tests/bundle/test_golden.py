"""A file of every released protocol is kept and must read for ever."""

import io

import numpy as np
import onnxruntime

from lepta.bundle import Bundle
from lepta.core.files import sha256_file
from lepta.core.schema import Kind

FILE = "ba2f846f6dbbd51376f9b69ae03d0c1eb81140f14110825f0905a510067a1bcf"
MANIFEST = "61660f8c4a48fb99264194196ab34baba66cf12749a61c8844d1cb0790a0c45e"


def test_version_1_is_the_file_that_was_released(golden):
    assert sha256_file(golden) == FILE


def test_version_1_reads(golden):
    bundle = Bundle.load(golden)
    assert bundle.digest == MANIFEST
    assert bundle.names == ("card.md", "examples/000.npz", "model.onnx", "profile.json")
    assert bundle.task.name == "binary"
    assert bundle.task.classes == ("no", "yes")
    assert bundle.task.threshold == 0.4
    assert [spec.kind for spec in bundle.signature.inputs] == [
        Kind.NUMBER,
        Kind.NUMBER,
        Kind.CATEGORY,
    ]
    assert bundle.signature.inputs[2].name == "größe"
    assert bundle.manifest.metrics[0].high == 0.97
    assert bundle.manifest.metrics[1].value is None
    assert bundle.manifest.lineage.rows == {"train": 80, "valid": 10, "test": 10}


def test_version_1_predicts_what_it_predicted(golden):
    bundle = Bundle.load(golden)
    with np.load(io.BytesIO(bundle.read("examples/000.npz")), allow_pickle=False) as arrays:
        example = {name: arrays[name] for name in arrays.files}
    expected = example.pop("expected")
    example["categories"] = example["categories"].astype(object)
    session = onnxruntime.InferenceSession(
        bundle.read("model.onnx"), providers=["CPUExecutionProvider"]
    )
    (scores,) = session.run(["probabilities"], example)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
