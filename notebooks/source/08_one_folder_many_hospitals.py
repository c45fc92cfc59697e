# %% [markdown]
# # 08. Can hospitals train together with no server, in one shared folder?
#
# *One minute of computing, 45 of reading. Read [03](03_federated_learning_with_encryption.ipynb) before. The plan of a
# lesson with thirty people is `notebooks/classroom.md`.*
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
    ""  # after the class: folder of the study that you saved; else, the study made here
)

# %%
if PROFILE == "smoke":
    ROUNDS = 6

# %% [markdown]
# ## Alone, or in a class
#
# No server program runs here, or anywhere else. There is one folder that all hospitals can reach: a disk in a network,
# or a folder in Google Drive.
#
# Alone, leave the parameters, and go on. In a class, your teacher tells you what to write above. Then the next cell
# plays your part, and the rest is not run. It asks for a **passphrase**: your secret key stays on this machine's own
# disk, locked.

# %%
from fedkit.exchange import classroom

if ROLE != "alone":
    classroom.play(ROLE, HOSPITAL, FOLDER, FINGERPRINT, rounds=ROUNDS, seats=SEATS)
    raise classroom.Played(
        "Your part is played. To go through the notebook, set ROLE to alone."
    )

# %% [markdown]
# ## A letter
#
# A shared folder is a difficult place. Files show late, and in any order. A file may be seen half written. Drive makes
# "name (1)" out of two copies. Two people may write to one file, and one of them loses.
#
# The way out: **nobody ever changes a file**. We call such a file a **letter**. It is written aside, under a random
# name, and then *renamed*, so that it appears whole. Its name is the SHA-256 of its content.

# %%
import hashlib
import secrets
from pathlib import Path


def post_by_hand(folder, place, sender, data):
    aside = folder / "incoming" / secrets.token_hex(8)
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.{sender}.letter"
    for parent in (folder / place, folder / "incoming"):
        parent.mkdir(exist_ok=True)
    aside.write_bytes(data)
    return aside.rename(folder / place / name)


# %% [markdown]
# The reader takes a file only if its content is what its name says, and each content once.

# %%


def read_by_hand(folder, place):
    files = {
        file.name[:32]: file.read_bytes() for file in sorted((folder / place).iterdir())
    }
    return {
        name: data
        for name, data in files.items()
        if hashlib.sha256(data).hexdigest()[:32] == name
    }


# %% [markdown]
# Now everything goes wrong: a copy, half a letter, a changed letter. How many letters will we find, and fedkit?

# %%
import tempfile

disk = tempfile.TemporaryDirectory()
practice = Path(disk.name, "practice")
practice.mkdir()
first = post_by_hand(practice, "post", "Hungary", b"Good morning from Budapest.")
half, changed = (
    post_by_hand(practice, "post", "Hungary", data)
    for data in (b"half written", b"changed")
)

# %%
copy = first.with_name(f"{first.name} (1)")
for file, content in {
    copy: first.read_bytes(),
    half: b"half",
    changed: b"CHANGED",
}.items():
    file.write_bytes(content)

# %%
from fedkit.exchange import Folder

by_hand = list(read_by_hand(practice, "post").values())
assert by_hand == [letter.data for letter in Folder(practice).new("post", 1000)], (
    "fedkit should read the same."
)
assert Folder(practice).post("post", "Hungary", by_hand[0]).name == first.name, (
    "And post under the same name."
)
print(f"{len(list((practice / 'post').iterdir()))} files, letters: {by_hand}")

# %% [markdown]
# So nothing has to be locked. What a process knows of the study follows from the letters.
#
# ## The maker invites
#
# A hash says that a letter is whole, not who wrote it. So each letter is also **signed**, as in notebook 03, with a key
# that only its sender has.
#
# Somebody starts the study: its **maker**. Here it is a teacher, who also adds up later (**coordinator**). You play the
# teacher *and* Cleveland, to see all. In life these should be two people; you will see why.

