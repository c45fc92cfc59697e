# %% [markdown]
# # 11. What does the sum still tell, and what does it cost to hide it?
#
# *One minute to run, 35 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb), [06](06_gradient_leakage.ipynb).*
#
# By the end you can:
#
# - read a patient from two encrypted sums, and hide the patient with noise on one of them;
# - say what epsilon promises, about whom, and what it does not cover;
# - share the noise out among hospitals, also where some collude;
# - name the price, by whom it hides, where the noise is added, and how many take part;
# - attack and audit a private training, and check what others claim.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
EPSILON = 1.0  # what is promised: small is private; the tables hold 0.25, 0.5, 1 ... 8
ROUNDS = 20  # of training
SPLIT = 0  # the split that is played here; the table holds 0 to 19
CANARIES = 100_000  # made-up patients for the audit

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"EPSILON": 1.0, "ROUNDS": 20, "SPLIT": 0, "CANARIES": 100_000},
    {"CANARIES": 20_000},
)

# %% [markdown]
# ## Two sums, one patient
#
# Nobody reads a hospital's [letter](glossary.md#letter). But all hospitals read the *sum*, and it is exact. On Monday
# they add up their gradients. On Tuesday Cleveland has one patient more, and they do it again, with the same model.
# What does the sum tell about this patient?
#
# Our model is logistic regression, before its first round. It says 0.5 for everybody. So the
# [gradient](glossary.md#gradient) of a patient is short to write: 0.5 minus the label, times the row with a 1 behind it.
# We cut it to a length of 1. This is [clipping](glossary.md#clipping). Then we count it in whole **steps**, 4,096 to a
# length of 1.

# %% tags=["slide"]
import numpy as np

STEPS = 4096
LEAST = 4  # hospitals in a sum that is opened: here all must be heard


def steps_by_hand(x, y):
    gradient = (0.5 - y) * np.append(x, 1)
    gradient /= max(1, np.linalg.norm(gradient))
    return np.rint(STEPS * gradient)


# %% [markdown]
# How are rows prepared? So far hospitals added up their true means and spreads. These sums tell something, too. Here we
# take round numbers from a textbook instead: two made-up patients, one below the middle and one above.

# %%
from fedkit.studies import budgets

made_up = budgets.made_up()
made_up

# %%
from fedkit import hospitals

federation = hospitals.load("heart_disease")
parts = budgets.split(4, SPLIT)
monday = {
    name: sum(map(steps_by_hand, rows.train_features[1:], rows.train_labels[1:]))
    for name, rows in parts.items()
}
cleveland = parts["Cleveland"]
x, y = cleveland.train_features[0], cleveland.train_labels[0]
tuesday = monday | {"Cleveland": monday["Cleveland"] + steps_by_hand(x, y)}

# %% tags=["plumbing"]
# fedkit's clipped patients are ours; add_up: an encrypted sum of whole numbers
from fedkit import aggregators, learning, models, records
from fedkit.chapters import privacy

zeros = models.Model().initial_weights(len(x), 0)
plan = {"steps": 1, "batch_size": None, "learning_rate": 1.0}
plan = learning.Plan(**plan, algorithm=privacy.ClippedPatients())
order = np.arange(len(cleveland.train_labels), dtype=np.int32)[None]
rows = cleveland.train_features, cleveland.train_labels
(done,) = learning.local_updates(plan, [learning.Task(zeros, [], *rows, order)])
assert privacy.STEPS == STEPS, "fedkit's steps are ours."
gap = np.abs(done.sent + tuesday["Cleveland"]).max()
assert gap <= 2, "fedkit sends our sum, with the sign of an update."


def add_up(vectors):
    ledger, mean = records.Ledger(), aggregators.EncryptedMean(least=LEAST)
    state = mean.start([*vectors], {"all": (len(x) + 1,)}, ledger)
    whole = {name: np.int64(vector) for name, vector in vectors.items()}
    return mean.total(state, "noised", whole, ledger)


# %% tags=["slide"]
before, after = add_up(monday), add_up(tuesday)
stolen = after - before
assert np.array_equal(stolen, steps_by_hand(x, y)), "Encrypted sums are exact."
row = stolen[:-1] / stolen[-1]
print(f"label {int(stolen[-1] < 0)}, largest error {np.abs(row - x).max():.4f}")

