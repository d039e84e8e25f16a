"""Lepta, and a plain search over LightGBM to compare with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from job import Job, System


class Lepta(System):
    """``lepta.fit`` with nothing but the time budget."""

    modules = ("lepta", "lepta.tuning", "lepta.data", "lepta.runtime.predictor")

    def fit(self, job: Job) -> dict[str, Any]:
        import lepta

        data = lepta.Dataset.read(job.train, target=job.target, group=job.group, task=job.task)
        bundle = lepta.fit(data, time=job.budget, test=0, seed=job.seed, threads=job.threads)
        Path(job.model).mkdir(parents=True, exist_ok=True)
        bundle.save(Path(job.model) / "model.lepta")
        return {"chosen": bundle.manifest.lineage.config.get("learner")}

    def load(self, job: Job) -> Any:
        from lepta.runtime.predictor import Predictor

        return Predictor(Path(job.model) / "model.lepta")

    def rows(self, model: Any, job: Job) -> Any:
        from lepta.data import Dataset
        from lepta.data.rereading import reading_of

        return Dataset.read(job.test, **reading_of(model.manifest)).inputs()

    def row(self, rows: Any, number: int) -> Any:
        import pyarrow as pa

        table = rows if isinstance(rows, pa.Table) else pa.table(rows)
        return table.slice(number, 1).to_pylist()[0]

    def scores(self, model: Any, rows: Any) -> Any:
        scores = model.predict(rows).scores
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def classes(self, model: Any) -> list[Any]:
        return list(getattr(model.task, "classes", ()))


class TunedLightGbm(System):
    """LightGBM tuned by Optuna over five folds; the best trial's five models answer together.

    It stops when a tenth of the budget is left, for that is what a trial may still take.
    """

    modules = ("lightgbm", "optuna", "sklearn.model_selection")

    def fit(self, job: Job) -> dict[str, Any]:
        import optuna

        began = time.monotonic()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        frame, y, groups = job.frame(job.train)
        frame, levels = self._coded(frame, {})
        names = [] if job.task == "regression" else sorted(y.unique())
        truth = y.to_numpy(float) if not names else np.searchsorted(names, y)
        parts = self._parts(truth, groups, job)
        best: dict[str, Any] = {"loss": np.inf}
        deadline = began + 0.9 * job.budget

        def objective(trial: Any) -> float:
            found = self._trial(self._space(trial), frame, truth, parts, len(names), job, deadline)
            if found["loss"] < best["loss"]:
                best.update(found)
            return float(found["loss"])

        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=job.seed))
        while not study.trials or time.monotonic() < deadline:
            study.optimize(objective, n_trials=1)
        self.keep((best["models"], levels, names), job)
        return {"chosen": f"{len(study.trials)} trials"}

    @staticmethod
    def _coded(frame: Any, levels: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        import pandas as pd

        frame = frame.copy()
        for column in frame.columns:
            if not pd.api.types.is_numeric_dtype(frame[column]):
                known = levels.setdefault(column, sorted(frame[column].dropna().unique()))
                frame[column] = pd.Categorical(frame[column], categories=known)
        return frame.set_axis([f"f{k}" for k in range(frame.shape[1])], axis=1), levels

    @staticmethod
    def _parts(truth: Any, groups: Any, job: Job) -> list[tuple[Any, Any]]:
        from sklearn import model_selection as ways

        if groups is not None:
            way = ways.GroupKFold(5)
        elif job.task == "regression":
            way = ways.KFold(5, shuffle=True, random_state=job.seed)
        else:
            way = ways.StratifiedKFold(5, shuffle=True, random_state=job.seed)
        return list(way.split(truth, truth, groups))

    @staticmethod
    def _space(trial: Any) -> dict[str, Any]:
        if trial.number == 0:  # first the defaults
            return {"learning_rate": 0.1}
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 256, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 2, 100, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "subsample_freq": 1,
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10.0, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10.0, log=True),
        }

    @staticmethod
    def _trial(
        chosen: dict[str, Any],
        frame: Any,
        truth: Any,
        parts: list[tuple[Any, Any]],
        classes: int,
        job: Job,
        deadline: float,
    ) -> dict[str, Any]:
        import lightgbm

        metric = {"binary": "auc", "multiclass": "multi_logloss", "regression": "rmse"}[job.task]
        chosen = chosen | {"objective": job.task, "metric": metric, "num_threads": job.threads}
        chosen |= {"num_class": classes} if job.task == "multiclass" else {}
        chosen |= {"verbosity": -1, "seed": job.seed}
        sign = -1 if metric == "auc" else 1
        models, losses, first = [], [], "num_leaves" not in chosen

        for number, (inner, outer) in enumerate(parts):
            # A fold may take its share of what is left, so that even a first trial ends in time.
            left = max(deadline - time.monotonic(), 0.0)
            end = time.monotonic() + (left / (len(parts) - number) if first else left)
            data = lightgbm.Dataset(frame.iloc[inner], truth[inner])
            held = lightgbm.Dataset(frame.iloc[outer], truth[outer], reference=data)
            stop = lightgbm.early_stopping(50, verbose=False)
            model = lightgbm.train(
                chosen, data, 2000, valid_sets=[held], callbacks=[stop, _until(end)]
            )
            models.append(model)
            losses.append(sign * model.best_score["valid_0"][metric])
        return {"loss": float(np.mean(losses)), "models": models}

    def load(self, job: Job) -> Any:
        models, self.levels, self.names = super().load(job)
        return models

    def scores(self, model: Any, rows: Any) -> Any:
        rows = self._coded(rows, self.levels)[0]
        threads = {"num_threads": 1} if len(rows) == 1 else {}
        scores = np.mean([one.predict(rows, **threads) for one in model], axis=0)
        return np.stack([1 - scores, scores], 1) if len(self.names) == 2 else scores

    def classes(self, model: Any) -> list[Any]:
        return list(self.names)


def _until(end: float) -> Callable[[Any], None]:
    """Stop growing trees at a moment."""
    from lightgbm.callback import EarlyStopException

    def check(state: Any) -> None:
        if time.monotonic() > end:
            raise EarlyStopException(state.iteration, state.evaluation_result_list)

    return check
