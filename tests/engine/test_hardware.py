"""What the machine has, against kernel files written for the purpose and the real ones."""

import ctypes
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepta.core.errors import ConfigError
from lepta.engine import Accelerator, Device, Hardware, choose, detect, doctor
from lepta.engine.accelerators import attached, tpu_chips
from lepta.engine.hardware import INSTRUCTIONS, parse_cpuinfo
from lepta.engine.health import Finding, packages
from lepta.engine.limits import (
    allowed_cores,
    core_list,
    cpu_quota,
    memory_limits,
    numa_nodes,
    usable_cores,
)

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
    assert found.total_memory >= found.memory
    assert sum(len(node) for node in found.numa) == len(allowed_cores())
    assert set(found.instructions) <= set(INSTRUCTIONS)


def test_affinity_bounds_the_cores() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lepta.engine.limits import usable_cores; print(usable_cores())"
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
    assert cpu_quota(tmp_path, paths) == 1.5
    assert memory_limits(tmp_path, paths) == [2**30]


def test_quota_and_memory_of_control_groups_1(tmp_path: Path) -> None:
    write(tmp_path / "cpu/x/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "cpu/x/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "memory/x/memory.limit_in_bytes", "2147483648\n")
    paths = {"cpu": "/x", "memory": "/x"}
    assert cpu_quota(tmp_path, paths) == 0.5
    assert memory_limits(tmp_path, paths) == [2**31]
    assert cpu_quota(tmp_path / "none", {}) == 0.0


def test_numa_nodes_hold_the_usable_cores_alone(tmp_path: Path) -> None:
    write(tmp_path / "node0/cpulist", "0-3,8-9\n")
    write(tmp_path / "node10/cpulist", "10\n")
    write(tmp_path / "node2/cpulist", "4-7\n")
    write(tmp_path / "possible", "0-2\n")
    assert numa_nodes(tmp_path, frozenset({0, 1, 9, 10, 4})) == ((0, 1, 9), (4,), (10,))
    assert numa_nodes(tmp_path, frozenset({5})) == ((5,),)
    assert numa_nodes(tmp_path / "none", frozenset({5})) == ()


@given(st.frozensets(st.integers(0, 300)))
def test_core_lists_read_back(cores: frozenset[int]) -> None:
    assert core_list(",".join(str(core) for core in cores)) == cores
    assert core_list("0-3, 8,10-11\n") == {0, 1, 2, 3, 8, 10, 11}
    assert core_list("") == frozenset()


def test_attached_devices_are_told_by_their_nodes(tmp_path: Path) -> None:
    dev, sys = tmp_path / "dev", tmp_path / "sys"
    assert attached(dev, sys) == ()
    write(sys / "bus/pci/devices/0000:00:05.0/vendor", "0x1ae0\n")
    write(sys / "bus/pci/devices/0000:00:05.0/device", "0x0063\n")
    write(sys / "bus/pci/devices/0000:00:06.0/vendor", "0x1ae0\n")
    write(sys / "bus/pci/devices/0000:00:06.0/device", "0x0001\n")
    assert attached(dev, sys) == (), "a container that was not given the nodes cannot use the chip"
    write(dev / "accel0", "")
    assert tpu_chips(dev, sys) == ("TPU v5e",)
    write(dev / "nvidiactl", "")
    assert attached(dev, sys) == ("tpu",)
    write(dev / "nvidia0", "")
    write(dev / "kfd", "")
    write(dev / "dri/renderD128", "")
    write(sys / "class/drm/renderD128/device/vendor", "0x1002\n")
    assert attached(dev, sys) == ("cuda", "rocm", "tpu")
    write(sys / "class/drm/renderD128/device/vendor", "0x8086\n")
    assert attached(dev, sys) == ("cuda", "rocm", "xpu", "tpu")


A100 = Accelerator("cuda:0", "cuda", "A100", 2**36, bf16=True)
OLD = Accelerator("cuda:1", "cuda", "T4", 2**34, bf16=False)

