import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from exchange_parts import Class, Logistic, federation

from fedkit import encryption, exchange, hospitals, learning, models, records
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, Maker, Participant, Settings, letters, results, rounds
from fedkit.exchange.__main__ import main
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import Total
from fedkit.exchange.study import Study
from fedkit.exchange.watch import Watch
from fedkit.exchange.work import Training

NAMES = list(federation(3).names)
A, B, C = NAMES


@pytest.fixture
def room(tmp_path):
    return Class(tmp_path).open()


def counted(room):
    """Round -> hospital -> digest of the letter that was counted."""
    room.coordinator.step()
    study = room.coordinator.study
    return [study.links[digest].counted for digest in study.chain()[1:]]


# From the invitation to the result


def test_a_study_comes_to_an_end_with_one_model(room):
    said = room.play()
    assert {status.stage for status in said} == {"done"}
    assert len(room.models()) == 1
    assert room.sentences == ""
    (fingerprint,) = {hospital.model_fingerprint for hospital in room.hospitals.values()}
    assert str(said[0]) == f"Done. 3 of 3 hospitals hold this model: {fingerprint}."
    assert [list(of) for of in counted(room)] == [NAMES] * 5
    assert len({hospital.key_fingerprint for hospital in room.hospitals.values()}) == 1


def test_its_model_is_the_one_that_train_federated_makes(tmp_path):
    """The real work, by TensorFlow Federated: what travels through the folder changes nothing."""
    data = hospitals.load("heart_disease")
    room = Class(tmp_path, data, work=Training, rounds=3, epochs=2, seed=5, hidden=(4,)).open()
    room.play()
    (model,) = room.models()
    run = learning.train_federated(data, rounds=3, epochs=2, seed=5, model=models.mlp((4,)))
    expected = np.concatenate([weight.ravel() for weight in run.weights["shared"]])
    assert np.abs(np.frombuffer(model, np.float32) - expected).max() < 1e-6

    # The sums of scores tell the mean over test patients, and the run is one more of that method.
    found = results.run(room.hospitals["Hungary"], data)
    assert found.final().round(6).to_dict() == run.final().round(6).to_dict()
    patients = run.predictions.groupby("hospital").size()
    mean, tested = room.hospitals["Hungary"].scores[3]["auroc"]
    assert tested == patients.sum()
    assert mean == pytest.approx((run.final() * patients).sum() / patients.sum(), abs=1e-6)
    found.save(tmp_path / "run")
    assert records.compare(found, records.load(tmp_path / "run")).empty


def test_the_bytes_of_a_study_are_those_of_its_letters(room):
    room.until(2)
    with pytest.raises(ValueError, match="not done: Waiting for Teacher: round 2 of 3"):
        results.run(room.hospitals[B])
    room.play()
    table = results.run(room.hospitals[B]).ledger
    up, down = (
        sum(file.stat().st_size for round in range(5) for file in room.files(place(round)))
        for place in (rounds.place, rounds.sum_place)
    )
    sent = table[table["phase"] == "send"].groupby("direction")["bytes"].sum()
    assert sent.to_dict() == {"up": up, "down": 3 * down}


# Stopped and started again


def test_whoever_is_started_again_goes_on_where_the_study_is(room, undisturbed):
    """Everybody forgets everything but their identity before each step, and nobody posts twice."""
    for _ in range(8):
        for name in NAMES:
            room.restart(name)
            room.hospitals[name].step()
        room.restart()
        room.coordinator.step()
    assert {status.stage for status in room.step().values()} == {"done"}
    assert room.models() == {undisturbed}
    assert [len(room.files(rounds.place(round))) for round in range(5)] == [3] * 5
    assert [len(room.files(rounds.sum_place(round))) for round in range(5)] == [1] * 5


