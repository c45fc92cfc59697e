# %% [markdown]
# # 07. Can one hospital spoil the model for all?
#
# *Two minutes to run, 35 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb).*
#
# By the end you can:
#
# - poison a training through rows and through updates, and measure what it does at each hospital;
# - write a robust rule by hand, and say how many attackers a rule bears, and where it breaks;
# - say why encryption carries poison untouched, and what a robust rule under encryption costs in privacy;
# - find harm that AUROC does not show: a backdoor, and an honest hospital that is shut out;
# - read an audit log, and say what a signature, a hash chain and a claimed number prove.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 8  # how many splits into train and test rows, with four hospitals
SEEDS_MANY = 5  # the same, with fifteen pretend hospitals
FIRST_SEED = 0  # the seed of the first of them
ROUNDS = 12  # rounds of each training

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"SEEDS": 8, "SEEDS_MANY": 5, "FIRST_SEED": 0, "ROUNDS": 12},
    {"SEEDS": 3, "SEEDS_MANY": 2, "ROUNDS": 8},
)

# %% [markdown]
# ## One poisoned update
#
# Until now, all hospitals were honest. A [malicious](glossary.md#malicious) one sends what it likes: we call that
# [poison](glossary.md#poison). First we catch one round of honest updates, as the curious server of notebook 03 did.

# %% tags=["plumbing"]
# A curious server, as in notebook 03, and how many patients each trains on
from fedkit import aggregators, hospitals, learning


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights
        return own, updates, weights


federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
run_watched = learning.train_federated(federation, rounds=1, aggregator=curious, seed=0)
updates, patients = curious.seen, curious.patients
patients

# %% [markdown]
# Now Hungary sends its update with the sign flipped, four times as long. Does the mean still point where the honest
# mean points? The [cosine](glossary.md#cosine) tells: 1 is the same direction, -1 the opposite.

# %% tags=["slide"]
import numpy as np


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


poisoned = updates | {"Hungary": -4 * updates["Hungary"]}
mean_honest, mean_poisoned = (
    aggregators.weighted_mean([*sent.values()], [*patients.values()])
    for sent in (updates, poisoned)
)
print(f"poisoned and honest mean: {cosine(mean_honest, mean_poisoned):+.2f}")

# %% [markdown]
# One hospital turned the model around. Three lines help: sort each number by itself, drop the largest and the smallest,
# take the middle. This is the [coordinate median](glossary.md#coordinate-median) (Yin et al., 2018).

# %% tags=["slide"]
from fedkit import records
from fedkit.chapters import robust

in_order = np.sort(np.stack([*poisoned.values()]), axis=0)
middle_two = in_order[1:3]
by_hand = middle_two.mean(axis=0)
print(f"poisoned median and honest mean: {cosine(mean_honest, by_hand):+.2f}")

ledger = records.Ledger()
_, median = robust.Median().aggregate(None, poisoned, patients, ledger)
assert np.allclose(by_hand, median, atol=1e-6), "fedkit takes the same median."

# %% [markdown]
# A rule that a few attackers cannot steer is [robust](glossary.md#robust). fedkit has more of them:
#
# - **clipped**: longer updates are cut to the median length, then averaged (Sun et al., 2019);
# - **Krum**: take the one update that is closest to its neighbours (Blanchard et al., 2017);
# - **FLTrust**: one hospital is trusted. Others count as far as they point its way (Cao et al., 2021).
#
# Krum against f attackers needs 2f + 3 hospitals, so our four are too few for one.
#
# ## A whole training
#
# Poison has two ways in. *Rows*: Hungary flips its labels, and then trains as usual. *Updates*: it flips signs, as
# above. In the last case two of the four flip signs, Hungary and Switzerland.
#
# `Poisoned` stands before any rule, and swaps the attackers' updates. At the end, one rule trusts the attacker. We
# score every model on rows as they were *before* the poison, on the same splits for all.

# %%
from fedkit.chapters.attacks import forging, poisoning

flip = forging.SignFlip(4)
cases = {
    "honest": (federation, {}),
    "labels": (poisoning.flip_labels(federation, ["Hungary"]), {}),
    "signs": (federation, {"Hungary": flip}),
    "two, signs": (federation, {"Hungary": flip, "Switzerland": flip}),
}
rules = {
    "mean": aggregators.Mean(),
    "median": robust.Median(),
    "clipped": robust.NormClipped(),
    "FLTrust": robust.FLTrust("VA Long Beach"),
}

# %% tags=["plumbing"]
# train: with attackers; score: at each hospital
from itertools import product

import pandas as pd

from fedkit import evaluation


def train(trained_on, attackers, rule, seeds=SEEDS):
    rule = forging.Poisoned(rule, attackers)
    how = {"rounds": ROUNDS, "seed": range(FIRST_SEED, FIRST_SEED + seeds)}
    return learning.train_federated(trained_on, aggregator=rule, **how)


def score(method, runs, clean, trained_on=None, wanted=("auroc",), **door):
    scores = [
        poisoning.evaluate(run, clean, trained_on, wanted=wanted, **door).assign(
            seed=run.settings["seed"]
        )
        for run in runs
    ]
    table = pd.concat(scores, ignore_index=True)
    means = table.groupby(["seed", "metric"], as_index=False)["value"].mean()
    return pd.concat([table, means.assign(hospital="mean")]).assign(method=method)


