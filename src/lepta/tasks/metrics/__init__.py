"""The metrics, by name. Further ones come by the entry point group ``lepta.metrics``."""

from lepta.core.registry import Registry
from lepta.tasks.metrics.base import Metric

_ALARMS = "lepta.tasks.anomaly.metrics"
_DECISIONS = "lepta.tasks.metrics.decisions"
_PROBABILITIES = "lepta.tasks.metrics.probabilities"
_RANKING = "lepta.tasks.metrics.ranking"
_FORECASTS = "lepta.tasks.forecasting.metrics"
_NUMBERS = "lepta.tasks.metrics.numbers"
_QUANTILES = "lepta.tasks.quantile.metrics"
_LABELS = "lepta.tasks.multilabel.metrics"
_ORDERED = "lepta.tasks.ordinal.metrics"
_BOXES = "lepta.tasks.detection.metrics"
_QUERIES = "lepta.tasks.ranking.metrics"
_RECOMMENDED = "lepta.tasks.recommendation.metrics"
_SEGMENTATION = "lepta.tasks.segmentation.metrics"

METRICS = Registry(
    "lepta.metrics",
    "metric",
    {
        "accuracy": f"{_DECISIONS}:accuracy",
        "precision": f"{_DECISIONS}:precision",
        "recall": f"{_DECISIONS}:recall",
        "f1": f"{_DECISIONS}:f1",
        "specificity": f"{_DECISIONS}:specificity",
        "false_alarm_rate": f"{_ALARMS}:false_alarm_rate",
        "auroc": f"{_RANKING}:auroc",
        "average_precision": f"{_RANKING}:average_precision",
        "log_loss": f"{_PROBABILITIES}:log_loss",
        "brier": f"{_PROBABILITIES}:brier",
        "ece": f"{_PROBABILITIES}:ece",
        "forecast_coverage": f"{_FORECASTS}:coverage",
        "forecast_mae": f"{_FORECASTS}:mae",
        "forecast_rmse": f"{_FORECASTS}:rmse",
        "rmse": f"{_NUMBERS}:rmse",
        "mae": f"{_NUMBERS}:mae",
        "r2": f"{_NUMBERS}:r2",
        "pinball": f"{_QUANTILES}:pinball",
        "median_mae": f"{_QUANTILES}:median_mae",
        "interval_coverage": f"{_QUANTILES}:interval_coverage",
        "interval_width": f"{_QUANTILES}:interval_width",
        "quantile_gap": f"{_QUANTILES}:quantile_gap",
        "label_average_precision": f"{_LABELS}:label_average_precision",
        "label_auroc": f"{_LABELS}:label_auroc",
        "macro_f1": f"{_LABELS}:macro_f1",
        "micro_f1": f"{_LABELS}:micro_f1",
        "subset_accuracy": f"{_LABELS}:subset_accuracy",
        "hamming_loss": f"{_LABELS}:hamming_loss",
        "quadratic_kappa": f"{_ORDERED}:quadratic_kappa",
        "class_mae": f"{_ORDERED}:class_mae",
        "median_accuracy": f"{_ORDERED}:median_accuracy",
        "query_ndcg_10": f"{_QUERIES}:query_ndcg_10",
        "query_ndcg": f"{_QUERIES}:query_ndcg",
        "query_map": f"{_QUERIES}:query_map",
        "query_mrr": f"{_QUERIES}:query_mrr",
        "hit_rate_1": f"{_RECOMMENDED}:hit_rate_1",
        "hit_rate_10": f"{_RECOMMENDED}:hit_rate_10",
        "hit_rate_50": f"{_RECOMMENDED}:hit_rate_50",
        "ndcg_10": f"{_RECOMMENDED}:ndcg_10",
        "mrr": f"{_RECOMMENDED}:mrr",
        "popularity_hit_rate_10": f"{_RECOMMENDED}:popularity_hit_rate_10",
        "dice": f"{_SEGMENTATION}:dice",
        "iou": f"{_SEGMENTATION}:iou",
        "dice_per_image": f"{_SEGMENTATION}:dice_per_image",
        "pixel_accuracy": f"{_SEGMENTATION}:pixel_accuracy",
        "hausdorff95": f"{_SEGMENTATION}:hausdorff95",
        "map50": f"{_BOXES}:map50",
        "map": f"{_BOXES}:map_coco",
        "map75": f"{_BOXES}:map75",
        "recall100": f"{_BOXES}:recall100",
        "box_precision": f"{_BOXES}:box_precision",
        "box_recall": f"{_BOXES}:box_recall",
        "box_f1": f"{_BOXES}:box_f1",
    },
)
"""Names to :class:`Metric` objects; ``METRICS.get("auroc")(y, scores)``."""

__all__ = ["METRICS", "Metric"]
