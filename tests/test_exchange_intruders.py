"""What an intruder, a coordinator or a hospital that misbehaves puts into the folder: refused, and without effect."""

import contextlib
import dataclasses
import errno
import functools
import itertools
import json
import os
import shutil
import signal
import struct
import warnings

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from exchange_parts import Class, federation, model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tampering import ANYTHING, STRANGER, flipped

from fedkit.chapters import audit
from fedkit.encryption import messages
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.encryption.keyring import Keyring, Member
from fedkit.encryption.messages import Letter, MessageError, Share
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings, hospital, joining, letters, rounds
from fedkit.exchange.folder import digest, quoted
from fedkit.exchange.journal import events
from fedkit.exchange.keep import Keep
from fedkit.exchange.results import run
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO
from fedkit.exchange.study import Added, Closed, Study

NAMES = federation(3).names
A, B, C = NAMES
SETTINGS = Settings.of(federation(2))


@pytest.fixture
def room(tmp_path):
    """All have posted letter one of number 3: the update of round 2."""
    return Class(tmp_path).open().until(3)


# What a hospital says, and what is said in its name


def test_letters_that_a_hospital_signed_and_that_are_none(room, undisturbed):
    """See also `test_tampering`. A's is changed where it lies; once that is removed, A posts it once more."""
    honest, about, place = room.content(ONE, 3, C), room.hospitals[C]._keys.about, rounds.place(ONE, 3)
    path = room.letter(ONE, 3, A)
    path.write_bytes(flipped(path.read_bytes(), -100))
    made = [room.put(place, C, room.letter(ONE, 2, C).read_bytes())]
    for content, purpose, study in (
        (honest, "patients", about),
        (honest, "update", b"\1" * 32),
        (room.content(ONE, 2, C), "update", about),
        (bytes(len(honest)), "update", about),
    ):
        made.append(room.post(room.identities[C], place, content, purpose, 3, study=room.maker.study.id + study.hex()))
    made.append(room.post(Identity(C, b"X" * 32), place, honest, "update", 3, study=room.maker.study.id + about.hex()))
    made.append(room.post(room.identities[C], place, honest, "update", 3, study="f" * 32 + about.hex()))
    assert room.coordinator.step().waits_for == A
    path.unlink()
    assert room.step(A)[A].stage == "round"
    for found in made:
        (room.root / place / found.name).unlink()
    room.restart(*NAMES)
    said = "is signed with another key than theirs", "belongs to another training", "it is an old one sent again"
    room.ends_well(undisturbed, *said, "'patients' where something else is added up", "than its hidden numbers")


@pytest.mark.parametrize("short", [True, False])
def test_who_sent_a_second_letter_that_is_none_for_the_list_is_named_and_waited_for(room, undisturbed, short):
    """And the study goes on with the right one, though the other is there."""
    keys, share = room.hospitals[A]._keys, room.hospitals[A]._keys.share

    def useless(listed):
        """One whose file's name comes before the right one's: it is looked at first."""
        right = Share.from_bytes(share(listed), keys.parameters, 3)
        labels = (number.to_bytes(32) for number in itertools.count())
        made = (each if short else right._replace(label=each).to_bytes(keys.parameters, 3) for each in labels)
        name = lambda data: digest(room.hospitals[A].letter(data, TWO, 3, keys.about.hex()))  # noqa: E731
        return next(data for data in made if name(data) < name(share(listed)))

    keys.share = useless
    room.until(3, LIST).step()
    assert [room.coordinator.step().waits_for for _ in range(2)] == [A, A]
    assert "Hospital 0's second letter is of no use. " in room.sentences
    keys.share = share
    assert room.one_model() == undisturbed


def test_nonsense_of_one_group_stops_all_and_a_study_whose_last_sum_did_not_open_is_no_result(tmp_path):
    room = Class(tmp_path, federation(6), group_size=3, rounds=1).open().until(3, LIST)
    keys, share = room.hospitals[C]._keys, room.hospitals[C]._keys.share
    read = lambda of: Share.from_bytes(share(of), keys.parameters, 3)  # noqa: E731
    keys.share = lambda of: read(of)._replace(tag=0).to_bytes(keys.parameters, 3)
    assert [status.stage for status in room.play()] == ["stopped"] * 6 + ["done"]
    with pytest.raises(ValueError, match=r"The study is not done: .* changed, or one was left out"):
        run(room.hospitals[A])


@pytest.mark.parametrize("others", [2, 3])
def test_who_follows_another_sum_is_not_left_out_of_a_list_of_half_of_a_group_or_less(tmp_path, others):
    """Else two sums of one number, which open alike, part a large study in small ones, by the letters that follow."""
    room, place = Class(tmp_path, federation(6), deadline_seconds=60.0).open().until(3), rounds.place(ONE, 3)
    study = room.maker.study
    for name in room.federation.names[-others:]:
        letter = Letter.from_bytes(room.content(ONE, 3, name), study.parameters)._replace(about=b"\xff" * 32)
        room.letter(ONE, 3, name).unlink()
        content = letter.to_bytes(study.parameters)
        room.post(room.identities[name], place, content, "update", 3, study.id + letter.about.hex())
    room.step(A)
    room.wait()
    assert ("Hospital 4, Hospital 5 out" in room.step(A)[A].note) == (others == 3)


