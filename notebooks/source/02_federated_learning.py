# %% [markdown]
# # 02. How do four updates become one model, and who gains?
#
# *Two minutes to run, 45 minutes to read. To read before: [01](01_centralized_baseline.ipynb).*
#
# By the end you can:
#
# - write a round of federated averaging by hand;
# - read a type of TensorFlow Federated, and say who holds a value;
# - explain why federated training is slower than pooled training, and what more work at home changes;
# - show which hospitals gain, which do not, and how sure that is;
# - say what travels, and what the server learns from one update.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 20  # how many random splits of the patients
ROUNDS = 50  # how often the hospitals train and join their updates
EPOCHS = 5  # passes through a hospital's rows in a round, where there is more than one
LEARNING_RATE = 0.3  # size of a hospital's steps
BATCH = 32  # rows a step

# %%
if PROFILE == "smoke":
    SEEDS, ROUNDS = 3, 15

# %% [markdown]
# ## Who is there, and what travels
#
# Pooling gave a good model for all, and it needed all rows in one place. **Federated learning** keeps the rows where
# they are. There are two roles:
#
# - A **hospital** has rows. It trains the shared model on them for a short time, and sends its **update**: how far each
#   number of the model has moved.
# - A **server** has no rows. It makes one mean of the updates, and the shared model moves by this mean.
#
# Doing this once is a **round**. Follow the two arrows at one hospital: what goes up, what comes down?

# %%
from fedkit import hospitals, preparation
from fedkit.chapters import diagrams

federation = hospitals.load("heart_disease")
diagrams.architecture(federation.names, encrypted=False)

# %% [markdown]
# *In the picture: four boxes, the hospitals, each with a table of rows inside. Above them one box, the server. An
# orange arrow goes up from each hospital and carries its update. A blue arrow comes down to each and carries the mean.*
#
# ## One hospital's work, by hand
#
# The model is the one of notebook 01: logistic regression, with 13 weights and a bias. We keep these 14 numbers in one
# vector. A hospital starts from the shared vector and takes a step down the gradient for every 32 of its rows. Going
# through all rows once is an **epoch**.

# %%
import numpy as np


def local_update(start, rows, order, batch_size=BATCH):
    """One hospital's work in a round: how far its training moves the model."""
    inputs = np.column_stack(
        [rows.train_features, np.ones(len(rows.train_labels))]
    )  # the bias multiplies 1
    weights = start.copy()
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        probability = 1 / (1 + np.exp(-inputs[batch] @ weights))
        error = probability - rows.train_labels[batch]
        weights -= LEARNING_RATE * error @ inputs[batch] / len(batch)
    return weights - start


# %% [markdown]
# The order of the rows is random, but it is not left to chance: `learning.row_order` makes it from the seed, the round
# and the hospital's name. So anybody can repeat it, and we will. Now all four hospitals train, from a vector of zeros.
# Do they want the same model?

# %%
import pandas as pd
from fedkit import learning

split = preparation.split(federation, seed=0)


def order_of(name, round):
    return learning.row_order(0, round, name, len(split.hospitals[name].train_labels))[
        0
    ]


def all_updates(start, round):
    return np.stack(
        [
            local_update(start, rows, order_of(name, round))
            for name, rows in split.hospitals.items()
        ]
    )


start = np.zeros(len(split.columns) + 1)
first_updates = pd.DataFrame(
    all_updates(start, round=1),
    index=federation.names,
    columns=[*split.columns, "bias"],
)
first_updates[["age", "trestbps", "thalach", "oldpeak", "bias"]].round(3)

# %% [markdown]
# Not quite. Compare the signs and sizes in a column. The biases differ most: where most patients have label 1, the bias
# wants to go up.
#
# ## The mean of four updates
#
# The server makes one update out of four. Each counts as much as it has training patients. This is **federated
# averaging**, or FedAvg (McMahan et al. 2017). By hand it is one line: shares times updates.

# %%
from fedkit import aggregators, models

