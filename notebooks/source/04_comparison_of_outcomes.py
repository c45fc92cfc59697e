# %% [markdown]
# # 04. Is federated learning as good as pooling the rows, and what does it cost?
#
# *About two minutes to run, 60 minutes to read. To read before: [02](02_federated_learning.ipynb),
# [03](03_federated_learning_with_encryption.ipynb).*
#
# Four hospitals stay alone, pool their rows, train together, or train together under encryption: CKKS with one shared
# key, or BFV with keys used once. We put all five methods to the same test: same splits, same seeds, same rounds.
#
# By the end you can ...
#
# 1. read a result with an interval that knows that the splits overlap,
# 2. say "not worse by more than a margin", and say when nobody can say so,
# 3. tell a model that *ranks* patients well from one whose *probabilities* are right,
# 4. count what a method costs in bytes, seconds and memory,
# 5. say who sees what, and how we know.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick look
SEEDS = 20  # random splits of each hospital's patients
ROUNDS = 50  # rounds of every training
MARGIN = 0.02  # AUROC: the largest loss we would accept
GAMES = 50  # how often each attacker guesses in section 4

# %% [markdown]
# ## Before we look
#
# - The main score is **AUROC**: take one patient with the label and one without. How often does the first one get the
#   higher probability? 0.5 is chance, 1 is perfect.
# - The reference is *centralised* training, which sees all rows.
# - The **margin** is the loss that we would accept: 0.02, or 2 more wrong pairs in 100. The luck of the split moves an
#   AUROC by more, as section 2 shows. We also try other margins.

# %%
if PROFILE == "smoke":
    SEEDS, ROUNDS, GAMES = 3, 10, 36
print(f"{SEEDS} splits, {ROUNDS} rounds, margin {MARGIN} of AUROC")

# %% [markdown]
# One call trains all seeds of a method side by side. *Local* is the fair opponent of notebook 01; that of earlier
# versions was too weak at Switzerland and too strong at VA Long Beach.

# %%
from fedkit import aggregators, hospitals, learning, preparation

federation = hospitals.load("heart_disease")
budget = {"rounds": ROUNDS, "seed": range(SEEDS)}
FAIR = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
runs = [
    *learning.train_local(federation, **budget, **FAIR),
    *learning.train_centralized(federation, **budget),
    *learning.train_federated(federation, **budget),
    *learning.train_federated(
        federation, aggregator=aggregators.SharedKeyMean(), **budget
    ),
    *learning.train_federated(
        federation, aggregator=aggregators.EncryptedMean(), **budget
    ),
]
METHODS = list(dict.fromkeys(run.method for run in runs))
print(f"{len(runs)} runs: {SEEDS} splits of {', '.join(METHODS)}")

# %% [markdown]
# ## 1. Predictive accuracy
#
# Scores are measured on **held-out** patients: three of ten at each hospital, whom no model was trained on. The
# "mean" counts each hospital once, whatever its size.
#
# ### An interval for overlapping splits
#
# All splits draw from the *same* patients, so they overlap and their results resemble each other; the usual interval
# takes them for independent and comes out too narrow. Nadeau and Bengio (2003) add "test rows / training rows" under
# the root, a term that does not shrink when you add splits.
#
# By hand, for one hospital:

# %%
import numpy as np
from scipy import stats

from fedkit import evaluation

scores = evaluation.table(
    runs, ["auroc", "auprc", "brier", "calibration_intercept", "calibration_slope"]
)
one = scores.query(
    "method == 'federated' and hospital == 'Switzerland' and metric == 'auroc'"
)["value"]
J, quantile = len(one), stats.t.ppf(0.975, len(one) - 1)
swiss = preparation.split(federation, 0).hospitals["Switzerland"]
test_to_train = len(swiss.test_labels) / len(
    swiss.train_labels
)  # near 3/7, since three of ten are held out
usual = quantile * np.sqrt(1 / J * one.var())
corrected = quantile * np.sqrt((1 / J + test_to_train) * one.var())
by_fedkit = evaluation.interval(one, test_to_train)
assert np.allclose([one.mean() - corrected, one.mean() + corrected], by_fedkit[1:])
print(
    f"AUROC {one.mean():.3f}; usual: ± {usual:.3f}; for overlapping splits: ± {corrected:.3f}"
)

# %%
from fedkit import records

records.glue("interval_widening", corrected / usual)

