import hashlib
import multiprocessing
import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from lepta.core.errors import DataError
from lepta.core.events import Context, StageAdvanced
from lepta.data import Dataset, Files, require_trainable


def make_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_paths_are_found_on_disk_absolute_and_in_zips(tmp_path):
    (tmp_path / "here.bin").write_bytes(b"disk")
    make_zip(tmp_path / "a.zip", {"top/img/x.bin": b"in a", "here.bin": b"not this"})
    make_zip(tmp_path / "b.zip", {"img/y.bin": b"in b", "one/z.bin": b"1", "two/z.bin": b"2"})
    files = Files(tmp_path)
    assert files.read("here.bin") == b"disk"
    assert files.read(str(tmp_path / "here.bin")) == b"disk"
    assert files.read("img/x.bin") == b"in a"
    assert files.read("./img/y.bin") == b"in b"
    assert files.read("img\\y.bin") == b"in b"
    assert files.read("two/z.bin") == b"2"
    assert files.size("img/x.bin") == 4
    assert files.exists("one/z.bin")
    assert not files.exists("z.bin")
    assert not files.exists("g/x.bin")
    assert not files.exists("x" * 5000)
    assert not files.exists("a\0b")
    assert files.listing("top/img") == ("top/img/x.bin",)
    assert files.size("top/img") == 4
    assert files.is_folder("top/img")
    assert files.digest("img/y.bin") == hashlib.sha256(b"in b").hexdigest()


def test_a_missing_file_suggests_the_nearest(tmp_path):
    make_zip(tmp_path / "a.zip", {"img/slice_001.png": b"x"})
    with pytest.raises(DataError, match=r"is missing. Did you mean 'slice_001.png'") as caught:
        Files(tmp_path).read("img/slice_01.png")
    assert caught.value.where.file == "img/slice_01.png"
    assert "beside" in caught.value.fix


def test_missing_files_are_counted_and_the_first_is_named(write, png):
    png("0.png")
    path = write("t.csv", "file,y\n0.png,0\n1.png,1\n2.png,0\n0.png,1\n")
    data = Dataset.read(path, target="y")
    with pytest.raises(DataError, match=r"2 of 4 files of 'file' are missing") as caught:
        require_trainable(data)
    where = caught.value.where
    assert (where.file, where.row, where.field) == ("1.png", 2, "file")
    with pytest.raises(DataError, match=r"'1\.png' is missing") as caught:
        data.decode("file", 1)
    assert caught.value.where.row == 2


def test_no_file_at_all_is_refused_at_once(write):
    with pytest.raises(DataError, match=r"No file of 'file' can be found \(2 are missing\)"):
        Dataset.read(write("t.csv", "file,y\na.png,0\nb.png,1\n"))


def test_a_zip_bomb_and_a_zip_that_leads_out_are_refused(tmp_path):
    make_zip(tmp_path / "bomb.zip", {"x.bin": b"\0" * 50_000_000}, zipfile.ZIP_LZMA)
    with pytest.raises(DataError):
        Files(tmp_path).read("x.bin")
    (tmp_path / "bomb.zip").unlink()
    make_zip(tmp_path / "slip.zip", {"../x.bin": b"x"})
    with pytest.raises(DataError):
        Files(tmp_path).read("x.bin")


def test_a_damaged_zip_is_named(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"nonsense")
    with pytest.raises(DataError) as caught:
        Files(tmp_path).read("x.bin")
    assert "bad.zip" in caught.value.where.file


def test_many_threads_read_one_zip(tmp_path):
    content = {f"{i}.bin": os.urandom(20_000) for i in range(50)}
    make_zip(tmp_path / "a.zip", content, zipfile.ZIP_DEFLATED)
    files = Files(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(files.read, content)) == list(content.values())


def _digest(files, name, queue):
    queue.put(files.digest(name))


def test_files_work_in_other_processes(tmp_path):
    make_zip(tmp_path / "a.zip", {"x.bin": b"abc"})
    files = Files(tmp_path)
    assert files.read("x.bin") == b"abc"
    assert pickle.loads(pickle.dumps(files)).read("x.bin") == b"abc"
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_digest, args=(files, "x.bin", queue))
    process.start()
    assert queue.get(timeout=60) == hashlib.sha256(b"abc").hexdigest()
    process.join()


def test_hashing_is_remembered_and_reports(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}").write_bytes(b"x")
    events = []
    files = Files(tmp_path)
    assert len(set(files.digests(["0", "1", "2", "0"], Context(report=events.append)))) == 1
    assert sum(isinstance(event, StageAdvanced) for event in events) == 3
    before = files.digest("0")
    (tmp_path / "0").write_bytes(b"longer")
    assert files.digest("0") != before
