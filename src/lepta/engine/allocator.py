"""Settings of the whole process that make training faster."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_TOP_PAD = 64 * 1024 * 1024
_NEVER = 2**31 - 1


def tune_process() -> None:
    """Set the allocator, and let OpenMP's threads sleep while they wait.

    Waiting threads that spin take the cores that they wait for: with one core taken by another
    program, an epoch of a small CNN takes four times as long. Call it before torch, scikit-learn
    or LightGBM is imported; a policy that the caller has set (``OMP_WAIT_POLICY``) stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    tune_allocator()


def tune_allocator() -> bool:
    """Let glibc keep freed memory instead of returning it to the system after every tensor.

    A training step of a small CNN otherwise causes tens of thousands of page faults. The memory
    of the process then does not shrink again. For the whole process, so call it where training
    begins; most effective before torch is imported.

    Returns:
        Whether it was applied; False without glibc.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _TOP_PAD))
    return all(mallopt(option, value) == 1 for option, value in settings)
