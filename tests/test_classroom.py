import getpass
import json
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
from exchange_parts import Logistic, federation

from fedkit import exchange, hospitals, learning, records
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, Maker, Participant, Settings, classroom
from fedkit.exchange.study import Study

WORDS = "four words at random"
SEATS = [f"hospital {seat}" for seat in (1, 2, 3, 4)]


@pytest.fixture
def typed(monkeypatch, cheap):
    """Whatever is typed: passphrases, and answers to questions by how these begin."""
    answers = {"Key": str, "Fingerprints": lambda: "everybody"}
    monkeypatch.setattr(getpass, "getpass", lambda question: answers.get("passphrase", WORDS))
    monkeypatch.setattr("builtins.input", lambda question: answers[question.split()[0]]())
    return answers


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def play(tmp_path, shared):
    """Play a part on the shared folder, on a machine of one's own."""

    def played(role, name, *aloud, **how):
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        classroom.play(role, name, str(shared), *aloud, home=home, poll_seconds=0.02, work=Logistic, **how)

    return played


def spoken(shared):
    """The fingerprint that the maker reads aloud."""
    (invitation,) = (shared / "invitation").iterdir()
    return fingerprint(invitation.read_bytes())


def test_a_class_plays_a_study_to_its_end(tmp_path, shared, play, typed, monkeypatch, capsys):
    """The maker types, in the order of a lesson; each seat is a thread of its own.

    Two ask to join and leave: one at seat 1, and a second one at seat 3. Both are left out.
    """
    how, ghosts, seats = {"seats": 4, "rounds": 2}, {}, []

    def all_asked():
        if seats:
            return
        for name in SEATS[::2]:
            ghosts[name], rows = Identity.new(name), classroom.federation_of(name, 4)[name]
            joins = {"invitation": spoken(shared), "known": (), "waits_for_all": False}
            Participant(Folder(shared), ghosts[name], rows, **joins).step()
        for name in SEATS:
            seats.append(threading.Thread(target=play, args=("hospital", name, spoken(shared)), kwargs=how))
            seats[-1].start()
        while len(Folder(shared).names("request")) < 6:
            assert all(seat.is_alive() for seat in seats)
            time.sleep(0.01)

    opening = iter(["", SEATS[:1], SEATS[::2]])
    typed |= {"Press": all_asked}
    typed["If"] = lambda: (
        (names := next(opening)) and f"Open {' '.join(fingerprint(ghosts[name].public).lower() for name in names)}"
    )
    play("maker", "Teacher", **how)
    for seat in seats:
        seat.join(60)
    boss = spoken(shared)
    classroom.play("watch", "", str(shared), boss)
    said = capsys.readouterr().out
    assert f"Read this aloud, twice: {boss}" in said
    assert said.count("4 hospitals; those that hold this model say") == 4
    assert said.count("AUROC at the test patients of all hospitals: 0.") == 4
    assert said.count("hospital 3: two of one name or key") == 6
    for sentence in ("two have one name", "4 seats: done, 4 hospitals"):
        assert sentence in said
    study = Study(Folder(shared), boss)
    study.refresh()
    assert study.group_key.sender == "hospital 1"
    assert not [path for path in shared.rglob("*") if "identity" in path.name]
    (saved,) = tmp_path.glob("hospital 3/fedkit-study.????????")
    assert records.load(saved).provenance["sha256"] == classroom.seat_federation(4).sha256

    # Run once more, as after a break: the maker is asked nothing, and all are done.
    typed |= dict.fromkeys(("Key", "Press", "If"), pytest.fail)
    play("maker", "Teacher", **how)
    play("hospital", "hospital 3", boss, **how)


def test_a_study_is_opened_with_those_who_were_shown(shared, typed, capsys):
    """Not with who asks between that and the maker's word; and a fingerprint that nobody has leaves nobody out."""
    *shown, late = people = federation(4)
    mine, maker = {own.name: Identity.new(own.name) for own in people}, Maker(Folder(shared), Identity.new("Teacher"))
    joins = {"known": (), "waits_for_all": False}
    asks = lambda *who: [  # noqa: E731
        Participant(Folder(shared), mine[own.name], own, invitation=spoken(shared), **joins).step() for own in who
    ]
    words = iter(["open 0000", "open"])
    typed |= {"Press": lambda: asks(*shown), "If": lambda: ((word := next(words)) == "open" and asks(late), word)[1]}
    classroom._make(maker, Settings.of(people, rounds=2))
    assert [*maker.study.roster] == [own.name for own in shown]
    assert "Nobody who is shown has the fingerprint 0000." in capsys.readouterr().out


@pytest.mark.parametrize("seats", [0, 5])
def test_a_saved_study_is_one_more_method_in_notebook_08(tmp_path, seats):
    """The cells of its last section, with STUDY; they are executed with an empty one where notebooks are."""
    source = Path("notebooks/source/08_one_folder_many_hospitals.py").read_text()
    section = source.partition("# ### Was it worth it?")[2].partition("# ## What you can do now")[0]
    cells = section.split("# %%")[1:]
    code = "".join(cell.partition("\n")[2] for cell in cells if not cell.startswith(" [markdown]"))
    real = hospitals.load("heart_disease")
    people = classroom.seat_federation(seats) if seats else real
    exchange.run(exchange.rehearse(people, rounds=2, epochs=2)[0], people).save(tmp_path)
    names = {"STUDY": str(tmp_path), "federation": real, "classroom": classroom, "learning": learning}
    names |= {"records": records, "Path": Path}
    exec(code, names)
    assert len(names["one_split"]) == len(people) + 1
    assert names["by_folder"] < 0.0005

    records_of = json.loads((tmp_path / "run.json").read_text())
    records_of["provenance"]["sha256"] = "0" * 64
    (tmp_path / "run.json").write_text(records._sealed(records_of))
    with pytest.raises(AssertionError, match="of other patients"):
        exec(code, names)


