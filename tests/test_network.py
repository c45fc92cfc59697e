"""A study over a network, without the engine: letters between folders, consent, what is refused, and what is said."""

import base64
import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from exchange_parts import Logistic
from network_parts import DATA, Trial, letter, rehearsed

from fedkit.encryption.identities import Identity, exchange_key, fingerprint
from fedkit.encryption.messages import MessageError
from fedkit.exchange import Folder, Maker, Participant, Settings, joining
from fedkit.exchange.folder import quoted
from fedkit.exchange.study import Study
from fedkit.network import __main__, consent, kits, parties, post
from fedkit.network.consent import Consent
from fedkit.network.loopback import SERVER
from fedkit.network.post import Board, Mirror

BOSS = Identity("Boss", b"B" * 32)
PEOPLE = {name: Identity(name, f"{at:02}".encode() * 16) for at, name in enumerate(DATA.names, 1)}


class Over(BaseException):
    """Ends a party that would go on."""


class Bell(threading.Event):
    """Ends who waits for it, once the study is over."""

    over = False

    def wait(self, timeout=None):
        if self.over:
            raise Over
        return super().wait(0.02)


class Net:
    """A server and hospitals in threads, who speak to each other through `Board.answer`."""

    def __init__(self, place, **settings):
        self.kits = {name: place / name for name in ["Boss", *DATA.names]}
        for kit in self.kits.values():
            kit.mkdir()
        agreed = Settings.of(DATA, **{"rounds": 3, "budget": 0} | settings)
        self.invitation = Maker(self.folder, BOSS).invite(agreed)
        hospitals = {name: fingerprint(one.public) for name, one in PEOPLE.items()}
        about = {"server": {"Boss": fingerprint(BOSS.public)}, "hospitals": hospitals, "host": "127.0.0.1", "port": 1}
        for name, kit in self.kits.items():
            self.agree(name, **Consent.to_all(agreed, invitation=self.invitation, **about)._asdict())
            if name != "Boss":
                DATA[name].table.assign(label=DATA[name].labels).to_csv(kit / "rows.csv", index=False)
        self.board, self.done, self.diaries = self.new_board(), {}, {}

    @property
    def folder(self):
        return self.kits["Boss"] / "study"

    def new_board(self):
        return Board(self.folder, *Consent.read(self.kits["Boss"]).side)

    def agree(self, name, **change):
        """Write what is agreed to in a kit, or change it."""
        file = self.kits[name] / consent.FILE
        file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | change))

    def ask(self, question):
        return self.board.answer(question)

    def play(self, *names, seconds=120, until=()):
        """Run the server, and these hospitals, or all, until they end, or those do that are waited for."""
        bell, names = Bell(), names or DATA.names
        self.diaries = self.diaries or {name: parties.Diary(self.kits[name]) for name in self.kits}

        def server():
            with contextlib.suppress(Over):
                parties.server(self.kits["Boss"], BOSS, self.board, bell, self.diaries["Boss"], lambda: None)

        def hospital(name):
            with contextlib.suppress(Over):
                return parties.hospital(self.kits[name], PEOPLE[name], self.ask, bell, self.diaries[name], Logistic)

        with ThreadPoolExecutor(4) as pool:
            serving, playing = pool.submit(server), {name: pool.submit(hospital, name) for name in names}
            wait([playing[name] for name in until or names], seconds)
            bell.over = True
        serving.result()
        self.done |= {name: one.result() for name, one in playing.items() if one.result() is not None}
        return self.done

    def at_the_server(self, name):
        """Places of the letters of a hospital that the server has."""
        return sorted({path.parent.name for path in self.folder.glob(f"*/*.{quoted(name)}.letter")})


def asks(*new, name="Hospital 0", **more):
    """A hospital's question, which brings letters."""
    return {"name": name, "board": "", "after": 0, "letters": [*new]} | more


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A passphrase is sealed fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedkit.encryption.vault._COST", 14)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Kits of a server and three hospitals; and the same of another project."""
    return [Trial(tmp_path_factory.mktemp("project"), 3) for _ in range(2)]


@pytest.fixture
def net(tmp_path):
    return Net(tmp_path)


