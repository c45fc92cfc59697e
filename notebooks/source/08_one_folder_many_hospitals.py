# %% [markdown]
# # 08. Can hospitals train together with no server, in one shared folder?
#
# *One minute of computing, 45 of reading. Read [03](03_federated_learning_with_encryption.ipynb) before. For a lesson
# with thirty people there is a plan in this kit, `notebooks/classroom.md`.*
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
STUDY = ""  # after the class: folder of the study that you saved; else, the study made here

# %%
if PROFILE == "smoke":
    ROUNDS = 6

# %% [markdown]
# ## Alone, or in a class
#
# There is no server program in this notebook, and none anywhere else. There is one folder that all hospitals can reach:
# a disk in a network, or a folder in Google Drive.
#
# Alone, you need nothing: leave the parameters as they are, and go on below. In a class, your teacher tells you what to
# write above. Then the next cell plays your part, and the rest of the notebook is not run. On Colab, it asks whether it
# may use your Drive. If you say no, it tells you what else you can do. It also asks for a **passphrase**: your secret
# key stays on this machine's own disk, and the passphrase locks it.

# %%
from fedkit.exchange import classroom

if ROLE != "alone":
    classroom.play(ROLE, HOSPITAL, FOLDER, FINGERPRINT, rounds=ROUNDS, seats=SEATS)
    raise classroom.Played("Your part is played. To go through the notebook, set ROLE to alone.")

# %% [markdown]
# ## A letter
#
# A shared folder is a difficult place. Files show late, and in any order. A file may be seen half written. Drive makes
# "name (1)" out of two copies. Two people may write to one file, and one of them loses.
#
# The way out: **nobody ever changes a file**. We call a file that is never changed a **letter**. It is written aside,
# under a random name, and then *renamed*, so that it appears whole. And its name is the SHA-256 of its content.

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
    files = {file.name[:32]: file.read_bytes() for file in sorted((folder / place).iterdir())}
    return {name: data for name, data in files.items() if hashlib.sha256(data).hexdigest()[:32] == name}


# %% [markdown]
# Now everything goes wrong: a copy, half a letter, a changed letter. How many letters will both readers find, ours and
# fedkit's?

# %%
import tempfile

disk = tempfile.TemporaryDirectory()
practice = Path(disk.name, "practice")
practice.mkdir()
first = post_by_hand(practice, "post", "Hungary", b"Good morning from Budapest.")
half, changed = (post_by_hand(practice, "post", "Hungary", data) for data in (b"half written", b"changed"))

# %%
copy = first.with_name(f"{first.name} (1)")
for file, content in {copy: first.read_bytes(), half: b"half", changed: b"CHANGED"}.items():
    file.write_bytes(content)

# %%
from fedkit.exchange import Folder

by_hand = list(read_by_hand(practice, "post").values())
assert by_hand == [letter.data for letter in Folder(practice).new("post", 1000)], "fedkit should read the same."
assert Folder(practice).post("post", "Hungary", by_hand[0]).name == first.name, "And post under the same name."
print(f"{len(list((practice / 'post').iterdir()))} files, letters: {by_hand}")

# %% [markdown]
# So nothing has to be locked, and nothing can be lost. Whatever a process knows follows from the letters. It can be
# stopped at any moment, and a new one reads the folder and goes on.
#
# ## The maker invites
#
# A hash says that a letter is whole. It does not say who wrote it. So each letter is also **signed**, as in notebook
# 03, with a key that only its sender has.
#
# Somebody starts the study: its **maker**. Here it is a teacher, who also adds up later (**coordinator**). The teacher
# is no hospital. You play the teacher *and* Cleveland, so you see all. In life these should be two people; you will see
# why.

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
# Why aloud? Whoever can write into the folder can post an invitation of their own. The voice is a second channel, which
# the folder cannot change. What was read is a **fingerprint**: the first 80 bits of the hash of the invitation. So it
# stands for all that the invitation says: the settings, who adds up, and the maker's public key. Not even an old
# invitation by the same teacher can take its place.

# %%
import base64

