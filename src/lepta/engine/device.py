"""The device, precision and threads to compute with: one value."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option

from lepta.core.errors import ConfigError, suggest
from lepta.engine.hardware import Accelerator, Hardware, detect

Precision = Literal["bf16", "fp16", "fp32"]
PRECISIONS = ("bf16", "fp16", "fp32")
_KINDS = ("cpu", "cuda", "mps", "xpu", "auto")


class Device(BaseModel):
    """Where and how to compute.

    Attributes:
        device: torch's name: "cpu", "cuda:0", "mps", "xpu:0".
        precision: of matrix products; weights stay in fp32.
        threads: on the processor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    precision: Precision
    threads: int = Option(ge=1)

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.device == "cpu" else ""
        return f"{self.device} in {self.precision}{threads}"


def choose(
    wish: str = "auto", *, hardware: Hardware | None = None, threads: int | None = None
) -> Device:
    """Return the device to train on.

    Without a wish: the first accelerator, else the processor. Precision is bf16 on a GPU that
    computes in it natively (from Ampere on), else fp32. On processors bf16 is left to a wish:
    with AVX512-BF16 a small CNN trained twice as fast on one make and more slowly on another.

    Args:
        wish: "auto", or DEVICE[:INDEX][:PRECISION], such as "cpu", "cpu:fp32", "cuda:0:bf16".
        hardware: what there is; asked of torch by default unless the wish is the processor.
        threads: on the processor; the usable cores by default.

    Raises:
        ConfigError: the wish does not read, or there is no such device.
    """
    kind, index, precision = _parse(wish)
    if hardware is None:
        hardware = detect(torch=kind != "cpu", providers=False)
    count = threads or hardware.cores
    found = _find(kind, index, hardware, wish)
    if found is None:
        return Device(device="cpu", precision=precision or "fp32", threads=count)
    default: Precision = "bf16" if found.bf16 else "fp32"
    return Device(device=found.device, precision=precision or default, threads=count)


def _parse(wish: str) -> tuple[str, int | None, Precision | None]:
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?(?::([a-z]+\d*))?", wish.strip().lower())
    if match is None:
        raise ConfigError(
            f"{wish!r} is no device.", fix="Write DEVICE[:INDEX][:PRECISION], like cuda:0:bf16."
        )
    kind, index, precision = match.groups()
    if kind not in _KINDS:
        raise ConfigError(
            f"There is no kind of device {kind!r}.{suggest(kind, _KINDS)}",
            fix=f"Kinds: {', '.join(_KINDS)}.",
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
    if kind == "cpu":
        return None
    if kind == "auto":
        return hardware.accelerators[0] if hardware.accelerators else None
    name = kind if kind == "mps" else f"{kind}:{index or 0}"
    for accelerator in hardware.accelerators:
        if accelerator.device == name:
            return accelerator
    known = ["cpu", *(item.device for item in hardware.accelerators)]
    raise ConfigError(
        f"There is no device {name!r} here (asked for {wish!r}).",
        fix=f"Devices: {', '.join(known)}. `lepta doctor` tells more.",
    )
