"""On which data models made of models win, and by how much.

    LEPTA_SAMPLES=path/to/data python benchmarks/hybrids.py             # all, about ten minutes
    LEPTA_SAMPLES=path/to/data python benchmarks/hybrids.py --quick     # four tables, fewer rows
    python benchmarks/hybrids.py --only computers --cache path/to/tables

Tables are those of ``tables.py`` and some of the sample folder; at most 3,000 rows of each are
taken, and 1,000 of texts and images. The last fifth in time is the test where rows follow each
other, else 40 % of the rows, drawn at random. Of the other rows, each learner is fitted on three
of four folds, four times; the held-out fold stops it early and tells its loss, and the sum of the
four models is what is tested. So every learner has the same rows, and a stack is learned from
scores of rows that its models were not fitted on.

The loss is the log loss, or the mean squared error. For each hybrid the table says by how many
percent its loss is above or below that of the best single learner *in hindsight*, with an interval
of 95 % over 1,000 resamples of the test rows, paired. The last columns say what one would have
got by taking the learner of the least held-out loss, without hybrids and with them: the gain that
counts, for nobody knows the best one beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import lepta
from lepta.core.events import Context
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.hybrid.blend import Blend
from lepta.models.hybrid.heldout import parts_of_rows
from lepta.models.hybrid.stacked import fit_second
from lepta.models.learner import LEARNERS
from lepta.tasks import Task

sys.path.insert(0, str(Path(__file__).parent))
from tables import CACHE, TABLES, read_split

SEED, FOLDS, RESAMPLES = 0, 4, 1000
Learners = dict[str, tuple[str, dict[str, Any]]]
"""By the name in the printed table: learner and options."""
PARTS: Learners = {
    "linear": ("linear", {}),
    "spline": ("spline", {}),
    "trees": ("trees", {}),
}
HYBRIDS: Learners = {
    "linear, trees": ("residual", {"first": "linear"}),
    "spline, trees": ("residual", {"first": "spline"}),
    "leaves, linear": ("leaf-linear", {}),
}
READERS: Learners = {"words": ("bag", {}), "encoder": ("transfer", {})}
"""Single learners of texts and images, with the table where there is one."""
ENCODED: Learners = {"encoder, trees": ("embedded-trees", {})}
STACK = "stack"
"""Of all single learners."""


@dataclass(frozen=True)
class Case:
    """Data to compare on.

    Attributes:
        data: rows, those of the test last.
        test: how many these are.
        parts: the single learners.
        hybrids: the hybrids.
    """

    data: lepta.Dataset
    test: int
    parts: Learners = field(default_factory=lambda: PARTS)
    hybrids: Learners = field(default_factory=lambda: HYBRIDS)

    @property
    def compared(self) -> list[str]:
        """What is compared with the best single learner, in the order of the columns."""
        return [*self.hybrids, STACK, f"{STACK} of all"]


def plain(name: str, rows: int, cache: Path) -> Case:
    """Return one of the public tables, its rows in random order."""
    import pandas as pd

    split = read_split(name, cache)
    frame = pd.concat([pd.read_csv(split.train), pd.read_csv(split.test)])
    frame = frame.sample(n=min(rows, len(frame)), random_state=SEED)
    data = lepta.Dataset.read(
        frame.drop(columns=[split.group] if split.group else []),
        target=split.target,
        task=TABLES[name].task,
    )
    return Case(data, round(0.4 * len(data)))


def in_time(name: str, rows: int) -> Case:
    """Return hourly counts, in the order of time: the last fifth is tested."""
    import pandas as pd

    folder = Path(os.environ["LEPTA_SAMPLES"]) / "smart_city"
    if name == "bikes":
        frame = pd.read_parquet(folder / "bike_sharing_hourly.parquet")
        hour = pd.to_datetime(frame.dteday) + pd.to_timedelta(frame.hr, "h")
        frame = frame.drop(columns=["dteday", "casual", "registered", "instant"], errors="ignore")
        frame, target = frame.assign(hour=hour.astype(str)), "cnt"
    else:
        frame = pd.read_parquet(folder / "metro_traffic_hourly.parquet")
        frame, target = frame.rename(columns={"date_time": "hour"}), "traffic_volume"
    frame = frame.sort_values("hour", kind="stable").reset_index(drop=True)
    frame = frame.iloc[:: max(1, len(frame) // (2 * rows))]
    data = lepta.Dataset.read(frame, target=target, time_field="hour")
    return Case(data, len(data) // 5)


def media(name: str, rows: int) -> Case:
    """Return reviews with a table beside them, messages, or surfaces, in random order."""
    import pandas as pd

    folder = Path(os.environ["LEPTA_SAMPLES"])
    if name == "surfaces":
        data = lepta.Dataset.read(folder / "neu_det" / "labels.csv", target="label")
        order = np.random.default_rng(SEED).permutation(len(data))[:rows]
        images = {"encoder": READERS["encoder"]}
        return Case(data.take(order), round(0.4 * len(order)), images, ENCODED)
    if name == "reviews":
        frame = pd.read_parquet(folder / "text_tabular" / "womens_clothing_reviews_1k.parquet")
        frame, target = frame.drop(columns=["Rating", "Title"]), "Recommended IND"
    else:
        frame = pd.read_parquet(folder / "text" / "sms_spam.parquet").drop_duplicates()
        target = str(frame.nunique().idxmin())
    frame = frame.sample(n=min(rows, len(frame)), random_state=SEED)
    data = lepta.Dataset.read(frame.reset_index(drop=True), target=target, task="binary")
    trees = {"trees": PARTS["trees"]} if name == "reviews" else {}
    return Case(data, round(0.4 * len(data)), READERS | trees, ENCODED)


MEDIA = ("reviews", "messages", "surfaces")
TIMED = ("bikes", "metro")
TABULAR = (
    "computers", "concrete", "diabetes", "ames", "wages", "ratings",
    "german_credit", "credit_data", "churn", "taiwan_default", "contraceptive", "oulad",
)  # fmt: skip
QUICK = ("bikes", "computers", "german_credit", "contraceptive")


def case_of(name: str, rows: int, cache: Path) -> Case:
    """Return the data of a name."""
    if name in MEDIA:
        return media(name, min(rows, 1000))
    return in_time(name, rows) if name in TIMED else plain(name, rows, cache)


def fit_bag(
    learner: str, options: dict[str, Any], context: Context, data: lepta.Dataset, parts: list[Any]
) -> tuple[Any, np.ndarray]:
    """Return the sum of a learner's fold models, and its raw scores of the rows held out."""
    models, raw = [], None
    for number, part in enumerate(parts):
        train, held = shared_part(context, 2 * number), shared_part(context, 2 * number + 1)
        model = LEARNERS.get(learner)(**options).fit(train, held, data.task, context)
        found = model.raw_of(held, context)
        raw = np.zeros((len(data), found.shape[1]), np.float32) if raw is None else raw
        raw[part] = found
        models.append(model)
    return Blend.of(models, [1 / len(parts)] * len(parts)), raw