# %% [markdown]
# That is the patient, as in notebook 06: one division gives the row. The label is in a sign. No key was broken. Encryption
# hides the letters, and the *answer* tells.
#
# ## Noise on one sum
#
# We want a promise against all attacks, also those that nobody has found. **Differential privacy** (Dwork et al., 2006)
# promises this. Take what is seen with a patient, and what is seen without. Each possible answer is *nearly as
# probable* in both cases:
#
# - [epsilon](glossary.md#epsilon): up to a factor of e to the epsilon, both ways. With 1 it is 2.7; with 8 it is nearly 3,000;
# - [delta](glossary.md#delta): but for a very small probability. Ours is 1 in 100,000.
#
# So the answer must be random. How much noise is enough? It depends on what one patient can change: a length of
# 1, since we clip. That is 4,096 steps. Rounding can make it a little longer. The
# [accountant](glossary.md#accountant) says how many times as large a noise is surely enough. We do not compute that by
# hand: it is easy to get wrong. Google's `dp_accounting` does.

# %%
longest = STEPS + np.sqrt(len(x) + 1) / 2
times = privacy.multiplier(EPSILON, delta=1e-5, rounds=1)
variance = int(np.ceil((times * longest) ** 2))
print(f"noise of {times:.2f} times the patient: {variance**0.5:,.0f} steps")

# %% [markdown]
# The noise is made of whole numbers. A computer's other numbers have gaps, and attackers have read secrets from these gaps
# (Mironov, 2012). So fedkit draws from a [discrete Gaussian](glossary.md#discrete-gaussian), and uses whole numbers only
# (Canonne et al., 2020).

# %%
import random

source = random.Random(SPLIT)  # a lesson comes out the same; in earnest: SystemRandom()
noise = [privacy.discrete_gaussian(variance, len(x) + 1, source) for _ in range(2)]
guess = (after + noise[1]) - (before + noise[0])
right = np.corrcoef(guess, stolen)[0, 1]
print(f"what is read now agrees with the patient by {right:.2f} (1: it is the patient)")

# %% [markdown]
# What if the attacker knows the patient, and only asks: did they take part? Then all that counts is how far the
# answer goes in the patient's direction. It lies around 0 without the patient, and around 1 with.

# %% tags=["plumbing"]
# A picture: what may be read, for two promises
import pandas as pd
from scipy import stats

from fedkit import plots
from fedkit.chapters import figures

hills = []
for epsilon in (EPSILON, 8 * EPSILON):
    spread = privacy.multiplier(epsilon, delta=1e-5, rounds=1)
    read = np.linspace(-3 * spread, 1 + 3 * spread, 200)
    curves = {"epsilon": epsilon, "read": read}
    curves |= {"without": stats.norm.pdf(read, 0, spread)}
    hills.append(pd.DataFrame(curves | {"with": stats.norm.pdf(read, 1, spread)}))
hills = pd.concat(hills)
plots.save(
    figures.two_hills(hills),
    "two_hills",
    hills,
    "Two panels with two hills each, one without the patient and one with. In the "
    "left panel, of the small epsilon, the hills lie nearly on each other. In the "
    "right one their tops stand clearly apart.",
)

# %% [markdown]
# In the left panel a number says next to nothing about which hill it is from. In the right one it often does. So
# "with differential privacy" says little, as long as nobody says the epsilon.
#
# ## Who adds the noise?
#
# Nobody here sees the plain sum. So no one can add noise to it alone, and whoever adds it knows it. Each hospital adds a
# *share*. The shares add up under encryption. Then who must be fooled?
#
# - Letters are made before the [list](glossary.md#list) is known. Somebody may drop out. So we count on the shortest
#   list that is ever opened: `LEAST`.
# - The one who reads knows its own share, and takes it off. So do hospitals that [collude](glossary.md#collude).