(invitation,) = Folder(shared).new("invitation", 10**6)
first_bits = base64.b32encode(hashlib.sha256(invitation.data).digest()[:10]).decode()
spoken_digits = first_bits.translate(
    str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ")
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
# You heard it right. You ask to join: a letter with your public keys, and the names of your columns. It says nothing
# about your rows. `home` is a folder of your own machine: there, your process keeps what it must not forget. `known`
# will be important in a minute.

# %%
me = Participant(Folder(shared), cleveland, rows, invitation=spoken, home=home, known=[])
print(me.step())

# %% [markdown]
# The other three hospitals are real processes, each with a Python of its own. This is all that such a process runs. Its
# secret key lies in a file of its own, *not* in the shared folder, and a passphrase locks the file. It prints its
# fingerprint, and then waits for somebody to type. (The last line ends the process if this notebook ends.)

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

passphrases = {name: secrets.token_hex(16) for name in ("Hungary", "Switzerland", "VA Long Beach")}


def start(name, home=None):
    own, secret = home or homes / name, {"PASSPHRASE": passphrases[name]}
    with (homes / f"{name}.txt").open("a") as said:
        command = [sys.executable, "-c", program, shared, spoken, str(own), name]
        how = {"stdin": subprocess.PIPE, "stdout": said, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, env=os.environ | secret, **how)


def typed(process, words):
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


others = {name: start(name) for name in passphrases}

# %% [markdown]
# ## Compare two fingerprints
#
# Who says that the others are hospitals? The teacher could invent three, and take your update out of a sum of you and
# three shadows. Signatures do not help: the shadows sign well. People help. **Each hospital calls two others**, and
# they read their fingerprints to each other. Their program then answers no list without two that are `known`.

# %%
import time


def say(name):
    return (homes / f"{name}.txt").read_text().splitlines()


while not all(say(name) for name in others):
    assert not any(process.poll() for process in others.values()), "A hospital's process failed."
    time.sleep(0.1)
heard = {name: say(name)[0] for name in others} | {"Cleveland": fingerprint(cleveland.public)}
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
# The teacher waits until all have asked, and then looks at the requests. In a class, each hospital reads its own
# fingerprint aloud, and the teacher compares.

# %%
while len(maker.step()) < 5:
    assert not any(process.poll() for process in others.values()), "A hospital's process failed."
    time.sleep(0.1)
for request in maker.step():
    print(f"{request.fingerprint}  {request.name}: {' '.join(request.problems) or 'fits'}")

# %% [markdown]
# Zurich does not fit, and is told why. Then the teacher **opens** the study: from now on the list of hospitals is
# fixed.

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
# Remember notebook 03: each hospital hides its numbers with a key of its own, which is **used once**. The sum of the
# numbers opens with the sum of the keys, and with nothing else. In a folder this takes four steps:
#
# 1. **Letter one**: each hospital's hidden numbers. It is made before anybody knows who else comes.
# 2. **The list**: the coordinator signs whose letters arrived.
# 3. **Letter two**: each hospital's key, masked, for exactly this list. The masks cancel when all of the list are
#    added.
# 4. **The sum** of both, by the coordinator. Every hospital opens it.
#
# Number 0 adds up the statistics that prepare the rows, number 1 how large updates will be, and then each round has a
# number. Every hospital moves its own copy of the model. So nobody sends a model: it *follows* from the sums.
#
# You take your two parts in turn.

# %%
coordinator = Coordinator(Folder(shared), teacher, invitation=spoken, home=homes / "Teacher")


def play(until):
    end = time.monotonic() + 240
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
# Let us look at the letters of number 3, which is round 2. Anybody can read who sent what, and how long it is.

# %%
from fedkit.exchange import letters, rounds


def arrived(what, number, expected=4):
    return lambda: len(me.folder.names(rounds.place(what, number))) == expected


def read(what, number, where=shared):
    found = Folder(where).new(rounds.place(what, number), 10**6)
    return {each.sender: letters.read(each, None, None, number) for each in found}


play(arrived("one", 3))
ones = {name: letter.content for name, letter in sorted(read("one", 3).items())}
assert len(set(map(len, ones.values()))) == 1 == len(set(ones.values())) - 3, "As long, and not alike."
print({name: f"{content[-6:].hex()} ({len(content)} bytes)" for name, content in ones.items()})

# %% [markdown]
# All four are here. (Just now Switzerland's technician makes a backup of its disk. Remember it.) The coordinator closes
# the list, and the second letters come.

# %%
import shutil

shutil.copytree(homes / "Switzerland", homes / "backup")
shutil.copy(homes / "Switzerland.identity", homes / "backup.identity")
status = coordinator.step()
play(arrived("two", 3))
(listed,) = read("list", 3)["Teacher"].json()["groups"]
assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in ones.items()}
print(*(f"{name:13} {code[:16]}..." for name, code in listed.items()), sep="\n")

