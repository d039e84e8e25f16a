"""What a device tells its hub: windows and events, once each, and no value among them."""

import json
import random
import threading

import pytest

from lepta.core.errors import ConfigError, EdgeError, InputError
from lepta.edge.agent import Agent, AgentConfig, Hub, HubConfig
from lepta.edge.agent.link import Backoff, Link, LinkError
from lepta.edge.agent.messages import Delivery

from .conftest import ROW


def rows(count: int, **changes) -> list[dict]:
    return [ROW | {"age": 20.0 + number % 60} | changes for number in range(count)]


def windows(hub: Hub) -> list[dict]:
    return [r["record"] for r in hub.records() if r["record"]["kind"] == "window"]


@pytest.fixture
def agent(tmp_path, settings, versions):
    agent = Agent(tmp_path / "device", settings(window={"rows": 50}), bundle=versions["1"])
    yield agent
    agent.close()


def test_a_window_tells_counts_means_and_histograms(agent, hub):
    agent.predict(rows(60))
    agent.predict(rows(10, city="Anna Nowak, born 12 May"))
    with pytest.raises(InputError):
        agent.predict([{"age": "a secret", "weight": 1.0, "city": "Rome"}])
    agent.tick()
    assert agent.deliver() is False
    (window,) = windows(hub)
    assert window["rows"] == 70
    assert window["errors"] == {"input": 1}
    assert window["version"] == agent.version
    assert window["latency"]["count"] == 2
    age = window["inputs"]["age"]
    assert age["count"] == 70
    assert age["mean"] == pytest.approx(sum(r["age"] for r in rows(60) + rows(10)) / 70)
    assert age["histogram"] == {"edges": [20, 40, 60, 80], "counts": [0, 30, 20, 20, 0]}
    city = window["inputs"]["city"]
    assert (city["counts"], city["unseen"]) == ({"Rome": 60}, 10)
    assert window["answers"]["prediction"]["count"] == 70
    assert sum(window["answers"]["probability[yes]"]["histogram"]["counts"]) == 70
    told = json.dumps(window)
    assert "Nowak" not in told
    assert "secret" not in told


def test_few_rows_tell_only_how_many_they_were(agent, hub):
    agent.predict(rows(3))
    agent.close()
    with Agent(agent.folder, agent.config) as again:
        again.deliver()
    (window,) = windows(hub)
    assert (window["rows"], window["inputs"], window["answers"]) == (3, {}, {})


def test_a_receipt_that_is_lost_leads_to_no_second_record(agent, hub, monkeypatch):
    agent.predict(rows(50))
    agent.tick()
    real = Link.deliver

    def cut(link, delivery):
        real(link, delivery)
        raise LinkError("The line broke before the receipt came.")

    with monkeypatch.context() as patched:
        patched.setattr(Link, "deliver", cut)
        with pytest.raises(LinkError):
            agent.deliver()
    assert agent.health().pending == 1
    agent.deliver()
    assert agent.health().pending == 0
    (device,) = hub.devices()
    assert (device["records"], device["repeated"], device["conflicts"]) == (1, 1, 0)
    assert len(windows(hub)) == 1


def test_records_wait_while_there_is_no_hub(tmp_path, agent, hub):
    address = hub.url.rpartition(":")[2]
    for _ in range(3):
        agent.predict(rows(50))
        agent.tick()
    hub.close()
    with pytest.raises(LinkError, match="does not answer"):
        agent.deliver()
    assert agent.health().pending == 3
    with Hub(hub.folder, HubConfig(port=int(address))) as again:
        again.serve()
        agent.deliver()
        (device,) = again.devices()
        assert [r["seq"] for r in again.records()] == [1, 2, 3]
    assert (device["records"], device["missing"], device["pending"]) == (3, 0, 0)


def test_the_hub_tells_what_is_missing_and_what_was_dropped(hub, settings):
    link = Link(settings().hub)
    health = {"device": "d", "spool": "ab", "last": 10, "pending": 2, "dropped": 3, "damaged": 1}
    link.deliver(Delivery(**health, records=((7, {}), (8, {}))))
    (device,) = hub.devices()
    assert (device["missing"], device["dropped"]) == (2, 3)


def test_a_spool_made_anew_is_not_taken_for_the_old_one(tmp_path, settings, hub, versions):
    config = settings(device="ward-3", window={"rows": 50})
    for name in ("a", "b"):
        with Agent(tmp_path / name, config, bundle=versions["1"]) as device:
            device.predict(rows(50))
    assert len(windows(hub)) == 2


def test_the_hub_refuses_strangers_and_nonsense(hub, settings, tmp_path):
    (tmp_path / "wrong").write_text("guess\n")
    stranger = Link(settings(hub={"key_file": tmp_path / "wrong"}).hub)
    with pytest.raises(LinkError, match="401") as caught:
        stranger.published("d")
    assert "key" in caught.value.fix
    link = Link(settings().hub)
    for digest in ("0" * 64, "../key"):
        with pytest.raises(LinkError, match="404"):
            list(link.fetch(digest, 0))
    with pytest.raises(LinkError, match="400"):
        link.published("../x")


def test_many_devices_deliver_at_once(hub, settings):
    link = Link(settings().hub)

    def send(name):
        for begin in range(1, 41, 10):
            records = tuple((seq, {"n": seq}) for seq in range(begin, begin + 10))
            for _ in range(2):
                link.deliver(Delivery(device=name, spool="ab", last=begin + 9, records=records))

    threads = [threading.Thread(target=send, args=(f"d{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = hub.devices()
    assert [(d["records"], d["repeated"], d["missing"]) for d in found] == [(40, 40, 0)] * 4


def test_waits_grow_and_are_random():
    backoff = Backoff(1.0, 60.0, random.Random(0))
    waits = [backoff.failed() for _ in range(200)]
    assert all(wait <= min(60, 2**n) for n, wait in enumerate(waits))
    assert len(set(waits)) == 200
    assert max(waits) > 50
    backoff.worked()
    assert backoff.failed() <= 1


def test_what_is_missing_or_wrong_is_said(tmp_path, hub, versions):
    with pytest.raises(ConfigError, match="must be signed") as caught:
        Agent(tmp_path / "d", AgentConfig.parse({"hub": {"url": hub.url}}))
    assert "--update.public-key" in caught.value.fix
    with pytest.raises(ConfigError, match="not the URL"):
        Agent(tmp_path / "d", AgentConfig.parse({"hub": {"url": "hub"}, "update": {"unsigned": 1}}))
    first = Agent(tmp_path / "d", AgentConfig(device="a"))
    try:
        with pytest.raises(EdgeError, match="Another agent"):
            Agent(tmp_path / "d")
        with pytest.raises(EdgeError, match="no bundle yet"):
            first.predict([ROW])
    finally:
        first.close()
    with pytest.raises(ConfigError, match="belongs to the device 'a'"):
        Agent(tmp_path / "d", AgentConfig(device="b"))
