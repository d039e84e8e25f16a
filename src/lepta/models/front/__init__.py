"""Fitted preprocessing, written once, as ONNX: training runs the very graph that ships."""

from lepta.models.front.front import Front, fit_front
from lepta.models.front.image import ImageFront, ImageOptions
from lepta.models.front.table import TableFront, TableStyle

__all__ = ["Front", "ImageFront", "ImageOptions", "TableFront", "TableStyle", "fit_front"]
