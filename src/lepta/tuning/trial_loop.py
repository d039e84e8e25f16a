"""The trials of ``tune``: handed to workers, watched, ended in time."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from lepta.core.errors import ConfigError, LeptaError, MissingExtraError, TrainError
from lepta.core.events import Stage
from lepta.engine import Finished, Line, Trials, open_trials
from lepta.tuning.attempts import Attempt, Step, Verdict, attempt, open_bench
from lepta.tuning.ledger import Ledger
from lepta.tuning.sampling import is_rung

if TYPE_CHECKING:
    from lepta.bundle import Bundle
    from lepta.tuning.candidates import Trial
    from lepta.tuning.study import Record, Study
    from lepta.tuning.tuner import Tuner

TRIALS = 50
"""Trials where neither their number nor a time is given."""
_RESERVE, _LEAST_RESERVE = 0.1, 4.0
"""Share of the time, and seconds, kept for packing; the seconds at most a third of the time."""
_EARLY = 0.4
"""Share of the time that must be left to pack the first model at once."""
_MARGIN = 1.3
"""How much longer packing may take than the first time."""
_WORTH = 0.2
"""Part of a usual trial's time that must be left to begin one."""
_FAILURES = 5
"""Trials that may fail before any has ended well."""
_AGAIN = -1
"""Key of the call that makes the best model again, where a study goes on after a kill."""
_TICK = 0.5


