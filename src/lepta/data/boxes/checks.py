"""Whether boxes lie in their images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.core.schema import Kind, Role
from lepta.data.boxes.forms import CORNERS
from lepta.data.issues import Issue, some

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

_SLACK = 1.0
"""Pixels by which a box may pass a border: places are rounded, and counted from 0 or from 1."""


def outside(data: Dataset, limit: int | None, context: Context) -> Iterator[Issue]:
    """Yield boxes that lie outside of their images, wholly (an error) or in part.

    Args:
        data: the dataset; only one with a target of boxes has something to look at.
        limit: images to look at, spread over the rows; None for all.
        context: threads and progress.
    """
    field = data.schema.one(Role.TARGET)
    images = [f.name for f in data.schema.inputs if f.kind == Kind.IMAGE]
    if field is None or field.kind != Kind.BOXES or len(images) != 1 or not len(data):
        return
    count = len(data) if limit is None else min(limit, len(data))
    rows = np.unique(np.linspace(0, len(data) - 1, count).astype(np.int64))
    boxes = data.column(field.name)

    def worst(row: int) -> int:
        mine = np.array([[box[name] for name in CORNERS] for box in boxes[row] or ()])
        size = _size(data, images[0], row) if len(mine) else None
        return 0 if size is None else _outside(mine, *size)

    with ThreadPoolExecutor(context.threads or os.cpu_count() or 1) as pool:
        found = np.array(list(context.track(pool.map(worst, rows), "Checking boxes", len(rows))))
    for level, severity, what, fix in (
        (2, "error", "outside of the image", "Correct them. Places are pixels of the image as it "
         "is, x to the right and y down; shares of width and height are read from YOLO files."),
        (1, "warning", "over its border", "Training cuts them at the border; is it the right "
         "image, in its original size?"),
    ):  # fmt: skip
        wrong = rows[found == level]
        if wrong.size:
            yield Issue(
                code="boxes_outside" if level == 2 else "boxes_over_border",
                severity=severity,  # type: ignore[arg-type]
                text=f"In {wrong.size} of {len(rows)} images looked at, a box of {field.name!r} "
                f"lies {what}.",
                where=field.name,
                fix=fix,
                rows=some(wrong),
            )


def _outside(boxes: np.ndarray[tuple[int, int], np.dtype[np.float64]], width: int,
             height: int) -> int:  # fmt: skip
    """Return 2 where a box has nothing in the image, 1 where one passes its border, else 0."""
    sides = np.array([width, height])
    if ((boxes[:, :2] >= sides) | (boxes[:, 2:] <= 0)).any():
        return 2
    return int((boxes[:, :2] < -_SLACK).any() or (boxes[:, 2:] > sides + _SLACK).any())


def _size(data: Dataset, name: str, row: int) -> tuple[int, int] | None:
    """Return width and height of an image, from its header where it has one."""
    from lepta.runtime.decoders import image_size

    try:
        if data.location(name, row) is not None:
            size: tuple[int, int] = image_size(data.read_bytes(name, row))
            return size
    except LeptaError:
        pass
    try:
        height, width = data.decode(name, row).shape[:2]
    except LeptaError:  # which is told of elsewhere
        return None
    return width, height