# %%
from fedkit import hospitals
from fedkit.exchange import Coordinator, Maker, Participant, Settings
from fedkit.encryption.identities import Identity, fingerprint

federation, shared = hospitals.load("heart_disease"), str(Path(disk.name, "shared"))
teacher = Identity.new("Teacher")
maker = Maker(Folder(shared), teacher)
spoken = maker.invite(Settings.of(federation, title="Heart", rounds=ROUNDS))
print(f"The teacher reads aloud: {spoken}")

# %% [markdown]
# Why aloud? Whoever can write into the folder can post an invitation. The voice is a second channel. What was read is a
# **fingerprint**: the first 80 bits of the invitation's hash. It stands for the settings, who adds up, and the maker's
# public key.

# %%
import base64

(invitation,) = Folder(shared).new("invitation", 10**6)
first_bits = base64.b32encode(hashlib.sha256(invitation.data).digest()[:10]).decode()
spoken_digits = first_bits.translate(
    str.maketrans(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    )
)
assert spoken_digits == spoken.replace("-", ""), "That should be the fingerprint."
print("The same digits, without the lines.")

# %% [markdown]
# You are Cleveland, and you wrote down a wrong digit:

# %%
cleveland, homes = Identity.new("Cleveland"), Path(disk.name, "homes")
homes.mkdir()
rows, home = federation["Cleveland"], homes / "Cleveland"
digits = "7777-" + spoken[5:]
misheard = Participant(Folder(shared), cleveland, rows, invitation=digits, known=[])
print(misheard.step())

# %% [markdown]
# ## Joining
#
# You heard it right, and ask to join: a letter with your public keys, and the names of your columns. `home` is a folder
# of your own machine, for what your process must not forget.

# %%
me = Participant(
    Folder(shared), cleveland, rows, invitation=spoken, home=home, known=[]
)
print(me.step())

# %% [markdown]
# The other three hospitals are real processes. This is all that each runs. Its secret key lies in a file of its own,
# locked by a passphrase. It prints its fingerprint, and waits for somebody to type. (The last line ends it if this
# notebook ends.)

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
# %%
import os
import subprocess
import sys

passphrases = {
    name: secrets.token_hex(16) for name in ("Hungary", "Switzerland", "VA Long Beach")
}


def start(name, home=None):
    own, secret = home or homes / name, {"PASSPHRASE": passphrases[name]}
    with (homes / f"{name}.txt").open("a") as said:
        command = [sys.executable, "-c", program, shared, spoken, str(own), name]
        how = {
            "stdin": subprocess.PIPE,
            "stdout": said,
            "stderr": subprocess.DEVNULL,
            "text": True,
        }
        return subprocess.Popen(command, env=os.environ | secret, **how)


def typed(process, words):
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


others = {name: start(name) for name in passphrases}

# %% [markdown]
# ## Compare two fingerprints
#
# Who says that the others are hospitals? The teacher could invent three shadows, and take *your* update out of the sum
# of you and them. So **each hospital calls two others**, and they read their fingerprints to each other. No program
# answers a list without two that are `known`.

# %%
import time


def say(name):
    return (homes / f"{name}.txt").read_text().splitlines()


while not all(say(name) for name in others):
    assert not any(process.poll() for process in others.values()), (
        "A hospital's process failed."
    )
    time.sleep(0.1)
heard = {name: say(name)[0] for name in others} | {
    "Cleveland": fingerprint(cleveland.public)
}
for name, process in others.items():  # a person at each hospital types
    typed(process, " ".join(heard[other] for other in heard if other != name))
print(heard)

# %% [markdown]
# A fifth one wants to join, from Zurich. There the column `chol` is called `cholesterol`.

# %%
from dataclasses import replace

from fedkit import exchange

table_zurich = federation["Switzerland"].table.rename(columns={"chol": "cholesterol"})
rows_zurich = replace(federation["Switzerland"], name="Zurich", table=table_zurich)
join = {"invitation": spoken, "known": exchange.EVERYBODY}
zurich = Participant(Folder(shared), Identity.new("Zurich"), rows_zurich, **join)
print(zurich.step())

