"""What the machine has, against kernel files written for the purpose and the real ones."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from lepta.core.errors import ConfigError
from lepta.engine import Accelerator, Device, Hardware, choose, detect, doctor
from lepta.engine.hardware import _cpu_quota, _memory_limits, parse_cpuinfo, usable_cores
from lepta.engine.health import packages

X86 = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_int8

processor\t: 1
physical id\t: 0
core id\t\t: 0

processor\t: 2
physical id\t: 0
core id\t\t: 1
"""


def machine(*instructions: str, accelerators: tuple[Accelerator, ...] = ()) -> Hardware:
    return Hardware("Linux", "3.11", "cpu", 2, 4, 3, 2**34, instructions, accelerators, (), {})


def test_this_machine_is_described() -> None:
    found = detect()
    assert 1 <= found.cores <= found.logical_cores
    assert found.physical_cores >= 1
    assert found.memory > 2**28
    assert "CPUExecutionProvider" in found.providers
    assert found.libraries["numpy"]
    assert found.accelerators == ()


def test_affinity_bounds_the_cores() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lepta.engine.hardware import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"1\n"
    assert usable_cores() <= len(os.sched_getaffinity(0))


def test_detecting_imports_nothing_heavy() -> None:
    script = (
        "import sys; from lepta.engine import detect; detect(providers=False)\n"
        "print([m for m in ('torch', 'numpy', 'onnxruntime', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_cpuinfo_of_two_threads_on_one_core() -> None:
    model, flags, cores = parse_cpuinfo(X86)
    assert (model, cores) == ("Some CPU @ 2.00GHz", 2)
    assert {"avx2", "amx_int8"} <= flags
    assert parse_cpuinfo("Features\t: asimd bf16\n")[1] == {"asimd", "bf16"}
    assert parse_cpuinfo("") == ("", frozenset(), 0)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_quota_and_memory_of_control_groups_2(tmp_path: Path) -> None:
    write(tmp_path / "a/b/cpu.max", "150000 100000\n")
    write(tmp_path / "a/cpu.max", "max 100000\n")
    write(tmp_path / "a/b/memory.max", "max\n")
    write(tmp_path / "a/memory.max", "1073741824\n")
    paths = {"": "/a/b"}
    assert _cpu_quota(tmp_path, paths) == 1.5
    assert _memory_limits(tmp_path, paths) == [2**30]


def test_quota_and_memory_of_control_groups_1(tmp_path: Path) -> None:
    write(tmp_path / "cpu/x/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "cpu/x/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "memory/x/memory.limit_in_bytes", "2147483648\n")
    paths = {"cpu": "/x", "memory": "/x"}
    assert _cpu_quota(tmp_path, paths) == 0.5
    assert _memory_limits(tmp_path, paths) == [2**31]
    assert _cpu_quota(tmp_path / "none", {}) == 0.0


A100 = Accelerator("cuda:0", "cuda", "A100", 2**36, bf16=True)
OLD = Accelerator("cuda:1", "cuda", "T4", 2**34, bf16=False)


@pytest.mark.parametrize(
    ("wish", "hardware", "expected"),
    [
        ("auto", machine("avx2"), ("cpu", "fp32")),
        ("auto", machine("avx512_bf16"), ("cpu", "fp32")),
        ("cpu:bf16", machine("avx512_bf16"), ("cpu", "bf16")),
        ("auto:fp32", machine(accelerators=(A100,)), ("cuda:0", "fp32")),
        ("auto", machine(accelerators=(A100, OLD)), ("cuda:0", "bf16")),
        ("cuda:1", machine(accelerators=(A100, OLD)), ("cuda:1", "fp32")),
        ("CUDA:1:fp16", machine(accelerators=(A100, OLD)), ("cuda:1", "fp16")),
        ("cuda:bf16", machine(accelerators=(A100,)), ("cuda:0", "bf16")),
        ("cpu", machine(accelerators=(A100,)), ("cpu", "fp32")),
    ],
)
def test_a_device_is_chosen(wish: str, hardware: Hardware, expected: tuple[str, str]) -> None:
    device = choose(wish, hardware=hardware)
    assert (device.device, device.precision) == expected
    assert device.threads == 3
    assert Device.model_validate_json(device.model_dump_json()) == device


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("cude", "Did you mean 'cuda'"),
        ("cuda:3", "no device 'cuda:3'"),
        ("cpu:fp31", "Did you mean 'fp32'"),
        ("cpu:0:bf16:x", "is no device"),
        ("", "is no device"),
    ],
)
def test_a_wrong_wish_is_told(wish: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(wish, hardware=machine(accelerators=(A100,)))


def test_torch_is_asked_on_the_real_machine() -> None:
    device = choose("auto")
    assert device.device == (detect(torch=True).accelerators or [Device(
        device="cpu", precision="fp32", threads=1)])[0].device  # fmt: skip


def test_extras_are_resolved() -> None:
    lines = [
        "numpy>=2",
        'pillow>=11; extra == "image"',
        'torch>=2; extra == "train"',
        'lepta[image,sign]; extra == "train"',
        'cryptography; extra == "sign"',
    ]
    assert packages("train", lines) == ["torch", "pillow", "cryptography"]
    assert packages("absent", lines) == []


def test_the_report_fits_a_page_and_names_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lepta.engine.health.installed", lambda name: "" if name == "cryptography" else "1"
    )
    report = doctor()
    page = str(report)
    assert len(page.splitlines()) <= 50
    assert "pip install 'lepta[sign]'" in page
    assert {"Python", "memory", "disk", "torch", "predicting uses"} <= {
        finding.what for finding in report.findings
    }


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_the_allocator_keeps_freed_memory() -> None:
    script = (
        "import resource, sys\n"
        "if len(sys.argv) > 1:\n"
        "    from lepta.engine import tune_allocator\n"
        "    assert tune_allocator()\n"
        "for _ in range(10): b'x' * 40_000_000\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
    )
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", script, *more], capture_output=True, check=True
            ).stdout
        )
        for more in ([], ["tuned"])
    ]
    assert faults[1] < faults[0] / 3


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from lepta.engine import tune_allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert tune_allocator() is False
