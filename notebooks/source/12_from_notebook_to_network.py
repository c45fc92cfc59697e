# %% [markdown]
# # 12. From notebook to network: what changes when each hospital is a machine?
#
# *Two minutes to run, 20 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb), [08](08_one_folder_many_hospitals.ipynb).*
#
# By the end you can:
#
# - say who can read what, and when to use a notebook, a folder or a network;
# - carry a letter from one folder to another, and refuse one at the door;
# - read a hospital's consent, and see that it is obeyed;
# - run a server and four hospitals as five processes, and kill two of them;
# - show what travels, and that a wrong certificate is refused.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
ROUNDS = 10
EPOCHS = 5  # passes through a hospital's rows in a round

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(), {"ROUNDS": 10, "EPOCHS": 5}, {"ROUNDS": 3, "EPOCHS": 2}
)

# %% [markdown]
# ## Three ways to run the same study
#
# In notebook 03 all hospitals were in one process. In notebook 08 they shared a folder. Now each hospital gets a machine
# of its own, and a server stands between them. The [letters](glossary.md#letter) stay the same: two a round, signed,
# hidden by keys that are used once. What changes is who carries them.
#
# | | a notebook | a shared folder | a network |
# | --- | --- | --- | --- |
# | use it to | learn, and plan a study | teach a class, or try with friends | run a study between hospitals |
# | each hospital is | a row of a table | a process | a machine with an account of its own |
# | letters travel | not at all | as files that all can see | through a server, inside [TLS](glossary.md#tls) |
# | who can read a row | you | its hospital | its hospital |
# | who can read one update | you | nobody | nobody |
# | who sees who sends, and when | you | all who see the folder | the server, and in part each hospital |
# | who can stop it | you | who can delete files | the server, and who runs the network |
#
# "Nobody" has limits, which notebook 08 names: all other hospitals together read the last one. They hold here, too.
#
# We write no server of our own. Hospitals use engines that others have built and tested. This one is
# [NVFlare](https://nvflare.readthedocs.io), version 2.9.0. It is large, so it lives in an environment of its own.

# %%
from fedkit.network import environment

here = environment.ready()
ready = here and PROFILE == "full"
print("The engine is here." if here else environment.ABSENT)

# %% [markdown]
# If it is not here, this notebook still runs. It then leaves out the five processes. The quick profile leaves them out,
# too. In Colab, write `environment.make()` into a cell, wait a minute, and run all cells again.
#
# ## A letter from folder to folder
#
# Each machine has a folder. The engine need not know what a letter is. It carries one kind of **question**, and its
# answer. The hospital asks: "I have seen so many of your letters. Here are my new ones. What else is there?" By hand:


# %% tags=["slide"]
class BoardByHand:
    def __init__(self):
        self.shelf = []

    def answer(self, question):
        self.shelf += question["letters"]
        after = question["after"]
        return {"letters": self.shelf[after:], "after": len(self.shelf)}


# %%
board = BoardByHand()
first = board.answer({"after": 0, "letters": ["from Hungary"]})
second = board.answer({"after": first["after"], "letters": ["from Cleveland"]})
print(first, second, sep="\n")

# %% [markdown]
# The second answer holds only what is new. That is all the server does, apart from adding up. The server may be started
# again, and a question may be asked twice. Letters never change, so nothing gets lost, and nothing is counted twice.
#
# fedkit's `Board` is at the server, and its `Mirror` at a hospital. They do one thing more: they look at each letter **at
# the door**. There a person has written down who takes part: names, and [fingerprints](glossary.md#fingerprint) of keys.

# %% tags=["plumbing"]
# A server's folder, a hospital's folder, and letters to send: written
import shutil
import tempfile
from pathlib import Path

from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, letters
from fedkit.exchange.folder import digest
from fedkit.network.post import Board, Mirror

disk = tempfile.TemporaryDirectory()
people = {name: Identity.new(name) for name in ("Server", "Cleveland", "Hungary")}
roster = {name: fingerprint(one.public) for name, one in people.items()}
SUMS, LARGEST = 50, 10_000  # at most so many sums, and bytes of a letter


def written(me, place, content=b"{}"):
    number = int(place[-5:]) if "-" in place else 0
    about = About("0" * 32, place[:3], number, me.name, (me.name,))
    data = letters.signed(content, about, me)
    return place, f"{digest(data)}.{me.name}.letter", data


