"""The agent of a device: predicts here, tells profiles and metrics, keeps its bundle up to date."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lepta.bundle import Signature
from lepta.core.errors import BundleError, ConfigError, EdgeError, LeptaError
from lepta.core.events import Context
from lepta.edge.agent.config import AgentConfig
from lepta.edge.agent.link import Backoff, Link, LinkError
from lepta.edge.agent.loops import Loop
from lepta.edge.agent.messages import Delivery, Health
from lepta.edge.agent.model import Model, Trial
from lepta.edge.agent.place import SPOOL_FOLDER, device_name, lock_folder, sweep
from lepta.edge.agent.spool import Spool
from lepta.edge.agent.update import RefusedError, Updater, read_public_key
from lepta.edge.agent.versions import Versions
from lepta.edge.agent.window import Record
from lepta.runtime import Predictions
from lepta.runtime.predictions import answers

_TICK = 1.0
_LINGER = 30.0
"""Seconds for which a model that another took the place of may still answer calls."""


class Agent:
    """Predicts with the current bundle of a device. Use as a context manager; thread-safe.

    Inputs and answers stay on the device. What it tells a hub are windows: counts, means,
    deviations and histograms, nothing of fewer than ``window.least`` rows; and events, such as a
    switch of versions.

    Args:
        folder: of the device; made where it is missing. One agent at a time uses it.
        config: how to predict, tell and update.
        context: where it is reported what happens.
        bundle: the bundle to begin with; a device that has one already keeps its own.

    Raises:
        EdgeError: the folder cannot be used, or another agent uses it.
        ConfigError: an option is missing, such as the key by which bundles must be signed.
        BundleError: the bundle is damaged or not signed.
    """

    def __init__(
        self,
        folder: Path | str,
        config: AgentConfig | None = None,
        context: Context | None = None,
        bundle: Path | str | None = None,
    ) -> None:
        self.config, self._context = config or AgentConfig(), context or Context()
        self.folder = Path(folder)
        _check(self.config)
        self._link = Link(self.config.hub) if self.config.hub.url else None
        key = read_public_key(self.config.update)
        self._unlock = lock_folder(self.folder)
        try:
            sweep(self.folder)
            self.device = device_name(self.folder, self.config.device)
            self._versions = Versions(self.folder)
            self._spool = Spool(self.folder / SPOOL_FOLDER, self.config.spool)
            if bundle is not None and not self._versions.pointer.current:
                trusted = None if self.config.update.unsigned else key
                self._versions.switch(self._versions.install(Path(bundle), trusted), trial=False)
            self._held: list[Record] = []
            self._retired: list[tuple[float, Model]] = []
            self._stopping = threading.Event()
            self._state, self._writing = threading.RLock(), threading.Lock()
            self._batch = self.config.hub.batch
            self._model, self._trial = self._open()
            self._updater = self._make_updater()
        except BaseException:
            self._unlock()
            raise
        self._loops = self._make_loops()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to tell and to update, in threads."""
        if self._link is not None and self._link.exposed:
            self._context.say(
                "The hub is spoken to without encryption: give it an https:// URL.", "warning"
            )
        for loop in self._loops.values():
            loop.start()

    def close(self) -> None:
        """End the window, hand over what can be handed over, and stop."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for loop in self._loops.values():
            loop.stop()
        for loop in self._loops.values():
            loop.join(10.0)
        with contextlib.suppress(LeptaError, OSError):
            self._tell_windows(all_of_them=True)
        if "deliver" in self._loops and self._loops["deliver"].healthy:
            with contextlib.suppress(LeptaError):
                while self.deliver():
                    pass
        self._unlock()

    @property
    def version(self) -> str:
        """Digest of the bundle that predicts; empty without one."""
        model = self._model
        return model.digest if model is not None else ""

    @property
    def signature(self) -> Signature | None:
        """What the bundle takes and gives; None without one."""
        model = self._model
        return model.predictor.signature if model is not None else None

    def predict(self, rows: Any) -> Predictions:
        """Predict rows of one's own, as :meth:`lepta.runtime.Predictor.predict` does.

        Raises:
            EdgeError: there is no bundle yet.
            InputError: a field is missing or does not fit.
            DecodeError: a file cannot be decoded.
        """
        return self._predict(rows, foreign=False)[0]

    def answer(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Predict rows that a stranger sent: JSON values, files as base64; no path is opened.

        Returns:
            ``{"predictions": [one mapping a row], "version": digest of the bundle}``.

        Raises:
            EdgeError: there is no bundle yet.
            InputError: a field is missing or does not fit.
            DecodeError: a file cannot be decoded.
        """
        if not rows:
            return {"predictions": [], "version": self.version}
        found, version = self._predict(rows, foreign=True)
        return {"predictions": answers(found.columns(), len(rows)), "version": version}

    def tick(self) -> bool:
        """Judge a version on trial, and spool the windows that have ended.

        Raises:
            EdgeError: the disk is full; it is tried again, and nothing is lost.
        """
        self._judge()
        self._tell_windows()
        return False

    def deliver(self) -> bool:
        """Send the oldest records and how the device is; return whether there are more.

        Raises:
            LinkError: no receipt came; the records stay.
        """
        link = self._hub()
        records = self._spool.peek(self._batch)
        health = self.health()
        about = health.model_copy(update={"pending": max(0, health.pending - len(records))})
        delivery = Delivery(
            **about.model_dump(),
            records=tuple((record.seq, json.loads(record.payload)) for record in records),
        )
        try:
            receipt = link.deliver(delivery)
        except LinkError as error:
            if error.status == 413:
                self._batch = max(1, self._batch // 2)
            raise
        if records:
            if receipt.through != records[-1].seq:
                raise LinkError("The hub gave a receipt for other records.")
            self._spool.acknowledge(receipt.through)
        return self._spool.pending > 0

    def update(self) -> bool:
        """Ask the hub for a new bundle; fetch, verify, test it and switch to it.

        Raises:
            LinkError: the line broke; what was fetched is kept.
        """
        if self._updater is None:
            raise ConfigError("There is no hub to take bundles from.", fix="Give --hub.url.")
        try:
            digest = self._updater.look()
            if digest:
                self._switch(digest, self._updater)
        except RefusedError as error:
            self._event("refused", error.digest, error.what)
        return False

    def health(self) -> Health:
        """Return how the device is, as the hub is told."""
        state = self._spool.state
        return Health(
            device=self.device,
            spool=state.spool,
            version=self.version,
            pending=self._spool.pending,
            last=self._spool.last,
            dropped=state.dropped,
            damaged=len(state.damaged),
            refused=self._versions.refused,
        )

    def _predict(self, rows: Any, *, foreign: bool) -> tuple[Predictions, str]:
        with self._state:
            model, trial = self._model, self._trial
        if model is None:
            raise EdgeError(
                "This device has no bundle yet.",
                fix="Give --bundle, or publish one on its hub.",
            )
        try:
            scores = model.scores(rows, foreign=foreign)
        except LeptaError as error:
            model.window.failed(error.code)
            rescued = trial.rescue(rows, foreign=foreign) if trial else None
            if trial is None or rescued is None:
                raise
            self._loops["tick"].wake()
            return Predictions(rescued, trial.before.predictor.task), trial.before.digest
        if trial is not None:
            trial.count(len(scores))
        if model.window.due or (trial is not None and trial.passed):
            self._loops["tick"].wake()
        return Predictions(scores, model.predictor.task), model.digest

    def _open(self) -> tuple[Model | None, Trial | None]:
        """Load the current version, or the one before where it does not load or keeps dying."""
        pointer = self._versions.pointer
        if not pointer.current:
            return None, None
        try:
            starts = self._versions.started()
            if starts > self.config.update.max_starts:
                raise BundleError(f"The agent died {starts - 1} times during its trial.")
            model = self._load(pointer.current)
        except BundleError as error:
            if not pointer.previous:
                raise
            failed = self._versions.roll_back(error.what)
            self._event("rolled back", failed, error.what)
            return self._load(self._versions.pointer.current), None
        self._versions.clean()
        if not pointer.trial:
            return model, None
        try:
            return model, Trial(self._load(pointer.previous), self.config.update)
        except BundleError as error:
            self._versions.confirm()
            why = f"There is nothing to go back to: {error.what}"
            self._event("trusted", pointer.current, why)
            return model, None

    def _load(self, digest: str) -> Model:
        return Model(self._versions.load(digest), self.config.window, self.config.threads)

    def _switch(self, digest: str, updater: Updater) -> None:
        try:
            model = self._load(digest)
        except BundleError as error:
            raise updater.refuse(digest, self._versions.seal(digest), error) from error
        with self._state:
            old, trial = self._model, self._trial
            self._versions.switch(digest, trial=True)
            before = trial.before if trial is not None else old
            on_trial = self._versions.pointer.trial and before is not None
            self._model = model
            self._trial = Trial(before, self.config.update) if on_trial and before else None
        self._versions.clean()
        self._retire(old if old is not before else None)
        received = updater.downloads.clear()
        self._event("switched", digest, f"{received} bytes were fetched")

    def _judge(self) -> None:
        with self._state:
            trial, model = self._trial, self._model
            if trial is None or model is None or not (trial.failed or trial.passed):
                return
            if trial.passed:
                self._versions.confirm()
                event = ("trusted", model.digest, f"{trial.rows} rows, {trial.failures} failed")
                old = trial.before
            else:
                reason = f"{trial.failures} of {trial.rows} rows failed that did not before."
                event = ("rolled back", self._versions.roll_back(reason), reason)
                old, self._model = model, trial.before
            self._trial = None
        self._retire(old)
        self._event(*event)

    def _event(self, what: str, digest: str, why: str) -> None:
        warning = what in ("refused", "rolled back")
        self._context.say(f"{digest[:12]} {what}: {why}", "warning" if warning else "info")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._keep({"kind": "event", "event": what, "version": digest, "at": now, "why": why})

    def _end(self, model: Model | None) -> None:
        record = model.window.end() if model is not None else None
        if record is not None:
            self._keep(record)

    def _retire(self, model: Model | None) -> None:
        """Tell of a model, and again once the calls that it still answers are over."""
        if model is not None:
            with self._state:
                self._retired.append((time.monotonic() + _LINGER, model))
            self._end(model)

    def _tell_windows(self, *, all_of_them: bool = False) -> None:
        self._write_held()
        now = time.monotonic()
        with self._state:
            models = [self._model, self._trial.before if self._trial else None]
            gone = [model for until, model in self._retired if all_of_them or until < now]
            self._retired = [pair for pair in self._retired if pair[1] not in gone]
        for model in models:
            if model is not None and (all_of_them or model.window.due):
                self._end(model)
        for model in gone:
            self._end(model)

    def _keep(self, record: Record) -> None:
        """Spool a record; where the disk is full, keep it in memory for the next time."""
        with self._writing:
            self._held.append(record)
        self._write_held()

    def _write_held(self) -> None:
        with self._writing:
            while self._held:
                self._spool.append(_payload(self._held[0]))
                self._held.pop(0)

    def _hub(self) -> Link:
        if self._link is None:
            raise ConfigError("There is no hub to tell.", fix="Give --hub.url.")
        return self._link

    def _make_updater(self) -> Updater | None:
        if self._link is None or not self.config.update.enabled:
            return None
        return Updater(
            self.folder,
            self._versions,
            self._link,
            self.config,
            self.device,
            self._stopping.is_set,
        )

    def _make_loops(self) -> dict[str, Loop]:
        hub = self.config.hub
        loops = {"tick": (_TICK, self.tick)}
        if self._link is not None:
            loops["deliver"] = (hub.every, self.deliver)
        if self._updater is not None:
            loops["update"] = (self.config.update.every, self.update)
        return {
            name: Loop(name, every, work, Backoff(hub.backoff, hub.longest), self._context)
            for name, (every, work) in loops.items()
        }


def _payload(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


def _check(config: AgentConfig) -> None:
    update = config.update
    if config.hub.url and update.enabled and not (update.public_key or update.unsigned):
        raise ConfigError(
            "Bundles of the hub must be signed, but no key is given to verify them by.",
            fix="Give --update.public-key FILE; or --no-update.enabled to take none, or "
            "--update.unsigned for trials.",
        )