# %% [markdown]
# The honest interval is wider by this factor. All intervals below are of this kind. They speak of *these* patients
# only: a fifth hospital could be different.
#
# ### AUROC, a hospital at a time

# %%
from fedkit import plots
from fedkit.chapters import figures

summary = evaluation.summary(scores)
forest = figures.auroc_forest(summary)
plots.save(
    forest, "auroc_forest", summary.sort_values("metric", kind="stable").round(4)
)
forest

# %% [markdown]
# *In the picture: for each hospital five points, one a method, each with its 95% interval as a horizontal line and
# the numbers at the right. The mean of the hospitals comes last.*
#
# The three federated methods have the same points and lines. At the large hospitals, Cleveland
# and Hungary, all methods are close. And Switzerland's lines are long: the next cell says why.

# %%
labels = federation["Switzerland"].labels
held_out = preparation.split(federation, 0).hospitals["Switzerland"].test_labels
print(
    f"Switzerland: {(labels == 0).sum()} of {len(labels)} patients without disease, {(held_out == 0).sum()} held out"
)

apart = summary.query("metric == 'auroc'").groupby("hospital")["mean"].agg(np.ptp)
assert apart[["Cleveland", "Hungary"]].max() < apart["Switzerland"] / 3, (
    "Methods should differ little at large hospitals."
)

ENCRYPTED = ["federated + CKKS", "federated + BFV"]
in_rounds = evaluation.stack(runs).query("metric == 'auroc'")
auroc = in_rounds.pivot_table(
    index=["seed", "round", "hospital"], columns="method", values="value"
)
changes = auroc[ENCRYPTED].sub(auroc["federated"], axis=0).abs()
print(
    f"AUROC changed by encryption: {(changes > 0).to_numpy().sum()} of {changes.size} values"
)

# %% [markdown]
# An AUROC only sees the *order* of patients. The probabilities are a stricter test: here encryption leaves a trace, in
# the last digits of a float32.

# %%
final = evaluation.stack(runs, "predictions")
probability = {
    method: rows["probability"].to_numpy() for method, rows in final.groupby("method")
}
gap = {
    method: np.abs(probability[method] - probability["federated"]).max()
    for method in ENCRYPTED
}
assert max(gap.values()) < 1e-5, (
    "Encrypted training should give the probabilities of plain federated training."
)
records.glue("largest_gap_of_encryption", max(gap.values()))

# %% [markdown]
# Encryption costs no accuracy. So most tables below show three methods only.
#
# ### Paired differences
#
# A split that is hard for one method is hard for all. So we subtract *within* each split, and take the mean afterwards:
# the intervals shrink.

# %%
differences = evaluation.paired_differences(scores, "centralized")
paired = figures.paired_differences(differences, "centralized", MARGIN)
plots.save(
    paired, "paired_differences", differences.sort_values("metric", kind="stable")
)
paired

# %% [markdown]
# *In the picture: each method minus centralised, with 95% intervals. A grey line marks zero, a dashed red line the
# margin. The verdict stands at the right.*
#
# A method is **non-inferior** if its whole interval lies right of the margin: a larger loss is then unlikely. It is
# *inferior* if the whole interval lies left of it. Otherwise the result is **inconclusive**. That does not mean
# "equal". It means that these patients cannot settle the question.

# %%
verdicts = evaluation.non_inferiority(scores, "federated", "centralized", MARGIN)
right, left = verdicts["low"] > -MARGIN, verdicts["high"] < -MARGIN
assert (
    verdicts["verdict"]
    == np.select([right, left], ["non-inferior", "inferior"], "inconclusive")
).all()
verdicts.round(3)

# %% [markdown]
# Is federated "comparable to centralised"? The verdicts answer, a hospital at a time:

# %%
assert verdicts.set_index("hospital").loc["Switzerland", "verdict"] == "inconclusive"
for row in verdicts.itertuples():
    if row.verdict == "non-inferior":
        print(f"{row.hospital}: yes. A loss of more than {MARGIN} is unlikely.")
    else:
        print(
            f"{row.hospital}: NO, {row.verdict}. The loss may be as large as {-row.low:.3f}; margin {MARGIN}."
        )

# %% [markdown]
# Would another margin change the answer?

# %%
import pandas as pd

margins = (0.01, MARGIN, 0.03, 0.05, 0.1)
answers = {
    m: evaluation.non_inferiority(scores, "federated", "centralized", m)
    for m in margins
}
pd.DataFrame(
    {margin: rows.set_index("hospital")["verdict"] for margin, rows in answers.items()}
).T

