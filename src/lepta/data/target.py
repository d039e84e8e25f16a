"""What is to be predicted: classes in order, or a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lepta.core.errors import SchemaError, Where, suggest
from lepta.core.schema import Kind
from lepta.core.values import label_of
from lepta.data.names import names_class

FEW = 12
"""Distinct whole numbers up to which a target is taken as classes."""
MANY = 1000

_POSITIVE = {
    "yes", "true", "y", "t", "positive", "pos", "+", "abnormal", "bad", "disease", "diseased",
    "malignant", "defect", "defective", "sick", "ill", "cancer", "tumor", "tumour", "lesion",
    "fraud", "spam", "default", "failure", "fail", "faulty", "anomaly", "churn", "case", "dead",
    "pneumonia", "covid",
}  # fmt: skip
_NEGATIVE = {
    "no", "false", "n", "f", "negative", "neg", "-", "normal", "good", "healthy", "benign",
    "none", "ok", "control", "ham", "pass", "alive", "clean", "absent", "background",
}  # fmt: skip


def target_kind(column: Any, name: str) -> tuple[Kind, str]:
    """Return whether a target holds classes or numbers, and why."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return Kind.CATEGORY, "the target; its values are labels"
    distinct = pc.count_distinct(column).as_py()
    whole = pc.all(pc.equal(pc.floor(column), column)).as_py() is True
    if distinct <= 2:
        return Kind.CATEGORY, f"the target; {distinct} distinct values are classes"
    if whole and distinct <= FEW:
        return Kind.CATEGORY, f"the target; {distinct} distinct whole numbers are classes"
    if whole and names_class(name) and distinct <= MANY:
        return Kind.CATEGORY, f"the target; its name says classes ({distinct} of them)"
    return Kind.NUMBER, f"the target; a number with {distinct} distinct values"


def classes_of(values: Iterable[Any], positive: str | None, name: str) -> tuple[str, ...]:
    """Return the labels in order: numbers by value, names by natural order.

    Of two, the second is the positive one: ``positive`` when given, else the label that reads
    like a finding ("yes", "malignant", "defect").

    Raises:
        SchemaError: ``positive`` is no label, or there are not two.
    """
    labels = {label for value in values if (label := label_of(value)) is not None}
    ordered = sorted(labels, key=natural)
    if positive is not None:
        return _with_positive(ordered, positive, name)
    if len(ordered) == 2 and _reads_positive(ordered[0], ordered[1]):
        ordered.reverse()
    return tuple(ordered)


def _with_positive(labels: Sequence[str], positive: str, name: str) -> tuple[str, ...]:
    wanted = label_of(positive)
    if wanted not in labels or len(labels) != 2:
        raise SchemaError(
            f"{positive!r} cannot be the positive class of {name!r}."
            f"{suggest(str(wanted), labels) if wanted not in labels else ''}",
            where=Where(field=name),
            fix=f"The classes are: {', '.join(labels[:20])}; a positive one needs exactly two.",
        )
    return tuple(sorted(labels, key=lambda label: label == wanted))


def _reads_positive(first: str, second: str) -> bool:
    """Whether the first of two labels, not the second, is the one to find."""
    one, two = first.casefold(), second.casefold()
    if re.fullmatch(rf"(non|no|not|un|without)[\W_]*{re.escape(one)}", two):
        return True
    if (one in _POSITIVE) != (two in _POSITIVE):
        return one in _POSITIVE
    return two in _NEGATIVE and one not in _NEGATIVE


def natural(label: str) -> tuple[Any, ...]:
    """Sort key: numbers by value before words, digits within words by value."""
    try:
        return (0, float(label), label)
    except ValueError:
        parts = re.split(r"(\d+)", label.casefold())
        return (1, [(int(p), "") if p.isdigit() else (-1, p) for p in parts], label)
