"""The HTTP surface: rows as JSON, files, limits, and errors that say what to do."""

import base64
import gzip
import json
import socket
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from .conftest import Caller, png

BASE64 = base64.b64encode(png(255)).decode()


def form(*parts, boundary="xYz"):
    lines = b""
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        lines += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        lines += content + b"\r\n"
    header = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return lines + f"--{boundary}--\r\n".encode(), header


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [{"x0": 1, "x1": None, "colour": "red"}]},
        [{"x0": 1.0, "colour": " red "}],
        {"x0": True, "colour": "red"},
    ],
)
def test_rows_as_json(call, body):
    status, answer, _ = call("POST", "/predict/table", body)
    assert status == 200
    (prediction,) = answer["predictions"]
    assert prediction["prediction"] == "yes"
    assert prediction["probability"]["yes"] == pytest.approx(0.8808, abs=1e-4)
    assert (answer["model"], answer["version"]) == ("table", "1")


def test_json_as_curl_sends_it(call):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b'{"x0": 1, "colour": "red"}'
    assert call("POST", "/predict/table", body, headers)[0] == 200


def test_regression_answers_a_number(call):
    body = {"rows": [{"when": "1970-01-11T00:00:00Z"}, {"when": 86400}]}
    _, answer, _ = call("POST", "/predict/price", body)
    assert answer["predictions"] == [{"prediction": 10}, {"prediction": 1}]


def test_a_row_without_an_answer_is_named(call):
    status, answer, _ = call("POST", "/predict/price", {"rows": [{"when": 86400}, {"when": None}]})
    assert status == 400
    assert "row 2" in answer["error"]


def test_no_rows(call):
    for body in ({"rows": []}, []):
        status, answer, _ = call("POST", "/predict/table", body)
        assert (status, answer["predictions"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps({"picture": BASE64}), {}),
        (json.dumps({"picture": f"data:image/png;base64,{BASE64}"}), {}),
        (json.dumps({"picture": [[255, 255], [255, 250]]}), {}),
        (png(255), {"Content-Type": "image/png"}),
        (png(255), {"Content-Type": "application/octet-stream"}),
        form(("picture", "a.png", png(255))),
        form(("file", "a.png", png(255))),
    ],
)
def test_a_file_in_every_form(call, body, headers):
    status, answer, _ = call("POST", "/predict/image", body, headers)
    assert (status, answer["predictions"][0]["prediction"]) == (200, "light")


def test_several_files_are_several_rows(call):
    levels = (0, 128, 255)
    parts = [("picture", f"{level}.png", png(level)) for level in levels]
    _, answer, _ = call("POST", "/predict/image", *form(*parts))
    assert [p["prediction"] for p in answer["predictions"]] == ["dark", "grey", "light"]


def test_a_form_of_plain_fields(call):
    body, headers = form(("x0", None, b"1"), ("colour", None, "grün".encode()))
    status, answer, _ = call("POST", "/predict/table", body, headers)
    assert (status, answer["predictions"][0]["prediction"]) == (200, "yes")


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "etc/hostname", "file:///etc/hostname", "http://127.0.0.1/x.png"]
)
def test_no_path_and_no_url_is_opened(call, path, tmp_path):
    for given in (path, "/etc/hosts12", str(tmp_path / "there.png")):
        (tmp_path / "there.png").write_bytes(png(0))
        status, answer, _ = call("POST", "/predict/image", {"picture": given})
        assert status == 400
        assert "field 'picture'" in answer["error"]
        body = {"inputs": [{"name": "picture", "shape": [1], "datatype": "BYTES", "data": [given]}]}
        assert call("POST", "/v2/models/image/infer", body)[0] == 400
    assert Path("/etc/hostname").exists()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("table", b"{", "not JSON"),
        ("table", b"[1]", "Rows are objects"),
        ("table", {"x0": 1, "color": "red"}, "Did you mean 'colour'?"),
        ("table", {"x0": 1}, "'colour' is missing"),
        ("table", [{"x0": 1, "colour": "red"}, {"x0": 1}], "row 2"),
        ("table", {"x0": "many", "colour": "red"}, "'many' is not a number"),
        ("table", {"x0": [1, 2], "colour": "red"}, "One number was expected, got list"),
        ("table", {"x0": 1, "colour": {"a": 1}}, "One category was expected, got dict"),
        ("image", {"picture": 5}, "base64"),
        ("image", {"picture": None}, "base64"),
        ("image", {"picture": [["a"]]}, "base64"),
        ("image", {"picture": base64.b64encode(b"no image").decode()}, "field 'picture'"),
        ("price", {"when": "soon"}, "not a point in time"),
    ],
)
def test_wrong_rows_are_corrected(call, path, body, said):
    status, answer, _ = call("POST", f"/predict/{path}", body)
    assert status == 400
    assert list(answer) == ["error"]
    assert said in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/tabel", 404),
        ("GET", "/v2/models/table/versions/9", 404),
        ("POST", "/predict/nothing", 404),
        ("GET", "/predict/table", 405),
        ("DELETE", "/v2", 405),
        ("POST", "/v2/models/table/infer", 400),
    ],
)
def test_errors_have_a_status_and_a_reason(call, method, path, status):
    got, answer, headers = call(method, path, b"" if method == "POST" else None)
    assert got == status
    assert list(answer) == ["error"]
    assert ("allow" in headers) == (status == 405)


