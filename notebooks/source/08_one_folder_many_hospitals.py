# %% [markdown]
# # 08. Can hospitals train together with no server, in one shared folder?
#
# *One minute to run, 30 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb). The plan of
# a lesson with thirty people: [classroom](classroom.md).*
#
# By the end you can:
#
# - say what a letter is, and why files that nobody changes need no lock;
# - start a study: invite, compare fingerprints, join, and be told why not;
# - follow the two letters of a sum through the folder, kill a hospital, and start it again;
# - say what an intruder, a lying coordinator and an old backup can do, and who together can read what;
# - put a study beside other methods, and play your own part in a class.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
ROUNDS = 20  # rounds of training; for a class, 5 are enough
ROLE = "alone"  # in a class: "hospital", "maker", "coordinator" or "watch"
HOSPITAL = ""  # in a class: who you are; "hospital 7" at seat 7
FOLDER = ""  # in a class: path of the shared folder
FINGERPRINT = ""  # in a class: of the invitation, as it is read aloud
SEATS = 30  # in a class: how many hospitals the patients are dealt out to
STUDY = (
    ""  # after the class: folder of the study that you saved; else the one made here
)

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {
        "ROUNDS": 20,
        "ROLE": "alone",
        "HOSPITAL": "",
        "FOLDER": "",
        "FINGERPRINT": "",
        "SEATS": 30,
        "STUDY": "",
    },
    {"ROUNDS": 6},
)

# %% [markdown]
# ## Alone, or in a class
#
# No server program runs here, or anywhere else. There is one folder that all hospitals can reach: a disk in a network,
# or a folder in Google Drive. But somebody must still add: in each round, a [coordinator](glossary.md#coordinator) comes
# by and adds up what it cannot read.
#
# Alone, leave the parameters, and go on. In a class, your teacher tells you what to write above. Then the next cell
# plays your part, and the rest is not run. It asks for a [passphrase](glossary.md#passphrase): your secret key stays on this machine's own
# disk, locked.

# %%
from fedkit.exchange import classroom

if ROLE != "alone":
    classroom.play(ROLE, HOSPITAL, FOLDER, FINGERPRINT, rounds=ROUNDS, seats=SEATS)
    raise classroom.Played("Your part is played. To read on, set ROLE to alone.")

# %% [markdown]
# ## A letter
#
# A shared folder is a difficult place. Files show late, and in any order. A file may be seen half written. Drive makes
# "name (1)" out of two copies. Two people may write to one file, and one of them loses.
#
# So **nobody ever changes a file**. We call such a file a [letter](glossary.md#letter). It is written aside, under a random
# name, and then *renamed*, so that it appears whole. Its name is a **hash** of its content, a short fingerprint of the
# bytes by a rule called [SHA-256](glossary.md#sha-256). The reader takes a file only if its content is what its name
# says.

# %% tags=["slide"]
import hashlib
import secrets
from pathlib import Path


def named(data):
    return hashlib.sha256(data).hexdigest()[:32]


def post_by_hand(folder, place, sender, data):
    aside = folder / "incoming" / secrets.token_hex(8)
    aside.write_bytes(data)
    return aside.rename(folder / place / f"{named(data)}.{sender}.letter")


def read_by_hand(folder, place):
    found = {file.name[:32]: file.read_bytes() for file in (folder / place).iterdir()}
    return [data for name, data in found.items() if named(data) == name]


# %% [markdown]
# A copy, half a letter, a changed one: see how many we find, and fedkit.

# %% tags=["plumbing"]
# Three letters, of which one is copied, one is cut, and one is changed
import tempfile

disk = tempfile.TemporaryDirectory()
practice = Path(disk.name, "practice")
for place in ("post", "incoming"):
    (practice / place).mkdir(parents=True)
said = [b"Good morning from Budapest.", b"half written", b"changed"]
first, half, changed = (
    post_by_hand(practice, "post", "Hungary", data) for data in said
)
copy = first.with_name(f"{first.name} (1)")
changes = {copy: first.read_bytes(), half: b"half", changed: b"CHANGED"}
for file, content in changes.items():
    file.write_bytes(content)

# %%
from fedkit.exchange import Folder

by_hand, drive = read_by_hand(practice, "post"), Folder(practice)
assert by_hand == [letter.data for letter in drive.new("post", 1000)]
assert drive.post("post", "Hungary", by_hand[0]).name == first.name
print(f"{len([*(practice / 'post').iterdir()])} files, letters: {by_hand}")

