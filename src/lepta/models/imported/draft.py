"""A first description of an ONNX file, to be completed by whoever knows the model."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

from lepta.models.imported.fields import knows_nan
from lepta.models.imported.versions import dtype_of, graph_inputs, shape_of

_HEAD = """\
# What {file} takes and gives. Complete the lines marked with "?", then:
#   lepta import {file} --schema THIS_FILE -o NAME.lepta
task:
  name: binary                  # ? or multiclass, regression
  target: label                 # ? name of what is predicted
  classes: [negative, positive] # ? in the order of the output's columns; regression has none
gives: logits                   # ? logits (before softmax or sigmoid), probabilities, or value
output: {output}
inputs:"""


def draft_of(model: ModelProto, file: str) -> str:
    """Return the YAML text of a schema for ``model``, as far as the graph tells."""
    parts = [_HEAD.format(file=file, output=model.graph.output[-1].name)]
    for name, value in graph_inputs(model).items():
        parts.append("\n".join(_input(name, value)))
    return "\n".join(parts) + "\n"


def _input(name: str, value: Any) -> list[str]:
    shape, dtype = shape_of(value), dtype_of(value)
    if len(shape) == 4:
        return _image(name, shape)
    count = shape[1] if len(shape) == 2 and shape[1] > 0 else 1
    names = f"[{', '.join(f'{name}_{n}' for n in range(count))}]" if count > 1 else name
    kind = "category" if dtype == "string" else "number  # ? or category, with classes: [...]"
    lines = [
        f"  - name: {names}  # ? names of the data's columns, in order",
        f"    kind: {kind}",
        f"    tensor: {name}",
    ]
    if dtype != "string" and not knows_nan(dtype):
        lines.append("    fill: 0  # ? what a missing number counts as")
    return lines


def _image(name: str, shape: tuple[int, ...]) -> list[str]:
    last = shape[3] in (1, 3)
    lines = [
        f"  - name: {name}  # ? name of the data's column",
        "    kind: image",
        f"    tensor: {name}",
        f"    layout: {'NHWC' if last else 'NCHW'}",
        "    range: [0, 1]  # ? what the graph expects for a black and a white pixel",
        "    # mean: [0.485, 0.456, 0.406]  # ? where training subtracted means after that",
        "    # std: [0.229, 0.224, 0.225]",
    ]
    count = shape[3] if last else shape[1]
    sides = shape[1:3] if last else shape[2:]
    if count not in (1, 3):
        lines.append("    channels: 3  # ?")
    if -1 in sides:
        lines.append("    size: [224, 224]  # ? leave it out where the graph takes any size")
    return lines
