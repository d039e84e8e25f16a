"""NVIDIA's client of the protocol works unchanged."""

import warnings

import numpy as np
import pytest

from .conftest import png

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    triton = pytest.importorskip("tritonclient.http")
    from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(running):
    client = triton.InferenceServerClient(running.url.removeprefix("http://"))
    yield client
    client.close()


def tensor(name, datatype, array, binary=True):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def table_inputs(rows=3, binary=True):
    return [
        tensor("x0", "FP32", np.linspace(0, 1, rows, dtype=np.float32), binary),
        tensor("x1", "FP64", np.zeros((rows, 1)), binary),
        tensor("colour", "BYTES", np.array(["red", "grün", "?"][:rows], dtype=object), binary),
    ]


def expected(bundles, rows):
    from lepta.runtime import Predictor

    return Predictor(bundles["table"]).scores(rows)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("table")
    assert client.is_model_ready("table", "1")
    assert not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("table", "1")
    assert metadata["versions"] == ["1"]
    assert [(t["name"], t["datatype"], t["shape"]) for t in metadata["inputs"]] == [
        ("x0", "FP32", [-1]),
        ("x1", "FP32", [-1]),
        ("colour", "BYTES", [-1]),
    ]
    assert [(t["name"], t["datatype"], t["shape"]) for t in metadata["outputs"]] == [
        ("probabilities", "FP32", [-1, 2]),
        ("prediction", "BYTES", [-1]),
    ]


def test_index_config_and_statistics(client):
    index = client.get_model_repository_index()
    assert {entry["name"] for entry in index} == {"table", "image", "price"}
    config = client.get_model_config("image")
    assert config["input"] == [{"name": "picture", "data_type": "TYPE_STRING", "dims": [1]}]
    before = client.get_inference_statistics("table")["model_stats"][0]["inference_count"]
    client.infer("table", table_inputs())
    after = client.get_inference_statistics("table", "1")["model_stats"][0]
    assert after["inference_count"] == before + 1
    assert after["inference_stats"]["success"]["ns"] > 0
    assert len(client.get_inference_statistics()["model_stats"]) == 3


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("out", [None, True, False])
def test_infer_in_every_form(client, bundles, binary, out):
    names = ("prediction", "probabilities")
    wanted = (
        None
        if out is None
        else [triton.InferRequestedOutput(name, binary_data=out) for name in names]
    )
    answer = client.infer("table", table_inputs(binary=binary), outputs=wanted, request_id="seven")
    rows = {"x0": [0.0, 0.5, 1.0], "x1": [0.0] * 3, "colour": ["red", "grün", "?"]}
    scores = answer.as_numpy("probabilities")
    assert scores.dtype == np.float32
    assert np.array_equal(scores, expected(bundles, rows))
    labels = [t.decode() if isinstance(t, bytes) else t for t in answer.as_numpy("prediction")]
    assert labels == ["yes" if p >= 0.5 else "no" for p in scores[:, 1]]
    response = answer.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == (
        "seven",
        "table",
        "1",
    )
    if wanted:
        assert [o["name"] for o in response["outputs"]] == list(names)


def test_only_what_is_asked_for_comes_back(client):
    answer = client.infer(
        "table", table_inputs(), outputs=[triton.InferRequestedOutput("prediction")]
    )
    assert [o["name"] for o in answer.get_response()["outputs"]] == ["prediction"]


def test_images_as_files_and_as_arrays(client):
    files = np.array([png(0), png(128), png(255)], dtype=object)
    answer = client.infer("image", [tensor("picture", "BYTES", files)])
    assert answer.as_numpy("prediction").tolist() == [b"dark", b"grey", b"light"]
    pixels = np.stack([np.full((6, 8, 1), level, np.uint8) for level in (0, 128, 255)])
    again = client.infer("image", [tensor("picture", "UINT8", pixels)])
    assert np.array_equal(answer.as_numpy("probabilities"), again.as_numpy("probabilities"))
    flat = client.infer("image", [tensor("picture", "UINT8", pixels[..., 0])])
    assert np.array_equal(answer.as_numpy("probabilities"), flat.as_numpy("probabilities"))


