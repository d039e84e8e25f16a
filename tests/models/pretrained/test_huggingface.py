"""Models of Hugging Face from folders: safetensors only, none of their code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lepta
from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.models.pretrained import get_backbone, pretrained
from lepta.models.pretrained.tuned import Tuned
from lepta.runtime.session import open_session
from lepta.tasks import Multilabel, Ordinal, Quantile, Regression, Task
from lepta.tasks.objective import objective_of
from lepta.training.finetune import Finetune
from lepta.training.rows import Rows

transformers = pytest.importorskip("transformers")
LABELS = Multilabel(target="t", classes=("a", "b"))
QUANTILES, PRICE = Quantile(target="t"), Regression(target="t")
GRADES = Ordinal(target="t", classes=("1", "2", "3"))


def vit() -> Any:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    return transformers.ViTModel(config)


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    return transformers.ResNetModel(config)


def convnext() -> Any:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    return transformers.ConvNextModel(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small residual network for images of 32 x 32 pixels."""
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("resnet")
    resnet().save_pretrained(path)
    said = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 32, "width": 32}}
    (path / "preprocessor_config.json").write_text(json.dumps(said))
    return path


@pytest.fixture(scope="module")
def images() -> lepta.Dataset:
    random = np.random.default_rng(0)
    values = random.normal(90, 15, (60, 32, 32, 1))
    values[::2, 8:20, 8:20] += 100
    columns = {"scan": values.clip(0, 255).astype(np.uint8), "lesion": ["yes", "no"] * 30}
    return lepta.Dataset.read(columns, target="lesion").split(valid=0.2, test=0.2, seed=0)


def swin() -> Any:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return transformers.SwinModel(config)


@pytest.mark.parametrize(("make", "size"), [(vit, 32), (convnext, 224), (swin, 32)])
def test_the_graph_gives_what_the_library_gives(make: Any, size: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make().save_pretrained(tmp_path)
    source = pretrained(str(tmp_path))
    assert (source.kind, source.size, source.features) == ("image", size, 16)
    assert len(source.stages) > 1
    backbone = get_backbone(str(tmp_path))
    values = np.random.default_rng(0).uniform(size=(3, 3, size, size)).astype(np.float32)
    session = open_session(backbone.model.SerializeToString())
    name = session.get_inputs()[0].name
    (got,) = session.run(None, {name: values})
    for row in range(3):
        (alone,) = session.run(None, {name: values[row : row + 1]})
        np.testing.assert_allclose(alone[0], got[row], atol=1e-5)
    library = make().from_pretrained(tmp_path).eval()
    normal = (values - np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)) / np.array(
        [0.229, 0.224, 0.225]
    ).reshape(3, 1, 1)
    with torch.no_grad():
        hidden = library(torch.tensor(normal, dtype=torch.float32)).last_hidden_state
    pooled = {vit: lambda: hidden[:, 0], swin: lambda: hidden.mean(1)}  # it has no class token
    wanted = pooled.get(make, lambda: hidden.mean((2, 3)))()
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


def test_frozen_features_and_a_head_become_a_bundle(
    folder: Path, images: lepta.Dataset, tmp_path: Path
) -> None:
    settings = {"backbone": str(folder)}
    context = Context(cache=tmp_path, threads=1)
    bundle = lepta.fit(images, learner="transfer", settings=settings, audit=False, context=context)
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.9


@pytest.mark.parametrize("mode", ["together", "staged"])
def test_a_network_is_trained_on(
    mode: str, folder: Path, images: lepta.Dataset, tmp_path: Path
) -> None:
    settings = {"backbone": str(folder), "mode": mode, "depth": 2, "loop.epochs": 2}
    settings |= {"loop.mirror": mode == "together"}
    context = Context(cache=tmp_path, threads=1)
    bundle = lepta.fit(images, learner="finetune", settings=settings, audit=False, context=context)
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.9