patients = np.array([len(rows.train_labels) for rows in split.hospitals.values()])
shares = patients / patients.sum()
mean_update = shares @ first_updates.to_numpy()
fedkits_mean = aggregators.weighted_mean(first_updates.to_numpy(), patients)
assert np.allclose(mean_update, fedkits_mean), "fedkit's mean should be ours."
pd.Series(shares, index=federation.names, name="share").round(2).to_frame().T

# %% [markdown]
# Why by patients? If every hospital took *one* step on all its rows, the weighted mean would be exactly the step on the
# pooled rows. Exercise 1 checks it. Our hospitals take several steps, so it is close to that, but not the same.
#
# Ten rounds by hand: train, average, move. Look at the length of the mean update: does the model settle?

# %%
by_hand, lengths = start, []
for number in range(1, 11):
    mean_of_round = shares @ all_updates(by_hand, number)
    by_hand = by_hand + mean_of_round
    lengths.append(np.linalg.norm(mean_of_round))
assert lengths[-1] < lengths[0] / 2, "The mean update should get shorter."
pd.Series(lengths, index=range(1, 11), name="length of the mean update").round(
    3
).to_frame().T

# %% [markdown]
# ## What TensorFlow Federated adds
#
# In our loop all hospitals are lines of one array. Nothing says who may see what. **TensorFlow Federated** (TFF) is a
# library for programs that run at many places. There each value has a **placement**: `CLIENTS` means that each hospital
# has its own, `SERVER` means that the server has it. Here is the mean again, as a *federated computation*.

# %%
from fedkit.compat.tff import tf, tff

vector = tff.to_type((np.float32, (len(start),)))


@tff.federated_computation(
    tff.FederatedType(vector, tff.CLIENTS), tff.FederatedType(np.float32, tff.CLIENTS)
)
def mean_in_tff(updates, patients):
    return tff.federated_mean(updates, patients)


print(mean_in_tff.type_signature)

# %% [markdown]
# Curly brackets mean *one at each hospital*: 14 numbers, and a count of patients. The arrow means *becomes*. On the
# right there are no brackets: one vector, at the server. The type is checked before any row is touched. Called with our
# updates, it gives our mean.

# %%
from_tff = mean_in_tff(
    list(first_updates.to_numpy(np.float32)), list(patients.astype(np.float32))
)
assert np.allclose(from_tff, mean_update, atol=1e-6), (
    "TFF's mean should be the mean by hand."
)
print(f"largest difference {np.abs(from_tff - mean_update).max():.0e}")

# %% [markdown]
# TFF has the whole of FedAvg as well. It asks for a model, for the optimizer at the hospitals (here plain gradient
# descent), and for the one at the server. A server that adds the mean as it is takes a step of size 1.

# %%

process = tff.learning.algorithms.build_weighted_fed_avg(
    model_fn=models.logistic_regression().functional(len(split.columns), seed=0),
    client_optimizer_fn=tff.learning.optimizers.build_sgdm(LEARNING_RATE),
    server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
)

# %% [markdown]
# It gets the same rows in the same order, for ten rounds too.


# %%
def dataset(name, round):
    rows, order = split.hospitals[name], order_of(name, round)
    return tf.data.Dataset.from_tensor_slices(
        (rows.train_features[order], rows.train_labels[order])
    ).batch(BATCH)


state = process.initialize()
for number in range(1, 11):
    state = process.next(
        state, [dataset(name, number) for name in federation.names]
    ).state
by_tff = models.flatten(process.get_model_weights(state).trainable)
assert np.abs(by_tff - by_hand).max() < 1e-6, (
    "TFF's own process should find the model that we found by hand."
)

# %% [markdown]
# And fedkit's `train_federated`. It uses TFF for the work at the hospitals and for the last step at the server. Between
# the two stands an **aggregator**, the part that makes one update of many. It is a piece of its own, so that
# notebook 03 can put encryption there and change nothing else.

# %%

