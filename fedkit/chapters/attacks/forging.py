"""Malicious hospitals that send other updates than those they trained.

`Poisoned` stands in front of any aggregator and replaces the updates of the attackers: what then happens, encryption
included, is what happens to everybody's. An attack is a function of what its hospital may know (`View`); it never sees
an honest update.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from fedkit.aggregators import Aggregator, Vectors, Weights, Wrapped
from fedkit.records import Ledger


class View(NamedTuple):
    """What a malicious hospital knows when it forges an update."""

    own: np.ndarray  # the update that it trained, on rows that may be poisoned too, shape [p]
    accomplices: np.ndarray  # the trained updates of all attackers, its own included, shape [m, p]
    hospitals: int  # how many take part, n
    share: float  # its patients / all patients
    last_mean: np.ndarray  # what moved the model in the last round, shape [p]; zeros before
    generator: np.random.Generator  # its own, from seed, round and name


Attack = Callable[[View], np.ndarray]


@dataclass(frozen=True)
class Boost:
    """Send the update many times over, so that a mean becomes what the attacker trained.

    With poisoned rows this is model replacement: the mean of n hospitals moves by the attacker's whole update, plus the
    others' (Bagdasaryan et al., "How To Backdoor Federated Learning", AISTATS 2020, equation 3).
    """

    factor: float | None = None  # None: all patients / its patients, which cancels the mean's division

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        return view.own * (1 / view.share if self.factor is None else self.factor)


@dataclass(frozen=True)
class SignFlip:
    """Send the opposite of what was trained, perhaps many times over: the model unlearns.

    The "omniscient" attack of Blanchard et al., NIPS 2017, section 5, of one who knows only its own update.
    """

    factor: float = 1.0

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        return -self.factor * view.own


@dataclass(frozen=True)
class FreeRider:
    """Train nothing, and send the last mean back with a little noise, to get the model for free ("disguised").

    Fraboni et al., "Free-rider Attacks on Model Aggregation in Federated Learning", AISTATS 2021, section 3.
    """

    noise: float = 0.1  # its length / length of the mean

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        noise = view.generator.standard_normal(view.own.shape) / np.sqrt(view.own.size)
        return view.last_mean + self.noise * np.linalg.norm(view.last_mean) * noise


@dataclass(frozen=True)
class LittleIsEnough:
    """Collude, and stay just inside what honest hospitals differ by, in each number.

    All attackers send their common mean, moved by z standard deviations against its direction. A lone attacker has
    nothing to estimate the spread from, and sends what it trained. Baruch et al., "A Little Is Enough: Circumventing
    Defenses For Distributed Learning", NeurIPS 2019, Algorithm 3.
    """

    z: float | None = None  # None: `largest_z`

    def __call__(self, view: View) -> np.ndarray:
        """Return the update that is sent."""
        mean, spread = view.accomplices.mean(axis=0), view.accomplices.std(axis=0)
        z = self.largest_z(view.hospitals, len(view.accomplices)) if self.z is None else self.z
        return mean - z * np.sign(mean) * spread

    @staticmethod
    def largest_z(hospitals: int, attackers: int) -> float:
        """Return z of its line 3, at least 0: in a normal distribution, enough honest updates lie beyond it."""
        honest, needed = hospitals - attackers, hospitals // 2 + 1 - attackers
        share = (honest - needed) / honest
        return max(NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6)), 0.0)


class Poisoned(Wrapped):
    """An aggregator of any kind, whose input some hospitals forge: it cannot tell.

    attackers : hospital -> attack. They are accomplices: each knows the others' updates
    claims : hospital -> the number of patients it claims to have, where that is a lie
    """

    def __init__(
        self,
        inner: Aggregator,
        attackers: Mapping[str, Attack],
        *,
        claims: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(inner)
        self.attackers, self.claims, self.seed = dict(attackers), dict(claims or {}), seed
        self.name = f"{inner.name or 'mean'}, {len(self.attackers | self.claims)} malicious"

    def begin(self, hospitals: Sequence[str]) -> None:
        """Refuse attackers that take no part; nothing has moved the model yet."""
        if strangers := [name for name in self.attackers | self.claims if name not in hospitals]:
            raise ValueError(f"{strangers[0]!r} cannot attack, since it does not train: name one of {list(hospitals)}.")

    def before(self, own: Any, updates: Vectors, weights: Weights, ledger: Ledger) -> tuple[Any, Vectors, Weights]:
        """Swap the attackers' updates and claims; what is remembered is the last mean, shape [p]."""
        last_mean = np.zeros_like(next(iter(updates.values()))) if own is None else own
        accomplices = np.stack([updates[name] for name in self.attackers]) if self.attackers else np.empty((0, 0))
        sent, claimed = dict(updates), {name: self.claims.get(name, weight) for name, weight in weights.items()}
        for name, attack in self.attackers.items():
            generator = np.random.default_rng([self.seed, ledger.round, *name.encode()])
            share = claimed[name] / sum(claimed.values())
            sent[name] = attack(View(updates[name], accomplices, len(updates), share, last_mean, generator))
        return own, sent, claimed

    def after(self, own: np.ndarray | None, mean: np.ndarray, ledger: Ledger) -> tuple[np.ndarray, np.ndarray]:
        """Remember the mean."""
        return mean, mean
