"""What an intruder, or a hospital that misbehaves, puts into the folder: refused, logged, and the round goes on."""

import contextlib
import json
import os
import struct

import numpy as np
import pytest
from exchange_parts import Class, federation
from hypothesis import given, settings
from hypothesis import strategies as st

from fedkit import envelopes
from fedkit.envelopes import About
from fedkit.exchange import Folder, Settings, joining, letters, rounds
from fedkit.exchange.folder import digest
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import Own, Total
from fedkit.exchange.study import Study
from fedkit.identities import Identity, seal_to
from fedkit.messages import MessageError

A, B, C = federation(3).names
INTRUDER = Identity("Intruder", b"I" * 32)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    room = Class(tmp_path_factory.mktemp("undisturbed")).open()
    room.play()
    (model,) = room.models()
    return model


@pytest.fixture
def room(tmp_path):
    """Everybody but C has posted for round 2."""
    room = Class(tmp_path).open().until(1)
    room.coordinator.step()
    room.step(A, B)
    return room


def letter(room, place, hospital):
    """The file of a hospital's letter."""
    name = hospital.replace(" ", "%20")
    (path,) = (room.root / place).glob(f"*.{name}.letter")
    return path


def put(room, place, sender, data):
    return Folder(room.root).post(place, sender, data)


def signed(room, content, purpose, round, identity, study=None, hospitals=None):
    about = About(study or room.maker.study.id, purpose, round, identity.name, hospitals or (identity.name,))
    return identity.public + envelopes.sign(content, about, identity)


def content(room, hospital, round=2):
    """What a hospital wrote."""
    found = Folder(room.root).new(rounds.place(round), 10**6, hospital)[0]
    return letters.read(found, room.maker.study.id, "update", round).content


def ends_well(room, undisturbed, why):
    """The study goes on to the same model, and the log says why something was refused."""
    assert {status.stage for status in room.play()} == {"done"}
    assert room.models() == {undisturbed}
    study = room.coordinator.study
    for link in study.chain()[1:]:
        assert list(study.links[link].counted) == [A, B, C]
    refused = [event for event in events(Folder(room.root)) if event["what"] == "refused"]
    assert any(why in event["why"] for event in refused), refused


def test_unsigned(room, undisturbed):
    put(room, rounds.place(2), C, content(room, A))
    put(room, rounds.place(2), C, b"")
    ends_well(room, undisturbed, "no message of this version of the kit")


def test_signed_by_a_stranger_in_a_hospitals_name(room, undisturbed):
    pretender = Identity(C, b"P" * 32)
    put(room, rounds.place(2), C, signed(room, content(room, A), "update", 2, pretender))
    ends_well(room, undisturbed, "A letter in Hospital 2's name is signed with another key than theirs")


def test_signed_by_a_stranger_in_its_own_name(room, undisturbed):
    put(room, rounds.place(2), "Intruder", signed(room, content(room, A), "update", 2, INTRUDER))
    ends_well(room, undisturbed, "'Intruder' is not on the roster")


def test_a_letter_under_another_name(room, undisturbed):
    put(room, rounds.place(2), C, letter(room, rounds.place(2), A).read_bytes())
    ends_well(room, undisturbed, "has sender 'Hospital 0', and 'Hospital 2' is expected")


def test_an_old_letter_again(room, undisturbed):
    put(room, rounds.place(2), A, letter(room, rounds.place(1), A).read_bytes())
    ends_well(room, undisturbed, "has round 1, and 2 is expected: it is an old one sent again")


def test_a_letter_of_another_study(room, undisturbed, tmp_path):
    other = Class(tmp_path / "other").open().until(2)
    put(room, rounds.place(2), C, letter(other, rounds.place(2), C).read_bytes())
    ends_well(room, undisturbed, "it belongs to another training")


def test_changed_by_one_bit(room, undisturbed):
    path = letter(room, rounds.place(2), A)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    put(room, rounds.place(2), A, bytes(data))
    room.restart(A)  # it finds its letter damaged, and posts it again
    ends_well(room, undisturbed, "is not signed with Hospital 0's key")


@pytest.mark.parametrize("change", [-1, 1, 10**6])
def test_longer_or_shorter_than_agreed(room, undisturbed, change):
    text = content(room, A)
    text = text[:change] if change < 0 else text + bytes(change)
    put(room, rounds.place(2), C, signed(room, text, "update", 2, room.identities[C]))
    ends_well(room, undisturbed, "bytes")


