"""Networks that were trained on much data by somebody else, ready to be used or trained on."""

from lepta.models.pretrained.base import BACKBONES, Backbone, Pretrained, get_backbone, pretrained

__all__ = ["BACKBONES", "Backbone", "Pretrained", "get_backbone", "pretrained"]
