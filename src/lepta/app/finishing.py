"""What the commands that train have in common at their end: files, figures, the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lepta.app.output import show

if TYPE_CHECKING:
    from lepta.bundle import Bundle
    from lepta.store import Tracked


def finish(bundle: Bundle, out: Path, name: str, board: str, tracked: Tracked) -> None:
    """Save a bundle and its pages beside it, show how good it is, and keep it.

    Args:
        bundle: the model; its members ``report.html`` and, where it was tuned, ``tuning.html``
            become files.
        out: file to write.
        name: of the model in the store.
        board: what was tried, as text.
        tracked: the run.
    """
    from lepta.core.files import write_text
    from lepta.evaluation.results import table_of
    from lepta.tuning.fitting import outcome

    bundle.save(out)
    pages = [page for page in ("report", "tuning") if f"{page}.html" in bundle.names]
    files = {page: out.with_suffix(f".{page}.html") for page in pages}
    for page, path in files.items():
        write_text(path, bundle.read(f"{page}.html").decode())
    show(board)
    metrics = bundle.manifest.metrics
    figures = "\n".join(table_of(metrics, 0.95))
    show(f"\nOn unseen rows (split {metrics[0].split!r}):\n{figures}\n")
    tracked.finish(*outcome(bundle))
    for line in tracked.keep(name, out):
        show(f"store:  {line}")
    show("\n".join(f"{label + ':':<7} {path}" for label, path in {"model": out, **files}.items()))