class TrialLoop:
    """Runs a study to its end.

    Args:
        tuner: data, options, space.
        study: the trials so far.
        end: ``time.monotonic()`` at which the bundle must be there; None without a time.
        ledger: keeps each trial.

    Attributes:
        packed: number of a trial, and its bundle, where one was packed on the way.
    """

    def __init__(
        self, tuner: Tuner, study: Study, end: float | None, ledger: Ledger | None
    ) -> None:
        self._tuner, self._study, self._end, self._ledger = tuner, study, end, ledger
        self._most = tuner.options.trials
        if self._most is None and end is None:
            self._most = TRIALS
        total = tuner.options.time or 0.0
        self._reserve = max(_RESERVE * total, min(_LEAST_RESERVE, total / 3))
        self.packed: tuple[int, Bundle] | None = None
        self._running: dict[int, Record] = {}
        self._kept: Trial | None = None
        self._failed: BaseException | None = None
        best = study.best
        self._least = float("inf") if best is None or best.loss is None else best.loss
        self._seconds: list[float] = []

    def run(self) -> Trial:
        """Return the model of the best trial.

        Raises:
            TrainError: no trial came to an end.
        """
        tuner, options = self._tuner, self._tuner.options
        place: dict[str, Any] = {} if options.engine == "local" else {"address": options.address}
        bench = (tuner.data, tuner.task, tuner.fit, tuner.metric, tuner.context.cache)
        memory = None if options.memory is None else int(options.memory * 2**30)
        stage = tuner.context.stage("tuning", total=self._most, unit="trial")
        with (
            open_trials(
                open_bench,
                bench,
                engine=options.engine,
                workers=tuner.workers,
                threads=tuner.fit.threads or 1,
                memory=memory,
                answer=self._answer,
                **place,
            ) as trials,
            stage,
        ):
            done = len(self._study)
            if done or self._study.resumed:
                self._say(f"The study goes on after {done} trials.")
                stage.advance(done)
            try:
                self._go(trials, stage)
            except KeyboardInterrupt:
                if self._study.best is None:
                    raise
                self._say("Interrupted: the best so far is packed.", "warning")
                for number in self._running:
                    trials.cancel(number)
            return self._best(trials)

    def _go(self, trials: Trials, stage: Stage) -> None:
        while True:
            while trials.idle and self._more():
                self._begin(trials, stage)
            if not self._running:
                return
            for finished in trials.wait(min(_TICK, max(0.0, self._left()))):
                self._take(finished, stage)
            if self._left() <= 0 and self._running and self._may_stop():
                for number in self._running:
                    trials.cancel(number)
                while self._running:
                    for finished in trials.wait(_TICK):
                        self._running.pop(finished.key, None)
                return

    def _left(self) -> float:
        """Return the seconds in which trials may still run."""
        if self._end is None:
            return float("inf")
        return self._end - self._reserve - time.monotonic()

    def _rehearse(self, record: Record) -> None:
        """Pack the first model while there is much time: so it is known how long that takes here.

        Where no better model comes, this bundle is the result.
        """
        options = self._tuner.options
        early = self._end is not None and self._left() > _EARLY * (options.time or 0.0)
        if self._kept is None or not early:
            return
        began = time.monotonic()
        choices = dict(self._study.noted("choices") or {})
        made = self._tuner.packed(self._kept, record.params, choices, quiet=True)
        self._reserve = max(self._reserve, _MARGIN * (time.monotonic() - began))
        self.packed = (record.number, made)

    def _may_stop(self) -> bool:
        """Whether trials may be ended in their midst: not before there is a model."""
        late = self._end is not None and time.monotonic() > self._end
        return self._study.best is not None or late

    def _more(self) -> bool:
        """Whether to begin another trial."""
        if self._most is not None and len(self._study) >= self._most:
            return False
        usual = statistics.median(self._seconds) if self._seconds else 0.0
        return self._left() > _WORTH * usual

    def _begin(self, trials: Trials, stage: Stage) -> None:
        record = self._study.ask()
        self._running[record.number] = record
        stage.note(f"trial {record.number}: {record.why}")
        stage.advance(0)
        left = self._left()
        trials.submit(
            record.number,
            attempt,
            Line(),
            record.params,
            None if left == float("inf") else time.time() + left,
            self._study.noted("choices") or {},
        )

    def _answer(self, key: int, question: Any) -> bool:
        """Answer a running trial: whether to give it up, whether its model is wanted."""
        if isinstance(question, Verdict):
            return key == _AGAIN or question.loss < self._least
        assert isinstance(question, Step)  # noqa: S101
        if key == _AGAIN or not self._tuner.options.pruning or not is_rung(question.epochs):
            return False
        return self._study.report(key, question.epochs, question.loss)

    def _take(self, finished: Finished, stage: Stage) -> None:
        record = self._running.pop(finished.key)
        costs = {
            "seconds": round(finished.seconds, 3),
            "cpu_seconds": round(finished.cpu_seconds, 3),
        }
        if finished.error is not None:
            self._fail(record, finished.error, costs)
        else:
            self._seconds.append(finished.seconds)
            self._end_of(record, finished.value, costs)
        shown = {} if self._least == float("inf") else {"best": self._shown(self._least)}
        stage.advance(1, **shown)
        if self._ledger is not None:
            self._ledger.keep(self._study.records()[record.number], self._tuner.metric)

    def _end_of(self, record: Record, found: Attempt, costs: dict[str, float]) -> None:
        if self._study.noted("choices") is None:
            self._study.note("choices", found.choices)
        if found.state == "given up":
            self._study.give_up(record.number, **costs)
        elif found.loss == float("inf") or found.loss != found.loss:
            self._study.fail(record.number, "The loss is not finite.", **costs)
        else:
            self._study.end(record.number, found.loss, score=found.score, **costs)
            if found.loss < self._least:
                first = self._kept is None
                self._least, self._kept = found.loss, found.trial
                self._say(
                    f"Trial {record.number} is the best so far: {self._tuner.metric} "
                    f"{found.score:.4g} ({record.why})."
                )
                if first:
                    self._rehearse(record)

    def _fail(self, record: Record, error: BaseException, costs: dict[str, float]) -> None:
        what = error.what if isinstance(error, LeptaError) else f"{type(error).__name__}: {error}"
        self._study.fail(record.number, what, **costs)
        self._say(f"Trial {record.number} failed: {what}", "warning")
        self._failed = error
        states = [one.state for one in self._study.records()]
        hopeless = isinstance(error, MissingExtraError | ConfigError)
        if "ended" not in states and (hopeless or states.count("failed") >= _FAILURES):
            raise error

    def _best(self, trials: Trials) -> Trial:
        """Return the best model; one of a study that went on after a kill is made again."""
        best = self._study.best
        if best is None:
            raise TrainError(
                "No trial came to an end in the time.",
                fix="Give more time, or a smaller space: fewer epochs, smaller networks.",
            ) from self._failed
        if self._kept is not None:
            return self._kept
        choices = self._study.noted("choices") or {}
        while trials.wait():
            pass
        trials.submit(_AGAIN, attempt, Line(), best.params, None, choices)
        (finished,) = trials.wait()
        if finished.error is not None:
            raise finished.error
        trial: Trial = finished.value.trial
        return trial

    def _shown(self, loss: float) -> float:
        """Return a loss as the metric that people read."""
        return -loss if self._tuner.task.metric(self._tuner.metric).maximise else loss

    def _say(self, text: str, level: Any = "info") -> None:
        self._tuner.context.say(text, level)
