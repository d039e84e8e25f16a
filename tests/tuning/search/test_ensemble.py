from types import SimpleNamespace

import numpy as np
import pytest

from lepta.core.errors import TrainError
from lepta.data import Dataset
from lepta.tuning.search.board import Board, Judge
from lepta.tuning.search.ensemble import choose_weights, only
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.repeat import bag_of
from lepta.tuning.search.unit import Candidate


@pytest.fixture
def board():
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    data = Dataset.read({"a": rng.normal(size=400), "y": y}, target="y")
    parts = np.array_split(rng.permutation(400), 4)
    pairs = tuple((np.setdiff1d(np.arange(400), part), part) for part in parts)
    return Board(Folds(data, pairs, 4), Judge(data.task, y, None))


def _fill(board, name, predictions, folds=4, size=0):
    entry = board.begin(Candidate(name))
    for fold in range(folds):
        held = board.folds.pairs[fold][1]
        given = SimpleNamespace(raw=predictions[held, None], size=size)
        board.record(entry, fold, given, SimpleNamespace(), 1.0)
    return entry


def test_models_with_independent_errors_are_better_together(board):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(3, 400))
    for n in range(3):
        _fill(board, f"m{n}", board.judge.y + noise[n])
    chosen = choose_weights(board, seed=0)
    assert len(chosen.entries) == 3
    assert sum(chosen.weights) == pytest.approx(1)
    best = min(only(board, entry, 4).loss for entry in board.entries)
    assert chosen.loss < 0.75 * best
    rows = board.rows(chosen.level)
    assert board.judge.loss(chosen.raw(rows), rows) == pytest.approx(chosen.loss)


def test_a_copy_adds_nothing(board):
    noise = np.random.default_rng(1).normal(size=400)
    for n in range(2):
        _fill(board, f"m{n}", board.judge.y + noise)
    assert len(choose_weights(board, seed=0).entries) == 1


def test_a_bad_model_gets_no_weight(board):
    rng = np.random.default_rng(1)
    good = _fill(board, "good", board.judge.y + 0.1 * rng.normal(size=400))
    _fill(board, "bad", 10 * rng.normal(size=400))
    assert choose_weights(board, seed=0).entries == (good,)


def test_candidates_are_compared_on_the_folds_that_the_best_have_done(board):
    rng = np.random.default_rng(1)
    _fill(board, "whole", board.judge.y + 0.2 * rng.normal(size=400))
    _fill(board, "begun", board.judge.y + 5 * rng.normal(size=400), folds=1)
    chosen = choose_weights(board, seed=0)
    assert chosen.level == 4
    assert [entry.candidate.learner for entry in chosen.entries] == ["whole"]


def test_without_a_result_there_is_no_ensemble(board):
    board.begin(Candidate("nothing"))
    with pytest.raises(TrainError, match="No candidate"):
        choose_weights(board, seed=0)


def test_a_clearly_better_candidate_with_one_fold_is_not_passed_over(board):
    rng = np.random.default_rng(1)
    _fill(board, "whole", board.judge.y + 0.5 * rng.normal(size=400))
    better = _fill(board, "slow", board.judge.y + 0.1 * rng.normal(size=400), folds=1)
    chosen = choose_weights(board, seed=0)
    assert chosen.level == 1
    assert chosen.entries[0] is better


def test_what_is_too_large_is_passed_over(board):
    rng = np.random.default_rng(1)
    small = _fill(board, "small", board.judge.y + 0.3 * rng.normal(size=400))
    _fill(board, "large", board.judge.y + 0.1 * rng.normal(size=400), size=10**8)
    assert choose_weights(board, seed=0).entries == (small,)


def test_what_is_large_gives_fewer_folds(board):
    entry = _fill(board, "m", board.judge.y, size=int(board.roomy / 3))
    assert bag_of(entry, board, 1.0) == [0, 1, 2]
    assert bag_of(entry, board, 0.1) == [0]
