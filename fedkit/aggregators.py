"""How the hospitals' updates become one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from fedkit import encryption, parameters, quantization, schemes
from fedkit.records import Ledger

_KEEP = 0.95  # of an old bound: FedAvg's updates then outgrow it about once in 100 rounds


class Aggregator(Protocol):
    """A way to turn one update a hospital into one mean.

    `start` is called once a training, `aggregate` once a round. The state that a
    round leaves is what the next one gets; an aggregator itself never changes.

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

    def start(self, hospitals: Sequence[str], shapes: Sequence[tuple[int, ...]], ledger: Ledger) -> Any:
        """Prepare a training: make and hand out keys, say. Returns the first state."""

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

    def start(self, hospitals: Sequence[str], shapes: Sequence[tuple[int, ...]], ledger: Ledger) -> None:
        """Nothing to prepare."""

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


@dataclass(frozen=True)
class EncryptedState:
    """What an encrypted training carries from round to round.

    Attributes
    ----------
    keys : encryption.HospitalKeys
        The key that all hospitals hold.
    server : encryption.Server
        Made from public bytes.
    sizes : tuple of int
        Numbers in each layer (each array of the model).
    agreements : int
        BFV: how many messages of bounds alone were needed so far.
    weights : dict
        BFV: hospital -> patients, of those that agreed on `layout`.
    bounds : dict
        BFV: hospital -> how large an update it promised, one a layer. Each hospital
        knows its own, and all know the sum of patients x bound.
    layout : quantization.Layout or None
        BFV: what follows from that sum.
    """

    keys: encryption.HospitalKeys
    server: encryption.Server
    sizes: tuple[int, ...]
    agreements: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, np.ndarray] = field(default_factory=dict)
    layout: quantization.Layout | None = None


