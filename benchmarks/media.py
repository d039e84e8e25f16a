"""Images and texts: what ``fit(time="5m")`` makes of them, beside a linear probe and a peer.

The probe is what most people would try first: features of a frozen network (EfficientNet-Lite0 for
images, MiniLM for texts, standardised) and logistic regression, its C chosen by cross-validation on
the training rows. It has all the time it wants. The peer is AutoGluon, for texts: it reads them as
counts of words beside the table. Its models of pixels and of language (``autogluon.multimodal``)
need torchvision, of which no build runs with the PyTorch for processors used here.

    LEPTA_SAMPLES=path/to/data python benchmarks/media.py                    # all; half an hour
    LEPTA_SAMPLES=path/to/data python benchmarks/media.py --only sms_spam --time 60s
    make bench-peers; python benchmarks/media.py --only sms_spam --peers autogluon-best

Test rows are looked at once, at the end: the official ones of traffic signs, else a random fifth by
``--seeds``. A gain is "sure" where its 95 % interval over resampled test rows lies above 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lepta
from lepta.core.config import parse_duration
from lepta.core.events import Context
from lepta.core.schema import Kind, Role

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = Path(__file__).resolve().parent / "systems"
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
FOLDS = 3
RESAMPLES = 1000

Scores = NDArray[np.float64]


def neu_det(folder: Path, seed: int) -> lepta.Dataset:
    """Steel surfaces, six classes of defects (NEU, Song & Yan 2013)."""
    data = lepta.Dataset.read(folder / "neu_det" / "labels.csv", target="label")
    return data.split(valid=0.0, test=0.2, seed=seed)


def gtsrb32(folder: Path, seed: int) -> lepta.Dataset:
    """Traffic signs, 43 classes (GTSRB, Stallkamp 2012), official test rows."""
    with np.load(folder / "gtsrb32" / "gtsrb32.npz") as held:
        images = np.concatenate([held["X_train"], held["X_test"]])
        labels = np.concatenate([held["y_train"], held["y_test"]])
        tracks, count = held["track"], len(held["y_test"])
    columns = {
        "image": images,
        "class": labels.astype(str),
        "track": [*map(str, tracks), *(f"test {k}" for k in range(count))],
    }
    data = lepta.Dataset.read(columns, target="class", group="track")
    rows = np.arange(len(images))
    return data.with_splits({"train": rows[:-count], "test": rows[-count:]})


def sms_spam(folder: Path, seed: int) -> lepta.Dataset:
    """Short messages, spam or not (Almeida & Hidalgo 2011), each text once."""
    import pandas as pd

    frame = pd.read_parquet(folder / "text" / "sms_spam.parquet").drop_duplicates("text")
    data = lepta.Dataset.read(frame, target="label", kinds={"text": "text"})
    return data.split(valid=0.0, test=0.2, seed=seed)


def clothing(folder: Path, seed: int) -> lepta.Dataset:
    """Reviews of clothes: whether they recommend, from title, text and table, not the stars."""
    data = lepta.Dataset.read(
        folder / "text_tabular" / "womens_clothing_reviews_1k.parquet",
        target="Recommended IND",
        kinds={"Title": "text", "Review Text": "text"},
        roles={"Rating": "ignore"},
    )
    return data.split(valid=0.0, test=0.2, seed=seed)


SETS: dict[str, Callable[[Path, int], lepta.Dataset]] = {
    "neu_det": neu_det,
    "gtsrb32": gtsrb32,
    "sms_spam": sms_spam,
    "womens_clothing_reviews_1k": clothing,
}


@dataclass(frozen=True)
class Result:
    """What a system gave: probabilities of the test rows (rows, classes), and what it cost."""

    system: str
    scores: Scores
    wall: float
    cpu: float
    notes: str = ""


def probe(data: lepta.Dataset, seed: int, context: Context) -> Result:
    """Fit logistic regression on features of frozen networks."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wall, cpu = time.perf_counter(), time.process_time()
    train, test = data["train"], data["test"]
    x, new = _features(train, test, context)
    group = data.schema.one(Role.GROUP)
    groups = None if group is None else np.asarray(train.column(group.name))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3)),
        {"logisticregression__C": STRENGTHS},
        cv=kind(FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, train.targets(data.task), groups=groups)
    found = np.zeros((len(test), data.task.width))
    found[:, model.classes_] = model.predict_proba(new)
    chosen = model.best_params_["logisticregression__C"]
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Result("probe", found, *seconds, f"C={chosen:g}")


