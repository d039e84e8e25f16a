"""The peers, as the first page of their guides uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
from job import Job, System


class AutoGluon(System):
    """AutoGluon with a preset, told the metric that counts."""

    modules = ("autogluon.tabular",)

    def __init__(self, preset: str) -> None:
        self.preset = preset

    def fit(self, job: Job) -> dict[str, Any]:
        from autogluon.tabular import TabularPredictor

        frame, y, groups = job.frame(job.train)
        frame[job.target] = y
        more = {}
        if groups is not None and self.preset == "best_quality":
            frame["_fold"], more = job.folds(groups), {"groups": "_fold"}
        metrics = {"regression": "root_mean_squared_error", "multiclass": "log_loss"}
        predictor = TabularPredictor(
            job.target,
            problem_type=job.task,
            eval_metric=metrics.get(job.task, "roc_auc"),
            path=job.model,
            verbosity=1,
            **more,
        )
        predictor.fit(frame, presets=self.preset, time_limit=job.budget, num_cpus=job.threads)
        return {"chosen": predictor.model_best}

    def load(self, job: Job) -> Any:
        from autogluon.tabular import TabularPredictor

        return TabularPredictor.load(job.model)

    def scores(self, model: Any, rows: Any) -> Any:
        if model.problem_type == "regression":
            return model.predict(rows, as_pandas=False)
        return model.predict_proba(rows, as_pandas=False)

    def classes(self, model: Any) -> list[Any]:
        return [] if model.problem_type == "regression" else list(model.class_labels)


class Flaml(System):
    """FLAML's ``AutoML``, told the metric and the groups."""

    modules = ("flaml", "flaml.automl")

    def fit(self, job: Job) -> dict[str, Any]:
        from flaml import AutoML

        frame, y, groups = job.frame(job.train)
        more = {} if groups is None else {"split_type": "group", "groups": groups}
        if groups is not None:
            more["eval_method"] = "cv"
        metrics = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
        model = AutoML()
        model.fit(
            frame,
            y,
            task="regression" if job.task == "regression" else "classification",
            metric=metrics[job.task],
            time_budget=job.budget,
            n_jobs=job.threads,
            seed=job.seed,
            verbose=0,
            log_file_name="",
            **more,
        )
        self.keep((model, job.task), job)
        return {"chosen": model.best_estimator}

    def load(self, job: Job) -> Any:
        model, task = super().load(job)
        self.labels = [] if task == "regression" else list(model.classes_)
        return model

    def scores(self, model: Any, rows: Any) -> Any:
        return model.predict_proba(rows) if self.labels else model.predict(rows)

    def classes(self, model: Any) -> list[Any]:
        return self.labels


class Mljar(System):
    """mljar-supervised in the mode that its makers advise for the best score, told the groups."""

    modules = ("supervised",)

    def fit(self, job: Job) -> dict[str, Any]:
        from supervised import AutoML

        frame, y, groups = job.frame(job.train)
        own, parts = {}, {}
        if groups is not None:
            fold = job.folds(groups, 5)
            own = {"validation_strategy": {"validation_type": "custom"}}
            numbers = range(5)
            parts["cv"] = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in numbers]
        kinds = {"binary": "binary_classification", "multiclass": "multiclass_classification"}
        metrics = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}
        model = AutoML(
            results_path=job.model,
            mode="Compete",
            ml_task=kinds.get(job.task, "regression"),
            eval_metric=metrics[job.task],
            total_time_limit=int(job.budget),
            n_jobs=job.threads,
            random_state=job.seed,
            verbose=0,
            **own,
        )
        model.fit(frame, y, **parts)
        return {"chosen": model._best_model.get_name()}

    def load(self, job: Job) -> Any:
        from supervised import AutoML

        model = AutoML(results_path=job.model)
        first = model.predict_all(job.frame(job.test)[0].iloc[:1])
        self.named = [name for name in first.columns if name.startswith("prediction_")]
        return model

    def scores(self, model: Any, rows: Any) -> Any:
        return model.predict_proba(rows) if self.named else model.predict(rows)

    def classes(self, model: Any) -> list[Any]:
        return [name.removeprefix("prediction_") for name in self.named]


class LightAutoML(System):
    """LightAutoML's preset for tables, told the metric and the groups."""

    modules = ("lightautoml.automl.presets.tabular_presets", "lightautoml.tasks")

    def fit(self, job: Job) -> dict[str, Any]:
        from lightautoml.automl.presets.tabular_presets import TabularAutoML
        from lightautoml.tasks import Task

        frame, y, groups = job.frame(job.train)
        frame[job.target], roles = y, {"target": job.target}
        if groups is not None:
            frame[job.group], roles["group"] = groups, job.group
        kinds = {"regression": "reg"}
        metrics = {"binary": "auc", "multiclass": "crossentropy", "regression": "mse"}
        model = TabularAutoML(
            task=Task(kinds.get(job.task, job.task), metric=metrics[job.task]),
            timeout=job.budget,
            cpu_limit=job.threads,
            reader_params={"n_jobs": job.threads, "cv": 5, "random_state": job.seed},
        )
        model.fit_predict(frame, roles=roles, verbose=0)
        self.keep((model, job.task, sorted(y.unique())), job)
        return {"chosen": model.create_model_str_desc().splitlines()[0][:80]}

    def load(self, job: Job) -> Any:
        model, self.task, found = super().load(job)
        mapping = getattr(model.reader, "class_mapping", None)
        self.found = found if mapping is None else sorted(mapping, key=mapping.get)
        return model

    def scores(self, model: Any, rows: Any) -> Any:
        scores = model.predict(rows).data
        if self.task == "binary":
            return np.hstack([1 - scores, scores])
        return scores if self.task == "multiclass" else scores[:, 0]

    def classes(self, model: Any) -> list[Any]:
        return [] if self.task == "regression" else list(self.found)