def test_a_second_sum_of_a_round_does_no_harm(room, undisturbed):
    """A listing did not show the coordinator its sum: it counts another letter of A's, and there are two sums."""
    room.until(2)
    room.coordinator.step()
    (first,) = room.files(rounds.sum_place(2))
    room.step(A, B)  # they go on with that sum
    first.rename(room.root / "hidden")
    (own,) = (file for file in room.files(rounds.place(2)) if "%200." in file.name)
    own.rename(room.root / "hidden letter")
    room.restart(A)
    room.step(A)
    room.restart()
    room.coordinator.step()
    (second,) = room.files(rounds.sum_place(2))
    room.step(C)  # it goes on with this one
    (room.root / "hidden").rename(first)
    (room.root / "hidden letter").rename(own)
    assert first != second
    assert {status.stage for status in room.play()} == {"done"}
    assert room.models() == {undisturbed}
    assert [list(of) for of in counted(room)] == [NAMES] * 5
    if second.name < first.name:
        assert "built on a sum that does not count" in room.sentences


def test_second_keys_do_no_harm_either(room, undisturbed):
    room.step()
    (first,) = room.files("keys")
    about = About(room.maker.study.id, "keys", 0, A, (A,))
    for opening, public, why in (
        ("0" * 32, room.hospitals[A].replica.follow()[1].keys.public, "are for another opening of this study"),
        (room.maker.study.opening, encryption.generate_keys(hospitals=3).public, "are not what was agreed on"),
    ):
        said = {"opening": opening, "public": letters.packed(public), "secrets": {}}
        wrong = letters.post(Folder(room.root), "keys", said, about, room.identities[A])
        room.step()
        assert why in room.sentences
        (room.root / "keys" / wrong.name).unlink()
    first.rename(room.root / "hidden")
    room.restart(A)
    room.step(A)
    room.step()
    (room.root / "hidden").rename(first)
    assert len(room.files("keys")) == 2
    assert {status.stage for status in room.play()} == {"done"}
    assert room.models() == {undisturbed}
    assert len({hospital.key_fingerprint for hospital in room.hospitals.values()}) == 1


def test_an_invitation_and_an_opening_are_repeated_without_harm(room):
    before = room.files("invitation"), room.files("opening")
    again = Maker(room.root, room.boss)
    assert again.invite(room.settings) == room.fingerprint
    with pytest.raises(ValueError, match="is open, with Hospital 0, Hospital 1, Hospital 2"):
        again.open()
    assert (room.files("invitation"), room.files("opening")) == before
    with pytest.raises(ValueError, match="holds another study of Teacher's"):
        again.invite(dataclasses.replace(room.settings, rounds=9))


def test_an_invitation_that_its_maker_is_not_shown_is_written_again_and_the_same(room):
    (first,) = room.files("invitation")
    data = first.read_bytes()
    first.unlink()
    Maker(room.root, room.boss).invite(room.settings)
    assert [file.name for file in room.files("invitation")] == [first.name]
    assert first.read_bytes() == data
    elsewhere = Maker(f"{room.root}/another", room.boss)
    elsewhere.invite(room.settings)
    assert elsewhere.study.id != room.maker.study.id, "the same settings in another folder"


def test_a_branch_that_was_never_seen_growing_is_followed_back(room, tmp_path):
    """Two sums in a row that nobody built on, and the longer branch beside them: it is read back to where they part."""
    room.play()
    real = room.coordinator.study.chain()
    message = room.added(1)
    hidden = [(room.root / rounds.sum_place(round), room.root / f"hidden {round}") for round in range(1, 5)]
    for place, aside in hidden:
        place.rename(aside)
    reader, after = Study(Folder(room.root), room.fingerprint), real[1]
    for round in (1, 2):
        total = Total(after, dict.fromkeys(NAMES, "00" * 16), message)
        about = About(room.maker.study.id, "update", round, "Teacher", tuple(NAMES))
        after = letters.post(Folder(room.root), rounds.sum_place(round), total.to_bytes(), about, room.boss).digest
        reader.refresh()
    assert len(reader.chain()) == 4
    for place, aside in hidden:
        place.mkdir(exist_ok=True)
        for file in aside.iterdir():
            file.rename(place / file.name)
    reader.refresh()
    assert reader.chain() == real


