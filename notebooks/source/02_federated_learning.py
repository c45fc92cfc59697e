# %% [markdown]
# # 02. How do four updates become one model, and who gains?
#
# *Two minutes to run, 40 minutes to read. To read before: [01](01_centralized_baseline.ipynb).*
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
FIRST_SEED = 0  # the seed of the first of them
ROUNDS = 50  # how often the hospitals train and join their updates
EPOCHS = 5  # passes through a hospital's rows in a round, where there is more than one
LEARNING_RATE = 0.3  # size of a hospital's steps
BATCH = 32  # rows a step

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {
        "SEEDS": 20,
        "FIRST_SEED": 0,
        "ROUNDS": 50,
        "EPOCHS": 5,
        "LEARNING_RATE": 0.3,
        "BATCH": 32,
    },
    {"SEEDS": 3, "ROUNDS": 15},
)

# %% [markdown]
# ## Who is there, and what travels
#
# Pooling gave a good model for all, and it needed all rows in one place.
# [Federated learning](glossary.md#federated-learning) keeps the rows where they are. There are two roles:
#
# - A **hospital** has rows. It trains the shared model on them for a short time, and sends its **update**: how far each
#   number of the model has moved.
# - A **server** has no rows. It makes one mean of the updates, and the shared model moves by this mean.
#
# Doing this once is a **round**.

# %%
from fedkit import hospitals

federation = hospitals.load("heart_disease")

# %% tags=["plumbing"]
# A picture: hospitals and server
from fedkit import plots
from fedkit.chapters import diagrams

plots.Picture(
    diagrams.architecture(federation.names, encrypted=False),
    "Four boxes are the hospitals, each with a table of rows inside. Above them one "
    "box is the server. An arrow goes up from each hospital and carries its update. An "
    "arrow comes down to each and carries the mean.",
)

# %% [markdown]
# ## One hospital's work, by hand
#
# The model is the one of notebook 01: logistic regression, with 13 weights and a bias. We keep these 14 numbers in one
# [vector](glossary.md#vector). A hospital starts from the shared vector and takes a step down the gradient for every 32
# of its rows. How far it steps is the [learning rate](glossary.md#learning-rate). Going through all rows once is an
# [epoch](glossary.md#epoch).

# %% tags=["slide"]
import numpy as np


def local_update(start, rows, order, batch_size=BATCH):
    """One hospital's work in a round: how far its training moves the model."""
    ones = np.ones(len(rows.train_labels))  # the bias multiplies 1
    inputs = np.column_stack([rows.train_features, ones])
    weights = start.copy()
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        probability = 1 / (1 + np.exp(-inputs[batch] @ weights))
        error = probability - rows.train_labels[batch]
        weights -= LEARNING_RATE * error @ inputs[batch] / len(batch)
    return weights - start


# %% [markdown]
# The order of the rows is random, but it is not left to chance: `learning.row_order` makes it from the seed, the round
# and the hospital's name. So anybody can repeat it. All four hospitals train, from a vector of zeros.
# Compare the signs and sizes in a column:

# %%
import pandas as pd
from fedkit import aggregators, learning, models, preparation

split = preparation.split(federation, seed=FIRST_SEED)
patients = np.array([len(own.train_labels) for own in split.hospitals.values()])
rows_at = dict(zip(federation.names, patients, strict=True))


def order_of(name, round):
    return learning.row_order(FIRST_SEED, round, name, rows_at[name])[0]


def all_updates(start, round):
    found = split.hospitals.items()
    return np.stack(
        [local_update(start, own, order_of(at, round)) for at, own in found]
    )


start = np.zeros(len(split.columns) + 1)
updates = all_updates(start, round=1)
shown = pd.DataFrame(updates, federation.names, [*split.columns, "bias"])
shown[["age", "trestbps", "thalach", "oldpeak", "bias"]].round(3)

# %% [markdown]
# The four do not want the same model. The biases differ most: where most patients have label 1, the bias goes up.
#
# ## The mean of four updates
#
# The server makes one update out of four. Each counts as much as it has training patients. This is
# [federated averaging](glossary.md#federated-averaging), or FedAvg (McMahan et al. 2017). By hand it is one line: shares
# times updates.

# %% tags=["slide"]
shares = patients / patients.sum()
mean_update = shares @ updates
fedkits_mean = aggregators.weighted_mean(updates, patients)
assert np.allclose(mean_update, fedkits_mean), "fedkit's mean should be ours."
pd.Series(shares, federation.names, name="share").round(2).to_frame().T

