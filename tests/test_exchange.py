import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from exchange_parts import Class, Logistic, federation

from fedkit import aggregators, exchange, hospitals, learning, models, records
from fedkit.chapters.figures.studies import study_grid
from fedkit.encryption import messages
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.encryption.keyring import label_of
from fedkit.exchange import Maker, Participant, Settings, joining, letters, results, rounds
from fedkit.exchange.__main__ import main
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import LIST, METRICS, ONE, SUM, TWO, Step
from fedkit.exchange.study import Added, Closed, Tally
from fedkit.exchange.watch import Watch
from fedkit.exchange.work import Training

NAMES = list(federation(3).names)
A, B, C = NAMES
PATIENCE = {"deadline_seconds": 60.0, "share_seconds": 60.0, "budget": 2}


@pytest.fixture
def room(tmp_path):
    return Class(tmp_path).open()


# From the invitation to the result


def test_a_study_comes_to_an_end_with_one_model_and_leaves_no_secret_in_the_folder(room, undisturbed):
    secrets, kept = {room.hospitals[A].keep.read("exchange")[:32]}, room.hospitals[A].keep
    for number in range(6):
        room.until(number)
        for keys in (hospital._keys._state for hospital in room.hospitals.values()):
            secrets |= {keys["group"], keys["own"], *keys["pairs"].values(), *keys["now"]["pairs"].values()}
            secrets |= {keys["now"]["group"], keys["now"]["key"][:64]}
    said = room.play()
    room.ends_well(undisturbed)
    assert room.sentences == ""
    mine, *others = room.hospitals.values()
    assert str(said[0]).endswith(f"those that hold this model say {mine.model_fingerprint}.")
    mine.replica.held = mine.replica.held._replace(sums=-mine.replica.held.sums)  # so it would prepare other rows
    assert mine.model_fingerprint != others[0].model_fingerprint == others[1].model_fingerprint
    everything = b"".join(path.read_bytes() for path in room.root.rglob("*") if path.is_file())
    assert len(secrets) == 85, "no two hospitals have one"
    assert not any(secret in everything for secret in secrets)
    assert kept.read("exchange") is None, "of no use any more, and forgotten"
    at_home = b"".join(path.read_bytes() for path in room.home.rglob("*") if path.is_file())
    assert not any(secret in at_home for secret in secrets), "sealed with the identity"


def test_its_model_is_the_one_that_train_federated_makes_to_the_bit(tmp_path):
    """The real work, by TensorFlow Federated: in the folder, in a rehearsal, and in the encrypted simulation."""
    data, how = hospitals.load("heart_disease"), {"rounds": 3, "epochs": 2, "seed": 5, "penalty": 5.0}
    for one in data:
        one.table["age"] += 1.7e12  # as far from zero as milliseconds since 1970
    room = Class(tmp_path, data, work=Training, hidden=(4,), **how).open()
    model = room.one_model()
    run = learning.train_federated(data, aggregator=aggregators.EncryptedMean(), model=models.mlp((4,)), **how)
    first, *_ = exchange.rehearse(data, hidden=(4,), **how)
    for weights in (run.weights["shared"], first.weights):
        assert b"".join(weight.tobytes() for weight in weights) == model

    # The sums of scores tell the mean over test patients, and the run is one more of that method.
    found = results.run(room.hospitals["Hungary"], data)
    assert found.final().to_dict() == run.final().to_dict()
    patients = run.predictions.groupby("hospital").size()
    mean, tested = room.hospitals["Hungary"].scores[3]["auroc"]
    assert tested == patients.sum()
    assert mean == pytest.approx((run.final() * patients).sum() / patients.sum(), abs=3e-3)
    found.save(tmp_path / "run")
    assert records.compare(found, records.load(tmp_path / "run")).empty


def test_values_that_no_sum_carries_stop_the_hospital_that_has_them():
    data = federation(3)
    data[B].table["x1"] *= 1e30
    said = Class("memory://too-large", data).open().step()
    assert {name: status.stage for name, status in said.items()} == {A: "round", B: "stopped", C: "round"}
    assert said[B].note.startswith("Hospital 1: The largest value of 'x1' is")


def test_the_bytes_of_a_study_are_those_of_its_letters(room):
    room.until(3)
    with pytest.raises(ValueError, match="not done: Waiting for Teacher: round 2 of 3"):
        results.run(room.hospitals[B])
    room.play()
    sizes = {what: sum(p.stat().st_size for n in range(6) for p in room.files(what, n)) for what in rounds.LETTERS}
    sent = results.run(room.hospitals[B]).ledger.groupby(["direction", "phase"])["bytes"].sum()
    assert (sent["up", "send"], sent["up", "share"]) == (sizes[ONE], sizes[TWO])
    assert sent["down", "send"] == 3 * sizes[SUM]
    assert sent["down", "list"] == 3 * sizes[LIST] + 2 * sizes[ONE], "each looks at the others' letters"


