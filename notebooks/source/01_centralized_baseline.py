# %% [markdown]
# # 01. What would we get if all rows were in one place?
#
# *One minute to run, 35 minutes to read. To read before: [00](00_start_here.ipynb).*
#
# By the end you can:
#
# - prepare the rows of four hospitals the same way, without a look at all of them together;
# - write one step of training by hand;
# - compare a pooled model with each hospital alone, by two measures, and with a model that never saw the hospital;
# - explain why one AUROC over all rows can fool you, and report a hospital at a time instead;
# - say what pooling would cost, apart from bytes.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 20  # how many random splits of the patients
FIRST_SEED = 0  # the seed of the first of them
ROUNDS = 50  # passes through all training rows

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(), {"SEEDS": 20, "FIRST_SEED": 0, "ROUNDS": 50}, {"SEEDS": 3}
)

# %% [markdown]
# ## What each hospital holds
#
# A [**baseline**](glossary.md#baseline) is what we compare with later. Here are two. The **centralised** (or pooled)
# model is trained on all rows in one place; code and tables write `centralized`. A **local** model is trained by one
# hospital alone. A federated model will have to find its place beside these two.
#
# We start with the hospitals. A patient with label 1 is called positive. [**Prevalence**](glossary.md#prevalence) is the share of patients with label 1, "missing"
# the share of empty cells.

# %%
import numpy as np
import pandas as pd
from fedkit import hospitals, plots, preparation

federation = hospitals.load("heart_disease")
summary = federation.summary()
summary["label 0"] = summary["patients"] - summary["positives"]
summary.round(3)

# %% [markdown]
# The next picture shows them in more detail. ([Their card](../data/heart_disease/README.md) explains the
# columns.) See what makes the hospitals *different*.

# %% tags=["plumbing"]
# A picture: what each hospital holds
from fedkit.chapters import figures

ages = pd.DataFrame({one.name: one.table["age"].describe() for one in federation}).T
gaps = pd.DataFrame({one.name: one.table.isna().mean() for one in federation}).T
ages, gaps = ages.drop(columns="count").add_prefix("age "), gaps.add_prefix("missing ")
numbers = federation.summary().set_index("hospital").join(ages).join(gaps)
plots.save(
    figures.hospitals_at_a_glance(federation),
    "hospitals_at_a_glance",
    numbers.reset_index(),
    "Three panels. A bar for each hospital shows its number of patients, with and "
    "without the disease. A box for each hospital holds the middle half of the ages, "
    "with a line at the median. A grid of hospitals and columns gives the share of "
    "missing values.",
)

# %% [markdown]
# The hospitals differ in size, in prevalence, in age, and in what they did not measure: in Switzerland the column
# `chol` is empty. And nearly every Swiss patient has label 1: in the table above, count those with label 0.
#
# ## Preparing rows without a pooled look
#
# A number must mean the same at every hospital. So each column is [**standardised**](glossary.md#standardise): minus its
# mean, divided by its standard deviation. A missing value is **imputed** (filled in): it becomes the mean. But this is
# the mean over all hospitals, and nobody may see all rows.
#
# Nobody has to. A mean needs only a count and a sum. A standard deviation needs the sum of squares too. Each hospital
# can tell these three numbers. We do it for `thalach`, the highest heart rate in exercise (beats a minute).

# %%
sums = pd.DataFrame(columns=["count", "sum", "squares"], dtype=float)
for hospital in federation:
    rate = hospital.table["thalach"].dropna()
    sums.loc[hospital.name] = len(rate), rate.sum(), (rate**2).sum()
sums

# %% [markdown]
# This table is all that leaves the hospitals. The server adds it up. Does that give the mean of all rows? These rows
# are public, so we may pool the column once, *only to check*.