# %%
honest = LEAST - 1  # shares that the one who reads does not know
share_by_hand = int(np.ceil((times * longest) ** 2 / honest))
one_round = privacy.Guarantee(EPSILON, rounds=1)
assert share_by_hand == one_round.variance(len(x) + 1, honest), (
    "fedkit's share is ours."
)
spreads = {"in the sum": np.sqrt(4 / honest), "at each hospital": np.sqrt(4)}
pd.Series(spreads, name="noise of the sum").mul(times).round(2).to_frame()

# %% [markdown]
# Without encryption somebody reads each letter, and each hospital must hide its patients *alone*. Then the sum holds three
# times the noise, in variance. This is where the two meet: **encryption makes privacy cheap.** fedkit sees to it.
# Around an aggregator that shows letters, each share is all of the noise.

# %% tags=["plumbing"]
# What each of the two hides, measured
letter = tuesday["Cleveland"]


def read(truth, variance, shares):
    found, size = [], len(truth)
    for _ in range(50):  # one draw can be luck
        drawn = privacy.discrete_gaussian(variance, shares * size, source)
        noise = drawn.reshape(shares, size).sum(axis=0)
        found.append(np.corrcoef(truth + noise, truth)[0, 1])
    return round(float(np.mean(found)), 2) + 0.0  # no minus before a zero


# Two sums have the noise of two days: all four shares, or those of the other three
hidden = {
    "nothing": (read(letter, 0, 1), read(stolen, 0, 1)),
    "encryption alone": ("hidden", read(stolen, 0, 1)),
    "noise alone": (read(letter, variance, 1), read(stolen, variance, 2 * 4)),
    "both": ("hidden", read(stolen, share_by_hand, 2 * honest)),
}

# %%
pd.DataFrame(hidden, ["Cleveland's letter", "the patient from two sums"]).T

# %% [markdown]
# The numbers say how well what is read agrees with the truth, on average; 1 is perfect. Noise alone blurs the patient. But the
# server still sees what Cleveland is like as a whole.
#
# ## A private training
#
# Many rounds ask many times. The accountant adds them up, so each round needs more noise. The promise in words:

# %%
guarantee = privacy.Guarantee(EPSILON, rounds=ROUNDS)
print(guarantee.sentences(least=LEAST))

# %% [markdown]
# The draw of test patients is not covered. With one patient more the lot falls otherwise, and many others change sides.
# So the promise is about training rows, once they are drawn. In earnest, choose columns and test patients before you look
# at rows: `from_frame` takes them as `test=`.
#
# A promise is worth what it covers. So *nothing* may leave without noise: no exact statistics, no number of patients,
# no bound that follows from rows. `Private` is an aggregator around another one. It adds the noise, and keeps the
# rest back. The keys are as in notebook 03: each hospital has its own, and the server has none. It sees no sum. The
# hospitals read the noisy sum, and nothing else.
#
# Our noise has a `seed`, so that the lesson comes out the same. Who knows it takes the noise off. In earnest leave it out:
# then noise is from the system, and nobody can compute it.

# %% tags=["slide"]
public = budgets.public(federation)


def private_training(promise, inner=None):
    inner = inner or aggregators.EncryptedMean(least=LEAST)
    private = privacy.Private(inner, promise, public, seed=SPLIT)
    return privacy.train(federation, private, seed=SPLIT)


# %%
run = private_training(guarantee)
same = privacy.Guarantee(np.inf, rounds=ROUNDS)
without = private_training(same)
pd.DataFrame({"private": run.final(), "without noise": without.final()}).round(3)

# %%
private = privacy.Private(aggregators.Mean(), guarantee, public)
try:
    private.total(None, "scores", {}, records.Ledger())
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# The scores above are ours, as the authors of a simulation. In a study they would be kept back, or get noise and be paid
# for. What is sent is always as large and as often, whatever the rows are:

# %%
sent = run.ledger.query("round > 0 and direction == 'up'")
sent.groupby("hospital")["bytes"].agg(["size", "sum"])

