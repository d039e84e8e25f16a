"""Tensors go through the wire and come back the same, whatever they hold."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lepta.core.errors import InputError
from lepta.serving import codec
from lepta.serving.failures import RequestError
from lepta.serving.protocol import InferRequest, dump_json, parse_infer, render_infer

NUMBERS = [name for name in codec.DTYPES if name != "BYTES"]
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from(NUMBERS))
    return datatype, draw(arrays.arrays(codec.DTYPES[datatype], draw(SHAPES)))


def same(first, second):
    return first.shape == second.shape and np.array_equal(first, second, equal_nan=True)


@given(tensors())
@settings(max_examples=150, deadline=None)
def test_binary_round_trip_of_numbers(case):
    datatype, array = case
    data = codec.encode_binary(array)
    assert len(data) == array.nbytes
    back = codec.decode_binary("x", datatype, list(array.shape), data)
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()
    assert codec.datatype_of(back.dtype) == datatype


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(b"a\0\0")), max_size=6))
@settings(max_examples=80, deadline=None)
def test_binary_round_trip_of_bytes(items):
    array = codec.as_objects(items)
    data = codec.encode_binary(array)
    assert data == b"".join(struct.pack("<I", len(i)) + i for i in items)
    assert codec.decode_binary("x", "BYTES", [len(items)], data).tolist() == items


@given(tensors())
@settings(max_examples=150, deadline=None)
def test_json_round_trip_of_numbers(case):
    datatype, array = case
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.reshape(-1)
    request = {
        "inputs": [
            {
                "name": "x",
                "shape": list(finite.shape),
                "datatype": datatype,
                "data": codec.encode_json(
                    finite if finite.dtype != np.float16 else finite.astype("f4")
                ),
            }
        ]
    }
    back = parse_infer(dump_json(request)).inputs["x"]
    assert back.dtype == array.dtype
    assert same(back, finite)


@given(st.lists(tensors(), max_size=4), st.booleans(), st.text(max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_rendered_answer_can_be_parsed(cases, binary, name):
    outputs = {f"{name}{i}": array for i, (_, array) in enumerate(cases)}
    outputs["texts"] = codec.as_objects(["", "grün", "a"])
    if not binary:
        outputs = {n: a for n, a in outputs.items() if a.dtype.kind != "f"}
    request = InferRequest(inputs={}, id=name, binary=binary)
    body, length = render_infer({"model_name": "m"}, outputs, request)
    assert (length is not None) == binary
    parsed = parse_infer(body.replace(b'"outputs":', b'"inputs": ', 1), length)
    assert parsed.id == name
    assert list(parsed.inputs) == list(outputs)
    for key, array in outputs.items():
        back = parsed.inputs[key]
        if array.dtype == object:
            back = codec.as_objects([t.decode() if isinstance(t, bytes) else t for t in back])
        assert back.shape == array.shape
        assert back.tolist() == array.tolist() or back.tobytes() == array.tobytes()


@given(st.binary(max_size=200), st.integers(0, 250))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_request_or_an_error_that_is_ours(body, length):
    with pytest.raises((RequestError, InputError)):
        parse_infer(body, length)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(),
        lambda c: st.lists(c, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from([*codec.DTYPES, "BF16", "X"]),
    st.lists(st.integers(-1, 4), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_any_json_data_give_an_array_or_an_error_that_is_ours(data, datatype, shape):
    with contextlib.suppress(InputError), np.errstate(over="ignore"):
        assert list(codec.decode_json("x", datatype, shape, data).shape) == shape


def test_binary_tensors_are_views_of_the_body():
    pixels = np.arange(64, dtype=np.uint8)
    head = dump_json(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [1, 8, 8],
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": 64},
                }
            ]
        }
    )
    body = head + pixels.tobytes()
    array = parse_infer(body, len(head)).inputs["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    assert not array.flags.writeable


def test_bf16_is_read_as_float32():
    raw = (np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    array = codec.decode_binary("x", "BF16", [2], raw)
    assert array.dtype == np.float32
    assert array.tolist() == [1.0, -2.5]


def test_null_is_missing():
    assert np.isnan(codec.decode_json("x", "FP32", [2], [1, None])[1])
    assert codec.decode_json("x", "BYTES", [2], ["a", None]).tolist() == ["a", None]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "said"),
    [
        ("UINT8", [1], [300], "out of range"),
        ("INT32", [1], [1.5], "1.5"),
        ("FP32", [1], ["12"], "'12'"),
        ("FP32", [3], [1, 2], "asks for 3 values, got 2"),
        ("FP31", [1], [1], "Did you mean 'FP32'?"),
        ("FP32", [-1], [1], "whole numbers"),
        ("FP32", [1], {"a": 1}, "must be an array"),
        ("INT64", [1], [10**30], "INT64"),
    ],
)
def test_wrong_json_tensors_name_the_input_and_what_is_wrong(datatype, shape, data, said):
    with pytest.raises(InputError) as caught:
        codec.decode_json("age", datatype, shape, data)
    assert "'age'" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "said"),
    [
        ("FP32", [2], b"1234", "is 8 bytes, got 4"),
        ("BYTES", [1], b"\x05\0\0\0abc", "cut off"),
        ("BYTES", [2], b"\x01\0\0\0a", "asks for 2 elements, the data holds 1"),
        ("BYTES", [1], b"\x01\0", "cut off"),
    ],
)
def test_wrong_binary_tensors_name_the_input_and_what_is_wrong(datatype, shape, data, said):
    with pytest.raises(InputError) as caught:
        codec.decode_binary("age", datatype, shape, data)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "length", "said"),
    [
        (b"{", None, "not JSON"),
        (b"[]", None, "'inputs'"),
        (b"{}", 5, "is 5, but the body is 2"),
        (b'{"inputs": [{"name": "x"}]}', None, "'datatype'"),
        (b'{"inputs": [], "id": 3}', None, "'id' must be a string"),
        (b'{"inputs": []}abc', 14, "belong to no input"),
        (b'{"inputs": [], "outputs": [{"nome": 1}]}', None, "'name'"),
        (b'{"inputs": [], "parameters": {"binary_data_output": 1}}', None, "true or false"),
        (
            b'{"inputs": [{"name": "x", "datatype": "BOOL", "shape": [1], '
            b'"parameters": {"shared_memory_region": "r"}}]}',
            None,
            "shared memory is not supported",
        ),
    ],
)
def test_wrong_heads_say_what_is_wrong(body, length, said):
    with pytest.raises((RequestError, InputError)) as caught:
        parse_infer(body, length)
    assert said in str(caught.value)
