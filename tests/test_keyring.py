"""What keys used once protect, and what must never be answered: each rule, and an attacker who wins without it.

A protection is switched off by a fault in `sabotages`, and a test named there turns red.
"""

import contextlib
import copy
import functools
import hashlib
import itertools
import pickle
from collections import defaultdict
from itertools import combinations

import numpy as np
import parties
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parties import NAMES, SMALL, WHOLE, Parties, again, encoded, folded, forged, hashed, kept, opens, packed, secret
from tampering import nearly

from fedkit import encryption
from fedkit.encryption import Member, MessageError, Server, digest, keyring, ring
from fedkit.encryption.keyring import label_of
from fedkit.encryption.messages import PRIME, Letter, Share, Sum
from fedkit.encryption.quantization import Layout, packed_layer
from fedkit.encryption.schemes import COINS

REFUSED = "^This is not the sum of the letters in its list: it was changed, or one was left out.$"  # and no number
LAYOUT, WIDE = packed(), packed(parameters=WHOLE)


def vectors(names=NAMES, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=size) for name in names}


def played(**how):
    """A sum of three hospitals, at one that did not take part."""
    here = Parties(parameters=WHOLE, **how)
    total, listed, letters = here.play(vectors(NAMES[:3], 2000), layout=WIDE)
    return here, Sum.from_bytes(total, WHOLE), listed, letters


def changed(found, by=1, at=slice(None)):
    """A sum to whose coefficients something was added."""
    hidden = found.hidden.copy()
    hidden[at] += np.uint64(by % WHOLE.modulus)
    return found._replace(hidden=hidden % np.uint64(WHOLE.modulus))


def is_read(letter, key, name="Aarau"):
    return np.mean(opens(SMALL, letter, key) == encoded(vectors(size=2000)[name], LAYOUT)) > 0.1


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 4), st.integers(1, 40), st.integers(0, 1000), st.data())
def test_any_list_of_three_opens_at_all_hospitals_to_the_weighted_mean(many, size, seed, data):
    here, names = Parties(), data.draw(st.permutations(NAMES))[:many]
    for number in range(2):
        own = vectors(names, size, seed + number)
        total, listed, letters = here.play(own, weight=seed + 1)
        for name in NAMES:
            mean, patients = here[name].decrypt(total, dict(reversed(listed.items())))
            assert np.abs(mean - np.mean(list(own.values()), axis=0)).max() < 4 * 2.0**-22
            assert (patients, here[name].number) == (many * (seed + 1), number)
        assert here[names[0]].letter == letters[names[0]]


# Rules 1 to 3: what a letter is for


@given(*[st.lists(st.text("a|\0", max_size=3).map(str.encode), max_size=4)] * 2)
@example([b"a|a"], [b"a", b"a"])
@example([b"aa"], [b"a", b"a"])
def test_no_two_lists_of_parts_are_one(one, other):
    one, another, third = (keyring._hash(bytes(32), *parts) for parts in (("x", *one), ("x", *other), ("y", *one)))
    assert (one == another) == (parties.hashed(bytes(32), "x", *other) == one)
    assert one != third


def test_a_letter_is_for_one_study_number_purpose_state_and_size():
    def about(purpose="update", coefficients=10, skip=0, accept=0, **how):
        here = Parties(**how)
        for _ in range(skip):
            here["Aarau"].begin("update", 10)
        for _ in range(accept):
            here["Aarau"].decrypt(*here.play(vectors())[:2])
        here["Aarau"].begin(purpose, coefficients)
        return here["Aarau"].about

    ways = [{}, {"purpose": "scores"}, {"coefficients": 11}, {"skip": 1}, {"accept": 1}, {"study": "another"}]
    ways += [{"parameters": SMALL._replace(numbers=15)}]
    assert len({about(**how) for how in ways}) == len(ways)
    assert about() == about()


