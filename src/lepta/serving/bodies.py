"""Bodies of requests: unpacked within a limit, and read as rows."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from lepta.bundle.manifest import Signature
from lepta.core.errors import InputError
from lepta.runtime.received import media_field, rows_of
from lepta.serving.failures import MediaTypeError, RequestError, TooLargeError
from lepta.serving.protocol import parse_json

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_FILES = ("image/", "video/", "audio/", "application/dicom", "application/octet-stream")
_JSON = ("", "application/json", "text/json", "application/x-www-form-urlencoded")
"""The last is what `curl -d` says of JSON unless told otherwise."""
MAX_PARTS = 10_000
Row = dict[str, Any]


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding (gzip, deflate), never writing more than ``limit`` bytes.

    Raises:
        MediaTypeError: the encoding is not known.
        TooLargeError: the body is larger than the limit once unpacked.
        RequestError: the data is damaged.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise MediaTypeError(
            f"Content-Encoding {encoding!r} is not supported.", fix="Use gzip, deflate or none."
        )
    unpacker = zlib.decompressobj(_WINDOWS[encoding])
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(f"The body is not {encoding}: {error}.") from error
    if len(data) > limit:
        raise TooLargeError(f"Once unpacked, the body is larger than {limit} bytes.")
    if not unpacker.eof:
        raise RequestError(f"The {encoding} body is cut off.")
    return data


def read_rows(body: bytes, content_type: str, signature: Signature) -> list[Row]:
    """Return the rows of a ``/predict`` request.

    JSON is ``{"rows": [{...}, ...]}``, a list of mappings, or one mapping. A form
    (multipart/form-data) gives one row, or one a file where a field is sent several times. Any
    other body is the file of the model's only media field.

    Raises:
        RequestError: the body is malformed.
        MediaTypeError: the content type is not one of these.
        InputError: there are no rows in it, or a file cannot be matched to a field.
    """
    kind, _, options = content_type.partition(";")
    kind = kind.strip().lower()
    if kind == "multipart/form-data":
        return _form_rows(body, options, signature)
    if kind.startswith(_FILES):
        if not body:
            raise RequestError("The body is empty; the file was expected there.")
        return [{media_field(signature).name: body}]
    if kind in _JSON or kind.endswith("+json"):
        return rows_of(parse_json(body))
    raise MediaTypeError(
        f"Content-Type {kind!r} is not supported.",
        fix="Send application/json, multipart/form-data, image/* or application/dicom.",
    )


def _form_rows(body: bytes, options: str, signature: Signature) -> list[Row]:
    found = re.search(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', options)
    if not found:
        raise RequestError("The form has no boundary in its Content-Type.")
    boundary = (found[1] or found[2]).encode("latin-1")
    known = {spec.name for spec in signature.inputs}
    values: dict[str, list[Any]] = {}
    for name, is_file, data in _parts(body, boundary):
        field = name if name in known or not is_file else media_field(signature).name
        values.setdefault(field, []).append(data)
    if not values:
        raise RequestError("The form is empty.")
    count = max(map(len, values.values()))
    for name, items in values.items():
        if len(items) not in (1, count):
            raise InputError(
                f"The form gives {name!r} {len(items)} times, but others {count} times."
            )
    return [
        {name: items[row if len(items) > 1 else 0] for name, items in values.items()}
        for row in range(count)
    ]


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """Yield (name, whether it is a file, content) of each part; RFC 7578."""
    delimiter = b"\r\n--" + boundary
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise RequestError("The form is cut off, or its boundary is not the one announced.")
    for piece in pieces[1:-1]:
        head, found, content = piece.lstrip(b" \t").partition(b"\r\n\r\n")
        name = re.search(rb'content-disposition:[^\r\n]*?[;\s]name="([^"\r\n]*)"', head, re.I)
        if not found or not name:
            raise RequestError("A part of the form has no name.")
        is_file = re.search(rb"[;\s]filename\*?=", head, re.I) is not None
        yield name[1].decode("utf-8", "replace"), is_file, content
