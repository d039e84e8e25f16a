"""Draw the picture of the README from what `lepta demo` left in demo/.

Run: lepta demo && python docs/images/make.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import auc, roc_curve

import lepta
from lepta.runtime import Predictor
from lepta.tuning import split_like

INK, ACCENT, FAINT = "#1f2937", "#0f766e", "#9ca3af"


def main() -> None:
    bundle = lepta.Bundle.load("demo/ct.lepta")
    data = lepta.Dataset.read("demo/simulated-ct/labels.csv", target="lesion", group="patient_id")
    test = split_like(data, bundle)["test"]
    scores = Predictor(bundle, threads=2).scores(test.inputs())[:, 1]
    truth = test.targets()
    figure = Figure(figsize=(11, 3.6), facecolor="white", layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2.1, 1))
    _slices(left, test, truth, scores)
    _roc(right, truth, scores)
    figure.savefig(Path(__file__).with_name("demo.png"), dpi=110)


def _slices(figure: Figure, test: lepta.Dataset, truth: np.ndarray, scores: np.ndarray) -> None:
    figure.suptitle("Unseen simulated patients, answered by ct.lepta", color=INK, fontsize=11)
    order = np.argsort(scores)
    chosen = [*order[[2, len(order) // 4]], *order[[-len(order) // 5, -3]]]
    for axes, row in zip(figure.subplots(1, 4), chosen, strict=True):
        axes.imshow(test.decode("file", int(row))[..., 0], cmap="gray", vmin=-1100, vmax=300)
        label = test.task.classes[truth[row]]
        axes.set_title(f"P(lesion) = {scores[row]:.2f}", color=ACCENT, fontsize=10)
        axes.set_xlabel(f"truth: {label}", color=INK, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])


def _roc(figure: Figure, truth: np.ndarray, scores: np.ndarray) -> None:
    axes = figure.subplots()
    false, true, _ = roc_curve(truth, scores)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
    axes.plot(false, true, color=ACCENT, linewidth=2)
    axes.set_title(f"AUROC {auc(false, true):.3f}, {len(truth)} slices", color=INK, fontsize=11)
    axes.set_xlabel("1 - specificity", color=INK)
    axes.set_ylabel("sensitivity", color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
