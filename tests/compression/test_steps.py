"""The seam: a step makes another candidate, and what a step needs is at hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.compression import COMPRESSORS, Candidate, Compressor, Material, Stage
from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.data import Dataset
from lepta.models.graph import Graph
from lepta.runtime.predictor import write_example
from lepta.tasks import Regression


def line(slope: float) -> bytes:
    graph = Graph()
    x = graph.input("numbers", "float32", (-1, 1))
    value = graph.op("Mul", x, graph.const(slope, "float32"))
    graph.output(value, "value", "float32", (-1, 1))
    return graph.build().SerializeToString()


@pytest.fixture
def bundle():
    task = Regression(target="y")
    signature = Signature(
        inputs=(InputSpec(name="x", kind=Kind.NUMBER, dtype="float32", shape=(-1,)),),
        tensors=(TensorSpec(name="numbers", dtype="float32", shape=(-1, 1), fields=("x",)),),
        outputs=(task.output(),),
    )
    manifest = Manifest(name="line", created="2026-01-01T00:00:00Z", task=task, signature=signature)
    one = np.ones((1, 1), np.float32)
    return Bundle(
        manifest,
        {
            "model.onnx": line(2.0),
            "examples/000.npz": write_example({"numbers": one}, 2 * one),
            "workshop/recipe.json": b"{}",
        },
    )


@dataclass(frozen=True)
class Bend(Compressor):
    slope: float = 1.0
    share: float = 0.5
    name = "bend"
    stage = Stage.SHRINK

    def apply(self, candidate, material, context):
        return candidate.then(self, line(self.slope), facts={"slope": self.slope})


def test_a_step_makes_another_candidate_and_leaves_the_first(bundle):
    material = Material(bundle, None, None, metric="rmse", max_drop=0.01)
    first = Candidate(bundle)
    second = Bend(slope=3.0).apply(first, material, Context())
    assert first.bundle is bundle
    assert first.label == "as given"
    assert second.label == "bend(slope=3.0)"
    assert second.facts == {"slope": 3.0}
    assert second.bundle.signature == bundle.signature
    assert second.bundle.names == ("model.onnx", "workshop/recipe.json")
    assert second.size == len(line(3.0))


def test_the_workshop_is_replaced_as_a_whole(bundle):
    made = Candidate(bundle).then(Bend(), line(1.0), workshop={"workshop/other.json": b"{}"})
    assert made.bundle.names == ("model.onnx", "workshop/other.json")


def test_material_gives_batches_of_graph_tensors(bundle):
    rows = Dataset.read({"x": np.arange(100.0), "y": np.arange(100.0)}, target="y")
    material = Material(bundle, rows, rows, metric="rmse", max_drop=0.01)
    context = Context(memo={})
    batches = material.tensors(rows, 70, context)
    assert [len(batch["numbers"]) for batch in batches] == [32, 32, 6]
    values = np.concatenate([batch["numbers"] for batch in batches]).ravel()
    assert len(set(values.tolist())) == 70
    assert max(values) > 60
    assert material.tensors(rows, 70, context) is batches


def test_an_unknown_step_is_refused():
    with pytest.raises(ConfigError, match="step of compression"):
        COMPRESSORS.get("shrinkray")
