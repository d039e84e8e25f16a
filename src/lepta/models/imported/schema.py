"""What must be said of an ONNX file so that it can be used: the file that ``--schema`` names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, SerializeAsAny, model_validator
from pydantic import Field as Option

from lepta.core.config import Config
from lepta.core.errors import ConfigError
from lepta.core.schema import Kind
from lepta.core.values import label_of
from lepta.tasks import Task, task_from_json

Pair = tuple[float, float]
BITS = {8: "uint8", 16: "uint16", 32: "float32"}


def _task(value: Any) -> Any:
    return value if isinstance(value, Task) else task_from_json(value)


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class ImportedInput(Config):
    """Fields that one input of the graph takes."""

    name: Annotated[tuple[str, ...], BeforeValidator(_names)] = Option(
        min_length=1,
        description="Name of the field; or of several, which are columns of the tensor in order.",
    )
    kind: Literal["image", "number", "category"] = Option(description="What its values are.")
    tensor: str = Option(
        default="", description="Input of the graph; that of the field's name, or the only one."
    )
    unit: str = Option(default="", description='Physical unit, such as "HU" or "mm".')
    layout: Literal["", "NCHW", "NHWC"] = Option(
        default="", description="Order of an image's axes; by the graph's shape where that tells."
    )
    size: tuple[int, int] | None = Option(
        default=None, description="Height and width that images are resized to; the graph's own."
    )
    channels: Literal[0, 1, 3] = Option(
        default=0, description="1 for grey, 3 for colour; by the graph's shape where that tells."
    )
    order: Literal["RGB", "BGR"] = Option(default="RGB", description="Order of the colours.")
    decoder: str = Option(default="image", description="Decoder of the files: image or dicom.")
    bits: Literal[8, 16, 32] = Option(
        default=8, description="Bits of a decoded pixel; 32 is any number (HU)."
    )
    window: Pair | None = Option(
        default=None,
        description="Darkest and brightest pixel value; what lies outside is clipped to them. By "
        "default those of the pixel type; 32-bit pixels need them.",
    )
    range: Pair | None = Option(
        default=None,
        description="What the graph expects for them: [0, 1], [-1, 1] or [0, 255] are usual.",
    )
    mean: tuple[float, ...] = Option(
        default=(), description="Subtracted after that; one for all, or one a channel or column."
    )
    std: tuple[float, ...] = Option(default=(), description="Divided by after that.")
    classes: tuple[str, ...] = Option(
        default=(), description="Known values of a category, in the order of their codes."
    )
    unknown: int = Option(
        default=-1,
        description="Code of a category that is missing or not among the classes. Networks that "
        "look codes up need one of their own: -1 is their last entry.",
    )
    fill: float | None = Option(
        default=None, description="What a missing number counts as; by default it stays missing."
    )

    @model_validator(mode="after")
    def _complete(self) -> ImportedInput:
        if self.kind == "image":
            self._complete_image()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in self._lengths:
                raise ConfigError(
                    f"{self.label}: {name} has {len(values)} numbers.",
                    fix="Give one for all, or one a channel or column.",
                )
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(
                f"{self.label}: two classes are one: {', '.join(self.classes)}.",
                fix='"1" and "1.0" are one class, and so are "True" and "true".',
            )
        if not all(self.std):
            raise ConfigError(f"{self.label}: std holds a zero.", fix="Use 1 where nothing varies.")
        return self

    def _complete_image(self) -> None:
        if len(self.name) > 1:
            raise ConfigError(f"{self.label}: an image is one field.", fix="Give each its own.")
        if self.range is None:
            raise ConfigError(
                f"{self.label}: the range of pixel values that the graph expects is not stated.",
                fix="Add range: [0, 1] (or [-1, 1], or [0, 255]), as in the code that trained it.",
            )
        if self.bits == 32 and self.window is None:
            raise ConfigError(
                f"{self.label}: 32-bit pixels need a window.",
                fix="Add window: [-1000, 1000], the values that become the ends of range.",
            )
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ConfigError(f"{self.label}: the window is empty.", fix="Give low, then high.")

    @property
    def _lengths(self) -> tuple[int, ...]:
        if self.kind == "image":
            return (0, 1, self.channels) if self.channels else (0, 1, 3)
        return (0, 1, len(self.name)) if self.kind == "number" else (0,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as the runtime reads them: "True" is "true", "1.0" is "1"."""
        return tuple(label_of(name) or "" for name in self.classes)

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"The input {', '.join(self.name[:3])}{', …' if len(self.name) > 3 else ''}"

    @property
    def pixels(self) -> Pair:
        """Darkest and brightest pixel value."""
        return self.window or (0.0, float(2**self.bits - 1))

    @property
    def field_kind(self) -> Kind:
        """The kind of the fields."""
        return Kind(self.kind)


class ImportSchema(Config):
    """What an ONNX file is for, what it takes and what it gives."""

    task: Annotated[SerializeAsAny[Task], BeforeValidator(_task)] = Option(
        description="What is predicted: name (binary, multiclass, regression ...), target, classes."
    )
    inputs: tuple[ImportedInput, ...] = Option(
        min_length=1, description="The fields, and how the graph takes them."
    )
    gives: Literal["logits", "probabilities", "value"] = Option(
        description="What the output holds: logits (before softmax or sigmoid), probabilities, or "
        "a value (a number)."
    )
    output: str = Option(default="", description="Output of the graph; the only one that fits.")
    name: str = Option(default="", description="Name of the model; that of the file by default.")

    @model_validator(mode="after")
    def _fitting(self) -> ImportSchema:
        names = [name for entry in self.inputs for name in entry.name]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"The field {twice[0]!r} stands more than once.")
        if self.task.bounded == (self.gives == "value"):
            wanted = "logits or probabilities" if self.task.bounded else "value"
            raise ConfigError(
                f"The task {self.task.name!r} does not go with gives: {self.gives}.",
                fix=f"Say gives: {wanted}.",
            )
        return self
