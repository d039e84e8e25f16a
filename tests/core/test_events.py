import time

import pytest

from lepta.core.events import (
    Context,
    Message,
    StageAdvanced,
    StageFinished,
    StageStarted,
    silent,
)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def context(seen):
    return Context(report=seen.append)


def test_a_stage_reports_its_beginning_steps_and_end(context, seen):
    with context.stage("fit", total=2, unit="epoch") as stage:
        stage.advance(loss=0.5)
        stage.advance(2)
    assert seen[:3] == [
        StageStarted("fit", 2, "epoch"),
        StageAdvanced("fit", 1, {"loss": 0.5}),
        StageAdvanced("fit", 3),
    ]
    assert seen[3].stage == "fit"
    assert seen[3].seconds >= 0


def test_a_stage_that_fails_still_ends(context, seen):
    with pytest.raises(ValueError, match="boom"), context.stage("fit"):
        raise ValueError("boom")
    assert isinstance(seen[-1], StageFinished)


def test_tracking_passes_items_on(context, seen):
    assert list(context.track("abc", "read", total=3)) == ["a", "b", "c"]
    assert [event.done for event in seen if isinstance(event, StageAdvanced)] == [1, 2, 3]
    assert isinstance(seen[-1], StageFinished)


def test_tracking_that_is_broken_off_ends_too(context, seen):
    items = context.track(range(9), "read")
    next(items)
    items.close()
    assert isinstance(seen[-1], StageFinished)


def test_messages(context, seen):
    context.say("careful", "warning")
    assert seen == [Message("careful", "warning")]


def test_time_left():
    assert Context().seconds_left() == float("inf")
    assert Context(deadline=time.monotonic() - 5).seconds_left() == 0.0
    assert 5 < Context(deadline=time.monotonic() + 10).seconds_left() <= 10


def test_by_default_nothing_is_shown(capsys):
    with Context().stage("fit") as stage:
        stage.advance()
    assert silent(Message("x")) is None
    assert capsys.readouterr() == ("", "")
