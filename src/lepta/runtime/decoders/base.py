"""What a decoder is, how it refuses a file, and how its libraries are kept quiet."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from numpy.typing import NDArray

from lepta.core.errors import ConfigError, DecodeError, LeptaError, Where

MAX_PIXELS = 89_478_485
"""Largest image decoded unless an option says otherwise (Pillow's own limit)."""

_LIBRARIES = re.compile(r"(PIL|pydicom|openjpeg|jpeg_ls|nrrd)(\.|$)")
_lock = threading.Lock()
_inside = 0
_filter: tuple[Any, ...] | None = None


class Decoder(Protocol):
    """Turns the bytes of one file into an array.

    A decoder is made with its options (``DECODERS.get(name)(**options)``), keeps no state and may
    be called from many threads.
    """

    def __call__(self, data: bytes, name: str = "") -> NDArray[Any]:
        """Return the array in ``data``.

        Args:
            data: the whole file.
            name: the file's name, for messages.

        Raises:
            DecodeError: the file is damaged, or holds no image.
        """


def refusal(what: str, name: str, fix: str | None = None) -> DecodeError:
    """Return the error for a file that cannot be decoded."""
    return DecodeError(what, where=Where(file=name) if name else None, fix=fix)


@contextmanager
def refusing(name: str, what: str, fix: str | None = None) -> Iterator[None]:
    """Turn whatever a library raises inside into a ``DecodeError``, and hide its warnings."""
    try:
        with quiet():
            yield
    except LeptaError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise refusal(f"{what}: {detail}", name, fix) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings that the imaging libraries raise, and no others.

    ``warnings.catch_warnings`` swaps the filters of the whole process and puts back the old ones,
    which loses what other threads did meanwhile. Here one filter, which names the libraries, is
    laid on top when the first thread comes in and taken away when the last one leaves.
    """
    global _inside, _filter  # noqa: PLW0603
    with _lock:
        _inside += 1
        if _filter is None or _filter not in warnings.filters:
            _filter = ("ignore", None, Warning, _LIBRARIES, 0)
            warnings.filters.insert(0, _filter)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _filter in warnings.filters:
                warnings.filters.remove(_filter)  # type: ignore[attr-defined]


def check_choice(decoder: str, option: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse an option whose value is none of ``choices``.

    Raises:
        ConfigError: always in that case.
    """
    if isinstance(value, bool) or value not in choices:
        raise ConfigError(
            f"The decoder {decoder!r} has no {option}={value!r}.",
            fix=f"Choose one of {', '.join(map(repr, choices))}.",
        )


def check_size(pixels: int, limit: int, name: str) -> None:
    """Refuse an image of more than ``limit`` pixels.

    Raises:
        DecodeError: always in that case.
    """
    if pixels > limit:
        raise refusal(
            f"The image has {pixels:,} pixels; the limit is {limit:,}.",
            name,
            "Raise the decoder's option max_pixels if the file is to be trusted.",
        )