# %% tags=["slide"]
count, total, squares = sums.sum()
mean = total / count
std = np.sqrt(squares / count - mean**2)
pooled = pd.concat([hospital.table["thalach"] for hospital in federation])
assert np.allclose([mean, std], [pooled.mean(), pooled.std(ddof=0)])
print(f"mean {mean:.1f}, standard deviation {std:.1f} beats a minute")

# %% [markdown]
# So **no pooled look is needed**. fedkit does the same for all columns: `local_sums`
# at a hospital, `aggregate_statistics` at the server. For categories, such as the kind of chest pain, a hospital counts
# its patients in each. The most frequent category stands in for a missing value.

# %% tags=["slide"]
columns = federation.numeric, federation.categorical
told = [preparation.local_sums(one.table, *columns) for one in federation]
statistics = preparation.aggregate_statistics(told)
assert np.allclose(statistics.moments.loc["thalach"], [mean, std])
statistics.moments.round(2)

# %% [markdown]
# A warning: a sum over *one* patient is that patient. So `from_frame` refuses hospitals with very few rows.
#
# ## Train and test rows
#
# A model must be tested on patients that it has not seen. So each hospital holds out 30% of its rows, by itself. The
# draw is [**stratified**](glossary.md#stratified): the same share of label 1 and of label 0. And it is **seeded**: only
# the seed and the hospital's name decide which rows. The statistics now come from training rows only, since test rows
# must stay unseen.

# %%
split = preparation.split(federation, seed=FIRST_SEED)
everybody = split.hospitals.values()
sides = pd.DataFrame(index=federation.names)
for side in ("train", "test"):
    drawn = [getattr(one, f"{side}_labels") for one in everybody]
    sides[f"{side} rows"] = [len(labels) for labels in drawn]
    sides[f"{side} prevalence"] = [labels.mean() for labels in drawn]
sides.round(3)

# %% [markdown]
# Prevalence is nearly the same on both sides. Now every hospital prepares its own rows. By hand, for one column of one
# hospital: impute, then standardise.

# %% tags=["slide"]
column = federation["VA Long Beach"].table["thalach"]
mean_train, std_train = split.statistics.moments.loc["thalach"]
by_hand = (column.fillna(mean_train) - mean_train) / std_train
prepared = split.hospitals["VA Long Beach"]
fedkits = prepared.train_features[:, split.columns.index("thalach")]
assert np.allclose(by_hand.iloc[prepared.train_rows], fedkits, atol=1e-6)
print(f"{(fedkits == 0).mean():.0%} of the training rows became 0, the mean: no value")

# %% [markdown]
# ## One step of training, by hand
#
# Our model is [**logistic regression**](glossary.md#logistic-regression): a **weight** for each column, and a **bias**.
# It adds up weight times value, adds the bias, and turns the sum $z$ into a probability, $1 / (1 + e^{-z})$. Training
# moves the weights **down the [gradient](glossary.md#gradient)**: a little in the direction in which the error gets
# smaller. Here is one step from zero, on all training rows.

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

# %% tags=["slide"]
from fedkit import learning

how = {"rounds": 1, "batch_size": None, "learning_rate": learning_rate}
run_step = learning.train_centralized(federation, **how, seed=FIRST_SEED)
kernel, offset = run_step.weights["shared"]
assert np.allclose(kernel[:, 0], weights_after, atol=1e-6)
assert np.allclose(offset, bias_after, atol=1e-6)
pd.Series(weights_after, split.columns, name="after one step").round(3).to_frame()

# %% [markdown]
# From here on fedkit does the steps: 32 rows each, every row once a **round**. And it does so for many
# [**splits**](glossary.md#split) of the same patients, side by side. One split alone would tell more about luck than
# about the model.

# %%
splits = range(FIRST_SEED, FIRST_SEED + SEEDS)
runs_pooled = learning.train_centralized(federation, rounds=ROUNDS, seed=splits)
run_pooled = runs_pooled[0]
run_pooled

