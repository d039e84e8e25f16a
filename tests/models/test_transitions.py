"""Transitions: what they find, what they leave out, and the way to a served list."""

import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.app.cli import main
from lepta.core.errors import ConfigError, InputError, TrainError
from lepta.models.learner import LEARNERS
from lepta.models.transitions import Settings, count_pairs, weighed
from lepta.runtime import Predictor
from lepta.serving import start

FILMS = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "recommend_films.py"))
READING = {"task": "recommendation", "target": "film", "group": "person", "time_field": "when"}
FAST = {"decays": (8.0,), "backwards": (0.2,), "shrinks": (10.0,), "powers": (0.1, 0.3)}


def read(people: int = 120, **options: object) -> lepta.Dataset:
    return lepta.Dataset.read(FILMS["watched"](people), **READING, **options)


@pytest.fixture(scope="module")
def model() -> lepta.Bundle:
    return lepta.fit(read(), name="films", settings=FAST)


@given(st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=5), st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_pairs_are_counted_as_by_hand(found: list[list[int]], reach: int) -> None:
    wanted = np.zeros((7, 7))
    for items in found:
        for later, second in enumerate(items):
            for first in range(max(0, later - reach), later):
                wanted[items[first], second] += 0.5 ** ((later - first - 1) / 4.0)
    counts = count_pairs([np.array(s, np.int64) for s in found], 7, 4.0, reach)
    assert counts.forward.toarray() == pytest.approx(wanted, rel=1e-5)
    chosen = Settings(backward=0.5, shrink=2.0, power=0.25)
    popular = np.bincount(np.concatenate([[], *found]).astype(int), minlength=7) + 2.0
    both = (wanted + 0.5 * wanted.T) / (popular[:, None] * popular[None] ** 0.25)
    assert weighed(counts, chosen).toarray() == pytest.approx(both, rel=1e-5)


def test_it_does_far_better_than_popularity(model: lepta.Bundle) -> None:
    found = {m.name: m.value for m in model.manifest.metrics}
    assert found["hit_rate_10"] > 3 * found["popularity_hit_rate_10"]
    assert found["hit_rate_1"] > 0.5


def test_the_graph_gives_the_next_part_and_nothing_seen(model: lepta.Bundle) -> None:
    seen = [f"series 2, part {k}" for k in (1, 2, 3)]
    (answer,) = lepta.predict(model, {"history": seen}).rows()
    items = [pair["item"] for pair in answer["prediction"]]
    assert items[0] == "series 2, part 4"
    assert not set(items) & set(seen)
    assert len(items) == 10


def test_unknown_items_and_no_history_are_answered_by_what_is_popular(model: lepta.Bundle) -> None:
    rows = [{"history": []}, {"history": ["never heard of"]}, {"history": None}]
    scores = Predictor(model).scores(rows)
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2])
    known = ["series 2, part 1", "never heard of"]
    assert lepta.predict(model, {"history": known}).prediction[0][0].startswith("series 2")


def test_repeats_are_recommended_where_they_are_wanted() -> None:
    data = read(60, task_options={"repeat": True, "top": 4})
    model = lepta.fit(data, settings=FAST)
    (answer,) = lepta.predict(model, {"history": ["series 2, part 1"] * 3}).rows()
    assert len(answer["prediction"]) == 4
    scores = Predictor(model).scores([{"history": list(data.task.items[:5])}])
    assert (scores > 0).all()


def test_rows_of_histories_train_as_well() -> None:
    """Without users: every row is a history of its own, split at random."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 20, 200)
    columns = {
        "seen": [[f"page {s + k}" for k in range(3)] for s in starts],
        "next": [f"page {s + 3}" for s in starts],
    }
    model = lepta.fit(
        columns,
        task="recommendation",
        target="next",
        kinds={"seen": "sequence"},
        learner="transitions",
        settings=FAST,
    )
    (hits,) = (m.value for m in model.manifest.metrics if m.name == "hit_rate_1")
    assert hits > 0.8


def test_a_run_can_be_repeated(tmp_path: Path, model: lepta.Bundle) -> None:
    again = lepta.fit(FILMS["watched"](120), from_bundle=model)
    assert again.read("model.onnx") == model.read("model.onnx")


def test_tables_are_refused() -> None:
    data = lepta.Dataset.read({"a": [0.5, 0.1, 7.5] * 10, "y": [0.5, 1.5, 2.5] * 10}, target="y")
    with pytest.raises(TrainError, match="does not learn the task"):
        lepta.fit(data, learner="transitions")
    assert LEARNERS.get("transitions")().unfit_for(data.schema, data.task)


def test_a_table_of_events_is_answered_user_by_user(
    model: lepta.Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = {
        "person": ["x", "y", "x"],
        "film": ["series 1, part 1", "series 3, part 2", "series 1, part 2"],
        "when": [1, 2, 3],
    }
    table = lepta.recommend(model, events)
    assert list(table) == ["person", "rank", "prediction", "score"]
    first = {p: i for p, r, i in zip(*list(table.values())[:3], strict=True) if r == 1}
    assert first == {"x": "series 1, part 3", "y": "series 3, part 3"}

    path = model.save(tmp_path / "films.lepta")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"history": ["series 1, part 1", "series 1, part 2"]}) + "\n")
    assert main(["predict", str(path), str(rows)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "row,rank,prediction,score"
    assert lines[1].startswith('1,1,"series 1, part 3"')


def test_only_models_of_events_answer_them() -> None:
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=60), "y": ["p", "q"] * 30}
    other = lepta.fit(table, target="y", learner="linear")
    with pytest.raises(ConfigError, match="not trained on a table of events"):
        lepta.recommend(other, table)


def test_histories_are_served(model: lepta.Bundle) -> None:
    seen = ["series 2, part 1", "series 2, part 2"]
    wanted = lepta.predict(model, {"history": seen})
    with start(model) as service:
        client = lepta.connect(service.url)
        answer = client.predict([{"history": seen}, {"history": []}])
        assert answer.scores[0] == pytest.approx(wanted.scores[0], abs=1e-6)
        with pytest.raises(InputError, match="list of labels"):
            client.predict([{"history": 4}])


@pytest.mark.samples
def test_films_reach_three_times_popularity() -> None:
    data = FILMS["ratings"](Path(os.environ["LEPTA_SAMPLES"]))
    chosen = {"half_lives": (3.0,), **FAST, "powers": (0.3,)}
    found = lepta.evaluate(lepta.fit(data, settings=chosen), data["test"])
    assert len(found) == 610
    assert found["hit_rate_10"].value >= 0.138
    assert found["hit_rate_10"].value >= 3 * found["popularity_hit_rate_10"].value
