"""What a training function is given: its place among the workers, checkpoints, and a way to report.

The same function runs in one process (:class:`Alone`), in several local ones or on a Ray cluster::

    def core(worker: Worker, job: Job) -> Weights:
        state = restore(worker.load())
        for step in range(state.step, job.steps):
            ...
            worker.report(loss=loss)
            stopping = worker.should_stop()
            if stopping or step % 100 == 0:
                worker.save(pack(state), step)
            if stopping:
                break
        return state.weights
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from lepta.core.events import Context, StageAdvanced, StageStarted
from lepta.engine.checkpoints import Checkpoints


class Worker(ABC):
    """One of the processes that train together.

    ``load`` and ``should_stop`` are collective: every worker must call them equally often and at
    the same places between other collective operations.

    Attributes:
        rank: its number, from 0.
        world: how many workers there are.
        folder: where the checkpoints of the run live; None where none are kept.
        context: seed, threads, deadline, and a reporter whose events reach the launching process
            (those of rank 0; of the others, nothing but messages of level "warning").
    """

    def __init__(
        self, rank: int, world: int, folder: Path | None, context: Context | None = None
    ) -> None:
        self.rank, self.world = rank, world
        self.folder = Path(folder) if folder is not None else None
        self.context = context or Context()
        self._checkpoints = Checkpoints(self.folder) if self.folder is not None else None
        self._reports = 0

    @abstractmethod
    def load(self) -> Mapping[str, bytes] | None:
        """Return the members of the newest whole checkpoint, or None; the same for every rank."""

    @abstractmethod
    def should_stop(self) -> bool:
        """Return whether to save a checkpoint and return now; the same for every rank.

        It is so when the deadline has passed, the process got SIGTERM, or workers are to come or
        to go. In the last case the function is called again in the new world, and finds what it
        has saved; called after its end it must return its result again.
        """

    def save(self, members: Mapping[str, bytes], step: int) -> None:
        """Write a checkpoint if this is rank 0; the last two are kept.

        Args:
            members: any names, any bytes.
            step: of training; the newest checkpoint is that of the highest step.

        Raises:
            TrainError: the disk is full or the folder cannot be written; the checkpoints
                before are as they were.
        """
        if self._checkpoints is not None and self.rank == 0:
            self._checkpoints.write(members, step)

    def report(self, **values: float) -> None:
        """Report figures of rank 0 as an advance of the stage "training"."""
        if self.rank != 0:
            return
        if self._reports == 0:
            self.context.report(StageStarted("training", None, "report"))
        self._reports += 1
        self.context.report(StageAdvanced("training", self._reports, values))

    def _read(self) -> dict[str, bytes] | None:
        if self._checkpoints is None:
            return None
        self._checkpoints.hold()
        found = self._checkpoints.newest()
        for path in self._checkpoints.damaged:
            self.context.say(f"Passed over the damaged checkpoint {path.name}.", "warning")
        return found[1] if found else None


class Alone(Worker):
    """The only worker: a training function in the process that calls it.

    Args:
        folder: for checkpoints; None keeps none.
        context: with the deadline, and where figures are reported.
        stop: set from elsewhere, it asks for an end.
    """

    def __init__(
        self,
        folder: Path | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        super().__init__(0, 1, folder, context)
        self._stop = stop or threading.Event()

    def load(self) -> Mapping[str, bytes] | None:
        return self._read()

    def should_stop(self) -> bool:
        return self._stop.is_set() or self.context.seconds_left() <= 0
