"""What this machine offers and what is missing, on one page."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Literal

from lepta.engine.accelerators import accelerators
from lepta.engine.device import choose
from lepta.engine.hardware import INSTRUCTIONS, Hardware, detect, installed

Verdict = Literal["ok", "warning", "missing"]

_GIB = 2**30
_LITTLE_MEMORY = 4 * _GIB
_LITTLE_DISK = 5 * _GIB
_NOT_FOR_USERS = frozenset({"all", "dev"})
_WHEELS = "torch --force-reinstall --index-url https://download.pytorch.org/whl/"
_BUILDS: dict[str, tuple[str, str, Verdict]] = {
    "cuda": ("an NVIDIA GPU", f"{_WHEELS}cu128", "warning"),
    "rocm": ("an AMD GPU", f"{_WHEELS}rocm6.4", "warning"),
    "xpu": ("an Intel GPU", f"{_WHEELS}xpu", "missing"),
    "tpu": ("a TPU", "torch_xla[tpu]", "warning"),
}
"""What a kind is, the build of torch that uses it, and how bad it is to do without."""
_FASTEST = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "ROCMExecutionProvider",
            "OpenVINOExecutionProvider", "CoreMLExecutionProvider")  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One row of the report; ``remedy`` is empty where nothing is to be done."""

    what: str
    found: str
    verdict: Verdict = "ok"
    remedy: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """What was found, row by row."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is worse than a missing extra."""
        return all(finding.verdict != "warning" for finding in self.findings)

    def __str__(self) -> str:
        marks = {"ok": "ok", "warning": "WARNING", "missing": "missing"}
        wide = max(len(finding.what) for finding in self.findings)
        lines = []
        for finding in self.findings:
            lines.append(f"{marks[finding.verdict]:<8} {finding.what:<{wide}}  {finding.found}")
            if finding.remedy:
                lines.append(f"{'':<8} {'':<{wide}}  -> {finding.remedy}")
        return "\n".join(lines)


def doctor(folder: Path | str = ".", *, hardware: Hardware | None = None) -> DoctorReport:
    """Examine this machine, or tell of ``hardware``; free disk space is that of ``folder``.

    torch is imported only where its build may see an accelerator.
    """
    if hardware is None:
        hardware = detect()
        torch = hardware.libraries.get("torch", "")
        if torch and (not torch.endswith("+cpu") or "tpu" in hardware.attached):
            hardware = replace(hardware, accelerators=accelerators())
    findings = [
        *_machine(hardware, Path(folder)),
        _torch(hardware),
        *_accelerators(hardware),
        *_extras(),
        *_uses(hardware),
    ]
    return DoctorReport(tuple(findings))


def _machine(hardware: Hardware, folder: Path) -> Iterator[Finding]:
    old = sys.version_info < (3, 11)
    yield Finding(
        "Python",
        f"{hardware.python} on {hardware.system}",
        "warning" if old else "ok",
        "Lepta needs Python 3.11 or newer." if old else "",
    )
    yield _cores(hardware)
    yield _instructions(hardware)
    yield _memory(hardware)
    free = shutil.disk_usage(folder).free
    yield Finding(
        "disk",
        f"{free / _GIB:.1f} GiB free in {folder.absolute()}",
        "warning" if free < _LITTLE_DISK else "ok",
        "Decoded images and checkpoints want a few GiB." if free < _LITTLE_DISK else "",
    )


def _cores(hardware: Hardware) -> Finding:
    notes = [f"{hardware.logical_cores} cores"]
    if hardware.cores < hardware.logical_cores:
        why = f"quota {hardware.quota:g}" if 0 < hardware.quota <= hardware.cores else "affinity"
        notes.append(f"{hardware.cores} of them usable here ({why})")
    if len(hardware.numa) > 1:
        counts = " + ".join(str(len(node)) for node in hardware.numa)
        notes.append(f"{len(hardware.numa)} NUMA nodes of {counts}")
    return Finding("processor", ", ".join([hardware.cpu, *notes]))


