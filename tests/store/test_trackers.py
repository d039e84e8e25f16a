"""Trackers: what trains reports and never waits; the real libraries keep it, offline."""

import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

import lepta
from lepta.app.cli import main
from lepta.core.errors import ConfigError, MissingExtraError, StoreError
from lepta.core.events import Context, Event, Message, StageAdvanced
from lepta.store import Plan, Store, Tracked, tracking
from lepta.store.trackers import Figure

PLAN = Plan("ct: lesions", "first run", {"seed": 1, "epochs": 3})


class Kept:
    """A tracker that keeps what it is told, each batch as slowly as asked."""

    def __init__(self, pause: float = 0.0, error: Exception | None = None) -> None:
        self.figures: list[Figure] = []
        self.metrics: dict[str, float] = {}
        self.status = ""
        self._pause, self._error = pause, error

    def log(self, figures: Sequence[Figure]) -> None:
        time.sleep(self._pause)
        if self._error is not None:
            raise self._error
        self.figures.extend(figures)

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        self.metrics.update(metrics)

    def keep(self, name: str, bundle: Path) -> str:
        return f"{name} is {bundle}"

    def end(self, status: str) -> None:
        self.status = status


def train(context: Context, epochs: int = 3) -> None:
    """Report as the training loop does."""
    with context.stage("training", total=epochs, unit="epoch") as stage:
        for epoch in range(epochs):
            stage.advance(loss=1.0 / (epoch + 1), valid_loss=0.5)


def values(kept: Kept, name: str) -> list[tuple[int, float]]:
    return [(figure.step, figure.value) for figure in kept.figures if figure.name == name]


def test_figures_reach_the_reporter_at_once_and_the_tracker_in_order() -> None:
    kept, events = Kept(), list[Event]()
    with Tracked({"kept": kept}, Context(report=events.append)) as run:
        train(run.context)
        assert sum(isinstance(event, StageAdvanced) for event in events) == 3
        with run.context.stage("loading", total=1) as stage:
            stage.advance()
        train(run.context, 2)
        run.finish({"auroc": 0.9})
        assert run.keep("ct", "ct.lepta") == ["ct is ct.lepta"]
    assert values(kept, "training/loss") == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert values(kept, "training 2/valid_loss") == [(1, 0.5), (2, 0.5)]
    assert {figure.name.split("/")[0] for figure in kept.figures} == {"training", "training 2"}
    assert (kept.metrics, kept.status) == ({"auroc": 0.9}, "finished")


def test_what_trains_never_waits_for_a_slow_tracker() -> None:
    kept = Kept(pause=1.5)
    with Tracked({"slow": kept}, Context()) as run:
        time.sleep(1.2)  # a batch is being written when the next figures come
        train(run.context, 1)
        time.sleep(1.2)
        began = time.perf_counter()
        train(run.context, 2000)
        spent = time.perf_counter() - began
    assert spent < 0.5
    assert len(kept.figures) == 2 * 2001


def test_a_tracker_that_fails_is_left_out_and_training_goes_on() -> None:
    good, events = Kept(), list[Event]()
    broken = Kept(error=StoreError("The disk is full."))
    with Tracked({"broken": broken, "good": good}, Context(report=events.append)) as run:
        train(run.context)
        run.finish({})
        train(run.context)
    told = [event.text for event in events if isinstance(event, Message)]
    assert told == ["The run is no longer kept in broken: The disk is full."]
    assert len(good.figures) == 12
    assert (good.status, broken.status) == ("finished", "")


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "killed")]
)
def test_a_run_that_breaks_off_keeps_what_it_had(error: type[BaseException], status: str) -> None:
    kept = Kept()

    def broken_off() -> None:
        with Tracked({"kept": kept}, Context()) as run:
            train(run.context)
            raise error

    with pytest.raises(error):
        broken_off()
    assert (len(kept.figures), kept.status) == (6, status)


def test_no_tracker_costs_nothing() -> None:
    context = Context()
    with tracking("none", PLAN, context=context) as run:
        assert run.context is context
        run.finish({"auroc": 1.0})


def test_an_unknown_or_missing_tracker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'tensorboard'"):
        tracking("tensorbord", PLAN)
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(MissingExtraError) as caught:
        tracking("wandb", PLAN)
    assert caught.value.fix == "pip install 'lepta[wandb]'"
    events: list[Event] = []
    with tracking("wandb", PLAN, context=Context(report=events.append), required=False) as run:
        train(run.context)
    assert "not kept in wandb" in str(events[0])