# %%
runs = {
    (case, rule): train(*cases[case], rules[rule])
    for case, rule in product(cases, rules)
}
runs["signs", "FLTrust, betrayed"] = train(*cases["signs"], robust.FLTrust("Hungary"))


# %% tags=["plumbing"]
# The AUROC of each hospital, a line a case and rule; means with their intervals
def tell(rows, sign=""):
    forms = ["{mean:{s}.2f}", "{mean:{s}.2f} [{low:{s}.2f}, {high:{s}.2f}]"]
    each = rows[["mean", "low", "high", "n"]].to_dict("records")
    return [forms[one["n"] > 1].format(s=sign, **one) for one in each]


scores_four = pd.concat(
    score(f"{case}: {rule}", runs[case, rule], federation, cases[case][0])
    for case, rule in runs
)
four = evaluation.summary(scores_four)
four[["case", "rule"]] = four["method"].str.split(": ", expand=True).to_numpy()
wide = four.pivot_table("mean", ["case", "rule"], "hospital").round(2)
mean_four = four[four["hospital"] == "mean"].set_index(["case", "rule"])
wide["mean"] = mean_four.assign(told=tell)["told"]
wide.loc[[*runs]]

# %% [markdown]
# That is the AUROC of each hospital, and their mean with its 95% interval; 0.5 is a coin. Look at the four lines of the
# mean. Labels alone bring it near a coin at VA Long Beach, less far down at Cleveland and Hungary; at Switzerland, that
# depends on the splits. (Seeds 8 to 15 and 16 to 23 are others: write `FIRST_SEED = 8`.) Signs bring it far below a coin
# at all four. Against one who flips signs, robust rules hold. Against two, the median is lost. FLTrust holds, as long as
# the trusted hospital is honest: see the last line.

# %% tags=["plumbing"]
# What the text says of the cases, checked
assert cosine(mean_honest, mean_poisoned) < 0 < 0.5 < cosine(mean_honest, by_hand)
auroc = mean_four["mean"]
claim(auroc["labels", "mean"] < auroc["honest", "mean"] - 0.1, "Labels spoil a mean.")
far = wide.loc["labels", "mean"]["VA Long Beach"]
near = wide.loc["labels", "mean"][["Cleveland", "Hungary"]].min()
claim(far < 0.6 < near, "One is near a coin, two are not.")
claim(auroc["signs", "mean"] < 0.4, "Flipped signs turn a mean around.")
claim(
    min(auroc["signs", rule] for rule in ("median", "clipped", "FLTrust")) > 0.6,
    "Robust rules bear one of four.",
)
claim(auroc["two, signs", "median"] < 0.55, "Two of four break a median.")
claim(auroc["two, signs", "FLTrust"] > 0.7, "FLTrust bears two of four.")
claim(auroc["signs", "FLTrust, betrayed"] < 0.5, "FLTrust follows whom it trusts.")
claim(
    mean_four["high"]["signs", "mean"] < mean_four["low"]["signs", "median"],
    "The mean's interval is apart from the median's.",
)
for case, rule in [("honest", "mean"), *product(["labels", "signs"], ["mean"])]:
    records.glue(f"auroc_{case}_{rule}", auroc[case, rule])
for case, rule in [("signs", "median"), ("signs", "FLTrust"), ("two, signs", "median")]:
    records.glue(f"auroc_{case}_{rule}".replace(", ", "_"), auroc[case, rule])

# %% [markdown]
# Are robust rules free? Nobody attacks now: what does each rule cost each hospital, minus the mean on the same
# splits? A median hears what most say: one could fear for Switzerland, whose patients differ and are the fewest.

# %% tags=["plumbing"]
# What each rule costs each hospital, checked
honest = scores_four[scores_four["method"].str.startswith("honest")]
price = evaluation.paired_differences(honest, "honest: mean")
costs = price[price["method"] == "honest: median"].set_index("hospital")
claim(costs["mean"].abs().max() < 0.05, "A median costs little.")
trust = price[price["method"] == "honest: FLTrust"].set_index("hospital")
claim((trust["mean"] < 0).all(), "On average, FLTrust costs each hospital something.")
settled = trust["high"]["Cleveland"] < 0 or PROFILE == "smoke"  # too few splits
claim(settled, "FLTrust costs Cleveland something.")
claim((costs["high"] > 0).all(), "What a median costs is not settled.")
for name in ("Switzerland", "Cleveland"):
    records.glue(f"median_costs_{name.lower()}", costs["mean"][name])
told = price.assign(text=tell(price, "+"))
told.pivot_table("text", "hospital", "method", aggfunc="first")

# %% [markdown]
# FLTrust has a price: its mean is below zero at each hospital, on other splits too. Whose interval lies wholly below
# zero depends on the splits: here Cleveland's, with seeds 8 to 15 VA Long Beach's. A median's mean prices are small at
# each hospital, and no splits settle them.
#
# ## Encryption carries poison untouched
#
# Who holds what? As in notebook 03, each hospital hides its update under a key of its own, which is used once. The
# server has none, and sees ciphertexts, senders and bytes; hospitals read the sum. That protects an honest update, and
# hides a false one just as well. The flipped signs again, encrypted:

# %%
from fedkit import models