# %% [markdown]
# The teacher waits until all have asked, and then looks at the requests.

# %%
while len(maker.step()) < 5:
    assert not any(process.poll() for process in others.values()), (
        "A hospital's process failed."
    )
    time.sleep(0.1)
for request in maker.step():
    print(
        f"{request.fingerprint}  {request.name}: {' '.join(request.problems) or 'fits'}"
    )

# %% [markdown]
# Zurich is told why. Then the teacher **opens** the study: the list of hospitals is fixed.

# %%
print(zurich.step())
maker.open()

# %% [markdown]
# You have called nobody yet. What does your program say?

# %%
print(me.step())  # it makes the group's key, of which more below
print(me.step())

# %% [markdown]
# You call Hungary and Switzerland, and the digits are the same.

# %%
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
# Number 0 adds up the statistics that prepare the rows, number 1 how large updates will be (*bounds*), then each round
# has a number. Every hospital moves its own copy of the model: nobody sends one, it *follows* from the sums. You take
# your two parts in turn.

# %%
coordinator = Coordinator(
    Folder(shared), teacher, invitation=spoken, home=homes / "Teacher"
)


def play(until):
    end = time.monotonic() + 600
    while not until():
        me.step()
        assert time.monotonic() < end, "Somebody does not answer."
        time.sleep(0.05)


def added(number):
    return lambda: coordinator.step() and coordinator.study.step.number > number


# %%
play(added(2))  # statistics, sizes, and the update of round 1
print(*say("Hungary"), sep="\n")

# %% [markdown]
# Let us look at number 3, which is round 2. Anybody can read who sent what, and how long it is.

# %%
from fedkit.exchange import letters, rounds


def arrived(what, number, expected=4):
    return lambda: len(me.folder.names(rounds.place(what, number))) == expected


def read(what, number, where=shared):
    found = Folder(where).new(rounds.place(what, number), 10**6)
    return {each.sender: letters.read(each, None, None, number) for each in found}


play(arrived("one", 3))
ones = {name: letter.content for name, letter in sorted(read("one", 3).items())}
assert len(set(map(len, ones.values()))) == 1 == len(set(ones.values())) - 3, (
    "As long, and not alike."
)
print(
    {
        name: f"{content[-6:].hex()} ({len(content)} bytes)"
        for name, content in ones.items()
    }
)

# %% [markdown]
# All four are here. (Just now Switzerland's technician makes a backup. Remember it.) The coordinator closes the list,
# and the second letters come.

# %%
import shutil

shutil.copytree(homes / "Switzerland", homes / "backup")
shutil.copy(homes / "Switzerland.identity", homes / "backup.identity")
status = coordinator.step()
play(arrived("two", 3))
(listed,) = read("list", 3)["Teacher"].json()["groups"]
assert listed == {
    name: hashlib.sha256(content).hexdigest() for name, content in ones.items()
}
print(*(f"{name:13} {code[:16]}..." for name, code in listed.items()), sep="\n")

# %% [markdown]
# A list names letters by their hashes, so nobody can exchange one. And letter two, does it show a key? The numbers of a
# key lie between -42 and 42. What lies in Switzerland's letter, and in the sum of all four?

# %%
import numpy as np

from fedkit.encryption import messages

parameters = me.study.parameters
twos = {name: letter.content for name, letter in read("two", 3).items()}
shares = [messages.Share.from_bytes(two, parameters, 4).key for two in twos.values()]
switzerland = shares[list(twos).index("Switzerland")]
modulus = 2 ** parameters.share_bits(4)


def farthest(keys):
    key = np.sum(keys, axis=0, dtype=np.int64) % modulus
    return int(np.minimum(key, modulus - key).max())


