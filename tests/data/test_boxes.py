"""Boxes: every way in which people write them, and what is said where they are wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lepta.core.errors import DataError, LeptaError, SchemaError, Where
from lepta.core.schema import Kind, Role
from lepta.data import Dataset, validate
from lepta.data.boxes.forms import boxes_of

WIDTH, HEIGHT = 40, 30
FIRST = [
    {"x0": 1.0, "y0": 2.0, "x1": 11.0, "y1": 22.0, "class": "dent"},
    {"x0": 20.0, "y0": 3.0, "x1": 40.0, "y1": 9.0, "class": "crack"},
]
THIRD = [{"x0": 0.0, "y0": 0.0, "x1": 40.0, "y1": 30.0, "class": "crack"}]
NAMES = ("a.png", "b.png", "c.png")
BOXES = {"a.png": FIRST, "b.png": [], "c.png": THIRD}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images of 40 x 30, the second one without a box."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH), np.uint8)).save(folder / name)
    return folder


def _table(path: Path, header: str, *, sized: bool = False, folder: str = "") -> Path:
    lines = [header]
    for name, boxes in BOXES.items():
        for b in boxes:
            far = (b["x1"] - b["x0"], b["y1"] - b["y0"]) if sized else (b["x1"], b["y1"])
            places = ",".join(f"{place:g}" for place in (b["x0"], b["y0"], *far))
            lines.append(f"{folder}{name},{b['class']},{places}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _coco(path: Path) -> Path:
    labels = {"dent": 7, "crack": 3}
    path.write_text(
        json.dumps(
            {
                "images": [{"id": k, "file_name": name} for k, name in enumerate(NAMES)],
                "categories": [{"id": code, "name": name} for name, code in labels.items()],
                "annotations": [
                    {
                        "image_id": k,
                        "category_id": labels[b["class"]],
                        "bbox": [b["x0"], b["y0"], b["x1"] - b["x0"], b["y1"] - b["y0"]],
                    }
                    for k, name in enumerate(NAMES)
                    for b in BOXES[name]
                ]
                + [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}],
            }
        )
    )
    return path


def _yolo(folder: Path) -> Path:
    folder.mkdir()
    (folder.parent / "data.yaml").write_text("names: [crack, dent]\n")
    for name, boxes in BOXES.items():
        if boxes:
            lines = [
                f"{int(b['class'] == 'dent')} {(b['x0'] + b['x1']) / 2 / WIDTH} "
                f"{(b['y0'] + b['y1']) / 2 / HEIGHT} {(b['x1'] - b['x0']) / WIDTH} "
                f"{(b['y1'] - b['y0']) / HEIGHT}"
                for b in boxes
            ]
            (folder / name).with_suffix(".txt").write_text("\n".join(lines))
    return folder


def _voc(folder: Path) -> Path:
    folder.mkdir()
    for name, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>{b['class']}</name><part><name>no</name></part><bndbox>"
            f"<xmin>{b['x0'] + 1:g}</xmin><ymin>{b['y0'] + 1:g}</ymin>"
            f"<xmax>{b['x1']:g}</xmax><ymax>{b['y1']:g}</ymax></bndbox></object>"
            for b in boxes
        )
        page = f"<annotation><filename>{name}</filename>{objects}</annotation>"
        (folder / name).with_suffix(".xml").write_text(page)
    return folder


def _same(found: list[Any], wanted: list[Any]) -> bool:
    return all(
        [b["class"] for b in one] == [b["class"] for b in other]
        and np.allclose([[*b.values()][:4] for b in one], [[*b.values()][:4] for b in other])
        for one, other in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("form", ["corners", "sizes", "paths", "coco", "yolo", "voc"])
def test_a_folder_of_images_with_boxes_in_any_form(images: Path, form: str) -> None:
    place = images.parent
    source = {
        "corners": lambda: _table(place / "b.csv", "file,class,xmin,ymin,xmax,ymax"),
        "sizes": lambda: _table(place / "b.csv", "img,Defect,X,Y,Width,Height", sized=True),
        "paths": lambda: _table(place / "b.csv", "p,kind,x0,y0,x1,y1", folder="images/"),
        "coco": lambda: _coco(place / "boxes.json"),
        "yolo": lambda: _yolo(place / "labels"),
        "voc": lambda: _voc(place / "pages"),
    }[form]()
    data = Dataset.read(images, boxes=str(source))
    assert data.column("file") == list(NAMES)
    assert _same(data.column("boxes"), [FIRST, [], THIRD])
    field = data.schema["boxes"]
    assert (field.kind, field.role, field.classes) == (Kind.BOXES, Role.TARGET, ("crack", "dent"))
    assert data.task.name == "detection"
    assert data.targets()[0].tolist() == [[1, 2, 11, 22, 1], [20, 3, 40, 9, 0]]
    assert not [issue for issue in validate(data) if issue.severity == "error"]


def test_a_table_of_boxes_is_grouped_by_image(images: Path) -> None:
    path = images / "boxes.csv"
    path.write_text(
        "file,label,xmin,ymin,xmax,ymax,split,area\n"
        "a.png,dent,1,2,11,22,train,200\na.png,crack,20,3,40,9,train,120\n"
        "b.png,,,,,,test,\nc.png,crack,0,0,40,30,test,1200\n"
    )
    data = Dataset.read(path, target="boxes")
    assert data.schema.names == ("file", "split", "boxes")
    assert _same(data.column("boxes"), [FIRST, [], THIRD])
    assert {name: rows.tolist() for name, rows in data.splits.items()} == {
        "train": [0],
        "test": [1, 2],
    }
    assert Dataset.read(path, task="detection").fingerprint == data.fingerprint


def test_a_coco_file_is_a_dataset(images: Path) -> None:
    data = Dataset.read(_coco(images / "instances.json"))
    assert data.column("file") == list(NAMES)
    assert data.decode("file", 0).shape == (HEIGHT, WIDTH, 1)
    assert _same(data.column("boxes"), [FIRST, [], THIRD])
    assert [issue.code for issue in data.notes] == ["crowds"]


def test_a_table_of_images_keeps_its_other_columns(images: Path) -> None:
    (images / "rows.csv").write_text("file,site\n" + "".join(f"{n},x{n}\n" for n in NAMES))
    source = _table(images.parent / "b.csv", "file,class,xmin,ymin,xmax,ymax")
    data = Dataset.read(images / "rows.csv", boxes=str(source), target="where")
    assert data.schema.names == ("file", "site", "where")
    assert data.target == "where"


def test_lists_in_memory_and_as_json() -> None:
    pictures = np.zeros((3, HEIGHT, WIDTH, 1), np.uint8)
    columns = {"image": pictures, "found": [FIRST, [], THIRD]}
    data = Dataset.read(columns, target="found")
    assert data.column("found") == [FIRST, [], THIRD]
    text = {**columns, "found": [json.dumps(boxes) for boxes in (FIRST, [], THIRD)]}
    again = Dataset.read(text, target="found", task="detection")
    assert again.digests()["found"] == data.digests()["found"]
    given = [
        [{"box": [1, 2, 11, 22], "label": "dent"}, {"bbox": [20, 3, 20, 6], "category": "crack"}],
        [],
        [{"x": 0, "y": 0, "w": 40, "h": 30, "name": "crack"}],
    ]
    other = Dataset.read({**columns, "found": given}, target="found")
    assert other.column("found") == data.column("found")
    profile = data.profile()["fields"]["found"]
    assert profile["counts"] == {"crack": 2, "dent": 1}


@given(
    st.tuples(*[st.floats(0, 1e4, width=32)] * 2, *[st.floats(0.5, 1e4, width=32)] * 2),
    st.sampled_from([("x", "y", "width", "height"), ("x", "y", "w", "h")]),
)
def test_sizes_become_corners(box: tuple[float, ...], names: tuple[str, ...]) -> None:
    record = {**dict(zip(names, box, strict=True)), "class": 1.0}
    (found,) = boxes_of([record], Where())
    x, y, width, height = box
    assert found == {"x0": x, "y0": y, "x1": x + width, "y1": y + height, "class": "1"}


def _reading(images: Path, text: str, **options: Any) -> Dataset:
    path = images.parent / "faulty.csv"
    path.write_text(text)
    return Dataset.read(images, boxes=str(path), **options)


@pytest.mark.parametrize(
    ("line", "message", "field"),
    [
        ("a.png,dent,5,2,5,22", "has no area", None),
        ("a.png,dent,9,2,5,22", "has no area", None),
        ("a.png,dent,nan,2,5,22", "no finite number", "xmin"),
        ("a.png,dent,inf,2,5,22", "no finite number", "xmin"),
        ("a.png,dent,1,two,5,22", "'two', which is no finite number", "ymin"),
        ("a.png,dent,1,,5,22", "no finite number", "ymin"),
        ("a.png,,1,2,5,22", "A box has no class", "class"),
        (",dent,1,2,5,22", "names no image", "file"),
    ],
)
def test_what_is_wrong_is_named(images: Path, line: str, message: str, field: str | None) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _reading(images, f"file,class,xmin,ymin,xmax,ymax\nc.png,dent,1,2,3,4\n{line}\n")
    where = caught.value.where
    assert where is not None
    assert str(where.file).endswith("faulty.csv")
    assert (where.row, where.field) == (2, field)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,class,xmn,ymin,xmax,ymax", "Did you mean 'xmn'"),
        ("number,class,xmin,ymin,xmax,ymax", "names the image"),
        ("file,one,xmin,ymin,xmax,ymax,two", "may be one, two"),
    ],
)
def test_columns_that_are_lacking_are_named(images: Path, header: str, message: str) -> None:
    row = "1," * header.count(",") + "9"
    with pytest.raises(SchemaError, match=message):
        _reading(images, f"{header}\n{row}\n")


def test_the_column_of_classes_may_be_named(images: Path) -> None:
    text = "file,one,xmin,ymin,xmax,ymax,two\na.png,1,2,3,4,5,dent\n"
    data = _reading(images, text, box_label="two")
    assert data.schema["boxes"].classes == ("dent",)
    with pytest.raises(SchemaError, match="Did you mean 'two'"):
        _reading(images, text, box_label="twoo")


def test_images_that_are_not_there(images: Path) -> None:
    head = "file,class,xmin,ymin,xmax,ymax\n"
    data = _reading(images, head + "a.png,dent,1,2,3,4\nd.png,dent,1,2,3,4\n")
    (issue,) = data.notes
    assert (issue.code, issue.severity) == ("boxes_without_image", "warning")
    assert "'d.png'" in issue.text
    with pytest.raises(DataError, match="None of the 2 images"):
        _reading(images, head + "x.png,dent,1,2,3,4\nd.png,dent,1,2,3,4\n")


def test_boxes_outside_of_their_image_are_told(images: Path) -> None:
    head = "file,class,xmin,ymin,xmax,ymax\n"
    rows = ("a.png,dent,35,2,44,9", "b.png,dent,40,2,44,9", "c.png,dent,1,1,41,31")
    data = _reading(images, head + "\n".join(rows))
    found = {issue.code: issue for issue in validate(data)}
    assert found["boxes_outside"].severity == "error"
    assert found["boxes_outside"].rows == (2,)
    assert found["boxes_over_border"].rows == (1,)


def test_a_split_is_of_images_and_by_the_rarest_class() -> None:
    rows = [[{**FIRST[0], "class": "rare"}] * 2 if row % 10 == 0 else FIRST for row in range(100)]
    pictures = np.zeros((100, 8, 8, 1), np.uint8)
    data = Dataset.read({"image": pictures, "boxes": rows}, target="boxes").split()
    assert sum(len(rows) for rows in data.splits.values()) == 100
    for name, count in (("train", 6), ("valid", 2), ("test", 2)):
        classes = [boxes[0]["class"] for boxes in data[name].column("boxes")]
        assert classes.count("rare") == count


def test_faults_of_annotation_files(images: Path, tmp_path: Path) -> None:
    labels = _yolo(tmp_path / "labels")
    (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n1 10 10 5 5\n")
    with pytest.raises(DataError, match="shares of width and height") as caught:
        Dataset.read(images, boxes=str(labels))
    assert caught.value.where is not None
    assert caught.value.where.row == 2
    (labels / "a.txt").write_text("4 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match="class 4 has no name"):
        Dataset.read(images, boxes=str(labels))
    pages = _voc(tmp_path / "pages")
    (pages / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    with pytest.raises(DataError, match="document type"):
        Dataset.read(images, boxes=str(pages))
    path = _coco(tmp_path / "boxes.json")
    document = json.loads(path.read_text())
    document["annotations"][0]["image_id"] = 99
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="image_id is 99") as caught:
        Dataset.read(images, boxes=str(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LeptaError, match="neither text files"):
        Dataset.read(images, boxes=str(tmp_path / "empty"))
    with pytest.raises(DataError, match="Did you mean 'labels'"):
        Dataset.read(images, boxes=str(tmp_path / "label"))


def test_polygons_of_yolo_become_boxes(images: Path, tmp_path: Path) -> None:
    labels = _yolo(tmp_path / "labels")
    (labels / "b.txt").write_text("0 0.1 0.1 0.5 0.2 0.3 0.5\n")
    data = Dataset.read(images, boxes=str(labels))
    (found,) = data.column("boxes")[1]
    assert [found[k] for k in ("x0", "y0", "x1", "y1")] == pytest.approx([4, 3, 20, 15])


def test_shares_are_of_the_image_as_it_is_turned(images: Path, tmp_path: Path) -> None:
    tall = Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    tall.save(images / "a.jpg", exif=turned)
    labels = _yolo(tmp_path / "labels")
    (images / "a.png").unlink()
    data = Dataset.read(images, boxes=str(labels))
    assert data.decode("file", 0).shape[:2] == (WIDTH, HEIGHT)
    assert data.column("boxes")[0][1]["x1"] == pytest.approx(HEIGHT)


def test_an_image_named_twice_has_its_boxes_twice(images: Path) -> None:
    (images / "rows.csv").write_text("file,n\na.png,1\nb.png,2\na.png,3\n")
    source = _table(images.parent / "b.csv", "file,class,xmin,ymin,xmax,ymax")
    data = Dataset.read(images / "rows.csv", boxes=str(source))
    assert _same(data.column("boxes"), [FIRST, [], FIRST])


def test_boxes_of_an_image_stand_in_one_split(images: Path) -> None:
    path = images / "boxes.csv"
    path.write_text(
        "file,label,xmin,ymin,xmax,ymax,part\n"
        "a.png,dent,1,2,11,22,train\nb.png,dent,1,2,11,22,test\na.png,crack,20,3,40,9,test\n"
    )
    with pytest.raises(DataError, match="'test' here, but 'train'") as caught:
        Dataset.read(path, target="boxes", split="part")
    assert caught.value.where is not None
    assert (caught.value.where.row, caught.value.where.field) == (3, "part")
    assert Dataset.read(path, target="boxes").schema.names == ("file", "boxes")
