"""The hospitals and the server of an encrypted training, and one message of each through it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from fedkit import encryption, envelopes, messages
from fedkit.envelopes import About, Roster
from fedkit.identities import Identity
from fedkit.messages import MessageError
from fedkit.quantization import Layout
from fedkit.records import Ledger

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
