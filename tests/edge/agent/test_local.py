"""Programs of a device ask over HTTP, or lay files into a folder."""

import http.client
import io
import json
import os
import time
from urllib.parse import urlsplit

import pytest
from PIL import Image

from lepta.core.errors import ConfigError, EdgeError
from lepta.edge.agent import Agent, AgentConfig
from lepta.edge.agent.local import Endpoint
from lepta.edge.agent.spool import read_records
from lepta.edge.agent.watching import Watcher

from .conftest import ROW, picture_bundle


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return picture_bundle().save(tmp_path_factory.mktemp("image") / "image.lepta")


def png(level):
    stream = io.BytesIO()
    Image.new("L", (8, 6), level).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def agent(tmp_path, versions):
    config = AgentConfig(port=0, max_body=100_000, max_rows=50, connections=3, timeout=0.5)
    agent = Agent(tmp_path / "device", config, bundle=versions["1"])
    yield agent
    agent.close()


@pytest.fixture
def url(agent):
    service = Endpoint(agent).serve()
    yield service.url
    service.close()


def ask(url, method, path, body=None, headers=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("form", ["rows", "list", "one"])
def test_rows_are_answered_as_the_service_answers_them(url, agent, form):
    document = {"rows": {"rows": [ROW]}, "list": [ROW], "one": ROW}[form]
    status, answer = ask(url, "POST", "/predict", json.dumps(document))
    assert status == 200
    (row,) = answer["predictions"]
    expected = agent.predict([ROW])
    assert row["prediction"] == expected.prediction[0]
    assert row["probability"]["yes"] == pytest.approx(float(expected.scores[0, 1]))
    assert answer["version"] == agent.version
    assert ask(url, "GET", "/health") == (200, {"ready": True})
    assert ask(url, "GET", "/status")[1]["version"] == agent.version


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("{", 400, "not JSON"),
        ("[1]", 400, "Rows are objects"),
        (json.dumps(ROW | {"hieght": 1}), 400, "no input 'hieght'"),
        (json.dumps(ROW | {"age": "old"}), 400, "is not a number"),
        (json.dumps([ROW] * 51), 413, "at most 50"),
        ("x" * 100_001, 413, "over 100,000 bytes"),
    ],
)
def test_what_does_not_fit_is_refused(url, body, status, told):
    found, answer = ask(url, "POST", "/predict", body)
    assert found == status
    assert told in answer["error"]


def test_pages_of_other_sites_and_unknown_pages_are_refused(url):
    assert ask(url, "POST", "/predict", "{}", {"Origin": "http://evil.example"})[0] == 403
    assert ask(url, "GET", "/../../etc/passwd")[0] == 404


def test_silent_and_too_many_connections_are_cut_off(url):
    parts = urlsplit(url)
    silent = [http.client.HTTPConnection(parts.hostname, parts.port) for _ in range(3)]
    for connection in silent:
        connection.connect()
    time.sleep(0.2)
    crowded = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    crowded.request("GET", "/health")
    assert crowded.getresponse().status == 503
    crowded.close()
    for connection in silent:
        assert connection.sock.recv(1) == b""  # cut off after half a second
        connection.close()
    assert ask(url, "GET", "/health")[0] == 200


def test_a_device_without_a_bundle_says_so(tmp_path):
    agent = Agent(tmp_path / "d", AgentConfig(port=0))
    service = Endpoint(agent).serve()
    try:
        assert ask(service.url, "POST", "/predict", json.dumps(ROW))[0] == 503
        assert ask(service.url, "GET", "/health") == (503, {"ready": False})
    finally:
        service.close()
        agent.close()


def test_a_port_in_use_is_named(agent, url):
    taken = agent.config.model_copy(update={"port": urlsplit(url).port})
    agent.config = taken
    with pytest.raises(EdgeError, match="in use") as caught:
        Endpoint(agent).serve()
    assert "--port" in caught.value.fix


