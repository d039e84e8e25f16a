"""How each operator of ONNX is written in C."""

from lepta.edge.c.operators import (  # noqa: F401
    elementwise,
    images,
    moving,
    networks,
    quantised,
    reducing,
    tables,
)
from lepta.edge.c.operators.base import LOWERINGS

__all__ = ["LOWERINGS"]
