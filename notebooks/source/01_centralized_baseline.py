# %% [markdown]
# # 01. What would we get if all rows were in one place?
#
# *About a minute to run, 45 minutes to read. To read before: [00](00_start_here.ipynb).*
#
# By the end you can:
#
# - prepare the rows of four hospitals the same way, without a look at all of them together;
# - write one step of training by hand;
# - explain why one AUROC over all rows misleads, and report a hospital at a time instead;
# - compare a pooled model with each hospital alone, and with a model that never saw the hospital;
# - say what pooling would cost, apart from bytes.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 20  # how many random splits of the patients
ROUNDS = 50  # passes through all training rows

# %%
if PROFILE == "smoke":
    SEEDS = 3

# %% [markdown]
# ## What each hospital holds
#
# A **baseline** is what we compare with later. Here are two. The **centralized** (or pooled) model is trained on all
# rows in one place. A **local** model is trained by one hospital alone. A federated model will have to find its place
# beside these two.
#
# We start with the hospitals. **Prevalence** is the share of patients with label 1, "missing" the share of empty cells.

# %%
from fedkit import hospitals, plots, preparation
from fedkit.chapters import figures

federation = hospitals.load("heart_disease")
federation.summary().round(3)

# %% [markdown]
# The next picture shows the same four tables in more detail. Look for what makes the hospitals *different*.

# %%
import pandas as pd

ages = pd.DataFrame(
    {one.name: one.table["age"].describe().add_prefix("age ") for one in federation}
).T
gaps = pd.DataFrame(
    {one.name: one.table.isna().mean().add_prefix("missing ") for one in federation}
).T
numbers = (
    federation.summary()
    .set_index("hospital")
    .join(ages.drop(columns="age count"))
    .join(gaps)
)
glance = figures.hospitals_at_a_glance(federation)
plots.save(glance, "hospitals_at_a_glance", numbers.reset_index())
glance

# %% [markdown]
# *In the picture: three panels. A bar for each hospital shows its number of patients, with and without the disease. A
# box for each hospital holds the middle half of the ages, with a line at the median. A grid of hospitals and columns
# gives the share of missing values.*
#
# The hospitals differ in size, in prevalence, in age, and in what they did not measure: in Switzerland the column
# `chol` is empty. And nearly every Swiss patient has label 1. How many have label 0?

# %%
without_disease = {
    hospital.name: int((hospital.labels == 0).sum()) for hospital in federation
}
assert without_disease["Switzerland"] < 10, (
    "Switzerland should have fewer than ten patients with label 0."
)
without_disease

# %% [markdown]
# ## Preparing rows without a pooled look
#
# A number must mean the same at every hospital. So each column is **standardised**: minus its mean, divided by its
# standard deviation. A missing value is **imputed** (filled in): it becomes the mean. But this is the mean over all
# hospitals, and nobody may see all rows.
#
# Nobody has to. A mean needs only a count and a sum. A standard deviation needs the sum of squares too. Each hospital
# can tell these three numbers. We do it for `thalach`, the highest heart rate in exercise (beats a minute).

# %%
import numpy as np

sums = pd.DataFrame(columns=["count", "sum", "squares"], dtype=float)
for hospital in federation:
    rate = hospital.table["thalach"].dropna()
    sums.loc[hospital.name] = len(rate), rate.sum(), (rate**2).sum()
sums

# %% [markdown]
# This table is all that leaves the hospitals. The server adds it up. Does that give the mean of all rows? These rows
# are public, so we may pool the column once, *only to check*.

# %%
count, total, squares = sums.sum()
mean = total / count
std = np.sqrt(squares / count - mean**2)
pooled_rate = pd.concat([hospital.table["thalach"] for hospital in federation])
assert np.isclose(mean, pooled_rate.mean()), (
    "The mean from sums should be the mean of the pooled rows."
)
assert np.isclose(std, pooled_rate.std(ddof=0)), "So should the standard deviation."
print(f"mean {mean:.1f}, standard deviation {std:.1f} beats a minute")

