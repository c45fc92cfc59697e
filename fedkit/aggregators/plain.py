"""What an aggregator is, and the plain mean."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fedkit import parameters
from fedkit.records import Ledger


class Aggregator(Protocol):
    """A way to turn one update a hospital into one mean.

    `start` is called once a training, `total` for the few numbers besides the model,
    `aggregate` once a round. The state that one leaves is what the next one gets; an
    aggregator itself never changes.

    Attributes
    ----------
    name : str
        What makes it different from the plain mean, in a word: a run's method is
        "federated + NAME", or "federated" where the name is empty.
    mean_is_read_by : str
        "server" or "hospitals": who reads the mean, and so applies it to the model.
    """

    name: str
    mean_is_read_by: str

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> Any:
        """Prepare a training: make and hand out keys, say. Returns the first state.

        Parameters
        ----------
        hospitals
            Who takes part.
        shapes
            Layer of the model -> its shape, in order.
        ledger
            Where bytes and seconds are noted.
        """

    def total(self, state: Any, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger) -> np.ndarray:
        """Return the sum of a few numbers of each hospital, shape [n].

        Parameters
        ----------
        state
            What `start` or the last round returned.
        purpose
            What they are: "statistics" or "scores".
        numbers
            Hospital -> finite numbers, shape [n].
        ledger
            Where bytes and seconds are noted.
        """

    def aggregate(
        self, state: Any, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[Any, np.ndarray]:
        """Return the next state and the weighted mean of the updates, shape [p].

        Parameters
        ----------
        state
            What `start` or the last round returned.
        updates
            Hospital -> update, shape [p].
        weights
            Hospital -> number of training patients.
        ledger
            Where bytes and seconds are noted.
        """


class Mean:
    """The weighted mean, in the clear: the server reads every update."""

    name = ""
    mean_is_read_by = "server"

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> None:
        """Nothing to prepare."""

    def total(self, state: None, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger) -> np.ndarray:
        """See `Aggregator.total`. Numbers travel as float64."""
        total = np.sum([np.asarray(own, dtype=np.float64) for own in numbers.values()], axis=0)
        for hospital in numbers:
            ledger.add(hospital, "up", "send", total.nbytes)
            ledger.add(hospital, "down", "send", total.nbytes)
        return total

    def aggregate(
        self, state: None, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[None, np.ndarray]:
        """See `Aggregator.aggregate`. Updates travel as float32."""
        received = {}
        for hospital, update in updates.items():
            message = np.asarray(update, dtype="<f4").tobytes()
            ledger.add(hospital, "up", "send", len(message))
            received[hospital] = np.frombuffer(message, dtype="<f4")
        with ledger.timed("server", "add"):
            mean = parameters.weighted_mean(list(received.values()), [weights[hospital] for hospital in received])
        for hospital in updates:
            ledger.add(hospital, "down", "send", mean.size * 4)
        return None, mean
