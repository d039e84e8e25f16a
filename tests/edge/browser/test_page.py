"""The exported page in a browser without a network: its answers, its privacy, its manners."""

import io
import json
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server import serving

from lepta.edge import export
from lepta.runtime import Predictor

DICOM = Path(str(files("pydicom"))) / "data" / "test_files"
ANSWERED = "document.getElementById('verdict') || !document.getElementById('problem').hidden"
SCORES = """Object.fromEntries([...document.querySelectorAll('.bars li')].map(
  (item) => [item.querySelector('.label').firstChild.textContent, Number(item.dataset.score)]))"""


@contextmanager
def opened(chrome, folder):
    """Serve and open an exported folder."""
    with serving(folder) as url:
        chrome.go(url)
        yield chrome


def asked_only(page):
    """Whether all that the page asked for came from the folder that it came from."""
    home = page.evaluate("location.origin")
    return bool(page.requests) and all(url.startswith(f"{home}/") for url in page.requests)


@pytest.fixture(scope="module")
def web(ort_web, scans, loans, photographs, tmp_path_factory):
    """The folders of the three models."""
    folder = tmp_path_factory.mktemp("web")
    bundles = {"scans": scans[0], "loans": loans[0], "photographs": photographs}
    return {name: export(b, folder / name, to="browser") for name, b in bundles.items()}


@pytest.fixture(scope="module")
def scan_page(chrome, web):
    with opened(chrome, web["scans"]) as page:
        yield page


def text(page, name):
    return page.evaluate(f"document.getElementById('{name}').innerText")


def asked(page, file):
    """Return the scores by label, and the answer, for a file that is chosen."""
    page.evaluate("document.getElementById('clear').click()")
    page.choose("input[type=file]", file)
    page.until(ANSWERED)
    assert text(page, "problem") == ""
    return page.evaluate(SCORES), text(page, "verdict")


def compare(predictor, row, found):
    scores, verdict = found
    wanted = predictor.predict(row).rows()[0]
    assert verdict == wanted["prediction"]
    for label, score in scores.items():
        assert score == pytest.approx(wanted[f"probability[{label}]"], abs=1e-5)


def test_dicom_files_get_the_scores_of_the_runtime(scan_page, scans):
    bundle, folder = scans
    predictor = Predictor(bundle)
    ready = text(scan_page, "state-text")
    assert "passed its self-test: 3 example(s)" in ready
    own = sorted(folder.rglob("*.dcm"))[:2]
    others = [DICOM / f"{name}.dcm" for name in ("CT_small", "MR_small_implicit", "liver_1frame")]
    answers = []
    for path in (*own, *others, DICOM / "rtdose.dcm"):
        answers.append(asked(scan_page, path))
        compare(predictor, path, answers[-1])
    assert len({answer[0]["yes"] for answer in answers}) == len(answers)
    assert "on this device" in text(scan_page, "times")
    assert text(scan_page, "caption").startswith("DICOM · RTDOSE")
    assert scan_page.faults == []
    assert asked_only(scan_page)


def test_the_card_is_shown(scan_page, scans):
    warnings = text(scan_page, "warnings")
    assert "not a medical device" in warnings
    assert "no approval" in warnings
    card = text(scan_page, "card")
    assert scans[0].digest in card
    assert "AUROC" in card
    assert "tested on 3 example(s) when exported" in card


def test_a_file_that_is_no_image_is_refused_in_words(scan_page, tmp_path):
    scan_page.evaluate("document.getElementById('clear').click()")
    scan_page.choose("input[type=file]", DICOM / "JPEG2000.dcm")
    scan_page.until(ANSWERED)
    assert "compressed as JPEG 2000" in text(scan_page, "problem")
    assert "uncompressed" in text(scan_page, "problem")
    assert "Nothing asked yet" in text(scan_page, "answer")
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    scan_page.choose("input[type=file]", tmp_path / "x.dcm")
    scan_page.until("document.getElementById('problem').innerText.includes('not a DICOM')")


def test_the_examples_can_be_tried(scan_page, scans):
    bundle, _ = scans
    with np.load(io.BytesIO(bundle.read("examples/000.npz"))) as example:
        expected = example["expected"][0]
    scan_page.evaluate("document.getElementById('clear').click()")
    scan_page.evaluate("document.getElementById('example').click()")
    scan_page.until(ANSWERED)
    scores = scan_page.evaluate(SCORES)
    assert list(scores.values()) == pytest.approx(expected, abs=1e-5)


TRIES = """Promise.allSettled([
  fetch('OTHERa'),
  fetch('OTHERb', {method: 'POST', body: 'x', mode: 'no-cors'}),
  new Promise((ok, no) => { const image = new Image(); image.onload = ok; image.onerror = no;
    image.src = 'OTHERc'; }),
  new Promise((ok, no) => { const script = document.createElement('script'); script.onload = ok;
    script.onerror = no; script.src = 'OTHERd'; document.head.append(script); }),
  new Promise((ok, no) => { const socket = new WebSocket('OTHERe'.replace('http', 'ws'));
    socket.onopen = ok; socket.onerror = no; }),
  import('OTHERf'),
  new Promise((ok, no) => { const frame = document.createElement('iframe');
    frame.src = 'OTHERg'; document.body.append(frame); setTimeout(no, 500); }),
  new Promise((ok) => ok((0, eval)('1'))),
  new Promise((ok) => ok(new Worker('OTHERh'))),
]).then((all) => { navigator.sendBeacon('OTHERi', 'x'); return all.map((one) => one.status); })"""