assert farthest([switzerland]) > 42, "No key should show."
assert farthest(shares) > 4 * 42, "And no sum of keys, to one who is no hospital."
print(f"farthest from 0: {farthest([switzerland])} and {farthest(shares)}")

# %% [markdown]
# No: both are full of masks. Those between two hospitals cancel in the sum. One stays: from the **group's key**, which
# the hospitals hold and the coordinator does not. You made it, and **sealed** it: for each hospital, encrypted with its
# *public* key.

# %%
(letter_key,) = Folder(shared).new("group", 10**6)
sealed = letters.read(letter_key, me.study.id, "group", 0).json()["sealed"]
assert set(sealed) == set(federation.names), (
    "Sealed to the hospitals, and to nobody else."
)
print(
    f"by {letter_key.sender}, sealed to {', '.join(sealed)}; {len(letter_key.data):,} bytes"
)

# %% [markdown]
# ## Kill a hospital
#
# Switzerland's process is killed, and saves nothing. We do it when all have posted letter one of number 4. So it will
# be on the list, and its letter two is missing.

# %%
import signal

play(added(3))
play(arrived("one", 4))
os.kill(others["Switzerland"].pid, signal.SIGKILL)
print(
    f"Switzerland's process ended: {signal.Signals(-others['Switzerland'].wait()).name}"
)

# %% [markdown]
# This is the picture for the projector. Who is waited for?

# %%
from fedkit.exchange.watch import Watch

play(lambda: coordinator.step() and arrived("two", 4, 3)())
progress = Watch(Folder(shared), spoken, me).look()
print(progress.sentence)

# %%
from fedkit import plots
from fedkit.chapters.figures.studies import study_grid

picture = study_grid(progress.letters, progress.sentence)
plots.save(picture, "study_in_a_folder", progress.letters)
picture

# %% [markdown]
# *In the picture: four rows. Columns 0 to 3 are green squares: counted. In column 4, three hospitals have a blue
# diamond, both letters; Switzerland has a blue circle, its first letter.*
#
# ## Intruders
#
# While we wait, somebody else writes into the folder: a letter in Switzerland's name, without a signature; Hungary's
# letter two of number 3, once more under number 4; and the sum of number 3 with one bit changed. All three have the
# right file name: hashing is no secret.

# %%
from fedkit.exchange import journal


def refused(where=shared):
    found = [
        event for event in journal.events(Folder(where)) if event["what"] == "refused"
    ]
    return {
        event["why"] for event in found if event["writer"] in ("Teacher", "Cleveland")
    }


before = refused()

# %%
intruder = Folder(shared)
twos = intruder.new(rounds.place("two", 3), 10**6)
(old,) = [found for found in twos if found.sender == "Hungary"]
(total,) = intruder.new(rounds.place("sum", 3), 10**6)
intruder.post(
    rounds.place("two", 4), "Switzerland", b"I am Switzerland, and I am back."
)
intruder.post(rounds.place("two", 4), "Hungary", old.data)
changed_sum = total.data[:-1] + bytes([total.data[-1] ^ 1])
changed_sum = intruder.post(rounds.place("sum", 3), "Teacher", changed_sum)

# %% [markdown]
# What is refused stands in the **log**, of which each line holds the hash of the line before.

# %%
status_coordinator, status_me = coordinator.step(), me.step()
assert len(refused() - before) == 3, (
    "Each of the three should be refused, and the log should say why."
)
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
assert arrived("one", 4)(), "And send nothing."
print(say("Switzerland")[-1])

# %% [markdown]
# ## Start it again
#
# The old disk is found. `home` holds the keys for numbers to come, the letters of this one, and the sums that were
# opened, all written *before* a letter left. So the new process posts the letter two that is missing. Had the disk been
# lost, Switzerland would be out.

# %%
others["Switzerland"] = start("Switzerland")
typed(others["Switzerland"], "")
play(lambda: coordinator.step().ended)
assert [process.wait(timeout=600) for process in others.values()] == [0, 0, 0], (
    "All others should end well."
)
print("Cleveland:", me.step())

