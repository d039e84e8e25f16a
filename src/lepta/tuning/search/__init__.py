"""The search behind ``fit(time=...)``: many candidates on many folds, and what they make together.

A *unit* is one candidate fitted on one fold. Units run in worker processes; the held-out rows' raw
scores come back with the model. The best candidates are completed, blended by weights, and leave
as one graph.
"""
