"""Write a model in another form.

Examples:
  lepta export ct.lepta --to onnx -o ct.onnx       # the one graph, preprocessing included
  lepta export ct.lepta --to bundle --strip -o ct-edge.lepta
  lepta export ct.lepta --to folder -o ct_folder
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.app.output import show
from lepta.core.config import Config
from lepta.core.events import Context


class Options(Config):
    """Options of ``lepta export``."""

    bundle: str = Option(
        description="Bundle to export: NAME.lepta.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )
    out: Path = Option(
        description="File or folder to write.", json_schema_extra={"short": "-o", "metavar": "PATH"}
    )
    to: str = Option(default="onnx", description="Form: onnx, bundle or folder.")
    strip: bool = Option(
        default=False, description="Leave out what is only needed for training on."
    )


def run(options: Options, context: Context) -> int:
    """Export and name the file."""
    from lepta.edge import export

    show(str(export(options.bundle, options.out, to=options.to, strip=options.strip)))
    return 0
