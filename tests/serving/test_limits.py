"""Limits: the queue, the time, the memory, slow clients, and errors that keep their secrets."""

import asyncio
import json
import logging
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from lepta.core.errors import BundleError
from lepta.runtime import Predictor
from lepta.serving import ServeConfig, start
from lepta.serving.dataplane import DataPlane
from lepta.serving.failures import BusyError, OverloadedError
from lepta.serving.http import Application
from lepta.serving.workers import Workers

from .conftest import Caller, table_bundle

ROW = b'{"x0": 1, "colour": "red"}'


class Broken(Predictor):
    """A predictor that fails, or waits for an event."""

    gate = None
    error = None

    def scores(self, rows):
        if self.gate is not None:
            self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return super().scores(rows)


async def ask(application, *messages, path=b"/predict/table", headers=(), method="POST"):
    """Call the application as a server would; return status, headers and JSON."""
    pending, sent = list(messages), []

    async def receive():
        if not pending:
            await asyncio.sleep(30)
        return pending.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "raw_path": path, "headers": list(headers)}
    await application(scope, receive, send)
    if not sent:
        return None
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def body(data, more=False):
    return {"type": "http.request", "body": data, "more_body": more}


def application(predictor=None, **options):
    config = ServeConfig(threads=1, **options)
    plane = DataPlane({"table": predictor or Predictor(table_bundle())}, config.max_rows)
    return Application(plane, config, Workers(config.threads, config.queue, config.timeout))


def test_a_full_queue_is_429_at_once_and_recovers():
    async def scenario():
        slow = Broken(table_bundle())
        slow.gate = threading.Event()
        app = application(slow, queue=1)
        first = [asyncio.create_task(ask(app, body(ROW))) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await ask(app, body(ROW))
        slow.gate.set()
        return refused, await asyncio.gather(*first), await ask(app, body(ROW))

    refused, first, later = asyncio.run(scenario())
    assert refused[0] == 429
    assert refused[1][b"retry-after"] == b"1"
    assert [status for status, _, _ in (*first, later)] == [200] * 3


def test_an_answer_that_takes_too_long_is_503_and_what_waits_is_not_computed():
    async def scenario():
        slow = Broken(table_bundle())
        slow.gate = threading.Event()
        app = application(slow, timeout=0.2)
        late = await asyncio.gather(*(ask(app, body(ROW)) for _ in range(3)))
        in_flight = app.workers.in_flight
        slow.gate.set()
        await asyncio.sleep(0.2)
        return late, in_flight, app.workers.in_flight

    late, in_flight, after = asyncio.run(scenario())
    assert [status for status, _, _ in late] == [503] * 3
    assert (in_flight, after) == (3, 0)


def test_workers_refuse_and_time_out():
    async def scenario():
        gate = threading.Event()
        workers = Workers(1, 0, 0.1)
        busy = asyncio.create_task(workers.run(gate.wait, 5))
        await asyncio.sleep(0.02)
        with pytest.raises(BusyError):
            await workers.run(print)
        with pytest.raises(OverloadedError):
            await busy
        gate.set()
        await asyncio.sleep(0.05)
        assert await workers.run(lambda: 5) == 5
        workers.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "error", [ValueError("secret /srv/path"), BundleError("secret /srv/path"), MemoryError()]
)
def test_an_unforeseen_error_is_opaque_outside_and_full_in_the_log(error, caplog):
    broken = Broken(table_bundle())
    broken.error = error
    with caplog.at_level(logging.ERROR, "lepta.serving"):
        status, _, answer = asyncio.run(ask(application(broken), body(ROW)))
    assert status == 500
    assert "secret" not in str(answer)
    number = answer["error"].split()[2].rstrip(".")
    (record,) = caplog.records
    assert number in record.getMessage()
    assert record.exc_info[1] is error


def test_a_body_that_does_not_come_is_408():
    async def scenario():
        app = application(body_timeout=0.1)
        return await ask(app, body(b"{", True))

    status, headers, _ = asyncio.run(scenario())
    assert (status, headers[b"connection"]) == (408, b"close")


def test_too_much_being_received_is_503():
    async def scenario():
        app = application(max_memory=10)
        many = await ask(app, body(b"x" * 20, True), body(b"x"))
        return many, app._buffered, await ask(app, body(ROW))

    many, left, one = asyncio.run(scenario())
    assert (many[0], left, one[0]) == (503, 0, 200)


def test_a_client_that_goes_away_is_not_answered():
    async def scenario():
        app = application()
        nothing = await ask(app, body(b"{", True), {"type": "http.disconnect"})
        return nothing, app.workers.in_flight

    assert asyncio.run(scenario()) == (None, 0)


def test_a_body_in_pieces_is_put_together():
    pieces = [body(ROW[i : i + 1], i < len(ROW) - 1) for i in range(len(ROW))]
    status, _, answer = asyncio.run(ask(application(), *pieces))
    assert (status, len(answer["predictions"])) == (200, 1)


def test_metrics_count_every_status():
    async def scenario():
        app = application(queue=5)
        await ask(app, body(ROW))
        await ask(app, body(ROW))
        await ask(app, body(b"{"))
        return app.metrics.text(app.workers.in_flight, [('a"b\\', "1", "binary")])

    text = asyncio.run(scenario())
    lines = text.splitlines()
    assert 'lepta_requests_total{model="table",version="1",status="200"} 2' in lines
    assert 'lepta_requests_total{model="table",version="1",status="400"} 1' in lines
    assert 'lepta_request_seconds_count{model="table",version="1"} 2' in lines
    assert 'lepta_request_seconds_bucket{model="table",version="1",le="+Inf"} 2' in lines
    assert 'lepta_model_info{model="a\\"b\\\\",version="1",task="binary"} 1' in lines
    parser = pytest.importorskip("prometheus_client.parser")
    families = {f.name: f for f in parser.text_string_to_metric_families(text)}
    assert set(families) == {
        "lepta_requests",
        "lepta_request_seconds",
        "lepta_requests_in_flight",
        "lepta_model_info",
    }


def test_connections_are_limited_and_slow_heads_are_closed():
    with start(table_bundle(), connections=3, keep_alive=0.6) as service:
        parts = urlsplit(service.url)
        links = [socket.create_connection((parts.hostname, parts.port)) for _ in range(3)]
        time.sleep(0.1)
        with socket.create_connection((parts.hostname, parts.port)) as fourth:
            assert fourth.recv(4096).startswith(b"HTTP/1.1 503")
        begin = time.monotonic()
        for drip in b"GET / HTTP/1.1\r\nx: " + b"y" * 30:
            try:
                links[0].sendall(bytes([drip]))
            except OSError:
                break
            time.sleep(0.1)
        assert time.monotonic() - begin < 2.5
        assert links[1].recv(10) == b""
        for link in links:
            link.close()
        caller = Caller(service.url)
        assert caller("GET", "/v2/health/live")[0] == 200
        caller.close()


def test_an_error_before_the_body_is_read_keeps_the_connection_usable():
    with start(table_bundle(), max_body=1000) as service:
        caller = Caller(service.url)
        for _ in range(3):
            assert caller("POST", "/predict/table", b"x" * 300_000)[0] == 413
            assert caller("POST", "/nothing", b"x" * 300_000)[0] == 404
            assert caller("POST", "/predict/table", ROW)[0] == 200
        caller.close()