# %% [markdown]
# ### Is the lonely hospital treated fairly?
#
# A hospital alone has few rows. So we cheat in its favour: for each split, it gets the round that was best *on the
# held-out patients*. What is left of the gain?

# %%
last_round = auroc.xs(ROUNDS, level="round")
best_round = auroc["local"].groupby(["seed", "hospital"]).max()
gains = pd.DataFrame(
    {"federated - alone": last_round["federated"] - last_round["local"]}
)
gains["federated - alone at its best round"] = last_round["federated"] - best_round
on_average = (
    gains.groupby("seed")
    .mean()
    .assign(hospital="mean")
    .set_index("hospital", append=True)
)
rows = pd.concat([gains, on_average]).groupby("hospital")
rows.agg(lambda gain: "{:+.3f} [{:+.3f}, {:+.3f}]".format(*evaluation.interval(gain))).T

# %%
mean_gain = gains.groupby("hospital").mean()
small, large = (
    mean_gain.loc[["Switzerland", "VA Long Beach"]],
    mean_gain.loc[["Cleveland", "Hungary"]],
)
assert (small.min() > large.max()).all(), (
    "The small hospitals should gain more, even against the cheat."
)
assert (small > 0).all(axis=None)
records.glue(
    "auroc_gain_switzerland", mean_gain.loc["Switzerland", "federated - alone"]
)

# %% [markdown]
# The two small hospitals gain in both rows. But where an interval holds zero, the gain may be luck. And where the
# second row is near zero, a lone hospital that knew when to stop would need nobody.
#
# ### AUPRC and Brier score
#
# **AUPRC** asks: of the patients with the highest probabilities, how many have the label? A guess reaches the
# **prevalence**, the share of patients with the label. So compare down a column, not along a row. The **Brier score**
# is the mean squared distance of probability and label: lower is better.


# %%
def shown(*metrics):
    """Mean [95% interval] of the three methods, a block a metric."""
    text = [
        f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
        for row in summary.itertuples()
    ]
    table = summary.assign(text=text).pivot_table(
        "text", ["metric", "method"], "hospital", aggfunc="first"
    )
    return table.reindex(
        [(metric, method) for metric in metrics for method in METHODS[:3]]
    )


shown("auprc", "brier")

# %% [markdown]
# At Switzerland the order of the Brier scores turns around: *alone* is best. The next cell compares on the same splits,
# and says "better" or "worse" only where the interval keeps away from zero.

# %%
brier = scores.query("metric == 'brier'")
for reference in ("local", "centralized"):
    for row in (
        evaluation.paired_differences(brier, reference)
        .query("method == 'federated'")
        .itertuples()
    ):
        word = "WORSE" if row.low > 0 else "better" if row.high < 0 else "unclear"
        interval = f"{row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        print(f"federated - {reference:12} {row.hospital:14} {interval}  {word}")

# %%
at_switzerland = (
    brier.query("hospital == 'Switzerland'").groupby("method")["value"].mean()
)
loss = at_switzerland["federated"] - at_switzerland["local"]
assert at_switzerland.idxmin() == "local", (
    "Alone should have the best Brier score at Switzerland."
)
records.glue("brier_loss_switzerland", loss)

# %% [markdown]
# ### Calibration: are the probabilities right?
#
# A model is **calibrated** if, of patients with "30%", about 30 in 100 have the label. The **intercept** is 0 at best;
# above 0, probabilities are too low. The **slope** is 1 at best; below 1, they are too extreme.

# %%
curve = evaluation.calibration_curve(final)
calibration = figures.calibration(curve)
plots.save(calibration, "calibration", curve)
calibration

# %% [markdown]
# *In the picture: a panel a hospital; predicted probability to the right, observed share upwards; the dotted diagonal
# is perfect. Each point stands for one fifth of the held-out patients.*
#
# Look at Switzerland: the shared models lie *above* the diagonal, so their probabilities are too low. Nearly all
# patients there have the label, and a shared model has one intercept for all hospitals.

# %%
shown("calibration_intercept", "calibration_slope")

# %%
intercept = (
    scores.query("metric == 'calibration_intercept'")
    .groupby(["method", "hospital"])["value"]
    .mean()
)
assert (
    intercept["federated", "Switzerland"] > 1 > abs(intercept["local", "Switzerland"])
), "Too low, we said."
print(f"intercept, Switzerland: {intercept['local', 'Switzerland']:.2f} alone, "
      f"{intercept['federated', 'Switzerland']:.2f} federated")  # fmt: skip