# %% [markdown]
# Twenty splits can still be lucky. So what the text says about them was tried on two more sets: seeds 20 to 39, and 40
# to 59. Write `FIRST_SEED = 20` to see them.
#
# ## How good is it?
#
# Take one patient with label 1 and one with label 0. Does the model give the first a higher probability? The
# [**AUROC**](glossary.md#auroc) is the share of such pairs for which it does: 0.5 is a coin, 1 is perfect. By hand:
# compare every patient with label 1 to every patient with label 0. A tie counts half.

# %% tags=["slide"]
from fedkit import evaluation


def auroc(rows):
    ones, zeros = (rows.loc[rows["label"] == one, "probability"] for one in (1, 0))
    over = ones.to_numpy()[:, None] - zeros.to_numpy()
    return (over > 0).mean() + (over == 0).mean() / 2


hungary = run_pooled.predictions.query("hospital == 'Hungary'")
theirs = evaluation.scores(hungary["label"], hungary["probability"])["auroc"]
assert np.isclose(auroc(hungary), theirs), "fedkit should count the same pairs."
print(f"AUROC in Hungary: {auroc(hungary):.3f}")

# %% [markdown]
# `evaluation.summary` gives the mean over all splits, and a 95% [**interval**](glossary.md#interval). All splits share
# the same patients, so they are not independent: the interval is made wider for that reason (Nadeau and Bengio 2003).
# The last row is the plain mean of the four hospitals.

# %%
table_pooled = evaluation.table(runs_pooled, ["auroc"])
evaluation.summary(table_pooled)[["hospital", "mean", "low", "high", "n"]].round(3)

# %% [markdown]
# Compare the widths, `high` minus `low`. Switzerland's is large: very few of its test patients have label 0.
#
# ## Each hospital alone
#
# The other baseline: each hospital trains on its own rows. We give it what a careful lone hospital would take. It
# prepares its rows with its *own* statistics, since it has no others. A [**penalty**](glossary.md#penalty) keeps its
# weights small, so that it does not learn few rows by heart: $w^2 / 2$ for each weight, as in scikit-learn (`C=1`). And
# it goes through its rows five times a round, since it waits for nobody.
#
# The splits are the same as before, so we can take **paired differences**: pooled minus local, split by split. That
# takes away the luck that both models share.

# %% tags=["slide"]
FAIR = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
runs_alone = learning.train_local(federation, rounds=ROUNDS, seed=splits, **FAIR)
runs_both = [*runs_pooled, *runs_alone]


def compare(metric):
    table = evaluation.table(runs_both, [metric])
    values = table.pivot_table("value", "hospital", "method", sort=False)
    paired = evaluation.paired_differences(table, reference="local")
    paired = paired.rename(columns={"mean": "difference"}).set_index("hospital")
    return values.join(paired[["difference", "low", "high"]])


by_auroc = compare("auroc")
by_auroc.round(3)

# %% [markdown]
# The two small hospitals gain from the others, the two large ones do not. But look at `low`: where it is below zero,
# these patients do not settle the question. And five intervals are five chances to be lucky: nothing here corrects for
# that.
#
# ## What AUROC does not see
#
# AUROC asks only for the *order* of a hospital's patients. A probability may be wrong, and the order right.
# [**Accuracy**](glossary.md#accuracy) is the share of patients on the right side of 0.5. Beside it must stand what
# anybody can have: the accuracy of a "model" that always says the most frequent label.

# %%
by_accuracy = compare("accuracy")
most = sides["test prevalence"].where(
    lambda share: share > 0.5, lambda share: 1 - share
)
by_accuracy["always one label"] = [*most, most.mean()]
by_accuracy.round(3)

