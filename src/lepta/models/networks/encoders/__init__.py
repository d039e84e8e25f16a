"""Encoders: an array of one field to a vector of ``features`` numbers a row."""

from lepta.models.networks.encoders.base import (
    ENCODERS,
    Encoder,
    Pyramid,
    encoder_for,
    encoders_for,
)
from lepta.models.networks.encoders.residual import ReferenceCnn, ResidualCnn
from lepta.models.networks.encoders.tables import TableMlp

__all__ = [
    "ENCODERS",
    "Encoder",
    "Pyramid",
    "ReferenceCnn",
    "ResidualCnn",
    "TableMlp",
    "encoder_for",
    "encoders_for",
]
