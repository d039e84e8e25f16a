"""Texts to the features of a pretrained encoder that stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.core.schema import Field, Kind
from lepta.data.cache import kept
from lepta.models.front.base import Prepared
from lepta.models.front.text import TextFront, read_length, texts_of
from lepta.models.graph import Graph
from lepta.models.pretrained import Backbone, get_backbone, pretrained
from lepta.models.pretrained.base import Pooling
from lepta.runtime.session import open_session

if TYPE_CHECKING:
    from lepta.data import Dataset

_ROWS = 32
_KEPT = 64
"""Texts from which on their features are kept on disk, for other processes and later runs."""
_REMEMBERED = 100_000
"""Texts whose features are kept: rows are prepared more than once in a fit."""


@dataclass(frozen=True, eq=False)
class EncodedTextFront(TextFront):
    """One text field, tokenised as its encoder was trained, to (rows, features).

    Attributes:
        backbone: the encoder.
    """

    backbone: Backbone = field(repr=False)

    prepared: ClassVar[str] = "float32"

    @classmethod
    def of(
        cls,
        data: Dataset,
        source: Field,
        tensor: str,
        optional: bool,
        member: str,
        encoder: str,
        pooling: Pooling = "auto",
    ) -> EncodedTextFront:
        """Take the encoder's tokenizer, and choose how many tokens are read: 95 % of texts whole.

        Raises:
            ConfigError: the encoder is not one of texts.
            DataError: no row has a text.
        """
        given = pretrained(encoder, pooling)
        if given.kind != Kind.TEXT:
            raise ConfigError(
                f"{encoder!r} is for {given.kind.value} fields, and {source.name!r} is text.",
                fix="Choose minilm, or a Hugging Face model of texts.",
            )
        length = read_length(texts_of(data, source), given.tokenizer, given.length)
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            member=member,
            tokenizer=given.tokenizer,
            vocabulary=0,
            length=length,
            backbone=get_backbone(encoder, pooling, length),
        )

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, self.backbone.source.features)

    def emit(self, graph: Graph, tensor: str) -> str:
        name = self.backbone.model.graph.input[0].name
        (features,) = graph.embed(self.backbone.model, {name: tensor})
        return features

    @cached_property
    def _known(self) -> dict[bytes, NDArray[np.float32]]:
        return {}

    def run(self, data: Dataset, context: Context) -> Prepared:
        ids, present = super().run(data, context)
        keys = [row.tobytes() for row in ids]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        found: dict[bytes, NDArray[np.float32]] = dict(self._known)
        if new:
            found |= self._encoded(ids, new, context)
        self._known.update(
            (key, found[key]) for key in list(new)[: max(0, _REMEMBERED - len(self._known))]
        )
        return np.stack([found[key] for key in keys]), present

    def _encoded(
        self, ids: NDArray[Any], new: dict[bytes, int], context: Context
    ) -> dict[bytes, NDArray[np.float32]]:
        model, keys = self.graph().SerializeToString(), list(new)
        rows = ids[np.array(list(new.values()))]

        def encode() -> NDArray[np.float32]:
            session = open_session(model, threads=context.threads or 1)
            pieces = []
            name = f"reading {self.source.name}"
            with context.stage(name, total=len(rows), unit="text") as stage:
                for begin in range(0, len(rows), _ROWS):
                    (features,) = session.run(None, {self.tensor: rows[begin : begin + _ROWS]})
                    pieces.append(features)
                    stage.advance(len(features))
            return np.concatenate(pieces)

        few = len(rows) < _KEPT
        made = encode() if few else kept("texts", (model, rows.tobytes()), encode, context)
        return dict(zip(keys, np.asarray(made), strict=True))
