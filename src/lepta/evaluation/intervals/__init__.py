"""Confidence intervals: analytic where theory has one that holds, by resampling elsewhere."""

from lepta.evaluation.intervals.auroc import auroc_interval
from lepta.evaluation.intervals.base import Interval, quantile_of, spread_out
from lepta.evaluation.intervals.bootstrap import RESAMPLES, bootstrap, resampled
from lepta.evaluation.intervals.wilson import decision_interval, wilson

__all__ = [
    "RESAMPLES",
    "Interval",
    "auroc_interval",
    "bootstrap",
    "decision_interval",
    "quantile_of",
    "resampled",
    "spread_out",
    "wilson",
]
