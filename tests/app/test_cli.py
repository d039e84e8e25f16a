"""The command line as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import Field

from lepta import __version__
from lepta.app import cli
from lepta.core.config import Config
from lepta.core.errors import DataError, Where
from lepta.core.events import Context

LIGHT = {
    "lepta", "lepta.app", "lepta.app.cli", "lepta.app.errors", "lepta.core", "lepta.core.errors",
}  # fmt: skip
"""Modules outside the standard library that `lepta --help` may import."""


class NoOptions(Config):
    """A command without options."""

    kind: str = Field(default="data", json_schema_extra={"positional": True})


def _fail(options: NoOptions, context: Context) -> int:
    failures: dict[str, BaseException] = {
        "data": DataError("It is empty.", where=Where(file="a.csv", row=3), fix="Fill it."),
        "bug": RuntimeError("oh"),
        "disk": OSError(28, "No space left on device", "/x"),
        "memory": MemoryError(),
        "ctrl-c": KeyboardInterrupt(),
        "pipe": BrokenPipeError(32, "Broken pipe"),
    }
    raise failures[options.kind]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `fail KIND`."""
    module = ModuleType("failing_command", "Fail.")
    module.Options = NoOptions  # type: ignore[attr-defined]
    module.run = _fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setitem(cli.COMMANDS, "fail", ("failing_command", "Fail."))


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("data", 2, "error: It is empty.\n  where: file a.csv, row 3\n  fix:   Fill it.\n"),
        ("disk", 2, "error: No space left on device: /x\n"),
        ("memory", 2, "error: There is not enough memory.\n"),
        ("ctrl-c", 130, "interrupted\n"),
        (
            "bug",
            1,
            "error: RuntimeError: oh\n"
            "  This is a bug in Lepta; run with --debug for the traceback.\n",
        ),
    ],
)
@pytest.mark.usefixtures("failing")
def test_failures_are_short_and_have_a_status(
    kind: str, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fail", kind]) == status
    assert capsys.readouterr() == ("", text)
    assert cli.main(["--debug", "fail", kind]) == status
    debugged = capsys.readouterr().err
    assert debugged.startswith("Traceback")
    assert debugged.endswith(text)


def outside(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    run = code or "import sys; from lepta.app.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", run, *words], capture_output=True, text=True, check=False
    )


def imported(code: str) -> set[str]:
    """Modules outside the standard library that ``code`` imports in a fresh interpreter."""
    show = "import json; print(); print(json.dumps(sorted(set(sys.modules) - before)))"
    done = outside(code=f"import sys; before = set(sys.modules)\n{code}\n{show}")
    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout.splitlines()[-1])
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("words", [["--help"], [], ["--version"]])
def test_help_imports_next_to_nothing(words: list[str]) -> None:
    assert imported(f"from lepta.app.cli import main; main({words})") <= LIGHT


def test_importing_lepta_imports_nothing_else() -> None:
    assert imported("import lepta") == {"lepta"}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, line) in cli.COMMANDS.items():
        assert f"  {name:<13} {line}" in text
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lepta {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evalaute"], "no command 'evalaute'. Did you mean 'evaluate'"),
        (["--dbug", "fit"], "no option --dbug. Did you mean '--debug'"),
        (["doctor", "--jsn"], "no option --jsn. Did you mean '--json'"),
        (["doctor", "now"], "there is 'now'"),
        (["edge", "rum"], "no command 'edge rum'. Did you mean 'edge run'"),
    ],
)
def test_typing_errors_are_told(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["edge"], ["edge", "--help"]])
def test_a_group_of_commands_lists_them(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "edge run" in text
    assert "doctor" not in text


def test_a_command_of_a_group_is_two_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["edge", "publish", "--help"]) == 0
    assert "usage: lepta edge publish FOLDER NAME.lepta" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_keeps_the_rules(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module(cli.COMMANDS[name][0])
    assert issubclass(module.Options, Config)
    assert callable(module.run)
    assert "Examples:\n" in (module.__doc__ or "")
    for field, about in module.Options.model_fields.items():
        assert about.description, f"--{field} has no description"
    assert cli.main([name, "--help"]) == 0
    assert f"usage: lepta {name}" in capsys.readouterr().out


HEAVY = {
    "torch", "pyarrow", "PIL", "pydicom", "sklearn", "scipy", "matplotlib", "mlflow", "uvicorn",
    "cryptography", "onnx", "onnxruntime", "lightgbm", "pandas", "polars",
}  # fmt: skip


def test_help_of_commands_imports_nothing_heavy() -> None:
    found = imported(
        "from lepta.app.cli import COMMANDS, main\nfor name in COMMANDS: main([name, '--help'])"
    )
    assert not HEAVY & {name.partition(".")[0] for name in found}


def test_the_schema_of_the_file_has_a_section_for_each_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["config", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(cli.COMMANDS) - {"config"}
    assert schema["additionalProperties"] is False
    fit = schema["$defs"]["fit"]
    assert "target" in fit["properties"]
    assert "required" not in fit
    assert "positional" not in json.dumps(schema)
    assert schema["properties"]["edge run"] == {"$ref": "#/$defs/edge-run"}
    assert "folder" in schema["$defs"]["edge-run"]["properties"]


def test_the_template_with_its_marks_removed_is_a_valid_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    assert cli.main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    document = yaml.safe_load("\n".join(line.removeprefix("#") for line in lines))
    assert set(document) == set(cli.COMMANDS) - {"config"}
    assert document["runs"] == {
        "experiment": None, "metrics": [], "limit": 20, "store": None, "json": False,
    }  # fmt: skip
    path = tmp_path / "lepta.yaml"
    path.write_text(yaml.safe_dump({"runs": document["runs"] | {"store": str(tmp_path / "s")}}))
    assert cli.main(["runs", "--config", str(path)]) == 0


def test_a_closed_pipe_is_no_noise() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lepta.app.cli", "config"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


def test_ctrl_c_ends_with_130() -> None:
    code = (
        "import sys, time, lepta.app.commands.doctor as d\n"
        "from lepta.app.cli import main\n"
        "def run(options, context): print('on', flush=True); time.sleep(60)\n"
        "d.run = run; sys.exit(main(['doctor']))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"on\n"
    time.sleep(0.1)
    worker.send_signal(signal.SIGINT)
    assert worker.communicate(timeout=20)[1] == b"interrupted\n"
    assert worker.returncode == 130
