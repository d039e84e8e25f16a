import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lepta.core.errors import ConfigError, DataError, DecodeError
from lepta.core.events import Context, StageAdvanced
from lepta.data import Dataset


@pytest.fixture
def context(tmp_path):
    return Context(cache=tmp_path / "cache", threads=2)


@pytest.fixture
def data(write, png):
    for i in range(6):
        png(f"{i}.png", i)
    rows = "".join(f"{i}.png,{i % 2}\n" for i in range(6))
    return Dataset.read(write("t.csv", "file,y\n" + rows), target="y")


def cached(context):
    return sorted((context.cache / "decoded").rglob("*.npy"))


def fail(image):
    raise AssertionError("decoded again")


def corner(image):
    return image[:4, :4].astype(np.float32)


def test_decoded_values_are_kept_as_a_memory_map(data, context):
    events = []
    report = Context(cache=context.cache, report=events.append)
    array = data.decoded("file", corner, key="corner", context=report)
    assert isinstance(array, np.memmap)
    assert array.shape == (6, 4, 4, 1)
    assert array.dtype == np.float32
    for row in range(6):
        assert np.array_equal(array[row], corner(data.decode("file", row)))
    assert sum(isinstance(e, StageAdvanced) and "Decoding" in e.stage for e in events) == 6
    again = data.decoded("file", fail, key="corner", context=context)
    assert np.array_equal(again, array)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_no_transform_is_needed_for_files_of_one_size(data, context):
    assert data.decoded("file", context=context).shape == (6, 8, 10, 1)


def test_splits_and_folds_decode_nothing_twice(data, context):
    whole = data.decoded("file", corner, key="corner", context=context)
    part = data.take([4, 1, 1]).decoded("file", fail, key="corner", context=context)
    assert np.array_equal(part, whole[[4, 1, 1]])


def test_another_key_decoder_or_content_makes_another_cache(data, context, png):
    one = data.decoded("file", corner, key="corner", context=context)
    two = data.decoded("file", lambda a: corner(a) + 1, key="plus", context=context)
    assert np.array_equal(one + 1, two)
    wide = data.decoded("file", decoder=("image", {"channels": 3}), context=context)
    assert wide.shape == (6, 8, 10, 3)
    png("3.png", 99)
    new = data.decoded("file", corner, key="corner", context=context)
    assert np.array_equal(new[3], corner(data.decode("file", 3)))
    assert not np.array_equal(new[3], one[3])
    assert np.array_equal(new[2], one[2])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header"])
def test_a_damaged_cache_is_made_anew(data, context, damage):
    whole = np.array(data.decoded("file", corner, key="corner", context=context))
    (path,) = cached(context)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "header":
        content[:6] = b"broken"
    else:
        content = content[: -7 if damage == "cut" else 0]
    path.unlink()
    path.write_bytes(content)
    again = data.decoded("file", corner, key="corner", context=context)
    assert np.array_equal(again, whole)


def test_sizes_that_differ_are_refused(data, context, png):
    png("4.png", 4, (9, 10))
    with pytest.raises(DataError, match=r"differ in shape: \(8, 10, 1\)") as caught:
        data.decoded("file", context=context)
    where = caught.value.where
    assert (where.file, where.row, where.field) == ("4.png", 5, "file")
    assert "transform" in caught.value.fix
    assert not cached(context)


def test_a_file_that_cannot_be_decoded_is_named(data, context, write):
    write("2.png", b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(DecodeError) as caught:
        data.split(valid=0, test=0)["train"].decoded("file", corner, key="c", context=context)
    where = caught.value.where
    assert (where.file, where.row, where.field) == ("2.png", 3, "file")
    assert not [path for path in context.cache.rglob("*") if path.suffix in (".npy", ".tmp")]


def test_misuse_is_refused(data, context):
    with pytest.raises(ConfigError, match="needs a key"):
        data.decoded("file", corner, context=context)
    with pytest.raises(DataError, match="nothing to decode"):
        data.decoded("y", context=context)
    with pytest.raises(DataError, match="no rows"):
        data.take([]).decoded("file", context=context)


def test_an_unwritable_folder_is_named(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written") as caught:
        data.decoded("file", context=Context(cache=tmp_path / "file"))
    assert "Context(cache=" in caught.value.fix


def test_arrays_are_cached_too(context):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 1)).astype(np.uint8)
    data = Dataset.read({"x": pixels, "y": [0, 1, 0, 1, 0]}, target="y")
    assert np.array_equal(data.decoded("x", context=context), pixels)
    assert np.array_equal(data.decoded("x", lambda a: a * 2, key="2", context=context), pixels * 2)


def test_many_threads_at_once(data, context):
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: data.decoded("file", corner, key="c", context=context), range(8))
        )
    assert len(cached(context)) == 1
    assert all(np.array_equal(found[0], array) for array in found)


SCRIPT = """
import sys, time
import numpy as np
from pathlib import Path
from lepta.core.events import Context
from lepta.data import Dataset
table, folder, mode = sys.argv[1:]
def transform(image):
    print("row", flush=True)
    time.sleep(60 if mode == "slow" else 0.02)
    return np.repeat(image, 200, axis=0)
if mode == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
data = Dataset.read(table)
try:
    found = data.decoded("file", transform, key="k", context=Context(cache=Path(folder), threads=2))
    print("sum", int(found.astype(np.int64).sum()))
except Exception as error:
    print(type(error).__name__, error)
"""


def run(data, context, mode):
    table = data.files.root / "t.csv"
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(table), str(context.cache), mode],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_kill_leaves_nothing_and_the_next_run_clears_up(data, context):
    process = run(data, context, "slow")
    assert process.stdout.readline() == "row\n"
    deadline = time.monotonic() + 30
    while not list(context.cache.rglob("*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not cached(context)
    whole = data.decoded("file", corner, key="k", context=context)
    assert whole.shape == (6, 4, 4, 1)
    assert not list(context.cache.rglob("*.tmp"))


def test_several_processes_at_once(data, context):
    processes = [run(data, context, "fast") for _ in range(3)]
    texts = [process.communicate(timeout=60)[0] for process in processes]
    assert len({text.splitlines()[-1] for text in texts}) == 1, texts
    assert "sum " in texts[0], texts
    assert sum(text.count("row") for text in texts) == 6, texts
    assert len(cached(context)) == 1


def test_a_full_disk_is_told_and_nothing_is_left(data, context):
    out, _ = run(data, context, "full").communicate(timeout=60)
    assert "DataError The disk is full" in out
    assert "Free some space" in out
    assert not [path for path in context.cache.rglob("*") if path.suffix in (".npy", ".tmp")]
