"""Choices that are measured at the start: which precision is faster here, how large a batch pays.

What was measured is kept in the context, and so in a bundle, and in the folder of caches, so
that a second training of the same network on the same machine makes the same choices, and is the
same to the last bit.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lepta.core.events import Context
from lepta.core.files import cache_folder, write_text
from lepta.engine import Device, detect
from lepta.engine.device import PRECISIONS, Precision
from lepta.tasks.objective import Objective
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows
from lepta.training.step import Stepper

_GAIN = 0.9
"""A precision is taken when a step costs at most this share of one in fp32."""
_LARGE = 2**17
"""Weights of a matrix from which its products may gain by a lower precision."""
_ROWS = 32
_BATCHES = (16, 32, 64, 128, 256)
_LARGEST = 1024
_STEPS_AN_EPOCH = 16
"""Steps that an epoch should have at the least: larger batches learn less from the same rows."""
_remembered: dict[str, str] = {}


class Probe:
    """Measures steps of a copy of a network.

    Args:
        network: on the device; left as it is.
        data: rows to learn from.
        objective: what is minimised.
        options: how.
        context: where the folder of caches is.
    """

    def __init__(
        self,
        network: nn.Module,
        data: Rows,
        objective: Objective,
        options: LoopOptions,
        context: Context,
    ) -> None:
        self.network, self.data = network, data
        self.objective, self.options, self.context = objective, options, context

    def precision(self, device: Device) -> Device:
        """Return the device in the faster precision, unless the options name one."""
        others = _candidates(device)
        if self.options.device.split(":")[-1] in PRECISIONS or not others:
            return device
        if not any(p.ndim > 2 or p.numel() >= _LARGE for p in self.network.parameters()):
            return device
        rows = min(_ROWS, len(self.data))

        def measure() -> str:
            (other,) = others
            plain = device.model_copy(update={"precision": "fp32"})
            cheap = device.model_copy(update={"precision": other})
            seconds = self._seconds([plain, cheap], rows)
            return other if seconds[1] <= _GAIN * seconds[0] else "fp32"

        chosen = self._remember("precision", device, measure)
        why = f"{chosen} measured as the faster of fp32 and {others[0]}"
        return device.model_copy(update={"precision": chosen, "reason": why})

    def batch(self, device: Device) -> int:
        """Return the number of rows in a step."""
        most = max(_BATCHES[0], len(self.data) // _STEPS_AN_EPOCH)
        sizes = [size for size in _BATCHES if size <= most]
        if device.device != "cpu":
            sizes += [size for size in (512, _LARGEST) if size <= most]

        def measure() -> str:
            speeds: dict[int, float] = {}
            for size in sizes:
                rows = min(size, len(self.data))
                with contextlib.suppress(torch.OutOfMemoryError):
                    speeds[size] = rows / self._seconds([device], rows)[0]
                if size not in speeds:
                    break
            enough = _GAIN * max(speeds.values(), default=0.0)
            return str(min((size for size in speeds if speeds[size] >= enough), default=sizes[0]))

        return int(self._remember("batch", device, measure))

    def _seconds(self, devices: list[Device], rows: int, repeats: int = 3) -> list[float]:
        """Return seconds a step: the least of a few, taken in turn on every device."""
        chosen = np.arange(rows)
        steppers = [
            Stepper(copy.deepcopy(self.network), self.data, self.objective, self.options, device)
            for device in devices
        ]
        best = [float("inf")] * len(steppers)
        for turn in range(repeats + 1):
            for place, step in enumerate(steppers):
                began = _clock(step.device)
                step(chosen, 0, 1e-6)
                if turn > 0:
                    best[place] = min(best[place], _clock(step.device) - began)
        return best

    def _remember(self, what: str, device: Device, measure: Callable[[], str]) -> str:
        parts = [
            what,
            detect(providers=False).cpu,
            torch.__version__,
            str(device),
            repr(self.network),
            str([array.shape[1:] for array in self.data.arrays]),
            str(min(len(self.data), _LARGEST * _STEPS_AN_EPOCH)) if what == "batch" else "",
        ]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        path = (self.context.cache or cache_folder()) / "choices" / f"{key}.json"
        if key in self.context.choices:
            return self.context.choices[key]
        if key not in _remembered:
            _remembered[key] = _read(path, what) or measure()
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps({what: _remembered[key]}))
        return self.context.choices.setdefault(key, _remembered[key])


def _candidates(device: Device) -> list[Precision]:
    """Return the precision that may be faster than fp32, where there is one."""
    if device.device == "cpu":
        return ["bf16"] if detect(providers=False).bf16 else []
    return ["fp16"] if device.kind in ("cuda", "rocm") and device.precision == "fp32" else []


def _clock(device: Device) -> float:
    """Return seconds: of the processor, which others do not disturb, or of an accelerator."""
    if device.device == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()


def _read(path: Path, what: str) -> str:
    try:
        found: object = json.loads(path.read_bytes())[what]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
