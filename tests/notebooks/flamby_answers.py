# ruff: noqa
# %% Exercise 1: given
from fedkit.chapters import flamby

rows = flamby.patients().query("complete").reset_index(drop=True)
test = flamby.drawn(rows)
# %% Exercise 1: right
rise = 1 / 64
# %% Exercise 1: right
rise = 0.016
# %% Exercise 1: right
import numpy as np

hits = np.zeros(int((test & (rows["hospital"] == "Switzerland")).sum()))
before = hits.mean()
hits[0] = 1
rise = np.float32((hits.mean() - before) / 4)
# %% Exercise 1: wrong
rise = 1 / 16
# %% Exercise 1: wrong
rise = 1 / test.sum()
# %% Exercise 1: wrong
rise = 1 / 4 / (rows["hospital"] == "Switzerland").sum()
# %% Exercise 1: wrong
rise = "a little"
