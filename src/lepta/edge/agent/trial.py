"""The self-test of a new bundle, in a process of its own: a bundle that crashes crashes that only.

``python -m lepta.edge.agent.trial FOLDER THREADS`` loads the bundle, runs its examples, and writes
an empty line where all is well, or what is wrong.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lepta.core.errors import BundleError, LeptaError


def try_bundle(folder: Path, *, threads: int, timeout: float) -> None:
    """Load a bundle and run its examples, elsewhere.

    Args:
        folder: of the bundle.
        threads: threads of ONNX Runtime.
        timeout: seconds that it may take.

    Raises:
        BundleError: an example gives another prediction, the process died, or took too long.
    """
    command = [sys.executable, "-m", __name__, str(folder), str(threads)]
    try:
        done = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"The self-test took more than {timeout:g} seconds.") from error
    if done.returncode < 0:
        raise BundleError(f"The self-test was killed by signal {-done.returncode}.")
    if done.returncode or done.stdout.strip():
        raise BundleError(done.stdout.strip() or f"The self-test failed: {done.stderr[-500:]}")


def main(words: list[str]) -> int:
    """Run the self-test here and write what is wrong; return the exit status."""
    from lepta.runtime import Predictor

    folder, threads = words
    try:
        found = Predictor(folder, threads=int(threads))
        if not any(name.startswith("examples/") for name in found.bundle.names):
            sys.stdout.write("It holds no examples, so that it cannot be tested here.")
    except LeptaError as error:
        sys.stdout.write(error.what)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
