"""How good a model is, how sure that is, and whether the data can be trusted at all.

Metrics with intervals, calibration, the report and the model card of a bundle, and the audits
of a dataset (shortcuts, leakage).
"""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.evaluation.audit import ShortcutReport, audit_leakage, audit_shortcuts
    from lepta.evaluation.calibration import apply_temperature, fit_temperature
    from lepta.evaluation.checking import CheckReport, check
    from lepta.evaluation.evaluating import evaluate
    from lepta.evaluation.measuring import measure
    from lepta.evaluation.report import model_card
    from lepta.evaluation.results import Evaluation
    from lepta.tasks.metrics import METRICS, Metric

_HOMES = {
    "METRICS": "lepta.tasks.metrics",
    "CheckReport": "lepta.evaluation.checking",
    "Evaluation": "lepta.evaluation.results",
    "Metric": "lepta.tasks.metrics",
    "ShortcutReport": "lepta.evaluation.audit",
    "apply_temperature": "lepta.evaluation.calibration",
    "audit_leakage": "lepta.evaluation.audit",
    "audit_shortcuts": "lepta.evaluation.audit",
    "check": "lepta.evaluation.checking",
    "evaluate": "lepta.evaluation.evaluating",
    "fit_temperature": "lepta.evaluation.calibration",
    "measure": "lepta.evaluation.measuring",
    "model_card": "lepta.evaluation.report",
}

__all__ = [
    "METRICS",
    "CheckReport",
    "Evaluation",
    "Metric",
    "ShortcutReport",
    "apply_temperature",
    "audit_leakage",
    "audit_shortcuts",
    "check",
    "evaluate",
    "fit_temperature",
    "measure",
    "model_card",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return list(__all__)
