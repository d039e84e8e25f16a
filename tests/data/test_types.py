"""Arrow types of every sort pass through reading, validation, profile and fingerprint."""

import datetime
import decimal
import json

import numpy as np
import pyarrow as pa
import pytest

from lepta.core.errors import LeptaError, SchemaError
from lepta.data import Dataset, validate

N = 40
TIMES = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=i) for i in range(N)]
COLUMNS = {
    "int8": pa.array(np.arange(N) % 5, pa.int8()),
    "uint64": pa.array([2**63 + i for i in range(N)], pa.uint64()),
    "half": pa.array(np.linspace(0, 1, N).astype(np.float16)),
    "nan": pa.array([float("nan"), 1.5] * (N // 2)),
    "decimal": pa.array([decimal.Decimal(f"{i}.25") for i in range(N)]),
    "bool": pa.array([True, None] * (N // 2)),
    "null": pa.nulls(N),
    "date": pa.array([t.date() for t in TIMES]),
    "tz": pa.array(TIMES, pa.timestamp("ns", "Europe/Vienna")),
    "time": pa.array([t.time() for t in TIMES], pa.time32("s")),
    "duration": pa.array([datetime.timedelta(seconds=i) for i in range(N)]),
    "dictionary": pa.array(["a", "b"] * (N // 2)).dictionary_encode(),
    "view": pa.array(["a", "b"] * (N // 2), pa.string_view()),
    "list": pa.array([[i, i + 1] for i in range(N)]),
    "struct": pa.array([{"p": i, "q": {"r": str(i % 2)}} for i in range(N)]),
    "bytes": pa.array([bytes([i]) for i in range(N)]),
    "map": pa.array([[("k", i)] for i in range(N)], pa.map_(pa.string(), pa.int64())),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_passes(name):
    table = pa.table({name: COLUMNS[name], "y": [0, 1] * (N // 2)})
    data = Dataset.read(table, target="y")
    assert all(field.reason for field in data.schema)
    assert len(data.fingerprint) == 64
    json.dumps(data.profile(), allow_nan=False)
    validate(data.split())
    for field in data.schema:
        assert len(data.numpy(field.name)) == len(data.column(field.name)) == N


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_may_be_asked_for_anything(name):
    table = pa.table({name: COLUMNS[name], "y": [0, 1] * (N // 2)})
    for role in ("target", "group", "time_field", "weight", "split"):
        try:
            data = Dataset.read(table, **{role: name})
            _ = data.task if role == "target" else data.split()
        except LeptaError:
            continue
        assert role.removesuffix("_field") in {field.role.value for field in data.schema}


def test_values_of_types():
    data = Dataset.read(pa.table(COLUMNS))
    assert data.numpy("nan").tolist()[1] == 1.5
    assert data.column("nan")[0] is None
    assert data.numpy("duration")[3] == 3.0
    assert data.numpy("time")[1] == 3600.0
    assert data.numpy("decimal")[1] == 1.25
    assert data.column("struct.q.r")[:2] == [0, 1]
    assert data.numpy("tz")[0] == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp()


def test_repeated_names_after_flattening_are_refused():
    table = pa.table({"a": pa.array([{"b": 1}, {"b": 2}]), "a.b": [3, 4]})
    with pytest.raises(SchemaError, match="more than once"):
        Dataset.read(table)
