"""Figures without pyplot: an object, its colours, and the way to SVG or PNG.

In SVG every colour becomes a CSS variable with the light colour as fallback, so that an inline
figure follows the page into the dark.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2430"
MUTED = "#66727f"
LINE = "#dbe1e7"
ACCENT = "#0b6e99"
SECOND = "#d1603d"
PAPER = "#fefefd"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    ACCENT: "--accent",
    SECOND: "--second",
    PAPER: "--paper",
}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Plot:
    """A plot of an evaluation, with the words that make it readable.

    ``draw`` takes the :class:`lepta.evaluation.Evaluation` and returns a figure.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Any], Figure]


def new_figure(width: float = 4.6, height: float = 3.7) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("matplotlib", "train", "Drawing a report") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    return figure


def new_axes(figure: Figure, x: str, y: str, place: Any = 111, **options: Any) -> Axes:
    """Return plain axes with labels: no box, a light grid."""
    axes: Axes = figure.add_subplot(place, **options)
    axes.patch.set_alpha(0.0)
    axes.set_xlabel(x, color=MUTED, fontsize=10)
    axes.set_ylabel(y, color=MUTED, fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=0, pad=5)
    axes.grid(visible=True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def picture_axes(figure: Figure, place: Any, title: str) -> Axes:
    """Return axes for an image: no ticks, no box."""
    axes: Axes = figure.add_subplot(*place)
    axes.set_axis_off()
    axes.set_title(title, color=INK, fontsize=9)
    return axes


def grey_picture(picture: NDArray[Any] | None, size: tuple[int, ...]) -> NDArray[Any]:
    """Return an image in grey, its values between the 1st and 99th percentile brought to [0, 1].

    Args:
        picture: (height, width, channels), or None for a blank one.
        size: height and width of the blank one.
    """
    if picture is None:
        return np.full(size, 0.5, np.float32)
    grey = picture.astype(np.float32).mean(axis=-1)
    low, high = np.percentile(grey, [1, 99])
    return np.asarray(np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1))


def unit_square(axes: Axes) -> None:
    """Give axes the range 0 to 1 with the same five ticks on both sides."""
    for setter in (axes.set_xlim, axes.set_ylim):
        setter(-0.02, 1.02)
    ticks = [0, 0.25, 0.5, 0.75, 1.0]
    axes.set_xticks(ticks, labels=["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks(ticks, labels=["0", "0.25", "0.5", "0.75", "1"])


def legend(axes: Axes, **options: Any) -> None:
    """Add a legend without a frame."""
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, **options)


def plain(text: str, limit: int = 28) -> str:
    """Return a label that is shown as it is: no mathematics, not too long."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short.replace("$", r"\$")


def to_svg(figure: Figure, name: str, title: str) -> str:
    """Return ``figure`` as an inline SVG element.

    Args:
        figure: the figure.
        name: prefix that makes its ids unique on a page.
        title: what it shows, read by screen readers.
    """
    import matplotlib as mpl

    stream = io.StringIO()
    with _LOCK, warnings.catch_warnings(), mpl.rc_context({"svg.fonttype": "none"}):
        warnings.simplefilter("ignore")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(stream.getvalue(), name, title)


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return ``figure`` as a PNG on white."""
    stream = io.BytesIO()
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(
            stream, format="png", dpi=dpi, facecolor="white", metadata={"Software": None}
        )
    return stream.getvalue()


def _inline(svg: str, name: str, title: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', body)
    inner = body[body.index(">") + 1 :]
    inner = re.sub(r"<style.*?</style>", "", inner, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)", inner)) | set(re.findall(r'href="#([^"]+)"', inner))
    for position, key in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', inner))):
        if key not in used:
            inner = inner.replace(f' id="{key}"', "", 1)
            continue
        short = f"{name}-{position}"
        inner = inner.replace(f' id="{key}"', f' id="{short}"')
        inner = inner.replace(f"url(#{key})", f"url(#{short})")
        inner = inner.replace(f'href="#{key}"', f'href="#{short}"')
    for colour, variable in _VARIABLES.items():
        inner = inner.replace(colour, f"var({variable}, {colour})")
    inner = re.sub(r"font-family: [^;\"]*;? ?", "", inner)
    inner = re.sub(r"\s*\n\s*", " ", inner)
    label = escape(title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[1] if box else ""}" role="img" aria-label="{label}">{inner}'
    )
