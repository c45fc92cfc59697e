"""How the hospitals' updates become one: in the clear, or encrypted; and what can be put around either.

What changes the numbers before they are added up, or the mean after that, wraps one of them (`Wrapped`): an attack,
a screening, noise, a clock.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from fedkit import encryption
from fedkit.encryption import envelopes, messages, quantization, schemes
from fedkit.encryption.envelopes import About, Roster
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import LARGE_SUM, SUM, MessageError
from fedkit.encryption.quantization import Layout
from fedkit.records import Ledger

Vectors = Mapping[str, np.ndarray]  # hospital -> its numbers
Weights = Mapping[str, float]  # hospital -> number of training patients
Shapes = Mapping[str, tuple[int, ...]]  # layer of the model -> its shape, in order
Joined = tuple[Any, np.ndarray]  # the next state, and the mean


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
        self.inner, self.name, self.mean_is_read_by = inner, inner.name, inner.mean_is_read_by

    def begin(self, hospitals: Sequence[str]) -> Any:
        """Return what is remembered before the first round; a ValueError refuses these hospitals."""

    def before(self, own: Any, updates: Vectors, weights: Weights, ledger: Ledger) -> tuple[Any, Vectors, Weights]:
        """Return what is remembered, and the updates and weights that go in instead of these."""
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


SERVER = "server"
ROUNDING = {"nearest": 0.5, "stochastic": 1.0, "feedback": 0.5}  # how far it moves a number at the most, in steps
_GROWTH = 2.0  # times its last update is what a hospital promises for its next one
_KEEP = 0.95  # of an old bound: FedAvg's updates then outgrow it about once in 100 rounds


class Terms(NamedTuple):
    """What is to be added up, as all know it before."""

    purpose: str  # see `envelopes.About`
    round: int
    layout: Layout
    clear: Vectors | None = None  # more numbers [c], which travel beside, readable: patients x numbers, as float32


class Opened(NamedTuple):
    """What the hospitals read of one sum."""

    mean: np.ndarray  # shape [p]
    patients: float
    hospitals: tuple[str, ...]  # whose messages were taken
    clear: np.ndarray  # mean of what travelled readable, shape [c]


@dataclass(frozen=True)
class EncryptedState:
    """What an encrypted training carries from round to round, and who does what with it; here one process plays all."""

    keys: encryption.HospitalKeys  # which all hospitals hold
    server: encryption.Server  # made from public bytes
    identities: Mapping[str, Identity]  # each one's own, the server's too: what they sign with
    roster: Roster  # the public keys of all, which everybody holds
    sizes: Mapping[str, int]  # layer -> how many numbers, of those that are encrypted
    hidden: np.ndarray  # which numbers of an update these are: bool, shape [p]
    # What BFV agrees on. Each hospital knows its own bounds, and all know the sum of patients x bound.
    agreements: int = 0  # how many messages of bounds alone were needed so far
    weights: Weights = field(default_factory=dict)  # of those that agreed on the layout
    bounds: Vectors = field(default_factory=dict)  # how large an update each promised, one bound a layer
    layout: Layout | None = None  # what follows from their sum
    residuals: Vectors = field(default_factory=dict)  # with feedback: what rounding left over, in patients x update

    def sent(self, terms: Terms, hospital: str, vector: np.ndarray, weight: float, dither: Any) -> dict[str, bytes]:
        """At a hospital: the messages that it sends, by purpose; a ValueError names the hospital."""
        try:
            contents = {terms.purpose: self.keys.encrypt(vector, weight, terms.layout, dither)}
            if terms.clear:
                contents["clear"] = (terms.clear[hospital] * weight).astype("<f4").tobytes()
            return {what: self.signed(terms, what, hospital, (hospital,), own) for what, own in contents.items()}
        except ValueError as problem:
            raise ValueError(f"{hospital}: {problem}") from problem

    def taken(self, terms: Terms, hospital: str, arrived: Mapping[str, bytes]) -> tuple[bytes, np.ndarray]:
        """At the server: what is encrypted and what is readable of a hospital's messages; else a MessageError."""
        contents = {"clear": b""}
        sizes = {"clear": 4 * int(np.sum(~self.hidden)), terms.purpose: self.keys.message_bytes(terms.layout)}
        for what, message in arrived.items():
            about, contents[what] = self._read(terms, what, hospital, message, size=sizes[what], most=0)
            if about.hospitals != (hospital,):
                raise MessageError(f"{hospital} sent the numbers of {', '.join(about.hospitals)}: each sends its own.")
        numbers = np.frombuffer(contents["clear"], "<f4").astype(np.float64)
        if not np.isfinite(numbers).all():
            raise MessageError(f"{hospital} sent numbers in the clear that are not finite: they cannot be added.")
        return contents[terms.purpose], numbers

    def opened(self, terms: Terms, answer: bytes, readable: np.ndarray, hospitals: list[str]) -> Opened:
        """At the hospitals: the mean of what the server added, if that is theirs; else a MessageError."""
        parameters, coefficients = self.keys.parameters, self.keys.coefficients(terms.layout)
        most = max(messages.message_bytes(parameters, coefficients, len(hospitals), kind) for kind in (SUM, LARGE_SUM))
        about, content = self._read(terms, terms.purpose, SERVER, answer, size=None, most=most)
        if not set(about.hospitals) <= set(hospitals) or self.keys.read(content).hospitals != len(about.hospitals):
            raise MessageError(
                f"The server says that it added up {', '.join(about.hospitals):.200}, and these are not the hospitals "
                "of this round, or not as many as it added: its software is another, or hostile."
            )
        mean, patients = self.keys.decrypt(content, terms.layout)
        return Opened(mean, patients, about.hospitals, readable / patients)

    def signed(self, terms: Terms, purpose: str, sender: str, hospitals: tuple[str, ...], content: bytes) -> bytes:
        """At anybody: a content in its envelope."""
        about = About(self.keys.key_id.hex(), purpose, terms.round, sender, hospitals)
        return envelopes.sign(content, about, self.identities[sender])

    def _read(self, terms: Terms, purpose: str, sender: str, message: bytes, **size: int | None) -> tuple[About, bytes]:
        expected = {"study": self.keys.key_id.hex(), "purpose": purpose, "round": terms.round, "sender": sender}
        return envelopes.read(message, self.roster[sender], **expected, **size)


