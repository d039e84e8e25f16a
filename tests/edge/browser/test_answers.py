"""The page answers as the tasks do, and measures differences as they do."""

import json
import shutil
from importlib.resources import files

import numpy as np
import pytest
from server import serving

from lepta.tasks import task_from_json
from lepta.tasks.detection import Detection

CLASSES = ("a", "b", "c")
TASKS = [
    {"name": "binary", "target": "y", "classes": ("no", "yes"), "threshold": 0.37},
    {"name": "multiclass", "target": "y", "classes": CLASSES},
    {"name": "ordinal", "target": "y", "classes": CLASSES},
    {"name": "multilabel", "target": "y", "classes": CLASSES, "thresholds": (0.2, 0.5, 0.8)},
    {"name": "multilabel", "target": "y", "classes": CLASSES},
    {"name": "anomaly", "target": "y", "classes": ("good", "bad"), "false_alarms": 0.4},
    {"name": "regression", "target": "y", "unit": "EUR"},
    {"name": "ranking", "target": "y"},
    {"name": "quantile", "target": "y", "quantiles": (0.1, 0.4, 0.9)},
    {"name": "recommendation", "target": "y", "items": tuple("abcdefgh"), "top": 4},
    {"name": "segmentation", "target": "y", "classes": ("rest", "lung"), "values": (0, 1)},
    {"name": "segmentation", "target": "y", "classes": CLASSES, "values": (0, 1, 7)},
    {"name": "forecasting", "target": "y", "fields": ("u", "v"), "horizon": 3},
    {"name": "detection", "target": "y", "classes": CLASSES, "threshold": 0.4, "most": 5},
]


@pytest.fixture(scope="module")
def page(chrome, tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers") / "page"
    shutil.copytree(str(files("lepta.edge.browser") / "page"), folder)
    with serving(folder) as url:
        chrome.call("Page.navigate", url=url)
        chrome.until("document.readyState === 'complete'")
        yield chrome


def boxes(rng, count):
    corners = rng.integers(0, 20, (count, 2))
    sides = corners + rng.integers(5, 15, (count, 2))
    rest = np.stack([np.sort(rng.random(count))[::-1], rng.integers(0, 3, count)], axis=1)
    return np.concatenate([corners, sides, rest], axis=1).astype(np.float32)


def scores_of(task, rng):
    """Return scores of one row, such as the graph gives; some at the threshold."""
    if isinstance(task, Detection):
        found = boxes(rng, task.most)
        found[0, 4] = np.float32(task.threshold)
        return found[None]
    shape = tuple(size if size > 0 else 6 for size in task.output().shape[1:])
    scores = rng.random((1, *shape), np.float32)
    if task.name in ("binary", "multiclass", "ordinal", "recommendation"):
        scores /= scores.sum(axis=-1, keepdims=True)
    if task.name == "binary" and rng.random() < 0.5:
        scores[0] = 1 - np.float32(task.threshold), np.float32(task.threshold)
    if task.name == "quantile":
        scores = np.sort(scores * 1e5, axis=1)
    return scores


ASK = """import('./answers.js').then(({decide}) => {
  const found = decide(TASK, Float32Array.from(SCORES), SHAPE);
  return {...found, mask: found.mask ? Array.from(found.mask.codes) : null};
})"""


def asked(page, task, scores):
    parts = {"TASK": task.model_dump(mode="json"), "SCORES": scores.reshape(-1).tolist()}
    code = ASK.replace("SHAPE", json.dumps(scores.shape))
    for name, value in parts.items():
        code = code.replace(name, json.dumps(value))
    return page.evaluate(code)


@pytest.mark.parametrize("options", TASKS, ids=lambda options: options["name"])
def test_answers(page, options):
    task = task_from_json(json.loads(json.dumps(options)))
    rng = np.random.default_rng(11)
    for _ in range(4):
        scores = scores_of(task, rng)
        compare(task, scores, asked(page, task, scores))


def compare(task, scores, found):
    wanted = {name: values[0] for name, values in task.columns(scores).items()}
    bars = {bar["label"]: bar["value"] for bar in found["bars"]}
    answered = [bar["label"] for bar in found["bars"] if bar["answered"]]
    answer = wanted["prediction"]
    if task.name == "multilabel":
        assert answered == answer
    elif task.name == "recommendation":
        assert answered == [pair["item"] for pair in answer]
    elif task.name == "segmentation":
        assert found["mask"] == task.codes(scores[0]).reshape(-1).tolist()
        assert bars == {name: pytest.approx(wanted[f"area[{name}]"]) for name in task.classes[1:]}
    elif task.name == "detection":
        np.testing.assert_allclose(found["boxes"], task.answered(scores)[0], rtol=1e-6)
        assert [bar["label"] for bar in found["bars"]] == [box["label"] for box in answer]
    elif task.name == "anomaly":
        assert found["answer"] == answer
        assert bool(answered) == (answer == "bad")
    elif task.name == "forecasting":
        shown = [[float(text.replace(",", "")) for text in row[1:]] for row in found["rows"]]
        assert len(found["heads"]) == 7
        np.testing.assert_allclose(shown, scores[0].reshape(3, 6), rtol=1e-3)
    elif task.is_classification:
        assert answered == [answer] == [found["answer"]]
        assert list(bars.values()) == scores[0].tolist()
    else:
        number = found["answer"].replace(",", "").removesuffix(" EUR")
        assert float(number) == pytest.approx(float(answer), rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_differences_of_boxes(page, seed):
    rng = np.random.default_rng(seed)
    task = Detection(target="y", classes=CLASSES)
    one, other = boxes(rng, 6), boxes(rng, 6)
    moved = one[rng.permutation(6)] + rng.normal(0, 0.02, (6, 6)) * [1, 1, 1, 1, 1, 0]
    for left, right in ((one, one), (one, other), (one, moved.astype(np.float32))):
        found = page.evaluate(
            f"""import('./gap.js').then(({{gap}}) => gap({{name: 'detection'}},
            {left.reshape(-1).tolist()}, {right.reshape(-1).tolist()}))"""
        )
        assert found == pytest.approx(task.gap(left, right), abs=1e-6)


KNOWN = {
    "age": {"low": 18, "high": 90},
    "city": {"labels": ["Rome", "Oslo"]},
    "scan": {
        "height": [40, 50, 60],
        "width": [40, 50, 60],
        "type": "float32",
        "channels": 1,
        "mean": -700,
        "between": 20,
        "std": 400,
    },
}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("['age', 44], ['city', 'Rome']", []),
        ("['age', NaN], ['city', '']", []),
        ("['age', 91], ['city', 'Köln']", ["age: 91 lies outside", "“Köln” was not seen"]),
        ("['scan', {image: image(50, -690)}]", []),
        ("['scan', {image: image(150, -690)}]", ["150 x 150 pixels"]),
        ("['scan', {image: image(50, 30)}]", ["much brighter"]),
    ],
)
def test_rows_unlike_those_of_training_are_named(page, values, said):
    found = page.evaluate(
        f"""import('./unlike.js').then(({{unlike}}) => {{
          const image = (size, value) => ({{height: size, width: size, channels: 1,
            dtype: 'float32', data: new Float32Array(size * size).fill(value)}});
          return unlike({json.dumps(KNOWN)}, new Map([{values}]));
        }})"""
    )
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))
