"""What people read: the report of an evaluation and the model card of a bundle."""

from lepta.evaluation.report.card import model_card
from lepta.evaluation.report.page import page

__all__ = ["model_card", "page"]
