"""Models, versions and aliases in MLflow's registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

from lepta.core.errors import StoreError, Where, suggest
from lepta.core.files import sha256_file
from lepta.store.border import call, code_of
from lepta.store.location import Location
from lepta.store.records import Model, ModelVersion
from lepta.store.run import Run, bundle_tag

_HASH = "lepta.sha256"
_FILE = "lepta.file"
_METRICS = "lepta.metrics"
_NOT_ALLOWED = "/:@'\"%\\"


class Registry:
    """The registry behind one MLflow client."""

    def __init__(self, client: Any, location: Location) -> None:
        self._client, self._location = client, location

    def add(self, name: str, path: Path, run: Run, metrics: dict[str, float]) -> int:
        """Register ``path`` as an artefact of ``run``; return the new version's number."""
        _check_name(name)
        self._make(name)
        found = call("Reading the run", self._client.get_run, run.id)
        digest = sha256_file(path)
        if found.data.tags.get(bundle_tag(path.name)) != digest:
            run.log_bundle(path)
        made = call(
            "Registering the model",
            self._client.create_model_version,
            name,
            f"{found.info.artifact_uri}/{quote(path.name)}",
            run_id=run.id,
            tags={_HASH: digest, _FILE: path.name, _METRICS: json.dumps(metrics)},
        )
        return int(made.version)

    def models(self) -> list[Model]:
        """Return all models, sorted by name."""
        search = self._client.search_registered_models
        found, token = [], None
        while True:
            page = call("Reading models", search, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return sorted(map(self._model, found), key=lambda model: model.name)

    def version(self, name: str, version: int) -> ModelVersion:
        """Return one version.

        Raises:
            StoreError: there is none.
        """
        for found in self.model(name).versions:
            if found.version == version:
                return found
        raise self._no_version(name, str(version))

    def model(self, name: str) -> Model:
        """Return one model.

        Raises:
            StoreError: there is none; the nearest name is suggested.
        """
        try:
            found = call("Reading the model", self._client.get_registered_model, name)
        except StoreError as error:
            if code_of(error) not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            names = [model.name for model in self.models()]
            raise StoreError(
                f"There is no model {name!r}.{suggest(name, names)}",
                fix=f"Models: {', '.join(names) or 'none yet'}.",
            ) from error
        return self._model(found)

    def alias(self, name: str, alias: str, version: int) -> None:
        """Point ``alias`` at ``version``."""
        if alias.isdecimal():
            raise StoreError(f"The alias {alias!r} would read as a version.", fix="Use a word.")
        self.version(name, version)
        set_alias = self._client.set_registered_model_alias
        call("Setting the alias", set_alias, name, alias, str(version))

    def resolve(self, reference: str) -> Path:
        """Return the verified bundle file of a reference."""
        name, _, label = reference.partition("@")
        model = self.model(name)
        version = self._choose(model, label)
        found = call(
            "Reading the model", self._client.get_model_version, name, str(version.version)
        )
        filename = found.tags.get(_FILE)
        if not filename or Path(filename).name != filename or not version.sha256:
            raise StoreError(
                f"{reference!r} was not registered by Lepta.",
                fix="Register a .lepta file: lepta models --register NAME.lepta.",
            )
        local = self._local(found, filename)
        if local is None:
            return self._download(found, filename, version.sha256)
        _verify(local, version.sha256)
        return local

    def _choose(self, model: Model, label: str) -> ModelVersion:
        if label in ("", "latest") and model.versions:
            return model.versions[0]
        wanted = int(label) if label.isdecimal() else model.aliases.get(label)
        for version in model.versions:
            if version.version == wanted:
                return version
        raise self._no_version(model.name, label, model)

    def _no_version(self, name: str, label: str, model: Model | None = None) -> StoreError:
        model = model or self.model(name)
        known = [*model.aliases, *(str(v.version) for v in model.versions)]
        noun = "version" if label.isdecimal() else "alias"
        return StoreError(
            f"The model {name!r} has no {noun} {label!r}.{suggest(label, known)}",
            fix=f"Known: {', '.join(known) or 'no version yet'}.",
        )

    def _make(self, name: str) -> None:
        try:
            call("Registering the model", self._client.create_registered_model, name)
        except StoreError as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise

    def _model(self, found: Any) -> Model:
        by_version: dict[int, list[str]] = {}
        for alias, number in found.aliases.items():
            by_version.setdefault(int(number), []).append(alias)
        versions = self._versions(found.name)
        return Model(
            found.name,
            tuple(
                _record(item, by_version)
                for item in sorted(versions, key=lambda item: int(item.version), reverse=True)
            ),
        )

    def _versions(self, name: str) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            search = self._client.search_model_versions
            page = call("Reading versions", search, f"name='{name}'", page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def _local(self, found: Any, filename: str) -> Path | None:
        """The artefact's file when it is on this disk, even after the store's folder moved."""
        artifacts = self._location.artifacts
        source = found.source or ""
        written = Path(unquote(source.removeprefix("file://")))
        if source.startswith("file://") and written.is_file():
            return written
        if artifacts is None:
            return None
        tail = written.parts[-4:]  # experiment, run, "artifacts", file
        moved = artifacts.joinpath(*tail)
        if moved.is_file() and tail[-1] == filename:
            return moved
        raise StoreError(
            f"The bundle of {found.name!r}, version {found.version}, is gone.",
            where=Where(file=str(moved)),
            fix="Restore the file, or register the bundle again.",
        )

    def _download(self, found: Any, filename: str, digest: str) -> Path:
        folder = self._location.downloads / digest
        target = folder / filename
        if target.is_file() and sha256_file(target) == digest:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".part-", dir=self._location.downloads) as part:
            fetch = self._client.download_artifacts
            fetched = Path(call("Downloading the bundle", fetch, found.run_id, filename, part))
            _verify(fetched, digest)
            fetched.replace(target)
        return target


def _record(item: Any, aliases: dict[int, list[str]]) -> ModelVersion:
    return ModelVersion(
        name=item.name,
        version=int(item.version),
        aliases=tuple(sorted(aliases.get(int(item.version), []))),
        sha256=item.tags.get(_HASH, ""),
        run_id=item.run_id or "",
        created=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC),
        metrics=json.loads(item.tags.get(_METRICS, "{}")),
    )


def _verify(path: Path, digest: str) -> None:
    if sha256_file(path) != digest:
        raise StoreError(
            "The bundle is not the one that was registered: its SHA-256 differs.",
            where=Where(file=str(path)),
            fix="Restore the file, or register it again as a new version.",
        )


def _check_name(name: str) -> None:
    wrong = sorted(set(name) & set(_NOT_ALLOWED))
    if not name.strip() or wrong:
        raise StoreError(
            f"{name!r} cannot name a model.",
            fix=f"Use letters, digits, '-', '_' and '.'; none of {' '.join(_NOT_ALLOWED)}",
        )
