"""The listwise loss of a ranking."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lepta.tasks.objective import Objective


class ListNet(Objective):
    """Cross-entropy between the scores of a query's rows and their gains.

    Scores become probabilities by a softmax over the query, gains (2 ** grade - 1) by their share
    (Cao et al., "Learning to rank: from pairwise approach to listwise approach", 2007; Bruch et
    al., "An analysis of the softmax cross entropy loss for learning-to-rank with binary relevance",
    2019). It is for all rows of a query at once.
    """

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        scores = raw[:, 0]
        queries = y[:, 1].long().unique(return_inverse=True)[1]
        count = int(queries.max()) + 1
        gains = 2.0 ** y[:, 0].to(scores) - 1.0
        total = scores.new_zeros(count).index_add(0, queries, gains)[queries]
        share = torch.where(total > 0, gains / total.clamp_min(1e-12), torch.zeros_like(gains))
        top = torch.full((count,), -torch.inf, dtype=scores.dtype, device=scores.device)
        top = top.scatter_reduce(0, queries, scores.detach(), "amax")[queries]
        mass = scores.new_zeros(count).index_add(0, queries, (scores - top).exp())[queries]
        losses: Tensor = share * (mass.log() + top - scores)
        return losses