# %% [markdown]
# Do all hold the same model? They compare its fingerprint aloud. And is it the model that notebook 02 trains, with no
# folder, no encryption and no accident?

# %%
assert {say(name)[-1] for name in others} == {str(me.step())}, (
    "All four should hold one model."
)
print("Switzerland:", *say("Switzerland")[-4:], sep="\n")

# %%
from fedkit import learning

run_plain = learning.train_federated(federation, rounds=ROUNDS, seed=0)

# %%
pairs = zip(me.weights, run_plain.weights["shared"], strict=True)
gap = max(np.abs(mine - plain).max() for mine, plain in pairs)
assert gap < 1e-6, "The study should train the model of notebook 02."
print(f"largest difference of a weight: {gap:.0e}")

# %% [markdown]
# Not to the last bit: an update is rounded to small steps, to be encrypted. But against a study *without* an accident
# there should be no difference. We **rehearse** one: in one process and in memory, everybody takes a step in turn.

# %%
undisturbed = exchange.rehearse(federation, rounds=ROUNDS)[0]
same = [
    mine.tobytes() == other.tobytes()
    for mine, other in zip(me.weights, undisturbed.weights, strict=True)
]
assert all(same), "The killed process should have changed no bit of the model."
print("the same bytes")

# %% [markdown]
# ## A coordinator who lies
#
# The coordinator writes the lists. One with Switzerland and one without: the difference of the two sums would be
# Switzerland's numbers. We play small studies in this process, in which you are a teacher who lies.

# %%


def turn(people):
    for one in people.values():
        while one.step().acted:
            pass


def begin(place, people=federation, **settings):
    where, kept = str(Path(disk.name, place)), homes / place
    boss = Maker(Folder(where), teacher)
    aloud = boss.invite(Settings.of(people, **settings))
    how = {"invitation": aloud, "known": exchange.EVERYBODY, "home": kept}
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


# %% [markdown]
# First lie: a list without Switzerland. What will Hungary do, which sees Switzerland's letter?

# %%
where, _, people = begin("left out")
three = [name for name in federation.names if name != "Switzerland"]
wrong = lie(where, people["Hungary"].study.id, three)
turn(people)
assert not Folder(where).names(rounds.place("two", 0)), (
    "Nobody should answer this list."
)
print(people["Hungary"].step())

# %% [markdown]
# Second lie: the right list, which all answer. Then the teacher hides it, restarts Hungary, and shows the other one.

# %%
where, aloud, people = begin("two lists")
right = lie(where, people["Hungary"].study.id, federation.names)
turn(people)
Folder(where).remove(rounds.place("list", 0), right.name)
wrong = lie(where, people["Hungary"].study.id, three)

# %%
again = people["Hungary"]
how = {"invitation": aloud, "known": [], "home": homes / "two lists"}
again = Participant(Folder(where), again.identity, again.rows, **how)
print(again.step())
assert len(Folder(where).names(rounds.place("two", 0))) == 4, (
    "One letter two each, and no more."
)

# %% [markdown]
# A number is answered once, and masks are made for one list.
#
# ## A laptop that sleeps
#
# Who falls asleep *between* the letters spoils the sum of the whole list: nobody else has that key. So a class adds up
# in **groups**, each with a list of its own. Seven seats make groups of four and three. Seat 7 falls asleep after its
# letter one of number 3, and the coordinator gives its group up. (A clock of our own: a minute a turn.)

# %%
seven, minutes = classroom.seat_federation(7), [0]
patience = {"group_size": 3, "deadline_seconds": 300, "share_seconds": 300, "budget": 4}
where, aloud, people = begin("class", seven, rounds=3, **patience)
how = {"invitation": aloud, "clock": lambda: 60 * minutes[0]}
adder, place = Coordinator(Folder(where), teacher, **how), rounds.place("one", 3)
while not adder.step().ended:
    asleep = adder.study.step.number == 3 and len(Folder(where).names(place)) == 7
    turn(
        {name: one for name, one in people.items() if not (asleep and name[-1] == "7")}
    )
    minutes[0] += 1