run_check = learning.train_federated(
    federation, rounds=10, learning_rate=LEARNING_RATE, batch_size=BATCH
)
run_check

# %%
from fedkit import records

by_fedkit = models.flatten(run_check.weights["shared"])
gap = max(np.abs(by_fedkit - other).max() for other in (by_hand, by_tff))
assert gap < 1e-6, "Three ways, one model."
records.glue("largest_gap_hand_tff_fedkit", gap)

# %% [markdown]
# From here on we use fedkit's, which trains many splits side by side. What travelled? The **ledger** of a run has a row
# for each message. Round 0 is the preparation: the sums of notebook 01.

# %%
messages = run_check.ledger.query("bytes > 0 and round > 0")
assert (messages["bytes"] == 4 * len(start)).all(), (
    "Each message should be 14 numbers of 4 bytes."
)
messages.groupby(["round", "direction"])["bytes"].agg(["count", "sum"]).head(4)

# %% [markdown]
# ## Does it arrive where pooled training arrives?
#
# We compare three trainings on the same splits, those of notebook 01. The centralized and the federated one have the
# same **budget**: every row is used once in each round. The local one is the fair opponent of notebook 01.

# %%
FAIR = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
how = {
    "rounds": ROUNDS,
    "seed": range(SEEDS),
    "learning_rate": LEARNING_RATE,
    "batch_size": BATCH,
}
runs_alone = learning.train_local(federation, **how, **FAIR)
runs_pooled = learning.train_centralized(federation, **how)
runs_federated = learning.train_federated(federation, **how)
runs_federated[0]

# %% [markdown]
# In the next picture, look at Switzerland: in which order do the three lines lie, and which of them still rises at the
# right end?

# %%
from fedkit import evaluation, plots
from fedkit.chapters import figures

metrics = evaluation.stack([*runs_alone, *runs_pooled, *runs_federated])
convergence = figures.convergence(metrics)
drawn = metrics.query("metric == 'auroc'").groupby(
    ["method", "hospital", "round"], sort=False
)["value"]
band = {
    "mean": "mean",
    "low": lambda values: values.quantile(0.05),
    "high": lambda values: values.quantile(0.95),
}
plots.save(convergence, "convergence", drawn.agg(**band).reset_index())
convergence

# %% [markdown]
# *In the picture: a panel for each hospital and one for their mean. Rounds go to the right, AUROC goes up. One line for
# each of the three trainings, the mean over the splits. A band around it holds the middle 90% of the splits.*
#
# At the large hospitals the lines end close together. At Switzerland the federated line is on its way to the pooled
# one, but behind it. Why? Count the steps.

# %%
steps = pd.Series(np.ceil(patients / BATCH), index=federation.names).astype(int)
steps_pooled = int(np.ceil(patients.sum() / BATCH))
assert 3 < steps_pooled / (shares @ steps) < 4, (
    "Pooled training should take three to four times as many steps."
)
print(
    f"steps in a round: {steps.to_dict()}, on average {shares @ steps:.1f}; pooled {steps_pooled}"
)

# %% [markdown]
# The budget of rows is equal, the number of steps is not. Pooled training takes its steps one *after* the other. The
# hospitals take theirs *side by side*, and the mean of four paths is no longer than one path. So federated training
# should need three to four times as many rounds. We give it four times as many, and look at two numbers: AUROC, and the
# **log loss**. The log loss punishes wrong probabilities, not only a wrong order; lower is better.

# %%
from dataclasses import replace

more = how | {"rounds": 4 * ROUNDS}
runs_long = [
    replace(run, method="federated, 4x rounds")
    for run in learning.train_federated(federation, **more)
]
table = evaluation.table(
    [*runs_alone, *runs_pooled, *runs_federated, *runs_long], ["auroc", "log_loss"]
)
means = table.pivot_table(
    index=["metric", "hospital"], columns="method", values="value", sort=False
)
means.loc[
    [
        ("auroc", "Switzerland"),
        ("auroc", "mean"),
        ("log_loss", "Switzerland"),
        ("log_loss", "mean"),
    ]
].round(3)