# %% [markdown]
# ## The price
#
# One training is one draw of noise. On 20 splits, with two models and two federations, this takes longer than a
# lesson. So it is in a table that came with the kit. (Only the network of fifty hidden hospitals is left out.) We play
# split `SPLIT` again, for one epsilon.
#
# The [unit of privacy](glossary.md#unit-of-privacy) says who is hidden. A *patient*: one more or less. Or a *hospital*:
# all its patients together, so that nobody can tell whether it trained at all. And there are two federations: our four
# hospitals, and the same patients dealt out to 50 pretend ones.

# %%
from fedkit.studies import grids

table = budgets.GRID.table()
live = budgets.rows(SPLIT, (1.0,))
live.query("model == 'logistic regression' and hospitals == 4").iloc[:, 3:].round(3)

# %% tags=["plumbing"]
# Is it what the table holds? And the price, on all splits
from fedkit import evaluation

if SPLIT in budgets.GRID.seeds:
    kept = table[table["epsilon"] == 1.0]
    assert grids.same(live, kept, 0.02), "The table should hold what was computed here."
    print(f"The table holds the same {len(live)} rows of split {SPLIT}.")
KEYS = ["hospitals", "model", "unit", "noise", "epsilon"]
logistic = table[table["model"] == "logistic regression"]
tall = logistic.melt(["seed", *KEYS], ["auroc", "calibration"], "measure", "value")
rows = []
for key, values in tall.groupby([*KEYS, "measure"], sort=False)["value"]:
    found = dict(zip([*KEYS, "measure"], key, strict=True))
    found |= dict(
        zip(("mean", "low", "high"), evaluation.interval(values), strict=True)
    )
    rows.append(found | {"line": f"a {found['unit']}, {found['noise']}"})
price = pd.DataFrame(rows).assign(group=lambda each: each["hospitals"].astype(str))
cost = price.set_index(["hospitals", "unit", "noise", "epsilon", "measure"])["mean"]
in_sum, alone = budgets.PLACES

# %% tags=["plumbing"]
# A picture: the price by epsilon
panels = {
    ("4", "auroc"): "4 hospitals: AUROC",
    ("50", "auroc"): "50 pretend hospitals: AUROC",
    ("4", "calibration"): "4 hospitals: calibration error",
    ("50", "calibration"): "50 pretend hospitals: calibration error",
}
drawn = price[["group", "measure", "line", "epsilon", "mean", "low", "high"]]
plots.save(
    figures.by_epsilon(drawn, "What privacy costs: 20 splits, 95% intervals", panels),
    "privacy_price",
    drawn,
    "Four panels over epsilon, which is large on the right. Above AUROC, below the "
    "calibration error; left four hospitals, right fifty pretend ones. A patient "
    "hidden in the sum costs next to nothing from one half on. Noise at each hospital "
    "costs more, and with fifty far more. To hide a hospital costs most among four: "
    "both lines rise slowly. Among fifty, with noise in the sum, it costs little.",
)

# %%
changes = {}
for key, rows in logistic.groupby(["hospitals", "unit", "noise"]):
    wide = rows.pivot_table("auroc", "seed", "epsilon")
    changes[key] = evaluation.interval(wide[1.0] - wide[np.inf])
changes = pd.DataFrame(changes, ["mean", "low", "high"]).T
changes.round(3)


# %% tags=["plumbing"]
# What the text says of the price, checked
def auroc(count, unit, place, epsilon):
    return cost[count, unit, place, epsilon, "auroc"]


def lost(*key, at=1.0):
    return auroc(*key, np.inf) - auroc(*key, at)


chosen = (table["unit"] == "patient") & (table["noise"] == in_sum)
both = table[chosen].pivot_table("auroc", ["hospitals", "model"], "epsilon")
assert (both[np.inf] - both[1.0]).max() < 0.01, "At 1, a patient costs less than 0.01."
few, many = (4, "patient", alone), (50, "patient", alone)
assert lost(*few, at=0.25) > lost(4, "patient", in_sum, at=0.25) + 0.02, "Alone: more."
assert lost(*many) > 0.03 > 10 * lost(50, "patient", in_sum), "Most of all with 50."
assert changes.loc[many, "high"] > 0, "Though it may be luck."
for count in (4, 50):
    low = changes.loc[(count, "patient", in_sum), "low"]
    assert low > -0.02, "In the sum, at worst it is within the margin of notebook 04."