# %% tags=["plumbing"]
# The board, two mirrors, a letter of Hungary's; refusal: what is said
at_server = Board(Folder(Path(disk.name, "server")), roster, SUMS, LARGEST)
at_server.groups = [{"Cleveland", "Hungary"}]  # who may be added up together
folders, mirrors = {}, {}
for name in ("Cleveland", "Hungary"):
    folders[name] = Folder(Path(disk.name, name))
    how = {"name": name, "ask": at_server.answer, "may": lambda purpose: None}
    mirrors[name] = Mirror(folders[name], roster, SUMS, LARGEST, **how)
at, _, data = written(people["Hungary"], "one-00001")
folders["Hungary"].post(at, "Hungary", data)


def refusal(function, *what):
    try:
        function(*what)
    except ValueError as problem:
        return str(problem)


# %%
mirrors["Hungary"].send()
mirrors["Cleveland"].fetch()
print(*folders["Cleveland"].names("one-00001"))

# %% [markdown]
# Hungary's letter is in Cleveland's folder now, under the hash of its content. Now an intruder who calls herself Hungary.
# She has a certificate, let us say, and a key of her own.

# %%
eve = written(Identity.new("Hungary"), "one-00002")
question = {"name": "Hungary", "board": "", "after": 0, "letters": [eve]}
print(refusal(at_server.answer, question))

# %% [markdown]
# It never reaches the folder. Each hospital looks at its own door in the same way. So a server with bad software cannot
# slip in a letter of somebody else.
#
# ## Consent is a file
#
# A program that runs for days must not decide what leaves a hospital. A person does, once, in a file. The program reads
# it **before each step**.

# %% tags=["plumbing"]
# The study that is offered, and a consent to all of it
from types import SimpleNamespace

from fedkit import hospitals
from fedkit.exchange import Settings
from fedkit.network.consent import Consent

federation = hospitals.load("heart_disease")
plan = Settings.of(federation, rounds=ROUNDS, epochs=EPOCHS, budget=0)
offered = SimpleNamespace(settings=plan, invitation="K7QM-2XHD-9P1A-4T6R", roster=None)
offered.maker_is, offered.coordinators = ("Server", people["Server"].public), []
offered.least = 3
whole = Consent.to_all(
    plan,
    invitation=offered.invitation,
    server={"Server": roster["Server"]},
    hospitals={name: roster[name] for name in ("Cleveland", "Hungary")},
    host="127.0.0.1",
    port=8002,
)

# %%
agreed = whole._replace(
    columns=["age", "sex", "chol"],  # and no others
    most_rounds=5,
    leaves=["request", "group", "statistics", "patients", "update", "two"],
)

# %% [markdown]
# This hospital agrees to what is predicted, to three columns and five rounds. It never says how good the model is on its
# patients: "scores" is not among what leaves. See what the program says of our study, which wants more.

# %%
for sentence in agreed.problems(offered):
    print("-", sentence)
print("-", refusal(agreed.may, "scores"))

# %% [markdown]
# With the file gone, or changed, nothing leaves any more. A person can end it in the middle, by deleting the file.
#
# Whoever starts the study also runs the server. Could they add a hospital that does not exist, and learn more from the
# sums? They can open the study like that. But the names in the file then differ from those in the study, and each
# hospital stops. Could they say that a sum did not open, and have another one made without you? The two would differ by
# your part. So here a study has a **budget** of 0: after a sum that did not open, it ends. And could they say that you
# were late? Only where the study has a deadline: `waits_for_all` in the file says that it must have none.
#
# ## Five processes
#
# Now all of it. `Loopback` makes five **kits** (folders, one a machine): keys, [certificates](glossary.md#certificate), consent, and
# a hospital's rows. Then it starts five processes, which talk to each other over this machine's own network, and to
# nobody else.

# %% tags=["plumbing"]
# round_now: which round is open; done: whether each hospital has its model
import time

from IPython.display import display

from fedkit import plots
from fedkit.chapters.figures.studies import study_grid
from fedkit.exchange import Watch
from fedkit.network import kits
from fedkit.network.loopback import SERVER, Loopback


def round_now():
    return study.status(SERVER).get("round", 0)


def done():
    return all("model" in study.status(name) for name in federation.names)


# %% tags=["plumbing"]
# until: wait until something is so, and show the grid meanwhile
WORDS = """A row for each of the four hospitals, and a column for each sum. Green
squares stand for letters that were counted, other signs for what is waited for."""


def until(true):
    shown = {}

    def look():
        progress = watch.look()
        if progress.letters.empty or shown.get("text") == str(progress):
            return true()
        grid = study_grid(progress.letters, progress.sentence)
        picture = plots.Picture(grid, WORDS)
        if shown:
            shown["place"].update(picture)
        else:
            shown["place"] = display(picture, display_id=True)
        shown["text"] = str(progress)
        return true()

    study.until(look, 600)


