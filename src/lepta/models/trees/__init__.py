"""Gradient-boosted trees by LightGBM."""

from lepta.models.trees.learner import Trees

__all__ = ["Trees"]
