"""What keys used once protect, and what must never be answered: each rule, and an attacker who wins without it.

A protection is switched off by a fault in `sabotages`, and a test named there turns red.
"""

import copy
import hashlib
import pickle
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from parties import (
    NAMES,
    SMALL,
    WHOLE,
    Parties,
    folded,
    forged,
    group_mask,
    hashed,
    kept,
    label,
    masks,
    member,
    opens,
    packed,
    public,
    secret,
    stolen,
    sum_of_keys,
    vectors,
)

from fedkit import encryption
from fedkit.encryption import Member, MessageError, Server, digest, keyring, ring
from fedkit.encryption.messages import PRIME, Letter, Share, Sum
from fedkit.encryption.quantization import Layout, exact_layer
from fedkit.encryption.schemes import COINS

REFUSED = "^This is not the sum of the letters in its list: it was changed, or one was left out.$"  # and no number


def encoded(vector, weight, layout, parameters=SMALL):
    """The integers that a letter hides."""
    whole = Layout((exact_layer(1, parameters, 1.0, 64), *layout.layers))
    return whole.encode(np.concatenate([[weight], vector * weight]))


def guilty(**how):
    """A sum that A, B and C made, D's keys, which did not take part, and the list."""
    here = Parties(parameters=WHOLE, **how)
    total, listed, letters, shares = here.play(vectors(NAMES[:3], 2000), layout=packed(parameters=WHOLE))
    return here, here["Davos"], Sum.from_bytes(total, WHOLE), listed, letters, shares


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 4), st.integers(1, 40), st.integers(0, 1000), st.data())
def test_any_list_of_three_opens_at_all_hospitals_to_the_weighted_mean(many, size, seed, data):
    here, names = Parties(), data.draw(st.permutations(NAMES))[:many]
    for number in range(2):
        own = vectors(names, size, seed + number)
        total, listed, letters, _ = here.play(own, weight=seed + 1)
        for name in NAMES:
            mean, patients = here[name].decrypt(total, dict(reversed(listed.items())))
            assert np.abs(mean - np.mean(list(own.values()), axis=0)).max() < 4 * 2.0**-22
            assert patients == many * (seed + 1)
        assert {here[name].number for name in NAMES} == {number}
        assert here[names[0]].letter == letters[names[0]]


def test_the_integers_of_a_sum_are_exact():
    own, layout = vectors(size=2000), packed()
    here = Parties()
    total, listed, *_ = here.play(own, layout=layout)
    (found,) = here["Aarau"].open([(total, listed)], layout)
    expected = sum(encoded(vector, 5, layout) for vector in own.values())
    assert np.array_equal(found, Layout((exact_layer(1, SMALL, 1.0, 64), *layout.layers)).decode(expected))


# Rules 1 and 2: what a letter is for


@given(*[st.lists(st.text("a|\0", max_size=3).map(str.encode), max_size=4)] * 2)
def test_no_two_lists_of_parts_are_one(one, other):
    assert (keyring._hash(bytes(32), "x", *one) == keyring._hash(bytes(32), "x", *other)) == (one == other)
    assert keyring._hash(bytes(32), "x", *one) != keyring._hash(bytes(32), "y", *one)


def test_a_letter_is_for_one_study_number_purpose_state_and_size():
    def about(purpose="update", coefficients=10, skip=0, accept=0, **how):
        here = Parties(**how)
        for _ in range(skip):
            here["Aarau"].begin("update", 10)
        for _ in range(accept):
            total, listed, *_ = here.play(vectors())
            here["Aarau"].decrypt(total, listed)
        here["Aarau"].begin(purpose, coefficients)
        return here["Aarau"].about

    ways = [{}, {"purpose": "scores"}, {"coefficients": 11}, {"skip": 1}, {"accept": 1}, {"study": "another"}]
    ways += [{"parameters": SMALL._replace(numbers=15)}]
    assert len({about(**how) for how in ways}) == len(ways)
    assert about() == about()