def test_a_folder_that_is_away_for_a_while_is_waited_for(room, monkeypatch):
    said, step = [], room.coordinator.step
    monkeypatch.setattr(room.coordinator, "step", lambda: (_ for _ in ()).throw(OSError("not mounted")))

    def tell(status):
        said.append(str(status))
        monkeypatch.setattr(room.coordinator, "step", step)

    room.coordinator.run(0, until=lambda status: status.stage == "keys", tell=tell)
    assert said == ["The folder cannot be used now. not mounted", "Waiting for the key, which Hospital 0 makes."]


def test_no_tensorflow_is_needed_but_for_training():
    code = "import sys, fedkit.exchange; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# The log


def test_the_log_is_one_chain_over_restarts(room):
    room.until(1)
    for _ in range(2):
        room.restart()
        room.play(1)
    found = events(room.root)
    assert {event["writer"] for event in found} == {"Teacher", *(name.replace(" ", "%20") for name in NAMES)}
    assert {"invited", "approved", "asked", "made the key", "joined", "posted", "counted", "closed"} <= {
        event["what"] for event in found
    }
    keys = {event["key"] for event in found if event["what"] in ("made the key", "joined")}
    assert keys == {room.hospitals[A].key_fingerprint}
    sequels = [event for event in found if event["what"] == "began" and event["before"]]
    assert [event["writer"] for event in sequels] == ["Teacher"] * 3, "the maker began"


def test_a_log_that_was_cut_or_removed_is_found(room):
    room.until(1)
    room.restart()
    room.coordinator.step()
    first, *_ = sorted((room.root / "log").glob("Teacher.*"))
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(ValueError, match="none has the remembered head"):
        events(room.root)
    first.unlink()
    with pytest.raises(ValueError, match="it was removed"):
        events(room.root)


# Who takes part


def test_an_invitation_by_somebody_else_is_not_followed(tmp_path):
    room = Class(tmp_path)
    wrong = Participant(tmp_path, room.identities[A], room.federation[A], invitation="AAAA-BBBB-CCCC-DDDD")
    status = wrong.step()
    assert status.stage == "invitation"
    assert f"has the fingerprint {room.fingerprint}, and AAAA-BBBB-CCCC-DDDD was read aloud" in status.note
    assert room.files("request") == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.drop(columns=["x1"]), "The table has no column 'x1'"),
        (lambda table: table.assign(x0="high"), "'x0' holds 'categories', and the study needs numbers"),
        (lambda table: table.assign(grade=3.0), "'grade' holds 'numbers', and the study needs categories"),
        (lambda table: table.assign(grade="middle"), "'grade' has levels middle; the study knows low, high: recode"),
    ],
)
def test_a_hospital_that_does_not_match_is_told_why(tmp_path, change, why):
    room = Class(tmp_path, quorum=2)
    rows = room.federation[A]
    room.federation = dataclasses.replace(
        room.federation, hospitals=(dataclasses.replace(rows, table=change(rows.table)), *room.federation.hospitals[1:])
    )
    room.restart(A)
    room.open()
    said = room.step()
    assert [said[name].stage for name in NAMES] == ["opening", "round", "round"]
    assert why in said[A].note or said[A].note == "So far, it was opened without you."
    room.coordinator.step()
    assert room.step(A)[A].stage == "refused"
    if "levels" not in why:
        (refusal,) = room.files("refusal")
        assert why in refusal.read_text(errors="replace")


def test_another_version_is_told_apart(tmp_path, monkeypatch):
    room = Class(tmp_path)
    real = letters.post

    def old(folder, place, content, *about):
        if place == "request":
            content["versions"]["tenseal"] = "0.3.1"
        return real(folder, place, content, *about)

    monkeypatch.setattr(letters, "post", old)
    room.step(A)
    monkeypatch.undo()
    room.maker.step()
    status = room.step(A)[A]
    assert status.stage == "refused"
    assert "tenseal is '0.3.1' there and '0.3.18' at the maker" in status.note