# %% [markdown]
# So a list names letters by their hashes, and nobody can exchange one later. And letter two, does it show a key? The
# numbers of a key lie between -42 and 42. What lies in Switzerland's letter? And in the sum of all four?

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
# No: both are full of masks, anywhere up to 256. The masks between two hospitals cancel in the sum. One more stays in
# it, from the **group's key**, which all hospitals hold and the coordinator does not. You made it: the first on the
# list is the **key maker**. How did it get to the others, if everybody reads the folder? **Sealed**: for each hospital,
# it is encrypted with that hospital's *public* key. The coordinator has no part of it:

# %%
(letter_key,) = Folder(shared).new("group", 10**6)
sealed = letters.read(letter_key, me.study.id, "group", 0).json()["sealed"]
assert set(sealed) == set(federation.names), "Sealed to the hospitals, and to nobody else."
print(f"by {letter_key.sender}, sealed to {', '.join(sealed)}; {len(letter_key.data):,} bytes")

# %% [markdown]
# ## Kill a hospital
#
# Switzerland's computer breaks down. Not politely: the process is killed, and saves nothing. We do it when all have
# posted letter one of number 4. So it will be on the list, and its letter two is missing.

# %%
import signal

play(added(3))
play(arrived("one", 4))
os.kill(others["Switzerland"].pid, signal.SIGKILL)
print(f"Switzerland's process ended: {signal.Signals(-others['Switzerland'].wait()).name}")

# %% [markdown]
# This is the picture for the projector, with a row a hospital and a column a sum. Who is waited for?

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
# *In the picture: four rows. The columns 0 to 3 are green squares, which were counted. In column 4, three hospitals
# have a blue diamond: both letters are there. Switzerland has a blue circle: only its first letter is.*
#
# ## Intruders
#
# While we wait, somebody else writes into the folder. The folder cannot stop them. They try three things: a letter in
# Switzerland's name, without a signature; Hungary's letter two of number 3, once more under number 4; and the sum of
# number 3 with one bit changed. All three have the right file name: hashing is no secret.

# %%
from fedkit.exchange import journal


def refused(where=shared):
    found = [event for event in journal.events(Folder(where)) if event["what"] == "refused"]
    return {event["why"] for event in found if event["writer"] in ("Teacher", "Cleveland")}


before = refused()

# %%
intruder = Folder(shared)
twos = intruder.new(rounds.place("two", 3), 10**6)
(old,) = [found for found in twos if found.sender == "Hungary"]
(total,) = intruder.new(rounds.place("sum", 3), 10**6)
intruder.post(rounds.place("two", 4), "Switzerland", b"I am Switzerland, and I am back.")
intruder.post(rounds.place("two", 4), "Hungary", old.data)
changed_sum = total.data[:-1] + bytes([total.data[-1] ^ 1])
changed_sum = intruder.post(rounds.place("sum", 3), "Teacher", changed_sum)

# %% [markdown]
# You and the coordinator look into the folder again. What is refused stands in the **log**. Each process writes one of
# its own, a line an event. Each line holds the hash of the line before, so a line that is changed breaks the chain.

# %%
status_coordinator, status_me = coordinator.step(), me.step()
assert len(refused() - before) == 3, "Each of the three should be refused, and the log should say why."
print(*sorted(refused() - before), sep="\n")