def test_the_model_is_the_rehearsals_byte_for_byte(net, tmp_path, monkeypatch):
    monkeypatch.setattr(Participant, "public", True)
    assert net.play() == dict.fromkeys(DATA.names, True)
    assert {diary.said.get("model") for diary in net.diaries.values()} == {None, rehearsed(3).model_fingerprint}
    assert len({(net.kits[name] / "model.npz").read_bytes() for name in DATA.names}) == 1
    assert all(0 < diary.said["up"] < diary.said["down"] < 10**5 for diary in list(net.diaries.values())[1:])


def test_it_goes_on_where_anybody_was_started_again_and_a_hospital_may_lose_what_the_server_sent(net, monkeypatch):
    monkeypatch.setattr(Participant, "public", True)
    asked = count(1)

    def ask(question):
        if next(asked) in (25, 60):
            net.board.__init__(net.folder, *Consent.read(net.kits["Boss"]).side)
        return net.board.answer(question)

    net.ask = ask
    net.play(seconds=0.8)
    shutil.rmtree(net.kits["Hospital 0"] / "study")
    net.play()
    assert net.done == dict.fromkeys(DATA.names, True)
    assert {net.diaries[name].said["model"] for name in DATA.names} == {rehearsed(3).model_fingerprint}


REFUSALS = [
    ({"label": "relapse"}, "It predicts label (0, 1), and that was not agreed to"),
    ({"classes": ["1", "0"]}, "It predicts label (0, 1), and"),
    ({"columns": ["x0", "x1"]}, "learns from grade, x2"),
    ({"most_rounds": 2}, "takes 3 rounds, and 2 are the most"),
    ({"fewest_hospitals": 4}, "fewer than 4 hospitals"),
    ({"server": {"Boss": "0000-0000-0000-0000"}}, ""),
    ({"hospitals": {"Hospital 0": fingerprint(PEOPLE["Hospital 0"].public)}}, "was opened with others"),
]


@pytest.mark.parametrize(("change", "said"), REFUSALS)
def test_what_was_not_agreed_to_ends_before_any_number_leaves(net, change, said):
    name = "Hospital 0"
    net.agree(name, **change)
    net.play(**({"until": [name]} if said else {"seconds": 4}))
    assert said in net.diaries[name].said["wrong"]
    assert net.done.get(name) is not True
    assert set(net.at_the_server(name)) <= {"request"}
    if said and "opened" not in said:
        assert net.at_the_server(name) == []
        assert net.done[name] is False


def test_no_sum_may_follow_one_that_did_not_open_since_the_server_alone_sees_who_answered(tmp_path, made):
    net = Net(tmp_path, budget=1, deadline_seconds=9.0)
    assert not Consent.read(net.kits[DATA.names[0]]).waits_for_all
    for name in DATA.names[1:]:
        net.agree(name, waits_for_all=True)
    net.play(until=DATA.names)
    for name in DATA.names:
        assert "another would follow (budget)" in net.diaries[name].said["wrong"]
        assert ("who is late (deadline)" in net.diaries[name].said["wrong"]) == (name != DATA.names[0])
        assert (net.done[name], net.at_the_server(name)) == (False, [])
    maker = Maker(made[0].kits[SERVER] / "study", boss(made[0]))
    assert maker.resume()
    assert maker.study.settings.budget == 0, "whatever the plan says"


def test_another_hospital_in_the_opening_is_noticed_before_a_key_is_given(net, monkeypatch):
    """The maker, who is also the server, opens the study with a phantom."""
    phantom = Identity.new("Hospital 2")
    net.agree("Boss", hospitals=Consent.read(net.kits["Boss"]).hospitals | {phantom.name: fingerprint(phantom.public)})
    net.board = net.new_board()
    monkeypatch.setitem(PEOPLE, "Hospital 2", phantom)
    net.agree("Hospital 2", hospitals=Consent.read(net.kits["Boss"]).hospitals)
    net.play(until=DATA.names[:2])
    for name in DATA.names[:2]:
        assert "with others, or other keys, than were agreed to: Hospital 2" in net.diaries[name].said["wrong"]
        assert net.done[name] is False
        assert net.at_the_server(name) == ["request"]


def test_hospitals_that_ask_with_one_key_are_named_and_nothing_is_opened(net, monkeypatch):
    request, same = joining.request, exchange_key().public_key().public_bytes_raw()
    monkeypatch.setattr(joining, "request", lambda settings, table, own: request(settings, table, same))
    net.play(seconds=4)
    wrong = net.diaries["Boss"].said["wrong"]
    assert wrong.startswith("They cannot begin. Of those chosen, two have one name or key, or")
    assert ", ".join(DATA.names) in wrong
    assert not Folder(net.folder).names("opening")