# %%
turn(people)
print(Watch(Folder(where), aloud).look())
tested = {
    round: said["auroc"][1] for round, said in people["hospital 7"].scores.items()
}
assert tested[1] < tested[0] == tested[2] == tested[3], (
    "One round should be of one group."
)
print("test patients that the scores are of:", tested)

# %% [markdown]
# Three hospitals lost a round (x), and four did not. What does it cost?
#
# - Two keys went out for a sum that never opened. A coordinator could do this on purpose, so there is a **budget**:
#   usually two updates, and no statistics. Then a person must decide.
#
# ## Who could read what?
#
# Nobody has the key of one letter but its hospital, and not for long: one hospital *and* the coordinator read no more
# than each alone. How many must work together to read Switzerland's numbers? The sums say, for instance, how many test
# patients all have.

# %%
from fedkit import preparation

split = preparation.split(federation, seed=0).hospitals
own = {name: len(prepared.test_labels) for name, prepared in split.items()}
total = me.scores[1]["auroc"][1]
left = total - sum(own[name] for name in three)
assert left == own["Switzerland"], "All others together should know it."
print(f"all four: {total}; without the other three: {left}, which is Switzerland")

# %% [markdown]
# **All others** of its list: each takes its own numbers away. No encryption can help here. In short:
#
# | who | reads |
# | --- | --- |
# | anybody with the folder, the coordinator too | who sends what, when, how long; names of columns; settings |
# | a hospital | the same, every sum, and the model |
# | a hospital *and* the coordinator | no more, but they can **invent a sum**, and the others follow it |
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

# %%
from fedkit import records
from fedkit.exchange import results

ledger = results.ledger(me.study)
moved = ledger.pivot_table(
    index="hospital", columns="direction", values="bytes", aggfunc="sum"
)
one_round = ledger.query("round == 2 and direction == 'up'")
sizes = one_round.groupby("phase")["bytes"].mean()
assert sizes.sum() < 2200, "The two letters of a round should have about two kilobytes."
records.glue("letter_bytes", sizes.sum())
print(sizes.round())
(moved / 1e3).round(1)

# %% [markdown]
# "send" is letter one, "share" letter two. It does not grow with the model: for a million numbers it is nothing. "down"
# is more than "up": before it answers, each hospital reads letter one of all others on its list.
#
# ## One more method
#
# A study ends as a `Run`, like every training of this kit. (Here one person has all rows, and can test at each
# hospital. In life each has only its own.)

# %%
results.run(me, federation).save(Path(disk.name, "study"))

# %% [markdown]
# ### Was it worth it?
#
# Write the folder of a study that you saved in a class into `STUDY` above: then it stands here.

# %%
from fedkit import evaluation

study = records.load(STUDY or Path(disk.name, "study"))
sites = study.predictions["hospital"].nunique()
people = federation if sites == len(federation) else classroom.seat_federation(sites)
assert study.provenance["sha256"] == people.sha256, (
    "The study is of other patients than this kit has."
)
assert study.settings["model"] == "logistic regression", (
    "The study has another model than the methods below."
)
study

# %% [markdown]
# The methods of [notebook 04](04_comparison_of_outcomes.ipynb) train on the study's split, too. Which columns should be
# equal?

# %%
from fedkit import aggregators

same_settings = {
    name: study.settings[name]
    for name in ("rounds", "seed", "epochs", "batch_size", "learning_rate")
}
beside = [
    learning.train_local(people, **same_settings),
    learning.train_centralized(people, **same_settings),
    learning.train_federated(people, **same_settings),
    learning.train_federated(
        people, aggregator=aggregators.EncryptedMean(), **same_settings
    ),
    study,
]
one_split = evaluation.table(beside, ["auroc"]).pivot_table(
    "value", "hospital", "method", dropna=False
)
by_folder = (one_split[study.method] - one_split["federated + BFV"]).abs().max()
assert STUDY or by_folder < 0.0005, (
    "If nobody misses a round, the folder should change no AUROC."
)
one_split[[run.method for run in beside]].round(3)

