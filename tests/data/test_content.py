"""Fingerprint, profile and the surface of a dataset."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import lepta.data
from lepta.core.errors import SchemaError
from lepta.core.events import Context
from lepta.data import Dataset, profile

BASE = {"a": [1, 2, None], "b": ["x", None, "y"], "c": [0.5, 1.5, 2.5]}


def test_every_public_name_is_there():
    for name in lepta.data.__all__:
        assert getattr(lepta.data, name) is not None
    with pytest.raises(AttributeError):
        _ = lepta.data.nothing
    assert not isinstance(lepta.data.validate, type(lepta.data))
    assert not isinstance(lepta.data.profile, type(lepta.data))
    assert not isinstance(lepta.data.split, type(lepta.data))


def test_equal_content_has_equal_fingerprints(tmp_path):
    first = Dataset.read(BASE).fingerprint
    parquet.write_table(
        pa.table(BASE).cast(
            pa.schema([("a", pa.int16()), ("b", pa.large_string()), ("c", pa.float64())])
        ),
        tmp_path / "t.parquet",
    )
    assert Dataset.read(tmp_path / "t.parquet").fingerprint == first
    twice = Dataset.read(pa.concat_tables([pa.table(BASE), pa.table(BASE)]))
    assert twice.take([0, 1, 2]).fingerprint == first
    assert twice.take([3, 4, 5]).fingerprint == first
    assert len(first) == 64


@pytest.mark.parametrize(
    "other",
    [
        {**BASE, "a": [1, 3, None]},
        {**BASE, "a": [1, None, 2]},
        {**BASE, "b": ["x", "y", None]},
        {**BASE, "b": ["xy", None, ""]},
        {**BASE, "c": [0.5, 1.5, 2.5000001]},
        {"A": BASE["a"], "b": BASE["b"], "c": BASE["c"]},
        {"b": BASE["b"], "a": BASE["a"], "c": BASE["c"]},
    ],
)
def test_other_content_has_another_fingerprint(other):
    assert Dataset.read(other).fingerprint != Dataset.read(BASE).fingerprint


def test_files_count_by_content_not_by_place(write, png, tmp_path):
    for i in range(3):
        png(f"one/{i}.png", i)
    write("one/t.csv", "file,y\n0.png,a\n1.png,b\n2.png,a\n")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = (Dataset.read(tmp_path / name / "t.csv") for name in ("one", "two"))
    assert one.fingerprint == two.hash(Context(threads=1))
    png("two/1.png", 9)
    assert Dataset.read(tmp_path / "two/t.csv").fingerprint != one.fingerprint
    (tmp_path / "two/1.png").unlink()
    assert Dataset.read(tmp_path / "two/t.csv").fingerprint != one.fingerprint


values = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32))


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(values, min_size=2, max_size=40).filter(
        lambda v: any(x is not None for x in v)
    ),
    words=st.lists(st.text("abcäß \n\",;'", min_size=1, max_size=8), min_size=40, max_size=40),
)
def test_a_csv_reads_back_as_written(tmp_path_factory, numbers, words):
    import csv

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    kept = [word.strip() or "x" for word in words[: len(numbers)]]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["zahl", "wört"])
        writer.writerows(
            ["" if n is None else repr(n), w] for n, w in zip(numbers, kept, strict=True)
        )
    data = Dataset.read(path, roles={"zahl": "input", "wört": "input"})
    assert data.column("zahl") == numbers
    assert [v.replace("\r\n", "\n") for v in data.column("wört")] == kept


def test_profile(png):
    rng = np.random.default_rng(0)
    numbers = np.append(rng.normal(size=99), np.nan)
    data = Dataset.read(
        {
            "n": numbers,
            "c": [f"c{i % 3}" for i in range(100)],
            "t": [f"2024-01-{i % 28 + 1:02}" for i in range(100)],
            "text": [f"the case {i} is a long story" for i in range(100)],
            "image": [png("0.png").read_bytes()] * 100,
            "many": [f"v{i % 60}" for i in range(100)],
        },
        roles={"many": "input"},
        kinds={"many": "category"},
    )
    found = data.profile()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == profile(data)
    fields = found["fields"]
    assert fields["n"]["missing"] == 1
    assert fields["n"]["mean"] == pytest.approx(np.nanmean(numbers))
    assert fields["n"]["quantiles"][10] == pytest.approx(np.nanmedian(numbers))
    assert sum(fields["n"]["histogram"]["counts"]) == 99
    assert fields["c"]["counts"] == {"c0": 34, "c1": 33, "c2": 33}
    assert fields["t"]["first"] == "2024-01-01T00:00:00"
    assert fields["text"]["words"][0] == 7
    assert fields["image"]["height"] == [8.0, 8.0, 8.0]
    assert fields["image"]["types"] == {"uint8": 64}
    assert fields["many"]["distinct"] == 60


def test_rows_and_names():
    data = Dataset.read(BASE)
    assert next(iter(data)) == {"a": 1, "b": "x", "c": 0.5}
    assert "3 rows" in repr(data)
    assert data.take([2, 0]).column("c") == [2.5, 0.5]
    assert data.take(np.array([True, False, True])).column("a") == [1, None]
    assert data.numpy("b").tolist() == ["x", None, "y"]
    assert data.target is None
    for call in (data.column, data.numpy):
        with pytest.raises(SchemaError, match="no field 'd'"):
            call("d")
