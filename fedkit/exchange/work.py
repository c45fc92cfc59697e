"""What a hospital does with its rows in a round, and what everybody does with the mean."""

from typing import Any, Protocol

import numpy as np

from fedkit.exchange.settings import Settings
from fedkit.preparation import Prepared

Weights = list[np.ndarray]


class Work(Protocol):
    """The parts of a round that are no protocol. All are functions of what they are given: the same twice."""

    def start(self) -> Weights:
        """Return the weights before the first round: float32, in the shapes of the settings."""

    def train(self, weights: Weights, rows: Prepared, round: int, hospital: str) -> np.ndarray:
        """Return the update of a hospital, float64 of shape [p]: trained minus start."""

    def apply(self, weights: Weights, state: Any, mean: np.ndarray) -> tuple[Weights, Any]:
        """Return the next weights and the optimizer's next state; `state` is None before the first round."""

    def predict(self, weights: Weights, features: np.ndarray) -> np.ndarray:
        """Return the probability of the label for each row of features [n, d]: shape [n]."""


class Training:
    """The work as `learning.train_federated` does it: TensorFlow Federated's.

    Parameters
    ----------
    settings
        Of the study.
    """

    def __init__(self, settings: Settings) -> None:
        # A coordinator, and who watches, need no TensorFlow.
        from fedkit import learning, models
        from fedkit.compat.tff import tf

        self._learning, self._models, self._tf = learning, models, tf
        self._settings, self._model = settings, models.Model(settings.hidden)
        self._step = learning.optimizer_step(tuple(settings.shapes))

    def start(self) -> Weights:
        """See `Work`."""
        return self._model.initial_weights(len(self._settings.columns), self._settings.seed)

    def train(self, weights: Weights, rows: Prepared, round: int, hospital: str) -> np.ndarray:
        """See `Work`."""
        settings, count = self._settings, len(rows.train_labels)
        rate = settings.learning_rate
        work = self._learning.client_work(self._model, len(settings.columns), settings.batch_size or count, rate)
        order = self._learning.row_order(settings.seed, round, hospital, count, settings.epochs)
        (update,) = work([weights], [[rows.train_features, rows.train_labels, order]])
        return self._models.flatten(update)

    def apply(self, weights: Weights, state: Any, mean: np.ndarray) -> tuple[Weights, Any]:
        """See `Work`."""
        tf, gradient = self._tf, self._models.unflatten(-mean, [weight.shape for weight in weights])
        state, moved = self._step.apply(
            self._step.start if state is None else state,
            tuple(tf.constant(weight) for weight in weights),
            tuple(tf.constant(part) for part in gradient),
        )
        return [weight.numpy() for weight in moved], state

    def predict(self, weights: Weights, features: np.ndarray) -> np.ndarray:
        """See `Work`."""
        return self._model.predict(weights, features)
