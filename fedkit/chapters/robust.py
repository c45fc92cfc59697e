"""Aggregators that a few malicious hospitals cannot steer at will: the server compares the updates.

To compare updates, the server must read them: robust in the clear, or encrypted. `GroupwiseEncrypted` is the way
between: sums of groups are decrypted, and the groups compared.

A weight is what a hospital *says* about itself, and a mean must believe it. Here only `NormClipped` does; to the others
a hospital is one vote, whatever it claims. That shuts out liars, and a small hospital counts as much as a large one.
"""

import copy
from collections.abc import Sequence

import numpy as np

from fedkit import aggregators
from fedkit.aggregators import EncryptedMean, Joined, Mean, Shapes, Vectors, Weights, Wrapped, WrappedState
from fedkit.checks import has, is_positive, is_whole, optional, require
from fedkit.encryption.keyring import FEWEST, divided
from fedkit.encryption.together import MOST_PAIRED
from fedkit.records import Ledger


class _Clear(Mean):
    """What they share: all travels as with `Mean`, statistics are sums as there, and `join` makes the updates one."""

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> None:
        """Nothing to prepare; a ValueError says if the hospitals are too few."""
        self.check(list(hospitals))

    def check(self, hospitals: list[str]) -> None:
        """Raise a ValueError where theory promises nothing for so few hospitals."""

    def aggregate(self, state: None, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return no state, and what the rule makes of the updates that are finite."""
        received = {}
        for hospital, update in updates.items():
            with np.errstate(over="ignore"):
                sent = np.asarray(update, dtype="<f4")  # as it travels
            taken = np.isfinite(sent).all()  # one NaN would be every rule's median
            ledger.add(hospital, "up", "send" if taken else "refused", sent.nbytes)
            if taken:
                received[hospital] = sent.astype(np.float64)
        if not received:
            raise ValueError("No hospital sent an update of finite numbers: there is nothing to join.")
        hospitals, patients = list(received), np.array([weights[each] for each in received], dtype=np.float64)
        self.check(hospitals)
        with ledger.timed("server", "add"):
            joined = self.join(hospitals, np.stack(list(received.values())), patients)
        for hospital in updates:
            ledger.add(hospital, "down", "send", joined.size * 4)
        return None, joined

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Return one update [p] of k hospitals' updates [k, p] and patients [k]."""
        raise NotImplementedError


class Median(_Clear):
    """The median of each number by itself; of an even count, the mean of the middle two.

    Holds while fewer than half of the hospitals are malicious. It is not the mean: where hospitals differ, it drops
    what only a minority of them has seen. Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal
    Statistical Rates", ICML 2018, Definition 1.
    """

    name = "median"

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Take the median of each number."""
        return np.median(updates, axis=0)


class TrimmedMean(_Clear):
    """The mean of each number by itself, without the `trim` largest and smallest (Yin et al., Definition 2).

    Holds for up to `trim` malicious hospitals, fewer than half of them.
    """

    name = "trimmed mean"

    def __init__(self, trim: int = 1) -> None:
        require("trim", trim, lambda it: is_whole(it, 0), "a whole number of hospitals")
        self.trim = trim

    def check(self, hospitals: list[str]) -> None:
        """Refuse where nobody would be left."""
        if len(hospitals) <= 2 * self.trim:
            why = f"{self.trim} cannot be trimmed from either end, since none would be left: choose a smaller `trim`"
            raise ValueError(f"Of {len(hospitals)} hospitals, {why}.")

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Take the mean of the middle."""
        return np.sort(updates, axis=0)[self.trim : len(updates) - self.trim].mean(axis=0)


class Krum(_Clear):
    """The update that lies closest to its neighbours, or (Multi-Krum) the mean of the `keep` closest.

    An update's score is the sum of its squared distances to the n - f - 2 nearest others, f being how many may be
    malicious. Hospitals that differ from the rest for an honest reason are dropped as well. Blanchard et al., "Machine
    Learning with Adversaries: Byzantine Tolerant Gradient Descent", NIPS 2017, section 4.

    malicious : f. Theory asks for n >= 2f + 3 hospitals: four hospitals can bear none
    keep : how many updates are averaged, each one vote
    """

    def __init__(self, malicious: int = 1, keep: int = 1) -> None:
        require("malicious", malicious, lambda it: is_whole(it, 0), "a whole number of hospitals")
        require("keep", keep, is_whole, "a whole number of hospitals, from 1 on")
        self.malicious, self.keep = malicious, keep
        self.name = "Krum" if keep == 1 else "Multi-Krum"

    def check(self, hospitals: list[str]) -> None:
        """Refuse fewer than 2f + 3 hospitals."""
        if len(hospitals) < 2 * self.malicious + 3 or self.keep > len(hospitals) - self.malicious:
            said = f"Krum against {self.malicious} malicious hospitals needs {2 * self.malicious + 3} hospitals or more"
            said += f", and keeps at most all but {self.malicious} of them"
            raise ValueError(f"{said}: there are {len(hospitals)}, and `keep` is {self.keep}.")

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Take the updates of the lowest scores."""
        return updates[np.argsort(self.scores(updates), kind="stable")[: self.keep]].mean(axis=0)

    def scores(self, updates: np.ndarray) -> np.ndarray:
        """Sum of squared distances of each update to its nearest others, shape [k]."""
        distances = np.stack([np.square(updates - update).sum(axis=1) for update in updates])
        return np.sort(distances, axis=1)[:, 1 : len(updates) - self.malicious - 1].sum(axis=1)


class NormClipped(_Clear):
    """The weighted mean, of updates shortened to a length: nobody can shout.

    A poison of that length passes, each round. Claimed patients count, so it pays to claim many. Sun et al., "Can You
    Really Backdoor Federated Learning?", arXiv:1911.07963, 2019, section 4. (A bound that adapts where the server may
    *not* read lengths: Andrew et al., NeurIPS 2021, in ``tff.learning.robust_aggregator``.)

    norm : longest update, in units of the model's weights. None: the median length of the round's updates, which fewer
        than half of the hospitals cannot move far
    """

    name = "clipped"

    def __init__(self, norm: float | None = None) -> None:
        require("norm", norm, optional(is_positive), "the length of the longest update, or None")
        self.norm = norm

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Shorten, then take the weighted mean."""
        lengths = np.linalg.norm(updates, axis=1)
        most = np.median(lengths) if self.norm is None else self.norm
        shorter = most / np.maximum(lengths, np.maximum(most, np.finfo(float).tiny))
        return aggregators.weighted_mean(shorter[:, None] * updates, patients)