assert changes.loc[(4, "hospital", in_sum), "high"] < -0.05, "Four cannot hide one."
assert lost(50, "hospital", in_sum) < 0.05, "50 can, for less."
assert lost(50, "hospital", alone) > 0.2, "Not without encryption."
worse = cost[(*many, 1.0, "calibration")] / cost[(*many, np.inf, "calibration")]
assert worse > 2, "Calibration suffers, too."

# %% tags=["plumbing"]
# What is kept of it
records.glue("auroc_lost_patient_in_the_sum", lost(4, "patient", in_sum))
records.glue("auroc_lost_patient_alone_of_50", lost(50, "patient", alone))
records.glue("auroc_lost_hospital_of_4", lost(4, "hospital", in_sum))
records.glue("auroc_lost_hospital_of_50", lost(50, "hospital", in_sum))

# %% [markdown]
# - The table: AUROC at epsilon 1 minus AUROC without noise, split by split, with a 95% interval.
# - A **patient**, with the noise in the sum: less than 0.01 is lost, and at worst 0.02. The mean holds for four
#   hospitals and for fifty, for logistic regression and a small network. Hundreds of patients cover one.
# - The same promise with noise **at each hospital**: four hospitals pay for it at 0.25. Fifty small ones lose more
#   than 0.03 already at 1, though the interval still holds 0.
# - A **hospital**: at epsilon 1, four hospitals lose most of what the model knows. One of four can't hide behind
#   three. Small federations pay dearly for this unit. Fifty pay little, with the noise in the sum, and more than
#   0.2 alone.
#
# Calibration suffers, too: see the lower panels. And where two lines lie close, see the intervals.
#
# ## Do attackers notice?
#
# Notebook 06 asked a finished model who was in its training rows. Here is the same attack beside epsilon:
# [likelihood ratios](glossary.md#lira), with models of 32 other splits as
# [shadows](glossary.md#shadow-model). A network that learns many rounds remembers most. 0.5 is a coin.

# %%
from fedkit.studies import leaks

told = leaks.GRID.table()
at_one = leaks.EPSILONS.index(1.0)
again = leaks.rows(at_one, models=("logistic regression",))

# %% tags=["plumbing"]
# Is it what the table holds? And a picture of all of it
kept = told[told["model"] == "logistic regression"]
close = grids.same(again, kept, 0.02)
assert close, "The table should hold what was computed here."
found = told.groupby(["model", "epsilon"])["membership"].agg(["mean", "sem"])
found = found.reset_index().rename(columns={"model": "line"})
found = found.assign(group="all", measure="membership")
found["low"], found["high"] = (found["mean"] + side * found["sem"] for side in (-2, 2))
drawn = found[["group", "measure", "line", "epsilon", "mean", "low", "high"]]
panels = {("all", "membership"): "AUROC of the attack; 0.5 is a coin"}
plots.save(
    figures.by_epsilon(drawn, "Who was in the training rows?", panels),
    "privacy_membership",
    drawn,
    "Two lines over epsilon. Without noise, on the far right, the attack on the "
    "network is well above a coin. With any of our epsilons both lines lie near one "
    "half.",
)

# %%
other = told.groupby(["model", "epsilon"])[["attribute", "prevalence"]].mean()
other.swaplevel().sort_index().round(3)

# %% tags=["plumbing"]
# What the text says of attacks, checked
network = next(name for name in leaks.MODELS if name.startswith("MLP"))
attack = found.set_index(["line", "epsilon"])
assert attack.loc[(network, np.inf), "low"] > 0.55, "Without noise, it remembers."
assert attack.loc[(network, 1.0), "mean"] < 0.53, "At 1, it hardly does."
assert attack["sem"].max() < 0.005, "The shadows are enough: two of these are 0.01."
assert abs(other["attribute"]).max() < 0.02, "Members' sex is guessed as others' is."
share = other["prevalence"].xs("logistic regression", level="model")
assert share.max() < 0.05, "The prevalence is read all the same."
little = found[found["line"] == "logistic regression"].set_index("epsilon")["mean"]
assert (little[[4.0, 8.0]] > little[np.inf] - 0.005).all(), "At 4, as without noise."
records.glue("membership_network_without_noise", attack.loc[(network, np.inf), "mean"])
records.glue("membership_network_epsilon_1", attack.loc[(network, 1.0), "mean"])

