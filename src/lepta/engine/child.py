"""A worker's process: ``python -m lepta.engine.child PIPE PARENT``.

It gets its order from the pipe, runs the function, answers, and never outlives its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import spawn
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lepta.engine.member import ended, failed
from lepta.engine.messages import Answer, Command, Join, Order, Stop

_PR_SET_PDEATHSIG = 1
_SCRIPT = ("init_main_from_path", "init_main_from_name")


class Link:
    """The pipe to the parent, seen from the worker.

    Attributes:
        stop: set once the parent has asked for an end.
        joins: where the others meet.
        leave: set once all are done.
    """

    def __init__(self, connection: Connection) -> None:
        self.stop = threading.Event()
        self.leave = threading.Event()
        self.joins: SimpleQueue[Join] = SimpleQueue()
        self._connection, self._lock = connection, threading.Lock()
        threading.Thread(target=self._listen, name="lepta-link", daemon=True).start()

    def send(self, answer: Answer) -> None:
        """Tell the parent."""
        with self._lock:
            self._connection.send(answer)

    def _listen(self) -> None:
        try:
            while True:
                self._heed(self._connection.recv())
        except (EOFError, OSError):
            os._exit(1)  # the parent is gone

    def _heed(self, command: Command) -> None:
        if isinstance(command, Join):
            self.joins.put(command)
        elif isinstance(command, Stop):
            self.stop.set()
        else:
            self.leave.set()


def main() -> int:
    """Work; return the exit status."""
    connection, parent = Connection(int(sys.argv[1])), int(sys.argv[2])
    die_with(parent)
    order: Order = connection.recv()
    link = Link(connection)
    try:
        enter(order.about, order.job)
        function, payload = pickle.loads(order.job)  # noqa: S301
        answer: Answer = ended(function, payload, order, link)
    except BaseException as error:
        answer = failed(error)
    with contextlib.suppress(OSError):
        link.send(answer)
    link.leave.wait()
    return 0


def enter(about: Mapping[str, Any], job: bytes) -> None:
    """Make this process like its parent: folder, paths, and the script that the user runs.

    The script is run again only where ``job`` needs what it defines: most scripts are not written
    to be run twice.
    """
    needed = b"__main__" in job
    spawn.prepare(
        {
            name: value
            for name, value in about.items()
            if (name not in _SCRIPT or needed) and (name != "dir" or Path(value).is_dir())
        }
    )


def die_with(parent: int) -> None:
    """Let Linux kill this process with its parent, even while it hangs in foreign code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
