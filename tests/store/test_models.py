import shutil
from pathlib import Path

import pytest

from lepta.core.errors import BundleError, StoreError
from lepta.store import Store


def test_versions_aliases_and_references(store: Store, bundle: Path, better: Path) -> None:
    with store.run("ct") as run:
        run.log_bundle(bundle)
    first = store.register("ct", bundle, run=run, alias="champion")
    assert (first.version, first.aliases, first.run_id) == (1, ("champion",), run.id)
    assert first.metrics == {"auroc": 0.91}
    second = store.register("ct", better)
    assert (second.version, second.aliases) == (2, ())
    assert store.resolve("ct@champion").read_bytes() == bundle.read_bytes()
    assert store.resolve("ct").read_bytes() == better.read_bytes()
    assert store.resolve("ct@1").read_bytes() == bundle.read_bytes()
    store.alias("ct", "champion", 2)
    assert store.resolve("ct@champion").read_bytes() == better.read_bytes()
    (model,) = store.models()
    assert (model.name, model.aliases) == ("ct", {"champion": 2})
    assert [version.version for version in model.versions] == [2, 1]


def test_a_bundle_already_in_the_run_is_not_stored_twice(
    store: Store, folder: Path, bundle: Path
) -> None:
    with store.run("ct") as run:
        run.log_bundle(bundle)
    store.register("ct", bundle, run=run.id)
    assert len(list(folder.glob("artifacts/**/ct.lepta"))) == 1


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("cte", "no model 'cte'. Did you mean 'ct'"),
        ("ct@champoin", "no alias 'champoin'. Did you mean 'champion'"),
        ("ct@7", "no version '7'"),
    ],
)
def test_unknown_references_are_told_with_the_nearest(
    store: Store, bundle: Path, reference: str, message: str
) -> None:
    store.register("ct", bundle, alias="champion")
    with pytest.raises(StoreError, match=message):
        store.resolve(reference)


def test_a_changed_file_is_refused(store: Store, folder: Path, bundle: Path) -> None:
    store.register("ct", bundle)
    kept = store.resolve("ct")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="SHA-256"):
        store.resolve("ct")
    kept.unlink()
    with pytest.raises(StoreError, match="is gone"):
        store.resolve("ct")


def test_the_project_folder_may_move(store: Store, folder: Path, bundle: Path) -> None:
    store.register("ct", bundle)
    elsewhere = folder.parent.parent / "moved"
    shutil.move(folder, elsewhere)
    assert Store(elsewhere).resolve("ct").is_relative_to(elsewhere)


def test_only_sound_bundles_are_registered(store: Store, tmp_path: Path) -> None:
    fake = tmp_path / "fake.lepta"
    fake.write_bytes(b"not a zip")
    with pytest.raises(BundleError):
        store.register("ct", fake)
    assert store.models() == []


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "it's", 'a"b', "a%"])
def test_names_that_cannot_be_looked_up_are_refused(store: Store, bundle: Path, name: str) -> None:
    with store.run("ct") as run, pytest.raises(StoreError, match="cannot name a model"):
        store.register(name, bundle, run=run)


def test_an_alias_must_not_read_as_a_version(store: Store, bundle: Path) -> None:
    store.register("ct", bundle)
    with pytest.raises(StoreError, match="read as a version"):
        store.alias("ct", "2", 1)
    with pytest.raises(StoreError, match="no version '9'"):
        store.alias("ct", "champion", 9)
    with pytest.raises(StoreError, match="alias"):
        store.alias("ct", "not allowed!", 1)


def test_awkward_file_names_survive(store: Store, bundle: Path, tmp_path: Path) -> None:
    path = shutil.copy(bundle, tmp_path / "Läsion #1 50%.lepta")
    store.register("ct", path)
    assert store.resolve("ct").read_bytes() == bundle.read_bytes()


def test_a_model_of_other_tools_is_told_apart(store: Store) -> None:
    client = store._client
    client.create_registered_model("other")
    client.create_model_version("other", "file:///nowhere/model")
    with pytest.raises(StoreError, match="was not registered by Lepta"):
        store.resolve("other")