# %% [markdown]
# The pooled look told us nothing new: **no pooled look is needed**. fedkit does the same for all columns: `local_sums`
# at a hospital, `aggregate_statistics` at the server. For categories, such as the kind of chest pain, a hospital counts
# its patients in each. The most frequent category stands in for a missing value.

# %%
told = [
    preparation.local_sums(one.table, federation.numeric, federation.categorical)
    for one in federation
]
statistics = preparation.aggregate_statistics(told)
assert np.allclose(statistics.moments.loc["thalach"], [mean, std]), (
    "fedkit should find what we found by hand."
)
statistics.moments.round(2)

# %% [markdown]
# A warning: a sum over *one* patient is that patient. So `from_frame` refuses hospitals with very few rows.
#
# ## Train and test rows
#
# A model must be tested on patients that it has not seen. So each hospital holds out 30% of its rows, by itself. The
# draw is **stratified**: the same share of label 1 and of label 0. And it is **seeded**: only the seed and the
# hospital's name decide which rows. The statistics now come from training rows only, since test rows must stay unseen.

# %%
split = preparation.split(federation, seed=0)
everybody = split.hospitals.values()
sides = pd.DataFrame(index=federation.names)
sides["train rows"] = [len(one.train_labels) for one in everybody]
sides["test rows"] = [len(one.test_labels) for one in everybody]
sides["train prevalence"] = [one.train_labels.mean() for one in everybody]
sides["test prevalence"] = [one.test_labels.mean() for one in everybody]
assert (sides["train prevalence"] - sides["test prevalence"]).abs().max() < 0.02, (
    "Both sides should be alike."
)
sides.round(3)

# %% [markdown]
# Prevalence is nearly the same on both sides. Now every hospital prepares its own rows. By hand, for one column of one
# hospital: impute, then standardise.

# %%
column = federation["VA Long Beach"].table["thalach"]
mean_train, std_train = split.statistics.moments.loc["thalach"]
by_hand = (column.fillna(mean_train) - mean_train) / std_train
prepared = split.hospitals["VA Long Beach"]
fedkits = prepared.train_features[:, split.columns.index("thalach")]
assert np.allclose(by_hand.iloc[prepared.train_rows], fedkits, atol=1e-6), (
    "Both should prepare the same numbers."
)
print(
    f"{(fedkits == 0).mean():.0%} of the training rows had no value here, and became 0, the mean"
)

# %% [markdown]
# ## One step of training, by hand
#
# Our model is **logistic regression**: a **weight** for each column, and a **bias**. It adds up weight times value,
# adds the bias, and turns the sum $z$ into a probability, $1 / (1 + e^{-z})$. Training moves the weights **down the
# gradient**: a little in the direction in which the error gets smaller. Here is one step from zero, on all training
# rows.

# %%
features = np.concatenate([one.train_features for one in everybody])
labels = np.concatenate([one.train_labels for one in everybody])
weights, bias, learning_rate = np.zeros(len(split.columns)), 0.0, 0.3
probability = 1 / (1 + np.exp(-(features @ weights + bias)))
error = probability - labels
weights_after = weights - learning_rate * features.T @ error / len(labels)
bias_after = bias - learning_rate * error.mean()

# %% [markdown]
# fedkit takes the same step if we ask for one round with one batch of all rows (`batch_size=None`).

# %%
from fedkit import learning

run_step = learning.train_centralized(
    federation, rounds=1, batch_size=None, learning_rate=learning_rate, seed=0
)
kernel, offset = run_step.weights["shared"]
assert np.allclose(kernel[:, 0], weights_after, atol=1e-6), (
    "One step of fedkit should be our step."
)
assert np.allclose(offset, bias_after, atol=1e-6), "And so should the bias."
pd.Series(weights_after, index=split.columns, name="weight after one step").round(
    3
).to_frame()

# %% [markdown]
# From here on fedkit does the steps: 32 rows each, every row once a **round**. And it does so for many splits of the
# same patients (`SEEDS` of them), side by side. One split alone would tell more about luck than about the model.