# %% [markdown]
# Why by patients? If every hospital took *one* step on all its rows, the weighted mean would be exactly the step on the
# pooled rows. A folded cell near the end checks it, for the bias. Our hospitals take several steps, so it is close to
# that, but not the same.
#
# Ten rounds by hand: train, average, move. See the length of the mean update: the model settles.

# %%
by_hand, lengths = start, []
for number in range(1, 11):
    mean_of_round = shares @ all_updates(by_hand, number)
    by_hand = by_hand + mean_of_round
    lengths.append(np.linalg.norm(mean_of_round))
pd.Series(lengths, range(1, 11), name="length").round(3).to_frame().T

# %% [markdown]
# ## What TensorFlow Federated adds
#
# In our loop all hospitals are lines of one array. Nothing says who may see what.
# [TensorFlow Federated](glossary.md#tensorflow-federated) (TFF) is a library for programs that run at many places. There
# each value has a [placement](glossary.md#placement): `CLIENTS` means that each hospital has its own, `SERVER` means
# that the server has it. Here is the mean again, as a *federated computation*.

# %% tags=["slide"]
from fedkit.compat.tff import tf, tff

vectors = tff.FederatedType((np.float32, (len(start),)), tff.CLIENTS)
counts = tff.FederatedType(np.float32, tff.CLIENTS)


@tff.federated_computation(vectors, counts)
def mean_in_tff(updates, patients):
    return tff.federated_mean(updates, patients)


from_tff = mean_in_tff(*(list(part.astype(np.float32)) for part in (updates, patients)))
assert np.allclose(from_tff, mean_update, atol=1e-6), "TFF's mean should be ours."
print(mean_in_tff.type_signature)

# %% [markdown]
# Curly brackets mean *one at each hospital*: 14 numbers, and a count of patients. The arrow means *becomes*. On the
# right there are no brackets: one vector, at the server. The type is checked before a row is touched. Called with our
# updates, it gives our mean.
#
# TFF has the whole of FedAvg as well. It asks for a model, for the way in which hospitals step (here plain gradient
# descent), and for the server's. A server that adds the mean as it is takes a step of size 1. We give it the same rows
# in the same order, for ten rounds too.

# %%
descend = tff.learning.optimizers.build_sgdm
process = tff.learning.algorithms.build_weighted_fed_avg(
    model_fn=models.logistic_regression().functional(len(split.columns), seed=0),
    client_optimizer_fn=descend(LEARNING_RATE),
    server_optimizer_fn=descend(1.0),
)


def dataset(name, round):
    own, order = split.hospitals[name], order_of(name, round)
    pair = own.train_features[order], own.train_labels[order]
    return tf.data.Dataset.from_tensor_slices(pair).batch(BATCH)


state = process.initialize()
for number in range(1, 11):
    rows = [dataset(name, number) for name in federation.names]
    state = process.next(state, rows).state
by_tff = models.flatten(process.get_model_weights(state).trainable)
claim(np.allclose(by_tff, by_hand, atol=1e-6), "TFF finds the model of our loop.")

# %% [markdown]
# And fedkit's `train_federated`. It uses TFF for the work at the hospitals. Between hospitals and server stands an
# [aggregator](glossary.md#aggregator), the part that makes one update of many. Notebook 03 will put encryption
# there and change nothing else.

# %%
steps = {"learning_rate": LEARNING_RATE, "batch_size": BATCH}
run_check = learning.train_federated(federation, rounds=10, seed=FIRST_SEED, **steps)
by_fedkit = models.flatten(run_check.weights["shared"])
claim(np.allclose(by_fedkit, by_hand, atol=1e-6), "Three ways give one model.")
run_check

# %% [markdown]
# From here on we use fedkit's. What travelled? The
# [ledger](glossary.md#ledger) of a run has a row for each message. Round 0 is the preparation of notebook 01.

# %%
messages = run_check.ledger.query("bytes > 0 and round > 0")
assert (messages["bytes"] == 4 * len(start)).all(), "14 numbers of 4 bytes each."
messages.groupby(["round", "direction"])["bytes"].agg(["count", "sum"]).head(4)

# %% [markdown]
# ## Does it arrive where pooled training arrives?
#
# We compare three trainings on the same splits, those of notebook 01. The centralised and the federated one have the
# same [budget](glossary.md#budget): every row is used once in each round. The local one is the fair opponent of
# notebook 01.

