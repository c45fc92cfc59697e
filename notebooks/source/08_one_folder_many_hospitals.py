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
# - follow a round through the folder, kill a hospital, and start it again;
# - say what an intruder in the folder can do, and who together can read what;
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
# is no hospital. You play the teacher *and* Cleveland, so you see all. In life these must be two people; you will see
# why.

# %%
from fedkit import hospitals, preparation
from fedkit.exchange import Coordinator, Maker, Participant, Settings
from fedkit.encryption.identities import Identity

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
cleveland = Identity.new("Cleveland")
misheard = Participant(Folder(shared), cleveland, federation["Cleveland"], invitation="7777-" + spoken[5:])
print(misheard.step())

# %% [markdown]
# ## Joining
#
# You heard it right. You ask to join: a letter with your public key, and the names of your columns. It says nothing
# about your rows.

# %%
me = Participant(Folder(shared), cleveland, federation["Cleveland"], invitation=spoken)
print(me.step())

# %% [markdown]
# The other three hospitals are real processes, each with a Python of its own. This is all that such a process runs. Its
# secret key lies in a file of its own, *not* in the shared folder, and a passphrase locks the file. (The last line ends
# the process if this notebook ends.)

# %%
program = """
import os, sys
from fedkit import hospitals
from fedkit.exchange import Folder, Participant
from fedkit.encryption.identities import Identity

shared, spoken, file, name = sys.argv[1:]
passphrase, parent = os.environ["PASSPHRASE"], os.getppid()
if not os.path.exists(file):
    Identity.new(name).save(file, passphrase)
rows = hospitals.load("heart_disease")[name]
hospital = Participant(Folder(shared), Identity.load(file, passphrase), rows, invitation=spoken)
hospital.run(poll_seconds=0.1, until=lambda status: os.getppid() != parent)
"""
# %%
import os
import subprocess
import sys

passphrases = {name: secrets.token_hex(16) for name in ("Hungary", "Switzerland", "VA Long Beach")}


def start(name):
    own, secret = Path(disk.name, name), {"PASSPHRASE": passphrases[name]}
    with own.with_suffix(".txt").open("a") as said:
        command = [sys.executable, "-c", program, shared, spoken, str(own), name]
        return subprocess.Popen(command, env=os.environ | secret, stdout=said, stderr=subprocess.DEVNULL)


others = {name: start(name) for name in passphrases}

# %% [markdown]
# A fifth one wants to join, from Zurich. There the column `chol` is called `cholesterol`.

# %%
from dataclasses import replace

table_zurich = federation["Switzerland"].table.rename(columns={"chol": "cholesterol"})
rows_zurich = replace(federation["Switzerland"], name="Zurich", table=table_zurich)
zurich = Participant(Folder(shared), Identity.new("Zurich"), rows_zurich, invitation=spoken)
print(zurich.step())

# %% [markdown]
# The teacher waits until all have asked, and then looks at the requests. In a class, each hospital reads its own
# fingerprint aloud, and the teacher compares.

# %%
import time

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
# ## The key
#
# All hospitals need the same key for the encryption, and nobody else may have it. The first on the list is the **key
# maker**: Cleveland, you. How does the key get to the others, if all that we have is a folder that everybody reads?
# **Sealed**: for each hospital, it is encrypted with that hospital's *public* key. Only its own secret key opens this.

# %%
me.step()
(letter_keys,) = Folder(shared).new("keys", 10**6)
print(f"one letter by {letter_keys.sender}, {len(letter_keys.data):,} bytes")

# %%
import json

from fedkit.exchange import letters

sealed_keys = json.loads(letters.read(letter_keys, me.study.id, "keys", 0).content)["secrets"]
try:
    teacher.unseal(base64.b64decode(sealed_keys["Hungary"]))
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## Rounds
#
# Now it goes on by itself. Round 0 adds up the statistics that prepare the rows. In each later round, every hospital
# posts its encrypted update. The coordinator adds, and posts the sum. Every hospital decrypts it and moves its own copy
# of the model. So nobody sends a model: it *follows* from the sums.
#
# You take your two parts in turn.

# %%
coordinator = Coordinator(Folder(shared), teacher, invitation=spoken)


def play(until):
    end = time.monotonic() + 240
    while not until():
        me.step()
        assert time.monotonic() < end, "Somebody does not answer."
        time.sleep(0.05)


# %%
def closed(rounds):
    return lambda: coordinator.step() and len(coordinator.study.chain()) > rounds


# %%
play(closed(3))  # the statistics and two rounds
print(Path(disk.name, "Hungary.txt").read_text())

# %% [markdown]
# Let us look at the letters of round 2. Anybody can read who sent what, and how long it is. The numbers are sealed.
# Each letter names the sum that it builds on. And it has a **tag** of the model that it started from: equal models,
# equal tags. The tag is made with the hospitals' key, so that it tells nobody else anything about the model.

# %%
import pandas as pd

from fedkit.exchange import rounds

