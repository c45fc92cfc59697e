import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from exchange_parts import Class, Logistic, federation

from fedkit import encryption, exchange, hospitals, learning, models, records
from fedkit.chapters.figures.studies import study_grid
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, Maker, Participant, Settings, joining, letters, results, rounds
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


# From the invitation to the result


def test_a_study_comes_to_an_end_with_one_model_and_leaves_no_secret_in_the_folder(room, undisturbed):
    said = room.play()
    room.ends_well(undisturbed)
    assert room.sentences == ""
    for of in ("model_fingerprint", "key_fingerprint"):
        (common,) = {getattr(hospital, of) for hospital in room.hospitals.values()}
        assert (of == "model_fingerprint") == (str(said[0]) == f"Done. 3 of 3 hospitals hold this model: {common}.")
    keys = room.hospitals[A].replica.follow()[1].keys
    secret = keys.secret[len(keys.public) + 8 :]
    everything = b"".join(path.read_bytes() for path in room.root.rglob("*") if path.is_file())
    pieces = {secret[at : at + 16] for at in range(0, len(secret) - 16, 16)} - {bytes(16)}
    assert len(pieces) > 50
    assert not any(piece in everything for piece in pieces)


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
    up, down = (
        sum(file.stat().st_size for round in range(5) for file in room.files(place(round)))
        for place in (rounds.place, rounds.sum_place)
    )
    sent = results.run(room.hospitals[B]).ledger.query("phase == 'send'").groupby("direction")["bytes"].sum()
    assert sent.to_dict() == {"up": up, "down": 3 * down}


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


def test_no_tensorflow_is_needed_but_for_training():
    code = "import sys, fedkit.exchange; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


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
    for place, count in ((rounds.place, 3), (rounds.sum_place, 1)):
        assert [len(room.files(place(round))) for round in range(5)] == [count] * 5


def test_a_second_sum_of_a_round_does_no_harm(room, undisturbed):
    """A listing did not show the coordinator its sum: it counts another letter of A's, and there are two sums."""
    room.until(2)
    room.coordinator.step()
    (first,) = room.files(rounds.sum_place(2))
    room.step(A, B)  # they go on with that sum
    with room.hidden(first, room.letter(rounds.place(2), A)):
        room.restart(A)
        room.step(A)
        room.restart()
        room.coordinator.step()
        (second,) = room.files(rounds.sum_place(2))
        room.step(C)  # it goes on with this one
    assert first != second
    room.ends_well(undisturbed, "built on a sum that does not count" if second.name < first.name else "")


def test_second_keys_do_no_harm_either(room, undisturbed):
    room.step()
    (first,) = room.files("keys")
    for opening, public, why in (
        ("0" * 32, room.hospitals[A].replica.follow()[1].keys.public, "are for another opening of this study"),
        (room.maker.study.opening, encryption.generate_keys(hospitals=3).public, "are not what was agreed on"),
    ):
        said = {"opening": opening, "public": letters.packed(public), "secrets": {}}
        wrong = room.post(room.identities[A], "keys", said, "keys")
        room.step()
        assert why in room.sentences
        (room.root / "keys" / wrong.name).unlink()
    with room.hidden(first):
        room.restart(A)
        room.step(A)
        room.step()
    assert len(room.files("keys")) == 2
    room.ends_well(undisturbed)
    assert len({hospital.key_fingerprint for hospital in room.hospitals.values()}) == 1


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


def test_a_branch_that_was_never_seen_growing_is_followed_back(room):
    """Two sums in a row that nobody built on, and the longer branch beside them: it is read back to where they part."""
    room.play()
    real, message = room.coordinator.study.chain(), room.added(1)
    reader, after = Study(Folder(room.root), room.fingerprint), real[1]
    with room.hidden(*(file for round in range(1, 5) for file in room.files(rounds.sum_place(round)))):
        for round in (1, 2):
            total = Total(after, dict.fromkeys(NAMES, "00" * 16), message).to_bytes()
            after = room.post(room.boss, rounds.sum_place(round), total, "update", round, NAMES).digest
            reader.refresh()
        assert len(reader.chain()) == 4
    reader.refresh()
    assert reader.chain() == real


def test_a_sum_is_read_under_any_of_its_names(room, undisturbed):
    """A hospital saw the sum as a copy, "(1)"; then the copy is cut, as another machine's upload breaks off."""
    room.until(2)
    room.coordinator.step()
    (whole,) = room.files(rounds.sum_place(2))
    copy = whole.rename(f"{whole} (1)")
    room.hospitals[B].study.refresh()
    whole.write_bytes(copy.read_bytes())
    copy.write_bytes(copy.read_bytes()[:100])
    room.ends_well(undisturbed)


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
    (model,) = two.models()
    one.ends_well(model)
    for who in (one.coordinator, *one.hospitals.values()):
        assert who.study.chain() == further


