"""What each hospital's update contributes, in two scores; `screening` flags and excludes by them.

Two scores. The **cosine** of an update to the mean of the others needs nothing but the
updates. It says who differs, not who harms: a hospital whose patients differ looks
guilty, and close to the end, where honest updates cancel out, everybody points against
everybody else. The **influence** on held-out patients says who harms those patients:
it needs such patients, and harms to others it does not see.

Both need the updates in the clear. Of a sum that is all the server can read, nobody
can say who contributed what.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fedkit import aggregators, models
from fedkit.compat.tff import tf
from fedkit.models import Model

_MOST = 1e6


def cosines(updates: Mapping[str, np.ndarray], patients: Mapping[str, float]) -> dict[str, float]:
    """Cosine of each update to the weighted mean of the others'; 0 where either is zero.

    Parameters
    ----------
    updates
        Hospital -> update, shape [p].
    patients
        Hospital -> its weight.

    References
    ----------
    Xu et al., "Gradient Driven Rewards to Guarantee Fairness in Collaborative Machine
    Learning", NeurIPS 2021, section 3 (there to the mean of all, the hospital's own included).
    """
    total = sum(patients[name] * np.asarray(update, dtype=np.float64) for name, update in updates.items())
    found = {}
    for name, sent in updates.items():
        update = np.asarray(sent, dtype=np.float64)
        others = total - patients[name] * update
        lengths = np.linalg.norm(update) * np.linalg.norm(others)
        found[name] = float(update @ others / lengths) if lengths > 0 else 0.0
    return found


class HeldOut(NamedTuple):
    """Patients on whom influence is measured, and what is trained.

    Attributes
    ----------
    model : Model
        What is trained.
    weights : list of numpy.ndarray
        The model before the round (before the first one, where it is given to `screening.Screened`).
    features, labels : numpy.ndarray
        Prepared rows, shapes [n, d] and [n], of patients whom no hospital trains on.
    """

    model: Model
    weights: list[np.ndarray]
    features: np.ndarray
    labels: np.ndarray

    def moved(self, step: np.ndarray) -> "HeldOut":
        """Return the same, after the model has moved by a step of shape [p]."""
        steps = models.unflatten(step, [weight.shape for weight in self.weights])
        return self._replace(weights=[weight + move for weight, move in zip(self.weights, steps, strict=True)])

    def loss(self) -> float:
        """Mean cross-entropy, in nats, at most 1e6: differences of losses stay finite whatever is sent."""
        weights = [tf.constant(weight) for weight in self.weights]
        loss = float(self.model.loss(weights, tf.constant(self.features), tf.constant(self.labels)))
        return min(loss, _MOST) if np.isfinite(loss) else _MOST


def influences(updates: Mapping[str, np.ndarray], patients: Mapping[str, float], held_out: HeldOut) -> dict[str, float]:
    """How much larger the held-out loss would be after the round without a hospital.

    Parameters
    ----------
    updates, patients
        As of `cosines`, of two hospitals or more. They are joined by their weighted mean.
    held_out
        With the model before the round.

    Returns
    -------
    dict
        Hospital -> loss without it - loss with all, in nats: above 0 where it helps.

    References
    ----------
    Wang, Dang and Zhou, "Measure Contribution of Participants in Federated Learning",
    IEEE Big Data 2019 (deletion).
    """

    def loss(names: Sequence[str]) -> float:
        mean = aggregators.weighted_mean([updates[name] for name in names], [patients[name] for name in names])
        return held_out.moved(mean).loss()

    everybody = loss(list(updates))
    return {name: loss([other for other in updates if other != name]) - everybody for name in updates}
