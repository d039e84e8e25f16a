"""What this machine has, as seen from inside its container."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lepta.engine import limits
from lepta.engine.accelerators import Accelerator, accelerators, attached

INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "amx_fp16": "AMX-FP16",
    "asimd": "NEON",
    "bf16": "BF16",
    "i8mm": "I8MM",
    "sve": "SVE",
    "sve2": "SVE2",
}
"""Instruction sets that matter to neural networks, by the kernel's names (x86-64, then ARM)."""

PRODUCTS_IN_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Instruction sets that multiply in bfloat16."""

LIBRARIES = (
    "numpy", "onnxruntime", "torch", "lightgbm", "scikit-learn", "pyarrow", "pillow", "pydicom",
    "mlflow-skinny", "uvicorn", "torch_xla", "keras", "ray", "transformers",
)  # fmt: skip

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Hardware:
    """What was found.

    Attributes:
        cores: usable ones: affinity and the container's quota taken into account.
        memory: bytes this process may use, the container's limit taken into account.
        instructions: the instruction sets of :data:`INSTRUCTIONS` that the processor has.
        accelerators: those that torch can use; empty unless it was asked.
        providers: ONNX Runtime's execution providers.
        libraries: versions of installed libraries.
        quota: cores that the container's quota allows, 0 without one.
        total_memory: bytes of the machine, 0 when unknown.
        numa: usable cores of each NUMA node.
        attached: kinds of accelerators that the kernel shows, whether or not torch can use them.
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
    quota: float = 0.0
    total_memory: int = 0
    numa: tuple[tuple[int, ...], ...] = ()
    attached: tuple[str, ...] = ()

    @property
    def bf16(self) -> bool:
        """Whether the processor multiplies in bfloat16."""
        return bool(PRODUCTS_IN_BF16 & set(self.instructions))


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
        cores=limits.usable_cores(),
        memory=limits.usable_memory(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        accelerators=accelerators() if torch else (),
        providers=_providers() if providers else (),
        libraries={name: found for name in LIBRARIES if (found := installed(name))},
        quota=limits.cpu_quota(),
        total_memory=limits.system_memory(),
        numa=limits.numa_nodes(),
        attached=attached(),
    )


def installed(distribution: str) -> str:
    """Return the version of an installed distribution, or an empty string."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _providers() -> tuple[str, ...]:
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def _processor() -> tuple[str, frozenset[str], int]:
    """Model, flags and physical cores as Linux tells; a Mac's model by sysctl."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
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
    flags = frozenset({"asimd"}) if platform.machine() == "arm64" else frozenset[str]()
    return buffer.value.decode(), flags, 0