def listed(room):
    """The list that an honest coordinator makes, as what it says."""
    coordinator = Coordinator(Folder(room.root), room.boss, invitation=room.fingerprint)
    coordinator.study.refresh()
    _, content = coordinator._list(coordinator.study.steps()[-1][0])
    return json.loads(content)


def without(said, *names):
    return said | {"groups": [{n: c for n, c in group.items() if n not in names} for group in said["groups"]]}


def replaced_in(said, name, code):
    return said | {"groups": [group | {name: code} for group in said["groups"]]}


HOSTILE_LISTS = {
    "leaves C out": (lambda room, said: without(said, C), "leaves Hospital 2 out, and all are waited for"),
    "two are no quorum": (lambda room, said: without(said, B, C), "are the fewest here"),
    "a letter that is not there": (lambda room, said: replaced_in(said, B, "ab" * 32), "that are listed are not in"),
    "an old letter": (
        lambda room, said: replaced_in(said, B, messages.digest(room.content(ONE, 2, B)).hex()),
        "that are listed are not in",
    ),
    "another sum": (lambda room, said: said | {"about": "ab" * 32}, "follow another sum than is held here"),
    "a stranger": (lambda room, said: replaced_in(said, "Nobody", "ab" * 32), "not of the groups of this study"),
    "a group twice": (lambda room, said: said | {"groups": said["groups"] * 2}, "not of the groups of this study"),
    "an empty group": (lambda room, said: said | {"groups": [{}]}, "not of the groups of this study"),
    "no JSON of a list": (lambda room, said: said | {"groups": 3}, "not of the groups of this study"),
    "no bytes": (lambda room, said: replaced_in(said, B, "xyz"), "not of the groups of this study"),
}


def test_a_list_that_is_not_right_is_not_answered(tmp_path):
    """Rule 10, by who is in charge, one list after the other; the honest one, in its place later, is answered."""
    room = Class(tmp_path, federation(4)).open().until(3)
    honest = listed(room)
    for what, (make, why) in HOSTILE_LISTS.items():
        told = room.sentences.count(why)
        found = room.say(LIST, 3, make(room, honest))
        for _ in range(2):
            status = room.step(A)[A]
            room.restart(A)
        assert not room.said(TWO, 3, A), what
        assert why in status.note or room.sentences.count(why) > told, what
        assert status.stage == "round", what
        (room.root / found.place / found.name).unlink()
    room.restart(*room.federation.names)
    room.restart()
    assert room.one_model()
    assert [len(names) for _, names in room.counted] == [4] * 6


def test_who_is_left_out_is_missed_also_where_there_is_a_deadline(tmp_path):
    """Rule 10: since when a letter is here is noted when it comes, and not when the list does."""
    room = Class(tmp_path, federation(4), deadline_seconds=60.0).open().until(3)
    for _ in range(3):
        room.time += 60
        room.step(*NAMES)
    room.say(LIST, 3, without(listed(room), C))
    room.time += 1
    assert "leaves Hospital 2 out, whose letter has long been here" in room.step(A)[A].note
    assert not room.said(TWO, 3, A)


def test_rows_of_other_classes_are_refused_before_they_join(tmp_path):
    room = Class(tmp_path)
    room.hospitals[A].rows = dataclasses.replace(room.federation[A], classes=3)
    assert room.step(A)[A].note.startswith("The rows are of 3 classes, the study's are 0, 1")


def test_a_list_or_a_sum_by_who_is_not_in_charge_counts_for_nothing(room, undisturbed):
    for identity in (room.identities[C], STRANGER):
        room.say(LIST, 3, listed(room), identity)
        room.say(SUM, 3, Added.content("0" * 32, {}), identity)
    room.ends_well(undisturbed, f"{C} is not in charge of number 3", "Intruder is not in charge of number 3")


def test_a_second_list_of_a_number_is_not_answered(tmp_path):
    """Rule 9: the difference of two sums is one hospital's letter."""
    room = Class(tmp_path, federation(4)).open().until(3)
    second = without(listed(room), C)
    room.coordinator.step()
    room.step(A)
    (first,) = room.files(LIST, 3)
    with room.hidden(first, room.letter(ONE, 3, C)):
        room.say(LIST, 3, second)
        assert room.step(A)[A].note == ""
        room.restart(A)
        assert room.step(A)[A].note == "Another list came for this number, and a number is answered once."
    assert len(room.said(TWO, 3, A)) == 1


