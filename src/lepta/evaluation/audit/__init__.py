"""Audits of data: whether a model may learn something else than what it is meant to."""

from lepta.evaluation.audit.leakage import audit_leakage
from lepta.evaluation.audit.shortcuts import ShortcutReport, audit_shortcuts
from lepta.evaluation.audit.strength import Strength

__all__ = [
    "ShortcutReport",
    "Strength",
    "audit_leakage",
    "audit_shortcuts",
]
