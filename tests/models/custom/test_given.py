"""Which learner takes what somebody brings."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from lepta.core.errors import ConfigError
from lepta.models.custom import learner_for, load_model, summary
from lepta.models.custom.given import Sources


class Net(nn.Module):
    pass


def make_net() -> nn.Module:
    return Net()


def test_each_kind_of_model_has_its_learner() -> None:
    assert learner_for(Net()) == learner_for(Net) == learner_for(make_net) == "torch"
    assert learner_for(LogisticRegression()) == "sklearn"


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="no learner for int"):
        learner_for(3)
    with pytest.raises(ConfigError, match="LogisticRegression is a class") as caught:
        learner_for(LogisticRegression)
    assert "LogisticRegression()" in str(caught.value)
    with pytest.raises(ConfigError, match="trained already") as caught:
        learner_for("lungs.onnx")
    assert "lepta import lungs.onnx" in str(caught.value)


def test_a_name_of_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "nets.py"
    path.write_text("import torch\nclass Small(torch.nn.Linear): pass\nsmall = Small(2, 2)\n")
    assert isinstance(load_model(f"{path}:small"), torch.nn.Linear)
    assert learner_for(f"{path}:Small") == "torch"
    with pytest.raises(ConfigError, match="Did you mean 'Small'"):
        load_model(f"{path}:smal")
    with pytest.raises(ConfigError, match="no such file"):
        load_model(f"{tmp_path}/other.py:small")
    with pytest.raises(ConfigError, match=r"no module 'netz'"):
        load_model("netz:small")
    with pytest.raises(ConfigError, match="names no model"):
        load_model("nets")
    assert load_model("sklearn.linear_model:LogisticRegression") is LogisticRegression


def test_records_name_the_model() -> None:
    assert summary("nets.py:Small") == "nets.py:Small"
    assert summary(Net()).endswith(":Net>")
    with pytest.raises(ConfigError, match="an object that is not kept"):
        load_model(summary(Net()))
    assert summary(make_net).endswith(":make_net")


def test_keras_on_another_backend_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Dense(1)])
    assert learner_for(model) == "keras"
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    with pytest.raises(ConfigError, match="with the backend 'tensorflow'") as caught:
        learner_for(model)
    assert "KERAS_BACKEND=torch before Keras is imported" in str(caught.value)


def test_keras_in_a_file_gets_the_torch_backend(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("import os\nbackend = os.environ['KERAS_BACKEND']\n")
    code = (
        "import os; os.environ.pop('KERAS_BACKEND', None)\n"
        "from lepta.models.custom import load_model\n"
        f"assert load_model({str(tmp_path / 'nets.py')!r} + ':backend') == 'torch'\n"
        "assert 'KERAS_BACKEND' not in os.environ\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_process_gets_the_file_of_a_model_first(tmp_path: Path) -> None:
    path = tmp_path / "ours.py"
    path.write_text("class Net:\n    answer = 42\n")
    data = pickle.dumps((Sources(), load_model(f"{path}:Net")()))
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[1].answer)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert done.stdout.split() == [b"42"], done.stderr.decode()
