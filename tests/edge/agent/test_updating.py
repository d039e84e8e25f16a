"""Bundles come signed and piece by piece, are tested here, and go again if they do worse."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, EdgeError, InputError
from lepta.edge.agent import Agent, publish
from lepta.edge.agent.link import Link, LinkError
from lepta.edge.agent.publishing import object_path
from lepta.edge.agent.status import device_status, fleet_status

from .conftest import CHANGED, ROW, SHARED


def digest(path) -> str:
    return Bundle.load(path).digest


def events(hub) -> list[str]:
    return [r["record"]["event"] for r in hub.records() if r["record"]["kind"] == "event"]


@pytest.fixture
def device(tmp_path, settings, versions):
    """Return a function that opens the device's agent; the last one is closed."""
    opened = []

    def open_agent(**sections) -> Agent:
        if opened:
            opened.pop().close()
        opened.append(Agent(tmp_path / "device", settings(**sections), bundle=versions["1"]))
        return opened[0]

    yield open_agent
    for agent in opened:
        agent.close()


def test_a_published_bundle_is_taken_tried_and_trusted(device, hub, versions):
    agent = device(update={"trial_rows": 20})
    before = agent.predict([ROW]).scores
    publish(hub.folder, versions["2"])
    agent.update()
    assert agent.version == digest(versions["2"])
    assert not np.array_equal(agent.predict([ROW]).scores, before)
    status = device_status(agent.folder)
    assert (status["previous"], status["trial"]) == (digest(versions["1"]), True)
    agent.predict([ROW] * 20)
    agent.tick()
    assert device_status(agent.folder)["trial"] is False
    agent.deliver()
    assert events(hub) == ["switched", "trusted"]
    (listed,) = fleet_status(hub.folder)
    assert listed["version"] == listed["published"] == agent.version
    assert fleet_status(hub.url, agent.config.hub) == [listed]
    assert device().version == digest(versions["2"])


def test_only_the_pieces_that_differ_are_fetched(device, hub, versions):
    agent = device()
    publish(hub.folder, versions["2"])
    agent.update()
    agent.deliver()
    (switched,) = [r["record"]["why"] for r in hub.records() if r["record"]["kind"] == "event"]
    fetched = int(switched.split()[0])
    assert CHANGED < fetched < CHANGED + 10_000 < SHARED
    loaded = Bundle.load(agent.folder / "versions" / agent.version)
    assert loaded == Bundle.load(versions["2"])
    assert loaded.signed


def test_a_download_goes_on_where_it_broke(device, hub, versions, monkeypatch):
    agent = device()
    publish(hub.folder, versions["2"])
    real, received = Link.fetch, []

    def breaking(link, wanted, begin):
        for place, piece in real(link, wanted, begin):
            received.append(len(piece))
            yield place, piece
            if len(received) % 2 == 0:
                raise LinkError("The line broke.")

    monkeypatch.setattr(Link, "fetch", breaking)
    tries = 0
    while agent.version != digest(versions["2"]):
        tries += 1
        agent.close()
        agent = device()  # as after a kill: nothing is remembered but files
        try:
            agent.update()
        except LinkError:
            continue
    assert tries > 1
    assert CHANGED < sum(received) < CHANGED + 10_000


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("stranger", "signed by somebody else"),
        ("self-test", "self-test"),
        ("other", "called 'churn'"),
    ],
)
def test_a_bad_bundle_is_refused_once(device, hub, versions, name, why):
    agent = device()
    publish(hub.folder, versions[name])
    agent.update()
    assert agent.version == digest(versions["1"])
    assert why in agent.health().refused[digest(versions[name])]
    assert {path.name for path in (agent.folder / "versions").iterdir()} == {agent.version}
    agent.update()
    agent.deliver()
    assert events(hub) == ["refused"]
    agent = device()
    agent.update()
    assert agent.version == digest(versions["1"])
    assert len(agent.health().refused) == 1


def test_nothing_of_a_stranger_but_the_manifest_is_fetched(device, hub, versions):
    agent = device()
    publish(hub.folder, versions["stranger"])
    shutil.rmtree(hub.folder / "objects")
    (hub.folder / "objects").mkdir()
    object_path(hub.folder, digest(versions["stranger"])).write_bytes(
        Bundle.load(versions["stranger"])._contents.raw
    )
    agent.update()
    assert "somebody else" in next(iter(agent.health().refused.values()))


def test_an_unsigned_bundle_is_taken_only_where_that_is_said(device, hub, versions):
    with pytest.raises(EdgeError, match="not signed") as caught:
        publish(hub.folder, versions["unsigned"])
    assert "--private-key" in caught.value.fix
    publish(hub.folder, versions["unsigned"], unsigned=True)
    agent = device()
    agent.update()
    assert list(agent.health().refused.values()) == ["It is not signed."]
    shutil.rmtree(agent.folder)
    agent = device(update={"unsigned": True})
    agent.update()
    assert agent.version == digest(versions["unsigned"])


def test_the_same_bundle_signed_rightly_is_taken_after_all(device, hub, versions, keys):
    agent = device()
    publish(hub.folder, versions["unsigned"], private_key=keys.pem(stranger=True))
    agent.update()
    assert agent.version == digest(versions["1"])
    publish(hub.folder, versions["unsigned"], private_key=keys.pem())
    agent.update()
    assert agent.version == digest(versions["unsigned"])