# %% [markdown]
# So nothing has to be locked.
#
# ## The maker invites
#
# A hash says that a letter is whole, not who wrote it. So each letter is also **signed**, as in notebook 03, with a key
# that only its sender has.
#
# Somebody starts the study: its [maker](glossary.md#maker). Here it is a teacher, who also is the coordinator. You play the
# teacher *and* Cleveland, to see all. In life, take two.

# %%
from fedkit import hospitals
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Coordinator, Maker, Participant, Settings

federation, shared = hospitals.load("heart_disease"), str(Path(disk.name, "shared"))
teacher = Identity.new("Teacher")
maker = Maker(Folder(shared), teacher)
spoken = maker.invite(Settings.of(federation, title="Heart", rounds=ROUNDS))
print(f"The teacher reads aloud: {spoken}")

# %% [markdown]
# Why aloud? Whoever can write into the folder can post an invitation. What was read is a
# [fingerprint](glossary.md#fingerprint): the first 80 bits of the invitation's hash. It stands for settings, coordinator and maker.
#
# ## Joining
#
# You are Cleveland. First you write down a wrong digit. Then you hear it right, and ask to join: a letter with your
# public keys, and the names of your columns. `home` is a folder of your own machine, for what your process must not
# forget.

# %%
cleveland, homes = Identity.new("Cleveland"), Path(disk.name, "homes")
homes.mkdir()
rows, home = federation["Cleveland"], homes / "Cleveland"
digits = "7777-" + spoken[5:]
misheard = Participant(Folder(shared), cleveland, rows, invitation=digits, known=[])
print(misheard.step())
me = Participant(
    Folder(shared), cleveland, rows, invitation=spoken, home=home, known=[]
)
print(me.step())

# %% [markdown]
# The other three hospitals are real processes. This is all that each runs. Its secret key lies in a file of its own,
# locked by a passphrase. It prints its fingerprint, and waits for somebody to type.

# %%
program = """
import os, sys
from fedkit import hospitals
from fedkit.exchange import Folder, Participant
from fedkit.encryption.identities import Identity, fingerprint

shared, spoken, home, name = sys.argv[1:]
passphrase, parent, file = os.environ["PASSPHRASE"], os.getppid(), home + ".identity"
if not os.path.exists(file):
    Identity.new(name).save(file, passphrase)
me, rows = Identity.load(file, passphrase), hospitals.load("heart_disease")[name]
print(fingerprint(me.public), flush=True)
typed = {"invitation": spoken, "home": home, "known": input().split()}
hospital = Participant(Folder(shared), me, rows, **typed)
hospital.run(poll_seconds=0.1, until=lambda status: os.getppid() != parent)
"""
# %% tags=["plumbing"]
# start: three such processes
import os
import subprocess
import sys
import time

three = [name for name in federation.names if name != "Cleveland"]
passphrases = {name: secrets.token_hex(16) for name in three}


def start(name, home=None):
    own, secret = str(home or homes / name), {"PASSPHRASE": passphrases[name]}
    command = [sys.executable, "-c", program, shared, spoken, own, name]
    how = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with (homes / f"{name}.txt").open("a") as said:
        return subprocess.Popen(command, stdout=said, env=os.environ | secret, **how)


others = {name: start(name) for name in three}

# %% [markdown]
# ## Compare two fingerprints
#
# Who says that the others are hospitals? The teacher could invent three shadows, and take *your* update out of the sum
# of you and them. So **each hospital calls two others**, and they read their fingerprints to each other. No program
# answers a list without two that are `known`.


# %% tags=["plumbing"]
# say: what a process says; typed: into it; wait: until something is so
def say(name):
    return (homes / f"{name}.txt").read_text().splitlines()


def typed(process, words):
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


def wait(until):
    while not until():
        failed = [name for name, process in others.items() if process.poll()]
        assert not failed, f"The process of {failed[0]} failed."
        time.sleep(0.1)


# %%
wait(lambda: all(say(name) for name in three))
heard = {name: say(name)[0] for name in three}
heard["Cleveland"] = fingerprint(cleveland.public)
for name, process in others.items():  # a person at each hospital types
    typed(process, " ".join(heard[other] for other in heard if other != name))
heard

# %% [markdown]
# A fifth one wants to join, from Zurich. There the column `chol` is called `cholesterol`. The teacher waits until all
# have asked, and looks at the requests. Zurich is told why. Then the teacher **opens** the study: the list of hospitals
# is fixed.

# %% tags=["plumbing"]
# Zurich, with the rows of Switzerland
from dataclasses import replace

from fedkit import exchange