# %% [markdown]
# So a shared model can rank patients better, and still give worse probabilities. Exercise 3 repairs this.
#
# ## 2. Robustness
#
# How much depends on who happens to be held out?

# %%
points = scores[scores["metric"] == "auroc"]
spread = figures.spread(points)
plots.save(spread, "spread", points)
spread

# %% [markdown]
# *In the picture: AUROC upwards; a group of five columns a hospital, one a method; one mark a split; a box over the
# middle half of the marks.*
#
# The table gives the standard deviation over splits; **gap** is
# the best hospital's mean minus the worst one's.

# %%
names = list(federation.names)
deviation = points.pivot_table(
    index="method", columns="hospital", values="value", aggfunc="std"
).loc[METHODS, names]
means = points.pivot_table(index="method", columns="hospital", values="value").loc[
    METHODS, names
]
assert deviation.loc["federated"].mean() > MARGIN, (
    "The luck of the split should move an AUROC by more than the margin."
)
deviation.assign(gap=means.max(axis=1) - means.min(axis=1)).round(3)

# %% [markdown]
# ### Local and global models
#
# In a round, every hospital moves the shared model in its own direction. The **distance** between its model and the
# new shared one says how much hospitals disagree. It should fall, and settle above zero.

# %%
moves = evaluation.stack(runs).query("metric == 'distance'")
distance = moves.pivot_table(
    index="round", columns=["method", "hospital"], values="value"
)
plain = distance["federated"][names]
assert (
    max(
        (distance[method][names] - plain).abs().to_numpy().max() for method in ENCRYPTED
    )
    < 1e-5
)
assert plain.loc[ROUNDS].between(0.01, plain.loc[1]).all(), (
    "It should fall, and stay above zero."
)
plain.loc[[round for round in (1, 2, 5, 10, 20, 50) if round <= ROUNDS]].round(3)

# %% [markdown]
# Along a row, the larger number belongs to the hospital that pulls harder. Encryption changes none of it.
#
# ### Accuracy by encrypted round
#
# If noise added up over encrypted rounds, the lines of CKKS and BFV would leave the plain one.

# %%
federated_rounds = in_rounds[in_rounds["method"].str.startswith("federated")]
encrypted_rounds = figures.convergence(federated_rounds)
drawn = (
    federated_rounds.groupby(["method", "hospital", "round"], sort=False)["value"]
    .mean()
    .reset_index()
)
plots.save(encrypted_rounds, "encrypted_rounds", drawn)
encrypted_rounds

# %% [markdown]
# *In the picture: AUROC over the rounds, a panel a hospital and one for the mean. In each, the lines of plain, CKKS and
# BFV lie on each other and look like one line of three colours.*

# %%
by_round = auroc.groupby(["round", "hospital"])[["federated", *ENCRYPTED]].mean()
drift = by_round[ENCRYPTED].sub(by_round["federated"], axis=0).abs().max()
assert (drift < 1e-3).all(), (
    "Encrypted AUROC should follow the plain one in every round."
)
print(
    f"{len(by_round)} means of AUROC; largest difference from plain: {drift.to_dict()}"
)

# %% [markdown]
# ## 3. What it costs
#
# Every run keeps a **ledger** of bytes and seconds. First the bytes, a hospital and run, in thousands (kB). *Up* is to
# the server, *down* the way back; *keys* travel once. "Local" is missing: it sends nothing.

# %%
ledger = evaluation.stack(runs, "ledger")
sent = ledger[ledger["bytes"] > 0].assign(kB=lambda rows: rows["bytes"] / 1e3 / SEEDS)
sent["way"] = np.where(sent["phase"] == "keys", "keys", sent["direction"])
traffic = sent.pivot_table(
    index=["method", "hospital"],
    columns="way",
    values="kB",
    aggfunc="sum",
    fill_value=0,
)
traffic[["up", "down", "keys"]].reindex(METHODS[1:], level="method").round(1)

# %% [markdown]
# Centralised sends the training rows, once. An update of this model is tiny: 14 numbers. A CKKS **ciphertext**, an
# encrypted message, has room for two thousand, and travels whole. BFV sends only the places that it uses. What counts
# there are the key shares, signatures and heads: they are the same for any small model.


