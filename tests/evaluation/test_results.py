"""The evaluation, its report and its model card."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lepta.bundle.manifest import InputSpec, Lineage, Manifest, Signature
from lepta.core.errors import ConfigError
from lepta.core.schema import Kind
from lepta.evaluation import Evaluation, measure, model_card
from lepta.evaluation.results import figure
from lepta.tasks import Binary, Multiclass, Regression

VOID = {"meta", "br", "img", "link", "hr"}


class Checker(HTMLParser):
    """Collects ids and external references, and checks that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.outside, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.outside.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert checker.outside == []
    assert "script" not in checker.tags
    assert "@import" not in text
    return checker


def binary(rows=120, name="ct lesion", classes=("absent", "present"), **options):
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 2
    p = 1 / (1 + np.exp(-(3 * (y - 0.5) + rng.normal(size=rows))))
    scores = np.column_stack([1 - p, p]).astype(np.float32)
    task = Binary(target="lesion", classes=classes)
    return Evaluation(name, task, measure(task, y, scores), y, scores, **options)


def multiclass(count, rows=300):
    rng = np.random.default_rng(1)
    y = rng.integers(0, count, rows)
    raw = np.exp(rng.normal(size=(rows, count)) + 2 * np.eye(count)[y])
    scores = raw / raw.sum(axis=1, keepdims=True)
    task = Multiclass(target="kind", classes=tuple(f"class {k}" for k in range(count)))
    return Evaluation("kinds", task, measure(task, y, scores), y, scores)


def regression():
    rng = np.random.default_rng(2)
    y = rng.normal(20, 5, 90)
    scores = (y + rng.normal(0, 1, 90))[:, None]
    task = Regression(target="speed", unit="km/h")
    rows = tuple(f"row {k}" for k in range(90))
    return Evaluation("speeds", task, measure(task, y, scores), y, scores, rows=rows)


def manifest(task):
    return Manifest(
        name="ct_lesion",
        created="2026-01-02T03:04:05+00:00",
        task=task,
        signature=Signature(
            inputs=(
                InputSpec(name="ct", kind=Kind.IMAGE, dtype="uint16", shape=(-1, -1, -1, 1)),
                InputSpec(name="a|b", kind=Kind.NUMBER, dtype="float32", shape=(-1,), unit="mm"),
            ),
            tensors=(),
            outputs=(task.output(),),
        ),
        lineage=Lineage(
            dataset="ab" * 32, rows={"train": 300, "test": 120}, config={"learner": "trees"}
        ),
        notes=("Fitted for a test.",),
    )


def test_the_table_is_aligned_and_complete():
    evaluation = binary(notes=("Only a test.",))
    text = str(evaluation)
    lines = text.splitlines()
    assert lines[0] == "ct lesion on test, 120 rows"
    table = lines[2:-2]
    assert len(table) == 1 + len(evaluation.metrics)
    assert len({line.index("[") for line in table[1:]}) == 1
    assert lines[-1] == "note: Only a test."
    assert re.search(r"AUROC\s+0\.\d{3}\s+\[0\.\d{3}, [01]\.\d{3}\]\s+DeLong", text)


def test_json_holds_every_metric_with_its_interval():
    evaluation = binary()
    document = json.loads(evaluation.to_json())
    assert [m["name"] for m in document["metrics"]] == list(evaluation.task.metrics)
    assert document["metrics"][0]["low"] == evaluation["auroc"].low
    assert np.sum(document["confusion"]) == 120
    assert document["per_class"][1]["class"] == "present"
    with pytest.raises(ConfigError, match="auroq"):
        evaluation["auroq"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "undefined"), (0.95123, "0.951"), (0.0, "0.000"), (1e-5, "1e-05"), (20.756, "20.76"),
     (123456.0, "123,456"), (-0.25, "-0.250")],
)  # fmt: skip
def test_figures_read_well(value, text):
    assert figure(value) == text


def test_the_report_of_two_classes_stands_alone():
    rows = tuple(f"scans/{k}.dcm" for k in range(120))
    evaluation = binary(rows=120, name="ct lesion", manifest=None)
    text = evaluation.html()
    checker = checked(text)
    assert checker.tags.count("svg") == 5
    assert "prefers-color-scheme: dark" in text
    assert "var(--accent, #0b6e99)" in text
    assert "#0b6e99;" not in text.split("</style>")[1].replace("var(--accent, #0b6e99)", "")
    assert text == binary(rows=120, name="ct lesion").html(), "the same figures, the same bytes"
    named = binary(manifest=manifest(evaluation.task))
    object.__setattr__(named, "rows", rows)
    full = named.html()
    checked(full)
    assert "Worst rows" in full
    assert "scans/" in full
    assert "ab" * 32 in full


@pytest.mark.parametrize("count", [3, 22])
def test_the_report_of_more_classes(count):
    evaluation = multiclass(count)
    checker = checked(evaluation.html())
    assert checker.tags.count("svg") == 2
    assert "Mean over the classes." in evaluation.html()


def test_the_report_of_a_number():
    text = regression().html()
    assert checked(text).tags.count("svg") == 2
    assert "a number in km/h" in text
    assert "0 to 1" not in text


def test_the_report_of_a_single_class_is_written_all_the_same():
    task = Binary(target="y", classes=("n", "p"))
    scores = np.full((8, 2), 0.5)
    y = np.zeros(8, int)
    text = Evaluation("m", task, measure(task, y, scores), y, scores).html()
    checked(text)
    assert "undefined" in text


def test_what_comes_from_data_is_escaped_and_not_mathematics():
    classes = ("<script>alert(1)</script>", '$x_1$ & "quote" 肺')
    evaluation = binary(name="<b>bold</b>", classes=classes)
    text = evaluation.html()
    assert "<script" not in text
    assert "<b>bold</b>" not in text
    checked(text)
    assert "$x_1$" in text


def test_saving_is_by_suffix_and_leaves_no_half_file(tmp_path):
    evaluation = binary()
    page = evaluation.save(tmp_path / "report.html")
    assert page.read_text(encoding="utf-8") == evaluation.html()
    assert json.loads(evaluation.save(tmp_path / "figures.json").read_text())["rows"] == 120
    with pytest.raises(ConfigError, match="\\.html or \\.json"):
        evaluation.save(tmp_path / "report.pdf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures.json", "report.html"]


def test_a_failing_write_keeps_the_old_report(tmp_path, monkeypatch):
    evaluation = binary()
    page = evaluation.save(tmp_path / "report.html")
    before = page.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        binary(rows=60).save(page)
    assert page.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_worst_rows_are_confident_errors():
    evaluation = binary()
    worst = evaluation.worst()
    truth = evaluation.scores[worst, evaluation.y[worst]]
    assert (truth < 0.5).all()
    assert (np.diff(truth) >= 0).all()
    errors = np.abs(regression().scores[:, 0] - regression().y)
    assert regression().worst(1)[0] == errors.argmax()


def test_the_card_is_honest_and_complete():
    evaluation = binary(notes=("Only 12 groups.",))
    card = model_card(manifest(evaluation.task), evaluation)
    for heading in ("The model", "Intended use", "Data", "Figures", "Limits", "Ethical"):
        assert f"## {heading}" in card
    assert card.count("Not stated.") >= 4
    assert "| AUROC |" in card
    assert card.count("data:image/png;base64,") == 5
    assert "a\\|b" in card
    assert "Only 12 groups" in card
    bare = model_card(manifest(evaluation.task))
    assert "None have been measured" in bare
