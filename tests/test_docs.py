"""Every snippet of the README and of docs/ is run, and every example."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lepta.data.simulate import simulate_ct

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SMALL = {
    "digits_fusion": ["--recordings", "2", "--epochs", "1"],
    "recommend_films": ["--people", "200"],
    "detect_defects": ["--drawn", "--epochs", "8"],
}
"""Options with which an example does all it does, but on fewer rows."""

SERVICES = {"lepta serve": "Serving", "lepta edge hub": "Hub at", "lepta edge run": "Bundle:"}
"""Commands that go on until they are stopped, and what they say when they are ready."""


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def _lines(page: Path) -> list[str]:
    blocks = "".join(_blocks(page, "console"))
    lines = [line.split("#")[0].strip() for line in blocks.splitlines()]
    return [line for line in lines if line.startswith(("lepta ", "openssl "))]


def _skip_without(page: Path) -> None:
    """Skip a page about something that can be had neither here nor from npm."""
    if page.name == "browser.md":
        from lepta.core.errors import ExportError
        from lepta.edge.browser import find_ort_web

        try:
            find_ort_web()
        except ExportError as error:
            pytest.skip(str(error))


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small simulated study in ct/, and other scans in new/."""
    folder = tmp_path_factory.mktemp("docs")
    simulate_ct(folder / "ct", patients=20, slices=4, size=64)
    shutil.copytree(folder / "ct", folder / "new")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")], ids=lambda p: p.name)
def test_python_snippets(page: Path, study: Path) -> None:
    _skip_without(page)
    code = "\n".join(_blocks(page, "python"))
    done = _run([sys.executable, "-W", "error", "-c", code], study)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if _lines(p)], ids=lambda p: p.name)
def test_command_lines(page: Path, study: Path) -> None:
    _skip_without(page)
    for line in _lines(page):
        words = shlex.split(line)
        if words[0] == "lepta":
            words = [sys.executable, "-m", "lepta.app.cli", *words[1:]]
        said = next((said for name, said in SERVICES.items() if line.startswith(name)), "")
        if said:
            _serve_and_stop([*words, "--port", "0"], study, said)
            continue
        done = _run(words, study)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def _serve_and_stop(words: list[str], folder: Path, said: str) -> None:
    service = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert service.stderr is not None
        assert any(said in line for line in service.stderr)
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.communicate()


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples(example: Path, tmp_path: Path) -> None:
    done = _run(
        [sys.executable, "-W", "error", str(example), *SMALL.get(example.stem, [])], tmp_path
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