# %% [markdown]
# ## An old backup
#
# The technician has a new computer, and puts the backup on it, which is of number 3. What is wrong with that? A key is
# used once.
# The backup does not know that letter one of number 4 was sent. If it sent *other* numbers under the same key, their
# difference would lie open, for everybody who sees both letters.

# %%
others["Switzerland"] = start("Switzerland", homes / "backup")
typed(others["Switzerland"], "")
assert others["Switzerland"].wait(timeout=120) == 0, "It should stop."
assert arrived("one", 4)(), "And send nothing."
print(say("Switzerland")[-1])

# %% [markdown]
# ## Start it again
#
# The old disk is found, and it is whole. `home` holds all that a hospital must not forget: keys for the numbers to
# come, both letters of this one, and the sums that it opened. All was written there *before* a letter left. So the new
# process posts the letter two that is missing, and all goes on to the end. Had the disk been lost, Switzerland would be
# out.

# %%
others["Switzerland"] = start("Switzerland")
typed(others["Switzerland"], "")
play(lambda: coordinator.step().ended)
assert [process.wait(timeout=60) for process in others.values()] == [0, 0, 0], "All others should end well."
print("Cleveland:", me.step())

# %% [markdown]
# Do all hold the same model? At the end, each hospital says the fingerprint of its own, and they compare aloud. And is
# it the model that notebook 02 trains, with no folder, no encryption and no accident?

# %%
assert {say(name)[-1] for name in others} == {str(me.step())}, "All four should hold one model."
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
# Not to the last bit: here each number of an update is rounded to small steps, to be encrypted. But against a study
# *without* an accident, there should be no difference at all. We **rehearse** one: in one process and in memory,
# everybody takes a step in turn.

# %%
undisturbed = exchange.rehearse(federation, rounds=ROUNDS)[0]
same = [mine.tobytes() == other.tobytes() for mine, other in zip(me.weights, undisturbed.weights, strict=True)]
assert all(same), "The killed process should have changed no bit of the model."
print("the same bytes")

# %% [markdown]
# ## A coordinator who lies
#
# The coordinator holds no key. But it writes the lists. One list with Switzerland and one without it: the difference of
# the two sums would be Switzerland's numbers. So we play a small study in this process, in which you are a teacher who
# lies.

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
    said = {"about": sent["Hungary"].study, "groups": [group]}
    about = About(study, "list", 0, "Teacher", ("Teacher",))
    return letters.post(Folder(where), rounds.place("list", 0), said, about, teacher)


# %% [markdown]
# First lie: a list without Switzerland. What will Hungary do, which sees Switzerland's letter in the folder?

# %%
where, _, people = begin("left out")
three = [name for name in federation.names if name != "Switzerland"]
wrong = lie(where, people["Hungary"].study.id, three)
turn(people)
assert not Folder(where).names(rounds.place("two", 0)), "Nobody should answer this list."
print(people["Hungary"].step())

# %% [markdown]
# Second lie: the right list, which all answer. Then the teacher hides it, restarts Hungary's computer (a strong
# teacher), and shows a list without Switzerland.

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
assert len(Folder(where).names(rounds.place("two", 0))) == 4, "One letter two each, and no more."

# %% [markdown]
# A number is answered once, whatever happens. And sums of different lists do not mix: masks are made for one list.
#
# ## A laptop that sleeps
#
# Letter two is the price. Who falls asleep *between* the two letters spoils the sum of the whole list: nobody else has
# that key. So in a class we add up in **groups**, each with a list of its own. Seven seats make groups of four and
# three. Seat 7 falls asleep after its letter one of number 3. After `share_seconds` the coordinator gives the group up.
# (A clock of our own, so that nobody waits: a minute a turn.)

# %%
seven, minutes = classroom.seat_federation(7), [0]
patience = {"group_size": 3, "deadline_seconds": 300, "share_seconds": 300, "budget": 4}
where, aloud, people = begin("class", seven, rounds=3, **patience)
how = {"invitation": aloud, "clock": lambda: 60 * minutes[0]}
adder, place = Coordinator(Folder(where), teacher, **how), rounds.place("one", 3)
while not adder.step().ended:
    asleep = adder.study.step.number == 3 and len(Folder(where).names(place)) == 7
    turn({name: one for name, one in people.items() if not (asleep and name[-1] == "7")})
    minutes[0] += 1

