"""What prediction costs on a device: installed size, cold start, memory; beside other runtimes.

`pip install --no-compile .` goes into a clean environment, where the reference CNN (128x128, one
channel), as it was trained and in whole numbers of 8 bits, answers one image. Every runtime answers
the same image in processes of its own, which take turns; the least of the rounds counts, as the
machine may be busy. CPU seconds begin after the import of NumPy and end with the first answer; RSS
is what the process holds then. LiteRT and OpenVINO are measured where they are installed.

    python benchmarks/edge.py                    # about two minutes; needs lepta[train,edge]
    python benchmarks/edge.py --python ENV/bin/python   # an environment that is there already
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BARS = {"installed_mb": 160.0, "cold_start_cpu_s": 0.3, "rss_mb": 80.0}
MIB = 1 << 20

CHILD = """
import json, os, sys, time
import numpy as np
image = np.zeros((1, 128, 128, 1), np.uint8)
image[:, 40:80, 30:90] = 200
began = time.process_time()
{code}
answer = predict()
cpu = time.process_time() - began
times = []
for _ in range(50):
    start = time.perf_counter()
    predict()
    times.append(time.perf_counter() - start)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
kib = {{key: int(status[key].split()[0]) for key in ("VmRSS", "VmHWM")}}
print(json.dumps({{"cpu": cpu, "rss": kib["VmRSS"] / 1024, "peak": kib["VmHWM"] / 1024,
                  "ms": 1000 * float(np.quantile(times, 0.1)),
                  "answer": np.asarray(answer, float).ravel().tolist()}}))
"""
CODE = {
    "lepta": """
import lepta
from lepta.runtime import Predictor
model = Predictor(sys.argv[1])
predict = lambda: model.predict(image[0]).scores
""",
    "onnxruntime": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options)
predict = lambda: session.run(None, {"image_0": image})[0]
""",
    "openvino": """
import openvino
settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
session = openvino.Core().compile_model(sys.argv[1], "CPU", settings)
predict = lambda: session({"image_0": image})[0]
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
session = Interpreter(sys.argv[1], num_threads=1)
session.allocate_tensors()
given, made = session.get_input_details()[0]["index"], session.get_output_details()[0]["index"]
def predict():
    session.set_tensor(given, image)
    session.invoke()
    return session.get_tensor(made)
""",
}
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}
SUFFIXES = {"lepta": "lepta", "onnxruntime": "onnx", "openvino": "xml", "litert": "tflite"}


def make_models(folder: Path) -> None:
    """Train the reference CNN for a moment, and write it as every runtime takes it."""
    import lepta
    from lepta.core.errors import LeptaError

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 128, 128), np.uint8)
    data = lepta.Dataset.read({"image": images, "y": ["a", "b"] * 24}, target="y")
    settings = {"loop": {"epochs": 1}}
    real = lepta.fit(data, learner="cnn", settings=settings, audit=False, refit=False).strip()
    whole = quantised(real, folder, images)
    for name, bundle in (("fp32", real), ("int8", whole)):
        for to in ("bundle", "onnx", "openvino", "litert"):
            suffix = SUFFIXES["lepta" if to == "bundle" else "onnxruntime" if to == "onnx" else to]
            try:
                lepta.export(bundle, folder / f"{name}.{suffix}", to=to)
            except LeptaError as error:
                print(f"{name}: no {to}: {error.what}")


def quantised(bundle: Any, folder: Path, images: Any) -> Any:
    """Return the bundle with a graph in whole numbers, by the quantiser of ONNX Runtime."""
    import logging

    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    from lepta.runtime.predictor import examples_of, write_example

    logging.getLogger().setLevel(logging.ERROR)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        rows = iter(images[:16, None, :, :, None])

        def get_next(self) -> Any:
            row = next(self.rows, None)
            return None if row is None else {"image_0": row}

    source, target = folder / "source.onnx", folder / "target.onnx"
    source.write_bytes(bundle.read("model.onnx"))
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    layers = ["Conv", "Gemm", "MatMul"]
    quantize_static(
        source, target, Reader(), per_channel=True, op_types_to_quantize=layers, **kinds
    )
    session = onnxruntime.InferenceSession(target)
    members = {"model.onnx": target.read_bytes()}
    for name, tensors, _ in examples_of(bundle):
        members[name] = write_example(tensors, session.run(None, tensors)[0])
    return bundle.with_members(members)


