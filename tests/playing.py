"""Rounds of an aggregator without a training: updates go in, means come out; and rows of three classes."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris

from fedkit.records import Ledger

PATIENTS = {"Cleveland": 212, "Hungary": 205, "Switzerland": 86, "VA Long Beach": 140}
SHAPES = {"kernel": (13, 1), "bias": (1,)}
KINDS = ["virginica", "setosa", "versicolor"]  # neither sorted nor as they first occur


class Training:
    """The last state of an aggregator, and its ledger."""

    def __init__(self, aggregator, hospitals=PATIENTS, shapes=SHAPES):
        self.aggregator, self.ledger = aggregator, Ledger()
        self.state = aggregator.start(list(hospitals), shapes, self.ledger)

    def play(self, vectors, weights=PATIENTS):
        """Return the mean of one round more."""
        self.ledger.round += 1
        self.state, mean = self.aggregator.aggregate(self.state, vectors, weights, self.ledger)
        return mean

    @property
    def refused(self):
        rows = self.ledger.frame().query("phase == 'refused'")
        assert set(rows["direction"]) <= {"up"}
        return list(zip(rows["round"], rows["hospital"], strict=True))


def flowers() -> pd.DataFrame:
    """150 iris flowers at three hospitals; one in seven has a kind at random, so that no line tells all apart."""
    rng, (values, kinds) = np.random.default_rng(0), load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[kinds]
    unsure = rng.random(150) < 0.15
    names[unsure] = rng.permutation(names[unsure])
    return values.iloc[:, :3].assign(kind=names, hospital=rng.choice(["A", "B", "C"], 150))
