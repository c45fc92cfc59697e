"""What an intruder, or a hospital that misbehaves, puts into the folder: refused, logged, and the round goes on."""

import contextlib
import functools
import json
import os
import shutil
import signal
import struct
import warnings

import numpy as np
import pytest
from exchange_parts import Class, Logistic, federation
from hypothesis import given, settings
from hypothesis import strategies as st
from tampering import STRANGER, flipped, passed_off

from fedkit import encryption
from fedkit.encryption import HospitalKeys, messages
from fedkit.encryption.identities import Identity, seal_to
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout, exact_layer
from fedkit.exchange import Folder, Maker, Settings, joining, letters, rounds
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import Own, Total
from fedkit.exchange.study import Study

NAMES = federation(3).names
A, B, C = NAMES
SETTINGS = Settings.of(federation(2))


@pytest.fixture
def room(tmp_path):
    """Everybody but C has posted for round 2."""
    room = Class(tmp_path).open().until(1)
    room.coordinator.step()
    room.step(A, B)
    return room


def opened(room, hospital):
    """What a hospital encrypted for round 2, as the coordinator gets to see it."""
    return room.boss.unseal(Own.from_bytes(room.read(rounds.place(2), 2, hospital).content).sealed)[rounds.ID :]


def test_letters_that_a_hospital_signed_and_that_are_none(room, undisturbed):
    """See also `test_tampering`. A's letter is changed where it lies, too: started again, A posts it once more."""
    path = room.letter(rounds.place(2), A)
    own, theirs = Own.from_bytes(room.read(rounds.place(2), 2, A).content), room.identities[C]
    room.step(C)
    noise = rounds.mark(theirs.public) + bytes(len(own.sealed) - 64)
    for sealed in (own.sealed, seal_to(room.boss.public, noise), bytes(len(own.sealed))):
        room.post(theirs, rounds.place(2), own._replace(sealed=sealed).to_bytes(), "update", 2)
    path.write_bytes(flipped(path.read_bytes(), -100))
    room.restart(A)
    room.ends_well(undisturbed, "Hospital 2 signed what another hospital had sealed: a copy would count twice")
    assert "This message is damaged or was not made by this version" in room.sentences
    assert "The letter by Hospital 2 does not open" in room.sentences


def test_another_model(room, undisturbed, monkeypatch):
    """C starts from a model of its own: the others and the coordinator see that, though not which."""
    apply = Logistic.apply
    monkeypatch.setattr(Logistic, "apply", lambda work, weights, state, mean: apply(work, weights, state, mean + 1))
    room.restart(C)
    room.step(C)
    monkeypatch.undo()
    assert room.coordinator.step().waits_for == C
    room.restart(C)
    room.ends_well(undisturbed, "Hospital 2 started from another model than most")


def add_up(room, before, hospitals, message):
    """Post a sum of round 2 as the coordinator does, with anything in it."""
    total = Total(before, dict.fromkeys(hospitals, "00" * 16), message).to_bytes()
    room.post(room.boss, rounds.sum_place(2), total, "update", 2, hospitals)


def test_sums_that_are_none(room, undisturbed):
    """By a hospital, changed, of too few, of strangers, nonsense, or one hospital's passed off as that of all."""
    room.step(C)
    room.coordinator.step()
    (path,) = room.files(rounds.sum_place(2))
    honest, before = path.read_bytes(), room.coordinator.study.links[room.coordinator.study.chain()[-1]].after
    own = room.read(rounds.sum_place(2), 2).content
    path.unlink()
    room.post(room.identities[C], rounds.sum_place(2), own, "update", 2, NAMES)
    room.put(rounds.sum_place(2), "Teacher", flipped(honest, -50))
    alone, other = (opened(room, name) for name in (A, B))
    server = encryption.Server(room.hospitals[A].replica.follow()[1].keys.public)
    add_up(room, before, (A, B), server.add([alone, other]))  # two are no quorum
    contents = {
        "'Nobody' is not on the roster": ((A, "Nobody"), room.added(1)),
        "This message is damaged": (NAMES, b"nonsense"),
        "is not of the hospitals that it names": ((A,), room.added(1)),
        "or of other numbers": (NAMES, room.added(0)),
    } | {why: (NAMES, forged) for why, forged in passed_off(alone, server).items()}
    for names, message in contents.values():
        add_up(room, before, names, message)
    room.restart(*NAMES)
    assert {status.round for status in room.step().values()} == {2}, "nothing follows from any of them"
    for why in ("Hospital 2 is not in charge of round 2", "is not signed with Teacher's key", *contents):
        assert why in room.sentences
    room.restart()
    room.ends_well(undisturbed)