class EncryptedMean:
    """The weighted mean, of updates that the server cannot read.

    With BFV the hospitals send integers, which are added exactly. What a step is
    worth follows from what they promise: in each layer, a hospital bounds its next
    update by `growth` times the largest number of this one, and gives up an old
    bound only slowly, since a bias that changes direction is small for one round.
    The bounds travel, encrypted, beside the update, and only the sum of patients x
    bound is ever seen. It is that sum that must fit, so a small hospital with large
    updates needs no special care. Nothing is ever cut: before the first round, when
    hospitals or their patients change, and when an update outgrows its bound, one
    more message carries new bounds first (the server sees that, and not whose
    numbers they are).

    In the simulation all hospitals are one process: the sum is decrypted once, and
    the seconds are noted at each hospital, since each would spend them. Keys are
    made once, and their bytes are noted as if handed to each.

    Parameters
    ----------
    scheme
        "bfv" (integers, exact) or "ckks" (real numbers, approximate).
    fields
        BFV: numbers to a coefficient. 2 leave 26 bits to each (up to 24 hospitals),
        4 leave 13: half the bytes for large models, and a coarser step.
    growth
        BFV: how many times larger than its last one a hospital's update may be.

    Raises
    ------
    ValueError
        If the scheme is unknown, or a setting leaves no room.
    """

    mean_is_read_by = "hospitals"

    def __init__(self, scheme: str = "bfv", *, fields: int = 2, growth: float = 2.0) -> None:
        if scheme not in schemes.SCHEMES:
            raise ValueError(f"There is no scheme {scheme!r}: choose one of {', '.join(schemes.SCHEMES)}.")
        if fields not in (2, 3, 4):
            raise ValueError(f"A coefficient holds 2, 3 or 4 numbers, not {fields}: change `fields`.")
        if not 1 <= growth < float("inf"):
            raise ValueError(f"An update may grow by a factor of 1 or more, not {growth}: change `growth`.")
        self.scheme, self.fields, self.growth = scheme, fields, growth

    def __repr__(self) -> str:
        return f"EncryptedMean({self.scheme!r})"

    @property
    def name(self) -> str:
        """The scheme, as tables and figures write it: "BFV" or "CKKS"."""
        return self.scheme.upper()

    def start(self, hospitals: Sequence[str], shapes: Sequence[tuple[int, ...]], ledger: Ledger) -> EncryptedState:
        """Make keys at the first hospital, and hand them out."""
        if not hospitals:
            raise ValueError("There is no hospital to make keys: a training needs at least one.")
        maker, *others = hospitals
        with ledger.timed(maker, "keys"):
            keys = encryption.generate_keys(self.scheme, hospitals=len(hospitals))
        if self.scheme == "bfv":
            quantization.headroom(keys.parameters.bits // self.fields, len(hospitals))
        ledger.add(maker, "up", "keys", len(keys.public))
        for other in others:
            ledger.add(other, "peer", "keys", len(keys.secret))
        with ledger.timed("server", "keys"):
            server = encryption.Server(keys.public)
        return EncryptedState(keys, server, tuple(int(np.prod(shape)) for shape in shapes))

    def aggregate(
        self, state: EncryptedState, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[EncryptedState, np.ndarray]:
        """See `Aggregator.aggregate`; a ValueError names the hospital whose update or weight cannot be used."""
        vectors = {hospital: np.asarray(update, dtype=np.float64) for hospital, update in updates.items()}
        for hospital, vector in vectors.items():
            if vector.shape != (sum(state.sizes),) or hospital not in weights:
                raise ValueError(
                    f"{hospital}: {sum(state.sizes)} numbers and a weight are needed, and the update has shape "
                    f"{vector.shape}, the weight is {weights.get(hospital)}."
                )
        weights = {hospital: weights[hospital] for hospital in vectors}
        if self.scheme == "ckks":
            return state, _through_server(state, vectors, weights, ledger)[0]

        bounds = {hospital: self._bounds(vector, state, hospital) for hospital, vector in vectors.items()}
        outgrown = any((quantization.maxima(v, state.sizes) > state.bounds.get(h, 0)).any() for h, v in vectors.items())
        if weights != state.weights or outgrown:
            mean, patients = _through_server(replace(state, layout=None), bounds, weights, ledger)
            state = replace(self._agree(state, mean * patients, bounds, weights), agreements=state.agreements + 1)
        messages = {hospital: np.concatenate([bounds[hospital], vector]) for hospital, vector in vectors.items()}
        both, patients = _through_server(state, messages, weights, ledger)
        promised, mean = np.split(both, [len(state.sizes)])
        return self._agree(state, promised * patients, bounds, weights), mean

    def _bounds(self, vector: np.ndarray, state: EncryptedState, hospital: str) -> np.ndarray:
        """Promise of a hospital for its next update, a layer; 1 where nothing ever moved."""
        largest = quantization.maxima(vector, state.sizes)
        bounds = np.maximum(self.growth * largest, _KEEP * state.bounds.get(hospital, 0.0))
        return np.where(bounds == 0, 1.0, bounds)

    def _agree(
        self, state: EncryptedState, total: np.ndarray, bounds: dict[str, np.ndarray], weights: dict[str, float]
    ) -> EncryptedState:
        """Take on the bounds; `total` is their sum, each times its patients, shape [layers]."""
        hospitals, bits = state.keys.parameters.hospitals, state.keys.parameters.bits
        layers = [
            quantization.packed_layer(size, bound, bits // self.fields, self.fields, hospitals)
            for size, bound in zip(state.sizes, total, strict=True)
        ]
        layout = quantization.Layout((quantization.wide_layer(len(total), bits, hospitals), *layers))
        return replace(state, weights=weights, bounds=bounds, layout=layout)


def _through_server(
    state: EncryptedState, vectors: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
) -> tuple[np.ndarray, float]:
    """Encrypt at each hospital, add at the server, decrypt at each hospital: the mean, and all patients."""
    messages = []
    for hospital, vector in vectors.items():
        try:
            with ledger.timed(hospital, "encrypt"):
                messages.append(state.keys.encrypt(vector, weights[hospital], state.layout))
        except ValueError as problem:
            raise ValueError(f"{hospital}: {problem}") from problem
        ledger.add(hospital, "up", "send", len(messages[-1]))
    with ledger.timed("server", "add"):
        total = state.server.add(messages)
    began = perf_counter()
    mean, patients = state.keys.decrypt(total, state.layout)
    seconds = perf_counter() - began
    for hospital in vectors:
        ledger.add(hospital, "down", "send", len(total))
        ledger.add(hospital, "", "decrypt", seconds=seconds)
    return mean, patients
