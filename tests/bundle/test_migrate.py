"""Readers of older protocols are kept; here a protocol 2 that renames a field is played."""

import pytest

from lepta.bundle import PROTOCOL, Bundle, migrate
from lepta.bundle import manifest as current
from lepta.core.errors import BundleError


def test_every_protocol_but_the_newest_has_a_migration():
    assert set(migrate.MIGRATIONS) == set(range(1, PROTOCOL))


def test_an_older_manifest_is_brought_to_today(golden, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(current, "PROTOCOL", 3)
    monkeypatch.setitem(migrate.MIGRATIONS, 1, lambda d: {**d, "notes": [*d["notes"], "one"]})
    monkeypatch.setitem(migrate.MIGRATIONS, 2, lambda d: {**d, "notes": [*d["notes"], "two"]})
    loaded = Bundle.load(golden)
    assert loaded.manifest.protocol == 3
    assert loaded.manifest.notes == ("Written by hand.", "one", "two")
    unchanged = loaded.save(tmp_path / "a.lepta")
    assert unchanged.read_bytes() == golden.read_bytes()
    assert loaded == bundle


def test_a_protocol_beyond_the_newest_is_refused():
    with pytest.raises(BundleError, match="newer Lepta"):
        migrate.migrate({"format": "lepta", "protocol": PROTOCOL + 1})
