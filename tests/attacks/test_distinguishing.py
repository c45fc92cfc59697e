"""The game: nobody wins it against the engine as it is, and each fault of the engine is found by who looks for it."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fedkit import aggregators
from fedkit.chapters.attacks import distinguishing
from fedkit.chapters.attacks.distinguishing import game, luck, scene
from fedkit.encryption import keyring, ring, shared

GAMES = 36
EXACT = keyring._hash, lambda key, count: TOSSED(ring.stream(key), count)
TOSSED = ring._tossed
NOTHING = {(ring, "_tossed"): lambda stream, count: np.zeros(count, np.int64)}


@pytest.mark.parametrize("insider", [False, True], ids=["server alone", "with a hospital"])
def test_nobody_tells_the_coin_from_letters_whose_keys_are_used_once(insider):
    table = game(scene(aggregators.EncryptedMean, insider), GAMES)
    assert list(table.index) == ["reads", "subtracts", "solves", "opens", "practises"]
    assert set(table["found"]) == {"nothing"}
    assert (table["right"].max() <= table["luck"]).all()


def test_with_one_key_for_all_a_hospital_tells_the_coin_and_the_server_alone_does_not():
    assert set(game(scene(aggregators.SharedKeyMean), GAMES)["found"]) == {"nothing"}
    table = game(scene(aggregators.SharedKeyMean, insider=True), GAMES)
    assert table["found"].to_dict() == {"practises": "nothing", "opens": "the coin"}
    assert table.loc["opens", "right"] == GAMES


def zeros(key, count):
    return np.zeros(count, np.int64)


def keys_from(small):
    """Only keys are drawn so; noise as ever."""
    return {(keyring, "ring"): SimpleNamespace(small=small, Ring=ring.Ring, stream=ring.stream)}


def unmasked(which):
    """Leave out masks whose keys come from the group's ("sum"), or from a pair's ("mask")."""
    exact, found = keyring.Keyring._masks, set()

    def hashed(key, what, *parts):
        result = EXACT[0](key, what, *parts)
        if what in which:
            found.add(result)
        return result

    def masks(self, key, label):
        return (np.zeros(self._ring.size, np.int64), 0) if key in found else exact(self, key, label)

    return {(keyring, "_hash"): hashed, (keyring.Keyring, "_masks"): masks}


def in_the_clear(self, values, public, s, noise):
    return np.mod(values, self.modulus).view(np.uint64)


def with_a_pad(self, values, public, s, noise):
    pad = np.random.default_rng(0).integers(0, self.modulus, len(values))
    return np.mod(values + pad, self.modulus).view(np.uint64)


def shown(pads):
    def show(self, hidden, public, s):
        pad = np.random.default_rng(0).integers(0, self.modulus, len(hidden))
        raw = (hidden.astype(np.int64) - pads * pad) % self.modulus
        return raw - self.modulus * (raw > self.modulus // 2)

    return show


FAULTS = {
    "no key": ("reads", keys_from(zeros)),
    "no key, no noise": ("reads", NOTHING),
    "packed, in the clear": ("reads", {(ring.Ring, "hide"): in_the_clear, (ring.Ring, "show"): shown(0)}),
    "one pad for all letters": ("practises", {(ring.Ring, "hide"): with_a_pad, (ring.Ring, "show"): shown(3)}),
    "one key for two numbers": (
        "subtracts",
        keys_from(lambda key, count: EXACT[1](bytes(32), count)) | {(keyring, "public_seed"): lambda about: bytes(32)},
    ),
    "one key for two hospitals": ("subtracts", keys_from(lambda key, count: EXACT[1](bytes(32), count))),
    "no noise": ("solves", keys_from(EXACT[1]) | NOTHING),
    "no masks": ("opens", unmasked(("sum", "mask"))),
    "no masks of pairs": ("opens", unmasked(("mask",))),
    "no mask of the group": ("opens", unmasked(("sum",))),
}


def tells(attacker, scene):
    """Whether an attacker of this name is right each time."""
    guess = distinguishing.practised(scene) if attacker == "practises" else getattr(distinguishing, attacker)
    return all((guess(scene(coin)) > 0) == coin for coin in [True, False] * 6)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_the_engine_is_found_always_by_who_looks_for_it(fault, monkeypatch):
    attacker, changes = FAULTS[fault]
    for (place, name), new in changes.items():
        monkeypatch.setattr(place, name, new)
    assert tells(attacker, scene(aggregators.EncryptedMean))
    if fault == "no masks of pairs":
        assert tells(attacker, scene(aggregators.EncryptedMean, insider=True)), "a hospital that helps the server"


def test_ckks_messages_that_are_numbers_in_the_clear_are_found(monkeypatch):
    monkeypatch.setattr(shared.SharedKeys, "encrypt", lambda self, v, w, layout=None: np.array([w, *(w * v)]).tobytes())
    monkeypatch.setattr(shared.SharedServer, "add", lambda self, each: sum(map(np.frombuffer, each)).tobytes())
    monkeypatch.setattr(shared.SharedKeys, "decrypt", lambda self, t, layout=None: keyring.divided(np.frombuffer(t)))
    assert tells("practises", scene(aggregators.SharedKeyMean))


@pytest.mark.parametrize(("games", "attackers"), [(36, 5), (50, 1), (50, 5), (200, 5)])
def test_what_luck_explains_is_the_tail_of_the_binomial_distribution(games, attackers):
    most = luck(games, attackers)
    assert (
        2 * attackers * stats.binom.sf(most, games, 0.5) < 1e-9 <= 2 * attackers * stats.binom.sf(most - 1, games, 0.5)
    )
    assert games / 2 < most < games


def test_a_wrong_guess_each_time_tells_as_much_as_a_right_one():
    table = game(lambda coin: bytes([255 * coin]), GAMES)
    assert (table.loc["practises", "right"], table.loc["practises", "found"]) == (GAMES, "the coin")
    played = iter(range(10_000))
    table = game(lambda coin: bytes([255 * (coin ^ (next(played) > 16))]), GAMES)  # practice told the wrong thing
    assert (table.loc["practises", "right"], table.loc["practises", "found"]) == (0, "the coin")
