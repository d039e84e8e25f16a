"""Hostile archives: nothing is written, nothing inflates beyond the limit, each is told apart."""

import contextlib
import io
import os
import socket
import stat
import struct
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.archive import Limits, SafeFolder, SafeZip, open_archive, unsafe_name
from lepta.core.errors import BundleError, DataError

CENTRAL = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<I"), "size": (24, "<I")}


def make(files: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], **options) -> bytes:
    stream = io.BytesIO()
    entries = files.items() if isinstance(files, dict) else files
    with zipfile.ZipFile(stream, "w", **options) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return stream.getvalue()


def patched(data: bytes, **fields: int) -> bytes:
    """Return a zip in whose first central header ``fields`` are overwritten."""
    out, start = bytearray(data), data.index(b"PK\x01\x02")
    for name, value in fields.items():
        offset, form = CENTRAL[name]
        struct.pack_into(form, out, start + offset, value)
    return bytes(out)


def read_all(data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    with SafeZip(io.BytesIO(data), limits) as archive:
        return {name: archive.read(name) for name in archive.names}


def refused(data: bytes, message: str, limits: Limits | None = None) -> None:
    with pytest.raises(DataError, match=message):
        read_all(data, limits)


def test_a_harmless_zip_reads():
    data = make({"b/ä.txt": b"1", "a.txt": b"22"}, compression=zipfile.ZIP_DEFLATED)
    with SafeZip(io.BytesIO(data)) as archive:
        assert archive.names == ("a.txt", "b/ä.txt")
        assert (archive.size("a.txt"), archive.read("b/ä.txt"), len(archive)) == (2, b"1", 2)
        assert "a.txt" in archive
        assert "c.txt" not in archive
        with pytest.raises(DataError, match=r"no 'c\.txt'"):
            archive.read("c.txt")


def test_folders_in_a_zip_are_passed_over():
    with SafeZip(io.BytesIO(make([("a/", b""), ("a/b.txt", b"1")]))) as archive:
        assert archive.names == ("a/b.txt",)


UNSAFE = [
    "/etc/passwd",
    "../a",
    "a/../../b",
    "a/./b",
    "a//b",
    "./a",
    "..",
    "C:/a",
    "c:a",
    "a\\b",
    "..\\a",
    "a\nb",
    "a\x7f",
    "a" * 2000,
]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused(name):
    assert unsafe_name(name)
    refused(make({name: b"x"}), "member name")


@pytest.mark.parametrize("name", ["a", "a.b/c", "..a", "a..", "-x", "ü/日本.png", "a b"])
def test_plain_names_pass(name):
    assert unsafe_name(name) is None


def test_an_empty_name_is_refused():
    assert unsafe_name("")
    data = bytearray(make({"a": b""}))
    start = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, start + 28, 0)
    del data[start + 46]
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, end - start)
    refused(bytes(data), "is empty")


def test_a_nul_in_a_name_is_refused():
    refused(make({"evilX.txt": b"1"}).replace(b"evilX", b"evil\0"), "control character")


