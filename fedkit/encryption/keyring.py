"""What a hospital holds in a study, and its two letters: a key is used for one sum and forgotten.

The masks of a list's shares cancel in their sum and in no other, so that the sum of the keys opens the sum of the
letters and nothing else; the group's mask keeps it from the server. All keys come from hashes over all that must not be
mixed up (`_hash`), and step forward with each number, so that yesterday's letters do not open with what is held today.
What is kept for a number is handed to `store` before anything leaves: after a crash the same bytes are posted again,
and nothing is ever encrypted twice.

Masks in pairs: Bonawitz et al., CCS 2017. One-time keys of a key-additive encryption, summed by masks: Bell et al.,
ACORN, USENIX Security 2023; Bell-Clark et al., Willow, CRYPTO 2025. Why the models must be in the label: Pasquini,
Francati and Ateniese, CCS 2022.
"""

import hashlib
import hmac
import io
import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedkit.encryption import messages, quantization, ring
from fedkit.encryption.messages import PRIME, Letter, MessageError, Share, Sum
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import COINS, Parameters

FEWEST = 3  # hospitals in a list: in a sum of two, each sees the other's part
KNOWN = 2  # of them that a person here compared fingerprints with
BUDGET = 2  # numbers whose shares went out, and whose sum did not open, before a person decides
# Purposes for which the budget is none: they hardly change, or a second sum would show their noise.
_WITHOUT = ("statistics", "patients", "scores", "noised")

Listed = Mapping[str, bytes]  # hospital -> digest of its first letter


class Member(NamedTuple):
    """Somebody on a study's roster."""

    identity: bytes  # the key that they sign with
    exchange: bytes  # X25519, made for this study


