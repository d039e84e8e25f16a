import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from lepta.core.config import Config, Seconds, parse_duration, read_mapping
from lepta.core.errors import ConfigError, MissingExtraError


class Tree(Config):
    depth: int = Field(default=3, ge=1)


class Search(Config):
    time: Seconds = "60s"
    tree: Tree = Tree()
    trials: int | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("60s", 60), ("10m", 600), ("1.5h", 5400), (" 1 d ", 86400), (2, 2), (0.5, 0.5)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds
    assert Search.parse({"time": text}).time == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1w", "1 2", "ten", True, None, "1e3"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match="not a duration"):
        Search.parse({"time": text})


@given(st.floats(0, 1e9))
def test_a_duration_survives_json(value):
    made = Search(time=value)
    assert Search.parse(json.loads(made.model_dump_json())) == made


def test_defaults_are_validated():
    assert Search().time == 60.0


def test_every_problem_is_told_with_the_nearest_option():
    values = {"tiem": 1, "tree": {"dpeth": 2, "depth": 0}, "trials": "x"}
    with pytest.raises(ConfigError) as caught:
        Search.parse(values, source="lepta.yaml")
    text = str(caught.value)
    assert "There is no option 'tiem'. Did you mean 'time'?" in text
    assert "There is no option 'tree.dpeth'. Did you mean 'depth'?" in text
    assert "Option 'tree.depth'" in text
    assert "(got 0)" in text
    assert "Option 'trials'" in text
    assert "file lepta.yaml" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", '{"a": [1, "ü"]}'), ("a.yaml", "a:\n  - 1\n  - ü\n"), ("a.yml", "a: [1, ü]")],
)
def test_yaml_and_json_read_alike(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_mapping(path) == {"a": [1, "ü"]}


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert read_mapping(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{", "not JSON"),
        ("a.yaml", b"a: [", "not YAML"),
        ("a.yaml", b"!!python/object/apply:os.system ['true']", "not YAML"),
        ("a.yaml", b"- 1", "mapping"),
        ("a.json", b"[]", "mapping"),
        ("a.yaml", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=message) as caught:
        read_mapping(tmp_path / name)
    assert caught.value.where.file == str(tmp_path / name)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mapping(tmp_path / "absent.yaml")


def test_without_yaml_the_command_to_run_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("a: 1")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError) as caught:
        read_mapping(tmp_path / "a.yaml")
    assert caught.value.fix == "pip install 'lepta[data]'"
