# %% [markdown]
# # 09. Hospitals differ: which method helps, and which does not?
#
# *Two minutes to run, 40 minutes to read. To read before: [02](02_federated_learning.ipynb),
# [04](04_comparison_of_outcomes.ipynb).*
#
# Notebook 04 ended with bad news: the shared model calls fewer patients right than hospitals alone. We try eighteen
# methods against that, on the same splits, and one number per hospital turns out to be enough.
#
# By the end you can:
#
# 1. measure how far hospitals differ, beside what chance does;
# 2. write a method that changes one step of federated averaging, and run it encrypted;
# 3. say which methods cure wrong probabilities, which do not, and why;
# 4. say when a hospital should stay alone;
# 5. read a published table with care.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick look
SAMPLE = 0  # the split, from 0 to 39, that is computed again here
SHUFFLES = 200  # how often patients are dealt out anew, for the control
SEEDS = 3  # splits of pretend hospitals
ROUNDS = 30  # rounds of the trainings on this page

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"SAMPLE": 0, "SHUFFLES": 200, "SEEDS": 3, "ROUNDS": 30},
    {"SHUFFLES": 50, "SEEDS": 1, "ROUNDS": 10},
)

# %% [markdown]
# ## 1. How different are they?
#
# Two things are easy to count: the share of patients with label 1, and the mean of each column of numbers. How far is
# each hospital from all patients together?

# %%
import numpy as np
import pandas as pd
from fedkit import hospitals

federation = hospitals.load()
everybody = federation.frame()  # these rows are public: no real federation could
everybody.groupby("hospital", sort=False)[["age", "label"]].mean().round(2)

# %%
label, place = everybody["label"], everybody["hospital"].to_numpy()
columns = everybody[list(federation.numeric)]
columns = (columns - columns.mean()) / columns.std()

# %% [markdown]
# The columns are now on one scale, in standard deviations. Two distances for each hospital:


# %% tags=["slide"]
def apart(place):
    """How far each hospital is from all patients together."""
    share = (label.groupby(place, sort=False).mean() - label.mean()).abs()
    spread = columns.groupby(place, sort=False).mean().abs().mean(axis=1)
    return pd.DataFrame({"share of label 1": share, "columns": spread})


real = apart(place)
real.round(3)

# %% [markdown]
# A small hospital is far from the mean by chance. So we need the control of notebook 02. We shuffle the patients among
# the hospitals, keep the sizes, and measure again, many times.

# %%
random = np.random.default_rng(0)
shuffled = [apart(random.permutation(place)) for _ in range(SHUFFLES)]
chance = pd.concat(shuffled).groupby(level=0, sort=False)
low, high = chance.quantile(0.025), chance.quantile(0.975)

# %% tags=["plumbing"]
# Figure: how far hospitals are apart, beside chance; its claims are checked
from fedkit import plots, records
from fedkit.chapters import figures

parts = {"value": real, "low": low.loc[real.index], "high": high.loc[real.index]}
drawn = pd.concat(parts, axis=1).swaplevel(axis=1)
drawn = pd.concat({name: drawn[name] for name in real}, names=["measure", "hospital"])
drawn = drawn.reset_index()
beyond = real > high.loc[real.index]
claim(beyond["columns"].all(), "In their columns, all four differ.")
far = real["share of label 1"] / high.loc[real.index, "share of label 1"]
claim(far.idxmax() == "Switzerland" and far.max() > 3, "Switzerland differs most.")
records.glue("share_switzerland_over_chance", far["Switzerland"])
plots.save(
    figures.against_chance(drawn),
    "against_chance",
    drawn,
    "Two panels with a line for each hospital. A point is the real distance, a bar is "
    "what shuffled patients give. Nearly all points lie far to the right of their bar.",
)

# %% [markdown]
# All four differ in their columns, and not by chance. In the share of label 1, Switzerland is the most
# unlike the rest: nearly all its patients are ill.
#
# ## 2. What one model for all costs
#
# 40 splits take longer than a lesson. `make study` has computed a table, with a fingerprint of code and data: a table
# of other code is refused. We compute one split again and compare.

# %%
from fedkit import evaluation
from fedkit.studies import differ, grids

table = differ.GRID.table()
few = ["central", "FedAvg", "own intercept", "Newton"]
live = differ.rows(SAMPLE, few if PROFILE == "smoke" else ())
kept = table[table["method"].isin(live["method"])]
held = SAMPLE in differ.GRID.seeds
assert not held or grids.same(live, kept), "The table is not what is computed here."
verdict = "agree with the table" if held else "are in no table"
print(f"{len(live)} rows of split {SAMPLE} {verdict}")

# %% [markdown]
# Every method has the same rows and 50 rounds of one epoch. (Newton's needs 6 rounds. Hospitals alone may take five
# epochs a round, and fine-tuning up to twenty more.) A setting, such as the strength of a pull, is chosen among a few
# values by [cross-validation](glossary.md#cross-validation) inside the training rows. No test row has a say in that.
# (Hospitals alone share one choice.)
# Here are three methods on splits 0 to 19. *Majority* is the guess: the most frequent label for all.

# %% tags=["slide"]
SETS = {"splits 0 to 19": range(20), "splits 20 to 39": range(20, 40)}
found = {name: table[table["seed"].isin(seeds)] for name, seeds in SETS.items()}
THREE = ["local", "central", "FedAvg"]


