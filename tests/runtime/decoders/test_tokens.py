"""Texts to token ids: what a tokenizer sets around a text stays where the text is cropped."""

import numpy as np
import pytest

from lepta.runtime.decoders import TokensDecoder

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def content() -> bytes:
    """A tokenizer that begins a text with 2 and ends it with 3."""
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "c": 6}
    model = tokenizers.models.WordLevel(words, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


@pytest.mark.parametrize(
    ("text", "length", "wanted"),
    [
        ("a b", 6, [2, 4, 5, 3, 0, 0]),
        ("a b c a b c", 5, [2, 4, 5, 6, 3]),
        ("a b c", 2, [2, 4]),
        ("", 3, [2, 3, 0]),
    ],
)
def test_the_end_of_a_text_stays(content: bytes, text: str, length: int, wanted: list[int]) -> None:
    ids = TokensDecoder(content=content, length=length)(text.encode())
    np.testing.assert_array_equal(ids, wanted)
