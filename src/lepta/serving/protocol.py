"""Inference requests and responses of the Open Inference Protocol v2, as bytes.

A request is a JSON head, followed by the data of the tensors whose ``binary_data_size`` is set
(the binary tensor data extension). Nothing here knows of HTTP or of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from lepta.serving.codec import (
    datatype_of,
    decode_binary,
    decode_json,
    encode_binary,
    encode_json,
)
from lepta.serving.failures import RequestError

Array = NDArray[Any]


@dataclass(slots=True)
class InferRequest:
    """A request, decoded.

    Attributes:
        inputs: tensors by name; BYTES are object arrays of bytes (binary) or str (JSON).
        id: the client's name for the request, given back to it.
        outputs: names asked for, and whether each is wanted as binary; None means all.
        binary: whether outputs that do not say are wanted as binary.
        parameters: what else the client said.
    """

    inputs: dict[str, Array]
    id: str | None = None
    outputs: dict[str, bool | None] | None = None
    binary: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)


def parse_json(data: bytes | memoryview) -> Any:
    """Parse JSON.

    Raises:
        RequestError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"The body is not JSON: {error}.") from error


def dump_json(value: Any) -> bytes:
    """Return JSON; NumPy arrays and numbers are written as they are, NaN as null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_infer(body: bytes, head_length: int | None = None) -> InferRequest:
    """Decode an inference request.

    Args:
        body: JSON head and binary tensors. Arrays returned are views of it where they can be.
        head_length: length of the head (``Inference-Header-Content-Length``); None: all of it.

    Raises:
        RequestError: the head is malformed.
        InputError: a tensor is.
    """
    length = len(body) if head_length is None else head_length
    if not 0 <= length <= len(body):
        raise RequestError(
            f"Inference-Header-Content-Length is {length}, but the body is {len(body)} bytes."
        )
    view = memoryview(body)
    head = parse_json(view[:length])
    if not isinstance(head, dict) or not isinstance(head.get("inputs"), list):
        raise RequestError("An inference request is an object with an array of 'inputs'.")
    parameters = _mapping(head, "parameters", "The request")
    with np.errstate(over="ignore"):
        inputs = _inputs(head["inputs"], view[length:])
    return InferRequest(
        inputs=inputs,
        id=_id(head),
        outputs=_outputs(head.get("outputs")),
        binary=_flag(parameters, "binary_data_output", "The request") or False,
        parameters=parameters,
    )


def render_infer(
    head: dict[str, Any], outputs: Mapping[str, Array], request: InferRequest
) -> tuple[bytes, int | None]:
    """Return the body of a response and, where it holds binary tensors, its head's length.

    Args:
        head: members of the response besides its outputs, such as ``model_name``.
        outputs: the tensors to send, in order.
        request: what was asked for.
    """
    asked = request.outputs or {}
    described: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for name, array in outputs.items():
        entry: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of(array.dtype),
            "shape": array.shape,
        }
        wish = asked.get(name)
        if request.binary if wish is None else wish:
            chunks.append(encode_binary(array))
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = encode_json(np.ascontiguousarray(array))
        described.append(entry)
    document = {**head, "outputs": described}
    if request.id is not None:
        document["id"] = request.id
    text = dump_json(document)
    if not chunks:
        return text, None
    text = text.ljust(-(-len(text) // 8) * 8)  # so that the first tensor is aligned
    return b"".join((text, *chunks)), len(text)


def _inputs(entries: list[Any], rest: memoryview) -> dict[str, Array]:
    inputs: dict[str, Array] = {}
    offset = 0
    for entry in entries:
        name, datatype, shape = _tensor_head(entry)
        if name in inputs:
            raise RequestError(f"Input {name!r} stands twice.")
        size = _binary_size(entry, name)
        if size is None:
            inputs[name] = decode_json(name, datatype, shape, entry.get("data"))
            continue
        if offset + size > len(rest):
            raise RequestError(
                f"Input {name!r}: binary_data_size is {size}, "
                f"but {len(rest) - offset} bytes are left in the body."
            )
        inputs[name] = decode_binary(name, datatype, shape, rest[offset : offset + size])
        offset += size
    if offset != len(rest):
        raise RequestError(f"{len(rest) - offset} bytes at the end of the body belong to no input.")
    return inputs


def _tensor_head(entry: Any) -> tuple[str, str, list[int]]:
    if not isinstance(entry, dict):
        raise RequestError("Each input is an object with 'name', 'shape' and 'datatype'.")
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str):
        raise RequestError("An input has no 'name'.")
    if not isinstance(datatype, str):
        raise RequestError(f"Input {name!r} has no 'datatype'.")
    if not isinstance(shape, list):
        raise RequestError(f"Input {name!r} has no 'shape'.")
    return name, datatype, shape


def _binary_size(entry: dict[str, Any], name: str) -> int | None:
    parameters = entry.get("parameters")
    if not parameters:
        return None
    parameters = _mapping(entry, "parameters", f"Input {name!r}")
    if "shared_memory_region" in parameters:
        raise RequestError(f"Input {name!r}: shared memory is not supported; send the data.")
    size = parameters.get("binary_data_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise RequestError(f"Input {name!r}: binary_data_size must be a whole number from 0.")
    return size


def _outputs(entries: Any) -> dict[str, bool | None] | None:
    if not entries:
        return None
    if not isinstance(entries, list):
        raise RequestError("'outputs' must be an array.")
    wanted: dict[str, bool | None] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise RequestError("Each output is an object with a 'name'.")
        name = entry["name"]
        parameters = _mapping(entry, "parameters", f"Output {name!r}")
        for refused in ("classification", "shared_memory_region"):
            if refused in parameters:
                raise RequestError(f"Output {name!r}: {refused!r} is not supported.")
        wanted[name] = _flag(parameters, "binary_data", f"Output {name!r}")
    return wanted


def _flag(parameters: dict[str, Any], key: str, what: str) -> bool | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, bool):
        raise RequestError(f"{what}: {key!r} must be true or false.")
    return value


def _id(head: dict[str, Any]) -> str | None:
    value = head.get("id")
    if value is not None and not isinstance(value, str):
        raise RequestError("'id' must be a string.")
    return value


def _mapping(entry: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    value = entry.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{what}: {key!r} must be an object.")
    return value
