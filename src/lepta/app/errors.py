"""What a person sees when something fails, and the exit status a script sees."""

from __future__ import annotations

import os
import sys
import traceback

from lepta.core.errors import LeptaError

USER_ERROR = 2
BUG = 1
INTERRUPTED = 130


def explain(error: BaseException, *, debug: bool = False) -> int:
    """Write ``error`` to standard error and return the exit status.

    2 for what the user can mend, 130 for Ctrl-C, 1 for a bug in Lepta. The traceback is
    written only with ``debug``.
    """
    if isinstance(error, SystemExit):
        return _status(error)
    if isinstance(error, BrokenPipeError):
        return _close_pipe()
    if debug:
        _write("".join(traceback.format_exception(error)).rstrip())
    text, status = _describe(error)
    _write(text)
    return status


def _describe(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, LeptaError):
        return f"error: {error}", USER_ERROR
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"error: {error.strerror}{place}", USER_ERROR
    if isinstance(error, MemoryError):
        return "error: There is not enough memory.", USER_ERROR
    return (
        f"error: {type(error).__name__}: {error}\n"
        "  This is a bug in Lepta; run with --debug for the traceback.",
        BUG,
    )


def _status(error: SystemExit) -> int:
    if isinstance(error.code, int):
        return error.code
    return 0 if error.code is None else BUG


def _close_pipe() -> int:
    """The reader of our output has gone: keep the interpreter from complaining at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return BUG
    return BUG


def _write(text: str) -> None:
    stream = sys.stderr
    encoding = stream.encoding or "ascii"
    stream.write(f"{text.encode(encoding, 'replace').decode(encoding)}\n")
    stream.flush()
