import numpy as np
import pytest

from lepta.core.errors import DataError, SchemaError
from lepta.data import Dataset, require_trainable, validate
from lepta.data.typos import edit_distance, near_labels

N = 200


def read(y=None, seed=0, **columns):
    rng = np.random.default_rng(seed)
    options = {name: name for name in ("group", "split", "weight") if name in columns}
    y = np.arange(N) % 2 if y is None else y
    return Dataset.read({"x": rng.random(N), **columns, "y": y}, target="y", **options)


def found(data, code):
    return [issue for issue in validate(data) if issue.code == code]


def test_sound_data_has_no_issues():
    assert validate(read()) == []
    assert require_trainable(read())


def test_label_typo():
    labels = ["Positive", "Negative"] * (N // 2)
    labels[6] = "Posiive"
    (issue,) = found(read(labels), "label_typo")
    assert issue.text == "'Posiive' (1 row): did you mean 'Positive'?"
    assert issue.rows == (7,)
    require_trainable(read(labels))


@pytest.mark.parametrize(
    ("counts", "slips"),
    [
        ({"Positive": 50, "positive ": 9, "Negative": 50}, {"positive ": "Positive"}),
        ({"non-covid": 50, "noncovid": 20, "covid": 60}, {"noncovid": "non-covid"}),
        ({"pneumonia": 90, "pneumonai": 1}, {"pneumonai": "pneumonia"}),
        ({"class1": 50, "class2": 1}, {}),
        ({"1.5": 50, "15": 1}, {}),
        ({"A11": 50, "A12": 1}, {}),
        ({"cat": 50, "car": 1}, {}),
        ({"male": 50, "female": 50}, {}),
        ({"normal": 50, "abnormal": 40}, {}),
    ],
)
def test_near_labels(counts, slips):
    assert near_labels(counts) == slips


def test_edit_distance():
    assert edit_distance("", "abc") == 3
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("ab", "ba") == 1


def test_missing_targets_stop_a_fit_or_are_dropped():
    y = np.where(np.arange(N) % 50 == 3, np.nan, np.arange(N) % 2)
    for values in (y, np.where(np.isnan(y), np.nan, np.random.default_rng(0).random(N))):
        data = read(values)
        (issue,) = found(data, "target_missing")
        assert issue.severity == "error"
        assert issue.rows == (4, 54, 104, 154)
        with pytest.raises(DataError, match=r"missing in 4 row\(s\): 4, 54, 104, 154") as caught:
            require_trainable(data)
        assert (caught.value.where.row, caught.value.where.field) == (4, "y")
        kept = require_trainable(data.split(), drop_missing=True)
        assert len(kept) == N - 4
        assert sum(map(len, kept.splits.values())) == N - 4


def test_an_infinite_target_is_missing():
    y = np.random.default_rng(0).random(N)
    y[5] = np.inf
    with pytest.raises(DataError, match=r"missing in 1 row\(s\): 6"):
        require_trainable(read(y))


def test_single_class():
    with pytest.raises(DataError, match="only the class '1'"):
        require_trainable(read(np.ones(N)))
    assert found(read(np.ones(N)), "single_class")
    with pytest.raises(SchemaError, match="no target"):
        require_trainable(Dataset.read({"x": [1, 2], "y": [1, 2]}))


def test_a_split_of_one_class():
    y = np.arange(N) % 2
    y[-20:] = 1
    data = read(y, split=["train"] * (N - 20) + ["test"] * 20)
    (issue,) = found(data, "single_class_split")
    assert "'test' (20 rows) has only the class '1'" in issue.text
    with pytest.raises(DataError, match=r"'test'.*only the class '1'"):
        require_trainable(data)


def test_a_patient_in_two_splits():
    split = ["train"] * (N - 50) + ["test"] * 50
    patients = [f"P{i // 20}" for i in range(N)]
    data = read(group=patients, split=split)
    (issue,) = found(data, "group_across_splits")
    assert issue.severity == "error"
    assert "'P7' in train and test" in issue.text
    with pytest.raises(DataError, match="'P7' in train and test") as caught:
        require_trainable(data)
    assert caught.value.where.field == "group"
    assert 141 <= caught.value.where.row <= 160
    assert not found(read(group=patients).split(), "group_across_splits")


def test_rows_without_a_group_may_stand_anywhere():
    split = ["train"] * (N - 50) + ["test"] * 50
    assert not found(read(group=[None] * N, split=split, patient=[1] * N), "group_across_splits")


def test_gaps_constants_and_infinities():
    gaps = np.where(np.arange(N) % 4 == 0, np.nan, np.random.default_rng(1).random(N))
    endless = np.random.default_rng(2).random(N)
    endless[9] = np.inf
    data = read(gaps=gaps, endless=endless, same=np.ones(N))
    (issue,) = found(data, "missing")
    assert issue.where == "gaps"
    assert "50 row(s) (25%)" in issue.text
    assert found(data, "infinite")[0].rows == (10,)
    assert found(data, "constant")[0].where == "same"


def test_weights():
    weight = np.ones(N)
    weight[3] = -1
    with pytest.raises(DataError, match="negative or missing"):
        require_trainable(read(weight=weight))


def test_rare_classes_and_imbalance():
    y = ["a"] * (N - 2) + ["b"] * 2
    assert "'b' (2)" in found(read(y), "rare_class")[0].text
    y = ["a"] * (N - 6) + ["b"] * 6
    assert "3.0% of the rows are 'b'" in found(read(y), "imbalance")[0].text


@pytest.mark.parametrize(
    ("values", "gives"),
    [
        (lambda y, r: y * 3.0 + 1, True),
        (lambda y, r: -y + 0.01 * r, True),
        (lambda y, r: np.where(y == 1, "ill", "well"), True),
        (lambda y, r: np.where(y == 1, np.nan, r), True),
        (lambda y, r: y + 2.0 * r, False),
        (lambda y, r: np.where((y == 1) & (r < 0.5), "ill", "well"), False),
        (lambda y, r: (r * 1000).astype(int), False),
    ],
)
def test_fields_that_give_a_class_away(values, gives):
    r, y = np.random.default_rng(5).random(N), np.random.default_rng(6).integers(0, 2, N)
    leaks = [issue.where for issue in found(read(y, field=values(y, r)), "gives_target_away")]
    assert leaks == (["field"] if gives else [])


def test_fields_that_give_a_number_away():
    rng = np.random.default_rng(1)
    y = rng.random(N) * 100
    data = read(y, copy=y, line=-2 * y + 1, noisy=y + 30 * rng.random(N), free=rng.random(N))
    assert {issue.where for issue in found(data, "gives_target_away")} == {"copy", "line"}


def test_several_classes_given_away():
    y = np.random.default_rng(0).integers(0, 5, N)
    data = read(y, code=[f"c{v}" for v in y])
    assert found(data, "gives_target_away")[0].where == "code"


def test_duplicate_rows_and_conflicts():
    x = np.random.default_rng(0).random(N)
    x[5], x[7] = x[4], x[6]
    y = np.arange(N) % 2
    y[5] = y[4]
    data = Dataset.read({"x": x, "y": y}, target="y")
    assert found(data, "duplicates")[0].text.startswith("2 row(s)")
    assert found(data, "conflicting_labels")[0].rows == (7, 8)


def test_identical_files_across_splits(write, png):
    for i in range(4):
        png(f"{i}.png", i if i < 3 else 0)
    text = "file,split,y\n0.png,train,a\n1.png,train,b\n2.png,test,b\n3.png,test,a\n"
    data = Dataset.read(write("t.csv", text), target="y")
    assert found(data, "duplicates")[0].rows == (1, 4)
    assert found(data, "duplicates_across_splits")[0].severity == "warning"
    assert not found(data, "conflicting_labels")


def test_unreadable_files_are_named(write, png):
    for i in range(3):
        png(f"{i}.png", i)
    write("1.png", b"\x89PNG\r\n\x1a\nnonsense")
    data = Dataset.read(write("t.csv", "file,y\n0.png,a\n1.png,b\n2.png,b\n9.png,a\n"), target="y")
    (issue,) = found(data, "unreadable")
    assert issue.rows == (2,)
    assert "1.png" in issue.text
    (issue,) = found(data, "missing_files")
    assert issue.rows == (4,)


def test_a_truncated_dicom_is_named(write, dicom):
    dicom("0.dcm")
    whole = dicom("1.dcm", number=2).read_bytes()
    write("1.dcm", whole[: len(whole) // 2])
    data = Dataset.read(write("t.csv", "file,y\n0.dcm,a\n1.dcm,b\n"), target="y")
    assert data.decoders["file"][0] == "dicom"
    assert data.decode("file", 0).shape == (12, 16, 1)
    (issue,) = found(data, "unreadable")
    assert issue.rows == (2,)
    with pytest.raises(DataError) as caught:
        data.decode("file", 1)
    where = caught.value.where
    assert (where.file, where.row, where.field) == ("1.dcm", 2, "file")


def test_no_inputs_left():
    data = Dataset.read({"y": ["a", "b"] * 20}, target="y")
    with pytest.raises(DataError, match="no input field"):
        require_trainable(data)


def test_issues_are_json_able():
    import json

    issues = validate(read(np.ones(N)))
    assert json.loads(json.dumps([issue.to_json() for issue in issues]))
    assert issues[0].severity == "error"


def test_rows_of_targets_are_those_of_the_file():
    y = ["a", "b"] * (N // 2)
    y[7] = None
    data = read(y)
    with pytest.raises(DataError) as caught:
        data.take(np.arange(5, N)).targets()
    assert caught.value.where.row == 8