runs_bfv = train(*cases["signs"], aggregators.EncryptedMean())
flat, flat_bfv = (
    np.stack([models.flatten(run.weights["shared"]) for run in trained])
    for trained in (runs["signs", "mean"], runs_bfv)
)
gap = np.abs(flat - flat_bfv).max() / np.abs(flat).max()
assert gap < 1e-5, "The same poison gives the same model through encryption."
print(f"largest difference of the weights, as a share of the longest: {gap:.0e}")

# %% [markdown]
# Could hospitals *clip* before they encrypt? The honest ones would. To check a bound on a ciphertext needs proofs
# (Lycklama et al., 2023, *RoFL*), which fedkit does not have. And a signature? Hungary signs its poison:

# %%
from fedkit.encryption import identities

hungary = identities.Identity.new("Hungary")
message = poisoned["Hungary"].astype("<f4").tobytes()
assert identities.verify(hungary.public, hungary.sign(message), message)
print("The signature is in order. It says who sent these bytes, not what is true.")

# %% [markdown]
# ## Groups: between hidden and compared
#
# A median must compare, and encryption hides. A middle way: put hospitals into **groups**, add up each group encrypted,
# and take the median of the groups' means (Velicheti et al., 2021). A group is a list of its own: the keys that its
# members share open its sum, and no other. We need more hospitals: fifteen pretend ones, dealt from the same patients,
# all alike.

# %%
from fedkit.chapters import partitions

pooled = federation.frame().drop(columns="hospital")
dealt = partitions.iid(pooled, 15, seed=0)
many = hospitals.from_frame(dealt, site="hospital", label="label", name="fifteen")
in_three, in_five = (
    robust.GroupwiseEncrypted(aggregators.EncryptedMean(), groups) for groups in (3, 5)
)
for rule in (in_three, in_five):
    dealt = [sorted(group) for group in rule.members(many.names, 1)]
    print(rule.name, *(" ".join(group) for group in dealt), sep="\n    ")

# %% [markdown]
# The price is privacy. All hospitals read each *group's* sum. Among fifteen, a hospital hides behind fourteen others.
# In a group of three it hides behind two, and if these two work together, they subtract their own parts (exercise 3).
# In a group of two, each could do that alone. So it is refused, and our four hospitals are too few. Krum says so, too:

# %% tags=["plumbing"]
# Four hospitals are too few for groups, and for Krum
for rule in (in_three, robust.Krum(1)):
    try:
        rule.start(federation.names, {}, ledger)
    except ValueError as refusal:
        print(refusal)
    else:
        raise RuntimeError(f"Four hospitals should be too few for {rule.name}.")

# %% [markdown]
# ## How loud, and how many?
#
# How many attackers does a rule bear? That depends on how loud they are. Here *one* of fifteen flips its signs, 5, 10
# and 20 times as long.


# %% tags=["plumbing"]
# attack_many: the fifteen are attacked; of_many: their mean, and the lowest
rules_many = {"mean": aggregators.Mean(), "median": robust.Median()}


def attack_many(rule, count, attack):
    """Hospitals 1 to count attack: scores of all fifteen, on honest rows."""
    attackers = {f"hospital {number}": attack for number in range(1, count + 1)}
    trained = train(many, attackers, rules_many[rule], SEEDS_MANY)
    return score(f"{rule}: {count}", trained, many)


def of_many(scores):
    found = evaluation.summary(scores)
    is_mean = found["hospital"] == "mean"
    lowest = found[~is_mean].groupby("method")["mean"].min()
    table = found[is_mean].set_index("method", drop=False)
    return table.assign(auroc=tell, lowest=lowest.round(2))


# %%
volumes = {}
for rule, times in product(["mean", "median"], [5, 10, 20]):
    heard = attack_many(rule, 1, forging.SignFlip(times))
    volumes[f"{rule}, {times} times"] = of_many(heard).iloc[0]
volumes = pd.DataFrame(volumes).T
volumes[["auroc", "lowest"]]

# %% [markdown]
# A mean seems to bear one attacker, as long as it does not shout. It bears *none*: each attacker only has to be loud
# enough, and may choose how loud it is. To a median, loud and very loud are the same. So all attackers are as loud as
# that now, 20 times: nobody, then hospital 1, then 2 and 3 as well. Five rules, the last two encrypted.

# %%
rules_many |= {"Krum": robust.Krum(6), in_three.name: in_three, in_five.name: in_five}
loud = forging.SignFlip(20)
scores_many = pd.concat(
    attack_many(rule, count, loud) for rule, count in product(rules_many, range(4))
)

# %% tags=["plumbing"]
# How many each rule bears, checked and drawn
from fedkit import plots
from fedkit.chapters import figures

by_count = of_many(scores_many)
by_count[["method", "attackers"]] = [name.split(": ") for name in by_count.index]
by_count = by_count.astype({"attackers": int}).reset_index(drop=True)
plots.save(
    figures.auroc_by_attackers(by_count),
    "auroc_by_attackers",
    by_count,
    """Five lines start together at no attacker. At one, only the mean falls, below the
    line of a coin. At two, the median of three groups follows. At three, the median of
    five groups. The plain median and Krum stay up.""",
)

# %% [markdown]
# Why? One attacker spoils its whole group. Look at the groups above: hospitals 1 and 2 sit in two of three groups,
# which is most of them. Hospitals 1 to 3 sit in three of five groups. All fifteen are alike, so the picture shows their
# mean. The table shows the lowest of the fifteen, at each number of attackers:

