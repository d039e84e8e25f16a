"""What this machine has, as seen from inside its container."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

INSTRUCTIONS = (
    "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8",
    "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip
"""Instruction sets that matter to neural networks (x86-64, then ARM)."""

LIBRARIES = (
    "numpy", "onnxruntime", "torch", "lightgbm", "scikit-learn", "pyarrow", "pillow", "pydicom",
    "mlflow-skinny", "uvicorn",
)  # fmt: skip

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Accelerator:
    """One GPU or similar device that torch can use.

    Attributes:
        device: torch's name ("cuda:0", "mps", "xpu:0"); ROCm devices are "cuda" too.
        kind: "cuda", "rocm", "mps" or "xpu".
        memory: bytes, 0 when unknown.
        bf16: whether it computes in bfloat16.
    """

    device: str
    kind: str
    name: str
    memory: int = 0
    bf16: bool = False


@dataclass(frozen=True)
class Hardware:
    """What was found.

    Attributes:
        cores: usable ones: affinity and the container's quota taken into account.
        memory: bytes this process may use, the container's limit taken into account.
        instructions: the instruction sets of :data:`INSTRUCTIONS` that the processor has.
        accelerators: empty unless torch was asked.
        providers: ONNX Runtime's execution providers.
        libraries: versions of installed libraries.
    """

    system: str
    python: str
    cpu: str
    physical_cores: int
    logical_cores: int
    cores: int
    memory: int
    instructions: tuple[str, ...]
    accelerators: tuple[Accelerator, ...]
    providers: tuple[str, ...]
    libraries: dict[str, str]


def detect(*, torch: bool = False, providers: bool = True) -> Hardware:
    """Look at this machine; imports nothing heavy unless asked.

    Args:
        torch: import torch, where installed, and ask it for accelerators (takes seconds).
        providers: import ONNX Runtime and ask for its providers.
    """
    model, flags, physical = _processor()
    logical = os.cpu_count() or 1
    return Hardware(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=model or platform.processor() or platform.machine(),
        physical_cores=physical or logical,
        logical_cores=logical,
        cores=usable_cores(),
        memory=usable_memory(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        accelerators=accelerators() if torch else (),
        providers=_providers() if providers else (),
        libraries={name: found for name in LIBRARIES if (found := installed(name))},
    )


def installed(distribution: str) -> str:
    """Return the version of an installed distribution, or an empty string."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def usable_cores() -> int:
    """Return the cores this process may use, at least 1: affinity, then the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cpu_quota(_CGROUP, _group_paths())
    return max(1, min(cores, int(quota + 0.5))) if quota else cores


def usable_memory() -> int:
    """Return the bytes of memory this process may use; 0 when it cannot be known."""
    total = _system_memory()
    limits = [limit for limit in _memory_limits(_CGROUP, _group_paths()) if limit]
    return min([total, *limits]) if total else min(limits, default=0)


def accelerators() -> tuple[Accelerator, ...]:
    """Ask torch for its accelerators; empty without torch."""
    if not installed("torch"):
        return ()
    import torch

    found = []
    if torch.cuda.is_available():
        kind = "rocm" if getattr(torch.version, "hip", None) else "cuda"
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            bf16 = kind == "rocm" or about.major >= 8
            memory = int(about.total_memory)
            found.append(Accelerator(f"cuda:{index}", kind, about.name, memory, bf16))
    if torch.backends.mps.is_available():
        found.append(Accelerator("mps", "mps", "Apple GPU", 0, False))
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            memory = int(torch.xpu.get_device_properties(index).total_memory)
            name = torch.xpu.get_device_name(index)
            found.append(Accelerator(f"xpu:{index}", "xpu", name, memory, True))
    return tuple(found)


def _providers() -> tuple[str, ...]:
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def _processor() -> tuple[str, frozenset[str], int]:
    """Model, flags and physical cores as Linux tells; a Mac's model by sysctl."""
    try:
        text = (_PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _mac_processor()
    return parse_cpuinfo(text)


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str], int]:
    """Return (model, flags, physical cores) from the text of /proc/cpuinfo."""
    model, flags, cores = "", frozenset[str](), set()
    for block in text.split("\n\n"):
        values: dict[str, str] = {}
        for line in block.splitlines():
            key, _, value = line.partition(":")
            values[key.strip()] = value.strip()
        model = model or values.get("model name", "")
        flags = flags or frozenset((values.get("flags") or values.get("Features") or "").split())
        if "core id" in values:
            cores.add((values.get("physical id", "0"), values["core id"]))
    return model, flags, len(cores)


def _mac_processor() -> tuple[str, frozenset[str], int]:
    if sys.platform != "darwin":
        return "", frozenset(), 0
    import ctypes

    size = ctypes.c_size_t(256)
    buffer = ctypes.create_string_buffer(256)
    library: Any = ctypes.CDLL(None)
    library.sysctlbyname(b"machdep.cpu.brand_string", buffer, ctypes.byref(size), None, 0)
    return buffer.value.decode(), frozenset(), 0


def _group_paths() -> dict[str, str]:
    """Controller to the path of this process's control group ("" is cgroup version 2)."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    paths = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _folders(root: Path, path: str) -> list[Path]:
    """The group's folder and its parents up to ``root``: a limit of any of them binds."""
    inner = Path(path.strip("/"))
    return [root / part for part in (inner, *inner.parents)]


def _cpu_quota(root: Path, paths: dict[str, str]) -> float:
    """Cores allowed by the quota; 0 without one."""
    found = []
    for folder in _folders(root, paths.get("", "")):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            found.append(int(quota) / int(period))
    for folder in _folders(root / "cpu", paths.get("cpu", "")):
        quota, period = (_text(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal():
            found.append(int(quota) / int(period))
    return min(found, default=0.0)


def _memory_limits(root: Path, paths: dict[str, str]) -> list[int]:
    files = [folder / "memory.max" for folder in _folders(root, paths.get("", ""))]
    files += [
        folder / "memory.limit_in_bytes"
        for folder in _folders(root / "memory", paths.get("memory", ""))
    ]
    return [int(text) for file in files if (text := _text(file)).isdecimal()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _system_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
