"""What a hospital holds in a study, and its two letters: a key is used for one sum and forgotten.

    keys = join(name, parameters, study, ...)            # at each hospital, from its own secrets
    letter = keys.encrypt("update", vector, patients)    # the first letter: hidden under a new key of its own
    listed = {name: digest(letter), ...}                 # at the server: whose letters arrived
    share = keys.share(listed)                           # the second: the key, masked, for exactly this list
    mean, patients = keys.decrypt(total, listed)         # of what the server added up

The masks of a list's shares cancel in their sum and in no other, so that the sum of the keys opens the sum of the
letters and nothing else; the group's mask keeps it from the server. All keys come from hashes over all that must not be
mixed up (`_hash`), and step forward with each number, so that yesterday's letters do not open with what is held today.
What is kept for a number is handed to `store` before anything leaves: after a crash the same bytes are posted again,
and nothing is ever encrypted twice.

Masks in pairs: Bonawitz et al., CCS 2017. One-time keys of a key-additive encryption, summed by masks: Bell et al.,
ACORN, USENIX Security 2023; Bell-Clark et al., Willow, CRYPTO 2025. Why the models must be in the label: Pasquini,
Francati and Ateniese, CCS 2022.
"""

import copy
import hashlib
import hmac
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedkit.encryption import messages, quantization, ring
from fedkit.encryption.messages import PRIME, Letter, MessageError, Share, Sum
from fedkit.encryption.packing import BLOCK
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import COINS, Parameters