def plain(rows):
    """Scores of three methods at each hospital."""
    rows = rows[rows["method"].isin(THREE)]
    said = ["accuracy", "auroc", "calibration_intercept", "majority"]
    return rows.pivot_table(said, "hospital", "method", sort=False)[said]


facts = {name: plain(rows) for name, rows in found.items()}
facts["splits 0 to 19"].drop(columns=[("majority", m) for m in THREE[1:]]).round(2)

# %% tags=["plumbing"]
# against and wide: paired differences on both sets of splits
tables = {name: differ.long(rows) for name, rows in found.items()}


def against(reference):
    """Paired differences, mean of hospitals: set -> a row a method and metric."""
    told = {}
    for name, rows in tables.items():
        rows = evaluation.paired_differences(rows, reference)
        told[name] = rows[rows["hospital"] == "mean"]
    return told


def wide(rows):
    """A row a method; columns mean, low, high, each of all metrics."""
    ends = ["mean", "low", "high"]
    return rows.pivot_table(ends, "method", "metric", sort=False)[ends]


# %% tags=["plumbing"]
# The claims of this section, checked on both sets of splits
for name, rows in facts.items():
    swiss, mean = rows.loc["Switzerland"], rows.mean()
    near = abs(mean["auroc", "FedAvg"] - mean["auroc", "central"]) < 0.015
    claim(near, f"FedAvg's AUROC is as good as the centralised one, on {name}.")
    loses = swiss["accuracy"][["FedAvg", "central"]].max() + 0.1
    claim(loses < swiss["accuracy", "local"], f"Switzerland pays, on {name}.")
    claim(loses < swiss["majority", "local"] + 0.02, "A guess is better there.")
    off = swiss["calibration_intercept"]
    claim(off["FedAvg"] > 2 > 1 > abs(off["local"]), "Its probabilities are too low.")
first = facts["splits 0 to 19"].loc["Switzerland"]
records.glue("accuracy_switzerland_alone", first["accuracy", "local"])
records.glue("accuracy_switzerland_fedavg", first["accuracy", "FedAvg"])
records.glue("intercept_switzerland_fedavg", first["calibration_intercept", "FedAvg"])

# %% [markdown]
# On both sets of splits, FedAvg's AUROC is as good as centralised training's. In mean accuracy, both lose to hospitals
# alone, though on splits 0 to 19 that may be luck. And Switzerland pays: the shared models stay far below what it gets
# alone, which is the guess. Its [calibration intercept](glossary.md#intercept) is above 2, so its probabilities are
# much too low. Both sets deal out the same patients.
#
# Centralised training has the same fault. One model with one [bias](glossary.md#bias) serves places with different
# shares of ill patients.
#
# ## 3. A cure by hand: the bias stays at home
#
# If one bias cannot fit all, let each hospital keep its own. The 13 weights are shared, the bias is not. This is a
# [personal intercept](glossary.md#personal-intercept). A method in fedkit is a class that changes a step of a round.
# Four steps change here:

# %%
from fedkit import learning


class OwnIntercept(learning.Algorithm):
    """Share the weights, keep the bias."""

    def own(self, weights):  # what a hospital keeps before the first round
        return [weights[-1]]

    def local(self, weights, own):  # what it trains, and is tested with
        return [weights[0], *own] if own else weights

    def send(self, plan, task, update):  # what travels, and what is kept
        weights, bias = update
        return [weights], [task.own[0] + bias]

    def take(self, mean, own):  # how the mean moves the shared model
        return [mean[0], np.zeros_like(own[0])], own


# %% [markdown]
# It should be fedkit's own `AtHome`, to the last bit. Then a server adds the updates and cannot read them. What travels
# is encrypted, the bias does not travel, and the result should not change.

# %%
from fedkit import aggregators
from fedkit.chapters.heterogeneity import AtHome

how = {"rounds": ROUNDS, "seed": 0}
by_hand = learning.train_federated(federation, algorithm=OwnIntercept(), **how)
fedkits = learning.train_federated(federation, algorithm=AtHome(), **how)
secret = aggregators.EncryptedMean()
encrypted = learning.train_federated(
    federation, algorithm=AtHome(), aggregator=secret, **how
)
pairs = zip(by_hand.weights["shared"], fedkits.weights["shared"], strict=True)
assert all(np.array_equal(mine, theirs) for mine, theirs in pairs)
both = by_hand.predictions["probability"], fedkits.predictions["probability"]
assert both[0].equals(both[1]), "By hand, it should be fedkit's."
gap = (encrypted.predictions["probability"] - both[1]).abs().max()
assert gap < 1e-5, "Encryption should change nothing."
print(f"encrypted - plain: at most {gap:.0e} in any probability")

