"""A save that dies leaves the old bundle or the new one, whole."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from lepta.bundle import Bundle
from lepta.core.errors import BundleError

KILLED_AT_EVERY_LINE = """
import os, shutil, sys
from pathlib import Path
from lepta.bundle import Bundle

old, new, target = Bundle.load(sys.argv[1]), Bundle.load(sys.argv[2]), Path(sys.argv[3])

def child(limit):
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(("core/files.py", "bundle/pack.py")):
            return None
        if event == "line":
            seen += 1
            if seen == limit:
                os._exit(9)
        return trace
    sys.settrace(trace)
    new.save(target)
    os._exit(0)

states, line, status = [], 0, 1
while status:
    old.save(target)
    line += 1
    pid = os.fork()
    if not pid:
        child(line)
    status = os.waitpid(pid, 0)[1]
    states.append(Bundle.load(target))
    for left in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
assert states[-1] == new and set(states) == {old, new}
switch = states.index(new)
assert set(states[:switch]) == {old} and set(states[switch:]) == {new}
print(line)
"""


@pytest.fixture
def pair(bundle, tmp_path):
    old = bundle.with_members({"report.html": b"old " * 100})
    new = bundle.with_members({"report.html": b"new", "a/b/c.txt": bytes(9)})
    return old, new


@pytest.mark.parametrize("name", ["target.lepta", "target"])
def test_killed_at_every_line(pair, tmp_path, name):
    paths = [str(bundle.save(tmp_path / f"{index}.lepta")) for index, bundle in enumerate(pair)]
    command = [sys.executable, "-c", KILLED_AT_EVERY_LINE, *paths, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


KILLED_AT_RANDOM = """
import sys
from lepta.bundle import Bundle
pair = [Bundle.load(path) for path in sys.argv[1:3]]
print("go", flush=True)
while True:
    for bundle in pair:
        bundle.save(sys.argv[3])
"""


@pytest.mark.parametrize("name", ["target.lepta", "target"])
def test_killed_at_random(pair, tmp_path, name):
    pair = tuple(bundle.with_members({"big.txt": os.urandom(3_000_000)}) for bundle in pair)
    paths = [str(bundle.save(tmp_path / f"{i}.lepta")) for i, bundle in enumerate(pair)]
    target = pair[0].save(tmp_path / name)
    command = [sys.executable, "-c", KILLED_AT_RANDOM, *paths, str(target)]
    for seed in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(random.Random(seed).uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
        assert Bundle.load(target) in pair


@pytest.mark.parametrize("name", ["target.lepta", "target"])
def test_a_full_disk_leaves_the_old_bundle(pair, tmp_path, name):
    old, new = pair
    target = old.save(tmp_path / name)
    big = new.with_members({"big.txt": os.urandom(100_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(BundleError, match="cannot be written: File too large"):
            big.save(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Bundle.load(target) == old
    assert [path.name for path in tmp_path.iterdir()] == [name]