def test_a_list_of_hospitals_that_nobody_here_knows_is_not_answered(tmp_path):
    """Rule 11: the coordinator enrols three of its own, and lists them with A."""
    room = Class(tmp_path, federation(6), deadline_seconds=60.0)
    mine, prints = room.federation.names[3:], [fingerprint(each.public) for each in room.identities.values()]
    for room.known, names in ((prints[:3], NAMES), (prints, mine)):
        room.restart(*names)
    room.open().until(3)
    alone = without(listed(room), B, C)
    with room.hidden(room.letter(ONE, 3, B), room.letter(ONE, 3, C)):
        room.known = prints[:3]
        room.restart(A)
        room.say(LIST, 3, alone)
        status = room.step(A, *mine)[A]
        assert not room.said(TWO, 3, A)
        assert status.stage == "stopped"
        assert "names 0 hospitals whose fingerprint was compared here, and 2 must be" in status.note
        room.known = prints  # a person calls two of those who are left, and starts again
        room.restart(A)
        room.step(A)
        assert room.said(TWO, 3, A)


# What is said of sums


def tampered(room, change, at=slice(None)):
    """The sum number 3 in the folder, some of its hidden numbers changed, signed by who is in charge: a letter."""
    content, parameters = room.content(SUM, 3), room.coordinator.study.parameters
    (length,) = struct.unpack_from("<I", content)
    each = messages.Sum.from_bytes(content[4 + length :], parameters)
    hidden = each.hidden.astype(object)
    hidden[at] = (hidden[at] + (change << parameters.dropped_bits)) % parameters.modulus
    changed = each._replace(hidden=hidden.astype(np.uint64)).to_bytes(parameters)
    content = Added.content(json.loads(content[4 : 4 + length])["list"], {0: changed})
    return letters.signed(content, letters.About(room.maker.study.id, SUM, 3, "Teacher", ("Teacher",)), room.boss)


@pytest.mark.parametrize("at", [0, 3])
def test_what_is_said_of_a_sum_that_was_changed_tells_nothing_about_it(tmp_path, at):
    """Red team 1 to 3: whatever is changed, for each hospital in another way, all that leaves it is the same."""
    room, said = Class(tmp_path).open().until(3, SUM), []
    changed = [tampered(room, change, at) for change in (100, -100, 12345)]
    room.files(SUM, 3)[0].unlink()
    for name, data in zip(NAMES, changed, strict=True):
        before = {path.name for path in room.root.rglob("*")}
        found = room.put(rounds.place(SUM, 3), "Teacher", data)
        status = room.step(name)[name]
        *_, why = [each["why"] for each in events(room.root) if each["writer"] == quoted(name) and "why" in each]
        said.append((str(status), why, len({path.name for path in room.root.rglob("*")} - before)))
        room.restart(name)
        assert room.step(name)[name].stage == "stopped", "also started again"
        (room.root / found.place / found.name).unlink()
    assert set(said) == {said[0]}
    assert said[0][1] == "A sum was refused."
    assert "This is not the sum of the letters in its list" in said[0][0]


def test_a_second_sum_of_a_list_is_not_opened(room, undisturbed):
    """Rule 17, in the folder: what opened is what counts, and no other is even read."""
    room.until(3, SUM)
    room.step(A)
    low = room.files(SUM, 3)[0].name[:32]
    data = next(data for change in range(1, 200) if digest(data := tampered(room, change)) < low)
    found = room.put(rounds.place(SUM, 3), "Teacher", data)
    before = room.hospitals[A].weights[0].copy()
    for again in (False, True):
        if again:
            room.restart(A)
        assert room.step(A)[A].stage == "round"
        assert np.array_equal(room.hospitals[A].weights[0], before)
        assert room.hospitals[A].study.step.number == 4
    (room.root / found.place / found.name).unlink()
    room.restart(B, C)
    room.restart()
    room.ends_well(undisturbed)


KEPT = "opened-00003"


# What is put back, vanishes, or fills up


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_backup_that_is_put_back_is_noticed(tmp_path, ahead):
    """Rule 7: the disk of before, other numbers, and the folder holds what was sent since."""
    room = Class(tmp_path).open().until(2)
    with room.disk_put_back():
        room.until(3 + ahead, TWO)
    room.public = False  # so that other numbers would be sent
    room.restart(A)
    before = {path.name for path in room.root.rglob("*.Hospital%200.letter")}
    for _ in range(3):
        status = room.step(A)[A]
    assert status.stage == "stopped"
    assert "an old copy of this disk was put back?" in status.note
    assert {path.name for path in room.root.rglob("*.Hospital%200.letter")} == before


def test_a_backup_from_just_before_a_letter_sends_no_second_one(tmp_path):
    """Rule 7, where no list has answered yet: only the letter in the folder tells."""
    room = Class(tmp_path).open().until(1, SUM)
    with room.disk_put_back():
        room.step(A)
    room.public = False  # so that other numbers would be sent
    room.restart(A)
    assert "an old copy of this disk was put back?" in room.step(A)[A].note
    assert len(room.said(ONE, 2, A)) == 1


def test_a_number_never_goes_back(room, undisturbed):
    """Rule 3: the folder shows less than it did, and nobody says anything for a number that is over."""
    room.until(4)
    with room.hidden(*(path for what in (LIST, SUM) for path in room.files(what, 3))):
        room.restart(*NAMES)
        for status in room.step().values():
            assert (status.stage, status.acted) == ("round", False)
        assert [len(room.files(ONE, number)) for number in (3, 4)] == [3, 3]
    room.restart(A)
    room.ends_well(undisturbed)


