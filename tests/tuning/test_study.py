"""A study: the same trials whatever interrupts it, none lost and none twice."""

import math
import os
import random
from pathlib import Path
from typing import Any

import pytest

from lepta.core.errors import ConfigError
from lepta.core.space import Choice, Range, Space
from lepta.tuning.sampling import falls_behind, is_rung
from lepta.tuning.study import JOURNAL, Record, Study
from lepta.tuning.tune_report import document, tuning_page

pytest.importorskip("optuna")

SPACE: Space = {
    "rate": Range(1e-4, 1e-1, log=True),
    "width": Range(4, 64),
    "act": Choice("relu", None, 2.5),
}
PLAN = {"dataset": "abc", "seed": 3}
FIRST = {"rate": 0.01, "width": 32, "act": None}


class KilledError(Exception):
    pass


def loss_of(params: dict[str, Any], epochs: int) -> float:
    """A bowl, with a part that epochs take away at a speed that depends on the rate."""
    far = (math.log10(params["rate"]) + 2.5) ** 2 + ((params["width"] - 40) / 40) ** 2
    return far + (0.3 if params["act"] == "relu" else 0.0) + 2.0 / (1 + epochs * params["rate"])


def run(study: Study, count: int, lives: random.Random | None = None) -> None:
    """Run trials one by one; at random moments everything stops."""

    def moment() -> None:
        if lives is not None and lives.random() < 0.04:
            raise KilledError

    while len(study) < count:
        record = study.ask()
        moment()
        given_up = False
        for epoch in range(1, 10):
            if is_rung(epoch) and not given_up:
                given_up = study.report(record.number, epoch, loss_of(record.params, epoch))
                moment()
            if given_up:
                break
        if given_up:
            study.give_up(record.number)
        else:
            study.end(record.number, loss_of(record.params, 9), score=1.0, seconds=0.1)
        moment()


def told(study: Study) -> list[tuple[Any, ...]]:
    return [(r.number, r.params, r.state, r.loss, r.curve) for r in study.records()]


def make(folder: Path | None) -> Study:
    return Study(SPACE, PLAN, first=FIRST, seed=3, folder=folder, warm_up=5)


@pytest.fixture(scope="module")
def undisturbed() -> Study:
    study = make(None)
    run(study, 30)
    return study


def test_it_begins_with_the_given_values_and_gets_better(undisturbed: Study) -> None:
    records = undisturbed.records()
    assert records[0].params == FIRST
    assert records[0].why == "the learner's own values"
    assert "at random" in records[3].why
    assert "near trial" in records[-1].why
    states = [record.state for record in records]
    assert states.count("ended") + states.count("given up") == 30
    assert states.count("given up") > 5
    best = undisturbed.best
    assert best is not None
    assert best.loss < records[0].loss - 0.1  # type: ignore[operator]
    assert best.number > 5
    shares = undisturbed.importances()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert next(iter(shares)) == "rate"


@pytest.mark.parametrize("seed", range(3))
def test_interruptions_change_nothing(undisturbed: Study, tmp_path: Path, seed: int) -> None:
    lives, deaths, again = random.Random(seed), 0, 0
    while True:
        with make(tmp_path) as study:
            again += study.resumed
            assert study.resumed <= 1
            try:
                run(study, 30, lives)
            except KilledError:
                deaths += 1
                _tear(tmp_path / JOURNAL, lives)
                continue
            assert told(study) == told(undisturbed)
            break
    assert deaths >= 2
    assert again >= 1


def _tear(journal: Path, lives: random.Random) -> None:
    """Leave half a line, as a kill in the midst of writing does."""
    if lives.random() < 0.5:
        with journal.open("ab") as stream:
            stream.write(b'{"op_code":4,"worker_id":"half')


def test_several_at_once(tmp_path: Path) -> None:
    with make(tmp_path) as study:
        for _ in range(8):
            records = [study.ask() for _ in range(3)]
            for record in reversed(records):
                study.end(record.number, loss_of(record.params, 9))
        assert [record.number for record in study.records()] == list(range(24))
        study.ask()
    with make(tmp_path) as study:
        assert (len(study), study.resumed) == (24, 1)
        record = study.ask()
        assert (record.number, "interrupted" in record.why) == (24, True)
        study.fail(24, "No luck.", seconds=1.0)
        assert study.records()[24].facts == {"error": "No luck.", "seconds": 1.0}


def test_a_folder_holds_one_study(tmp_path: Path) -> None:
    with make(tmp_path), pytest.raises(ConfigError, match="Another process works"):
        make(tmp_path)
    with pytest.raises(ConfigError, match="another dataset"):
        Study(SPACE, {**PLAN, "dataset": "other"}, folder=tmp_path)
    with make(tmp_path) as study:
        study.note("choices", {"a": "b"})
    with make(tmp_path) as study:
        assert study.noted("choices") == {"a": "b"}
        assert study.noted("nothing") is None


def test_rungs() -> None:
    assert [step for step in range(1, 100) if is_rung(step)] == [1, 3, 9, 27, 81]


class Other:
    def __init__(self, value: float) -> None:
        self.intermediate_values = {3: value}


def test_who_falls_behind() -> None:
    others: Any = [Other(value) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert not falls_behind(9, 3, 1.5, others)
    assert falls_behind(9, 3, 2.5, others)
    assert not falls_behind(0, 3, 9.0, others)  # among the first
    assert not falls_behind(9, 9, 9.0, others)  # nobody to compare with
    assert not falls_behind(9, 3, 1.0, [*others, *others[:1]])  # equals do not beat each other


def test_the_page_shows_what_was(undisturbed: Study) -> None:
    records = undisturbed.records()
    page = tuning_page("<b>", "log_loss", SPACE, records, undisturbed.importances())
    assert page.count("<svg") == 3
    assert "&lt;b&gt;: tuning" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert "1e-4..0.1 log".replace("1e-4", "0.0001") in page
    assert b'"importances"' in document(records, {"rate": 1.0})
    few = [Record(0, FIRST, "ended", 1.0, facts={"score": -1.0, "seconds": 2.0})]
    assert "too few trials" in tuning_page("model", "accuracy", SPACE, few, {})


def test_it_is_quiet(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with make(tmp_path) as study:
        run(study, 3)
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path)  # noqa: PTH208