# %% [markdown]
# Each hospital's keys are its own and used for one sum; the server has none. It sees who takes part, and when. All
# hospitals see the mean of the weights, and that tells something about the others. What is *not* protected is as in
# notebook 04. But the bias, which gives the share of ill patients away (02), stays at its hospital.
#
# ## 4. Methods side by side
#
# Most are a few lines in `fedkit/chapters/heterogeneity.py`; the server's own steps are TFF's. What is an `Algorithm`
# runs in a shared folder (08), too. In short:
#
# | method | what it changes |
# |---|---|
# | [FedProx](glossary.md#fedprox) | pulls local models back to the shared one |
# | [SCAFFOLD](glossary.md#scaffold) | corrects each step by how this hospital's gradients differ |
# | server momentum, Adam, [Yogi](glossary.md#yogi) | the server takes the mean for a gradient, and goes its own way |
# | q-FedAvg, AFL | hospitals with a high loss count more |
# | [cyclic](glossary.md#cyclic) | no mean: one model goes around, and is read by the next |
# | class weights | both labels count the same |
# | fine-tuned | more epochs at home, at the end |
# | Ditto | a second, own model is pulled to the shared one |
# | own intercept | the bias stays at home |
# | [MLP](glossary.md#mlp), own last layer | a small network, whose last layer stays at home |
# | [recalibrated](glossary.md#recalibrated) | afterwards, one number at home sets the mean probability right |
# | Newton | adds up gradients, and how fast they change: the exact pooled fit in 6 rounds |
#
# Our q-FedAvg takes longer steps than its paper's. Now differences to the centralised model, on both sets of splits.
# The [calibration error](glossary.md#calibration-error) is the distance between mean probability and share of ill
# patients, in five groups. *Lower* is better there.

# %% tags=["plumbing"]
# Figure: methods side by side
NAMES = {
    "auroc": "AUROC\n(higher is better)",
    "accuracy": "accuracy\n(higher is better)",
    "ece": "calibration error\n(lower is better)",
}
versus = against("central")
shown = {name: rows[rows["metric"].isin(NAMES)] for name, rows in versus.items()}
plots.save(
    figures.side_by_side(shown, NAMES, "central"),
    "methods_side_by_side",
    pd.concat(shown, names=["set"]).reset_index(level=0),
    "Three panels, one line for each method, two intervals on each line. In AUROC "
    "local and the own last layer lie most to the left of zero. In accuracy and "
    "calibration error, methods with something of a hospital's own are away from "
    "zero, on the better side.",
)

# %% [markdown]
# The picture has two groups. **What only changes how the one model is found** gains nothing: FedProx, SCAFFOLD, what
# the server does with the mean, q-FedAvg, AFL, cyclic, class weights, Newton. Most find about the pooled model. Class
# weights even harm: their log loss is surely higher. **What gives each hospital a number of its own** gains in accuracy,
# and cuts the calibration error by about two fifths: own intercept, recalibrated, Newton with own intercepts. Ditto and
# fine-tuning gain about as much accuracy, but cut the error less. AUROC does not gain anywhere. And more of one's own is
# not better: a hospital's own last layer has 17 numbers to learn from its own rows alone. It loses about as much AUROC
# as hospitals alone, perhaps by luck, and surely gains accuracy on splits 20 to 39 only.
#
# Two fifths of the error: is the rest still to be cured? Hardly. A perfect model has an error, too, by chance: with so
# few patients, five groups are never quite right. Below, behind the gains, we take a model's probabilities for true,
# and draw labels by them (which is a little too much: our shares of ill patients are fixed).

# %%
CURES = ["own intercept", "recalibrated", "Newton, own intercepts", "Ditto"]
CURES += ["fine-tuned"]
LAYER = "MLP, own last layer"
gains = wide(versus["splits 0 to 19"]).swaplevel(axis=1)
gains.loc[[*CURES, LAYER], ["accuracy", "ece", "auroc"]].round(3)


# %% tags=["slide"]
def by_chance(p):
    """The error of a model whose probabilities are true: labels are drawn by them."""
    drawn = [random.random(len(p)) < p for _ in range(SHUFFLES)]
    return np.mean([evaluation.calibration_error(labels, p) for labels in drawn])


# %%
served = fedkits.predictions.groupby("hospital")["probability"]
floor = np.mean([by_chance(p.to_numpy()) for _, p in served])
left = table.groupby("method")["ece"].mean()[CURES]
print(f"a perfect model: {floor:.3f}", left.round(3).to_dict())

# %% tags=["plumbing"]
# The claims of the picture, checked on both sets of splits
NO_CURE = ["FedProx", "SCAFFOLD", "server momentum", "server Adam", "server Yogi"]
NO_CURE += ["q-FedAvg", "AFL", "cyclic", "class weights", "Newton", "FedAvg", "MLP"]
for name, rows in versus.items():
    ends = wide(rows)
    less = ends["mean"]
    claim((less.loc[NO_CURE, "accuracy"] < 0.015).all(), "These gain nothing.")
    claim((less.loc[NO_CURE, "ece"] > -0.01).all(), "Nor in calibration.")
    claim((ends["low"].loc[CURES, "accuracy"] > 0).all(), f"These gain, {name}.")
    claim((ends["high"].loc[CURES, "ece"] < 0).all(), f"And in calibration, {name}.")
    claim((less.loc[CURES[:3], "ece"] < -0.03).all(), "The error is cut by two fifths.")
    claim((less.loc[CURES[3:], "ece"] > -0.04).all(), "And by these less.")
    harm = ends["low"].loc["class weights", "log_loss"] > 0
    claim(harm, f"Class weights surely harm the log loss, on {name}.")
    lost, most = ends["high"].loc[LAYER], ends["low"].loc[LAYER, "accuracy"] > 0
    claim(lost["auroc"] > 0, "The layer's loss of AUROC may be luck.")
    claim(
        most == (name == "splits 20 to 39"), "It gains surely on the second set only."
    )
    sure = ends["low"]["auroc"].drop("local") > 0
    claim(not sure.any(), "In AUROC nothing is surely better.")
    most, rest = less["auroc"][["local", LAYER]], less["auroc"].drop(["local", LAYER])
    claim(most.max() < -0.03 and rest.min() > -0.02, "Much of one's own costs AUROC.")
    claim(less.loc[LAYER, "accuracy"] > 0.015, "A layer gains accuracy.")

