# %% [markdown]
# # 00. Can four hospitals train one model without showing a row?
#
# *One minute to run, 25 minutes to read. To read before: nothing.*
#
# By the end you can:
#
# - say what stays in a hospital and what travels;
# - find the notebook that answers your question;
# - train one model at four hospitals, encrypted, in five lines;
# - read what came out and what it cost, side by side;
# - run this kit on your own computer, in Google Colab, or with a class.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEED = 0  # decides which patients are held out for testing
ROUNDS = 50  # how often the hospitals train and join their updates

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(globals(), {"SEED": 0, "ROUNDS": 50}, {"ROUNDS": 10})

# %% [markdown]
# ## The story
#
# Patients came to four hospitals to have the vessels of their heart examined: in Cleveland, in Hungary, in Switzerland,
# and in Long Beach, California. Each hospital keeps a table. One [**row**](glossary.md#row) is one patient: age, blood pressure, heart
# rate in exercise, and so on: what was known *before* the examination. One more column is the [**label**](glossary.md#label): 1 if the
# examination found the disease, 0 if it did not.
#
# They share one question: *can a [model](glossary.md#model) tell label 1 from label 0, from the other columns?* A model learns from rows.
# The largest hospital has about 300 of them, the smallest about 120. Together they have 920. So it might help to train
# on all of them.
#
# But **rows may not leave a hospital**. A row is about a person. Once it is copied to another place, nobody can take it
# back. There may be rules against it too, and there are good reasons for such rules.
#
# [**Federated learning**](glossary.md#federated-learning) turns it around: the rows stay, and the *model* travels. In
# each [**round**](glossary.md#round), every hospital
# trains the shared model on its own rows, for a short time. Then it sends its [**update**](glossary.md#update): how far each number in the
# model moved. A [**server**](glossary.md#server) joins the updates into one. Then the next round begins.
#
# One gap is left. An update is made from rows, so it says something about them, and the server can read it.
# [**Homomorphic encryption**](glossary.md#homomorphic-encryption) closes this gap: a kind of encryption in which numbers can be *added while they are
# encrypted*. The server adds what it cannot read.
#
# These are real rows, from the 1980s (UCI Heart Disease, CC BY 4.0; Janosi, Steinbrunn, Pfisterer and Detrano). We use
# them to learn methods. Nothing here says how to treat a patient.

# %% [markdown]
# ## The map
#
# | notebook | what it asks |
# | --- | --- |
# | **00 start here** | Can four hospitals train one model without showing a row? |
# | [01 centralised baseline][01] | What would we get if all rows were in one place? |
# | [02 federated learning][02] | How do four updates become one model, and which hospital gains? |
# | [03 federated learning with encryption][03] | How can a server add numbers that it cannot read? |
# | [04 comparison of outcomes][04] | Which way of training is better, at which hospital, and how sure are we? |
# | [05 communication cost][05] | Can an encrypted number be shorter than a plain one? |
# | [06 gradient leakage][06] | What can a curious server read from one update? |
# | [07 malicious participants][07] | Can one hospital spoil the model for all? |
# | [08 one folder, many hospitals][08] | Can hospitals train together with no server, in one shared folder? |
# | [09 hospitals that differ][09] | What helps where hospitals differ? |
# | [10 slow and absent hospitals][10] | Must everybody wait for the slowest hospital? |
# | [11 differential privacy][11] | What does the sum still tell, and what does it cost to hide it? |
# | [12 from notebook to network][12] | What changes when each hospital is a machine? |
# | [13 hospital records][13] | Hospitals keep records, not tables: who makes the row? |
# | [14 watches at the edge][14] | A watch knows its owner: what does it know tomorrow, and of anybody else? |
# | [15 other sectors][15] | A school, an airport, a bank: what carries over from hospitals? |
#
# Read them in this order. Each runs on its own, from top to bottom, in a few minutes.
#
# [01]: 01_centralized_baseline.ipynb
# [02]: 02_federated_learning.ipynb
# [03]: 03_federated_learning_with_encryption.ipynb
# [04]: 04_comparison_of_outcomes.ipynb
# [05]: 05_communication_cost.ipynb
# [06]: 06_gradient_leakage.ipynb
# [07]: 07_malicious_participants.ipynb
# [08]: 08_one_folder_many_hospitals.ipynb
# [09]: 09_hospitals_that_differ.ipynb
# [10]: 10_slow_and_absent_hospitals.ipynb
# [11]: 11_differential_privacy.ipynb
# [12]: 12_from_notebook_to_network.ipynb
# [13]: 13_hospital_records.ipynb
# [14]: 14_watches_at_the_edge.ipynb
# [15]: 15_other_sectors.ipynb
#
# ## Is everything here?
#
# The cell at the top has installed what was missing. The next one lists the main parts with their versions. No line
# should say "missing".