def test_a_rehearsal_is_a_whole_study():
    (first, *_) = exchange.rehearse(federation(3), work=Logistic, rounds=2)
    assert first.step().stage == "done"
    silent = {"silent": [A], "deadline_seconds": 0.01}
    late = exchange.rehearse(federation(4), work=Logistic, rounds=2, **silent)
    assert [one.identity.name for one in late] == [B, C, "Hospital 3"]
    assert len({one.model_fingerprint for one in late}) == 1
    for wrong in ({"deadline_seconds": None}, {"quorum": 4}):
        with pytest.raises(ValueError, match="Who is silent is waited for"):
            exchange.rehearse(federation(4), work=Logistic, **silent | wrong)
    with pytest.raises(ValueError, match="did it diverge"):  # at all, who wait for nobody then
        exchange.rehearse(federation(3), work=Logistic, deadline_seconds=0.01, most_change=1e-9)
    for wrong, how in (("heart", {}), (federation(3), {"silent": ["Bern"]}), (federation(3), {"silent": "Bern"})):
        with pytest.raises(ValueError, match=r"(federation|silent) must be"):
            exchange.rehearse(wrong, **how)
    for wrong, what in (({"lr": 1}, "A study has no setting 'lr'"), ({"round": 1}, "Did you mean rounds")):
        with pytest.raises(TypeError, match=what):
            exchange.rehearse(federation(3), **wrong)


def test_no_tensorflow_is_needed_but_for_training():
    code = "import sys, fedkit.exchange; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Stopped and started again


@pytest.mark.parametrize("at_once", [1, 3])
def test_whoever_is_started_again_goes_on_where_the_study_is(tmp_path, undisturbed, at_once):
    """Everybody forgets everything but identity and home before each step, also before the opening."""
    room = Class(tmp_path)
    for turn in range(100):
        for name in NAMES:
            room.restart(*(NAMES if at_once == 3 else [name]))
            room.hospitals[name].step()
        if turn == 1:
            Maker(tmp_path, room.boss).open()
        room.restart()
        if room.coordinator.step().ended:
            break
    room.ends_well(undisturbed)
    for what, count in ((ONE, 3), (LIST, 1), (TWO, 3), (SUM, 1)):
        assert [len(room.files(what, number)) for number in range(6)] == [count] * 6


def test_without_what_it_keeps_at_home_a_hospital_cannot_go_on(room, tmp_path):
    room.until(2)
    kept = next(room.home.glob("*Hospital%200.participant"))
    for path in kept.iterdir():
        path.unlink()
    room.restart(A)
    status = room.step(A)[A]
    assert str(status) == "Not taking part. The keys made to join are lost: join anew, in another study."
    damaged = next(room.home.glob("*Hospital%201.participant")) / "keys"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    room.restart(B)
    with pytest.raises(ValueError, match="is damaged, or another's"):
        room.step(B)


def test_an_invitation_and_an_opening_are_repeated_without_harm(room):
    before = (invitation,), _ = room.files("invitation"), room.files("opening")
    again, data = Maker(room.root, room.boss), invitation.read_bytes()
    assert again.invite(room.settings) == room.fingerprint
    with pytest.raises(ValueError, match="is open, with Hospital 0, Hospital 1, Hospital 2"):
        again.open()
    with pytest.raises(ValueError, match="holds another study of Teacher's"):
        again.invite(dataclasses.replace(room.settings, rounds=9))
    invitation.unlink()  # its maker is not shown it
    Maker(room.root, room.boss).invite(room.settings)
    assert (room.files("invitation"), room.files("opening")) == before
    assert invitation.read_bytes() == data
    elsewhere = Maker(f"{room.root}/another", room.boss)
    elsewhere.invite(room.settings)
    assert elsewhere.study.id != room.maker.study.id, "the same settings in another folder"


def test_a_sum_is_waited_for_and_read_under_any_of_its_names(room, undisturbed):
    """A hospital saw the sum as a copy, "(1)"; then the copy is cut, as another machine's upload breaks off."""
    room.until(3, SUM)
    (whole,) = room.files(SUM, 3)
    copy = whole.rename(f"{whole} (1)")
    room.hospitals[B].study.refresh()
    with room.hidden(copy):
        assert room.step(B)[B].note == "The sum number 3 is in the folder, and cannot be read yet."
    whole.write_bytes(copy.read_bytes())
    copy.write_bytes(copy.read_bytes()[:100])
    room.ends_well(undisturbed)


def test_a_folder_that_is_away_for_a_while_is_waited_for(room, monkeypatch):
    said, step = [], room.coordinator.step
    monkeypatch.setattr(room.coordinator, "step", lambda: (_ for _ in ()).throw(OSError("not mounted")))

    def tell(status):
        said.append(str(status))
        monkeypatch.setattr(room.coordinator, "step", step)

    room.coordinator.run(0, until=lambda status: status.stage == "keys", tell=tell)
    assert said == ["The folder cannot be used now. not mounted", f"Waiting for the group's key, which {A} makes."]


def test_the_log_says_what_was_done_also_after_restarts(room):
    room.until(2)
    for _ in range(2):
        room.restart()
        room.play(2)
    found = events(room.root)
    assert {event["writer"] for event in found} == {"Teacher", *(name.replace(" ", "%20") for name in NAMES)}
    expected = {"invited", "approved", "asked", "made the group's key", "joined", "posted", "listed", "added"}
    assert expected <= {event["what"] for event in found}
    assert len({event["file"] for event in found if event["writer"] == "Teacher"}) == 4, "the maker's is the first"