def test_a_list_is_who_with_which_keys_and_which_letter():
    def named(listed, **keys):
        rest = [name for name in NAMES if name != "Basel"]
        members = {"Basel": Parties().members["Basel"]._replace(**keys)}
        return label_of(Parties(rest, members=members).members, bytes(32), listed)

    good = {name: secret(name) for name in NAMES}
    lists = [good, good | {"Chur": secret("x")}, good | {"Basel": good["Chur"], "Chur": good["Basel"]}]
    lists += [{name: each for name, each in good.items() if name != "Aarau"}]
    found = [named(each) for each in lists] + [named(good, **{key: secret("x")}) for key in Member._fields]
    assert len(set(found)) == 6
    assert named(dict(reversed(good.items()))) == found[0]


def test_hospitals_that_hold_different_models_are_never_added():
    """A coordinator shows one of them another sum, of another sha256, that opens to the very same numbers."""
    here, found, listed, _ = played()
    shown = dict.fromkeys(NAMES, found) | {"Aarau": changed(found)}
    sums = [here[name].open([(shown[name].to_bytes(WHOLE), listed)], WIDE) for name in NAMES]
    assert all(np.array_equal(each, sums[0]) for each in sums), "the same numbers, and another sum"
    letters, listed = here.send(vectors())
    server = Server(WHOLE)
    server.take(letters["Aarau"])
    with pytest.raises(MessageError, match="for another sum than is made now: it is old, or its model another"):
        server.take(letters["Basel"])
    # and if the server adds them all the same, whatever it writes before them
    shares = [Share.from_bytes(here[name].share(listed), WHOLE, 4) for name in NAMES]
    hidden = sum(Letter.from_bytes(letter, WHOLE).hidden for letter in letters.values()) % np.uint64(WHOLE.modulus)
    key, check = sum(share.key for share in shares) & np.uint32(511), sum(share.tag for share in shares) % PRIME
    for keys in here.keys.values():
        total = Sum(label_of(keys.members, keys.about, listed), 4, hidden, key, check)
        with pytest.raises(MessageError, match=REFUSED):
            keys.open([(total.to_bytes(WHOLE), listed)])


def test_an_old_number_is_not_asked_again():
    here = Parties()
    total, listed, _ = here.play(vectors())
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


# Rules 4 and 5: who is on the roster, who works together, and what is stolen afterwards