# %%
import pandas as pd
from fedkit.compat import environment

versions = pd.Series(environment.versions(), name="version")
versions.to_frame()

# %% [markdown]
# TensorFlow Federated runs the training. TenSEAL does the encryption. `fedkit` is the package around them. What
# notebooks 01 to 04 teach is its **core**: ten files. How long are they? The next cell counts their lines, in the
# order in which they are best read, and the hours that they take at five lines a minute.

# %%
import fedkit
from pathlib import Path

package = Path(fedkit.__file__).parent
core = "hospitals tables checks preparation models learning aggregators records"
core = [*core.split(), "evaluation", "plots"]
texts = [(package / f"{name}.py").read_text(encoding="utf-8") for name in core]
lengths = pd.DataFrame({"lines": [len(text.splitlines()) for text in texts]}, core)
lengths["hours"] = lengths["lines"] / (5 * 60)
lengths.loc["all ten"] = lengths.sum()
lengths.round(1).T

# %% [markdown]
# That is a full day. You need not read them first: each notebook shows the lines that matter, and writes them by hand.
#
# All else lies in folders, and may be skipped until you need it. `encryption` is the engine behind
# `aggregators.EncryptedMean`; notebooks 03 and 05 teach it. `reading` reads the tables that people bring. `compat`
# makes the libraries safe to use. `chapters` has what single notebooks need, and `studies` what makes their tables.
# `exchange` is for notebook 08, `network` for 12, and `sources` for 13.

# %% tags=["plumbing"]
# All parts are here, and the package is as the text says
folders = {path.name for path in package.iterdir() if path.is_dir()}
assert "missing" not in set(versions), (
    "A part is missing: run the set-up cell above again."
)
assert {path.stem for path in package.glob("*.py")} == {"__init__", *core}, (
    "The core should be these ten."
)
assert folders - {
    "__pycache__",
    "data",
} == {  # an installed package has its data inside
    *("encryption", "reading", "compat", "chapters", "studies", "exchange"),
    *("network", "sources"),
}, "All else should be in these eight folders."
assert 7 < lengths.loc["all ten", "hours"] < 10, "The core should take a full day."

# %% [markdown]
# ## Who holds what
#
# The picture shows the four hospitals, the server, and all that travels between them. Two things to see: where the rows
# are, and who has a key. A **key** is the secret that opens what is encrypted.

# %%
from fedkit import plots
from fedkit.chapters import diagrams

plots.Picture(
    diagrams.architecture(),
    "Four hospitals stand in a row, and each holds its patients' rows and its own "
    "keys. Arrows go up to the server and come down, each with a lock: only "
    "encrypted messages travel. The server has no key. A dashed line joins the "
    "hospitals, which agree on secrets that the server does not learn.",
)

# %% [markdown]
# ## Five lines
#
# Now we do it. The first three lines of the five load the hospitals and train one model, encrypted. They show nothing
# yet: all that happened is in `run`.

# %% tags=["slide"]
from fedkit import aggregators, hospitals, learning

federation = hospitals.load("heart_disease")
run = learning.train_federated(
    federation, rounds=ROUNDS, aggregator=aggregators.EncryptedMean(), seed=SEED
)

# %% [markdown]
# That was the whole training. In every round, each hospital trained, made a new key, and encrypted its update. The
# server added the updates up, and the hospitals opened the sum together.
#
# Line four shows **what came out**. `run.metrics` has one row for each round, hospital and measure. We ask it for one of
# its measures, the one that we use most: `auroc`.

# %%
run.metrics.query("metric == 'auroc'")

# %% [markdown]
# **AUROC** says how often a patient with label 1 gets a higher score than a patient with label 0: 0.5 is a coin, 1 is
# perfect. [Notebook 01](01_centralized_baseline.ipynb) builds it by hand. It is always measured on patients that the
# model was not trained on. The other measures have their turn in later notebooks.
#
# Line five shows **what it cost**. The [**ledger**](glossary.md#ledger) has one row for each thing that was done or sent: in which round, by
# which hospital, in which direction, how many bytes, how many seconds.