def _features(
    train: lepta.Dataset, test: lepta.Dataset, context: Context
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the pooled features of all images and texts of train and test rows."""
    from functools import partial

    from lepta.models.front import ImageOptions, fit_front
    from lepta.models.front.encoded import EncodedTextFront
    from lepta.models.pretrained import get_backbone

    images = any(field.kind == Kind.IMAGE for field in train.schema.inputs)
    backbone = get_backbone("efficientnet-lite0") if images else None
    front = fit_front(
        train,
        style="dense",
        image=ImageOptions(backbone=backbone) if backbone else None,
        kinds=(Kind.TEXT,),
        text=partial(EncodedTextFront.of, encoder="minilm"),
        context=context,
    )
    begin, end = backbone.levels["last"] if backbone else (0, None)
    names = [part.source.name for part in front.fields]
    sides = [front.run(rows, context) for rows in (train, test)]
    first, second = (np.hstack([side[name][:, begin:end] for name in names]) for side in sides)
    return first, second


def ours(data: lepta.Dataset, budget: str, seed: int, context: Context) -> Result:
    """Let ``fit`` find what it can in the time."""
    wall, cpu = time.perf_counter(), _cpu()
    model = lepta.fit(data, time=budget, seed=seed, audit=False, context=context)
    seconds = time.perf_counter() - wall, _cpu() - cpu
    scores = np.asarray(lepta.evaluate(model, data["test"]).scores, np.float64)
    learner = model.manifest.lineage.config["learner"]
    with tempfile.TemporaryDirectory() as place:
        size = model.save(Path(place) / "m.lepta").stat().st_size / 1e6
    return Result("lepta", scores, *seconds, f"{learner}; {size:.1f} MB")


def peer(name: str, data: lepta.Dataset, budget: str, seed: int, home: Path) -> Result:
    """Give a peer the same rows as files of comma-separated values, in its own environment."""
    import pandas as pd

    names = [field.name for field in data.schema.inputs]
    target = data.task.target
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        for part in ("train", "test"):
            frame = pd.DataFrame({key: data[part].column(key) for key in [*names, target]})
            frame.to_csv(folder / f"{part}.csv", index=False)
        job = {
            "train": str(folder / "train.csv"),
            "test": str(folder / "test.csv"),
            "target": target,
            "task": data.task.name,
            "group": None,
            "budget": parse_duration(budget),
            "seed": seed,
            "threads": 2,
            "model": str(folder / "model"),
        }
        (folder / "job.json").write_text(json.dumps(job))
        cpu = _cpu()
        for phase in ("fit", "serve"):
            command = [str(home / "bin" / "python"), str(SYSTEMS), phase, name]
            command += ["--job", str(folder / "job.json")]
            subprocess.run(command, check=True, cwd=folder, capture_output=True)
        cpu = _cpu() - cpu
        kept = np.load(folder / "scores.npz")
        wall = json.loads((folder / "fit.json").read_text())["fit_wall"]
        served = json.loads((folder / "serve.json").read_text())
    order = [list(kept["classes"]).index(label) for label in data.task.classes]
    notes = f"{served['disk_mb']:.0f} MB; one row {served['row_ms']:.1f} ms"
    return Result(name, kept["scores"][:, order], wall, cpu, notes)


def _cpu() -> float:
    """Return CPU seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def quality(y: NDArray[np.int64], scores: Scores) -> float:
    """Return the area under the curve for two classes, else the accuracy."""
    if scores.shape[1] > 2:
        return float(np.mean(scores.argmax(1) == y))
    from scipy.stats import rankdata

    ranks, positive = rankdata(scores[:, 1]), y == 1
    count = int(positive.sum())
    return float(
        (ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(y) - count) or np.nan)
    )


def log_loss(y: NDArray[np.int64], scores: Scores) -> float:
    """Return the mean negative logarithm of what was said of the right class."""
    return float(-np.log(np.maximum(scores[np.arange(len(y)), y], 1e-7)).mean())


def gain(y: NDArray[np.int64], scores: Scores, others: Scores) -> tuple[float, float]:
    """Return the 95 % interval of the gain in quality over resampled test rows."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(y), len(y)) for _ in range(RESAMPLES))
    gains = [quality(y[rows], scores[rows]) - quality(y[rows], others[rows]) for rows in draws]
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return float(low), float(high)


def measure(name: str, folder: Path, options: argparse.Namespace) -> bool:
    """Run a set with every seed and print what came out; return whether the bar is passed."""
    qualities: dict[str, list[float]] = {}
    for seed in options.seeds:
        data = SETS[name](folder, seed)
        context = Context(threads=2)
        results = [ours(data, options.time, seed, context), probe(data, seed, context)]
        if any(field.kind == Kind.IMAGE for field in data.schema.inputs):
            peers: Sequence[str] = ()
        else:
            peers = options.peers
        home = Path(os.environ.get("LEPTA_BENCH_PEERS", str(ROOT / ".venv-peers"))) / "autogluon"
        results += [peer(one, data, options.time, seed, home) for one in peers]
        y = data["test"].targets(data.task)
        for found in results:
            value = quality(y, found.scores)
            qualities.setdefault(found.system, []).append(value)
            text = f"{name:28} seed {seed} {found.system:17} {value:.4f}  log loss "
            text += f"{log_loss(y, found.scores):.4f}  {found.wall:4.0f} s, {found.cpu:4.0f} CPU s"
            print(f"{text}  {found.notes}", flush=True)
        for other in results[1:]:
            low, high = gain(y, results[0].scores, other.scores)
            sure = "sure" if low > 0 else "not sure"
            print(f"    gain over {other.system}: {low:+.4f} to {high:+.4f}, {sure}", flush=True)
    means = {system: float(np.mean(values)) for system, values in qualities.items()}
    passed = means["lepta"] > means["probe"]
    verdict = "pass" if passed else "fail"
    print(f"BAR {name} {means['lepta']:.4f} >{means['probe']:.4f} {verdict}", flush=True)
    return passed


def main() -> int:
    """Measure the sets named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--time", default="5m", help="budget of each fit")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of split and systems")
    known = ["autogluon-medium", "autogluon-best"]
    parser.add_argument("--peers", nargs="*", choices=known, default=[], help="beside, for texts")
    options = parser.parse_args()
    if "LEPTA_SAMPLES" not in os.environ:
        parser.error("name the folder of real data with LEPTA_SAMPLES")
    folder = Path(os.environ["LEPTA_SAMPLES"])
    passed = [measure(name, folder, options) for name in options.only]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
