# %% Exercise 1: right
guess = "same"
# %% Exercise 1: right
guess = "Same."
# %% Exercise 1: right
guess = " same "
# %% Exercise 1: wrong
guess = "lower"
# %% Exercise 1: wrong
guess = "higher"
# %% Exercise 1: wrong
guess = 0
# %% Exercise 2: right
alpha = 0.3
# %% Exercise 2: right
alpha = 1e-2
# %% Exercise 2: right
import numpy as np

alpha = np.float64(0.1)
# %% Exercise 2: wrong
alpha = 1000
# %% Exercise 2: wrong
alpha = -1
# %% Exercise 2: wrong
alpha = "small"
# %% Exercise 3: given
from fedkit import learning


# %% Exercise 3: right
class Capped(learning.Algorithm):
    name = "capped"

    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        patients = len(task.labels)
        return self.most if patients > self.most else patients


# %% Exercise 3: right
import numpy as np


class Capped(learning.Algorithm):
    def __init__(self, most):
        self.limit = most

    def weigh(self, task):
        return int(np.minimum(task.labels.size, self.limit))


# %% Exercise 3: right
from dataclasses import dataclass


@dataclass(frozen=True)
class Capped(learning.Algorithm):
    most: int = 100

    def weigh(self, task):
        return min(super().weigh(task), self.most)


# %% Exercise 3: wrong
class Capped(learning.Algorithm):
    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        return self.most


# %% Exercise 3: wrong
class Capped(learning.Algorithm):
    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        return max(len(task.labels), self.most)


# %% Exercise 3: wrong
class Capped(learning.Algorithm):
    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        return 120


# %% Exercise 4: given
from fedkit.studies import flamby

rows = flamby.patients().query("complete").reset_index(drop=True)
test = flamby.drawn(rows)
# %% Exercise 4: right
rise = 1 / 64
# %% Exercise 4: right
rise = 0.016
# %% Exercise 4: right
import numpy as np

hits = np.zeros(int((test & (rows["hospital"] == "Switzerland")).sum()))
before = hits.mean()
hits[0] = 1
rise = np.float32((hits.mean() - before) / 4)
# %% Exercise 4: wrong
rise = 1 / 16
# %% Exercise 4: wrong
rise = 1 / test.sum()
# %% Exercise 4: wrong
rise = 1 / 4 / (rows["hospital"] == "Switzerland").sum()