# %%
run.ledger

# %% [markdown]
# ## Reading the two together
#
# One table of results and one table of costs belong together. So we put them side by side: how well the one shared
# model does at each hospital, and what that hospital sent for it.

# %%
sent = run.ledger.query("direction == 'up'").groupby("hospital")["bytes"].sum()
side_by_side = federation.summary().set_index("hospital")[["patients"]]
side_by_side["AUROC"] = run.final("auroc").round(3)
side_by_side["kilobytes sent"] = (sent / 1e3).round(1)
side_by_side

# %% [markdown]
# Every hospital sends about the same amount. A large hospital does not send more than a small one: an update has one
# number for each weight of the model, however many patients it was made from. But AUROC differs from hospital to
# hospital. A mean of the four would hide that. So wherever you meet a mean, ask for the hospitals behind it.
#
# ## Did encryption change the model?
#
# The same training again, without encryption. `Mean()` is the plain mean, and the server can read every update. All
# else is equal, so we can compare the two models number by number.

# %% tags=["slide"]
import numpy as np
from fedkit import models

run_plain = learning.train_federated(
    federation, rounds=ROUNDS, aggregator=aggregators.Mean(), seed=SEED
)
plain, encrypted = (models.flatten(one.weights["shared"]) for one in (run_plain, run))
difference = np.abs(plain - encrypted).max()
assert difference < 1e-5, "Encrypted training should give the plain model."
print(f"{len(plain)} numbers in the model; the largest difference is {difference:.1e}")

# %% [markdown]
# It is the same model. Then where is the price? In the bytes.

# %%
bytes_plain, bytes_encrypted = (one.ledger["bytes"].sum() for one in (run_plain, run))
print(f"plain: {bytes_plain / 1e3:,.0f} kB; encrypted: {bytes_encrypted / 1e3:,.0f} kB")

# %% [markdown]
# Encryption makes a short message many times longer. Most of what a hospital sends in a round is not its update, but
# what helps to open the sum. All the same, the whole training moves less than two megabytes, all hospitals and rounds
# together. Is the price as high for a large model? [Notebook 05](05_communication_cost.ipynb) measures it.

# %% tags=["plumbing"]
# What this section says, checked; and two numbers for the tests
from fedkit import records

apart = sent.max() / sent.min()
auroc = side_by_side["AUROC"]
in_rounds = run.ledger.query("direction == 'up' and round > 0")
opening, update = in_rounds.groupby("phase")["bytes"].sum()[["share", "send"]]
assert apart < 1.1, "Every hospital should send about the same amount."
assert opening > update, "Most of what is sent should help to open the sum."
claim(auroc.max() - auroc.min() > 0.05, "AUROC differs from hospital to hospital.")
claim(10 < bytes_encrypted / bytes_plain < 80, "Messages are many times longer.")
claim(bytes_encrypted < 2e6, "The training moves less than two megabytes.")
records.glue("auroc_mean_of_hospitals", run.final("auroc").mean())
records.glue("times_more_bytes", bytes_encrypted / bytes_plain)

# %% [markdown]
# ## Who holds which key, and what is *not* protected
#
# The ledger also knows what was sent about keys. "peer" means from hospital to hospital; "up" and "down", to and from
# the server. Up go two **public** keys of 32 bytes, which may be known to all, and a
# [**signature**](glossary.md#signature) of 64: no secret. Down come those of everybody. And the first hospital gives
# each other one a secret that the server must not have.

# %%
about_keys = run.ledger[(run.ledger["phase"] == "keys") & (run.ledger["bytes"] > 0)]
assert (about_keys.query("direction == 'up'")["bytes"] == 2 * 32 + 64).all()
about_keys[["hospital", "direction", "phase", "bytes"]]

# %% [markdown]
# - **Who holds the key?** Each hospital has keys of its own, and uses each for one sum. Nobody else gets to know it.
#   Only the *sum of all keys* becomes known, at the hospitals, and it opens nothing but the sum of the updates. The
#   server gets *public* keys, with which nobody can open anything, and signatures.
# - **What does the server see?** Who sends, when, and how many bytes. It does not see any number of an update.
# - **What is not protected?** The hospitals see the sum of all updates, and they hold the finished model. A model can
#   say something about the rows that it learned from. If all hospitals but one work together, they work out the last
#   one's update from the sum. And a hospital that sends nonsense is not found out: nobody can look inside its message.
#
# [Notebook 03](03_federated_learning_with_encryption.ipynb) shows each of these and tests them.

