"""The simulated study: valid DICOM, the same for a seed, hard for what looks at no shapes."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lepta.core.errors import ConfigError, DataError
from lepta.core.events import Context, Event, StageAdvanced, StageStarted
from lepta.data.simulate import simulate_ct
from lepta.runtime.decoders import DicomDecoder, SeriesDecoder, dicom_tags


def rows_of(labels: Path) -> list[dict[str, str]]:
    with labels.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_ct(tmp_path_factory.mktemp("study") / "ct", patients=50, slices=6, size=64)


def test_what_is_written(study: Path) -> None:
    rows = rows_of(study)
    assert list(rows[0]) == ["file", "lesion", "patient_id"]
    assert len(rows) == 300
    assert {row["lesion"] for row in rows} == {"yes", "no"}
    assert 0.2 < np.mean([row["lesion"] == "yes" for row in rows]) < 0.45
    assert len({row["patient_id"] for row in rows}) == 50
    files = {path.relative_to(study.parent).as_posix() for path in study.parent.rglob("*.dcm")}
    assert files == {row["file"] for row in rows}
    assert (study.parent / "README.txt").read_text().startswith("SIMULATED DATA")
    assert [p.name for p in study.parent.parent.iterdir()] == ["ct"]


def test_the_files_are_valid_ct_images(study: Path) -> None:
    row = rows_of(study)[0]
    dataset = pydicom.dcmread(study.parent / row["file"])
    pydicom.dataset.validate_file_meta(dataset.file_meta, enforce_standard=True)
    assert dataset.SOPClassUID == pydicom.uid.CTImageStorage
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    assert dataset.SOPInstanceUID.startswith(pydicom.uid.PYDICOM_ROOT_UID)
    assert dataset.SOPInstanceUID.is_valid
    assert "SIMULATED" in str(dataset.PatientName)
    assert "SIMULATED" in dataset.SeriesDescription
    assert "SIMULATED" in dataset.ImageComments
    assert dataset.PatientID == row["patient_id"]
    assert (dataset.RescaleSlope, dataset.RescaleIntercept) == (1, -1024)
    hu = DicomDecoder()((study.parent / row["file"]).read_bytes())
    assert hu.shape == (64, 64, 1)
    assert hu.min() == -1024
    assert 300 < hu.max() < 1500
    assert abs(np.median(hu[:4]) + 1000) < 30


def test_a_patient_is_a_series(study: Path) -> None:
    rows = rows_of(study)
    mine = [row for row in rows if row["patient_id"] == rows[0]["patient_id"]]
    files = [(study.parent / row["file"]).read_bytes() for row in mine]
    volume = SeriesDecoder(uneven="refuse").read(files)
    assert volume.values.shape == (6, 64, 64)
    assert volume.spacing == (5.0, 5.625, 5.625)


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate_ct(tmp_path / name, patients=4, slices=3, size=48, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_progress_is_reported(tmp_path: Path) -> None:
    events: list[Event] = []
    simulate_ct(
        tmp_path / "ct", patients=4, slices=2, size=32, context=Context(report=events.append)
    )
    assert isinstance(events[0], StageStarted)
    assert events[0].total == 4
    assert [e.done for e in events if isinstance(e, StageAdvanced)] == [1, 2, 3, 4]


def test_metadata_do_not_tell_the_label(study: Path) -> None:
    rows = rows_of(study)
    facts = []
    for place, row in enumerate(rows):
        data = (study.parent / row["file"]).read_bytes()
        own = {"size": len(data), "place": place, "name": int(Path(row["file"]).stem, 16)}
        facts.append(dicom_tags(data) | own)
    assert len({fact["size"] for fact in facts}) == 1
    varied = [key for key in facts[0] if len({fact[key] for fact in facts}) > 1]
    assert set(varied) == {"InstanceNumber", "SliceLocation", "XRayTubeCurrent", "place", "name"}
    table = np.array([[float(fact[key]) for key in varied] for fact in facts])
    assert 0.4 < area(RandomForestClassifier(60, min_samples_leaf=5, random_state=0),
                       table, rows) < 0.6  # fmt: skip


def test_a_linear_model_on_pixels_is_poor(study: Path) -> None:
    rows = rows_of(study)
    decode = DicomDecoder()
    images = [decode((study.parent / row["file"]).read_bytes()) for row in rows]
    pooled = np.stack(images).reshape(-1, 32, 2, 32, 2).mean((2, 4)).reshape(len(rows), -1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    assert area(model, pooled, rows) < 0.8


def area(model, table: np.ndarray, rows: list[dict[str, str]]) -> float:
    """Area under the ROC curve, cross-validated by patient."""
    labels = np.array([row["lesion"] == "yes" for row in rows])
    groups = [row["patient_id"] for row in rows]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(
        model, table, labels, groups=groups, cv=folds, method="predict_proba"
    )
    return float(roc_auc_score(labels, scores[:, 1]))


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not empty"):
        simulate_ct(tmp_path, patients=2, slices=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert simulate_ct(tmp_path / "empty", patients=2, slices=1, size=32).is_file()
    with pytest.raises(DataError):
        simulate_ct(tmp_path / "mine.txt" / "ct", patients=2, slices=1, size=32)


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lepta.data.simulate.ct._encode", full)
    with pytest.raises(DataError, match="No space left"):
        simulate_ct(tmp_path / "ct", patients=2, slices=1, size=32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"patients": 1}, {"slices": 0}, {"size": 8}])
def test_numbers_out_of_range(tmp_path: Path, option: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        simulate_ct(tmp_path / "ct", **option)