# %%
fair = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
how = {"rounds": ROUNDS, "seed": range(FIRST_SEED, FIRST_SEED + SEEDS), **steps}
runs_alone = learning.train_local(federation, **how, **fair)
runs_pooled = learning.train_centralized(federation, **how)
runs_federated = learning.train_federated(federation, **how)
runs_federated[0]

# %% [markdown]
# Each panel below has a scale of its own. At Switzerland, see which line still rises at the right end.

# %% tags=["plumbing"]
# A picture: AUROC round by round
from fedkit import evaluation
from fedkit.chapters import figures

metrics = evaluation.stack([*runs_alone, *runs_pooled, *runs_federated])
drawn = metrics.query("metric == 'auroc'")
drawn = drawn.groupby(["method", "hospital", "round"], sort=False)["value"]
low, high = (drawn.quantile(share) for share in (0.05, 0.95))
plots.save(
    figures.convergence(metrics),
    "convergence",
    pd.DataFrame({"mean": drawn.mean(), "low": low, "high": high}).reset_index(),
    "A panel for each hospital and one for their mean. Rounds go to the right, AUROC "
    "goes up. One line for each of the three trainings is the mean over the splits. "
    "A bar behind its end holds the middle 90% of the splits. At Switzerland the "
    "federated line ends below the pooled one.",
)

# %% [markdown]
# At Switzerland the federated line ends below the pooled one, but by less than a bar is long. Another number will show
# it better: federated training is on its way, and behind. Count the steps.

# %%
own_steps = np.ceil(patients / BATCH)
steps_pooled = np.ceil(patients.sum() / BATCH)
print(dict(zip(federation.names, own_steps.astype(int).tolist(), strict=True)))
print(
    f"on average {shares @ own_steps:.1f} steps in a round; pooled {steps_pooled:.0f}"
)

# %% [markdown]
# The budget of rows is equal, the number of steps is not. Pooled training takes its steps one *after* the other. The
# hospitals take theirs *side by side*, and the mean of four paths is no longer than one path. So federated training
# should need three to four times as many rounds. We give it four times as many, and look at two numbers: AUROC, and the
# [log loss](glossary.md#log-loss). The log loss punishes wrong probabilities, not only a wrong order; lower is better.

# %% tags=["slide"]
from dataclasses import replace


def renamed(method, runs):
    return [replace(run, method=method) for run in runs]


longer = learning.train_federated(federation, **how | {"rounds": 4 * ROUNDS})
runs_long = renamed("federated, 4x rounds", longer)
runs = [*runs_alone, *runs_pooled, *runs_federated, *runs_long]
table = evaluation.table(runs, ["auroc", "log_loss", "accuracy"])
means = table.pivot_table("value", ["metric", "hospital"], "method", sort=False)
means.loc[["auroc", "log_loss"]].round(3)

# %% tags=["plumbing"]
# What the claims say up to here, checked
from fedkit import records

gap = max(np.abs(by_fedkit - other).max() for other in (by_hand, by_tff))
claim(lengths[-1] < lengths[0] / 2, "The mean update gets shorter.")
claim(gap < 1e-6 and np.abs(by_hand).max() > 0.1, "Three ways give one model.")
claim(3 < steps_pooled / (shares @ own_steps) < 4, "Pooled takes 3 to 4 times as many.")
swiss = means.xs("Switzerland", level="hospital")
ahead = swiss[["federated", "federated, 4x rounds"]].sub(swiss["centralized"], axis=0)
auroc_before, auroc_after = -ahead.loc["auroc"]  # behind: AUROC is lower
loss_before, loss_after = ahead.loc["log_loss"]  # behind: log loss is higher
claim(auroc_before > 0, "At equal budget, federated is behind at Switzerland.")
claim(abs(auroc_after) < 0.01, "With more rounds, the order is as good as pooled.")
claim(loss_before > 0.05, "At equal budget, the probabilities are clearly behind.")
closer = 0.02 < loss_after < 0.8 * loss_before
claim(closer, "More rounds make the gap in log loss smaller, and do not close it.")
records.glue("largest_gap_hand_tff_fedkit", gap)
records.glue("log_loss_switzerland_behind_pooled", loss_before)
records.glue("log_loss_switzerland_behind_pooled_4x_rounds", loss_after)

