"""The store: runs of experiments, and models with versions and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lepta.core.errors import StoreError, suggest
from lepta.core.events import Context
from lepta.store.border import call, code_of, load
from lepta.store.database import ensure
from lepta.store.location import locate
from lepta.store.records import Model, ModelVersion, RunInfo
from lepta.store.registry import Registry
from lepta.store.run import Run, metric_name


class Store:
    """Experiments and models, in MLflow.

    Args:
        uri: a folder, or an MLflow URI (``http://...``, ``sqlite:///...``). None takes
            ``MLFLOW_TRACKING_URI`` where it is set, else the folder ``.lepta``.
        context: shows progress when the database is made, which takes seconds.

    Nothing is written or contacted before the first use.
    """

    def __init__(self, uri: str | Path | None = None, *, context: Context | None = None) -> None:
        self._location = locate(uri)
        self._context = context or Context()

    @property
    def uri(self) -> str:
        """The MLflow tracking URI; `mlflow ui --backend-store-uri` takes it."""
        return self._location.tracking

    @cached_property
    def _client(self) -> Any:
        place = self._location
        if place.database is not None and place.artifacts is not None:
            ensure(place.database, place.artifacts, self._context)
        client = load("mlflow.tracking.client").MlflowClient
        return call("Opening the store", client, place.tracking, place.registry)

    @property
    def _registry(self) -> Registry:
        return Registry(self._client, self._location)

    @property
    def _empty(self) -> bool:
        database = self._location.database
        return database is not None and not database.exists()

    def run(
        self,
        experiment: str,
        *,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Run:
        """Begin a run of ``experiment``, which is made when it is new.

        Raises:
            StoreError: the store cannot write.
        """
        made = call("Starting a run", self._client.create_run, self._experiment(experiment),
                    run_name=name)  # fmt: skip
        run = Run(self._client, made.info.run_id)
        run.log_params(params or {})
        return run

    def runs(self, experiment: str | None = None) -> list[RunInfo]:
        """Return the runs of one experiment, or of all, the newest first.

        Raises:
            StoreError: there is no such experiment, or the store cannot answer.
        """
        names = {} if self._empty else self._experiments()
        chosen = {key: value for key, value in names.items() if experiment in (None, value)}
        if experiment is not None and not chosen:
            raise StoreError(
                f"There is no experiment {experiment!r}.{suggest(experiment, names.values())}",
                fix=f"Experiments: {', '.join(sorted(names.values())) or 'none yet'}.",
            )
        return [_run_info(run, names) for run in self._search(list(chosen))] if chosen else []

    def register(
        self,
        name: str,
        bundle: Path | str,
        *,
        alias: str | None = None,
        run: Run | str | None = None,
    ) -> ModelVersion:
        """Make the bundle file the next version of the model ``name``.

        The bundle is checked first, and kept as an artefact of ``run``; without one, a run of
        the experiment ``name`` is made for it.

        Raises:
            BundleError: the file is no sound bundle.
            StoreError: the name is not allowed, or the store cannot write.
        """
        from lepta.bundle import Bundle

        path = Path(bundle)
        manifest = Bundle.load(path).manifest
        if run is None:
            with self.run(name, name="register") as made:
                made.log_bundle(path)
            run = made
        owner = run if isinstance(run, Run) else Run(self._client, run)
        metrics = {m.name: m.value for m in manifest.metrics if m.value is not None}
        version = self._registry.add(name, path, owner, metrics)
        if alias is not None:
            self.alias(name, alias, version)
        return self._registry.version(name, version)

    def models(self) -> list[Model]:
        """Return the registered models with their versions, sorted by name.

        Raises:
            StoreError: the store cannot answer.
        """
        return [] if self._empty else self._registry.models()

    def alias(self, name: str, alias: str, version: int) -> None:
        """Let ``name@alias`` mean ``version``.

        Raises:
            StoreError: there is no such model or version, or the alias is not allowed.
        """
        self._registry.alias(name, alias, version)

    def resolve(self, reference: str) -> Path:
        """Return the bundle file of "name@alias", "name@2" or "name" (the newest version).

        A bundle in a remote store is downloaded once. The SHA-256 is checked every time.

        Raises:
            StoreError: there is no such model, version or alias, or the file was changed.
        """
        return self._registry.resolve(reference)

    def _experiment(self, name: str) -> str:
        client = self._client
        found = call("Starting a run", client.get_experiment_by_name, name)
        if found is not None:
            return str(found.experiment_id)
        artifacts = self._location.artifacts
        place = (artifacts / metric_name(name).replace("/", "_")).as_uri() if artifacts else None
        try:
            return str(call("Making the experiment", client.create_experiment, name, place))
        except StoreError as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(call("Starting a run", client.get_experiment_by_name, name).experiment_id)

    def _experiments(self) -> dict[str, str]:
        found = _pages("Reading experiments", self._client.search_experiments)
        return {item.experiment_id: item.name for item in found}

    def _search(self, experiments: list[str]) -> list[Any]:
        return _pages(
            "Reading runs",
            self._client.search_runs,
            experiment_ids=experiments,
            order_by=["attributes.start_time DESC"],
        )


def _pages(action: str, function: Any, **options: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = call(action, function, page_token=token, **options)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _run_info(run: Any, experiments: dict[str, str]) -> RunInfo:
    info = run.info
    return RunInfo(
        id=info.run_id,
        name=info.run_name or "",
        experiment=experiments[info.experiment_id],
        status=info.status.lower(),
        started=datetime.fromtimestamp(info.start_time / 1000, UTC),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
    )