def _memory(hardware: Hardware) -> Finding:
    little = 0 < hardware.memory < _LITTLE_MEMORY
    found = f"{hardware.memory / _GIB:.1f} GiB" if hardware.memory else "unknown"
    if 0 < hardware.memory < hardware.total_memory:
        found += f" of {hardware.total_memory / _GIB:.1f} (limit of the container)"
    return Finding(
        "memory",
        found,
        "warning" if little else "ok",
        "Training needs 4 GiB; predicting does with 0.5." if little else "",
    )


def _instructions(hardware: Hardware) -> Finding:
    known = hardware.instructions
    if not known:
        return Finding("instructions", "unknown")
    slow = not {"avx2", "asimd"} & set(known)
    return Finding(
        "instructions",
        " ".join(INSTRUCTIONS[name] for name in known),
        "warning" if slow else "ok",
        "Without AVX2 everything is several times slower." if slow else "",
    )


def _torch(hardware: Hardware) -> Finding:
    version = hardware.libraries.get("torch", "")
    if version:
        return Finding("torch", version)
    return Finding(
        "torch", "not installed; only training needs it", "missing", "pip install 'lepta[train]'"
    )


def _accelerators(hardware: Hardware) -> Iterator[Finding]:
    """What torch can use, and what is attached that it cannot."""
    if hardware.accelerators:
        listed = [
            f"{a.device} {a.name} ({a.kind}"
            + (f", {a.memory / _GIB:.0f} GiB" if a.memory else "")
            + (", bf16)" if a.bf16 else ")")
            for a in hardware.accelerators
        ]
        yield Finding("accelerators", "; ".join(listed))
    usable = {accelerator.kind for accelerator in hardware.accelerators}
    idle = [kind for kind in hardware.attached if kind not in usable]
    if not idle and not usable:
        yield Finding("accelerators", "none; the processor does the work")
    for kind in idle:
        what, build, verdict = _BUILDS[kind]
        torch = hardware.libraries.get("torch", "") or "not installed"
        found = f"{what} is attached, but torch ({torch}) cannot use it"
        yield Finding("accelerators", found, verdict, f"pip install {build}")


def _extras() -> Iterator[Finding]:
    try:
        named = metadata("lepta").get_all("Provides-Extra") or []
        needed = requires("lepta") or []
    except PackageNotFoundError:
        yield Finding("extras", "unknown: lepta is not installed as a package", "warning")
        return
    for extra in named:
        if extra in _NOT_FOR_USERS:
            continue
        absent = [name for name in packages(extra, needed) if not installed(name)]
        if absent:
            found = f"without {', '.join(absent)}"
            yield Finding(f"extra {extra}", found, "missing", f"pip install 'lepta[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "installed")


def packages(extra: str, requirements: list[str]) -> list[str]:
    """Return the distributions that ``extra`` asks for, extras it includes resolved.

    Args:
        extra: name of an extra of lepta.
        requirements: lines as in the metadata: ``numpy>=2; extra == "train"``.
    """
    found: list[str] = []
    for line in requirements:
        requirement, _, marker = line.partition(";")
        if not re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", marker):
            continue
        match = re.match(r"\s*([\w.\-]+)\s*(?:\[([^\]]*)\])?", requirement)
        if match is None:
            continue
        if match[1] == "lepta":
            for inner in (match[2] or "").split(","):
                found += packages(inner.strip(), requirements)
        else:
            found.append(match[1])
    return list(dict.fromkeys(found))


def _uses(hardware: Hardware) -> Iterator[Finding]:
    if "torch" in hardware.libraries:
        device = choose(hardware=hardware)
        yield Finding("training uses", f"{device}: {device.reason}")
    if not hardware.providers:
        yield Finding(
            "predicting uses",
            "nothing: ONNX Runtime is not installed",
            "warning",
            "pip install onnxruntime",
        )
        return
    best = next((name for name in _FASTEST if name in hardware.providers), "CPU")
    version = hardware.libraries.get("onnxruntime", "")
    name = best.removesuffix("ExecutionProvider")
    yield Finding("predicting uses", f"ONNX Runtime {version} on {name}".replace("  ", " "))