class Keyring:
    """A hospital's keys in a study: `join` makes them, `restore` reads what was stored.

    What is known of the present number can be read here; a number counts sums of all purposes.
    """

    number = property(lambda self: self._state["number"] - 1)  # int: 0, 1 ...; -1 before the first
    about = property(lambda self: self._state["now"]["about"])  # bytes: its label, where the same sums are held
    size = property(lambda self: self._state["now"]["coefficients"])  # int: of a letter
    letter = property(lambda self: self._state["now"].get("letter"))  # bytes or None: the first one
    listed = property(lambda self: self._state["now"].get("listed"))  # Listed or None: of its share
    # list or None: whom alone it is listed with until a sum moves the model, after one that did not open
    within = property(lambda self: self._state["within"])
    unopened = property(lambda self: self._state["unopened"])  # list: numbers of such sums, since one moved the model
    least = property(lambda self: self._state["least"])  # int: hospitals in a list
    known = property(lambda self: self._state["known"])  # list: of whom a person here compared fingerprints

    def __init__(self, name: str, parameters: Parameters, members: Mapping[str, Member], state: dict) -> None:
        self.name, self.parameters, self.members, self._state = name, parameters, members, state
        self.store: Callable[[bytes], object] | None = None  # is given what must survive a crash, before a letter goes
        self._ring, self._stored = ring.Ring(parameters), _written(state)

    def __repr__(self) -> str:
        return f"Keyring({self.name}, {len(self.members)} hospitals, number {self.number})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Keys are not pickled or copied: a copy would use them twice.")

    def coefficients(self, layout: Layout) -> int:
        """How many coefficients a letter of this layout has, the weight's included."""
        return quantization.weight_layer(self.parameters).coefficients + layout.coefficients

    def plain_layout(self, size: int) -> Layout:
        """Return the layout where nothing was agreed: steps of 2^-22 patients x update."""
        return Layout((quantization.exact_layer(size, self.parameters, 2.0**-22, 52),))

    def finish(self) -> None:
        """Settle the last number, and forget its keys: nothing more is added up."""
        self._settle()
        self.save()

    def begin(self, purpose: str, coefficients: int) -> None:
        """Begin the next number without a letter: its sums can be opened all the same.

        What is known of the last number is settled: sums that opened are accepted, and count in all that follows; a
        share that opened nothing is charged to the budget, and a MessageError says that it is used up.
        """
        self._begin(purpose, coefficients)
        self.save()

    def _begin(self, purpose: str, coefficients: int) -> dict:
        """Settle the last number, make this one's keys, and step all others forward."""
        self._settle()
        state = self._state
        parts = state["number"].to_bytes(8), purpose.encode(), state["head"], repr(self.parameters).encode()
        about = _hash(state["study"], "about", *parts, coefficients.to_bytes(8))
        state["now"] = now = {"purpose": purpose, "about": about, "coefficients": coefficients, "opened": {}}
        now["pairs"] = {name: _hash(key, "mask", about) for name, key in state["pairs"].items()}
        now |= {"group": _hash(state["group"], "sum", about), "own": _hash(state["own"], "own", about)}
        state["pairs"] = {name: _hash(key, "next") for name, key in state["pairs"].items()}
        state |= {each: _hash(state[each], "next") for each in ("group", "own")} | {"number": state["number"] + 1}
        return now

    def encrypt(
        self,
        purpose: str,
        vector: np.ndarray,
        weight: float,
        layout: Layout | None = None,
        scale: float | None = None,
        public: bool = False,
    ) -> bytes:
        """Begin the next number with the first letter: the weight, and weight x vector, hidden.

        ValueError if the weight is no whole number, or a number is none, or too large for the sum to hold.

        purpose : what is added up: "statistics", "patients", "update", "scores", or "noised"
        vector : an update, shape [p]
        weight : number of patients: a whole number, not negative
        layout : the same at all hospitals; `plain_layout` if None
        scale : what the vector is multiplied with in place of the weight
        public : whether all may know how it is rounded, see `Dither`: where one process plays all
        """
        if not (0 <= weight < np.inf and weight == int(weight)):
            raise ValueError(f"A weight is a whole number of patients, and {weight} is not.")
        vector = np.asarray(vector, dtype=np.float64)
        secret = self.name if public else _hash(self._state["own"], "dither")
        values = (layout or self.plain_layout(vector.size)).encode(vector, secret, weight if scale is None else scale)
        values = np.concatenate([quantization.weight_layer(self.parameters).encode(np.array([weight])), values])
        now = self._begin(purpose, len(values))
        # Should all memory of this letter be lost, the same numbers give the same letter, others another key.
        secret = _hash(now.pop("own"), "letter", now["about"], hashlib.sha256(values).digest())
        key = ring.small(_hash(secret, "key"), self._ring.size)
        hidden = self._ring.hide(values, public_seed(now["about"]), key, _hash(secret, "noise"))
        now["letter"] = Letter(now["about"], hidden).to_bytes(self.parameters)
        now |= {"key": key.tobytes(), "values": values.tobytes()}
        self.save()
        return now["letter"]

    def share(self, listed: Listed) -> bytes:
        """Return the second letter: the key of this number's letter, for the sum of exactly these letters, once.

        MessageError if a share was given for another list, or if this one is too short, names strangers or too few whom
        a person here knows, or does not hold this hospital's letter.
        """
        now = self._state["now"]
        if "letter" not in now:
            raise MessageError(f"{self.name} has sent no letter that could be added up.")
        if "share" in now:
            if now["listed"] != dict(listed):
                raise MessageError(f"{self.name} gave its share for another list: a number is answered once.")
            return now["share"]
        self._check(listed, now)
        label, order = label_of(self.members, now["about"], listed), _order(self.members, listed)
        key, values = (np.frombuffer(now.pop(each), np.int64) for each in ("key", "values"))
        tag, mine = _tag(now["group"], label, values, self._ring.size), order.index(self.name)
        masks = [(now["pairs"][name], 1 if mine < at else -1) for at, name in enumerate(order) if at != mine]
        if mine == 0:  # one hospital adds what keeps the sum of the keys from the server
            masks.append((now["group"], 1))
        for secret, sign in masks:
            words, number = self._masks(secret, label)
            key, tag = key + sign * words, tag + sign * number
        share = Share(label, key, tag % PRIME).to_bytes(self.parameters, len(order))
        now |= {"share": share, "listed": dict(listed), "label": label.hex(), "pairs": {}}
        self.save()
        return share

    def know(self, names: Collection[str]) -> None:
        """Add hospitals whose fingerprint a person here compared meanwhile."""
        self._state["known"] = sorted({*self._state["known"], *names})

    def _check(self, listed: Listed, now: dict) -> None:
        if strangers := [name for name in listed if name not in now["pairs"] and name != self.name]:
            raise MessageError(f"{strangers[0]!r:.120} is listed, and not on the roster: nothing is shared.")
        if listed.get(self.name) != messages.digest(now["letter"]):
            raise MessageError(f"{self.name}'s letter is not the one in this list: nothing is shared.")
        if self.within is not None and (new := [name for name in listed if name not in self.within]):
            raise MessageError(f"{new[0]} was not in the last list, which did not open: sums would differ by its part.")
        if len(listed) < self._state["least"]:
            raise MessageError(f"{len(listed)} hospitals are listed, and {self._state['least']} are the fewest here.")
        if (known := len(listed.keys() & {*self._state["known"]} - {self.name})) < KNOWN:
            said = f"The list names {known} hospitals whose fingerprint was compared here, and {KNOWN} must be"
            raise MessageError(f"{said}: the others may all be one.")

    def decrypt(self, total: bytes, listed: Listed, layout: Layout | None = None) -> tuple[np.ndarray, float]:
        """Open a list's sum, and divide: the weighted mean, float64 of shape [p], and the number of patients.

        MessageError if it is not the sum of these letters, another was opened for this list, or nobody has patients.
        """
        return divided(self.open([(total, listed)], layout)[0])

    def open(self, sums: Sequence[tuple[bytes, Listed]], layout: Layout | None = None) -> list[np.ndarray]:
        """Open the sums of this number, a list each: the weights' sum, and that of weight x vector, shape [1 + p].

        MessageError if one is not the sum of its list's letters, or other ones were opened for this number.
        """
        now, weight = self._state["now"], quantization.weight_layer(self.parameters)
        if layout is None:
            layout = self.plain_layout((self.size - weight.coefficients) // self.plain_layout(1).coefficients)
        whole = Layout((weight, *layout.layers))
        if whole.coefficients != self.size:
            raise MessageError(f"A letter has {self.size} coefficients, and {whole.coefficients} are to be opened.")
        self.accept(sums)
        try:
            of = zip(sums, now["opened"], strict=True)
            return [whole.decode(self._opened(total, bytes.fromhex(at), len(listed))) for (total, listed), at in of]
        except MessageError:
            now["refused"] = True
            self.save()
            raise

    def accept(self, sums: Sequence[tuple[bytes, Listed]]) -> None:
        """Take note of the sums of this number, so that no others are ever opened.

        `open` begins so; no more is needed of others whom the same process plays. Raises what it does.
        """
        now = self._state["now"]
        for _, listed in sums:
            if strangers := [name for name in listed if name not in self.members]:
                raise MessageError(f"{strangers[0]!r:.120} is in a sum, and not on the roster.")
            if len(listed) < FEWEST:
                raise MessageError(f"A sum of {len(listed)} hospitals would show what each sent: it is not opened.")
        seen = {label_of(self.members, now["about"], of).hex(): hashlib.sha256(total).digest() for total, of in sums}
        if now["opened"] not in ({}, seen) or len(seen) < len(sums):
            raise MessageError("Other sums were opened for this number: no second ones are.")
        now["opened"] = seen
        self.save()  # before it is known whether they open: who asks learns that once

    def _opened(self, data: bytes, label: bytes, hospitals: int) -> np.ndarray:
        """Return the integers in a sum: int64, shape [coefficients]."""
        now, half = self._state["now"], 1 << self.parameters.share_bits(hospitals) - 1
        refused = MessageError("This is not the sum of the letters in its list: it was changed, or one was left out.")
        total, (words, number) = Sum.from_bytes(data, self.parameters), self._masks(now["group"], label)
        if (total.label, total.hospitals, len(total.hidden)) != (label, hospitals, now["coefficients"]):
            raise refused
        key = (total.key - words + half) % (2 * half) - half
        if np.abs(key).max() > COINS * hospitals:
            raise refused
        try:
            values = self._ring.show(total.hidden, public_seed(now["about"]), key)
        except ValueError:  # keys within the range, but all at its end: made, and drawn by nobody
            raise refused from None
        if (total.tag - number) % PRIME != _tag(now["group"], label, values, self._ring.size):
            raise refused
        return values

    def _settle(self) -> None:
        """Accept what opened of the last number, or charge it; forget its keys."""
        state, now = self._state, self._state["now"]
        if not now:
            return
        opened = {} if "refused" in now else now["opened"]
        if "share" in now and now["label"] not in opened:
            if state["failed"] >= (0 if now["purpose"] in _WITHOUT else state["budget"]):
                what = f"a sum that did not open ({now['purpose']}, number {self.number})"
                said = f"Shares of {self.name} went out for {what}, and no more of that is allowed"
                raise MessageError(f"{said}: a person must find out why, and begin anew.")
            state["failed"] += 1
            state |= {"within": sorted(now["listed"]), "unopened": [*state["unopened"], self.number]}
        if opened:
            each = [(bytes.fromhex(label), seen) for label, seen in sorted(opened.items())]
            state["head"] = _hash(state["head"], "sum", self.number.to_bytes(8), *itertools.chain(*each))
            # Where a list moved the model that was not answered here, much would be sent again.
            if now.get("label") in opened and now["purpose"] != "patients":
                state |= {"within": None, "unopened": []}
        state["now"] = {}

    def _masks(self, secret: bytes, label: bytes) -> tuple[np.ndarray, int]:
        """Stretch a secret into what hides a share for a list: of its coefficients, and of its tag."""
        raw = ring.stream(_hash(secret, "share", label))(16 + 4 * self._ring.size)
        return np.frombuffer(raw, "<u4", -1, 16).astype(np.int64), int.from_bytes(raw[:16], "little") % PRIME

    def save(self) -> None:
        """Hand what is to be remembered to `store`; where that fails, nothing has happened."""
        if self.store:
            state = _written(self._state)
            try:
                self.store(state)
            except BaseException:
                self._state = _read(self._stored)
                raise
            self._stored = state


def join(
    name: str,
    parameters: Parameters,
    study: bytes,
    members: Mapping[str, Member],
    exchange: X25519PrivateKey,
    group: bytes,
    *,
    own: bytes,
    known: Collection[str],
    peers: Collection[str] | None = None,
    least: int = FEWEST,
    budget: int = BUDGET,
) -> Keyring:
    """Make a hospital's keys for a study; afterwards `exchange` is of no use any more, and is to be forgotten.

    ValueError if two members have one key, its own there is another, a key is none, or `least` is below `FEWEST`.

    study : digest of all that was agreed on, 32 bytes
    members : the roster
    exchange : the private half of the hospital's exchange key
    group : 32 random bytes that all hospitals hold, and the server does not
    own : 32 random bytes that nobody else holds
    known : hospitals whose fingerprint a person here compared
    peers : with whom it may be listed; all if None
    least : hospitals in a list, at the least
    budget : see `BUDGET`
    """
    if least < FEWEST:
        raise ValueError(f"A list of {least} hospitals shows each what the others sent: {FEWEST} are the fewest.")
    if any(len(set(keys)) < len(members) for keys in zip(*members.values(), strict=True)):
        raise ValueError("Two hospitals have the same key: each makes its own, and nobody copies another's.")
    public = exchange.public_key().public_bytes_raw()
    if name not in members or members[name].exchange != public:
        raise ValueError(f"The roster has another key for {name} than its own: somebody put it there.")
    pairs = {}
    for other in sorted({*(members if peers is None else peers)} - {name}):
        try:
            shared = exchange.exchange(X25519PublicKey.from_public_bytes(members[other].exchange))
        except ValueError:
            raise ValueError(f"The exchange key of {other} is none: it would make a secret that all know.") from None
        both = sorted([(public, name.encode()), (members[other].exchange, other.encode())])
        pairs[other] = _hash(shared, "pair", study, group, *itertools.chain(*both))
    state = {"study": study, "head": study, "number": 0, "group": group, "own": own, "pairs": pairs, "now": {}}
    state |= {"known": sorted(known), "least": least, "budget": budget, "failed": 0, "within": None, "unopened": []}
    return Keyring(name, parameters, members, state)


def restore(name: str, parameters: Parameters, members: Mapping[str, Member], stored: bytes) -> Keyring:
    """Return the keys as they were stored."""
    return Keyring(name, parameters, members, _read(stored))


def divided(numbers: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide a sum of weight x vector by the sum of the weights, its first number; MessageError if there is none."""
    if not 0 < numbers[0] < 2**53:
        said = "The hospitals' patients sum to zero, or to no number of patients"
        raise MessageError(f"{said}: nobody has any, or a message was nonsense. Leave hospitals out to find whose.")
    return numbers[1:] / numbers[0], float(numbers[0])


def public_seed(about: bytes) -> bytes:
    """Return what everybody stretches into the public polynomials of the letters of a sum."""
    return _hash(about, "public")


def label_of(members: Mapping[str, Member], about: bytes, listed: Listed) -> bytes:
    """Return what stands for a list of letters of a sum in all shares for it."""
    each = [(name.encode(), *members[name], listed[name]) for name in _order(members, listed)]
    return _hash(about, "list", *itertools.chain(*each))


def _order(members: Mapping[str, Member], listed: Listed) -> list[str]:
    return sorted(listed, key=lambda name: members[name].identity)


def _hash(key: bytes, what: str, *parts: bytes) -> bytes:
    """HMAC-SHA256 over parts, each with its length before it, so that no two lists of parts are one."""
    parts = what.encode(), *parts
    return hmac.digest(key, b"".join([each for part in parts for each in (len(part).to_bytes(4), part)]), "sha256")


def _tag(group: bytes, label: bytes, values: np.ndarray, size: int) -> int:
    """Return <f, values> modulo `PRIME`, f secret: a change of the values goes unnoticed with probability 2^-60.

    f is the product of one number a coefficient and one a polynomial, so that few must be drawn. The sums are exact in
    float64, in any order: f in pieces of 21 bits, values in pieces of 19 and sign, and 2^12 coefficients.
    """
    starts, total = range(0, len(values), size), 0
    size = min(size, len(values))
    drawn = np.frombuffer(ring.stream(_hash(group, "check", label))(8 * (size + len(starts))), "<i8") & PRIME
    along = _pieces(drawn[:size], 21).T
    for at, across in zip(starts, drawn[size:].tolist(), strict=True):
        row = _pieces(values[at : at + size], 19)
        sums = (row @ along[: row.shape[1]]).astype(np.int64).tolist()
        total += across * sum(found << 19 * i + 21 * j for i, of in enumerate(sums) for j, found in enumerate(of))
    return total % PRIME


def _pieces(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Take int64 apart into two pieces of so many bits, and the rest with its sign: float64, shape [3, n]."""
    mask = (1 << bits) - 1
    return np.array([numbers & mask, numbers >> bits & mask, numbers >> 2 * bits], dtype=float)


def _written(state: dict) -> bytes:
    """Write what is to be remembered: JSON, where bytes leave their length, and behind it all the bytes."""
    parts: list[bytes] = []

    def apart(part: bytes) -> dict[str, int]:
        parts.append(part)
        return {"": len(part)}  # no hospital has this name

    head = json.dumps(state, default=apart).encode()
    return b"".join([len(head).to_bytes(8), head, *parts])


def _read(data: bytes) -> dict:
    """Read what `_written` wrote."""
    file = io.BytesIO(data)
    head = file.read(int.from_bytes(file.read(8)))
    return json.loads(head, object_hook=lambda found: file.read(found[""]) if "" in found else found)
