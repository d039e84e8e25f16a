"""Models of tables compute the same in C as in ONNX Runtime, whatever the row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import lepta
from lepta.bundle.manifest import InputSpec
from lepta.core.errors import ExportError
from lepta.core.schema import Kind
from lepta.edge.c.exporter import texts
from lepta.runtime import Predictor

QUICK = {"loop": {"epochs": 2}}
LEARNERS = {
    "linear": {},
    "spline": {},
    "trees": {"rounds": 20},
    "forest": {"trees": 10},
    "catboost": {"rounds": 20},
    "leaf-linear": {},
    "kernel": {},
    "neighbours": {},
    "mlp": QUICK,
    "tabm": {"network": {"epochs": 3}},
}
WORDS = ["red", "blue", 'say "hi"\\??/', "żółty", "*/ end"]
TARGETS = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}


def table(seed: int, task: str, rows: int = 240):
    rng = np.random.default_rng(seed)
    size = rng.normal(50, 20, rows)
    columns = {
        "size */ mm": np.where(rng.random(rows) < 0.1, np.nan, size),
        "int": rng.integers(0, 5, rows).astype(float),
        "colour": rng.choice(WORDS, rows),
        "when": np.datetime64("2024-01-01") + rng.integers(0, 9e6, rows).astype("timedelta64[s]"),
    }
    score = size / 20 + (columns["colour"] == WORDS[3]) + rng.normal(0, 0.3, rows)
    if task == "regression":
        return {**columns, "y": score * 100}
    names = TARGETS[task]
    cuts = np.quantile(score, np.linspace(0, 1, len(names) + 1)[1:-1])
    return {**columns, "y": np.array(names)[np.searchsorted(cuts, score)]}


def rows_of(bundle, seed: int, count: int = 120):
    """Rows as nobody would choose them: gaps, infinities, far values, unknown words."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for tensor in bundle.signature.tensors:
        shape = (count, len(tensor.fields))
        if tensor.dtype == "string":
            tensors[tensor.name] = rng.choice([*WORDS, "", "unseen"], shape).astype(object)
            continue
        centre, scale = (1.7e9, 1e8) if tensor.name == "times" else (40, 40)
        values = rng.normal(centre, scale, shape).astype(tensor.dtype)
        odd = rng.random(shape)
        values[odd < 0.1] = np.nan
        if tensor.name != "times":
            values[odd > 0.97] = rng.choice([np.inf, -np.inf, 1e30, -0.0])
            values[(odd > 0.5) & (odd < 0.6)] = rng.integers(0, 5)
        tensors[tensor.name] = values
    return tensors


@pytest.mark.parametrize("learner", LEARNERS)
def test_learners_compute_the_same(learner, compiled):
    task = [*TARGETS, "regression"][len(learner) % 3]
    data = lepta.Dataset.read(table(1, task), target="y")
    bundle = lepta.fit(data, learner=learner, settings=LEARNERS[learner], audit=False, refit=False)
    rows = rows_of(bundle, 2)
    expected = Predictor(bundle).run(rows)

    model = compiled(bundle)

    scale = 1.0 if task != "regression" else np.abs(expected).max()
    answers = model(rows, expected[0].size)
    np.testing.assert_allclose(answers, expected, atol=2e-5 * scale, rtol=1e-5)
    assert "largest difference" in model.self_test()


@pytest.fixture(scope="module")
def trees(compiled):
    rng = np.random.default_rng(0)
    columns = {n: np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)) for n in "abc"}
    columns["word"] = rng.choice(WORDS, 300)
    columns["y"] = np.where(
        np.nan_to_num(columns["a"]) + (columns["word"] == "red") > 0.3, "y", "n"
    )
    data = lepta.Dataset.read(columns, target="y")
    bundle = lepta.fit(data, learner="trees", settings={"rounds": 20}, audit=False, refit=False)
    return Predictor(bundle), compiled(bundle)


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@settings(max_examples=50, deadline=None)
@given(
    row=st.lists(st.floats(width=32), min_size=3, max_size=3),
    word=st.sampled_from(WORDS) | st.text(LETTERS, max_size=4),
)
def test_any_row_takes_the_same_path(row, word, trees):
    predictor, model = trees
    rows = {
        "numbers": np.array([row], np.float32),
        "categories": np.array([[word]], object),
    }
    np.testing.assert_allclose(model(rows, 2), predictor.run(rows), atol=1e-6)


def test_the_header_tells_what_goes_in_and_what_it_costs(compiled):
    data = lepta.Dataset.read(table(1, "binary"), target="y")
    bundle = lepta.fit(data, learner="trees", settings={"rounds": 5}, audit=False, refit=False)
    model = compiled(bundle, "2 Röhren")
    text = model.source.with_suffix(".h").read_text()
    assert "void m_2_r_hren_predict(" in text
    assert "M_2_R_HREN_NUMBERS_INT = 1" in text
    assert "one of: " in text
    assert "Workspace (RAM, static): " in text
    assert "scores[1]: yes" in text
    assert text.isascii()


def test_the_same_bundle_gives_the_same_text(tmp_path):
    data = lepta.Dataset.read(table(1, "binary"), target="y")
    bundle = lepta.fit(data, learner="linear", audit=False, refit=False)
    assert texts(bundle, "m") == texts(bundle, "m")


def test_texts_are_refused(of_graph, tmp_path):
    bundle = of_graph([helper.make_node("Relu", ["numbers"], ["value"])], [], 1)
    words = InputSpec(name="x0", kind=Kind.TEXT, dtype="int64", shape=(-1, -1))
    signature = bundle.signature.model_copy(update={"inputs": (words,)})
    with pytest.raises(ExportError, match=r"x0.*text") as caught:
        lepta.export(bundle.with_manifest(signature=signature), tmp_path / "m.c", to="c")
    assert "onnx" in (caught.value.fix or "")
    assert not list(tmp_path.iterdir())
