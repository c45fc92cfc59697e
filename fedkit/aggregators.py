"""How the hospitals' updates become one: in the clear, or encrypted; and what can be put around either.

What changes the numbers before they are added up, or the mean after that, wraps one of them (`Wrapped`): an attack,
a screening, noise, a clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from fedkit import encryption
from fedkit.checks import has, is_list, is_positive, is_whole, optional, require
from fedkit.encryption import quantization
from fedkit.encryption.keyring import FEWEST, divided
from fedkit.encryption.quantization import DRAWS, Counted, Layout
from fedkit.encryption.schemes import Parameters
from fedkit.encryption.together import Network, Together
from fedkit.records import Ledger

Vectors = Mapping[str, np.ndarray]  # hospital -> its numbers
Weights = Mapping[str, float]  # hospital -> number of training patients
Shapes = Mapping[str, tuple[int, ...]]  # layer of the model -> its shape, in order
Joined = tuple[Any, np.ndarray]  # the next state, and the mean
AN_AGGREGATOR = has(*"name mean_is_read_by start total aggregate".split()), "an aggregator, such as EncryptedMean()"
A_NETWORK = optional(callable), "None, or a function of sender and message"


class Aggregator(Protocol):
    """A way to turn one update a hospital into one mean; what it costs is noted in the ledger.

    The state that one call returns is what the next one gets: an aggregator itself never changes.
    """

    name: str  # what makes it different from the plain mean: a run's method is "federated + NAME"
    mean_is_read_by: str  # "server" or "hospitals": who reads the mean, and so applies it to the model

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> Any:
        """Prepare a training (make keys and hand them out, say), once; returns the first state."""

    def total(self, state: Any, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Add up the few numbers [n] that are needed besides the model: "statistics" or "scores"."""

    def aggregate(self, state: Any, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the next state, and the weighted mean of the updates, shape [p]: once a round."""


class Mean:
    """The weighted mean, in the clear: the server reads every update. Updates travel as float32, totals as float64."""

    name = ""
    mean_is_read_by = "server"

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> None:
        """Nothing to prepare."""

    def total(self, state: None, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Add up a few numbers."""
        total = np.sum([np.asarray(own, dtype=np.float64) for own in numbers.values()], axis=0)
        for hospital in numbers:
            ledger.add(hospital, "up", "send", total.nbytes)
            ledger.add(hospital, "down", "send", total.nbytes)
        return total

    def aggregate(self, state: None, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return no state, and the weighted mean."""
        received = {}
        for hospital, update in updates.items():
            message = np.asarray(update, dtype="<f4").tobytes()
            ledger.add(hospital, "up", "send", len(message))
            received[hospital] = np.frombuffer(message, dtype="<f4")
        with ledger.timed("server", "add"):
            mean = weighted_mean(list(received.values()), [weights[hospital] for hospital in received])
        for hospital in updates:
            ledger.add(hospital, "down", "send", mean.size * 4)
        return None, mean


def weighted_mean(vectors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Mean of vectors [p], each counted with its number of patients: float64 (McMahan et al. 2017, Algorithm 1).

    A ValueError says if a weight is negative, or if all are zero.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if np.any(weights < 0) or weights.sum() == 0:
        raise ValueError(f"Weights must be positive numbers of patients, and these are {weights.tolist()}.")
    return weights @ np.asarray(vectors, dtype=np.float64) / weights.sum()


class WrappedState(NamedTuple):
    """State of the aggregator inside, and what the one around it remembers."""

    inner: Any
    own: Any


class Wrapped:
    """An aggregator around any other one. As it is, it changes nothing: a subclass overrides what it is there for."""

    def __init__(self, inner: Aggregator) -> None:
        require("inner", inner, *AN_AGGREGATOR)
        self.inner, self.name, self.mean_is_read_by = inner, inner.name, inner.mean_is_read_by

    def begin(self, hospitals: Sequence[str]) -> Any:
        """Return what is remembered before the first round; a ValueError refuses these hospitals."""

    def before(self, own: Any, updates: Vectors, weights: Weights, ledger: Ledger) -> tuple[Any, Vectors, Weights]:
        """Return what is remembered, and the updates and weights that go in: if encrypted, each from its own alone."""
        return own, updates, weights

    def after(self, own: Any, mean: np.ndarray, ledger: Ledger) -> tuple[Any, np.ndarray]:
        """Return what is remembered, and what comes out instead of this mean."""
        return own, mean

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> WrappedState:
        """Begin, then start the aggregator inside."""
        own = self.begin(hospitals)
        return WrappedState(self.inner.start(hospitals, shapes, ledger), own)

    def total(self, state: WrappedState, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Leave it to the aggregator inside."""
        return self.inner.total(state.inner, purpose, numbers, ledger)

    def aggregate(self, state: WrappedState, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Do what comes before, let the aggregator inside aggregate, and do what comes after."""
        own, updates, weights = self.before(state.own, updates, weights, ledger)
        inner, mean = self.inner.aggregate(state.inner, updates, weights, ledger)
        own, mean = self.after(own, mean, ledger)
        return WrappedState(inner, own), mean


# Way of rounding -> random numbers that are added before: see `encryption.quantization`.
ROUNDING = {"dithered": DRAWS, "nearest": 0, "stochastic": 1, "feedback": 0}


@dataclass(frozen=True)
class EncryptedState:
    """What an encrypted training carries from round to round; here one process plays all parties."""

    parties: Together  # hospitals with their keys, which step forward with each sum, and the server
    hidden: np.ndarray  # which numbers of an update are encrypted: bool, shape [p]
    weights: Weights = field(default_factory=dict)  # of those whose patients were added up last
    counted: Counted = field(default_factory=Counted)  # their sum
    residuals: Vectors = field(default_factory=dict)  # with feedback: what was not sent, in patients x update


class EncryptedMean:
    """The weighted mean, of updates that nobody reads but their own hospital; see `encryption`.

    Each hospital hides its update under a key that is used for this sum alone, and only the sum of all keys becomes
    known, to the hospitals. Integers are added, exactly; what a step is worth follows from `most_change` and the number
    of all patients, which is added up first. A hospital whose letter cannot be taken is left out, and the round goes
    on. A sum is opened once, and the seconds are noted at each hospital, which would spend them.

    bits : of the sum of one number: 28 take as many bytes as float32, 12 less than half of them (notebook 05)
    rounding : "dithered", so that sums in steps of many sizes tell no more than one; the others do (SECURITY.md), and
        need fewer bits: to the "nearest" step; "stochastic", up or down at random, right on average (Alistarh et al.
        2017); or with "feedback", where what it left over is added to the hospital's next update (Seide et al. 2014)
    most_change : the most of any number of an update, up or down; a ValueError names who wants to send more
    in_the_clear : layers of which the server reads patients x update, and so both; saves time, no bytes (notebook 06)
    least : hospitals in a sum that is opened, three or more
    network : ``network(sender, message)`` returns what arrives of a message, to watch or to disturb it; all if None
    """

    name, mean_is_read_by = "BFV", "hospitals"

    def __init__(
        self,
        *,
        bits: int = 28,
        rounding: str = "dithered",
        most_change: float = 10.0,
        in_the_clear: Sequence[str] = (),
        least: int = FEWEST,
        network: Network | None = None,
    ) -> None:
        encryption.choose(3, bits=bits)
        require("rounding", rounding, [*ROUNDING].__contains__, f"one of {', '.join(ROUNDING)}")
        require("most_change", most_change, is_positive, "above 0, the most of any number of an update, such as 10.0")
        require("in_the_clear", in_the_clear, is_list, "a list of layers, such as ['kernel']")
        require("least", least, lambda it: is_whole(it, FEWEST), f"a number of hospitals, {FEWEST} at the least")
        require("network", network, *A_NETWORK)
        self.bits, self.rounding, self.in_the_clear = bits, rounding, tuple(in_the_clear)
        self.most_change, self.least, self.network = most_change, least, network or _unchanged

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> EncryptedState:
        """Make keys at each hospital."""
        sizes = {layer: int(np.prod(shape)) for layer, shape in shapes.items()}
        if unknown := [layer for layer in self.in_the_clear if layer not in sizes]:
            raise ValueError(f"The model has no layer {unknown[0]!r} to leave in the clear; it has {', '.join(sizes)}.")
        if set(self.in_the_clear) == set(sizes):
            raise ValueError("Every layer would travel in the clear: use aggregators.Mean for that.")
        hidden = np.concatenate([np.full(size, layer not in self.in_the_clear) for layer, size in sizes.items()])
        parameters = encryption.choose(len(hospitals), numbers=int(hidden.sum()), bits=self.bits)
        Counted().layer(1, 1.0, parameters, ROUNDING[self.rounding])  # a ValueError, if these bits are too few
        return EncryptedState(Together(hospitals, parameters, ledger, self.network, self.least), hidden)

    def total(self, state: EncryptedState, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Add up a few numbers, exactly; only the hospitals read them."""
        layout = _layout(numbers, state.parties.parameters)
        found = state.parties.sums(purpose, layout, {name: (own, 1) for name, own in numbers.items()}, ledger)
        return np.sum([each.numbers[1:] for each in found], axis=0)

    def aggregate(self, state: EncryptedState, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the next state and the mean; a ValueError names whose update or weight cannot be used."""
        state, found = self.sums(state, updates, weights, ledger)
        return state, divided(np.sum(found, axis=0))[0]

    def sums(
        self,
        state: EncryptedState,
        updates: Vectors,
        weights: Weights,
        ledger: Ledger,
        groups: Sequence[Sequence[str]] | None = None,
    ) -> tuple[EncryptedState, list[np.ndarray]]:
        """Return the next state, and a sum each group: of the weights, and of weight x update, shape [1 + p].

        By default, up to 100 hospitals are one group; a group of which fewer than three are heard is left out.
        """
        vectors = {name: np.asarray(update, dtype=np.float64) for name, update in updates.items()}
        for name, vector in vectors.items():
            if vector.shape != state.hidden.shape or name not in weights:
                need = f"{name}: {len(state.hidden)} numbers and a weight are needed"
                raise ValueError(f"{need}, and the update has shape {vector.shape}, the weight is {weights.get(name)}.")
            if not (largest := np.abs(vector).max()) <= self.most_change:  # NaN is not, either
                said = f"{name}: a number of the update is {largest:.3g}, and {self.most_change:g} was agreed on"
                raise ValueError(f"{said} (`most_change`): did the training diverge?")
        clear = {name: vector[~state.hidden] for name, vector in vectors.items() if self.in_the_clear}
        vectors = {name: vector[state.hidden] for name, vector in vectors.items()}
        if self.rounding == "feedback":
            left = dict(state.residuals)
            wanted = {name: own + left.get(name, 0.0) / max(weights[name], 1) for name, own in vectors.items()}
            vectors = {name: np.clip(own, -self.most_change, self.most_change) for name, own in wanted.items()}
        if any(state.weights.get(name) != weights[name] for name in vectors):
            own = {name: (np.empty(0), weights[name]) for name in vectors}
            found = state.parties.sums("patients", Layout(()), own, ledger, groups=groups)
            vectors = {name: vectors[name] for each in found for name in each.hospitals}
            counted = Counted(sum(each.numbers[0] for each in found), len(vectors), len(state.parties.keyrings))
            own = {name: weights[name] for name in vectors}
            state = replace(state, weights=own, counted=counted)
        layout = self.layout(state)
        numbers, sums = {name: (vector, weights[name]) for name, vector in vectors.items()}, []
        found = state.parties.sums("update", layout, numbers, ledger, clear, groups)
        if self.rounding == "feedback":  # who was not heard has sent nothing
            heard = [name for each in found for name in each.hospitals]
            sent = {name: layout.rounded(vectors[name], weights[name]) for name in heard}
            left |= {name: own * weights[name] - sent.get(name, 0.0) for name, own in wanted.items()}
            state = replace(state, residuals=left)
        for each in found:
            whole = np.empty(1 + len(state.hidden))
            whole[0], whole[1:][state.hidden] = each.numbers[0], each.numbers[1:]
            whole[1:][~state.hidden] = each.clear
            sums.append(whole)
        return state, sums

    def layout(self, state: EncryptedState) -> Layout:
        """Return how an update is written, once patients were counted."""
        size, of = int(state.hidden.sum()), state.parties.parameters
        return Layout((state.counted.layer(size, self.most_change, of, ROUNDING[self.rounding]),))


class SharedKeyMean:
    """The weighted mean by CKKS, under one key that all hospitals share: to learn with (notebook 03).

    Any hospital, with the server's help, reads any update: `EncryptedMean` is the one to use. Numbers come out with a
    little noise. See `encryption.shared`.

    network : ``network(sender, message)`` returns what arrives of a message; all if None
    """

    name, mean_is_read_by = "CKKS", "hospitals"

    def __init__(self, *, network: Network | None = None) -> None:
        require("network", network, *A_NETWORK)
        self.network = network or _unchanged

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> encryption.SharedKeys:
        """Make the key at the first hospital, and hand it out."""
        maker, *others = hospitals
        with ledger.timed(maker, "keys"):
            keys = encryption.SharedKeys(len(hospitals))
        ledger.add(maker, "up", "keys", len(keys.server.public))
        for other in others:
            ledger.add(other, "peer", "keys", keys.secret_bytes())
        return keys

    def total(self, state: encryption.SharedKeys, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Add up a few numbers, exactly; only the hospitals read them."""
        layout = _layout(numbers, state.parameters)
        mean, weight = self._sum(state, numbers, dict.fromkeys(numbers, 1), ledger, layout)
        return mean * weight

    def aggregate(self, state: encryption.SharedKeys, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the state, and the mean."""
        return state, self._sum(state, updates, weights, ledger)[0]

    def _sum(
        self, keys: encryption.SharedKeys, vectors: Vectors, weights: Weights, ledger: Ledger, layout: Any = None
    ) -> tuple[np.ndarray, float]:
        arrived = []
        for hospital, vector in vectors.items():
            with ledger.timed(hospital, "encrypt"):
                try:
                    message = keys.encrypt(vector, weights[hospital], layout)
                except ValueError as problem:
                    raise ValueError(f"{hospital}: {problem}") from problem
            arrived.append(self.network(hospital, message))
            ledger.add(hospital, "up", "send", len(arrived[-1]))
        with ledger.timed("server", "add"):
            answer = keys.server.add(arrived)
        answer = self.network("server", answer)
        began, found = perf_counter(), keys.decrypt(answer, layout)
        seconds = perf_counter() - began
        for hospital in vectors:
            ledger.add(hospital, "down", "send", len(answer))
            ledger.add(hospital, "", "decrypt", seconds=seconds)
        return found


def _layout(numbers: Vectors, parameters: Parameters) -> Layout:
    """How numbers travel that are added up exactly: integers in fewer bits."""
    ((size, whole),) = {(len(own), own.dtype.kind == "i") for own in numbers.values()}
    layer = quantization.whole_layer if whole else quantization.exact_layer
    return Layout((layer(size, parameters),))


def _unchanged(sender: str, message: bytes) -> bytes:
    return message
