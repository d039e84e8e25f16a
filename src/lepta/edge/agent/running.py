"""Run an agent or a hub until told to stop (Ctrl-C or SIGTERM)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lepta.core.events import Context
from lepta.edge.agent.agent import Agent
from lepta.edge.agent.config import AgentConfig, HubConfig
from lepta.edge.agent.hub import KEY, Hub
from lepta.edge.agent.link import Backoff
from lepta.edge.agent.local import Endpoint
from lepta.edge.agent.loops import Loop
from lepta.edge.agent.watching import Watcher


def run_agent(folder: Path, config: AgentConfig, context: Context, bundle: Path | None) -> None:
    """Predict, tell and update until told to stop; see :class:`~lepta.edge.agent.agent.Agent`.

    Raises:
        LeptaError: it cannot begin.
    """
    with _stop() as stopped, ExitStack() as stack:
        agent = stack.enter_context(Agent(folder, config, context, bundle))
        if config.watch.inbox is not None:
            watcher, backoff = Watcher(agent), Backoff(config.watch.every, 60.0)
            loop = Loop("watch", config.watch.every, watcher.look, backoff, context)
            stack.callback(loop.join, 10.0)
            stack.callback(loop.stop)
            loop.start()
            context.say(f"Watching {config.watch.inbox}")
        if config.listen:
            service = Endpoint(agent).serve()
            stack.callback(service.close)
            context.say(f"Device {agent.device} predicts at {service.url}/predict")
        version = agent.version[:12] or "none yet; waiting for the hub"
        context.say(f"Bundle: {version}")
        stopped.wait()
    context.say("The agent has stopped.")


def run_hub(folder: Path, config: HubConfig, context: Context) -> None:
    """Take records and give out bundles until told to stop.

    Raises:
        EdgeError: the folder or the port cannot be used.
    """
    with _stop() as stopped, Hub(folder, config) as hub:
        context.say(f"Hub at {hub.serve()}; its API key is in {folder / KEY}")
        stopped.wait()
    context.say("The hub has stopped.")


@contextmanager
def _stop() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set."""
    stopped = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stopped.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
