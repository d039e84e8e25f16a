"""Two devices and a hub, real processes, on a line that breaks, killed at random."""

import contextlib
import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from lepta.bundle import Bundle
from lepta.edge.agent import publish
from lepta.edge.agent.status import device_status, fleet_status, open_ledger

from .broken import BrokenLine
from .conftest import ROW

PATIENCE = 90


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def until(what, condition, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return
        time.sleep(0.05)
    pytest.fail(f"It did not come to pass that {what}")


class Process:
    """A command of lepta that can be killed and started again."""

    def __init__(self, log, *words):
        self.words, self.log, self.kills, self._running = words, log, 0, None
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "lepta.app.cli", "edge", *map(str, self.words)]
            self._running = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self):
        self._running.kill()
        self._running.wait()
        self.kills += 1

    def stop(self):
        self._running.send_signal(signal.SIGTERM)
        assert self._running.wait(60) == 0, self.log.read_text()

    def end(self):
        if self._running.poll() is None:
            self._running.kill()
        self._running.wait()


class Asker(threading.Thread):
    """A program on a device that asks for predictions, and counts the rows it was answered."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.rows, self.failed, self.stopped = port, 0, 0, threading.Event()
        self.paused, self.idle = threading.Event(), threading.Event()
        self.start()

    def run(self):
        body = json.dumps([ROW | {"age": 20.0 + age} for age in range(7)])
        while not self.stopped.wait(0.01):
            if self.paused.is_set():
                self.idle.set()
                continue
            self.idle.clear()
            try:
                assert ask(self.port, "POST", "/predict", body)["predictions"]
                self.rows += 7
            except (OSError, http.client.HTTPException):
                self.failed += 1


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status} {content!r}")
        return json.loads(content)
    finally:
        connection.close()


class Fleet:
    """A hub, a line and devices."""

    def __init__(self, folder, keys, bundle, names):
        self.folder, self.processes = folder, []
        port = free_port()
        self.hub = self._run("hub", "hub", folder / "hub", "--port", port)
        self.line = BrokenLine(port, seed=1)
        until("the hub listens", lambda: ask(port, "GET", "/health"))
        self.devices, self.ports = {}, {}
        for name in names:
            self.ports[name] = free_port()
            self.devices[name] = self._run(
                name, "run", folder / name, "--device", name, "--port", self.ports[name],
                "--bundle", bundle, "--hub.url", self.line.url,
                "--hub.key-file", folder / "hub" / "key",
                "--update.public-key", keys.public_file, "--update.trial-rows", 20,
                "--update.every", 0.2, "--update.max-starts", 1000, "--hub.every", 0.2,
                "--hub.backoff", 0.05, "--hub.longest", 0.4, "--hub.batch", 5,
                "--window.rows", 40, "--window.seconds", 0.5, "--spool.segment", 20_000,
            )  # fmt: skip

    def _run(self, name, *words):
        process = Process(self.folder / f"{name}.log", *words)
        self.processes.append(process)
        return process

    def status(self):
        return {device["device"]: device for device in fleet_status(self.folder / "hub")}

    def settled(self):
        """Whether the hub has all that the devices have told."""
        for name, device in self.status().items():
            own = device_status(self.folder / name)
            if own["pending"] or own["last"] != device["last"] or device["pending"]:
                return False
        return True

    def records(self):
        ledger = open_ledger(self.folder / "hub")
        try:
            return list(ledger.records())
        finally:
            ledger.close()

    def rows(self, name):
        """Rows that the hub was told of."""
        told = [r["record"] for r in self.records() if r["device"] == name]
        return sum(record["rows"] for record in told if record["kind"] == "window")

    def version(self, name):
        return ask(self.ports[name], "GET", "/status")["version"]

    def end(self):
        for process in self.processes:
            process.end()
        self.line.close()


@pytest.fixture
def fleet(tmp_path, keys, versions):
    """Return a function that makes a fleet."""
    made = []

    def make(*names):
        made.append(Fleet(tmp_path, keys, versions["1"], names))
        return made[0]

    yield make
    for one in made:
        one.end()


def test_nothing_is_lost_or_told_twice_whatever_breaks(fleet, versions):
    chance = random.Random(7)
    found = fleet("a", "b")
    askers = {name: Asker(port) for name, port in found.ports.items()}
    until("both devices predict", lambda: all(asker.rows for asker in askers.values()))
    until("both were heard of", lambda: len(found.status()) == 2)

    found.line.cuts = True
    publish(found.folder / "hub", versions["2"])
    victims = [*found.devices.values(), found.hub] * 3
    chance.shuffle(victims)
    for victim in victims:
        time.sleep(chance.uniform(0.1, 0.7))
        victim.kill()
        time.sleep(chance.uniform(0, 0.2))
        victim.start()
    new = Bundle.load(versions["2"]).digest
    for name in askers:
        until("it has the new version", lambda name=name: found.version(name) == new)
    pause(askers, found)
    before = {name: (found.rows(name), asker.rows) for name, asker in askers.items()}
    for name, (told, answered) in before.items():
        asker = askers[name]
        assert 0 < told <= answered + 7 * asker.failed
        assert asker.failed > 0

    for asker in askers.values():
        asker.paused.clear()
    for name in ("self-test", "stranger"):
        bad = publish(found.folder / "hub", versions[name]).digest
        until("both refuse it", lambda bad=bad: all(
            bad in device["refused"] for device in found.status().values()
        ))  # fmt: skip
    pause(askers, found)
    for name, (told, answered) in before.items():
        assert found.rows(name) - told == askers[name].rows - answered > 0
        assert found.version(name) == new

    for asker in askers.values():
        asker.stopped.set()
        asker.join()
    for device in found.devices.values():
        device.stop()
    assert found.line.broken > 5
    for name, device in found.status().items():
        own = device_status(found.folder / name)
        numbers = [r["seq"] for r in found.records() if r["device"] == name]
        assert numbers == list(range(1, own["last"] + 1))
        assert (device["missing"], device["conflicts"], device["dropped"]) == (0, 0, 0)
        assert (device["version"], own["damaged"]) == (new, 0)


def pause(askers, found):
    """Stop asking, and wait until all that was answered is told."""
    for asker in askers.values():
        asker.idle.clear()
        asker.paused.set()
    for asker in askers.values():
        assert asker.idle.wait(30)
    time.sleep(1.8)  # the last windows end
    until("the hub has everything", found.settled)


def test_a_killed_download_fetches_only_what_it_lacks(fleet, versions):
    found = fleet("a")
    until("the device predicts", lambda: found.version("a"))
    old, new = Bundle.load(versions["1"]), Bundle.load(versions["2"])
    held = {member.sha256 for member in old.manifest.members.values()}
    lacking = sum(
        member.size for member in new.manifest.members.values() if member.sha256 not in held
    )
    found.line.stall = 60_000
    size = publish(found.folder / "hub", versions["2"]).size
    folder = found.folder / "a" / "download"
    for passed in (60_000, 120_000, 180_000):
        found.line.stall = passed
        until("the download stalls", lambda passed=passed: (
            found.line.bodies > passed - 5000
            and sum(path.stat().st_size for path in folder.iterdir()) == found.line.bodies
        ))  # fmt: skip
        found.devices["a"].kill()
        found.devices["a"].start()
    found.line.stall = None
    until("the device has the new version", lambda: found.version("a") == new.digest)
    assert found.line.bodies == lacking + size
    assert lacking + size < new.size / 2
