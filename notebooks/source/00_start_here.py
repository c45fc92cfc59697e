# %% [markdown]
# # 00. Can four hospitals train one model without showing a row?
#
# *Under a minute to run, 20 minutes to read. To read before: nothing.*
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

# %%
if PROFILE == "smoke":
    ROUNDS = 10

# %% [markdown]
# ## The story
#
# Patients came to four hospitals to have the vessels of their heart examined: in Cleveland, in Hungary, in Switzerland,
# and in Long Beach, California. Each hospital keeps a table. One **row** is one patient: age, blood pressure, heart
# rate in exercise, and so on: what was known *before* the examination. One more column is the **label**: 1 if the
# examination found the disease, 0 if it did not.
#
# They share one question: *can a model tell label 1 from label 0, from the other columns?* A model learns from rows.
# The largest hospital has about 300 of them, the smallest about 120. Together they have 920. So it might help to train
# on all of them.
#
# But **rows may not leave a hospital**. A row is about a person. Once it is copied to another place, nobody can take it
# back. There may be rules against it too, and there are good reasons for such rules.
#
# **Federated learning** turns it around: the rows stay, and the *model* travels. In each **round**, every hospital
# trains the shared model on its own rows, for a short time. Then it sends its **update**: how far each number in the
# model moved. A **server** joins the updates into one. Then the next round begins.
#
# One gap is left. An update is made from rows, so it says something about them, and the server can read it.
# **Homomorphic encryption** closes this gap: a kind of encryption in which numbers can be *added while they are
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
# | [01 centralized baseline][01] | What would we get if all rows were in one place? |
# | [02 federated learning][02] | How do four updates become one model, and which hospital gains? |
# | [03 federated learning with encryption][03] | How can a server add numbers that it cannot read? |
# | [04 comparison of outcomes][04] | Which way of training is better, at which hospital, and how sure are we? |
# | [05 communication cost][05] | Can an encrypted number be shorter than a plain one? |
# | [06 gradient leakage][06] | What can a curious server read from one update? |
# | [07 malicious participants][07] | Can one hospital spoil the model for all? |
# | [08 one folder, many hospitals][08] | Can hospitals train together with no server, in one shared folder? |
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
#
# ## Is everything here?
#
# The cell at the top has installed what was missing. The next one lists the main parts with their versions. No line
# should say "missing".

# %%
import pandas as pd
from fedkit.compat import environment

versions = environment.versions()
assert "missing" not in versions.values(), (
    "A part is missing: run the set-up cell above again."
)
pd.Series(versions, name="version").to_frame()

# %% [markdown]
# TensorFlow Federated runs the training. TenSEAL does the encryption. `fedkit` is the package around them. What
# notebooks 01 to 04 teach is its **core**: nine modules, which you can read in an afternoon. How long are they? The
# next cell counts their lines, in the order in which they are best read.

# %%
import fedkit
from pathlib import Path

package = Path(fedkit.__file__).parent
core = [
    "hospitals",
    "tables",
    "preparation",
    "models",
    "learning",
    "aggregators",
    "records",
    "evaluation",
    "plots",
]
lines = {
    name: len((package / f"{name}.py").read_text(encoding="utf-8").splitlines())
    for name in core
}
assert {path.stem for path in package.glob("*.py")} == {"__init__", *core}, (
    "The core should be these nine."
)
pd.Series(lines | {"all nine": sum(lines.values())}, name="lines").to_frame().T

# %% [markdown]
# All else lies in folders, and may be skipped until you need it. `encryption` is the engine behind
# `aggregators.EncryptedMean`; notebooks 03 and 05 teach it. `reading` reads the tables that people bring. `compat`
# makes the libraries safe to use. `chapters` has what one later notebook alone needs, and `exchange` is for notebook
# 08.
#
# ## Who holds what
#
# The picture shows the four hospitals, the server, and all that travels between them. Look for two things: where the
# rows are, and who has a key.

# %%
from fedkit.chapters import diagrams

diagrams.architecture()