def test_what_was_added_up_before_is_no_sum(room):
    """The coordinator adds up a round's messages once more: three of one hospital would do as well."""
    add_up(room, room.coordinator.study.chain()[-1], NAMES, room.added(1))
    assert room.step(A)[A].round == 2
    assert "The sum of round 2 holds a message that was added up before" in room.sentences


@pytest.fixture
def nonsense(monkeypatch):
    """Lets a hospital encrypt as `HospitalKeys.encrypt` does, and check nothing."""

    def sent_by(room, weight, value=None):
        def encrypt(keys, vector, _, layout):
            whole = Layout((exact_layer(1, keys.parameters), *layout.layers))
            vector = vector if value is None else np.full_like(vector, value)
            values = whole.encode(np.concatenate([[weight], vector]))
            c0, seeds = keys.ring.encrypt(values)
            c0 = c0[: messages.carried(keys.parameters, len(values))]
            return messages.Message(messages.OWN, keys.key_id, 1, len(values), c0, [seeds]).to_bytes(keys.parameters)

        with monkeypatch.context() as patched:
            patched.setattr(HospitalKeys, "encrypt", encrypt)
            room.step(C)

    return sent_by


@pytest.mark.parametrize("weight", [0.5, -(10**6), 2.0**60])
def test_a_hospital_that_sends_nonsense_stops_nobody(room, nonsense, weight):
    """Its number of patients is none: all who hold the key find so, and the round changes nothing for anybody."""
    nonsense(room, weight)
    before = room.models()
    room.coordinator.step()
    assert "Round 2 changes nothing. The hospitals' patients sum to" in room.step(A)[A].note
    assert room.models() == before
    assert {status.stage for status in room.play()} == {"done"}
    assert len(room.models()) == 1
    assert np.isnan(room.hospitals[A].scores[1]["auroc"][0])


@pytest.mark.parametrize(("value", "weight"), [(1e20, 1), (-1e12, 1), (1, 0.5)])
def test_statistics_that_are_nonsense_are_said_to_be(tmp_path, nonsense, value, weight):
    room = Class(tmp_path).open()
    room.step(A)
    nonsense(room, weight, value)
    room.step()
    room.coordinator.step()
    for status in room.step().values():
        assert (status.stage, status.round) == ("round", 0)
        assert "A letter with keys or a sum cannot be used" in status.note


def test_an_older_invitation_by_the_same_maker_takes_the_place_of_none(tmp_path):
    """A whole old study, copied into the folder of the new one."""
    old = Class(tmp_path / "old", rounds=1).open()
    old.play()
    new = Class(tmp_path / "new", rounds=2)
    shutil.copytree(tmp_path / "old", tmp_path / "new", dirs_exist_ok=True)
    new.open()
    assert {status.stage for status in new.play()} == {"done"}
    assert [len(hospital.study.chain()) for hospital in new.hospitals.values()] == [5] * 3
    assert new.models() != old.models()
    with pytest.raises(ValueError, match="holds 2 studies of Teacher's: say the invitation= that was read aloud"):
        Maker(Folder(tmp_path / "new"), new.boss).resume()
    assert Maker(Folder(tmp_path / "new"), new.boss, invitation=new.fingerprint).resume()


@pytest.mark.parametrize("place", ["invitation", "request", "opening", "keys"])
def test_a_copy_under_another_name_hides_no_letter(tmp_path, undisturbed, place):
    room = Class(tmp_path)
    for after in (room.step, room.maker.open, room.step):
        for path in (tmp_path / place).glob("*.letter"):
            for other in ("zzz", "AAA"):
                path.with_name(f"{path.name[:32]}.{other}.letter").write_bytes(path.read_bytes())
        room.restart(*NAMES)
        after()
    room.ends_well(undisturbed)