def test_nothing_can_leave_the_page(scan_page, tmp_path):
    seen = []
    with serving(tmp_path, seen) as other:
        found = scan_page.evaluate(TRIES.replace("OTHER", other))
        assert found == ["rejected"] * len(found)
        scan_page.evaluate("fetch('model.json').then((answer) => answer.status)")
    assert seen == []
    scan_page.faults.clear()


def test_every_control_has_a_name_and_is_reached_by_keyboard(scan_page):
    tree = scan_page.call("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node
        for node in tree
        if not node["ignored"]
        and node["role"]["value"] in ("button", "textbox", "combobox", "link")
    ]
    assert controls
    assert all(node["name"]["value"] for node in controls)
    seen = []
    scan_page.evaluate("document.activeElement.blur()")
    for _ in range(4):
        for kind in ("keyDown", "keyUp"):
            scan_page.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        seen.append(
            scan_page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert {"field-0", "example", "clear"} <= set(seen)
    roles = scan_page.evaluate(
        "[document.getElementById('answer').ariaLive, document.getElementById('problem').role]"
    )
    assert roles == ["polite", "alert"]


FILL = """(() => {
  const values = %s;
  for (const [name, value] of Object.entries(values)) {
    document.querySelector(`[name="${name}"]`).value = value;
  }
  document.getElementById('answer').replaceChildren();
  document.getElementById('predict').click();
})()"""


def test_a_form_gives_the_scores_of_the_runtime(chrome, loans, web):
    bundle, _ = loans
    predictor = Predictor(bundle)
    rows = [
        {"income": "2500.5", "grade": "2", "since": "2024-05-06T07:08:09", "town": "Köln"},
        {"income": "", "grade": "", "since": "", "town": ""},
        {"income": "1e3", "grade": "A b", "since": "2025-01-01T00:00", "town": "Rome"},
    ]
    with opened(chrome, web["loans"]) as page:
        assert page.evaluate("document.documentElement.dataset.ready") == "true"
        for row in rows:
            page.evaluate(FILL % json.dumps(row))
            page.until(ANSWERED)
            known = {name: value or None for name, value in row.items()}
            compare(predictor, known, (page.evaluate(SCORES), text(page, "verdict")))
        page.evaluate(FILL % json.dumps({"income": "a lot"}))
        page.until("!document.getElementById('problem').hidden")
        assert "“a lot” is not a number" in text(page, "problem")
        assert page.evaluate("document.activeElement.name") == "income"
        page.evaluate("document.getElementById('example').click()")
        page.until(ANSWERED)
        assert page.evaluate("document.querySelector('[name=town]').value") in (
            "Köln",
            "Rome",
            "Oslo",
        )
        assert page.faults == []
        assert asked_only(page)


def test_photographs_get_the_scores_of_the_runtime(chrome, photographs, web, tmp_path):
    rng = np.random.default_rng(5)
    predictor = Predictor(photographs)
    picture = Image.fromarray(rng.integers(0, 256, (37, 53, 3)).astype(np.uint8)).resize((90, 70))
    paths = []
    for kind, options in (("png", {}), ("jpg", {"quality": 95}), ("bmp", {})):
        paths.append(tmp_path / f"a.{kind}")
        picture.save(paths[-1], **options)
    with opened(chrome, web["photographs"]) as page:
        assert "brought no examples" in text(page, "state-text")
        assert "not a medical device" in text(page, "warnings")
        for path in paths:
            scores, verdict = asked(page, path)
            wanted = predictor.predict(path).rows()[0]
            assert verdict == wanted["prediction"]
            assert scores["yes"] == pytest.approx(wanted["probability[yes]"], abs=1e-3)
        assert page.evaluate("document.querySelectorAll('.mark').length") == 1


@pytest.mark.parametrize("damage", ["graph", "examples", "runtime"])
def test_what_is_damaged_is_not_used(chrome, web, tmp_path, damage):
    folder = shutil.copytree(web["loans"], tmp_path / "web")
    if damage == "graph":
        data = bytearray((folder / "model.onnx").read_bytes())
        data[-20] ^= 1
        (folder / "model.onnx").write_bytes(data)
    elif damage == "examples":
        held = json.loads((folder / "examples.json").read_text("utf-8"))
        held[0]["expected"] = {**held[1]["expected"], "data": "AAAAAAAAAAA="}
        (folder / "examples.json").write_text(json.dumps(held), "utf-8")
    else:
        (folder / "onnxruntime" / "ort-wasm-simd-threaded.wasm").unlink()
    with serving(folder) as url:
        chrome.go(url)
        assert chrome.evaluate("document.documentElement.dataset.ready") == "failed"
        said = {"graph": "is damaged", "examples": "self-test", "runtime": "is missing (404)"}
        assert said[damage] in text(chrome, "problem")
        assert chrome.evaluate("document.getElementById('predict').disabled")
