"""Make the golden file of the protocol of today: ``python tests/bundle/golden/make.py``.

Run once for each released protocol, before its first release, and never again: the files prove
that every later version reads what an earlier one wrote. An existing file is not overwritten.
"""

import io
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper

from lepta.bundle import (
    PROTOCOL,
    Bundle,
    InputSpec,
    Lineage,
    Manifest,
    Measured,
    Signature,
    TensorSpec,
)
from lepta.core.schema import Kind
from lepta.tasks import Binary

CARD = """# Golden

A linear classifier that was written by hand. It exists to be read by every later version of Lepta.
"""


def model() -> bytes:
    """Return logistic regression over two numbers and one category."""
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["categories"],
            ["codes"],
            domain="ai.onnx.ml",
            keys_strings=["mild", "severe"],
            values_floats=[0.5, 2.0],
            default_float=0.0,
        ),
        helper.make_node("Concat", ["numbers", "codes"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "golden",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("categories", TensorProto.STRING, ["rows", 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [3, 1], [0.04, -0.3, 0.8]),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [-2.5]),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def example(graph: bytes) -> bytes:
    """Return one row of inputs with the scores that ONNX Runtime gives today."""
    numbers = np.array([[61.0, 1.5]], np.float32)
    categories = np.array([["severe"]])
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feed = {"numbers": numbers, "categories": categories.astype(object)}
    (expected,) = session.run(["probabilities"], feed)
    stream = io.BytesIO()
    np.savez(stream, numbers=numbers, categories=categories, expected=expected)
    return stream.getvalue()


def manifest() -> Manifest:
    """Return a manifest in which no field has its default."""
    return Manifest(
        name="golden",
        created="2026-11-23T00:00:00+00:00",
        task=Binary(target="ill", classes=("no", "yes"), threshold=0.4),
        signature=Signature(
            inputs=(
                InputSpec(name="age", kind=Kind.NUMBER, dtype="float32", shape=(-1,), unit="years"),
                InputSpec(
                    name="dose", kind=Kind.NUMBER, dtype="float32", shape=(-1,), required=False
                ),
                InputSpec(
                    name="größe",
                    kind=Kind.CATEGORY,
                    dtype="string",
                    shape=(-1,),
                    classes=("mild", "severe"),
                ),
            ),
            tensors=(
                TensorSpec(name="numbers", dtype="float32", shape=(-1, 2), fields=("age", "dose")),
                TensorSpec(name="categories", dtype="string", shape=(-1, 1), fields=("größe",)),
            ),
            outputs=(Binary(target="ill", classes=("no", "yes")).output(),),
        ),
        lineage=Lineage(
            dataset="0" * 64,
            rows={"train": 80, "valid": 10, "test": 10},
            config={"learner": "linear", "l2": 0.1},
            version="0.1.0",
            parent="f" * 64,
            seed=7,
        ),
        metrics=(
            Measured(name="auroc", value=0.91, low=0.85, high=0.97, n=10, method="DeLong"),
            Measured(name="ece", value=None),
        ),
        notes=("Written by hand.",),
    )


def main() -> None:
    """Write ``v{PROTOCOL}.lepta`` beside this file."""
    path = Path(__file__).with_name(f"v{PROTOCOL}.lepta")
    if path.exists():
        sys.exit(f"{path} exists; a golden file is never written again.")
    graph = model()
    members = {
        "model.onnx": graph,
        "profile.json": b'{"age": {"mean": 52.5}}\n',
        "examples/000.npz": example(graph),
        "card.md": CARD.encode(),
    }
    Bundle(manifest(), members).save(path)


if __name__ == "__main__":
    main()
