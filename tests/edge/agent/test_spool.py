"""What was appended is there after any damage that a kill or a disk may do, or is counted."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import EdgeError
from lepta.edge.agent.config import SpoolConfig
from lepta.edge.agent.spool import Spool, read_records

SMALL = SpoolConfig(segment=200, limit=10_000)


def numbers(spool: Spool) -> list[int]:
    return [record.seq for record in spool.peek(10_000)]


def test_records_come_back_in_order_and_only_until_acknowledged(tmp_path):
    spool = Spool(tmp_path, SMALL)
    assert [spool.append(f"r{i}".encode()) for i in range(30)] == list(range(1, 31))
    assert len(list(tmp_path.glob("*.spool"))) > 3
    spool.acknowledge(12)
    again = Spool(tmp_path, SMALL)
    assert [record.payload for record in again.peek(3)] == [b"r12", b"r13", b"r14"]
    assert (again.pending, again.last, again.state.spool) == (18, 30, spool.state.spool)
    again.acknowledge(30)
    assert not list(tmp_path.glob("*.spool"))
    assert Spool(tmp_path, SMALL).append(b"new") == 31


def test_a_delivery_is_bounded_in_bytes_but_never_empty(tmp_path):
    spool = Spool(tmp_path, SpoolConfig())
    for _ in range(3):
        spool.append(bytes(100))
    assert len(spool.peek(9, size=250)) == 2
    assert len(spool.peek(9, size=1)) == 1


def test_the_oldest_are_dropped_and_counted_when_there_is_no_room(tmp_path):
    config = SpoolConfig(segment=500, limit=2000)
    spool = Spool(tmp_path, config)
    for _ in range(100):
        spool.append(bytes(80))
    assert spool.size <= 2000
    first = numbers(spool)[0]
    assert spool.state.dropped == first - 1 > 0
    assert spool.pending == len(numbers(spool)) == 100 - spool.state.dropped
    again = Spool(tmp_path, config)
    assert (again.state, again.pending) == (spool.state, spool.pending)
    with pytest.raises(EdgeError, match="does not fit"):
        spool.append(bytes(3000))


def test_a_full_disk_appends_nothing_and_uses_no_number(tmp_path, monkeypatch):
    spool = Spool(tmp_path, SMALL)
    spool.append(b"one")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(EdgeError, match="No space left"):
            spool.append(b"lost")
    assert spool.append(b"two") == 2
    assert [record.payload for record in Spool(tmp_path, SMALL).peek(9)] == [b"one", b"two"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=20), st.data())
def test_a_torn_tail_loses_only_what_append_had_not_promised(tmp_path_factory, payloads, data):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, SMALL)
    for payload in payloads:
        spool.append(payload)
    last = max(folder.glob("*.spool"))
    frame = len(payloads[-1]) + 20
    cut = data.draw(st.integers(1, frame))
    os.truncate(last, last.stat().st_size - cut)
    again = Spool(folder, SMALL)
    assert [record.payload for record in again.peek(99)] == payloads[:-1]
    assert again.state.damaged == ()
    assert again.append(b"next") == len(payloads)
    assert numbers(Spool(folder, SMALL)) == list(range(1, len(payloads) + 1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_bytes_that_flip_cost_their_records_which_are_counted_once(tmp_path_factory, seed, flips):
    folder, chance = tmp_path_factory.mktemp("spool"), random.Random(seed)
    spool = Spool(folder, SMALL)
    for number in range(25):
        spool.append(f"record {number}".encode())
    files = sorted(folder.glob("*.spool"))
    for _ in range(flips):
        path = chance.choice(files[:-1])
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    again = Spool(folder, SMALL)
    whole = {record.seq: record.payload for record in again.peek(99)}
    assert all(payload == f"record {seq - 1}".encode() for seq, payload in whole.items())
    assert set(whole) | set(again.state.damaged) == set(range(1, 26))
    assert set(whole).isdisjoint(again.state.damaged)
    assert again.pending == len(whole)
    third = Spool(folder, SMALL)
    assert third.state == again.state
    assert third.append(b"x") == 26


def test_a_damaged_state_is_named(tmp_path):
    Spool(tmp_path, SMALL)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(EdgeError, match="damaged") as caught:
        Spool(tmp_path, SMALL)
    assert "state.json" in str(caught.value)


def test_another_process_may_read_along(tmp_path):
    spool = Spool(tmp_path, SMALL)
    spool.append(b"one")
    assert [record.payload for record in read_records(tmp_path)] == [b"one"]
