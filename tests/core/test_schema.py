import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lepta.core.errors import SchemaError
from lepta.core.schema import MEDIA, Field, Kind, Role, Schema

NAMES = st.lists(st.text(max_size=9), unique=True, max_size=6)
SCHEMA = Schema(
    fields=(
        Field(name="id", kind=Kind.ID, role=Role.IGNORE),
        Field(name="age", kind=Kind.NUMBER, unit="years"),
        Field(name="scan", kind=Kind.IMAGE),
        Field(name="ill", kind=Kind.CATEGORY, role=Role.TARGET, classes=("no", "yes")),
    )
)


def test_fields_are_found_by_name_and_role():
    assert SCHEMA.names == ("id", "age", "scan", "ill")
    assert SCHEMA["age"].unit == "years"
    assert [field.name for field in SCHEMA.inputs] == ["age", "scan"]
    assert SCHEMA.one(Role.TARGET) == SCHEMA["ill"]
    assert SCHEMA.one(Role.GROUP) is None
    assert "age" in SCHEMA
    assert "Age" not in SCHEMA
    assert (len(SCHEMA), list(SCHEMA)) == (4, list(SCHEMA.fields))
    assert SCHEMA["scan"].kind in MEDIA


def test_an_unknown_field_is_answered_with_the_nearest():
    with pytest.raises(SchemaError, match="Did you mean 'age'") as caught:
        SCHEMA["Agee"]
    assert caught.value.fix == "The fields are: id, age, scan, ill."


def test_several_fields_of_a_single_role_are_refused():
    with pytest.raises(SchemaError, match="Only one field can be the input; got age, scan"):
        SCHEMA.one(Role.INPUT)


def test_names_are_unique():
    field = Field(name="ä", kind=Kind.NUMBER)
    with pytest.raises(SchemaError, match="'ä' stands more than once") as caught:
        Schema(fields=(field, field))
    assert caught.value.where.field == "ä"


def test_replacing_changes_one_field_of_a_copy():
    other = SCHEMA.replace("age", role=Role.GROUP, reason="given")
    assert other["age"].role == Role.GROUP
    assert SCHEMA["age"].role == Role.INPUT
    assert other["scan"] == SCHEMA["scan"]


def test_a_schema_does_not_change_and_takes_no_strangers():
    with pytest.raises(ValidationError):
        SCHEMA["age"].name = "x"
    with pytest.raises(ValidationError):
        Field(name="x", kind="number", colour="red")


@given(names=NAMES, data=st.data())
def test_a_schema_survives_json(names, data):
    kinds, roles = st.sampled_from(list(Kind)), st.sampled_from(list(Role))
    fields = tuple(Field(name=n, kind=data.draw(kinds), role=data.draw(roles)) for n in names)
    schema = Schema(fields=fields)
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
