"""Event files for TensorBoard, written by its own library, without TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lepta.core.errors import StoreError, Where, missing_extra
from lepta.core.events import Context
from lepta.store.location import FOLDER
from lepta.store.trackers.base import Figure, Plan, Status


class TensorboardTracker:
    """A folder of event files: ``.lepta/tensorboard/EXPERIMENT/NAME-TIME``."""

    def __init__(self, plan: Plan, context: Context) -> None:
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise missing_extra("tensorboard", "tensorboard", "Writing for TensorBoard") from error
        root = (plan.folder or Path(FOLDER)) / "tensorboard"
        began = datetime.now().strftime("%Y%m%d-%H%M%S")
        self.folder = root / _plain(plan.experiment) / f"{_plain(plan.name)}-{began}"
        try:
            self._writer: Any = EventFileWriter(str(self.folder), max_queue_size=1000)
        except OSError as error:
            raise StoreError(
                f"Nothing can be written for TensorBoard: {error.strerror or error}.",
                where=Where(file=str(self.folder)),
                fix="Check that the folder may be written and has space left.",
            ) from error
        self._text("params", dict(plan.params))
        context.say(f"`tensorboard --logdir {root}` shows the run.")

    def log(self, figures: Sequence[Figure]) -> None:
        for figure in figures:
            self._scalar(figure.name, figure.value, figure.step, figure.time)
        self._writer.flush()

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        for name, value in metrics.items():
            self._scalar(f"test/{name}", value, 0, time.time())
        self._text("chosen", params)

    def keep(self, name: str, bundle: Path) -> str:
        del name, bundle
        return ""

    def end(self, status: Status) -> None:
        self._text("status", {"status": status})
        self._writer.close()

    def _scalar(self, name: str, value: float, step: int, when: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(Summary.Value(tag=name, simple_value=value), step, when)

    def _text(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a Markdown table for TensorBoard's text plug-in."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto

        if not values:
            return
        rows = "".join(f"\n| {key} | {value} |" for key, value in values.items())
        table = TensorProto(
            dtype="DT_STRING", string_val=[f"| name | value |\n|---|---|{rows}".encode()]
        )
        plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add(Summary.Value(tag=name, metadata=plugin, tensor=table), 0, time.time())

    def _add(self, value: Any, step: int, when: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._writer.add_event(Event(wall_time=when, step=step, summary=Summary(value=[value])))


def _plain(name: str) -> str:
    """Return a name that is one folder."""
    return "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ") or "run"