# %%
turn(people)
print(Watch(Folder(where), aloud).look())
tested = {round: said["auroc"][1] for round, said in people["hospital 7"].scores.items()}
assert tested[1] < tested[0] == tested[2] == tested[3], "One round should be of one group."
print("test patients that the scores are of:", tested)

# %% [markdown]
# Four hospitals lost a round (x). The other three did not, and all go on with one model. What does it cost?
#
# - Each hospital of the group gave its key for a sum that never opened. A coordinator could make this happen on
#   purpose. So there is a **budget**: after so many, the hospital stops, and a person must decide. The usual budget is
#   2 for updates, and 0 for statistics, which hardly change.
# - A small group hides you among few, and *its* sum is known.
#
# ## Who could read what?
#
# Everybody who can open the folder has all letters. Nobody has the key of one letter but its hospital, and not for
# long. So one hospital and the coordinator together read no more than each alone. How many must work together to read
# Switzerland's numbers? Look at the sum of number 3. Its first number is how many patients it was trained on.

# %%
from fedkit import preparation

split = preparation.split(federation, seed=0).hospitals
trained = {name: len(prepared.train_labels) for name, prepared in split.items()}
total = np.frombuffer(me.keep.read("sum-00003"))[0]  # what a hospital keeps of a sum
left = total - sum(trained[name] for name in three)
assert left == trained["Switzerland"], "All others together should know it."
print(f"all four: {total:.0f}; without the other three: {left:.0f}, which is Switzerland")

# %% [markdown]
# **All others** of its list: each takes its own numbers away from the sum. The same for every number of the update. No
# encryption can help here. The list in short:
#
# | who | reads |
# | --- | --- |
# | anybody with the folder, the coordinator too | who sends what, when, how long; names of columns; settings |
# | a hospital | the same, every sum, and the model |
# | a hospital *and* the coordinator | no more, but they can **invent a sum**, and the others follow it |
# | all hospitals of a list but one | **the update of that one** |
#
# The third line is why the teacher should be no hospital. And what is *not* protected?
#
# - **Deleting.** Who can delete files can stop a study.
# - **Lies.** A signature says who, not what ([notebook 07](07_malicious_participants.ipynb)). And nonsense in a letter
#   two stops a sum: nobody can see whose it was.
# - **The sums and the model** tell something about rows ([notebook 06](06_gradient_leakage.ipynb)).
# - **A lost home.** Without it a hospital is out: nobody can join after the opening.
# - **Tomorrow.** The masks hang on X25519. Who keeps the folder until there is a quantum computer reads all of it.
#
# ## What it costs
#
# Bytes of each hospital, in the whole study. "up" is what it wrote, "down" what it had to read.

# %%
from fedkit import records
from fedkit.exchange import results

ledger = results.ledger(me.study)
moved = ledger.pivot_table(index="hospital", columns="direction", values="bytes", aggfunc="sum")
one_round = ledger.query("round == 2 and direction == 'up'")
sizes = one_round.groupby("phase")["bytes"].mean()
assert sizes.sum() < 2200, "The two letters of a round should have about two kilobytes."
records.glue("letter_bytes", sizes.sum())
print(sizes.round())
(moved / 1e3).round(1)

# %% [markdown]
# "send" is letter one, "share" letter two. For a model as small as this one, letter two is the longer one. It does not
# grow with the model: for a million numbers it is nothing. "down" is more than "up": before it answers, each hospital
# also reads letter one of all others on its list. Groups keep this small, too.
#
# ## One more method
#
# A study ends as a `Run`, like every training of this kit. So it can be saved, loaded, and compared. (Here one person
# has all rows, and can test at each hospital. In life each has only its own.)

# %%
results.run(me, federation).save(Path(disk.name, "study"))

# %% [markdown]
# ### Was it worth it?
#
# Write the folder of a study that you saved in a class into `STUDY` above: then it stands here. If it is empty, we take
# the study of this notebook.

# %%
from fedkit import evaluation