# %%
assert "local" not in set(sent["method"])
kilobytes = traffic.sum(axis=1).groupby("method").mean()
ratio = kilobytes["federated + BFV"] / kilobytes["federated"]
assert 10 < ratio < 80, (
    "Encryption should cost many times the bytes for so small a model."
)
print(f"federated + BFV sends {ratio:,.0f} times the bytes of federated")

# %%
records.glue("kb_up_a_round_bfv", traffic.loc["federated + BFV", "up"].mean() / ROUNDS)

# %% [markdown]
# Now the seconds, by what they were spent on.

# %%
costs = evaluation.costs(runs)
price = figures.cost_by_method_and_phase(costs)
plots.save(price, "cost_by_method_and_phase", costs, measured=True)
price

# %% [markdown]
# *In the picture: left the bytes, right the seconds of one training, all hospitals together, one mark a method for each
# thing they were spent on. Logarithmic scales.*
#
# Read the seconds with care. One machine played all hospitals, without a network, and splits trained side by side,
# which makes "train" cheaper. "Apply" adds the mean to the model: at the server, or, encrypted, at every hospital.

# %%
seconds = costs.pivot_table(
    index="method", columns="phase", values="seconds", aggfunc="sum"
).loc[METHODS]
encryption_only = seconds[["keys", "encrypt", "share", "add", "decrypt"]].sum(axis=1)
pd.DataFrame(
    {"all seconds": seconds.sum(axis=1), "of these encryption": encryption_only}
).round(3)

# %% [markdown]
# ### Memory
#
# How many bytes does the server receive in a round? It adds letters as they come, so it need not hold them all.

# %%
ways_up = ledger.query("direction == 'up' and phase in ('send', 'share')")
up = ways_up.groupby(["method", "seed", "round"])["bytes"].sum()
held = up.groupby("method").max().reindex(METHODS, fill_value=0)
held.rename("bytes of one round").to_frame()

# %% [markdown]
# For "centralized" this is the data set. In BFV's largest round, hospitals also agree on how large an update may be.
#
# And the **peak**, the most memory that a process ever held? It needs a fresh process a method. TFF's
# worker, a second process, is not counted.

# %%
SCRIPT = r"""
import re, sys
from fedkit import aggregators, hospitals, learning
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
federation, method, before = hospitals.load(), sys.argv[1], peak()
if method in ("local", "centralized"):
    getattr(learning, f"train_{method}")(federation, rounds=5)
else:
    named = {"": aggregators.Mean, "CKKS": aggregators.SharedKeyMean, "BFV": aggregators.EncryptedMean}
    mean = named[method.partition(" + ")[2]]()
    learning.train_federated(federation, rounds=5, aggregator=mean)
print(before, peak())
"""

# %% [markdown]
# Only the full profile starts these processes.

# %%
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def memory_of(method):
    """MiB when all programs are loaded, and at the peak."""
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT, method],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(number) for number in child.stdout.split()]


with ThreadPoolExecutor(2) as pool:
    measured = dict(
        zip(
            METHODS,
            pool.map(memory_of, METHODS if PROFILE == "full" else []),
            strict=False,
        )
    )
memory = pd.DataFrame.from_dict(
    measured, orient="index", columns=["programs loaded", "peak"]
)
memory["training"] = memory["peak"] - memory["programs loaded"]
memory.round(1).add_suffix(
    " (MiB)"
) if measured else "Memory was not measured: this is the smoke profile."

# %% [markdown]
# "Programs" is before any training. "Training" is what a method adds; compare its rows to see what encryption needs.
#
# ## 4. Privacy: who sees what?
#
# Is it encrypted at all? [Notebook 03](03_federated_learning_with_encryption.ipynb) built a **game**: an attacker picks
# two updates, a coin decides which one hospitals A and B send, and from all that travels it guesses the coin. A method
# that hides updates keeps every attacker near half.

# %%
from fedkit.chapters.attacks import distinguishing

MEANS = {
    "federated + CKKS": aggregators.SharedKeyMean,
    "federated + BFV": aggregators.EncryptedMean,
}
played = {
    (method, who): distinguishing.game(
        distinguishing.scene(mean, who == "with one hospital"), GAMES
    )
    for method, mean in MEANS.items()
    for who in ("server alone", "with one hospital")
}
found = pd.concat(played, names=["method", "who attacks"])
found[["right", "games", "luck", "found"]]

