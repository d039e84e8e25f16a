"""Digits said and written: one network over sound and image does better than either alone.

Spoken digits (Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset,
CC BY-SA 4.0) are paired by label with images of written ones (MNIST, yann.lecun.com/exdb/mnist,
CC BY-SA 3.0) under heavy noise. The test rows are all recordings of a speaker that training has
not heard, with images it has not seen.

Run: LEPTA_SAMPLES=path/to/data python examples/digits_fusion.py [--speaker theo] [--recordings 50]

The folder ``digits_audio_image`` of LEPTA_SAMPLES holds ``fsdd.zip`` (the recordings),
``fsdd_labels.csv`` (file, label, speaker, index) and ``mnist10k.npz`` (images, labels).
"""

import argparse
import csv
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import lepta

NOISE = 0.6
"""Standard deviation of the noise on the images, where white is 1."""
SKIPPED = 77
"""Exit status where the data are not there."""


def pairs(
    folder: Path, speaker: str, recordings: int = 50, noise: float = NOISE, seed: int = 0
) -> dict[str, Any]:
    """Return columns sound, image, label and split; no image or recording is used twice.

    Args:
        folder: where the three files are.
        speaker: whose recordings are the test rows.
        recordings: of each digit by each speaker, at the most; a tenth of them is for validation.
        noise: standard deviation of the noise on the images, where white is 1.
        seed: of the pairing and of the noise.
    """
    with (folder / "fsdd_labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["index"]) < recordings]
    labels = np.array([int(row["label"]) for row in rows])
    with zipfile.ZipFile(folder / "fsdd.zip") as held:
        sounds = [held.read(row["file"]) for row in rows]
    with np.load(folder / "mnist10k.npz") as held:
        images, digits = held["images"], held["labels"]
    rng = np.random.default_rng(seed)
    chosen = np.empty(len(rows), int)
    for digit in range(10):
        mine = labels == digit
        chosen[mine] = rng.permutation(np.flatnonzero(digits == digit))[: mine.sum()]
    noisy = images[chosen] / 255 + rng.normal(0, noise, (len(rows), 28, 28))
    kept = max(1, recordings // 10)
    unseen = ["valid" if int(row["index"]) < kept else "train" for row in rows]
    return {
        "sound": sounds,
        "image": (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8),
        "label": [row["label"] for row in rows],
        "split": [
            "test" if row["speaker"] == speaker else part
            for row, part in zip(rows, unseen, strict=True)
        ],
    }


def accuracy(columns: dict[str, Any], fields: list[str], epochs: int) -> Any:
    """Return the accuracy on the test rows, with its interval, of a network over ``fields``."""
    kept = {name: columns[name] for name in [*fields, "label", "split"]}
    data = lepta.Dataset.read(kept, target="label", split="split")
    settings = {"loop.epochs": epochs, "loop.patience": epochs, "encoders": {"image": "cnn"}}
    model = lepta.fit(data, learner="neural", settings=settings, refit=False, audit=False)
    return lepta.evaluate(model, data["test"])["accuracy"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speaker", default="theo", help="whom training does not hear")
    parser.add_argument("--recordings", type=int, default=50, help="of each digit by each speaker")
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    folder = Path(os.environ.get("LEPTA_SAMPLES", "")) / "digits_audio_image"
    if not folder.is_dir():
        print(f"No {folder}: set LEPTA_SAMPLES to the folder of it.", file=sys.stderr)
        return SKIPPED
    columns = pairs(folder, asked.speaker, asked.recordings)
    for fields in (["sound"], ["image"], ["sound", "image"]):
        found = accuracy(columns, fields, asked.epochs)
        print(
            f"{' and '.join(fields):15}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