# %%
if ready:
    place, began = Path(disk.name, "study"), time.monotonic()
    study = Loopback(place, federation, rounds=ROUNDS, epochs=EPOCHS)
    watch = Watch(study.kits[SERVER] / "study", study.invitation)
    study.start()
    until(lambda: round_now() >= 1)
    print(*sorted(file.name for file in study.kits["Hungary"].iterdir()), sep=", ")

# %% [markdown]
# These are the files of Hungary's kit. `identity` is locked by a passphrase. `tls.key` never left the folder. `rows.csv` is
# read by Hungary's process alone. `study` holds the letters that came and went.
#
# Now we kill Hungary's process, without notice, and start it again. Then the server's.

# %%
if ready:
    for name, next_one in (("Hungary", 2), (SERVER, ROUNDS)):
        study.kill(name)
        study.start(name)
        until(lambda: round_now() >= min(next_one, ROUNDS))  # noqa: B023
    until(done)
    print(f"{time.monotonic() - began:.0f} seconds from the start to the end")

# %% [markdown]
# Nobody had to tell the others. Who comes back asks what it missed. What it had sent before is kept on its own disk.
#
# ## The same model
#
# In notebook 08 we played a study in memory: the rehearsal. A network may be slow, and processes may die. The model must
# not care. So all bytes must be equal at all hospitals. And to the rehearsal? Up to rounding, in which each hospital
# draws numbers of its own ([dither](glossary.md#dither), notebook 05).

# %%
import numpy as np

from fedkit import exchange, records

rehearsed = exchange.rehearse(federation, rounds=ROUNDS, epochs=EPOCHS)[0]
heard = {study.status(name)["model"] for name in federation.names} if ready else {""}
assert len(heard) == 1, "All should hold one model."
for name in federation.names if ready else []:
    model = np.load(study.kits[name] / "model.npz")
    parts = [model[f"arr_{at}"] for at in range(len(model))]
    both = zip(parts, rehearsed.weights, strict=True)
    assert max(np.abs(one - other).max() for one, other in both) < 1e-5, name
    print(study.status(name)["model"], name)

# %% tags=["plumbing"]
# Golden numbers, which do not need the engine
mean, tested = rehearsed.scores[ROUNDS]["auroc"]
sent = len(rehearsed.folder.names("one-00002"))
records.glue("auroc", mean)
records.glue("letters_one_of_a_round", sent)
claim(mean > 0.7, "The model of the study is better than a guess.")

# %% [markdown]
# ## What travels
#
# Letters are hidden and signed already. Why another lock? Their *outsides* tell things: who sends, when, in which study.
# So all connections use **TLS**, as your browser does. And both sides show a **certificate**: a public key and a name,
# signed by an authority. Here the authority is the study's own. Each hospital's key is made at the hospital, and a
# certificate for it is made only for a **card** that the hospital has signed.
#
# We put a wire tap between one more hospital and a server: a small program which passes on all bytes, and keeps a copy.


# %% tags=["plumbing"]
# Tap: passes on all bytes between two ports, and keeps those that went up
import contextlib
import socket
import threading