# %% [markdown]
# Noise takes nearly all of the attack on the network away. On the small model the attack finds little. But at 4 and 8 it
# finds as much as without noise: so large an epsilon did not stop it here.
#
# The two columns are other questions. **attribute**: can the attacker guess the sex of a training patient better
# than that of others? Here it can't, with or without noise. **prevalence**: by how much is it wrong about the share of
# label 1? Noise does not hide that, and it should not: it's what is true of patients in general. A model is there to say it.
#
# ## An audit
#
# An attack that finds nothing proves nothing. Programs for privacy have had errors. So we also ask the other
# way round, in an [audit of privacy](glossary.md#audit-of-privacy): what epsilon would *explain* what an attacker finds?
#
# Steinke et al. (2023) need a single run. We make up many patients, [canaries](glossary.md#canary). Each takes part or
# not, by a coin. Each has a direction of its own. The attacker sees the noisy sum, and guesses about the 1,000 of
# which it is surest. If many guesses are right, epsilon can't be small.


# %% tags=["slide"]
def audit(promised):
    coins = np.random.default_rng(SPLIT).random(CANARIES) < 0.5
    needed = promised.variance(CANARIES, honest=1)
    noise = privacy.discrete_gaussian(needed, CANARIES, random.Random(SPLIT + 1))
    seen = STEPS * coins + noise
    return privacy.lower_bound(coins, seen - STEPS / 2, delta=1e-5, guesses=1000)


# %% [markdown]
# And a broken one beside it. It adds half of the noise, and still says the same epsilon.


# %% tags=["slide"]
class Broken(privacy.Guarantee):
    def variance(self, size, honest):
        return super().variance(size, honest) // 4


shown = {
    made.__name__: audit(made(EPSILON, rounds=1))
    for made in (one_round.__class__, Broken)
}
pd.Series(shown, name=f"epsilon at the least; promised: {EPSILON:g}").round(
    2
).to_frame()

# %% tags=["plumbing"]
# What the text says of the audit, checked
claim(shown["Guarantee"] <= EPSILON, "The audit says no more than the accountant.")
claim(shown["Guarantee"] > 0, "It finds something.")
claim(shown["Broken"] > EPSILON, "It finds the broken one.")
records.glue("audit_of_the_guarantee", shown["Guarantee"])
records.glue("audit_of_half_the_noise", shown["Broken"])

# %% [markdown]
# The first number lies below what was promised: no proof that it holds, and nothing against it. The second lies
# above. So this promise is broken, with 95% confidence.
#
# ## Check a claim
#
# FLamby (Ogier du Terrail et al., 2022) is a well-known benchmark, with the same four hospitals. Its results with privacy
# use Opacus, and tell it how long training takes: `epochs=nrounds`, so 15 epochs. But a round has 100 steps of 4
# patients. That makes 1,500 steps. Is this the same? In 15 epochs, a hospital of 30 patients takes 15 x 8 steps.

# %%
from fedkit.studies import flamby

patients = flamby.patients()
mine = patients["complete"] & ~flamby.drawn(patients)
claims = []
for name, count in patients[mine].groupby("hospital").size().items():
    batches = int(np.ceil(count / flamby.BATCH))
    told, taken = flamby.ROUNDS * batches, flamby.ROUNDS * flamby.UPDATES
    noise = privacy.multiplier(1.0, 1e-5, told, 1 / batches)
    true = privacy.spent(noise, 1e-5, taken, 1 / batches)
    claims.append([name, count, told, taken, 1.0, true])
claims = pd.DataFrame(
    claims, columns=["hospital", "rows", "told", "taken", "said", "true epsilon"]
).set_index("hospital")
claims.round(2)

# %% tags=["plumbing"]
# What the text says of the claim, checked
most = claims["true epsilon"].idxmax()
assert most == claims["rows"].idxmin() == "Switzerland", "The smallest is worst off."
assert claims["true epsilon"].min() > 1.0, "All have less than they were told."
records.glue(
    "flamby_true_epsilon_switzerland", claims.loc["Switzerland", "true epsilon"]
)