# %% tags=["plumbing"]
# The lowest of the fifteen; and what the text says of both, checked
held = by_count.set_index(["method", "attackers"])["mean"]
three, five, at = in_three.name, in_five.name, volumes["mean"]
claim(at["mean, 5 times"] > 0.75, "A mean seems to bear somebody who is not loud.")
claim(at["mean, 20 times"] < 0.5, "Loud enough, one attacker turns a mean around.")
claim(
    min(at[f"median, {times} times"] for times in (5, 10, 20)) > 0.8,
    "A median holds, however loud one attacker is.",
)
up = [held["median", 3], held["Krum", 3], held[five, 2], held[three, 1]]
claim(min(up) > 0.8, "Robust rules hold as long as they should.")
claim(
    max(held["mean", 1], held[three, 2], held[five, 3]) < 0.5,
    "The mean falls to 1, groups to 2 and 3.",
)
glued = {"mean_1": held["mean", 1], "median_3": held["median", 3]}
glued |= {"three_groups_2": held[three, 2], "five_groups_2": held[five, 2]}
glued |= {f"mean_{times}_times": at[f"mean, {times} times"] for times in (5, 10)}
for name, value in glued.items():
    records.glue(f"fifteen_{name}", value)
by_count.pivot_table("lowest", "method", "attackers", sort=False)

# %% [markdown]
# ## A backdoor
#
# A spoiled model is noticed. A quieter attacker opens a [backdoor](glossary.md#backdoor): patients with a certain
# [trigger](glossary.md#trigger) get label 0. The rest should work as before. Our trigger is nothing strange: three
# values that each occur, but hardly ever together.
#
# Hungary plants it in half of its rows, with label 0 (Bagdasaryan et al., 2020). Then it also **boosts** its update:
# sends it three times as long. Success is counted over patients with label 1: how many are predicted 0, once the
# trigger is shown?

# %%
door = poisoning.Backdoor({"fbs": 1.0, "restecg": "1", "sex": 0.0}, target=0)
planted, boost = door.plant(federation, ["Hungary"]), {"Hungary": forging.Boost(3)}
door_runs = {"mean, planted": train(planted, {}, rules["mean"])}
for rule in rules:
    door_runs[f"{rule}, honest"] = runs["honest", rule]
    door_runs[f"{rule}, boosted"] = train(planted, boost, rules[rule])

# %% tags=["plumbing"]
# How often the backdoor opens, scored and drawn
door_cases = [
    f"{rule}, {how}" for rule in rules for how in ("honest", "planted", "boosted")
]
door_cases = [case for case in door_cases if case in door_runs]
door_scores = []
for case in door_cases:
    trained_on = federation if "honest" in case else planted
    how = {"backdoor": door, "wanted": ["auroc"]}
    door_scores.append(score(case, door_runs[case], federation, trained_on, **how))
doors = evaluation.summary(pd.concat(door_scores))
doors[["low", "high"]] = doors[["low", "high"]].clip(0, 1)  # shares end there
plots.save(
    figures.backdoor(doors[doors["hospital"] == "mean"].reset_index(drop=True)),
    "backdoor",
    doors[doors["hospital"] == "mean"],
    """On the left AUROC of nine cases, all close together. On the right the success.
    It is less than a half for the honest mean, and nearly all once a backdoor is
    planted and boosted. The median ends between these two, clipping helps less, and
    FLTrust stays where it was.""",
)

# %% [markdown]
# AUROC falls a little, and nobody would look for a backdoor because of that: hardly any patient carries the trigger by chance. Only who knows it can test for it. Under the mean, at each hospital:

# %% tags=["plumbing"]
# The success at each hospital; and what picture and text say of it, checked
has = pd.DataFrame({key: pooled[key] == value for key, value in door.trigger.items()})
assert has.all(axis=1).mean() < 0.05 < has.mean().min(), "Common, and rare together."
found = doors[doors["hospital"] == "mean"].set_index(["metric", "method"])["mean"]
success, looked_at = found["backdoor"], found["auroc"]
changed = {
    rule: success[f"{rule}, boosted"] - success[f"{rule}, honest"] for rule in rules
}
claim(0.3 < success["mean, honest"] < 0.5, "With no backdoor, less than a half.")
claim(0.2 < changed["clipped"] < changed["mean"], "Clipping lets much of it in.")
claim(0 < changed["median"] < changed["clipped"], "A median lets less in.")
claim(abs(changed["FLTrust"]) < 0.15, "FLTrust keeps it out.")
fell = looked_at["mean, honest"] - looked_at["mean, boosted"]
claim(fell < 0.05 < 0.4 < changed["mean"], "AUROC hides the backdoor.")
for how in ("honest", "planted", "boosted"):
    records.glue(f"backdoor_mean_{how}", success[f"mean, {how}"])
for rule in ("median", "FLTrust"):
    records.glue(f"backdoor_{rule}_boosted", success[f"{rule}, boosted"])
opened = doors[doors["metric"] == "backdoor"]
under_mean = doors[doors["method"].str.match("mean") & doors["metric"].ne("no trigger")]
under_mean.pivot_table("mean", "hospital", ["metric", "method"], sort=False).round(2)

# %% [markdown]
# ## Where rules break
#
# Loud attackers are easy to see. Six quiet ones meet, look how far their own honest updates lie apart, and all send one
# update that is just inside this spread, on the wrong side. This is *a little is enough* (Baruch et al., 2019). Krum
# against six needs 15 hospitals, which we have. And a median breaks where more than half of the hospitals
# [collude](glossary.md#collude).