found_2 = Folder(shared).new(rounds.place(2), 10**6)
letters_2 = {found.sender: letters.read(found, me.study.id, "update", 2).content for found in found_2}
own_2 = {name: rounds.Own.from_bytes(content) for name, content in sorted(letters_2.items())}
tags = {name: (own.after[:8], own.tag.hex()[:8], len(letters_2[name])) for name, own in own_2.items()}
table_2 = pd.DataFrame.from_dict(tags, orient="index", columns=["builds on", "tag of model", "bytes"])
assert table_2.nunique().max() == 1, "All four should have started from the same model."
table_2

# %% [markdown]
# ## Kill a hospital
#
# Switzerland's computer breaks down. Not politely: the process is killed, and saves nothing. We do it when all have
# posted for round 3.

# %%
import signal


def posted(round, hospitals):
    return lambda: len(me.folder.names(rounds.place(round))) == hospitals


# %%
play(posted(3, 4))
os.kill(others["Switzerland"].pid, signal.SIGKILL)
print(f"Switzerland's process ended: {signal.Signals(-others['Switzerland'].wait()).name}")

# %% [markdown]
# Its letter is in the folder, so round 3 can be closed. Then round 4 begins, and everybody waits. This is the picture
# for the projector, with a row a hospital and a column a round. Who is waited for?

# %%
from fedkit.exchange.watch import Watch

status = coordinator.step()
play(posted(4, 3))
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
# have a blue circle, which is posted, and Switzerland has a faint dot: it is awaited. All columns after it are dots.*
#
# In a class, a round can have a **deadline**, and a **quorum**: so many must have posted. Then it is closed without
# those who are missing. Exercise 2 tries it.
#
# ## Intruders
#
# While we wait, somebody else writes into the folder. The folder cannot stop them. They try three things: a letter in
# Switzerland's name, without a signature; Hungary's letter of round 3, once more in round 4; and a sum of round 3 with
# one bit changed. All three have the right file name: hashing is no secret.

# %%
from fedkit.exchange import journal


def refused():
    mine = [event for event in journal.events(Folder(shared)) if event["writer"] in ("Teacher", "Cleveland")]
    return {event["why"] for event in mine if event["what"] == "refused"}


before = refused()

# %%
intruder = Folder(shared)
(old,) = intruder.new(rounds.place(3), 10**6, "Hungary")
(total,) = intruder.new(rounds.sum_place(3), 10**6)
intruder.post(rounds.place(4), "Switzerland", b"I am Switzerland, and I am back.")
intruder.post(rounds.place(4), "Hungary", old.data)
changed_sum = intruder.post(rounds.sum_place(3), "Teacher", total.data[:-1] + bytes([total.data[-1] ^ 1]))

# %% [markdown]
# You and the coordinator look into the folder again. What is refused stands in the **log**. Each process writes one of
# its own, a line an event. Each line holds the hash of the line before, so a line that is changed breaks the chain.

# %%
status_coordinator, status_me = coordinator.step(), me.step()
assert len(refused() - before) == 3, "Each of the three should be refused, and the log should say why."
print(*sorted(refused() - before), sep="\n")

# %% [markdown]
# ## Start it again
#
# Switzerland's computer is repaired. The new process has its identity file, and the folder. It reads all sums, makes
# the model from them, finds that its letter of round 4 is missing, and posts it. Then all goes on to the end.

# %%
others["Switzerland"] = start("Switzerland")
play(lambda: coordinator.step().ended)
assert [process.wait(timeout=60) for process in others.values()] == [0, 0, 0], "All others should end well."
print("Cleveland:", me.step())

# %% [markdown]
# Do all hold the same model? At the end, each hospital says the fingerprint of its own, and they compare aloud. And is
# it the model that notebook 02 trains, with no folder, no encryption and no accident?

# %%
words = {name: Path(disk.name, f"{name}.txt").read_text().splitlines() for name in others}
assert {lines[-1] for lines in words.values()} == {str(me.step())}, "All four should hold one model."
print("Switzerland:", *words["Switzerland"][-4:], sep="\n")

# %%
from fedkit import learning

run_plain = learning.train_federated(federation, rounds=ROUNDS, seed=0)

# %%
import numpy as np

pairs = zip(me.weights, run_plain.weights["shared"], strict=True)
gap = max(np.abs(mine - plain).max() for mine, plain in pairs)
assert gap < 1e-6, "The study should train the model of notebook 02."
print(f"largest difference of a weight: {gap:.0e}")

# %% [markdown]
# Not to the last bit: here each number of an update is rounded to steps of 2^-22, to be encrypted. But against a study
# *without* an accident, there should be no difference at all. We **rehearse** one: in one process and in memory,
# everybody takes a step in turn.


# %%
from fedkit import exchange

undisturbed = exchange.rehearse(federation, rounds=ROUNDS)[0]
same = [mine.tobytes() == other.tobytes() for mine, other in zip(me.weights, undisturbed.weights, strict=True)]
assert all(same), "The killed process should have changed no bit of the model."
print("the same bytes")