# Who takes part


def test_an_invitation_by_somebody_else_is_not_followed(tmp_path):
    room = Class(tmp_path)
    how = {"invitation": "AAAA-BBBB-CCCC-DDDD", "known": ()}
    status = Participant(tmp_path, room.identities[A], room.federation[A], **how).step()
    assert status.stage == "invitation"
    assert f"has the fingerprint {room.fingerprint}, and AAAA-BBBB-CCCC-DDDD was read aloud" in status.note
    assert room.files("request") == []
    with pytest.raises(ValueError, match="The rows are Hospital 2's and the identity is Hospital 1's"):
        Participant(tmp_path, room.identities[B], room.federation[C], **how)


def of(level):
    return lambda table: pd.Categorical([level] * len(table))


MISFITS = [
    (lambda table: table.drop(columns=["x1"]), "The table has no column 'x1'"),
    (lambda table: table.assign(x0=of("high")), "'x0' holds 'categories', and the study needs numbers"),
    (lambda table: table.assign(grade=3.0), "'grade' holds 'numbers', and the study needs categories"),
    (lambda table: table.assign(grade=of("middle")), "'grade' has levels middle; the study knows low, high: recode"),
]


def test_hospitals_that_do_not_match_are_told_why(tmp_path):
    """Four of seven; the others open the study without them."""
    room = Class(tmp_path, federation(7))
    *wrong, _, _, _ = room.federation.names
    pairs = zip(room.federation.hospitals, MISFITS, strict=False)
    rows = [dataclasses.replace(own, table=change(own.table)) for own, (change, _) in pairs]
    room.federation = dataclasses.replace(room.federation, hospitals=(*rows, *room.federation.hospitals[4:]))
    room.restart(*wrong)
    room.step()
    asked = {each.name: " ".join(each.problems) for each in room.maker.step()}
    for name, (_, why) in zip(wrong, MISFITS, strict=True):
        assert why in room.step(name)[name].note
        assert why in asked.get(name, "") or "levels" in why, "which stay at the hospital"
    room.maker.open()
    assert [status.stage for status in room.step().values()] == [*["opening"] * 4, *["round"] * 3]
    room.step()
    assert {status.stage for status in room.step(*wrong).values()} == {"refused"}


def test_another_version_is_told_apart(tmp_path, monkeypatch):
    room, here = Class(tmp_path), joining.versions()
    monkeypatch.setattr(joining, "versions", lambda: here | {"tenseal": "0.3.1"})
    status = room.step(A)[A]
    assert status.stage == "refused"
    assert "tenseal is '0.3.1' there and '0.3.18' at the maker" in status.note
    assert room.maker.step()[0].problems == (status.note,)


def test_who_was_not_chosen_or_comes_late_does_not_take_part(tmp_path):
    room = Class(tmp_path, federation(5))
    names = room.federation.names
    room.step(*names[:4])
    keys = {fingerprint(room.identities[name].public) for name in names[1:4]}
    for chosen, key_maker, why in (
        ({"AAAA"}, None, "Nobody asked to join with the key AAAA"),
        ({*keys} - {min(keys)}, None, "2 hospitals can join, and the study takes 3 to 100"),
        (None, "Hospital 9", "is none of the hospitals"),
    ):
        with pytest.raises(ValueError, match=why):
            room.maker.open(chosen, key_maker)
    room.maker.open(keys)
    said = room.step()
    assert said[A].note == "So far, it was opened without you."
    for status in room.step(A, names[4]).values():
        assert str(status) == "Not taking part. The study was opened without you, and nobody can join any more."


@pytest.mark.parametrize("how", [{"deadline_seconds": 1e9}, {"budget": 1}])
def test_where_somebody_may_be_left_out_each_hospital_must_have_agreed(tmp_path, how):
    room = Class(tmp_path, **how)
    join = {"invitation": room.fingerprint, "known": (), "work": Logistic}
    status = Participant(tmp_path, room.identities[A], room.federation[A], **join).step()
    assert (status.stage, room.files("request")) == ("refused", [])
    assert "Who agrees joins with waits_for_all=False" in status.note


def test_two_of_one_name_are_told_apart_by_their_keys(tmp_path):
    with pytest.raises(ValueError, match="Teacher has not invited anybody here"):
        Maker(tmp_path, Class.boss).step()
    room = Class(tmp_path)
    assert room.maker.step() == []
    room.step()
    how = {"invitation": room.fingerprint, "known": (), "work": Logistic}
    other = Participant(tmp_path, Identity.new(A), room.federation[A], **how)
    other.step()
    text = b"".join(file.read_bytes() for file in room.files("request"))
    assert b'"grade": "categories"' in text
    assert b"high" not in text, "levels stay at the hospital"
    asked = room.maker.step()
    assert [(each.name, each.twice) for each in asked] == [(A, True), (A, True), (B, False), (C, False)]
    assert not any(each.problems for each in asked)
    with pytest.raises(ValueError, match="two have one name"):
        room.maker.open({each.fingerprint for each in asked})
    with pytest.raises(ValueError, match="2 hospitals can join, and the study takes 3 to 100"):
        room.maker.open()
    room.maker.open({fingerprint(identity.public) for identity in room.identities.values()})
    assert room.play()[0].stage == "done"
    assert other.step().stage == "refused"