def test_a_list_is_who_with_which_keys_and_which_letter():
    here, listed = Parties(), {name: secret(name) for name in NAMES}
    basel, rest = here.members["Basel"], ("Aarau", "Chur", "Davos")
    others = [
        Parties(rest, members={"Basel": basel._replace(**{key: secret("x")})}) for key in ("identity", "exchange")
    ]
    lists = [listed, {name: listed[name] for name in rest}, listed | {"Chur": secret("x")}]
    lists += [listed | {"Basel": listed["Chur"], "Chur": listed["Basel"]}]
    labels = [label(here["Davos"], bytes(32), these) for these in lists]
    labels += [label(other["Davos"], bytes(32), listed) for other in others]
    assert len(set(labels)) == len(labels) == 6
    assert label(here["Aarau"], bytes(32), dict(reversed(listed.items()))) == labels[0]


def test_hospitals_that_hold_different_models_are_never_added():
    """A coordinator shows one of them another sum, of another sha256, that opens to the very same numbers."""
    here, _, found, listed, *_ = guilty()
    other = found._replace(hidden=(found.hidden + np.uint64(1)) % np.uint64(WHOLE.modulus))
    sums = [keys.open([(total.to_bytes(WHOLE), listed)], packed(parameters=WHOLE))
            for keys, total in zip(here.keys.values(), [other, found, found, found], strict=True)]  # fmt: skip
    assert all(np.array_equal(each, sums[0]) for each in sums), "the same numbers, and another sum"
    letters = here.encrypt(vectors())
    server = Server(WHOLE)
    server.take(letters["Aarau"])
    with pytest.raises(MessageError, match="for another sum than is made now: it is old, or its model another"):
        server.take(letters["Basel"])
    with pytest.raises(MessageError, match="another sum"):
        Server(WHOLE, here["Chur"].about).take(letters["Aarau"])
    # and if the server adds them all the same, whatever it writes before them
    listed = {name: digest(letter) for name, letter in letters.items()}
    shares = [Share.from_bytes(share, WHOLE, 4) for share in here.share(listed).values()]
    assert len({share.label for share in shares}) == 2
    hidden = np.sum([Letter.from_bytes(letter, WHOLE).hidden for letter in letters.values()], axis=0) % WHOLE.modulus
    key, tag = np.sum([share.key for share in shares], axis=0, dtype=np.uint32), sum(share.tag for share in shares)
    key &= np.uint32((1 << WHOLE.share_bits(4)) - 1)
    for keys in here.keys.values():
        total = Sum(label(keys, keys.about, listed), 4, hidden.astype(np.uint64), key, tag % PRIME)
        with pytest.raises(MessageError, match=REFUSED):
            keys.open([(total.to_bytes(WHOLE), listed)])


# Rule 3: numbers go forward


def test_an_old_number_is_not_asked_again():
    here = Parties()
    total, listed, *_ = here.play(vectors())
    here["Aarau"].decrypt(total, listed)
    here["Aarau"].encrypt("update", np.ones(3), 5)
    assert here["Aarau"].number == 1
    for ask in (lambda: here["Aarau"].share(listed), lambda: here["Aarau"].open([(total, listed)])):
        with pytest.raises(MessageError):
            ask()
    here["Basel"].decrypt(total, listed)
    here["Basel"].begin("update", 10)
    with pytest.raises(MessageError, match="has sent no letter"):
        here["Basel"].share(listed)


# Rule 4: who is on the roster


