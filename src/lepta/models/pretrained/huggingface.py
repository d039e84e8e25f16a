"""Models of Hugging Face, from the hub or a folder: safetensors only, and none of their code."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from lepta.core.errors import ConfigError, TrainError, Where, missing_extra
from lepta.core.schema import Kind
from lepta.models.pretrained.base import Pooling, Pretrained

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLASS_TOKENS = {"cls_token", "class_token", "class_embedding"}
"""What models of images call the token that stands for the whole image."""
_SIDE = 224
_LENGTH = 256


def hugging_face(name: str, pooling: Pooling = "auto") -> Pretrained:
    """Return a model of Hugging Face for texts or images.

    Args:
        name: a folder as ``save_pretrained`` writes it, or "organisation/model" on the hub, which
            is asked unless ``HF_HUB_OFFLINE=1`` or the model is in the cache.
        pooling: how vectors of tokens or patches become one.

    Raises:
        MissingExtraError: transformers is not installed.
        ConfigError: there is no such pooling, or the model is of another kind.
        TrainError: the model cannot be had, lacks weights or has pickled ones only, or wants to
            run its code.
    """
    if pooling not in get_args(Pooling):
        raise ConfigError(
            f"There is no pooling {pooling!r}.", fix=f"Choose {', '.join(get_args(Pooling))}."
        )
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise missing_extra("transformers", "transformers", "A model of Hugging Face") from error
    folder = Path(name)
    if folder.is_dir():
        _refuse_pickles(folder)
    with _quiet(), _explained(name):
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        images = hasattr(config, "num_channels") and not hasattr(config, "vocab_size")
        model, loaded = transformers.AutoModel.from_pretrained(
            name,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager" if not images or _has_tokens(config) else None,
            dtype=torch.float32,
            output_loading_info=True,
        )
    _refuse_gaps(name, loaded["missing_keys"])
    model.eval()
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError(f"{name} writes texts; Lepta takes encoders.", fix="Take its encoder.")
    if images:
        return _images(name, model, config, pooling)
    return _texts(name, model, config, pooling)


class _TextFeatures(nn.Module):
    """Token ids (rows, length), 0 at the end where there is none, to (rows, features)."""

    def __init__(self, model: Any, padding: int, pooling: Pooling) -> None:
        super().__init__()
        self.model, self.padding, self.pooling = model, padding, pooling

    def forward(self, ids: Tensor) -> Tensor:
        told = (ids != 0).long()
        mask = (told.flip(1).cumsum(1).flip(1) > 0).long()
        ids = torch.where(mask > 0, ids, self.padding)
        hidden: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = mask[:, :, None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)


class _ImageFeatures(nn.Module):
    """RGB images in [0, 1] to (rows, features)."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: Any, mean: tuple[float, ...], std: tuple[float, ...], pooling: Pooling
    ) -> None:
        super().__init__()
        self.model, self.pooling = model, pooling
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.model((images - self.mean) / self.std).last_hidden_state
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        return hidden[:, 0] if self.pooling == "cls" else hidden.mean(1)


def _texts(name: str, model: Any, config: Any, pooling: Pooling) -> Pretrained:
    import transformers

    with _quiet(), _explained(name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            name, use_fast=True, trust_remote_code=False
        )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TrainError(
            f"{name} has no fast tokenizer, which a bundle could hold.",
            fix="Take a model that has a tokenizer.json.",
        )
    backend.no_padding()
    backend.no_truncation()
    features = int(config.hidden_size)
    most = int(getattr(config, "max_position_embeddings", _LENGTH) or _LENGTH)
    return Pretrained(
        name=name,
        kind=Kind.TEXT,
        network=_TextFeatures(model, int(config.pad_token_id or 0), pooling),
        stages=_stages(model),
        features=features,
        levels={"last": (0, features)},
        tokenizer=backend.to_str().encode(),
        length=min(_LENGTH, most - 2),
    )