table = federation["Switzerland"].table.rename(columns={"chol": "cholesterol"})
rows_zurich = replace(federation["Switzerland"], name="Zurich", table=table)
join = {"invitation": spoken, "known": exchange.EVERYBODY}
zurich = Participant(Folder(shared), Identity.new("Zurich"), rows_zurich, **join)
print(zurich.step())

# %%
wait(lambda: len(maker.step()) == 5)
for request in maker.step():
    print(request.fingerprint, request.name, *(request.problems or ["fits"]))
print(zurich.step())
maker.open()

# %% [markdown]
# You have called nobody yet. See what your program says. Then you call Hungary and Switzerland, and the digits are the
# same.

# %%
print(me.step())  # it makes the group's key, of which more below
print(me.step())
me.known = [heard["Hungary"], heard["Switzerland"]]
print(me.step())

# %% [markdown]
# ## Two letters a sum
#
# As in notebook 03, each hospital hides its numbers with a key of its own, which is **used once**. The sum of the
# numbers opens with the sum of the keys, and with nothing else:
#
# 1. **Letter one**: each hospital's hidden numbers, made before anybody knows who else comes.
# 2. **The list**: the coordinator signs whose letters arrived.
# 3. **Letter two**: each hospital's key, masked, for exactly this list. In the sum of the whole list, the masks cancel.
# 4. **The sum** of both, by the coordinator. Every hospital opens it.
#
# Number 0 adds up the statistics that prepare the rows, number 1 how many patients train, then each round has a
# number. Every hospital moves its own copy of the model: nobody sends one, it *follows* from the sums. All four
# wait for a list now, and only the coordinator makes one.

# %% tags=["plumbing"]
# play: your two parts in turn; until letters have arrived, or are added; read
from fedkit.exchange import letters, rounds

look, later = min(3, ROUNDS), min(4, ROUNDS + 1)  # numbers that we look at closely


def play(until):
    waited = 0
    while not until():
        waited = 0 if me.step().acted else waited + 1
        assert waited < 12_000, "For ten minutes, somebody has not answered."
        time.sleep(0.05)


def added(number):
    return lambda: coordinator.step() and coordinator.study.step.number > number


def arrived(what, number, expected=4):
    return lambda: len(me.folder.names(rounds.place(what, number))) == expected


def read(what, number, where=shared):
    found = Folder(where).new(rounds.place(what, number), 10**6)
    return {each.sender: letters.read(each, None, None, number) for each in found}


# %%
play(arrived("one", 0))
assert not me.folder.names(rounds.place("list", 0)), "No list without a coordinator."
how = {"invitation": spoken, "home": homes / "Teacher"}
coordinator = Coordinator(Folder(shared), teacher, **how)
play(added(look - 1))
print(*say("Hungary"), sep="\n")

# %% [markdown]
# Look at number 3, round 2. Anybody can read who sent what, and how long it is.

# %%
play(arrived("one", look))
ones = {name: letter.content for name, letter in sorted(read("one", look).items())}
for name, content in ones.items():
    print(f"{name:13} {content[-6:].hex()} ({len(content)} bytes)")
assert len(set(map(len, ones.values()))) == 1, "All letters are as long."
assert len(set(ones.values())) == 4, "No two are alike."

# %% [markdown]
# (Switzerland's technician makes a backup. Remember it.) The coordinator closes the list,
# and the second letters come.

# %%
import shutil

shutil.copytree(homes / "Switzerland", homes / "backup")
shutil.copy(homes / "Switzerland.identity", homes / "backup.identity")
status = coordinator.step()
play(arrived("two", look))
(listed,) = read("list", look)["Teacher"].json()["groups"]
assert listed == {name: hashlib.sha256(one).hexdigest() for name, one in ones.items()}
print(*(f"{name:13} {code[:16]}..." for name, code in listed.items()), sep="\n")

# %% [markdown]
# A list names letters by their hashes, so nobody can exchange one. And letter two, does it show a key? The numbers of a
# key lie between -42 and 42. See what lies in Switzerland's letter, and in the sum of all four:

# %% tags=["plumbing"]
# How far numbers lie from 0, in one letter two and in all; the group's key
import numpy as np

from fedkit.encryption import messages

parameters, twos = me.study.parameters, read("two", look)
modulus = 2 ** parameters.share_bits(4)


def farthest(names):
    letters_two = [twos[name].content for name in names]
    keys = [messages.Share.from_bytes(two, parameters, 4).key for two in letters_two]
    key = np.sum(keys, axis=0, dtype=np.int64) % modulus
    return int(np.minimum(key, modulus - key).max())


