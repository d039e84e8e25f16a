"""The folder: page, model and runtime."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where
from lepta.core.files import atomic_folder
from lepta.edge.browser.check import check_graph
from lepta.edge.browser.describe import check_bundle, describe, examples
from lepta.edge.browser.ortweb import find_ort_web

_MARK = "model.json"
_SCRIPT = "onnxruntime/ort.js"
_WASM = "onnxruntime/ort-wasm-simd-threaded.wasm"


def write_browser(bundle: Bundle, path: Path, ort_web: Path | str | None = None) -> Path:
    """Write a folder that any web server of static files can serve, and that needs no network.

    Args:
        bundle: the model.
        path: the folder; one that was exported before is replaced, another is left alone.
        ort_web: folder of the npm package onnxruntime-web; by default it is fetched by npm, once.

    Raises:
        ExportError: something else stands there, the page cannot show or feed the model, ONNX
            Runtime Web cannot run it, or it cannot be had.
    """
    _check_target(path)
    check_bundle(bundle)
    ort = find_ort_web(ort_web)
    with atomic_folder(path) as folder:
        for page in files("lepta.edge.browser").joinpath("page").iterdir():
            (folder / page.name).write_bytes(page.read_bytes())
        (folder / "onnxruntime").mkdir()
        shutil.copyfile(ort.script, folder / _SCRIPT)
        shutil.copyfile(ort.wasm, folder / _WASM)
        (folder / "model.onnx").write_bytes(bundle.read("model.onnx"))
        _write_json(folder / "examples.json", examples(bundle))
        tested = check_graph(bundle, ort, folder / "model.onnx", folder / "examples.json")
        runtime = {
            "version": ort.version,
            "script": _SCRIPT,
            "wasm": _WASM,
            "size": ort.wasm.stat().st_size,
        }
        _write_json(folder / _MARK, describe(bundle, runtime, tested))
    return path


def _check_target(path: Path) -> None:
    if path.is_dir() and (not any(path.iterdir()) or (path / _MARK).is_file()):
        return
    if path.exists():
        raise ExportError(
            "Something else stands where the folder should go.",
            where=Where(file=str(path)),
            fix="Choose another name, or an empty folder.",
        )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), "utf-8")