# %% [markdown]
# With more rounds the *order* of the Swiss patients becomes as good as with pooled rows. Their
# *probabilities* get better too, but a gap stays. Between two means, each hospital goes several steps towards its own
# best model. The mean of these paths ends near the pooled model, but not on it. This is called
# [client drift](glossary.md#client-drift) (Karimireddy et al. 2020). A method against it changes one step of FedAvg, and
# joins fedkit as a `learning.Algorithm`. Exercise 3 builds one.
#
# ## More work at home
#
# Rounds cost messages. Can a hospital send fewer, and train longer in between? We take five epochs a round instead of
# one, and look at the [local-global distance](glossary.md#local-global-distance). It is the length of the difference
# between a hospital's vector after its training, and the new shared one.
#
# It is easy to read too much into it. A hospital is *part* of the mean, so the mean lies near a large hospital by
# formula. The distance is the one to the mean of the *others*, times one minus its own share:

# %% tags=["slide"]
away = np.linalg.norm(updates - mean_update, axis=1)
of_others = (mean_update - shares[:, None] * updates) / (1 - shares)[:, None]
from_others = np.linalg.norm(updates - of_others, axis=1)
assert np.allclose(away, (1 - shares) * from_others), "It should be the formula's."
found = {"share": shares, "to the mean of all": away, "of the others": from_others}
pd.DataFrame(found, federation.names).round(2)

# %% [markdown]
# Chance moves the models apart as well: each hospital sees other rows in another order. So we need a **control**. We
# shuffle the patients among the hospitals, and keep the hospitals' sizes. What distance is left then does not
# come from differences between hospitals.

# %%
rows = federation.frame()  # these rows are public: no real federation could do it
rows["hospital"] = np.random.default_rng(0).permutation(rows["hospital"])
shuffled = hospitals.from_frame(rows, site="hospital", label="label")
at_home = [*runs_federated]
for method, place, epochs in (
    ("shuffled", shuffled, 1),
    (f"{EPOCHS} epochs", federation, EPOCHS),
    (f"{EPOCHS} epochs, shuffled", shuffled, EPOCHS),
):
    trained = learning.train_federated(place, **how, epochs=epochs)
    at_home += renamed(method, trained)
shuffled.summary()[["hospital", "patients", "prevalence"]].round(2)

# %% tags=["plumbing"]
# A picture: how far the hospitals move, beside the control
moved = evaluation.stack(at_home).query("metric == 'distance'")
distances = moved.groupby(["method", "hospital", "round"], sort=False)["value"]
distances = distances.agg(["mean", "std", "count"]).reset_index()
plots.save(
    figures.local_global_distance(moved),
    "local_global_distance",
    distances,
    "Four panels: one epoch a round and five, each with the real hospitals and with "
    "shuffled ones. Rounds go to the right, distance goes up. One line for each "
    "hospital. With the real hospitals, the line of Switzerland lies far above the "
    "others. With shuffled ones it does not.",
)

# %% [markdown]
# `distances` has the means of the picture. In the last round, how many times as far do the real hospitals move?

# %%
last = distances[distances["round"] == ROUNDS]
last = last.pivot_table("mean", "hospital", "method", sort=False)
times = last["federated"] / last["shuffled"]
last.assign(**{"real / shuffled": times}).round(2)

# %% [markdown]
# Look at the control first. Shuffled hospitals move apart as well, and farther with more work at home. That is chance,
# size and steps, and no difference between hospitals. Three of the four real hospitals move about as far as that. Only
# Switzerland moves much farther: its patients do want another model.
#
# What do we get for more work at home? We compare at *equal work*: each hospital has gone through its rows equally
# often.


# %% tags=["slide"]
def price(method, rounds):
    chosen = [run for run in at_home if run.method == method]
    auroc = evaluation.table(chosen, ["auroc"], rounds).groupby("hospital", sort=False)
    sent = chosen[0].ledger.query("round <= @rounds")["bytes"].sum() / 1000
    return {"rounds": rounds, "kB sent": sent, **auroc["value"].mean()}


