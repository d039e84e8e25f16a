"""The audit of ONNX bytes, held against models that the onnx package makes."""

import onnx
import onnx.external_data_helper
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lepta.bundle.graph import MAX_DEPTH, audit_onnx
from lepta.bundle.wire import WireError, fields, varint
from lepta.core.errors import BundleError


def tensor(name: str = "w", *, outside: bool = False) -> TensorProto:
    made = helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0])
    if outside:
        made.ClearField("float_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="/etc/passwd")
    return made


def graph(*nodes, **more):
    return helper.make_graph(nodes, "g", [], [], **more)


def model(body=None, **more):
    return helper.make_model(body or graph(), **more)


def sparse(*, values: bool = False, indices: bool = False):
    places = helper.make_tensor("i", TensorProto.INT64, [2], [0, 1])
    if indices:
        places.CopyFrom(tensor("i", outside=True))
    return helper.make_sparse_tensor(tensor("v", outside=values), places, [4])


def node_with(**attribute) -> onnx.NodeProto:
    return helper.make_node("Identity", ["a"], ["b"], **attribute)


def raw_attribute(**lists) -> onnx.NodeProto:
    node = node_with()
    attribute = node.attribute.add(name="x")
    for name, values in lists.items():
        getattr(attribute, name).extend(values)
    return node


def in_function(node: onnx.NodeProto, **more):
    return model(functions=[helper.make_function("", "f", ["a"], ["b"], [node], [], **more)])


def in_function_default():
    made = in_function(node_with())
    default = made.functions[0].attribute_proto.add(name="x")
    default.t.CopyFrom(tensor(outside=True))
    return made


def in_training(part: str):
    made = model()
    body = graph(initializer=[tensor(outside=True)])
    getattr(made.training_info.add(), part).CopyFrom(body)
    return made


def location_only():
    w = tensor()
    w.data_location = TensorProto.EXTERNAL
    return model(graph(initializer=[w]))


def paths_only():
    w = tensor(outside=True)
    w.ClearField("data_location")
    return model(graph(initializer=[w]))


def deep(depth: int, node: onnx.NodeProto) -> onnx.ModelProto:
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["b"], then_branch=graph(node))
    return model(graph(node))


BAD = tensor(outside=True)
OUTSIDE = {
    "initializer": lambda: model(graph(initializer=[tensor("ok"), BAD])),
    "sparse initializer's values": lambda: model(graph(sparse_initializer=[sparse(values=True)])),
    "sparse initializer's indices": lambda: model(graph(sparse_initializer=[sparse(indices=True)])),
    "attribute": lambda: model(graph(node_with(value=BAD))),
    "attribute's list": lambda: model(graph(raw_attribute(tensors=[tensor(), BAD]))),
    "sparse attribute": lambda: model(graph(node_with(value=sparse(values=True)))),
    "sparse list": lambda: model(graph(raw_attribute(sparse_tensors=[sparse(indices=True)]))),
    "subgraph": lambda: model(graph(node_with(body=graph(initializer=[BAD])))),
    "list of subgraphs": lambda: model(graph(raw_attribute(graphs=[graph(initializer=[BAD])]))),
    "deep subgraph": lambda: deep(20, node_with(value=BAD)),
    "function": lambda: in_function(node_with(value=BAD)),
    "function's default": in_function_default,
    "training, initialization": lambda: in_training("initialization"),
    "training, algorithm": lambda: in_training("algorithm"),
    "location without a path": location_only,
    "path without a location": paths_only,
}


@pytest.mark.parametrize("place", OUTSIDE)
def test_data_outside_are_refused_wherever_they_stand(place):
    with pytest.raises(BundleError, match=r"'[wvi]' of model\.onnx keeps its data in another file"):
        audit_onnx(OUTSIDE[place]().SerializeToString())


def test_real_models_pass(bundle):
    audit_onnx(bundle.read("model.onnx"))
    body = graph(
        node_with(value=tensor(), body=graph(initializer=[tensor()])),
        raw_attribute(ints=[1, -1, 300, 2**62], floats=[0.5] * 9, strings=[b"=>\x3d\x40"]),
        initializer=[tensor()],
        sparse_initializer=[sparse()],
        doc_string="x",
        value_info=[helper.make_tensor_value_info("v", TensorProto.FLOAT, [None, 3, "n"])],
    )
    made = model(body, doc_string="y", producer_name="z")
    helper.set_model_props(made, {"key": "value"})
    audit_onnx(made.SerializeToString())
    audit_onnx(in_function(node_with(value=tensor())).SerializeToString())
    audit_onnx(deep(20, node_with()).SerializeToString())


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_known_domains_pass(domain):
    audit_onnx(model(graph(node_with(domain=domain))).SerializeToString())


