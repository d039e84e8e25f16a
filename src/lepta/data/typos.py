"""Labels that were probably meant to be another label."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LABELS = 500


def near_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Return, for each label that looks like a slip, the label that was probably meant.

    That is a more frequent label that differs only by case, spaces or punctuation, or, for a rare
    label of five letters or more, by one letter (two from eight letters on), where the difference
    is not between digits.
    """
    if len(counts) > _LABELS:
        return {}
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    found = {}
    for position, label in enumerate(ordered):
        for other in ordered[:position]:
            if other not in found and _is_slip(label, other, counts[label], counts[other]):
                found[label] = other
                break
    return found


def _is_slip(label: str, other: str, count: int, usual: int) -> bool:
    one, two = _plain(label), _plain(other)
    if one and one == two:
        return True
    is_rare = count <= 3 or count * 100 <= usual
    if not is_rare or usual < max(3, 2 * count) or min(len(one), len(two)) < 5:
        return False
    if re.sub(r"[^\W\d]+", "", one) != re.sub(r"[^\W\d]+", "", two):
        return False
    return edit_distance(one, two) <= (1 if min(len(one), len(two)) < 8 else 2)


def _plain(label: str) -> str:
    if re.fullmatch(r"[+-]?[\d.]+", label):
        return label
    return re.sub(r"[\W_]+", "", label.casefold())


def edit_distance(one: str, two: str) -> int:
    """Return the edits (insert, drop, replace, swap neighbours) from one word to the other."""
    before: list[int] = []
    last = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(two, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
