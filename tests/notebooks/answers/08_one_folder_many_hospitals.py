# %% Exercise 1: right
def letters_left(hospitals, rounds):
    return (2 * hospitals + 2) * (rounds + 3)


# %% Exercise 1: right
def letters_left(hospitals, rounds):
    numbers = ["statistics", "bounds", *["update"] * rounds, "scores"]
    return sum(hospitals + 1 + hospitals + 1 for _ in numbers)


# %% Exercise 1: right
def letters_left(hospitals, rounds):
    ones = twos = float(hospitals)
    return (ones + twos + 1 + 1) * (1 + 1 + 1) + rounds * (ones + twos + 1 + 1)


# %% Exercise 1: wrong
def letters_left(hospitals, rounds):
    return (2 * hospitals + 2) * (rounds + 2)


# %% Exercise 1: wrong
def letters_left(hospitals, rounds):
    return 10 * (rounds + 3)


# %% Exercise 1: wrong
def letters_left(hospitals, rounds):
    return 10 * (hospitals + 1)


# %% Exercise 2: given
from fedkit import exchange, hospitals

federation = hospitals.load("heart_disease")
# %% Exercise 2: right
patience = {"quorum": 3, "deadline_seconds": 0.1}
late = exchange.rehearse(federation, rounds=3, silent=["VA Long Beach"], **patience)
# %% Exercise 2: right
late = exchange.rehearse(federation, silent=("VA Long Beach",), rounds=3, quorum=3, deadline_seconds=0.2)
# %% Exercise 2: right
settings = dict(rounds=3, quorum=3, deadline_seconds=0.05)
late = list(exchange.rehearse(federation, silent={federation.names[-1]}, **settings))
# %% Exercise 2: wrong
late = exchange.rehearse(federation, rounds=3)
# %% Exercise 2: wrong
late = exchange.rehearse(federation, rounds=3, silent=["Switzerland"], quorum=3, deadline_seconds=0.1)
# %% Exercise 2: wrong
late = exchange.rehearse(federation.without("VA Long Beach"), rounds=3)
# %% Exercise 2: wrong
late = exchange.rehearse(federation, rounds=2, silent=["VA Long Beach"], quorum=3, deadline_seconds=0.1)
# %% Exercise 3: given
import secrets
import tempfile
from pathlib import Path

from fedkit import exchange, hospitals
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings, journal, letters, rounds

teacher, federation, disk = Identity.new("Teacher"), hospitals.load("heart_disease"), tempfile.TemporaryDirectory()


def begin(place):
    where = str(Path(disk.name, place))
    boss = Maker(Folder(where), teacher)
    aloud = boss.invite(Settings.of(federation))
    how = {"invitation": aloud, "known": exchange.EVERYBODY}
    people = {rows.name: Participant(Folder(where), Identity.new(rows.name), rows, **how) for rows in federation}
    for step in (None, boss.open):
        if step:
            step()
        for one in people.values():
            while one.step().acted:
                pass
    return where, aloud, people


def read(what, number, where):
    found = Folder(where).new(rounds.place(what, number), 10**6)
    return {each.sender: letters.read(each, None, None, number) for each in found}


def refused(where):
    return {event["why"] for event in journal.events(Folder(where)) if event["what"] == "refused"}


# %% Exercise 3: right
def forge(folder, place, size):
    about = About("", "statistics", 0, "Hungary", ("Hungary",))
    return letters.post(folder, place, bytes(size), about, Identity.new("Hungary"))


# %% Exercise 3: right
liar = Identity.new("Hungary")


def forge(folder, place, size):
    about = About(study="", purpose="statistics", round=0, sender=liar.name, hospitals=(liar.name,))
    letters.post(folder, place, secrets.token_bytes(size), about, liar)


# %% Exercise 3: right
def forge(folder, place, size):
    about = About("", "statistics", 0, "Hungary", ("Hungary",))
    letter = letters.signed(bytes(range(256)) * (size // 256) + bytes(size % 256), about, Identity.new("Hungary"))
    return folder.post(place, "Hungary", letter)


# %% Exercise 3: wrong
def forge(folder, place, size):
    return folder.post(place, "Hungary", b"a letter without a signature")


# %% Exercise 3: wrong
def forge(folder, place, size):
    about = About("", "statistics", 0, "Zurich", ("Zurich",))
    return letters.post(folder, place, bytes(size), about, Identity.new("Zurich"))


# %% Exercise 3: wrong
def forge(folder, place, size):
    about = About("", "statistics", 1, "Hungary", ("Hungary",))
    return letters.post(folder, place, bytes(size), about, Identity.new("Hungary"))


# %% Exercise 3: wrong
def forge(folder, place, size):
    about = About("", "statistics", 0, "Hungary", ("Hungary",))
    return letters.post(folder, place, bytes(7), about, Identity.new("Hungary"))


# %% Exercise 3: wrong
def forge(folder, place, size):
    about = About("", "list", 0, "Hungary", ("Hungary",))
    return letters.post(folder, place, bytes(size), about, Identity.new("Hungary"))
