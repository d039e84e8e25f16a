"""Masks as a target: which values their pixels have."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.core.errors import LeptaError, SchemaError, Where
from lepta.data.files import Files
from lepta.data.media import sample

READ = 1000
"""Masks that are read to find their values, spread over the rows."""
MOST = 254
HIGHEST = 65535


def values_of(name: str, column: Any, files: Files) -> tuple[str, ...]:
    """Return the values that the pixels of a column of masks have, as text, rising.

    Raises:
        SchemaError: there are too many for classes, as in a photograph or a JPEG, or they are no
            whole numbers from 0 to 65535.
    """
    found: set[int] = set()
    for mask in _masks(column, files):
        values = np.unique(mask)
        strange = values[~np.isin(values, np.arange(HIGHEST + 1))]
        if strange.size:
            raise SchemaError(
                f"The masks of {name!r} hold {strange[0]:g}; their values are whole numbers from 0 "
                f"to {HIGHEST}.",
                where=Where(field=name),
                fix="Number the classes from 0 on; give pixels to leave out a number of their own.",
            )
        found.update(values.tolist())
        if len(found) > MOST:
            raise SchemaError(
                f"The masks of {name!r} hold more than {MOST} values; a mask holds one a class.",
                where=Where(field=name),
                fix="Name the column of masks, and save masks as PNG: JPEG changes the values.",
            )
    return tuple(str(int(value)) for value in sorted(found))


def _masks(column: Any, files: Files) -> Any:
    import pyarrow as pa

    from lepta.data.access import tensors
    from lepta.runtime.decoders.mask import MaskDecoder

    if isinstance(column.type, pa.FixedShapeTensorType):
        yield from tensors(column)
        return
    decode = MaskDecoder()
    for value in sample(column, READ):
        try:
            data = value if isinstance(value, bytes) else files.read(value)
            yield decode(data)
        except LeptaError:  # told with its row where the mask is used
            continue
