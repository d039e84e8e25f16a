"""What a person types in the form means what it means to the runtime."""

import json
import math
import shutil
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server import serving

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import Where
from lepta.core.schema import Kind
from lepta.core.values import label_of, number_of, seconds_of
from lepta.runtime.fields import fit_sequence, fit_series

LABELS = [
    "",
    " ",
    "1",
    "1.0",
    "01",
    "+5",
    "-0",
    "1e3",
    "1E-5",
    "0.00012",
    "1.10",
    ".5",
    "5.",
    "-.5e2",
]
LABELS += ["TRUE", "False", "yes", " a b ", "1_000", "1e400", "12345678901234567890", "0.1", "Köln"]
NUMBERS = ["", "1", " 2.5 ", "1e-3", "-inf", "Infinity", "nan", "1_000", ".5", "5.", "+7", "1e400"]
WRONG = ["x", "1,5", "0x10", "1 2", "--1", "_1", "1__0"]
TIMES = ["", "2024-01-31", "2024-01-31T12:00:00", "1965-05-06T07:08", "2024-02-29T23:59:59+02:00"]
TIMES += ["2024-02-29T23:59:59.5Z"]


@pytest.fixture(scope="module")
def values(chrome, tmp_path_factory):
    """Calls a function of values.js with text; a refusal is None."""
    folder = tmp_path_factory.mktemp("values") / "page"
    shutil.copytree(str(files("lepta.edge.browser") / "page"), folder)
    with serving(folder) as url:
        chrome.call("Page.navigate", url=url)
        chrome.until("document.readyState === 'complete'")

        def call(name, texts, *more):
            rest = "".join(f", {json.dumps(value)}" for value in more)
            code = f"""import('./values.js').then((values) => {json.dumps(texts)}.map((text) => {{
              try {{
                const found = values.{name}(text{rest});
                return typeof found === 'object' ? {{...found, data: [...found.data].map(String)}}
                  : String(found);
              }} catch (error) {{
                if (error.name !== 'Refusal') throw error;
                return null;
              }}
            }}))"""
            return chrome.evaluate(code)

        yield call


def same(text, wanted):
    found = float(text.replace("Infinity", "inf"))
    return found == wanted or (math.isnan(found) and math.isnan(wanted))


def test_labels(values):
    assert values("labelOf", LABELS) == [label_of(text) or "" for text in LABELS]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=40, max_size=40))
def test_labels_of_any_number(values, numbers):
    texts = [repr(number) for number in numbers]
    assert values("labelOf", texts) == [label_of(text) for text in texts]


def test_numbers(values):
    for text, found in zip(NUMBERS, values("numberOf", NUMBERS), strict=True):
        assert same(found, number_of(text)), text
    assert values("numberOf", WRONG) == [None] * len(WRONG)
    for text in WRONG:
        with pytest.raises(ValueError, match="could not convert"):
            number_of(text)


def test_times(values):
    for text, found in zip(TIMES, values("secondsOf", TIMES), strict=True):
        assert same(found, seconds_of(text)), text
    assert values("secondsOf", ["soon", "2024-13-01"]) == [None, None]


def test_series_and_sequences(values):
    series = InputSpec(name="s", kind=Kind.SERIES, dtype="float32", shape=(-1, 4, 2))
    (found, wrong) = values("seriesOf", ["1 2\n3, 4\n5;6", "1 2 3"], series.model_dump(mode="json"))
    wanted = fit_series(series, [[1, 2], [3, 4], [5, 6]], Where())
    assert found["shape"] == [4, 2]
    np.testing.assert_array_equal(np.array(found["data"], float).reshape(4, 2), wanted)
    assert wrong is None
    labels = InputSpec(
        name="l", kind=Kind.SEQUENCE, dtype="string", shape=(-1, -1), options={"length": 10}
    )
    texts = ["", "a; b;1.0", ";".join(map(str, range(30)))]
    for text, found in zip(
        texts, values("sequenceOf", texts, labels.model_dump(mode="json")), strict=True
    ):
        assert found["data"] == fit_sequence(labels, text, Where()).tolist()