def test_a_folder_that_is_away_for_a_while_is_waited_for(room, monkeypatch):
    said, step = [], room.coordinator.step
    monkeypatch.setattr(room.coordinator, "step", lambda: (_ for _ in ()).throw(OSError("not mounted")))

    def tell(status):
        said.append(str(status))
        monkeypatch.setattr(room.coordinator, "step", step)

    room.coordinator.run(0, until=lambda status: status.stage == "keys", tell=tell)
    assert said == ["The folder cannot be used now. not mounted", "Waiting for the key, which Hospital 0 makes."]


def test_the_log_is_one_chain_over_restarts_and_shows_what_was_cut(room):
    room.until(1)
    for _ in range(2):
        room.restart()
        room.play(1)
    found = events(room.root)
    assert {event["writer"] for event in found} == {"Teacher", *(name.replace(" ", "%20") for name in NAMES)}
    expected = {"invited", "approved", "asked", "made the key", "joined", "posted", "counted", "closed"}
    assert expected <= {event["what"] for event in found}
    keys = {event["key"] for event in found if event["what"] in ("made the key", "joined")}
    assert keys == {room.hospitals[A].key_fingerprint}
    sequels = [event["writer"] for event in found if event["what"] == "began" and event["before"]]
    assert sequels == ["Teacher"] * 3, "the maker began"
    first = min((room.root / "log").glob("Teacher.*"))
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="none has the remembered head"):
        events(room.root)


# Who takes part


def test_an_invitation_by_somebody_else_is_not_followed(tmp_path):
    room = Class(tmp_path)
    status = Participant(tmp_path, room.identities[A], room.federation[A], invitation="AAAA-BBBB-CCCC-DDDD").step()
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
    first, *others = room.federation
    first = dataclasses.replace(first, table=change(first.table))
    room.federation = dataclasses.replace(room.federation, hospitals=(first, *others))
    room.restart(A)
    room.step()
    room.maker.step()
    assert why in room.step(A)[A].note
    room.maker.open()
    assert [room.step()[name].stage for name in NAMES] == ["opening", "round", "round"]
    room.coordinator.step()
    assert room.step(A)[A].stage == "refused"


def test_another_version_is_told_apart(tmp_path, monkeypatch):
    room, here = Class(tmp_path), joining._versions()
    monkeypatch.setattr(joining, "_versions", lambda: here | {"tenseal": "0.3.1"})
    room.step(A)
    monkeypatch.undo()
    room.maker.step()
    status = room.step(A)[A]
    assert status.stage == "refused"
    assert "tenseal is '0.3.1' there and '0.3.18' at the maker" in status.note


def test_who_was_not_chosen_or_comes_late_does_not_take_part(tmp_path):
    room = Class(tmp_path, federation(4), quorum=2)
    room.step(*NAMES)
    keys = {fingerprint(room.identities[name].public) for name in (B, C)}
    for chosen, key_maker, why in (
        ({"AAAA"}, None, "Nobody asked to join with the key AAAA"),
        ({*keys} - {min(keys)}, None, "1 hospitals can join, and the study takes 2 to 100"),
        (None, "Hospital 9", "is none of the hospitals"),
    ):
        with pytest.raises(ValueError, match=why):
            room.maker.open(chosen, key_maker)
    room.maker.open(keys)
    said = room.step()
    assert [status.stage for status in said.values()] == ["opening", "round", "round", "opening"]
    assert said["Hospital 3"].note == "So far, it was opened without you."
    for status in room.until(1).step(A, "Hospital 3").values():
        assert str(status) == "Not taking part. The study was opened without you, and nobody can join any more."


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
    assert [(each.name, each.twice) for each in asked] == [(A, True), (A, True), (B, False), (C, False)]
    assert not any(each.problems for each in asked)
    with pytest.raises(ValueError, match="two have one name"):
        room.maker.open({each.fingerprint for each in asked})
    with pytest.raises(ValueError, match="2 hospitals can join, and the study takes 3 to 100"):
        room.maker.open()
    room.maker.open({fingerprint(identity.public) for identity in room.identities.values()})
    assert room.play()[0].stage == "done"
    assert other.step().stage == "refused"


def test_who_adds_up_is_no_hospital(tmp_path):
    room = Class(tmp_path, quorum=2, coordinator=(A, Identity(A, b"01" * 16).public))
    room.step()
    first, *others = room.maker.requests()
    assert "must not hold the key" in first.problems[0]
    assert not any(each.problems for each in others)
    room.maker.open()
    with pytest.raises(ValueError, match="Hospital 1 is a hospital, and holds the key"):
        room.maker.hand_over(B, room.identities[B].public)
    said = {"coordinator": B, "key": letters.packed(room.identities[B].public), "from_round": 0, "number": 9}
    room.post(room.boss, "handover", said, "handover")  # whatever its software says
    room.step(C)
    assert room.hospitals[C].study.in_charge(0).name == A
    assert "Hospital 1 is a hospital, and cannot coordinate: it holds the key" in room.sentences
    with pytest.raises(ValueError, match="The rows are Hospital 2's and the identity is Hospital 1's"):
        Participant(room.root, room.identities[B], room.federation[C], invitation=room.fingerprint)