def test_an_older_bundle_is_taken_only_where_that_is_said(device, hub, versions):
    agent = device()
    for name in ("3", "2"):
        publish(hub.folder, versions[name])
        agent.update()
    assert agent.version == digest(versions["3"])
    assert "before the one here" in next(iter(agent.health().refused.values()))


def test_one_device_tries_a_bundle_before_the_others(device, hub, versions):
    agent = device(device="ward-3")
    publish(hub.folder, versions["2"])
    publish(hub.folder, versions["3"], devices=["ward-3"])
    agent.update()
    assert agent.version == digest(versions["3"])
    publish(hub.folder, versions["4"])
    agent.update()
    assert agent.version == digest(versions["4"])


def test_a_version_that_fails_where_the_one_before_did_not_is_rolled_back(device, hub, versions):
    agent = device(update={"trial_rows": 100, "max_failures": 0.05})
    publish(hub.folder, versions["breaking"])
    agent.update()
    assert agent.version == digest(versions["breaking"])
    old = [ROW | {"age": 70.0}]
    for _ in range(6):
        assert len(agent.predict(old)) == 1  # answered by the version before
        with pytest.raises(InputError):
            agent.predict([ROW | {"age": "x"}])  # both refuse: the row is to blame
        agent.tick()
    assert agent.version == digest(versions["1"])
    assert "6 of 6 rows" in agent.health().refused[digest(versions["breaking"])]
    agent.update()
    assert agent.version == digest(versions["1"])
    agent.deliver()
    assert events(hub) == ["switched", "rolled back"]
    windows = [r["record"] for r in hub.records() if r["record"]["kind"] == "window"]
    assert [(w["version"], w["rows"], w["errors"]) for w in windows] == [
        (digest(versions["breaking"]), 0, {"input": 12}),
    ]


def test_a_version_under_which_the_agent_dies_is_rolled_back(device, hub, versions):
    agent = device(update={"max_starts": 3})
    publish(hub.folder, versions["2"])
    agent.update()
    for _ in range(3):
        agent = device(update={"max_starts": 3})
        assert agent.version == digest(versions["2"])
    agent = device(update={"max_starts": 3})
    assert agent.version == digest(versions["1"])
    assert "died" in agent.health().refused[digest(versions["2"])]


def test_a_device_goes_on_though_there_is_nothing_to_go_back_to(device, hub, versions):
    agent = device()
    publish(hub.folder, versions["2"])
    agent.update()
    shutil.rmtree(agent.folder / "versions" / digest(versions["1"]))
    agent = device()
    assert agent.version == digest(versions["2"])
    assert device_status(agent.folder)["trial"] is False


def test_calls_that_a_switch_overtakes_are_told(device, hub, versions):
    agent = device(window={"rows": 1000})
    old = agent._model
    publish(hub.folder, versions["2"])
    agent.update()
    publish(hub.folder, versions["3"])
    agent.update()
    slow = agent._retired[0][1]
    slow.scores([ROW] * 6, foreign=True)  # a call that began before the switch
    old.scores([ROW] * 7, foreign=True)
    agent.close()
    told = [r["record"] for r in hub.records() if r["record"]["kind"] == "window"]
    assert {(w["version"], w["rows"]) for w in told} == {
        (digest(versions["1"]), 7),
        (digest(versions["2"]), 6),
    }


def test_a_version_damaged_on_the_disk_is_rolled_back(device, hub, versions):
    agent = device()
    publish(hub.folder, versions["2"])
    agent.update()
    path = agent.folder / "versions" / agent.version / "model.onnx"
    path.write_bytes(path.read_bytes()[:-9] + b"damaged!!")
    assert device().version == digest(versions["1"])


def test_a_device_without_a_bundle_gets_one(tmp_path, hub, settings, versions):
    publish(hub.folder, versions["1"])
    with Agent(tmp_path / "empty", settings(update={"every": 0.1})) as agent:
        for _ in range(1200):
            if agent.version:
                break
            agent._stopping.wait(0.05)
        assert len(agent.predict([ROW])) == 1


def test_wrong_bytes_of_the_hub_are_not_kept(device, hub, versions):
    agent = device()
    published = publish(hub.folder, versions["2"])
    path = object_path(hub.folder, published.digest)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"wrong")
    with pytest.raises(LinkError, match="other bytes"):
        agent.update()
    path.write_bytes(whole)
    agent.update()
    assert agent.version == published.digest


def test_a_self_test_that_kills_its_process_kills_nothing_else(tmp_path, monkeypatch):
    from lepta.core.errors import BundleError
    from lepta.edge.agent.trial import try_bundle

    def killed(command, **options):
        code = "import os; os.kill(os.getpid(), 11)"
        return subprocess.CompletedProcess(
            command, subprocess.Popen([sys.executable, "-c", code]).wait(), "", ""
        )

    monkeypatch.setattr("lepta.edge.agent.trial.subprocess.run", killed)
    with pytest.raises(BundleError, match="killed by signal 11"):
        try_bundle(tmp_path, threads=1, timeout=9)


def test_a_key_that_is_none_is_refused_at_once(tmp_path, settings):
    with pytest.raises(ConfigError, match="public key cannot be read"):
        Agent(tmp_path / "d", settings(update={"public_key": tmp_path / "no.pem"}))
