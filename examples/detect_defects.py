"""Defects are found on steel surfaces, each with a box and a class.

Steel surfaces with six kinds of defect (NEU-DET, Song & Yan 2013, faculty.neu.edu.cn/songkechen)
are taken from the folder ``neu_det`` of LEPTA_SAMPLES: ``neu_det.zip`` (images) and ``boxes.csv``
(file, defect, xmin, ymin, xmax, ymax). Without it, or with ``--drawn``, noise with spots and
scratches is drawn instead, which takes seconds.

Run: LEPTA_SAMPLES=path/to/data python examples/detect_defects.py [--epochs 14] [--drawn]
"""

import argparse
import csv
import os
import sys
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import lepta

CORNERS = ("x0", "y0", "x1", "y1")


def real(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Return columns image, defects and split of the steel surfaces.

    There is no official split: of the images of each class, a fifth is for testing and a tenth
    for validation, at random.
    """
    boxes = defaultdict(list)
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            corners = (float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
            box = dict(zip(CORNERS, corners, strict=True))
            boxes[row["file"]].append({**box, "class": row["defect"]})
    files = sorted(boxes)
    with zipfile.ZipFile(folder / "neu_det.zip") as held:
        images = [held.read(name) for name in files]
    labels = np.array([boxes[name][0]["class"] for name in files])
    split, rng = np.full(len(files), "train"), np.random.default_rng(seed)
    for label in np.unique(labels):
        mine = rng.permutation(np.flatnonzero(labels == label))
        split[mine[: len(mine) // 5]] = "test"
        split[mine[len(mine) // 5 : len(mine) * 3 // 10]] = "valid"
    return {"image": images, "defects": [boxes[name] for name in files], "split": list(split)}


def drawn(count: int = 90, side: int = 48, seed: int = 0) -> dict[str, Any]:
    """Return the same columns for noise with up to two dark spots or bright scratches."""
    rng = np.random.default_rng(seed)
    images = rng.normal(110, 8, (count, side, side, 1))
    columns = []
    for image in images:
        found = []
        for half in range(int(rng.integers(0, 3))):
            spot = bool(rng.integers(2))
            width, height = rng.integers(8, 16, 2) if spot else (4, int(rng.integers(16, 28)))
            x0 = half * side // 2 + int(rng.integers(0, side // 2 - width))
            y0 = int(rng.integers(0, side - height))
            x1, y1 = x0 + int(width), y0 + int(height)
            image[y0:y1, x0:x1] += -70 if spot else 70
            label = "spot" if spot else "scratch"
            found.append({"x0": x0, "y0": y0, "x1": x1, "y1": y1, "class": label})
        columns.append(found)
    split = ["test" if k % 5 == 0 else "valid" if k % 5 == 1 else "train" for k in range(count)]
    return {"image": images.clip(0, 255).astype(np.uint8), "defects": columns, "split": split}


def measure(columns: dict[str, Any], epochs: int, size: int = 192, **settings: Any) -> float:
    """Return the mAP at an IoU of 0.5 on the test rows, and print all metrics."""
    data = lepta.Dataset.read(columns, target="defects", split="split")
    given = {"loop.epochs": epochs, "loop.flip": True, "size": size, **settings}
    model = lepta.fit(data, learner="detector", settings=given, audit=False)
    found = lepta.evaluate(model, data["test"])
    print(found, flush=True)
    return float(found["map50"].value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--drawn", action="store_true", help="draw images, whatever there is")
    asked = parser.parse_args()
    folder = Path(os.environ.get("LEPTA_SAMPLES", "")) / "neu_det"
    if asked.drawn or not folder.is_dir():
        small = {"encoder": "resnet", "encoder_options": {"widths": (16, 32)}, "width": 32}
        measure(drawn(), asked.epochs, size=48, stride=4, **small, **{"loop.batch": 8})
    else:
        measure(real(folder), asked.epochs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