# %% [markdown]
# ## Use it your way
#
# - **In Google Colab**: press the badge at the top, then *Runtime → Run all*. The first cell takes about a minute. You
#   do not need an account anywhere else, and no graphics card.
# - **On your computer**: `make lab` in the folder of the kit opens all notebooks.
# - **In class**: each notebook ends with exercises: one to *predict*, one to *modify*, one to *build*. A cell below each
#   says whether your answer is right. Give out the notebooks of this folder; `solutions` has them with the answers.
# - **In a hurry**: write `PROFILE = "smoke"` in the cell of parameters. The numbers are then rougher.
# - **To play**: change any number there, and run all cells again. Where a sentence of the text is not so with your
#   numbers, a line says it.
# - **With your own table**: `hospitals.from_frame(frame, site="hospital", label="disease")` takes any table that has
#   one row a patient, or says all that is wrong with it. Exercise 3 tries it.
#
# Do you miss a word? The [glossary](glossary.md) explains the words of the field.
#
# ## What you can do now
#
# - You can say what stays and what travels: rows and keys stay in the hospitals; encrypted updates go to the server.
# - You have the map: which notebook asks which question.
# - You trained one model at four hospitals, encrypted, in five lines.
# - You read `run.metrics` and `run.ledger` side by side: what came out, and what it cost.
# - You know how to run the kit: in Colab, on your own computer, or with a class.
#
# Next: [what would pooling give?](01_centralized_baseline.ipynb)

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...`, run the cell, and then the check below it.
#
# **1. Predict.** We look at the *plain* training, in which a number takes 4 bytes. How many bytes go *up* to the server
# in one round, from all hospitals together?

# %% tags=["exercise"]
guess = ...  # bytes

# %% tags=["solution"]
guess = 14 * 4 * 4  # numbers in an update, bytes of a number, hospitals

# %% tags=["plumbing"]
# Is exercise 1 right?
from fedkit.chapters import course

up_in_round_1 = run_plain.ledger.query("direction == 'up' and round == 1")["bytes"]
course.check(
    "Exercise 1",
    guess,
    (
        lambda it: float(it) == up_in_round_1.sum(),
        "How many numbers has an update (the cell that compares two models says it)? "
        "How many bytes has a number? How many hospitals send one, in one direction?",
    ),
)

# %% [markdown]
# **2. Modify.** Change the five lines so that the hospitals send *at most half* of the bytes that they sent in `run`.
# The training stays encrypted, all four hospitals take part, and the patients for testing are the same. The mean AUROC
# of the hospitals may fall by 0.01, and not more. (`help(learning.Plan)` lists what you can set.)

# %% tags=["exercise"]
run_mine = ...  # a training of your own

# %% tags=["solution"]
run_mine = learning.train_federated(  # fewer rounds, and more training in each
    federation,
    rounds=max(ROUNDS // 3, 1),
    epochs=3,
    aggregator=aggregators.EncryptedMean(),
    seed=SEED,
)

# %% tags=["plumbing"]
# Is exercise 2 right?
from fedkit.chapters import course


def up(one):
    return one.ledger.query("direction == 'up'")["bytes"].sum()


everybody = "All four hospitals should take part."
many = "More than half is sent (`up` counts). Look: what is sent again and again?"
bad = "Its mean AUROC is too low. Could each hospital train more in a round?"
course.check(
    "Exercise 2",
    run_mine,
    (lambda it: not isinstance(it, list), "Is the seed a number, as in `run`?"),
    (lambda it: it.method == run.method, "Is it encrypted? Look at the aggregator."),
    (lambda it: set(it.final().index) == set(federation.names), everybody),
    (lambda it: not it.settings["leave_out"], everybody),
    (lambda it: it.settings["seed"] == run.settings["seed"], "The seed is another."),
    (lambda it: 2 * up(it) <= up(run), many),
    (lambda it: it.final().mean() >= run.final().mean() - 0.01, bad),
)

# %% [markdown]
# **3. Build.** `frame` is a table as somebody might bring it: one row a patient, with a column `hospital` and a column
# `outcome`. (A computer made it up.) Run the cell, and read what the kit asks.

# %%
frame = hospitals.example()
try:
    hospitals.from_frame(frame, site="hospital", label="outcome")
except ValueError as problem:
    print(problem)

# %% [markdown]
# Write a function that makes a federation of such a table, in which label 1 is who died. The check gives it another
# table of the same kind. Then you can train on it, as above.


# %% tags=["exercise"]
def read(frame):
    return ...


# %% tags=["solution"]
def read(frame):
    return hospitals.from_frame(frame, site="hospital", label=("outcome", "died"))


learning.train_federated(read(frame), rounds=5, seed=SEED)

# %% tags=["plumbing"]
# Is exercise 3 right?
from functools import cache
from fedkit import hospitals
from fedkit.chapters import course

other = hospitals.example().sample(frac=0.9, random_state=1)
other = other.replace({"hospital": {"Park": "Lake"}})
died = other["outcome"].eq("died").groupby(other["hospital"]).sum().to_dict()
made = cache(lambda function: function(other.copy()))


def ill(it):
    it = made(it)
    return it if it is ... else dict(it.summary()[["hospital", "positives"]].to_numpy())


what = "Return what `from_frame` makes of the table that `read` is given."
learns = "The model would see the outcome itself: look at the `columns` to learn from."
course.check(
    "Exercise 3",
    read,
    (ill, what),
    (lambda it: ill(it) == died, "Is label 1 who died, at each hospital there?"),
    (lambda it: not any("outcome" in one for one in made(it).columns), learns),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. What does a hospital send in a round of the encrypted training?**
#
# <details><summary>Its rows, encrypted, so that only the server can open them</summary>
#
# Not this one: rows never leave, encrypted or not. And the server has no key that opens anything.
#
# </details>
# <details><summary>Its update, encrypted, and what helps to open the sum</summary>
#
# Right: the rows stay. The update travels hidden, and the second message only helps to open the sum of all updates.
#
# </details>
# <details><summary>Its rows without names, so that nobody can be recognised</summary>
#
# Not this one: rows without names are still rows, and no row leaves. A few columns together can point to one person.
#
# </details>
#
# **2. Somebody steals all that the server has kept. What can the thief read?**
#
# <details><summary>Who has sent something, when, and how many bytes</summary>
#
# Right: the outside of a message is readable. Its numbers are not, and the server has no key that opens them.
#
# </details>
# <details><summary>The updates, because the server had to add them up</summary>
#
# Not this one: the server adds them while they are encrypted. It never sees a number of an update.
#
# </details>
# <details><summary>Nothing, because all that travels is encrypted</summary>
#
# Not this one: the numbers of an update are. But who sends, when, and how many bytes stays readable.
#
# </details>
#
# **3. Why do small and large hospitals send about equally many bytes?**
#
# <details><summary>Each trains on as many patients as the smallest has</summary>
#
# Not this one: each trains on all of its training rows. The number of patients changes what the update says, and not
# its length.
#
# </details>
# <details><summary>The server cuts long messages until all are equally long</summary>
#
# Not this one: nothing is cut. Without encryption the messages are equally long, too.
#
# </details>
# <details><summary>An update has one number for each weight of the model</summary>
#
# Right: the model is the same everywhere. So its update is as long, however many patients it was made from.
#
# </details>
#
# **4. Why should you ask for the hospitals behind a mean AUROC?**
#
# <details><summary>The largest hospital alone decides about the mean</summary>
#
# Not this one: our mean counts each hospital once, whatever its size. What it hides is how they differ.
#
# </details>
# <details><summary>The model may do badly at one of them</summary>
#
# Right: a mean hides that. A hospital wants to know how the model does for its own patients.
#
# </details>
# <details><summary>Encryption changes the AUROC of small hospitals</summary>
#
# Not this one: the encrypted training gave the same model as the plain one. It only sent more bytes.
#
# </details>
#
# **5. One hospital encrypts nonsense, and sends it. What happens?**
#
# <details><summary>The server sees that it is nonsense, and leaves it out</summary>
#
# Not this one: the server cannot look inside a message. This is what the encryption is for.
#
# </details>
# <details><summary>The signature does not fit, so the message is refused</summary>
#
# Not this one: a signature shows who sent a message. It does not show that the numbers in it make sense.
#
# </details>
# <details><summary>It is added like the others, and nobody can look inside</summary>
#
# Right: encryption hides a false update as well as a true one. [Notebook 07](07_malicious_participants.ipynb) is
# about that.
#
# </details>