# %% [markdown]
# A game in which nobody ever wins proves nothing. So we also let the updates travel as they are: there the attacker who
# *practises*, and compares bits, *must* win.


# %%
def in_the_clear(coin):
    return np.full(14, 0.5 if coin else -0.5, "<f4").tobytes()


wins = distinguishing.game(in_the_clear, GAMES).loc["practises", "right"]
told = (found["found"] == "the coin").groupby(["method", "who attacks"]).any()
readable = {"federated": bool(wins == GAMES)} | told.xs(
    "server alone", level="who attacks"
).to_dict()
readable_by_two = told.xs("with one hospital", level="who attacks").to_dict()
assert readable == {
    "federated": True,
    "federated + CKKS": False,
    "federated + BFV": False,
}
assert readable_by_two == {"federated + CKKS": True, "federated + BFV": False}
readable, readable_by_two

# %% [markdown]
# The server alone reads no encrypted update. With *one* hospital's help it reads everything under CKKS, because there
# all hospitals hold the same key. Under BFV it does not: each letter has a key of its own, used once.
#
# The number of patients is hidden, too. Only the head of a message is in the clear. It starts after 70 bytes of
# signature and lengths, and it is text:

# %%
import json

caught = []
tapped = aggregators.EncryptedMean(
    network=lambda sender, message: caught.append(message) or message
)
learning.train_federated(federation, rounds=1, seed=0, aggregator=tapped)
patients = {
    name: len(rows.train_labels)
    for name, rows in preparation.split(federation, 0).hospitals.items()
}
for message in caught[-10::4]:  # of the last sum: a letter, the list, a share
    head = message[70:].partition(b"}")[0].decode()
    about = {
        key: value for key, value in json.loads(head + "}").items() if key != "study"
    }
    assert not any(str(count) in str(about) for count in patients.values()), (
        "No number of patients should be in it."
    )
    print(f"{len(message):6,} bytes, {about}")

# %% [markdown]
# So the server learns who speaks, what for, in which round, and how many numbers there are.
#
# ### What is *not* protected
#
# The mean tells something. A hospital can subtract its own part. Of four hospitals this leaves the mean of the other
# three. If *all but one* work together, nothing is left to hide, encrypted or not. Three hospitals; two of them:

# %%
from fedkit import models
from fedkit.chapters.attacks import inversion

three = federation.without("Cleveland")
alone = {
    name: models.flatten(w)
    for name, w in learning.train_local(three, rounds=1, seed=0).weights.items()
}
together = learning.train_federated(
    three, rounds=1, seed=0, aggregator=aggregators.EncryptedMean()
).weights["shared"]
count = {name: patients[name] for name in three.names}
two = {name: alone[name] for name in ("Hungary", "VA Long Beach")}
guess = inversion.subtract(models.flatten(together), count, two)
assert np.allclose(guess, alone["Switzerland"], atol=1e-5)
print(
    "Hungary and VA Long Beach work out Switzerland's update from an encrypted training of three."
)

# %% [markdown]
# That is why fedkit encrypts for three hospitals at least: of two, each would read the other.

# %%
try:
    learning.train_federated(
        three.without("Hungary"), rounds=1, aggregator=aggregators.EncryptedMean()
    )
except ValueError as refused:
    print(refused)
else:
    raise RuntimeError("Two hospitals should not be encrypted for.")

# %% [markdown]
# Centralised should send exactly all training rows: 13 features and a label, of 4 bytes each.

# %%
sent_up = ledger.query("direction == 'up' and phase == 'send' and seed == 0").groupby(
    "method"
)["bytes"]
rows_leave = {
    method: total == 4 * 14 * sum(patients.values())
    for method, total in sent_up.sum().items()
}
assert rows_leave == {
    method: method == "centralized" for method in METHODS if method != "local"
}
plain = ledger.query("method == 'federated' and direction == 'up' and round > 0")[
    "bytes"
]
assert plain.max() == 4 * 14, "A plain update should be 14 numbers and nothing else."
rows_leave

# %% [markdown]
# All in one table. "Tested": a cell above would have failed otherwise.