# %% [markdown]
# *In the picture: four hospitals stand in a row. Each holds its patients' rows and keys of its own. Orange arrows go up
# to the server and blue arrows come down, each with a padlock: only encrypted messages travel. The server has no key. A
# dashed line joins the hospitals: they agree on secrets that the server does not learn.*
#
# ## Five lines
#
# Now we do it. The first three lines of the five load the hospitals and train one model, encrypted. They show nothing
# yet: all that happened is in `run`.

# %%
from fedkit import aggregators, hospitals, learning

federation = hospitals.load("heart_disease")
run = learning.train_federated(
    federation, rounds=ROUNDS, aggregator=aggregators.EncryptedMean(), seed=SEED
)

# %% [markdown]
# That was the whole training. In every round, each hospital trained, made a new key, and encrypted its update. The
# server added the updates up, and the hospitals opened the sum together.
#
# Line four shows **what came out**. There is one row for each round, hospital and measure.

# %%
run.metrics

# %% [markdown]
# `auroc` is the measure that we use most. It says how often a patient with label 1 gets a higher score than a patient
# with label 0: 0.5 is a coin, 1 is perfect. [Notebook 01](01_centralized_baseline.ipynb) builds it by hand. It is
# always measured on patients that the model was not trained on.
#
# Line five shows **what it cost**. The **ledger** has one row for each thing that was done or sent: in which round, by
# which hospital, in which direction, how many bytes, how many seconds.

# %%
run.ledger

# %% [markdown]
# ## Reading the two together
#
# One table of results and one table of costs belong together. So we put them side by side: how well the one shared
# model does at each hospital, and what that hospital sent for it.

# %%
sent = run.ledger[run.ledger["direction"] == "up"].groupby("hospital")["bytes"].sum()
assert sent.max() < 1.1 * sent.min(), (
    "Every hospital should send about the same amount."
)
patients = federation.summary().set_index("hospital")["patients"]
pd.DataFrame(
    {
        "patients": patients,
        "AUROC": run.final("auroc").round(3),
        "kilobytes sent": (sent / 1e3).round(1),
    }
)

# %% [markdown]
# Every hospital sends about the same amount. A large hospital does not send more than a small one: an update has one
# number for each weight of the model, however many patients it was made from. But AUROC differs from hospital to
# hospital. That is why this kit never shows a mean without the hospitals behind it.
#
# ## Did encryption change the model?
#
# The same training again, without encryption. `Mean()` is the plain mean, and the server can read every update. All
# else is equal, so we can compare the two models number by number.

# %%
import numpy as np
from fedkit import models

run_plain = learning.train_federated(
    federation, rounds=ROUNDS, aggregator=aggregators.Mean(), seed=SEED
)
plain, encrypted = (models.flatten(one.weights["shared"]) for one in (run_plain, run))
difference = np.abs(plain - encrypted).max()
assert difference < 1e-5, (
    "Encrypted training should give the same model as plain training."
)
print(f"{len(plain)} numbers in the model; the largest difference is {difference:.1e}")

# %% [markdown]
# It is the same model. Then where is the price? In the bytes.

# %%
bytes_plain, bytes_encrypted = (one.ledger["bytes"].sum() for one in (run_plain, run))
assert 10 * bytes_plain < bytes_encrypted < 80 * bytes_plain, (
    "Encrypted messages should be many times longer."
)
assert bytes_encrypted < 2e6, "The whole training should move less than two megabytes."
print(f"plain: {bytes_plain / 1e3:,.0f} kB; encrypted: {bytes_encrypted / 1e3:,.0f} kB")

# %%
from fedkit import (
    records,
)  # glue shows a number and stores it in the notebook, where a test can find it

records.glue("auroc_mean_of_hospitals", run.final("auroc").mean())
records.glue("times_more_bytes", bytes_encrypted / bytes_plain)

# %% [markdown]
# Encryption makes a short message many times longer: most of it is what opens the sum, the signature and the names.
# That is still not much: the whole training moves less than two megabytes, all hospitals and rounds together. For large
# models, an encrypted message can even be *shorter* than a plain one. [Notebook 05](05_communication_cost.ipynb) shows
# how.
#
# ## Who holds which key, and what is *not* protected
#
# The ledger also knows what was sent about keys. "peer" means from hospital to hospital; "up" and "down", to and from
# the server.