one, all_four = farthest(["Switzerland"]), farthest(federation.names)
assert one > 42, "No key should show."
assert all_four > 4 * 42, "And no sum of keys, to one who is no hospital."
print(f"farthest from 0: {one} and {all_four}")
(letter_key,) = Folder(shared).new("group", 10**6)
sealed = letters.read(letter_key, me.study.id, "group", 0).json()["sealed"]
assert set(sealed) == set(federation.names), "To the hospitals, and to nobody else."
print(f"group's key: by {letter_key.sender}, sealed to {', '.join(sealed)}")

# %% [markdown]
# No: both are full of masks. Those between two hospitals cancel in the sum. One stays: from the [group's key](glossary.md#groups-key), which
# the hospitals hold and the coordinator does not. You made it, and **sealed** it: for each hospital, encrypted with its
# *public* key.
#
# ## Kill a hospital
#
# Switzerland's process is killed, and saves nothing. All have posted letter one of number 4; its letter two is missing.

# %%
import signal

play(added(look))
play(arrived("one", later))
others["Switzerland"].kill()
print(signal.Signals(-others["Switzerland"].wait()).name)

# %% tags=["plumbing"]
# The picture for the projector: who is waited for
from fedkit import plots
from fedkit.chapters.figures.studies import study_grid
from fedkit.exchange.watch import Watch

play(lambda: coordinator.step() and arrived("two", later, 3)())
progress = Watch(Folder(shared), spoken, me).look()
plots.save(
    study_grid(progress.letters, progress.sentence),
    "study_in_a_folder",
    progress.letters,
    """Four rows, the hospitals. The columns of what was added hold green squares. In
    the last column three hospitals have a blue diamond, for both letters, and
    Switzerland has a blue circle, for its first.""",
)

# %% [markdown]
# ## Intruders
#
# While we wait, somebody else writes three letters into the folder. One is in Switzerland's name, without a signature.
# One is Hungary's letter two of number 3, once more under number 4. And one is the sum of number 3, with one bit
# changed. All three have the right file name: hashing is no secret. What is refused stands in the **log**. Each
# line holds the hash of the line before: who remembers the last one notices a change, and nobody else.

# %% tags=["plumbing"]
# Why letters were refused, as the log says
from fedkit.exchange import journal


def refused(where=shared):
    events = [one for one in journal.events(Folder(where)) if one["what"] == "refused"]
    ours = [one for one in events if one["writer"] in ("Teacher", "Cleveland")]
    return {one["why"] for one in ours}


before = refused()

# %%
intruder, again = Folder(shared), rounds.place("two", later)
letters_two = intruder.new(rounds.place("two", look), 10**6)
old = {found.sender: found.data for found in letters_two}["Hungary"]
(total,) = intruder.new(rounds.place("sum", look), 10**6)
flipped = total.data[:-1] + bytes([total.data[-1] ^ 1])
noted = intruder.post(again, "Switzerland", b"I am Switzerland, and I am back.")
noted = intruder.post(again, "Hungary", old)
noted = intruder.post(rounds.place("sum", look), "Teacher", flipped)
status_coordinator, status_me = coordinator.step(), me.step()
assert len(refused() - before) == 3, "Each is refused, and the log says why."
print(*sorted(refused() - before), sep="\n")

# %% [markdown]
# ## An old backup
#
# The technician puts the backup on a new computer. It is of number 3, and does not know that letter one of number 4 was
# sent. *Other* numbers under the same key would show their difference to everybody.

# %%
others["Switzerland"] = start("Switzerland", homes / "backup")
typed(others["Switzerland"], "")
assert others["Switzerland"].wait(timeout=600) == 0, "It should stop."
assert arrived("one", later)(), "And send nothing."
print(say("Switzerland")[-1])

# %% [markdown]
# ## Start it again
#
# The old disk is found. `home` holds the keys for numbers to come, the letters of this one, and the sums that were
# opened, all written *before* a letter left. So the new process posts the letter two that is missing.

# %%
others["Switzerland"] = start("Switzerland")
typed(others["Switzerland"], "")
play(lambda: coordinator.step().ended)
assert not any(process.wait(timeout=600) for process in others.values())
print("Cleveland:", me.step())

# %% [markdown]
# Do all hold the same model? They compare its fingerprint aloud. And is it the model that notebook 02 trains, with no
# folder, no encryption and no accident? Not to the last bit: an update is rounded to small steps, to be encrypted, and
# [dither](glossary.md#dither) makes it never the same twice. A study *without* an accident is as near. We play one in
# memory.

# %%
from fedkit import learning

