"""Stopping under load: every request that a client could send is answered, none is reset."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from urllib.parse import urlsplit

import pytest

from lepta.core.errors import BundleError, ConfigError, ServeError
from lepta.serving import start

from .conftest import Caller, table_bundle

BODY = b'{"x0": 1, "colour": "red"}'


class Hammer(threading.Thread):
    """Sends requests until the port is closed; counts answers and everything that is not one."""

    def __init__(self, url, keep):
        super().__init__()
        self.parts, self.keep = urlsplit(url), keep
        self.answers, self.failures = 0, []

    def run(self):
        connection = None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        self.parts.hostname, self.parts.port, timeout=10
                    )
                    connection.connect()
            except ConnectionRefusedError:
                return
            except OSError as error:
                self.failures.append(f"connect: {error!r}")
                return
            try:
                connection.request("POST", "/predict/table", BODY)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = None
                continue
            if answer.status != 200:
                self.failures.append(answer.status)
            self.answers += 1
            if answer.will_close or not self.keep:
                connection.close()
                connection = None
        self.failures.append("never refused")


@pytest.mark.parametrize("keep", [True, False])
def test_sigterm_under_load_resets_nobody(keep):
    service = start(table_bundle(), drain=0.3)
    hammers = [Hammer(service.url, keep) for _ in range(8)]
    for hammer in hammers:
        hammer.start()
    time.sleep(0.5)
    os.kill(service.pid, signal.SIGTERM)
    for hammer in hammers:
        hammer.join()
    assert service.stop() == 0
    assert [hammer.failures for hammer in hammers] == [[]] * 8
    assert sum(hammer.answers for hammer in hammers) > 50


def test_while_stopping_readiness_is_off_and_connections_are_sent_away():
    service = start(table_bundle(), drain=1.0)
    caller = Caller(service.url)
    assert caller("GET", "/v2/health/ready")[0] == 200
    os.kill(service.pid, signal.SIGTERM)
    time.sleep(0.3)
    status, answer, headers = caller("GET", "/v2/health/ready")
    assert (status, answer) == (503, {"live": True, "ready": False})
    assert headers["connection"] == "close"
    status, _, headers = caller("POST", "/predict/table", BODY)
    assert (status, headers["connection"]) == (200, "close")
    caller.close()
    assert service.stop() == 0


def test_an_idle_connection_does_not_hold_the_stop_up():
    service = start(table_bundle(), drain=0.1)
    caller = Caller(service.url)
    caller("GET", "/v2")
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 5
    caller.close()


def test_stop_twice_and_context_manager():
    with start(table_bundle()) as service:
        assert service.stop() == 0
    assert service.stop() == 0


def test_the_service_ends_with_the_process_that_started_it(tmp_path):
    path = table_bundle().save(tmp_path / "table.lepta")
    script = textwrap.dedent(
        f"""
        import os
        from lepta.serving import start
        service = start({str(path)!r})
        os.write(1, f"{{service.pid}} {{service.url}}".encode())
        os._exit(1)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    _, url = ended.stdout.decode().split()
    parts = urlsplit(url)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail("the service outlived its parent")


def test_a_port_in_use_is_named_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"Port {port} on 127.0.0.1 is in use") as caught:
            start(table_bundle(), port=port)
    assert f"such as {port + 1}" in caught.value.fix


def test_an_unknown_address_is_named():
    with pytest.raises(ServeError, match=r"198\.51\.100\.7"):
        start(table_bundle(), host="198.51.100.7")


def test_options_are_checked():
    with pytest.raises(ConfigError, match="Did you mean 'port'"):
        start(table_bundle(), prt=1)


def test_models_are_named_by_their_manifest_or_by_a_mapping(tmp_path):
    path = table_bundle(name="first").save(tmp_path / "a.lepta")
    with start([path, table_bundle(name="second")]) as service:
        caller = Caller(service.url)
        _, index, _ = caller("POST", "/v2/repository/index", b"")
        caller.close()
    assert [entry["name"] for entry in index] == ["first", "second"]
    with pytest.raises(ServeError, match="Two models are called 'first'"):
        start([path, path])
    with pytest.raises(ServeError, match="no model to serve"):
        start({})


def test_a_damaged_bundle_is_refused_at_once(tmp_path):
    path = tmp_path / "a.lepta"
    path.write_bytes(b"PK\x03\x04nonsense")
    with pytest.raises(BundleError):
        start(path)
