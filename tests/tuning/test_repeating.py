"""A run is repeated from its bundle alone, to the last bit of the graph."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

import lepta
from lepta.app.cli import main
from lepta.core.errors import BundleError, ConfigError, DataError
from lepta.core.events import Context, Event, Message
from lepta.data.options import Origin, ReadOptions
from lepta.training import probes
from lepta.tuning.recipe import ROWS

QUICK = {"audit": False}


@pytest.fixture(scope="module")
def frame():
    return (
        load_breast_cancer(as_frame=True).frame.iloc[:300, [0, 1, 2, 3, -1]].reset_index(drop=True)
    )


@pytest.fixture
def place(tmp_path: Path, frame, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a table in it."""
    frame.to_csv(tmp_path / "cancer.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory, frame) -> lepta.Bundle:
    """A linear model of cancer.csv, read by that name."""
    with contextlib.chdir(tmp_path_factory.mktemp("linear")):
        frame.to_csv("cancer.csv", index=False)
        return lepta.fit(
            "cancer.csv", target="target", learner="linear", threads=1, time="60s", **QUICK
        )


def graph(bundle: lepta.Bundle) -> bytes:
    return bundle.read("model.onnx")


def said(events: list[Event], level: str) -> str:
    return " ".join(e.text for e in events if isinstance(e, Message) and e.level == level)


@pytest.mark.parametrize("learner", ["linear", "trees"])
def test_the_command_repeats_a_run_in_another_process(place: Path, learner: str) -> None:
    words = [
        "--target",
        "target",
        "--learner",
        learner,
        "--seed",
        "5",
        "--kinds",
        "target=category",
    ]
    assert main(["fit", "cancer.csv", *words, "-o", "first.lepta", "--track", "none", "-q"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "lepta.app.cli", "fit", "--from", "first.lepta", "-o", "b.lepta",
         "--track", "none"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "bit-identical" in done.stderr
    first, again = lepta.Bundle.load("first.lepta"), lepta.Bundle.load("b.lepta")
    assert graph(first) == graph(again)
    config = first.manifest.lineage.config
    assert config["read"]["source"] == "cancer.csv"
    assert config["fit"]["device"] == "auto"
    assert config["fit"]["threads"] >= 1
    assert config["machine"]["libraries"]["numpy"] == np.__version__
    repeated = again.manifest.lineage
    assert repeated.config == config
    assert repeated.dataset == first.manifest.lineage.dataset


def test_a_network_on_files(tmp_path: Path) -> None:
    digits = load_digits()
    for row in range(80):
        file = tmp_path / f"scans/{digits.target[row] % 2}/{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[row] * 15).astype(np.uint8)).save(file)
    settings = {"loop": {"epochs": 2}}
    context = Context(cache=tmp_path / "cache")
    first = lepta.fit(
        tmp_path / "scans", learner="resnet", settings=settings, context=context, **QUICK
    )
    events: list[Event] = []
    again = lepta.fit(from_bundle=first, context=Context(cache=tmp_path, report=events.append))
    assert graph(first) == graph(again)
    assert "Networks are trained on cpu: asked for" in said(events, "info")
    assert first.manifest.lineage.config["fit"]["device"] == "cpu"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file)
    with pytest.raises(DataError, match="files of 'file' have changed"):
        lepta.fit(from_bundle=first, context=context)


def test_what_was_measured_is_used_again(
    frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the folder of caches, which remembers it too, is another."""
    data = lepta.Dataset.read(frame, target="target")
    settings = {"loop.epochs": 2, "loop.batch": "auto"}
    context = Context(cache=tmp_path / "one", threads=1)
    first = lepta.fit(data, learner="mlp", settings=settings, context=context, **QUICK)
    monkeypatch.setattr(probes, "_remembered", {})
    monkeypatch.delattr(probes.Probe, "_seconds")
    again = lepta.fit(data, from_bundle=first, context=Context(cache=tmp_path / "two"))
    assert graph(first) == graph(again)
    kept = [bundle.manifest.lineage.config["choices"] for bundle in (first, again)]
    assert kept[0] == kept[1]
    assert any(size.isdigit() for size in kept[0].values())


def test_rows_and_splits_of_the_caller_are_kept(place: Path, frame) -> None:
    data = lepta.Dataset.read("cancer.csv", target="target").take(np.arange(299, 49, -1))
    splits = {"train": np.arange(0, 150), "valid": np.arange(200, 250), "test": np.arange(150, 200)}
    first = lepta.fit(data.with_splits(splits), learner="linear", **QUICK)
    assert ROWS in first.names
    again = lepta.fit(from_bundle=lepta.Bundle.load(first.save(place / "a.lepta")))
    assert graph(first) == graph(again)
    assert again.manifest.lineage.rows == {"train": 150, "valid": 50, "test": 50}
    assert again.read(ROWS) == first.read(ROWS)
    named = lepta.Dataset.read("cancer.csv", target="target").split(seed=0)
    assert ROWS not in lepta.fit(named, learner="linear", **QUICK).names


def test_splits_of_a_column_and_dropped_rows(place: Path, frame) -> None:
    marked = frame.assign(part=["train", "valid", "test", "train", "train"] * 60)
    marked["target"] = marked["target"].astype("object")
    marked.loc[[3, 10], "target"] = None
    marked.to_csv("marked.csv", index=False)
    options = {"target": "target", "split": "part", "drop_missing": True, "learner": "linear"}
    first = lepta.fit("marked.csv", **options, **QUICK)
    assert ROWS not in first.names
    assert graph(lepta.fit(from_bundle=first)) == graph(first)
    marked.loc[0, "part"] = "test"
    marked.to_csv("marked.csv", index=False)
    with pytest.raises(DataError, match="values of 'part' have changed"):
        lepta.fit(from_bundle=first)


def test_what_changed_is_told(place: Path, frame, linear: lepta.Bundle) -> None:
    assert ROWS not in linear.names

    def refused(changed, message: str) -> None:
        changed.to_csv("cancer.csv", index=False)
        with pytest.raises(DataError, match=message):
            lepta.fit(from_bundle=linear)

    refused(frame.iloc[:290], "there are 290 rows instead of 300")
    refused(frame.assign(extra=range(300)), "the field 'extra' is new")
    refused(frame.drop(columns="mean area"), "the field 'mean area' is gone")
    refused(frame.assign(**{"mean area": 1.5 + frame["mean area"]}), "values of 'mean area'")
    text = [f"site {value}" for value in range(300)]
    refused(frame.assign(**{"mean area": text}), "'mean area' is read as .*, not number")
    refused(frame[[*frame.columns[1:], frame.columns[0]]], "hash is another")
    Path("cancer.csv").unlink()
    with pytest.raises(DataError, match="no file or folder"):
        lepta.fit(from_bundle=linear)


def test_data_in_memory_are_given_again(place: Path, frame) -> None:
    first = lepta.fit(frame, target="target", learner="linear", seed=2, **QUICK)
    with pytest.raises(ConfigError, match="were in memory"):
        lepta.fit(from_bundle=first)
    for data in (frame, Path("cancer.csv"), lepta.Dataset.read(frame, target="target")):
        assert graph(lepta.fit(data, from_bundle=first)) == graph(first)


def test_only_where_it_runs_may_be_chosen(place: Path, linear: lepta.Bundle) -> None:
    events: list[Event] = []
    context = Context(report=events.append)
    again = lepta.fit(from_bundle=linear, threads=2, context=context)
    assert again.manifest.lineage.config["fit"]["threads"] == 2
    assert "threads 2 instead of 1" in said(events, "warning")
    with pytest.raises(ConfigError, match="'seed' cannot be given for a repeat"):
        lepta.fit(from_bundle=linear, seed=3)
    assert main(["fit", "--from", "none.lepta", "--seed", "3"]) == 2


def test_another_machine_and_a_budget_are_warned_of(place: Path, linear: lepta.Bundle) -> None:
    lineage = linear.manifest.lineage
    machine = lineage.config["machine"]
    old = machine | {"cpu": "Z80", "libraries": machine["libraries"] | {"numpy": "1.0"}}
    changed = lineage.model_copy(update={"config": lineage.config | {"machine": old}})
    events: list[Event] = []
    context = Context(report=events.append)
    lepta.fit(from_bundle=linear.with_manifest(lineage=changed), context=context)
    warned = said(events, "warning")
    assert "instead of Z80" in warned
    assert f"numpy {np.__version__} instead of 1.0" in warned
    assert "time budget" in warned


def test_a_bundle_without_a_recipe_is_refused(linear: lepta.Bundle) -> None:
    lineage = linear.manifest.lineage
    bare = lineage.model_copy(update={"config": {"fit": lineage.config["fit"]}})
    with pytest.raises(BundleError, match="does not hold what is needed"):
        lepta.fit(from_bundle=linear.with_manifest(lineage=bare))
    newer = lineage.model_copy(
        update={"config": lineage.config | {"fit": lineage.config["fit"] | {"flux": 1}}}
    )
    with pytest.raises(BundleError, match="cannot be repeated by this version"):
        lepta.fit(from_bundle=linear.with_manifest(lineage=newer))


def test_the_lineage_holds_no_password() -> None:
    options = ReadOptions(target="y")
    address = "s3://anna:secret@store:9000/data.csv"
    assert Origin.of(address, options).source == "s3://store:9000/data.csv"
    assert Origin.of(Path("a/b.csv"), options).source == "a/b.csv"
    assert Origin.of({"x": [1]}, options).source is None