# %% [markdown]
# ### Each hospital, and the worst
#
# A mean can hide a loser. Accuracy at each hospital minus the centralised model's, all 40 splits:

# %% tags=["plumbing"]
# Figure: accuracy at each hospital
claim(table["method"].nunique() - len([*THREE, "central, recalibrated"]) == 18, "18.")
least = left[CURES[:3]] - floor
claim((least.abs() < 0.02).all(), "What cures leaves no more error than chance.")
by_place = table.pivot_table("accuracy", "method", "hospital", sort=False)
by_place = by_place.assign(worst=by_place.min(axis=1))
gained = (by_place - by_place.loc["central"]).drop("central")
claim(gained.loc[CURES[:3], "Switzerland"].min() > 0.08, "Switzerland gains most.")
rest = gained.loc[CURES[:3]].drop(columns=["Switzerland", "worst"])
claim(rest.abs().max(axis=None) < 0.03, "Elsewhere differences are small.")
plots.save(
    figures.heat(
        gained,
        "Accuracy at each hospital, minus the centralised model's",
        "worst: the hospital with the lowest accuracy; orange is a gain",
        most=0.15,
        decimals=3,
    ),
    "accuracy_by_method_and_hospital",
    gained.reset_index(),
    "A table of colours, methods down, hospitals to the right. The column of "
    "Switzerland has strong colours for methods with something of its own. The other "
    "columns are pale.",
)

# %% [markdown]
# The gain is Switzerland's. Elsewhere differences are small. So "accuracy" in the mean of hospitals was a story about
# one hospital. And there the cures are no more often right than the guess.
#
# ### It is not the federation that gains
#
# A centralised model can have own intercepts as well. Then it gains about as much: each interval below holds zero. Here
# are the federated cures minus the *recalibrated* centralised model:

# %%
fair = against("central, recalibrated")
fair = {name: wide(rows).loc[CURES[:3]] for name, rows in fair.items()}
picked = [(end, "accuracy") for end in ("mean", "low", "high")]
pd.concat({name: rows[picked] for name, rows in fair.items()}).round(3)

# %% tags=["plumbing"]
# That a centralised model gains the same, checked
gain = gains.loc["own intercept"]
records.glue("accuracy_gain_own_intercept", gain["accuracy", "mean"])
records.glue("ece_gain_own_intercept", gain["ece", "mean"])
records.glue("accuracy_gain_fedprox", gains.loc["FedProx", ("accuracy", "mean")])
for name, rows in fair.items():
    small = rows["mean"]["accuracy"].abs().max() < 0.025
    claim(small, f"Centralised with intercepts is about as accurate, on {name}.")
    holds_zero = (rows["low"]["accuracy"] < 0) & (rows["high"]["accuracy"] > 0)
    claim(holds_zero.all(), f"The difference may be luck, on {name}.")
worst = table.groupby(["method", "seed"])["auroc"].min().groupby("method").mean()
rest = worst.drop(["local", LAYER]).min()
claim(worst[["local", LAYER]].max() < rest, "Alone, the worst is worst.")

# %% [markdown]
# ## 5. When is it better to stay alone?
#
# Hospitals alone train at home, with their own columns' means and a penalty. Compare at each hospital, all 40 splits:
# alone minus own intercept.

# %%
both = differ.long(table)
both = both[both["method"].isin(["local", "own intercept"])]
alone = evaluation.paired_differences(both, "own intercept")
alone = alone[alone["metric"].isin(["auroc", "accuracy", "ece"])]
alone = alone.pivot_table(["mean", "low", "high"], "hospital", "metric", sort=False)
alone.swaplevel(axis=1)[["accuracy", "auroc"]].round(3)

# %% [markdown]
# Against *one shared model*, Switzerland should stay alone: its accuracy is far higher. Against a model with *its own
# intercept*, no hospital surely gains by staying alone. The order of patients is better together on average, and surely
# so at VA Long Beach. So a hospital like Switzerland should stay alone if nobody lets it keep a bias. These rows show no
# other reason.

# %% tags=["plumbing"]
# The claims of staying alone, checked
middle = alone["mean"]
claim((middle["accuracy"].abs() < 0.03).all(), "Alone gains no accuracy any more.")
claim((alone["low"]["accuracy"] < 0).all(), "And nowhere surely.")
small = middle.loc[["Switzerland", "VA Long Beach"], "auroc"]
claim(small.max() < -0.03, "The small hospitals order patients better together.")
claim(alone["high"].loc["mean", "auroc"] < 0.01, "Together is better in AUROC.")
records.glue("auroc_alone_minus_own_intercept", middle.loc["mean", "auroc"])