def test_a_hospital_takes_part_once_two_others_are_known_to_a_person(tmp_path, undisturbed):
    prints = [fingerprint(identity.public) for identity in Class(tmp_path / "before").identities.values()]
    for known in ((), prints[:1], [prints[1], "AAAA-BBBB-CCCC-DDDD"]):
        room = Class(tmp_path / str(len(known)), known=known).open()
        room.play(5)
        said = room.step(B)[B]
        assert said.stage == "known"
        assert said.note == f"{A} {prints[0]}, {C} {prints[2]}"
        assert not list(room.root.glob("one-*/*"))
    room.known = prints
    room.restart(*NAMES)
    room.ends_well(undisturbed)


# Who is late, or silent, or wants to send too much


@pytest.fixture
def four(tmp_path):
    return Class(tmp_path, federation(4), rounds=4, **PATIENCE).open()


def test_a_late_hospital_counts_again_in_the_next_sum(four):
    d, others = "Hospital 3", NAMES
    four.until(3)
    four.step(*others)
    four.letter(ONE, 3, d).unlink()
    four.wait()  # D's letter never arrived
    four.step(*others)
    four.coordinator.step()
    assert four.counted[-1] == ("update", others)
    four.step(d)
    assert four.one_model()
    assert [len(names) for _, names in four.counted] == [4, 4, 4, 3, 4, 4, 4]
    assert four.hospitals[A].replica.scores.keys() == set(range(5))


def test_a_list_of_too_few_is_not_said_however_late_the_others_are(four):
    four.until(2, SUM).step(A, B)
    four.wait()
    assert [len(four.files(what, 3)) for what in (ONE, LIST)] == [2, 0]


class Leaping(Logistic):
    """In round 2, hospital 0 moves 500 times as far as in round 1."""

    def train(self, weights, state, rows, round, hospital):
        move, state, patients = super().train(weights, state, rows, round, hospital)
        return (500 * move if (round, hospital) == (2, A) else move), state, patients


def test_an_update_beyond_what_was_agreed_on_stays_at_its_hospital(tmp_path):
    """Cut, it would tell which of its numbers are large: one hospital alone can make others' updates so."""
    room = Class(tmp_path, work=Leaping).open().until(2, SUM)
    for _ in range(2):
        said = room.step()
        assert said[A].note.startswith(
            "The update of round 2 has a number beyond what was agreed on (10, `most_change`)"
        )
        assert [each.stage for each in said.values()] == ["stopped", "round", "round"]
        room.restart(A)
    assert len(room.files(ONE, 3)) == 2


def test_hospitals_that_come_after_patients_were_counted_count_unless_they_have_too_many(tmp_path):
    """A step is made for twice as many patients each: beyond that, a sum could not be told from others."""
    for rows, stage, heard in ((150, "round", 5), (250, "stopped", 4)):
        data = federation(5)
        late = federation(5, rows=rows)["Hospital 4"]
        data = dataclasses.replace(data, hospitals=(*data.hospitals[:4], late))
        room = Class(tmp_path / stage, data, **PATIENCE).open().until(1)
        room.letter(ONE, 1, late.name).unlink()
        room.wait()
        room.step(*data.names[:4])
        room.coordinator.step()
        own = room.step()[late.name]
        assert (own.stage, own.note.startswith("More patients are here")) == (stage, stage == "stopped")
        assert {each.stage for each in room.play()} == {"done"}
        assert room.counted[1:3] == [("patients", [*data.names[:4]]), ("update", [*data.names[:heard]])]


def test_more_patients_than_were_counted_end_the_study(four):
    four.until(2)
    four.hospitals[A].replica._most = np.inf
    four.hospitals[A].work.train = lambda *_: (np.zeros(sum(four.settings.layers)), None, 10**6)
    said = four.play()
    assert {each.stage for each in said[:-1]} == {"stopped"}
    assert said[0].note.startswith("There are more patients in a sum than were counted on at the start")


def test_a_number_whose_shares_do_not_come_is_given_up_until_the_budget_is_used_up(four):
    d = "Hospital 3"
    for number in (2, 3, 4):
        four.unanswered(number, A, B, C)  # D says letter one each time, and then nothing
        assert four.hospitals[A].study.step.number == number
        said = four.step()
        assert four.hospitals[A].study.step == Step(number + 1, "update", 1)
    assert {status.stage for status in said.values()} == {"stopped", "round"}
    assert "no more of that is allowed: a person must find out why" in said[A].note
    assert four.step()[d].stage == "round", "its own share never went out"
    four.restart(A)
    assert four.step(A)[A].stage == "stopped"


@pytest.mark.parametrize(("number", "purpose"), [(0, "statistics"), (1, "patients"), (6, "scores")])
def test_what_is_not_an_update_is_not_sent_twice(four, number, purpose):
    """Rule 12: they hardly change, so that a second list would show whose the difference is."""
    four.unanswered(number, A, B, C)
    said = four.step()
    assert {status.stage for status in said.values()} == {"stopped"}
    assert f"The {purpose} could not be added up, and are not sent twice" in said[A].note
    assert four.coordinator.step().stage == "stopped"


