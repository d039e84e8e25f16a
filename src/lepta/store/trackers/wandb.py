"""Runs in Weights & Biases, online or offline."""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lepta.core.errors import StoreError, missing_extra
from lepta.core.events import Context
from lepta.store.location import FOLDER
from lepta.store.trackers.base import Figure, Plan, Status

_HOST = "https://api.wandb.ai"


class WandbTracker:
    """A run of W&B.

    Its own settings hold (``WANDB_MODE``, ``WANDB_ENTITY``, ``WANDB_DIR`` ...). Without a key it
    asks nobody: the run is kept offline, for ``wandb sync``.
    """

    def __init__(self, plan: Plan, context: Context) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise missing_extra("wandb", "wandb", "Tracking with Weights & Biases") from error
        folder = Path(os.environ.get("WANDB_DIR") or plan.folder or FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        mode: Any = None if os.environ.get("WANDB_MODE") or _has_key() else "offline"
        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        try:
            self._run: Any = wandb.init(
                project=re.sub(r"[/\\#?%:]", "_", plan.experiment)[:128],
                name=plan.name,
                config=dict(plan.params),
                dir=str(folder),
                mode=mode,
                settings=settings,
                reinit="create_new",
            )
        except (wandb.Error, OSError) as error:
            raise StoreError(
                f"Weights & Biases cannot begin a run: {error}",
                fix="`wandb login` gives it a key; WANDB_MODE=offline keeps the run here.",
            ) from error
        self._stages: set[str] = set()
        if mode == "offline":
            context.say(f"No key of W&B: the run is kept in {folder}; `wandb sync` uploads it.")

    def log(self, figures: Sequence[Figure]) -> None:
        """W&B has one step a run that may only grow, so each stage has its own axis."""
        for row, when in _rows(figures):
            stage = next(iter(row)).rpartition("/")[0]
            if stage not in self._stages:
                self._stages.add(stage)
                self._run.define_metric(f"{stage}/step")
                self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._run.log(row | {"_timestamp": when})

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        self._run.config.update(dict(params), allow_val_change=True)
        self._run.summary.update(dict(metrics))

    def keep(self, name: str, bundle: Path) -> str:
        import wandb

        artifact = wandb.Artifact(re.sub(r"[^\w.-]", "_", name)[:128], type="model")
        artifact.add_file(str(bundle))
        self._run.log_artifact(artifact)
        return "" if self._run.offline else str(self._run.url)

    def end(self, status: Status) -> None:
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _rows(figures: Sequence[Figure]) -> list[tuple[dict[str, float], float]]:
    """Put the values of one step of one stage together, in order."""
    rows: dict[tuple[str, int], tuple[dict[str, float], float]] = {}
    for figure in figures:
        stage = figure.name.rpartition("/")[0]
        row, _ = rows.setdefault((stage, figure.step), ({}, figure.time))
        row[figure.name] = figure.value
        row[f"{stage}/step"] = figure.step
    return list(rows.values())


def _has_key() -> bool:
    """Whether W&B finds a key without asking for it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or _HOST).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
