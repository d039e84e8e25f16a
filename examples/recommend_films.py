"""Recommend the next film to each of many people, from who watched what, and when.

    python examples/recommend_films.py                              # made-up people, in seconds
    LEPTA_SAMPLES=path/to/data python examples/recommend_films.py   # MovieLens, small

MovieLens (grouplens.org/datasets/movielens, "ml-latest-small") is expected as
movielens_small/ratings.parquet in the folder that LEPTA_SAMPLES names; GroupLens gives it away for
research, not for commerce. The last film of each person is what the model is measured on.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

import lepta

SERIES, PARTS = 12, 5
"""Made-up films: so many series, each with so many parts."""


def watched(people: int, seed: int = 0) -> dict[str, list[Any]]:
    """Return made-up events: people watch series part by part, and now and then something else."""
    rng = np.random.default_rng(seed)
    events: dict[str, list[Any]] = {"person": [], "film": [], "when": []}
    for person in range(people):
        films: list[str] = []
        for series in rng.permutation(SERIES)[:3]:
            films += [f"series {series + 1}, part {part + 1}" for part in range(PARTS)]
            films.insert(int(rng.integers(len(films))), f"film {rng.zipf(1.5) % 50 + 1}")
        films = list(dict.fromkeys(films[: int(rng.integers(6, len(films) + 1))]))
        events["person"] += [f"person {person + 1}"] * len(films)
        events["film"] += films
        events["when"] += np.sort(rng.integers(1_700_000_000, 1_800_000_000, len(films))).tolist()
    return events


def ratings(folder: Path) -> lepta.Dataset:
    """Return the histories of MovieLens; the stars that were given are left aside."""
    return lepta.Dataset.read(
        folder / "movielens_small" / "ratings.parquet",
        task="recommendation",
        target="movieId",
        group="userId",
        time_field="timestamp",
    )


def main() -> None:
    """Train, measure, and recommend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, help="take so many made-up people (300)")
    people = parser.parse_args().people
    samples = os.environ.get("LEPTA_SAMPLES")
    if people is None and samples and (Path(samples) / "movielens_small").is_dir():
        data = ratings(Path(samples))
    else:
        data = lepta.Dataset.read(
            watched(people or 300),
            task="recommendation",
            target="film",
            group="person",
            time_field="when",
        )
    model = lepta.fit(data, name="films")
    print(lepta.evaluate(model, data["test"]))

    history = data["test"].column("history")[0]
    (answer,) = lepta.predict(model, {"history": history}).rows()
    print(f"\nAfter {', '.join(history[-3:])}:")
    for place, found in enumerate(answer["prediction"], 1):
        print(f"  {place:>2}. {found['item']}  {found['score']:.3f}")


if __name__ == "__main__":
    main()