def test_mlflow_keeps_every_epoch(folder: Path, bundle: Path) -> None:
    plan = Plan(PLAN.experiment, PLAN.name, PLAN.params, folder)
    with tracking(("mlflow",), plan) as run:
        train(run.context)
        run.finish({"auroc": 0.91}, {"learner": "resnet"})
        (line,) = run.keep("ct", bundle)
    assert line.startswith("ct@1 ")
    store = Store(folder)
    (info,) = store.runs(PLAN.experiment)
    assert (info.name, info.status) == ("first run", "finished")
    assert info.params == {"seed": "1", "epochs": "3", "learner": "resnet"}
    assert info.metrics == {"training/loss": pytest.approx(1 / 3), "training/valid_loss": 0.5,
                            "auroc": 0.91}  # fmt: skip
    history = store._client.get_metric_history(info.id, "training/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert store.resolve("ct").read_bytes() == bundle.read_bytes()
    with pytest.raises(RuntimeError), tracking("mlflow", plan) as run:
        raise RuntimeError
    assert [info.status for info in store.runs(PLAN.experiment)] == ["failed", "finished"]


def test_tensorboard_reads_the_event_file(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracking("tensorboard", Plan(PLAN.experiment, PLAN.name, PLAN.params, tmp_path)) as run:
        train(run.context)
        run.finish({"auroc": 0.91})
    (place,) = (tmp_path / "tensorboard" / "ct_ lesions").iterdir()
    found = EventAccumulator(str(place))
    found.Reload()
    losses = [(event.step, event.value) for event in found.Scalars("training/loss")]
    assert losses == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert found.Scalars("test/auroc")[0].value == pytest.approx(0.91)
    (text,) = found.Tensors("params")
    assert b"| epochs | 3 |" in text.tensor_proto.string_val[0]


def records(path: Path) -> Iterator[Any]:
    """Read a .wandb file: a LevelDB log of protobuf records, after a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole of a record, or the last part of one
            yield Record.FromString(whole)
            whole = b""


def test_wandb_keeps_a_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with tracking("wandb", Plan(PLAN.experiment, PLAN.name, PLAN.params, tmp_path)) as run:
        train(run.context)
        run.finish({"auroc": 0.91}, {"learner": "resnet"})
        assert run.keep("ct", bundle) == []
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    until = time.monotonic() + 20  # its own process writes the file
    found: list[Any] = []
    while not any(record.WhichOneof("record_type") == "exit" for record in found):
        assert time.monotonic() < until
        time.sleep(0.1)
        found = list(records(file))
    rows = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in found
        if record.WhichOneof("record_type") == "history"
    ]
    assert [float(row["training/loss"]) for row in rows] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert [int(row["training/step"]) for row in rows] == [1, 2, 3]
    (begun,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (begun.project, begun.display_name) == ("ct_ lesions", "first run")
    (ended,) = [record.exit for record in found if record.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 0


def test_wandb_without_a_key_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    events: list[Event] = []
    plan = Plan(PLAN.experiment, PLAN.name, {}, tmp_path)
    with tracking("wandb", plan, context=Context(report=events.append)) as run:
        train(run.context)
    assert "`wandb sync` uploads it" in str(events[0])
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_fit_tells_its_trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    load_breast_cancer(as_frame=True).frame.iloc[:200, -4:].to_csv("c.csv", index=False)
    words = ["fit", "c.csv", "--target", "target", "--no-audit", "-q", "-o", "c.lepta"]
    assert main([*words, "--learner", "linear", "--track", "none"]) == 0
    assert not Path(".lepta").exists()
    options = {"target": "target", "learner": "trees", "settings": {"rounds": 30}, "audit": False}
    made = lepta.fit("c.csv", track="tensorboard", name="c", **options)
    (place,) = Path(".lepta/tensorboard/c").iterdir()
    found = EventAccumulator(str(place))
    found.Reload()
    assert [event.step for event in found.Scalars("trees/loss")][:3] == [1, 2, 3]
    (auroc,) = [m.value for m in made.manifest.metrics if m.name == "auroc"]
    assert found.Scalars("test/auroc")[0].value == pytest.approx(auroc)
    assert b"| learner | trees |" in found.Tensors("chosen")[0].tensor_proto.string_val[0]


class Slow(deque[Figure]):
    def popleft(self) -> Figure:
        time.sleep(0.001)
        return super().popleft()


def test_two_threads_may_bring_figures_at_once(tmp_path: Path) -> None:
    tracked = Tracked({}, Context())
    tracked._waiting = Slow(Figure("a/loss", 0.0, step, 0.0) for step in range(50))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tracked._flush) for _ in range(2)]:
            done.result()
    assert not tracked._waiting
