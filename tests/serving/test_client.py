"""The client predicts like a local model, and corrects its caller."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from lepta.core.errors import DataError, InputError, ServeError
from lepta.runtime import Predictor
from lepta.serving import connect, start

from .conftest import image_bundle, png, table_bundle

ROWS = [{"x0": 1.0, "x1": None, "colour": "red"}, {"x0": -1, "colour": "grün"}]


@pytest.fixture
def table(running):
    with connect(running.url, "table") as client:
        yield client


@pytest.fixture
def image(running):
    with connect(running.url, "image@1") as client:
        yield client


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[0],
        ROWS,
        {"x0": [1, 2, 3], "colour": ["red", "grün", None]},
        {"x0": np.arange(2500.0), "x1": np.ones(2500), "colour": ["red"] * 2500},
    ],
)
def test_tables_like_a_local_model(table, bundles, rows):
    local = Predictor(bundles["table"]).predict(rows)
    remote = table.predict(rows)
    assert np.array_equal(remote.scores, local.scores)
    assert remote.prediction.tolist() == local.prediction.tolist()
    assert list(remote.columns()) == ["prediction", "probability[no]", "probability[yes]"]


def test_data_frames(table, bundles):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS)
    assert np.array_equal(
        table.predict(frame).scores, Predictor(bundles["table"]).predict(frame).scores
    )


def test_images_as_paths_bytes_and_arrays(image, tmp_path):
    path = tmp_path / "light.png"
    path.write_bytes(png(255))
    array = np.full((5, 4, 1), 255, np.uint8)
    for one in (path, str(path), png(255), [array], array[..., 0], {"picture": str(path)}):
        assert image.predict(one).prediction.tolist() == ["light"]
    mixed = [png(0), np.full((9, 9, 1), 128, np.uint8), path, np.zeros((5, 4, 1), np.uint8)]
    assert image.predict(mixed).prediction.tolist() == ["dark", "grey", "light", "dark"]


def test_more_than_one_request_takes_is_sent_in_several(image):
    rows = [np.full((700, 700), level, np.uint8) for level in (0, 128, 255) * 4]
    assert image.predict(rows).prediction.tolist() == ["dark", "grey", "light"] * 4


def test_no_rows(table):
    assert table.predict({"x0": [], "colour": []}).scores.shape == (0, 2)


def test_what_the_client_knows(table, bundles):
    assert table.signature == bundles["table"].signature
    assert table.task == bundles["table"].task
    assert (table.model, table.version, table.ready()) == ("table", "1", True)
    assert "table" in repr(table)


def test_many_threads(table):
    results = []

    def ask():
        results.extend(len(table.predict(ROWS)) for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2] * 50


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"x0": 1}, "'colour'"),
        ({"x0": 1, "color": "red"}, "Did you mean 'color'?"),
        ({"x0": "many", "colour": "red"}, "'many' is not a number"),
        ({"x0": [1, 2], "colour": ["red"]}, "differ in length"),
        (5, "does not name them"),
    ],
)
def test_wrong_rows_are_corrected_before_they_are_sent(table, rows, said):
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        table.predict(rows)


def test_what_the_service_refuses_is_an_input_error(table, image):
    with pytest.raises(InputError, match="row 1, field 'picture'"):
        image.predict(b"no image")
    with pytest.raises(InputError, match="There is no input 'x9'"):
        table.infer({"x9": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="cannot be read"):
        image.predict("nowhere.png")


def test_unknown_models_and_addresses(running):
    with pytest.raises(ServeError, match="Did you mean 'table'"):
        connect(running.url, "tabel")
    with pytest.raises(ServeError, match="serves 3 models") as caught:
        connect(running.url)
    assert "image, price, table" in caught.value.fix
    with pytest.raises(ServeError, match="no model 'table'"):
        connect(running.url, "table@7")
    with pytest.raises(ServeError, match="Nothing answers at"):
        connect("127.0.0.1:1")
    with pytest.raises(ServeError, match="not an address"):
        connect("ftp://example.org")


def test_the_only_model_needs_no_name_and_a_restart_is_survived():
    service = start(table_bundle(name="mein modell/ä"))
    client = connect(service.url)
    assert client.model == "mein modell/ä"
    assert len(client.predict(ROWS)) == 2
    port = int(service.url.rsplit(":", 1)[1])
    service.stop()
    assert not client.ready()
    with start(table_bundle(name="mein modell/ä"), port=port):
        assert len(client.predict(ROWS)) == 2
    client.close()


def test_too_many_rows_at_once_are_refused_but_the_client_splits_them():
    with start(image_bundle(), max_rows=2) as service, connect(service.url) as client:
        assert len(client.predict([png(0)] * 5)) == 5


def test_the_client_needs_only_the_small_installation(running):
    script = f"""
import sys
for name in ("orjson", "uvicorn", "uvloop", "httptools", "PIL", "torch", "pyarrow", "pandas"):
    sys.modules[name] = None
from lepta.serving import connect
print(len(connect({running.url!r}, "table").predict({ROWS!r})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stdout.strip() == b"2", done.stderr


def test_serving_without_its_extra_names_the_command():
    script = """
import sys
sys.modules["uvloop"] = None
from lepta.serving import serve
from lepta.core.errors import MissingExtraError
try:
    serve("nothing.lepta")
except MissingExtraError as error:
    print(error.fix)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stdout.strip() == b"pip install 'lepta[serve]'", done.stderr
