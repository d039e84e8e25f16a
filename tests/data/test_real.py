"""Real data, when LEPTA_SAMPLES names it."""

import numpy as np
import pytest

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.core.schema import Kind, Role
from lepta.data import Dataset, folds, require_trainable, validate
from lepta.tasks import Binary, Multiclass, Regression

pytestmark = pytest.mark.samples


def test_covid_ct(samples, tmp_path):
    data = Dataset.read(samples / "covid_ct/labels.csv", target="label")
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 425,
        "valid": 118,
        "test": 203,
    }
    assert [field.name for field in data.schema.inputs] == ["file"]
    assert data.decoders["file"] == ("image", {"channels": 1, "bits": 8})
    assert isinstance(data.task, Binary)
    codes = [issue.code for issue in validate(data, decode=50)]
    assert codes.count("file_metadata") == 3
    assert "group_hint" in codes
    require_trainable(data)
    test = data["test"]
    array = test.decoded(
        "file", lambda a: a[:64, :64], key="64", context=Context(cache=tmp_path, threads=2)
    )
    assert array.shape == (203, 64, 64, 1)


def test_neu_det(samples):
    data = Dataset.read(samples / "neu_det/labels.csv", target="label")
    assert isinstance(data.task, Multiclass)
    assert data.task.width == 6
    for train, test in folds(data, 5):
        counts = np.bincount(data.take(test).targets())
        assert counts.tolist() == [60] * 6
        assert len(train) == 1440


def test_taiwan_default(samples):
    data = Dataset.read(samples / "finance/taiwan_default.parquet", target="default").split()
    rates = [data[name].targets().mean() for name in ("train", "valid", "test")]
    assert max(rates) - min(rates) < 1e-3
    assert not [i for i in validate(data) if i.severity == "error"]


def test_bike_and_metro_by_time(samples):
    for name, target, time in (
        ("bike_sharing_hourly", "cnt", "dteday"),
        ("metro_traffic_hourly", "traffic_volume", "date_time"),
    ):
        data = Dataset.read(samples / f"smart_city/{name}.parquet", target=target, time_field=time)
        assert isinstance(data.task, Regression)
        split = data.split()
        times = [split[part].numpy(time) for part in ("train", "valid", "test")]
        assert times[0].max() < times[1].min() <= times[1].max() < times[2].min()
        assert len(split["test"]) == pytest.approx(0.2 * len(data), rel=0.01)


def test_oulad_by_student(samples):
    source = samples / "education/oulad_student_info.parquet"
    hint = Dataset.read(source, target="final_result")
    assert hint.schema["id_student"].role == Role.IGNORE
    assert [issue.where for issue in hint.notes] == ["id_student"]
    data = Dataset.read(source, target="final_result", group="id_student").split()
    held = [set(data[name].column("id_student")) for name in data.splits]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert len(data["test"]) == pytest.approx(0.2 * len(data), rel=0.01)
    assert not [i for i in validate(data) if i.severity == "error"]


def test_every_dicom_file_is_read_or_refused_by_name(samples):
    data = Dataset.read(samples / "dicom_samples/dicom_samples.zip")
    read, refused = [], []
    for row, name in enumerate(data.column("file")):
        try:
            read.append(data.decode("file", row).ndim)
        except LeptaError as error:
            refused.append((error.where.file == name, error.where.row == row + 1))
    assert set(read) == {3}
    assert set(refused) == {(True, True)}
    assert len(read) + len(refused) == 30
    assert len(read) >= 20
    assert data.schema["file"].kind == Kind.IMAGE


def test_boxes_of_neu_det(samples):
    folder = samples / "neu_det"
    grouped = Dataset.read(folder / "boxes.csv", target="boxes")
    data = Dataset.read(folder / "neu_det.zip", boxes=str(folder / "boxes.csv"))
    assert len(data) == len(grouped) == 1800
    assert data.column("file") == grouped.column("file")
    assert data.digests()["boxes"] == grouped.digests()["boxes"]
    assert data.task.width == 6
    assert sum(len(boxes) for boxes in data.targets()) == 4189
    assert not [issue for issue in validate(data, decode=100) if issue.severity == "error"]
    parts = data.split()
    counts = [parts[name].profile()["fields"]["boxes"]["counts"] for name in parts.splits]
    assert all(len(found) == 6 for found in counts)