@pytest.mark.parametrize(
    ("members", "how", "sentence"),
    [
        (lambda own: {"X": Member(secret("X"), own["Aarau"].exchange)}, {}, "Two hospitals have the same key"),
        (lambda own: {"X": Member(own["Aarau"].identity, secret("X"))}, {}, "Two hospitals have the same key"),
        (lambda own: {"Aarau": parties.member("Aarau", X25519PrivateKey.generate())}, {}, "key for Aarau than its own"),
        (lambda own: {"X": Member(secret("X"), bytes(32))}, {}, "exchange key of X is none"),
        (lambda own: {}, {"least": 2}, "3 are the fewest"),
    ],
)
def test_a_roster_that_cannot_be_is_refused(members, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        Parties(members=members(Parties().members), **how)


def test_who_copies_a_key_shares_no_masks_with_it():
    """X takes one's key but for a bit that nobody reads, and stands on another's other side: two masks would cancel."""
    one, other, third = parties.ordered(Parties()["Aarau"], NAMES[:3])
    exchange = Parties().members[one].exchange
    with pytest.raises(ValueError, match="Two hospitals have the same key"):
        Parties(members={"X": Member(b"\xff" * 32, exchange)})
    here = Parties(members={"X": Member(b"\xff" * 32, exchange[:31] + bytes([exchange[31] ^ 0x80]))})
    letter = here[other].encrypt("update", np.ones(3), 5)
    share = here[other].share({one: secret(third), other: digest(letter), "X": secret(third)})
    assert np.abs(folded(Share.from_bytes(share, SMALL, 3).key, 8)).max() > COINS


def test_who_was_given_another_groups_key_shares_no_masks():
    """Else who made both reads off the sum of the tags what that hospital sent."""
    one, other, odd = (
        Parties(group=group)[name]._state["pairs"] for name, group in (("Aarau", "a"), ("Basel", "a"), ("Basel", "b"))
    )
    assert one["Basel"] == other["Aarau"] != odd["Aarau"]


def test_masks_come_from_a_secret_of_the_two_that_they_are_between():
    one, other = (X25519PrivateKey.from_private_bytes(secret(f"{name} exchange")) for name in NAMES[:2])
    both = sorted([(one.public_key().public_bytes_raw(), b"Aarau"), (other.public_key().public_bytes_raw(), b"Basel")])
    parts = secret("study"), secret("group"), *itertools.chain(*both)
    pair = hashed(one.exchange(other.public_key()), "pair", *parts)
    assert Parties()["Aarau"]._state["pairs"]["Basel"] == Parties()["Basel"]._state["pairs"]["Aarau"] == pair


@pytest.mark.parametrize("honest", [1, 2])
def test_all_others_but_one_and_the_server_read_no_letter(honest):
    """They take what they added off a share; were they all others, they would know the key, and nothing is to hide."""
    here = Parties()
    letters, listed = here.send(vectors(size=2000), layout=LAYOUT)
    known = {name: kept(here[name])["pairs"]["Aarau"] for name in NAMES[honest:]}
    mask, share = parties.group_mask(here["Aarau"], listed)[0], here["Aarau"].share(listed)
    key = parties.unmasked(here["Aarau"], share, listed, known, mask)
    assert is_read(letters["Aarau"], key) == (np.abs(key).max() <= COINS) == (honest == 1)


def test_who_steals_all_keys_after_a_share_reads_no_letter_of_before():
    """The thief works with the server and with a hospital, who remember the list and the group's mask."""
    here, aarau = (found := Parties(stores=(stores := {}))), found["Aarau"]
    letters, listed = here.send(vectors(size=2000), layout=LAYOUT)
    about, mask, share = aarau.about, parties.group_mask(aarau, listed)[0], aarau.share(listed)
    state = again(aarau, stores)._state
    pairs = state["now"]["pairs"], {name: hashed(key, "mask", about) for name, key in state["pairs"].items()}
    keys = [parties.unmasked(aarau, share, listed, each, mask) for each in pairs]
    keys.append(np.frombuffer(state["now"].get("key", bytes(8 * 1024)), np.int64))
    numbers = hashlib.sha256(encoded(vectors(size=2000)["Aarau"], LAYOUT)).digest()  # guessed, and the guess is checked
    for own in (state["own"], hashed(state["own"], "own", about), state["now"].get("own", bytes(32))):
        keys.append(ring.small(hashed(hashed(own, "letter", about, numbers), "key"), 1024))
    assert [is_read(letters["Aarau"], key) for key in keys] == [False] * 6
    assert "values" not in state["now"]


def test_who_steals_all_keys_after_a_number_opens_no_sum_of_before():
    here, aarau = (found := Parties(stores=(stores := {}))), found["Aarau"]
    total, listed, _ = here.play(vectors())
    about, name = aarau.about, parties.label(aarau, aarau.about, listed)
    aarau.decrypt(total, listed)
    aarau.begin("update", 10)
    state = again(aarau, stores)._state
    for key in (state["group"], hashed(state["group"], "sum", about), state["now"]["group"]):
        shown = Sum.from_bytes(total, SMALL).key - parties.masks(key, name)[0]
        assert np.abs(folded(shown, SMALL.share_bits(4))).max() > 4 * COINS


# Rules 6 to 9: never twice


class KilledError(Exception):
    pass


@pytest.mark.parametrize("seed", range(50))
def test_a_hospital_that_is_killed_anywhere_posts_one_letter_and_one_share_a_number(seed):
    """After each restart its data, and the list that it is asked for, are others."""
    here, rng, stored, left = Parties(), np.random.default_rng(seed), {"Aarau": []}, [0]
    posted, totals, aarau = defaultdict(set), {}, None

    def step():
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    def store(state):
        step()
        stored["Aarau"].append(state)
        step()

    def play(keys, number, letters):
        if keys.number < number:
            keys.encrypt("update", rng.normal(size=3), 5)
        posted[number, 1].add(keys.letter)
        step()
        letters = letters | {"Aarau": keys.letter}
        digests = {name: digest(letter) for name, letter in letters.items()}
        lists = [{name: digests[name] for name in ("Aarau", *pair)} for pair in combinations(NAMES[1:], 2)]
        listed = keys.listed or lists[rng.integers(3)]
        here.keys["Aarau"] = keys
        posted[number, 2].add(keys.share(listed))
        step()
        for other in lists:
            if other != listed:
                with pytest.raises(MessageError, match="a number is answered once"):
                    keys.share(other)
        totals.setdefault(number, (here.add(letters, listed), listed))
        keys.open([totals[number]])

    for number in range(4):
        letters = {name: here[name].encrypt("update", np.ones(3), 5) for name in NAMES[1:]}
        while number not in totals or aarau is None:
            if aarau is None:
                left[0] = int(rng.integers(1, 15))
                aarau = again(here["Aarau"], stored) if stored["Aarau"] else Parties()["Aarau"]
                aarau.store = store
            try:
                play(aarau, number, letters)
            except KilledError:
                aarau = None
        for name in NAMES[1:]:
            here[name].open([totals[number]])
    assert {key: len(found) for key, found in posted.items()} == {(n, one): 1 for n in range(4) for one in (1, 2)}
    assert len(set.union(*posted.values())) == 8


def test_if_all_memory_of_a_letter_is_lost_the_same_numbers_give_the_same_letter_and_others_another_key():
    """A backup was restored, and the folder hides what was posted: with one key, two letters tell their difference."""
    own = vectors(size=2000)
    one, same, other = (Parties()["Aarau"].encrypt("update", own[n], 5, LAYOUT) for n in ("Aarau", "Aarau", "Chur"))
    assert one == same
    first, second = (Letter.from_bytes(letter, SMALL).hidden for letter in (one, other))
    difference = (first + np.uint64(SMALL.modulus) - second) % np.uint64(SMALL.modulus)
    read = ring.Ring(SMALL).show(difference, bytes(32), np.zeros(1024, np.int64))
    assert np.mean(read == encoded(own["Aarau"], LAYOUT) - encoded(own["Chur"], LAYOUT)) < 0.1


def test_a_letter_s_key_and_its_noise_come_from_what_its_hospital_alone_holds():
    found = []
    for one in (Parties(parameters=WHOLE, own=secret(own))["Aarau"] for own in ("own", "another")):
        hidden = Letter.from_bytes(one.encrypt("update", np.ones(2000), 5, WIDE), WHOLE).hidden
        key, values = (np.frombuffer(kept(one)[each], np.int64) for each in ("key", "values"))
        known = ring.Ring(WHOLE).hide(values, hashed(one.about, "public"), key, bytes(32))
        found.append((key, (hidden - known) % np.uint64(WHOLE.modulus)))
    assert max(np.mean(one == other) for one, other in zip(*found, strict=True)) < 0.2


def test_what_rounding_draws_is_known_to_the_hospital_alone_and_is_never_the_same():
    """Whoever guesses its numbers does not know how they were rounded. But a letter that was lost is the same."""
    layout, own = Layout((packed_layer(2000, 1000.0, SMALL),)), vectors(size=2000)["Aarau"]

    def rounded(keys, **how):
        keys.encrypt("update", own, 5, layout, **how)
        return np.frombuffer(keys._state["now"]["values"], np.int64)

    keys, stranger = (Parties(**how)["Aarau"] for how in ({}, {"own": secret("another own")}))
    apart = [rounded(keys), rounded(keys), rounded(stranger), encoded(own, layout, name="Aarau")]
    assert max(np.mean(one == other) for one, other in combinations(apart, 2)) < 0.4
    assert np.array_equal(apart[0], rounded(Parties()["Aarau"]))
    assert np.array_equal(apart[3], rounded(keys, public=True))


def test_a_share_is_given_for_one_list():
    here = Parties()
    _, listed = here.send(vectors())
    share = here["Aarau"].share(listed)
    for other in ({name: listed[name] for name in NAMES[:3]}, listed | {"Chur": secret("another")}):
        with pytest.raises(MessageError, match="Aarau gave its share for another list: a number is answered once"):
            here["Aarau"].share(other)
    assert here["Aarau"].share(dict(reversed(listed.items()))) == share


def test_the_difference_of_two_sums_opens_nobody():
    """Aarau is in one list, and not in the next: a hospital knows the sum of each one's keys."""
    here, own, keys, sent = Parties(), vectors(size=2000), [], []
    for names in (NAMES, NAMES[1:]):
        total, listed, letters = here.play({name: own[name] for name in names}, layout=LAYOUT)
        words = Sum.from_bytes(total, SMALL).key - parties.group_mask(here["Chur"], listed)[0]
        keys.append(folded(words, SMALL.share_bits(len(names))))
        sent.append(letters)
        for one in here.keys.values():
            one.open([(total, listed)], LAYOUT)
    assert not is_read(sent[0]["Aarau"], keys[0] - keys[1])


# Rules 10 to 12: for which list, and how often


@pytest.mark.parametrize(
    ("change", "how", "sentence"),
    [
        ({"Aarau": secret("no")}, {}, "Aarau's letter is not the one in this list"),
        ({"Aarau": None}, {}, "Aarau's letter is not the one in this list"),
        ({"X": secret("X")}, {}, "'X' is listed, and not on the roster"),
        ({}, {"peers": NAMES[:3]}, "'Davos' is listed, and not on the roster"),
        ({"Chur": None, "Davos": None}, {}, "2 hospitals are listed, and 3 are the fewest"),
        ({"Davos": None}, {"least": 4}, "3 hospitals are listed, and 4 are the fewest"),
        ({}, {"known": ["Aarau", "Basel", "Y"]}, "names 1 hospitals whose fingerprint was compared"),
        ({"Davos": None}, {"known": ["Basel", "Davos"]}, "names 1 hospitals whose fingerprint was"),
    ],
)
def test_a_share_is_for_a_list_that_hides_it(change, how, sentence):
    here = Parties(**how)
    _, listed = here.send(vectors())
    with pytest.raises(MessageError, match=sentence):
        here["Aarau"].share({name: each for name, each in (listed | change).items() if each is not None})
    if "known" not in how:  # and it has not been given away
        assert here["Aarau"].share({name: listed[name] for name in how.get("peers", NAMES)})


@pytest.mark.parametrize(
    ("purpose", "budget"), [("update", 2), *[(each, 0) for each in "update statistics patients scores noised".split()]]
)
@pytest.mark.parametrize("opened", ["none", "another list's", "one that is changed"])
def test_a_number_whose_share_went_out_and_that_did_not_open_is_charged(purpose, budget, opened):
    """A coordinator keeps Aarau's share back, then lists without it: the difference of two sums is Aarau's."""
    here = Parties(budget=budget if purpose == "update" else 2, stores=(stores := {}))
    for _ in range(budget + 1):
        letters, listed = here.send(vectors(), purpose=purpose)
        here["Aarau"].share(listed)
        smaller = {name: listed[name] for name in NAMES[1:]}
        total = here.add(letters, smaller) if opened == "another list's" else None
        for keys in here.keys.values():
            if total:
                keys.open([(total, smaller)])
            elif opened != "none":
                keys is here["Aarau"] or keys.share(listed)
                with pytest.raises(MessageError):
                    keys.open([(forged(keys, listed, np.full(1024, 5 * COINS), np.zeros(16, np.int64)), listed)])
    with pytest.raises(MessageError, match=rf"Shares of Aarau went out .* open \({purpose}, number {budget}\)"):
        here["Aarau"].encrypt("update", np.ones(3), 5)
    with pytest.raises(MessageError, match="a person must find out why"):
        again(here["Aarau"], stores).begin("scores", 3)
    assert here["Aarau"]._state["failed"] == budget


def test_after_a_list_that_did_not_open_nobody_new_is_listed():
    here = Parties(budget=2)
    for names, refused in [(NAMES[:3], False), (NAMES, True), (NAMES[1:], True), (NAMES[:3], False)]:
        _, listed = here.send(vectors())
        listed = {name: listed[name] for name in names}
        if refused:
            with pytest.raises(MessageError, match="Davos was not in the last list, which did not open"):
                here["Basel"].share(listed)
        else:
            here["Basel"].share(listed)


def test_after_a_list_that_did_not_open_a_count_of_patients_moves_no_model():
    here, three = Parties(budget=2), NAMES[:3]
    _, listed = here.send(vectors())
    for name in three:
        here[name].share({each: listed[each] for each in three})
    total, listed, _ = here.play(vectors(three), purpose="patients")
    for keys in here.keys.values():
        keys.open([(total, listed)])
    _, listed = here.send(vectors())
    with pytest.raises(MessageError, match="Davos was not in the last list, which did not open"):
        here["Basel"].share(listed)


def test_nobody_new_is_listed_in_a_group_that_was_given_up_though_others_moved_the_model():
    here = Parties(names := (*NAMES, *(others := ("Erlach", "Frick", "Genf"))), budget=2)
    for name in names:  # two groups
        one = here[name]._state
        one["pairs"] = {who: key for who, key in one["pairs"].items() if (who in others) == (name in others)}
    for number in range(3):
        letters, listed = here.send({name: np.ones(3) for name in names})
        group, first, added = ({name: listed[name] for name in of} for of in (NAMES, NAMES[:3], others))
        if number:
            with pytest.raises(MessageError, match="Davos was not in the last list, which did not open"):
                here["Basel"].share(group)
        else:
            here["Basel"].share(first)
        total = here.add(letters, added)
        for one in here.keys.values():
            one.open([(total, added)])


def test_a_sum_of_another_list_than_was_answered_lets_nobody_go():
    """Else that one is invented, moves nothing, and what was answered is subtracted from the next."""
    here = Parties(budget=1)
    for number in range(2):
        letters, listed = here.send({name: np.ones(3) for name in NAMES})
        if number == 0:
            here["Basel"].share(listed)
        total = here.add(letters, other := {name: listed[name] for name in NAMES if name != "Basel"})
        for one in here.keys.values():
            one.open([(total, other)])
    for one in here.keys.values():
        one.begin("update", one.size)
    found = {name: (one.within, one.unopened) for name, one in here.keys.items()}
    assert found == dict.fromkeys(NAMES, (None, [])) | {"Basel": ([*NAMES], [0])}


def test_what_opened_and_what_nobody_shared_costs_nothing():
    here = Parties(budget=0)
    for _ in range(3):
        total, listed, _ = here.play(vectors(), purpose="statistics")
        for keys in here.keys.values():
            keys.decrypt(total, listed)
        here.send(vectors())  # never listed
    assert [keys._state["failed"] for keys in here.keys.values()] == [0] * 4


# Rules 14 to 17: what is opened


@pytest.mark.parametrize("hospitals", [3, 1000, 60_000])
def test_the_sum_of_the_keys_fits_its_bits_also_if_all_are_as_large_as_can_be(hospitals):
    """Beyond that it is refused; also where no product with it would be exact, which 60,000 of the largest reach."""
    parameters = encryption.choose(hospitals, numbers=14 if hospitals < 10**4 else 10**6, bits=30)
    bits, most, size = parameters.share_bits(hospitals), hospitals * COINS, parameters.ring_dimension
    assert 2 ** (bits - 1) <= 2 * most < 2**bits
    members = {f"{number}": Member(secret(f"i{number}"), secret(f"e{number}")) for number in range(hospitals - 3)}
    one, layout = Parties(NAMES[:3], parameters, members=members, peers=NAMES[:3])["Aarau"], packed(1500, 9, parameters)
    listed, vector = {name: secret(name) for name in one.members}, np.linspace(-1, 1, 1500)
    values, key = encoded(vector, layout, parameters), np.resize([most, -most, 0, 0, 1], size)
    key[9:] %= 3

    def opened(key, more=0):
        one.begin("update", len(values))
        found = Sum.from_bytes(forged(one, listed, key, values), parameters)
        shared = (found.key + np.uint32(more)) & np.uint32(2**bits - 1)
        return one.open([(found._replace(key=shared).to_bytes(parameters), listed)], layout)

    (found,) = opened(key)
    assert np.abs(found - 5 * np.append(1, vector)).max() < 1e-4
    at = np.arange(size) == 7
    for beyond in ((key + (most + 1) * at,), (key - (2 * most + 1) * at,), (0 * key, most)):
        with pytest.raises(MessageError, match=REFUSED):
            opened(*beyond)


def test_the_server_alone_opens_no_sum():
    """With all that it holds: the letters, the shares, and the numbers that name them."""
    here, found, listed, letters = played()
    values = sum(encoded(own, WIDE, WHOLE) for own in vectors(NAMES[:3], 2000).values())
    held = [here["Aarau"].about, found.label, *listed.values(), *map(digest, letters.values()), bytes(32)]
    for words in (np.uint32(0), *(parties.masks(key, found.label)[0] for key in held)):
        key = folded(found.key - words, 8)
        shown = ring.Ring(WHOLE).show(found.hidden, hashed(here["Aarau"].about, "public"), key)
        assert np.abs(key).max() > 3 * COINS
        assert np.mean(shown == values) < 0.1


def letter_again(found, letters, times):
    return changed(found, Letter.from_bytes(letters["Basel"], WHOLE).hidden * np.uint64(times % WHOLE.modulus))


CHANGES = {
    "one coefficient + 5": lambda found, _: changed(found, 5 * WHOLE.delta, 7),
    "one coefficient - 1": lambda found, _: changed(found, -WHOLE.delta, 1900),
    "a great prime at one place": lambda found, _: changed(found, (2**31 - 1) * WHOLE.delta, 1030),
    "its weight": lambda found, _: changed(found, WHOLE.delta, 0),
    "a letter left out": lambda found, letters: letter_again(found, letters, -1),
    "a letter twice": lambda found, letters: letter_again(found, letters, 1),
    "polynomials swapped": lambda found, _: found._replace(hidden=np.roll(found.hidden, 1024)),
    "the sum of the keys + 1": lambda found, _: found._replace(key=(found.key + np.uint32(np.eye(1024)[9])) & 255),
    "another key": lambda found, _: found._replace(key=found.key[::-1]),
    "its tag": lambda found, _: found._replace(tag=(found.tag + 1) % PRIME),
    "fewer coefficients": lambda found, _: found._replace(hidden=found.hidden[:-1]),
    "another list's label": lambda found, _: found._replace(label=bytes(32)),
    "fewer hospitals": lambda found, _: found._replace(hospitals=2, key=found.key & 255),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_sum_that_was_changed_is_refused_and_nothing_is_said_of_its_numbers(what):
    here, found, listed, letters = played()
    hostile = CHANGES[what](found, letters).to_bytes(WHOLE)
    for keys in (here["Davos"], here["Aarau"]):
        with pytest.raises(MessageError, match=REFUSED):
            keys.open([(hostile, listed)], WIDE)
        with pytest.raises(MessageError, match="no second ones are"):
            keys.open([(found.to_bytes(WHOLE), listed)], WIDE)


def test_a_hospital_that_sends_nonsense_stops_the_sum_and_nobody_opens_it():
    here = Parties()
    letters, listed = here.send(vectors())
    found = Letter.from_bytes(letters["Basel"], SMALL)
    letters["Basel"] = kept(here["Basel"])["letter"] = found._replace(hidden=found.hidden[::-1]).to_bytes(SMALL)
    listed["Basel"] = digest(letters["Basel"])
    total = here.add(letters, listed)
    for keys in here.keys.values():
        with pytest.raises(MessageError, match=REFUSED):
            keys.decrypt(total, listed)


def test_one_sum_is_opened_a_list_and_a_second_one_is_refused_unread(monkeypatch):
    """Noise + 1 everywhere would open to the same numbers; bounds on what opens tell the noise, and so the key."""
    here, found, listed, _ = played(stores=(stores := {}))
    first, second, davos = found.to_bytes(WHOLE), changed(found).to_bytes(WHOLE), here["Davos"]
    (same,), (numbers,) = played()[0]["Davos"].open([(second, listed)], WIDE), davos.open([(first, listed)], WIDE)
    assert np.array_equal(same, numbers), "this would not be noticed"
    assert np.array_equal(again(davos, stores).open([(first, listed)], WIDE)[0], numbers)
    monkeypatch.setattr(keyring, "Sum", None)
    for keys in (davos, again(davos, stores)):
        with pytest.raises(MessageError, match="Other sums were opened for this number: no second ones are"):
            keys.open([(second, listed)], WIDE)


def test_what_does_not_belong_into_a_sum_leaves_it_as_it_was():
    here, server = Parties(), Server(SMALL)
    letters, listed = here.send(vectors())
    longer = Letter.from_bytes(Parties()["Aarau"].encrypt("update", np.ones(9), 5), SMALL)
    bad = [Parties()["Aarau"].encrypt("scores", np.ones(3), 5), letters["Aarau"][:-1]]
    bad += [longer._replace(about=here["Aarau"].about).to_bytes(SMALL)]
    with pytest.raises(ValueError, match="0 letters and 0 key shares"):
        server.total()
    for letter in letters.values():
        server.take(letter)
        for each in bad:
            with pytest.raises(MessageError, match=r"is for another sum|coefficients came|damaged"):
                server.take(each)
    shares = {name: here[name].share(listed) for name in NAMES}
    stranger = Share.from_bytes(shares["Aarau"], SMALL, 4)._replace(label=bytes(32)).to_bytes(SMALL, 4)
    for share in shares.values():
        with pytest.raises(ValueError, match=f"4 letters and {server.shares} key shares came"):
            server.total()
        server.take_share(share)
        for each in (stranger, share[:-1]):
            with pytest.raises(MessageError, match=r"is for another list|damaged"):
                server.take_share(each)
    assert server.total() == Parties().play(vectors())[0]


@functools.cache
def added_up():
    here = Parties(stores=(stores := {}))
    total, listed, letters = here.play(vectors())
    return here["Davos"], stores, listed, [*letters.values(), here["Aarau"].share(listed), total]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_content_arrives_it_is_refused_or_opens_to_the_right_numbers(data):
    davos, stores, listed, honest = added_up()
    hostile, server, keys = data.draw(nearly(*honest)), Server(SMALL), [again(davos, stores) for _ in range(2)]
    for letter in honest[:4]:
        server.take(letter)
    for take in (server.take, server.take_share):
        with contextlib.suppress(MessageError):
            take(hostile)
    with contextlib.suppress(MessageError):
        (found,) = keys[0].open([(hostile, listed)])
        assert np.array_equal(found, keys[1].open([(honest[-1], listed)])[0])


@pytest.mark.parametrize("weight", [0, 2**53])
def test_patients_that_cannot_be_are_named(weight):
    here = Parties()
    total, listed, _ = here.play(dict.fromkeys(NAMES, np.zeros(3)), weight=weight)
    with pytest.raises(MessageError, match="sum to zero, or to no number of patients"):
        here["Aarau"].decrypt(total, listed)


def test_sums_of_strangers_of_two_or_of_another_layout_do_not_open():
    here, found, listed, _ = played()
    for names, layout, sentence in [
        (listed | {"X": bytes(32)}, None, "'X' is in a sum, and not on the roster"),
        ({name: listed[name] for name in NAMES[:2]}, None, "A sum of 2 hospitals would show what each sent"),
        (listed, packed(1000, parameters=WHOLE), "A letter has 2006 coefficients, and 1006 are to be opened"),
    ]:
        with pytest.raises(MessageError, match=sentence):
            here["Davos"].open([(found.to_bytes(WHOLE), names)], layout)


@pytest.mark.parametrize(
    ("vector", "weight", "sentence"),
    [
        *[([1.0, bad], 5, "A number of (nan|inf) .* did the training diverge") for bad in (np.nan, -np.inf)],
        ([[1.0]], 5, "1 numbers in a row were agreed on, and this has shape"),
        *[([1.0], bad, f"whole number of patients, and {bad}") for bad in (-1, 2.5, np.nan, np.inf)],
        *[(*bad, "beyond") for bad in (([1e30], 5), ([0.0], 1e200))],
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