def test_a_picture_is_sent_as_it_is_and_no_path_is_opened(tmp_path, pictures):
    (tmp_path / "scan.png").write_bytes(png(90))
    with Agent(tmp_path / "d", AgentConfig(port=0, window={"rows": 99}), bundle=pictures) as agent:
        service = Endpoint(agent).serve()
        try:
            kind = {"Content-Type": "image/png"}
            status, answer = ask(service.url, "POST", "/predict", png(90), kind)
            assert (status, answer["predictions"][0]["prediction"]) == (200, "no")
            path = json.dumps({"scan": str(tmp_path / "scan.png")})
            status, answer = ask(service.url, "POST", "/predict", path)
            assert (status, "not base64" in answer["error"]) == (400, True)
            for level in (100, 110, 120, 130, 140):
                ask(service.url, "POST", "/predict", png(level), kind)
        finally:
            service.close()
    (record,) = [json.loads(record.payload) for record in read_records(tmp_path / "d" / "spool")]
    assert record["inputs"]["scan"]["count"] == 6
    assert record["inputs"]["scan"]["mean"] == pytest.approx(115)
    assert record["errors"] == {"input": 1}


def watcher(tmp_path, bundle, **options):
    (tmp_path / "in").mkdir(exist_ok=True)
    watch = {"inbox": tmp_path / "in", "outbox": tmp_path / "out", "settle": 0} | options
    agent = Agent(tmp_path / "d", AgentConfig(watch=watch), bundle=bundle)
    return agent, Watcher(agent)


def test_tables_are_answered_beside_the_folder(tmp_path, versions):
    agent, watch = watcher(tmp_path, versions["1"])
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    (inbox / "a.csv").write_text("age,weight,city\n30,5,Rome\n40,7,Oslo\n")
    (inbox / "b.jsonl").write_text(f"{json.dumps(ROW)}\n\n")
    (inbox / "c.csv").write_text("age,weight\n30,5\n")
    (inbox / ".hidden").write_text("x")
    (inbox / "d.csv.part").write_text("x")
    (inbox / "e.bin").write_bytes(b"x")
    (inbox / "f.csv").symlink_to("/etc/hostname")
    watch.look()
    agent.close()
    first = json.loads((outbox / "a.csv.json").read_text())
    assert len(first["predictions"]) == 2
    second = json.loads((outbox / "b.jsonl.json").read_text())
    assert second["predictions"][0] == first["predictions"][0]
    assert "'city' is missing" in json.loads((outbox / "c.csv.json").read_text())["error"]
    assert "takes no file" in json.loads((outbox / "e.bin.json").read_text())["error"]
    assert {p.name for p in inbox.iterdir()} == {"done", "failed", ".hidden", "d.csv.part", "f.csv"}
    assert {p.name for p in (inbox / "done").iterdir()} == {"a.csv", "b.jsonl"}
    assert {p.name for p in (inbox / "failed").iterdir()} == {"c.csv", "e.bin"}


def test_pictures_are_answered_and_deleted_where_that_is_wished(tmp_path, pictures):
    agent, watch = watcher(tmp_path, pictures, keep=False)
    (tmp_path / "in" / "scan.png").write_bytes(png(250))
    watch.look()
    agent.close()
    answer = json.loads((tmp_path / "out" / "scan.png.json").read_text())
    assert answer["predictions"][0]["prediction"] == "yes"
    assert not (tmp_path / "in" / "scan.png").exists()


def test_a_file_that_still_grows_is_left_alone(tmp_path, versions):
    agent, watch = watcher(tmp_path, versions["1"], settle=60)
    path = tmp_path / "in" / "a.csv"
    path.write_text("age,weight,city\n")
    watch.look()
    watch.look()
    assert path.exists()
    os.utime(path)
    watch._seen = {k: (*v[:2], v[2] - 100) for k, v in watch._seen.items()}
    watch.look()  # it has changed since
    assert path.exists()
    watch._seen = {k: (*v[:2], v[2] - 100) for k, v in watch._seen.items()}
    watch.look()
    agent.close()
    assert not path.exists()


def test_a_folder_must_be_named(agent):
    with pytest.raises(ConfigError, match=r"--watch\.inbox"):
        Watcher(agent)
