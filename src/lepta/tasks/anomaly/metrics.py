"""The metric that an alarm is paid with."""

from __future__ import annotations

from lepta.tasks.metrics.base import Array, Floats, Metric
from lepta.tasks.metrics.decisions import specificity


def _false_alarms(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return 1.0 - specificity.rule(y, scores, weights, threshold)


false_alarm_rate = Metric(
    "false_alarm_rate",
    "False alarms",
    False,
    0.0,
    1.0,
    _false_alarms,
    "Of the normal rows, the share answered anomalous; it should be what was allowed.",
)