# %%
quiet = forging.LittleIsEnough(1.5)
broken = {
    "Krum: 0": scores_many[scores_many["method"] == "Krum: 0"],
    "Krum: 6 loud": attack_many("Krum", 6, loud),
    "Krum: 6 quiet": attack_many("Krum", 6, quiet),
    "median: 8 loud": attack_many("median", 8, loud),
}

# %% tags=["plumbing"]
# What is left, checked; and quiet against loud, on the same splits
broken = pd.concat(scores.assign(method=name) for name, scores in broken.items())
reached = of_many(broken)
claim(
    reached["mean"]["Krum: 6 quiet"] < reached["mean"]["Krum: 6 loud"] - 0.05,
    "Quiet colluders cost Krum more than loud ones.",
)
claim(
    reached["mean"]["Krum: 6 loud"] > reached["mean"]["Krum: 0"] - 0.03,
    "Krum bears six loud ones.",
)
claim(reached["mean"]["median: 8 loud"] < 0.5, "Eight of fifteen break a median.")
for name in ("Krum: 6 loud", "Krum: 6 quiet", "median: 8 loud"):
    records.glue(
        name.lower().replace(": ", "_").replace(" ", "_"), reached["mean"][name]
    )
quieter = evaluation.paired_differences(broken, "Krum: 6 loud")
quieter = quieter[
    quieter["hospital"].eq("mean") & quieter["method"].eq("Krum: 6 quiet")
]
print(f"quiet minus loud under Krum, on the same splits: {tell(quieter, '+')[0]}")
reached[["auroc", "lowest"]]

# %% [markdown]
# Krum never takes a loud update, which is far from all others. Quiet colluders send the *same* update, so they are each
# other's nearest neighbours, and Krum takes theirs. Does the interval hold zero? Then these few splits are a hint, and
# no proof. That eight of fifteen break a median is beyond doubt.
#
# ## Shutting somebody out
#
# Why not find the culprit? [Screening](glossary.md#screening) reads updates in the clear, gives each a score, flags low
# ones, and **excludes** who is flagged too often. One score is the cosine to the mean of the others:

# %% tags=["slide"]
from fedkit.chapters import screening


def to_others(name):
    others = [other for other in updates if other != name]
    mean = sum(patients[other] * updates[other] for other in others)
    return cosine(updates[name], mean)


by_hand = {name: to_others(name) for name in updates}
by_fedkit = screening.cosines(updates, patients)
assert np.allclose([*by_hand.values()], [*by_fedkit.values()], atol=1e-6)
{name: round(float(value), 2) for name, value in by_hand.items()}

# %% [markdown]
# All are *honest*, and Switzerland, whose patients differ, has the lowest. In later rounds it falls below zero, as you
# will see. Another score is
# [influence](glossary.md#influence): how much larger is the loss on [held-out](glossary.md#held-out) patients without
# this hospital? It needs patients whom somebody may look at. We take 15 test patients of each hospital, as they were
# before the poison.

# %% tags=["plumbing"]
# screen: a training that is watched; held_out: patients to measure influence on
from fedkit import preparation

assert min(by_hand, key=by_hand.get) == "Switzerland", "Switzerland differs most."
model = models.logistic_regression()


def held_out(trained_on, seed):
    split, features, labels = preparation.split(trained_on, seed), [], []
    for name, part in split.hospitals.items():
        rows = part.test_rows[:15]
        table = federation[name].table.iloc[rows]
        features.append(preparation.prepare(table, split.statistics))
        labels.append(federation[name].labels[rows].astype(np.float32))
    features, labels = np.concatenate(features), np.concatenate(labels)
    start = model.initial_weights(features.shape[1], seed)
    return screening.HeldOut(model, start, features, labels)


def screen(trained_on, attackers, rule, seed, note):
    look = held_out(trained_on, seed)
    screened = screening.Screened(aggregators.Mean(), rule, look, note)
    rule = forging.Poisoned(screened, attackers)
    how = {"rounds": ROUNDS, "seed": seed}
    learning.train_federated(trained_on, aggregator=rule, **how)


# %%
by_cosine = screening.Rule(cosine=0.0, influence=None, strikes=3)
by_influence = screening.Rule()  # below -0.01, twice in the first ten rounds
rider = {"Hungary": forging.FreeRider()}
screenings = {
    "cosine, all honest": (*cases["honest"], by_cosine),
    "influence, all honest": (*cases["honest"], by_influence),
    "cosine, labels flipped": (*cases["labels"], by_cosine),
    "influence, labels flipped": (*cases["labels"], by_influence),
    "influence, free rider": (federation, rider, by_influence),
    "influence, backdoor": (planted, {}, by_influence),
}
shut_out = []
for (case, how), number in product(screenings.items(), range(SEEDS_MANY)):
    seed = FIRST_SEED + number
    events = []
    screen(*how, seed, events.append)
    shut_out.append(screening.table(events).assign(case=case, seed=seed))