def environment(folder: Path) -> Path:
    """Return the interpreter of a clean environment with lepta alone."""
    python = folder / "clean" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "clean"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    more = ["--no-compile", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run([*install, *more], check=True)
    return python


def installed(python: Path) -> dict[str, float]:
    """Return MiB of each package of an environment, what pip itself needs aside."""
    asked = [python, "-c", "import numpy; print(numpy.__path__[0])"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    sizes: dict[str, float] = {}
    for path in Path(found).parent.iterdir():
        name = re.split(r"[-.]", path.name)[0]
        if name in ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel"):
            continue
        files = path.rglob("*") if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files if file.is_file())
        sizes[name] = sizes.get(name, 0.0) + size / MIB
    return sizes


def closure(package: str, seen: dict[str, float] | None = None) -> dict[str, float]:
    """Return MiB of a package here and of all that it needs, without bytecode."""
    seen = {} if seen is None else seen
    name = re.sub(r"[-_.]+", "-", package).lower()
    if name in seen:
        return seen
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return seen
    paths = [Path(str(found.locate_file(file))) for file in found.files or []]
    seen[name] = sum(
        path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file()
    )
    seen[name] /= MIB
    for need in found.requires or []:
        if "extra ==" not in need:
            closure(re.split(r"[^A-Za-z0-9._-]", need)[0], seen)
    return seen


def measure(python: Path, runtime: str, model: Path) -> dict[str, Any]:
    """Answer one image in a process of its own."""
    given = [python, "-c", CHILD.format(code=CODE[runtime]), model]
    alone = {"OMP_NUM_THREADS": "1", "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        given, check=True, capture_output=True, text=True, env=alone, cwd=model.parent
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def best(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the least of each number."""
    least = {key: min(r[key] for r in rounds) for key in ("cpu", "rss", "peak", "ms")}
    return {**least, "answer": rounds[0]["answer"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, help="interpreter of an environment with lepta")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each runtime")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = options.python.absolute() if options.python else environment(folder)
        make_models(folder)
        cases = [(r, m) for m in ("fp32", "int8") for r in CODE]
        cases = [(r, m) for r, m in cases if (folder / f"{m}.{SUFFIXES[r]}").exists()]
        found: dict[tuple[str, str], list[dict[str, Any]]] = {case: [] for case in cases}
        for _ in range(options.rounds):
            for runtime, model in cases:
                clean = runtime in ("lepta", "onnxruntime")
                here = python if clean else Path(sys.executable)
                path = folder / f"{model}.{SUFFIXES[runtime]}"
                found[runtime, model].append(measure(here, runtime, path))
        report({case: best(rounds) for case, rounds in found.items()}, installed(python))


def report(found: dict[tuple[str, str], dict[str, Any]], sizes: dict[str, float]) -> None:
    """Print the table and the bars."""
    whole = sum(sizes.values())
    print("installed, MiB:", ", ".join(f"{k} {v:.1f}" for k, v in sorted(sizes.items()) if v > 1))
    print(
        f"{'runtime':12} {'model':5} {'installed':>9} {'cpu s':>6} {'rss':>6} {'peak':>6} {'ms':>6}"
    )
    for (runtime, model), got in found.items():
        size = whole
        if runtime != "lepta":
            size = sum(closure(PACKAGES[runtime], closure("numpy")).values())
        line = f"{runtime:12} {model:5} {size:9.1f} {got['cpu']:6.3f} {got['rss']:6.1f}"
        gap = np.abs(np.subtract(got["answer"], found["lepta", model]["answer"])).max()
        print(f"{line} {got['peak']:6.1f} {got['ms']:6.2f}   differs by {gap:.1e}")
    bar("installed_mb", whole)
    for model in ("fp32", "int8"):
        bar(f"cold_start_cpu_s.{model}", found["lepta", model]["cpu"])
        bar(f"rss_mb.{model}", found["lepta", model]["rss"])


def bar(name: str, value: float) -> None:
    """Print whether a figure is within its bar."""
    target = BARS[name.partition(".")[0]]
    print(f"BAR {name} {value:.3g} {target:g} {'pass' if value <= target else 'fail'}")


if __name__ == "__main__":
    main()