def test_groups_are_added_up_apart_and_one_that_fails_spoils_no_other(tmp_path):
    room = Class(tmp_path, federation(7), group_size=3, **PATIENCE).open()
    names = room.federation.names
    assert [len(group) for group in room.maker.study.groups] == [4, 3]
    silent = room.maker.study.groups[1][0]
    room.unanswered(3, *(name for name in names if name != silent))
    assert room.counted[3] == ("update", sorted(room.maker.study.groups[0]))
    assert room.one_model()
    assert [len(of) for _, of in room.counted] == [7, 7, 7, 4, 7, 7]
    groups = [set(group) for group in room.maker.study.groups]
    lists = [[set(group) for group in closed.groups] for _, closed, _ in room.coordinator.study.steps()[:-1]]
    assert all(each == groups for each in lists)


def test_a_group_sits_together_and_compares_fingerprints_in_itself(tmp_path):
    room = Class(tmp_path, federation(11), group_size=5, known=()).open()
    names = room.federation.names
    assert [list(group) for group in room.maker.study.groups] == [list(names[:6]), list(names[6:])]
    room.known = [fingerprint(room.identities[name].public) for name in names[6:9]]
    room.restart(*names)
    room.step(names[0])  # makes the group's key
    assert {name: status.stage for name, status in room.step().items()} == (
        dict.fromkeys(names[:6], "known") | dict.fromkeys(names[6:], "round")
    )


def test_an_old_copy_of_a_disk_is_noticed_also_where_the_list_is_closed_and_letters_in_its_name_are_there(tmp_path):
    room = Class(tmp_path).open().until(2)
    with room.disk_put_back():
        room.until(3)
        for stranger in (Identity.new(A) for _ in range(8)):
            room.post(stranger, rounds.place(ONE, 3), b"nothing", "update", 3)
        room.coordinator.step()
    room.restart(A)
    assert "not remembered here" in room.step(A)[A].note


def test_other_rows_than_it_began_with_are_not_trained_on(room):
    """As after a new export: they would be split anew, and counted otherwise than all know."""
    room.until(3).federation = federation(3, rows=31)
    room.restart(A)
    said = room.step(A)[A]
    assert (said.stage, "rows are others than this hospital began with" in said.note) == ("refused", True)


# Handover


def test_somebody_else_adds_up_from_a_number_on(room, undisturbed):
    room.until(3)
    other = Identity.new("Assistant")
    assert room.maker.hand_over(other.name, other.public) == 3
    assert {status.waits_for for status in (room.coordinator.step(), *room.step().values())} == {"Assistant"}
    room.restart(coordinator=other)
    room.ends_well(undisturbed)
    assert [path.name.split(".")[1] for number in range(6) for path in room.files(SUM, number)] == (
        ["Teacher"] * 3 + ["Assistant"] * 3
    )


def test_of_two_handovers_before_the_opening_the_last_one_counts(tmp_path):
    room = Class(tmp_path)
    for name in ("Assistant", "Deputy"):
        room.maker.hand_over(name, Identity.new(name).public)
    seen = room.open().hospitals[A].study
    assert sorted((each.number, each.name) for each in seen.coordinators)[1:] == [(1, "Assistant"), (2, "Deputy")]
    assert seen.in_charge(0).name == "Deputy"


def test_a_list_that_was_answered_before_a_handover_is_listed_again(tmp_path):
    room = Class(tmp_path, federation(5), deadline_seconds=60, share_seconds=600).open().until(1, TWO)
    late, *others = room.federation.names
    room.coordinator.step()
    room.step(*others)
    room.wait()
    room.step(*others[1:])
    room.step(late)
    other = Identity.new("Assistant")
    assert room.maker.hand_over(other.name, other.public) == 2
    room.restart(coordinator=other)
    assert {status.stage for status in room.play()} == {"done"}
    assert len(room.models()) == 1
    assert room.counted[2] == ("update", others)


@pytest.mark.parametrize(("number", "listed"), [(2, False), (3, True)])
def test_who_added_up_before_decides_about_no_list_that_is_not_answered(tmp_path, number, listed):
    """A hospital helps: what it says is no answer to that list; and one counts in the handover's own number alone."""
    room = Class(tmp_path, federation(5), deadline_seconds=60.0).open().until(1, TWO)
    (late, friend, *_), others = room.federation.names, room.federation.names[1:]
    other = Identity.new("Assistant")
    room.coordinator.step()
    assert room.maker.hand_over(other.name, other.public) == 2
    room.restart(coordinator=other)
    if number == 3:
        room.until(2, TWO).coordinator.step()
    room.step(*others)
    closed(room, number, *others)
    hospital, step = room.hospitals[friend], Step(number, "update", number - 1)
    about, ones = hospital._keys.about, {each.sender: each.code for each in hospital._arrivals.look(ONE, step)}
    said = label_of(room.maker.study.members, about, ones) if listed else bytes(64)
    for who, text in ((friend, said), (late, label_of(room.maker.study.members, about, {}))):
        room.post(room.identities[who], rounds.place(TWO, number), text, TWO, number, room.maker.study.id + about.hex())
    assert room.coordinator.step().waits_for == late