# %% [markdown]
# ## 6. Rounds and bytes to the same score
#
# When does the mean AUROC first come within 0.01 of the centralised model of the same split? And what has a hospital
# sent until then, without encryption?

# %%
COSTS = ["rounds", "bytes", "bytes_in_all"]
reached = table.groupby(["method", "seed"], sort=False)["rounds"].first()
never = table.fillna({"rounds": np.inf, "bytes": np.inf})
speed = never.groupby("method", sort=False)[COSTS].median()
speed.insert(0, "reached", reached.notna().groupby("method").mean())
speed.drop(["central", "central, recalibrated", "local"]).round(2)

# %% [markdown]
# *Reached* is the share of splits that came there. The others count as infinite in the medians. Newton's method always reaches it, with own intercepts nearly always, after one to three rounds of longer messages. Cyclic training always does, and
# of those it sends least. But each hospital reads its neighbour's model. SCAFFOLD sends twice the numbers a round, and
# gains little for it here.

# %% tags=["plumbing"]
# The claims of rounds and bytes, checked on both sets of splits
for name, rows in found.items():
    part = rows.fillna({"rounds": np.inf, "bytes": np.inf}).groupby("method")
    middle = part[["rounds", "bytes"]].median()
    exact = rows[rows["method"].isin(["Newton", "Newton, recalibrated"])]
    claim((exact["rounds"] <= 4).all(), f"Newton always has it soon, on {name}.")
    always = rows.groupby("method")["rounds"].apply(lambda own: own.notna().all())
    always = always[always].index.difference(["central", "central, recalibrated"])
    least = middle["bytes"][always].idxmin()
    claim(least == "cyclic", f"Of those that always get there it sends least, {name}.")
    claim(middle["bytes"]["SCAFFOLD"] > middle["bytes"]["FedAvg"], "It costs more.")

# %% [markdown]
# ## 7. Difference on purpose
#
# Real hospitals differ in everything at once. So we pool the patients, and divide them among pretend hospitals that
# differ in one thing.

# %%
from fedkit.chapters import partitions

pool = federation.frame().drop(columns="hospital")
parts = {
    "nothing": partitions.iid(pool, 4, seed=7),
    "size": partitions.by_quantity_skew(pool, 4, alpha=0.3, seed=7, min_rows=20),
    "age": partitions.by_feature_shift(pool, "age", 4, strength=5, seed=7),
    "share of label 1": partitions.by_label_skew(pool, "label", 4, 3.0, seed=7),
}

# %% tags=["plumbing"]
# Figure: patients divided on purpose
counts = {name: rows.groupby("hospital") for name, rows in parts.items()}
counts = {
    name: rows.agg(patients=("label", "size"), share=("label", "mean"))
    for name, rows in counts.items()
}
plots.save(
    figures.partitions(parts, "age"),
    "partitions_on_purpose",
    pd.concat(counts, names=["differ in"]).reset_index(),
    "Four ways to divide patients, side by side. Above, bars for patients with each "
    "label; below, boxes for age. The first is even. In the others sizes, ages, or "
    "shares of label one differ. Where ages rise, the share of label one rises, too.",
)

# %% [markdown]
# Where ages differ, the share of ill patients differs too. Now a few methods on each. The score is the [log
# loss](glossary.md#log-loss), which punishes wrong probabilities.

# %%
from fedkit.chapters import heterogeneity
from fedkit.chapters.heterogeneity import AFL, Ditto, FedProx, Scaffold

FAIR = {"prepared": "alone", "penalty": 1.0, "epochs": 5}
METHODS = {"FedProx": FedProx(0.1), "SCAFFOLD": Scaffold(), "AFL": AFL()}
METHODS |= {"Ditto": Ditto(0.1), "own intercept": AtHome()}

# %% [markdown]
# Each number is a difference to FedAvg: below zero is *better*. *Alone* has five epochs a round.


# %% tags=["slide"]
def losses(place):
    """Log loss of each method, mean of hospitals and splits, minus FedAvg's."""
    how = {"rounds": ROUNDS, "seed": range(SEEDS)}
    found = {"FedAvg": learning.train_federated(place, **how)}
    found["alone"] = learning.train_local(place, **how, **FAIR)
    for name, algorithm in METHODS.items():
        found[name] = learning.train_federated(place, algorithm=algorithm, **how)
    mended = [heterogeneity.recalibrated(run, place) for run in found["FedAvg"]]
    found["recalibrated"] = mended
    loss = [run.final("log_loss").mean() for runs in found.values() for run in runs]
    loss = pd.Series(np.reshape(loss, (-1, SEEDS)).mean(axis=1), [*found])
    return (loss - loss["FedAvg"]).drop("FedAvg")


# %%
gallery = {}
for name, rows in parts.items():
    pretend = hospitals.from_frame(rows, site="hospital", label="label")
    gallery[f"differ in {name}"] = losses(pretend)
gallery["the four real ones"] = losses(federation)

