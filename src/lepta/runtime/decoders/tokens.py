"""Text to token ids, by a tokenizer that travels inside the bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import BundleError, InputError, missing_extra

PADDING = 0
"""Id of padding; it stands for no word."""


@dataclass(frozen=True)
class TokensDecoder:
    """Decode text (UTF-8) to token ids (length,), int64; 0 is padding, at the end.

    Texts of more tokens than ``length`` are cropped at their end; the tokens that a tokenizer sets
    around a text ([CLS], [SEP]) stay.

    Args:
        content: the tokenizer, in the JSON form of the package ``tokenizers``.
        length: tokens of the result.
    """

    content: bytes = field(repr=False)
    length: int

    dtype = "int64"

    def __call__(self, data: bytes, name: str = "") -> NDArray[np.int64]:
        """Return the ids of the text in ``data``.

        Raises:
            InputError: the text is not UTF-8.
            BundleError: the tokenizer is damaged.
            MissingExtraError: the package tokenizers is not installed.
        """
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("The text is not UTF-8.") from error
        return self.encode(text)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the ids of a text; see the class."""
        ids = self._tokenizer.encode(text).ids[: self.length]
        out = np.full(self.length, PADDING, np.int64)
        out[: len(ids)] = ids
        return out

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise missing_extra("tokenizers", "text", "A model that reads text") from error
        try:
            json.loads(self.content)
            tokenizer = Tokenizer.from_str(self.content.decode("utf-8"))
        except Exception as error:  # the package raises bare exceptions
            raise BundleError(
                f"The tokenizer of the bundle cannot be read: {error}",
                fix="Make the bundle again, or upgrade tokenizers.",
            ) from error
        tokenizer.no_padding()
        if self.length > tokenizer.num_special_tokens_to_add(is_pair=False):
            tokenizer.enable_truncation(self.length)
        else:
            tokenizer.no_truncation()
        return tokenizer
