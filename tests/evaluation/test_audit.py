"""The shortcut audit: silent on clean data, loud where a shortcut was planted."""

import io
import json
import os

import numpy as np
import pytest

from lepta.core.errors import SchemaError
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.evaluation import Evaluation, audit_leakage, audit_shortcuts, check, measure
from lepta.evaluation.audit.chance import real_alone, real_together
from lepta.evaluation.audit.names import stores_label
from lepta.evaluation.audit.sources import Source, category, number
from lepta.evaluation.audit.strength import Ground, alone, make_folds, quick, together
from lepta.tasks import Binary

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")


def picture(rng, size, form="PNG", quality=90, mode="L"):
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    image = Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8))
    stream = io.BytesIO()
    image.save(stream, form, **({"quality": quality} if form == "JPEG" else {}))
    return stream.getvalue()


def study(folder, plant=None, rows=120, seed=0):
    """A folder with labels.csv and images; ``plant`` gives the picture of a class."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    lines = ["file,sick,site"]
    labels = rng.permutation(np.arange(rows) % 2)
    for row, label in enumerate(labels):
        size = (int(rng.integers(20, 28)), int(rng.integers(20, 28)))
        made = plant(rng, label, size) if plant else picture(rng, size)
        suffix = "jpg" if made[:2] == b"\xff\xd8" else "png"
        name = f"images/scan_{row:04d}.{suffix}"
        (folder / name).write_bytes(made)
        os.utime(folder / name, (1e9 + row, 1e9 + row))
        lines.append(f"{name},{'yes' if label else 'no'},{rng.choice(['a', 'b'])}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return Dataset.read(folder / "labels.csv", target="sick")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A study whose sick images are JPEG and whose others are PNG, and what check says of it."""
    folder = tmp_path_factory.mktemp("planted")
    data = study(folder, lambda rng, y, s: picture(rng, s, "JPEG" if y else "PNG"))
    events = []
    report = check(data, context=Context(report=events.append))
    assert events
    return data, report


def test_clean_data_is_not_flagged(tmp_path):
    report = audit_shortcuts(study(tmp_path))
    assert not report.flagged
    assert report.overall.value < 0.65
    assert report.sources == ()
    assert report.verdict.startswith("No shortcut found")
    assert "image: width" in {name.replace("file:", "image:") for name in report.looked_at}


def test_busy_content_is_no_shortcut(tmp_path):
    def textured(rng, label, size):
        pixels = rng.integers(0, 255 if label else 40, (24, 24), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=90)
        return stream.getvalue()

    report = audit_shortcuts(study(tmp_path, textured))
    assert not report.flagged
    assert "file: size in bytes" in {sign.name for sign in report.signs}
    assert "busy pictures make large files" in report.verdict


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda rng, y, s: picture(rng, (24, 24), "JPEG", 85 if y else 60), "file: quality"),
        (lambda rng, y, s: picture(rng, s) + bytes(60 * y), "file: size against a fresh copy"),
    ],
    ids=["JPEG quality", "padding"],
)
def test_a_planted_shortcut_is_flagged_and_named(tmp_path, plant, named):
    report = audit_shortcuts(study(tmp_path, plant))
    assert report.flagged
    assert report.overall.value > 0.9
    assert named in {strength.name for strength in report.sources}
    assert "may learn how the files were made instead of 'sick'" in report.verdict
    assert json.loads(json.dumps(report.to_dict()))["flagged"] is True


