"""Aggregators that a few malicious hospitals cannot steer at will: the server compares the updates.

To compare updates, the server must read them: robust in the clear, or encrypted.
`groupwise.GroupwiseEncrypted` is the way between.

A weight is what a hospital *says* about itself. A mean must believe it. Here only
`NormClipped` does; to the others a hospital is one vote, whatever it claims. That
closes a door to liars, and lets a small hospital count as much as a large one.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fedkit import aggregators
from fedkit.aggregators import Mean
from fedkit.records import Ledger


class _Clear(Mean):
    """What they share: everything travels as with `Mean`, and `join` makes the updates one.

    Only updates are joined robustly. The statistics that rows are prepared with are
    still sums of what each hospital says.
    """

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> None:
        """Nothing to prepare; a ValueError says if the hospitals are too few."""
        self.check(list(hospitals))

    def check(self, hospitals: list[str]) -> None:
        """Raise a ValueError where theory promises nothing for so few hospitals."""

    def aggregate(
        self, state: None, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[None, np.ndarray]:
        """See `Aggregator.aggregate`; "mean" is what the robust rule makes of the updates that are finite."""
        received = {}
        for hospital, update in updates.items():
            with np.errstate(over="ignore"):
                message = np.asarray(update, dtype="<f4").tobytes()
            vector = np.frombuffer(message, dtype="<f4").astype(np.float64)
            taken = np.isfinite(vector).all()  # one NaN would be every rule's median
            ledger.add(hospital, "up", "send" if taken else "refused", len(message))
            if taken:
                received[hospital] = vector
        if not received:
            raise ValueError("No hospital sent an update of finite numbers: there is nothing to join.")
        self.check(list(received))
        with ledger.timed("server", "add"):
            patients = np.array([weights[hospital] for hospital in received], dtype=np.float64)
            joined = self.join(list(received), np.stack(list(received.values())), patients)
        for hospital in updates:
            ledger.add(hospital, "down", "send", joined.size * 4)
        return None, joined

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """Return one update [p] of k hospitals' updates [k, p] and patients [k]."""
        raise NotImplementedError


class Median(_Clear):
    """The median of each number by itself; of an even count, the mean of the middle two.

    Holds while fewer than half of the hospitals are malicious. It is not the mean:
    where hospitals differ, it drops what only a minority of them has seen.

    References
    ----------
    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical
    Rates", ICML 2018, Definition 1.
    """

    name = "median"

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """See `_Clear.join`."""
        return np.median(updates, axis=0)


class TrimmedMean(_Clear):
    """The mean of each number by itself, without the `trim` largest and the `trim` smallest.

    Holds for up to `trim` malicious hospitals.

    Parameters
    ----------
    trim
        Fewer than half of the hospitals.

    References
    ----------
    Yin et al., ICML 2018 (as `Median`), Definition 2.
    """

    name = "trimmed mean"

    def __init__(self, trim: int = 1) -> None:
        self.trim = _count(trim, "trim")

    def check(self, hospitals: list[str]) -> None:
        """See `_Clear.check`."""
        if len(hospitals) <= 2 * self.trim:
            raise ValueError(
                f"Of {len(hospitals)} hospitals, {self.trim} cannot be trimmed from either end, since none would be "
                "left: choose a smaller `trim`."
            )

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """See `_Clear.join`."""
        return np.sort(updates, axis=0)[self.trim : len(updates) - self.trim].mean(axis=0)