MI300 = Accelerator("cuda:0", "rocm", "MI300X", 2**37, bf16=True)
APPLE = Accelerator("mps", "mps", "Apple GPU")
ARC = Accelerator("xpu:0", "xpu", "Arc", 2**34, bf16=True)
TPU = Accelerator("xla:0", "tpu", "TPU v5e", bf16=True)


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
        ("rocm", machine(accelerators=(MI300,)), ("cuda:0", "bf16")),
        ("cuda", machine(accelerators=(MI300,)), ("cuda:0", "bf16")),
        ("mps", machine(accelerators=(APPLE,)), ("mps", "fp32")),
        ("xpu:0:fp32", machine(accelerators=(A100, ARC)), ("xpu:0", "fp32")),
        ("tpu", machine(accelerators=(TPU,)), ("xla:0", "bf16")),
        ("xla:0:fp32", machine(accelerators=(A100, TPU)), ("xla:0", "fp32")),
    ],
)
def test_a_device_is_chosen(wish: str, hardware: Hardware, expected: tuple[str, str]) -> None:
    device = choose(wish, hardware=hardware)
    assert (device.device, device.precision) == expected
    assert device.threads == 3
    assert Device.model_validate_json(device.model_dump_json()) == device
    assert device.reason
    again = choose(device.wish, hardware=hardware)
    assert (again.device, again.precision, again.kind) == (*expected, device.kind)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("cude", "Did you mean 'cuda'"),
        ("cuda:3", "no device 'cuda:3'"),
        ("rocm", "no device 'rocm'"),
        ("tpu:0", "no device 'tpu:0'"),
        ("rocn", "Did you mean 'rocm'"),
        ("cpu:fp31", "Did you mean 'fp32'"),
        ("cpu:0:bf16:x", "is no device"),
        ("", "is no device"),
    ],
)
def test_a_wrong_wish_is_told(wish: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(wish, hardware=machine(accelerators=(A100,)))


def test_the_reason_names_what_was_found() -> None:
    assert choose("cpu:bf16", hardware=machine()).reason == "asked for"
    found = choose(hardware=machine(accelerators=(MI300,)))
    assert str(found) == "cuda:0 (rocm) in bf16"
    assert found.reason == "the first accelerator, MI300X; native bf16"
    assert "measures" in choose(hardware=machine("amx_bf16")).reason
    assert choose(hardware=machine("avx2")).reason == "no accelerator; no native bf16"


def test_a_device_that_torch_cannot_use_is_named() -> None:
    box = replace(machine(), attached=("rocm", "tpu"))
    with pytest.raises(ConfigError) as caught:
        choose("rocm", hardware=box)
    assert "a build for ROCm" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        choose("xla", hardware=box)
    assert "torch_xla" in str(caught.value)


def test_torch_opens_the_device() -> None:
    assert choose("cpu").torch().type == "cpu"


def test_a_tpu_is_told_without_torch_xla() -> None:
    script = (
        "import sys; from lepta.engine import detect; found = detect(torch=True)\n"
        "print('torch' in sys.modules, 'torch_xla' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"True False\n"


def rows(hardware: Hardware) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in doctor(hardware=hardware).findings:
        found.setdefault(finding.what, []).append(finding)
    return found


def test_the_doctor_tells_of_limits_and_nodes() -> None:
    found = rows(replace(machine("avx2"), quota=3.0, total_memory=2**35, numa=((0, 1), (2,))))
    assert found["processor"][0].found == (
        "cpu, 4 cores, 3 of them usable here (quota 3), 2 NUMA nodes of 2 + 1"
    )
    assert found["memory"][0].found == "16.0 GiB of 32.0 (limit of the container)"
    assert found["instructions"][0].found == "AVX2"
    assert "(affinity)" in rows(machine())["processor"][0].found


def test_the_doctor_tells_what_is_used_and_what_lies_idle() -> None:
    box = replace(
        machine("asimd", accelerators=(MI300,)),
        attached=("cuda", "rocm"),
        libraries={"torch": "2.9.0+rocm6.4"},
    )
    found = rows(box)
    used, idle = found["accelerators"]
    assert used.found == "cuda:0 MI300X (rocm, 128 GiB, bf16)"
    assert "NVIDIA" in idle.found
    assert idle.remedy.startswith("pip install torch")
    assert idle.verdict == "warning"
    assert found["training uses"][0].found.startswith("cuda:0 (rocm) in bf16: the first")
    assert "torch_xla[tpu]" in rows(replace(machine(), attached=("tpu",)))["accelerators"][0].remedy


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
