"""Is it encrypted? A game that an attacker must not win: two updates of its choice, a coin, and all that travels.

Hospitals A and B send an update that is all up or all down, as the coin fell; C sends zeros. The attacker knows all but
the coin and the keys. If the bytes tell nothing it is right half of the time (indistinguishability under chosen
plaintexts: Goldwasser and Micali, JCSS 28, 1984). These attackers look for what goes wrong in practice, and no more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import comb
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fedkit.aggregators import Aggregator, Vectors, Weights
from fedkit.encryption import envelopes, keyring, quantization
from fedkit.encryption.messages import Letter, Share, Sum
from fedkit.encryption.quantization import Layout
from fedkit.encryption.ring import Ring
from fedkit.encryption.together import Together
from fedkit.records import Ledger

HEIGHT, PATIENTS, NUMBERS = 0.5, 100, 4096
FALSE_ALARM = 1e-9  # probability that luck looks like an attack


class Seen(NamedTuple):
    """What the attacker holds."""

    sums: Sequence[Mapping[str, Sequence[bytes]]]  # of each: sender -> letter, share
    parameters: Any = None  # these two where integers are encrypted
    layout: Layout | None = None  # of an update
    signs: Mapping[str, int] = {}  # what the coin, in the last sum, is multiplied with at A and B
    keys: Any = None  # of hospital C, if it helps the attacker

    def letter(self, name: str, of: int = -1) -> Letter:
        """Take a hospital's first letter apart."""
        return Letter.from_bytes(self.sums[of][name][0], self.parameters)

    def read(self, name: str) -> np.ndarray:
        """Read weight x update, shape [p], as it stands in the last letter of a hospital if nothing hides it."""
        found = centred(self.letter(name).hidden, self.parameters.modulus) / self.parameters.delta
        return self.layout.decode(np.rint(found[-self.layout.coefficients :]))

    def plain(self, sign: int) -> np.ndarray:
        """Return the integers in A's letter if the coin fell so: weight, update."""
        layers = quantization.exact_layer(1, self.parameters, 1.0, 64), *self.layout.layers
        return Layout(layers).encode(PATIENTS * HEIGHT * np.array([1 / HEIGHT, *[sign] * NUMBERS]), "A")

    def nearest(self, *readings: np.ndarray) -> int:
        """Say which way the reading points that is nearest to either update."""
        up = self.plain(1)[-self.layout.layers[-1].coefficients :]
        return min((np.abs(each[-len(up) :] - sign * up).mean(), sign) for each in readings for sign in (1, -1))[1]