def _images(name: str, model: Any, config: Any, pooling: Pooling) -> Pretrained:
    mean, std, size = _processing(name, config)
    if pooling == "auto":
        last = {key.rsplit(".", 1)[-1] for key, _ in model.named_parameters()}
        pooling = "cls" if last & _CLASS_TOKENS else "mean"
    network = _ImageFeatures(model, mean, std, pooling)
    with torch.no_grad():
        features = int(network(torch.zeros(1, 3, size, size)).shape[1])
    return Pretrained(
        name=name,
        kind=Kind.IMAGE,
        network=network,
        stages=_stages(model),
        features=features,
        levels={"last": (0, features)},
        size=size,
    )


def _processing(name: str, config: Any) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return mean, deviation and side of the images that a model was trained on."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        with _quiet():
            said, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except (OSError, ValueError):
        said = {}
    mean = said.get("image_mean") or _IMAGENET[0]
    std = said.get("image_std") or _IMAGENET[1]
    if said.get("do_normalize") is False:
        mean, std = (0.0,) * 3, (1.0,) * 3
    crop = said.get("crop_size") or said.get("size") or {}
    side = crop if isinstance(crop, int) else crop.get("height") or crop.get("shortest_edge")
    fixed = getattr(config, "image_size", None) if _has_tokens(config) else None
    return tuple(mean), tuple(std), int(fixed or side or getattr(config, "image_size", 0) or _SIDE)


def _has_tokens(config: Any) -> bool:
    """Whether a model of images cuts them into patches that attend to each other."""
    return hasattr(config, "num_attention_heads")


def _stages(model: Any) -> tuple[tuple[nn.Module, ...], ...]:
    """Return the parts of a model from input to output: what comes before its layers, and each.

    The layers are the longest list of modules; what follows them goes with the last one.
    """
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
    if not lists:
        return (tuple(model.children()),)
    layers = max(lists, key=len)
    inside = {id(module) for layer in layers for module in layer.modules()}
    seen = False
    before: list[nn.Module] = []
    after: list[nn.Module] = []
    for module in model.modules():
        if id(module) in inside:
            seen = True
        elif next(module.children(), None) is None and next(module.parameters(), None) is not None:
            (after if seen else before).append(module)
    stages: list[tuple[nn.Module, ...]] = [(layer,) for layer in layers]
    stages[-1] = (*stages[-1], *after)
    return (tuple(before), *stages) if before else tuple(stages)


def _refuse_gaps(name: str, missing: Iterable[str]) -> None:
    """Refuse a model without some of its weights, in whose place the library puts random ones.

    A pooler may lack them: what it gives is not used.

    Raises:
        TrainError: weights are missing.
    """
    lacking = sorted(key for key in missing if "pooler" not in key.split("."))
    if lacking:
        raise TrainError(
            f"The model {name!r} lacks {len(lacking)} of its weights, such as {lacking[0]}.",
            fix="Take a complete copy of it, or one of the same architecture as its config.json.",
        )


def _refuse_pickles(folder: Path) -> None:
    """Refuse a folder whose weights are pickled only: to read them could run anything.

    Raises:
        TrainError: there are no safetensors.
    """
    if any(folder.glob("*.safetensors")):
        return
    found = [path.name for pattern in _PICKLED for path in folder.glob(pattern)]
    what = f"pickled weights only ({', '.join(found[:3])})" if found else "no weights"
    raise TrainError(
        f"The folder holds {what}.",
        where=Where(file=str(folder)),
        fix="Where you trust the model, load it once with transformers and write it with "
        "model.save_pretrained(FOLDER), which gives safetensors.",
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Tell in Lepta's words why a model cannot be had."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        text = " ".join(str(error).split())
        if "trust_remote_code" in text:
            what, fix = "runs code of its own", "Take a model that transformers knows itself."
        elif "safetensors" in text:
            what = "has no safetensors"
            fix = "Take a revision or a copy of it that has model.safetensors."
        else:
            what = "cannot be loaded"
            fix = (
                "Check the name and the network; or download it elsewhere with "
                "`hf download` and give the folder."
            )
        raise TrainError(f"The model {name!r} {what}: {text[:300]}", fix=fix) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and advice of the library off."""
    from transformers.utils import logging as library

    logging: Any = library
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
