"""Malicious hospitals that send other updates than those they trained.

`Poisoned` stands in front of any aggregator and replaces the updates of the attackers
before it: what then happens, encryption included, is what happens to everybody's. An
attack is a function of what its hospital may know (`View`): its own update and those of
its accomplices, how many take part, and the last mean. It never sees an honest update.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from fedkit.aggregators import Aggregator
from fedkit.records import Ledger


class View(NamedTuple):
    """What a malicious hospital knows when it forges an update.

    Attributes
    ----------
    own : numpy.ndarray
        The update that it trained, on rows that may be poisoned too, shape [p].
    accomplices : numpy.ndarray
        The trained updates of all attackers, its own included, shape [m, p].
    hospitals : int
        How many take part, n.
    share : float
        Its patients / all patients.
    last_mean : numpy.ndarray
        What moved the model in the last round, shape [p]; zeros before.
    generator : numpy.random.Generator
        Its own, from seed, round and name.
    """

    own: np.ndarray
    accomplices: np.ndarray
    hospitals: int
    share: float
    last_mean: np.ndarray
    generator: np.random.Generator


Attack = Callable[[View], np.ndarray]


@dataclass(frozen=True)
class Boost:
    """Send the update many times over, so that a mean becomes what the attacker trained.

    With poisoned rows this is model replacement: the mean of n hospitals moves by the
    attacker's whole update, plus the others'.

    Attributes
    ----------
    factor : float or None
        None: all patients / its patients, which cancels the mean's division.

    References
    ----------
    Bagdasaryan et al., "How To Backdoor Federated Learning", AISTATS 2020, equation 3.
    """

    factor: float | None = None

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        return view.own * (1 / view.share if self.factor is None else self.factor)


@dataclass(frozen=True)
class SignFlip:
    """Send the opposite of what was trained, perhaps many times over: the model unlearns.

    References
    ----------
    The "omniscient" attack of Blanchard et al., NIPS 2017, section 5, of one who knows
    only its own update; so in Li et al., "RSA", AAAI 2019, section 5.
    """

    factor: float = 1.0

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        return -self.factor * view.own


@dataclass(frozen=True)
class Noise:
    """Send noise, `factor` times as long as the trained update.

    References
    ----------
    The "Gaussian Byzantine" of Blanchard et al., NIPS 2017, section 5.
    """

    factor: float = 10.0

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        noise = view.generator.standard_normal(view.own.shape)
        return self.factor * np.linalg.norm(view.own) * noise / np.linalg.norm(noise)


@dataclass(frozen=True)
class FreeRider:
    """Train nothing, and send the last mean back with a little noise, to get the model for free.

    Attributes
    ----------
    noise : float
        Length of the noise / length of the mean.

    References
    ----------
    Fraboni et al., "Free-rider Attacks on Model Aggregation in Federated Learning",
    AISTATS 2021, section 3 ("disguised").
    """

    noise: float = 0.1

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        noise = view.generator.standard_normal(view.own.shape) / np.sqrt(view.own.size)
        return view.last_mean + self.noise * np.linalg.norm(view.last_mean) * noise


@dataclass(frozen=True)
class LittleIsEnough:
    """Collude, and stay just inside what honest hospitals differ by, in each number.

    All attackers send their common mean, moved by z standard deviations against its
    direction. A lone attacker has nothing to estimate the spread from, and sends
    what it trained.

    Attributes
    ----------
    z : float or None
        None: the largest z at which, were the updates normal, enough honest hospitals
        lie further out for the attackers to hold a majority with them.

    References
    ----------
    Baruch et al., "A Little Is Enough: Circumventing Defenses For Distributed Learning",
    NeurIPS 2019, Algorithm 3.
    """

    z: float | None = None

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        mean, spread = view.accomplices.mean(axis=0), view.accomplices.std(axis=0)
        z = self.largest_z(view.hospitals, len(view.accomplices)) if self.z is None else self.z
        return mean - z * np.sign(mean) * spread

    @staticmethod
    def largest_z(hospitals: int, attackers: int) -> float:
        """Return z of the paper's Algorithm 3, line 3, at least 0."""
        honest = hospitals - attackers
        needed = hospitals // 2 + 1 - attackers
        share = (honest - needed) / honest
        return max(NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6)), 0.0)


class PoisonedState(NamedTuple):
    """The inner aggregator's state, and the last mean, None before the first round."""

    inner: Any
    last_mean: np.ndarray | None


class Poisoned:
    """An aggregator whose input some hospitals forge.

    Parameters
    ----------
    aggregator
        Of any kind: it gets the forged updates, and cannot tell.
    attackers
        Hospital -> attack. They are accomplices: each knows the others' updates.
    claims
        Hospital -> the number of patients it claims to have, where that is a lie.
    seed
        For attacks that draw.

    Raises
    ------
    ValueError
        At the start, if an attacker takes no part; in a round, if an attack is undone
        by a number that is not finite.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        attackers: Mapping[str, Attack],
        *,
        claims: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.aggregator, self.attackers = aggregator, dict(attackers)
        self.claims, self.seed = dict(claims or {}), seed
        self.mean_is_read_by = aggregator.mean_is_read_by

    @property
    def name(self) -> str:
        """The aggregator's name, and how many attackers it has: "median, 2 malicious"."""
        return f"{self.aggregator.name or 'mean'}, {len(self.attackers | self.claims)} malicious"

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> PoisonedState:
        """See `Aggregator.start`."""
        if strangers := [name for name in self.attackers | self.claims if name not in hospitals]:
            raise ValueError(f"{strangers[0]!r} cannot attack, since it does not train: name one of {list(hospitals)}.")
        return PoisonedState(self.aggregator.start(hospitals, shapes, ledger), None)

    def total(
        self, state: PoisonedState, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger
    ) -> np.ndarray:
        """See `Aggregator.total`."""
        return self.aggregator.total(state.inner, purpose, numbers, ledger)

    def aggregate(
        self, state: PoisonedState, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[PoisonedState, np.ndarray]:
        """See `Aggregator.aggregate`."""
        last_mean = np.zeros_like(next(iter(updates.values()))) if state.last_mean is None else state.last_mean
        accomplices = np.stack([updates[name] for name in self.attackers]) if self.attackers else np.empty((0, 0))
        sent, claimed = dict(updates), {name: self.claims.get(name, weight) for name, weight in weights.items()}
        for name, attack in self.attackers.items():
            generator = np.random.default_rng([self.seed, ledger.round, *name.encode()])
            share = claimed[name] / sum(claimed.values())
            sent[name] = attack(View(updates[name], accomplices, len(updates), share, last_mean, generator))
        inner, mean = self.aggregator.aggregate(state.inner, sent, claimed, ledger)
        return PoisonedState(inner, mean), mean
