"""Fitted preprocessing, written once, as ONNX: training runs the very graph that ships."""

from lepta.models.front.audio import AudioFront
from lepta.models.front.base import FieldFront
from lepta.models.front.front import OTHERS, PRESENT, TABLE, Front, fit_front
from lepta.models.front.image import ImageFront, ImageOptions
from lepta.models.front.series import SeriesFront
from lepta.models.front.table import TableFront, TableStyle
from lepta.models.front.text import TextFront
from lepta.models.front.volume import VolumeFront

__all__ = [
    "OTHERS",
    "PRESENT",
    "TABLE",
    "AudioFront",
    "FieldFront",
    "Front",
    "ImageFront",
    "ImageOptions",
    "SeriesFront",
    "TableFront",
    "TableStyle",
    "TextFront",
    "VolumeFront",
    "fit_front",
]
