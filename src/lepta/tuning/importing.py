"""``import_onnx``: a model that was trained elsewhere becomes a bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lepta
from lepta.bundle import Bundle, Lineage, Manifest
from lepta.core.config import read_mapping
from lepta.core.errors import ConfigError, Where
from lepta.core.events import Context
from lepta.core.files import sha256

if TYPE_CHECKING:
    from lepta.data import Dataset
    from lepta.models.imported.schema import ImportSchema
    from lepta.models.imported.wrapping import Wrapped


def import_onnx(
    model: Path | str | bytes,
    schema: ImportSchema | dict[str, Any] | Path | str,
    *,
    data: Dataset | Path | str | None = None,
    name: str = "",
    context: Context | None = None,
) -> Bundle:
    """Make a bundle of an ONNX file from anywhere: TensorFlow, JAX, PyTorch, another team.

    The file is audited, put inside one graph that begins with raw fields (resizing, scaling and
    layout in front, softmax behind), and compared with itself alone on made-up rows. An older
    opset is converted.

    Args:
        model: the ONNX file, or its content.
        schema: what it is for, takes and gives: an :class:`ImportSchema`, the same as a mapping,
            or a YAML or JSON file of it.
        data: labelled rows to measure it on; without them the bundle has no metrics.
        name: name of the model.
        context: progress and threads.

    Returns:
        A bundle like that of ``fit``.

    Raises:
        BundleError: the file is no ONNX model, keeps its weights outside, or uses unknown
            operators.
        ConfigError: the schema does not validate or does not describe the graph.
        ExportError: the graph cannot be converted, or answers otherwise inside ours.
    """
    from lepta.models.imported.wrapping import wrap_foreign

    context = context or Context()
    content, file = _content(model)
    described = read_schema(schema)
    with context.stage("importing", total=2, unit="step") as stage:
        wrapped = wrap_foreign(content, described, file, context.seed)
        stage.advance()
        chosen = name or described.name or Path(file).stem
        bundle = Bundle(
            _manifest(wrapped, described, chosen, content, file),
            {"model.onnx": wrapped.model.SerializeToString(), **_trial_examples(wrapped)},
        )
        bundle = _documented(bundle, data, context)
        stage.advance()
    return bundle


def draft_schema(model: Path | str | bytes) -> str:
    """Return the YAML text of a schema for an ONNX file, to be completed by hand.

    Raises:
        BundleError: the file is no ONNX model, or keeps its weights outside.
    """
    from lepta.models.imported.draft import draft_of
    from lepta.models.imported.versions import read_foreign

    content, file = _content(model)
    return draft_of(read_foreign(content, file), file)


def read_schema(schema: ImportSchema | dict[str, Any] | Path | str) -> ImportSchema:
    """Return the schema that a mapping or a file holds.

    Raises:
        ConfigError: it does not validate.
    """
    from lepta.models.imported.schema import ImportSchema

    if isinstance(schema, ImportSchema):
        return schema
    if isinstance(schema, dict):
        return ImportSchema.parse(schema)
    try:
        return ImportSchema.parse(read_mapping(schema), source=str(schema))
    except ConfigError as error:
        error.where = error.where or Where(file=str(schema))
        raise


def _content(model: Path | str | bytes) -> tuple[bytes, str]:
    if isinstance(model, bytes):
        return model, "model.onnx"
    try:
        return Path(model).read_bytes(), str(model)
    except OSError as error:
        raise ConfigError(
            f"The model cannot be read: {error.strerror or error}.",
            where=Where(file=str(model)),
            fix="Check the path.",
        ) from error


def _manifest(
    wrapped: Wrapped, schema: ImportSchema, name: str, content: bytes, file: str
) -> Manifest:
    return Manifest(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=schema.task,
        signature=wrapped.signature,
        lineage=Lineage(
            config={
                "learner": "imported",
                "file": Path(file).name,
                "sha256": sha256(content),
                "gap": wrapped.gap,
                "import": schema.model_dump(mode="json"),
            },
            version=lepta.__version__,
        ),
        notes=("The model was trained elsewhere; what it was trained on is not known here.",),
    )


def _trial_examples(wrapped: Wrapped) -> dict[str, bytes]:
    from lepta.runtime.predictor import write_example

    members = {}
    for row in range(len(wrapped.scores)):
        one = {key: array[row : row + 1] for key, array in wrapped.trial.items()}
        members[f"examples/{row:03d}.npz"] = write_example(one, wrapped.scores[row : row + 1])
    return members


def _documented(bundle: Bundle, data: Any, context: Context) -> Bundle:
    """Load and self-test the bundle; add a card, and a report where there is data."""
    from lepta.data.rereading import reading_of
    from lepta.evaluation import evaluate, model_card
    from lepta.runtime import Predictor

    predictor = Predictor(bundle, threads=context.threads or 2)
    if data is None:
        return bundle.with_members({"card.md": model_card(bundle.manifest).encode()})
    if isinstance(data, str | Path):
        from lepta.data import Dataset

        reading = reading_of(bundle.manifest)
        data = Dataset.read(data, target=bundle.task.target, context=context, **reading)
    evaluation = evaluate(predictor, data, context=context)
    bundle = bundle.with_manifest(
        metrics=evaluation.metrics, notes=(*bundle.manifest.notes, *evaluation.notes)
    )
    return bundle.with_members(
        {
            "card.md": model_card(bundle.manifest, evaluation).encode(),
            "report.html": evaluation.html().encode(),
        }
    )
