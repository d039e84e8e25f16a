"""Order, errors, progress and prompt stops of the local engine."""

import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import DataError, Where
from lepta.core.events import Context, Event, StageAdvanced, StageFinished, StageStarted
from lepta.engine import ENGINES, ItemError, LocalEngine
from lepta.engine.base import engine


def square(value: int) -> int:
    return value * value


def process_of(value: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def die(value: int) -> int:
    if value == 1:
        os._exit(3)
    time.sleep(0.01)
    return value


def refuse(value: int) -> int:
    if value == 2:
        raise DataError("The file is empty.", where=Where(file="b.png"), fix="Remove it.")
    return value


@given(st.lists(st.integers(), max_size=40), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_results_are_in_order(items: list[int], workers: int) -> None:
    def wait_then_square(value: int) -> int:
        time.sleep(abs(value) % 3 / 1000)
        return square(value)

    assert LocalEngine().run(wait_then_square, items, workers=workers) == [*map(square, items)]


def test_threads_work_at_once() -> None:
    barrier = threading.Barrier(3, timeout=10)
    assert sorted(LocalEngine().run(lambda _: barrier.wait(), range(3), workers=3)) == [0, 1, 2]


def test_processes_are_other_processes() -> None:
    found = LocalEngine(processes=True).run(process_of, range(4), workers=2)
    assert os.getpid() not in found


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_says_which_item_and_keeps_place_and_remedy(workers: int) -> None:
    with pytest.raises(ItemError, match=r"Item 2 \(2\) failed: The file is empty.") as caught:
        LocalEngine().run(refuse, range(6), workers=workers)
    assert caught.value.index == 2
    assert caught.value.where == Where(file="b.png")
    assert caught.value.fix == "Remove it."
    assert isinstance(caught.value.__cause__, DataError)


def test_a_foreign_error_in_a_process_is_chained() -> None:
    with pytest.raises(ItemError, match=r"Item 1 \('a'\) failed: ValueError") as caught:
        LocalEngine(processes=True).run(int, ["1", "a"], workers=2)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_worker_that_dies_is_an_error_not_a_hang() -> None:
    with pytest.raises(ItemError, match="failed") as caught:
        LocalEngine(processes=True).run(die, range(8), workers=2)
    assert "worker process died" in (caught.value.fix or "")


def test_after_an_error_little_more_is_done() -> None:
    seen: list[int] = []

    def work(value: int) -> None:
        seen.append(value)
        if value == 3:
            raise ValueError
        time.sleep(0.002)

    with pytest.raises(ItemError):
        LocalEngine().run(work, range(1000), workers=2)
    assert len(seen) < 30


def test_ctrl_c_stops_it() -> None:
    seen: list[int] = []

    def report(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.done == 5:
            raise KeyboardInterrupt

    def work(value: int) -> None:
        seen.append(value)
        time.sleep(0.002)

    with pytest.raises(KeyboardInterrupt):
        LocalEngine().run(work, range(1000), workers=2, context=Context(report=report))
    assert len(seen) < 40
    assert not [t for t in threading.enumerate() if t.name.startswith("lepta-engine")]


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_is_reported(workers: int) -> None:
    events: list[Event] = []
    context = Context(report=events.append)
    LocalEngine().run(square, range(3), workers=workers, context=context, name="Squaring")
    assert events[:-1] == [
        StageStarted("Squaring", 3),
        *[StageAdvanced("Squaring", n + 1) for n in range(3)],
    ]
    assert isinstance(events[-1], StageFinished)


def test_engines_are_found_by_name() -> None:
    assert ENGINES.get("local") is LocalEngine
    assert engine("local", processes=True).run(square, [], workers=1) == []
