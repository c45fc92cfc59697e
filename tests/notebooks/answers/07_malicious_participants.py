# %% Exercise 1: given
from fedkit import aggregators, hospitals
from fedkit.chapters import partitions, robust

pooled = hospitals.load("heart_disease").frame().drop(columns="hospital")
dealt = partitions.iid(pooled, 15, seed=0)
many = hospitals.from_frame(dealt, site="hospital", label="label", name="fifteen")
in_five = robust.GroupwiseEncrypted(aggregators.EncryptedMean(), 5)
# %% Exercise 1: right
most = 6
# %% Exercise 1: right
most = 2 * len(many) / 5
# %% Exercise 1: right
import numpy as np

sizes = np.array([len(group) for group in in_five.members(many.names, 1)])
most = np.sort(sizes)[-2:].sum()
# %% Exercise 1: wrong
most = 2
# %% Exercise 1: wrong
most = 7
# %% Exercise 1: wrong
most = "six"
# %% Exercise 2: given
import numpy as np


# %% Exercise 2: right
def trimmed(updates, trim):
    in_order = np.sort(updates, axis=0)
    return in_order[trim : len(updates) - trim].mean(axis=0)


# %% Exercise 2: right
from scipy import stats


def trimmed(updates, trim):
    return stats.trim_mean(updates, (trim + 0.5) / len(updates), axis=0)


# %% Exercise 2: right
def trimmed(updates, trim):
    found = []
    for numbers in zip(*updates, strict=True):
        left = sorted(numbers)
        for _ in range(trim):
            left.remove(max(left))
            left.remove(min(left))
        found.append(sum(left) / len(left))
    return found


# %% Exercise 2: wrong
def trimmed(updates, trim):
    return np.sort(updates, axis=0)[: len(updates) - trim].mean(axis=0)


# %% Exercise 2: wrong
def trimmed(updates, trim):
    return np.median(updates, axis=0)


# %% Exercise 2: wrong
def trimmed(updates, trim):
    in_order = updates[np.argsort(np.linalg.norm(updates, axis=1))]
    return in_order[trim : len(updates) - trim].mean(axis=0)


# %% Exercise 3: given
import numpy as np


# %% Exercise 3: right
def third(group_mean, group_patients, ours):
    known = sum(patients * update for patients, update in ours)
    left = group_patients - sum(patients for patients, _ in ours)
    return (group_patients * group_mean - known) / left


# %% Exercise 3: right
def third(group_mean, group_patients, ours):
    rest, left = list(group_patients * group_mean), group_patients
    for patients, update in ours:
        rest = [total - patients * number for total, number in zip(rest, update, strict=True)]
        left -= patients
    return [total / left for total in rest]


# %% Exercise 3: right
def third(group_mean, group_patients, ours):
    (few, one), (many, two) = ours
    left = group_patients - few - many
    return np.asarray(group_mean) + few / left * (group_mean - one) + many / left * (group_mean - two)


# %% Exercise 3: wrong
def third(group_mean, group_patients, ours):
    return group_mean


# %% Exercise 3: wrong
def third(group_mean, group_patients, ours):
    return 3 * group_mean - sum(update for _, update in ours)


# %% Exercise 3: wrong
def third(group_mean, group_patients, ours):
    return group_patients * group_mean - sum(patients * update for patients, update in ours)