# %% [markdown]
# The three federated ones are, unless a hospital missed a round. But one split has no interval: whether it was worth it
# for a hospital may be the luck of its few test patients.

# %%
records.glue("auroc_mean_of_hospitals", study.final("auroc").mean())

# %% [markdown]
# ## What you can do now
#
# - A letter is signed, named by its hash, renamed into place, never changed. So no lock is needed.
# - You started a study, compared fingerprints, joined, and saw Zurich refused with a reason.
# - You followed two letters, killed Switzerland, and started it again: the same bytes of the model.
# - An intruder can delete, a liar gets no second answer, an old backup is refused; all others of a list together read
#   one hospital.
# - You put a study beside four others. In a class, set `ROLE`, `HOSPITAL`, `FOLDER` and `FINGERPRINT`; then `STUDY`.

# %% [markdown]
# ## Exercises
#
# **1. Predict.** How many letters of all four kinds are there, now that the study of four hospitals and `ROUNDS` rounds
# is done? Do not forget statistics, bounds, scores, and the intruder. Write a formula, then run.

# %% tags=["exercise"]
my_guess = 4 * ROUNDS
kinds = ("one", "list", "two", "sum")
count = sum(len([*Path(shared).glob(f"{kind}-*/*.letter")]) for kind in kinds)
print(f"my guess: {my_guess}; there are {count}")

# %% tags=["solution"]
predicted = (4 + 1 + 4 + 1) * (
    ROUNDS + 3
) + 3  # two letters each, a list and a sum; three by the intruder
assert predicted == sum(
    len([*Path(shared).glob(f"{kind}-*/*.letter")]) for kind in kinds
)
print(f"{predicted}: Switzerland was killed, and posted nothing twice")

# %% [markdown]
# **2. Modify.** This rehearsal waits for everybody. Let `silent` be `["VA Long Beach"]`, with a `quorum` of 3 and
# `deadline_seconds` of 0.1. What does this do to the model, and to the test patients of the last scores?

# %% tags=["exercise"]
group = exchange.rehearse(federation, rounds=3)
print("AUROC, test patients:", group[0].scores[3]["auroc"])

# %% tags=["solution"]
late = {"silent": ["VA Long Beach"], "quorum": 3, "deadline_seconds": 0.1}
group_all, group_late = (
    exchange.rehearse(federation, rounds=3, **how) for how in ({}, late)
)
tested_all, tested_late = (
    group[0].scores[3]["auroc"][1] for group in (group_all, group_late)
)
assert tested_late < tested_all, (
    "The silent hospital's test patients should be missing."
)
assert np.abs(group_all[0].weights[0] - group_late[0].weights[0]).max() > 1e-3, (
    "And the model should be another."
)
print(f"test patients: {tested_all} with all, {tested_late} without VA Long Beach")

# %% [markdown]
# **3. Build.** Be a better intruder. Make an identity that calls itself Hungary, and post a *signed* letter one of the
# right length in its name, in a new study. Why is it refused?

# %% tags=["exercise"]
where, aloud, people = begin("exercise")
adder = Coordinator(Folder(where), teacher, invitation=aloud)
place, size = rounds.place("one", 0), len(read("one", 0, where)["Hungary"].content)
Folder(where).post(place, "Hungary", b"a letter without a signature")  # change me
status_new = adder.step()
print(*refused(where))

# %% tags=["solution"]
earlier, about = refused(where), About("", "statistics", 0, "Hungary", ("Hungary",))
letters.post(Folder(where), place, bytes(size), about, Identity.new("Hungary"))
status_newer = adder.step()
(why,) = refused(where) - earlier
assert "signed with another key" in why, "The roster should tell the two keys apart."
print(why)
