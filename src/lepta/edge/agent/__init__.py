"""A device that predicts by itself, tells only profiles and metrics, and updates its model."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.edge.agent.agent import Agent
    from lepta.edge.agent.config import AgentConfig, HubConfig
    from lepta.edge.agent.hub import Hub
    from lepta.edge.agent.publishing import publish

_HOMES = {
    "Agent": "lepta.edge.agent.agent",
    "AgentConfig": "lepta.edge.agent.config",
    "Hub": "lepta.edge.agent.hub",
    "HubConfig": "lepta.edge.agent.config",
    "publish": "lepta.edge.agent.publishing",
}

__all__ = ["Agent", "AgentConfig", "Hub", "HubConfig", "publish"]


__getattr__ = lazy_names(__name__, _HOMES)