# %% tags=["plumbing"]
# The claims of the picture below, checked
gallery = pd.DataFrame(gallery).T
own = gallery[["own intercept", "recalibrated"]]
records.glue("log_loss_by_own_intercept_label_skew", own.iloc[3, 0])
label = gallery.loc["differ in share of label 1"]
real = gallery.loc["the four real ones"]
if PROFILE == "full":  # one split and few rounds say little
    helped = max(own.loc[row.name].max() for row in (label, real))
    claim(helped < -0.03, "Own intercepts help where shares differ.")
    others = own.drop(index=[label.name, real.name])
    claim((others > -0.02).all(axis=None), "They do not help elsewhere.")
    corrected = gallery[["FedProx", "SCAFFOLD", "AFL"]]
    most = corrected.abs().max(axis=None)
    claim(
        most < own.loc[[label.name, real.name]].abs().min(axis=None), "Others do less."
    )
    alike = gallery["alone"].iloc[:3].mean()
    claim(alike > 0, "To be alone costs where one model fits all.")
# %% tags=["plumbing"]
# Figure: which method for which difference
plots.save(
    figures.heat(
        gallery,
        "Which method for which difference?",
        "log loss minus FedAvg's, mean of hospitals: purple is better",
        most=0.1,
    ),
    "method_for_difference",
    gallery.rename_axis("hospitals").reset_index(),
    "A table of colours: kinds of difference down, methods to the right. Own intercept "
    "and recalibrated are strongly purple for shares of label one and for the real "
    "hospitals. The first three rows have no strong purple.",
)

# %% [markdown]
# Where hospitals differ in nothing or in size, FedAvg is good already. The same holds for age, though shares differ
# there: the model *knows* the age, and what follows from it is the same everywhere. Where the share of label 1 differs
# for no reason that the columns show, a number of one's own helps. It helps the real hospitals, too. So ask: does a
# column explain our share? If not, keep a bias at home.
#
# One seed draws the pretend hospitals. So it tells directions, not sizes.
#
# ## A published table, put right
#
# [FLamby](https://github.com/owkin/FLamby) (Ogier du Terrail et al., NeurIPS 2022) is a widely used benchmark of
# federated learning. It takes our hospitals: the 740 patients with no empty cell in ten columns. Its authors published
# code, seeds and results. So we can train two of their models again.
#
# Their *pooled* column tests all test rows together, standardised by all training rows. The other columns test one
# hospital each, standardised by its own training rows. But the centralised model learnt from rows that were
# standardised together. At a hospital it meets inputs of another kind. With FedAvg, the *pooled* column does not fit.
#
# Below, *as tested there* is their test. *As trained* gives the same model the inputs that it learnt from. Ours takes
# their rows, columns, split and five seeds. These seeds change no test patient.

# %%
from fedkit.studies import flamby

rows = flamby.patients().query("complete").reset_index(drop=True)
test = flamby.drawn(rows)
ours = learning.train_federated(
    flamby.federation(rows, test, "theirs"),
    seed=flamby.SEEDS,
    algorithm=AtHome(),
    aggregator=aggregators.EncryptedMean(),
)
again = []
for seed, run in zip(flamby.SEEDS, ours, strict=True):
    found = flamby.theirs(rows, test, seed)
    p = run.predictions["probability"].to_numpy()
    found["fedkit, own intercept, encrypted"] = flamby.scored(rows[test], p)
    again += [(name, seed, *one) for name, part in found.items() for one in part]
again = pd.DataFrame(again, columns=["method", "seed", "hospital", "metric", "value"])
again = again[again["metric"] == "accuracy"]
again = again.pivot_table("value", ["method", "seed"], "hospital", sort=False)
again.groupby("method", sort=False).mean().round(3)

# %% tags=["plumbing"]
# That their numbers come out again, checked
printed = flamby.published().set_index(["method", "seed"])
NAMES = {"Pooled Training": "FLamby, centralised", "FedAvg100": "FLamby, FedAvg"}
for theirs, name in NAMES.items():
    off = again.loc[f"{name}, as tested there"] - printed.loc[theirs]
    off = off[printed.columns].abs().to_numpy()
    print(f"{theirs}: {(off < 1e-5).sum()} of {off.size} numbers as published")
    assert (off > 1e-5).sum() <= 1, "more than one number is another"
there, trained = (
    again.loc[f"FLamby, centralised, as {how}"] for how in ("tested there", "trained")
)
gain = trained - there
assert (gain["mean"] > 0.05).all(), "the mean of hospitals gains five points"
spread = again["pooled"].groupby("method").std()
much = spread["FLamby, FedAvg, as tested there"] > 0.02
little = spread["FLamby, centralised, as trained"] < 0.01
claim(much and little, "The seeds of their FedAvg differ much.")

# %% [markdown]
# So this is their protocol. Tested as it was trained, their centralised model is clearly better at the hospitals. Their
# FedAvg takes small steps and stops early, so its five seeds differ much.
#
# Now 20 splits by their rule; the first is theirs. *Nested* learns from patients with empty cells too. An inner
# cross-validation of training rows chooses its columns, intercepts and penalty: no test row has a say. `make study`
# computed this table, and we compute one split again. Each number is a difference to their centralised model, as
# trained.

# %%
table = flamby.GRID.table()
if PROFILE == "full":  # half a minute
    live = flamby.GRID.rows(flamby.SPLIT)
    assert grids.same(live, table), "The table is not what is computed here."
found = evaluation.paired_differences(table, "FLamby, centralised, as trained")
said = found[["mean", "low", "high"]].map("{:+.3f}".format)
found["text"] = said["mean"] + " [" + said["low"] + ", " + said["high"] + "]"
found.pivot_table("text", "method", ["metric", "hospital"], "first", sort=False)