study = records.load(STUDY or Path(disk.name, "study"))
sites = study.predictions["hospital"].nunique()
people = federation if sites == len(federation) else classroom.seat_federation(sites)
assert study.provenance["sha256"] == people.sha256, "The study is of other patients than this kit has."
assert study.settings["model"] == "logistic regression", "The study has another model than the methods below."
study

# %% [markdown]
# One study is *one* split of the patients. The methods of [notebook 04](04_comparison_of_outcomes.ipynb) train on it
# too, with the settings of the study. Which columns should be equal?

# %%
from fedkit import aggregators

same_settings = {name: study.settings[name] for name in ("rounds", "seed", "epochs", "batch_size", "learning_rate")}
beside = [
    learning.train_local(people, **same_settings),
    learning.train_centralized(people, **same_settings),
    learning.train_federated(people, **same_settings),
    learning.train_federated(people, aggregator=aggregators.EncryptedMean(), **same_settings),
    study,
]
one_split = evaluation.table(beside, ["auroc"]).pivot_table("value", "hospital", "method", dropna=False)
by_folder = (one_split[study.method] - one_split["federated + BFV"]).abs().max()
assert STUDY or by_folder < 0.0005, "If nobody misses a round, the folder should change no AUROC."
one_split[[run.method for run in beside]].round(3)

# %% [markdown]
# The three federated ones are, unless a hospital missed a round of your study. But one split has no interval. Whether
# the folder was worth it for a hospital, compared with training alone, may be the luck of its few test patients.

# %%
records.glue("auroc_mean_of_hospitals", study.final("auroc").mean())

# %% [markdown]
# ## What you can do now
#
# - You can say what a letter is: signed, named by its hash, renamed into place, never changed. So no lock is needed.
# - You started a study, compared fingerprints, joined, and saw Zurich refused with a reason.
# - You followed two letters through the folder, killed Switzerland, and started it again: the same bytes of the model.
# - You know that an intruder can only delete, that a lying coordinator gets no second answer, that an old backup is
#   refused, and that all others of a list must work together to read one hospital.
# - You put a study beside four other methods. In a class, set `ROLE`, `HOSPITAL`, `FOLDER` and `FINGERPRINT`; after it,
#   `STUDY`.

# %% [markdown]
# ## Exercises
#
# **1. Predict.** How many letters lie in the places of lists, sums and of both letters, now that the study of four
# hospitals and `ROUNDS` rounds is done? Do not forget statistics, sizes, scores, and the intruder. Write a formula,
# then run.

# %% tags=["exercise"]
my_guess = 4 * ROUNDS
kinds = ("one", "list", "two", "sum")
count = sum(len([*Path(shared).glob(f"{kind}-*/*.letter")]) for kind in kinds)
print(f"my guess: {my_guess}; there are {count}")

# %% tags=["solution"]
predicted = (4 + 1 + 4 + 1) * (ROUNDS + 3) + 3  # two letters each, a list and a sum; three by the intruder
assert predicted == sum(len([*Path(shared).glob(f"{kind}-*/*.letter")]) for kind in kinds)
print(f"{predicted}: Switzerland was killed, and posted nothing twice")

# %% [markdown]
# **2. Modify.** This rehearsal waits for everybody. Let `silent` be `["VA Long Beach"]`, with a `quorum` of 3 and
# `deadline_seconds` of 0.1. What does this do to the model? How many test patients do the last scores tell of?

# %% tags=["exercise"]
group = exchange.rehearse(federation, rounds=3)
print("AUROC, test patients:", group[0].scores[3]["auroc"])

# %% tags=["solution"]
late = {"silent": ["VA Long Beach"], "quorum": 3, "deadline_seconds": 0.1}
group_all, group_late = (exchange.rehearse(federation, rounds=3, **how) for how in ({}, late))
tested_all, tested_late = (group[0].scores[3]["auroc"][1] for group in (group_all, group_late))
assert tested_late < tested_all, "The silent hospital's test patients should be missing."
assert np.abs(group_all[0].weights[0] - group_late[0].weights[0]).max() > 1e-3, "And the model should be another."
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