FEWEST = 3  # hospitals in a list: in a sum of two, each sees the other's part
KNOWN = 2  # of them that a person here compared fingerprints with
BUDGET = 2  # numbers whose shares went out, and whose sum did not open, before a person decides
_WITHOUT = ("statistics", "bounds", "scores")  # purposes for which the budget is none: they hardly change

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
    letter = property(lambda self: (self._state["now"] or {}).get("letter"))  # bytes or None: the first one
    listed = property(lambda self: (self._state["now"] or {}).get("listed"))  # Listed or None: of its share
    failed = property(lambda self: self._state["failed"])  # int: numbers that did not open though a share went out
    # list or None: whom alone it is listed with until a sum is accepted, after one that did not open
    within = property(lambda self: self._state["within"])
    least = property(lambda self: self._state["least"])  # int: hospitals in a list

    def __init__(self, name: str, parameters: Parameters, members: Mapping[str, Member], state: dict) -> None:
        self.name, self.parameters, self.members, self._state = name, parameters, members, state
        self.store: Callable[[bytes], object] | None = None  # is given what must survive a crash, before a letter goes
        self.opened: dict[tuple, np.ndarray] = {}  # shared by hospitals that one process plays: what opened before
        self._ring, self._stored = ring.Ring(parameters), copy.deepcopy(state)

    def __repr__(self) -> str:
        return f"Keyring({self.name}, {len(self.members)} hospitals, number {self.number})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Keys are not pickled or copied: a copy would use them twice.")

    def coefficients(self, layout: Layout) -> int:
        """How many coefficients a letter of this layout has, the weight's included."""
        return self._with_weight(layout).coefficients

    def plain_layout(self, size: int) -> Layout:
        """Return the layout where nothing was agreed: steps of 2^-22 patients x update."""
        return Layout((quantization.exact_layer(size, self.parameters, 2.0**-22, 52),))

    def _with_weight(self, layout: Layout) -> Layout:
        return Layout((quantization.weight_layer(self.parameters), *layout.layers))

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
        dither: np.random.Generator | None = None,
        scale: float | None = None,
    ) -> bytes:
        """Begin the next number with the first letter: the weight, and weight x vector, hidden.

        ValueError if a value is not finite, the weight no whole number, or a number too large for the sum to hold.

        purpose : what is added up: "statistics", "bounds", "update" or "scores"
        vector : an update, shape [p], finite
        weight : number of patients: a whole number, not negative
        layout : the same at all hospitals; `plain_layout` if None
        dither : see `quantization.Layout.encode`
        scale : what the vector is multiplied with in place of the weight
        """
        vector = np.asarray(vector, dtype=np.float64)
        if vector.ndim != 1 or not vector.size:
            raise ValueError(f"An update is one row of numbers, and this has shape {vector.shape}: flatten it first.")
        if not np.isfinite(vector).all():
            at = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise ValueError(f"Number {at} of the update is {vector[at]}, which cannot be added: did training diverge?")
        if not (np.isfinite(weight) and weight >= 0 and weight == int(weight)):
            raise ValueError(f"A weight is a whole number of patients, and {weight} is not.")
        values = (layout or self.plain_layout(len(vector))).encode(vector, dither, weight if scale is None else scale)
        values = np.concatenate([self._with_weight(Layout(())).encode(np.array([weight])), values])
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
        if not now or "letter" not in now:
            raise MessageError(f"{self.name} has sent no letter that could be added up.")
        if "share" in now:
            if now["listed"] != dict(listed):
                raise MessageError(f"{self.name} gave its share for another list: a number is answered once.")
            return now["share"]
        self._check(listed, now)
        label, order = self._label(now["about"], listed), self._order(listed)
        key, values = (np.frombuffer(now.pop(each), np.int64) for each in ("key", "values"))
        key, tag, mine = (
            key.astype(np.uint32),
            _tag(now["group"], label, values, self._ring.size),
            order.index(self.name),
        )
        masks = [(now["pairs"][name], mine < at) for at, name in enumerate(order) if at != mine]
        if mine == 0:  # one hospital adds what keeps the sum of the keys from the server
            masks.append((now["group"], True))
        for secret, is_added in masks:
            words, number = self._masks(secret, label)
            key, tag = (key + words, tag + number) if is_added else (key - words, tag - number)
        share = Share(label, key & self._word(len(order)), tag % PRIME).to_bytes(self.parameters, len(order))
        now |= {"share": share, "listed": dict(listed), "label": label.hex(), "pairs": {}}
        self.save()
        return share

    def _check(self, listed: Listed, now: dict) -> None:
        if strangers := [name for name in listed if name not in now["pairs"] and name != self.name]:
            raise MessageError(f"{strangers[0]!r:.120} is listed, and not on the roster: nothing is shared.")
        if listed.get(self.name) != messages.digest(now["letter"]):
            raise MessageError(f"{self.name}'s letter is not the one in this list: nothing is shared.")
        if self.within is not None and (new := [name for name in listed if name not in self.within]):
            raise MessageError(
                f"The last list did not open, and {new[0]} was not in it: the difference of the two sums would be what "
                f"{new[0]} sent."
            )
        if len(listed) < self._state["least"]:
            raise MessageError(f"{len(listed)} hospitals are listed, and {self._state['least']} are the fewest here.")
        if (known := len(listed.keys() & {*self._state["known"]} - {self.name})) < KNOWN:
            raise MessageError(
                f"The list names {known} hospitals whose fingerprint was compared here, and {KNOWN} must be: "
                "the others may all be one."
            )

    def decrypt(self, total: bytes, listed: Listed, layout: Layout | None = None) -> tuple[np.ndarray, float]:
        """Open a list's sum, and divide: the weighted mean, float64 of shape [p], and the number of patients.

        MessageError if it is not the sum of these letters, another was opened for this list, or nobody has patients.
        """
        return divided(self.open([(total, listed)], layout)[0])

    def open(self, sums: Sequence[tuple[bytes, Listed]], layout: Layout | None = None) -> list[np.ndarray]:
        """Open the sums of this number, a list each: the weights' sum, and that of weight x vector, shape [1 + p].

        MessageError if one is not the sum of its list's letters, or another one was opened for its list.
        """
        found, whole = [], layout and self._with_weight(layout)
        for values in self.accept(sums):
            if layout is None:
                one, none = (self.coefficients(each) for each in (self.plain_layout(1), Layout(())))
                whole = self._with_weight(self.plain_layout((len(values) - none) // (one - none)))
            if whole.coefficients != len(values):
                raise MessageError(f"{whole.coefficients} coefficients were agreed on, and {len(values)} came back.")
            found.append(whole.decode(values))
        return found

    def accept(self, sums: Sequence[tuple[bytes, Listed]]) -> list[np.ndarray]:
        """Open the sums of this number, as `open` does, and leave integers as they are: int64, shape [coefficients]."""
        now = self._state["now"]
        for _, listed in sums:
            if strangers := [name for name in listed if name not in self.members]:
                raise MessageError(f"{strangers[0]!r:.120} is in a sum, and not on the roster.")
            if len(listed) < FEWEST:
                raise MessageError(f"A sum of {len(listed)} hospitals would show what each sent: it is not opened.")
        seen = {self._label(now["about"], of).hex(): hashlib.sha256(total).digest() for total, of in sums}
        if now["opened"] not in ({}, seen) or len(seen) < len(sums):
            raise MessageError("Other sums were opened for this number: no second ones are.")
        now["opened"] = seen
        self.save()  # before it is known whether they open: who asks learns that once
        try:
            of = zip(sums, seen.items(), strict=True)
            return [self._opened(total, bytes.fromhex(at), len(listed), now, d) for (total, listed), (at, d) in of]
        except MessageError:
            now["refused"] = True
            self.save()
            raise

    def _opened(self, data: bytes, label: bytes, hospitals: int, now: dict, seen: bytes) -> np.ndarray:
        if (known := (now["group"], label, seen)) in self.opened:
            return self.opened[known]
        refused = MessageError("This is not the sum of the letters in its list: it was changed, or one was left out.")
        total = Sum.from_bytes(data, self.parameters)
        if (total.label, total.hospitals, len(total.hidden)) != (label, hospitals, now["coefficients"]):
            raise refused
        (words, number), word = self._masks(now["group"], label), self._word(hospitals)
        key = ((total.key - words) & word).astype(np.int64)
        key -= (key > COINS * hospitals) * (int(word) + 1)
        if np.abs(key).max() > COINS * hospitals:
            raise refused
        try:
            values = self._ring.show(total.hidden, public_seed(now["about"]), key)
        except ValueError:  # keys within the range, but all at its end: made, and drawn by nobody
            raise refused from None
        if (total.tag - number) % PRIME != _tag(now["group"], label, values, self._ring.size):
            raise refused
        if any(group != now["group"] for group, *_ in self.opened):  # of an earlier number
            self.opened.clear()
        self.opened[known] = values
        return values

    def _settle(self) -> None:
        """Accept what opened of the last number, or charge it; forget its keys."""
        state, now = self._state, self._state["now"]
        if now is None:
            return
        if "share" in now and ("refused" in now or now["label"] not in now["opened"]):
            if state["failed"] >= (0 if now["purpose"] in _WITHOUT else state["budget"]):
                raise MessageError(
                    f"Shares of {self.name} went out for a sum that did not open ({now['purpose']}, number "
                    f"{self.number}), and no more of that is allowed: a person must find out why, and begin anew."
                )
            state["failed"] += 1
            within = set(now["listed"]) if state["within"] is None else set(now["listed"]) & {*state["within"]}
            state["within"] = sorted(within)
        if now["opened"] and "refused" not in now:
            each = [part for label, seen in sorted(now["opened"].items()) for part in (bytes.fromhex(label), seen)]
            state |= {"head": _hash(state["head"], "sum", self.number.to_bytes(8), *each), "within": None}
        state["now"] = None

    def _order(self, listed: Listed) -> list[str]:
        return sorted(listed, key=lambda name: self.members[name].identity)

    def _label(self, about: bytes, listed: Listed) -> bytes:
        each = ((name.encode(), *self.members[name], listed[name]) for name in self._order(listed))
        return _hash(about, "list", *(part for member in each for part in member))

    def _word(self, hospitals: int) -> np.uint32:
        """Return the mask of a share's bits."""
        return np.uint32((1 << self.parameters.share_bits(hospitals)) - 1)

    def _masks(self, secret: bytes, label: bytes) -> tuple[np.ndarray, int]:
        """Stretch a secret into what hides a share for a list: of its coefficients, and of its tag."""
        raw = ring.stretch(_hash(secret, "share", label), 16 + 4 * self._ring.size)
        return np.frombuffer(raw, "<u4", self._ring.size, 16), int.from_bytes(raw[:16], "little") % PRIME

    def save(self) -> None:
        """Hand what is to be remembered to `store`; where that fails, nothing has happened."""
        if self.store:
            try:
                self.store(_written(self._state))
            except BaseException:
                self._state = copy.deepcopy(self._stored)
                raise
            self._stored = copy.deepcopy(self._state)


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

    ValueError if two members have one key, the hospital's own is not its own, a key is none, or `least` is below
    `FEWEST`.

    parameters : of the encryption, the same at all
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
    for keys in zip(*members.values(), strict=True):
        if len(set(keys)) < len(members):
            raise ValueError("Two hospitals have the same key: each makes its own, and nobody copies another's.")
    public = exchange.public_key().public_bytes_raw()
    if name not in members or members[name].exchange != public:
        raise ValueError(f"The roster has another key for {name} than its own: somebody put it there.")
    pairs = {}
    for other in members if peers is None else peers:
        if other != name:
            try:
                shared = exchange.exchange(X25519PublicKey.from_public_bytes(members[other].exchange))
            except ValueError:
                raise ValueError(
                    f"The exchange key of {other} is none: it would make a secret that all know."
                ) from None
            both = sorted([(public, name.encode()), (members[other].exchange, other.encode())])
            pairs[other] = _hash(shared, "pair", study, *(part for each in both for part in each))
    state = {"study": study, "head": study, "number": 0, "group": group, "own": own, "pairs": pairs, "now": None}
    state |= {"known": sorted(known), "least": least, "budget": budget, "failed": 0, "within": None}
    return Keyring(name, parameters, members, state)


def restore(name: str, parameters: Parameters, members: Mapping[str, Member], stored: bytes) -> Keyring:
    """Return the keys as they were stored."""
    return Keyring(name, parameters, members, _read(stored))


def divided(numbers: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide a sum of weight x vector by the sum of the weights, its first number; MessageError if there is none."""
    if numbers[0] == 0:
        raise MessageError("The hospitals' patients sum to zero: at least one hospital must have some.")
    if not 0 < numbers[0] < 2**53:
        raise MessageError(
            "The hospitals' patients sum to no number of patients: one of the messages was nonsense under a good "
            "signature. Leave hospitals out to find whose."
        )
    return numbers[1:] / numbers[0], float(numbers[0])


def public_seed(about: bytes) -> bytes:
    """Return what everybody stretches into the public polynomials of the letters of a sum."""
    return _hash(about, "public")


def _hash(key: bytes, what: str, *parts: bytes) -> bytes:
    """HMAC-SHA256 over parts, each with its length before it, so that no two lists of parts are one."""
    parts = what.encode(), *parts
    return hmac.digest(key, b"".join([each for part in parts for each in (len(part).to_bytes(4), part)]), "sha256")


def _tag(group: bytes, label: bytes, values: np.ndarray, size: int) -> int:
    """Return <f, values> modulo `PRIME`, f secret: a change of the values goes unnoticed with probability 2^-60.

    f is the product of one number a coefficient and one a polynomial, so that few must be drawn. The sums are exact in
    float64, in any order: f in pieces of 21 bits, values, lifted above 0, in pieces of 19, and 2^12 coefficients.
    """
    size, mask = min(size, len(values)), 2**19 - 1
    count, rows = -(-len(values) // size), max(2 * BLOCK // size, 1)  # of them at a time, which fit a cache
    drawn = np.frombuffer(ring.stretch(_hash(group, "check", label), 8 * (size + count)), "<u8") & np.uint64(PRIME)
    along = np.stack([drawn[:size] >> np.uint64(at) & np.uint64(2**21 - 1) for at in (0, 21, 42)], axis=1).astype(float)
    across, total = drawn[size:].tolist(), -(2**56) * sum(drawn[:size].tolist()) * sum(drawn[size:].tolist())
    for first in range(0, count, rows):
        whole = values[first * size : (first + rows) * size] + 2**56
        if spare := -len(whole) % size:
            whole = np.concatenate([whole, np.full(spare, 2**56)])
        pieces = np.stack([whole & mask, whole >> 19 & mask, whole >> 38]).astype(float)
        sums = (pieces.reshape(3, -1, size) @ along).astype(np.int64).tolist()
        for place, found in enumerate(sums):
            for (low, middle, high), weight in zip(found, across[first:], strict=False):
                total += (low + (middle << 21) + (high << 42) << 19 * place) * weight
    return total % PRIME


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
