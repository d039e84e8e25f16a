"""Watch a process and all that it starts: time limit, CPU seconds, memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_MARK = "LEPTA_BENCHMARK_RUN"
_TICK = os.sysconf("SC_CLK_TCK")


class Watch:
    """A process on some cores, and all that came of it.

    Descendants are known by a mark in their environment, so that daemons which a system leaves
    behind (Ray's, joblib's) are counted, and ended with it.

    Attributes:
        cpu: CPU seconds of all, to the last look before each ended.
        memory: largest sum of their memory (proportional set size), in bytes.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        log: IO[str],
        cores: Sequence[int],
        environment: Mapping[str, str],
    ) -> None:
        self.cpu, self.memory = 0.0, 0
        self._mark = f"{_MARK}={uuid.uuid4()}".encode()
        self._spent: dict[int, float] = {}
        name, value = self._mark.decode().split("=")
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**environment, name: value, "TMPDIR": str(folder)},
            start_new_session=True,
        )
        os.sched_setaffinity(self._process.pid, cores)

    def wait(self, limit: float, period: float = 0.5) -> int | None:
        """Wait for the process and end what it left; return its exit code, None after a kill."""
        end = time.monotonic() + limit
        code: int | None = None
        while time.monotonic() < end:
            self._look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(period)
                break
        self._look()
        for number in self._family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._process.wait()
        return code

    def _family(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self._mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def _look(self) -> None:
        memory = 0
        for number in self._family():
            with contextlib.suppress(OSError, ValueError):
                fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
                self._spent[number] = (int(fields[11]) + int(fields[12])) / _TICK
                rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
                memory += int(rollup.split("Pss:")[1].split()[0]) * 1024
        self.memory = max(self.memory, memory)
        self.cpu = sum(self._spent.values())