@pytest.mark.parametrize("kept", ["update", "two", "request"])
def test_a_letter_that_may_not_leave_stays(net, kept):
    name = "Hospital 1"
    net.agree(name, leaves=[each for each in consent.LEAVES if each != kept])
    net.play(until=[name])
    assert f"A letter for '{kept}' was to leave" in net.diaries[name].said["wrong"]
    assert net.done[name] is False
    first = {"update": "one-00002", "two": "two-00000", "request": "request"}[kept]
    assert first not in net.at_the_server(name)
    assert (net.kits[name] / "study" / first).exists()


def test_a_consent_that_is_withdrawn_ends_it(net):
    name, file = "Hospital 1", net.kits["Hospital 1"] / consent.FILE

    def ask(question):
        if question["name"] == name and any(place.startswith("one-00001") for place, *_ in question["letters"]):
            file.unlink()
        return net.board.answer(question)

    net.ask = ask
    net.play(until=[name])
    assert "nobody agreed to anything here" in net.diaries[name].said["wrong"]
    assert "one-00002" not in net.at_the_server(name)


def test_a_consent_that_is_withdrawn_while_a_step_is_made_keeps_its_letter_here(net, monkeypatch):
    step = parties.Participant.step

    def withdrawn(self):
        said = step(self)
        (net.kits["Hospital 1"] / consent.FILE).unlink(missing_ok=True)
        return said

    monkeypatch.setattr(parties.Participant, "step", withdrawn)
    net.play("Hospital 1", seconds=3)
    assert (net.kits["Hospital 1"] / "study" / "request").exists()
    assert net.at_the_server("Hospital 1") == []


def test_another_server_or_invitation_than_was_agreed_to_is_said(net):
    agreed, study = Consent.read(net.kits["Hospital 0"]), Study(Folder(net.folder), net.invitation)
    study.refresh()
    assert agreed.problems(study) == []
    (said,) = agreed._replace(invitation="another").problems(study)
    assert "and another was agreed to" in said
    (said,) = agreed._replace(server={"Boss": "0000-0000-0000-0000"}).problems(study)
    assert "In charge are Boss" in said


@pytest.mark.parametrize(
    "spoil",
    [{"port": "1"}, {"server": {}}, {"leaves": "update"}, {"rows": 1}, {"columns": [[]]}, {"hospitals": {"A": []}}],
)
def test_a_consent_that_is_not_as_it_must_be_is_none(net, spoil):
    net.agree("Hospital 0", **spoil)
    with pytest.raises(ValueError, match="is not as it must be"):
        Consent.read(net.kits["Hospital 0"])


ONE, STRANGER = PEOPLE["Hospital 0"], Identity("Hospital 0", b"S" * 32)
GOOD = letter(ONE, "request")
FOREIGN = [
    (letter(STRANGER, "request"), "key that nobody agreed to"),  # somebody else's key, under a name of the roster
    (letter(Identity("Eve", b"E" * 32), "request"), "key that nobody agreed to"),
    (letter(ONE, "request", sender="Hospital 1"), "key that nobody agreed to"),
    (letter(ONE, "list-00001", purpose="list", number=1), "no letter that Hospital 0 may write"),
    (letter(ONE, "opening"), "no letter that Hospital 0 may write"),
    (letter(ONE, "attic"), "no letter that Hospital 0 may write"),
    (letter(ONE, "one-00099", number=99), "no letter that Hospital 0 may write"),
    (letter(ONE, "group-00001", number=1), "no letter that Hospital 0 may write"),
    (letter(ONE, "one"), "no letter that Hospital 0 may write"),
    (letter(ONE, "one-00001", number=2), ""),
    (letter(ONE, "request", b"{" + b" " * 2**20 + b"}"), "no letter that Hospital 0 may write"),
    (("request", GOOD[1], GOOD[2][:-1] + b"?"), ""),
    (("request", "0" * 32 + GOOD[1][32:], GOOD[2]), "not what its name says"),
    (("../request", *GOOD[1:]), "what is no question"),
    (("request", "../../x", GOOD[2]), "what is no question"),
    (("request", GOOD[1], "text"), ""),
    (("request", GOOD[1]), ""),
]