fewer = max(ROUNDS // EPOCHS, 1)
prices = [price("federated", ROUNDS), price(f"{EPOCHS} epochs", fewer)]
equal_work = pd.DataFrame(prices, ["1 epoch", f"{EPOCHS} epochs"])
sent = runs_pooled[0].ledger["bytes"].sum() / 1000
print(f"rows, sent once: {sent:.0f} kB")
equal_work.round(3)

# %% [markdown]
# A fifth of the rounds, less than half of the bytes (the sums of round 0 stay), and nearly the same AUROC. That was the
# reason for FedAvg. The price is drift. The rows, sent once, would be about as many bytes. Federated
# learning does not save bytes with small tables. It changes *what* travels.
#
# ## Who gains, and who does not?
#
# A hospital asks one question: *is it worth it for us?* So we compare federated with local, a hospital at a time, on
# the same splits. In the right panel, see which intervals are clear of zero.

# %% tags=["plumbing"]
# A picture: who gains
gain = evaluation.paired_differences(table, reference="local")
gain = gain.query("method == 'federated'")
plots.save(
    figures.training_gain(table, {one.name: len(one) for one in federation}),
    "training_gain",
    gain.query("metric == 'auroc' and hospital != 'mean'"),
    "A line for each hospital, the smallest on top. Left, an arrow from the AUROC of "
    "the local model to that of the federated one. Right, the gain with its 95% "
    "interval, and a line at zero. The gains of the two small hospitals lie to the "
    "right of the others, and their intervals are wide.",
)

# %% [markdown]
# On average, the two small hospitals gain and the two large ones do not: they have enough rows of their own. But the
# interval of Switzerland is wide. Very few of its test patients have label 0, so AUROC there jumps from split
# to split. "On average" is all that we may say of it. Try other seeds (`FIRST_SEED`).

# %% tags=["plumbing"]
# What the claims say of distances and gains, checked
claim(times["Switzerland"] > 2, "Switzerland moves over twice as far as if shuffled.")
others = times.drop("Switzerland")
claim(others.max() < 1.6, "No other hospital moves much farther than if shuffled.")
farther = last[[f"{EPOCHS} epochs", f"{EPOCHS} epochs, shuffled"]].to_numpy()
farther /= last[["federated", "shuffled"]].to_numpy()
claim((farther > 2).all(), "Five epochs take everybody over twice as far away.")
claim(np.ptp(equal_work["mean"]) < 0.01, "Equal work gives nearly equal AUROC.")
claim(0.1 < equal_work["kB sent"].iloc[0] / sent < 10, "Updates are about as large.")
now = gain.query("metric == 'auroc'").set_index("hospital")
auroc, large = now["mean"], ["Cleveland", "Hungary"]
small = ["Switzerland", "VA Long Beach"]
claim(auroc[large].abs().max() < 0.03, "The large hospitals gain and lose little.")
claim(auroc[small].min() > auroc[large].max(), "The small ones gain more.")
claim(now.loc["Switzerland", "low"] < 0, "At Switzerland the interval holds zero.")
records.glue("distance_switzerland_real_over_shuffled", times["Switzerland"])
records.glue("distance_ratio_five_epochs", farther[:, 0].mean())
for name in small:
    records.glue(f"auroc_gain_{name.split()[0].lower()}", auroc[name])

# %% [markdown]
# **Where it harms.** AUROC looks at the order only. `gain`, of the picture, also has log loss: above zero is *worse*.

# %%
loss = gain.query("metric == 'log_loss'").set_index("hospital")[["mean", "low", "high"]]
loss.round(3)

# %% [markdown]
# VA Long Beach gains here too. At Switzerland the shared model puts patients in a better order *on average*, and gives *worse
# probabilities* than the local one. Its single bias has to serve four hospitals. It does not know that nearly all Swiss
# patients have label 1. So compare its [accuracy](glossary.md#accuracy) with who says the same label for everybody, and
# in one split its mean probability with the share that has label 1:

# %%
tested, trained = runs_alone[0].predictions, runs_federated[0].predictions
share = tested.groupby("hospital")["label"].mean()
harm = means.loc["accuracy"][["local", "federated"]].drop("mean")
harm = harm.add_suffix(", accuracy")
harm["one label for all"] = share.clip(1 - share)
harm["label 1"] = share
for word, one in (("local", tested), ("federated", trained)):
    chances = one.groupby("hospital")["probability"]
    harm[f"{word}, mean probability"] = chances.mean()
harm.round(2)

# %% [markdown]
# Saying label 1 to every Swiss patient is right more often than the shared model. So a hospital that joins should set the bias again with its own rows, before it reads the outputs as probabilities.
# [Notebook 04](04_comparison_of_outcomes.ipynb) comes back to this.

# %% tags=["plumbing"]
# What the claims say of the probabilities, checked
claim(loss.loc["Switzerland", "mean"] > 0.1, "At Switzerland probabilities are worse.")
claim(loss.loc["VA Long Beach", "mean"] < 0, "At VA Long Beach they are better.")
swiss = harm.loc["Switzerland"]
wrong = swiss.filter(like="probability") - swiss["label 1"]
claim(wrong.iloc[1] < -0.1 < wrong.iloc[0], "The Swiss get too low probabilities.")
below = swiss["federated, accuracy"] - swiss[["local, accuracy", "one label for all"]]
claim((below < -0.1).all(), "Its Swiss accuracy is below that of one label for all.")
few = tested.query("hospital == 'Switzerland' and label == 0")
claim(len(few) <= 3, "Hardly any Swiss test patient has label 0.")
records.glue(
    "log_loss_switzerland_federated_minus_local", loss.loc["Switzerland", "mean"]
)

# %% [markdown]
# ## What the server sees
#
# The rows have stayed at home. Is that enough? The server reads each update. Suppose that a hospital starts from zero
# and takes one step on all its rows. At zero, every probability is one half. So the bias moves by the learning rate
# times (prevalence - 0.5), and the server knows the learning rate. For several steps it can only guess: the same rule,
# divided by the number of steps.

# %%
one_step = []
for own in split.hospitals.values():
    everybody = np.arange(len(own.train_labels))
    one_step.append(local_update(start, own, everybody, batch_size=len(everybody)))
prevalence = np.array([own.train_labels.mean() for own in split.hospitals.values()])
exact = 0.5 + np.array(one_step)[:, -1] / LEARNING_RATE
guessed = 0.5 + updates[:, -1] / LEARNING_RATE / own_steps
read = {"prevalence": prevalence, "from one step": exact, "from several": guessed}
pd.DataFrame(read, federation.names).round(3)

# %% tags=["plumbing"]
# What the claims say of one step and of several, checked
assert np.allclose(exact, prevalence, atol=1e-6), "It should be the exact prevalence."
pooled = LEARNING_RATE * ((shares * prevalence).sum() - 0.5)
assert np.isclose((shares @ one_step)[-1], pooled), "It should be the pooled step."
miss = np.abs(guessed - prevalence)
claim(0.02 < miss.max() < 0.15, "Several steps make the guess worse, and not useless.")
same_order = (np.argsort(guessed) == np.argsort(prevalence)).all()
claim(same_order, "The guess puts the hospitals in the right order.")

# %% [markdown]
# From *one number* of one update the server reads the exact share of patients with label 1, if the hospital took one
# step. After several steps its guess is off. It still tells where label 1 is most common, and where it is rarest. With
# a [network](glossary.md#network), an update of one patient can give a whole row or image away (Zhu et al. 2019).
# More steps make reading harder. Nobody can promise that they make it impossible.
#
# The server needs only the *mean*. Can it make the mean without reading the updates? This is notebook 03: the
# hospitals use [keys](glossary.md#key) of their own, the server none.

# %% tags=["plumbing"]
# A picture: who holds which key
places = ["a hospital", "server, plain", "server, encrypted"]
holds = {
    "patients' rows": ["its own", "no", "no"],
    "updates": ["its own", "all of them", "unreadable"],
    "mean of updates": ["yes", "yes", "unreadable"],
    "shared model": ["yes", "yes", "unreadable"],
    "secret key": ["yes, if encrypted", "there is none", "no"],
}
holds = pd.DataFrame(holds, index=places).T.rename_axis("what")
plots.save(
    diagrams.architecture(federation.names),
    "architecture",
    holds.reset_index(),
    "The same hospitals and server. Each hospital now holds a key, and the key of the "
    "server is crossed out. A lock is on every arrow: what travels is encrypted.",
)

# %% [markdown]
# And who can read what?

# %%
holds

# %% [markdown]
# Neither protects all. All hospitals see the mean and the model, which say something about all rows. A
# hospital can send a wrong update. And the server sees who takes part, and when.
#
# ## What you can do now
#
# - You wrote a round by hand: train at home, take the mean by patients, move. TFF's and fedkit's model was the same.
# - You can read a type: `{...}@CLIENTS` is one value at each hospital, `@SERVER` is one at the server.
# - You can explain why federated training is slower for the same rows: its steps run side by side. More work at home
#   saves messages and adds drift. How much of a distance is drift, only a control tells.
# - You can show who gains: on average the small hospitals, with wide intervals. And a better order may come with worse
#   probabilities.
# - You know what travels: 14 numbers a message. From one step on all rows the server reads the exact prevalence. From
#   the several steps that we train with, it gets a guess.
#
# Next: [a server that cannot read](03_federated_learning_with_encryption.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** With batches of 32 rows, the federated and the pooled model differ after three rounds. Now each
# hospital takes *two* steps on *all* its rows in each round (`batch_size=None, epochs=2`), and so does pooled training.
# The largest difference between the two models: is it "zero" up to rounding, "smaller" than before but not zero, or
# "larger"? The check runs it.

# %% tags=["exercise"]
guess = ...  # "zero", "smaller" or "larger"

# %% tags=["solution"]
guess = "smaller"  # the second step starts from another point at each hospital

# %% tags=["plumbing"]
# Is exercise 1 right?
from fedkit import hospitals, learning, models
from fedkit.chapters import course


def difference(**steps):
    trainers = learning.train_centralized, learning.train_federated
    runs = [train(hospitals.load(), rounds=3, seed=7, **steps) for train in trainers]
    pooled, federated = (models.flatten(run.weights["shared"]) for run in runs)
    return abs(pooled - federated).max()


def right(word):
    batches, twice = difference(), difference(batch_size=None, epochs=2)
    found = "zero" if twice < 1e-5 else "smaller" if twice < batches else "larger"
    return word.strip(" .").lower() == found


words, one = ["zero", "smaller", "larger"], "Write one of the words, in quotes."
look = "Where does each hospital's second step start, and where the pooled one?"
is_word = (lambda it: it.strip(" .").lower() in words, one)
course.check("Exercise 1", guess, is_word, (right, look))

# %% [markdown]
# **2. Modify.** The server may take its steps in its own way (Reddi et al. 2021), as `server_optimizer` of
# `train_federated`. So far it adds the mean as it is: a step of size 1. Make one of
# `tff.learning.optimizers.build_sgdm(size, momentum)`; [momentum](glossary.md#momentum), a part of the last move, may be
# left out. With your server, ten rounds should give a lower log loss than *twenty* rounds without it. That is the mean
# of the hospitals over three splits. The text above tells how many steps are missing.

# %% tags=["exercise"]
my_server = ...

# %% tags=["solution"]
my_server = tff.learning.optimizers.build_sgdm(3.0)

# %% tags=["plumbing"]
# Is exercise 2 right?
from fedkit import evaluation, hospitals, learning
from fedkit.chapters import course
from fedkit.compat.tff import tff


def loss_after(rounds, server=None):
    how = {"rounds": rounds, "server_optimizer": server, "seed": range(70, 73)}
    some = learning.train_federated(hospitals.load(), **how)
    losses = evaluation.table(some, ["log_loss"]).query("hospital == 'mean'")["value"]
    print(f"log loss after {rounds} rounds: {losses.mean():.4f}")
    return losses.mean()


kind = tff.learning.optimizers.Optimizer
hint = "Is a step of your server longer than a plain one, and not much too long?"
course.check(
    "Exercise 2",
    my_server,
    (lambda it: isinstance(it, kind), "It has to be what build_sgdm(...) returns."),
    (lambda it: loss_after(10, it) < loss_after(20), hint),
)

# %% [markdown]
# **3. Build.** `FedProx` (Li et al. 2020) works against drift: it pulls each hospital back to where the round began. To
# the gradient of each weight it adds `mu` times (weight now - weight at the start). Complete the class: the plain
# gradient is `super().gradient(...)` with the same six arguments. `weights`, `start` and what you return are lists of
# arrays, kernel and bias. Then compare the distances with those of `epochs=5` above.


# %% tags=["exercise"]
class Prox(learning.Algorithm):
    name = "FedProx"

    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        return ...


# %% tags=["solution"]
class Prox(learning.Algorithm):
    name = "FedProx"

    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        plain = super().gradient(model, weights, start, own, features, labels)
        three = zip(plain, weights, start, strict=True)
        return tuple(slope + self.mu * (now - begun) for slope, now, begun in three)


# %% tags=["solution"]
far = {}
for strength in (0.0, 0.1, 1.0):
    how_prox = {"rounds": 20, "epochs": EPOCHS, "algorithm": Prox(strength)}
    run_prox = learning.train_federated(federation, **how_prox)
    far[f"mu = {strength}"] = run_prox.final("distance")
pd.DataFrame(far).round(2)

# %% tags=["plumbing"]
# Is exercise 3 right?
import numpy as np
from fedkit import learning, models
from fedkit.chapters import course
from fedkit.compat.tff import tf


def slopes(algorithm, now, then):
    case = models.logistic_regression(), now, then, (), tf.ones((20, 3)), tf.zeros(20)
    if algorithm.gradient(*case) is ...:
        return ...
    return models.flatten(tf.function(algorithm.gradient)(*case))  # as in a training


def pulls(kind, mu):
    both = np.random.default_rng().normal(size=(2, 4, 1)).astype("float32")
    points = [tuple(map(tf.constant, (weights[:3], weights[3]))) for weights in both]
    found, plain = (slopes(how, *points) for how in (kind(mu), learning.Algorithm()))
    wanted = plain + mu * np.subtract(*both).ravel()
    return ... if found is ... else np.allclose(found, wanted, atol=1e-4)


none = (lambda kind: pulls(kind, 0.0), "With mu = 0, is it the plain gradient?")
some = (lambda kind: pulls(kind, 0.7), "Which way is back to the start?")
course.check("Exercise 3", Prox, none, some)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. Why does an update count by the number of training patients?**
#
# <details><summary>So that one step at each, on all its rows, is the pooled step</summary>
#
# Right: if each takes one step on all its rows, the mean is exactly the pooled step. With several steps it is close
# to that.
#
# </details>
# <details><summary>So that each hospital has the same say in the shared model</summary>
#
# Not this one: then all updates would count the same. By patients, a large hospital has more say.
#
# </details>
# <details><summary>So that hospitals with better measurements have more say</summary>
#
# Not this one: nobody looks at how good the rows are. A row counts the same wherever it is.
#
# </details>
#
# **2. A value has the type `{float32[14]}@CLIENTS`. What is it?**
#
# <details><summary>14 numbers at the server, for all hospitals</summary>
#
# Not this one: at the server the type would end in `@SERVER`. And there it would have no curly brackets.
#
# </details>
# <details><summary>One number at each of 14 hospitals</summary>
#
# Not this one: the 14 says how many numbers each one has. How many hospitals there are is not in the type.
#
# </details>
# <details><summary>14 numbers at each hospital, its own</summary>
#
# Right: curly brackets mean one value at each hospital. This value is a vector of 14 numbers.
#
# </details>
#
# **3. Both trainings use every row once a round. Why is the federated one behind after as many rounds?**
#
# <details><summary>An update loses digits on its way to the server</summary>
#
# Not this one: in the clear, numbers arrive as they were sent. And more rounds made the gap smaller.
#
# </details>
# <details><summary>Hospitals step side by side, and not one after the other</summary>
#
# Right: the mean of four short paths is no longer than one of them. Pooled training puts all its steps into one long
# path.
#
# </details>
# <details><summary>The server has no rows, so it cannot weigh the updates</summary>
#
# Not this one: it weighs them by patients, and needs no row for that. The hospitals tell their numbers.
#
# </details>
#
# **4. Why do we also train with patients who are shuffled among the hospitals?**
#
# <details><summary>Hospitals become alike, and so the shared model gets better</summary>
#
# Not this one: no real federation could do that, since rows may not leave. The shuffled training is there to compare
# with.
#
# </details>
# <details><summary>Nobody can tell any more which hospital a row comes from</summary>
#
# Not this one: this is not about hiding rows. The shuffled training is there to compare with.
#
# </details>
# <details><summary>We see how far models move apart if hospitals are alike</summary>
#
# Right: this much comes from chance, size and steps. Only what is beyond it comes from patients who differ.
#
# </details>
#
# **5. The rows stay at home, and the server reads each update. What does it learn?**
#
# <details><summary>Nothing about patients, since an update only holds weights</summary>
#
# Not this one: weights move because of rows. After one step on all rows, one number gives the exact share of label 1
# away.
#
# </details>
# <details><summary>Something about the rows, such as how common label 1 is</summary>
#
# Right: after one step on all rows it is exact. After several steps the server gets a guess.
#
# </details>
# <details><summary>Each of the rows, since they can be computed back</summary>
#
# Not this one: a few numbers cannot hold all rows of a hospital. A step on a single patient is another matter
# (notebook 06).
#
# </details>
