"""GPUs, TPUs and the like: those that are attached, and those that torch can use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lepta.engine.limits import text_of

_DEV = Path("/dev")
_SYS = Path("/sys")
_GOOGLE, _INTEL = "0x1ae0", "0x8086"
_TPUS = {
    "0x0027": "TPU v2 or v3",
    "0x005e": "TPU v4",
    "0x0062": "TPU v5p",
    "0x0063": "TPU v5e",
    "0x006f": "TPU v6e",
    "0x0076": "TPU v7x",
}
"""PCI device numbers of Google's chips, as torch_xla and JAX know them."""


@dataclass(frozen=True)
class Accelerator:
    """One GPU or similar device that torch can use.

    Attributes:
        device: torch's name ("cuda:0", "mps", "xpu:0", "xla:0"); ROCm devices are "cuda" too.
        kind: "cuda", "rocm", "mps", "xpu" or "tpu".
        memory: bytes, 0 when unknown.
        bf16: whether it computes in bfloat16.
    """

    device: str
    kind: str
    name: str
    memory: int = 0
    bf16: bool = False


def attached(dev: Path = _DEV, sys: Path = _SYS) -> tuple[str, ...]:
    """Return the kinds of the devices that the kernel shows this process, torch aside.

    A container sees the nodes of the devices that it was given, so these count and not what is
    on the bus: NVIDIA's, AMD's compute node, render nodes of Intel GPUs, and TPUs.
    """
    intel = any(
        text_of(sys / "class" / "drm" / node.name / "device" / "vendor") == _INTEL
        for node in dev.glob("dri/renderD*")
    )
    found = {
        "cuda": any(dev.glob("nvidia[0-9]*")) or (dev / "dxg").exists(),
        "rocm": (dev / "kfd").exists(),
        "xpu": intel,
        "tpu": bool(tpu_chips(dev, sys)),
    }
    return tuple(kind for kind, there in found.items() if there)


def tpu_chips(dev: Path = _DEV, sys: Path = _SYS) -> tuple[str, ...]:
    """Return the name of every TPU chip on the bus; none without the nodes to reach them."""
    if not any(dev.glob("accel[0-9]*")) and not any(dev.glob("vfio/[0-9]*")):
        return ()
    folders = sorted(sys.glob("bus/pci/devices/*"))
    numbers = [text_of(f / "device") for f in folders if text_of(f / "vendor") == _GOOGLE]
    return tuple(_TPUS[number] for number in numbers if number in _TPUS)


def accelerators() -> tuple[Accelerator, ...]:
    """Ask torch for its accelerators; empty without torch.

    torch is imported. torch_xla, which takes hold of a TPU when it is imported, is not: a TPU is
    told by its chips and by whether the package is installed.
    """
    if find_spec("torch") is None:
        return ()
    return (*_cuda(), *_mps(), *_xpu(), *_tpu(tpu_chips()))


def _cuda() -> list[Accelerator]:
    import torch

    if not torch.cuda.is_available():
        return []
    kind = "rocm" if getattr(torch.version, "hip", None) else "cuda"
    found = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        bf16 = kind == "rocm" or about.major >= 8
        memory = int(about.total_memory)
        found.append(Accelerator(f"cuda:{index}", kind, about.name, memory, bf16))
    return found


def _mps() -> list[Accelerator]:
    import torch

    return [Accelerator("mps", "mps", "Apple GPU")] if torch.backends.mps.is_available() else []


def _xpu() -> list[Accelerator]:
    import torch

    if not hasattr(torch, "xpu") or not torch.xpu.is_available():
        return []
    found = []
    for index in range(torch.xpu.device_count()):
        memory = int(torch.xpu.get_device_properties(index).total_memory)
        name = torch.xpu.get_device_name(index)
        found.append(Accelerator(f"xpu:{index}", "xpu", name, memory, True))
    return found


def _tpu(chips: tuple[str, ...]) -> list[Accelerator]:
    if find_spec("torch_xla") is None:
        return []
    return [Accelerator(f"xla:{i}", "tpu", name, 0, True) for i, name in enumerate(chips)]