def test_images_of_several_sizes_and_many_rows(client):
    files = np.array([png(200, (4 + i % 3, 5)) for i in range(150)], dtype=object)
    answer = client.infer("image", [tensor("picture", "BYTES", files)])
    assert set(answer.as_numpy("prediction")) == {b"light"}
    pixels = np.full((150, 4, 4, 1), 200, np.uint8)
    again = client.infer("image", [tensor("picture", "UINT8", pixels)])
    assert again.as_numpy("probabilities").shape == (150, 3)


def test_date_times_as_text_or_seconds(client):
    texts = np.array(["1970-01-11", "1970-01-02T12:00:00+00:00"], dtype=object)
    answer = client.infer("price", [tensor("when", "BYTES", texts)])
    assert answer.as_numpy("value").tolist() == [[10.0], [1.5]]
    assert answer.as_numpy("prediction").dtype == np.float32
    seconds = np.array([[864000.0]])
    assert client.infer("price", [tensor("when", "FP64", seconds)]).as_numpy("prediction") == [10.0]


def test_the_packed_tensors_of_the_graph_are_taken_too(client, bundles):
    rows = {"x0": [0.0, 0.5, 1.0], "x1": [0.0] * 3, "colour": ["red", "grün", "?"]}
    answer = client.infer(
        "table",
        [
            tensor("numbers", "FP32", np.array([[0, 0], [0.5, 0], [1, 0]], np.float32)),
            tensor("categories", "BYTES", np.array([["red"], [" grün "], ["?"]], dtype=object)),
        ],
    )
    assert np.array_equal(answer.as_numpy("probabilities"), expected(bundles, rows))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client, algorithm):
    answer = client.infer("table", table_inputs(), request_compression_algorithm=algorithm)
    assert answer.as_numpy("probabilities").shape == (3, 2)


def test_asynchronous_requests(client):
    waiting = [client.async_infer("table", table_inputs()) for _ in range(5)]
    assert {w.get_result().as_numpy("probabilities").shape for w in waiting} == {(3, 2)}


def test_no_rows_give_no_answers(client):
    empty = [
        tensor("x0", "FP32", np.zeros(0, np.float32)),
        tensor("colour", "BYTES", np.zeros(0, dtype=object)),
    ]
    assert client.infer("table", empty).as_numpy("probabilities").shape == (0, 2)


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        ("tabel", [], "Did you mean 'table'?"),
        ("table", [("x0", "FP32", np.zeros(1, "f4"))], "'colour' is missing"),
        ("table", [("color", "BYTES", np.array(["red"], object))], "Did you mean 'colour'?"),
        ("table", [("x0", "FP32", np.zeros((1, 3), "f4"))], "takes FP32 [-1], got FP32 [1, 3]"),
        ("table", [("x0", "BYTES", np.array(["1"], object))], "takes FP32"),
        ("image", [("picture", "UINT8", np.zeros((1, 4, 4, 3), "u1"))], "got UINT8 [1, 4, 4, 3]"),
        ("image", [("picture", "FP32", np.full((1, 4, 4, 1), 0.5, "f4"))], "float32"),
        ("image", [("picture", "BYTES", np.array([b"/etc/hostname"], object))], "row 1"),
        ("price", [("when", "BYTES", np.array(["tomorrow"], object))], "point in time"),
        ("price", [("when", "BYTES", np.array([b"\xff"], object))], "not UTF-8"),
    ],
)
def test_wrong_requests_are_corrected(client, model, inputs, said):
    made = [tensor(*given) for given in inputs]
    if model == "table" and {i.name() for i in made} == {"x0"} and "missing" not in said:
        made.append(tensor("colour", "BYTES", np.array(["red"], object)))
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, made)
    assert said in caught.value.message()
    assert caught.value.status() == ("404" if model == "tabel" else "400")


def test_columns_of_unlike_length_are_refused(client):
    inputs = table_inputs()
    inputs[0] = tensor("x0", "FP32", np.zeros(2, np.float32))
    with pytest.raises(InferenceServerException, match="'x0' has 2, 'x1' has 3"):
        client.infer("table", inputs)


def test_an_unknown_output_is_refused(client):
    wanted = [triton.InferRequestedOutput("probability")]
    with pytest.raises(InferenceServerException, match="Did you mean 'probabilities'"):
        client.infer("table", table_inputs(), outputs=wanted)