def test_a_stranger_s_sum_changes_nothing_before_the_opening_is_settled(tmp_path, undisturbed):
    """The maker was started again, and not shown its opening: of the two, all follow the same one."""
    room = Class(tmp_path)
    room.step()
    room.maker.open(key_maker=B)
    with room.hidden(*room.files("opening")):
        room.restart(*NAMES)
        room.maker = Maker(Folder(tmp_path), room.boss)
        room.maker.open()
        room.step(A, B)
    room.ends_well(undisturbed)
    assert len({who.study.opening for who in (room.coordinator, *room.hospitals.values())}) == 1


@pytest.mark.parametrize("place", ["opening", "handover", "keys", "refusal", "invitation"])
def test_only_the_maker_says_who_takes_part(room, undisturbed, place):
    """Everything that a maker writes, written by somebody else."""
    said = {
        "hospitals": {name: letters.packed(STRANGER.public) for name in ("Intruder", "I")},
        "key_maker": "Intruder",
        "coordinator": "Intruder",
        "key": letters.packed(STRANGER.public),
        "from_round": 0,
        "number": 99,
        "settings": room.settings.to_json(),
    }
    for name in ("Intruder", "Teacher", A):  # its own, and that of somebody who may write such letters
        room.post(Identity(name, b"I" * 32), place, said, place, study="new" * (place == "invitation"))
    room.restart(*NAMES)
    room.restart()
    room.ends_well(undisturbed)
    if place in ("keys", "handover"):  # the others are read only as long as they are waited for
        for name in ("Intruder", "Teacher", A):
            assert f"is signed by {name} " in room.sentences


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
)
FIELDS = ["settings", "hospitals", "coordinator", "key", "from_round", "number", "key_maker", "columns", "versions"]


