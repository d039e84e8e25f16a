"""The whole of compress: what comes out keeps the contract and the promise."""

import json
import subprocess
import sys

import numpy as np
import pytest

import lepta
from lepta.bundle import Bundle
from lepta.compression import CompressOptions, compress
from lepta.compression.options import parse_size
from lepta.compression.rows import rows_of
from lepta.core.errors import CompressError, ConfigError
from lepta.core.events import Context
from lepta.runtime import Predictor


@pytest.fixture(scope="module")
def small(network, digits):
    return compress(network, digits, target="int8", max_drop=0.02, context=Context(threads=1))


def test_a_network_becomes_smaller_and_keeps_the_contract(small, network, digits):
    assert small.signature == network.signature
    assert small.task == network.task
    assert small.manifest.lineage.parent == network.digest
    assert small.manifest.lineage.config["compression"]["steps"]
    assert len(small.read("model.onnx")) < 0.5 * len(network.read("model.onnx"))
    Predictor(small)  # its own examples
    test = digits.split()["test"]
    before, after = (lepta.evaluate(b, test).metrics[0].value for b in (network, small))
    assert before - after <= 0.02
    assert small.manifest.metrics[0].value == after


def test_the_card_and_a_document_tell_what_was_tried(small):
    found = json.loads(small.read("compression.json"))
    labels = [entry["steps"] for entry in found["tried"]]
    assert labels[0] == "as given"
    assert found["chosen"] in labels
    chosen = found["tried"][labels.index(found["chosen"])]
    assert chosen["confirmed"]["accepted"]
    assert chosen["confirmed"]["bound"] <= 0.02
    assert chosen["ratio"] <= 1.02
    card = small.read("card.md").decode()
    assert "## Compression" in card
    assert "data:image/png;base64," in card.split("## Compression")[1]


def test_too_few_rows_prove_nothing_but_what_is_exact_stays_possible(network, digits):
    made = compress(network, digits, target="int8", max_drop=0.001)
    found = json.loads(made.read("compression.json"))
    assert found["chosen"] in ("fold > half", "half")
    why = {entry["steps"]: entry.get("why not", "") for entry in found["tried"]}
    assert "are needed" in why["fold > int8"]
    columns = {"img": digits.inputs()["img"][:40]}
    gap = Predictor(made).scores(columns) - Predictor(network).scores(columns)
    assert np.abs(gap).max() < 1e-3


def test_strings_and_missing_values_still_go_through(table_network, tumours):
    made = compress(table_network, tumours, target="int8,dynamic,weights8", max_drop=0.1)
    rows = tumours.take(np.arange(20)).inputs()
    rows["f0"] = [None, *list(rows["f0"])[1:]]
    rows["kind"] = ["never seen", None, *list(rows["kind"])[2:]]
    gap = Predictor(made).scores(rows) - Predictor(table_network).scores(rows)
    assert np.abs(gap).max() < 0.1


def test_trees_are_left_alone_by_what_is_for_networks(tumours):
    trees = lepta.fit(tumours, learner="trees", audit=False, settings={"rounds": 30})
    said = []
    made = compress(trees, tumours, target="int8,dynamic", context=Context(report=said.append))
    if made is trees:
        assert "no layer of a network" in str(said)
    else:
        found = json.loads(made.read("compression.json"))
        assert set(found["chosen"].split(" > ")) <= {"fold", "half"}


def test_the_rows_that_judge_are_those_the_model_has_not_seen(network, digits, tumours):
    options = CompressOptions()
    rows = rows_of(network, digits, options, Context())
    assert rows.judges == ("valid",)
    held = [set(part.row_numbers.tolist()) for part in (rows.train, rows.search, rows.confirm)]
    assert len(held[0] | held[1] | held[2]) == sum(map(len, held))
    assert len(held[2]) == pytest.approx(2 * len(held[1]), rel=0.05)
    linear = lepta.fit(tumours, learner="linear", audit=False)
    assert rows_of(linear, tumours, options, Context()).judges == ("test",)


def test_rows_split_otherwise_are_refused(network, digits):
    with pytest.raises(CompressError, match="others than when the model was fitted"):
        compress(network, digits.split(seed=5))


def test_options_are_checked(network, digits):
    with pytest.raises(ConfigError, match="Did you mean 'int8'"):
        compress(network, digits, target="int9")
    with pytest.raises(ConfigError, match="no metric 'acuracy'"):
        compress(network, digits, metric="acuracy")
    assert parse_size("1.5 MB") == 1_500_000
    assert CompressOptions(size="900kB").size == 900_000


def test_from_the_command_line(table_network, tumours, tmp_path):
    from pyarrow import csv

    table_network.save(tmp_path / "given.lepta")
    csv.write_csv(tumours.table, tmp_path / "rows.csv")
    command = [sys.executable, "-m", "lepta.app.cli", "compress", "given.lepta", "rows.csv"]
    options = ["--target", "dynamic", "--max-drop", "0.2", "-o", "small.lepta", "--quiet"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "<- chosen" in done.stdout
    assert Bundle.load(tmp_path / "small.lepta").manifest.lineage.parent == table_network.digest
