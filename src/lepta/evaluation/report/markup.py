"""Small pieces of HTML. Everything that comes from data is escaped here, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from lepta.bundle.manifest import Measured
from lepta.evaluation.results import metric_of


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(value: object) -> str:
    """Return ``value`` escaped, unless it is :class:`Markup`."""
    return value if isinstance(value, Markup) else escape(str(value), quote=True)


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Return an element; a trailing underscore in an attribute's name is dropped."""
    pairs = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html(value)}"'
        for name, value in attributes.items()
        if value not in (None, "")
    )
    return Markup(f"<{tag}{pairs}>{''.join(html(child) for child in children)}</{tag}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Return pieces in a row."""
    return Markup("".join(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[object]], classes: Sequence[str]) -> Markup:
    """Return a table; ``classes`` names the CSS class of each column."""
    top = join(
        element("th", text, class_="n" if kind == "n" else "", scope="col")
        for text, kind in zip(head, classes, strict=True)
    )
    body = join(
        element(
            "tr",
            *(element("td", cell, class_=kind) for cell, kind in zip(row, classes, strict=True)),
        )
        for row in rows
    )
    inner = element("table", element("thead", element("tr", top)), element("tbody", body))
    return element("div", inner, class_="scroll")


def section(title: str, lead: str, *children: object) -> Markup:
    """Return a section with a heading and a sentence that says what it is."""
    return element("section", element("h2", title), element("p", lead) if lead else "", *children)


def bar(measured: Measured) -> Markup:
    """Return value and interval as a bar over 0 to 1; nothing for other ranges."""
    metric = metric_of(measured)
    if measured.value is None or (metric.low, metric.high) != (0.0, 1.0):
        return Markup("")
    parts = []
    if measured.low is not None and measured.high is not None:
        width = max(measured.high - measured.low, 0.004)
        parts.append(element("i", style=f"left:{measured.low:.2%};width:{width:.2%}"))
    parts.append(element("b", style=f"left:{measured.value:.2%}"))
    return element("span", *parts, class_="bar")
