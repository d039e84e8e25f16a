"""A model on its way to be smaller, and what its steps may learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.bundle.bundle import WORKSHOP, Bundle
from lepta.core.events import Context
from lepta.evaluation.evaluating import inputs_of
from lepta.runtime import Predictor
from lepta.runtime.rows import to_columns

if TYPE_CHECKING:
    from lepta.compression.steps import Compressor
    from lepta.data import Dataset

MODEL = "model.onnx"
EXAMPLES = "examples/"
_BATCH = 32
"""Rows of a batch of graph tensors."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that some steps have changed.

    Attributes:
        bundle: the model: signature and task are those of the bundle that was given, and the graph
            is one from decoded arrays to final scores, preprocessing included. It holds no
            examples, and its calibration is redone, once it is chosen.
        steps: what was done, in order, with all options.
        facts: what the steps found worth telling, by name: "layers left in float", for example.
    """

    bundle: Bundle
    steps: tuple[Compressor, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> ModelProto:
        """A copy of the graph."""
        model: ModelProto = ModelProto.FromString(self.bundle.read(MODEL))
        return model

    @property
    def size(self) -> int:
        """Bytes of the graph."""
        return self.bundle.manifest.members[MODEL].size

    @property
    def label(self) -> str:
        """The steps in words; "as given" where there are none."""
        return " > ".join(str(step) for step in self.steps) or "as given"

    def then(
        self,
        step: Compressor,
        model: ModelProto | bytes,
        *,
        members: Mapping[str, bytes] | None = None,
        workshop: Mapping[str, bytes] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Candidate:
        """Return what a step made of this one.

        Args:
            step: the step.
            model: the new graph.
            members: members to add or to replace, such as another tokenizer.
            workshop: what is needed to train the new model on ("workshop/..."), in place of what
                was there; None leaves that as it is, as after a change of the graph alone.
            facts: what is worth telling.
        """
        data = model if isinstance(model, bytes) else model.SerializeToString()
        held = {name: self.bundle.read(name) for name in self.bundle.names}
        if workshop is not None:
            held = {name: held[name] for name in held if not name.startswith(WORKSHOP)}
            held |= workshop
        held = {name: held[name] for name in held if not name.startswith(EXAMPLES)}
        bundle = Bundle(self.bundle.manifest, {**held, **(members or {}), MODEL: data})
        return Candidate(bundle, (*self.steps, step), {**self.facts, **(facts or {})})

    def with_bundle(self, bundle: Bundle) -> Candidate:
        """Return the candidate with another bundle, the steps being the same."""
        return replace(self, bundle=bundle)


@dataclass(frozen=True, eq=False)
class Material:
    """What steps may learn from, and what the model is made for.

    The rows on which a model is confirmed are not among them.

    Attributes:
        parent: the bundle that was given; it may teach.
        train: rows with truth, to train on and to take ranges of activations from.
        valid: rows with truth by which a step may choose or stop; none that it trains on.
        metric: name of the metric that must not drop.
        max_drop: how much of it may be lost.
        provider: name of what the model will run on, such as "onnxruntime".
    """

    parent: Bundle
    train: Dataset
    valid: Dataset
    metric: str
    max_drop: float
    provider: str = "onnxruntime"

    def tensors(self, rows: Dataset, most: int, context: Context) -> list[dict[str, NDArray[Any]]]:
        """Return some of ``rows``, spread over all of them, as batches of graph tensors.

        Args:
            rows: usually :attr:`train`.
            most: rows at the most.
            context: its ``memo`` keeps them, as several steps ask for the same.
        """

        def read() -> list[dict[str, NDArray[Any]]]:
            count = min(most, len(rows))
            rng = np.random.default_rng(context.seed)
            chosen = np.sort(rng.permutation(len(rows))[:count])
            predictor = Predictor(self.parent, threads=context.threads or 1, self_test=False)
            inputs = inputs_of(rows.take(chosen), predictor.signature)
            columns, found = to_columns(inputs, predictor.signature)
            return [
                {name: array[begin : begin + _BATCH] for name, array in tensors.items()}
                for _, tensors in predictor.batches(columns, found)
                for begin in range(0, len(next(iter(tensors.values()))), _BATCH)
            ]

        return context.once(("tensors", rows.fingerprint, most, context.seed), read)