# %% [markdown]
# By accuracy the verdict is the opposite: on average the pooled model is *worse*, though these patients do not settle
# by how much. Switzerland loses most, with an interval below zero. There, "always 1" beats the pooled model by far. Why?
#
# A pooled model has one bias for all hospitals. It does not know that nearly every Swiss patient has label 1. So its
# Swiss probabilities are too low: the order is good, and many patients are on the wrong side of 0.5. A local model has
# a bias of its own, and learns the prevalence. [Notebook 04](04_comparison_of_outcomes.ipynb) comes back to this.

# %% tags=["plumbing"]
# What the last two sections say, checked; and numbers for the tests
from fedkit import records

large, small = ["Cleveland", "Hungary"], ["Switzerland", "VA Long Beach"]
gain, loss = by_auroc["difference"], by_accuracy["difference"]
swiss = evaluation.stack(runs_pooled, "predictions").query("hospital == 'Switzerland'")
low = swiss["label"].mean() - swiss["probability"].mean()
one_label = by_accuracy.loc["Switzerland", "always one label"]
sides_apart = (sides["train prevalence"] - sides["test prevalence"]).abs()
assert sides_apart.max() < 0.02, "Prevalence should be the same on both sides."
claim(gain[small].min() > gain[large].max() + 0.02, "Small hospitals gain most AUROC.")
claim(loss["mean"] < -0.01, "By mean accuracy, the pooled model is worse.")
claim(loss.idxmin() == "Switzerland", "Switzerland loses most accuracy.")
claim(
    by_accuracy.loc["Switzerland", "centralized"] < one_label - 0.05,
    "At Switzerland, 'always 1' beats the pooled model by far.",
)
below = SEEDS < 20 or by_accuracy.loc["Switzerland", "high"] < 0
claim(below, "Of 20 splits, Switzerland's interval lies below zero.")
claim(low > 0.1, "The pooled model's Swiss probabilities are too low.")
for name in ("centralized", "local"):
    records.glue(f"auroc_mean_of_hospitals_{name}", by_auroc.loc["mean", name])
    records.glue(f"accuracy_mean_of_hospitals_{name}", by_accuracy.loc["mean", name])

# %% [markdown]
# ## A fair opponent
#
# It is easy to look good against another opponent. An *earlier* edition of this page let a lone hospital borrow
# the shared statistics, without a penalty, once through its rows a round. What does that change?

# %%
runs_earlier = learning.train_local(federation, rounds=ROUNDS, seed=splits)
opponents = by_auroc.loc[[*federation.names], ["local", "centralized"]]
opponents.insert(
    0, "earlier", pd.DataFrame([one.final() for one in runs_earlier]).mean()
)
opponents.round(3)

# %% [markdown]
# At Switzerland the earlier opponent was too weak: a part of the gain was only that. At VA Long Beach it was too strong:
# a lone hospital has no shared statistics.
#
# A lone hospital that trains for long on few rows may learn them by heart: this is
# [**overfitting**](glossary.md#overfitting). Stopping early helps against it, as a penalty does. So would our local
# model do better if it stopped in time?
#
# We pick, for each hospital, the round in which its local model did best *on the test rows*. No real hospital could do
# this: it would have to know the answers. So the number is an **upper bound**, and the pooled model gets no such help.

# %%
metrics = evaluation.stack(runs_alone)
local = metrics[metrics["metric"] == "auroc"]
by_round = local.pivot_table(index="round", columns="hospital", values="value")
fair = opponents.assign(best=by_round.max(), best_round=by_round.idxmax())
fair.round(3)

# %% [markdown]
# Even so it would do hardly better, and the small hospitals' gain stays. Say what your opponent had
# whenever you report a gain.
#
# ## Why one AUROC over all rows fools us
#
# It is tempting to put all test rows into one list and report one AUROC. We do it for both baselines.

# %%
predictions = evaluation.stack(runs_both, "predictions")
runs_of = predictions.groupby(["method", "seed"])[["label", "probability"]]
each_run = runs_of.apply(auroc)
comparison = each_run.groupby("method").mean().to_frame("over all rows")
comparison["mean of hospitals"] = by_auroc.loc["mean"]
comparison.round(3)