def overheard(aggregator: Callable[..., Aggregator], rounds: Sequence[Vectors], patients: Weights) -> tuple[Seen, Any]:
    """Play the sums of a few rounds: what is seen of them, and the hospitals' state.

    aggregator : called with ``network=``: `SharedKeyMean`, or `EncryptedMean`, whose letters carry even the lowest bits
    """
    sums: list[dict[str, list[bytes]]] = []

    def tap(sender: str, message: bytes) -> bytes:
        content = message[envelopes.content_start(message) :] if message[:4] == b"FKE1" else message
        sums[-1].setdefault(sender, []).append(content)
        return message

    joined, ledger, names, know = aggregator(network=tap), Ledger(), list(patients), ()
    state = joined.start(names, {"kernel": (len(rounds[0][names[0]]),)}, ledger)
    if parties := getattr(state, "parties", None):
        every = parties.parameters._replace(sent_bits=-(-parties.parameters.modulus_bits // 4) * 4)
        state = replace(state, parties=Together(names, every, ledger, tap))
    for updates in rounds:
        sums.append({})
        state, _ = joined.aggregate(state, updates, patients, ledger)
        know = (every, joined.layout(state)) if parties else ()
    return Seen(sums, *know), state


def scene(aggregator: Callable[..., Aggregator], insider: bool = False) -> Callable[[bool], Seen]:
    """Return what plays a few sums of an aggregator (see `overheard`), the coin in the last one: what is seen.

    insider : whether C hands its keys to the attacker; B's update is then the opposite of A's, as C reads the sum
    """

    def play(coin: bool) -> Seen:
        signs = {"A": 1, "B": -1 if insider else 1}
        heights = (0, 0, HEIGHT if coin else -HEIGHT)  # in the first one, hospitals also agree on steps
        rounds = [{name: np.full(NUMBERS, high * signs.get(name, 0)) for name in "ABC"} for high in heights]
        seen, state = overheard(aggregator, rounds, dict.fromkeys("ABC", PATIENTS))
        keys = state.parties.keyrings["C"] if seen.layout else state
        return seen._replace(signs=signs, keys=keys if insider else None)

    return play


def centred(hidden: np.ndarray, modulus: int) -> np.ndarray:
    """Take integers for what they are if nothing hides them: int64, from -q/2 to q/2."""
    return (hidden.astype(np.int64) + modulus // 2) % modulus - modulus // 2


def reads(seen: Seen) -> int:
    """Read the integers as if nothing hid them, multiplied with delta or not."""
    found = [sign * centred(seen.letter(name).hidden, seen.parameters.modulus) for name, sign in seen.signs.items()]
    return seen.nearest(*found, *(each / seen.parameters.delta for each in found))


def subtracts(seen: Seen) -> int:
    """Subtract letters of zeros: a key that is used twice goes away."""
    own, *others = (each.hidden.astype(np.int64) for each in map(seen.letter, "AAC", (-1, -2, -1)))
    return seen.nearest(*(centred(own - each, seen.parameters.modulus) / seen.parameters.delta for each in others))


def solves(seen: Seen) -> int:
    """Solve for the key as if there were no noise: only from the right update do two polynomials give the same one.

    They are compared by their values at a root of x^N = -1, where products are products of values; 0 if none fits.
    """
    letter, ring, q = seen.letter("A"), Ring(seen.parameters), seen.parameters.modulus
    roots = (pow(base, (q - 1) // (2 * ring.size), q) for base in range(2, q))
    root = next(root for root in roots if pow(root, ring.size, q) == q - 1)
    powers = np.array([pow(root, power, q) for power in range(ring.size)], dtype=object)

    def values(integers: np.ndarray) -> np.ndarray:
        return integers[: 2 * ring.size].reshape(2, -1).astype(object) @ powers

    one, other = values(ring.public(keyring.public_seed(letter.about), 2).reshape(-1))
    for sign in (1, -1):
        first, second = values(seen.plain(sign)) * seen.parameters.delta - values(letter.hidden)
        if (first * other - second * one) % q == 0:
            return sign
    return 0


def opens(seen: Seen) -> int:
    """Take a share, or the sum of all, for a key: as it is, and without the mask that C knows."""
    ring, modulo = Ring(seen.parameters), 1 << seen.parameters.share_bits(3)
    total = Sum.from_bytes(seen.sums[-1]["server"][-1], seen.parameters)
    keys = {name: Share.from_bytes(seen.sums[-1][name][1], seen.parameters, 3).key for name in seen.signs}
    shut = [(total.hidden, total.key, 2), *((seen.letter(name).hidden, keys[name], seen.signs[name]) for name in keys)]
    masks = [np.zeros(ring.size, np.uint32)]
    if seen.keys:  # it is in C's memory
        masks.append(seen.keys._masks(seen.keys._state["now"]["group"], total.label)[0])
    about = keyring.public_seed(seen.letter("A").about)
    tried = ((hidden, key - mask, sign) for hidden, key, sign in shut for mask in masks)
    return seen.nearest(*(ring.show(hidden, about, centred(key, modulo)) / sign for hidden, key, sign in tried))


def practised(scene: Callable[[bool], Any], times: int = 8) -> Callable[[Any], float]:
    """Return an attacker who played alone before, and compares bits: it finds what stands at a place of a letter."""

    def bits(seen: Any) -> np.ndarray:
        return np.unpackbits(np.frombuffer(seen if isinstance(seen, bytes) else seen.sums[-1]["A"][0], np.uint8)) - 0.5

    alone = [[bits(scene(coin)) for _ in range(times)] for coin in (True, False)]
    size = min(len(each) for side in alone for each in side)
    leans = np.subtract(*(np.mean([each[:size] for each in side], axis=0) for side in alone))
    return lambda seen: float(leans[: len(bits(seen))] @ bits(seen)[:size])


def luck(games: int, attackers: int = 1) -> int:
    """Return the most of so many games that luck wins, or loses, but for a probability of `FALSE_ALARM`: exactly."""
    tails = (2 * attackers * sum(comb(games, won) for won in range(wins, games + 1)) for wins in range(games + 1))
    return sum(tail >= FALSE_ALARM * 2**games for tail in tails) - 1


def game(
    scene: Callable[[bool], Any], games: int = 50, more: Mapping[str, Callable] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Let each attacker guess the coin of a `scene`, or of any function from coin to bytes; `more` are attackers.

    One says above 0 for "up", below for "down"; at 0 a coin is tossed. A row an attacker; columns right, games, luck
    (the most that it explains), found ("nothing", or "the coin").
    """
    random, attackers, seen = np.random.default_rng(seed), {"practises": practised(scene)}, scene(True)
    if getattr(seen, "layout", None):
        attackers = {"reads": reads, "subtracts": subtracts, "solves": solves, "opens": opens} | attackers
    elif getattr(seen, "keys", None):  # one key for all: C holds it
        attackers["opens"] = lambda seen: seen.keys.decrypt(seen.sums[-1]["A"][0])[0].sum()
    attackers |= more or {}
    right = dict.fromkeys(attackers, 0)
    for coin in random.integers(0, 2, games).astype(bool):
        seen = scene(bool(coin))
        for name, attacker in attackers.items():
            right[name] += int(((attacker(seen) or random.choice((-1, 1))) > 0) == coin)
    table = pd.DataFrame({"right": right, "games": games, "luck": luck(games, len(attackers))})
    beyond = table["right"].clip(games - table["right"]) > table["luck"]
    return table.assign(found=beyond.map({True: "the coin", False: "nothing"})).rename_axis("attacker")
