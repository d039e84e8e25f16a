"""Walk the protobuf wire format without any schema library.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_MAX_TAG = 1 << 32


class WireError(ValueError):
    """The bytes are no protobuf message."""


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number that starts at ``position``, and where it ends.

    Raises:
        WireError: it is cut off by ``end`` or longer than ten bytes.
    """
    value = 0
    for index in range(min(10, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise WireError(f"a number at byte {position} does not end")


def fields(
    data: bytes, start: int, end: int, runs: Mapping[int, re.Pattern[bytes]] | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the fields of the message in ``data[start:end]``.

    Args:
        data: the whole buffer.
        start: first byte of the message.
        end: one past its last byte.
        runs: for a tag byte, a pattern of fields to pass over; lists of numbers stand there.

    Yields:
        (field number, wire type, first, last): for BYTES the content is ``data[first:last]``, for
        VARINT ``first`` is the value itself.

    Raises:
        WireError: the message is malformed. Groups, which no format here uses, are too.
    """
    position = start
    while position < end:
        if runs and (run := runs.get(data[position])) and (found := run.match(data, position, end)):
            position = found.end()
            continue
        tag, position = varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if tag >= _MAX_TAG or not number:
            raise WireError(f"a field before byte {position} has no valid number")
        if wire == VARINT:
            first, position = varint(data, position, end)
            yield number, wire, first, position
            continue
        if wire == BYTES:
            length, first = varint(data, position, end)
        elif wire in _WIDTHS:
            length, first = _WIDTHS[wire], position
        else:
            raise WireError(f"a field before byte {position} has an unknown wire type ({wire})")
        position = first + length
        if position > end:
            raise WireError(f"a field at byte {first} is longer than its message")
        yield number, wire, first, position