# %% [markdown]
# The order has turned around! Over all rows, the local models look *better* on average; at the hospitals they are worse.
# AUROC counts pairs. Which pairs does it count in the long list?

# %%
rows = run_pooled.predictions
counts = pd.crosstab(rows["hospital"], rows["label"])
inside = (counts[0] * counts[1]).sum()
across = 1 - inside / (counts[0].sum() * counts[1].sum())
print(f"{across:.0%} of the pairs are made of patients of two different hospitals")

# %% [markdown]
# And prevalence differs: a Swiss patient has label 1 far more often than a Hungarian one. So the hospital's name alone
# puts many of these pairs in order. We test this with a "model" that gives every patient the prevalence of the
# hospital, and looks at nothing else.

# %%
name_only = rows.assign(probability=rows["hospital"].map(sides["train prevalence"]))
at_each = name_only.groupby("hospital")[["label", "probability"]].apply(auroc)
at_each["over all rows"] = auroc(name_only)
at_each.round(3).to_frame("AUROC of the hospital's name")

# %% [markdown]
# Inside a hospital this "model" is a coin. Over all rows it looks like a model. But a hospital wants to tell its *own*
# patients apart. So we report AUROC a hospital at a time, and the plain mean of the hospitals beside it.

# %% tags=["plumbing"]
# What the last two sections say, checked; and numbers for the tests
weak = fair["local"] - fair["earlier"]
claim(weak["Switzerland"] > 0, "At Switzerland, the earlier opponent was too weak.")
claim(weak["VA Long Beach"] < 0, "At VA Long Beach, it was too strong.")
claim((fair["best"] - fair["local"]).max() < 0.03, "Stopping in time helps little.")
claim(
    (fair["centralized"] - fair["best"])[small].min() > 0.02,
    "The gain of the small hospitals stays.",
)
lead = each_run["local"] - each_run["centralized"]
assert across > 0.5, "Most pairs of the long list should cross two hospitals."
assert (at_each[[*federation.names]] == 0.5).all(), "Inside, it should be a coin."
assert at_each["over all rows"] > 0.65, "Over all rows, it should look like a model."
claim(lead.mean() > 0, "Over all rows, the local models look better.")
claim(gain["mean"] > 0, "At the hospitals, they are worse.")
records.glue("auroc_over_all_rows_local_minus_centralized", lead.mean())
records.glue("auroc_over_all_rows_hospital_name_only", at_each["over all rows"])

# %% [markdown]
# ## A hospital that was not there
#
# A model may be used in a place that gave no rows to it. So we leave one hospital out, train on the other three (their
# rows, and their sums), and test at the one left out. We do this for each hospital in turn. Call this model the
# **stranger**.

# %%
parts = []
for name in federation.names:
    how = {"rounds": ROUNDS, "seed": splits, "leave_out": [name]}
    table = evaluation.table(learning.train_centralized(federation, **how), ["auroc"])
    parts.append(table[table["hospital"] == name])
table_stranger = pd.concat(parts).assign(method="centralized, without its rows")

# %% [markdown]
# `table_three` holds the AUROC of all three: own model, pooled, stranger. Two things to see. How much is lost without the
# hospital's rows? Does the stranger beat the hospital's own model?

# %% tags=["plumbing"]
# table_three, and a picture of it
table_both = evaluation.table(runs_both, ["auroc"])
of_all = table_stranger.groupby(["method", "seed", "metric"])["value"].mean()
tables = [table_both, table_stranger, of_all.reset_index().assign(hospital="mean")]
table_three = pd.concat(tables, ignore_index=True)
summary_three = evaluation.summary(table_three)
heading = "AUROC of a hospital's own model, and of models with and without its rows"
plots.save(
    figures.auroc_forest(summary_three, heading=heading),
    "hospital_left_out",
    summary_three,
    "A band for each hospital and one for their mean. In each band three marks, one "
    "for each model, at its mean AUROC, with a line for the 95% interval and the "
    "numbers at the right.",
)

