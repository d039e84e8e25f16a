"""Write a model in another form.

Examples:
  lepta export ct.lepta --to onnx -o ct.onnx       # the one graph, preprocessing included
  lepta export ct.lepta --to bundle --strip -o ct-edge.lepta
  lepta export ct.lepta --to folder -o ct_folder
  lepta export ct.lepta --to browser -o page       # a folder that any web server can serve
  lepta export ct.lepta --for cortex-m -o ct.c     # C99 that depends on nothing, and its header
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
    to: str = Option(
        default="",
        description="Form: onnx (default), bundle, folder, ort, openvino, litert, c, browser, "
        "or that of a plug-in.",
    )
    device: str = Option(
        default="",
        alias="for",
        description="Choose the form by the device: raspberry-pi, jetson, phone, browser or "
        "cortex-m.",
    )
    strip: bool = Option(
        default=False, description="Leave out what is only needed for training on."
    )
    ort_web: Path | None = Option(
        default=None,
        description="Folder of the npm package onnxruntime-web, for --to browser; by default npm "
        "fetches it, once.",
    )


def run(options: Options, context: Context) -> int:
    """Export, say what was chosen for a device and why, and name the file."""
    from lepta.edge import export
    from lepta.edge.devices import device

    if options.device and not options.to:
        chosen = device(options.device)
        context.say(f"{options.device}: {chosen.to}, {chosen.why}.")
    path = export(
        options.bundle,
        options.out,
        to=options.to,
        strip=options.strip,
        device=options.device,
        **({} if options.ort_web is None else {"ort_web": options.ort_web}),
    )
    show(str(path))
    return 0