# %%
swiss = means.xs("Switzerland", level="hospital")
ahead = swiss[["federated", "federated, 4x rounds"]].sub(swiss["centralized"], axis=0)
auroc_before, auroc_after = -ahead.loc[
    "auroc"
]  # behind: AUROC is lower, log loss is higher
loss_before, loss_after = ahead.loc["log_loss"]
assert auroc_before > 0.01, (
    "At equal budget, federated should be behind at Switzerland."
)
assert auroc_after < auroc_before / 2, (
    "More rounds should close most of the gap in AUROC."
)
assert 0.02 < loss_after < loss_before, (
    "They should make the gap in log loss smaller, and not close it."
)
records.glue("auroc_switzerland_behind_pooled", auroc_before)
records.glue("auroc_switzerland_behind_pooled_4x_rounds", auroc_after)

# %% [markdown]
# With more rounds the *order* of the Swiss patients becomes as good as with pooled rows, or nearly so. Their
# *probabilities* get better too, but a gap stays. Between two means, each hospital goes several steps towards its own
# best model. The mean of these paths ends near the pooled model, but not on it. This is called **client drift**
# (Karimireddy et al. 2020). A method against it changes one step of FedAvg, and joins fedkit as a `learning.Algorithm`.
#
# ## More work at home
#
# Rounds cost messages. Can a hospital send fewer, and train longer in between? We take five epochs a round instead of
# one. The **local-global distance** is the length of the difference between a hospital's vector after its training, and
# the new shared one. How much farther do the hospitals move away?

# %%
runs_more_work = [
    replace(run, method=f"federated, {EPOCHS} epochs")
    for run in learning.train_federated(federation, **how, epochs=EPOCHS)
]
metrics_work = evaluation.stack([*runs_federated, *runs_more_work]).query(
    "metric == 'distance'"
)
drift = figures.local_global_distance(metrics_work)
distances = metrics_work.groupby(["method", "hospital", "round"], sort=False)[
    "value"
].agg(["mean", "std", "count"])
plots.save(drift, "local_global_distance", distances.reset_index())
drift

# %% [markdown]
# *In the picture: two panels, one epoch a round and five. Rounds go to the right, distance goes up. One line for each
# hospital, the mean over the splits.*

# %%
by_round = metrics_work.pivot_table(
    index=["round", "hospital"], columns="method", values="value"
)
first, last = by_round.loc[1], by_round.loc[ROUNDS]
assert ((first / 4 < last) & (last < first)).all(axis=None), (
    "The distance should fall, but not vanish."
)
assert (last.iloc[:, 1] > 2 * last.iloc[:, 0]).all(), (
    "Five epochs should take every hospital over twice as far away."
)
assert (last.idxmax() == "Switzerland").all(), (
    "Switzerland should be the farthest away."
)
records.glue("distance_ratio_five_epochs", (last.iloc[:, 1] / last.iloc[:, 0]).mean())

# %% [markdown]
# The distance falls at first and then stays: the hospitals never agree. Switzerland, the most different one, pulls
# hardest, and with more work at home all pull harder. What do we get for it? We compare at *equal work at home*: each
# hospital has gone through its rows equally often.


# %%
def price(runs, rounds):
    auroc = (
        evaluation.table(runs, ["auroc"], rounds)
        .query("hospital == 'mean'")["value"]
        .mean()
    )
    sent = runs[0].ledger.query("round <= @rounds")["bytes"].sum() / 1000
    return {"rounds": rounds, "kB sent": sent, "AUROC, mean": auroc}


