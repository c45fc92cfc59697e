"""A simulated clock: what a training costs where hospitals are slow, far away or absent, and who is left behind.

Nothing waits. A policy (`rounds`, `buffered`) writes a *diary*, and `train` plays it: a round is then a step of the
model. Speeds, links and absences are invented by whoever asks, bytes are a ledger's: what follows is a ratio.

A diary has a row for each piece of work: step (of the model, from 1 on, that it was for), seconds (when that came),
hospital, began (the round whose model it trained), taken (or it was late), busy (seconds of its computer) and bytes.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fedkit import learning
from fedkit.aggregators import Aggregator, Mean, Vectors, Weights, Wrapped
from fedkit.checks import is_list, is_positive, is_whole, require
from fedkit.encryption.keyring import FEWEST
from fedkit.hospitals import Federation
from fedkit.records import Ledger, Run

DIARY = ["step", "seconds", "hospital", "began", "taken", "busy", "bytes"]


def costs(sites: pd.DataFrame, rows: Mapping[str, float], ledger: pd.DataFrame, row_seconds: float) -> pd.DataFrame:
    """Return what a round costs each hospital: `sites`, with columns bytes, and seconds busy, link and both.

    sites : a row a hospital, columns speed (1 is the computer of `row_seconds`), bandwidth (bytes a second), latency
        (seconds a message) and present (chance to be there when work begins); ValueError for what cannot be
    rows, row_seconds : on how many each trains in a round, all epochs counted, and seconds of one row at speed 1
    ledger : of a run, for messages and bytes a round; who was not in it has those of the mean hospital
    """
    wanted = {"speed", "bandwidth", "latency", "present"} <= {*sites}
    if not wanted or not ((sites > 0).all(axis=None) and (sites["present"] <= 1).all()):
        what = "Speeds (speed), links (bandwidth, latency) and chances to be there (present)"
        raise ValueError(f"{what} must be columns, above 0, and a chance is 1 at the most.")
    moved = ledger[(ledger["round"] > 0) & (ledger["bytes"] > 0)]
    each = moved.groupby("hospital")["bytes"].agg(["size", "sum"]) / moved["round"].nunique()
    messages, size = each.reindex(sites.index).fillna(each.mean()).to_numpy().T
    busy, link = pd.Series(rows) * row_seconds / sites["speed"], size / sites["bandwidth"] + messages * sites["latency"]
    return sites.assign(bytes=size, busy=busy, link=link, both=busy + link)


def rounds(
    costs: pd.DataFrame, until: float, *, deadline: float = np.inf, sample: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Write the diary of rounds: who is there begins, and the model moves when the last one is done.

    A round with fewer than three in time is lost: the sum of their encrypted updates would not be opened.

    until : seconds; what would be done later is left out
    deadline : seconds after which a round is over, whoever is late
    sample : how many of those who are there are asked, drawn anew in each round; all if None
    """
    _check(costs, until, deadline, sample or len(costs))
    rng, now, step, diary = np.random.default_rng(seed), 0.0, 1, []
    while True:
        here = costs[rng.random(len(costs)) < costs["present"]]
        here = here.iloc[np.sort(rng.permutation(len(here))[:sample])]
        now += min(here["both"].max(), deadline) if len(here) else costs["both"].min()
        if now > until:
            return pd.DataFrame(diary, columns=DIARY).astype({"taken": bool})
        taken = here["both"] <= deadline
        moves = bool(taken.sum() >= FEWEST)
        work = zip(here.index, taken & moves, here["busy"].clip(upper=deadline), here["bytes"], strict=True)
        diary += [(step, now, name, step, *rest) for name, *rest in work]
        step += moves


def buffered(costs: pd.DataFrame, until: float, size: int = FEWEST, *, seed: int = 0) -> pd.DataFrame:
    """Write the diary of FedBuff (Nguyen et al., AISTATS 2022): the model moves when any `size` hospitals are done.

    They begin again with the new model, and the others work on with an old one. In the paper a fast hospital may come
    twice in a step. Here it waits until the model moves: an encrypted sum takes one letter of each.
    """
    _check(costs, until)
    if not FEWEST <= size <= len(costs):
        raise ValueError(
            f"The model can wait for {FEWEST} to {len(costs)} hospitals, all there are, and not for {size}."
        )
    rng, now, step, diary = np.random.default_rng(seed), 0.0, 1, []
    free, working = costs.index, []
    while True:
        for name in free:  # who is away when it should begin is done later
            heapq.heappush(working, (now + rng.geometric(costs["present"][name]) * costs["both"][name], name, step))
        done = [heapq.heappop(working) for _ in range(size)]
        now, free = done[-1][0], [name for _, name, _ in done]
        if now > until:
            return pd.DataFrame(diary, columns=DIARY).astype({"taken": bool})
        diary += [(step, now, name, began, True, costs["busy"][name], costs["bytes"][name]) for _, name, began in done]
        step += 1


