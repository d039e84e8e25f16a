import pytest

from lepta.core import errors
from lepta.core.errors import LeptaError, Where, missing_extra, suggest


def test_an_error_says_what_where_and_how_to_mend_it():
    where = Where(file="a.csv", row=3, field="age")
    error = errors.DataError("It is wrong.", where=where, fix="Mend it.")
    assert str(error) == (
        "It is wrong.\n  where: file a.csv, row 3, field 'age'\n  fix:   Mend it."
    )
    assert (error.what, error.where, error.fix) == ("It is wrong.", where, "Mend it.")


@pytest.mark.parametrize("where", [None, Where()])
def test_what_is_not_known_is_not_shown(where):
    assert str(LeptaError("It is wrong.", where=where)) == "It is wrong."


def test_row_zero_is_shown():
    assert str(Where(row=0)) == "row 0"


def test_every_error_has_its_own_code_under_one_root():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if issubclass(kind, LeptaError)]
    assert len({kind.code for kind in kinds}) == len(kinds) >= 12
    assert issubclass(errors.DecodeError, errors.DataError)


def test_a_missing_extra_names_the_command():
    error = missing_extra("torch", "train", "Training")
    assert error.what == "Training needs the package 'torch', which is not installed."
    assert error.fix == "pip install 'lepta[train]'"


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("Posiive", " Did you mean 'Positive'?"),
        ("positive", " Did you mean 'Positive'?"),
        ("xyz", ""),
        ("", ""),
    ],
)
def test_the_nearest_name_is_suggested(word, answer):
    assert suggest(word, ("Negative", "Positive")) == answer


def test_nothing_is_suggested_from_nothing():
    assert suggest("a", ()) == ""
