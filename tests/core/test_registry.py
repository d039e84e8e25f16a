import importlib.metadata
import sys

import pytest

from lepta.core import registry
from lepta.core.errors import ConfigError
from lepta.core.registry import Registry


@pytest.fixture
def shelf(monkeypatch):
    point = importlib.metadata.EntryPoint("extra", "json:dumps", "lepta.things")

    def entry_points(group, name="extra"):
        return [point] if (group, name) == ("lepta.things", "extra") else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return Registry("lepta.things", "thing", {"wave": "wave:open", "loads": "json:loads"})


def test_names_are_built_in_or_plugged_in(shelf):
    assert shelf.names() == ("extra", "loads", "wave")
    assert shelf.get("loads") is __import__("json").loads
    assert shelf.get("extra") is __import__("json").dumps


def test_nothing_is_imported_before_it_is_asked_for(shelf, monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    shelf.names()
    assert "wave" not in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest(shelf):
    with pytest.raises(ConfigError, match=r"no thing called 'load'. Did you mean 'loads'\?") as it:
        shelf.get("load")
    assert it.value.fix == "Known: extra, loads, wave."


def test_without_plug_ins():
    assert Registry("lepta.nothing", "thing", {}).names() == ()
