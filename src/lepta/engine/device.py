"""The device, precision and threads to compute with: one value, and why it was chosen."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option

from lepta.core.errors import ConfigError, missing_extra, suggest
from lepta.engine.accelerators import Accelerator
from lepta.engine.hardware import Hardware, detect

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp16", "fp32"]
PRECISIONS = ("bf16", "fp16", "fp32")
KINDS = ("auto", "cpu", "cuda", "rocm", "mps", "xpu", "tpu", "xla")
"""What a wish may begin with; "xla" is torch's name of a TPU."""

_PACKAGES = {"cuda": "CUDA", "rocm": "ROCm", "xpu": "XPU"}


class Device(BaseModel):
    """Where and how to compute.

    Attributes:
        device: torch's name: "cpu", "cuda:0" (NVIDIA and AMD), "mps", "xpu:0", "xla:0" (TPU).
        precision: of matrix products; weights stay in fp32.
        threads: on the processor.
        kind: "cpu", "cuda", "rocm", "mps", "xpu" or "tpu".
        reason: why this device and this precision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    precision: Precision
    threads: int = Option(ge=1)
    kind: str = "cpu"
    reason: str = ""

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.device == "cpu" else ""
        kind = f" ({self.kind})" if self.kind in ("rocm", "tpu") else ""
        return f"{self.device}{kind} in {self.precision}{threads}"

    @property
    def wish(self) -> str:
        """The words that choose this device and precision again: "cuda:0:bf16"."""
        return f"{self.device}:{self.precision}"

    def torch(self) -> torch.device:
        """Return torch's device; for a TPU torch_xla is imported, which takes hold of it.

        Raises:
            MissingExtraError: torch is not installed.
        """
        try:
            import torch
        except ModuleNotFoundError as error:
            raise missing_extra("torch", "train", "Training networks") from error
        if self.kind == "tpu":
            import_module("torch_xla")
        return torch.device(self.device)


def choose(
    wish: str = "auto", *, hardware: Hardware | None = None, threads: int | None = None
) -> Device:
    """Return the device to train on.

    Without a wish: the first accelerator, else the processor. Precision is bf16 where an
    accelerator computes in it natively (NVIDIA from Ampere on, AMD, Intel, TPU), else fp32. On
    processors it is fp32, and training measures whether bf16 is faster: with AVX512-BF16 a small
    CNN trained twice as fast on one make and more slowly on another.

    Args:
        wish: "auto", or DEVICE[:INDEX][:PRECISION], such as "cpu", "cpu:bf16", "cuda:0:bf16",
            "rocm", "mps", "xpu", "tpu".
        hardware: what there is; asked of torch by default unless the wish is the processor.
        threads: on the processor; the usable cores by default.

    Raises:
        ConfigError: the wish does not read, or there is no such device.
    """
    kind, index, precision = _parse(wish)
    if hardware is None:
        hardware = detect(torch=kind != "cpu", providers=False)
    found = _find(kind, index, hardware, wish)
    why = _why_device(kind, found)
    threads = threads or hardware.cores
    if precision is None:
        precision, more = _precision(found, hardware)
        why = f"{why}; {more}"
    if found is None:
        return Device(device="cpu", precision=precision, threads=threads, reason=why)
    return Device(
        device=found.device, precision=precision, threads=threads, kind=found.kind, reason=why
    )


def _why_device(kind: str, found: Accelerator | None) -> str:
    if kind != "auto":
        return "asked for"
    return "no accelerator" if found is None else f"the first accelerator, {found.name}"


def _precision(found: Accelerator | None, hardware: Hardware) -> tuple[Precision, str]:
    """Return the precision where none is asked for, and why."""
    if found is not None:
        return ("bf16", "native bf16") if found.bf16 else ("fp32", "no native bf16")
    if hardware.bf16:
        return "fp32", "bf16 where training measures it to be faster"
    return "fp32", "no native bf16"


def _parse(wish: str) -> tuple[str, int | None, Precision | None]:
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?(?::([a-z]+\d*))?", wish.strip().lower())
    if match is None:
        raise ConfigError(
            f"{wish!r} is no device.", fix="Write DEVICE[:INDEX][:PRECISION], like cuda:0:bf16."
        )
    kind, index, precision = match.groups()
    if kind not in KINDS:
        raise ConfigError(
            f"There is no kind of device {kind!r}.{suggest(kind, KINDS)}",
            fix=f"Kinds: {', '.join(KINDS)}.",
        )
    for known in ("bf16", "fp16", "fp32"):
        if precision == known:
            return kind, int(index) if index else None, known
    if precision:
        raise ConfigError(
            f"There is no precision {precision!r}.{suggest(precision, PRECISIONS)}",
            fix=f"Precisions: {', '.join(PRECISIONS)}.",
        )
    return kind, int(index) if index else None, None


def _find(kind: str, index: int | None, hardware: Hardware, wish: str) -> Accelerator | None:
    """Return the accelerator of a wish; None is the processor."""
    if kind == "cpu":
        return None
    found = [item for item in hardware.accelerators if _fits(kind, item)]
    if kind == "auto" and index is None:
        return found[0] if found else None
    for accelerator in found:
        if index is None or accelerator.device.endswith(f":{index}"):
            return accelerator
    known = ["cpu", *(_listed(item) for item in hardware.accelerators)]
    raise ConfigError(
        f"There is no device {wish!r} here.",
        fix=f"Devices: {', '.join(known)}. {_remedy(kind, hardware)}",
    )


def _fits(kind: str, accelerator: Accelerator) -> bool:
    """Whether a wish means this accelerator; "cuda" means AMD's too, as it does in torch."""
    return kind in ("auto", accelerator.kind, accelerator.device.partition(":")[0])


def _listed(accelerator: Accelerator) -> str:
    alias = accelerator.kind != accelerator.device.partition(":")[0]
    return f"{accelerator.device} ({accelerator.kind})" if alias else accelerator.device


def _remedy(kind: str, hardware: Hardware) -> str:
    kind = "tpu" if kind == "xla" else kind
    if kind not in hardware.attached:
        return "`lepta doctor` tells more."
    if kind == "tpu":
        return "A TPU is attached; torch needs the package torch_xla for it."
    return f"Such a device is attached; torch must be a build for {_PACKAGES[kind]}."
