"""What a hospital does with its rows in a round, and what everybody does with the mean."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedkit.exchange.settings import Settings
from fedkit.models import Arrays, unflatten
from fedkit.preparation import Prepared

if TYPE_CHECKING:  # a coordinator, and who watches, need no TensorFlow
    from fedkit.learning import Algorithm, Plan


class Training:
    """The parts of a round that are no protocol, as `learning.train_federated` does them: by TensorFlow Federated.

    All are functions of what they are given, the same twice; another class that has them can take the place of this
    one. `state` is the optimizer's, and what the hospital keeps for itself; None before the first round.

    settings : of the study
    algorithm : the one that they name, else a ValueError; federated averaging if None
    name : attribute, of the algorithm; empty for federated averaging
    """

    def __init__(self, settings: Settings, algorithm: "Algorithm | None" = None) -> None:
        ours = settings.plan(algorithm).settings.get("algorithm", "") if algorithm else ""
        if ours != settings.algorithm:
            theirs, ours = (name or "federated averaging" for name in (settings.algorithm, ours))
            raise ValueError(f"The study trains by {theirs} and this hospital by {ours}: take the study's algorithm.")
        self._settings, self._algorithm = settings, algorithm
        self.name = algorithm.name if algorithm else ""

    @cached_property
    def _plan(self) -> "Plan":
        return self._settings.plan(self._algorithm)

    @property
    def keeps(self) -> bool:
        """Whether a hospital keeps something by the algorithm: then a sum is followed only after training."""
        return bool(self._algorithm and self._algorithm.own(self.start()))

    def start(self) -> Arrays:
        """Return the weights before the first round: float32, in the shapes of the settings."""
        return self._settings.model.initial_weights(len(self._settings.columns), self._settings.seed)

    def train(
        self, weights: Arrays, state: Any, rows: Prepared, round: int, hospital: str
    ) -> tuple[np.ndarray, Any, int]:
        """Return what a hospital sends (float64, shape [n]), the state once that was counted, and its weight."""
        from fedkit import learning

        optimizer, own = state or (None, self._plan.algorithm.own(weights))
        order = self._plan.order(self._settings.seed, round, hospital, len(rows.train_labels))
        task = learning.Task(weights, own, rows.train_features, rows.train_labels, order, rows.together)
        (local,) = learning.local_updates(self._plan, [task])
        return local.sent, (optimizer, local.own), local.weight

    def apply(self, weights: Arrays, state: Any, mean: np.ndarray) -> tuple[Arrays, Any]:
        """Return the next weights and state, from the mean of what was sent, shape [n]."""
        from fedkit import learning

        optimizer, own = state or (None, self._plan.algorithm.own(weights))
        shapes = learning.sent_shapes(self._plan, len(self._settings.columns))
        step, own = self._plan.algorithm.take(unflatten(mean, shapes), own)
        optimizer, weights = learning.apply(self._plan, optimizer, weights, step)
        return weights, (optimizer, own)

    def predict(self, weights: Arrays, state: Any, features: np.ndarray) -> np.ndarray:
        """Return the probability of label 1 for each row of features [n, d]: shape [n]; of K > 2 classes, [n, K]."""
        _, own = state or (None, [])
        return self._plan.model.predict(self._plan.algorithm.serve(weights, own), features)