@pytest.mark.parametrize(("foreign", "said"), FOREIGN)
def test_the_server_takes_no_letter_that_is_not_one_of_the_study(net, foreign, said):
    before = sorted(net.folder.rglob("*"))
    with pytest.raises(MessageError, match=said or "."):
        net.board.answer(asks(foreign))
    assert sorted(net.folder.rglob("*")) == before
    assert net.board.answer(asks(GOOD))["board"]


@pytest.mark.parametrize(("kind", "most"), [("request", 8), ("group", 8), ("one", 26 + 8), ("two", 26 + 8)])
def test_the_server_takes_no_more_of_one_kind_than_there_are_sums_and_eight_also_after_a_restart(net, kind, most):
    numbered = [(f"{kind}-{at % 26:05d}", at % 26) if most > 8 else (kind, 0) for at in range(most + 1)]
    letters = (letter(ONE, place, b"%d" % at, number=number) for at, (place, number) in enumerate(numbered))
    *taken, last = map(asks, letters)
    for question in taken:
        net.board.answer(question)
    net.board = net.new_board()
    with pytest.raises(MessageError, match=f"sent more than {most} letters for {kind}"):
        net.board.answer(last)
    assert len(list(net.folder.glob(f"{kind}*/*.letter"))) == most
    net.board.answer(taken[-1])


def test_nobody_sends_anothers_letter_and_copies_of_ones_own_count_as_one(net):
    """Eight of them, in the place of the other's next letter, would keep that one out."""
    with pytest.raises(MessageError, match="is for Hospital 1 alone to send"):
        net.board.answer(asks(letter(PEOPLE["Hospital 1"], "two-00003", number=3)))
    net.board.groups = []
    net.board.answer(asks(*((GOOD[0], f"{GOOD[1][:-7]} ({at}).letter", GOOD[2]) for at in range(9))))
    assert [place for place, *_ in net.board.answer(asks())["letters"]] == ["invitation", "request"]


NONE = [None, [], {}, {"name": "Hospital 0"}, asks(name=["Hospital 0"]), asks(letters=3), asks(more=1)]
FALSE = [asks(name="Eve"), *(asks(board="here", after=after) for after in (-1, 10**9, "0"))]
QUESTIONS = [(each, said) for those, said in ((NONE, "what is no"), (FALSE, "who is on no roster")) for each in those]


@pytest.mark.parametrize(("question", "said"), QUESTIONS)
def test_what_is_no_question_is_refused_with_a_sentence(net, question, said):
    if isinstance(question, dict) and question.get("board"):
        question = question | {"board": net.board.answer(asks())["board"]}
    with pytest.raises(MessageError, match=f"Somebody asks {said}"):
        net.board.answer(question)
    assert "Eve" not in net.board.heard


def test_who_asks_under_a_name_has_the_certificate_for_it(net):
    for proven in (post.site(fingerprint(PEOPLE["Hospital 1"].public)), "h-", "", "Hospital 0"):
        with pytest.raises(MessageError, match="asks as Hospital 0, with the certificate of another"):
            net.board.answer(asks(GOOD), proven)
    assert (net.board.heard, net.at_the_server("Hospital 0")) == ({}, [])
    assert net.board.answer(asks(GOOD), post.site(fingerprint(ONE.public)))["board"]


def test_a_server_that_lost_a_hospitals_letters_and_was_started_again_gets_them_again(net):
    one = mirror(net, net.ask)
    for place in ("request", "one-00001"):
        one._folder.post(place, "Hospital 0", letter(ONE, place, number=int("-" in place))[2])
    one.send()
    shutil.rmtree(net.folder / "one-00001")
    one.send()
    assert net.at_the_server("Hospital 0") == ["request"], "while it runs, it is not asked whether it still has them"
    net.board = net.new_board()
    one.fetch()
    one.send()
    assert net.at_the_server("Hospital 0") == ["one-00001", "request"]


def mirror(net, ask):
    kit = net.kits["Hospital 0"]
    return Mirror(kit / "study", *Consent.read(kit).side, name="Hospital 0", ask=ask, may=lambda purpose: None)