# %%
runs_pooled = learning.train_centralized(federation, rounds=ROUNDS, seed=range(SEEDS))
run_pooled = runs_pooled[0]
run_pooled

# %% [markdown]
# ## How good is it?
#
# Take one patient with label 1 and one with label 0. Does the model give the first a higher probability? The **AUROC**
# is the share of such pairs for which it does: 0.5 is a coin, 1 is perfect. By hand: compare every patient with label 1
# to every patient with label 0. A tie counts half.

# %%
from fedkit import evaluation


def auroc(rows):
    ones, zeros = (
        rows.loc[rows["label"] == label, "probability"].to_numpy() for label in (1, 0)
    )
    return (ones[:, None] > zeros).mean() + (ones[:, None] == zeros).mean() / 2


hungary = run_pooled.predictions.query("hospital == 'Hungary'")
theirs = evaluation.scores(hungary["label"], hungary["probability"])["auroc"]
assert np.isclose(auroc(hungary), theirs), "fedkit should count the same pairs."
print(f"AUROC in Hungary: {auroc(hungary):.3f}")

# %% [markdown]
# `evaluation.summary` gives the mean over all splits, and a 95% **interval**. All splits share the same patients, so
# they are not independent: the interval is made wider for that reason (Nadeau and Bengio 2003). The last row is the
# plain mean of the four hospitals.

# %%
table_pooled = evaluation.table(runs_pooled, ["auroc"])
evaluation.summary(table_pooled)[["hospital", "mean", "low", "high", "n"]].round(3)

# %% [markdown]
# Compare the widths, `high` minus `low`. Switzerland's is large: very few of its test patients have label 0.
#
# ## Each hospital alone
#
# The other baseline: each hospital trains on its own rows. We give it what a careful lone hospital would take. It
# prepares its rows with its *own* statistics, since it has no others. A **penalty** keeps its weights small, so that it
# does not learn few rows by heart: $w^2 / 2$ for each weight, which is also what scikit-learn takes (`C=1`). And it
# goes through its rows five times a round, since it waits for nobody.
#
# The splits are the same as before, so we can take **paired differences**: pooled minus local, split by split. That
# takes away the luck that both models share.

# %%
FAIR = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
runs_alone = learning.train_local(federation, rounds=ROUNDS, seed=range(SEEDS), **FAIR)
table_both = evaluation.table([*runs_pooled, *runs_alone], ["auroc"])
difference = evaluation.paired_differences(table_both, reference="local").set_index(
    "hospital"
)
means = table_both.pivot_table(
    index="hospital", columns="method", values="value", sort=False
)
gain = means["centralized"] - means["local"]
large, small = ["Cleveland", "Hungary"], ["Switzerland", "VA Long Beach"]
assert gain[small].min() > gain[large].max() + 0.02, (
    "The small hospitals should gain more than the large ones."
)
means.join(difference[["mean", "low", "high"]].add_prefix("difference: ")).round(3)

# %%
from fedkit import (
    records,
)  # glue shows a number and stores it in the notebook, where a test can find it

for name in ("centralized", "local"):
    records.glue(f"auroc_mean_of_hospitals_{name}", means.loc["mean", name])

# %% [markdown]
# The two small hospitals gain from the others, the two large ones do not. But look at `low`: where it is below zero,
# these patients do not settle the question. Switzerland has hardly any patients with label 0 to be tested on.
#
# ## A fair opponent
#
# It is easy to look good against another opponent. In earlier versions of this notebook, a lone hospital borrowed the
# *shared* statistics, had no penalty, and went through its rows once a round. What does the choice change?

# %%
runs_earlier = learning.train_local(federation, rounds=ROUNDS, seed=range(SEEDS))
earlier = evaluation.table(runs_earlier, ["auroc"]).groupby("hospital")["value"].mean()
opponents = means.assign(earlier=earlier)[["earlier", "local", "centralized"]]
assert (
    opponents.loc["Switzerland", "earlier"] < opponents.loc["Switzerland", "local"]
), "It was too weak here."
assert (
    opponents.loc["VA Long Beach", "earlier"] > opponents.loc["VA Long Beach", "local"]
), "And too strong here."
opponents.round(3)

