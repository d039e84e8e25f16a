import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.schema import Kind, Role
from lepta.data import SOURCES, Dataset

ROWS = [("Ä1", 1.5, "x"), ("Б2", -2.0, "y"), ("C3", 3.25, "x")]
COLUMNS = {name: [row[i] for row in ROWS] for i, name in enumerate(("näme", "größe", "标签"))}


def csv_text(delimiter: str) -> str:
    lines = [("näme", "größe", "标签"), *ROWS]
    return "\n".join(delimiter.join(map(str, line)) for line in lines) + "\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_finds_delimiter_and_encoding(write, delimiter, encoding):
    data = Dataset.read(write("t.csv", csv_text(delimiter).encode(encoding)), target="标签")
    assert {name: data.column(name) for name in data.schema.names} == COLUMNS
    assert data.task.classes == ("x", "y")


def test_csv_that_is_not_utf8_is_latin1_with_a_warning(write):
    data = Dataset.read(write("t.csv", "größe,b\n1,ä\n2,ü\n".encode("latin-1")))
    assert data.column("b") == ["ä", "ü"]
    (issue,) = data.notes
    assert issue.code == "encoding"
    assert issue.severity == "warning"


def test_csv_quotes_newlines_and_blank_lines(write):
    data = Dataset.read(write("t.csv", 'a,b\r\n"1\r\n2","x, y"\r\n\r\n3,"say ""hi"""\r\n'))
    assert data.column("a") == ["1\r\n2", "3"]
    assert data.column("b") == ["x, y", 'say "hi"']


def test_csv_of_one_column_keeps_empty_cells(write):
    assert Dataset.read(write("t.csv", "a\n1\n\n3\n")).column("a") == [1, None, 3]


def test_duplicate_column_names_are_named(write):
    with pytest.raises(SchemaError, match=r"'größe' stands more than once.*columns 1, 3") as caught:
        Dataset.read(write("t.csv", "größe,b,größe\n1,2,3\n"))
    assert caught.value.where.field == "größe"
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(SchemaError, match=r"'a' stands more than once"):
        Dataset.read(frame)
    with pytest.raises(SchemaError, match=r"'a' stands more than once"):
        Dataset.read(pa.table([[1], [2]], names=["a", "a"]))


def test_duplicate_keys_of_json_are_named(write):
    with pytest.raises(DataError, match=r"'a' stands more than once") as caught:
        Dataset.read(write("t.jsonl", '{"a": 1}\n{"a": 1, "a": 2}\n'))
    assert caught.value.where.row == 2


def test_blank_column_names_are_numbered(write):
    data = Dataset.read(write("t.csv", ",b\n1,2\n3,4\n"))
    assert data.schema.names == ("column_1", "b")
    assert any(issue.code == "blank_name" for issue in data.notes)


def test_ragged_rows_are_named(write):
    path = write("t.csv", "a,b\n1,2\n1,2,3\n4\n5,6\n")
    with pytest.raises(DataError, match=r"2 row\(s\).*row 2, 3") as caught:
        Dataset.read(path)
    assert caught.value.where.file == str(path)
    assert caught.value.where.row == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "", "empty"),
        ("t.csv", "\n\n", "empty"),
        ("t.csv", "a,b\n", "no rows"),
        ("t.csv", b"a,b\n\0\1", "zero bytes"),
        ("t.jsonl", "", "no rows"),
        ("t.jsonl", "[1, 2]", "JSON object"),
        ("t.jsonl", "{", "not JSON"),
        ("t.parquet", "nonsense", "not a readable Parquet"),
        ("t.arrow", "nonsense", "not a readable Arrow"),
        ("t.unknown", "x", "cannot tell how to read"),
    ],
)
def test_unreadable_files_are_refused(write, name, content, said):
    path = write(name, content)
    with pytest.raises(DataError, match=said) as caught:
        Dataset.read(path)
    assert caught.value.where.file == str(path)


