"""Writing that dies (an exception, a kill, a full disk) leaves the old file or folder."""

import ctypes
import hashlib
import os
import resource
import stat
import subprocess
import sys

import pytest

from lepta.core.files import (
    atomic_folder,
    atomic_write,
    cache_folder,
    sha256,
    sha256_file,
    write_text,
)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "x.txt").write_text("old")
    return path


@pytest.fixture
def small_disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_written_whole(target):
    write_text(target, "größer")
    assert target.read_text(encoding="utf-8") == "größer"
    assert names(target.parent) == ["a.txt"]


def test_a_new_file_has_the_usual_rights(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
        with atomic_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file(target, error):
    def write():
        with atomic_write(target) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert names(target.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_folder(folder, error):
    def write():
        with atomic_folder(folder) as made:
            (made / "y.txt").write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert names(folder) == ["x.txt"]
    assert names(folder.parent) == ["a"]


def test_a_full_disk_leaves_the_old_file(target, small_disk):
    with pytest.raises(OSError, match="too large"):
        write_text(target, "x" * 20_000)
    assert target.read_text() == "old"
    assert names(target.parent) == ["a.txt"]


def test_a_full_disk_leaves_the_old_folder(folder, small_disk):
    with pytest.raises(OSError, match="too large"), atomic_folder(folder) as made:
        (made / "y.txt").write_bytes(bytes(20_000))
    assert names(folder) == ["x.txt"]
    assert names(folder.parent) == ["a"]


KILLED = """
import os, sys
from lepta.core.files import atomic_write
with atomic_write(sys.argv[1]) as stream:
    stream.write(b"new" * 100_000)
    stream.flush()
    os._exit(9)
"""


def test_a_kill_leaves_the_old_file(target):
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert done.returncode == 9
    assert target.read_text() == "old"


KILLED_AT_EVERY_LINE = """
import os, shutil, sys
from pathlib import Path
from lepta.core.files import atomic_folder, atomic_write

target = Path(sys.argv[1])

def write(text):
    if target.suffix:
        with atomic_write(target) as stream:
            stream.write(text.encode())
    else:
        with atomic_folder(target) as folder:
            (folder / "1.txt").write_text(text)
            (folder / "2.txt").write_text(text)

def read():
    if target.suffix:
        return target.read_text()
    (text,) = {path.read_text() for path in target.iterdir()}
    return text

def child(limit):
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if not frame.f_code.co_filename.endswith("core/files.py"):
            return None
        seen += event == "line"
        if seen == limit:
            os._exit(9)
        return trace
    sys.settrace(trace)
    write("new")
    os._exit(0)

states, line, status = "", 0, 1
while status:
    write("old")
    line += 1
    pid = os.fork()
    if not pid:
        child(line)
    status = os.waitpid(pid, 0)[1]
    states += read()[0]
    for left in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
print(states)
"""


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_killed_at_every_line(tmp_path, name):
    command = [sys.executable, "-c", KILLED_AT_EVERY_LINE, str(tmp_path / name)]
    states = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert states.strip("o").strip("n") == ""
    assert states.startswith("oooooooo")
    assert states.endswith("n")


def test_a_folder_is_written_and_replaced(folder):
    with atomic_folder(folder) as made:
        (made / "sub").mkdir()
        (made / "sub" / "y.txt").write_text("new")
        assert names(folder) == ["x.txt"]
    assert names(folder) == ["sub"]
    assert (folder / "sub" / "y.txt").read_text() == "new"
    assert names(folder.parent) == ["a"]


def test_a_link_to_a_folder_stays_a_link(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    with atomic_folder(link):
        pass
    assert link.is_symlink()
    assert names(folder) == []
    assert names(folder.parent) == ["a", "link"]


class _OldSystem:
    """A C library that has no renameat2."""


def test_folders_are_swapped_on_systems_that_cannot_do_it_in_one_step(folder, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: _OldSystem())
    with atomic_folder(folder) as made:
        (made / "y.txt").write_text("new")
    assert names(folder) == ["y.txt"]
    assert names(folder.parent) == ["a"]


def test_a_swap_that_fails_half_way_is_undone(folder, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: _OldSystem())
    rename, done = type(folder).rename, []

    def failing(self, to):
        done.append(to)
        if len(done) == 2:
            raise OSError("no")
        return rename(self, to)

    monkeypatch.setattr(type(folder), "rename", failing)
    with pytest.raises(OSError, match="no"), atomic_folder(folder):
        pass
    assert names(folder) == ["x.txt"]
    assert names(folder.parent) == ["a"]


def test_a_missing_parent_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "a"):
        pass
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "no" / "a"):
        pass


def test_hashes(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "a").write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    assert sha256(data) == sha256(memoryview(data)) == sha256_file(tmp_path / "a") == expected


def test_the_folder_of_caches_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "lepta"
