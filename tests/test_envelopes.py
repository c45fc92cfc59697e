from inspect import signature

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tampering import ANYTHING, HOSTILE, TAMPERINGS, Sent, enveloped, nearly, written

from fedkit.encryption import envelopes
from fedkit.encryption.envelopes import About, Roster
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.encryption.messages import MessageError

BASEL, ZURICH = Identity("Basel", bytes(32)), Identity("Universitätsspital Zürich", b"\1" * 32)
STUDY = "0123456789abcdef"
ABOUT = About(STUDY, "update", 3, ZURICH.name, (ZURICH.name,))
CONTENT = bytes(range(100))
MESSAGE = envelopes.sign(CONTENT, ABOUT, ZURICH)
EXPECTED = {"study": STUDY, "purpose": "update", "round": 3, "sender": ZURICH.name, "size": None, "most": 100}
FIELDS = {"hospitals": [ZURICH.name], "purpose": "update", "round": 3, "sender": ZURICH.name, "study": STUDY}
ANOTHER = envelopes.sign(b"another", About("f" * 16, "scores", 2, "Basel", ("Basel", "Bern")), BASEL)
LONG = enveloped(written(FIELDS | {"study": "x" * 60_000}), CONTENT, ZURICH)


def read(data, public=ZURICH.public, **changes):
    return envelopes.read(data, public, **EXPECTED | changes)


@given(st.binary(max_size=100), st.integers(), st.text("aäß北 .", max_size=20).map("x{}x".format))
def test_an_envelope_comes_back(content, number, name):
    identity = Identity(name, bytes(32))
    about = About(STUDY, "scores", number, name, ("Basel", name))
    data = envelopes.sign(content, about, identity)
    expected = {"purpose": "scores", "round": number, "sender": name}
    assert read(data, identity.public, **expected) == (about, content)
    assert read(data, identity.public, **expected, size=len(content), most=0) == (about, content)


def test_the_format_is_the_one_written_down():
    assert enveloped(written(FIELDS), CONTENT, ZURICH) == MESSAGE
    assert len(MESSAGE) == 70 + len(written(FIELDS)) + len(CONTENT)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"public": BASEL.public}, "not signed with Universitätsspital Zürich's key .*somebody else sent it"),
        ({"public": b"short"}, "not signed"),
        ({"size": 99}, "room for 100 bytes of content, and 99 were expected"),
        ({"size": 101}, "room for 100 bytes of content, and 101 were expected"),
        ({"most": 99}, "room for 100 bytes of content, and at most 99 were expected"),
        *[({"data": data}, "no message of this version") for data in (None, bytearray(MESSAGE), MESSAGE[:69])],
        ({"data": MESSAGE[:100]}, "room for 0 bytes of content"),
        ({"data": LONG}, "has study 'x{79}, and '0123456789abcdef' is"),
    ],
)
def test_what_is_not_expected_is_named(change, sentence):
    assert read(MESSAGE) == (ABOUT, CONTENT)
    with pytest.raises(MessageError, match=sentence):
        read(**{"data": MESSAGE} | change)


@pytest.mark.parametrize("size", [100, None])
def test_what_was_tampered_with_is_refused_with_a_sentence_for_each_way(size):
    for name, (make, sentence) in TAMPERINGS.items():
        # where no length is agreed on, the signature tells what was cut
        unsigned = size is None and name in ("cut", "no content")
        with pytest.raises(MessageError, match="is not signed with" if unsigned else sentence):
            read(make(Sent(MESSAGE, ZURICH)), size=size)
    assert read(HOSTILE["nonsense"](Sent(MESSAGE, ZURICH)), size=size) == (ABOUT, bytes(100))


@given(nearly(MESSAGE, ANOTHER))
def test_what_was_changed_on_the_way_is_refused(data):
    with pytest.raises(MessageError, match=r"is not signed with|has room for|is no message of this version"):
        read(data if data != MESSAGE else ANOTHER)