def test_a_class_named_folder_is_storage_and_no_shortcut(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("crack", "clean"):
        (tmp_path / "parts" / label).mkdir(parents=True)
        for row in range(50):
            name = tmp_path / "parts" / label / f"{label}_{row}.png"
            name.write_bytes(picture(rng, (int(rng.integers(20, 28)), 24)))
    report = audit_shortcuts(Dataset.read(tmp_path / "parts"))
    assert not report.flagged
    assert report.storage
    assert any("class" in line for line in report.storage)


def test_a_folder_of_a_site_is_a_shortcut(tmp_path):
    rng = np.random.default_rng(1)
    lines = ["file,sick"]
    for row in range(160):
        label = row % 2
        site = "north" if rng.random() < 0.15 + 0.7 * label else "south"
        (tmp_path / site).mkdir(exist_ok=True)
        (tmp_path / site / f"{row:03d}.png").write_bytes(picture(rng, (24, 24)))
        lines.append(f"{site}/{row:03d}.png,{'yes' if label else 'no'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    report = audit_shortcuts(Dataset.read(tmp_path / "labels.csv", target="sick"))
    assert report.flagged
    assert "folder 1 of 'file'" in {strength.name for strength in report.sources}


def test_columns_about_the_file_and_gaps_are_looked_at(tmp_path):
    study(tmp_path)
    rng = np.random.default_rng(3)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    out = [lines[0] + ",orig_width,orig_height,patient_id"]
    for row, line in enumerate(lines[1:]):
        sick = line.split(",")[1] == "yes"
        width = int(rng.integers(400, 500)) + 90 * sick
        out.append(f"{line},{width},{rng.integers(300, 400)},{'' if sick else f'P{row // 2}'}")
    (tmp_path / "labels.csv").write_text("\n".join(out))
    data = Dataset.read(tmp_path / "labels.csv", target="sick", group="patient_id")
    report = audit_shortcuts(data)
    assert report.flagged
    strongest = report.families[0]
    assert strongest.name == "size of the originals"
    assert "orig_width" in {strength.name for strength in report.sources}
    assert "patient_id: missing or not" in {sign.name for sign in report.signs}
    assert "collected apart" in report.verdict


def test_a_number_can_be_the_target_and_a_given_test_split_is_scored(tmp_path):
    rng = np.random.default_rng(4)
    sizes = rng.integers(18, 60, 150)
    table = {
        "image": [picture(rng, (int(size), 20)) for size in sizes],
        "weight": sizes + rng.normal(0, 2, 150),
        "split": ["train", "train", "test"] * 50,
    }
    data = Dataset.read(table, target="weight", split="split")
    report = audit_shortcuts(data)
    assert report.flagged
    assert report.overall.measure == "R²"
    assert report.overall.value > 0.8
    assert report.overall.on_test > 0.8


def test_three_classes(tmp_path):
    rng = np.random.default_rng(5)
    kinds = rng.integers(0, 3, 150)
    table = {
        "image": [picture(rng, (20 + 3 * int(k), 20)) for k in kinds],
        "kind": [f"kind {k}" for k in kinds],
    }
    report = audit_shortcuts(Dataset.read(table, target="kind"))
    assert report.flagged
    assert report.overall.value > 0.95
    assert "image: width" in {strength.name for strength in report.sources}


def test_too_few_rows_are_said_to_be_too_few():
    data = Dataset.read(
        {"a": [1.0, 2.0, 3.0, 4.0, 5.5], "y": ["n", "n", "n", "n", "p"]}, target="y"
    )
    report = audit_shortcuts(data)
    assert not report.flagged
    assert "Too few rows" in report.verdict


def test_without_a_target_the_audit_refuses():
    with pytest.raises(SchemaError, match="no target"):
        audit_shortcuts(Dataset.read({"a": [1.0, 2.0]}))


def noise(seed, rows, grouped):
    rng = np.random.default_rng(seed)
    task = Binary(target="y", classes=("n", "p"))
    groups = np.arange(rows) % 30 if grouped else None
    if grouped:
        y = (rng.permutation(30) % 2)[groups]
        base = rng.normal(size=(30, 3))[groups]
    else:
        y = rng.permutation(np.arange(rows) % 3 == 0).astype(int)
        base = rng.normal(size=(rows, 3))
    sources = [
        Source(f"s{k}", "bytes", np.round(base[:, k] * 2) if k else base[:, k]) for k in range(3)
    ]
    fold = make_folds(task, y, groups, 5, seed)
    return sources, Ground(task, y, fold, groups)


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_noise_is_rarely_called_a_shortcut(grouped):
    """Each of the two tests has a level of 2.5 %; 60 runs of 5 % pass 8 once in 200 times."""
    alarms = 0
    for seed in range(60):
        sources, ground = noise(seed, 90, grouped)
        values = [quick(alone(source, ground), ground) for source in sources]
        alarms += any(real_alone(sources, values, ground, seed))
    assert alarms <= 6


def test_all_together_noise_is_no_shortcut():
    alarms = 0
    for seed in range(3):
        sources, ground = noise(seed, 60, grouped=False)
        value = quick(together(sources, ground, seed, trees=25), ground)
        alarms += real_together(sources, value, ground, seed)
    assert alarms <= 1


def test_folds_keep_groups_whole_and_classes_even():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 300)
    y = (rng.random(300) < 0.2).astype(int)
    fold = make_folds(Binary(target="y", classes=("n", "p")), y, groups, 5, 0)
    for group in range(40):
        assert len(np.unique(fold[groups == group])) <= 1
    shares = [y[fold == k].mean() for k in range(5)]
    assert np.ptp(shares) < 0.1
    sizes = np.bincount(fold)
    assert sizes.max() < 1.5 * sizes.min()


def test_names_that_store_labels():
    labels = ["cat", "dog"] * 10
    assert stores_label(["0", "1"] * 10, labels)
    assert stores_label(["a cat", "a dog"] * 10, labels)
    assert stores_label([f"{k % 3}_{label}" for k, label in enumerate(labels)], labels)
    assert not stores_label(["x", "y", "x", "x"] * 5, labels)
    assert not stores_label(["x"] * 20, labels)
    assert not stores_label([f"site{k % 4}" for k in range(20)], labels)


def test_sources_that_tell_nothing_are_dropped():
    assert number("n", "bytes", [1.0, 1.0, None]) is None
    assert category("c", "format", ["a"] * 9) is None
    assert category("c", "format", [str(k) for k in range(90)]) is None
    assert category("c", "format", ["a", "b", None] * 5).is_category


def test_a_field_that_gives_the_target_away_is_named():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    data = Dataset.read(
        {"age": rng.normal(size=200), "outcome_score": y * 10 + rng.normal(size=200),
         "died": np.where(y, "yes", "no").tolist()},
        target="died",
    )  # fmt: skip
    assert [issue.where for issue in audit_leakage(data)] == ["outcome_score"]


def test_check_is_one_page_and_json(planted):
    _, report = planted
    text = str(report)
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 80
    assert "SHORTCUT" in text
    assert "paths of files" in text
    assert report.ok
    assert report.flagged
    document = json.loads(json.dumps(report.to_dict()))
    assert document["shortcuts"]["sources"]
    assert "shortcut audit" in report.summary()


def test_check_without_a_target_and_with_a_broken_one():
    assert check(Dataset.read({"a": [1.0, 2.0, 3.5]})).shortcuts is None
    report = check(Dataset.read({"a": [1.0, 2.0, 3.5], "y": ["n", "n", "n"]}, target="y"))
    assert not report.ok
    assert report.shortcuts is None


def test_the_report_shows_the_shortcut(planted):
    data, checks = planted
    task, y = data.task, data.targets()
    scores = np.column_stack([1 - y, y]) * 0.8 + 0.1
    evaluation = Evaluation("m", task, measure(task, y, scores), y, scores)
    text = evaluation.html(checks=checks)
    assert "The data has a shortcut" in text
    assert "file: format" in text
    assert "file: format" in {strength.name for strength in checks.shortcuts.sources}


@pytest.mark.samples
def test_covid_ct_leaks_its_label_through_the_originals(samples):
    data = Dataset.read(samples / "covid_ct" / "labels.csv", target="label")
    report = audit_shortcuts(data)
    assert report.flagged
    best = report.parts[0]
    assert best.name == "size and file type of the originals"
    assert best.value >= 0.95
    assert best.on_test >= 0.93
    assert {"orig_width", "orig_height", "original_name: file type"} <= set(best.sources)
    size = next(s for s in report.families if s.name == "size of the originals")
    assert size.value == pytest.approx(0.87, abs=0.03)
    assert "may learn how the files were made instead of 'label'" in report.verdict
    assert any("named by class" in line for line in report.storage)
    assert "patient_id: missing or not" in {sign.name for sign in report.signs}


@pytest.mark.samples
def test_texture_of_steel_is_no_shortcut(samples):
    report = audit_shortcuts(Dataset.read(samples / "neu_det" / "labels.csv", target="label"))
    assert not report.flagged
    assert any("begin with the class" in line for line in report.storage)


@pytest.mark.samples
def test_covid_ct_by_patient(samples):
    path = samples / "covid_ct" / "labels.csv"
    data = Dataset.read(path, target="label", group="patient_id")
    report = check(data)
    assert report.ok
    assert report.flagged
    assert report.shortcuts.overall.value > 0.9
