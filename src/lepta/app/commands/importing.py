"""Make a bundle of an ONNX file that was trained elsewhere: TensorFlow, JAX, PyTorch, scikit-learn.

The schema says what the model predicts, which fields its inputs take and how pixels are scaled.
`--draft` prints one to begin with, as far as the graph tells.

Examples:
  lepta import lungs.onnx --draft > lungs.yaml
  lepta import lungs.onnx --schema lungs.yaml -o lungs.lepta
  lepta import lungs.onnx --schema lungs.yaml --data test/labels.csv -o lungs.lepta
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.app.output import show
from lepta.core.config import Config
from lepta.core.errors import ConfigError
from lepta.core.events import Context


class Options(Config):
    """Options of ``lepta import``."""

    model: Path = Option(
        description="ONNX file.", json_schema_extra={"positional": True, "metavar": "MODEL.onnx"}
    )
    schema_: Path | None = Option(
        default=None,
        alias="schema",
        description="What it is for, takes and gives: YAML or JSON.",
        json_schema_extra={"metavar": "FILE"},
    )
    data: str = Option(default="", description="Labelled data to measure it on.")
    out: Path = Option(
        default=Path("model.lepta"),
        description="Bundle to write.",
        json_schema_extra={"short": "-o", "metavar": "NAME.lepta"},
    )
    draft: bool = Option(default=False, description="Print a schema to complete, and stop.")


def run(options: Options, context: Context) -> int:
    """Import, measure where there is data, and save."""
    from lepta.evaluation.results import table_of
    from lepta.tuning import draft_schema, import_onnx
    from lepta.tuning.importing import read_schema

    if options.draft:
        show(draft_schema(options.model).rstrip())
        return 0
    if options.schema_ is None:
        raise ConfigError(
            "The option --schema is missing.",
            fix=f"`lepta import {options.model} --draft > schema.yaml` writes one to complete.",
        )
    schema = read_schema(options.schema_)
    bundle = import_onnx(
        options.model,
        schema,
        data=options.data or None,
        name=schema.name or options.out.stem,
        context=context,
    )
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    bundle.save(options.out)
    if bundle.manifest.metrics:
        show("\n".join(table_of(bundle.manifest.metrics, 0.95)))
    show(f"model:  {options.out}")
    return 0
