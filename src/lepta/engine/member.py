"""A worker among several: it meets the others, and agrees with them when to stop."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from lepta.core.errors import missing_extra
from lepta.core.events import Context, Event, Message
from lepta.engine.messages import Answer, Ended, Failed, Join, Opened, Order, Said
from lepta.engine.worker import Worker

_MEETING = timedelta(minutes=5)
_CHECK_EVERY = 0.2
"""Seconds between two agreements whether to stop; each is a broadcast of a few bytes."""

_ASKED, _LATE = 1, 2
_LOST_SIGNS = ("gloo", "nccl", "connection closed by peer", "connection reset", "broken pipe")


class Hub(Protocol):
    """The way to the supervisor."""

    stop: threading.Event
    joins: SimpleQueue[Join]

    def send(self, answer: Answer) -> None: ...


class Member(Worker):
    """One of several workers, or the only one in a process of its own.

    Attributes:
        stopped: whether :meth:`should_stop` has passed on a request of the supervisor.
    """

    def __init__(
        self, rank: int, world: int, folder: Path | None, context: Context, asked: threading.Event
    ) -> None:
        super().__init__(rank, world, folder, context)
        self.stopped = False
        self._asked = asked
        self._calls, self._pause, self._checked = 0, 1, time.monotonic()
        if self._checkpoints is not None and rank == 0:
            self._checkpoints.hold()

    def load(self) -> Mapping[str, bytes] | None:
        members = self._read() if self.rank == 0 else None
        return members if self.world == 1 else _shared(members, self.rank)

    def should_stop(self) -> bool:
        if self.world == 1:
            verdict = self._verdict()
        else:
            self._calls += 1
            if self._calls < self._pause:
                return False
            verdict, self._pause = self._agree()
            self._calls, self._checked = 0, time.monotonic()
        self.stopped = self.stopped or verdict == _ASKED
        return verdict != 0

    def _verdict(self) -> int:
        if self._asked.is_set():
            return _ASKED
        return _LATE if self.context.seconds_left() <= 0 else 0

    def _agree(self) -> tuple[int, int]:
        """Take rank 0's verdict, and its count of calls until the next agreement."""
        import torch
        from torch import distributed

        pace = (time.monotonic() - self._checked) / self._calls
        pause = min(_CHECK_EVERY / max(pace, 1e-6), 2 * self._calls + 1)
        said = torch.tensor([self._verdict(), max(1, int(pause))])
        distributed.broadcast(said, 0)
        return int(said[0]), int(said[1])


def ended(function: Callable[[Worker, Any], Any], payload: Any, order: Order, hub: Hub) -> Ended:
    """Run the function as an order says."""

    def report(event: Event) -> None:
        if order.rank == 0 or (isinstance(event, Message) and event.level == "warning"):
            hub.send(Said(event))

    context = Context(
        seed=order.seed,
        report=report,
        deadline=None if order.seconds is None else time.monotonic() + order.seconds,
        threads=order.threads,
    )
    folder = Path(order.folder) if order.folder else None
    worker = Member(order.rank, order.world, folder, context, hub.stop)
    if order.world > 1:
        _meet(order, hub)
    value = function(worker, payload)
    return Ended(pickle.dumps(value if order.rank == 0 else None), worker.stopped)


def failed(error: BaseException) -> Failed:
    """Describe an error to the supervisor."""
    text = "".join(traceback.format_exception(error))
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)  # noqa: S301
    except Exception:
        return Failed(None, text, _is_loss(error))
    return Failed(pickled, text, _is_loss(error))


def _is_loss(error: BaseException) -> bool:
    return any(
        type(link).__name__.startswith("Dist")
        or (
            isinstance(link, RuntimeError | OSError)
            and any(sign in str(link).lower() for sign in _LOST_SIGNS)
        )
        for link in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _meet(order: Order, hub: Hub) -> None:
    """Join the others in torch.distributed, at a store that rank 0 opens for this attempt."""
    interface = _interface(order.host)
    if interface:
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
    try:
        import torch
        from torch import distributed
        from torch.distributed import TCPStore  # type: ignore[attr-defined]
    except ImportError as error:
        raise missing_extra("torch", "train", "Training with several workers") from error
    torch.set_num_threads(order.threads)
    single = torch.cuda.device_count() == 1 and os.environ.get("CUDA_VISIBLE_DEVICES")
    if order.rank == 0:
        listener = socket.create_server((order.host, 0))
        port = listener.getsockname()[1]
        store = TCPStore(
            order.host,
            port,
            order.world,
            is_master=True,
            timeout=_MEETING,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
        hub.send(Opened(order.host, port))
    else:
        join = hub.joins.get()
        store = TCPStore(join.host, join.port, order.world, timeout=_MEETING)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if single else "gloo",
        store=store,
        rank=order.rank,
        world_size=order.world,
    )


def _shared(members: Mapping[str, bytes] | None, rank: int) -> Mapping[str, bytes] | None:
    """Send rank 0's members to all, so that nobody resumes from another checkpoint."""
    import torch
    from torch import distributed

    names: list[Any] = [None if members is None else {n: len(d) for n, d in members.items()}]
    distributed.broadcast_object_list(names, 0)
    if names[0] is None:
        return None
    data = bytearray(sum(names[0].values()))
    if members is not None:
        data[:] = b"".join(members.values())
    if data:
        distributed.broadcast(torch.frombuffer(data, dtype=torch.uint8), 0)
    if rank == 0:
        return members
    found, begin = {}, 0
    for name, size in names[0].items():
        found[name] = bytes(data[begin : begin + size])
        begin += size
    return found


def _interface(host: str) -> str | None:
    """Return the network interface that has this address, so that no other is listened on."""
    if host.startswith("127."):
        return "lo0" if sys.platform == "darwin" else "lo"
    if sys.platform != "linux":
        return None
    import fcntl
    import struct

    get_address = 0x8915  # SIOCGIFADDR
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe, get_address, struct.pack("256s", name.encode()))
            except OSError:
                continue
            if socket.inet_ntoa(found[20:24]) == host:
                return name
    return None