prices = {
    "1 epoch": price(runs_federated, ROUNDS),
    f"{EPOCHS} epochs": price(runs_more_work, ROUNDS // EPOCHS),
}
equal_work = pd.DataFrame(prices)
assert abs(np.diff(equal_work.loc["AUROC, mean"])[0]) < 0.01, (
    "Equal work at home should give nearly equal AUROC."
)
equal_work.round(3)

# %% [markdown]
# A fifth of the messages, and nearly the same AUROC. That was the reason for FedAvg: messages are slow, work at home is
# cheap. The price is drift. And how many bytes would the rows have been?

# %%
sent = runs_pooled[0].ledger["bytes"].sum() / 1000
assert 0.1 < equal_work.loc["kB sent"].iloc[0] / sent < 10, (
    "Updates and rows should be of one order of size."
)
print(f"rows, sent once: {sent:.0f} kB")

# %% [markdown]
# As many, more or less. Federated learning does not save bytes with small tables. It changes *what* travels.
#
# ## Who gains, and who does not?
#
# A hospital asks one question: *is it worth it for us?* So we compare federated with local, a hospital at a time, on
# the same splits. Look at the right panel: which intervals are clear of zero, and by how much?

# %%
sizes = {hospital.name: len(hospital) for hospital in federation}
gain_figure = figures.training_gain(table, sizes)
gain = evaluation.paired_differences(table, reference="local").query(
    "method == 'federated'"
)
plots.save(
    gain_figure, "training_gain", gain.query("metric == 'auroc' and hospital != 'mean'")
)
gain_figure

# %% [markdown]
# *In the picture: a line for each hospital, the smallest on top. Left, an arrow from the AUROC of the local model to
# that of the federated one. Right, the gain with its 95% interval, and a line at zero.*

# %%
by_hospital = gain.query("metric == 'auroc'").set_index("hospital")["mean"]
large, small = ["Cleveland", "Hungary"], ["Switzerland", "VA Long Beach"]
assert by_hospital[large].abs().max() < 0.03, (
    "The large hospitals should neither gain nor lose much."
)
assert by_hospital[small].min() > by_hospital[large].max(), (
    "The small ones should gain more."
)
zeros = (
    runs_alone[0].predictions.query("hospital == 'Switzerland'")["label"] == 0
).sum()
assert zeros <= 3, "Hardly any Swiss test patient should have label 0."
for name in small:
    records.glue(f"auroc_gain_{name.split()[0].lower()}", by_hospital[name])

# %% [markdown]
# On average, the two small hospitals gain and the two large ones do not: they have enough rows of their own. But see
# how wide the interval of Switzerland is. Very few of its test patients have label 0, so AUROC there jumps from split
# to split. "On average" is all that we may say of it.
#
# **Another opponent.** Earlier versions of this notebook compared with a local model that borrowed the *shared*
# statistics, had no penalty, and trained one epoch a round. How large did the gain look then?

# %%
earlier = evaluation.table(learning.train_local(federation, **how), ["auroc"]).assign(
    method="earlier"
)
both = pd.concat([table.query("method == 'federated' and metric == 'auroc'"), earlier])
gain_then = evaluation.paired_differences(both, "earlier").set_index("hospital")["mean"]
gain_now = gain.query("metric == 'auroc'").set_index("hospital")[
    ["mean", "low", "high"]
]
assert gain_then["Switzerland"] > by_hospital["Switzerland"], (
    "It should have looked larger at Switzerland."
)
assert gain_then["VA Long Beach"] < by_hospital["VA Long Beach"], (
    "And smaller at VA Long Beach."
)
assert gain_now.loc["Switzerland", "low"] < 0, (
    "At Switzerland the interval should hold zero."
)
gain_now.assign(then=gain_then).round(3)

# %% [markdown]
# At Switzerland a part of the gain was only that the earlier opponent had not trained to the end. At VA Long Beach the
# shared statistics had helped it. Look at `low`: at Switzerland the gain may be real, but these patients do not prove
# it.
#
# **Where it harms.** AUROC looks at the order only. Here is the difference in log loss: above zero is *worse*.

# %%
loss = gain.query("metric == 'log_loss'").set_index("hospital")[["mean", "low", "high"]]
assert loss.loc["Switzerland", "mean"] > 0.1, (
    "At Switzerland, the shared model's probabilities should be worse."
)
assert loss.loc["VA Long Beach", "mean"] < 0, "At VA Long Beach they should be better."
records.glue(
    "log_loss_switzerland_federated_minus_local", loss.loc["Switzerland", "mean"]
)
loss.round(3)

# %% [markdown]
# VA Long Beach gains here too. At Switzerland the shared model puts patients in a better order, and gives *worse
# probabilities* than the local one. Its single bias has to serve four hospitals. It does not know that nearly all Swiss
# patients have label 1. We look at the mean probability in one split.

# %%
predictions = {
    "local": runs_alone[0].predictions,
    "federated": runs_federated[0].predictions,
}
mean_probability = pd.DataFrame(
    {
        name: p.groupby("hospital")["probability"].mean()
        for name, p in predictions.items()
    }
)
mean_probability["share with label 1"] = (
    predictions["local"].groupby("hospital")["label"].mean()
)
wrong = mean_probability.sub(mean_probability["share with label 1"], axis=0).loc[
    "Switzerland"
]
assert wrong["federated"] < -0.1 < wrong["local"], (
    "The shared model should give the Swiss too low probabilities."
)
mean_probability.round(2)

# %% [markdown]
# So a hospital that joins should set the bias again with its own rows, before it reads the outputs as probabilities.
#
# ## What the server sees
#
# The rows have stayed at home. Is that enough? The server reads each update. Suppose that the hospitals start from zero
# and take one step on all their rows. At zero, every probability is one half. So the bias moves by the learning rate
# times (prevalence - 0.5), and the server knows the learning rate.

# %%
read_by_server = {}
for name, rows in split.hospitals.items():
    everybody = np.arange(len(rows.train_labels))
    update = local_update(start, rows, everybody, batch_size=len(everybody))
    read_by_server[name] = 0.5 + update[-1] / LEARNING_RATE
    assert np.isclose(read_by_server[name], rows.train_labels.mean(), atol=1e-6), (
        "It should be the exact prevalence."
    )
pd.Series(read_by_server, name="prevalence, read from one update").round(3).to_frame()

# %% [markdown]
# From *one number* of one update the server reads the exact share of patients with label 1. With a network, an update
# of one patient can give a whole row or image away (Zhu et al. 2019). More steps make reading harder. Nobody can
# promise that they make it impossible.
#
# The server needs only the *mean*. Can it make the mean without reading the updates? This is notebook 03: the
# hospitals use **keys** of their own, the server none.

# %%
holds = pd.DataFrame(
    {
        "a hospital": ["its own", "its own", "yes", "yes", "yes, if encrypted"],
        "server, plain": ["no", "all of them", "yes", "yes", "there is none"],
        "server, encrypted": ["no", "unreadable", "unreadable", "unreadable", "no"],
    },
    index=pd.Index(
        ["patients' rows", "updates", "mean of updates", "shared model", "secret key"],
        name="what",
    ),
)
architecture = diagrams.architecture(federation.names)
plots.save(architecture, "architecture", holds.reset_index())
architecture

# %% [markdown]
# *In the picture: the same hospitals and server. Each hospital now holds a key, and the server's key is crossed out. A
# lock is on every arrow: what travels is encrypted.*
#
# And who can read what?

# %%
holds

# %% [markdown]
# Neither protects everything. All hospitals see the mean and the model, which say something about the rows of all. A
# hospital can send a wrong update. And the server sees who takes part, and when.
#
# ## What you can do now
#
# - You wrote a round by hand: train at home, take the mean by patients, move. TFF's and fedkit's model was the same.
# - You can read a type: `{...}@CLIENTS` is one value at each hospital, `@SERVER` is one at the server.
# - You can explain why federated training is slower for the same rows: its steps run side by side. More work at home
#   saves messages and adds drift.
# - You can show who gains: on average the small hospitals, with wide intervals, and that it depends on what the local
#   model is given. And a better order may come with worse probabilities.
# - You know what travels: 14 numbers a message, and the server can read the prevalence from one of them.
#
# Next: [a server that cannot read](03_federated_learning_with_encryption.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** With batches of 32 rows, the federated and the pooled model differ after three rounds. What if each
# hospital takes *one* step on *all* its rows (`batch_size=None`)? Will the largest difference be about the same,
# smaller, or zero? Guess, then change `rows_a_step`.

# %% tags=["exercise"]
rows_a_step = 32
trainers = (learning.train_centralized, learning.train_federated)
pair = [train(federation, rounds=3, batch_size=rows_a_step) for train in trainers]
vectors = [models.flatten(run.weights["shared"]) for run in pair]
print(f"largest difference {np.abs(vectors[0] - vectors[1]).max():.1e}")

# %% tags=["solution"]
pair_full = [train(federation, rounds=3, batch_size=None) for train in trainers]
pooled_full, federated_full = (
    models.flatten(run.weights["shared"]) for run in pair_full
)
assert np.abs(pooled_full - federated_full).max() < 1e-6, (
    "A weighted mean of gradients is the pooled gradient."
)
print(
    f"largest difference {np.abs(pooled_full - federated_full).max():.1e}: zero, up to rounding"
)

# %% [markdown]
# **2. Modify.** The server may use an optimizer of its own (Reddi et al. 2021). Give `train_federated` the
# `server_optimizer` `tff.learning.optimizers.build_sgdm(1.0, 0.9)`: it keeps 0.9 of its last move as **momentum**. What
# does Switzerland get after ten rounds? What do you get with `build_adam(0.1)`?

# %% tags=["exercise"]
runs_mine = learning.train_federated(
    federation, rounds=10, seed=range(3), server_optimizer=None
)
pd.DataFrame([run.final() for run in runs_mine]).mean().round(3).to_frame(
    "AUROC after ten rounds"
).T

# %% tags=["solution"]
optimizers = tff.learning.optimizers
servers = {
    "plain": None,
    "momentum": optimizers.build_sgdm(1.0, 0.9),
    "adam": optimizers.build_adam(0.1),
}
swiss_auroc = {}
for name, optimizer in servers.items():
    runs_server = learning.train_federated(
        federation, rounds=10, seed=range(3), server_optimizer=optimizer
    )
    swiss_auroc[name] = np.mean([run.final()["Switzerland"] for run in runs_server])
assert swiss_auroc["momentum"] > swiss_auroc["plain"] + 0.02, (
    "Momentum should make up for the missing steps."
)
print({name: round(float(value), 3) for name, value in swiss_auroc.items()})

# %% [markdown]
# **3. Build.** Is it the difference between hospitals that pulls the models apart? Pool the rows (they are public) and
# deal them out again. `partitions.iid` makes four pretend hospitals that are alike. Build the opposite with
# `partitions.by_label_skew(frame, "label", 4, alpha=0.3, seed=0)`, and compare the distances.

# %% tags=["exercise"]
from fedkit.chapters import partitions

frame = pd.concat(
    [hospital.table.assign(label=hospital.labels) for hospital in federation],
    ignore_index=True,
)
alike = hospitals.from_frame(
    partitions.iid(frame, 4, seed=0), site="hospital", label="label"
)
run_alike = learning.train_federated(alike, rounds=20)
alike.summary()[["hospital", "prevalence"]].assign(
    distance=run_alike.final("distance").to_numpy()
).round(2)

# %% tags=["solution"]
skewed_rows = partitions.by_label_skew(frame, "label", 4, alpha=0.3, seed=0)
skewed = hospitals.from_frame(skewed_rows, site="hospital", label="label")
run_skewed = learning.train_federated(skewed, rounds=20)
far, near = (run.final("distance").mean() for run in (run_skewed, run_alike))
assert far > 1.5 * near, "Hospitals with different labels should move farther apart."
skewed.summary()[["hospital", "prevalence"]].assign(
    distance=run_skewed.final("distance").to_numpy()
).round(2)