def losses_of(raw: np.ndarray, y: np.ndarray, task: Task) -> np.ndarray:
    """Return the log loss or the squared error of each row."""
    if not task.is_classification:
        return (raw[:, 0].astype(float) - y) ** 2
    logits = raw.astype(float) - raw.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]


def compare(case: Case) -> dict[str, Any]:
    """Fit all, and return the losses of the test rows and of the rows held out, by name."""
    count = len(case.data) - case.test
    known, test = case.data.take(np.arange(count)), case.data.take(np.arange(count, len(case.data)))
    parts = parts_of_rows(known, SEED, FOLDS)
    folds = [rows for part in parts for rows in (np.setdiff1d(np.arange(count), part), part)]
    context = share_rows(Context(seed=SEED, threads=1), known, folds)
    y, truth, task = known.targets(known.task), test.targets(known.task), known.task
    tested, held, seconds, raws = {}, {}, {}, {}
    for name, (learner, options) in (case.parts | case.hybrids).items():
        began = time.process_time()
        model, raws[name] = fit_bag(learner, options, context, known, parts)
        tested[name] = model.raw_of(test, context)
        seconds[name] = time.process_time() - began
    everything = case.parts | case.hybrids
    for names, called in ((case.parts, STACK), (everything, f"{STACK} of all")):
        second = fit_second([raws[name] for name in names], y, task, parts)
        tested[called], raws[called] = second.sum([tested[name] for name in names]), second.raw
    for name, raw in raws.items():
        held[name] = float(losses_of(raw, y, task).mean())
    return {
        "test": {name: losses_of(raw, truth, task) for name, raw in tested.items()},
        "held": held,
        "seconds": seconds,
        "rows": count,
    }


def interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Return by how many percent ``one`` is above ``other`` in the mean, and 95 % limits."""
    rng = np.random.default_rng(SEED)
    counts = rng.multinomial(len(one), np.full(len(one), 1 / len(one)), RESAMPLES)
    ratios = 100 * ((counts @ one) / (counts @ other) - 1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return 100 * (one.mean() / other.mean() - 1), float(low), float(high)


def summarise(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    """Return one row of the table."""
    test, held = found["test"], found["held"]
    best = min(case.parts, key=lambda name: test[name].mean())
    without = min(case.parts, key=lambda name: held[name])
    chosen = min([*case.parts, *case.hybrids], key=lambda name: held[name])
    return {
        "rows": found["rows"],
        "best": best,
        "loss": float(test[best].mean()),
        "losses": {name: float(values.mean()) for name, values in test.items()},
        "changes": {name: interval(test[name], test[best]) for name in case.compared},
        "chosen": chosen,
        "gain": interval(test[chosen], test[without]),
        "seconds": {name: round(value, 1) for name, value in found["seconds"].items()},
    }


def show(name: str, row: dict[str, Any]) -> None:
    """Print one row."""

    def cell(change: tuple[float, float, float]) -> str:
        mark = "*" if change[2] < 0 else "!" if change[1] > 0 else " "
        return f"{change[0]:+6.1f} [{change[1]:+6.1f},{change[2]:+6.1f}]{mark}"

    cells = "  ".join(cell(change) for change in row["changes"].values())
    print(f"{name:15}{row['rows']:5} {row['best']:8}{row['loss']:11.4g}  {cells}  "
          f"{row['chosen']:15}{cell(row['gain'])}", flush=True)  # fmt: skip


def conclude(rows: dict[str, dict[str, Any]]) -> None:
    """Print of each hybrid where it won, lost, or neither."""
    print("\n* below the best single learner by more than chance, ! above it\n")
    for name in dict.fromkeys(name for row in rows.values() for name in row["changes"]):
        changes = [row["changes"][name] for row in rows.values() if name in row["changes"]]
        won, lost = sum(c[2] < 0 for c in changes), sum(c[1] > 0 for c in changes)
        median = float(np.median([c[0] for c in changes]))
        print(f"{name:15} won on {won}, lost on {lost} of {len(changes)}; median {median:+.1f} %")
    gains = [row["gain"] for row in rows.values()]
    won, lost = sum(c[2] < 0 for c in gains), sum(c[1] > 0 for c in gains)
    print(f"Chosen by held-out loss, hybrids changed {sum(c[0] != 0 for c in gains)} choices: "
          f"{won} won, {lost} lost; mean {np.mean([c[0] for c in gains]):+.1f} %")  # fmt: skip


def main() -> None:
    """Run the sets asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="names of sets")
    parser.add_argument("--quick", action="store_true", help="four tables, 1,200 rows of each")
    parser.add_argument("--rows", type=int, default=3000, help="rows of a set at the most")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the public tables")
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    names = asked.only or (QUICK if asked.quick else (*TIMED, *TABULAR, *MEDIA))
    limit = 1200 if asked.quick else asked.rows
    rows: dict[str, dict[str, Any]] = {}
    titles: list[str] = []
    for name in names:
        case = case_of(name, limit, asked.cache)
        if case.compared != titles:
            titles = case.compared
            heads = "  ".join(f"{title:24}" for title in titles)
            print(
                f"\n{'data':15}{'rows':>5} {'best':8}{'loss':>11}  {heads}  {'chosen':15}its gain"
            )
        rows[name] = summarise(case, compare(case))
        show(name, rows[name])
    conclude(rows)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