@pytest.mark.parametrize(
    "where",
    [
        lambda node: model(graph(node)),
        lambda node: deep(3, node),
        in_function,
    ],
)
def test_other_domains_are_refused_in_graphs_and_functions(where):
    with pytest.raises(BundleError, match=r"unknown domain 'com\.evil'"):
        audit_onnx(where(node_with(domain="com.evil")).SerializeToString())


def test_an_operator_that_reads_files_is_refused():
    node = helper.make_node("EPContext", [], ["y"], domain="com.microsoft")
    with pytest.raises(BundleError, match="EPContext"):
        audit_onnx(model(graph(node)).SerializeToString())


def test_depth_is_bounded():
    with pytest.raises(BundleError, match=f"deeper than {MAX_DEPTH}"):
        audit_onnx(nested_by_hand(5000))


def length_delimited(tag: int, content: bytes) -> bytes:
    out, size = bytes([tag << 3 | 2]), len(content)
    while size >= 0x80:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size]) + content


def nested_by_hand(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = length_delimited(6, length_delimited(1, length_delimited(5, content)))
    return length_delimited(7, length_delimited(1, length_delimited(5, content)))


GRAPH = b"\x3a\x00"
NOT_ONNX = {
    "nothing": b"",
    "no graph": b"\x08\x0a",
    "text": b"not a model",
    "cut number": b"\x08\xff",
    "endless number": b"\x08" + b"\xff" * 11,
    "field number 0": GRAPH + b"\x00\x00",
    "a tag of 33 bits": GRAPH + b"\x88\x80\x80\x80\x10\x01",
    "a group": GRAPH + b"\x0b\x0c",
    "wire type 7": GRAPH + b"\x0f",
    "beyond the end": b"\x3a\x05\x00",
    "a graph that is a number": b"\x38\x01",
    "an unknown field": GRAPH + b"\x9a\x06\x00",
    "a length of 2**63": b"\x3a" + b"\x80" * 9 + b"\x01",
    "an ORT model in ONNX's clothes": b"\x12\x06xxORTM" + GRAPH,
}


@pytest.mark.parametrize("name", NOT_ONNX)
def test_malformed_bytes_are_refused(name):
    with pytest.raises(BundleError, match=r"^model\.onnx"):
        audit_onnx(NOT_ONNX[name])


def test_the_last_of_two_locations_does_not_hide_the_first():
    both = tensor(outside=True).SerializeToString() + b"\x70\x00"
    body = length_delimited(5, both)
    with pytest.raises(BundleError, match="another file"):
        audit_onnx(length_delimited(7, body))


def test_a_location_beyond_32_bits_does_not_slip_through():
    w = tensor().SerializeToString() + b"\x70\x81\x80\x80\x80\x10"
    with pytest.raises(BundleError, match="another file"):
        audit_onnx(length_delimited(7, length_delimited(5, w)))


SEEDS = [OUTSIDE[place]().SerializeToString() for place in OUTSIDE] + [
    model(
        graph(node_with(value=tensor(), ints=[1, 2], floats=[1.0, 2.0]), initializer=[tensor()])
    ).SerializeToString()
]


def tensors_outside(data: bytes) -> list[str]:
    try:
        made = onnx.load_model_from_string(data)
    except DecodeError:
        return []
    everything = list(onnx.external_data_helper._get_all_tensors(made))
    return [t.name for t in everything if onnx.external_data_helper.uses_external_data(t)]


@settings(max_examples=1500, deadline=None)
@given(data=st.data())
def test_mutated_models_are_refused_or_hold_all_their_data(data):
    mutated = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del mutated[data.draw(st.integers(0, len(mutated))) :]
    try:
        audit_onnx(bytes(mutated))
    except BundleError:
        return
    assert not tensors_outside(bytes(mutated))


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_pass(data):
    try:
        audit_onnx(data)
    except BundleError:
        return
    assert not tensors_outside(data)


@given(value=st.integers(0, 2**64 - 1), more=st.binary(max_size=3))
def test_varints(value, more):
    encoded, rest = b"", value
    while rest >= 0x80:
        encoded, rest = encoded + bytes([rest & 0x7F | 0x80]), rest >> 7
    encoded += bytes([rest])
    assert varint(encoded + more, 0, len(encoded + more)) == (value, len(encoded))
    with pytest.raises(WireError):
        varint(encoded, 0, len(encoded) - 1)


def test_a_tag_that_other_parsers_would_cut_to_32_bits_is_refused():
    with pytest.raises(WireError, match="no valid number"):
        list(fields(b"\xba\x80\x80\x80\x10\x00", 0, 6))


def test_fields_of_every_wire_type():
    data = b"\x08\x05" + b"\x11" + b"\0" * 8 + b"\x1a\x02hi" + b"\x25" + b"\0" * 4
    assert list(fields(data, 0, len(data))) == [
        (1, 0, 5, 2),
        (2, 1, 3, 11),
        (3, 2, 13, 15),
        (4, 5, 16, 20),
    ]