def test_a_hospital_is_given_the_key_that_the_others_have(room, monkeypatch):
    from fedkit.exchange import hospital

    given, other = hospital.seal_to, hospital.encryption.generate_keys("bfv", hospitals=3).secret
    theirs = room.identities[B].public
    monkeypatch.setattr(hospital, "seal_to", lambda public, key: given(public, other if public == theirs else key))
    room.step(A)
    monkeypatch.undo()
    said = room.step()
    assert [said[name].stage for name in NAMES] == ["round", "keys", "round"]
    assert "Hospital 0 gave Hospital 1 another key than the one it showed to all" in said[B].note


# Quorum, deadline, handover


def test_a_round_is_closed_without_who_is_missing_or_late(tmp_path):
    room = Class(tmp_path, deadline_seconds=60, quorum=2).open().until(1)
    room.coordinator.step()
    room.step(A)
    room.coordinator.step()
    room.time += 1000
    assert room.coordinator.step().waits_for == f"{B}, {C}", "one is no quorum"
    room.step(B, C)
    with room.hidden(room.letter(rounds.place(2), B)):
        room.restart()
        for _ in range(3):
            assert room.coordinator.step().waits_for == B
            room.time += 19
        room.time += 4
        room.coordinator.step()
    assert room.step(B)[B].note == "Round 2 was closed without you."
    assert room.play()[1].stage == "done"
    assert list(room.counted()[2]) == [A, C]
    assert len(room.models()) == 1
    assert ("late", B) in [(event["what"], event.get("sender")) for event in events(room.root)]


def test_somebody_else_adds_up_from_a_round_on(room, undisturbed):
    room.until(2)
    other = Identity.new("Assistant")
    assert room.maker.hand_over(other.name, other.public) == 2
    assert {status.waits_for for status in (room.coordinator.step(), *room.step().values())} == {"Assistant"}
    assert len(room.files(rounds.place(2))) == 6, "sealed once more, for the new one"
    room.restart(coordinator=other)
    room.ends_well(undisturbed, "sealed for another coordinator")
    senders = [link.sender for link in room.coordinator.study.links.values()]
    assert sorted(senders) == ["Assistant"] * 3 + ["Teacher"] * 2


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
    room.restart(A)  # which reads both letters in any order
    room.restart()
    room.ends_well(undisturbed)


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
    study = room.coordinator.study
    assert [letter.sender for letter in study.roots.values()] == [C]
    assert results.ledger(study).query("phase == 'keys' and direction == 'up'")["hospital"].item() == C
    with pytest.raises(ValueError, match="The key that Hospital 2 made is in use: it stays"):
        room.maker.choose_key_maker(A)


def test_keys_are_taken_once_it_is_known_who_makes_them(room):
    """The letter with the keys is shown before the one that says who makes them."""
    room.maker.choose_key_maker(B)
    (choice,) = room.files("handover")
    room.step(B)
    with room.hidden(choice):
        room.restart(C)
        assert room.step(C)[C].waits_for == A
        assert f"alone may write is signed by {B}" in room.sentences
    assert room.step(C)[C].stage == "round"


# To look at, and to tidy up


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
    assert progress.rounds["auroc"].notna().tolist() == [False, True, True, False, False]
    assert progress.rounds["closed"].tolist() == [True, True, True, False, False]
    assert f"{A} ###+.\n{B} ###..\n{C} ###..\n# counted, + posted, " in str(progress)
    assert not progress.done
    (axes,) = study_grid(progress.letters, progress.sentence).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert sum(len(marks.get_offsets()) for marks in axes.collections) == 15, "each state once"
    room.play()
    assert watch.look().done
    main(["watch", str(room.root), room.fingerprint])
    assert capsys.readouterr().out.startswith("pretend: done, 3 hospitals, ")
    assert Watch(room.root, room.fingerprint).look().rounds["auroc"].isna().all(), "it takes the key"


def test_old_letters_can_be_removed_and_the_study_goes_on(room, undisturbed):
    room.until(3)
    stranger = room.post(Identity.new("Stranger"), rounds.place(0), b"", "statistics")
    assert results.prune(room.coordinator.study, keep_rounds=1) == 6
    assert [file.name for file in room.files(rounds.place(0))] == [stranger.name], "not counted, not removed"
    assert [len(room.files(rounds.place(round))) for round in (1, 2, 3)] == [0, 3, 3]
    assert [len(room.files(rounds.sum_place(round))) for round in range(3)] == [1, 1, 1]
    room.restart(*NAMES)
    room.restart()
    room.ends_well(undisturbed)
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


def test_the_tag_of_a_model_follows_from_the_hospitals_secret_the_study_the_round_and_the_model():
    ones, key = [np.ones(3, np.float32)], (b"secret", "study", 1)
    others = [(b"another", "study", 1), (b"secret", "other", 1), (b"secret", "study", 2)]
    tags = [rounds.tag(*key, ones), rounds.tag(*key, [2 * ones[0]]), *(rounds.tag(*other, ones) for other in others)]
    assert len(set(tags)) == 5, "who has no secret cannot try models one after the other"
    assert rounds.tag(*key, [ones[0].copy()]) == tags[0]
