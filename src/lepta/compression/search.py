"""The search over chains of steps.

Stage by stage, every step that applies is tried on the few best models so far: gentler while the
guard refuses, bolder while it accepts. All of them are compared on the same rows, which proves
nothing after the second look; so the few on the Pareto front are confirmed on rows that no step and
no comparison has seen, the safest first, up to the first that fails. Tested in an order that was
fixed before, each may use the whole level, and the promise holds for all (fixed-sequence testing,
as in Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lepta.compression.candidate import Candidate, Material
from lepta.compression.guard import Verdict
from lepta.compression.judge import Judge
from lepta.compression.options import CompressOptions
from lepta.compression.providers import Runner, race
from lepta.compression.steps import Compressor, Stage
from lepta.core.errors import LeptaError
from lepta.core.events import Context

SLOWER = 1.02
"""How much slower than the model given counts as equally fast: clocks are not exact."""
ALIKE = 1.05
"""Factor of speed below which the smaller of two models is the better one."""
_DOUBTFUL = 1.2
_BEAM = 2
_TRAINED_SHARE = 2
"""A step that trains is given one of so many parts of the time left."""


@dataclass(frozen=True, eq=False)
class Tried:
    """One chain of steps, and what came of it.

    Attributes:
        candidate: the model; None where a step failed.
        label: the steps in words.
        milliseconds: of one row on the provider, beside the model given.
        ratio: that, divided by the time of the model given.
        size: bytes of the graph.
        foretold: what the bound of the drop will be on the rows that confirm.
        confirmed: the verdict there, where it came to that.
        same: whether the answers are those of the model given, but for rounding.
        temperature: by which probabilities are calibrated anew.
        why: what spoke against it.
        seconds: that the last step took.
    """

    label: str
    candidate: Candidate | None = None
    milliseconds: float = 0.0
    ratio: float = 1.0
    size: int = 0
    foretold: Verdict | None = None
    confirmed: Verdict | None = None
    same: bool = False
    temperature: float = 1.0
    why: str = ""
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether nothing speaks against it so far."""
        return self.candidate is not None and not self.why

    @property
    def bound(self) -> float:
        """The foretold bound of the drop; 0 where answers are the same."""
        return 0.0 if self.same or self.foretold is None else self.foretold.bound


class Search:
    """Tries chains of steps; :meth:`run` gives all that were tried.

    Args:
        start: the model given.
        material: what steps learn from.
        judge: rows to compare by.
        confirming: how many independent rows will confirm.
        steps: that may be taken.
        options: of the compression.
        context: progress, seed, deadline.
    """

    def __init__(
        self,
        start: Candidate,
        material: Material,
        judge: Judge,
        confirming: int,
        steps: Sequence[Compressor],
        options: CompressOptions,
        context: Context,
    ) -> None:
        self._material, self._judge, self._confirming = material, judge, confirming
        self._steps, self._options, self._context = steps, options, context
        self._provable = confirming >= judge.guard.least_rows
        self._told: set[str] = set()
        self._one = judge.one()
        reference = race([judge.runner], self._one)[0]
        self.given = Tried(start.label, start, reference, 1.0, start.size, same=True)

    def run(self) -> list[Tried]:
        """Return all chains that were tried, the model given first."""
        tried, beam = [self.given], [self.given]
        with self._context.stage("compressing", unit="model") as progress:
            for stage in Stage:
                found: list[Tried] = []
                for base in beam:
                    for one in self._stage(stage, base):
                        found.append(one)
                        progress.note(f"{one.label}: {one.why or 'kept'}")
                        if one.candidate is None:
                            progress.advance()
                        else:
                            progress.advance(ms=one.milliseconds, kB=one.size / 1000)
                tried += found
                kept = [one for one in found if one.kept]
                plainer = stage is Stage.CLEAN and kept  # as good in all, and easier to change
                beam = kept if plainer else self._best([*beam, *kept])
        return tried

    def _best(self, found: list[Tried]) -> list[Tried]:
        """Return the models to go on from: the fastest and the smallest, and the one given."""
        fastest = sorted(found, key=lambda one: (round(one.ratio / (ALIKE - 1)), one.size))[:_BEAM]
        smallest = min(found, key=lambda one: one.size)
        chosen = [*fastest, smallest, self.given]
        return list({id(one): one for one in chosen}.values())

    def _stage(self, stage: Stage, base: Tried) -> Iterator[Tried]:
        due = [step for step in self._steps if step.stage is stage]
        enough = False
        for step in sorted(due, key=lambda step: step.trains):
            if step.trains and enough and stage is Stage.NUMBERS:
                continue  # what needs no training keeps the promise already
            for place, one in enumerate(self._ladder(base, step)):
                enough = enough or (place == 0 and one.kept)
                yield one

    def _ladder(self, base: Tried, step: Compressor) -> Iterator[Tried]:
        one = self._try(base, step)
        if one is None:
            return
        yield one
        rungs = step.bolder() if one.kept else step.ladder()
        until_kept = not one.kept
        if one.candidate is None or one.ratio > SLOWER:
            return
        for rung in rungs:
            following = self._try(base, rung)
            if following is None:
                return
            yield following
            if following.kept == until_kept or following.candidate is None:
                return

    def _try(self, base: Tried, step: Compressor) -> Tried | None:
        """Return what a step makes of a model; None where it is not for it, or time is up."""
        assert base.candidate is not None  # noqa: S101
        label = " > ".join(map(str, (*base.candidate.steps, step)))
        if self._context.seconds_left() <= 0:
            return None
        began = time.monotonic()
        try:
            if why := step.refusal(base.candidate, self._material):
                return self._refused(step, label, why)
            if not step.exact and not self._provable:
                least = self._judge.guard.least_rows
                why = f"{self._confirming} unseen rows prove nothing so small; {least} are needed"
                return Tried(label, why=why)
            context = self._context.share(_TRAINED_SHARE) if step.trains else self._context
            made = step.apply(base.candidate, self._material, context)
            measured = self._measured(made, exact=all(s.exact for s in made.steps))
        except LeptaError as error:
            measured = Tried(label, why=error.what)
        return replace(measured, seconds=time.monotonic() - began)

    def _ratio(self, runner: Runner) -> float:
        """Return the time of a call, divided by that of the model given; twice where it is near."""
        before, after = race([self._judge.runner, runner], self._one)
        if SLOWER < after / before < _DOUBTFUL:
            again = race([runner, self._judge.runner], self._one)
            before, after = min(before, again[1]), min(after, again[0])
        return after / before

    def _refused(self, step: Compressor, label: str, why: str) -> Tried | None:
        """Return a refusal, the first time."""
        if step.name in self._told:
            return None
        self._told.add(step.name)
        return Tried(label, why=why)

    def _measured(self, made: Candidate, *, exact: bool) -> Tried:
        judge = self._judge
        runner = judge.runner_of(made)
        scores = judge.answers(runner)
        ratio = self._ratio(runner)
        found = Tried(made.label, made, ratio * self.given.milliseconds, ratio, made.size)
        if exact and judge.same(scores):
            return replace(found, same=True, why=_too_slow(ratio))
        temperature = judge.temperature(scores)
        verdict = judge.verdict(scores, temperature=temperature, rows=self._confirming)
        why = _too_slow(ratio)
        if not verdict.accepted:
            lost = "nearly all" if verdict.bound >= 1 else f"{verdict.bound:.3g}"
            why = f"may lose {lost} of the metric"
        return replace(found, temperature=temperature, foretold=verdict, why=why)