class Tap:
    def __init__(self, port):
        self.to, self.heard = port, b""
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self):
        near, _ = self.door.accept()
        far = socket.create_connection(("127.0.0.1", self.to))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(near, *pair), daemon=True).start()

    def _pass(self, near, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self.heard += data if source is near else b""
                sink.sendall(data)
            sink.close()


# %%
if ready:
    kit, tap = study.kits["Hungary"], Tap(study.port)
    mine = Consent.read(kit)
    tapped = mine._replace(port=tap.door.getsockname()[1])
    assert kits.probe(kit, tapped) == "", "The way to the server is free."
    print(f"{len(tap.heard)} bytes, which begin with {tap.heard[:3].hex(' ')}")
    print("a request in the clear:", b"GET" in tap.heard)

# %% [markdown]
# The bytes 16 03 begin every TLS connection. `probe` asked the server for a page, and "GET" is not to be seen.
#
# ## A wrong certificate
#
# Somebody makes a study of their own, with the same names, and comes to our server with *its* certificate. The engine
# refuses, and keeps silent about it, on both sides. So we ask for the reason ourselves.

# %% tags=["plumbing"]
# A kit of Hungary's, but with the certificate of another study
if ready:
    wrong = Path(disk.name, "wrong")
    shutil.copytree(kit, wrong, ignore=shutil.ignore_patterns("study", "engine"))
    other = Loopback(Path(disk.name, "other"), federation, rounds=1)
    for file in ("tls.key", "tls.crt"):
        shutil.copy(other.kits["Hungary"] / file, wrong)

# %%
if ready:
    said = kits.probe(wrong, mine)
    assert "refuses the certificate" in said, "The server refuses it."
    print(said.replace(str(mine.port), "..."))

# %% [markdown]
# `python -m fedkit.network status KIT` says such sentences at each machine: also that the server cannot be reached, that a
# hospital never came, or that a process has died.
#
# ## Where the bytes went

# %%
import pandas as pd

if ready:
    rows = {name: study.status(name) for name in federation.names}
    study.kill()
    print("bytes of letters since a process was started, and questions")
    display(pd.DataFrame(rows).T[["up", "down", "asked"]])

# %% [markdown]
# "up" are letters one and two. "down" are the others' letters one, lists and sums. Whoever was started again has read
# everything twice, or has counted only since then. TLS and the engine come on top: in our measurements two to three
# times as much. Between two questions nothing travels, since the server **calls** when something is new.
#
# ## What it does not do
#
# - **The server** decides who hears what, and when. It can keep letters back, and stop a study. It cannot read or forge.
# - **Rows and keys** are as safe as the machine that they lie on. An administrator there can read them.
# - **Who takes part** is fixed at the opening. To remove a hospital, or to change keys, begin a new study.
# - **Tried** were processes on one machine. Between real hospitals nobody has run it yet. The page
#   [on three machines of your own](network.md) says what to try first.
#
# ## What you can do now
#
# - A notebook is to learn and plan, a folder to teach, a network for machines that trust nobody else with their rows.
# - A question carries letters both ways. At each door, only letters signed by those who were agreed on are taken.
# - Consent is a file: what is predicted, columns, rounds, who takes part, what may leave. It is compared before each step.
# - Five processes trained one model. Two were killed, and all hold the same bytes.
# - A tap hears TLS and nothing else, and a certificate of another study is refused with a sentence.
#
# ## Exercises
#
# **1. Predict.** Cleveland sends its letter one and its letter two of number 4. They may be added up with Hungary's. Then
# Hungary asks the board for everything. How many of Cleveland's *two* letters does it get? (Which of them does Hungary
# need, before it answers a list?)

# %% tags=["exercise"]
shown = ...

# %% tags=["solution"]
shown = 1  # letter one: letter two is for the server alone

# %% tags=["plumbing"]
# Is it right? The letters are posted, and Hungary asks
from fedkit.chapters import course


def letters_shown():
    three = {name: Identity.new(name) for name in ("Server", "Cleveland", "Hungary")}
    known = {name: fingerprint(one.public) for name, one in three.items()}
    fresh, sent = Board(Folder(Path(tempfile.mkdtemp())), known, 50), []
    fresh.groups = [{"Cleveland", "Hungary"}]
    for kind in ("one", "two"):
        about = About("0" * 32, kind, 4, "Cleveland", ("Cleveland",))
        data = letters.signed(b"{}", about, three["Cleveland"])
        sent.append((f"{kind}-00004", f"{digest(data)}.Cleveland.letter", data))
    fresh.answer({"name": "Cleveland", "board": "", "after": 0, "letters": sent})
    asked = {"name": "Hungary", "board": "", "after": 0, "letters": []}
    return len(fresh.answer(asked)["letters"])


hint = "Look at `_why_not` of `exchange.hospital`: whose letters does it look for?"
course.check("Exercise 1", shown, (lambda said: said == letters_shown(), hint))

# %% [markdown]
# **2. Modify.** Change `agreed` by `._replace(...)`, so that the study `plan` above is agreed to in full, and the scores
# may leave, too. Give no more than it needs: not one round, column or kind of letter more.

# %% tags=["exercise"]
consented = ...  # agreed._replace(...)

# %% tags=["solution"]
consented = agreed._replace(
    columns=[*plan.numeric, *plan.categorical],
    most_rounds=plan.rounds,
    leaves=[*agreed.leaves, "scores"],
)

# %% tags=["plumbing"]
# Is it right? It is compared with the study
from fedkit.chapters import course


def wanted(said):
    return {*said.columns} == {*plan.numeric, *plan.categorical}


def no_problem(said):
    return not said.problems(offered)


course.check(
    "Exercise 2",
    consented,
    (no_problem, "`consented.problems(offered)` still says something."),
    (wanted, "Which columns does the study learn from, and no others?"),
    (lambda said: said.most_rounds == plan.rounds, "How many rounds does it take?"),
    (
        lambda said: {*said.leaves} == {*agreed.leaves, "scores"},
        "What left before, and what is to leave now?",
    ),
)

# %% [markdown]
# **3. Build.** Write the door. A letter is a name, like `"<digest>.Hungary.letter"`, and bytes, of which the first 32 are
# the sender's public key. Say whether its content hashes to its name, and its key's fingerprint is the sender's. (`digest`
# and `fingerprint` are imported above. The signature is checked behind the door.)


# %% tags=["exercise"]
def door(name, data, roster):
    return ...


# %% tags=["solution"]
def door(name, data, roster):
    said, sender, _ = name.split(".")
    return digest(data) == said and fingerprint(data[:32]) == roster.get(sender)


# %% tags=["plumbing"]
# Is it right? Fresh letters come to it
from fedkit.chapters import course


def takes(spoil, right):
    def rule(function):
        key, other = (Identity.new(name).public for name in "HZ")
        known = {"Hungary": fingerprint(key), "Zurich": fingerprint(other)}
        data = (other if spoil == "key" else key) + b"numbers"
        sender = "Zurich" if spoil == "name" else "Hungary"
        name = f"{digest(data)}.{sender}.letter"
        found = function(name, data + b"!" * (spoil == "content"), known)
        return ... if found is ... else bool(found) == right

    return rule


course.check(
    "Exercise 3",
    door,
    (takes("", True), "A good letter should come in."),
    (takes("content", False), "A byte was added: compare the hash."),
    (takes("key", False), "This is another hospital's key: whose should it be?"),
    (takes("name", False), "The name on it is another hospital's: compare the key."),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. What does the server do in this network?**
#
# <details><summary>It hands letters on, and adds what it cannot read</summary>
#
# Right: a hospital asks what is new, and gets an answer. Training and keys stay at the hospitals.
#
# </details>
# <details><summary>It opens the letters, and checks the numbers in them</summary>
#
# Not this one: it has no key. At the door it checks who has signed a letter, and not its numbers.
#
# </details>
# <details><summary>It trains for each hospital that is away for a while</summary>
#
# Not this one: it has no rows, so it cannot train. A hospital that comes back asks for what it missed.
#
# </details>
#
# **2. Letters are encrypted and signed. Why is there TLS around them?**
#
# <details><summary>Else somebody who listens could read the updates</summary>
#
# Not this one: updates are hidden in the letters already, under keys that are used once.
#
# </details>
# <details><summary>Else somebody who listens could read the names on letters</summary>
#
# Right: the outside of a letter says who sends it, what for, and in which study. Inside TLS, it is noise.
#
# </details>
# <details><summary>Else a letter that was changed on the way would be taken</summary>
#
# Not this one: it would not fit its hash and its signature. So it is refused at the door, with TLS or without.
#
# </details>
#
# **3. The program wants to send scores, and the consent does not allow it. What happens?**
#
# <details><summary>They leave all the same, since a score is no patient's row</summary>
#
# Not this one: a score tells something about patients, too. The file says what may leave, and scores are not in it.
#
# </details>
# <details><summary>The server is asked, since it leads the study</summary>
#
# Not this one: a person at the hospital decides what leaves, in a file. The server has no say in that.
#
# </details>
# <details><summary>They stay at the hospital, and the program says why</summary>
#
# Right: the file is compared before each step. What is not in it does not leave.
#
# </details>
#
# **4. Who starts the study adds a hospital that does not exist. What stops this?**
#
# <details><summary>The sum: with a false hospital among them, it does not open</summary>
#
# Not this one: it would open. Then the sum would hold fewer true hospitals than it seems.
#
# </details>
# <details><summary>The server: it sees that this hospital has no rows</summary>
#
# Not this one: who starts the study also runs the server. So nobody can count on it here.
#
# </details>
# <details><summary>Each hospital: it compares the names with its own file</summary>
#
# Right: the names in the study then differ from the names that were agreed on. So the hospital stops.
#
# </details>
#
# **5. Hungary's process is killed, and started again. Why is nothing lost, and nothing counted twice?**
#
# <details><summary>Because the server keeps a copy of its memory</summary>
#
# Not this one: the server knows nothing of its memory. What it must not forget lies on its own disk.
#
# </details>
# <details><summary>Because letters never change, and it asks what it missed</summary>
#
# Right: a question may be asked twice. The same letter has the same name, so it is there once.
#
# </details>
# <details><summary>Because all hospitals go back to the first round</summary>
#
# Not this one: nobody goes back. The others only wait until the letters that are missing have come.
#
# </details>
