# %% Exercise 1: right
updates = 24 * 3600 * 50 * 6 * 4 / (7 * (30 + 1) * 4)
# %% Exercise 1: right
import numpy as np

updates = np.float64(119_447)
# %% Exercise 1: right
a_day, an_update = 24 * 4_320_000, 868
updates = a_day // an_update
# %% Exercise 1: wrong
updates = 24 * 3600 * 50 * 6 / (7 * 30)  # without biases
# %% Exercise 1: wrong
updates = 3600 * 50 * 6 * 4 / 868  # an hour
# %% Exercise 1: wrong
updates = 24 * 3600 * 50 * 6 * 4 / (7 * 31)  # bytes by numbers
# %% Exercise 2: given
import numpy as np


# %% Exercise 2: right
def mirrored_signal(signal):
    return np.asarray(signal) * [-1, 1, 1, 1, -1, -1]


# %% Exercise 2: right
def mirrored_signal(signal):
    other = signal.copy()
    for column in (0, 4, 5):
        other[:, column] = -other[:, column]
    return other


# %% Exercise 2: right
def mirrored_signal(signal):
    return [[-ax, ay, az, wx, -wy, -wz] for ax, ay, az, wx, wy, wz in signal]


# %% Exercise 2: wrong
def mirrored_signal(signal):
    return signal * [-1, 1, 1, -1, 1, 1]  # the same axis of both


# %% Exercise 2: wrong
def mirrored_signal(signal):
    signal[:, [0, 4, 5]] *= -1  # the old one is changed
    return signal


# %% Exercise 2: wrong
def mirrored_signal(signal):
    return -signal


# %% Exercise 3: right
def fair_memory(windows, room):
    newest = {one: [] for one in windows}
    for at in reversed(range(len(windows))):
        newest[windows[at]].append(at)
    kept = []
    while len(kept) < room and any(newest.values()):
        for own in newest.values():
            if own and len(kept) < room:
                kept.append(own.pop(0))
    return sorted(kept)


# %% Exercise 3: right
import pandas as pd


def fair_memory(windows, room):
    came = pd.Series(windows)
    age = came[::-1].groupby(came).cumcount()
    return age.sort_values(kind="stable").index[:room].to_numpy()


# %% Exercise 3: right
from collections import Counter


def fair_memory(windows, room):
    kept = list(range(len(windows)))
    while len(kept) > room:
        most, _ = Counter(windows[at] for at in kept).most_common(1)[0]
        kept.remove(next(at for at in kept if windows[at] == most))
    return kept


# %% Exercise 3: wrong
def fair_memory(windows, room):
    return list(range(len(windows)))[-room:]  # the last ones


# %% Exercise 3: wrong
def fair_memory(windows, room):
    names = list(dict.fromkeys(windows))
    each = room // len(names)
    kept = []
    for name in names:  # the oldest of each
        kept += [at for at, one in enumerate(windows) if one == name][:each]
    return kept


# %% Exercise 3: wrong
def fair_memory(windows, room):
    names = list(dict.fromkeys(windows))
    each = room // len(names) + 1  # too many together
    return [at for name in names for at in [a for a, w in enumerate(windows) if w == name][-each:]]