class EncryptedMean:
    """The weighted mean, of updates that the server cannot read.

    BFV adds integers, exactly. What a step is worth follows from what hospitals promise: each bounds its next update,
    layer by layer, by twice the largest number of this one, and gives up an old bound only slowly. The bounds travel,
    encrypted, beside the update; the sum of patients x bound is all that is seen, and what has to fit, so that a small
    hospital with large updates needs no special care. Nothing is ever cut: before the first round, when hospitals or
    their patients change, and when an update outgrows its bound, one more message carries new bounds first.

    Keys are made once a training. A message that cannot be taken is left out, and the round goes on. A sum is
    decrypted once, and the seconds are noted at each hospital, which would spend them.

    scheme : "bfv" (integers, exact) or "ckks" (real numbers, approximate)
    bits : of the sum of one number: 26 are as fine as float32; 12 take less than half of its bytes (notebook 05)
    rounding : BFV: to the "nearest" step; "stochastic", up or down at random, right on average (Alistarh et al. 2017);
        or with "feedback", where what it left over is added to the hospital's next update (Seide et al. 2014)
    in_the_clear : layers of which the server reads patients x update (notebook 06); saves time, no bytes
    network : ``network(sender, message)`` returns what arrives of a message, to watch or to disturb it; all if None
    """

    mean_is_read_by = "hospitals"

    def __init__(
        self,
        scheme: str = "bfv",
        *,
        bits: int = 26,
        rounding: str = "nearest",
        in_the_clear: Sequence[str] = (),
        network: Callable[[str, bytes], bytes] | None = None,
    ) -> None:
        schemes.choose(scheme, 2, bits=bits)
        if rounding not in ROUNDING or (rounding != "nearest" and scheme != "bfv"):
            raise ValueError(f"Rounding {rounding!r} is not one of {', '.join(ROUNDING)}, and only BFV rounds.")
        self.scheme, self.bits, self.rounding, self.in_the_clear = scheme, bits, rounding, tuple(in_the_clear)
        self.network = network or (lambda sender, message: message)
        self.name, self.reach = scheme.upper(), ROUNDING[rounding]

    def dither(self, vector: np.ndarray) -> np.random.Generator | None:
        """Return whose random numbers are added to a vector, in steps, before it is rounded down; None: to the nearest.

        They follow from it, so that a rerun gives the same bits. Who adds whole steps of noise here widens `reach`.
        """
        if self.rounding == "stochastic":
            return np.random.default_rng(int.from_bytes(hashlib.sha256(vector.tobytes()).digest(), "big"))
        return None

    def start(self, hospitals: Sequence[str], shapes: Shapes, ledger: Ledger) -> EncryptedState:
        """Make identities, and keys at the first hospital, and hand them out."""
        sizes = {layer: int(np.prod(shape)) for layer, shape in shapes.items()}
        if unknown := [layer for layer in self.in_the_clear if layer not in sizes]:
            raise ValueError(f"The model has no layer {unknown[0]!r} to leave in the clear; it has {', '.join(sizes)}.")
        if set(self.in_the_clear) == set(sizes):
            raise ValueError("Every layer would travel in the clear: use aggregators.Mean for that.")
        if not hospitals or SERVER in hospitals:
            raise ValueError(f"A training needs at least one hospital, and none may be called {SERVER!r}: {hospitals}.")
        hidden = np.concatenate([np.full(size, layer not in self.in_the_clear) for layer, size in sizes.items()])
        identities = {name: Identity.new(name) for name in (*hospitals, SERVER)}
        roster = Roster({name: identity.public for name, identity in identities.items()})
        for name in hospitals:  # each hands its public key to all, and so does the server
            ledger.add(name, "up", "keys", len(roster[name]))
            ledger.add(name, "peer", "keys", len(roster[name]) * (len(hospitals) - 1))
            ledger.add(name, "down", "keys", len(roster[SERVER]))
        maker, *others = hospitals
        with ledger.timed(maker, "keys"):
            room = {"hospitals": len(hospitals), "numbers": int(hidden.sum()), "bits": self.bits}
            keys = encryption.generate_keys(self.scheme, **room)
        ledger.add(maker, "up", "keys", len(keys.public))
        for other in others:
            ledger.add(other, "peer", "keys", len(keys.secret))
        with ledger.timed(SERVER, "keys"):
            server = encryption.Server(keys.public)
        sizes = {layer: size for layer, size in sizes.items() if layer not in self.in_the_clear}
        return EncryptedState(keys, server, identities, roster, sizes, hidden)

    def total(self, state: EncryptedState, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Add up a few numbers, exactly to 2^-40; only the hospitals read them."""
        (size,) = {len(own) for own in numbers.values()}
        layout = Layout((quantization.exact_layer(size, state.keys.parameters),))
        found = self._sum(state, Terms(purpose, ledger.round, layout), numbers, dict.fromkeys(numbers, 1), ledger)
        return found.mean * found.patients

    def aggregate(self, state: EncryptedState, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the next state and the mean; a ValueError names whose update or weight cannot be used."""
        vectors = {hospital: np.asarray(update, dtype=np.float64) for hospital, update in updates.items()}
        for hospital, vector in vectors.items():
            if vector.shape != state.hidden.shape or hospital not in weights:
                raise ValueError(
                    f"{hospital}: {len(state.hidden)} numbers and a weight are needed, and the update has shape "
                    f"{vector.shape}, the weight is {weights.get(hospital)}."
                )
        clear = {hospital: vector[~state.hidden] for hospital, vector in vectors.items() if self.in_the_clear}
        hidden = {hospital: vector[state.hidden] for hospital, vector in vectors.items()}
        weights = {hospital: weights[hospital] for hospital in vectors}
        if self.scheme == "ckks":
            layout = Layout((quantization.real_layer(state.hidden.sum(), state.keys.parameters),))
            found = self._sum(state, Terms("update", ledger.round, layout, clear), hidden, weights, ledger)
        else:
            state, found = self._sum_of_integers(state, hidden, clear, weights, ledger)
        mean = np.empty(len(state.hidden))
        mean[state.hidden], mean[~state.hidden] = found.mean, found.clear
        return state, mean

    def _sum_of_integers(
        self, state: EncryptedState, vectors: Vectors, clear: Vectors, weights: Weights, ledger: Ledger
    ) -> tuple[EncryptedState, Opened]:
        """One round of BFV: agree on bounds where it is needed, then send updates and the next bounds."""
        vectors = {h: v + state.residuals.get(h, 0.0) / max(weights[h], 1) for h, v in vectors.items()}
        sizes = list(state.sizes.values())
        largest = {hospital: quantization.maxima(vector, sizes) for hospital, vector in vectors.items()}
        before = {hospital: state.bounds.get(hospital, np.zeros(len(sizes))) for hospital in vectors}
        bounds = {hospital: np.maximum(_GROWTH * largest[hospital], _KEEP * before[hospital]) for hospital in vectors}
        bounds = {hospital: np.where(own == 0, 1.0, own) for hospital, own in bounds.items()}  # nothing ever moved
        exact = quantization.exact_layer(len(sizes), state.keys.parameters)
        if weights != state.weights or any((largest[hospital] > before[hospital]).any() for hospital in vectors):
            found = self._sum(state, Terms("bounds", ledger.round, Layout((exact,))), bounds, weights, ledger)
            state = replace(self._agreed(state, found, bounds, weights), agreements=state.agreements + 1)
            vectors = {hospital: vectors[hospital] for hospital in found.hospitals}
        sent = {hospital: np.concatenate([bounds[hospital], vector]) for hospital, vector in vectors.items()}
        layout = Layout((exact, *state.layout.layers))
        found = self._sum(state, Terms("update", ledger.round, layout, clear), sent, weights, ledger)
        if self.rounding == "feedback":
            left = {h: v * weights[h] - state.layout.rounded(v * weights[h]) for h, v in vectors.items()}
            state = replace(state, residuals=state.residuals | left)
        return self._agreed(state, found, bounds, weights), found._replace(mean=found.mean[len(sizes) :])

    def _agreed(self, state: EncryptedState, found: Opened, bounds: Vectors, weights: Weights) -> EncryptedState:
        """Take on the bounds of the hospitals that were heard: what was found begins with the mean of them."""
        pairs = zip(state.sizes.values(), found.mean[: len(state.sizes)] * found.patients, strict=True)
        layers = [quantization.packed_layer(*pair, state.keys.parameters, self.reach) for pair in pairs]
        weights, bounds = ({name: each[name] for name in found.hospitals} for each in (weights, bounds))
        return replace(state, layout=Layout(tuple(layers)), weights=weights, bounds=bounds)

    def _sum(self, state: EncryptedState, terms: Terms, vectors: Vectors, weights: Weights, ledger: Ledger) -> Opened:
        """Encrypt and sign at each hospital, check and add at the server, check and decrypt at each hospital."""
        total, taken, readable = encryption.Sum(state.server, state.keys.coefficients(terms.layout)), [], 0.0
        for hospital, vector in vectors.items():
            with ledger.timed(hospital, "encrypt"):
                sent = state.sent(terms, hospital, vector, weights[hospital], self.dither(vector))
            arrived = {what: self.network(hospital, message) for what, message in sent.items()}
            began, refused = perf_counter(), False
            try:
                content, numbers = state.taken(terms, hospital, arrived)
                total.add(content)
                taken.append(hospital)
                readable = readable + numbers
            except MessageError:
                refused = True
            ledger.add(SERVER, "", "add", seconds=perf_counter() - began)
            for what, message in arrived.items():
                phase = "refused" if refused else "clear" if what == "clear" else "send"
                ledger.add(hospital, "up", phase, len(message))
        if not taken:
            raise MessageError(f"No hospital's message could be taken in round {terms.round}: nothing can be added up.")
        with ledger.timed(SERVER, "add"):
            answer = state.signed(terms, terms.purpose, SERVER, tuple(taken), total.to_bytes())
        answer = self.network(SERVER, answer)
        began = perf_counter()
        found = state.opened(terms, answer, readable, list(vectors))
        seconds = perf_counter() - began
        for hospital in vectors:
            ledger.add(hospital, "down", "send", len(answer))
            ledger.add(hospital, "", "decrypt", seconds=seconds)
            if terms.clear:
                ledger.add(hospital, "down", "clear", 4 * readable.size)
        return found
