# Three right and three wrong answers to each exercise of 04_comparison_of_outcomes: see test_exercises.py.

# %% Exercise 1: right
intercept = 0.0

# %% Exercise 1: right
import numpy as np

intercept = np.float32(-0.2)

# %% Exercise 1: right
intercept = True - 1

# %% Exercise 1: wrong
intercept = 2.7

# %% Exercise 1: wrong
intercept = -1.5

# %% Exercise 1: wrong
intercept = 1.0

# %% Exercise 2: given
from fedkit import aggregators, evaluation, hospitals, learning

federation = hospitals.load("heart_disease")


# %% Exercise 2: right
def times(model):
    sizes = {}
    for name, mean in {"plain": aggregators.Mean(), "bfv": aggregators.EncryptedMean()}.items():
        ledger = learning.train_federated(federation, rounds=1, model=model, aggregator=mean).ledger
        sizes[name] = ledger[(ledger["round"] == 1) & (ledger["direction"] == "up")]["bytes"].sum()
    return sizes["bfv"] / sizes["plain"]


# %% Exercise 2: right
def times(model):
    plain = learning.train_federated(federation, rounds=2, seed=5, model=model)
    secret = learning.train_federated(federation, rounds=1, seed=5, model=model, aggregator=aggregators.EncryptedMean())
    both = evaluation.stack([plain, secret], "ledger").query("round == 1 and direction == 'up'")
    total = both.groupby("method")["bytes"].sum().to_dict()
    return int(total["federated + BFV"]) / int(total["federated"])


# %% Exercise 2: right
def times(model):
    run = learning.train_federated(federation, rounds=1, model=model, aggregator=aggregators.EncryptedMean())
    numbers = sum(weight.size for weight in run.weights["shared"])
    up = sum(row.bytes for row in run.ledger.itertuples() if row.round == 1 and row.direction == "up")
    return up / (4 * numbers * len(federation))


# %% Exercise 2: wrong
def times(model):
    sizes = []
    for mean in (aggregators.Mean(), aggregators.EncryptedMean()):
        run = learning.train_federated(federation, rounds=1, model=model, aggregator=mean)
        sizes.append(run.ledger.query("direction == 'up' and round == 1")["bytes"].sum())
    return sizes[0] / sizes[1]


# %% Exercise 2: wrong
def times(model):
    sizes = []
    for mean in (aggregators.EncryptedMean(), aggregators.Mean()):
        run = learning.train_federated(federation, rounds=1, aggregator=mean)  # always the small model
        sizes.append(run.ledger.query("direction == 'up' and round == 1")["bytes"].sum())
    return sizes[0] / sizes[1]


# %% Exercise 2: wrong
def times(model):
    sizes = []
    for mean in (aggregators.EncryptedMean(), aggregators.Mean()):
        run = learning.train_federated(federation, rounds=1, model=model, aggregator=mean)
        sizes.append(run.ledger["bytes"].sum())
    return sizes[0] / sizes[1]


# %% Exercise 2: wrong
def times(model):
    return "many"


# %% Exercise 3: right
import numpy as np


def shift(labels, probabilities):
    odds, a = np.log(probabilities / (1 - probabilities)), 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-odds - a))
        a += (labels - p).mean() / (p * (1 - p)).mean()
    return a


# %% Exercise 3: right
from scipy.optimize import brentq
from scipy.special import expit, logit


def shift(labels, probabilities):
    return brentq(lambda a: expit(logit(probabilities) + a).sum() - labels.sum(), -20, 20)


# %% Exercise 3: right
import math


def shift(labels, probabilities):
    low, high, wanted = -30, 30, sum(labels) / len(labels)
    for _ in range(40):
        middle = (low + high) / 2
        moved = [1 / (1 + math.exp(-math.log(p / (1 - p)) - middle)) for p in probabilities]
        low, high = (middle, high) if sum(moved) / len(moved) < wanted else (low, middle)
    return middle


# %% Exercise 3: right
import numpy as np


def shift(labels, probabilities):
    tried = np.arange(-6, 6, 0.01)[:, None]
    moved = 1 / (1 + np.exp(-np.log(probabilities / (1 - probabilities)) - tried))
    return tried[np.abs(moved.mean(axis=1) - labels.mean()).argmin()]


# %% Exercise 3: wrong
import numpy as np
from scipy.special import logit


def shift(labels, probabilities):
    return logit(np.mean(labels)) - logit(np.mean(probabilities))


# %% Exercise 3: wrong
def shift(labels, probabilities):
    return labels.mean() - probabilities.mean()


# %% Exercise 3: wrong
def shift(labels, probabilities):
    return 0.0


# %% Exercise 3: wrong
from scipy.special import logit


def shift(labels, probabilities):
    return logit(labels.mean()) - logit(probabilities)


# %% Exercise 3: wrong
from scipy.optimize import brentq
from scipy.special import expit, logit


def shift(labels, probabilities):
    return -brentq(lambda a: expit(logit(probabilities) + a).sum() - labels.sum(), -20, 20)