def test_somebody_else_can_add_up(tmp_path, shared, play, typed, monkeypatch, capsys):
    assistant = Identity.new("Assistant Lee")
    monkeypatch.setattr(classroom.Coordinator, "run", lambda self, *about: print(self.identity.name, "adds up"))
    monkeypatch.setattr(classroom.Maker, "open", lambda maker, chosen: setattr(maker.study, "roster", ()))
    typed |= {"Key": lambda: f"{assistant.public.hex()} Assistant Lee", "Press": str, "If": lambda: "open"}
    play("maker", "Teacher")
    study = Study(Folder(shared), spoken(shared))
    study.refresh()
    assert study.in_charge(0)[:2] == ("Assistant Lee", assistant.public)
    (tmp_path / "Assistant Lee").mkdir()
    assistant.save(tmp_path / "Assistant Lee" / "fedkit-identity.Assistant%20Lee", WORDS)
    typed["Fingerprint"] = lambda: spoken(shared)
    play("coordinator", "Assistant Lee")
    assert f"by chat: {assistant.public.hex()} Assistant Lee\nAssistant Lee adds up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "known"), [("aaaa-bbbb, CCCC-dddd", ["AAAA-BBBB", "CCCC-DDDD"]), (" Everybody", "everybody"), ("", [])]
)
def test_fingerprints_are_typed_before_a_hospital_asks_to_join(play, typed, monkeypatch, said, known):
    def taken(*about, known, **how):
        raise LookupError(known)

    monkeypatch.setattr(classroom, "Participant", taken)
    typed["Fingerprints"] = lambda: said
    with pytest.raises(LookupError) as asked:
        play("hospital", "hospital 1", "AAAA-BBBB-CCCC-DDDD")
    assert asked.value.args == (known,)


def test_who_deals_out_other_seats_than_the_maker_is_told_and_takes_no_part(shared, play, typed, monkeypatch, capsys):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits to be let in"))
    settings = exchange.Settings.of(classroom.seat_federation(5))
    aloud = exchange.Maker(Folder(shared), Identity.new("Teacher")).invite(settings)
    play("hospital", "hospital 2", aloud, seats=4)
    assert "The study has 5 seats, and SEATS is 4 here: write what the maker wrote." in capsys.readouterr().out
    assert not Folder(shared).names("request")


def test_each_patient_has_one_seat_and_each_machine_deals_alike():
    real, seats = hospitals.load("heart_disease"), classroom.seat_federation(30)
    assert sum(map(len, seats)) == sum(map(len, real)) == 920
    assert {len(hospital) for hospital in seats} == {30, 31}
    assert seats.sha256 == classroom.seat_federation(30).sha256
    assert (seats.numeric, seats.categorical) == (real.numeric, real.categorical)
    ages = [np.sort(np.concatenate([hospital.table["age"] for hospital in each])) for each in (real, seats)]
    assert np.array_equal(*ages, equal_nan=True)
    assert len(classroom.federation_of("hospital 30", 30)["hospital 30"]) == 30
    with pytest.raises(ValueError, match="write hospital 1 to hospital 30"):  # whose patients have seats
        classroom.federation_of("Hungary", 30)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"role": "nurse"}, "ROLE is 'nurse', and it must be alone, hospital, maker"),
        ({"name": "hospital 31"}, "HOSPITAL is 'hospital 31': write hospital 1 to hospital 30"),
        ({"where": ""}, "FOLDER is '', and there is no such folder"),
        ({"where": "/nowhere/at all"}, "add a shortcut to it to My Drive"),
        ({"where": "/content/drive/MyDrive/study"}, "Google Drive cannot be used here: it was not allowed"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_sentence(shared, typed, how, why):
    with pytest.raises(ValueError, match=why):
        classroom.play(**{"role": "hospital", "name": "hospital 1", "where": str(shared)} | how)


def test_drive_is_mounted_where_the_folder_is_on_it(monkeypatch, shared):
    mounted = []
    colab = types.SimpleNamespace(drive=types.SimpleNamespace(mount=mounted.append))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(classroom, "DRIVE", str(shared))
    assert classroom.open_folder(str(shared)).root == str(shared)
    assert mounted == [str(shared)]


def test_an_identity_is_kept_on_this_machine_and_locked(tmp_path, shared, typed, monkeypatch):
    first = classroom.identify("hospital 7", str(shared), tmp_path)
    assert classroom.identify("hospital 7", str(shared), tmp_path).public == first.public
    typed["passphrase"] = "four other words"
    with pytest.raises(ValueError, match="passphrase"):
        classroom.identify("hospital 7", str(shared), tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert classroom.open_folder("~/shared").root == str(shared)
    with pytest.raises(ValueError, match="would lie in the folder that all share"):
        classroom.identify("hospital 8", "~/shared", shared / "mine")
    words = iter(["four words at random", "four words at rendom"])
    monkeypatch.setattr(getpass, "getpass", lambda question: next(words))
    with pytest.raises(ValueError, match="differ: run the cell again"):
        classroom.identify("hospital 9", str(shared), tmp_path)
    assert len(list(tmp_path.glob("fedkit-identity*"))) == 1
    assert classroom.Played("Your part is played.")._render_traceback_() == ["Your part is played."]