# %%
about_keys = run.ledger[(run.ledger["phase"] == "keys") & (run.ledger["bytes"] > 0)]
up = about_keys[about_keys["direction"] == "up"]
assert (up["bytes"] == 2 * 32 + 64).all(), (
    "Up go two public keys of 32 bytes and a signature: no secret."
)
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
# - **In class**: each notebook ends with three exercises: one to *predict*, one to *modify*, one to *build*. Give out
#   the notebooks of this folder. The folder `solutions` has the same notebooks with the answers.
# - **In a hurry**: write `PROFILE = "smoke"` in the cell of parameters. The numbers are then rougher.
# - **With your own table**: `hospitals.from_frame(frame, site="hospital", label="disease")` takes any table that has
#   one row a patient, or says all that is wrong with it. Exercise 3 tries it.
#
# ## What you can do now
#
# - You can say what stays and what travels: rows and keys stay in the hospitals; encrypted updates go to the server.
# - You have the map: which notebook asks which question.
# - You trained one model at four hospitals, encrypted, in five lines.
# - You read `run.metrics` and `run.ledger` side by side: what came out, and what it cost.
# - You know the three ways to run the kit. Next: [what would pooling give?](01_centralized_baseline.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** Without encryption, a number takes 4 bytes. The model has 14 numbers, and there are four hospitals.
# How many bytes go *up* to the server in one round? Write your guess, then run the cell.

# %% tags=["exercise"]
my_guess = 0  # bytes in one round, all hospitals together
up = run_plain.ledger[
    (run_plain.ledger["direction"] == "up") & (run_plain.ledger["round"] == 1)
]
print(
    "my guess:",
    my_guess,
    "- you are",
    "right" if my_guess == up["bytes"].sum() else "not there yet",
)

# %% tags=["solution"]
answer = 14 * 4 * len(federation)
assert answer == up["bytes"].sum(), "14 numbers of 4 bytes from each hospital."
print("14 numbers x 4 bytes x 4 hospitals =", answer, "bytes")

# %% [markdown]
# **2. Modify.** There are two encrypted means in the kit: `EncryptedMean` (the one above), and `SharedKeyMean`, of
# notebook 03, in which all hospitals share one key. Change the aggregator in this cell. Does the model change by more
# than 0.00001? Which one moves fewer bytes here?

# %% tags=["exercise"]
run_mine = learning.train_federated(
    federation, rounds=5, aggregator=aggregators.EncryptedMean(), seed=SEED
)
run_mine

# %% tags=["solution"]
means = {"plain": aggregators.Mean(), "keys used once": aggregators.EncryptedMean()}
means["one shared key"] = aggregators.SharedKeyMean()
tries = {
    name: learning.train_federated(federation, rounds=5, aggregator=a, seed=SEED)
    for name, a in means.items()
}
flat = {name: models.flatten(one.weights["shared"]) for name, one in tries.items()}
moved = {name: one.ledger["bytes"].sum() for name, one in tries.items()}
for name in ("keys used once", "one shared key"):
    gap = np.abs(flat[name] - flat["plain"]).max()
    assert gap < 1e-5, f"With {name}, the model should be the plain one."
    print(f"{name}: largest difference {gap:.1e}, {moved[name] / 1e3:,.0f} kB")
assert moved["keys used once"] < moved["one shared key"] / 5, (
    "A CKKS message is long, however short the update."
)

# %% [markdown]
# **3. Build.** `frame` is a table as somebody might bring it: one row a patient, with a column `hospital` and a column
# `outcome`. (A computer made it up.) Run the cell, and read what the kit asks. Answer it: who died shall have label 1.
# Then train the hospitals together in 5 rounds.

# %% tags=["exercise"]
frame = hospitals.example()
try:
    federation_mine = hospitals.from_frame(frame, site="hospital", label="outcome")
except ValueError as problem:
    print(problem)

# %% tags=["solution"]
answered = hospitals.from_frame(frame, site="hospital", label=("outcome", "died"))
encrypted = aggregators.EncryptedMean()
run_answered = learning.train_federated(
    answered, rounds=5, aggregator=encrypted, seed=SEED
)
died = (frame["outcome"] == "died").sum()
assert answered.summary()["positives"].sum() == died, "Label 1 should be who died."
print(answered, run_answered, sep="\n")