# %%
yes = {True: "yes", False: "no"}
encrypted_read = [yes[readable[method]] for method in METHODS[2:]]
rows_go = ["no", *(yes[rows_leave[method]] for method in METHODS[1:])]
who_sees_what = {
    "patient rows leave the hospital": [*rows_go, "tested"],
    "server reads a hospital's update": ["no", "has rows", *encrypted_read, "tested"],
    "server reads numbers of patients": [
        "no",
        "yes",
        "yes",
        "no",
        "no",
        "head: tested",
    ],
    "server and one hospital read it": [
        "no",
        "yes",
        "yes",
        *(yes[readable_by_two[m]] for m in MEANS),
        "tested",
    ],
    "server sees the model": ["no", "yes", "yes", "no", "no", "by design"],
    "hospitals see the total of patients": [
        "no",
        "no",
        "no",
        "yes",
        "yes",
        "by design",
    ],
    "mean tells about the others": ["-", "-", "yes", "yes", "yes", "tested"],
    "server reads sums for preparation": ["no", "yes", "yes", "no", "no", "by design"],
}
pd.DataFrame.from_dict(who_sees_what, orient="index", columns=[*METHODS, "how we know"])

# %% [markdown]
# The last row is easily forgotten: without encryption, rows were prepared with sums that travelled in the clear
# (notebook 01).
#
# ### Do attacks succeed?
#
# Three attacks of [notebook 06](06_gradient_leakage.ipynb), in the attacker's best case. It knows the format: of BFV it
# reads packed integers as if nothing hid them. From a first step the server
# reads a *row* (of one patient), and the *share of label 1* (of all patients; a hit is off by 0.05 at most). From the
# finished model somebody reads who was a *member* (LiRA, other splits as shadows; AUROC). Alone, nothing is sent;
# pooled, the server has the rows.

# %%
from fedkit.chapters.attacks.panel import panel

attack_table = panel(runs, federation)
privacy = figures.privacy_panel(attack_table)
plots.save(privacy, "privacy_panel", attack_table, measured=True)
privacy

# %% [markdown]
# *In the picture: a panel an attack, a row a method; dashed lines are chance. Plain federated stands at 1 in the first
# two panels, CKKS and BFV near chance. In the third, all are close to 0.5.*

# %%
rate = attack_table.set_index(["attack", "method"])["mean"]
for attack in ("a row is read", "share of label 1"):
    assert rate[attack, "federated"] == 1, (
        "From plain updates of one step, both should be read."
    )
    assert rate[attack][ENCRYPTED].max() < 0.5, "From ciphertexts they should not."
assert rate["member or not"].max() - rate["member or not"].min() < 0.15, (
    "Encryption has no part in this."
)
assert (
    abs(rate["member or not"][ENCRYPTED] - rate["member or not", "federated"]).max()
    < 1e-3
)
records.glue("attack_share_of_label_BFV", rate["share of label 1", "federated + BFV"])

# %% [markdown]
# ## The report card
#
# One row a method, one column a yardstick, every value computed above.

# %%
average = scores.groupby(["method", "hospital", "metric"])["value"].mean()
judged = {
    m: evaluation.non_inferiority(scores, m, "centralized", MARGIN).iloc[:-1]
    for m in METHODS
    if m != METHODS[1]
}
card = pd.DataFrame(
    {
        "AUROC, mean": average[:, "mean", "auroc"],
        "AUROC, worst hospital": means.min(axis=1),
        "Brier, mean": average[:, "mean", "brier"],
        "|intercept|, worst hospital": intercept.abs().groupby("method").max(),
        "hospitals non-inferior": {
            m: (rows["verdict"] == "non-inferior").sum() for m, rows in judged.items()
        },
        "kB a hospital": kilobytes.reindex(METHODS, fill_value=0),
        "seconds": seconds.sum(axis=1),
        "kB to the server, a round": held / 1e3,
    }
).loc[METHODS]
card.round(3)

# %% [markdown]
# Where does *our* method, federated with BFV, lose?

# %%
ours, more_is_better = (
    "federated + BFV",
    ("AUROC, mean", "AUROC, worst hospital", "hospitals non-inferior"),
)
for yardstick, column in card.items():
    best = column.max() if yardstick in more_is_better else column.min()
    who = [method for method in METHODS if np.isclose(column[method], best, atol=5e-4)]
    word = "best or equal" if ours in who else "LOSES"
    print(
        f"{word:13} {yardstick:27} {column[ours]:10,.3f}; best {best:9,.3f} ({', '.join(who)})"
    )

