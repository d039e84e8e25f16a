"""One tree of errors: every failure says what happened, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Where:
    """A place in somebody's data: a file, a row (counted from 1, header not counted), a field."""

    file: str | None = None
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        parts = [
            f"file {self.file}" if self.file is not None else "",
            f"row {self.row}" if self.row is not None else "",
            f"field {self.field!r}" if self.field is not None else "",
        ]
        return ", ".join(part for part in parts if part)


class LeptaError(Exception):
    """Root of every error that Lepta raises.

    Attributes:
        code: stable, machine-readable name of the kind of error.
        what: what went wrong, in one sentence.
        where: the file, row and field concerned, where there is one.
        fix: what the reader can do about it.
    """

    code: ClassVar[str] = "lepta_error"

    def __init__(self, what: str, *, where: Where | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None and str(self.where):
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class ConfigError(LeptaError):
    """An option or a configuration file does not validate."""

    code = "config"


class SchemaError(LeptaError):
    """Fields, kinds or roles do not fit together."""

    code = "schema"


class DataError(LeptaError):
    """Data cannot be read, or is not fit for what was asked of it."""

    code = "data"


class DecodeError(DataError):
    """One file (image, DICOM, audio) cannot be decoded."""

    code = "decode"


class BundleError(LeptaError):
    """A bundle is damaged, unsafe, too new, or fails its self-test."""

    code = "bundle"


class InputError(LeptaError):
    """The inputs of a prediction do not match the signature of the model."""

    code = "input"


class TrainError(LeptaError):
    """Training cannot start or cannot go on."""

    code = "train"


class ExportError(LeptaError):
    """A model cannot be written in the form that was asked for."""

    code = "export"


class CompressError(LeptaError):
    """A model cannot be made smaller or faster in the way that was asked for."""

    code = "compress"


class EdgeError(LeptaError):
    """A device, its spool or its hub cannot do what was asked."""

    code = "edge"


class StoreError(LeptaError):
    """The experiment store or the model registry cannot answer."""

    code = "store"


class ServeError(LeptaError):
    """The service cannot start, or a request to it failed."""

    code = "serve"


class MissingExtraError(LeptaError):
    """An optional dependency is not installed."""

    code = "missing_extra"


def missing_extra(module: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error for an absent optional dependency; its fix is the command to run."""
    return MissingExtraError(
        f"{purpose} needs the package {module!r}, which is not installed.",
        fix=f"pip install 'lepta[{extra}]'",
    )


def suggest(word: str, options: Iterable[str]) -> str:
    """Return " Did you mean 'X'?" for the nearest of ``options``, or an empty string."""
    choices = list(options)
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""