@pytest.mark.parametrize(("deadline", "listed"), [(None, [A, B, "Hospital 3"]), (60.0, ["Hospital 3"])])
def test_a_hospital_alone_decides_about_no_list_that_nobody_honest_answers(tmp_path, deadline, listed):
    """Who added up before said it: it leaves somebody out who is waited for, or would show what each sent."""
    room = Class(tmp_path, federation(4), deadline_seconds=deadline).open().until(3)
    helper, about = room.hospitals["Hospital 3"].identity, room.hospitals["Hospital 3"]._keys.about
    closed(room, 3, *listed)
    ones = {name: messages.digest(room.content(ONE, 3, name)) for name in listed}
    said, study = label_of(room.maker.study.members, about, ones), room.maker.study.id + about.hex()
    room.post(helper, rounds.place(TWO, 3), said, TWO, 3, study)
    other = Identity.new("Assistant")
    room.maker.hand_over(other.name, other.public)
    room.restart(coordinator=other)
    for _ in range(3):
        room.coordinator.step(), room.step(A, B, C)
    assert room.hospitals[C]._keys.listed.keys() == {*room.federation.names}


@pytest.mark.parametrize(("number", "how"), [(0, {}), (3, {}), (3, {"deadline_seconds": 60.0, "budget": 3})])
def test_a_list_before_anybodys_letter_is_forgotten_with_who_said_it(tmp_path, number, how):
    room, other = Class(tmp_path, federation(4), share_seconds=60.0, **how).open(), Identity.new("Assistant")
    if number:
        room.until(number - 1)
    room.coordinator.study.refresh()
    groups = [dict.fromkeys(room.federation.names, "00" * 32)]
    room.say(LIST, number, {"about": "00" * 32, "groups": groups})
    assert (number == 0) == ("somebody else must add up" in room.step()[A].note)
    room.maker.hand_over(other.name, other.public)
    room.restart(coordinator=other)
    assert {status.stage for status in room.play()} == {"done"}


def test_where_there_is_no_deadline_a_list_that_is_short_is_not_answered(tmp_path):
    room = Class(tmp_path, federation(4)).open().until(1, TWO)
    late, *others = room.federation.names
    room.coordinator.step()
    room.step(*others)
    closed(room, 2, *others)
    assert f"The list leaves {late} out" in room.step(others[0])[others[0]].note


# To look at, and to tidy up


def test_what_is_no_letter_may_have_any_size_and_counts_as_one(tmp_path):
    room = Class(tmp_path, federation(3), rounds=1).open()
    room.play()
    before = results.ledger(room.hospitals[A].study)["bytes"].sum()
    for path, *_ in (room.files(ONE, 1), room.files(TWO, 1)):
        with open(path.with_name("0" * 32 + path.name[32:]), "wb") as planted:
            planted.truncate(10**12)
        assert before <= results.ledger(room.hospitals[A].study)["bytes"].sum() < 2 * before


def test_the_monitor_tells_who_is_waited_for(room, capsys):
    empty = Watch(room.root / "nothing", "AAAA-BBBB-CCCC-DDDD").look()
    assert str(empty) == "There is no invitation with this fingerprint here yet."
    watch = Watch(room.root, room.fingerprint, room.hospitals[A])
    assert str(watch.look()).startswith("pretend: 3 hospitals; Hospital 0 makes the group's key.")
    room.until(2, SUM)
    room.step(A)
    progress = watch.look()
    assert progress.sentence.startswith(
        "pretend: update of round 2 of 3, 1 of 3 letters, letter one: waiting for Hospital 1, Hospital 2; "
    )
    assert [*progress.auroc] == [0], "the model that round 1 starts from"
    assert all(0 < found < 1 for found in progress.auroc.values())
    assert f"{A} ###+\n{B} ###.\n{C} ###.\n# counted, * shared, + posted, " in str(progress)
    assert not progress.done
    (axes,) = study_grid(progress.letters, progress.sentence).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    room.step(B, C)
    room.coordinator.step()
    room.step(C)
    assert "letter two: waiting for Hospital 0, Hospital 1; " in (again := watch.look()).sentence
    assert f"{A} ###+\n{B} ###+\n{C} ###*\n" in str(again)
    room.play()
    assert watch.look().done
    main(["watch", str(room.root), room.fingerprint])
    assert capsys.readouterr().out.startswith("pretend: done, 3 hospitals, ")
    assert Watch(room.root, room.fingerprint).look().auroc == {}, "it takes a hospital's keys"


def test_old_letters_can_be_removed_and_the_study_goes_on(room, undisturbed):
    room.until(4)
    assert results.prune(room.coordinator.study, keep_numbers=1) == 18
    assert [len(room.files(ONE, number)) for number in range(5)] == [0, 0, 0, 3, 3]
    assert [len(room.files(SUM, number)) for number in range(4)] == [1] * 4
    room.restart(*NAMES)
    room.restart()
    room.ends_well(undisturbed)
    with pytest.raises(ValueError, match="say 1 or more"):
        results.prune(room.coordinator.study, keep_numbers=0)