# %% [markdown]
# Some of these losses are smaller than the luck of the split. Others are clear: encryption costs bytes and seconds and
# buys no accuracy. It buys what the attacks showed: it hides each update from the server.
#
# You trained with others, through a folder? [Notebook 08](08_one_folder_many_hospitals.ipynb) puts your study beside
# these methods.

# %%
assert card.loc["federated", "AUROC, mean"] > card.loc["local", "AUROC, mean"], (
    "Together should beat alone on average."
)
records.glue("auroc_federated_mean", card.loc["federated", "AUROC, mean"])

# %% [markdown]
# ## What you can do now
#
# 1. **Read an interval.** More splits of the same patients bring no new patients, so an honest interval stays wide.
# 2. **Say "non-inferior"** only if the whole interval lies on the right side of a margin chosen before. Elsewhere, say
#    "inconclusive", as at Switzerland.
# 3. **Tell ranking from probabilities.** AUROC can rise while the Brier score gets worse.
# 4. **Count the cost.** For a small model, the ciphertext is far larger than the update.
# 5. **Say who sees what.** The server reads plain updates and no encrypted ones. With one shared key, one hospital can
#    betray all; with keys used once, all but one must. The mean still tells something.
#
# ## Exercises
#
# **1. Predict.** With four times as many splits, the usual interval is half as wide. And the corrected one? Write down
# your guess, then compare `sqrt(1/J + test_to_train)` for J = 20 and J = 80.

# %% tags=["exercise"]
my_guess = None  # a factor: 0.5 would mean "half as wide"
print("my guess:", my_guess)

# %% tags=["solution"]
factor = np.sqrt(1 / 80 + test_to_train) / np.sqrt(1 / 20 + test_to_train)
assert factor > 0.9, (
    "The corrected interval should hardly shrink: only new patients help."
)
print(f"corrected: {factor:.2f} times as wide; usual: {np.sqrt(20 / 80):.2f} times")

# %% [markdown]
# **2. Modify.** Share, signatures and heads cost the same for 14 numbers as for hundreds. Train one round of a larger
# model, `models.mlp((64,))`, plain and with BFV. How many times the bytes does encryption cost now?

# %% tags=["exercise"]
small = models.logistic_regression()  # change this
one_round = learning.train_federated(federation, rounds=1, model=small)
one_round.ledger.query("direction == 'up' and phase == 'send'")

# %% tags=["solution"]
larger = {"rounds": 1, "model": models.mlp((64,))}
large = [
    learning.train_federated(federation, **larger),
    learning.train_federated(
        federation, aggregator=aggregators.EncryptedMean(), **larger
    ),
]
size = [
    run.ledger.query("direction == 'up' and round == 1")["bytes"].sum() for run in large
]
assert size[1] / size[0] < ratio / 3, (
    "In a larger message, share, signatures and heads should hardly count."
)
print(f"{size[1]:,} bytes against {size[0]:,}: {size[1] / size[0]:.1f} times")

# %% [markdown]
# **3. Build.** Repair Switzerland's probabilities. The hospital keeps the shared model and adds one number of its own
# to the log-odds, so that the mean probability of its *training* patients is their share of labels. Write
# `shift(labels, probabilities)`, which returns that number. What happens to the Brier score of the held-out patients,
# and to the AUROC?

# %% tags=["exercise"]
swiss = preparation.split(federation, 0).hospitals["Switzerland"]
shared = next(run for run in runs if run.method == "federated").weights["shared"]
predict = models.logistic_regression().predict
known, new = (
    predict(shared, rows).astype(float)
    for rows in (swiss.train_features, swiss.test_features)
)


def shift(labels, probabilities):
    return 0.0  # your work


print(
    "shift:",
    shift(swiss.train_labels, known),
    "Brier score:",
    np.mean((new - swiss.test_labels) ** 2).round(3),
)

# %% tags=["solution"]
from scipy.special import expit, logit


def solved_shift(labels, probabilities):
    a = 0.0
    for _ in range(50):  # Newton's method
        p = expit(logit(probabilities) + a)
        a += (labels - p).mean() / (p * (1 - p)).mean()
    return a


mended = expit(logit(new) + solved_shift(swiss.train_labels, known))
before, after = (
    evaluation.scores(swiss.test_labels, p, ["brier", "auroc"]) for p in (new, mended)
)
assert after["brier"] < before["brier"], "The Brier score should get better."
assert after["auroc"] == before["auroc"], (
    "The order of patients does not change, so the AUROC does not either."
)
print(f"before: {before}\nafter:  {after}")
