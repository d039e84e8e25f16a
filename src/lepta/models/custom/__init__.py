"""Bring your own model: a torch module, a Keras model, a scikit-learn estimator."""

from lepta.models.custom.given import learner_for, load_model, summary

__all__ = ["learner_for", "load_model", "summary"]
