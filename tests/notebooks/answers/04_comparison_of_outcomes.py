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


# %% Exercise 3: right
def net_benefit(labels, probabilities, t):
    treated = probabilities > t
    ill, well = (treated & (labels == one) for one in (1, 0))
    return (ill.sum() - well.sum() * t / (1 - t)) / len(labels)


# %% Exercise 3: right
def net_benefit(labels, probabilities, t):
    total = 0
    for label, probability in zip(labels, probabilities, strict=True):
        if probability > t:
            total += 1 if label else -t / (1 - t)
    return total / len(list(labels))


# %% Exercise 3: right
import numpy as np


def net_benefit(labels, probabilities, t):
    worth = np.where(np.asarray(labels) == 1, 1.0, -1 / (1 / t - 1))
    return np.mean(worth * (np.asarray(probabilities) >= t), keepdims=True)


# %% Exercise 3: wrong
def net_benefit(labels, probabilities, t):  # of the treated only
    treated = labels[probabilities > t]
    return (treated - (1 - treated) * t / (1 - t)).mean() if len(treated) else 0.0


# %% Exercise 3: wrong
def net_benefit(labels, probabilities, t):  # the cost the wrong way up
    treated = probabilities > t
    return (treated * labels - treated * (1 - labels) * (1 - t) / t).mean()


# %% Exercise 3: wrong
def net_benefit(labels, probabilities, t):  # who is rightly not treated counts, too
    return ((probabilities > t) == labels).mean()


# %% Exercise 3: wrong
def net_benefit(labels, probabilities, t):
    return 0.3