def _check(costs: pd.DataFrame, until: float, deadline: float = np.inf, sample: int = 1) -> None:
    """Refuse what would never end."""
    require("until", until, is_positive, "a number of seconds above 0")
    require("deadline", deadline, lambda it: it == np.inf or is_positive(it), "a number of seconds above 0")
    require("sample", sample, is_whole, "a whole number of hospitals, or None")
    finite = "both" in costs and np.isfinite(costs["both"]).all() and (costs["both"] > 0).all()
    require("costs", costs, lambda it: finite, "what clock.costs returns, with seconds above 0")


class Clock(Wrapped):
    """Any aggregator, by a diary: an update is kept until its hospital is done, and may be old by then.

    One that missed s steps counts 1 / sqrt(1 + s): its hospital shortens it. For algorithms that keep nothing at home.
    """

    def __init__(self, inner: Aggregator, diary: pd.DataFrame) -> None:
        super().__init__(inner)
        taken = diary[diary["taken"]].groupby("step")
        self.done = {step: dict(zip(each["hospital"], each["began"], strict=True)) for step, each in taken}
        self.begun = {(began, name) for done in self.done.values() for name, began in done.items()}

    def before(self, own: Any, updates: Vectors, weights: Weights, ledger: Ledger) -> tuple[dict, Vectors, Weights]:
        """Keep what begins, and let in what is done."""
        own = (own or {}) | {name: update for name, update in updates.items() if (ledger.round, name) in self.begun}
        sent = {name: own[name] / np.sqrt(1 + ledger.round - began) for name, began in self.done[ledger.round].items()}
        return own, sent, {name: weights[name] for name in sent}


def train(federation: Federation, diary: pd.DataFrame, aggregator: Aggregator | None = None, **how: Any) -> Run:
    """Play a diary: `learning.train_federated`, which takes `how`, with as many rounds as the model moves."""
    if not {*DIARY} <= {*diary} or not {*diary["hospital"]} <= {*federation.names}:
        raise ValueError("The diary must be one of clock.rounds or clock.buffered, for hospitals of this federation.")
    if not diary["taken"].any():
        raise ValueError("The model never moves: allow more seconds, or wait longer for the hospitals.")
    algorithm = how.get("algorithm") or learning.Algorithm()
    learning.Plan(algorithm=algorithm)  # a ValueError, if it is none
    if type(algorithm).own is not learning.Algorithm.own:  # what it kept would have moved on, while its update is late
        raise ValueError(f"{algorithm.name} keeps something at home, and the clock is for methods that do not.")
    clock = Clock(aggregator or Mean(), diary)
    return learning.train_federated(federation, rounds=max(clock.done), aggregator=clock, **how)


@dataclass(frozen=True)
class Steps(learning.Algorithm):
    """Let each hospital take a number of steps of its own in a round: pairs of hospital and number."""

    numbers: tuple[tuple[str, int], ...]
    name = "own steps"

    def __post_init__(self) -> None:
        is_pair = lambda one: is_list(one, bool) and len(one) == 2 and is_whole(one[1])  # noqa: E731
        require("numbers", self.numbers, lambda it: is_list(it, is_pair), "pairs, such as (('Hungary', 3),)")

    def steps(self, plan: learning.Plan, hospital: str) -> int:
        """Return its own number."""
        if (own := dict(self.numbers)).get(hospital) is None:
            raise ValueError(f"Steps names {', '.join(own)}, and not {hospital}: give each hospital its number.")
        return own[hospital]


def allocate(before: pd.Series, step: pd.Series, total: int) -> pd.Series:
    """Share out a total of steps, one or more a hospital, so that the last one is done as early as can be.

    Each goes to who would be done first with it. By hospital: seconds of a round beside the steps, and of each step.
    """
    steps = pd.Series(1, step.index)
    for _ in range(total - len(steps)):
        steps[(before + step * (steps + 1)).idxmin()] += 1
    return steps