# %% [markdown]
# The intervals overlap, since each holds the luck of the splits. So again we pair: the stranger minus the model
# with the hospital's rows, and the stranger minus the hospital's own model.

# %%
against = {}
for reference in ("centralized", "local"):
    every = evaluation.paired_differences(table_three, reference).set_index("hospital")
    stranger = every["method"] == "centralized, without its rows"
    against[f"minus {reference}"] = every.loc[stranger, ["mean", "low", "high"]]
paired = pd.concat(against, axis=1)
paired.round(3)

# %% [markdown]
# The stranger divides the hospitals: at the two large ones its AUROC is no better than that of their own model, at the
# two small ones it is better. Where an interval holds zero, say no more than "on average, for these patients".
#
# ## What pooling costs
#
# Why not just pool? First, the bytes. A run's ledger counts what each hospital would have to send: its training rows,
# four bytes a number.

# %%
sent = run_pooled.ledger.query("direction == 'up'").set_index("hospital")["bytes"]
print(f"{sent.sum() / 1e3:.0f} kB, all hospitals together")

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
alike = {one.name: one.table[traits].duplicated(keep=False) for one in federation}
only_one = pd.Series({name: 1 - same.mean() for name, same in alike.items()})
only_one.round(2).to_frame("share who are the only one")

# %% tags=["plumbing"]
# What the last two sections say, checked; and numbers for the tests
gap = paired["minus local"]["mean"]
claim(gap[large].max() < 0.01, "At large hospitals, the stranger is no better.")
claim(gap[small].min() > 0.02, "At small ones, the stranger is better.")
for name in federation.names:
    records.glue(f"auroc_stranger_minus_local_{name.split()[0].lower()}", gap[name])
numbers_sent = len(labels) * (len(split.columns) + 1)  # 13 columns and a label
assert sent.sum() == 4 * numbers_sent, "A number should take 4 bytes."
assert only_one.min() > 0.5, "More than half should be the only one."
records.glue("bytes_of_rows", sent.sum())

# %% [markdown]
# ## What you can do now
#
# - You can prepare rows the same way everywhere: hospitals tell sums, and the sums give the pooled mean.
# - You wrote one step of training by hand, and it was fedkit's step.
# - You compared pooled, local and stranger on the same splits: by AUROC small hospitals gain, by accuracy a pooled model
#   can lose.
# - You can explain why one AUROC over all rows fools us: it also rewards knowing the hospital.
# - You can say what pooling costs: few bytes, and one place where all rows can be read, leaked, and never called back.
#
# Next: [can we have the pooled model without pooling?](02_federated_learning.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** We divide *every* probability of the pooled model by two, at Cleveland. What happens to its AUROC there, and
# what to its accuracy? Write "smaller", "same" or "larger".

# %% tags=["exercise"]
auroc_is, accuracy_is = ..., ...

# %% tags=["solution"]
auroc_is = "same"  # the order of any two patients is as before
accuracy_is = "smaller"  # nobody is above 0.5 any more: always 0

# %% tags=["plumbing"]
# Is exercise 1 right?
import numpy as np
from fedkit import evaluation
from fedkit.chapters import course


def measure(factor):
    rows = run_pooled.predictions.query("hospital == 'Cleveland'")
    scores = evaluation.scores(rows["label"], factor * rows["probability"])
    return np.array([scores["auroc"], scores["accuracy"]])


def plain(words):
    return [str(word).strip(" .").lower() for word in words]


