"""How the hospitals' updates become one: in the clear, or encrypted."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from fedkit import encryption
from fedkit.encryption import envelopes, messages, quantization, schemes
from fedkit.encryption.envelopes import About, Roster
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout
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
            mean = weighted_mean(list(received.values()), [weights[hospital] for hospital in received])
        for hospital in updates:
            ledger.add(hospital, "down", "send", mean.size * 4)
        return None, mean


SERVER = "server"
Network = Callable[[str, bytes], bytes]


@dataclass(frozen=True)
class Parties:
    """Who holds what. In the simulation one process plays all of them.

    Attributes
    ----------
    keys : encryption.HospitalKeys
        The key that all hospitals hold.
    server : encryption.Server
        Made from public bytes.
    identities : dict of str to Identity
        Each one's own, the server's too; what they sign with.
    roster : Roster
        The public keys of all, which everybody holds.
    network : callable
        ``network(sender, message)`` returns what arrives of it.
    """

    keys: encryption.HospitalKeys
    server: encryption.Server
    identities: dict[str, Identity]
    roster: Roster
    network: Network

    def renewed(self, ledger: Ledger) -> "Parties":
        """Make new keys and hand them out."""
        hospitals = [name for name in self.identities if name != SERVER]
        return _with_keys(self, self.keys.renewed, hospitals, ledger)


def meet(hospitals: Sequence[str], make: Callable, network: Network, ledger: Ledger) -> Parties:
    """Everybody makes an identity, and the first hospital the keys."""
    if not hospitals or SERVER in hospitals:
        raise ValueError(f"A training needs at least one hospital, and none may be called {SERVER!r}: {hospitals}.")
    identities = {name: Identity.new(name) for name in (*hospitals, SERVER)}
    roster = Roster({name: identity.public for name, identity in identities.items()})
    for name in hospitals:  # each hands its public key to all, and so does the server
        ledger.add(name, "up", "keys", len(roster[name]))
        ledger.add(name, "peer", "keys", len(roster[name]) * (len(hospitals) - 1))
        ledger.add(name, "down", "keys", len(roster[SERVER]))
    return _with_keys(Parties(None, None, identities, roster, network), make, hospitals, ledger)


def _with_keys(parties: Parties, make: Callable, hospitals: Sequence[str], ledger: Ledger) -> Parties:
    maker, *others = hospitals
    with ledger.timed(maker, "keys"):
        keys = make()
    ledger.add(maker, "up", "keys", len(keys.public))
    for other in others:
        ledger.add(other, "peer", "keys", len(keys.secret))
    with ledger.timed(SERVER, "keys"):
        server = encryption.Server(keys.public)
    return replace(parties, keys=keys, server=server)


@dataclass(frozen=True)
class Told:
    """What came back from the server.

    Attributes
    ----------
    mean : numpy.ndarray
        Shape [p].
    patients : float
        Of all hospitals in it.
    hospitals : tuple of str
        Whose messages were taken.
    clear : numpy.ndarray
        Mean of what was sent in the clear, shape [c].
    """

    mean: np.ndarray
    patients: float
    hospitals: tuple[str, ...]
    clear: np.ndarray


def through_server(
    parties: Parties,
    purpose: str,
    vectors: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    layout: Layout,
    ledger: Ledger,
    clear: Mapping[str, np.ndarray] | None = None,
    stochastic: bool = False,
) -> Told:
    """Encrypt and sign at each hospital, check and add at the server, check and decrypt at each hospital.

    A message that the server cannot take is left out, and the ledger says so: direction
    "up", phase "refused", its bytes.

    Parameters
    ----------
    parties
        Who holds what.
    purpose
        See `envelopes.About`.
    vectors, weights
        Hospital -> numbers of shape [p], and patients.
    layout
        What all agreed on.
    ledger
        Where bytes and seconds are noted.
    clear
        Hospital -> more numbers, shape [c], which travel beside, readable: patients x
        numbers, as float32.
    stochastic
        Round at random. What a number is rounded to is decided by the hash of the
        vector, so that a rerun gives the same bits.

    Raises
    ------
    ValueError
        If a hospital's numbers cannot be encrypted; it names the hospital.
    MessageError
        If too few hospitals are left, or the sum was changed on its way.
    """
    keys, study, round = parties.keys, parties.keys.key_id.hex(), ledger.round
    size = keys.message_bytes(layout)
    asked = {"study": study, "round": round}
    total, taken, clear_sum = encryption.Sum(parties.server, keys.coefficients(layout)), [], 0.0
    for hospital, vector in vectors.items():
        about = About(study, purpose, round, hospital, (hospital,))
        try:
            with ledger.timed(hospital, "encrypt"):
                dither = _dither(vector) if stochastic else None
                content = keys.encrypt(vector, weights[hospital], layout, dither)
                sent = [envelopes.sign(content, about, parties.identities[hospital])]
                if clear:
                    numbers = (clear[hospital] * weights[hospital]).astype("<f4").tobytes()
                    sent.append(envelopes.sign(numbers, about._replace(purpose="clear"), parties.identities[hospital]))
        except ValueError as problem:
            raise ValueError(f"{hospital}: {problem}") from problem
        arrived = [parties.network(hospital, message) for message in sent]
        began = perf_counter()
        try:
            expected = asked | {"sender": hospital, "most": 0}
            public, phase = parties.roster[hospital], "send"
            if clear:
                _, numbers = envelopes.read(arrived[1], public, purpose="clear", size=len(numbers), **expected)
            found, content = envelopes.read(arrived[0], public, purpose=purpose, size=size, **expected)
            if found.hospitals != (hospital,):
                raise MessageError(f"{hospital} sent the numbers of {', '.join(found.hospitals)}: each sends its own.")
            readable = np.frombuffer(numbers, "<f4").astype(np.float64) if clear else 0.0
            if not np.isfinite(readable).all():
                raise MessageError(f"{hospital} sent numbers in the clear that are not finite: they cannot be added.")
            total.add(content)
            taken.append(hospital)
            clear_sum = clear_sum + readable
        except MessageError:
            phase = "refused"
        ledger.add(SERVER, "", "add", seconds=perf_counter() - began)
        ledger.add(hospital, "up", phase, len(arrived[0]))
        if clear:
            ledger.add(hospital, "up", "clear" if phase == "send" else phase, len(arrived[1]))
    if not taken:
        raise MessageError(f"No hospital's message could be taken in round {round}: nothing can be added up.")
    with ledger.timed(SERVER, "add"):
        about = About(study, purpose, round, SERVER, tuple(taken))
        answer = envelopes.sign(total.to_bytes(), about, parties.identities[SERVER])
    answer = parties.network(SERVER, answer)
    began = perf_counter()
    most = messages.message_bytes(keys.parameters, keys.coefficients(layout), len(taken), messages.LARGE_SUM)
    most = max(most, messages.message_bytes(keys.parameters, keys.coefficients(layout), len(taken), messages.SUM))
    public = parties.roster[SERVER]
    about, content = envelopes.read(answer, public, purpose=purpose, sender=SERVER, size=None, most=most, **asked)
    if not set(about.hospitals) <= set(vectors) or keys.read(content).hospitals != len(about.hospitals):
        raise MessageError(
            f"The server says that it added up {', '.join(about.hospitals):.200}, and these are not the hospitals of "
            "this round, or not as many as it added: its software is another, or hostile."
        )
    mean, patients = keys.decrypt(content, layout)
    seconds = perf_counter() - began
    for hospital in vectors:
        ledger.add(hospital, "down", "send", len(answer))
        ledger.add(hospital, "", "decrypt", seconds=seconds)
        if clear:
            ledger.add(hospital, "down", "clear", 4 * np.size(clear_sum))
    return Told(mean, patients, about.hospitals, np.atleast_1d(clear_sum) / patients)


def _dither(vector: np.ndarray) -> np.random.Generator:
    """Random numbers that are the same whenever the vector is."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(vector.tobytes()).digest(), "big"))