@pytest.mark.parametrize(
    ("members", "how", "sentence"),
    [
        (lambda own: {"X": Member(secret("X"), own["Aarau"].exchange)}, {}, "Two hospitals have the same key"),
        (lambda own: {"X": Member(own["Aarau"].identity, secret("X"))}, {}, "Two hospitals have the same key"),
        (lambda own: {"Aarau": member("Aarau", X25519PrivateKey.generate())}, {}, "another key for Aarau than its own"),
        (lambda own: {"X": Member(secret("X"), bytes(32))}, {}, "exchange key of X is none"),
        (lambda own: {}, {"least": 2}, "3 are the fewest"),
    ],
)
def test_a_roster_that_cannot_be_is_refused(members, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        Parties(members=members(Parties().members), **how)


def test_who_copies_a_key_shares_no_masks_with_it():
    """X takes Aarau's key but for a bit that nobody reads, and stands on Basel's other side: two masks would cancel."""
    names = sorted(["Aarau", "Basel", "Chur"], key=lambda name: secret(f"{name} identity"))
    exchange = Parties().members[names[0]].exchange
    copied = Member(b"\xff" * 32, exchange[:31] + bytes([exchange[31] ^ 0x80]))
    here = Parties(members={"X": copied})
    letter = here[names[1]].encrypt("update", np.ones(3), 5)
    listed = {names[0]: secret("letter"), names[1]: digest(letter), "X": secret("letter")}
    found = Share.from_bytes(here[names[1]].share(listed), SMALL, 3).key
    assert np.abs(folded(found, SMALL.share_bits(3))).max() > COINS


def unmasked(one, share, listed, secrets, mask):
    """Take known masks off a share: what is left is the key, if they were all."""
    key, name = Share.from_bytes(share, SMALL, len(listed)).key, label(one, one.about, listed)
    order = sorted(listed, key=lambda other: one.members[other].identity)
    for other, pair in secrets.items():
        words = masks(pair, name)[0]
        key = key - words if order.index(one.name) < order.index(other) else key + words
    return folded(key - (mask if order[0] == one.name else 0), SMALL.share_bits(len(listed)))


@pytest.mark.parametrize("honest", [1, 2])
def test_all_others_but_one_and_the_server_read_no_letter(honest):
    """They take what they added off a share; were they all others, they would know the key, and nothing is to hide."""
    here, aarau = (both := Parties()), both["Aarau"]
    letters = here.encrypt(vectors(size=2000), layout=packed())
    listed = {name: digest(letter) for name, letter in letters.items()}
    known = {name: kept(here[name])["pairs"]["Aarau"] for name in NAMES[honest:]}
    key = unmasked(aarau, aarau.share(listed), listed, known, group_mask(aarau, listed)[0])
    truth = encoded(vectors(size=2000)["Aarau"], 5, packed())
    assert (np.mean(opens(SMALL, letters["Aarau"], key) == truth) < 0.1) == (honest == 2)
    assert (np.abs(key).max() <= COINS) == (honest == 1)


# Rule 5: what is stolen afterwards


def test_who_steals_all_keys_after_a_share_reads_no_letter_of_before():
    """The thief works with the server and with a hospital, who remember the list and the group's mask."""
    stores, layout, own = {}, packed(), vectors(size=2000)
    here = Parties(stores=stores)
    letters, aarau = here.encrypt(own, layout=layout), here["Aarau"]
    listed, about = {name: digest(letter) for name, letter in letters.items()}, aarau.about
    mask, share, truth = group_mask(aarau, listed)[0], aarau.share(listed), encoded(own["Aarau"], 5, layout)
    state = stolen(stores, "Aarau", here)
    pairs = state["now"]["pairs"], {name: hashed(key, "mask", about) for name, key in state["pairs"].items()}
    keys = [unmasked(aarau, share, listed, each, mask) for each in pairs]
    keys.append(np.frombuffer(state["now"].get("key", bytes(8 * 1024)), np.int64))
    # who guesses the numbers cannot check the guess
    for key in (place[of] for place in (state, state["now"]) for of in ("own",) if of in place):
        for one in (key, hashed(key, "own", about)):
            guess = hashed(one, "letter", about, hashlib.sha256(truth.tobytes()).digest())
            keys.append(ring.small(hashed(guess, "key"), 1024))
    for key in keys:
        assert np.mean(opens(SMALL, letters["Aarau"], key) == truth) < 0.1
    assert "values" not in state["now"]


def test_who_steals_all_keys_after_a_number_opens_no_sum_of_before():
    stores = {}
    here = Parties(stores=stores)
    total, listed, *_ = here.play(vectors())
    about, found, aarau = here["Aarau"].about, Sum.from_bytes(total, SMALL), here["Aarau"]
    aarau.decrypt(total, listed)
    aarau.begin("update", 10)
    state, name = stolen(stores, "Aarau", here), label(aarau, about, listed)
    for key in (state["group"], hashed(state["group"], "sum", about), state["now"]["group"]):
        assert np.abs(folded(found.key - masks(key, name)[0], SMALL.share_bits(4))).max() > 4 * COINS


# Rules 6 to 9: never twice


class KilledError(Exception):
    pass


@pytest.mark.parametrize("seed", range(50))
def test_a_hospital_that_is_killed_anywhere_posts_one_letter_and_one_share_a_number(seed):
    """After each restart its data, and the list that it is asked for, are others."""
    rng, disk, posted, alive = np.random.default_rng(seed), [], defaultdict(set), [0]
    here = Parties()
    members, peers = here.members, {name: here[name] for name in NAMES[1:]}

    def store(state):
        alive[0] -= 1
        if alive[0] == 0 and rng.random() < 0.5:
            raise KilledError
        disk.append(state)
        if alive[0] <= 0:
            raise KilledError

    def born():
        alive[0] = int(rng.integers(1, 8))
        keys = encryption.restore("Aarau", SMALL, members, disk[-1]) if disk else Parties()["Aarau"]
        keys.store = store
        return keys

    keys, letters, totals = born(), {}, {}
    for number in range(4):
        letters = {name: peers[name].encrypt("update", vectors(size=3, seed=number)[name], 5) for name in peers}
        done = False
        while not done:
            try:
                if keys.number < number:
                    keys.encrypt("update", rng.normal(size=3), 5)
                posted[number, 1].add(keys.letter)
                lists = [{"Aarau": digest(keys.letter)} | {name: digest(letters[name]) for name in pair}
                         for pair in [NAMES[1:], *combinations(NAMES[1:], 2)]]  # fmt: skip
                listed = keys.listed or lists[rng.integers(4)]
                posted[number, 2].add(keys.share(listed))
                for other in lists:
                    if other != listed:
                        with pytest.raises(MessageError, match="a number is answered once"):
                            keys.share(other)
                if number not in totals:
                    chosen = {name: letters.get(name, keys.letter) for name in listed}
                    shares = {name: peers[name].share(listed) for name in listed if name != "Aarau"}
                    shares["Aarau"] = keys.share(listed)
                    totals[number] = encryption.add(SMALL, chosen, shares), listed
                keys.open([totals[number]])
                done = True
            except KilledError:
                keys = born()
        for peer in peers.values():
            peer.open([totals[number]])
    assert {key: len(found) for key, found in posted.items()} == {(n, one): 1 for n in range(4) for one in (1, 2)}
    assert len(set.union(*posted.values())) == 8


def test_what_is_stored_is_stored_before_it_leaves_and_comes_back():
    stores = {}
    here = Parties(stores=stores)
    letter = here["Aarau"].encrypt("update", np.ones(3), 5)
    again = encryption.restore("Aarau", SMALL, here.members, stores["Aarau"][-1])
    assert (again.letter, again.number, again.about, again.listed) == (letter, 0, here["Aarau"].about, None)
    listed = {"Aarau": digest(letter), "Basel": secret("b"), "Chur": secret("c")}
    share = here["Aarau"].share(listed)
    assert again.share(listed) == share == here["Aarau"].share(listed)
    again = encryption.restore("Aarau", SMALL, here.members, stores["Aarau"][-1])
    assert (again.share(listed), again.listed) == (share, listed)
    assert b"pickle" not in stores["Aarau"][-1]


def test_if_all_memory_of_a_letter_is_lost_the_same_numbers_give_the_same_letter_and_others_another_key():
    """A backup was restored, and the folder hides what was posted: with one key, two letters tell their difference."""
    own, layout = vectors(size=2000), packed()
    one, again, other = (
        Parties()["Aarau"].encrypt("update", own[name], 5, layout) for name in ("Aarau", "Aarau", "Basel")
    )
    assert one == again
    first, second = (Letter.from_bytes(letter, SMALL).hidden.astype(np.int64) for letter in (one, other))
    delta, q = SMALL.delta, SMALL.modulus
    difference = (first - second) % q
    read = (difference - (difference > q // 2) * q + delta // 2) // delta
    truth = encoded(own["Aarau"], 5, layout) - encoded(own["Basel"], 5, layout)
    assert np.mean(read == truth) < 0.1
    fresh = Parties(own=secret("another"))["Aarau"].encrypt("update", own["Aarau"], 5, layout)
    assert fresh != one


def test_a_share_is_given_for_one_list():
    here = Parties()
    letters = here.encrypt(vectors())
    listed = {name: digest(letter) for name, letter in letters.items()}
    share = here["Aarau"].share(listed)
    smaller = {name: listed[name] for name in NAMES[:3]}
    for other in (smaller, listed | {"Chur": secret("another")}):
        with pytest.raises(MessageError, match="Aarau gave its share for another list: a number is answered once"):
            here["Aarau"].share(other)
    assert here["Aarau"].share(dict(reversed(listed.items()))) == share


def test_the_difference_of_two_sums_opens_nobody():
    """Aarau is in one list, and not in the next: a hospital knows the sum of each one's keys."""
    here, layout, own = Parties(), packed(), vectors(size=2000)
    total, listed, letters, _ = here.play(own, layout=layout)
    keys = sum_of_keys(here["Chur"], total, listed)
    for one in here.keys.values():
        one.open([(total, listed)], layout)
    total, listed, *_ = here.play({name: own[name] for name in NAMES[1:]}, layout=layout)
    alone = keys - sum_of_keys(here["Chur"], total, listed)
    assert np.mean(opens(SMALL, letters["Aarau"], alone) == encoded(own["Aarau"], 5, layout)) < 0.1


# Rules 10 to 12: which list, and how often


@pytest.mark.parametrize(
    ("change", "how", "sentence"),
    [
        (lambda good: {"Aarau": secret("no")}, {}, "Aarau's letter is not the one in this list"),
        (lambda good: {"Aarau": None}, {}, "Aarau's letter is not the one in this list"),
        (lambda good: {"X": secret("X")}, {}, "'X' is listed, and not on the roster"),
        (lambda good: {"Chur": None, "Davos": None}, {}, "2 hospitals are listed, and 3 are the fewest"),
        (lambda good: {"Davos": None}, {"least": 4}, "3 hospitals are listed, and 4 are the fewest"),
        (lambda good: {}, {"known": ["Aarau", "Basel", "Y"]}, "names 1 hospitals whose fingerprint was compared"),
        (lambda good: {"Davos": None}, {"known": ["Basel", "Davos"]}, "names 1 hospitals whose fingerprint was"),
        (lambda good: {}, {"peers": NAMES[:3]}, "'Davos' is listed, and not on the roster"),
    ],
)
def test_a_share_is_for_a_list_that_hides_it(change, how, sentence):
    here = Parties(**how)
    listed = {name: digest(letter) for name, letter in here.encrypt(vectors()).items()}
    hostile = {name: each for name, each in (listed | change(listed)).items() if each is not None}
    with pytest.raises(MessageError, match=sentence):
        here["Aarau"].share(hostile)
    if "known" not in how:  # and it has not been given away
        assert here["Aarau"].share({name: listed[name] for name in how.get("peers", NAMES)})


@pytest.mark.parametrize(("purpose", "budget"), [("update", 2), ("update", 0), ("statistics", 0), ("scores", 0)])
@pytest.mark.parametrize("opened", ["none", "another list's", "one that is changed"])
def test_a_number_whose_share_went_out_and_that_did_not_open_is_charged(purpose, budget, opened):
    """A coordinator keeps Aarau's share back, then lists without it: the difference of two sums is Aarau's."""
    stores = {}
    here = Parties(budget=budget if purpose == "update" else 2, stores=stores)
    for number in range(budget + 2):
        if number == budget + 1:
            with pytest.raises(MessageError, match=rf"Shares of Aarau went out .* open \({purpose}, number {budget}\)"):
                here.encrypt(vectors(), purpose=purpose)
            here.keys["Aarau"] = encryption.restore("Aarau", SMALL, here.members, stores["Aarau"][-1])
            with pytest.raises(MessageError, match="a person must find out why"):
                here["Aarau"].begin("scores", 3)
            break
        letters = here.encrypt(vectors(), purpose=purpose)
        listed = {name: digest(letter) for name, letter in letters.items()}
        here["Aarau"].share(listed)
        if opened == "another list's":
            smaller = {name: listed[name] for name in NAMES[1:]}
            total = encryption.add(SMALL, {name: letters[name] for name in smaller}, here.share(smaller))
            for keys in here.keys.values():
                keys.open([(total, smaller)])
        elif opened == "one that is changed":
            for name in NAMES[1:]:
                here[name].share(listed)
            for keys in here.keys.values():
                with pytest.raises(MessageError):
                    keys.open([(forged(keys, listed, np.full(1024, 5 * COINS), np.zeros(16, np.int64)), listed)])
    assert here["Aarau"].failed == budget


def test_what_opened_and_what_nobody_shared_costs_nothing():
    here = Parties(budget=0)
    for _ in range(3):
        total, listed, *_ = here.play(vectors(), purpose="statistics")
        for keys in here.keys.values():
            keys.decrypt(total, listed)
        here.encrypt(vectors())  # never listed
    assert [keys.failed for keys in here.keys.values()] == [0] * 4


# Rules 14 to 17: what is opened


@pytest.mark.parametrize("hospitals", [3, 8, 1000, 100_000])
def test_the_sum_of_the_keys_fits_its_bits_also_if_all_are_as_large_as_can_be(hospitals):
    """Beyond that it is refused; also where no product with it would be exact, which 100,000 of the largest reach."""
    parameters = encryption.choose(hospitals, numbers=14 if hospitals < 10**5 else 10**6, bits=30)
    bits, most, size = parameters.share_bits(hospitals), hospitals * COINS, parameters.ring_dimension
    assert 2 ** (bits - 1) <= 2 * most < 2**bits
    members = {f"{number}": Member(secret(f"i{number}"), secret(f"e{number}")) for number in range(hospitals - 3)}
    one, layout = Parties(NAMES[:3], parameters, members=members, peers=NAMES[:3])["Aarau"], packed(1500, 9, parameters)
    listed, values = (
        {name: secret(name) for name in one.members},
        encoded(np.linspace(-1, 1, 1500), 5, layout, parameters),
    )
    key = np.resize([most, -most, 0, 0, 1], size)
    key[9:] = key[9:] % 3
    one.begin("update", len(values))
    (found,) = one.open([(forged(one, listed, key, values), listed)], layout)
    assert found[0] == 5
    assert np.abs(found[1:] - 5 * np.linspace(-1, 1, 1500)).max() < 1e-4
    for beyond in (most + 1, -most - 1):
        key[7] = beyond
        one.begin("update", len(values))
        with pytest.raises(MessageError, match=REFUSED):
            one.open([(forged(one, listed, key, values), listed)], layout)
    one.begin("update", len(values))
    found = Sum.from_bytes(forged(one, listed, 0 * key, values), parameters)
    large = found._replace(key=(found.key + np.full(size, most, np.uint32)) & np.uint32(2**bits - 1))
    with pytest.raises(MessageError, match=REFUSED):
        one.open([(large.to_bytes(parameters), listed)], layout)


def test_the_server_alone_opens_no_sum():
    """With all that it holds: the letters, the shares, and the numbers that name them."""
    here, _, found, listed, letters, _ = guilty()
    values = sum(encoded(own, 5, packed(parameters=WHOLE), WHOLE) for own in vectors(NAMES[:3], 2000).values())
    held = [here["Aarau"].about, found.label, *listed.values(), *map(digest, letters.values()), bytes(32)]
    for words in (np.uint32(0), *(masks(key, found.label)[0] for key in held)):
        key = folded(found.key - words, 8)
        assert np.abs(key).max() > 3 * COINS
        shown = ring.Ring(WHOLE).show(found.hidden, hashed(here["Aarau"].about, "public"), key)
        assert np.mean(shown == values) < 0.1


def swapped(hidden):
    changed = hidden.copy()
    changed[:900], changed[1024:1924] = hidden[1024:1924], hidden[:900]
    return changed


def at(place, amount):
    return lambda found, *_: found._replace(
        hidden=found.hidden
        + np.eye(1, len(found.hidden), place).astype(np.uint64)[0] * np.uint64(amount * WHOLE.delta % WHOLE.modulus)
    )


def letter_again(sign):
    return lambda found, letters: found._replace(
        hidden=found.hidden
        + np.uint64(1 if sign > 0 else WHOLE.modulus - 1) * Letter.from_bytes(letters["Basel"], WHOLE).hidden
    )


CHANGES = {
    "one coefficient + 5": at(7, 5),
    "one coefficient - 1": at(1900, -1),
    "a great prime at one place": at(1030, 2**31 - 1),
    "its weight": at(0, 1),
    "a letter left out": letter_again(-1),
    "a letter twice": letter_again(1),
    "polynomials swapped": lambda found, _: found._replace(hidden=swapped(found.hidden)),
    "the sum of the keys + 1": lambda found, _: found._replace(key=(found.key + np.uint32(np.eye(1, 1024)[0])) & 255),
    "another key": lambda found, _: found._replace(key=found.key[::-1]),
    "its tag": lambda found, _: found._replace(tag=(found.tag + 1) % PRIME),
    "fewer coefficients": lambda found, _: found._replace(hidden=found.hidden[:-1]),
    "another list's label": lambda found, _: found._replace(label=bytes(32)),
    "fewer hospitals": lambda found, _: found._replace(hospitals=2, key=found.key & 255),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_sum_that_was_changed_is_refused_and_nothing_is_said_of_its_numbers(what):
    here, one, found, listed, letters, _ = guilty()
    changed = CHANGES[what](found, letters)
    changed = changed._replace(hidden=changed.hidden % np.uint64(WHOLE.modulus))
    for keys in (one, here["Aarau"]):
        with pytest.raises(MessageError, match=REFUSED):
            keys.open([(changed.to_bytes(WHOLE), listed)], packed(parameters=WHOLE))
        with pytest.raises(MessageError, match="no second one is"):
            keys.open([(found.to_bytes(WHOLE), listed)], packed(parameters=WHOLE))


def test_a_hospital_that_sends_nonsense_stops_the_sum_and_nobody_opens_it():
    here = Parties()
    letters = here.encrypt(vectors())
    found = Letter.from_bytes(letters["Basel"], SMALL)
    letters["Basel"] = found._replace(hidden=found.hidden[::-1]).to_bytes(SMALL)
    kept(here["Basel"])["letter"] = letters["Basel"]
    listed = {name: digest(letter) for name, letter in letters.items()}
    total = encryption.add(SMALL, letters, here.share(listed))
    for keys in here.keys.values():
        with pytest.raises(MessageError, match=REFUSED):
            keys.decrypt(total, listed)


def test_one_sum_is_opened_a_list_and_a_second_one_is_refused_unread(monkeypatch):
    """Noise + 1 everywhere would open to the same numbers; bounds on what opens tell the noise, and so the key."""
    stores = {}
    here, one, found, listed, *_ = guilty(stores=stores)
    layout, first = packed(parameters=WHOLE), found.to_bytes(WHOLE)
    second = found._replace(hidden=(found.hidden + np.uint64(1)) % np.uint64(WHOLE.modulus)).to_bytes(WHOLE)
    twin = Parties(parameters=WHOLE)
    assert twin.play(vectors(NAMES[:3], 2000), layout=layout)[0] == first
    (same,), (numbers,) = twin["Davos"].open([(second, listed)], layout), one.open([(first, listed)], layout)
    assert np.array_equal(same, numbers), "this would not be noticed"
    again = encryption.restore("Davos", WHOLE, here.members, stores["Davos"][-1])
    assert np.array_equal(again.open([(first, listed)], layout)[0], numbers)
    monkeypatch.setattr(keyring, "Sum", None)
    for keys in (one, again):
        with pytest.raises(MessageError, match="Another sum was opened for this list: no second one is"):
            keys.open([(second, listed)], layout)


@pytest.mark.parametrize(("weights", "sentence"), [([0, 0, 0], "patients sum to zero"), ([2**53] * 3, "no number of")])
def test_patients_that_cannot_be_are_named(weights, sentence):
    here = Parties(NAMES[:3])
    letters = {n: here[n].encrypt("update", np.zeros(3), w) for n, w in zip(here.keys, weights, strict=True)}
    listed = {name: digest(letter) for name, letter in letters.items()}
    with pytest.raises(MessageError, match=sentence):
        here["Aarau"].decrypt(encryption.add(SMALL, letters, here.share(listed)), listed)


def test_sums_of_strangers_or_of_another_layout_do_not_open():
    _, one, found, listed, *_ = guilty()
    total = found.to_bytes(WHOLE)
    for sums, layout, sentence in [
        ((total, listed | {"X": bytes(32)}), None, "'X' is in a sum, and not on the roster"),
        ((total, listed), packed(1000, parameters=WHOLE), "1006 coefficients were agreed on, and 2006 came back"),
    ]:
        with pytest.raises(MessageError, match=sentence):
            one.open([sums], layout)


@pytest.mark.parametrize(
    ("vector", "weight", "sentence"),
    [
        ([1.0, np.nan], 5, "Number 1 of the update is nan"),
        ([-np.inf, 1.0], 5, "Number 0 of the update is -inf"),
        *[(bad, 5, "shape") for bad in ([[1.0]], [])],
        *[([1.0], bad, f"whole number of patients, and {bad}") for bad in (-1, 2.5, np.nan, np.inf)],
        ([1e30], 5, "beyond"),
        ([0.0], 1e200, "beyond"),
    ],
)
def test_what_cannot_be_added_is_refused_and_no_number_is_spent(vector, weight, sentence):
    keys = Parties()["Aarau"]
    with pytest.raises(ValueError, match=sentence):
        keys.encrypt("update", np.array(vector), weight)
    assert keys.number == -1


def test_keys_are_not_shown_nor_copied():
    keys = Parties()["Aarau"]
    assert repr(keys) == "Keyring(Aarau, 4 hospitals, number -1)"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a copy would use them twice"):
            way(keys)


# The proof that it is encrypted: a game, which is won each time where it is not


def powers(choice):
    """Rows that turn coefficients into values at the roots of x^N = -1, and back."""
    size, q = choice.ring_dimension, choice.modulus
    root = next(r for r in (pow(g, (q - 1) // (2 * size), q) for g in range(2, 99)) if pow(r, size, q) == q - 1)
    table = np.array([pow(root, k, q) for k in range(2 * size)])
    exponents = np.outer(2 * np.arange(size) + 1, np.arange(size))
    return table[exponents % (2 * size)], table[-exponents.T % (2 * size)] * pow(size, -1, q) % q


def reads(letter, candidate, tables):
    """Take the packed integers out, if there is no key."""
    raw = Letter.from_bytes(letter, WHOLE).hidden.astype(np.int64)
    read = (raw - (raw > WHOLE.modulus // 2) * WHOLE.modulus + WHOLE.delta // 2) // WHOLE.delta
    return np.array_equal(read, candidate)


def inverts(letter, candidate, tables):
    """Divide by the public polynomial, if there is no noise: what is left is a key only for the right numbers."""
    (there, back), found, q = tables, Letter.from_bytes(letter, WHOLE), WHOLE.modulus
    values = lambda row: (there * (row % q) % q).sum(axis=1) % q  # noqa: E731
    a, rest = (
        values(public(WHOLE, found.about, 1)[0]),
        candidate[:1024] * WHOLE.delta - found.hidden[:1024].view(np.int64),
    )
    quotient = values(rest) * np.array([pow(int(one), -1, q) if one else 0 for one in a]) % q
    key = (back * quotient % q).sum(axis=1) % q
    return np.minimum(key, q - key).max() <= COINS


def weak_letter(keys, vector, layout, attacker):
    """A letter without a key, or without noise, as a fault would make it."""
    keys.begin("update", keys.coefficients(layout))
    values = encoded(vector, 5, layout, WHOLE)
    key, noise = ring.small(bytes(32), 1024), ring.small(secret("noise"), len(values))
    key, noise = (0 * key, noise) if attacker is reads else (key, 0 * noise)
    product = ring.Ring(WHOLE).times(public(WHOLE, keys.about, 2), key).ravel()[: len(values)]
    hidden = (values * WHOLE.delta + noise - product) % WHOLE.modulus
    return Letter(keys.about, hidden.astype(np.uint64)).to_bytes(WHOLE)


@pytest.mark.parametrize("attacker", [reads, inverts])
@pytest.mark.parametrize("weak", [False, True])
def test_a_letter_does_not_tell_which_of_two_updates_it_holds(attacker, weak):
    """40 games: a coin wins less than 2 or more than 38 of them once in 10^10 times."""
    layout, two, keys = packed(parameters=WHOLE), list(vectors(size=2000).values()), Parties(parameters=WHOLE)["Aarau"]
    one, tables, coins = encoded(two[1], 5, layout, WHOLE), powers(WHOLE), np.random.default_rng().integers(0, 2, 40)
    make = (
        (lambda own: weak_letter(keys, own, layout, attacker))
        if weak
        else (lambda own: keys.encrypt("update", own, 5, layout))
    )
    won = sum(attacker(make(two[coin]), one, tables) == coin for coin in coins)
    assert won == 40 if weak else 2 <= won <= 38
