"""Learners of anomaly detection: they are fitted on normal rows only."""