assert {say(name)[-1] for name in three} == {str(me.step())}, "One model."
run_plain = learning.train_federated(federation, rounds=ROUNDS, seed=0)
pairs = zip(me.weights, run_plain.weights["shared"], strict=True)
gap = max(np.abs(mine - plain).max() for mine, plain in pairs)
assert gap < 1e-5, "The study should train the model of notebook 02."
undisturbed = exchange.rehearse(federation, rounds=ROUNDS)[0]
pairs = zip(me.weights, undisturbed.weights, strict=True)
gap = max(gap, *(np.abs(mine - other).max() for mine, other in pairs))
assert gap < 1e-5, "An accident should change nothing."
print("from notebook 02, and from a study without an accident: less than 1e-5")

# %% [markdown]
# ## A coordinator who lies
#
# The coordinator writes the lists. One with Switzerland and one without: the difference of the two sums would be
# Switzerland's numbers. We play small studies in this process, in which you are a teacher who lies.
#
# First lie: a list without Switzerland. See what Hungary does, which sees Switzerland's letter.


# %% tags=["plumbing"]
# begin: a small study, up to letter one of the statistics; turn: all take steps
def turn(people):
    for one in people.values():
        while one.step().acted:
            pass


def begin(place, people=federation, **settings):
    where, kept = str(Path(disk.name, place)), homes / place
    boss = Maker(Folder(where), teacher)
    aloud = boss.invite(Settings.of(people, **settings))
    how = {"invitation": aloud, "known": exchange.EVERYBODY, "home": kept}
    how["waits_for_all"] = "budget" not in settings
    them = [Participant(Folder(where), Identity.new(o.name), o, **how) for o in people]
    made = {one.identity.name: one for one in them}
    turn(made)  # all ask to join
    boss.open()
    turn(made)  # all post letter one of the statistics
    return where, aloud, made


# %%
from fedkit.encryption.envelopes import About


def lie(where, study, names):
    """Post a list of some, signed by the teacher as the real one is."""
    sent = read("one", 0, where)
    group = {name: hashlib.sha256(sent[name].content).hexdigest() for name in names}
    said = {"about": sent["Hungary"].study.removeprefix(study), "groups": [group]}
    about = About(study, "list", 0, "Teacher", ("Teacher",))
    return letters.post(Folder(where), rounds.place("list", 0), said, about, teacher)


where, _, people = begin("left out")
study_id = people["Hungary"].study.id
some = [name for name in federation.names if name != "Switzerland"]
wrong = lie(where, study_id, some)
turn(people)
assert not Folder(where).names(rounds.place("two", 0)), "Nobody answers it."
print(people["Hungary"].step())

# %% [markdown]
# Second lie: the right list, which all answer. Then the teacher hides it, restarts Hungary, and shows the other one.

# %%
where, aloud, people = begin("two lists")
again = people["Hungary"]
right = lie(where, again.study.id, federation.names)
turn(people)
Folder(where).remove(rounds.place("list", 0), right.name)
wrong = lie(where, again.study.id, some)
how = {"invitation": aloud, "known": [], "home": homes / "two lists"}
again = Participant(Folder(where), again.identity, again.rows, **how)
print(again.step())
assert len(Folder(where).names(rounds.place("two", 0))) == 4, "One letter two each."

# %% [markdown]
# A number is answered once, and masks are made for one list.
#
# ## A laptop that sleeps
#
# Who falls asleep *between* the letters spoils the sum of the whole list. So a class adds up in **groups**, each with a list of its own. Seven seats make groups of four and three. Seat 7 falls asleep after its
# letter one of number 3, and the coordinator gives its group up.

# %% tags=["plumbing"]
# A class of seven, of whom the last falls asleep; and what the log of one says
from fedkit.exchange import classroom

seven, minutes = classroom.seat_federation(7), [0]
patience = {"group_size": 3, "deadline_seconds": 300, "share_seconds": 300, "budget": 4}
where, aloud, people = begin("class", seven, rounds=3, **patience)
how = {"invitation": aloud, "clock": lambda: 60 * minutes[0]}
adder, place = Coordinator(Folder(where), teacher, **how), rounds.place("one", 3)
while not adder.step().ended:
    asleep = adder.study.step.number == 3 and len(Folder(where).names(place)) == 7
    turn({name: people[name] for name in people if not (asleep and name[-1] == "7")})
    minutes[0] += 1
turn(people)
print(Watch(Folder(where), aloud).look())
scores = people["hospital 7"].scores.items()
tested = {round: said["auroc"][1] for round, said in scores}
assert tested[1] < tested[0] == tested[2] == tested[3], "One round is of one group."
print("test patients that the scores are of:", tested)

