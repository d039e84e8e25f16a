from types import SimpleNamespace

import numpy as np
import pytest

from lepta.core.space import space_of
from lepta.data import Dataset
from lepta.models.learner import LEARNERS
from lepta.tuning.candidates import build_learner
from lepta.tuning.options import FitOptions
from lepta.tuning.search.board import Board, Judge
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.portfolio import TUNED, portfolio
from lepta.tuning.search.proposals import Proposer
from lepta.tuning.search.unit import Candidate


@pytest.fixture
def board():
    rng = np.random.default_rng(0)
    data = Dataset.read({"a": rng.normal(size=40), "y": rng.normal(size=40)}, target="y")
    pair = (np.arange(20), np.arange(20, 40))
    return Board(Folds(data, (pair,), 1), Judge(data.task, data.targets(data.task), None))


def _record(board, entry, error):
    held = board.folds.pairs[0][1]
    raw = board.judge.y[held, None] + error
    board.record(entry, 0, SimpleNamespace(raw=raw, size=0), SimpleNamespace(), 1.0)


@pytest.mark.parametrize("name", TUNED)
def test_what_is_proposed_can_be_built(board, name):
    _record(board, board.begin(Candidate(name)), 1.0)
    proposer = Proposer((name,), seed=0)
    seen = set()
    for step in range(8):
        candidate = proposer.propose(board)
        assert set(candidate.settings) == set(space_of(LEARNERS.get(name)))
        build_learner(name, FitOptions(settings=candidate.settings))
        _record(board, board.begin(candidate), 1 / (2 + step))
        seen.add(str(candidate))
    assert len(seen) > 4


def test_proposals_come_near_to_what_did_well(board):
    _record(board, board.begin(Candidate("trees")), 9.0)
    proposer = Proposer(("trees",), seed=0)
    rates = []
    for _ in range(40):
        candidate = proposer.propose(board)
        rate = candidate.settings["learning_rate"]
        rates.append(abs(np.log(rate / 0.05)))
        _record(board, board.begin(candidate), rates[-1])
    assert np.mean(rates[-15:]) < 0.7 * np.mean(rates[:6])


def test_the_list_holds_what_can_take_the_data(board):
    data = board.folds.rows
    names = [candidate.learner for candidate in portfolio(data.schema, data.task, len(data))]
    assert names[0] == "linear"
    assert {"trees", "kernel", "catboost"} <= set(names)
    for candidate in portfolio(data.schema, data.task, len(data)):
        build_learner(candidate.learner, FitOptions(settings=candidate.settings))


def test_kernels_are_not_tried_on_many_rows(board):
    data = board.folds.rows
    names = [candidate.learner for candidate in portfolio(data.schema, data.task, 10**6)]
    assert "kernel" not in names
    assert "trees" in names