# %% [markdown]
# At Switzerland the earlier opponent was too weak: it had not trained to the end, and a part of the gain was only that.
# At VA Long Beach it was too strong: the shared statistics helped it, and a lone hospital has none.
#
# A lone hospital that trains for long on few rows may learn them by heart: this is **overfitting**. Stopping early
# helps against it, as a penalty does. So would our local model do better if it stopped in time? Look at the ends of
# its lines.

# %%
metrics = evaluation.stack([*runs_alone, *runs_pooled])
figures.convergence(metrics)

# %% [markdown]
# *In the picture: a panel for each hospital and one for their mean, AUROC against rounds. The dashed line is the local
# model, the solid line the pooled one. A band holds the middle 90% of the splits.*
#
# Now we pick, for each hospital, the round in which its local model did best *on the test rows*. No real hospital could
# do this: it would have to know the answers. So the number is an **upper bound**, picked with hindsight, and the pooled
# model gets no such help.

# %%
local = metrics.query("metric == 'auroc' and method == 'local'")
by_round = local.pivot_table(index="round", columns="hospital", values="value")
fair = means.drop("mean").assign(best=by_round.max(), best_round=by_round.idxmax())
assert (fair["best"] - fair["local"]).max() < 0.03, (
    "With a penalty, stopping in time should help little."
)
assert (fair["centralized"] - fair["best"])[small].min() > 0.02, (
    "And the gain of the small ones should stay."
)
fair.round(3)

# %% [markdown]
# Even with hindsight it would do hardly better, and the small hospitals' gain stays. Say what your opponent had
# whenever you report a gain.
#
# ## Why one AUROC over all rows misleads
#
# It is tempting to put all test rows into one list and report one AUROC. Let us do that, for both baselines.

# %%
predictions = evaluation.stack([*runs_pooled, *runs_alone], "predictions")
each_run = predictions.groupby(["method", "seed"])[["label", "probability"]].apply(
    auroc
)
over_all = each_run.groupby("method").mean()
comparison = pd.DataFrame(
    {"over all rows": over_all, "mean of hospitals": means.loc["mean"]}
)
assert over_all["local"] > over_all["centralized"], (
    "Over all rows, the local models should look better."
)
assert means.loc["mean", "local"] < means.loc["mean", "centralized"], (
    "At the hospitals, they should be worse."
)
comparison.round(3)

# %%
lead = each_run["local"] - each_run["centralized"]
print(f"over all rows, local is ahead in {(lead > 0).sum()} of {SEEDS} splits")
records.glue("auroc_over_all_rows_local_minus_centralized", lead.mean())

# %% [markdown]
# The order has turned around! Over all rows, the local models look *better* than the pooled one, on average; at the
# hospitals they are worse. How can that be? AUROC counts pairs. Which pairs does it count in the long list?

# %%
counts = pd.crosstab(
    run_pooled.predictions["hospital"], run_pooled.predictions["label"]
)
inside = (counts[0] * counts[1]).sum()
across = 1 - inside / (counts[0].sum() * counts[1].sum())
assert across > 0.5, "Most pairs of the long list should cross two hospitals."
print(f"{across:.0%} of the pairs are made of patients of two different hospitals")

# %% [markdown]
# And prevalence differs: a Swiss patient has label 1 far more often than a Hungarian one. So the hospital's name alone
# puts many of these pairs in order. A local model knows the prevalence of its hospital: its *bias* learns it. We test
# this with a "model" that gives every patient the prevalence of the hospital, and looks at nothing else.

# %%
patients = run_pooled.predictions.copy()
patients["probability"] = patients["hospital"].map(sides["train prevalence"])
at_each = patients.groupby("hospital")[["label", "probability"]].apply(auroc)
assert (at_each == 0.5).all(), (
    "Inside a hospital all patients get the same probability: a coin."
)
assert auroc(patients) > 0.65, "Over all rows it should look like a model."
records.glue("auroc_over_all_rows_hospital_name_only", auroc(patients))

