"""Robust *under* encryption: sums of groups are decrypted, and the groups are compared."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedkit.aggregators import Aggregator
from fedkit.chapters.robust import Median, TrimmedMean
from fedkit.records import Ledger

_LEAST = 3  # a median of two groups is their mean, and compares nothing


class GroupwiseState(NamedTuple):
    """What a training carries from round to round.

    Attributes
    ----------
    first : object
        The inner aggregator's state before the first round: one key for all.
    states : dict
        Members of a group -> the inner aggregator's state that their last round left.
    """

    first: Any
    states: dict[tuple[str, ...], Any]


class GroupwiseEncrypted:
    """A median across the means of groups, each of which is added up encrypted.

    Hospitals are put into groups. The server adds up each group's ciphertexts and
    sends all the sums to all hospitals, who decrypt them and apply the rule to the
    groups' means. With a median, fewer than half of the *groups* may hold a malicious
    hospital; one is enough to spoil its group.

    The price in privacy: a hospital hides among the others of its group only, and no
    longer among all. What the hospitals read are G means instead of one; the members
    of a group of two read each other. So small groups are refused. Groups drawn anew
    each round (`regroup`) make it worse: sums over overlapping groups can be subtracted
    from each other, and updates change little between rounds (So et al. 2023). The
    price in robustness of groups that stay: who shares one with a malicious hospital
    is not heard in any round.

    What it cannot do: check one hospital. Nobody but the hospital sees its update, so
    "please clip before you encrypt" binds the honest only; a bound that the server can
    check needs proofs on ciphertexts (Lycklama et al., "RoFL", IEEE S&P 2023), which
    this kit does not have.

    Parameters
    ----------
    inner
        An aggregator whose mean hospitals read: `EncryptedMean()`.
    groups
        How many groups G, 3 or more.
    rule
        `Median()` or `TrimmedMean(trim)`; a group is one vote, however many patients it has.
    least
        Hospitals in the smallest group, 2 or more: a group of one hides nothing.
    regroup
        Whether groups are drawn anew each round.
    seed
        Decides the groups, together with the round if `regroup`.

    References
    ----------
    Groups that are averaged before a robust rule: Karimireddy et al., "Byzantine-Robust
    Learning on Heterogeneous Datasets via Bucketing", ICLR 2022, Algorithm 1. With sums
    the server cannot look into: Velicheti et al., "Secure Byzantine-Robust Distributed
    Learning via Clustering", arXiv:2110.02940. What overlapping sums tell: So et al.,
    "Securing Secure Aggregation", AAAI 2023.
    """

    mean_is_read_by = "hospitals"

    def __init__(
        self,
        inner: Aggregator,
        groups: int = _LEAST,
        rule: Median | TrimmedMean | None = None,
        *,
        least: int = 2,
        regroup: bool = False,
        seed: int = 0,
    ) -> None:
        if inner.mean_is_read_by != "hospitals":
            raise ValueError("The inner aggregator lets the server read its mean: give one that encrypts.")
        if groups < _LEAST:
            raise ValueError(f"With {groups} groups there is no majority to go by: take {_LEAST} or more.")
        if least < 2:
            raise ValueError(
                f"A group of {least} hides nothing, its sum is the hospital's update: `least` is 2 or more."
            )
        self.inner, self.groups, self.rule = inner, groups, rule or Median()
        self.least, self.regroup, self.seed = least, regroup, seed
        self.rule.check([f"group {number}" for number in range(groups)])

    @property
    def name(self) -> str:
        """The rule, the number of groups, and how they are encrypted: "median of 3 x BFV"."""
        return f"{self.rule.name} of {self.groups} x {self.inner.name}"

    def members(self, hospitals: Sequence[str], round: int) -> list[tuple[str, ...]]:
        """Put hospitals into groups whose sizes differ by one at the most.

        Parameters
        ----------
        hospitals
            In any order; the groups depend on the names alone.
        round
            Counts only if `regroup`.

        Returns
        -------
        list of tuple of str
            G groups.

        Raises
        ------
        ValueError
            If a group would be smaller than `least`.
        """
        if len(hospitals) < self.groups * self.least:
            raise ValueError(
                f"{len(hospitals)} hospitals cannot make {self.groups} groups of {self.least} or more, and a smaller "
                "group would show too much of its members: take fewer groups, or an aggregator without groups."
            )
        generator = np.random.default_rng([self.seed, round if self.regroup else 0])
        order = generator.permutation(sorted(hospitals))
        return [tuple(str(name) for name in part) for part in np.array_split(order, self.groups)]

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> GroupwiseState:
        """Start the inner aggregator, once for all hospitals; ValueError if they are too few."""
        self.members(hospitals, 0)
        return GroupwiseState(self.inner.start(hospitals, shapes, ledger), {})

    def total(
        self, state: GroupwiseState, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger
    ) -> np.ndarray:
        """See `Aggregator.total`: one sum over all hospitals, without groups and without a median."""
        return self.inner.total(state.first, purpose, numbers, ledger)

    def aggregate(
        self, state: GroupwiseState, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[GroupwiseState, np.ndarray]:
        """See `Aggregator.aggregate`: the rule over the means of the groups."""
        means, states = [], dict(state.states)
        for group in self.members(list(updates), ledger.round):
            spent = Ledger()
            spent.round = ledger.round
            states[group], mean = self.inner.aggregate(
                states.get(group, state.first),
                {name: updates[name] for name in group},
                {name: weights[name] for name in group},
                spent,
            )
            means.append(mean)
            _note(spent, group, list(updates), ledger)
        joined = self.rule.join([str(number) for number in range(len(means))], np.stack(means), np.ones(len(means)))
        return state._replace(states=states), joined


def _note(spent: Ledger, group: tuple[str, ...], hospitals: list[str], ledger: Ledger) -> None:
    """Note what a group spent; its sums go to all hospitals, and each decrypts them."""
    for row in spent.frame().itertuples():
        who = [row.hospital]
        if row.hospital == group[0] and (row.direction == "down" or row.phase == "decrypt"):
            who += [hospital for hospital in hospitals if hospital not in group]
        for hospital in who:
            ledger.add(hospital, row.direction, row.phase, row.bytes, row.seconds)