def _too_slow(ratio: float) -> str:
    return f"takes {ratio:.2f} times as long" if ratio > SLOWER else ""


def pareto(found: Sequence[Tried]) -> list[Tried]:
    """Return the models of which no other is as fast, as small and as safe, the safest first."""
    held = [one for one in found if one.kept]
    front = [one for one in held if not any(_beats(other, one) for other in held)]
    return sorted(front, key=lambda one: (one.bound, -one.ratio))


def _beats(one: Tried, other: Tried) -> bool:
    """Return whether a model is at least as good in everything, and better in something."""
    worse = one.ratio > SLOWER * other.ratio or one.size > other.size or one.bound > other.bound
    better = one.size < other.size or one.bound < other.bound or one.ratio * SLOWER < other.ratio
    return better and not worse


def confirm(tried: Sequence[Tried], judge: Judge) -> list[Tried]:
    """Return the same, those on the front with their verdict on rows that nobody has looked at."""
    checked: dict[int, Tried] = {}
    failed = False
    for one in pareto(tried):
        assert one.candidate is not None  # noqa: S101
        if one.candidate.steps == ():
            continue
        if failed:
            checked[id(one)] = replace(one, why="is less sure than one that failed")
            continue
        scores = judge.answers(judge.runner_of(one.candidate))
        if one.same:
            whole = judge.same(scores)
            checked[id(one)] = one if whole else replace(one, why="answers otherwise on some rows")
            continue
        verdict = judge.verdict(scores, temperature=one.temperature)
        failed = not verdict.accepted
        why = f"loses up to {verdict.bound:.3g} on the rows that confirm" if failed else ""
        checked[id(one)] = replace(one, confirmed=verdict, why=why)
    return [checked.get(id(one), one) for one in tried]


def choose(tried: Sequence[Tried], options: CompressOptions) -> Tried:
    """Return the best of the models that keep the promise; the model given is one."""
    sure = [one for one in tried if one.kept and (one.same or one.confirmed is not None)]
    fitting = [one for one in sure if meets(one, options)]
    if options.latency is not None and fitting:
        return min(fitting, key=lambda one: (one.size, one.ratio))
    if options.size is not None and not fitting:
        return min(sure, key=lambda one: (one.size, one.ratio))
    held = fitting or sure
    fastest = min(one.ratio for one in held)
    return min(
        (one for one in held if one.ratio <= ALIKE * fastest), key=lambda one: (one.size, one.bound)
    )


def meets(one: Tried, options: CompressOptions) -> bool:
    """Return whether a model is as fast and as small as was asked for."""
    quick = options.latency is None or one.milliseconds <= options.latency
    return quick and (options.size is None or one.size <= options.size)