# %% tags=["plumbing"]
# What the text says of the differences, checked
ends = found.pivot_table(["mean", "low", "high"], "method", ["metric", "hospital"])
mean, low, high = ends["mean"], ends["low"], ends["high"]
nested = ["fedkit, nested, FedAvg", "fedkit, nested, Newton"]
gain = "accuracy is more than two points better, and the interval begins near 0"
assert (mean.loc[nested, "accuracy"] > 0.02).all(axis=None), gain
assert (low.loc[nested, "accuracy"].abs() < 0.015).all(axis=None), gain
fedkit = [name for name in low.index if name.startswith("fedkit")]
aurocs = low.loc[fedkit, ("auroc", "mean")], high.loc[fedkit, ("auroc", "mean")]
assert (aurocs[0] < 0).all(), "no mean AUROC is surely better"
assert (aurocs[1] > 0).all(), "and none is surely worse"
assert (low.loc[nested, ("auroc", "pooled")] > 0).all(), "the pooled AUROC does"
pooled = mean["auroc", "pooled"]
assert pooled["fedkit, own intercept"] > pooled["fedkit, FedAvg"] + 0.01, "intercepts"

# %% [markdown]
# The nested models are some points more accurate, but their intervals begin near 0. **In the mean AUROC no difference
# can be shown**: each interval of ours holds 0. Their pooled AUROC is higher: own intercepts also order patients of
# *different* hospitals. Federation earns none of this: Newton's method finds the model of the pooled rows. What differs
# is what the model knows: empty cells, a penalty, and the level of each hospital. We did not test each alone.
#
# ## What you can do now
#
# 1. **Measure difference.** Count shares and means, and always beside shuffled patients.
# 2. **Write a method.** A class changes a step of a round. Written by hand, the own intercept was fedkit's to the bit,
#    and encryption changed nothing.
# 3. **Say what cures.** Wrong probabilities come from shares that differ. One number at each hospital mends them, before
#    or after training, and a centralised model gains the same. Methods that look for the one model in other ways do
#    not.
# 4. **Say when to stay alone.** If there is only one shared model and your patients are unlike the others'. With an own
#    intercept there is hardly a reason.
# 5. **Read a table with care.** Ask how rows were standardised, who chose, and where the guess is.
#
# Next: hospitals that are slow, or absent.
#
# ## Exercises
#
# **1. Predict.** Shuffle the patients among the four hospitals, so that nothing differs but size. Train FedAvg, and the
# own intercept. Compared with FedAvg, is the log loss (mean of hospitals) of the own intercept "lower", "same" (within
# 0.03), or "higher"?

# %% tags=["exercise"]
guess = ...  # "lower", "same" or "higher"

# %% tags=["solution"]
guess = "same"  # patients are alike everywhere: each own bias learns the same value

# %% tags=["plumbing"]
# Exercise 1, checked
import numpy as np
from fedkit import hospitals, learning
from fedkit.chapters import course
from fedkit.chapters.heterogeneity import AtHome


def found():
    rows = hospitals.load().frame()
    rows["hospital"] = np.random.default_rng(5).permutation(rows["hospital"])
    mixed = hospitals.from_frame(rows, site="hospital", label="label")
    how = {"rounds": 15, "seed": 3}
    own, shared = (
        learning.train_federated(mixed, algorithm=each, **how).final("log_loss").mean()
        for each in (AtHome(), None)
    )
    gap = own - shared
    return "same" if abs(gap) < 0.03 else "lower" if gap < 0 else "higher"


is_word = lambda it: it.strip(" .").lower() in ("lower", "same", "higher")  # noqa: E731
look = "What would each hospital's own bias learn, if patients are alike everywhere?"
right = (lambda it: it.strip(" .").lower() == found(), look)
is_word = (is_word, "Write one of the three words, in quotes.")
course.check("Exercise 1", guess, is_word, right)

# %% [markdown]
# **2. Modify.** `partitions.by_label_skew(pool, "label", 4, alpha, seed)` divides patients. Choose an `alpha` such that
# an own intercept lowers the log loss by more than 0.05, compared with FedAvg. The check draws a partition of its own.

# %% tags=["exercise"]
alpha = ...  # a number above 0

# %% tags=["solution"]
alpha = 0.3  # small: shares of label 1 are far apart

# %% tags=["plumbing"]
# Exercise 2, checked
import numpy as np
from fedkit import hospitals, learning
from fedkit.chapters import course, partitions
from fedkit.chapters.heterogeneity import AtHome


def helps(alpha):
    pool = hospitals.load().frame().drop(columns="hospital")
    gains = []
    for seed in (1, 2, 3):
        rows = partitions.by_label_skew(pool, "label", 4, alpha, seed)
        place = hospitals.from_frame(rows, site="hospital", label="label")
        how = {"rounds": 15, "seed": seed}
        runs = [
            learning.train_federated(place, algorithm=each, **how)
            for each in (None, AtHome())
        ]
        gains.append(np.subtract(*[run.final("log_loss").mean() for run in runs]))
    return np.mean(gains) > 0.05


