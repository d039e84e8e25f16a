"""`lepta runs` and `lepta models` on a real store."""

import json
from pathlib import Path

import pytest

from lepta.app.cli import main
from lepta.bundle import Bundle, Manifest, Measured, Signature
from lepta.tasks import Binary


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lepta.store import Store

    folder = tmp_path_factory.mktemp("project") / ".lepta"
    with Store(folder).run("ct", name="first", params={"seed": 1}) as run:
        run.log({"auroc": 0.91, "broken": float("nan")})
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    manifest = Manifest(
        name="ct",
        created="2026-01-01T00:00:00+00:00",
        task=Binary(target="y", classes=("a", "b")),
        signature=Signature(inputs=(), tensors=(), outputs=()),
        metrics=(Measured(name="auroc", value=0.91),),
    )
    return Bundle(manifest, {}).save(tmp_path / "ct.lepta")


def test_runs(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--store", str(store)]) == 0
    header, _, row = capsys.readouterr().out.splitlines()[:3]
    assert header.split() == ["started", "experiment", "name", "status", "auroc", "broken"]
    assert row.split()[2:] == ["ct", "first", "finished", "0.91", "nan"]
    assert main(["runs", "ct", "--store", str(store), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert run["metrics"] == {"auroc": 0.91, "broken": None}
    assert main(["runs", "ct1", "--store", str(store)]) == 2
    assert "Did you mean 'ct'" in capsys.readouterr().err


def test_models(store: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--store", str(store)]
    assert main(["models", *at]) == 0
    assert "No models yet" in capsys.readouterr().out
    assert main(["models", "--register", str(bundle), "--name", "lesion", *at]) == 0
    assert main(["models", "--register", str(bundle), "--name", "lesion", *at]) == 0
    assert main(["models", "--alias", "lesion@champion=2", *at, "--json"]) == 0
    text = capsys.readouterr().out
    versions = json.loads(text[text.index("[") :])
    assert [(v["name"], v["version"], v["aliases"]) for v in versions] == [
        ("lesion", 2, ["champion"]),
        ("lesion", 1, []),
    ]
    assert main(["models", *at]) == 0
    assert "champion" in capsys.readouterr().out.splitlines()[2]


def test_wrong_wishes(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--store", str(store)]
    assert main(["models", "--alias", "x", *at]) == 2
    assert main(["models", "--name", "x", *at]) == 2
    assert main(["models", "--register", "absent.lepta", *at]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_looking_at_nothing_makes_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["runs"]) == 0
    assert main(["models"]) == 0
    assert "No runs yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
