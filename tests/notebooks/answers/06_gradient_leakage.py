# %% Exercise 1: given
import numpy as np

from fedkit import learning, models
from fedkit.chapters import course
from fedkit.chapters.attacks import inversion

random, network = np.random.default_rng(0), models.mlp([16])
weights = [random.normal(size=shape).astype(np.float32) for shape in ((13, 16), (16,), (16, 1), (1,))]
x = random.normal(size=(1, 13)).astype(np.float32)


def send(model, starts, rows):
    plan = learning.Plan(model=model, batch_size=32, learning_rate=0.3)
    order = np.arange(len(rows[0][1]), dtype=np.int32)[None]
    (done,) = learning.local_updates(plan, [learning.Task(starts[0], [], *rows[0], order)])
    return [models.unflatten(done.update, [part.shape for part in starts[0]])]


def share_read(update, x):
    found = inversion.rows(update[0], update[1])
    return (inversion.errors(x, found).max(axis=1) < 0.01).mean()


# %% Exercise 1: right
my_share = 1
# %% Exercise 1: right
my_share = np.float32(2) / 2
# %% Exercise 1: right
my_share = "1.0"
# %% Exercise 1: wrong
my_share = 0
# %% Exercise 1: wrong
my_share = 0.5
# %% Exercise 1: wrong
my_share = "all"
# %% Exercise 2: given
from itertools import product

import numpy as np
from tools import pairing

from fedkit import aggregators, learning, models, preparation, records
from fedkit import hospitals as tables
from fedkit.chapters import course
from fedkit.chapters.attacks import inversion

federation, network, at = tables.load("heart_disease"), models.mlp([16]), 5
swiss = preparation.split(federation, seed=0).hospitals["Switzerland"]
random = np.random.default_rng(0)
weights = [random.normal(size=shape).astype(np.float32) for shape in ((13, 16), (16,), (16, 1), (1,))]


def send(model, starts, rows):
    plan = learning.Plan(model=model, batch_size=32, learning_rate=0.3)
    order = np.arange(len(rows[0][1]), dtype=np.int32)[None]
    (done,) = learning.local_updates(plan, [learning.Task(starts[0], [], *rows[0], order)])
    return [models.unflatten(done.update, [part.shape for part in starts[0]])]


# the page's own `overheard`: it stands in the cell that the reader fills in
(stub,) = [cell.source for cell in pairing.of("06_gradient_leakage").cells if "def overheard" in cell.source]
exec(stub)


# %% Exercise 2: right
open_layers = ["kernel 1", "bias 1"]
# %% Exercise 2: right
open_layers = {name for name in network.layers if name.endswith("1")}
# %% Exercise 2: right
open_layers = np.array(["kernel 1", "bias 1"])
# %% Exercise 2: wrong
open_layers = ["kernel 1"]
# %% Exercise 2: wrong
open_layers = ["kernel 1", "bias 1", "bias 2"]
# %% Exercise 2: wrong
open_layers = "kernel 1"
# %% Exercise 3: given
import numpy as np

from fedkit import hospitals, preparation
from fedkit.chapters import course
from fedkit.chapters.attacks import inversion

SEEDS = 3
federation = hospitals.load("heart_disease")
split = preparation.split(federation, seed=0)


# %% Exercise 3: right
def looks_real(candidates):
    moments = split.statistics.moments
    ages = moments["mean"]["age"] + moments["std"]["age"] * candidates[:, 0]
    whole = abs(ages - ages.round()) < 0.01
    return whole & np.isclose(candidates[:, 8:] * (1 - candidates[:, 8:]), 0, atol=1e-3).all(axis=1)


# %% Exercise 3: right
def looks_real(candidates):
    answers = []
    for row in candidates:
        age = inversion.as_measured(row, split.statistics)["age"]
        good = abs(age - round(age)) < 0.1
        for level in row[len(federation.numeric) :]:
            good = good and min(abs(level), abs(level - 1)) < 0.1
        answers.append(bool(good))
    return answers


# %% Exercise 3: right
def looks_real(candidates):
    count = len(split.statistics.moments)
    nearest = np.clip(np.rint(candidates[:, count:]), 0, 1)
    off = np.linalg.norm(candidates[:, count:] - nearest, axis=1)
    ages = np.array([inversion.as_measured(row, split.statistics)["age"] for row in candidates])
    return np.where((off < 1e-2) & (np.abs(ages % 1 - 0.5) > 0.49), 1, 0)


# %% Exercise 3: wrong
def looks_real(candidates):
    return np.isin(candidates[:, len(federation.numeric) :], [0, 1]).all(axis=1)


# %% Exercise 3: wrong
def looks_real(candidates):
    levels = candidates[:, len(federation.numeric) :]
    return (np.abs(levels - np.rint(levels)) < 0.01).all(axis=1)


# %% Exercise 3: wrong
def looks_real(candidates):
    ages = np.array([inversion.as_measured(row, split.statistics)["age"] for row in candidates])
    last = candidates[:, -1]
    return (np.abs(ages - np.rint(ages)) < 0.01) & (np.abs(last - (last > 0.5)) < 0.01)