# %% [markdown]
# No hospital has what it was told. The smallest is worst off. And this count is kind. It holds where each step draws its
# rows by lot. Their code goes through shuffled rows instead, and for those nobody has proven it. It also starts the
# noise of all hospitals from the same seed.
#
# To check such a claim, ask four things: the noise, the
# share of rows in a step, how many steps were *really* taken, and delta. Then compute epsilon again.
#
# ## What you can do now
#
# - You read a patient from two exact sums, and hid the patient by noise in whole steps.
# - You know what epsilon and delta promise, about one patient or one hospital, and what stays outside: who takes part,
#   test patients, what is true in general, and time. Drawing noise takes a little longer for some numbers.
# - You shared noise out for the shortest list, without the shares of those who collude.
# - You know the price: small for a patient, in the sum; large alone; and largest for one hospital of four.
# - You attacked and audited, and you found a claim that does not hold. Absence of a finding is no proof.
#
# ## Exercises
#
# **1. Predict.** We want to train four times as many rounds, and promise the same epsilon. How many times as large
# must the noise of each round be? Write a number; a tenth up or down is right.

# %% tags=["exercise"]
times_as_large = ...

# %% tags=["solution"]
times_as_large = 2  # variances add up: four rounds need four times the variance

# %% tags=["plumbing"]
# Is exercise 1 right? The accountant says
from fedkit.chapters import course, privacy


def near(number):
    few, many = (privacy.multiplier(1.0, 1e-5, rounds) for rounds in (20, 80))
    return abs(float(number) - many / few) <= 0.1


course.check(
    "Exercise 1",
    times_as_large,
    (near, "Four answers of one number, averaged: how much less does noise blur them?"),
)

# %% [markdown]
# **2. Modify.** Above we clipped one gradient. Write a function that clips many: an array with one gradient in each row.
# Who is longer than `length` gets that length, and keeps its direction. All others stay as they are, also one of
# zeros.


# %% tags=["exercise"]
def clip_all(gradients, length):
    """Gradients, shape [n, p], and a length above 0 -> an array of the same shape."""
    return ...


# %% tags=["solution"]
def clip_all(gradients, length):
    """Gradients, shape [n, p], and a length above 0 -> an array of the same shape."""
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients * (length / np.maximum(lengths, length))


# %% tags=["plumbing"]
# Is exercise 2 right? On fresh gradients
import numpy as np
from fedkit.chapters import course


def clips(agree):
    fresh = np.random.default_rng().standard_normal((30, 5))
    fresh *= np.linspace(0, 3, 30)[:, None]
    lengths = np.linalg.norm(fresh, axis=1)
    right = fresh * (1.5 / np.maximum(lengths, 1.5))[:, None]

    def rule(function):
        found = function(fresh.copy(), 1.5)
        return found if found is ... else agree(np.asarray(found), right, lengths > 1.5)

    return rule


short = clips(lambda found, right, cut: np.allclose(found[~cut], right[~cut]))
all_rows = clips(lambda found, right, cut: np.allclose(found, right))
look = "Who is short enough stays as it is: do you look at each row alone?"
why = "How long is a long row now? And does it keep its direction?"
course.check("Exercise 2", clip_all, (short, look), (all_rows, why))

# %% [markdown]
# **3. Build.** How many patients have label 1? Publish the count *once*, with a promise about each patient. One patient
# changes a count by 1. Take `privacy.multiplier` for how large the noise must be, and `privacy.discrete_gaussian` for the
# noise. Round its variance up. Return a whole number.


# %% tags=["exercise"]
def noisy_count(labels, epsilon, delta, source):
    """Labels 0 or 1, a budget, and a source of random numbers -> a whole number."""
    return ...


# %% tags=["solution"]
def noisy_count(labels, epsilon, delta, source):
    """Labels 0 or 1, a budget, and a source of random numbers -> a whole number."""
    times = privacy.multiplier(epsilon, delta, rounds=1)
    variance = int(np.ceil(times**2))
    return int(np.sum(labels)) + int(privacy.discrete_gaussian(variance, 1, source)[0])