# %% [markdown]
# Inside a hospital this "model" is a coin. Over all rows it looks like a model. But a hospital wants to tell its *own*
# patients apart. So we report AUROC a hospital at a time, and the plain mean of the hospitals beside it.
#
# ## A hospital that was not there
#
# A model may be used in a place that gave no rows to it. So we leave one hospital out, train on the other three (their
# rows, and their sums), and test at the one left out. We do this for each hospital in turn. Call this model the
# **stranger**.

# %%
parts = []
for name in federation.names:
    runs = learning.train_centralized(
        federation, rounds=ROUNDS, seed=range(SEEDS), leave_out=[name]
    )
    parts.append(evaluation.table(runs, ["auroc"]).query("hospital == @name"))
table_stranger = pd.concat(parts).assign(method="centralized, without its rows")
mean_stranger = (
    table_stranger.groupby(["method", "seed", "metric"])["value"].mean().reset_index()
)

# %% [markdown]
# Three models for each hospital: its own (local), one that was trained with its rows (centralized), and the stranger.
# Look for two things. How much is lost without the hospital's rows? And does the stranger beat the hospital's own
# model?

# %%
table_three = pd.concat(
    [table_both, table_stranger, mean_stranger.assign(hospital="mean")],
    ignore_index=True,
)
summary_three = evaluation.summary(table_three)
heading = "AUROC of a hospital's own model, and of models with and without its rows"
left_out = figures.auroc_forest(summary_three, heading=heading)
plots.save(left_out, "hospital_left_out", summary_three)
left_out

# %% [markdown]
# *In the picture: a band for each hospital and one for their mean. In each band three marks, one a model, at its mean
# AUROC, with a line for the 95% interval and the numbers at the right.*
#
# The intervals overlap a lot, since each holds the luck of the splits. So again we pair: the stranger minus the model
# with the hospital's rows, and the stranger minus the hospital's own model.

# %%
against = {}
for reference in ("centralized", "local"):
    every = evaluation.paired_differences(table_three, reference).set_index("hospital")
    against[f"minus {reference}"] = every.loc[
        every["method"].str.contains("without"), ["mean", "low", "high"]
    ]
paired = pd.concat(against, axis=1)
gap = paired["minus local"]["mean"]
assert gap[large].max() < 0.01, (
    "At large hospitals the stranger should be no better than their own model."
)
assert gap[small].min() > 0.02, "At small ones the stranger's should beat their own."
paired.round(3)

# %%
for name in federation.names:
    records.glue(f"auroc_stranger_minus_local_{name.split()[0].lower()}", gap[name])

# %% [markdown]
# The stranger divides the hospitals: at the two large ones it is no better than their own model, at the two small ones
# it is better. Where an interval holds zero, say no more than "on average, for these patients".
#
# ## What pooling costs
#
# The pooled model is a good baseline. Why not just pool? First, the bytes. A run's ledger counts what each hospital
# would have to send: its training rows, four bytes a number.

# %%
sent = run_pooled.ledger.query("direction == 'up'").set_index("hospital")["bytes"]
assert sent.sum() == len(labels) * (len(split.columns) + 1) * 4, (
    "A row is 13 columns and a label, 4 bytes each."
)
records.glue("bytes_of_rows", sent.sum())

# %% [markdown]
# That is less than one photo. So bytes are *not* the reason to keep rows at home. These are:
#
# - **Who can read them?** Everybody with access to the one place: who runs the computer, who makes the back-ups, who
#   breaks in.
# - **What does a leak cost?** One leak gives away the patients of all hospitals, and not of one.
# - **Can it be undone?** No. Copied rows cannot be called back, and nobody can change an illness like a password.
# - **What else are they used for?** Rows that were sent for one question can answer others, to which nobody agreed.
# - **Are they safe without names?** No. A few columns together often point to one person. The next cell counts the
#   patients who are the only one in their hospital with their age, sex and resting blood pressure.

