"""Progress on a terminal and elsewhere."""

import io
import os
import pty
import subprocess
import sys
import threading

import pytest

from lepta.app import progress
from lepta.app.progress import Plain, duration, reporter
from lepta.core.events import Context, StageAdvanced, StageFinished, StageStarted


def test_elsewhere_at_most_one_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    display = Plain(stream)
    display.show(StageStarted("Training", 100, "steps"))
    for step in range(1, 101):
        clock[0] += 0.25
        display.show(StageAdvanced("Training", step, {"loss": 1 / step}))
    display.show(StageFinished("Training", 10.0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 25 + 1
    assert lines[0].startswith("Training: 4/100 steps  24 s left  loss 0.25")
    assert lines[-1] == "Training: 10 s  loss 0.01"


def test_short_stages_leave_no_line() -> None:
    stream = io.StringIO()
    with reporter(stream=stream) as report:
        for _ in Context(report=report).track(range(3), "Quick"):
            pass
    assert stream.getvalue() == ""


def test_quiet_leaves_warnings() -> None:
    stream = io.StringIO()
    with reporter(quiet=True, stream=stream) as report:
        context = Context(report=report)
        context.say("nice to know")
        context.say("look out", "warning")
        report(StageStarted("Long", None))
        report(StageFinished("Long", 99.0))
    assert stream.getvalue() == "warning: look out\n"


def test_events_may_come_from_threads_and_without_a_start() -> None:
    stream = io.StringIO()
    with reporter(stream=stream) as report:
        report(StageAdvanced("unknown", 1))
        report(StageFinished("unknown", 9.0))
        threads = [
            threading.Thread(target=lambda: Context(report=report).say("x")) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stream.getvalue() == "x\n" * 8


SCRIPT = """
import time
from lepta.app.progress import reporter
from lepta.core.events import Context
with reporter() as report:
    context = Context(report=report)
    with context.stage("Training [big]", 4, "epochs") as stage:
        with context.stage("Inner"):
            time.sleep(0.3)
        stage.advance(auc=0.5)
        stage.advance(auc=0.75)
        context.say("careful [red]", "warning")
        time.sleep(0.4)
    with context.stage("Open end"):
        stage.advance(5)
"""


def test_a_terminal_gets_bars_with_values() -> None:
    pytest.importorskip("rich")
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    worker = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stderr=slave, stdout=subprocess.PIPE, env=environment
    )
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(master)
    assert worker.communicate(timeout=30)[0] == b""
    shown = text.decode()
    assert worker.returncode == 0
    assert "Training [big]" in shown
    assert "2/4" in shown
    assert "epochs" in shown
    assert "auc 0.75" in shown
    assert "warning: careful [red]" in shown
    assert shown.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in shown[-200:]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