ANSWER = {"board": "b", "after": 0, "letters": [], "more": False, "again": 1.0}
ANSWERS = [
    None, {}, *(ANSWER | {"after": after} for after in (None, "1", -1, 10**30, float("inf"))),
    ANSWER | {"letters": [1]}, ANSWER | {"letters": [GOOD[:2]]}, ANSWER | {"again": "soon"},
    *(ANSWER | {"letters": [foreign]} for foreign, _ in FOREIGN),
    ANSWER | {"letters": [letter(Identity("Boss", b"M" * 32), "opening", purpose="opening")]},
    ANSWER | {"letters": [letter(BOSS, "one-00001", number=1)]},
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_hospital_takes_nothing_from_a_hostile_server_that_is_not_of_the_study(net, answer):
    with pytest.raises(MessageError):
        mirror(net, lambda question: answer).fetch()
    assert not list((net.kits["Hospital 0"] / "study").rglob("*.letter"))


def test_a_server_that_promises_more_for_ever_or_names_absurd_times_stops_nobody(net):
    calls, one = [], mirror(net, lambda question: calls.append(1) or ANSWER | {"more": True, "again": float("nan")})
    one.fetch()
    assert (len(calls), one.again) == (1, 0.1)
    one = mirror(net, lambda question: ANSWER | {"again": 1e300})
    one.fetch()
    assert one.again == 600.0
    old = {"letters": [letter(PEOPLE["Hospital 1"], "one-00001", number=1)], "more": True}
    answers = iter([ANSWER | old | {"board": str(at)} for at in range(3)])
    mirror(net, lambda question: next(answers)).fetch()
    assert next(answers)["board"] == "2", "the same letter once more is no reason to go on"


def test_a_hospital_reads_on_at_a_server_that_was_started_again(net):
    """Page by page at once, though it took all of these letters before."""
    one, other = ([letter(PEOPLE[who], "one-00001", number=1)] for who in ("Hospital 1", "Hospital 2"))
    pages = iter([("0", one, True), ("0", other, False), ("1", one, True), ("1", other, True), ("1", one, True)])
    asked = mirror(net, lambda question: ANSWER | dict(zip(("board", "letters", "more"), next(pages), strict=True)))
    for left in (3, 2, 0):
        asked.fetch()
        pages, found = iter(rest := [*pages]), len(rest)
        assert found == left


def test_second_letters_are_shown_to_nobody_else_and_first_ones_to_the_group(net):
    def shown(groups):
        net.board.groups = groups
        answers = (net.board.answer(asks(name=name))["letters"] for name in DATA.names)
        return [{place for place, *_ in answer} - {"invitation"} for answer in answers]

    groups, all_ = [{"Hospital 0", "Hospital 1"}, {"Hospital 2"}], {"one-00001", "two-00001", "request"}
    given = [letter(ONE, "one-00001", number=1), letter(ONE, "two-00001", purpose="two", number=1), GOOD]
    net.board.answer(asks(*given))
    assert shown(groups) == [all_, {"one-00001"}, set()]
    net.board = net.new_board()  # started again, it shows nothing before it knows the groups, and then the same
    assert shown(None) == [set()] * 3
    assert shown(groups) == [all_, {"one-00001"}, set()]


def test_who_does_not_ask_is_named_within_ten_seconds_and_no_more_once_it_does(net, monkeypatch, capsys):
    monkeypatch.setattr(parties, "SILENT", 0.5)
    net.board.again = 0.1
    net.play("Hospital 0", seconds=4)
    assert " Nothing is heard of Hospital 1, Hospital 2: busy, or away.\n" in capsys.readouterr().out
    net.play()
    assert net.diaries["Boss"].said["wrong"] == ""


def test_status_says_what_the_process_said_and_that_it_is_silent(tmp_path, capsys):
    assert parties.status(tmp_path)["says"] == "Nothing was started here."
    for text in ("{", "[]", "{}", '{"says": 1, "wrong": "", "over": true}', '{"says": "", "wrong": "", "over": false}'):
        (tmp_path / parties.FILE).write_text(text)
        assert "is damaged" in parties.status(tmp_path)["wrong"]
    diary = parties.Diary(tmp_path)
    for _ in range(2):
        diary.say(says="\x1b[2J on", wrong="The disk is full.", up=3)
    said = capsys.readouterr().out
    assert (said.count("The disk is full."), said.count("[2J on"), "\x1b" in said) == (1, 1, False)
    assert parties.status(tmp_path)["says"] == "[2J on", "and nothing that a terminal obeys"
    diary.say(noted="Somebody was refused.")
    assert parties.status(tmp_path)["wrong"] == "The disk is full. Somebody was refused."
    diary.said["then"] -= 60
    diary.say(says="Round 1.")
    assert {"says": "Round 1.", "wrong": "The disk is full.", "up": 3}.items() <= parties.status(tmp_path).items()
    said = json.loads((tmp_path / parties.FILE).read_text())
    (tmp_path / parties.FILE).write_text(json.dumps(said | {"when": time.time() - 60}))
    assert "has said nothing for 60 s" in parties.status(tmp_path)["wrong"]
    (tmp_path / parties.FILE).write_text(json.dumps(said | {"when": time.time() - 60, "then": 0.0, "over": True}))
    assert parties.status(tmp_path)["wrong"] == "The disk is full."


def boss(project):
    return Identity.load(project.kits[SERVER] / "identity", project.passphrase)


def test_every_key_stays_where_it_was_made_and_no_file_of_it_is_for_others(made):
    one = made[0]
    secret = [(kit / "tls.key").read_bytes() for kit in one.kits.values()]
    elsewhere = [path.read_bytes() for path in (one.kits[SERVER].parent / "certificates").rglob("*") if path.is_file()]
    elsewhere += [(kit / "card.json").read_bytes() for kit in one.kits.values()]
    assert not [each for each in elsewhere if b"PRIVATE" in each or any(key in each for key in secret)]
    for kit in one.kits.values():
        assert {(kit / name).stat().st_mode & 0o777 for name in ("identity", "tls.key")} == {0o600}
        assert kit.stat().st_mode & 0o777 == 0o700
    kept = (one.kits[SERVER] / "ca.key").read_bytes()  # a passphrase is guessed by what it opens soonest
    assert b"PRIVATE" in boss(one).unlocked(kept, "ca.key")


PLAN = {"settings": Settings.of(DATA).to_json(), "host": "localhost", "port": 1}


def test_a_card_that_was_changed_gets_no_certificate(made, tmp_path):
    said, other = (json.loads((one.kits["Hospital 0"] / "card.json").read_text()) for one in made)
    cut = {"name": "Hospital", "tls": f"0 {said['tls']}"}  # the same words; what stands before a key is no matter
    for change in (cut, {"tls": other["tls"]}, {"name": "Hospital 9"}, {"key": other["key"]}):
        refused(made[0], tmp_path, json.dumps(said | change), "was changed on the way")


def refused(one, place, card, why):
    """Provision with a card that is refused, before a key is made."""
    (place / "card.json").write_text(card)
    with pytest.raises(ValueError, match=why):
        kits.provision(place, boss(one), PLAN, [one.kits[SERVER] / "card.json", place / "card.json"], place)
    assert not (place / "ca.key").exists()


def carded(me, name, tls):
    signed = me.sign(json.dumps([name, tls]).encode()).hex()
    return json.dumps({"name": name, "key": me.public.hex(), "tls": tls, "signed": signed})


def test_a_card_that_is_none_or_has_an_odd_name_or_a_weak_key_is_refused_though_it_is_signed(made, tmp_path):
    tls = json.loads((made[0].kits["Hospital 0"] / "card.json").read_text())["tls"]
    numbers = [rsa.RSAPublicNumbers(65537, 2**most + 1) for most in (1023, 4095)]
    numbers.append(dsa.DSAPublicNumbers(5, dsa.DSAParameterNumbers(2**2047 + 1, 2**255 + 1, 2)))
    other = [one.public_key().public_bytes(kits._PEM, kits._SPKI).decode() for one in numbers]
    unknown = base64.b64decode("".join(tls.splitlines()[1:-1])).replace(b"\xf7\r\1\1\1", b"\xf7\r\1\1\x7f")
    other.append(f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(unknown).decode()}\n-----END PUBLIC KEY-----\n")
    odd = [carded(ONE, name, tls) for name in ("a\nb", "\x1b[2J", "x" * 101, "", 5)]
    odd += [carded(ONE, "A", each) for each in (*other, "no key")]
    for card in [*odd, "[" * 10**5, "null", "9" * 9999]:
        refused(made[0], tmp_path, card, "or is no card, or has a key of another kind")
    alike = [(SERVER, ONE), ("C0ordinator", ONE), ("\u0421oordinator", ONE)]  # with a zero, and with a Cyrillic letter
    for name, who in [*alike, ("A", boss(made[0]))]:
        refused(made[0], tmp_path, carded(who, name, tls), "There are two cards of")
    refused(made[0], tmp_path, carded(ONE, "A", tls), "cards of 1 hospitals, and the study is for 3 to 100")


PLANS = [
    (["settings"], "A plan has"), ({"port": None}, "port cannot be agreed to"), ({"port": 0}, "port cannot be"),
    ({"port": 1 << 16}, "port cannot be"), ({"host": "a b"}, "host, port cannot be"), ({"host": ""}, "host, port"),
    ({"host": "https://a"}, "host, port cannot be"), ({"host": "a" * 65}, "host, port cannot be"),
    ({"day": 3}, "A plan has"), ({"days": 0}, "Certificates are good for 0 days"), ({"days": 1e9}, "3650 are the most"),
    ({"days": "3"}, "Certificates are good for '3' days"), ({"days": float("nan")}, "Certificates are good for nan"),
    ({"settings": {}}, "settings cannot be used"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), PLANS)
def test_a_plan_with_a_fault_is_refused_before_a_key_is_made(made, tmp_path, change, said):
    plan = PLAN | change if isinstance(change, dict) else change
    cards = [kit / "card.json" for kit in made[0].kits.values()]
    with pytest.raises(ValueError, match=said):
        kits.provision(tmp_path, boss(made[0]), plan, cards, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kit_is_for_its_account_alone_though_it_was_there_and_others_may_read_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("four random words\n"))
    mask = os.umask(0)
    try:
        (tmp_path / "kit").mkdir()
        __main__.main(["identity", str(tmp_path / "kit"), "A"])
    finally:
        os.umask(mask)
    assert {path.stat().st_mode & 0o077 for path in [tmp_path / "kit", *(tmp_path / "kit").iterdir()]} == {0}
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # a new one is open to nobody, not for a moment
    kits.make(tmp_path / "new", "A", "four random words")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_the_commands_of_the_page_make_kits_and_say_how_things_are(tmp_path, monkeypatch, capsys):
    def said(*words):
        monkeypatch.setattr("sys.stdin", io.StringIO("four random words\n"))
        __main__.main([str(word) for word in words])
        return capsys.readouterr().out

    for name in ("Boss", *DATA.names):
        assert f"{name} is " in said("identity", tmp_path / name, name)
    plan, cards = tmp_path / "plan.json", [tmp_path / name / "card.json" for name in DATA.names]
    plan.write_text("{")
    with pytest.raises(SystemExit, match="cannot be read: "):
        said("provision", tmp_path / "Boss", plan, tmp_path / "out", *cards)
    plan.write_text(json.dumps(PLAN))
    (tmp_path / "out").touch()
    with pytest.raises(SystemExit, match="ot a directory"):
        said("provision", tmp_path / "Boss", plan, tmp_path / "out", *cards)
    (tmp_path / "out").unlink()  # what ended half-way can be said again
    printed = said("provision", tmp_path / "Boss", plan, tmp_path / "out", *cards)
    assert all(spoken in printed for spoken in Consent.read(tmp_path / "Boss").hospitals.values())
    assert len(list((tmp_path / "out").iterdir())) == 3
    names = "ca.crt", consent.FILE, "tls.crt"
    assert {path.name for path in (tmp_path / "out").glob("*/*")} == {*names}
    page = (Path(__file__).parents[1] / "notebooks" / "network.md").read_text()
    assert f"/{{{','.join(names)}}} kit" in page, "a file of the server's that it does not name stays away"
    assert said("status", tmp_path / "Boss") == "Nothing was started here.\n"
    (tmp_path / "Boss" / parties.FILE).write_text("[]")
    with pytest.raises(SystemExit, match="is damaged"):
        said("status", tmp_path / "Boss")


def test_compose_names_commands_files_and_secrets_that_are_there():
    root = Path(__file__).parents[1]
    compose = yaml.safe_load((root / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        sh, _, line = shlex.split(service["command"])
        program, module, package, command, kit, _, secret = shlex.split(line)[0], *shlex.split(line)[1:]
        assert (sh, program, module, package) == ("sh", ".venv-network/bin/python", "-m", "fedkit.network")
        assert command == ("serve" if name == "server" else "site")
        assert command in __main__.COMMANDS
        assert service["volumes"] == [f"./kits/{name}:{kit}"]
        assert [f"/run/secrets/{each['target']}" for each in service["secrets"]] == [secret]
        assert compose["secrets"][service["secrets"][0]["source"]] == {"file": f"./kits/{name}.secret"}
        assert service["networks"] == list(compose["networks"])
        lines = service["build"]["dockerfile_inline"].splitlines()
        for file in (word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]):
            assert (root / file).exists()
        assert "COPY . " not in service["build"]["dockerfile_inline"], "a kit would get into the image"
        assert all(f"\n{target}:" in (root / "Makefile").read_text() for target in lines[-1].split("make ")[-1].split())


def probed(kit, server):
    """What a kit says of a server with the certificate in another, that asks for one as the engine does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=server / "ca.crt")
    context.load_cert_chain(server / "tls.crt", server / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED

    def answer():
        with contextlib.suppress(OSError), context.wrap_socket(line.accept()[0], server_side=True) as safe:
            safe.recv(100)
            safe.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as line:
        threading.Thread(target=answer, daemon=True).start()
        return kits.probe(kit, Consent.read(kit)._replace(port=line.getsockname()[1]))


def test_what_is_wrong_with_the_way_to_the_server_is_said(made, tmp_path):
    (one, other), kit = (project.kits for project in made), made[0].kits["Hospital 0"]
    assert "cannot be reached" in kits.probe(kit, Consent.read(kit))
    assert probed(kit, one[SERVER]) == ""
    assert "is not this study's server" in probed(kit, other[SERVER])  # a foreign authority
    assert "unsuitable certificate purpose" in probed(kit, one["Hospital 1"])  # a hospital that plays the server
    assert "is not this study's server" in probed(other["Hospital 0"], one[SERVER])
    mixed = shutil.copytree(other["Hospital 0"], tmp_path / "mixed")
    shutil.copy(kit / "ca.crt", mixed)
    assert "refuses the certificate of this kit" in probed(mixed, one[SERVER])


def test_the_engine_trusts_the_studys_authority_and_none_that_the_machine_trusts(made, monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "")
    kits.trust(made[0].kits["Hospital 0"])
    trusted = ssl.create_default_context().get_ca_certs()  # as the engine makes it
    assert [dict(pair for (pair,) in one["subject"])["commonName"] for one in trusted] == ["fedkit study"]


@pytest.mark.parametrize(
    ("late", "said"), [("Hospital 0", "certificate of this kit, good until 2"), (SERVER, "has expired; this machine")]
)
def test_a_certificate_that_has_run_out_is_said_at_the_site(made, late, said):
    with made[0].expired(late):
        assert said in probed(made[0].kits["Hospital 0"], made[0].kits[SERVER])


@pytest.mark.parametrize("serving", [False, True])
def test_the_engine_is_told_to_do_nothing_for_anybody(made, serving):
    kit = made[0].kits[SERVER if serving else "Hospital 0"]
    place = kits.workspace(kit, Consent.read(kit), "h-0", serving)
    files = {path.name: json.loads(path.read_text()) for path in place.rglob("*.json")}
    rights = files["authorization.json"]["permissions"]
    every = "submit_job clone_job manage_job download_job view operate shell_commands byoc".split()
    roles = ("project_admin", "org_admin", "lead", "member")
    assert rights == {role: dict.fromkeys(every, "none") for role in roles}
    resources, only = files["resources.json"], {"class_allow_list": ["fedkit.network"], "allow_log_streaming": False}
    assert (only | {"class_list_enforcement_mode": "enforce"}).items() <= resources.items()
    assert [one["path"] for one in resources["components"]] == ["fedkit.network.resident.Resident"]
    start = files["fed_server.json" if serving else "fed_client.json"]
    assert start["servers"][0]["service"]["target"] == f"127.0.0.1:{made[0].port}"
    assert (start["servers"][0] if serving else start["client"])["connection_security"] == "mtls"
    assert not [path for path in place.rglob("*") if not path.resolve().is_relative_to(kit)]


STARTS = """
import os, signal, subprocess
from fedkit.network import loopback
quiet = {"stdout": subprocess.DEVNULL, "preexec_fn": loopback._die_with_parent}
print(subprocess.Popen(["sleep", "20"], **quiet).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_trial_started_ends_with_it_though_it_is_killed():
    ended = subprocess.run([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    assert ended.returncode == -signal.SIGKILL
    place, until = Path("/proc", ended.stdout.strip(), "cmdline"), time.monotonic() + 10
    while (left := place.exists() and b"sleep" in place.read_bytes()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
