"""Operators that compute each element from the elements that stand at the same place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lepta.edge.c.operators.base import lowers
from lepta.edge.c.text import ctype, literal
from lepta.edge.c.writer import Writer, broadcast_strides, strides_of
from lepta.edge.program import Node

_INFIX = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "And": "&&",
    "Or": "||",
    "Xor": "!=",
    "Equal": "==",
    "Less": "<",
    "Greater": ">",
    "LessOrEqual": "<=",
    "GreaterOrEqual": ">=",
}
_ALIKE, _UNLIKE = frozenset({"==", "<=", ">="}), frozenset({"!=", "<", ">"})
"""Comparisons that a number passes and fails with itself."""
_UNARY = {
    "Neg": "-{x}",
    "Not": "!{x}",
    "IsNaN": "isnan({x}) != 0",
    "Relu": "{x} > 0 ? {x} : 0",
    "Abs": "fabs{f}({x})",
    "Exp": "exp{f}({x})",
    "Log": "log{f}({x})",
    "Sqrt": "sqrt{f}({x})",
    "Floor": "floor{f}({x})",
    "Ceil": "ceil{f}({x})",
    "Round": "rint{f}({x})",
    "Sin": "sin{f}({x})",
    "Cos": "cos{f}({x})",
    "Tanh": "tanh{f}({x})",
    "Erf": "erf{f}({x})",
    "Sigmoid": "1 / (1 + exp{f}(-{x}))",
    "Reciprocal": "1 / {x}",
    "Sign": "({x} > 0) - ({x} < 0)",
    "Softsign": "{x} / (1 + fabs{f}({x}))",
    "Softplus": "({x} > 0 ? {x} : 0) + log1p{f}(exp{f}(-fabs{f}({x})))",
    "HardSwish": "{x} * ({x} <= -3 ? 0 : {x} >= 3 ? 1 : {x} / 6 + 0.5{f})",
    "Mish": "{x} * tanh{f}(({x} > 0 ? {x} : 0) + log1p{f}(exp{f}(-fabs{f}({x}))))",
}
_FEW = ("Max", "Min", "Sum", "Mean")


def each(out: Writer, node: Node, operands: Sequence[str], write: Callable[..., str]) -> None:
    """Write the loops of a node whose elements are ``write(*elements of the operands)``."""
    sink = out.sink(node)
    shape = out.value(sink.name).shape
    strides = [broadcast_strides(out.value(name).shape, shape) for name in operands]
    reads = [out.at(name) for name in operands]
    out.define_in(sink.name, operands)
    with out.loops(shape, [strides_of(shape), *strides]) as (index, *indices):
        elements = [read(at) for read, at in zip(reads, indices, strict=True)]
        out.line(out.store(sink, index, write(*elements)))


def _suffix(out: Writer, name: str) -> str:
    return "f" if out.kind(name) == "float" else ""


@lowers(*_INFIX)
def infix(out: Writer, node: Node) -> None:
    """Two operands with a sign between them."""
    sign = _INFIX[node.op]
    if out.kind(node.inputs[0]).endswith("*"):
        if node.op != "Equal":
            raise out.refusal(node, "for texts")
        each(out, node, node.inputs, lambda a, b: f"strcmp({a}, {b}) == 0")
        return
    if node.inputs[0] == node.inputs[1] and sign in _ALIKE | _UNLIKE:  # compilers warn of these
        real = out.kind(node.inputs[0]) in ("float", "double")
        each(
            out,
            node,
            node.inputs[:1],
            lambda a: "0" if sign in _UNLIKE else f"!isnan({a})" if real else "1",
        )
        return
    each(out, node, node.inputs, lambda a, b: f"{a} {sign} {b}")


@lowers(*_UNARY)
def unary(out: Writer, node: Node) -> None:
    """One operand."""
    text, f = _UNARY[node.op], _suffix(out, node.inputs[0])
    if not f and out.kind(node.inputs[0]) != "double":
        text = text.replace("fabs", "abs")
    each(out, node, node.inputs, lambda x: text.format(x=x, f=f))


@lowers("IsInf")
def is_infinite(out: Writer, node: Node) -> None:
    """Whether a number is infinite."""
    if not (node.get("detect_negative", 1) and node.get("detect_positive", 1)):
        raise out.refusal(node, "for one sign only")
    each(out, node, node.inputs, lambda x: f"isinf({x}) != 0")


@lowers(*_FEW)
def few(out: Writer, node: Node) -> None:
    """Any number of operands."""
    count = len(node.inputs)

    def write(*elements: str) -> str:
        text = elements[0]
        for element in elements[1:]:
            sign = {"Max": ">", "Min": "<"}.get(node.op)
            text = (
                f"({text} {sign} {element} ? {text} : {element})" if sign else f"{text} + {element}"
            )
        return f"({text}) / {count}" if node.op == "Mean" else text

    each(out, node, node.inputs, write)


@lowers("Where")
def where(out: Writer, node: Node) -> None:
    """One or the other."""
    each(out, node, node.inputs, lambda test, a, b: f"{test} ? {a} : {b}")


@lowers("Pow")
def power(out: Writer, node: Node) -> None:
    """Powers; squares as products."""
    exponent = out.constant(node.inputs[1])
    f = _suffix(out, node.inputs[0])
    if exponent is not None and exponent.size == 1 and float(exponent.ravel()[0]) == 2:
        each(out, node, node.inputs[:1], lambda x: f"{x} * {x}")
        return
    each(out, node, node.inputs, lambda x, y: f"pow{f}({x}, {y})")


@lowers("Mod")
def modulo(out: Writer, node: Node) -> None:
    """Remainders, with the sign of the divisor, or of the dividend (``fmod``)."""
    if node.get("fmod", 0):
        f = _suffix(out, node.inputs[0])
        each(out, node, node.inputs, lambda x, y: f"fmod{f}({x}, {y})")
        return
    each(out, node, node.inputs, lambda x, y: f"({x} % {y} + {y}) % {y}")


@lowers("Clip")
def clip(out: Writer, node: Node) -> None:
    """Limits on both sides, either of which may be absent."""
    names = [name for name in node.inputs if name]
    has_low = len(node.inputs) > 1 and bool(node.inputs[1])
    has_high = len(node.inputs) > 2 and bool(node.inputs[2])

    def write(x: str, *ends: str) -> str:
        text = x
        if has_high:
            text = f"{x} > {ends[-1]} ? {ends[-1]} : {x}"
        if has_low:
            text = f"{x} < {ends[0]} ? {ends[0]} : {text}"
        return text

    each(out, node, names, write)


@lowers("Cast")
def cast(out: Writer, node: Node) -> None:
    """Another type."""
    kind = ctype(out.value(node.outputs[0]).dtype)
    source = out.kind(node.inputs[0])
    if "*" in kind + source:
        raise out.refusal(node, "from or to texts")
    if out.value(node.outputs[0]).dtype == "bool":
        each(out, node, node.inputs, lambda x: f"{x} != 0")
    elif kind == source and node.inputs[0] not in out.quantised:
        out.alias(node.outputs[0], node.inputs[0])
    else:
        each(out, node, node.inputs, lambda x: f"({kind}){x}")


@lowers("LeakyRelu", "Elu", "HardSigmoid", "ThresholdedRelu", "Celu")
def shaped(out: Writer, node: Node) -> None:
    """Activations with a constant."""
    defaults = {"LeakyRelu": 0.01, "HardSigmoid": 0.2}
    a = literal(node.get("alpha", defaults.get(node.op, 1.0)), "float")
    b = literal(node.get("beta", 0.5), "float")
    text = {
        "LeakyRelu": f"{{x}} < 0 ? {a} * {{x}} : {{x}}",
        "Elu": f"{{x}} < 0 ? {a} * (expf({{x}}) - 1) : {{x}}",
        "Celu": f"{{x}} < 0 ? {a} * (expf({{x}} / {a}) - 1) : {{x}}",
        "ThresholdedRelu": f"{{x}} > {a} ? {{x}} : 0",
        "HardSigmoid": f"fminf(1, fmaxf(0, {a} * {{x}} + {b}))",
    }[node.op]
    each(out, node, node.inputs, lambda x: text.format(x=x))


@lowers("PRelu")
def parametric(out: Writer, node: Node) -> None:
    """A slope for each channel."""
    each(out, node, node.inputs, lambda x, slope: f"{x} < 0 ? {slope} * {x} : {x}")


@lowers("Gelu")
def gelu(out: Writer, node: Node) -> None:
    """Gaussian error linear units (Hendrycks and Gimpel 2016), exact or by tanh."""
    exact = node.get("approximate", "none") != "tanh"
    half, root = literal(np.sqrt(0.5), "float"), literal(np.sqrt(2 / np.pi), "float")
    text = (
        f"0.5f * {{x}} * (1 + erff({{x}} * {half}))"
        if exact
        else f"0.5f * {{x}} * (1 + tanhf({root} * ({{x}} + 0.044715f * {{x}} * {{x}} * {{x}})))"
    )
    each(out, node, node.inputs, lambda x: text.format(x=x))