def test_a_missing_file_suggests_the_nearest(write):
    write("labels.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"Did you mean 'labels.csv'"):
        Dataset.read(write("x", "").parent / "lables.csv")


def test_unknown_options_suggest_the_nearest(write):
    path = write("t.csv", "a,b\n1,2\n3,4\n")
    with pytest.raises(ConfigError, match="Did you mean 'target'"):
        Dataset.read(path, taget="a")
    with pytest.raises(SchemaError, match=r"There is no column 'B'.*Did you mean 'b'"):
        Dataset.read(path, target="B")
    with pytest.raises(ConfigError, match="There is no source called 'cvs'"):
        Dataset.read(path, format="cvs")
    with pytest.raises(SchemaError, match="cannot be both"):
        Dataset.read(path, target="a", group="a")


def tables(folder: Path):
    table = pa.table(COLUMNS)
    parquet.write_table(table, folder / "t.parquet")
    feather.write_feather(table, folder / "t.feather")
    with ipc.new_stream(folder / "t.arrow", table.schema) as stream:
        stream.write_table(table)
    pd.DataFrame(COLUMNS).to_json(folder / "t.jsonl", orient="records", lines=True)
    pd.DataFrame(COLUMNS).to_json(folder / "t.json", orient="records")
    (folder / "t.csv").write_text(csv_text(","), encoding="utf-8")
    yield from (
        folder / f"t.{end}" for end in ["parquet", "feather", "arrow", "jsonl", "json", "csv"]
    )
    yield table
    yield pd.DataFrame(COLUMNS)
    yield pl.DataFrame(COLUMNS)
    yield COLUMNS
    yield {name: np.array(values) for name, values in COLUMNS.items()}


def test_every_source_reads_the_same(tmp_path):
    found = [Dataset.read(source, target="标签") for source in tables(tmp_path)]
    first = found[0]
    for data in found:
        assert {name: data.column(name) for name in data.schema.names} == COLUMNS
        assert data.schema == first.schema
        assert data.fingerprint == first.fingerprint


def test_gaps_and_types_of_frames():
    frame = pd.DataFrame(
        {
            "f": [1.5, None, 2.5],
            "i": pd.array([1, None, 3], dtype="Int64"),
            "c": pd.Categorical(["a", None, "b"]),
            "t": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
            "mixed": [1, "two", None],
            "flag": [True, False, True],
        }
    )
    data = Dataset.read(frame)
    assert data.column("f") == [1.5, None, 2.5]
    assert data.column("i") == [1, None, 3]
    assert data.column("c") == ["a", None, "b"]
    assert data.column("t") == [datetime(2020, 1, 1), None, datetime(2020, 1, 3)]
    assert data.column("mixed") == ["1", "two", None]
    assert np.isnan(data.numpy("i")[1])
    assert data.numpy("t")[0] == 1577836800.0
    assert data.schema["t"].kind == Kind.DATETIME
    assert data.schema["flag"].kind == Kind.CATEGORY


def test_arrays_are_images():
    pixels = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)
    data = Dataset.read({"x": pixels, "grey": pixels[..., 0], "y": [0, 1, 0, 1]}, target="y")
    assert data.schema["x"].kind == Kind.IMAGE
    assert np.array_equal(data.numpy("x"), pixels)
    assert np.array_equal(data.take([2, 0]).numpy("x"), pixels[[2, 0]])
    assert np.array_equal(data.decode("x", 1), pixels[1])
    assert data.decode("grey", 1).shape == (6, 5, 1)
    with pytest.raises(SchemaError, match="differ in length"):
        Dataset.read({"x": pixels, "y": [0, 1]})
    with pytest.raises(SchemaError, match="is no column"):
        Dataset.read({"x": pixels.astype(complex)})


def test_a_folder_of_classes(tmp_path, png):
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.jpg", "dog/deep/2.png")):
        png(f"set/{name}", number)
    (tmp_path / "set/readme.txt").write_text("hi")
    data = Dataset.read(tmp_path / "set")
    assert data.column("label") == ["cat", "cat", "dog", "dog"]
    assert data.schema["file"].kind == Kind.IMAGE
    assert data.task.classes == ("cat", "dog")
    assert data.decode("file", 3).shape == (8, 10, 1)
    assert any("readme.txt" in issue.text for issue in data.notes)


def test_a_folder_of_splits_and_its_zip(tmp_path, png):
    for number, split in enumerate(("train", "val", "test")):
        for label in "ab":
            png(f"top/set/{split}/{label}/{number}.png", number)
    folder = Dataset.read(tmp_path / "top/set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "top").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
    zipped = Dataset.read(tmp_path / "set.zip")
    for data in (folder, zipped):
        assert {name: len(rows) for name, rows in data.splits.items()} == {
            "train": 2,
            "valid": 2,
            "test": 2,
        }
        assert data["test"].column("label") == ["a", "b"]
    assert folder.fingerprint == zipped.fingerprint


def test_images_without_classes_have_no_target(tmp_path, png):
    png("set/all/1.png")
    (tmp_path / "set/2.png").write_bytes(b"")
    data = Dataset.read(tmp_path / "set")
    assert data.column("label") == ["all"]
    png("flat/1.png")
    png("flat/2.png")
    flat = Dataset.read(tmp_path / "flat")
    assert flat.column("file") == ["1.png", "2.png"]
    assert flat.schema["file"].kind == Kind.IMAGE
    assert flat.target is None


def test_a_folder_of_dicom_by_file_and_by_series(tmp_path, dicom):
    for patient in ("P1", "P2"):
        for number in (1, 2):
            dicom(f"ct/{patient}/{number}", patient, f"1.2.{patient[1]}", number)
    (tmp_path / "ct/notes.txt").write_text("hi")
    files = Dataset.read(tmp_path / "ct", group="patient_id")
    assert len(files) == 4
    assert files.schema["file"].kind == Kind.IMAGE
    assert files.decoders["file"][0] == "dicom"
    assert files.schema["patient_id"].role == Role.GROUP
    series = Dataset.read(tmp_path / "ct", series=True)
    assert series.column("file") == ["P1", "P2"]
    assert series.schema["file"].kind == Kind.VOLUME
    assert files.files.is_folder("P1")


def test_two_series_in_one_folder_are_refused(tmp_path, dicom):
    dicom("ct/a.dcm", series="1.2.3")
    dicom("ct/b.dcm", series="1.2.4")
    with pytest.raises(DataError, match="2 DICOM series"):
        Dataset.read(tmp_path / "ct", series=True)


def test_sources_keep_their_contract():
    for name in SOURCES.names():
        source = SOURCES.get(name)
        for alien in (object(), 3, None, Path("no/such/file.xyz"), "s3://bucket/x"):
            assert source.matches(alien) is False
        assert callable(source.read)