def test_nobody_joins_after_the_opening(room):
    late = federation(4)["Hospital 3"]
    late = Participant(room.root, Identity.new(late.name), late, invitation=room.fingerprint, work=Logistic)
    assert late.step().note == "So far, it was opened without you."
    room.until(1)
    assert str(late.step()) == "Not taking part. The study was opened without you, and nobody can join any more."


def test_whom_nobody_chose_does_not_take_part(tmp_path):
    room = Class(tmp_path, quorum=2)
    room.step()
    with pytest.raises(ValueError, match="Nobody asked to join with the key AAAA"):
        room.maker.open({"AAAA"})
    with pytest.raises(ValueError, match="1 hospitals can join, and the study takes 2 to 100"):
        room.maker.open({fingerprint(room.identities[A].public)})
    with pytest.raises(ValueError, match="is none of the hospitals"):
        room.maker.open(key_maker="Hospital 9")
    room.maker.open({fingerprint(room.identities[name].public) for name in (B, C)})
    assert [room.step()[name].stage for name in NAMES] == ["opening", "round", "round"]


def test_two_of_one_name_are_told_apart_by_their_keys(tmp_path):
    with pytest.raises(ValueError, match="Teacher has not invited anybody here"):
        Maker(tmp_path, Class.boss).step()
    room = Class(tmp_path)
    assert room.maker.step() == []
    room.step()
    other = Participant(tmp_path, Identity.new(A), room.federation[A], invitation=room.fingerprint, work=Logistic)
    other.step()
    text = b"".join(file.read_bytes() for file in room.files("request"))
    assert b'"grade": "categories"' in text
    assert b"high" not in text, "levels stay at the hospital"
    asked = room.maker.step()
    assert [(each.name, each.twice, each.problems) for each in asked] == [
        *[(A, True, ())] * 2,
        *[(name, False, ()) for name in (B, C)],
    ]
    with pytest.raises(ValueError, match="two have one name"):
        room.maker.open({each.fingerprint for each in asked})
    with pytest.raises(ValueError, match="2 hospitals can join, and the study takes 3 to 100"):
        room.maker.open()
    room.maker.open({fingerprint(identity.public) for identity in room.identities.values()})
    assert room.play()[0].stage == "done"
    assert other.step().stage == "refused"


def test_who_adds_up_is_no_hospital(tmp_path):
    identity = Identity(A, b"01" * 16)
    room = Class(tmp_path, quorum=2, coordinator=(A, identity.public))
    assert room.identities[A].public == identity.public
    room.step()
    assert [bool(each.problems) for each in room.maker.requests()] == [True, False, False]
    assert "must not hold the key" in room.maker.requests()[0].problems[0]
    room.maker.open()
    with pytest.raises(ValueError, match="Hospital 1 is a hospital, and holds the key"):
        room.maker.hand_over(B, room.identities[B].public)
    said = {"coordinator": B, "key": letters.packed(room.identities[B].public), "from_round": 0, "number": 9}
    room.maker.post("handover", said, "handover")  # whatever its software says
    room.step(C)
    assert room.hospitals[C].study.in_charge(0).name == A
    assert "Hospital 1 is a hospital, and cannot coordinate: it holds the key" in room.sentences
    with pytest.raises(ValueError, match="The rows are Hospital 2's and the identity is Hospital 1's"):
        Participant(room.root, room.identities[B], room.federation[C], invitation=room.fingerprint)


def test_a_hospital_is_given_the_key_that_the_others_have(room, monkeypatch):
    from fedkit.exchange import hospital

    given = hospital.seal_to
    other = hospital.encryption.generate_keys("bfv", hospitals=3)
    monkeypatch.setattr(
        hospital,
        "seal_to",
        lambda public, data: given(public, other.secret if public == room.identities[B].public else data),
    )
    room.step(A)
    monkeypatch.undo()
    assert [room.step()[name].stage for name in NAMES] == ["round", "keys", "round"]
    assert "Hospital 0 gave Hospital 1 another key than the one it showed to all" in room.step(B)[B].note