words = ["same", "larger", "smaller"]  # at 0, 1 and -1
true = [words[int(sign)] for sign in np.sign((measure(0.5) - measure(1)).round(9))]
course.check(
    "Exercise 1",
    (auroc_is, accuracy_is),
    (lambda it: ... if ... in it else {*plain(it)} <= {*words}, "Use the three words."),
    (lambda it: plain(it)[0] == true[0], "AUROC: what does `auroc` ask of a pair?"),
    (lambda it: plain(it)[1] == true[1], "Accuracy: who is still above 0.5?"),
)

# %% [markdown]
# **2. Modify.** One bias for all is too low for Switzerland. Give a hospital a bias of its own, and keep the weights.
# `z` holds the sums of its training rows (weights times values, plus the shared bias), `labels` their labels. Write a
# function that finds what to *add* to `z`, so that the mean probability becomes the share of label 1.


# %% tags=["exercise"]
def own_bias(z, labels):
    return ...


# %% tags=["solution"]
def own_bias(z, labels):
    added = 0.0
    for _ in range(5000):  # training, of one number
        probability = 1 / (1 + np.exp(-(z + added)))
        added += np.mean(labels) - probability.mean()
    return added


# %% tags=["solution"]
found = []
for run in runs_pooled:  # what it does for the test rows, at Switzerland
    drawn = preparation.split(federation, run.settings["seed"])
    swiss, (kernel, offset) = drawn.hospitals["Switzerland"], run.weights["shared"]
    z = swiss.train_features @ kernel[:, 0] + offset
    z_test = swiss.test_features @ kernel[:, 0] + offset
    for name, more in {"shared": 0, "own": own_bias(z, swiss.train_labels)}.items():
        probability = 1 / (1 + np.exp(-(z_test + more)))
        scores = evaluation.scores(
            swiss.test_labels, probability, ["auroc", "accuracy"]
        )
        found.append(scores | {"bias": name})
with_bias = pd.DataFrame(found).groupby("bias").mean()
claim(
    with_bias["accuracy"]["own"] > with_bias["accuracy"]["shared"] + 0.05, "It gains."
)
with_bias.round(3)

# %% tags=["plumbing"]
# Is exercise 2 right?
import numpy as np
from fedkit.chapters import course

rng = np.random.default_rng(0)
cases = [(rng.normal(mean, 2, 80), rng.random(80) < 0.7) for mean in (-2, 0, 4)]


def error(own_bias):
    added = [own_bias(z.copy(), labels.astype(float)) for z, labels in cases]
    if added[0] is ...:
        return ...
    moved = [1 / (1 + np.exp(-(z + a))) for (z, _), a in zip(cases, added, strict=True)]
    return [p.mean() - y.mean() for p, (_, y) in zip(moved, cases, strict=True)]


look = "Add your number to `z`. Is the mean of 1 / (1 + exp(-z)) then the share?"
course.check(
    "Exercise 2",
    own_bias,
    (lambda it: e if (e := error(it)) is ... else np.abs(e).max() < 0.01, look),
)

# %% [markdown]
# **3. Build.** A median cannot be made from sums. But counts add up too! Let every hospital count its patients in each
# of these ages, as below. Write a function that finds from the counts alone in which of the steps the median of *all*
# patients lies. It returns the two edges of the step.

# %% tags=["exercise"]
edges = np.arange(25, 85, 5)  # years
counts_of = [np.histogram(one.table["age"], edges)[0] for one in federation]


def middle(counts, edges):
    return ...


pd.DataFrame(counts_of, federation.names, edges[:-1])


# %% tags=["solution"]
def middle(counts, edges):
    added = sum(counts)
    place = np.searchsorted(added.cumsum(), added.sum() / 2)
    return edges[place], edges[place + 1]


middle(counts_of, edges)

# %% tags=["plumbing"]
# Is exercise 3 right?
import numpy as np
from fedkit.chapters import course

