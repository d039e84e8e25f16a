"""LoRA: small matrices learn beside the frozen ones of a transformer, and are merged at the end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from lepta.core.errors import ConfigError, missing_extra
from lepta.models.pretrained.tuned import Tuned


@contextmanager
def adapters(network: Tuned, rank: int) -> Iterator[None]:
    """Add adapters (Hu et al. 2021, arXiv:2106.09685) to every linear layer, and merge them after.

    Args:
        network: one whose pretrained part is a transformer of Hugging Face; all of that is frozen.
        rank: of the product of two matrices that each layer learns.

    Raises:
        MissingExtraError: peft is not installed.
        ConfigError: the network is no such transformer.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError as error:
        raise missing_extra("peft", "transformers", "Training by LoRA") from error
    inner: Any = network.network
    model = getattr(inner, "model", None)
    if model is None or not any(isinstance(m, nn.Linear) for m in model.modules()):
        raise ConfigError(
            "LoRA is for transformers of Hugging Face.",
            fix="Choose mode='together' or 'staged', or another backbone.",
        )
    network.unfreeze(0)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    with warnings.catch_warnings():  # peft asks transformers by an old name
        warnings.simplefilter("ignore")
        inner.model = get_peft_model(model, config)
    try:
        yield
    finally:
        inner.model = inner.model.merge_and_unload()