def special(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.txt")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(kind):
    refused(make([(special(kind), b"/etc/passwd")]), "link or a special file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused():
    refused(make([("a.txt", b"1"), ("a.txt", b"2")]), r"'a\.txt' stands more than once")


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_an_encrypted_member_is_refused(flag):
    refused(patched(make({"a.txt": b"1"}), flags=flag), "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_unknown_compression_is_refused(method):
    refused(patched(make({"a.txt": b"1"}), method=method), "unknown method")


def test_limits():
    files = {"a.txt": b"1" * 50, "b.txt": b"2" * 60}
    refused(make(files), "more than 1 members", Limits(max_members=1))
    refused(make(files), r"'b\.txt' is larger than 55", Limits(max_member=55))
    refused(make(files), "larger than 100 bytes together", Limits(max_total=100))
    with SafeZip(io.BytesIO(make(files)), Limits(2, 110, 60, 1.0)) as archive:
        assert len(archive) == 2


def test_a_bomb_is_refused_by_its_ratio():
    data = make({"a.txt": bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)
    refused(data, "inflate more than 200 times")


def test_a_bomb_that_lies_about_its_size_does_not_inflate():
    content = bytes(200_000_000)
    bomb = make({"a.txt": content}, compression=zipfile.ZIP_DEFLATED)
    del content
    lying = patched(bomb, size=1000, crc=zlib.crc32(bytes(999)))
    tracemalloc.start()
    refused(lying, "damaged")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("size", [3, 4000])
def test_a_size_that_lies_is_refused(size):
    refused(patched(make({"a.txt": b"hello" * 9}), size=size), "size|damaged|inflate")


def test_a_directory_of_millions_of_members_is_not_loaded():
    limits = Limits(max_members=10)
    data = make({f"{index:0200d}": b"" for index in range(2000)})
    refused(data, "directory of the zip is too large", limits)


def test_a_large_stored_member_is_not_taken_for_a_directory():
    content = os.urandom(1 << 20)
    with SafeZip(io.BytesIO(make({"a.txt": content})), Limits(max_members=1)) as archive:
        assert archive.read("a.txt") == content


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 1000, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(data):
    refused(data, "not a zip")


def test_a_flipped_bit_is_found():
    data = bytearray(make({"a.txt": b"hello"}))
    data[data.index(b"hello")] ^= 1
    refused(bytes(data), r"'a\.txt' is damaged")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_damage_is_a_plain_error(data):
    mutated = bytearray(
        make({"a.txt": b"hello " * 9, "b/c.txt": b"1"}, compression=zipfile.ZIP_DEFLATED)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        read_all(bytes(mutated))


def test_threads_may_read_at_once(tmp_path):
    files = {f"{index}.txt": os.urandom(20_000) for index in range(40)}
    (tmp_path / "a.zip").write_bytes(make(files, compression=zipfile.ZIP_DEFLATED))
    wrong = []

    def read(archive):
        wrong.extend(name for name in files if archive.read(name) != files[name])

    with SafeZip(tmp_path / "a.zip") as archive:
        threads = [threading.Thread(target=read, args=(archive,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("1")
    (root / "sub" / "b.txt").write_text("22")
    return root


def test_a_harmless_folder_reads(folder):
    with SafeFolder(folder) as archive:
        assert archive.names == ("a.txt", "sub/b.txt")
        assert archive.read("sub/b.txt") == b"22"


def test_links_in_a_folder_are_refused(folder):
    for make_link in (
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to(folder.parent, target_is_directory=True),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ):
        path = folder / "sub" / "link"
        make_link(path)
        with pytest.raises(DataError, match=r"'sub/link' is a link or a special file"):
            SafeFolder(folder)
        path.unlink()


def test_a_socket_in_a_folder_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.txt")
        with pytest.raises(DataError, match="special file"):
            SafeFolder(folder)


def test_a_hard_link_is_refused(folder):
    (folder.parent / "secret").write_text("x")
    os.link(folder.parent / "secret", folder / "c.txt")
    with pytest.raises(DataError, match=r"'c\.txt' is hard-linked"):
        SafeFolder(folder)


def test_what_is_swapped_after_the_audit_is_refused(folder):
    archive = SafeFolder(folder)
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"'a\.txt' cannot be read"):
        archive.read("a.txt")
    (folder / "sub" / "b.txt").write_text("longer")
    with pytest.raises(DataError, match="not of the size"):
        archive.read("sub/b.txt")


def test_limits_of_a_folder(folder):
    for limits in (Limits(max_members=1), Limits(max_total=2), Limits(max_member=1)):
        with pytest.raises(DataError):
            SafeFolder(folder, limits)
    (folder / "sub2").mkdir()
    (folder / "sub3").mkdir()
    with pytest.raises(DataError, match="more than 2 folders"):
        SafeFolder(folder, Limits(max_members=2))


def test_names_in_a_folder_are_checked(folder):
    (folder / "a\\b.txt").write_text("")
    with pytest.raises(DataError, match="member name"):
        SafeFolder(folder)


def test_open_archive_takes_either_and_names_what_it_is_not(folder, tmp_path):
    (tmp_path / "a.zip").write_bytes(make({"a.txt": b"1"}))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "a.zip", str(folder)):
        with open_archive(path) as archive:
            assert archive.read("a.txt") == b"1"
    for name in ("absent", "pipe", "nul\0"):
        with pytest.raises(BundleError) as caught:
            open_archive(tmp_path / name, error=BundleError)
        assert caught.value.where.file == str(tmp_path / name)