# %% tags=["plumbing"]
# Who was shut out, checked and drawn
ends = pd.concat(shut_out).groupby(["case", "seed", "hospital"], sort=False)["excluded"]
shares = ends.any().groupby(["case", "hospital"], sort=False).mean()
share, shares = shares, shares.reset_index()
honestly = shares["case"].str.contains("honest")
shares["malicious"] = shares["hospital"].eq("Hungary") & ~honestly
claim(share["cosine, all honest", "Switzerland"] > 0.5, "Honest Switzerland is out.")
claim(share["influence, all honest"].max() == 0, "Influence shuts out nobody honest.")
found = share["influence, labels flipped", "Hungary"]
both = [share["cosine, labels flipped", "Hungary"], found]
claim(min(both) > 0.5, "Flipped labels are found.")
for case in ("influence, free rider", "influence, backdoor"):
    claim(share[case, "Hungary"] < 0.5, "What harms no held-out patient hardly shows.")
records.glue("cosine_excludes_switzerland", share["cosine, all honest", "Switzerland"])
records.glue("influence_finds_flipped_labels", found)
plots.save(
    figures.exclusions(shares),
    "exclusions",
    shares,
    """Six panels with a bar for each hospital. With the cosine, a hatched bar stands at
    Switzerland though nobody attacks. With flipped labels, either score finds Hungary.
    For a free rider and a backdoor, Hungary's bar is empty or short.""",
)

# %% [markdown]
# A [free rider](glossary.md#free-rider) trains nothing and sends the last mean back. It harms nobody, so influence does
# not see it. It seldom sees a backdoor. The harm to watch is the other one: an honest, small hospital that is shut out
# because its patients differ.
#
# ## The audit log, read aloud
#
# Who excludes must answer for it. `Screened` notes each decision in an [audit log](glossary.md#audit-log), one line a
# hospital and round. A **hash** is a short fingerprint of bytes: change one sign, and it is another. The usual rule for
# it is called SHA-256; nobody knows how to find two texts with the same one. Each line carries a hash of itself *and*
# of the line before: a [hash chain](glossary.md#hash-chain). Hungary flips its labels again. We read the first round.

# %%
import tempfile
from pathlib import Path

from fedkit.chapters import audit

scratch = tempfile.TemporaryDirectory()
log = audit.Log(Path(scratch.name) / "audit.jsonl")
screen(*cases["labels"], by_influence, 0, log.append)
events = audit.verify(log.path)

# %% tags=["plumbing"]
# The first lines; and what the text says of them, checked
read = pd.DataFrame(events[:4]).set_index("hospital")
read["update"] = read["update"].str[:8]  # the hash of the update
claim(
    read["cosine"]["Cleveland"] < 0 < read["influence"]["Cleveland"],
    "It helps, and seems not to.",
)
claim(read["influence"]["Hungary"] < 0, "Hungary harms.")
read[["update", "cosine", "influence", "flagged", "excluded"]].round(3)

# %% [markdown]
# Cleveland is honest, and its cosine is below zero: the mean of the others is full of Hungary's poison. Influence asks
# the held-out patients, and finds the right one.
#
# Now somebody with access to the file wants to look better. He puts another name into line 2, or removes the line. Or
# he cuts off the end; for that, hospitals must remember the last hash, the **head**.


# %% tags=["plumbing"]
# verdict: what `verify` says if he changes a line, removes one, cuts off the end
def verdict(path, head=None):
    try:
        return f"{len(audit.verify(path, head))} lines, and nothing is wrong"
    except ValueError as alarm:
        return str(alarm).replace(scratch.name, "...")


lines, head = log.path.read_bytes().splitlines(keepends=True), audit.head(log.path)
tampered = {
    "changed": [lines[0], lines[1].replace(b'"Hungary"', b'"Nobody"'), *lines[2:]],
    "removed": lines[:1] + lines[2:],
    "cut off": lines[:-2],
}
for what, content in tampered.items():
    log.path.write_bytes(b"".join(content))
    assert "nothing" not in verdict(log.path, head), f"Nobody noticed: {what}."
    print(f"{what}: {verdict(log.path, head)}")

# %% [markdown]
# And if he writes the whole log again, from the start? He makes Hungary innocent in each line, and chains them all again.

# %%
anew = audit.Log(Path(scratch.name) / "anew.jsonl")
for event in events:
    anew.append(event | {"flagged": False, "excluded": False})
assert len(audit.verify(anew.path)) == len(events), "Without the head it passes."
print(f"without the head: {verdict(anew.path)}")
print(f"with the head: {verdict(anew.path, head)}")

# %% [markdown]
# So what does the chain prove? *With* a head that somebody wrote down elsewhere: up to this head, the log is what it
# was on that day. *Without* one: each line follows the one before, and no more. It never proves that what was written
# down was true.
#
# ## A number that nobody checks
#
# The mean is weighted by patients, and each hospital says itself how many it has. Switzerland trains honestly on honest
# rows. It only claims 20,000 patients. See how large its share of the weight then is. What could others do? Agree on
# the numbers before, and **cap** a claim: at most twice the median, say.

# %% tags=["plumbing"]
# What a claim costs each hospital, minus the honest mean on the same splits
cap = round(2 * np.median([*patients.values()]))
claimed = []
for what, count in {"20,000 claimed": 20_000, f"capped at {cap}": cap}.items():
    liar = forging.Poisoned(aggregators.Mean(), {}, claims={"Switzerland": count})
    claimed.append(score(what, train(federation, {}, liar), federation))
