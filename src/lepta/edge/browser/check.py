"""Whether a graph runs in ONNX Runtime Web: tried under Node.js, on the bundle's examples."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np

from lepta.bundle import Bundle
from lepta.core.errors import ExportError
from lepta.edge.browser.ortweb import OrtWeb
from lepta.runtime.predictor import agrees, examples_of

UNTESTED = "not tested when exported, as Node.js was absent; the page tests itself"
_SECONDS = 300
_OPERATOR = re.compile(
    r"implementation for (?P<kernel>[\w.:]+)\((?P<since>\d+)\)|"
    r"(?P<unknown>[\w.:]+)\(-?\d+\) is not a registered function/op"
)


def check_graph(bundle: Bundle, ort: OrtWeb, graph: Path, examples: Path) -> str:
    """Run the examples; return what was found, in words.

    Args:
        bundle: whose graph it is.
        ort: the runtime to try.
        graph: file of the graph.
        examples: file of the examples, as the page reads them.

    Raises:
        ExportError: ONNX Runtime Web refuses the graph, naming the operator, or gives other scores.
    """
    node = shutil.which("node")
    if node is None:
        return UNTESTED
    output = bundle.task.output().name
    words = [node, "--input-type=module", "-", *map(str, (ort.script, ort.wasm, graph, examples))]
    code = files("lepta.edge.browser").joinpath("check.js").read_text("utf-8")
    try:
        done = subprocess.run(  # noqa: S603
            [*words, output],
            input=code,
            check=False,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        said = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return UNTESTED.replace("Node.js was absent", "Node.js did not run it")
    if "error" in said:
        raise _refusal(said["error"], ort)
    return _compared(bundle, said["scores"], ort)


def _refusal(message: str, ort: OrtWeb) -> ExportError:
    found = _OPERATOR.search(message)
    named = (found["kernel"] or found["unknown"]) if found else ""
    what = f"has no operator {named}" if named else "refuses the graph"
    return ExportError(
        f"ONNX Runtime Web {ort.version} {what}: {' '.join(message.split())[:300]}",
        fix="Fit the model again with another learner, name a newer package with --ort-web, or "
        "serve the model with 'lepta serve'.",
    )


def _compared(bundle: Bundle, scores: list[list[float]], ort: OrtWeb) -> str:
    largest = 0.0
    for found, (name, _, expected) in zip(scores, examples_of(bundle), strict=True):
        given = np.array(found, np.float32)
        if given.size != expected.size or not agrees(
            bundle.task, given.reshape(expected.shape), expected
        ):
            raise ExportError(
                f"ONNX Runtime Web {ort.version} gives other scores than expected for {name}.",
                fix="Report the model and the version, or serve it with 'lepta serve'.",
            )
        largest = max(largest, bundle.task.gap(given.reshape(expected.shape), expected))
    return f"tested on {len(scores)} example(s) when exported, largest difference {largest:.1g}"
