"""The child process of :func:`lepta.serving.start`: ``python -m lepta.serving.child ORDER PIPE``.

It reads its order (models and configuration, as JSON) from a file, writes its URL or its error to
the pipe, and stops when standard input closes: it never outlives its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from lepta.core.errors import LeptaError
from lepta.serving.config import ServeConfig
from lepta.serving.service import serve


def main() -> int:
    """Serve; return the exit status."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    pipe = int(sys.argv[2])
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        serve(
            order["models"],
            config=ServeConfig.parse(order["config"]),
            on_ready=lambda url: _tell(pipe, {"url": url}),
        )
    except LeptaError as error:
        file = error.where.file if error.where else None
        _tell(pipe, {"error": error.what, "fix": error.fix, "file": file})
        return 1
    return 0


def _stop_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(pipe: int, message: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(message).encode() + b"\n")
    os.close(pipe)


if __name__ == "__main__":
    sys.exit(main())
