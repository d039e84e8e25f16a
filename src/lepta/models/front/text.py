"""Texts to token ids (rows, length), int64; 0 is padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import DataError, Where, missing_extra
from lepta.core.events import Context
from lepta.core.schema import Field
from lepta.models.front.base import FieldFront, Prepared
from lepta.models.graph import Graph
from lepta.runtime.decoders.tokens import PADDING, TokensDecoder
from lepta.runtime.fields import MEMBER, FieldReader

if TYPE_CHECKING:
    from lepta.data import Dataset

VOCABULARY = 16_000
"""Most tokens that a tokenizer knows."""
MAX_LENGTH = 256
"""Most tokens of a text that are read."""
_COVERED = 0.95
_ROUND = 8


@dataclass(frozen=True, eq=False)
class TextFront(FieldFront):
    """Fitted tokenizer of one text field.

    Attributes:
        member: name of the tokenizer's file in the bundle.
        tokenizer: its content.
        vocabulary: number of token ids, padding included.
        length: tokens read of a text.
    """

    member: str
    tokenizer: bytes = field(repr=False)
    vocabulary: int
    length: int

    prepared: ClassVar[str] = "int64"

    @classmethod
    def fit(
        cls,
        data: Dataset,
        source: Field,
        tensor: str,
        optional: bool,
        member: str,
        given: tuple[bytes, int] | None = None,
    ) -> TextFront:
        """Train a tokenizer on the texts, and choose how many tokens are read: 95 % of them whole.

        ``given`` is a tokenizer to take instead, and how many tokens may be read at the most.

        Raises:
            DataError: no row has a text.
            MissingExtraError: the package tokenizers is not installed.
        """
        texts = texts_of(data, source)
        content, most = given or (b"", MAX_LENGTH)
        vocabulary = 0
        if given is None:
            content, vocabulary = train_tokenizer(texts)
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            member=member,
            tokenizer=content,
            vocabulary=vocabulary,
            length=read_length(texts, content, most),
        )

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, self.length)

    @property
    def input(self) -> InputSpec:
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype="int64",
            shape=(-1, self.length),
            decoder="tokens",
            options={MEMBER: self.member, "length": self.length},
            required=not self.optional,
        )

    @property
    def members(self) -> Mapping[str, bytes]:
        return {self.member: self.tokenizer}

    @cached_property
    def _reader(self) -> FieldReader:
        return FieldReader(self.input, self.members.__getitem__)

    def emit(self, graph: Graph, tensor: str) -> str:
        return graph.op("Identity", tensor)

    def emit_present(self, graph: Graph, tensor: str) -> str:
        last = graph.op("ReduceMax", tensor, graph.const([1], "int64"), keepdims=1)
        return graph.op("Cast", graph.op("Greater", last, graph.const(PADDING, "int64")), to=1)

    def tokens(self, data: Dataset) -> NDArray[np.int64]:
        """Return the token ids of the texts of a dataset, (rows, length)."""
        texts = data.column(self.source.name)
        return np.stack([self._reader(text, row) for row, text in enumerate(texts)])

    def run(self, data: Dataset, context: Context) -> Prepared:
        ids = self.tokens(data)
        return ids, np.any(ids, axis=1)[:, None].astype(np.float32)


def texts_of(data: Dataset, source: Field) -> list[str]:
    """Return the texts of a field that has some.

    Raises:
        DataError: no row has a text.
    """
    texts = [str(text) for text in data.column(source.name) if text]
    if not texts:
        raise DataError(
            f"No training row has a text in {source.name!r}.",
            where=Where(field=source.name),
            fix=f"Leave the field out with roles={{{source.name!r}: 'ignore'}}.",
        )
    return texts


def read_length(texts: list[str], tokenizer: bytes, most: int) -> int:
    """Return how many tokens to read so that 95 % of texts are read whole, ``most`` at the most."""
    whole = TokensDecoder(content=tokenizer, length=most)
    lengths = [np.count_nonzero(whole.encode(text)) for text in texts[:5000]]
    length = int(np.ceil(np.quantile(lengths, _COVERED) / _ROUND)) * _ROUND
    return min(most, max(_ROUND, length))


def train_tokenizer(texts: Iterable[str], most: int = VOCABULARY) -> tuple[bytes, int]:
    """Train a WordPiece tokenizer (Schuster & Nakajima 2012) on texts in lower case.

    Returns:
        The tokenizer as JSON, and the number of its token ids; 0 is padding, 1 unknown.

    Raises:
        MissingExtraError: the package tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    except ModuleNotFoundError as error:
        raise missing_extra("tokenizers", "text", "Learning from text") from error
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=most,
        min_frequency=2,
        special_tokens=["[PAD]", "[UNK]"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode(), int(tokenizer.get_vocab_size())