# %% [markdown]
# ## Who could read what?
#
# Everybody who can open the folder has all letters. So can a hospital, which has the key, read the others' updates? We
# try it with Switzerland's letter of round 2.

# %%
sealed = own_2["Switzerland"].sealed
try:
    cleveland.unseal(sealed)
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# No: around the encryption there is a seal, for the coordinator. The coordinator opens the seal, and finds what is
# encrypted with a key that it does not have. But the two *together*:

# %%
from fedkit import encryption

keys = me.replica.follow()[1].keys
message = teacher.unseal(sealed)[rounds.ID :]  # the coordinator opens the seal ...
alone = encryption.Server(keys.public).add([message])
layout = rounds.layout(me.study.settings, keys.parameters, 2)
stolen, patients = keys.decrypt(alone, layout, at_least=1)  # ... and the hospital decrypts
assert patients == len(preparation.split(federation, seed=0).hospitals["Switzerland"].train_labels)
print(f"Switzerland: {patients:.0f} training patients, bias {stolen[13]:+.3f}")

# %% [markdown]
# So this is why the teacher must not be a hospital. The list in short:
#
# | who | reads |
# | --- | --- |
# | anybody with the folder | who sends what, when, how long; names of columns; the settings |
# | the coordinator | the same, and ciphertexts without a key |
# | a hospital | every sum, and the model |
# | a hospital *and* the coordinator | **every update of every hospital** |
#
# And what is *not* protected?
#
# - **Deleting.** Who can delete files can stop a study. Nobody can fake one.
# - **Lies.** A signature says who, not what ([notebook 07](07_malicious_participants.ipynb)).
# - **The sums and the model** tell something about rows ([notebook 06](06_gradient_leakage.ipynb)).
# - **A lost identity.** Without its secret file a hospital is out: nobody can join after the opening.
#
# ## What it costs
#
# Bytes of each hospital, in the whole study. "up" is what it wrote, "down" what it had to read.

# %%
from fedkit import records
from fedkit.exchange import results

ledger = results.ledger(me.study)
moved = ledger.pivot_table(index="hospital", columns="direction", values="bytes", aggfunc="sum")
each_round = ledger.query("round == 1 and direction == 'up'")["bytes"]
assert each_round.max() < 1200, "A letter of a round should have about a kilobyte."
records.glue("letter_bytes", each_round.mean())
(moved / 1e3).round(1)

# %% [markdown]
# Cleveland wrote more: it made the key. A letter is longer than the same message in notebook 05, because a study does
# not agree on bounds before each round. People may come and go, and any number must fit.
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
    learning.train_federated(people, aggregator=aggregators.EncryptedMean("bfv"), **same_settings),
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
# - You started a study, compared a fingerprint, joined, and saw Zurich refused with a reason.
# - You followed the rounds, killed Switzerland, and started it again: the same bytes of the model.
# - You know what an intruder can do, which is to delete, and that coordinator and one hospital together read all.
# - You put a study beside four other methods. In a class, set `ROLE`, `HOSPITAL`, `FOLDER` and `FINGERPRINT`; after it,
#   `STUDY`.

# %% [markdown]
# ## Exercises
#
# **1. Predict.** How many letters lie in the places of rounds and sums, now that the study of four hospitals and
# `ROUNDS` rounds is done? Do not forget statistics, scores, and the intruder. Write a formula, then run.

# %% tags=["exercise"]
my_guess = 4 * ROUNDS
count = len([*Path(shared).glob("round-*/*.letter"), *Path(shared).glob("sum-*/*.letter")])
print(f"my guess: {my_guess}; there are {count}")

# %% tags=["solution"]
predicted = (4 + 1) * (ROUNDS + 2) + 3  # four letters and a sum a round; three by the intruder
assert predicted == len([*Path(shared).glob("round-*/*.letter"), *Path(shared).glob("sum-*/*.letter")])
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
# **3. Build.** Be a better intruder. Make an identity that calls itself Hungary, and post a *signed* letter of the
# right length in its name. Why is it refused? (The study is done, but the coordinator still looks at the last round.)

# %% tags=["exercise"]
from fedkit.encryption.envelopes import About

about, earlier = About(me.study.id, "scores", ROUNDS + 1, "Hungary", ("Hungary",)), refused()
Folder(shared).post(rounds.place(ROUNDS + 1), "Hungary", b"a letter without a signature")  # change me
status_late = coordinator.step()
print(*(refused() - earlier))

# %% tags=["solution"]
earlier_still, length = refused(), rounds.own_bytes(me.study.settings, keys.parameters, ROUNDS + 1)
letters.post(Folder(shared), rounds.place(ROUNDS + 1), bytes(length), about, Identity.new("Hungary"))
status_later = coordinator.step()
(why,) = refused() - earlier_still
assert "signed with another key" in why, "The roster should tell the two keys apart."
print(why)
