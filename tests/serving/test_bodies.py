"""Bodies: forms of any content, compression within limits, rows of any shape."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import InputError
from lepta.serving.bodies import read_rows, unpack
from lepta.serving.failures import MediaTypeError, RequestError, TooLargeError

from .conftest import image_bundle, table_bundle

IMAGE = image_bundle().signature
TABLE = table_bundle().signature
BOUNDARY = "b0undary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(name, content, filename=None):
    file = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\nContent-Type: image/png'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_content_comes_through_a_form(contents):
    contents = [c for c in contents if BOUNDARY.encode() not in c] or [b""]
    body = b"".join(part("picture", content, "a.png") for content in contents) + END
    assert read_rows(body, FORM, IMAGE) == [{"picture": content} for content in contents]


def test_one_value_serves_all_files_of_a_form():
    body = part("colour", b"red") + part("x0", b"1") + part("x0", b"2") + END
    rows = read_rows(body, f'multipart/form-data; charset=utf-8; boundary="{BOUNDARY}"', TABLE)
    assert rows == [{"colour": b"red", "x0": b"1"}, {"colour": b"red", "x0": b"2"}]


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_rows_or_an_error_that_is_ours(body):
    for kind in (FORM, "application/json", ""):
        try:
            rows = read_rows(body, kind, TABLE)
        except (RequestError, InputError):
            continue
        assert isinstance(rows, list)


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (part("picture", b"x", "a"), FORM, "cut off"),
        (END, FORM, "empty"),
        (b"x", "multipart/form-data", "no boundary"),
        (f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + END, FORM, "no name"),
        (b"", "image/png", "empty"),
        (b"5", "", "Rows are objects"),
    ],
)
def test_malformed_bodies_say_what_is_wrong(body, kind, said):
    with pytest.raises((RequestError, InputError), match=said):
        read_rows(body, kind, IMAGE)


def test_files_that_fit_no_field():
    with pytest.raises(InputError, match="takes no file"):
        read_rows(b"x", "image/png", TABLE)
    uneven = b"".join(part("x0", b"1") for _ in range(3)) + b"".join(
        part("x1", b"1") for _ in range(2)
    )
    with pytest.raises(InputError, match="'x1' 2 times"):
        read_rows(uneven + END, FORM, TABLE)
    with pytest.raises(MediaTypeError):
        read_rows(b"a,b", "text/csv", TABLE)


@given(st.binary(max_size=500))
@settings(max_examples=40, deadline=None)
def test_compressed_bodies_come_back(data):
    assert unpack(data, "", 500) == data
    assert unpack(gzip.compress(data), "gzip", 500) == data
    assert unpack(zlib.compress(data), "deflate", 500) == data


def test_unpacking_stops_at_the_limit():
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(TooLargeError):
        unpack(bomb, "gzip", 1000)
    assert unpack(gzip.compress(b"x" * 1000), "gzip", 1000) == b"x" * 1000
