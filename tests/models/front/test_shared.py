from functools import partial

import numpy as np
import pytest

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front import fit_front
from lepta.models.front.shared import share_rows, shared_part


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=60), "b": rng.choice(["x", "y", "z"], 60)}
    return Dataset.read({**columns, "y": rng.normal(size=60)}, target="y")


def test_parts_read_one_preprocessing_and_its_rows(rows):
    parts = [np.arange(0, 40), np.arange(40, 60)]
    context = share_rows(Context(), rows, parts)
    train, held = shared_part(context, 0), shared_part(context, 1)
    fit = partial(fit_front, style="dense", image=None, context=context)
    front = fit(train)
    assert fit(held) is front
    alone = fit_front(rows, style="dense", image=None, context=Context())
    for part, positions in ((train, parts[0]), (held, parts[1])):
        found = front.run(part, context)
        wanted = alone.run(rows.take(positions), Context())
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)


def test_other_rows_are_not_mistaken_for_a_part(rows):
    context = share_rows(Context(), rows, [np.arange(30)])
    other = rows.take(np.arange(30))
    front = fit_front(other, style="codes", image=None, context=context)
    assert front is not fit_front(
        shared_part(context, 0), style="codes", image=None, context=context
    )
    (found,) = front.run(rows.take(np.arange(30, 60)), context).values()
    (wanted,) = front.run(rows.take(np.arange(30, 60)), Context()).values()
    np.testing.assert_array_equal(found, wanted)