# %% [markdown]
# Three hospitals lost a round (x), and four did not. What it costs:
#
# - **Time.** All seven waited for the one that slept.
# - **Privacy.** Each hides among three or four, not among seven.
# - **Keys.** Two went out for a sum that never opened. A coordinator could do this on purpose, so there is a
#   **budget**: usually 0, here 4 updates, and no statistics. Then a person must decide.
#
# So each hospital must agree to a deadline or a budget: without `waits_for_all=False` it refuses to join.
#
# ## Who could read what?
#
# Nobody has the key of one letter but its hospital, and not for long. From *one* list, a hospital *and* the coordinator
# read no more than each alone. With lists that change, these two can subtract one sum from another (`SECURITY.md`). How many must work together to read Switzerland's numbers? The sums say, for instance, how many test
# patients all have.

# %%
from fedkit import preparation

split = preparation.split(federation, seed=0).hospitals
own = {name: len(prepared.test_labels) for name, prepared in split.items()}
total = me.scores[1]["auroc"][1]
left = total - sum(own[name] for name in some)
assert left == own["Switzerland"], "All others together know it."
print(f"all four: {total}; without the other three: {left}, which is Switzerland")

# %% [markdown]
# **All others** of its list: each takes its own numbers away. No encryption can help here.
#
# | who | reads |
# | --- | --- |
# | anybody with the folder, the coordinator too | who sends what, when, how long; names of columns; settings |
# | a hospital | the same, every sum, and the model |
# | a hospital *and* the coordinator | no more from one list, but they can **invent a sum** |
# | all hospitals of a list but one | **the update of that one** |
#
# The third line is why the teacher should be no hospital. What is *not* protected?
#
# - **Deleting** stops a study.
# - **Lies.** A signature says who, not what ([notebook 07](07_malicious_participants.ipynb)). Nonsense in a letter two
#   stops a sum, and nobody sees whose it was.
# - **The sums and the model** tell something about rows ([notebook 06](06_gradient_leakage.ipynb)).
# - **A lost home** puts a hospital out: nobody can join after the opening.
# - **Tomorrow.** Whoever keeps the folder until there is a quantum computer reads all of it.
#
# ## What it costs
#
# Bytes of each hospital, in the whole study. "up" is what it wrote, "down" what it had to read.

# %% tags=["plumbing"]
# Kilobytes of each hospital, bytes of a round's letters; the study is saved
from fedkit import records
from fedkit.exchange import results

ledger = results.ledger(me.study)
moved = ledger.groupby(["hospital", "direction"])["bytes"].sum().unstack()
one_round = ledger[ledger["round"].eq(ROUNDS) & ledger["direction"].eq("up")]
sizes = one_round.groupby("phase")["bytes"].mean()
assert sizes.sum() < 2200, "The two letters of a round have about two kilobytes."
records.glue("letter_bytes", sizes.sum())
results.run(me, federation).save(Path(disk.name, "study"))
print(sizes.round())
(moved / 1e3).round(1)

# %% [markdown]
# "send" is letter one, "share" letter two. It does not grow with the model: for a million numbers it is nothing. "down"
# is more than "up": before it answers, each hospital reads letter one of all others on its list.
#
# ## One more method
#
# A study ends as a `Run`, like every training of this kit. (In life nobody has all rows, to test at each hospital.)
#
# ### Was it worth it?
#
# Write the folder of a study that you saved in a class into `STUDY` above: then it stands here.
# The methods of [notebook 04](04_comparison_of_outcomes.ipynb) train on the study's split, too. See which are equal.

# %% tags=["plumbing"]
# The study is loaded, or yours is; is it of the same patients?
from fedkit import aggregators, evaluation

study = records.load(STUDY or Path(disk.name, "study"))
sites = study.predictions["hospital"].nunique()
people = federation if sites == len(federation) else classroom.seat_federation(sites)
same_patients = study.provenance["sha256"] == people.sha256
assert same_patients, "The study is of other patients than this kit has."
same_model = study.settings["model"] == "logistic regression"
assert same_model, "The study has another model than the methods below."
kept = ("rounds", "seed", "epochs", "batch_size", "learning_rate")
same = {name: study.settings[name] for name in kept}

