"""Trees: boosters and forests of several libraries, all of them one kind of model."""

from lepta.models.trees.extreme import XGBoost
from lepta.models.trees.forests import ExtraTrees, Forest
from lepta.models.trees.learner import Trees
from lepta.models.trees.symmetric import CatBoost

__all__ = ["CatBoost", "ExtraTrees", "Forest", "Trees", "XGBoost"]