def test_a_list_of_nobody_is_none(tmp_path, undisturbed):
    room = Class(tmp_path).open()
    for number in (0, 2, 5):
        room.until(number)
        found = room.say(LIST, number, {"about": "", "groups": []})
        room.say(SUM, number, Added.content(found.digest, {}))
        room.step()
        assert room.hospitals[A].study.step.number == number
        (room.root / found.place / found.name).unlink()
    room.ends_well(undisturbed, "malformed, or not of the groups")


def test_a_letter_that_vanishes_before_it_is_read_is_posted_again(tmp_path, undisturbed):
    """Red team 7: byte for byte, by its sender, without a restart."""
    room, gone = Class(tmp_path), {}
    for place, number in (("request", 0), ("group", 0), (ONE, 1), (LIST, 2), (TWO, 3), (SUM, 4)):
        path, *_ = room.until_there(place, number)
        gone[path] = path.read_bytes()
        path.unlink()
    room.ends_well(undisturbed)
    assert {path: path.read_bytes() for path in gone} == gone


@pytest.mark.parametrize("where", ["folder", "moved", "home", "keys"])
def test_a_full_disk_leaves_nothing_behind_and_nothing_is_sent_that_is_not_kept(room, undisturbed, where, monkeypatch):
    room.until(3, SUM)

    def full(*about, **more):
        if where == "folder":
            with open(about[1], "wb") as file:
                file.write(about[2][:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    write, disk = Keep.write, type(room.coordinator.folder.filesystem)
    with monkeypatch.context() as patched:
        match where:
            case "keys":  # full once the sum is kept: the next letter is made, and is not
                no = lambda keep, name, data: (full if name == "keys" and keep.read(KEPT) else write)(keep, name, data)  # noqa: E731
                patched.setattr(Keep, "write", no)
            case "home":
                patched.setattr("os.fsync", full)
            case _:
                patched.setattr(disk, "pipe_file" if where == "folder" else "mv", full)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(3):
                assert {hospital.step().acted for hospital in room.hospitals.values()} == {False}
    assert not room.files("incoming")
    assert not room.files(ONE, 4)
    assert not list(room.home.rglob(".half-*"))
    room.ends_well(undisturbed)


def test_an_account_whose_files_nobody_can_read_is_told_once(room, undisturbed, monkeypatch):
    """umask 077: what to do is said in one sentence, and the study goes on when it was done."""
    (path,) = [room.letter(ONE, 3, C)]
    kind, read = type(room.coordinator.folder.filesystem), type(room.coordinator.folder.filesystem).cat_file

    def refuse(self, file, *about, **more):
        if file.endswith(path.name):
            raise PermissionError(errno.EACCES, "Permission denied", file)
        return read(self, file, *about, **more)

    monkeypatch.setattr(kind, "cat_file", refuse)
    for _ in range(20):
        assert room.coordinator.step().waits_for == C
    assert room.sentences.count("its writer's account lets nobody else read: say `umask 022` there") == 1
    monkeypatch.undo()
    room.ends_well(undisturbed)


# Pipes, links and folders in a letter's place


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


def inside_out(path):
    """A link to a folder elsewhere."""
    elsewhere = path.parent.parent.parent / f"elsewhere {path.name[:5]}"
    elsewhere.mkdir(exist_ok=True)
    path.symlink_to(elsewhere)


PLANTED = [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
PLANTED += [inside_out]


def planted(places, first):
    """Each place, and what is planted there: everything somewhere, with another `first` somewhere else."""
    return zip(places, itertools.islice(itertools.cycle(PLANTED), first, None), strict=False)


def removed(path):
    """Take away what was planted, if it is there still; nobody may have put anything into it."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    elif path.is_symlink() or path.is_fifo():
        path.unlink()
    assert not [each for elsewhere in path.parents[2].glob("elsewhere *") for each in elsewhere.iterdir()]


def all_look(room):
    for step in (room.maker.step, *(each.step for each in room.hospitals.values()), room.coordinator.step):
        with contextlib.suppress(OSError):  # `run` says that, and tries again
            step()


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("first", [0, 4])
def test_what_is_planted_in_place_of_a_letter_is_not_followed_and_nobody_waits(tmp_path, undisturbed, first):
    """Red team 5: in place of a letter that is there, and so before it is posted again."""
    room = Class(tmp_path / "folder")
    misfit = {"columns": {}, "versions": {}, "exchange": letters.packed(STRANGER.public)}
    room.post(STRANGER, "request", misfit, "request")
    places = (("request", 0), ("group", 0), (ONE, 1), (LIST, 2), (TWO, 3), (SUM, 4))
    for (place, number), plant in planted(places, first):
        path, *_ = room.until_there(place, number)
        path.unlink()
        plant(path)
        room.maker = Maker(room.root, room.boss)
        room.restart(*NAMES)
        room.restart()
        all_look(room)
        removed(path)
    room.ends_well(undisturbed)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("first", [0, 4])
def test_what_is_planted_in_place_of_a_place_is_not_followed_and_nobody_waits(tmp_path, undisturbed, first):
    room, aside = Class(tmp_path / "folder").open(), tmp_path / "aside"
    places = (("incoming", 1), ("one-00003", 2), ("list-00004", 3), ("handover", 4))
    for (place, number), plant in planted(places, first):
        path = room.until(number, TWO).root / place
        path.rename(aside)
        plant(path)
        for _ in range(2 if plant is os.mkdir else 4):
            all_look(room)
        if plant is os.mkdir and list(path.iterdir()):  # where all goes on
            shutil.rmtree(aside)
        else:
            removed(path)
            aside.rename(path)
    room.ends_well(undisturbed)


def test_a_place_that_is_shown_twice_is_one(tmp_path, undisturbed):
    """Google Drive, where two make a place at the same time; letters are on either side, and some on both."""
    room = Class(tmp_path).open().until(3)
    twin = room.root / "one-00003 (1)"
    twin.mkdir()
    first, second, _ = room.files(ONE, 3)
    first.rename(twin / first.name)
    shutil.copy(second, twin / second.name)
    room.restart(A)
    room.step(A)
    assert len(room.files(ONE, 3)) == 2, "it is there, and not posted again"
    for what in (LIST, TWO):
        (room.root / f"{what}-00003 (2)").mkdir()
    room.coordinator.step()
    (path,) = room.files(LIST, 3)
    path.rename(room.root / "list-00003 (2)" / path.name)
    room.ends_well(undisturbed)


# Nonsense under a good signature


class Unchecked(float):
    def __ge__(self, other):
        return True


@pytest.fixture
def nonsense(monkeypatch):
    """Hospital C's software checks nothing: it encrypts the most that fits of what `change` makes of its numbers."""

    def sent_by(change):
        honest = Keyring.encrypt

        def encrypt(keys, purpose, vector, weight, layout=None, scale=None, public=False):
            if keys.name != C:
                return honest(keys, purpose, vector, weight, layout, scale, public)
            for shrink in range(0, 400, 2):
                vector_, weight_ = change(keys, np.array(vector) * scale, weight, 2.0**-shrink)
                with contextlib.suppress(ValueError):
                    return honest(keys, purpose, vector_, Unchecked(weight_), layout, 1.0, public)

        monkeypatch.setattr(Keyring, "encrypt", encrypt)

    return sent_by


@pytest.mark.parametrize("value", [5e5, -1e30])
def test_one_poisoned_update_stops_nobody_and_the_model_is_finite(tmp_path, nonsense, value):
    """Red team 6: an update beyond what was agreed on, of one who checks nothing: what opens is cut."""
    room = Class(tmp_path, rounds=4).open()

    def poison(keys, vector, weight, shrink):
        if keys.number == 1:  # the next is 2, the first update
            vector[:-2] = value * shrink
        return vector, weight

    nonsense(poison)
    room.until(3)
    largest = max(np.abs(weight).max() for weight in room.hospitals[A].weights)
    assert 2 < largest <= room.settings.most_change, "without it: 0.1"
    assert room.one_model()
    assert all(np.isfinite(weight).all() for weight in room.hospitals[A].weights)


@pytest.mark.parametrize(("patients", "stages"), [(10**12, ["done"] * 3), (-(10**6), ["stopped"] * 3)])
def test_patients_that_nobody_has_cost_the_others_digits_or_are_not_trained_with(tmp_path, nonsense, patients, stages):
    """Too many make steps coarse. Too few would show by whose letter is missing how many patients others have."""
    nonsense(lambda keys, vector, weight, shrink: (vector, patients if keys.number == 0 else weight))
    room = Class(tmp_path).open()
    said = room.play(20)
    assert [each.stage for each in said[:3]] == stages
    assert all(np.isfinite(weight).all() for weight in room.hospitals[A].weights)
    if "stopped" in stages:
        assert said[0].note.startswith("More patients are here than were counted on")


def test_a_number_of_patients_that_is_none_changes_nothing_for_anybody(tmp_path, nonsense):
    room = Class(tmp_path).open().until(2, TWO)
    nonsense(lambda keys, vector, weight, shrink: (vector, -(10**6) if keys.number == 2 else weight))
    room.coordinator.step()
    room.step()
    before = room.models()
    room.until(4)
    assert "Round 2 changes nothing: its sum is of no use" in room.sentences
    assert room.models() == before
    assert room.one_model()


def test_statistics_that_are_nonsense_are_said_to_be(tmp_path, nonsense):
    nonsense(
        lambda keys, vector, weight, shrink: (
            (vector * 0 - 1e20 * shrink, weight) if keys.number < 0 else (vector, weight)
        )
    )
    room = Class(tmp_path).open()
    for status in room.play(5)[:-1]:
        assert status.stage == "stopped"
        assert "The rows cannot be prepared with the sums" in status.note


def test_an_older_invitation_by_the_same_maker_takes_the_place_of_none(tmp_path):
    """A whole old study, copied into the folder of the new one."""
    old = Class(tmp_path / "old", rounds=1).open()
    old.play()
    new = Class(tmp_path / "new", rounds=2)
    shutil.copytree(tmp_path / "old", tmp_path / "new", dirs_exist_ok=True)
    new.open()
    assert new.one_model() != old.one_model()
    assert [len(names) for _, names in new.counted] == [3] * 5
    shutil.copytree(tmp_path / "old" / "invitation", tmp_path / "third" / "invitation")  # before there is another
    for folder, found in (("new", 2), ("third", 1)):
        with pytest.raises(ValueError, match=f"holds {found} studies of Teacher's, .* the invitation= that was read"):
            Maker(Folder(tmp_path / folder), new.boss).invite(old.settings)
    assert Maker(Folder(tmp_path / "new"), new.boss, invitation=new.fingerprint).resume()
    third = Coordinator(Folder(tmp_path / "third"), new.boss, invitation=new.fingerprint)
    assert third.step().stage == "invitation"


def test_a_copy_under_another_name_hides_no_letter(tmp_path, undisturbed):
    room = Class(tmp_path)
    for after in (room.step, room.maker.open, lambda: room.step(A), room.step):
        for path in [path for place in ("invitation", "request", "opening", "group") for path in room.files(place)]:
            for other in ("zzz", "AAA"):
                path.with_name(f"{path.name[:32]}.{other}.letter").write_bytes(path.read_bytes())
        room.restart(*NAMES)
        after()
    room.ends_well(undisturbed)


def test_of_two_openings_all_follow_one(tmp_path, undisturbed):
    """The maker was started again, and not shown its opening."""
    room = Class(tmp_path)
    room.step()
    room.maker.open(key_maker=B)
    with room.hidden(*room.files("opening")):
        room.restart(*NAMES)
        room.maker = Maker(Folder(tmp_path), room.boss)
        room.maker.open()
    room.ends_well(undisturbed)
    assert len({who.study.opening for who in (room.coordinator, *room.hospitals.values())}) == 1


def test_a_hospital_that_joined_by_one_opening_follows_no_other_one_of_its_maker(tmp_path, monkeypatch):
    """Who joins now follows the one of the smaller hash: a maker can find it who opens anew, with a shadow for C."""
    room, said, post = Class(tmp_path), [], Maker._post
    monkeypatch.setattr(Maker, "_post", lambda maker, *what: said.append(what) or post(maker, *what))
    room.open()
    room.step()
    (opening,) = (content for place, content in said if place == "opening")
    first = again = room.maker.study.opening
    while again >= first:
        shadow = [STRANGER.public, X25519PrivateKey.generate().public_key().public_bytes_raw()]
        keys = dict(zip(Member._fields, map(letters.packed, shadow), strict=True))
        again = post(room.maker, "opening", opening | {"hospitals": opening["hospitals"] | {C: keys}}).digest
    room.restart(*NAMES)
    room.step()
    assert {each.study.opening for each in room.hospitals.values()} == {first}
    assert "opened the study once more, with others" in room.sentences


def test_a_name_that_looks_like_another_one_is_flagged_and_not_taken_unasked(tmp_path):
    """Red team 8, as far as `identities.skeleton` goes: letters of another script are compared by fingerprint alone."""
    room, name = Class(tmp_path, federation(4)), "Ｈospital 0\ufe0f"
    room.step()
    rows = dataclasses.replace(room.federation[A], name=name)
    how = {"invitation": room.fingerprint, "known": ()}
    Participant(tmp_path, Identity.new(name), rows, **how).step()
    assert {each.name for each in room.maker.step() if each.twice} == {A, name}
    room.maker.open()
    assert list(room.maker.study.roster) == list(room.federation.names[1:])


def test_only_the_maker_says_who_takes_part(room, undisturbed):
    """Everything that a maker writes, written by somebody else."""
    said = {
        "hospitals": {
            name: dict.fromkeys(("identity", "exchange"), letters.packed(STRANGER.public))
            for name in ("Intruder", "I", "J")
        },
        "key_maker": "Intruder",
        "coordinator": "Intruder",
        "key": letters.packed(STRANGER.public),
        "from_number": 0,
        "number": 99,
        "groups": [["Intruder", "I", "J"]],
        "sealed": {},
        "opening": room.maker.study.opening,
        "settings": room.settings.to_json(),
    }
    posted, liars = (
        {},
        ("Intruder", "Teacher", A),
    )  # with keys of their own; the second and third may write such letters
    for place in ("opening", "handover", "group", "invitation"):
        how = {"study": "new" * (place == "invitation")}
        posted[place] = {room.post(Identity(name, b"I" * 32), place, said, place, **how).digest for name in liars}
    room.restart(*NAMES)
    room.restart()
    room.ends_well(undisturbed)
    refused = {event["digest"] for event in events(room.root) if "is signed by " in event.get("why", "")}
    assert refused >= posted["group"] | posted["handover"], "the others are read only as long as they are waited for"


SAID = {
    "settings": SETTINGS.to_json(),
    "hospitals": {n: {k: letters.packed(bytes(31) + n.encode()) for k in ("identity", "exchange")} for n in "XYZ"},
    "groups": [["X", "Y", "Z"]],
    "key_maker": "X",
    "coordinator": "Z",
    "key": letters.packed(bytes(32)),
    "from_number": 1,
    "number": 1,
    "columns": {},
    "versions": {},
}


@given(ANYTHING, st.sampled_from([*SAID]))
@settings(max_examples=100, deadline=None)
def test_whatever_stands_in_a_letter_it_is_taken_or_refused(value, field):
    """Signed by the right person, and malformed."""
    text = json.dumps(SAID | {field: value}).encode()
    written = letters.Signed("d", "Teacher", bytes(32), "", "", text, b"")
    for reader in (
        joining.handover,
        lambda letter: joining.opening(letter, SETTINGS),
        lambda letter: Settings.from_json(letter.json().get("settings")),
    ):
        with contextlib.suppress(MessageError):
            reader(written)
    assert all(isinstance(why, str) for why in joining.misfits(SETTINGS, joining.versions(), written.json()))


PLACES = ["invitation", "request", "opening", "group", "handover"]
PLACES += [rounds.place(what, number) for what in rounds.LETTERS for number in (1, 2)]


@functools.cache
def watched():
    """A study in which one hospital is waited for, and one who reads along."""
    room = Class("memory://watched").open().until(1, SUM)
    room.step(A, B)
    reader = Study(Folder(room.root), room.fingerprint)
    reader.refresh()
    return room, reader, reader.steps()


@given(st.lists(st.binary(max_size=300), min_size=5, max_size=5))
@settings(max_examples=12, deadline=None)
def test_whatever_bytes_lie_in_the_folder_nothing_falls_over(some):
    room, reader, steps = watched()
    made = set()
    for data, place in itertools.product(some, PLACES):
        signed = STRANGER.public + b"FKE1" + struct.pack("<64sH", b"", len(data)) + data
        made |= {room.put(place, "Teacher", data), room.put(place, "..", data + b"."), room.put(place, A, signed)}
    reader.refresh()
    assert reader.steps() == steps
    assert room.coordinator.step().waits_for == C
    assert not room.step(A)[A].acted
    assert len(room.maker.step()) == 3
    stranger = Study(Folder(room.root), "AAAA-BBBB-CCCC-DDDD")
    stranger.refresh()
    assert stranger.id == ""
    for found in made:
        with contextlib.suppress(FileNotFoundError):  # the same bytes under another name were there
            room.coordinator.folder.remove(found.place, found.name)


# What anybody puts into the folder's log: the study goes on, and whoever reads the log is told


def last_log(room, writer="Hospital%200"):
    return max((room.root / "log").glob(f"{writer}.*"))


def replaced(make):
    return lambda path: (path.unlink(), make(path))


SPOILED = {
    "one byte more": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "the last line breaks off"),
    "one line more": (lambda path: path.write_bytes(path.read_bytes() + b"{}\n"), "this line was changed"),
    "1 TB of nothing": (lambda path: os.truncate(path, 10**12), r"line \d+: this line was changed|breaks off"),
    "a pipe": (replaced(os.mkfifo), "plain file"),
    "a folder": (replaced(os.mkdir), "plain file"),
    "a link": (replaced(lambda path: path.symlink_to("/dev/zero")), "plain file"),
    "removed": (os.unlink, ""),
}


@pytest.mark.usefixtures("in_time")
def test_where_a_log_is_spoiled_another_one_is_begun(tmp_path):
    """Each number, in another way; afterwards it is mended, so that no other is found."""
    room = Class(tmp_path, rounds=len(SPOILED) - 3).open()
    for number, (what, (spoil, sentence)) in enumerate(SPOILED.items()):
        spoiled, good = last_log(room.until(number)), events(room.root)
        whole = spoiled.read_bytes()
        assert [event["what"] for event in good if event["writer"] == "Hospital%200"][-1] == "posted"
        spoil(spoiled)
        room.until(number + 1)
        if sentence:
            with pytest.raises(ValueError, match=sentence):
                events(room.root)
        assert last_log(room) != spoiled, what
        removed(spoiled)
        spoiled.write_bytes(whole)
    assert room.models() == {model_of(rounds=room.settings.rounds)}


@pytest.mark.parametrize("instead", [lambda log: log.write_text("no folder"), lambda log: log.symlink_to("incoming")])
def test_a_study_goes_on_without_a_log_and_says_so_once_and_the_log_comes_back(room, undisturbed, instead):
    log, aside = room.root / "log", room.root / "aside"
    instead(log.rename(aside).with_name("log"))
    room.restart()
    with pytest.warns(UserWarning, match="log cannot be written, and the study goes on without") as said:
        room.play()
    assert room.models() == {undisturbed}
    assert len(said) == 4, "one a person"
    assert not [*room.root.glob("incoming/*.jsonl")], "a link is not followed"
    log.unlink()
    aside.rename(log)
    found = len(events(room.root))
    room.hospitals[A].journal.write("back")
    assert len(events(room.root)) == found + 1


@pytest.mark.parametrize("why", ["half a character: \ud800", "x" * (1 << 21)])
def test_an_event_that_no_line_can_hold_stops_nobody(tmp_path, why):
    room = Class(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        room.hospitals[A].journal.write("refused", why=why)
    room.hospitals[A].journal.write("next")
    mine = [event for event in events(room.root) if event["writer"] == "Hospital%200"]
    assert mine[-1]["what"] == "next"
    assert len({event["file"] for event in mine}) == 1, "no file more for that"
    assert len(why) > 100 or mine[-2]["why"] == "half a character: ?"


def test_a_log_that_somebody_wrote_is_read_or_refused_with_a_sentence(tmp_path):
    """Red team 9: well chained, and hostile."""
    path = Class(tmp_path).root / "log" / "Intruder.00000000000000000001.00000000.jsonl"
    for event in ({}, {"before": "../../etc/passwd", "head": "x"}, {"what": ["x"], "writer": 3}, [], "line", None):
        path.write_bytes(audit._chained(1, audit.START, event)[0] + b"\n")
        with contextlib.nullcontext() if isinstance(event, dict) else pytest.raises(ValueError, match="say nothing"):
            events(tmp_path)


def test_who_sends_more_letters_than_are_looked_at_is_named(tmp_path):
    room, place, told = Class(tmp_path, federation(3)).open().until(3), rounds.place(ONE, 3), []
    study, letter = room.maker.study, Letter.from_bytes(room.content(ONE, 3, C), room.maker.study.parameters)
    room.coordinator.study.notice = lambda why, **_: told.append(why)
    for number in range(9):
        letter.hidden[0] = number << 20
        content, about = letter.to_bytes(study.parameters), study.id + letter.about.hex()
        room.post(room.identities[C], place, content, "update", 3, about)
    room.coordinator.step()
    assert f"{C} sent more than 8 letters of number 3." in told


def test_an_opening_with_smaller_groups_than_were_agreed_on_is_refused(tmp_path, monkeypatch):
    room = Class(tmp_path, federation(6), quorum=6)
    names, post = list(room.federation.names), room.maker._post
    room.step()
    monkeypatch.setattr(room.maker, "_post", lambda what, said: post(what, said | {"groups": [names[:3], names[3:]]}))
    room.maker.open()
    assert {status.stage for status in room.step().values()} == {"opening"}
    assert "It makes smaller groups than were agreed on." in room.sentences


def test_a_group_s_key_for_another_opening_is_none(tmp_path, undisturbed):
    room = Class(tmp_path).open()
    said = {"opening": "0" * 32, "sealed": dict.fromkeys(NAMES, "")}
    room.post(room.identities[A], "group", said, "group")
    assert room.step(B)[B].stage == "keys"
    room.ends_well(undisturbed, "is for another opening of this study")


def test_a_group_s_key_that_others_were_not_given_is_none(tmp_path, monkeypatch):
    room, sealed = Class(tmp_path), hospital.seal_for

    def seals(to, key):
        return sealed(to, bytes(32) if to == room.maker.study.members[C].exchange else key)

    monkeypatch.setattr(hospital, "seal_for", seals)
    said = room.open().step()
    assert (said[B].stage, said[C].stage) == ("round", "refused")
    assert "not the one that all are said to have been given" in said[C].note


def test_a_second_group_s_key_is_none(tmp_path, undisturbed):
    room = Class(tmp_path).open().until(1)
    room.post(room.identities[A], "group", {"opening": room.maker.study.opening, "sealed": {}}, "group")
    room.ends_well(undisturbed, "Hospital 0 made the group's key twice")


def test_a_study_that_was_opened_with_rows_that_do_not_fit_is_not_joined(tmp_path):
    room = Class(tmp_path)
    room.step()
    room.federation[A].table.pop("x0")
    room.restart(A)
    room.maker.open()
    said = room.step(A)[A]
    assert (said.stage, "has no column 'x0'" in said.note) == ("refused", True)


def test_no_study_is_opened_with_two_that_look_alike(tmp_path):
    data = federation(4)
    alike = dataclasses.replace(data.hospitals[3], name="Hospital O")
    room = Class(tmp_path, dataclasses.replace(data, hospitals=(*data.hospitals[:3], alike)))
    room.step()
    with pytest.raises(ValueError, match="two have one name or key"):
        room.maker.open({each.fingerprint for each in room.maker.step()})


def test_groups_and_their_sums_come_in_one_order():
    """Added up in another order they differ, in as many digits as a liar likes: rows would be prepared in two ways."""
    study = Class("memory://two groups", federation(6), group_size=3).open().maker.study
    groups = [dict.fromkeys(group, b"") for group in study.groups]
    signed = functools.partial(letters.Signed, "d", "Teacher", bytes(32), "", "", whole=b"")
    for at, refused in ((1, contextlib.nullcontext), (-1, functools.partial(pytest.raises, MessageError))):
        with refused():
            Closed.read(signed(Closed.content(b"", groups[::at])), study)
        with refused():
            Added.read(signed(Added.content("", dict.fromkeys(range(2)[::at], b""))), 0)


def test_a_backup_from_between_its_two_letters_answers_no_list(room):
    """Rule 9, where the home does not remember the share: only the letter in the folder tells."""
    with room.disk_put_back():
        room.coordinator.step()
        room.step(A)
    room.restart(A)
    assert "a letter two of number 3 not remembered here" in room.step(A)[A].note
