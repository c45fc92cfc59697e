"""The table of notebook 15: four methods in three sectors, on 40 random splits."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from fedkit import evaluation, hospitals, learning
from fedkit.chapters import heterogeneity
from fedkit.hospitals import Federation
from fedkit.studies.grids import Grid

SECTORS = {"schools": (4, 6), "airports": (30, 1), "loans": (10, 1)}  # rounds, and epochs in each
METHODS = {  # how it is trained, and how many times as many epochs; alone as in notebook 02
    "central": (learning.train_centralized, 1, {}),
    "federated": (learning.train_federated, 1, {}),
    "own intercept": (learning.train_federated, 1, {"algorithm": heterogeneity.AtHome()}),
    "local": (learning.train_local, 5, {"prepared": "alone", "penalty": 1.0}),
}


def at_random(federation: Federation) -> Federation:
    """Undo a split of its own: test rows are drawn."""
    return replace(federation, hospitals=tuple(replace(one, test=None) for one in federation))


def rows(seed: int, sectors: Iterable[str] = SECTORS) -> pd.DataFrame:
    """Train all methods on a split: a row a sector, metric and hospital (or their mean), a column a method."""
    found = []
    for sector in sectors:
        data, (rounds, epochs), values = at_random(hospitals.load(sector)), SECTORS[sector], {}
        for name, (train, times, more) in METHODS.items():
            run = train(data, seed=seed, rounds=rounds, epochs=times * epochs, **more)
            scored = evaluation.table([run], ["auroc", "accuracy"]).set_index(["metric", "hospital"])
            values[name] = scored["value"].round(4)
        found.append(pd.DataFrame(values).rename_axis(["metric", "hospital"]).reset_index().assign(sector=sector))
    return pd.concat(found, ignore_index=True).assign(seed=seed)


GRID = Grid("sectors", rows, range(40), (heterogeneity,), tuple(SECTORS))
