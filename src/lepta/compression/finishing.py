"""From the model that was chosen to a bundle: calibration, examples, figures, card, lineage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

import lepta
from lepta.bundle import Bundle
from lepta.compression import front
from lepta.compression.candidate import EXAMPLES, MODEL, Candidate
from lepta.compression.options import CompressOptions
from lepta.compression.rows import Rows
from lepta.compression.search import Tried
from lepta.core.events import Context
from lepta.evaluation import evaluate, model_card
from lepta.evaluation.examples import example_files
from lepta.runtime import Predictor
from lepta.tasks.metrics.probabilities import TINY


def packed(
    parent: Bundle,
    tried: Sequence[Tried],
    chosen: Tried,
    rows: Rows,
    metric: str,
    options: CompressOptions,
    context: Context,
) -> Bundle:
    """Return the bundle of the model that was chosen, measured on the test rows."""
    assert chosen.candidate is not None  # noqa: S101
    with context.stage("packing", total=3, unit="step") as stage:
        bundle = _calibrated(chosen.candidate, chosen.temperature)
        found = front.document(tried, chosen, metric, options)
        bundle = _with_lineage(bundle, parent, chosen, found)
        stage.advance()
        predictor = Predictor(bundle, threads=context.threads or 1, self_test=False)
        measured = "test" if rows.test is not rows.confirm else rows.judges[0]
        evaluation = evaluate(
            predictor, rows.test, seed=options.seed, split=measured, context=context
        )
        stage.advance()
        notes = (*bundle.manifest.notes, *evaluation.notes, *_notes(chosen, rows, metric, options))
        bundle = bundle.with_manifest(metrics=evaluation.metrics, notes=tuple(dict.fromkeys(notes)))
        card = model_card(bundle.manifest, evaluation)
        section = front.card_section(tried, chosen, metric, options)
        examples = example_files(predictor, rows.test, options.examples)
        bundle = bundle.with_members(
            {
                "card.md": f"{card}\n{section}".encode(),
                "report.html": evaluation.html().encode(),
                "compression.json": front.to_bytes(found),
                **examples,
            }
        )
        Predictor(bundle)  # the self-test
        stage.advance()
    return bundle


def _notes(chosen: Tried, rows: Rows, metric: str, options: CompressOptions) -> tuple[str, ...]:
    notes = [f"Compressed by {chosen.label}. {front.promise(chosen, metric, options)}"]
    if "test" in rows.judges and not chosen.same:
        notes.append("The test rows had a part in choosing the compression.")
    return tuple(notes)


def _with_lineage(bundle: Bundle, parent: Bundle, chosen: Tried, found: dict[str, Any]) -> Bundle:
    assert chosen.candidate is not None  # noqa: S101
    before = parent.manifest.lineage
    told = {
        "steps": [str(step) for step in chosen.candidate.steps],
        "facts": {key: str(value) for key, value in chosen.candidate.facts.items()},
        "options": found["options"],
        "temperature": chosen.temperature,
    }
    lineage = before.model_copy(
        update={
            "parent": parent.digest,
            "version": lepta.__version__,
            "config": {**before.config, "compression": told},
        }
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return bundle.with_manifest(lineage=lineage, created=created)


def _calibrated(candidate: Candidate, temperature: float) -> Bundle:
    """Return the bundle with its probabilities divided by a temperature, and without examples."""
    bundle = candidate.bundle
    kept = {name: bundle.read(name) for name in bundle.names if not name.startswith(EXAMPLES)}
    if temperature != 1.0:
        kept[MODEL] = tempered(candidate.model, temperature).SerializeToString()
    return Bundle(bundle.manifest, kept)


def tempered(model: ModelProto, temperature: float) -> ModelProto:
    """Return a graph whose probabilities are those of the logits divided by ``temperature``."""
    (output,) = model.graph.output
    inner = f"{output.name}_as_trained"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == output.name:
                    names[place] = inner
    values = {"least": TINY, "most": 1.0, "temperature": temperature}
    names = {key: f"{inner}_{key}" for key in values}
    for key, value in values.items():
        array = np.array(value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, names[key]))
    steps = [
        ("Clip", [inner, names["least"], names["most"]], f"{inner}_clipped"),
        ("Log", [f"{inner}_clipped"], f"{inner}_log"),
        ("Div", [f"{inner}_log", names["temperature"]], f"{inner}_cooled"),
        ("Softmax", [f"{inner}_cooled"], output.name),
    ]
    for kind, inputs, made in steps:
        model.graph.node.append(helper.make_node(kind, inputs, [made], name=f"{made}_node"))
    axis = helper.make_attribute("axis", 1)
    model.graph.node[-1].attribute.append(axis)
    return model
