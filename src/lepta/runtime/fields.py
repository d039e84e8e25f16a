"""Reading one value of a field that has a tensor of its own: media, texts and series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import InputError, LeptaError, Where
from lepta.core.schema import Kind
from lepta.core.values import is_missing, sequence_of
from lepta.runtime.decoders import DECODERS
from lepta.runtime.pack import fit_media, load_media

Array = NDArray[Any]
LEAST_LENGTH = 8
"""Shortest array of a sequence: others are padded to it, or to the next power of two."""
MEMBER = "member"
"""Option of a decoder that names the file of the bundle whose content the decoder takes."""


def open_decoder(name: str, options: dict[str, Any], read: Callable[[str], bytes]) -> Any:
    """Return a decoder with its options.

    Args:
        name: registered name.
        options: its options; ``member`` names a file, whose bytes it is given as ``content``.
        read: returns the bytes of a file of the bundle.

    Raises:
        ConfigError: there is no such decoder.
    """
    given = dict(options)
    if MEMBER in given:
        given["content"] = read(str(given.pop(MEMBER)))
    return DECODERS.get(name)(**given)


def absent(spec: InputSpec) -> Array:
    """Return the array that stands for a missing value: every free axis is 1.

    Texts are all padding, series all NaN, media one pixel, voxel or sample of 0.
    """
    shape = tuple(1 if size == -1 else size for size in spec.shape[1:])
    return np.full(shape, np.nan if spec.kind == Kind.SERIES else 0, spec.dtype)


def is_absent(value: Any) -> bool:
    """Whether a value of such a field is missing: None, a not-a-number, or empty text or bytes."""
    if value is None or is_missing(value):
        return True
    return isinstance(value, str | bytes) and not value


def fit_series(spec: InputSpec, value: Any, where: Where) -> Array:
    """Return one series in the layout (length, channels) of ``spec``.

    Longer series keep their end, shorter ones are padded with NaN at their beginning.

    Raises:
        InputError: the value is no array of numbers, or has another number of channels.
    """
    length, channels = spec.shape[1:]
    try:
        steps = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError("The series is not made of numbers.", where=where) from error
    steps = steps[:, None] if steps.ndim == 1 else steps
    if steps.ndim != 2 or steps.shape[1] != channels:
        raise InputError(
            f"A series of shape {np.shape(value)} does not fit; expected (steps, {channels}).",
            where=where,
        )
    out = np.full((length, channels), np.nan, np.float32)
    kept = steps[-length:]
    out[length - len(kept) :] = kept
    return out


def fit_sequence(spec: InputSpec, value: Any, where: Where) -> Array:
    """Return a sequence of labels as an array (length,) of text, padded with "" at its beginning.

    Lengths are powers of two, so that there are few; of more labels than ``length`` of the
    options, the last are kept.

    Raises:
        InputError: the value is no list of labels, nor text that holds one.
    """
    try:
        labels = sequence_of(value)[-int(spec.options["length"]) :]
    except ValueError as error:
        raise InputError(
            f"A list of labels was expected: {error}.",
            where=where,
            fix='Give a list such as ["a", "b"], the latest last; [] where there is none.',
        ) from error
    size = max(LEAST_LENGTH, 1 << (len(labels) - 1).bit_length() if labels else 0)
    out = np.full(size, "", object)
    out[size - len(labels) :] = labels
    return out


class FieldReader:
    """Turns values of one field into arrays that fit its tensor. Safe to use from many threads.

    Args:
        spec: the field.
        read: returns the bytes of a file of the bundle.
    """

    def __init__(self, spec: InputSpec, read: Callable[[str], bytes]) -> None:
        self.spec = spec
        self._decoder = open_decoder(spec.decoder, spec.options, read) if spec.decoder else None

    def __call__(self, value: Any, row: int) -> Array:
        """Return the array of one value.

        Args:
            value: a path, bytes, an array, text, a list of numbers, or a function that gives one
                of them; None where it is missing.
            row: its row, counted from 0.

        Raises:
            InputError: the value is missing though required, or does not fit.
            DataError, DecodeError: a file cannot be read or decoded.
        """
        where = Where(row=row + 1, field=self.spec.name)
        if self.spec.kind == Kind.SEQUENCE:
            return fit_sequence(self.spec, value() if callable(value) else value, where)
        if is_absent(value):
            return self._absent(where)
        if self.spec.kind == Kind.SERIES:
            return fit_series(self.spec, value() if callable(value) else value, where)
        if self.spec.kind == Kind.TEXT:
            return self._text(value, where)
        loaded, where = load_media(self.spec, value, row)
        if isinstance(loaded, bytes):
            loaded = self._decoded(loaded, where)
        return fit_media(self.spec, loaded, where)

    def _absent(self, where: Where) -> Array:
        if self.spec.required and self.spec.kind != Kind.TEXT:
            raise InputError(
                f"The {self.spec.kind.value} is missing.",
                where=where,
                fix="Give a value: no row without one was seen in training.",
            )
        return absent(self.spec)

    def _text(self, value: Any, where: Where) -> Array:
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            return fit_media(self.spec, value, where)
        data = value if isinstance(value, bytes) else str(value).encode()
        return self._decoded(data, where)

    def _decoded(self, data: bytes, where: Where) -> Array:
        if self._decoder is None:
            raise InputError(f"The {self.spec.kind.value} must be given as an array.", where=where)
        try:
            decoded: Array = self._decoder(data, name=where.file or "")
        except LeptaError as error:
            error.where = where
            raise
        return decoded
