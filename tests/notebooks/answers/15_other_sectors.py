# %% Exercise 1: given
def each_of(count):  # what the notebook's own counts, which takes seconds: a test of the notebook does that
    return 38.73


# %% Exercise 1: right
guess = 40.6
# %% Exercise 1: right
guess = 38
# %% Exercise 1: right
guess = "42"
# %% Exercise 1: wrong
guess = 25.3 * 2
# %% Exercise 1: wrong
guess = 13.8 * 8
# %% Exercise 1: wrong
guess = "a lot"
# %% Exercise 2: given
from fedkit import hospitals

good = {
    "hospitals": [{"file": "buses.csv", "column": "depot"}],
    "label": {"name": "late", "column": "minutes", "above": 5},
    "features": ["rain", "day"],
    "categorical": ["day"],
    "missing": {},
}
# %% Exercise 2: right
buses = good
# %% Exercise 2: right
buses = dict(title="Buses", licence="CC0", categorical=[], missing={}, features=["day", "rain"])
buses |= dict(label=dict(name="is_late", column="minutes", above=5.0))
buses["hospitals"] = [dict(file="buses.csv", column="depot")]
# %% Exercise 2: right
import json

buses = json.loads(json.dumps(good | {"label": good["label"] | {"name": "delay"}, "test": None}))
# %% Exercise 2: wrong
buses = good | {"hospitals": [{"file": "buses.csv", "column": "day"}], "features": ["rain"], "categorical": []}
# %% Exercise 2: wrong
buses = good | {"label": good["label"] | {"above": 0}}
# %% Exercise 2: wrong
buses = good | {"features": ["rain"], "categorical": []}
# %% Exercise 3: given
import numpy as np
import pandas as pd


# %% Exercise 3: right
def gap_between(probabilities, groups):
    called = pd.Series(probabilities) > 0.5
    shares = called.groupby(list(groups)).mean()
    return shares.max() - shares.min()


# %% Exercise 3: right
def gap_between(probabilities, groups):
    counts = {}
    for p, group in zip(probabilities, groups, strict=True):
        yes, all_rows = counts.get(group, (0, 0))
        counts[group] = yes + (p > 0.5), all_rows + 1
    first, second = (yes / n for yes, n in counts.values())
    return abs(first - second)


# %% Exercise 3: right
def gap_between(probabilities, groups):
    called, groups = np.asarray(probabilities) > 0.5, np.asarray(groups)
    return np.ptp([called[groups == one].mean() for one in np.unique(groups)])


# %% Exercise 3: wrong
def gap_between(probabilities, groups):
    shares = (pd.Series(probabilities) > 0.5).groupby(list(groups)).mean()
    return shares.iloc[0] - shares.iloc[1]


# %% Exercise 3: wrong
def gap_between(probabilities, groups):
    shares = (pd.Series(probabilities) >= 0.5).groupby(list(groups)).mean()
    return shares.max() - shares.min()


# %% Exercise 3: wrong
def gap_between(probabilities, groups):
    counts = (pd.Series(probabilities) > 0.5).groupby(list(groups)).sum()
    return (counts.max() - counts.min()) / len(groups)
