"""The manifest: what a bundle says of itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, model_validator
from pydantic import Field as Option

from lepta.core.schema import Kind
from lepta.tasks import OutputSpec, Task, task_from_json

PROTOCOL = 1
"""Version of the bundle format that this code writes."""


def _task(value: Any) -> Any:
    return value if isinstance(value, Task) else task_from_json(value)


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )


class InputSpec(_Part):
    """One field that a prediction takes.

    Attributes:
        name: the field's name.
        kind: what its values are.
        dtype: NumPy name of the decoded values, or "string". Numbers are float32, date-times
            float64 seconds since 1970-01-01 UTC, images uint8, uint16 or float32.
        shape: shape of a batch; the first axis counts rows, -1 is any size. Images are
            (rows, height, width, channels).
        unit: physical unit of the values, where known.
        classes: known values of a category, in order.
        decoder: registered name of the decoder of a media field, empty for plain values.
        options: the decoder's options; of date-times read from text, their ``format``.
        required: whether a row without the field is refused; else it counts as missing.
    """

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    unit: str = ""
    classes: tuple[str, ...] = ()
    decoder: str = ""
    options: dict[str, Any] = Option(default_factory=dict)
    required: bool = True


class TensorSpec(_Part):
    """One input tensor of the graph and the input fields packed in it, as columns in order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fields: tuple[str, ...]


class Signature(_Part):
    """What goes in and what comes out."""

    inputs: tuple[InputSpec, ...]
    tensors: tuple[TensorSpec, ...]
    outputs: tuple[OutputSpec, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Signature:
        for noun, parts in (("input", self.inputs), ("tensor", self.tensors)):
            names = [part.name for part in parts]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"the {noun} {twice[0]!r} stands more than once")
        known = {spec.name for spec in self.inputs}
        for tensor in self.tensors:
            if unknown := sorted(set(tensor.fields) - known):
                raise ValueError(f"the tensor {tensor.name!r} holds no input {unknown[0]!r}")
        return self


class Lineage(_Part):
    """Where a model comes from.

    Attributes:
        dataset: fingerprint of the dataset (SHA-256).
        rows: number of rows of each split.
        config: the configuration that made the model, defaults included.
        version: version of Lepta.
        parent: SHA-256 of the manifest of the bundle this one was made from, if any.
        seed: the seed of all randomness.
    """

    dataset: str = ""
    rows: dict[str, int] = Option(default_factory=dict)
    config: dict[str, Any] = Option(default_factory=dict)
    version: str = ""
    parent: str = ""
    seed: int = 0


class Measured(_Part):
    """A metric, measured on ``n`` rows of ``split``, with its confidence interval.

    ``value``, ``low`` and ``high`` are None where the metric is not defined (the AUROC of a
    single class). ``method`` names the interval ("DeLong", "bootstrap", "clustered bootstrap").
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    split: str = "test"
    method: str = ""


class Member(_Part):
    """Size in bytes and SHA-256 of one file of the bundle."""

    sha256: str = Option(pattern=r"^[0-9a-f]{64}$")
    size: int = Option(ge=0)


class Manifest(_Part):
    """What a bundle says of itself; ``manifest.json``."""

    format: Literal["lepta"] = "lepta"
    protocol: int = PROTOCOL
    name: str
    created: str
    task: Annotated[SerializeAsAny[Task], BeforeValidator(_task)]
    signature: Signature
    lineage: Lineage = Lineage()
    metrics: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()
    members: dict[str, Member] = Option(default_factory=dict)
