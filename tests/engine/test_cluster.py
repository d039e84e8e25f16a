"""Training on Ray: the same bits as on one machine, through a kill; it follows the nodes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import toy

from lepta.core.events import Context
from lepta.engine import train

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")

DRIVER = """
import json, os, signal, subprocess, sys, toy
from pathlib import Path
from lepta.core.events import Context, Message, StageAdvanced
from lepta.engine import train

folder, told = Path(sys.argv[1]), []

def listening():
    return [line.split()[3] for line in
            subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines()
            if any(name in line for name in ("raylet", "gcs_server", "ray::", "lepta"))]

def report(event):
    if isinstance(event, Message):
        told.append(event.text)
    if isinstance(event, StageAdvanced) and event.done == 8 and not told:
        told.append(listening())
        found = subprocess.run(["pgrep", "-f", "lepta.engine.child [0-9]"], capture_output=True,
                               text=True).stdout.split()
        mine = [int(pid) for pid in found if f"PWD={os.getcwd()}" in
                Path(f"/proc/{pid}/environ").read_text().split(chr(0))
                and f"LEPTA_TEST_FOLDER={folder}" in Path(f"/proc/{pid}/environ").read_text()]
        os.kill(mine[0], signal.SIGKILL)

done = train(toy.learn, toy.make(folder, 250, pause=0.03), folder=folder / "run", workers=2,
             engine="ray", context=Context(seed=3, report=report))
print(json.dumps([done.weights, done.worlds, told]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ray_computes_the_same_through_a_kill(tmp_path: Path) -> None:
    job = toy.make(tmp_path / "local", 250)
    local = train(toy.learn, job, folder=tmp_path / "local/run", workers=2, context=Context(seed=3))
    paths = [str(Path(__file__).parent), *sys.path]
    home, folder = tmp_path / "home", tmp_path / "ray"
    home.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HOME": str(home),
        "PWD": str(Path.cwd()),
        "LEPTA_TEST_FOLDER": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights, worlds, told = json.loads(done.stdout.splitlines()[-1])
    assert (weights, worlds) == (local.weights, [2])
    assert len(told) == 2
    assert "was lost (killed by SIGKILL)" in told[1]
    assert told[0]
    assert [address for address in told[0] if "127.0.0.1" not in address] == []
    assert not (home / ".ray").exists()
    toy.check_coverage(toy.make(folder, 250), 250)


NODES = """
import json, sys, threading, small
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from lepta.core.events import Context, Message, StageAdvanced
from lepta.engine import train

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
told, found, both, alone = [], [], threading.Event(), threading.Event()

def report(event):
    if isinstance(event, Message):
        told.append(event.text)
    if isinstance(event, StageAdvanced) and event.done >= 5:
        (alone if told else both).set()

def work():
    found.append(train(small.until_worlds, (2, 1, 2), folder=Path(sys.argv[1]), elastic=(1, 2),
                       engine="ray", address=cluster.address, context=Context(report=report)))

training = threading.Thread(target=work, daemon=True)
training.start()
assert both.wait(120)
cluster.remove_node(second)
assert alone.wait(120)
cluster.add_node(num_cpus=1)
training.join(120)
print(json.dumps([found, told]))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_the_world_follows_the_nodes(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", NODES, str(tmp_path / "run")],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on loopback
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, told = json.loads(done.stdout.splitlines()[-1])
    assert found == [[2, 1, 2]]
    assert "Training is begun again: worker" in told[0]
    assert told[1:] == [
        "Training goes on with 1 workers, after 2.",
        "Training goes on with 2 workers, after 1.",
    ]
