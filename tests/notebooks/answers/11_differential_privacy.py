# %% Exercise 1: right
times_as_large = 2
# %% Exercise 1: right
times_as_large = 4**0.5
# %% Exercise 1: right
import numpy as np

times_as_large = np.float64(1.95)
# %% Exercise 1: wrong
times_as_large = 4
# %% Exercise 1: wrong
times_as_large = 1
# %% Exercise 1: wrong
times_as_large = 16
# %% Exercise 2: given
import numpy as np


# %% Exercise 2: right
def clip_all(gradients, length):
    return np.array([one if np.linalg.norm(one) <= length else one * length / np.linalg.norm(one) for one in gradients])


# %% Exercise 2: right
def clip_all(gradients, length):
    lengths = np.sqrt((gradients**2).sum(axis=1))
    with np.errstate(divide="ignore"):
        return gradients * np.minimum(1, length / lengths)[:, None]


# %% Exercise 2: right
def clip_all(gradients, length):
    found = []
    for one in gradients.tolist():
        size = sum(number**2 for number in one) ** 0.5
        found.append([number * min(1, length / size) if size else 0.0 for number in one])
    return found


# %% Exercise 2: wrong
def clip_all(gradients, length):
    return np.clip(gradients, -length, length)


# %% Exercise 2: wrong
def clip_all(gradients, length):
    return gradients * min(1, length / np.linalg.norm(gradients))


# %% Exercise 2: wrong
def clip_all(gradients, length):
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return length * gradients / np.maximum(lengths, 1e-12)


# %% Exercise 3: given
import numpy as np

from fedkit.chapters import privacy


# %% Exercise 3: right
def noisy_count(labels, epsilon, delta, source):
    variance = int(np.ceil(privacy.multiplier(epsilon, delta, 1) ** 2))
    return labels.sum() + privacy.discrete_gaussian(variance, 1, source)[0]


# %% Exercise 3: right
def noisy_count(labels, epsilon, delta, source):
    variance = privacy.multiplier(epsilon, delta, rounds=1) ** 2
    noise = privacy.discrete_gaussian(int(variance) + 1, 1, source)
    return sum(label == 1 for label in labels) + noise


# %% Exercise 3: right
import math


def noisy_count(labels, epsilon, delta, source):
    needed = math.ceil(math.pow(privacy.multiplier(epsilon, delta, 1), 2))
    (noise,) = privacy.discrete_gaussian(needed, 1, source).tolist()
    return np.count_nonzero(labels) + noise


# %% Exercise 3: wrong
def noisy_count(labels, epsilon, delta, source):
    variance = int(np.ceil(privacy.multiplier(epsilon, delta, 1)))
    return labels.sum() + privacy.discrete_gaussian(variance, 1, source)[0]


# %% Exercise 3: wrong
def noisy_count(labels, epsilon, delta, source):
    variance = int(np.ceil(privacy.multiplier(1.0, delta, 1) ** 2))
    return labels.sum() + privacy.discrete_gaussian(variance, 1, source)[0]


# %% Exercise 3: wrong
def noisy_count(labels, epsilon, delta, source):
    variance = int(np.ceil(privacy.multiplier(epsilon, delta, 1) ** 2))
    return labels.sum() + abs(privacy.discrete_gaussian(variance, 1, source)[0])