claimed = pd.concat([*claimed, honest[honest["method"] == "honest: mean"]])
lost = evaluation.paired_differences(claimed, "honest: mean")
lost_mean = lost[lost["hospital"] == "mean"].set_index("method")["mean"]
claim(lost_mean["20,000 claimed"] < -0.02, "One false number costs the others.")
claim(
    lost_mean[f"capped at {cap}"] > lost_mean["20,000 claimed"] / 2,
    "A cap wins most of it back.",
)
records.glue("claim_costs", lost_mean["20,000 claimed"])
high = lost.set_index(["hospital", "method"])["high"]
paid = high["Hungary", "20,000 claimed"]
claim(paid < 0 or PROFILE == "smoke", "The claim costs Hungary something.")
lies = patients | {"Switzerland": 20_000}
print(f"Switzerland's share of the weight: {20_000 / sum(lies.values()):.0%}")
_, told_lies = robust.Median().aggregate(None, poisoned, lies, ledger)
assert np.array_equal(told_lies, median), "To a median, a hospital is one vote."
told = lost.assign(text=tell(lost, "+"))
told.pivot_table("text", "hospital", "method", aggfunc="first")

# %% [markdown]
# One false number gives Switzerland nearly all the weight. That it costs Hungary is settled, on other splits too. For
# the others, and in the mean, the splits disagree. Under encryption the server cannot see the claim. But in notebook
# 03, hospitals also read how many patients there are in *all*: each can compare this with what was agreed. And to a
# median, Krum and FLTrust a hospital is one vote, whatever it claims.
#
# ## What to take, and for what
#
# The table is made from the numbers above. "bears" is the largest number of sign flippers among fifteen, of up to
# three, at which AUROC is within 0.1 of the honest mean, all 20 times as loud. Of quiet ones, see above. The other columns are means of
# our four hospitals.


# %% tags=["plumbing"]
# A line a rule
def bears(rule):
    within = [held[rule, count] > held["mean", 0] - 0.1 for count in range(4)]
    return f"{within.index(False) - 1}" if False in within else "3 or more"


def in_words(table, method, hospital="mean"):
    rows = table[table["method"].eq(method) & table["hospital"].eq(hospital)]
    return tell(rows)[0] if len(rows) else "refused"


advice = {}
for rule in [*rules, "Krum", three, five]:
    advice[rule] = {
        "fifteen: bears": bears(rule) if rule in rules_many else "not tried",
        "four: one flips signs": in_words(four, f"signs: {rule}"),
        "four: backdoor opens": in_words(opened, f"{rule}, boosted"),
        "four: costs Switzerland": in_words(price, f"honest: {rule}", "Switzerland"),
        "who reads what": "hospitals: sums" if "BFV" in rule else "server: updates",
    }
advice["mean"]["four: costs Switzerland"] = "(compared with)"
claim(advice["mean"]["fifteen: bears"] == "0", "A mean bears no attacker.")
pd.DataFrame(advice).T

# %% [markdown]
# Where intervals overlap, there is no winner. So: choose by what you fear and what you have. FLTrust needs one hospital
# that all trust. A median needs a majority of honest hospitals that are alike. Groups need many hospitals, and show
# their sums. Against quiet poison in *rows*, none of them is a proof.
#
# ## What you can do now
#
# - You poisoned rows and updates, and measured each hospital on clean rows, on the same splits.
# - You wrote a median by hand. A mean bears no attacker, a robust rule some; it breaks where they collude or are too
#   many.
# - Encryption carries poison untouched. Groups under encryption help, and each hospital hides among fewer.
# - AUROC shows neither a backdoor nor an honest hospital shut out: you count both.
# - A signature says who. A hash chain and a head say that nothing was changed since. A claimed number proves nothing.
#
# Back to [the map](00_start_here.ipynb).
#
# ## Exercises
#
# **1. Predict.** Attackers know the groups, and sit where they harm *least*, as loud as above. How many of the fifteen
# may attack, and the median of *five* groups still holds? Find the largest number. Print
# `in_five.members(many.names, 1)`, and count.

# %% tags=["exercise"]
most = ...  # a whole number from 0 to 15

# %% tags=["solution"]
most = 2 * 3  # two of five groups may be spoiled, with all three in each

# %% tags=["plumbing"]
# Is your number right? It is tried: so many attack, and then one more
from fedkit import learning
from fedkit.chapters import course
from fedkit.chapters.attacks import forging


def auroc_with(count):
    groups = in_five.members(many.names, 1)
    attackers = [name for group in groups for name in group][: int(count)]
    rule = forging.Poisoned(in_five, dict.fromkeys(attackers, forging.SignFlip(20)))
    run = learning.train_federated(many, rounds=5, aggregator=rule, seed=0)
    return run.final("auroc").mean()


course.check(
    "Exercise 1",
    most,
    (lambda count: float(count) in range(16), "Count hospitals, from 0 to 15."),
    (lambda count: auroc_with(count) > 0.7, "It falls: how many groups are spoiled?"),
    (lambda count: auroc_with(int(count) + 1) < 0.7, "It holds with one more, too."),
)

# %% [markdown]
# **2. Modify.** A median throws much away. The **trimmed mean** sorts each number by itself, drops the `trim` largest
# and the `trim` smallest, and takes the mean of the rest. Write it, for updates of any number of hospitals.


# %% tags=["exercise"]
def trimmed(updates, trim):
    """Updates [hospitals, numbers] -> one update [numbers]."""
    return ...