class Krum(_Clear):
    """The update that lies closest to its neighbours, or (Multi-Krum) the mean of the `keep` closest.

    An update's score is the sum of its squared distances to the n - f - 2 nearest
    others, f being how many may be malicious. Hospitals that differ from the rest
    for an honest reason are dropped as well.

    Parameters
    ----------
    malicious
        f. Theory asks for n >= 2f + 3 hospitals: four hospitals can bear none.
    keep
        How many updates are averaged, each one vote.

    References
    ----------
    Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient
    Descent", NIPS 2017, sections 4 and 5.
    """

    def __init__(self, malicious: int = 1, keep: int = 1) -> None:
        self.malicious, self.keep = _count(malicious, "malicious"), _count(keep, "keep", least=1)

    @property
    def name(self) -> str:
        """Krum, or Multi-Krum where more than one update is kept."""
        return "Krum" if self.keep == 1 else "Multi-Krum"

    def check(self, hospitals: list[str]) -> None:
        """See `_Clear.check`."""
        if len(hospitals) < 2 * self.malicious + 3 or self.keep > len(hospitals) - self.malicious:
            raise ValueError(
                f"Krum against {self.malicious} malicious hospitals needs {2 * self.malicious + 3} hospitals or more, "
                f"and keeps at most all but {self.malicious} of them: there are {len(hospitals)}, and `keep` is "
                f"{self.keep}."
            )

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """See `_Clear.join`."""
        return updates[np.argsort(self.scores(updates), kind="stable")[: self.keep]].mean(axis=0)

    def scores(self, updates: np.ndarray) -> np.ndarray:
        """Sum of squared distances of each update to its nearest others, shape [k]."""
        distances = np.stack([np.square(updates - update).sum(axis=1) for update in updates])
        return np.sort(distances, axis=1)[:, 1 : len(updates) - self.malicious - 1].sum(axis=1)


class NormClipped(_Clear):
    """The weighted mean, of updates shortened to a length: nobody can shout.

    A poison of that length passes, each round. Claimed patients count, so it pays to
    claim many.

    Parameters
    ----------
    norm
        Longest update, in units of the model's weights. None: the median length of
        the round's updates, which fewer than half of the hospitals cannot move far.

    References
    ----------
    Sun et al., "Can You Really Backdoor Federated Learning?", arXiv:1911.07963, 2019,
    section 4. (A bound that adapts where the server may *not* read the lengths:
    Andrew et al., NeurIPS 2021, in ``tff.learning.robust_aggregator``.)
    """

    name = "clipped"

    def __init__(self, norm: float | None = None) -> None:
        if norm is not None and not 0 < norm < np.inf:
            raise ValueError(f"The longest update must be a number above 0, and `norm` is {norm}.")
        self.norm = norm

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """See `_Clear.join`."""
        lengths = np.linalg.norm(updates, axis=1)
        most = np.median(lengths) if self.norm is None else self.norm
        shorter = most / np.maximum(lengths, np.maximum(most, np.finfo(float).tiny))
        return aggregators.weighted_mean(shorter[:, None] * updates, patients)


class FLTrust(_Clear):
    """The mean of updates brought to the length of one trusted update, each weighted by its cosine to it.

    An update that points away from the trusted one counts nothing. In the paper the
    server trains on a small clean set of its own; here such a set takes part as a
    hospital that is named (it may have few rows), which trains like the others and
    counts with the full trust of 1, so that a round in which nobody else is trusted
    is defined too. Claimed patients count nothing.

    Parameters
    ----------
    trusted
        Name of the hospital that is trusted.

    References
    ----------
    Cao et al., "FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping",
    NDSS 2021, Algorithm 2.
    """

    name = "FLTrust"

    def __init__(self, trusted: str) -> None:
        self.trusted = trusted

    def check(self, hospitals: list[str]) -> None:
        """See `_Clear.check`."""
        if self.trusted not in hospitals:
            raise ValueError(f"{self.trusted!r}, whom FLTrust trusts, does not train: name one of {hospitals}.")

    def join(self, hospitals: list[str], updates: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """See `_Clear.join`."""
        reference = updates[hospitals.index(self.trusted)]
        directions = updates / np.maximum(np.linalg.norm(updates, axis=1, keepdims=True), np.finfo(float).tiny)
        trust = np.maximum(directions @ directions[hospitals.index(self.trusted)], 0)
        if not trust.any():  # the trusted update is zero
            return np.zeros_like(reference)
        return np.linalg.norm(reference) * trust @ directions / trust.sum()


def _count(value: int, name: str, least: int = 0) -> int:
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"`{name}` must be a whole number of hospitals, at least {least}, and is {value!r}.")
    return int(value)
