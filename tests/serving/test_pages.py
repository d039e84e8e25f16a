"""What people read: the OpenAPI document, its page, the front page, the metrics."""

import re
from html.parser import HTMLParser

import pytest

from .conftest import Caller, table_bundle


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("/"):
                self.outside.append(value)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(call, path):
    status, page, headers = call("GET", path)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    links = Links()
    links.feed(page.decode())
    assert links.outside == []
    assert {"html", "title", "main", "script"} <= set(links.tags)
    assert b"http://" not in page
    assert b"https://" not in page


def test_the_front_page_shows_each_model_escaped():
    from lepta.runtime import Predictor
    from lepta.serving.dataplane import DataPlane
    from lepta.serving.pages import landing_page

    page = landing_page(DataPlane({"<b>&": Predictor(table_bundle())}))
    assert "<h2>&lt;b&gt;&amp; <small>" in page
    assert "/predict/%3Cb%3E%26" in page


def test_the_examples_of_the_document_are_answered(call):
    status, document, _ = call("GET", "/openapi.json")
    assert status == 200
    assert document["openapi"] == "3.1.0"
    tried = 0
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            status, answer, _ = call(verb.upper(), path, body and body["example"])
            assert status == 200, (path, answer)
            assert "200" in operation["responses"]
            tried += 1
    assert tried == 3 * 4 + 4


def test_the_document_is_made_from_the_signatures(call):
    _, document, _ = call("GET", "/openapi.json")
    content = document["paths"]["/predict/table"]["post"]["requestBody"]["content"]
    row = content["application/json"]["schema"]["oneOf"][1]
    assert list(row["properties"]) == ["x0", "x1", "colour"]
    assert row["required"] == ["x0", "colour"]
    assert row["properties"]["colour"]["examples"] == ["red", "grün"]
    image = document["paths"]["/predict/image"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "image/*", "application/dicom"} <= image.keys()
    assert "never a path" in str(image["application/json"])
    references = re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document))
    assert set(references) == set(document["components"]["schemas"])


def test_metrics_over_http(running):
    caller = Caller(running.url)
    caller("POST", "/predict/table", {"x0": 1, "colour": "red"})
    status, text, headers = caller("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'lepta_requests_total{model="table",version="1",status="200"}' in text
    assert b'lepta_model_info{model="price",version="1",task="regression"} 1' in text
    caller.close()