def test_rates_fall_towards_the_input_and_frozen_stages_learn_nothing(folder: Path) -> None:
    source = pretrained(str(folder))
    network = Tuned(source, 0, 2, decay=0.5, ratio=0.2, dropout=0.0)
    assert [group["scale"] for group in network.parameter_groups()] == [1.0]
    network.unfreeze(len(source.stages))
    scales = [group["scale"] for group in network.parameter_groups()]
    assert scales == pytest.approx([1.0, *(0.2 * 0.5**n for n in range(len(source.stages)))])
    held = {id(p) for group in network.parameter_groups() for p in group["params"]}
    assert held == {id(p) for p in network.parameters() if p.requires_grad}
    network.unfreeze(1)
    last = {id(p) for module in source.stages[-1] for p in module.parameters()}
    head = {id(p) for p in network.head.parameters()}
    assert {id(p) for p in network.parameters() if p.requires_grad} == last | head


def test_the_mean_over_both_ways_does_not_depend_on_the_way(folder: Path) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    source = pretrained(str(folder))
    plain, both = (
        Tuned(source, 0, 2, decay=0.5, ratio=0.2, dropout=0.0, mirror=mirror).eval()
        for mirror in (False, True)
    )
    ways = plain.encode(images), plain.encode(images.flip(3))
    assert not torch.allclose(*ways, atol=1e-4)
    for values in (images, images.flip(3)):
        torch.testing.assert_close(both.encode(values), (ways[0] + ways[1]) / 2)
    torch.testing.assert_close(both.train().encode(images), ways[0])


def test_pickled_weights_are_refused_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(TrainError, match="no weights"):
        pretrained(str(tmp_path))
    torch.save(resnet().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(TrainError, match=r"pickled weights only .pytorch_model.bin.") as caught:
        pretrained(str(tmp_path))
    assert "save_pretrained" in str(caught.value)


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    """The library would draw them at random, with a word that nobody sees."""
    from safetensors.torch import load_file, save_file

    vit().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = load_file(path)
    without = {key: t.clone() for key, t in whole.items() if "pooler" not in key}
    save_file(without, path, metadata={"format": "pt"})
    pretrained(str(tmp_path))
    partly = {key: t for key, t in without.items() if "layer.1." not in key}
    save_file(partly, path, metadata={"format": "pt"})
    with pytest.raises(TrainError, match=r"lacks \d+ of its weights, such as .*layers?\.1\."):
        pretrained(str(tmp_path))


@pytest.mark.parametrize("task", [LABELS, QUANTILES, GRADES, PRICE], ids=lambda task: task.name)
def test_the_head_begins_well_for_every_task(task: Task, folder: Path) -> None:
    """Before any training: the targets are those of the task, in its own unit."""
    random = np.random.default_rng(0)
    level = random.uniform(size=100)
    images = np.broadcast_to(level[:, None, None, None], (100, 3, 32, 32)).astype(np.float32)
    y = {
        "multilabel": np.stack([level > 0.3, level > 0.8], 1).astype(np.float32),
        "quantile": 5000 + 900 * level,
        "ordinal": np.digitize(level, [0.3, 0.8]),
        "regression": 5000 + 900 * level,
    }[task.name]
    learner = Finetune(strength=1.0)
    source = pretrained(str(folder))
    network = Tuned(source, 0, task.raw_width, decay=1.0, ratio=1.0, dropout=0.0)
    learner._begin(network, Rows([images], y), task)
    objective = objective_of(task)
    objective.fit(y)
    network.center.copy_(objective.center)
    network.scale.copy_(objective.scale)
    with torch.no_grad():
        scores = task.finish(network.eval()(torch.from_numpy(images)).numpy())
    value = task.metric(task.metrics[0])(y, scores, None)
    good = {"multilabel": value > 0.9, "quantile": value < 80, "ordinal": value > 0.8}
    assert good.get(task.name, value < 200), value


def test_code_of_a_model_is_never_run(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('the code was run')\n")
    with pytest.raises(TrainError, match="runs code of its own"):
        pretrained(str(tmp_path))


def test_what_cannot_be_had_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TrainError, match="'lepta/nothing-there' cannot be loaded") as caught:
        pretrained("lepta/nothing-there")
    assert "give the folder" in str(caught.value)
    with pytest.raises(ConfigError, match="no pooling 'max'"):
        pretrained(str(folder), "max")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Did you mean 'minilm'"):
        pretrained("minilmm")
