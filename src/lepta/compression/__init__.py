"""Make a model smaller and faster, and keep what it is promised to keep."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.compression.candidate import Candidate, Material
    from lepta.compression.compressing import compress
    from lepta.compression.options import CompressOptions
    from lepta.compression.steps import COMPRESSORS, Compressor, Stage

_HOMES = {
    "COMPRESSORS": "lepta.compression.steps",
    "CompressOptions": "lepta.compression.options",
    "Candidate": "lepta.compression.candidate",
    "Compressor": "lepta.compression.steps",
    "Material": "lepta.compression.candidate",
    "Stage": "lepta.compression.steps",
    "compress": "lepta.compression.compressing",
}

__all__ = [
    "COMPRESSORS",
    "Candidate",
    "CompressOptions",
    "Compressor",
    "Material",
    "Stage",
    "compress",
]


__getattr__ = lazy_names(__name__, _HOMES)