# Quorum, deadline, handover


def test_a_round_is_closed_without_who_is_missing_or_late(tmp_path):
    room = Class(tmp_path, deadline_seconds=60, quorum=2).open().until(1)
    room.coordinator.step()
    room.step(A)
    room.coordinator.step()
    room.time += 1000
    assert room.coordinator.step().waits_for == f"{B}, {C}", "one is no quorum"
    room.step(B, C)
    there = room.letter(rounds.place(2), B)
    late = there.rename(room.root / "on its way")
    room.restart()
    for _ in range(3):
        assert room.coordinator.step().waits_for == B
        room.time += 19
    room.time += 4
    room.coordinator.step()
    late.rename(there)
    assert room.step(B)[B].note == "Round 2 was closed without you."
    assert room.play()[1].stage == "done"
    assert list(counted(room)[2]) == [A, C]
    assert len(room.models()) == 1
    assert ("late", B) in [(event["what"], event.get("sender")) for event in events(room.root)]


def test_somebody_else_adds_up_from_a_round_on(room, undisturbed):
    room.until(2)
    other = Identity.new("Assistant")
    assert room.maker.hand_over(other.name, other.public) == 2
    assert room.coordinator.step().waits_for == "Assistant"
    assert {status.waits_for for status in room.step().values()} == {"Assistant"}
    assert len(room.files(rounds.place(2))) == 6, "sealed once more, for the new one"
    room.restart(coordinator=other)
    room.play()
    assert room.models() == {undisturbed}
    senders = [link.sender for link in room.coordinator.study.links.values()]
    assert sorted(senders) == ["Assistant"] * 3 + ["Teacher"] * 2
    assert "sealed for another coordinator" in room.sentences


def test_a_handover_takes_back_sums_of_its_rounds_and_can_be_taken_back(room, undisturbed):
    """The old coordinator's sum is there, and cannot be used: the new one makes another. Then the old one's counts."""
    room.until(2)
    room.coordinator.step()
    room.coordinator.step()
    room.step(A)
    other = Identity.new("Assistant")
    room.maker.hand_over(other.name, other.public, from_round=2)
    status = room.coordinator.step()
    assert (status.waits_for, status.acted) == ("Assistant", False)
    room.restart(coordinator=other)
    room.step()
    room.coordinator.step()
    assert len(room.files(rounds.sum_place(2))) == 2
    room.maker.hand_over(room.boss.name, room.boss.public, from_round=2)
    room.restart()
    room.play()
    assert room.models() == {undisturbed}


def test_of_two_handovers_the_second_counts(room):
    room.step()
    first, second = Identity.new("First"), Identity.new("Second")
    room.maker.hand_over(first.name, first.public)
    room.maker.hand_over(second.name, second.public)
    assert room.step(A)[A].waits_for == "Second"
    room.restart(A)
    assert room.step(A)[A].waits_for == "Second"


def test_another_hospital_makes_the_key_where_the_first_does_not_come(tmp_path):
    room = Class(tmp_path)
    with pytest.raises(ValueError, match="Hospital 1 is none of the hospitals of an open study"):
        room.maker.choose_key_maker(B)
    room.open()
    assert room.step(B)[B].waits_for == A
    with pytest.raises(ValueError, match="Hospital 9 is none of the hospitals of an open study"):
        room.maker.choose_key_maker("Hospital 9")
    room.maker.choose_key_maker(B)
    room.maker.choose_key_maker(C)
    assert room.step(B)[B].waits_for == C
    assert room.coordinator.step().waits_for == C
    assert Watch(Folder(tmp_path), room.fingerprint).look().sentence == f"pretend: 3 hospitals; {C} makes the key."
    room.play()
    assert len(room.models()) == 1
    assert [letter.sender for letter in room.coordinator.study.roots.values()] == [C]
    assert results.ledger(room.coordinator.study).query("phase == 'keys' and direction == 'up'")["hospital"].item() == C
    with pytest.raises(ValueError, match="The key that Hospital 2 made is in use: it stays"):
        room.maker.choose_key_maker(A)


