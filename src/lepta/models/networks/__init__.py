"""Networks in torch: one encoder a field, joined by a head."""

from lepta.models.networks.encoders import ReferenceCnn, ResidualCnn, TableMlp
from lepta.models.networks.export import network_to_onnx
from lepta.models.networks.network import (
    Network,
    Part,
    Plan,
    build_network,
    load_network,
    plan_network,
)

__all__ = [
    "Network",
    "Part",
    "Plan",
    "ReferenceCnn",
    "ResidualCnn",
    "TableMlp",
    "build_network",
    "load_network",
    "network_to_onnx",
    "plan_network",
]