def test_after_a_sum_that_did_not_open_nothing_more_is_sent_unless_the_maker_said_so(tmp_path):
    room = Class(tmp_path, federation(4), deadline_seconds=60.0, share_seconds=60.0).open().until(3)
    room.coordinator.step()
    room.step(*NAMES)
    room.wait()
    assert {status.stage for status in room.step(*NAMES).values()} == {"stopped"}
    assert not [name for name in NAMES if room.said(ONE, 4, name)]


def test_who_answered_what_did_not_open_is_still_known_where_old_letters_were_removed(four):
    for number in (3, 4):
        four.until(number).coordinator.step()
        four.step(A, B, C)
        four.wait()
    assert [each.end for each in four.coordinator.study.steps()[2:]] == ["added", "given up", "given up", ""]
    results.prune(four.coordinator.study, keep_numbers=1)
    assert [len(four.files(TWO, number)) for number in range(4)] == [0, 0, 0, 3]


def test_where_a_metric_is_not_defined_a_hospital_says_a_half_of_as_many_patients_as_for_others(tmp_path):
    """Else the patients that count for one metric and not for another are those of one hospital."""
    data = federation(3)
    of = [dataclasses.replace(rows, labels=np.ones_like(rows.labels)) if rows.name == A else rows for rows in data]
    room = Class(tmp_path, dataclasses.replace(data, hospitals=tuple(of))).open()
    room.play()
    pairs = room.hospitals[A].replica._pairs(METRICS).reshape(-1, 2)
    assert pairs[0].tolist() == [pairs[0, 1] / 2, len(room.hospitals[A].replica.held.rows.test_labels)]
    assert len({*pairs[:, 1]}) == 1


# Settings


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"rounds": 0}, "rounds must be a whole number, 1 or more, and it is 0"),
        ({"quorum": 2}, "quorum must be a whole number, 3 or more"),
        ({"group_size": 2}, "group_size must be 3 or more, as the quorum is, or None"),
        ({"budget": -1}, "budget must be a whole number, 0 or more"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number"),
        ({"penalty": -1.0}, "penalty must be a number from 0 on"),
        ({"most_change": float("inf")}, "most_change must be a positive number"),
        ({"test_fraction": 1}, "test_fraction"),
        ({"test_fraction": 0.51}, "who trains on few rows tells of each"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"share_seconds": -1.0}, "share_seconds"),
        ({"security": 64}, "security must be 128, 192 or 256"),
        ({"numeric": ("x", "x")}, "numeric must be names, none twice"),
        ({"numeric": (), "categorical": {}}, "columns to learn from"),
        ({"categorical": {"x": ("a",)}}, "not numeric, too"),
        ({"categorical": {"y": ("a", "a")}}, "categorical must be levels"),
        ({"categorical": {"y": ()}}, "categorical must be levels"),
        ({"hidden": [4]}, "hidden"),
        ({"sizes": (0,)}, "sizes must be a tuple of numbers of each part"),
        ({"title": "two\nlines"}, "title"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, why):
    with pytest.raises(ValueError, match=why):
        Settings(**{"title": "t", "label": "l", "numeric": ("x",)} | settings)


def test_settings_come_back_from_json_and_count_the_numbers():
    settings = Settings.of(federation(2), hidden=(4, 2), rounds=7, **PATIENCE)
    assert Settings.from_json(settings.to_json()) == settings
    model = models.mlp((4, 2)).initial_weights(len(settings.columns), 0)
    assert settings.shapes == [weight.shape for weight in model]
    assert settings.layers == tuple(weight.size for weight in model)
    for said in (None, [], {}, 3, "text", {"title": "t"}):
        with pytest.raises(ValueError, match="settings cannot be used"):
            Settings.from_json(said)


# What two sums show by their difference


def closed(room, number, *names):
    """The coordinator's list of these hospitals' letters, whoever else's are there."""
    about = room.hospitals[names[0]]._keys.about.hex()
    codes = {name: messages.digest(room.content(ONE, number, name)).hex() for name in names}
    return room.say(LIST, number, {"about": about, "groups": [codes]})


def test_who_answered_a_list_that_did_not_open_is_in_the_next_one(four):
    four.unanswered(3, A, B, C)  # given up
    four.until(4)
    closed(four, 4, A, B, "Hospital 3")
    four.letter(ONE, 4, C).unlink()
    four.restart(A)
    assert "Hospital 2 answered a list that did not open" in four.step(A)[A].note


def test_a_coordinator_also_one_that_was_restarted_waits_for_who_answered(four):
    """It would say a list that nobody answers."""
    four.unanswered(3, A, B, C)  # given up
    four.restart()
    four.step(A, B, "Hospital 3")
    four.wait()
    assert four.files(LIST, 4) == []
    four.step(C)
    four.wait()
    assert len(four.files(LIST, 4)) == 1


def test_who_answered_is_in_the_next_list_whatever_list_is_said_to_have_been_given_up(four):
    four.until(3, TWO)
    four.step()
    added = Added.content(closed(four, 3, B).digest, {})
    four.say(SUM, 3, added)
    four.step(A, B, "Hospital 3")  # Hospital 2 is late
    closed(four, 4, A, B, "Hospital 3")
    assert "Hospital 2 answered a list that did not open" in four.step(A)[A].note