def test_unknown_content_types_and_encodings_are_refused(call):
    assert call("POST", "/predict/table", b"x", {"Content-Type": "text/csv"})[0] == 415
    assert call("POST", "/predict/table", b"x", {"Content-Encoding": "br"})[0] == 415
    assert call("POST", "/predict/table", b"x", {"Content-Encoding": "gzip"})[0] == 400
    cut = gzip.compress(b"[]")[:-2]
    assert call("POST", "/predict/table", cut, {"Content-Encoding": "gzip"})[0] == 400


def test_a_body_over_the_limit_is_413(call, running):
    status, answer, _ = call("POST", "/predict/table", b"x" * 2_000_001)
    assert status == 413
    assert "2000000 bytes" in answer["error"]
    pieces = (b"x" * 100_000 for _ in range(21))
    chunked = Caller(running.url)
    chunked.connection.request("POST", "/predict/table", pieces, encode_chunked=True)
    assert chunked.connection.getresponse().status == 413
    chunked.close()


def test_bombs_are_413(call):
    bomb = zlib.compress(b"x" * 50_000_000, 9)
    assert len(bomb) < 100_000
    status, answer, _ = call("POST", "/predict/table", bomb, {"Content-Encoding": "deflate"})
    assert status == 413
    assert "unpacked" in answer["error"]


def test_image_bombs_are_refused(call):
    def chunk(kind, data):
        return (
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        )

    size = (40_000).to_bytes(4, "big")
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size + size + b"\x08\0\0\0\0")
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000, 9))
        + chunk(b"IEND", b"")
    )
    status, answer, _ = call("POST", "/predict/image", bomb, {"Content-Type": "image/png"})
    assert status == 400
    assert "field 'picture'" in answer["error"]


def test_too_many_rows_are_413(call):
    rows = [{"x0": 1, "colour": "red"}] * 1001
    status, answer, _ = call("POST", "/predict/table", rows)
    assert status == 413
    assert "1001 rows; at most 1000" in answer["error"]


def test_json_inference_with_lists_of_lists(call):
    body = {
        "id": "a",
        "inputs": [
            {"name": "x0", "shape": [2, 1], "datatype": "FP32", "data": [[1], [None]]},
            {"name": "colour", "shape": [2], "datatype": "BYTES", "data": ["red", None]},
        ],
    }
    status, answer, _ = call("POST", "/v2/models/table/versions/1/infer", body)
    assert status == 200
    assert answer["id"] == "a"
    scores = np.array(answer["outputs"][0]["data"]).reshape(answer["outputs"][0]["shape"])
    assert scores.shape == (2, 2)
    assert scores[1].tolist() == [0.5, 0.5]
    assert answer["outputs"][1] == {
        "name": "prediction",
        "datatype": "BYTES",
        "shape": [2],
        "data": ["yes", "yes"],
    }


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1e3", "9" * 30])
def test_wrong_head_lengths(call, length):
    headers = {"Inference-Header-Content-Length": length}
    status, answer, _ = call("POST", "/v2/models/table/infer", b"{}", headers)
    assert status == 400
    assert "Inference-Header-Content-Length" in answer["error"]


def test_garbage_instead_of_http_is_answered_in_json(running):
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port)) as link:
        link.sendall(b"\x16\x03\x01 this is not http\r\n\r\n")
        answer = link.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'{"error":' in answer


def test_endless_headers_are_431(running):
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port)) as link:
        link.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 65_530)
        answer = link.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431")


def test_head_has_no_body(call):
    status, body, headers = call("HEAD", "/v2")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