# %% tags=["plumbing"]
# Is exercise 3 right? On fresh labels, 400 times
import random

import numpy as np
from fedkit.chapters import course, privacy


def counts(agree, epsilon=1.0):
    fresh = (np.random.default_rng().random(200) < 0.4).astype(int)
    spread = np.ceil(privacy.multiplier(epsilon, 1e-5, 1) ** 2) ** 0.5

    def rule(function):
        found = [function(fresh, epsilon, 1e-5, random.Random()) for _ in range(400)]
        return ... if found[0] is ... else agree(np.ravel(found) - fresh.sum(), spread)

    return rule


whole = counts(lambda noise, _: np.array_equal(noise, np.rint(noise)))
middle = counts(lambda noise, spread: abs(noise.mean()) < spread / 4)
wide = [counts(lambda n, spread: 0.8 < n.std() / spread < 1.25, e) for e in (1, 4)]
why = "How far do many answers spread? What says the accountant?"
rules = (whole, "A count is a whole number."), (middle, "Is their mean the count?")
course.check("Exercise 3", noisy_count, *rules, *((one, why) for one in wide))

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. Two encrypted sums gave a patient away. How?**
#
# <details><summary>With so few patients, the encryption became too weak</summary>
#
# Not this one: no key was broken, and no letter was read. It works with any number of patients.
#
# </details>
# <details><summary>Both sums are exact, and their difference is the patient</summary>
#
# Right: encryption hides the letters. The answer is what everybody wants to have, and it tells.
#
# </details>
# <details><summary>One hospital gave its key away, which opened a letter</summary>
#
# Not this one: no letter was opened. All hospitals may read the sums.
#
# </details>
#
# **2. What does a small epsilon promise to a patient?**
#
# <details><summary>What is seen is about as likely without this patient</summary>
#
# Right: so nobody can learn much from it about whether the patient took part.
#
# </details>
# <details><summary>What is true of patients in general stays hidden, too</summary>
#
# Not this one: a model is there to say that. The promise is about taking part, and not about that.
#
# </details>
# <details><summary>What is in the row never leaves the hospital at all</summary>
#
# Not this one: rows stay at home in any federated training. Epsilon is about what the answers tell.
#
# </details>
#
# **3. Why do updates that are encrypted need less noise in all?**
#
# <details><summary>Because encryption adds noise of its own to the sum</summary>
#
# Not this one: that noise is rounded away when the sum is opened. Encrypted sums are exact.
#
# </details>
# <details><summary>Because a whole number shows less of a patient</summary>
#
# Not this one: rounding is no promise. It can even make what one patient changes a little longer.
#
# </details>
# <details><summary>Because only the sum is read, and all can share its noise</summary>
#
# Right: where letters are read, each hospital must hide its patients alone, with all of the noise.
#
# </details>
#
# **4. Four hospitals can hide a patient for little, but not a hospital. Why?**
#
# <details><summary>A hospital sends more bytes, which are harder to hide</summary>
#
# Not this one: each sends as many bytes, whatever the unit is. Noise hides what they say, and not how many there are.
#
# </details>
# <details><summary>A hospital is a large part of the sum, and a patient is not</summary>
#
# Right: hundreds of patients cover one. Only three hospitals cover the fourth.
#
# </details>
# <details><summary>A hospital has to add the noise by itself, and no other helps</summary>
#
# Not this one: with noise in the sum, all hospitals share it, for both units.
#
# </details>
#
# **5. An audit finds a smaller epsilon than was promised. What does that say?**
#
# <details><summary>The promise is kept, since the true epsilon is the smaller one</summary>
#
# Not this one: the audit says how large epsilon must be at the least. It can well be larger.
#
# </details>
# <details><summary>The promise could be made stronger, with the same noise</summary>
#
# Not this one: a better attacker may find more. The audit knows only its own attack.
#
# </details>
# <details><summary>It is nothing against the promise, and no proof of it</summary>
#
# Right: only an audit that finds *more* than was promised shows something: that the promise is broken.
#
# </details>
