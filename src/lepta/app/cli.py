"""The ``lepta`` command: finds the command's module, reads its options, runs it.

Every module ``lepta.app.commands.NAME`` defines ``Options`` (a ``Config``), ``run(options,
context) -> int``, and a docstring: its first paragraph describes the command, the rest is
shown after the options.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lepta import __version__
from lepta.app.errors import explain
from lepta.core.errors import ConfigError, suggest

if TYPE_CHECKING:
    from lepta.core.config import Config

COMMANDS = {
    "demo": ("lepta.app.commands.demo", "Walk the whole road on a simulated CT study."),
    "check": ("lepta.app.commands.check", "Tell what was read from data and what is wrong."),
    "fit": ("lepta.app.commands.fit", "Train a model and write it as one file."),
    "tune": ("lepta.app.commands.tune", "Search the options of a learner for the best ones."),
    "import": ("lepta.app.commands.importing", "Make a bundle of an ONNX file from anywhere."),
    "evaluate": ("lepta.app.commands.evaluate", "Measure a model on labelled data."),
    "compress": ("lepta.app.commands.compress", "Make a model smaller and faster, and prove it."),
    "predict": ("lepta.app.commands.predict", "Predict every row of a table."),
    "export": ("lepta.app.commands.export", "Write a model in another form."),
    "serve": ("lepta.app.commands.serve", "Answer predictions over HTTP."),
    "edge run": ("lepta.app.commands.edge_run", "Predict on a device that tells no data."),
    "edge hub": ("lepta.app.commands.edge_hub", "Take what devices tell, give out bundles."),
    "edge publish": ("lepta.app.commands.edge_publish", "Let devices have a bundle."),
    "edge status": ("lepta.app.commands.edge_status", "Tell how a device or a fleet is."),
    "runs": ("lepta.app.commands.runs", "List the training runs of a project."),
    "models": ("lepta.app.commands.models", "List, register and alias models."),
    "doctor": ("lepta.app.commands.doctor", "Tell what this machine offers and what is missing."),
    "config": ("lepta.app.commands.config", "Write a configuration file or its JSON schema."),
}
"""Name to (module, one line of help). Nothing is imported until a command is called."""

_GLOBAL = {
    "--debug": "show tracebacks",
    "--quiet": "show no progress, only warnings and errors",
    "--version": "show the version and stop",
    "--help": "show this and stop",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except BaseException as error:
        return explain(error, debug="--debug" in words)


def overview() -> str:
    """Return what ``lepta --help`` shows."""
    commands = _lines(COMMANDS)
    options = [f"  {name:<13} {text}" for name, text in _GLOBAL.items()]
    return "\n".join(
        [
            "usage: lepta COMMAND [options]",
            "",
            "From labelled data to a small, fast, watched model service.",
            "",
            "commands:",
            *commands,
            "",
            "options:",
            *options,
            "",
            "`lepta COMMAND --help` shows the options of a command, with examples.",
        ]
    )


def _dispatch(words: list[str]) -> int:
    leading = 0
    while leading < len(words) and words[leading].startswith("-"):
        leading += 1
    flags, rest = words[:leading], words[leading:]
    for flag in flags:
        if flag not in (*_GLOBAL, "-h", "-q"):
            raise ConfigError(
                f"There is no option {flag}.{suggest(flag, _GLOBAL)}",
                fix="`lepta --help` lists commands and options.",
            )
    if "--version" in flags:
        return _write(f"lepta {__version__}")
    if not rest or {"--help", "-h"} & set(flags):
        return _write(overview())
    pair = " ".join(rest[:2])
    size = 2 if pair in COMMANDS else 1
    name = " ".join(rest[:size])
    group = [command for command in COMMANDS if command.startswith(f"{name} ")]
    if group and (len(rest) == 1 or {"--help", "-h"} & {rest[1], *flags}):
        return _write("\n".join([f"usage: lepta {name} COMMAND [options]", "", *_lines(group)]))
    return run_command(pair if group else name, [*rest[size:], *flags])


def _lines(names: Iterable[str]) -> list[str]:
    return [f"  {name:<13} {COMMANDS[name][1]}" for name in names]


def run_command(name: str, words: list[str]) -> int:
    """Run the command ``name`` with ``words`` and return its exit status.

    Raises:
        ConfigError: the command or an option is unknown, or a value is wrong.
    """
    if name not in COMMANDS:
        raise ConfigError(
            f"There is no command {name!r}.{suggest(name, COMMANDS)}",
            fix=f"Commands: {', '.join(COMMANDS)}.",
        )
    module: Any = import_module(COMMANDS[name][0])
    options, quiet = read_options(name, module, words)

    from lepta.app.progress import reporter
    from lepta.core.events import Context

    with reporter(quiet=quiet) as report:
        return int(module.run(options, Context(report=report)) or 0)


def read_options(name: str, module: Any, words: list[str]) -> tuple[Config, bool]:
    """Return the options of a command and whether it is to be quiet.

    Values: defaults, then the section of the file that ``--config`` names, then ``words``.
    """
    import argparse
    from pathlib import Path

    from lepta.app import options as reader

    cls: type[Config] = module.Options
    first, _, rest = (module.__doc__ or COMMANDS[name][1]).partition("\n\n")
    parser = reader.Parser(
        prog=f"lepta {name}",
        usage=reader.usage(name, cls),
        description=first,
        epilog=rest.rstrip() or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    reader.add_options(parser, cls)
    common = parser.add_argument_group("common options")
    common.add_argument("--config", metavar="FILE", help="lepta.yaml; its section of this name")
    common.add_argument("--debug", action="store_true", help=_GLOBAL["--debug"])
    common.add_argument("-q", "--quiet", action="store_true", help=_GLOBAL["--quiet"])
    found = parser.parse(words)
    base = reader.section(Path(found.config), name, COMMANDS) if found.config else {}
    built = reader.build(cls, reader.given(cls, found), base=base, source=found.config)
    return built, bool(found.quiet)


def _write(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