def test_the_numbers_of_others(room, undisturbed):
    room.step(C)
    data = signed(room, content(room, C), "update", 2, room.identities[C], hospitals=(A, C))
    put(room, rounds.place(2), C, data)
    ends_well(room, undisturbed, "Hospital 2 sent the numbers of Hospital 0, Hospital 2")


def test_a_copy_of_what_another_hospital_sealed(room, undisturbed):
    """It cannot read it, and would have it counted twice."""
    room.step(C)
    put(room, rounds.place(2), C, signed(room, content(room, A), "update", 2, room.identities[C]))
    ends_well(room, undisturbed, "Hospital 2 signed what another hospital had sealed: a copy would count twice")


def test_sealed_noise(room, undisturbed):
    room.step(C)
    own = Own.from_bytes(content(room, A))
    inside = rounds.mark(room.identities[C].public) + bytes(len(own.sealed) - 64)
    data = own._replace(sealed=seal_to(room.boss.public, inside)).to_bytes()
    put(room, rounds.place(2), C, signed(room, data, "update", 2, room.identities[C]))
    data = own._replace(sealed=bytes(len(own.sealed))).to_bytes()
    put(room, rounds.place(2), C, signed(room, data, "update", 2, room.identities[C]))
    ends_well(room, undisturbed, "does not open")
    assert "This message is damaged or was not made by this version" in room.sentences


def test_another_model(room, undisturbed):
    """C starts from a model of its own: the others and the coordinator see that, though not which."""
    held = room.hospitals[C].replica.follow()[1]
    room.hospitals[C].replica._held[room.coordinator.study.chain()[-1]] = held._replace(
        weights=[weight + 1 for weight in held.weights]
    )
    room.step(C)
    assert room.coordinator.step().waits_for == C
    room.restart(C)
    ends_well(room, undisturbed, "Hospital 2 started from another model than most")


def test_a_changed_sum(room, undisturbed):
    room.step(C)
    room.coordinator.step()
    (path,) = (room.root / rounds.sum_place(2)).iterdir()
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.unlink()
    put(room, rounds.sum_place(2), "Teacher", bytes(data))
    assert room.step(A)[A].round == 2
    room.restart()
    ends_well(room, undisturbed, "is not signed with Teacher's key")


def test_a_sum_by_a_hospital(room, undisturbed):
    """C adds up for itself, without the others."""
    room.step(C)
    room.coordinator.step()
    (found,) = Folder(room.root).new(rounds.sum_place(2), 10**6)
    text = letters.read(found, room.maker.study.id, "update", 2).content
    os.remove(room.root / found.place / found.name)
    put(room, rounds.sum_place(2), C, signed(room, text, "update", 2, room.identities[C], hospitals=(A, B, C)))
    assert room.step(A)[A].round == 2
    room.restart()
    ends_well(room, undisturbed, "Hospital 2 is not in charge of round 2")


@pytest.mark.parametrize("hospitals", [(A,), (A, "Nobody")])
def test_a_sum_of_too_few_or_of_strangers(room, hospitals):
    """Not even the coordinator can have a hospital open one other hospital's numbers."""
    total = Total(room.coordinator.study.chain()[-1], dict.fromkeys(hospitals, "00" * 16), b"")
    data = signed(room, total.to_bytes(), "update", 2, room.boss, hospitals=hospitals)
    put(room, rounds.sum_place(2), "Teacher", data)
    room.step()
    assert room.hospitals[A].step().round == 2


def test_a_sum_that_is_nonsense_is_passed_over(room, undisturbed):
    total = Total(room.coordinator.study.chain()[-1], dict.fromkeys((A, B, C), "00" * 16), b"nonsense")
    put(
        room,
        rounds.sum_place(2),
        "Teacher",
        signed(room, total.to_bytes(), "update", 2, room.boss, hospitals=(A, B, C)),
    )
    assert room.step(A)[A].round == 2
    assert "cannot be used. This message is damaged" in room.sentences
    assert undisturbed