look = "See the picture of partitions: does a small alpha bring shares together?"
is_number = (lambda it: 0 < float(it) < np.inf, "Write a number above 0.")
course.check("Exercise 2", alpha, is_number, (helps, look))

# %% [markdown]
# **3. Build.** Where sizes differ, one large hospital can decide for all. Write a method by which no hospital counts
# for more than `most` patients in the mean. `task.labels` are a hospital's training labels; the weight is a whole
# number.


# %% tags=["exercise"]
class Capped(learning.Algorithm):
    name = "capped"

    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        return ...


# %% tags=["solution"]
class Capped(learning.Algorithm):
    name = "capped"

    def __init__(self, most):
        self.most = most

    def weigh(self, task):
        return min(len(task.labels), self.most)


# %% tags=["plumbing"]
# Exercise 3, checked
import numpy as np
from fedkit import learning
from fedkit.chapters import course


def weights(kind):
    """What the class says of hospitals of 5, 90 and 300 patients, for two limits."""
    tasks = [learning.Task([], [], None, np.zeros(n), None) for n in (5, 90, 300)]
    return [[kind(most).weigh(task) for task in tasks] for most in (7, 120)]


def is_capped(kind):
    found = weights(kind)
    return ... if found[0][0] is ... else found == [[5, 7, 7], [5, 90, 120]]


look = "Tried with 5, 90 and 300 patients: who is below the limit keeps its own weight."
course.check("Exercise 3", Capped, (is_capped, look))

# %% [markdown]
# **4. Predict.** In the published table, the mean counts each hospital once. One more test patient of Switzerland is called right. By how much does the mean accuracy of the four hospitals rise? Write a number; `rows` and `test` help.

# %% tags=["exercise"]
rise = ...  # a number

# %% tags=["solution"]
swiss = test[rows["hospital"] == "Switzerland"].sum()
rise = 1 / swiss / 4  # a share of its patients, and a quarter of that

# %% tags=["plumbing"]
# Exercise 4, checked
from fedkit.chapters import course
from fedkit.studies import flamby

complete = flamby.patients().query("complete")
swiss = flamby.drawn(complete)[complete["hospital"] == "Switzerland"].sum()
course.check(
    "Exercise 4",
    rise,
    (
        lambda it: abs(float(it) * 4 * swiss - 1) < 0.05,
        "Count Switzerland's test rows: one patient is which share of them?"
        " The mean takes a quarter of that.",
    ),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. A small hospital lies far from the mean of all patients. What should stand beside this distance?**
#
# <details><summary>The distance of the largest hospital, as a measure for all</summary>
#
# Not this one: chance moves a large hospital less than a small one. So the two cannot be compared like that.
#
# </details>
# <details><summary>The distance that it has if patients are shuffled</summary>
#
# Right: with few patients, chance alone makes a distance. Only what is beyond it is a difference.
#
# </details>
# <details><summary>The distance that is left when the model is trained</summary>
#
# Not this one: the patients do not change when a model is trained. The question is what chance does.
#
# </details>
#
# **2. FedProx, SCAFFOLD and server momentum gain no accuracy here. Why?**
#
# <details><summary>They look for one model in other ways, and one cannot fit all</summary>
#
# Right: even pooled training has the fault. What helps is a number of each hospital's own.
#
# </details>
# <details><summary>They were run with settings that nobody had chosen well</summary>
#
# Not this one: settings were chosen by cross-validation inside the training rows. And what they aim at has the same
# fault.
#
# </details>
# <details><summary>They find a model that is far from what pooling would give</summary>
#
# Not this one: most of them find about the pooled model. But that one has the same fault.
#
# </details>
#
# **3. Where does a hospital need a bias of its own?**
#
# <details><summary>Wherever hospitals differ, in whatever it may be</summary>
#
# Not this one: where they differed in size or in age, it did not help. FedAvg was good there already.
#
# </details>
# <details><summary>Wherever its patients are older than those of the others</summary>
#
# Not this one: the model knows the age. What follows from it is the same everywhere.
#
# </details>
# <details><summary>Where no column explains why its share of label 1 differs</summary>
#
# Right: then the weights cannot know it, and only a number of its own can. Ask this before you train.
#
# </details>
#
# **4. When do these rows say that a hospital should stay alone?**
#
# <details><summary>When it has enough patients for a model of its own</summary>
#
# Not this one: against a model with an own intercept, no hospital surely gains by staying alone.
#
# </details>
# <details><summary>When it is unlike the others, and may keep no bias</summary>
#
# Right: so it is with Switzerland and one shared model. With an own intercept, there is no such reason any more.
#
# </details>
# <details><summary>When it has very few patients, who hardly count in the mean</summary>
#
# Not this one: on average, the small hospitals order their patients better together than alone.
#
# </details>
#
# **5. FLamby's pooled model is clearly better if it is tested as it was trained. What was wrong before?**
#
# <details><summary>It got inputs that were standardised in another way</summary>
#
# Right: it learned from rows that were standardised together. At a hospital it was tested with that hospital's own
# means.
#
# </details>
# <details><summary>It was tested on patients whom it had learned from</summary>
#
# Not this one: that makes a score too good. Theirs was too low.
#
# </details>
# <details><summary>It was tested on other patients with each of the seeds</summary>
#
# Not this one: these seeds change no test patient. The same ones are tested five times.
#
# </details>