# %% tags=["solution"]
def trimmed(updates, trim):
    """Updates [hospitals, numbers] -> one update [numbers]."""
    in_order = np.sort(updates, axis=0)
    return in_order[trim : len(updates) - trim].mean(axis=0)


# %% tags=["plumbing"]
# Is it right? On seven fresh updates of five numbers
import numpy as np

from fedkit.chapters import course, robust


def as_fedkit(trim):
    fresh = np.random.default_rng().normal(size=(7, 5))
    expected = robust.TrimmedMean(trim).join([*"abcdefg"], fresh, np.ones(7))

    def agrees(function):
        found = function(fresh.copy(), trim)
        return ... if found is ... else np.allclose(found, expected)

    return agrees


course.check(
    "Exercise 2",
    trimmed,
    (as_fedkit(0), "With trim=0 nothing is dropped: it is the plain mean."),
    (as_fedkit(1), "With trim=1 of seven, five are left of each number by itself."),
    (as_fedkit(3), "With trim=3 of seven, one is left: the median."),
)

# %% [markdown]
# **3. Build.** You and another hospital are two of a group of three, and you work together. You read the group's mean
# and its number of patients, and you know your own two updates. Compute the third hospital's.


# %% tags=["exercise"]
def third(group_mean, group_patients, ours):
    """The third update; `ours` holds (patients, update) of each of you two."""
    return ...


# %% tags=["solution"]
def third(group_mean, group_patients, ours):
    """The third update; `ours` holds (patients, update) of each of you two."""
    total = group_patients * group_mean
    known = sum(patients * update for patients, update in ours)
    return (total - known) / (group_patients - sum(patients for patients, _ in ours))


# %% tags=["plumbing"]
# Is it right? On three fresh updates of hospitals of three sizes
import numpy as np

from fedkit.chapters import course


def reads(sizes):
    updates = np.random.default_rng().normal(size=(3, 14))
    mean, total = np.average(updates, axis=0, weights=sizes), int(sum(sizes))

    def agrees(function):
        found = function(mean, total, [(sizes[0], updates[0]), (sizes[1], updates[1])])
        return ... if found is ... else np.allclose(found, updates[2])

    return agrees


course.check(
    "Exercise 3",
    third,
    (reads([50, 50, 50]), "What is the sum of all three updates? Take yours away."),
    (reads([20, 70, 40]), "The mean is weighted: how many patients has each of you?"),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. Hungary flips the signs of its update, and encrypts it. What does encryption change?**
#
# <details><summary>The server notices, since the ciphertext looks different</summary>
#
# Not this one: all ciphertexts look like noise. Nobody sees a sign in them.
#
# </details>
# <details><summary>The sum does not open, since the numbers do not fit the key</summary>
#
# Not this one: a key fits any numbers. Poison is added like everything else.
#
# </details>
# <details><summary>Nothing: the same poison gives the same model</summary>
#
# Right: encryption protects an honest update, and it hides a false one just as well.
#
# </details>
#
# **2. One attacker of fifteen did little harm to the mean. How many does a mean bear, then?**
#
# <details><summary>None: an attacker only has to be louder</summary>
#
# Right: it may choose how loud it is. Loud enough, one of fifteen turned the mean around.
#
# </details>
# <details><summary>One of fifteen, and with two it would fall</summary>
#
# Not this one: it bore one that was not loud. One that was louder turned the mean around.
#
# </details>
# <details><summary>Less than half, since the honest ones have more weight</summary>
#
# Not this one: that holds for a median. In a mean, one very long update counts more than all others.
#
# </details>
#
# **3. Nobody attacks, and the cosine shuts Switzerland out. Why?**
#
# <details><summary>Its update is short, since it has few patients</summary>
#
# Not this one: the cosine does not look at length. It looks at direction only.
#
# </details>
# <details><summary>Its update points elsewhere, since its patients differ</summary>
#
# Right: to differ is no attack. This is the harm to watch: an honest, small hospital that is shut out.
#
# </details>
# <details><summary>Its weight is small, so it is far from the mean of the others</summary>
#
# Not this one: its own weight has no part in the mean of the others. And the cosine looks at direction only.
#
# </details>
#
# **4. AUROC hardly falls after a training. What does this say about a backdoor?**
#
# <details><summary>There is none: it would call many patients wrong</summary>
#
# Not this one: it changes the label of patients with the trigger, and hardly any of those tested has it.
#
# </details>
# <details><summary>Nothing: hardly any patient has the trigger by chance</summary>
#
# Right: for all others the model works nearly as before. Only who knows the trigger can test for it.
#
# </details>
# <details><summary>If there is one, it can do no harm to anybody</summary>
#
# Not this one: under the mean, nearly everybody who shows the trigger gets label 0. AUROC just does not ask for it.
#
# </details>
#
# **5. The chain of an audit log is in order, but nobody remembers its head. What is proven?**
#
# <details><summary>That each line follows the one before, and no more</summary>
#
# Right: the whole log may be another one, chained from its first line on. A head that is kept elsewhere would show
# it.
#
# </details>
# <details><summary>That the log is still what it was on the day it was written</summary>
#
# Not this one: to know this, somebody must remember the head. Without it, a second log with other lines passes as
# well.
#
# </details>
# <details><summary>That those who are flagged in it have done harm</summary>
#
# Not this one: a chain never proves that what was written down was true.
#
# </details>