def test_keys_are_taken_once_it_is_known_who_makes_them(tmp_path):
    """The letter with the keys is shown before the one that says who makes them."""
    room = Class(tmp_path).open()
    room.maker.choose_key_maker(B)
    (choice,) = room.files("handover")
    room.step(B)
    choice.rename(tmp_path / "on its way")
    room.restart(C)
    assert room.step(C)[C].waits_for == A
    assert f"alone may write is signed by {B}" in room.sentences
    (tmp_path / "on its way").rename(choice)
    assert room.step(C)[C].stage == "round"


def test_a_sum_is_read_under_any_of_its_names(room, undisturbed):
    """A hospital saw the sum as a copy, "(1)"; then the copy is cut, as another machine's upload breaks off."""
    room.until(2)
    room.coordinator.step()
    (whole,) = room.files(rounds.sum_place(2))
    copy = whole.rename(f"{whole} (1)")
    room.hospitals[B].study.refresh()
    whole.write_bytes(copy.read_bytes())
    copy.write_bytes(copy.read_bytes()[:100])
    room.play()
    assert room.models() == {undisturbed}


def test_two_halves_of_a_folder_that_did_not_see_each_other_are_joined(tmp_path):
    """Synchronising stopped for some; when it goes on, all follow the half that came further."""
    one = Class(tmp_path / "one", rounds=4).open().until(1)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    two = Class(tmp_path / "two", rounds=4)
    two.play()
    one.until(3)
    (before,) = {tuple(hospital.study.chain()) for hospital in one.hospitals.values()}
    further = two.coordinator.study.chain()
    assert before[:3] == tuple(further[:3])
    assert before[3] != further[3]
    shutil.copytree(tmp_path / "two", tmp_path / "one", dirs_exist_ok=True)
    assert {status.stage for status in one.play()} == {"done"}
    for who in (one.coordinator, *one.hospitals.values()):
        assert who.study.chain() == further
    assert one.models() == two.models()


def test_a_rehearsal_is_a_whole_study():
    (first, *_) = exchange.rehearse(federation(3), work=Logistic, rounds=2)
    assert first.step().stage == "done"
    silent = {"silent": [A], "quorum": 2, "deadline_seconds": 0.01}
    late = exchange.rehearse(federation(3), work=Logistic, rounds=2, **silent)
    assert [one.identity.name for one in late] == [B, C]
    assert late[0].step().note.startswith("2 of 3 hospitals hold this model")
    assert late[0].scores[2]["auroc"][1] < first.scores[2]["auroc"][1]
    for wrong in ({"deadline_seconds": None}, {"quorum": 3}):
        with pytest.raises(ValueError, match="Who is silent is waited for"):
            exchange.rehearse(federation(3), work=Logistic, **silent | wrong)


# To look at


def test_the_monitor_tells_who_is_waited_for(room, capsys):
    empty = Watch(room.root / "nothing", "AAAA-BBBB-CCCC-DDDD").look()
    assert str(empty) == "There is no invitation with this fingerprint here yet."
    watch = Watch(room.root, room.fingerprint, room.hospitals[A])
    assert str(watch.look()).startswith("pretend: 3 hospitals; Hospital 0 makes the key.")
    room.until(2)
    room.coordinator.step()
    room.step(A)
    progress = watch.look()
    assert progress.sentence.startswith("pretend: round 3 of 3, 1 of 3 letters, waiting for Hospital 1, Hospital 2; ")
    assert progress.letters.groupby("hospital")["state"].agg(",".join).to_dict() == {
        A: "counted,counted,counted,posted,awaited",
        B: "counted,counted,counted,awaited,awaited",
        C: "counted,counted,counted,awaited,awaited",
    }
    assert progress.rounds["auroc"].notna().tolist() == [False, True, True, False, False]
    assert progress.rounds["closed"].tolist() == [True, True, True, False, False]
    assert f"{A} ###+.\n{B} ###..\n" in str(progress)
    assert not progress.done
    room.play()
    assert watch.look().done
    main(["watch", str(room.root), room.fingerprint])
    assert capsys.readouterr().out.startswith("pretend: done, 3 hospitals, ")
    assert Watch(room.root, room.fingerprint).look().rounds["auroc"].isna().all(), "it takes the key"


