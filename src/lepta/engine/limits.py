"""What of the machine this process may use: affinity, control groups, NUMA nodes."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")
_NODES = Path("/sys/devices/system/node")


def usable_cores() -> int:
    """Return the cores this process may use, at least 1: affinity, then the container's quota."""
    quota = cpu_quota()
    allowed = len(allowed_cores())
    return max(1, min(allowed, int(quota + 0.5))) if quota else allowed


def allowed_cores() -> frozenset[int]:
    """Return the numbers of the cores that the affinity of this process names."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_quota(root: Path = _CGROUP, paths: dict[str, str] | None = None) -> float:
    """Return the cores that the container's quota allows; 0 without one.

    Args:
        root: where control groups are mounted.
        paths: controller to the path of the group ("" is version 2); this process's by default.
    """
    paths = group_paths() if paths is None else paths
    found = []
    for folder in _folders(root, paths.get("", "")):
        quota, _, period = text_of(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            found.append(int(quota) / int(period))
    for folder in _folders(root / "cpu", paths.get("cpu", "")):
        quota, period = (text_of(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal():
            found.append(int(quota) / int(period))
    return min(found, default=0.0)


def usable_memory() -> int:
    """Return the bytes of memory this process may use; 0 when it cannot be known."""
    total = system_memory()
    limits = [limit for limit in memory_limits() if limit]
    return min([total, *limits]) if total else min(limits, default=0)


def memory_limits(root: Path = _CGROUP, paths: dict[str, str] | None = None) -> list[int]:
    """Return the limits of the control group and its parents, in bytes; see :func:`cpu_quota`."""
    paths = group_paths() if paths is None else paths
    files = [folder / "memory.max" for folder in _folders(root, paths.get("", ""))]
    files += [
        folder / "memory.limit_in_bytes"
        for folder in _folders(root / "memory", paths.get("memory", ""))
    ]
    return [int(text) for file in files if (text := text_of(file)).isdecimal()]


def system_memory() -> int:
    """Return the bytes of memory of the machine; 0 when it cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def numa_nodes(
    root: Path = _NODES, allowed: frozenset[int] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Return the usable cores of each NUMA node that has any; empty when it cannot be known.

    Memory of another node is slower to reach, so a worker does best with the cores of one.
    """
    allowed = allowed_cores() if allowed is None else allowed
    folders = [f for f in root.glob("node*") if f.name[4:].isdecimal()]
    nodes = [
        tuple(sorted(core_list(text_of(folder / "cpulist")) & allowed))
        for folder in sorted(folders, key=lambda folder: int(folder.name[4:]))
    ]
    return tuple(node for node in nodes if node)


def core_list(text: str) -> frozenset[int]:
    """Return the numbers that the kernel's form "0-3,8,10-11" names."""
    cores: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal():
            cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)


def text_of(path: Path) -> str:
    """Return what a file of the kernel says, or an empty string."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def group_paths() -> dict[str, str]:
    """Return, by controller, the path of this process's control group ("" is version 2)."""
    try:
        lines = _SELF.read_text(encoding="utf-8").splitlines()
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