@pytest.mark.parametrize(
    "name",
    ["../../escape.letter", "..%2F..%2Fescape.letter", f"{digest(b'x')}...letter", ".hidden", "x" * 200, "a.letter"],
)
def test_path_tricks_and_strange_names(room, undisturbed, name):
    target = room.root / "round-00002" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"x")
    assert {status.stage for status in room.play()} == {"done"}
    assert room.models() == {undisturbed}


def test_a_giant(room, undisturbed):
    path = room.root / rounds.place(2) / f"{digest(b'')}.Hospital%202.letter"
    with open(path, "wb") as file:
        file.truncate(10**12)
    ends_well(room, undisturbed, "1,000,000,000,000 bytes")


@pytest.mark.parametrize("place", ["opening", "handover", "keys", "refusal", "invitation"])
def test_only_the_maker_says_who_takes_part(room, undisturbed, place):
    """Everything that a maker writes, written by somebody else."""
    said = {
        "hospitals": {name: letters.packed(INTRUDER.public) for name in ("Intruder", "I")},
        "key_maker": "Intruder",
        "coordinator": "Intruder",
        "key": letters.packed(INTRUDER.public),
        "from_round": 0,
        "number": 99,
        "settings": room.settings.to_json(),
    }
    study = "new" if place == "invitation" else room.maker.study.id
    about = About(study, place, 0, "Intruder", ("Intruder",))
    letters.post(Folder(room.root), place, said, about, INTRUDER)
    for name in (A, B, C):
        room.restart(name)
    room.restart()
    assert {status.stage for status in room.play()} == {"done"}
    assert room.models() == {undisturbed}
    if place in ("keys", "handover"):  # the others are read only as long as they are waited for
        assert "is signed by Intruder" in room.sentences


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
)
FIELDS = ["settings", "hospitals", "coordinator", "key", "from_round", "number", "key_maker", "columns", "versions"]


@given(ANYTHING, st.sampled_from(FIELDS))
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_letter_it_is_taken_or_refused(value, field):
    """Signed by the right person, and malformed."""
    said = {
        "settings": Settings.of(federation(2)).to_json(),
        "hospitals": {"X": letters.packed(bytes(31) + b"1"), "Y": letters.packed(bytes(31) + b"2")},
        "key_maker": "X",
        "coordinator": "Z",
        "key": letters.packed(bytes(32)),
        "from_round": 1,
        "number": 1,
        "columns": {},
        "versions": {},
    } | {field: value}
    written = letters.Letter("d", "Teacher", bytes(32), 0, (), json.dumps(said).encode())
    coordinator = joining.Coordinator("Z", bytes(32), 0, 0, "d")
    for reader in (
        joining.handover,
        lambda letter: joining.opening(letter, coordinator),
        lambda letter: joining.key_maker(letter, {"X": bytes(32)}),
        lambda letter: Settings.from_json(letter.json().get("settings")),
    ):
        with contextlib.suppress(MessageError):
            reader(written)
    assert all(isinstance(why, str) for why in joining.misfits(Settings.of(federation(2)), written.json()))


@given(st.binary(max_size=300), st.integers(0, 2**16))
@settings(max_examples=200, deadline=None)
def test_whatever_bytes_lie_in_the_folder_nothing_falls_over(data, seed):
    where = f"memory://intruders-{seed}"
    folder = Folder(where)
    places = ["invitation", "opening", "keys", "handover", "refusal", "request", rounds.place(0), rounds.sum_place(0)]
    for place in places:
        folder.post(place, "Teacher", data)
        folder.post(place, A, INTRUDER.public + b"FKE1" + struct.pack("<64sH", b"", len(data)) + data)
    study = Study(Folder(where), "AAAA-BBBB-CCCC-DDDD")
    study.refresh()
    assert study.id == ""


def test_updates_do_not_show_in_letters_nor_to_other_hospitals(room):
    """Hospitals share a key, and still none can open what another sent: it is sealed to the coordinator."""
    own = Own.from_bytes(content(room, A))
    for name in (B, C):
        with pytest.raises(ValueError, match="was not sealed for"):
            room.identities[name].unseal(own.sealed)
    held = room.hospitals[A].replica.follow()[1]
    inside = room.boss.unseal(own.sealed)[rounds.ID :]
    with pytest.raises(MessageError, match="no sum of 2"):
        held.keys.decrypt(inside, rounds.layout(room.settings, held.keys.parameters, 2))
    assert np.all([weight.tobytes() not in inside for weight in held.weights])