# %% tags=["plumbing"]
# The AUROC of each hospital, by four other methods and in the study
bfv = aggregators.EncryptedMean()
beside = [
    learning.train_local(people, **same),
    learning.train_centralized(people, **same),
    learning.train_federated(people, **same),
    learning.train_federated(people, aggregator=bfv, **same),
    study,
]
one_split = evaluation.table(beside, ["auroc"]).pivot_table(
    "value", "hospital", "method", dropna=False
)
by_folder = (one_split[study.method] - one_split["federated + BFV"]).abs().max()
assert STUDY or by_folder < 0.0005, "The folder changes no AUROC."
records.glue("auroc_mean_of_hospitals", study.final("auroc").mean())
one_split[[run.method for run in beside]].round(3)

# %% [markdown]
# The three federated ones are, unless a hospital missed a round. But one split has no interval: whether it was worth it
# for a hospital may be the luck of its few test patients.
#
# ## What you can do now
#
# - A letter is signed, named by its hash, renamed into place, never changed. So no lock and no server is needed,
#   but a coordinator, who adds in each round.
# - You started a study, compared fingerprints, joined, and saw Zurich refused with a reason.
# - You followed two letters, killed Switzerland, and started it again: all hold one model.
# - An intruder can delete, a liar gets no second answer, an old backup is refused; all others of a list together read
#   one hospital.
# - You put a study beside four others. In a class, set `ROLE`, `HOSPITAL`, `FOLDER` and `FINGERPRINT`; then `STUDY`.
#
# ## Exercises
#
# **1. Predict.** How many letters one, lists, letters two and sums does a whole study leave in the folder, if nothing
# goes wrong? Do not forget statistics, patients and the scores of the last model. Write a formula, for any number of
# hospitals (in one group) and of rounds.


# %% tags=["exercise"]
def letters_left(hospitals, rounds):
    return ...


# %% tags=["solution"]
def letters_left(hospitals, rounds):
    each = 2 * hospitals + 2  # two letters each, a list and a sum
    return each * (rounds + 3)


# %% tags=["plumbing"]
# Is it right? Small studies are played, and letters counted
import dataclasses

from fedkit import exchange, hospitals
from fedkit.chapters import course


def counts(of, number):
    def agrees(function):
        found, few = function(of, number), hospitals.load("heart_disease")
        few = dataclasses.replace(few, hospitals=few.hospitals[:of])
        folder = exchange.rehearse(few, rounds=number)[0].folder
        kinds = [at for at in folder.places() if at[:3] in ("one", "lis", "two", "sum")]
        there = sum(len(folder.names(place)) for place in kinds)
        return ... if found is ... else found == there

    return agrees


course.check(
    "Exercise 1",
    letters_left,
    (counts(4, 2), "Four hospitals, two rounds: which numbers are there?"),
    (counts(3, 1), "Three hospitals, one round: what is there less of?"),
)

# %% [markdown]
# **2. Modify.** `exchange.rehearse(federation, rounds=3)` plays a study in memory, and waits for everybody. Play one in
# which `silent` is `["VA Long Beach"]`. It needs a `quorum` of 3, and `deadline_seconds` of 0.1. Then compare test
# patients and weights with a study of all: `.scores[3]["auroc"]` and `.weights` of a participant.

# %% tags=["exercise"]
late = ...  # what exchange.rehearse returns

# %% tags=["solution"]
patience = {"quorum": 3, "deadline_seconds": 0.1}
late = exchange.rehearse(federation, rounds=3, silent=["VA Long Beach"], **patience)
everybody = exchange.rehearse(federation, rounds=3)
for people in (late, everybody):
    tested, bias = people[0].scores[3]["auroc"][1], people[0].weights[-1]
    print(f"{len(people)} hospitals, {tested} test patients, bias {float(bias[0]):.3f}")

# %% tags=["plumbing"]
# Is it right? Its test patients are those of the three others
from fedkit import hospitals, preparation
from fedkit.chapters import course


def names(people):
    return {one.identity.name for one in people}


split = preparation.split(hospitals.load("heart_disease"), 0).hospitals
rest = [len(split[name].test_labels) for name in split if name != "VA Long Beach"]
course.check(
    "Exercise 2",
    late,
    (lambda people: "VA Long Beach" not in names(people), "Who should be silent?"),
    (lambda people: len(names(people)) == 3, "The three others should take part."),
    (lambda people: len(people[0].study.roster) == 4, "All four should be invited."),
    (lambda people: max(people[0].scores) == 3, "Play three rounds."),
    (
        lambda people: people[0].scores[3]["auroc"][1] == sum(rest),
        "Look at `.scores[3]`: of how many test patients should it be?",
    ),
)

# %% [markdown]
# **3. Build.** Be a better intruder: post a *signed* letter one of the statistics, of the right length, in Hungary's
# name. You do not have Hungary's key, so make one for an identity that calls itself Hungary. `lie` above shows
# `About` and `letters.post`; the study's name in `About` may be empty. Why is it refused?