@given(st.dictionaries(st.sampled_from([*FIELDS, "more"]), ANYTHING, max_size=2).map(lambda by: written(FIELDS | by)))
@example(written({name: FIELDS[name] for name in FIELDS if name != "hospitals"}))
@example(written(FIELDS | {"round": 3.0, "hospitals": ["Bern"]}))
@example(written(FIELDS | {"study": 3}))
@example(written(FIELDS)[:-1])
@example(b"[" * 30_000)
@example(b'{"round":' * 6_000)
@example(b'{"round":' + b"9" * 60_000 + b"}")
def test_whatever_a_signed_head_says_it_is_taken_as_it_is_or_refused(head):
    try:
        about, content = read(enveloped(head, CONTENT, ZURICH), study=None, purpose=None)
    except MessageError:
        return
    assert (written(about._asdict()), about[2:4], content) == (head, ABOUT[2:4], CONTENT)
    assert [type(each) for each in about[:3]] == [str, str, int]
    assert 0 < len(set(about.hospitals)) == len(about.hospitals)


def test_a_forger_gives_nothing_to_hash_before_the_length_is_right_nor_to_parse_before_the_signature_is(monkeypatch):
    monkeypatch.setattr(envelopes, "json", None)
    with pytest.raises(MessageError, match="not signed"):
        read(MESSAGE, BASEL.public)
    monkeypatch.setattr(envelopes, "hashlib", None)
    monkeypatch.setattr(envelopes.identities, "verify", None)
    for size, most in [(99, 1000), (None, 99)]:
        with pytest.raises(MessageError, match="room for 100 bytes"):
            read(MESSAGE, size=size, most=most)


def test_nobody_signs_for_another_or_for_nobody():
    with pytest.raises(ValueError, match="Basel cannot sign for Universitätsspital Zürich"):
        envelopes.sign(CONTENT, ABOUT, BASEL)
    with pytest.raises(ValueError, match="1 to 100 characters"):
        envelopes.sign(CONTENT, ABOUT._replace(hospitals=("",)), ZURICH)


def test_a_thousand_hospitals_fit_and_too_many_are_refused():
    names = tuple(f"Krankenhaus der Barmherzigen Schwestern {number}" for number in range(2_000))
    data = envelopes.sign(b"", ABOUT._replace(hospitals=names[:1_000]), ZURICH)
    assert read(data)[0].hospitals == names[:1_000]
    with pytest.raises(ValueError, match=r"names of 2000 hospitals take .* bytes, and 65535 fit"):
        envelopes.sign(b"", ABOUT._replace(hospitals=names), ZURICH)


def test_what_is_expected_is_always_said():
    parameters = signature(envelopes.read).parameters.values()
    assert [one.name for one in parameters if one.default is not one.empty] == ["most"], "which is 0"


def test_a_roster_knows_whom_it_names_and_nobody_else():
    roster = Roster({"Basel": BASEL.public, ZURICH.name: ZURICH.public})
    assert (roster[ZURICH.name], "Bern" in roster) == (ZURICH.public, False)
    with pytest.raises(MessageError, match="'Bern' is not on the roster: only Basel, Universitätsspital Zürich take"):
        roster["Bern"]
    assert roster.fingerprints() == {"Basel": fingerprint(BASEL.public), ZURICH.name: fingerprint(ZURICH.public)}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"Basel": BASEL.public, "Bern": BASEL.public}, "Basel and Bern have keys of one fingerprint"),
        ({"Basel": BASEL.public[:31]}, "public key of Basel must be 32 bytes"),
        ({"Basel": BASEL.public.hex()[:32]}, "public key of Basel must be 32 bytes"),
        ({"": BASEL.public}, "1 to 100 characters"),
    ],
)
def test_a_roster_that_cannot_be_is_refused(keys, sentence):
    with pytest.raises(ValueError, match=sentence):
        Roster(keys)