rng, tries = np.random.default_rng(0), []
for means, step in (((40, 60, 72), 5), ((70, 45, 35), 10)):
    sizes = zip(means, (200, 51, 70), strict=True)
    drawn = [rng.normal(mean, 6, size).clip(21, 89) for mean, size in sizes]
    steps = np.arange(20, 91, step)
    at = np.searchsorted(steps, np.median(np.concatenate(drawn)))
    counts = [np.histogram(ages, steps)[0] for ages in drawn]
    tries.append((counts, steps, steps[at - 1 : at + 1]))


def finds(middle):
    answers = [middle(counts, steps) for counts, steps, _ in tries]
    true = [both for *_, both in tries]
    return ... if answers[0] is ... else np.array_equal(answers, true)


look = "Add the counts of all hospitals. In which step is the patient in the middle?"
course.check("Exercise 3", middle, (finds, look))

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. How can hospitals get the mean age of all patients, and show no row?**
#
# <details><summary>Each sends its mean age, and the server takes the mean of the four</summary>
#
# Not this one: then a patient of a small hospital counts more than one of a large hospital. That is not the mean of
# all patients.
#
# </details>
# <details><summary>Each sends a sum and a count, and the server adds them up</summary>
#
# Right: all sums together, divided by all counts together, are the pooled mean. No single age is seen.
#
# </details>
# <details><summary>Each sends its ages in a random order, and the server adds them up</summary>
#
# Not this one: an age is a part of a row, in whatever order. It would leave the hospital.
#
# </details>
#
# **2. Pooling gives Switzerland a better AUROC on average, and a worse accuracy. How can that be?**
#
# <details><summary>The order is good, and the probabilities are too low</summary>
#
# Right: AUROC asks for the order only. Accuracy asks on which side of 0.5 a patient is, and there one shared bias is
# wrong.
#
# </details>
# <details><summary>AUROC was measured on training rows, and accuracy on test rows</summary>
#
# Not this one: both are measured on test rows, and on the same ones.
#
# </details>
# <details><summary>With so few patients, one of the two numbers has to be wrong</summary>
#
# Not this one: few patients make both numbers unsure. But the two ask different questions, and both answers can be
# true.
#
# </details>
#
# **3. At one hospital, the interval of "pooled minus local" holds zero. What may you say?**
#
# <details><summary>Both models are equally good at this hospital</summary>
#
# Not this one: a wide interval holds a clear gain and a clear loss, too. That nothing was shown does not mean that
# nothing is there.
#
# </details>
# <details><summary>The pooled model is better, if the mean is above zero</summary>
#
# Not this one: the mean can be above zero by luck. This is why we look at the interval.
#
# </details>
# <details><summary>These patients do not settle which one is better</summary>
#
# Right: both are possible: that the pooled model is better, and that it is worse.
#
# </details>
#
# **4. A "model" knows only the hospital's name. Why does its AUROC over all rows look good?**
#
# <details><summary>It has learned the patients of each hospital by heart</summary>
#
# Not this one: it gives all patients of a hospital the same number. Inside a hospital it is a coin.
#
# </details>
# <details><summary>In most pairs, the two patients are from different hospitals</summary>
#
# Right: prevalence differs between hospitals. So the name alone puts many of these pairs in the right order, and no
# hospital is helped by that.
#
# </details>
# <details><summary>Over all rows there are more pairs, which makes AUROC higher</summary>
#
# Not this one: more pairs make a number less a matter of luck. They do not make it higher.
#
# </details>
#
# **5. Why is it not enough to leave out the names, and to pool the rows then?**
#
# <details><summary>Age, sex and blood pressure together often point to one person</summary>
#
# Right: at each hospital, most patients are the only one there with their values of these three.
#
# </details>
# <details><summary>Without the names, a model cannot tell the patients apart</summary>
#
# Not this one: a model does not need names, and ours was given none. It learns from the other columns.
#
# </details>
# <details><summary>A hospital could no longer find the rows that are its own</summary>
#
# Not this one: it keeps its own rows at home. The danger is in what others can find in the copy.
#
# </details>
