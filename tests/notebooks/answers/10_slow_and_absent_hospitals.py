# %% Exercise 1: right
guess = "as often"
# %% Exercise 1: right
guess = "As often."
# %% Exercise 1: right
guess = ["twice as often", "more often", "as often"][-1]
# %% Exercise 1: wrong
guess = "twice as often"
# %% Exercise 1: wrong
guess = "more often"
# %% Exercise 1: wrong
guess = 10
# %% Exercise 2: right
import math


def deadline_for(both, share):
    return sorted(both)[math.ceil(share * len(both)) - 1]


# %% Exercise 2: right
def deadline_for(both, share):
    for seconds in sorted(both):
        if (both <= seconds).mean() >= share:
            return seconds


# %% Exercise 2: right
import numpy as np


def deadline_for(both, share):
    return np.quantile(both.to_numpy(), share, method="inverted_cdf")


# %% Exercise 2: wrong
def deadline_for(both, share):
    return both.quantile(share)


# %% Exercise 2: wrong
def deadline_for(both, share):
    return share * both.max()


# %% Exercise 2: wrong
def deadline_for(both, share):
    return sorted(both)[int(share * len(both)) - 1]


# %% Exercise 3: right
def first_done(both, until, count):
    diary, now = [], 0.0
    while True:
        in_order = both.sort_values()
        now = now + in_order.iloc[count - 1]
        if now > until:
            return diary
        diary.append((now, list(in_order.index[:count])))


# %% Exercise 3: right
def first_done(both, until, count):
    last = sorted(both)[count - 1]
    names = tuple(both.index[both <= last])
    return [(last * n, names) for n in range(1, 1000) if last * n <= until]


# %% Exercise 3: right
import heapq


def first_done(both, until, count):
    now, found = 0.0, []
    while True:
        queue = [(now + seconds, name) for name, seconds in both.items()]
        heapq.heapify(queue)
        taken = [heapq.heappop(queue) for _ in range(count)]
        now = taken[-1][0]
        if now > until:
            return found
        found.append([now, {name for _, name in taken}])


# %% Exercise 3: wrong
def first_done(both, until, count):
    last = both.max()
    return [(last * n, list(both.index)) for n in range(1, int(until // last) + 1)]


# %% Exercise 3: wrong
def first_done(both, until, count):
    last = sorted(both)[count - 1]
    names = list(both.index[both <= last])
    return [(last * n, names) for n in range(1, int(until // last) + 2)]


# %% Exercise 3: wrong
def first_done(both, until, count):
    last = both.nsmallest(count).mean()
    names = list(both.nsmallest(count).index)
    return [(last * n, names) for n in range(1, int(until // last) + 1)]
