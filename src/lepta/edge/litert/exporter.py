"""A bundle as one file of LiteRT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where, missing_extra
from lepta.core.files import atomic_write
from lepta.edge.parity import hold
from lepta.edge.places import file_at
from lepta.edge.program import Program, read_program


def write_litert(bundle: Bundle, path: Path) -> Path:
    """Write ``NAME.tflite``: one row a call, images at the size that the model works at.

    Graphs of whole numbers (QDQ) stay whole where a layer reads and writes 8 bits.

    Returns:
        The path of the file.

    Raises:
        ExportError: an operator or an input has no form in LiteRT, or it computes something else.
        MissingExtraError: ai-edge-litert or onnx is not installed.
    """
    for package, extra in (("ai_edge_litert", "edge"), ("onnx", "train")):
        try:
            __import__(package)
        except ImportError as error:
            raise missing_extra(package, extra, "The export to LiteRT") from error
    target = file_at(path, ".tflite", bundle)
    for spec in bundle.signature.inputs:
        if spec.dtype == "string":
            raise ExportError(
                f"The input {spec.name!r} is text to the graph, which LiteRT does not take.",
                where=Where(field=spec.name),
                fix="Export to onnx or ort; or to c, where categories are looked up.",
            )
    program = read_program(
        bundle.read("model.onnx"), bundle.signature.tensors, bundle.task.output().name
    )
    data = converted(program, bundle.manifest.name)
    hold(bundle, runner(data, program), "LiteRT", program.inputs)
    with atomic_write(target) as stream:
        stream.write(data)
    return target


def converted(program: Program, description: str) -> bytes:
    """Return the file of a program.

    Raises:
        ExportError: an operator has no form in LiteRT.
    """
    from lepta.edge.litert import networks  # noqa: F401  (registers its operators)
    from lepta.edge.litert.layout import Layout, Place
    from lepta.edge.litert.operators import LOWERINGS

    out = Layout(program)
    inputs = []
    for name, shape in program.inputs.items():
        dtype = program.values[name].dtype
        inputs.append(out.model.tensor(name, shape, dtype))
        out.put(name, Place(inputs[-1], dtype))
    for node in program.nodes:
        if node.op not in LOWERINGS:
            raise out.refusal(node)
        if node.outputs[0] not in out.done:
            LOWERINGS[node.op](out, node)
    result = out.read(program.output)
    out.model.tensors[result].name = program.output
    return out.model.pack(inputs, [result], description)


def runner(data: bytes, program: Program) -> Any:
    """Return a function that computes scores with LiteRT.

    Raises:
        ExportError: LiteRT refuses the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        session = Interpreter(model_content=data, num_threads=1)
        session.allocate_tensors()
    except Exception as error:
        raise ExportError(
            f"LiteRT refuses what was written: {str(error)[:400]}", fix="Export to onnx or ort."
        ) from error
    places = {entry["name"]: entry["index"] for entry in session.get_input_details()}
    made = session.get_output_details()[0]["index"]

    def run(tensors: Mapping[str, Any]) -> Any:
        for name in program.inputs:
            session.set_tensor(places[name], np.ascontiguousarray(tensors[name]))
        session.invoke()
        return session.get_tensor(made)

    return run