def test_the_picture_shows_each_state_once(room):
    from fedkit.chapters.figures.studies import study_grid

    room.until(1)
    progress = Watch(room.root, room.fingerprint).look()
    figure = study_grid(progress.letters, progress.sentence)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert sum(len(marks.get_offsets()) for marks in axes.collections) == 15


def test_old_letters_can_be_removed_and_the_study_goes_on(room, undisturbed):
    room.until(3)
    before = [len(room.files(rounds.sum_place(round))) for round in range(3)]
    stranger = letters.post(
        Folder(room.root), rounds.place(0), b"", About("", "", 0, "Stranger", ("Stranger",)), Identity.new("Stranger")
    )
    assert results.prune(room.coordinator.study, keep_rounds=1) == 6
    assert [file.name for file in room.files(rounds.place(0))] == [stranger.name], "not counted, not removed"
    assert [len(room.files(rounds.place(round))) for round in (1, 2, 3)] == [0, 3, 3]
    assert [len(room.files(rounds.sum_place(round))) for round in range(3)] == before
    for name in NAMES:
        room.restart(name)
    room.restart()
    room.play()
    assert room.models() == {undisturbed}
    with pytest.raises(ValueError, match="say 1 or more"):
        results.prune(room.coordinator.study, keep_rounds=0)


# Settings


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"rounds": 0}, "rounds must be a whole number, 1 or more, and it is 0"),
        ({"quorum": 1}, "quorum must be a whole number, 2 or more"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number"),
        ({"test_fraction": 1}, "test_fraction"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"security": 64}, "security must be 128, 192 or 256"),
        ({"numeric": ("x", "x")}, "numeric must be names of columns, none twice"),
        ({"numeric": (), "categorical": {}}, "columns to learn from"),
        ({"categorical": {"x": ("a",)}}, "not numeric, too"),
        ({"categorical": {"y": ("a", "a")}}, "categorical must be levels"),
        ({"categorical": {"y": ()}}, "categorical must be levels"),
        ({"hidden": [4]}, "hidden"),
        ({"title": "two\nlines"}, "title"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, why):
    with pytest.raises(ValueError, match=why):
        Settings(**{"title": "t", "label": "l", "numeric": ("x",)} | settings)


def test_settings_come_back_from_json_and_count_the_numbers():
    settings = Settings.of(federation(2), hidden=(4, 2), rounds=7)
    assert Settings.from_json(settings.to_json()) == settings
    model = models.mlp((4, 2)).initial_weights(len(settings.columns), 0)
    assert settings.shapes == [weight.shape for weight in model]
    assert settings.numbers == sum(weight.size for weight in model)
    for said in (None, [], {}, 3, "text", {"title": "t"}):
        with pytest.raises(ValueError, match="settings cannot be used"):
            Settings.from_json(said)


def test_the_parties_leave_no_secret_in_the_folder(room):
    room.play()
    held = room.hospitals[A].replica.follow()[1]
    secret = held.keys.secret[len(held.keys.public) + 8 :]
    everything = b"".join(path.read_bytes() for path in room.root.rglob("*") if path.is_file())
    pieces = {secret[at : at + 16] for at in range(0, len(secret) - 16, 16)} - {bytes(16)}
    assert len(pieces) > 50
    assert not any(piece in everything for piece in pieces)