# %%
traits = ["age", "sex", "trestbps"]
only_one = {
    one.name: 1 - one.table[traits].duplicated(keep=False).mean() for one in federation
}
assert min(only_one.values()) > 0.5, (
    "At every hospital, more than half should be the only one."
)
pd.Series(only_one, name="share who are the only one").round(2).to_frame()

# %% [markdown]
# ## What you can do now
#
# - You can prepare rows the same way everywhere: hospitals tell sums, and the sums give the pooled mean.
# - You wrote one step of training by hand, and it was fedkit's step.
# - You can explain why one AUROC over all rows misleads: it also rewards knowing the hospital.
# - You compared pooled, local and stranger on the same splits: small hospitals gain, also against a lone hospital that
#   took care.
# - You can say what pooling costs: few bytes, and one place where all rows can be read, leaked, and never called back.
#
# Next: [can we have the pooled model without pooling?](02_federated_learning.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** A "model" gives every Swiss patient the probability 0.9, whoever it is. Its **accuracy** is the share
# of patients on the right side of 0.5. What are its accuracy and its AUROC at Switzerland? Guess first, then run.

# %% tags=["exercise"]
my_accuracy, my_auroc = 0.0, 0.0
swiss = split.hospitals["Switzerland"].test_labels
always = evaluation.scores(swiss, np.full(len(swiss), 0.9), ["accuracy", "auroc"])
pd.DataFrame(
    {"my guess": [my_accuracy, my_auroc], "it is": always.values()}, index=always.keys()
).round(3)

# %% tags=["solution"]
assert always["accuracy"] == swiss.mean(), (
    "It is right for each patient with label 1, and for no other."
)
assert always["auroc"] == 0.5, "It cannot tell any two patients apart."
print("High accuracy, and it knows nothing: accuracy mirrors the prevalence.")

# %% [markdown]
# **2. Modify.** A hospital that shares sums, and no updates, has the shared means for its missing values. Change one
# word of `mine`, so that rows are prepared with the statistics of all. How does the AUROC of VA Long Beach change?

# %% tags=["exercise"]
mine = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
runs_mine = learning.train_local(federation, rounds=ROUNDS, seed=range(3), **mine)
pd.Series(
    [one.final()["VA Long Beach"] for one in runs_mine], name="AUROC at VA Long Beach"
).round(3).to_frame()

# %% tags=["solution"]
shares_sums = FAIR | {"prepared": "together"}
runs_shared = learning.train_local(
    federation, rounds=ROUNDS, seed=range(SEEDS), **shares_sums
)
shared = np.mean([one.final()["VA Long Beach"] for one in runs_shared])
own = means.loc["VA Long Beach", "local"]
assert own < shared, "Its own statistics should serve it worse than the shared ones."
print(
    f"VA Long Beach alone: {own:.3f} with its own statistics, {shared:.3f} with the shared ones"
)

# %% [markdown]
# **3. Build.** A median cannot be made from sums. But counts add up too! Let every hospital count its patients in each
# of these ages (`np.histogram`), add the counts, and find the five years in which the median age of all 920 lies.

# %% tags=["exercise"]
edges = np.arange(25, 85, 5)  # years
counts_cleveland, _ = np.histogram(federation["Cleveland"].table["age"], edges)
pd.Series(
    counts_cleveland, index=edges[:-1], name="patients of Cleveland from this age on"
).to_frame().T

# %% tags=["solution"]
counts_all = sum(
    np.histogram(hospital.table["age"], edges)[0] for hospital in federation
)
place = np.searchsorted(counts_all.cumsum(), counts_all.sum() / 2)
median = pd.concat([hospital.table["age"] for hospital in federation]).median()
assert edges[place] <= median < edges[place + 1], (
    "The pooled median should lie in these five years."
)
print(
    f"The median age lies from {edges[place]} to {edges[place + 1]} years; pooled, only to check: {median:g}"
)
