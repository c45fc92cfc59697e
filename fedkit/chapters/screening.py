"""Hospitals whose updates seem to harm are flagged, and in the end excluded; each decision is noted.

Two scores. The **cosine** of an update to the mean of the others needs nothing but the updates. It says who differs,
not who harms: a hospital whose patients differ looks guilty, and close to the end, where honest updates cancel out,
everybody points against everybody else. The **influence** on held-out patients says who harms those patients: it needs
such patients, and harms to others it does not see. Both need the updates in the clear.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fedkit import aggregators, models
from fedkit.aggregators import Aggregator, Vectors, Weights, Wrapped
from fedkit.compat.tff import tf
from fedkit.models import Model
from fedkit.records import Ledger

_COLUMNS = ["training", "round", "hospital", "cosine", "influence", "flagged", "excluded"]
_MOST = 1e6
Note = Callable[[dict[str, Any]], object]


def cosines(updates: Vectors, patients: Weights) -> dict[str, float]:
    """Cosine of each update [p] to the weighted mean of the others'; 0 where either is zero.

    Xu et al., "Gradient Driven Rewards to Guarantee Fairness in Collaborative Machine Learning", NeurIPS 2021, section
    3 (there to the mean of all, the hospital's own included).
    """
    sent, found = {name: np.asarray(update, dtype=np.float64) for name, update in updates.items()}, {}
    total = sum(patients[name] * update for name, update in sent.items())
    for name, update in sent.items():
        others = total - patients[name] * update
        lengths = np.linalg.norm(update) * np.linalg.norm(others)
        found[name] = float(update @ others / lengths) if lengths > 0 else 0.0
    return found


class HeldOut(NamedTuple):
    """Patients on whom influence is measured, and what is trained."""

    model: Model
    weights: list[np.ndarray]  # before the round (before the first one, where it is given to `Screened`)
    features: np.ndarray  # prepared rows [n, d] of patients whom no hospital trains on
    labels: np.ndarray  # shape [n]

    def moved(self, step: np.ndarray) -> "HeldOut":
        """Return the same, after the model has moved by a step of shape [p]."""
        steps = models.unflatten(step, [weight.shape for weight in self.weights])
        return self._replace(weights=[weight + move for weight, move in zip(self.weights, steps, strict=True)])

    def loss(self) -> float:
        """Mean cross-entropy, in nats, at most 1e6: differences of losses stay finite whatever is sent."""
        weights = [tf.constant(weight) for weight in self.weights]
        loss = float(self.model.loss(weights, tf.constant(self.features), tf.constant(self.labels)))
        return min(loss, _MOST) if np.isfinite(loss) else _MOST


def influences(updates: Vectors, patients: Weights, held_out: HeldOut) -> dict[str, float]:
    """Loss without a hospital - loss with all, after a round from the held-out model, in nats: above 0 where it helps.

    Wang, Dang and Zhou, "Measure Contribution of Participants in Federated Learning", IEEE Big Data 2019 (deletion).
    """

    def loss(names: Sequence[str]) -> float:
        mean = aggregators.weighted_mean([updates[name] for name in names], [patients[name] for name in names])
        return held_out.moved(mean).loss()

    everybody = loss(list(updates))
    return {name: loss([other for other in updates if other != name]) - everybody for name in updates}


@dataclass(frozen=True)
class Rule:
    """When a hospital is flagged, and when excluded."""

    cosine: float | None = None  # flagged below it; None looks at it and flags nobody
    influence: float | None = -0.01  # likewise, in nats; counts where there are held-out patients
    strikes: int = 2  # excluded when flagged in so many rounds
    rounds: int = 10  # later nobody is flagged: updates get small, and what they differ by is chance

    def flags(self, cosine: float, influence: float | None, round: int) -> bool:
        """Say whether a hospital with these scores is flagged; `influence` is None where it was not measured."""
        points_away = self.cosine is not None and cosine < self.cosine
        harms = self.influence is not None and influence is not None and influence < self.influence
        return round <= self.rounds and (points_away or harms)


class _Memory(NamedTuple):
    training: int
    strikes: dict[str, int]
    excluded: frozenset[str]
    held_out: HeldOut | None


class Screened(Wrapped):
    """An aggregator that scores updates before it joins them, and leaves out whom the rule excludes.

    Fewer than half of the hospitals are ever excluded, the worst first: beyond that it would be the rule that is wrong.

    inner : joins what is left; its server must read the updates
    held_out : for a rule about influence, with the weights that the training starts from. The model is followed by
        adding the means: FedAvg, and no other server optimizer
    note : called with one dict a hospital and round, `audit.Log(path).append`, say. Each names the training (0, 1, ...
        in the order in which they started), the SHA-256 of the update's float32 bytes, both scores, what was decided
    """

    def __init__(
        self, inner: Aggregator, rule: Rule | None = None, held_out: HeldOut | None = None, note: Note | None = None
    ) -> None:
        super().__init__(inner)
        self.rule, self.held_out, self.note = rule or Rule(), held_out, note
        self.name = f"{inner.name or 'mean'}, screened"
        self._trainings = itertools.count()
        if inner.mean_is_read_by != "server":
            raise ValueError(f"The server cannot score updates that it cannot read: {inner.name} encrypts them.")
        if self.rule.influence is not None and held_out is None:
            raise ValueError("A rule about influence needs held-out patients: give them, or Rule(influence=None).")

    def begin(self, hospitals: Sequence[str]) -> _Memory:
        """Nobody is suspected yet."""
        return _Memory(next(self._trainings), dict.fromkeys(hospitals, 0), frozenset(), self.held_out)

    def before(self, own: _Memory, updates: Vectors, weights: Weights, ledger: Ledger) -> tuple[Any, Vectors, Weights]:
        """Score, flag, exclude and note; the updates that are left go in."""
        with np.errstate(over="ignore"):  # as they travel
            arrived = {name: np.asarray(update, dtype="<f4") for name, update in updates.items()}
        present = {name: update for name, update in arrived.items() if name not in own.excluded}
        heard = {name: update for name, update in present.items() if np.isfinite(update).all()}
        with ledger.timed("server", "score"):
            cosine = cosines(heard, weights)
            measured = own.held_out and len(heard) > 1
            influence = influences(heard, weights, own.held_out) if measured else {}
        flagged = [name for name in heard if self.rule.flags(cosine[name], influence.get(name), ledger.round)]
        flagged += [name for name in present if name not in heard]  # no numbers: nothing to join
        strikes = {name: own.strikes[name] + (name in flagged) for name in updates}
        worst = sorted(flagged, key=lambda name: (name in heard, influence.get(name, 0.0), cosine.get(name, 0.0)))
        excluded = set(own.excluded)
        for name in worst:
            if strikes[name] >= self.rule.strikes and len(excluded) < (len(updates) - 1) // 2:
                excluded.add(name)
        for name, update in present.items() if self.note else ():
            about = {"training": own.training, "round": ledger.round, "hospital": name}
            scores = {"cosine": cosine.get(name), "influence": influence.get(name)}
            decided = {"flagged": name in flagged, "excluded": name in excluded}
            self.note({**about, "update": hashlib.sha256(update.tobytes()).hexdigest(), **scores, **decided})
        left = {name: update for name, update in heard.items() if name not in excluded}
        own = own._replace(strikes=strikes, excluded=frozenset(excluded))
        return own, left, {name: weights[name] for name in left}

    def after(self, own: _Memory, mean: np.ndarray, ledger: Ledger) -> tuple[_Memory, np.ndarray]:
        """Follow the model."""
        return own._replace(held_out=own.held_out and own.held_out.moved(mean)), mean


def table(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what `Screened` noted, a row a hospital and round; its last row is that of the round that excluded it.

    Columns training, round, hospital, cosine, influence (both NaN if not measured), flagged, excluded.

    events : from `audit.verify`, or a list that was appended to; other events are left out
    """
    rows = [[event[column] for column in _COLUMNS] for event in events if set(_COLUMNS) <= set(event)]
    types = {"cosine": float, "influence": float, "flagged": bool, "excluded": bool}
    return pd.DataFrame(rows, columns=_COLUMNS).astype(types)
