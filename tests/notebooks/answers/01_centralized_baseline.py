# %% Exercise 1: given
from fedkit import hospitals, learning

run_pooled = learning.train_centralized(hospitals.load("heart_disease"), rounds=5)
# %% Exercise 1: right
auroc_is, accuracy_is = "same", "smaller"
# %% Exercise 1: right
auroc_is = "Same."
accuracy_is = " SMALLER"
# %% Exercise 1: right
auroc_is, accuracy_is = ["same", "smaller"]
# %% Exercise 1: wrong
auroc_is, accuracy_is = "smaller", "smaller"
# %% Exercise 1: wrong
auroc_is, accuracy_is = "same", "same"
# %% Exercise 1: wrong
auroc_is, accuracy_is = 0.5, 0.5
# %% Exercise 2: given
import numpy as np


# %% Exercise 2: right
def own_bias(z, labels):
    added = 0.0
    for _ in range(5000):
        added += np.mean(labels) - (1 / (1 + np.exp(-(z + added)))).mean()
    return added


# %% Exercise 2: right
from scipy.optimize import brentq


def own_bias(z, labels):
    return brentq(lambda a: (1 / (1 + np.exp(-(z + a)))).sum() - sum(labels), -30, 30)


# %% Exercise 2: right
def own_bias(z, labels):
    tries = np.arange(-15, 15, 0.02)
    means = np.array([np.mean([1 / (1 + np.exp(-one - add)) for one in z]) for add in tries])
    return tries[np.abs(means - labels.mean()).argmin()]


# %% Exercise 2: wrong
def own_bias(z, labels):
    return labels.mean() - (1 / (1 + np.exp(-z))).mean()


# %% Exercise 2: wrong
def own_bias(z, labels):
    return np.log(labels.mean() / (1 - labels.mean())) - z.mean()


# %% Exercise 2: wrong
def own_bias(z, labels):
    return 2.5  # as at Switzerland


# %% Exercise 3: given
import numpy as np


# %% Exercise 3: right
def middle(counts, edges):
    added = sum(counts)
    place = np.searchsorted(added.cumsum(), added.sum() / 2)
    return edges[place], edges[place + 1]


# %% Exercise 3: right
def middle(counts, edges):
    seen, everybody = 0, sum(sum(one) for one in counts)
    for step in range(len(edges) - 1):
        seen += sum(one[step] for one in counts)
        if seen > everybody / 2:
            return [float(edges[step]), float(edges[step + 1])]


# %% Exercise 3: right
def middle(counts, edges):
    patients = np.repeat(edges[:-1], np.sum(counts, axis=0))
    lower = np.median(patients)
    return np.array([lower, edges[list(edges).index(lower) + 1]])


# %% Exercise 3: wrong
def middle(counts, edges):
    place = np.argmax(sum(counts))  # the fullest step
    return edges[place], edges[place + 1]


# %% Exercise 3: wrong
def middle(counts, edges):
    added = sum(counts)
    mean = (added * (edges[:-1] + edges[1:]) / 2).sum() / added.sum()
    place = np.searchsorted(edges, mean) - 1
    return edges[place], edges[place + 1]


# %% Exercise 3: wrong
def middle(counts, edges):
    places = [np.searchsorted(one.cumsum(), one.sum() / 2) for one in counts]
    place = int(np.median(places))  # the middle of the hospitals' medians
    return edges[place], edges[place + 1]
