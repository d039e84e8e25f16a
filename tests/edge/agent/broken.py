"""A line that breaks: a TCP proxy on loopback that cuts, stalls and counts."""

import contextlib
import random
import socket
import threading


class BrokenLine:
    """Passes connections on to a port.

    Attributes:
        cuts: whether connections are cut after a random number of bytes.
        stall: bytes of the bodies of objects after which they stop coming, or None.
        bodies: bytes of such bodies that went through.
        broken: how many connections were cut.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self._port, self._chance = port, random.Random(seed)
        self.cuts, self.stall, self.bodies, self.broken = False, None, 0, 0
        self._lock, self._open = threading.Lock(), set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for one in self._open:
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._open |= {near, far}
        pair = _Pair(near, far, self._budget())
        threading.Thread(target=self._ask, args=(pair,), daemon=True).start()
        self._answer(pair)
        with self._lock:
            self._open -= {near, far}
            self.broken += pair.cut

    def _budget(self) -> float:
        with self._lock:
            kind = self._chance.random() if self.cuts else 1
            most = 4_000 if kind < 0.35 else 90_000
            return self._chance.uniform(0, most) if kind < 0.7 else float("inf")

    def _ask(self, pair: "_Pair") -> None:
        with contextlib.suppress(OSError):
            while piece := pair.near.recv(1 << 14):
                pair.asked += piece
                if not pair.pass_on(pair.far, piece):
                    return
        pair.end(pair.far)

    def _answer(self, pair: "_Pair") -> None:
        told = b""
        with contextlib.suppress(OSError):
            while piece := pair.far.recv(1 << 12):
                counted = b"GET /v1/objects/" in pair.asked
                head, told = len(told), told + piece
                begin = told.find(b"\r\n\r\n") + 4
                body = len(told) - max(begin, head) if begin > 3 else 0
                if counted and not self._count(body):
                    break
                if not pair.pass_on(pair.near, piece):
                    break
        pair.close()

    def _count(self, size: int) -> bool:
        """Count the bytes of a body that pass; False where the line has stalled."""
        with self._lock:
            if self.stall is not None and self.bodies + size > self.stall:
                waits = True
            else:
                self.bodies += size
                waits = False
        if waits:
            self.stalled = True
            while self.stall is not None:
                threading.Event().wait(0.02)
        return not waits


class _Pair:
    def __init__(self, near: socket.socket, far: socket.socket, budget: float) -> None:
        self.near, self.far, self.budget = near, far, budget
        self.asked, self.cut = b"", 0

    def pass_on(self, to: socket.socket, piece: bytes) -> bool:
        self.budget -= len(piece)
        if self.budget < 0:
            with contextlib.suppress(OSError):
                to.sendall(piece[: int(self.budget)])
            self.cut = 1
            self.close()
            return False
        to.sendall(piece)
        return True

    def end(self, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in (self.near, self.far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
