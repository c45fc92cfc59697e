"""Property inference: what an update tells about a hospital as a whole, without any single patient.

How many of its patients are ill can be a hospital's secret. After one step over all
rows, the last bias has it in plain sight; after a whole round, a regression on shadow
hospitals finds it. Other traits show less, and least where hospitals also differ in
everything else.
"""

from dataclasses import dataclass

import numpy as np

from fedkit import learning
from fedkit.models import Model


def prevalence(bias: float, learning_rate: float, predicted: float = 0.5) -> float:
    """Share of label 1, from the last bias's update after one step over all of a hospital's rows.

    The bias moves by learning_rate x (mean label - mean predicted probability), whatever
    the model. In the first round every fedkit model predicts 0.5, so this is exact.

    Parameters
    ----------
    bias
        The update of the last layer's bias.
    learning_rate
        Of the hospital's step.
    predicted
        Mean probability that the model it started from gives to the hospital's
        patients. After the first round an attacker can only guess it.

    References
    ----------
    The bias gradient of cross-entropy: as Wainakh et al., "User-Level Label Leakage
    from Gradients in Federated Learning", PoPETs 2022, section 4, use it.
    """
    return float(predicted + bias / learning_rate)


def shadow_updates(
    model: Model,
    weights: list[np.ndarray],
    features: np.ndarray,
    labels: np.ndarray,
    trait: np.ndarray,
    shares: np.ndarray,
    *,
    rows: int = 100,
    epochs: int = 1,
    batch_size: int = 32,
    learning_rate: float = 0.3,
    seed: int = 0,
) -> np.ndarray:
    """Train shadow hospitals, each with another share of patients that have a trait.

    The attacker needs rows of its own, with both kinds of patient, and the model that
    the round started from.

    Parameters
    ----------
    model, weights
        What is trained, and from where.
    features, labels
        The attacker's rows, prepared, shapes [n, d] and [n].
    trait
        Whether each row has it, bool, shape [n].
    shares
        From 0 to 1, one for each shadow, shape [k].
    rows
        Of a shadow hospital, drawn with replacement.
    epochs, batch_size, learning_rate
        Of the training that is attacked.
    seed
        Decides the draw and the rows' order.

    Returns
    -------
    numpy.ndarray
        One update a shadow, shape [k, p].

    Raises
    ------
    ValueError
        If all rows have the trait, or none has.
    """
    trait = np.asarray(trait, dtype=bool)
    if trait.all() or not trait.any():
        raise ValueError("All of the attacker's rows have the trait, or none has: it needs both kinds to learn from.")
    generator = np.random.default_rng(seed)
    plan, tasks = learning.Plan(model=model, batch_size=batch_size, learning_rate=learning_rate), []
    for number, share in enumerate(shares):
        with_trait = round(float(share) * rows)
        drawn = np.concatenate(
            [
                generator.choice(np.flatnonzero(trait), with_trait),
                generator.choice(np.flatnonzero(~trait), rows - with_trait),
            ]
        )
        order = learning.row_order(seed, 1, f"shadow {number}", rows, epochs)
        tasks.append(learning.Task(weights, [], features[drawn], labels[drawn], order))
    return np.stack([local.update for local in learning.local_updates(plan, tasks)])


@dataclass(frozen=True, eq=False)
class Regression:
    """From an update to a share: linear, with a little ridge.

    Attributes
    ----------
    mean, spread : numpy.ndarray
        Of the shadow updates, shape [p].
    slopes : numpy.ndarray
        Of the standardised update, shape [p].
    intercept : float
        The shadows' mean share.
    """

    mean: np.ndarray
    spread: np.ndarray
    slopes: np.ndarray
    intercept: float

    @classmethod
    def fit(cls, updates: np.ndarray, shares: np.ndarray, ridge: float = 1.0) -> "Regression":
        """Fit shares [k] to shadow updates [k, p]; `ridge` is the penalty on standardised slopes.

        References
        ----------
        Melis et al., "Exploiting Unintended Feature Leakage in Collaborative Learning",
        IEEE S&P 2019, section 4.2 (a classifier on shadow updates; here a share is
        regressed). Ganju et al., CCS 2018, do so with models.
        """
        mean, spread = updates.mean(axis=0), updates.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (updates - mean) / spread
        penalty = ridge * np.eye(scaled.shape[1])
        slopes = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (shares - np.mean(shares)))
        return cls(mean, spread, slopes, float(np.mean(shares)))

    def guess(self, update: np.ndarray) -> float:
        """Guess the share behind an update of shape [p], from 0 to 1."""
        return float(np.clip(self.intercept + (update - self.mean) / self.spread @ self.slopes, 0, 1))