def test_who_answered_is_in_the_next_list_though_its_group_is_said_to_have_had_none(tmp_path):
    room = Class(tmp_path, federation(8), group_size=4, rounds=4, **PATIENCE).open().until(3, TWO)
    others, mine = room.maker.study.groups
    room.step()
    room.say(SUM, 3, Added.content(closed(room, 3, *others).digest, {}))
    room.step(*others, *mine[:3])  # the last one is late
    closed(room, 4, *mine[:3])
    assert f"{mine[3]} answered a list that did not open" in room.step(mine[0])[mine[0]].note


def test_where_all_are_waited_for_a_sum_without_somebody_is_not_followed(tmp_path):
    """Else who invents sums tells each hospital another past, and sees by its letters what its rows make of a model."""
    room = Class(tmp_path, federation(4)).open().until(3)
    room.say(SUM, 3, Added.content(closed(room, 3, *room.federation.names[1:]).digest, {0: b""}))
    for said in room.step().values():
        assert "Number 3 is said to be added up without Hospital 0, and all are waited for" in said.note
    for budget, found in ((1, []), (0, ["Hospital 3", "Hospital 4", "Hospital 5"])):
        room = Class(f"memory://waited {budget}", federation(6), group_size=3, budget=budget).open()
        lists = tuple(dict.fromkeys(group, b"") for group in room.maker.study.groups)
        room.step()
        hospital, first = room.hospitals[A], Added((), "", "", (0,), 0, 0)
        assert hospital._without(Tally(Step(2, "update", 1), Closed((), "", b"", lists), first)) == found
        lists[0].pop("Hospital 2")
        assert "Hospital 2" in hospital._without(Tally(Step(2, "update", 1), Closed((), "", b"", lists), first))


def test_who_answered_in_a_group_that_was_given_up_is_in_its_next_list_though_others_moved_the_model(tmp_path):
    """Else who kept its share back reads its group's sum alone, and subtracts: most of an update stays the same."""
    room = Class(tmp_path, federation(8), group_size=4, rounds=4, **PATIENCE).open().until(2)
    others, (keeps, known, *_, late) = room.maker.study.groups
    room.coordinator.step()
    room.step(*{*room.federation.names} - {keeps})
    room.wait()
    assert room.counted[2] == ("update", [*others])
    room.step(*{*room.federation.names} - {late})
    room.wait()
    assert [each.keys() for each in room.coordinator.study.steps()[3].closed.groups] == [{*others}], (
        "not without who is late"
    )
    hospital, step = room.hospitals[known], room.coordinator.study.steps()[3].step
    listed = {each.sender: each.code for each in hospital._arrivals.look(ONE, step) if each.sender not in others}
    said = hospital._why_not(step, listed, Closed((), "", hospital._keys.about, (listed,)))
    assert said == f"{late} answered a list that did not open, and is not in this one."


def test_who_comes_after_a_list_that_did_not_open_waits_until_the_model_has_moved(tmp_path):
    room = Class(tmp_path, federation(5), rounds=4, **PATIENCE).open().until(2, SUM)
    names = room.federation.names
    room.step(*names[:4])
    room.wait()  # the fifth is late
    room.step(*names[:3])
    room.wait()  # the fourth keeps its share back
    assert room.one_model()
    assert [len(each.listed) for each in room.coordinator.study.steps()][:7] == [5, 5, 5, 4, 4, 5, 5]


def handed_over(room, number):
    """The maker names somebody else, who adds up from a number on, also from one that is over."""
    other = Identity("Assistant", b"E" * 32)
    said = {"coordinator": other.name, "key": letters.packed(other.public), "from_number": number, "number": 1}
    room.post(room.boss, "handover", said, "handover")
    return other


def test_another_past_than_was_followed_is_not_gone_on_from(room):
    """Else who hands over to himself says who counts, and has a list answered in which one does."""
    room.until(2)
    other = handed_over(room, 0)
    for number in range(2):
        said = json.loads(room.content(LIST, number))
        said["groups"] = [dict.fromkeys(NAMES, "ab" * 32)] if number else said["groups"]
        found = room.say(LIST, number, said, other)
        room.say(SUM, number, Added.content(found.digest, {0: b""}), other)
    for _ in range(2):
        assert "Number 1 is told otherwise than it was followed here" in room.step(A)[A].note
        room.restart(A)


def test_one_process_goes_on_with_a_home_and_in_it_what_came_last(room):
    script = (
        "import sys; from fedkit.exchange.keep import Keep; from fedkit.encryption.identities import Identity\n"
        "Keep(sys.argv[1], Identity(sys.argv[2], b'01' * 16), sys.argv[3], 'participant')"
    )
    first = room.hospitals[A]
    told = [sys.executable, "-c", script, room.home, A, room.fingerprint.replace("-", "")]
    refused = subprocess.run(told, capture_output=True, text=True, check=False)
    assert "Another process takes part with" in refused.stderr
    room.home = room.home / "." / ".." / room.home.name  # spelled otherwise
    room.restart(A)
    room.step(A)
    with pytest.raises(ValueError, match="Something newer in this process takes part"):
        first.keep.write("keys", b"")
