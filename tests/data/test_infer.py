import numpy as np
import pytest

from lepta.core.errors import DataError, SchemaError
from lepta.core.schema import Kind, Role
from lepta.data import Dataset
from lepta.tasks import Binary, Multiclass, Regression

N = 100


def read(columns, **options):
    rng = np.random.default_rng(0)
    return Dataset.read({**columns, "other": rng.random(N)}, **options)


def meaning(name, values, **options):
    field = read({name: values}, **options).schema[name]
    assert field.reason
    return field.kind, field.role


SENTENCES = [f"the patient {i} felt quite well today" for i in range(N)]


@pytest.mark.parametrize(
    ("name", "values", "kind", "role"),
    [
        ("height", np.linspace(0, 1, N), "number", "input"),
        ("rooms", np.arange(N) % 5, "number", "input"),
        ("zip_code", np.arange(N) % 5, "category", "input"),
        ("PatientSex", np.arange(N) % 2, "category", "input"),
        ("colour", ["red", "blue"] * (N // 2), "category", "input"),
        ("note", SENTENCES, "text", "input"),
        ("when", [f"2024-01-01 10:{i % 60:02}" for i in range(N)], "datetime", "input"),
        ("id", [f"r{i}" for i in range(N)], "id", "ignore"),
        ("Unnamed: 0", np.arange(N), "id", "ignore"),
        ("n", np.arange(N), "id", "ignore"),
        ("surname", [f"name{i}" for i in range(N)], "id", "ignore"),
        ("patient_id", np.arange(N) // 4, "id", "ignore"),
        ("PatientID", [f"p{i // 4}" for i in range(N)], "id", "ignore"),
        ("const", np.ones(N), "number", "ignore"),
        ("empty", [None] * N, "category", "ignore"),
        ("split", ["train", "val", "test", "train"] * (N // 4), "category", "split"),
        ("split", ["left", "right"] * (N // 2), "category", "input"),
        ("flag", np.arange(N) % 2 == 0, "category", "input"),
        ("item_id", np.arange(N) % 7, "category", "input"),
    ],
)
def test_meaning_of_columns(name, values, kind, role):
    assert meaning(name, values) == (Kind(kind), Role(role))


def test_kinds_and_roles_can_be_given():
    assert meaning("rooms", np.arange(N) % 5, kinds={"rooms": "category"})[0] == Kind.CATEGORY
    assert meaning("id", np.arange(N), roles={"id": "input"}) == (Kind.NUMBER, Role.INPUT)
    assert meaning("patient", np.arange(N) // 2, group="patient") == (Kind.ID, Role.GROUP)
    assert meaning("w", np.arange(N), weight="w") == (Kind.NUMBER, Role.WEIGHT)
    with pytest.raises(SchemaError, match="must be of kind number"):
        meaning("w", ["a"] * N, weight="w")
    with pytest.raises(SchemaError, match="must be of kind datetime or number"):
        meaning("w", ["a", "b"] * 50, time_field="w")


def test_a_likely_group_is_hinted_at_unless_one_is_given():
    columns = {"patient_id": np.arange(N) // 4, "speaker": np.arange(N) % 3}
    assert {i.where for i in read(columns).notes} == {"patient_id", "speaker"}
    assert not read(columns, group="patient_id").notes


def test_what_describes_the_file_is_ignored(write, png):
    for i in range(4):
        png(f"img/{i}.png", i)
    text = "file,orig_width,orig_height,bytes,original_name,format,age,y\n" + "".join(
        f"img/{i}.png,{100 + i},{50 - i},{i * 7},{i}_x.png,png,{30 + i},{i % 2}\n" for i in range(4)
    )
    data = Dataset.read(write("t.csv", text), target="y")
    assert [f.name for f in data.schema.inputs] == ["file", "age"]
    for name in ("orig_width", "orig_height", "bytes", "original_name", "format"):
        assert "describes the file, not the subject" in data.schema[name].reason
    kept = Dataset.read(write("t.csv", text), target="y", roles={"bytes": "input"})
    assert "bytes" in [f.name for f in kept.schema.inputs]


def test_size_of_people_is_kept_beside_images(write, png):
    for i in range(4):
        png(f"img/{i}.png", i)
    text = "file,height,y\n" + "".join(f"img/{i}.png,{170 + i},{i % 2}\n" for i in range(4))
    data = Dataset.read(write("t.csv", text), target="y")
    assert data.schema["height"].role == Role.INPUT


@pytest.mark.parametrize(
    ("shape", "bits", "options"),
    [
        ((8, 8), 8, {"channels": 1, "bits": 8}),
        ((8, 8), 16, {"channels": 1, "bits": 16}),
        ((8, 8, 3), 8, {"channels": 3, "bits": 8}),
    ],
)
def test_decoder_is_the_widest_of_the_files(write, png, shape, bits, options):
    for i in range(3):
        png(f"{i}.png", i)
    png("3.png", 3, shape, bits)
    data = Dataset.read(write("t.csv", "file,y\n0.png,0\n1.png,1\n2.png,0\n3.png,1\n"))
    assert data.decoders["file"] == ("image", options)


def test_sixteen_bits_are_kept(write, png):
    from PIL import Image

    path = png("0.png", 0, (8, 8), 16)
    data = Dataset.read(write("t.csv", "file,y\n0.png,0\n0.png,1\n"), target="y")
    assert data.decode("file", 0).dtype == np.uint16
    assert np.array_equal(data.decode("file", 0)[..., 0], np.asarray(Image.open(path)))


def test_files_are_recognised_by_their_beginning(write, png, tmp_path):
    png("a/x.png").rename(tmp_path / "a/x")
    png("a/y.png", 1).rename(tmp_path / "a/y")
    data = Dataset.read(write("t.csv", "what,y\na/x,0\na/y,1\n"))
    assert data.schema["what"].kind == Kind.IMAGE


def test_bytes_are_images(png):
    data = Dataset.read({"x": [png("0.png").read_bytes(), png("1.png", 1).read_bytes()]})
    assert data.schema["x"].kind == Kind.IMAGE
    assert data.decode("x", 0).shape == (8, 10, 1)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["yes", "no"], ("no", "yes")),
        (["no", "yes"], ("no", "yes")),
        (["malignant", "benign"], ("benign", "malignant")),
        (["COVID", "NonCOVID"], ("NonCOVID", "COVID")),
        (["healthy", "bacterial"], ("healthy", "bacterial")),
        (["normal", "abnormal"], ("normal", "abnormal")),
        (["a10", "a9"], ("a9", "a10")),
        (["2", "1"], ("1", "2")),
        ([True, False], ("false", "true")),
        ([1.0, 0.0], ("0", "1")),
        ([-1, 1], ("-1", "1")),
    ],
)
def test_the_second_class_is_the_positive_one(values, classes):
    data = read({"y": values * (N // 2)}, target="y")
    assert isinstance(data.task, Binary)
    assert data.task.classes == classes
    assert data.take([0]).task == data.task


def test_positive_can_be_given():
    data = read({"y": ["a", "b"] * (N // 2)}, target="y", positive="a")
    assert data.task.classes == ("b", "a")
    with pytest.raises(SchemaError, match=r"'A' cannot be the positive class.*Did you mean 'a'"):
        read({"y": ["a", "b"] * (N // 2)}, target="y", positive="A")


def test_tasks():
    rng = np.random.default_rng(0)
    assert isinstance(read({"y": rng.random(N)}, target="y").task, Regression)
    assert isinstance(read({"y": np.arange(N) % 40}, target="y").task, Regression)
    digits = read({"label": np.arange(N) % 40}, target="label").task
    assert isinstance(digits, Multiclass)
    assert digits.classes[:3] == ("0", "1", "2")
    few = read({"y": np.arange(N) % 3}, target="y")
    assert isinstance(few.task, Multiclass)
    assert few.targets().tolist()[:4] == [0, 1, 2, 0]
    assert isinstance(read({"y": np.arange(N) % 3}, target="y", kinds={"y": "number"}).task,
                      Regression)  # fmt: skip
    with pytest.raises(DataError, match="only the class '1'"):
        _ = read({"y": np.ones(N)}, target="y").task
    with pytest.raises(SchemaError, match="no target"):
        _ = read({"y": np.ones(N)}).task