@given(ANYTHING, st.sampled_from(FIELDS))
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_letter_it_is_taken_or_refused(value, field):
    """Signed by the right person, and malformed."""
    said = {
        "settings": SETTINGS.to_json(),
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
    coordinator = joining.InCharge("Z", bytes(32), 0, 0, "d")
    for reader in (
        joining.handover,
        lambda letter: joining.opening(letter, coordinator),
        lambda letter: joining.key_maker(letter, {"X": bytes(32)}),
        lambda letter: Settings.from_json(letter.json().get("settings")),
    ):
        with contextlib.suppress(MessageError):
            reader(written)
    assert all(isinstance(why, str) for why in joining.misfits(SETTINGS, written.json()))


PLACES = ["invitation", "request", "opening", "keys", "handover", "refusal", *map(rounds.place, (1, 2))]
PLACES += map(rounds.sum_place, (1, 2))


@functools.cache
def watched():
    """A study in which one hospital is waited for, and one who reads along."""
    room = Class("memory://watched").open().until(1)
    room.coordinator.step()
    room.step(A, B)
    reader = Study(Folder(room.root), room.fingerprint)
    reader.refresh()
    return room, reader, reader.chain()


@given(st.lists(st.binary(max_size=300), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_whatever_bytes_lie_in_the_folder_nothing_falls_over(some):
    room, reader, chain = watched()
    for data in some:
        for place in PLACES:
            room.put(place, "Teacher", data)
            room.put(place, "..", data)
            room.put(place, A, STRANGER.public + b"FKE1" + struct.pack("<64sH", b"", len(data)) + data)
    reader.refresh()
    assert reader.chain() == chain
    assert room.coordinator.step().waits_for == C
    assert not room.step(A)[A].acted
    assert len(room.maker.requests()) == 3
    stranger = Study(Folder(room.root), "AAAA-BBBB-CCCC-DDDD")
    stranger.refresh()
    assert stranger.id == ""


def test_updates_do_not_show_in_letters_nor_to_other_hospitals(room):
    """Hospitals share a key, and still none can open what another sent: it is sealed to the coordinator."""
    sealed = Own.from_bytes(room.read(rounds.place(2), 2, A).content).sealed
    for name in (B, C):
        with pytest.raises(ValueError, match="was not sealed for"):
            room.identities[name].unseal(sealed)
    held, inside = room.hospitals[A].replica.follow()[1], opened(room, A)
    with pytest.raises(MessageError, match="no sum of 2"):
        held.keys.decrypt(inside, rounds.layout(room.settings, held.keys.parameters, 2))
    assert np.all([weight.tobytes() not in inside for weight in held.weights])


# What anybody puts into the folder's log: the study goes on, and whoever reads the log is told


@pytest.fixture
def in_time(monkeypatch):
    """What waits for ever is a failure, and so is a lock: whoever can read the log can hold one for ever."""

    def waits(*about):
        raise AssertionError("This waits for ever.")

    monkeypatch.setattr("fcntl.flock", waits)
    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def last_log(room, writer="Hospital%200"):
    return max((room.root / "log").glob(f"{writer}.*"))


def replaced(make):
    return lambda path: (path.unlink(), make(path))


SPOILED = {
    "one byte more": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "the last line breaks off"),
    "one line more": (lambda path: path.write_bytes(path.read_bytes() + b"{}\n"), "this line was changed"),
    "1 TB of nothing": (lambda path: os.truncate(path, 10**12), "line 4: this line was changed|breaks off"),
    "a pipe": (replaced(os.mkfifo), "plain file"),
    "a folder": (replaced(os.mkdir), "plain file"),
    "a link": (replaced(lambda path: path.symlink_to("/dev/zero")), "plain file"),
    "removed": (os.unlink, "it was removed"),
}


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("what", SPOILED)
@pytest.mark.parametrize("again", [False, True], ids=["goes on", "is restarted"])
def test_a_log_that_is_spoiled_gets_a_sequel_that_names_it(room, undisturbed, what, again):
    spoil, sentence = SPOILED[what]
    spoiled, good = last_log(room), events(room.root)
    head = json.loads(spoiled.read_bytes().splitlines()[-1])["sha256"]
    spoil(spoiled)
    if again:
        room.restart(A)
    room.play()
    assert room.models() == {undisturbed}
    if not (again and what == "removed"):  # nobody remembers it then
        with pytest.raises(ValueError, match=sentence):
            events(room.root)
    first = json.loads(last_log(room).read_bytes().splitlines()[0])["event"]
    if not again:
        assert (first["what"], first["before"], first["head"]) == ("began", spoiled.name, head)
    assert last_log(room) != spoiled
    assert [event["what"] for event in good if event["writer"] == "Hospital%200"][-1] == "posted"


NO_LOGS = [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")]
NO_LOGS += [
    lambda path, content=content: path.write_bytes(content)
    for content in (b"", b"\n", b"[]\n", b"[" * 10**5 + b"\n", b"x" * 10**6, b"\xff\n\xff")
]


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("make", NO_LOGS)
def test_what_is_called_like_a_newer_log_and_is_none_is_passed_over(room, undisturbed, make):
    last = last_log(room)
    for writer in ("Teacher", "Hospital%200"):
        make(room.root / "log" / f"{writer}.99999999999999999998.00000000.jsonl")
    room.restart(A)
    room.restart()
    room.play()
    assert room.models() == {undisturbed}
    names = sorted(path for path in (room.root / "log").glob("Hospital%200.*"))
    if make in NO_LOGS[:3]:
        first = json.loads(names[names.index(last) + 1].read_bytes().splitlines()[0])["event"]
        assert first["before"] == last.name
        with pytest.raises(ValueError, match="plain file"):
            events(room.root)


def test_a_study_goes_on_without_a_log_and_says_so_once_and_the_log_comes_back(room, undisturbed):
    log, aside = room.root / "log", room.root / "aside"
    log.rename(aside).with_name("log").write_text("no folder")
    room.restart()
    with pytest.warns(UserWarning, match="log cannot be written, and the study goes on without") as said:
        room.play()
    assert room.models() == {undisturbed}
    assert len(said) == 4, "one a person"
    log.unlink()
    aside.rename(log)
    found = len(events(room.root))
    room.hospitals[A].journal.write("back")
    assert len(events(room.root)) == found + 1


@pytest.mark.parametrize("why", ["half a character: \ud800", "x" * (1 << 21)])
def test_an_event_that_no_line_can_hold_stops_nobody(room, why):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        room.hospitals[A].journal.write("refused", why=why)
    room.hospitals[A].journal.write("next")
    mine = [event for event in events(room.root) if event["writer"] == "Hospital%200"]
    assert mine[-1]["what"] == "next"
    assert len({event["file"] for event in mine}) == 1, "no file more for that"
    assert len(why) > 100 or mine[-2]["why"] == "half a character: ?"
