# %% Exercise 1: given
from fedkit import hospitals, learning

federation = hospitals.load("heart_disease")
run_plain = learning.train_federated(federation, rounds=1)
# %% Exercise 1: right
guess = 224
# %% Exercise 1: right
import numpy as np

guess = np.float32(14) * 4 * len(federation)
# %% Exercise 1: right
guess = run_plain.ledger.query("direction == 'up' and round == 1")["bytes"].sum()
# %% Exercise 1: wrong
guess = 14 * 4
# %% Exercise 1: wrong
guess = 14 * 4 * 4 * 2  # up and down
# %% Exercise 1: wrong
guess = "many"
# %% Exercise 2: given
from fedkit import aggregators, hospitals, learning

federation = hospitals.load("heart_disease")


def train(rounds=8, seed=0, aggregator=None, **plan):
    aggregator = aggregator or aggregators.EncryptedMean()
    return learning.train_federated(federation, rounds=rounds, aggregator=aggregator, seed=seed, **plan)


run = train()
# %% Exercise 2: right
run_mine = train(rounds=2)
# %% Exercise 2: right
run_mine = train(rounds=2, epochs=2)
# %% Exercise 2: right
run_mine = train(rounds=1, epochs=3)
# %% Exercise 2: wrong
run_mine = train(rounds=7)
# %% Exercise 2: wrong
run_mine = train(rounds=2, aggregator=aggregators.Mean())
# %% Exercise 2: wrong
run_mine = train(rounds=2, leave_out=["Switzerland"])
# %% Exercise 2: wrong
run_mine = train(rounds=2, seed=3)
# %% Exercise 2: wrong
run_mine = train(rounds=1, learning_rate=0.0001)
# %% Exercise 3: given
from fedkit import hospitals

frame = hospitals.example()


# %% Exercise 3: right
def read(frame):
    return hospitals.from_frame(frame, site="hospital", label=("outcome", "died"))


# %% Exercise 3: right
def read(frame):
    frame["outcome"] = frame["outcome"] == "died"
    return hospitals.from_frame(frame, site="hospital", label="outcome")


# %% Exercise 3: right
def read(table):
    coded = table.assign(dead=table.outcome.map({"died": True, "lived": False})).drop(columns="outcome")
    return hospitals.from_frame(coded, site="hospital", label="dead", name="mine")


# %% Exercise 3: wrong
def read(frame):
    return hospitals.from_frame(frame, site="hospital", label=("outcome", "lived"))


# %% Exercise 3: wrong
def read(frame):
    return hospitals.from_frame(frame, site="hospital", label="outcome")


# %% Exercise 3: wrong
def read(_):
    return hospitals.from_frame(frame, site="hospital", label=("outcome", "died"))


# %% Exercise 3: wrong
read = hospitals.from_frame(frame, site="hospital", label=("outcome", "died"))