# %% tags=["exercise"]
def forge(folder, place, size):
    """Post a letter of `size` bytes of content at this place, and return it."""
    return ...


# %% tags=["solution"]
def forge(folder, place, size):
    """Post a letter of `size` bytes of content at this place, and return it."""
    about = About("", "statistics", 0, "Hungary", ("Hungary",))
    return letters.post(folder, place, bytes(size), about, Identity.new("Hungary"))


# %% tags=["plumbing"]
# Is it right? A new study's log says why it is refused; its letter is read
import secrets

from fedkit.chapters import course


def is_refused(function):
    (where, aloud, _), at = begin(secrets.token_hex(4)), rounds.place("one", 0)
    size, there = len(read("one", 0, where)["Hungary"].content), Folder(where).names(at)
    if function(Folder(where), at, size) is ...:
        return ...
    Coordinator(Folder(where), teacher, invitation=aloud).step()
    print("The log says:", *(refused(where) or ["nothing"]))
    if not any("signed with another key" in why for why in refused(where)):
        return False
    (came,) = (one for one in Folder(where).new(at, 10**6) if one.name not in there)
    letter = letters.read(came, None, None, 0)
    said = letter.sender, letter.purpose, len(letter.content)
    print("The letter says:", *said)
    return said == ("Hungary", "statistics", size)


hint = "Does the log name another key? Whose is the letter, what for, and how long?"
course.check("Exercise 3", forge, (is_refused, hint))

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. Why does the shared folder need no lock?**
#
# <details><summary>Because nobody ever changes a file that is there</summary>
#
# Right: each letter is a file of its own. It appears whole, under the hash of its content, and stays as it is.
#
# </details>
# <details><summary>Because only the coordinator writes into the folder</summary>
#
# Not this one: all hospitals write their letters into it. The coordinator writes lists and sums.
#
# </details>
# <details><summary>Because each hospital has a folder of its own</summary>
#
# Not this one: all letters lie in one folder. What a hospital has for itself is its home, with its keys.
#
# </details>
#
# **2. Why is the fingerprint of the invitation read aloud?**
#
# <details><summary>Because it is a password that keeps others out</summary>
#
# Not this one: it is no secret: everybody may hear it. It helps to find the true invitation.
#
# </details>
# <details><summary>Because it tells each hospital which rows to take</summary>
#
# Not this one: each hospital brings its own rows. The fingerprint stands for settings, coordinator and maker.
#
# </details>
# <details><summary>Because anybody with the folder can post an invitation</summary>
#
# Right: what was heard from a known person cannot be swapped in the folder. So everybody joins the same study.
#
# </details>
#
# **3. A letter's name is the hash of its content. What does this alone show?**
#
# <details><summary>That it was written by the hospital in its name</summary>
#
# Not this one: anybody can compute a hash. Who wrote a letter is shown by its signature.
#
# </details>
# <details><summary>That it is whole, whoever may have written it</summary>
#
# Right: half a letter or a changed one does not fit its name, and is not taken.
#
# </details>
# <details><summary>That nobody but the hospitals can read its numbers</summary>
#
# Not this one: a hash hides nothing. Numbers are hidden by keys that are used once.
#
# </details>
#
# **4. Switzerland's old backup is started, and its program stops. Why?**
#
# <details><summary>Its model is old, so its update would be of no use to others</summary>
#
# Not this one: the model follows from the sums, which all can read again. The danger is in the keys.
#
# </details>
# <details><summary>It could send other numbers under a key that was used</summary>
#
# Right: two letters under the same key would show their difference to everybody. So a person must decide.
#
# </details>
# <details><summary>Its signature no longer counts, since it was copied</summary>
#
# Not this one: the signature is as good as before. The program itself sees that it has forgotten a letter.
#
# </details>
#
# **5. The coordinator signs a list without Switzerland, whose letter has long been there. What do the other hospitals
# do?**
#
# <details><summary>They answer it, since the coordinator decides who takes part</summary>
#
# Not this one: then the coordinator could get two sums, with and without Switzerland. The difference would be its
# numbers.
#
# </details>
# <details><summary>They write new letters, for the hospitals that are left</summary>
#
# Not this one: nothing is sent twice under one number. A second letter under the same key would tell a difference.
#
# </details>
# <details><summary>They do not answer it, and go on waiting for a right one</summary>
#
# Right: they see the letter that was left out. And for each number, a hospital answers one list only.
#
# </details>
