"""Networks in torch: one encoder a field, joined by a head."""

from lepta.models.networks.encoders import ReferenceCnn, ResidualCnn, TableMlp
from lepta.models.networks.export import network_to_onnx
from lepta.models.networks.network import Network, build_network

__all__ = [
    "Network",
    "ReferenceCnn",
    "ResidualCnn",
    "TableMlp",
    "build_network",
    "network_to_onnx",
]