ROUNDING = ("nearest", "stochastic", "feedback")
_KEEP = 0.95  # of an old bound: FedAvg's updates then outgrow it about once in 100 rounds


@dataclass(frozen=True)
class EncryptedState:
    """What an encrypted training carries from round to round.

    Attributes
    ----------
    parties : Parties
        Hospitals and server: keys, identities.
    sizes : dict of str to int
        Layer -> how many numbers, of those that are encrypted.
    hidden : numpy.ndarray
        Which numbers of an update these are: bool, shape [p].
    agreements : int
        BFV: how many messages of bounds alone were needed so far.
    weights : dict
        BFV: hospital -> patients, of those that agreed on `layout`.
    bounds : dict
        BFV: hospital -> how large an update it promised, one a layer. Each hospital
        knows its own, and all know the sum of patients x bound.
    layout : quantization.Layout or None
        BFV: what follows from that sum.
    residuals : dict
        With feedback: hospital -> what rounding left over, in patients x update.
    """

    parties: Parties
    sizes: dict[str, int]
    hidden: np.ndarray
    agreements: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, np.ndarray] = field(default_factory=dict)
    layout: Layout | None = None
    residuals: dict[str, np.ndarray] = field(default_factory=dict)


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

    Every message is signed, by a key pair of each hospital's own, and checked before
    it is read. One that cannot be taken is left out, and the round goes on; the ledger
    has its bytes in the phase "refused".

    In the simulation all hospitals are one process: the sum is decrypted once, and
    the seconds are noted at each hospital, since each would spend them. Keys are
    made once, and their bytes are noted as if handed to each.

    Parameters
    ----------
    scheme
        "bfv" (integers, exact) or "ckks" (real numbers, approximate).
    bits
        Of the sum of one number: 26 are as fine as float32; 12 take less than half of its
        bytes (notebook 05 measures what they do to a model).
    rounding
        BFV: to the "nearest" step; "stochastic", up or down at random, right on average
        (Alistarh et al. 2017); or with "feedback", where what rounding left over is added to the
        hospital's next update (Seide et al. 2014). With few bits the last two win back what
        rounding costs.
    growth
        BFV: how many times larger than its last one a hospital's update may be.
    in_the_clear
        Layers of the model that are not encrypted: the server reads patients x update
        of them, and notebook 06 shows what it learns from such numbers. Saves the time to
        encrypt them, and no bytes: float32 takes 4, where packed BFV takes less.
    security
        128, 192 or 256 bits.
    renew_keys_every
        So many rounds; never if None.
    cores
        How many processes encrypt a large update.
    network
        What becomes of a message on its way: ``network(sender, message)`` returns what
        arrives. To watch or to disturb it; nothing happens to it if None.

    Raises
    ------
    ValueError
        If the scheme is unknown, or a setting leaves no room.
    """

    mean_is_read_by = "hospitals"

    def __init__(
        self,
        scheme: str = "bfv",
        *,
        bits: int = 26,
        rounding: str = "nearest",
        growth: float = 2.0,
        in_the_clear: Sequence[str] = (),
        security: int = 128,
        renew_keys_every: int | None = None,
        cores: int = 1,
        network: Network | None = None,
    ) -> None:
        schemes.choose(scheme, 2, bits=bits, security=security)
        if rounding not in ROUNDING or (rounding != "nearest" and scheme != "bfv"):
            raise ValueError(f"Rounding {rounding!r} is not one of {', '.join(ROUNDING)}, and only BFV rounds.")
        if not 1 <= growth < float("inf"):
            raise ValueError(f"An update may grow by a factor of 1 or more, not {growth}: change `growth`.")
        if renew_keys_every is not None and renew_keys_every < 1:
            raise ValueError(f"Keys are renewed every 1 or more rounds, not {renew_keys_every}.")
        self.scheme, self.bits, self.rounding, self.growth = scheme, bits, rounding, growth
        self.in_the_clear, self.security, self.renew_keys_every = tuple(in_the_clear), security, renew_keys_every
        self.cores, self.network = cores, _undisturbed if network is None else network

    def __repr__(self) -> str:
        return f"EncryptedMean({self.scheme!r}, bits={self.bits})"

    @property
    def name(self) -> str:
        """The scheme, as tables and figures write it: "BFV" or "CKKS"."""
        return self.scheme.upper()

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> EncryptedState:
        """Make identities, and keys at the first hospital, and hand them out."""
        sizes = {layer: int(np.prod(shape)) for layer, shape in shapes.items()}
        if unknown := [layer for layer in self.in_the_clear if layer not in sizes]:
            raise ValueError(f"The model has no layer {unknown[0]!r} to leave in the clear; it has {', '.join(sizes)}.")
        if set(self.in_the_clear) == set(sizes):
            raise ValueError("Every layer would travel in the clear: use aggregators.Mean for that.")
        hidden = np.concatenate([np.full(size, layer not in self.in_the_clear) for layer, size in sizes.items()])
        parties = meet(
            hospitals,
            lambda: encryption.generate_keys(
                self.scheme,
                hospitals=len(hospitals),
                numbers=int(hidden.sum()),
                bits=self.bits,
                security=self.security,
                cores=self.cores,
            ),
            self.network,
            ledger,
        )
        return EncryptedState(parties, {n: s for n, s in sizes.items() if n not in self.in_the_clear}, hidden)

    def total(
        self, state: EncryptedState, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger
    ) -> np.ndarray:
        """See `Aggregator.total`: exact to 2^-40, and read by the hospitals only."""
        (size,) = {len(own) for own in numbers.values()}
        layout = Layout((quantization.exact_layer(size, state.parties.keys.parameters),))
        told = through_server(state.parties, purpose, numbers, dict.fromkeys(numbers, 1), layout, ledger)
        return told.mean * told.patients

    def aggregate(
        self, state: EncryptedState, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[EncryptedState, np.ndarray]:
        """See `Aggregator.aggregate`; a ValueError names the hospital whose update or weight cannot be used."""
        vectors = {hospital: np.asarray(update, dtype=np.float64) for hospital, update in updates.items()}
        for hospital, vector in vectors.items():
            if vector.shape != state.hidden.shape or hospital not in weights:
                raise ValueError(
                    f"{hospital}: {len(state.hidden)} numbers and a weight are needed, and the update has shape "
                    f"{vector.shape}, the weight is {weights.get(hospital)}."
                )
        if self.renew_keys_every and ledger.round > 1 and (ledger.round - 1) % self.renew_keys_every == 0:
            state = replace(state, parties=state.parties.renewed(ledger))
        clear = {hospital: vector[~state.hidden] for hospital, vector in vectors.items()} if self.in_the_clear else None
        hidden = {hospital: vector[state.hidden] for hospital, vector in vectors.items()}
        weights = {hospital: weights[hospital] for hospital in vectors}
        mean = np.empty(len(state.hidden))
        if self.scheme == "ckks":
            layout = Layout((quantization.real_layer(state.hidden.sum(), state.parties.keys.parameters),))
            told = through_server(state.parties, "update", hidden, weights, layout, ledger, clear)
            mean[state.hidden] = told.mean
        else:
            state, told = self._add_integers(state, hidden, weights, ledger, clear)
            mean[state.hidden] = told.mean[len(state.sizes) :]
        mean[~state.hidden] = told.clear[: (~state.hidden).sum()]
        return state, mean

    def _add_integers(self, state, vectors, weights, ledger, clear):
        """One round of BFV: agree on bounds where it is needed, then send updates and the next bounds."""
        vectors = {h: v + state.residuals.get(h, 0.0) / max(weights[h], 1) for h, v in vectors.items()}
        sizes = list(state.sizes.values())
        largest = {hospital: quantization.maxima(vector, sizes) for hospital, vector in vectors.items()}
        bounds = {hospital: self._bounds(own, state.bounds.get(hospital, 0.0)) for hospital, own in largest.items()}
        outgrown = any((own > state.bounds.get(hospital, 0.0)).any() for hospital, own in largest.items())
        exact = quantization.exact_layer(len(sizes), state.parties.keys.parameters)
        if weights != state.weights or outgrown:
            told = through_server(state.parties, "bounds", bounds, weights, Layout((exact,)), ledger)
            state = self._agreed(state, told.mean * told.patients, bounds, weights, told.hospitals)
            state = replace(state, agreements=state.agreements + 1)
            vectors = {hospital: vectors[hospital] for hospital in told.hospitals}
        sent = {hospital: np.concatenate([bounds[hospital], vector]) for hospital, vector in vectors.items()}
        layout = Layout((exact, *state.layout.layers))
        stochastic = self.rounding == "stochastic"
        told = through_server(state.parties, "update", sent, weights, layout, ledger, clear, stochastic)
        if self.rounding == "feedback":
            left = {h: v * weights[h] - state.layout.rounded(v * weights[h]) for h, v in vectors.items()}
            state = replace(state, residuals=state.residuals | left)
        return self._agreed(state, told.mean[: len(sizes)] * told.patients, bounds, weights, told.hospitals), told

    def _bounds(self, largest: np.ndarray, before: np.ndarray | float) -> np.ndarray:
        """Promise of a hospital for its next update, a layer; 1 where nothing ever moved."""
        bounds = np.maximum(self.growth * largest, _KEEP * before)
        return np.where(bounds == 0, 1.0, bounds)

    def _agreed(self, state, total, bounds, weights, hospitals):
        """Take on the bounds of the hospitals that were heard; `total` is their sum, each times its patients."""
        rounding = 1.0 if self.rounding == "stochastic" else 0.5
        layers = tuple(
            quantization.packed_layer(size, bound, state.parties.keys.parameters, rounding)
            for size, bound in zip(state.sizes.values(), total, strict=True)
        )
        heard = {"weights": {h: weights[h] for h in hospitals}, "bounds": {h: bounds[h] for h in hospitals}}
        return replace(state, layout=Layout(layers), **heard)


def _undisturbed(sender: str, message: bytes) -> bytes:
    """Be a network that delivers what was sent."""
    return message


def weighted_mean(vectors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Mean of vectors, each counted with its weight (its hospital's number of patients).

    Parameters
    ----------
    vectors
        k vectors of shape [p].
    weights
        k numbers, not negative, not all zero.

    Returns
    -------
    numpy.ndarray
        float64, shape [p].

    Raises
    ------
    ValueError
        If a weight is negative, or all are zero.

    References
    ----------
    McMahan et al., "Communication-Efficient Learning of Deep Networks from
    Decentralized Data", AISTATS 2017, Algorithm 1.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if np.any(weights < 0) or weights.sum() == 0:
        raise ValueError(f"Weights must be positive numbers of patients, and these are {weights.tolist()}.")
    return weights @ np.asarray(vectors, dtype=np.float64) / weights.sum()