class FLTrust(_Clear):
    """The mean of updates brought to the length of one trusted update, each weighted by its cosine to it, 0 at least.

    In the paper the server trains on a small clean set of its own; here such a set is that of the hospital `trusted`,
    with a trust of 1, so that a round in which nobody else is trusted is defined too. Cao et al., "FLTrust:
    Byzantine-robust Federated Learning via Trust Bootstrapping", NDSS 2021, Algorithm 2.
    """

    name = "FLTrust"

    def __init__(self, trusted: str) -> None:
        self.trusted = trusted

    def check(self, hospitals: list[str]) -> None:
        """Refuse a training without the trusted hospital."""
        if self.trusted not in hospitals:
            raise ValueError(f"{self.trusted!r}, whom FLTrust trusts, does not train: name one of {hospitals}.")

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Bring all to one length, and weigh them by trust."""
        own, tiny = hospitals.index(self.trusted), np.finfo(float).tiny
        directions = updates / np.maximum(np.linalg.norm(updates, axis=1, keepdims=True), tiny)
        trust = np.maximum(directions @ directions[own], 0)  # all zero if the trusted update is
        return np.linalg.norm(updates[own]) * trust @ directions / max(trust.sum(), tiny)


class GroupwiseEncrypted(Wrapped):
    """A median across the means of groups, each of which is added up encrypted.

    A group is a list of its own: its key shares open its sum and no other. All hospitals get and open all sums, and
    apply the rule to the groups' means. With a median, fewer than half of the *groups* may hold a malicious hospital.

    The price in privacy: a hospital hides among the others of its group only, so small groups are refused. Groups drawn
    anew each round make it worse: sums over overlapping groups can be subtracted from each other, and updates change
    little between rounds (So et al., "Securing Secure Aggregation", AAAI 2023). The price in robustness of groups that
    stay: who shares one with a malicious hospital is not heard in any round. And nobody can check one hospital: "please
    clip before you encrypt" binds the honest only, a bound that the server can check needs proofs on ciphertexts
    (Lycklama et al., "RoFL", IEEE S&P 2023), which this kit does not have.

    Groups that are averaged before a robust rule: Karimireddy et al., "Byzantine-Robust Learning on Heterogeneous
    Datasets via Bucketing", ICLR 2022, Algorithm 1. With sums the server cannot look into: Velicheti et al., "Secure
    Byzantine-Robust Distributed Learning via Clustering", arXiv:2110.02940.

    inner : an aggregator that gives a sum a group: `EncryptedMean()`
    groups : how many, 3 or more: a median of two is their mean, and compares nothing
    rule : `Median()` or `TrimmedMean(trim)`; a group is one vote, however many patients it has
    least : hospitals in the smallest group, 3 or more: of two, each would read the other
    regroup : whether groups are drawn anew each round, from `seed` and round
    """

    def __init__(
        self,
        inner: EncryptedMean,
        groups: int = 3,
        rule: Median | TrimmedMean | None = None,
        *,
        least: int = FEWEST,
        regroup: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(copy.copy(inner))
        if not hasattr(inner, "sums"):
            raise ValueError("The inner aggregator gives one mean, and no sum a group: give an EncryptedMean.")
        most = MOST_PAIRED // FEWEST
        require("groups", groups, lambda it: is_whole(it, 3) and it <= most, f"a whole number, 3 to {most}")
        require("least", least, lambda it: is_whole(it, FEWEST), f"{FEWEST} or more: a smaller group hides nothing")
        require("rule", rule, optional(has("check", "join", "name")), "None, Median() or TrimmedMean(...)")
        require("seed", seed, lambda it: is_whole(it, 0), "a whole number from 0 on")
        self.inner.least = max(least, inner.least)
        self.groups, self.rule, self.least, self.regroup, self.seed = groups, rule or Median(), least, regroup, seed
        self.rule.check([f"group {number}" for number in range(groups)])
        self.name = f"{self.rule.name} of {groups} x {inner.name}"  # "median of 3 x BFV"

    def members(self, hospitals: Sequence[str], round: int) -> list[tuple[str, ...]]:
        """Put hospitals, in any order, into groups of sizes that differ by one at most; ValueError if too small."""
        if len(hospitals) < self.groups * self.least:
            said = f"{len(hospitals)} hospitals cannot make {self.groups} groups of {self.least} or more, and a smaller"
            raise ValueError(f"{said} one would show too much: take fewer groups, or an aggregator without groups.")
        order = np.random.default_rng([self.seed, round if self.regroup else 0]).permutation(sorted(hospitals))
        return [tuple(str(name) for name in part) for part in np.array_split(order, self.groups)]

    def begin(self, hospitals: Sequence[str]) -> Sequence[str]:
        """Refuse hospitals that are too few for the groups, or too many to have keys with each other."""
        self.members(hospitals, 0)
        if len(hospitals) > MOST_PAIRED:
            raise ValueError(f"Groups are of {MOST_PAIRED} hospitals at the most, and these are {len(hospitals)}.")
        return hospitals

    def aggregate(self, state: WrappedState, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the next state, and what the rule makes of the groups' means; ValueError if too few were heard."""
        groups = self.members(state.own, ledger.round)  # who is missing moves nobody else
        inner, sums = self.inner.sums(state.inner, updates, weights, ledger, groups)
        if len(sums) < 3:
            raise ValueError(f"Of {len(groups)} groups {len(sums)} were heard, among which there is no majority.")
        names, means = [f"group {number}" for number in range(len(sums))], np.stack([divided(each)[0] for each in sums])
        self.rule.check(names)
        return state._replace(inner=inner), self.rule.join(names, means, np.ones(len(sums)))
