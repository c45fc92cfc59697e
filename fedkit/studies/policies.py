"""The table of notebook 10: six policies, where a small hospital is slow and where a large one is, on 40 splits."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from fedkit import aggregators, hospitals, learning, preparation
from fedkit.aggregators import Aggregator, Wrapped
from fedkit.chapters import clock
from fedkit.evaluation import MEAN, scores
from fedkit.models import Model, unflatten
from fedkit.preparation import Prepared
from fedkit.records import Ledger
from fedkit.studies.grids import Grid

SLOW, AWAY = ("Switzerland", "Cleveland"), "VA Long Beach"
POLICIES = ("wait for all", "ask three", "more epochs", "own steps", "deadline", "buffer")
AT = (10, 20, 30, 40, 50, 60, 80, 100, 120, 150, 180, 210, 240)  # seconds after which a model is tested
SCORES = ("auroc", "accuracy", "log_loss")


@cache
def measured() -> tuple[pd.DataFrame, pd.Series]:
    """Return the ledger of an encrypted training, and on how many rows each hospital trains."""
    run = learning.train_federated(hospitals.load(), rounds=20, aggregator=aggregators.EncryptedMean(), seed=0)
    return run.ledger, run.metrics[run.metrics["metric"] == "train rows"].set_index("hospital")["value"]


def invented(slow: str, slower: float) -> pd.DataFrame:
    """Return sites that nobody measured: alike, but for one that is slow and one that is often away."""
    sites = {"speed": 1.0, "bandwidth": 1e6, "latency": 0.1, "present": 1.0}
    sites = pd.DataFrame(sites, index=measured()[1].index)
    sites.loc[slow, "speed"] = 1 / slower
    sites.loc[AWAY, "present"] = 0.8
    return sites


def diaries(
    sites: pd.DataFrame,
    seed: int,
    until: float = AT[-1],
    row_seconds: float = 0.01,
    deadline: float = 3.0,
    epochs: int = 3,
) -> dict[str, tuple[pd.DataFrame, dict]]:
    """Return the diary of each policy, and what its training is told."""
    ledger, rows = measured()
    once, often = (clock.costs(sites, times * rows, ledger, row_seconds) for times in (1, epochs))
    steps = clock.allocate(once["link"], 32 * row_seconds / sites["speed"], epochs * int(np.ceil(rows / 32).sum()))
    own = clock.costs(sites, 32 * steps, ledger, row_seconds)
    return {
        "wait for all": (clock.rounds(once, until, seed=seed), {}),
        "ask three": (clock.rounds(once, until, sample=3, seed=seed), {}),
        "more epochs": (clock.rounds(often, until, seed=seed), {"epochs": epochs}),
        "own steps": (clock.rounds(own, until, seed=seed), {"algorithm": clock.Steps(tuple(steps.items()))}),
        "deadline": (clock.rounds(once, until, deadline=deadline, seed=seed), {}),
        "buffer": (clock.buffered(once, until, seed=seed), {}),
    }


class Watched(Wrapped):
    """An aggregator that remembers by how much the model moved in each round."""

    def __init__(self, inner: Aggregator) -> None:
        super().__init__(inner)
        self.moves = []

    def after(self, own: None, mean: np.ndarray, ledger: Ledger) -> tuple[None, np.ndarray]:
        """Remember the move."""
        self.moves.append(mean)
        return own, mean


def scored(moves: Sequence[np.ndarray], diary: pd.DataFrame, split: dict[str, Prepared]) -> pd.Series:
    """Return AUROC and log loss at each of `AT`, mean of hospitals; and what each hospital has at the end."""
    moved, found = diary[diary["taken"]].groupby("step")["seconds"].max(), {}
    features = next(iter(split.values())).test_features.shape[1]
    models = np.cumsum([np.zeros(features + 1), *moves], axis=0)
    for at, step in zip(AT, moved.searchsorted(AT, side="right"), strict=True):
        weights, each = unflatten(models[step], [(features, 1), (1,)]), {}
        for name, rows in split.items():
            each[name] = scores(rows.test_labels, Model().predict(weights, rows.test_features), SCORES)
        found |= {
            (metric, MEAN, at): np.mean([own[metric] for own in each.values()]) for metric in ("auroc", "log_loss")
        }
    return pd.Series(found | {(metric, name, at): own[metric] for metric in SCORES for name, own in each.items()})


def rows(seed: int, policies: Sequence[str] = POLICIES, slower: float = 10.0, **settings: float) -> pd.DataFrame:
    """Train by each policy on one split, and on days of its own; returns a column of scores for each.

    slower : how many times, the hospital that is slow
    settings : of `diaries`
    """
    federation, split, parts = hospitals.load(), preparation.split(hospitals.load(), seed).hospitals, []
    for slow in SLOW:
        made, found = diaries(invented(slow, slower), seed, **settings), {}
        for name in policies:
            diary, how = made[name]
            watched = Watched(aggregators.Mean())
            if diary["taken"].any():
                clock.train(federation, diary, watched, seed=seed, **how)
            found[name] = scored(watched.moves, diary, split)
        table = pd.DataFrame(found).rename_axis(["metric", "hospital", "at"]).reset_index()
        parts.append(table.assign(seed=seed, slow=slow))
    return pd.concat(parts, ignore_index=True)


GRID = Grid("clock", rows, range(40), (clock,))
