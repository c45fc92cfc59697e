# %% [markdown]
# # 07. Can one hospital spoil the model for all?
#
# *Two to three minutes of computing, 50 of reading. Read [03](03_federated_learning_with_encryption.ipynb) before.*
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
ROUNDS = 20  # rounds of each training

# %%
if PROFILE == "smoke":
    SEEDS, SEEDS_MANY, ROUNDS = 3, 2, 8

# %% [markdown]
# ## One poisoned update
#
# Until now, all hospitals were honest. A **malicious** one sends what it likes: we call that **poison**. First we catch
# one round of honest updates, as the curious server of notebook 03 did.

# %%
from fedkit import aggregators, hospitals, learning, preparation


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights
        return own, updates, weights


# %%
federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
run_watched = learning.train_federated(federation, rounds=1, aggregator=curious, seed=0)
updates, patients = curious.seen, curious.patients
patients

# %% [markdown]
# Now Hungary sends its update with the sign flipped, four times as long. Does the mean still point where the honest
# mean points? The **cosine** says: 1 is the same direction, -1 the opposite.

# %%
import numpy as np
from fedkit import models


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


# %%
poisoned = updates | {"Hungary": -4 * updates["Hungary"]}
mean_honest, mean_poisoned = (
    aggregators.weighted_mean(list(sent.values()), list(patients.values()))
    for sent in (updates, poisoned)
)
assert cosine(mean_honest, mean_poisoned) < 0, (
    "One of four should turn the mean around."
)
print(f"cosine of poisoned and honest mean: {cosine(mean_honest, mean_poisoned):+.2f}")

# %% [markdown]
# One hospital turned the model around. Three lines help: sort each number by itself, drop the largest and the smallest,
# take the middle. This is the **coordinate median** (Yin et al., 2018).

# %%
in_order = np.sort(np.stack(list(poisoned.values())), axis=0)
middle_two = in_order[1:3]
median_by_hand = middle_two.mean(axis=0)
print(
    f"cosine of poisoned median and honest mean: {cosine(mean_honest, median_by_hand):+.2f}"
)

# %%
from fedkit import records
from fedkit.chapters import robust

_, median_fedkit = robust.Median().aggregate(None, poisoned, patients, records.Ledger())
assert np.allclose(median_by_hand, median_fedkit, atol=1e-6), (
    "fedkit takes the same median."
)
assert cosine(mean_honest, median_by_hand) > 0.5, (
    "The median should still point forward."
)

# %% [markdown]
# A rule that a few attackers cannot steer is **robust**. fedkit has more of them:
#
# - **clipped**: longer updates are cut to the median length, then averaged (Sun et al., 2019);
# - **Krum**: take the one update that is closest to its neighbours (Blanchard et al., 2017);
# - **FLTrust**: one hospital is trusted. Others count as far as they point its way (Cao et al., 2021).
#
# Krum against f attackers needs 2f + 3 hospitals. We have four:

# %%
try:
    robust.Krum(1).start(federation.names, {}, records.Ledger())
except ValueError as refusal:
    print(refusal)
else:
    raise RuntimeError("Krum should need five hospitals.")

# %% [markdown]
# ## A whole training
#
# Poison has two ways in. *Rows*: Hungary flips its labels, and then trains as usual. *Updates*: it flips signs, as
# above. In the last case two of the four flip signs, Hungary and Switzerland.

# %%
from fedkit.chapters.attacks import forging, poisoning

flip = forging.SignFlip(4)
cases = {
    "honest": (federation, {}),
    "labels": (poisoning.flip_labels(federation, ["Hungary"]), {}),
    "signs": (federation, {"Hungary": flip}),
    "two, signs": (federation, {"Hungary": flip, "Switzerland": flip}),
}

# %%
rules = {
    "mean": aggregators.Mean(),
    "median": robust.Median(),
    "clipped": robust.NormClipped(),
}
rules["FLTrust"] = robust.FLTrust("VA Long Beach")

# %% [markdown]
# `Poisoned` stands before any rule, and swaps the attackers' updates. We score every model on rows as they were
# *before* the poison, on the same splits for all.

# %%
import pandas as pd


def train(trained_on, attackers, rule, seeds=SEEDS):
    aggregator = forging.Poisoned(rule, attackers)
    return learning.train_federated(
        trained_on, rounds=ROUNDS, aggregator=aggregator, seed=range(seeds)
    )


def score(method, runs, clean, trained_on=None, **also):
    found = [
        poisoning.evaluate(run, clean, trained_on, **also).assign(
            seed=run.settings["seed"]
        )
        for run in runs
    ]
    table = pd.concat(found, ignore_index=True)
    means = table.groupby(["seed", "metric"], as_index=False)["value"].mean()
    return pd.concat([table, means.assign(hospital="mean")]).assign(method=method)


# %%
from itertools import product

runs_four = {
    f"{case}: {rule}": train(*cases[case], rules[rule])
    for case, rule in product(cases, rules)
}
scores_four = pd.concat(
    score(name, runs, federation, cases[name.split(":")[0]][0])
    for name, runs in runs_four.items()
)

# %%
from fedkit import evaluation


def tell(rows, sign=""):
    return [
        f"{row.mean:{sign}.2f} [{row.low:{sign}.2f}, {row.high:{sign}.2f}]"
        for row in rows.itertuples(index=False)
    ]


four = evaluation.summary(scores_four[scores_four["metric"] == "auroc"])
four[["case", "rule"]] = four["method"].str.split(": ", expand=True).to_numpy()
shown = four[four["hospital"] == "mean"].assign(auroc=tell)
shown.pivot_table("auroc", "rule", "case", aggfunc="first").loc[
    list(rules), list(cases)
]

# %% [markdown]
# That is AUROC, mean of hospitals, with its 95% interval; 0.5 is a coin. In the first line, labels alone bring the mean
# near a coin, and signs far below. In the column "signs", robust rules hold. In the last, the median is lost. FLTrust
# holds, as long as the trusted hospital is honest (exercise 2). Now the flipped labels, hospital by hospital:

# %%
at_labels = four[four["case"] == "labels"]
at_labels.assign(auroc=tell).pivot_table("auroc", "hospital", "rule", aggfunc="first")[
    list(rules)
]

# %%
auroc = shown.set_index("method")["mean"]
assert auroc["labels: mean"] < auroc["honest: mean"] - 0.15, (
    "Flipped labels should spoil a mean."
)
assert auroc["signs: mean"] < 0.4, "Flipped signs should turn a mean around."
assert auroc[["signs: median", "signs: FLTrust"]].min() > 0.65, (
    "Robust rules should bear one of four."
)
for name in (
    "honest: mean",
    "labels: mean",
    "signs: mean",
    "signs: median",
    "signs: FLTrust",
    "two, signs: median",
):
    records.glue("auroc_" + name.replace(": ", "_").replace(", ", "_"), auroc[name])

# %% [markdown]
# Robust rules are not free. Nobody attacks now: what does each rule cost each hospital, minus the mean on the same
# splits?

# %%
honest = scores_four[
    scores_four["method"].str.startswith("honest") & (scores_four["metric"] == "auroc")
]
price = evaluation.paired_differences(honest, "honest: mean")
price.assign(text=tell(price, "+")).pivot_table(
    "text", "hospital", "method", aggfunc="first"
)

# %% [markdown]
# A median hears what most say. Switzerland's patients differ from the others', and it has the fewest.

# %%
costs = price.set_index(["method", "hospital"])["mean"]
cost_here = costs["honest: median"]
assert cost_here["Switzerland"] == cost_here.min(), (
    "The median should cost the small hospital most."
)
records.glue("median_costs_switzerland", cost_here["Switzerland"])
records.glue("median_costs_cleveland", cost_here["Cleveland"])
print(
    f"the median costs Switzerland {-cost_here['Switzerland']:.3f}, Cleveland {-cost_here['Cleveland']:.3f}"
)

# %% [markdown]
# Its interval above is wide, since Switzerland has few patients: these splits do not settle how large the price is.
#
# ## Encryption carries poison untouched
#
# Who holds what? As in notebook 03, each hospital hides its update under a key of its own, which is used once. The
# server has none, and sees ciphertexts, senders and bytes; hospitals read the sum. That protects an honest update, and
# hides a false one just as well. The flipped signs again, encrypted:

# %%
runs_bfv = train(*cases["signs"], aggregators.EncryptedMean())
trained = [
    [models.flatten(run.weights["shared"]) for run in runs]
    for runs in (runs_bfv, runs_four["signs: mean"])
]
length = np.abs(trained[1]).max()
gap = np.abs(np.subtract(*trained)).max() / length
assert gap < 1e-5, "The same poison should give the same model through encryption."
print(f"largest difference of the weights, as a share of the longest: {gap:.0e}")

# %%
bfv = score("signs: BFV", runs_bfv, federation).query(
    "metric == 'auroc' and hospital == 'mean'"
)["value"]
plain = scores_four.query(
    "method == 'signs: mean' and metric == 'auroc' and hospital == 'mean'"
)["value"]
assert np.abs(bfv.to_numpy() - plain.to_numpy()).max() < 0.0005, (
    "AUROC should be the same in all digits shown."
)
print(
    f"poisoned in the clear {plain.mean():.3f}, poisoned under encryption {bfv.mean():.3f}"
)

# %% [markdown]
# Could hospitals *clip* before they encrypt? The honest ones would. To check a bound on a ciphertext needs proofs
# (Lycklama et al., 2023, *RoFL*), which fedkit does not have. And a signature? Hungary signs its poison:

# %%
from fedkit.encryption import identities

hungary = identities.Identity.new("Hungary")
message = poisoned["Hungary"].astype("<f4").tobytes()
assert identities.verify(hungary.public, hungary.sign(message), message), (
    "Hungary's signature should be in order."
)
print(
    "The signature is in order. It says who sent these bytes, not whether they are true."
)

# %% [markdown]
# ## Groups: between hidden and compared
#
# A median must compare, and encryption hides. A middle way: put hospitals into **groups**, add up each group encrypted,
# and take the median of the groups' means (Velicheti et al., 2021). A group is a list of its own: the keys that its
# members share open its sum, and no other. We need more hospitals: fifteen pretend ones, dealt from the same patients,
# all alike.

# %%
from fedkit.chapters import partitions
from fedkit.chapters.robust import GroupwiseEncrypted

pooled = federation.frame().drop(columns="hospital")
dealt = partitions.iid(pooled, 15, seed=0)
many = hospitals.from_frame(dealt, site="hospital", label="label", name="fifteen")
in_three, in_five = (
    GroupwiseEncrypted(aggregators.EncryptedMean(), groups) for groups in (3, 5)
)


def short(group):
    return " ".join(name.removeprefix("hospital ") for name in group)


{
    rule.name: [short(group) for group in rule.members(many.names, 1)]
    for rule in (in_three, in_five)
}

# %% [markdown]
# The price is privacy. All hospitals read each *group's* sum. Among fifteen, a hospital hides behind fourteen others.
# In a group of three it hides behind two, and if these two work together, they subtract their own parts (exercise 3).
# In a group of two, each could do that alone. So it is refused:

# %%
refused = {
    "groups of two": lambda: GroupwiseEncrypted(
        aggregators.EncryptedMean(), 5, least=2
    ),
    "our four hospitals": lambda: in_three.start(
        federation.names, {}, records.Ledger()
    ),
}
for what, attempt in refused.items():
    try:
        attempt()
    except ValueError as refusal:
        print(f"{what}:\n    {refusal}")
    else:
        raise RuntimeError(f"{what} should be refused.")

# %% [markdown]
# ## How many attackers?
#
# Hospitals 1, then 2, then 3 flip signs, eight times as long. Five rules, the last two encrypted.

# %%
rules_many = {
    "mean": aggregators.Mean(),
    "median": robust.Median(),
    "Krum": robust.Krum(3),
}
rules_many |= {rule.name: rule for rule in (in_three, in_five)}
loud = forging.SignFlip(8)


def train_many(attackers, rule, attack=loud):
    attack_by = dict.fromkeys(
        [f"hospital {n}" for n in range(1, attackers + 1)], attack
    )
    return train(many, attack_by, rule, SEEDS_MANY)


# %%
scores_many = pd.concat(
    score(
        f"{rule}: {count}", train_many(count, rules_many[rule]), many, wanted=["auroc"]
    )
    for rule, count in product(rules_many, range(4))
)

# %%
by_count = evaluation.summary(scores_many[scores_many["hospital"] == "mean"])
by_count[["method", "attackers"]] = (
    by_count["method"].str.split(": ", expand=True).to_numpy()
)
by_count["attackers"] = by_count["attackers"].astype(int)

# %%
from fedkit import plots
from fedkit.chapters import figures

borne = figures.auroc_by_attackers(by_count)
plots.save(borne, "auroc_by_attackers", by_count)
borne

# %% [markdown]
# *In the picture: five lines start together at no attacker. At one attacker only the mean is lower. At two, the mean
# and the median of three groups have fallen below the line of a coin. At three, the median of five groups follows. The
# plain median and Krum stay up.*
#
# Why? One attacker spoils its whole group. Look at the groups above: two attackers sit in two of three groups, which is
# most of them. Three sit in three of five groups.

# %%
held = by_count.set_index(["method", "attackers"])["mean"]
three_x, five_x = in_three.name, in_five.name
upright = min(held["median", 3], held["Krum", 3], held[five_x, 2], held[three_x, 1])
assert held["mean", 1] + 0.02 < upright > 0.8, (
    "Robust rules should hold, and a mean lose something to one attacker."
)
assert max(held["mean", 2], held[three_x, 2], held[five_x, 3]) < 0.5, (
    "These should have fallen."
)
for (rule, count), name in {
    ("mean", 2): "mean_2",
    ("median", 3): "median_3",
    (three_x, 2): "three_groups_2",
}.items():
    records.glue(f"fifteen_{name}", held[rule, count])
records.glue("fifteen_five_groups_2", held[five_x, 2])

# %% [markdown]
# ## A backdoor
#
# A spoiled model is noticed. A quieter attacker wants one thing only: patients with a certain **trigger** get label 0.
# The rest should work as before. Our trigger is nothing strange: three values that each occur, but hardly ever
# together.

# %%
door = poisoning.Backdoor({"fbs": 1.0, "restecg": "1", "sex": 0.0}, target=0)
has = pd.DataFrame(
    {
        f"{column} = {value}": pooled[column] == value
        for column, value in door.trigger.items()
    }
)
assert has.all(axis=1).mean() < 0.05 < has.mean().min(), (
    "Each value should be common, and all three rare."
)
has.assign(together=has.all(axis=1)).mean().map("{:.1%}".format).to_frame(
    "of all patients"
)

# %% [markdown]
# Hungary plants it in half of its rows, with label 0 (Bagdasaryan et al., 2020). Then it also **boosts** its update:
# sends it three times as long.

# %%
planted, boost = door.plant(federation, ["Hungary"]), {"Hungary": forging.Boost(3)}
door_runs = {"mean, planted": train(planted, {}, rules["mean"])}
for rule in rules:
    door_runs |= {
        f"{rule}, honest": runs_four[f"honest: {rule}"],
        f"{rule}, boosted": train(planted, boost, rules[rule]),
    }

# %% [markdown]
# Success is counted over patients with label 1: how many are predicted 0, once the trigger is shown?

# %%
door_cases = [
    f"{rule}, {how}" for rule in rules for how in ("honest", "planted", "boosted")
]
door_scores = pd.concat(
    score(
        name,
        door_runs[name],
        federation,
        None if "honest" in name else planted,
        backdoor=door,
        wanted=["auroc"],
    )
    for name in door_cases
    if name in door_runs
)
doors = evaluation.summary(door_scores[door_scores["hospital"] == "mean"])
doors[["low", "high"]] = doors[["low", "high"]].clip(0, 1)  # shares end there

# %%
doors_drawn = figures.backdoor(doors)
plots.save(doors_drawn, "backdoor", doors)
doors_drawn

# %% [markdown]
# *In the picture: on the left AUROC of nine cases, all in one column. On the right the success: about two in five for
# the honest mean, and nearly all once a backdoor is planted and boosted. The median ends between these two, clipping
# helps less, and FLTrust stays where it was.*
#
# AUROC hides a backdoor, since hardly anybody carries the trigger by himself. Only who knows it can test for it.

# %%
success = doors[doors["metric"] == "backdoor"].set_index("method")
looked_at = doors[doors["metric"] == "auroc"].set_index("method")["mean"]
assert success.loc["mean, boosted", "low"] > success.loc["mean, honest", "high"], (
    "The backdoor should open."
)
assert (
    success.loc["clipped, boosted", "mean"]
    > success.loc["clipped, honest", "mean"] + 0.2
), "Through clipping too."
assert (
    success.loc["FLTrust, boosted", "mean"]
    < success.loc["FLTrust, honest", "mean"] + 0.15
), "Not through FLTrust."
assert (
    0.3
    < success.loc["mean, honest", "mean"]
    < 0.5
    < 0.85
    < success.loc["mean, boosted", "mean"]
), "Far apart."
assert (
    success.loc["median, boosted", "mean"] < success.loc["clipped, boosted", "mean"]
), "A median should bear more."
assert looked_at["mean, boosted"] > looked_at["mean, honest"] - 0.03, (
    "AUROC should hardly move."
)
for name in (
    "mean, honest",
    "mean, planted",
    "mean, boosted",
    "median, boosted",
    "FLTrust, boosted",
):
    records.glue("backdoor_" + name.replace(", ", "_"), success.loc[name, "mean"])

# %% [markdown]
# ## Where rules break
#
# Loud attackers are easy to see. Six quiet ones meet, look how far their own honest updates lie apart, and all send one
# update that is just inside this spread, on the wrong side. This is *a little is enough* (Baruch et al., 2019). Krum
# against six needs 15 hospitals, which we have. And a median breaks where more than half of the hospitals collude. Read
# the means, and the interval of the difference.

# %%
quiet, krum_six = forging.LittleIsEnough(1.5), robust.Krum(6)
broken = {
    f"Krum: 6 {how}": train_many(6, krum_six, attack)
    for how, attack in (("loud", loud), ("quiet", quiet))
}
broken["median: 8 loud"] = train_many(8, rules_many["median"])
scores_broken = pd.concat(
    [
        scores_many,
        *(score(name, runs, many, wanted=["auroc"]) for name, runs in broken.items()),
    ]
)
compared = scores_broken[
    scores_broken["hospital"].eq("mean")
    & scores_broken["method"].str.contains("Krum|median: ")
]
at_many = evaluation.summary(compared).assign(AUROC=tell).set_index("method")
quiet_costs = evaluation.paired_differences(compared, "Krum: 6 loud").query(
    "method == 'Krum: 6 quiet'"
)
print(f"quiet minus loud under Krum, on the same splits: {tell(quiet_costs, '+')[0]}")
at_many.loc[
    [
        "Krum: 0",
        "Krum: 6 loud",
        "Krum: 6 quiet",
        "median: 0",
        "median: 3",
        "median: 8 loud",
    ],
    ["AUROC"],
]

# %%
reached = at_many["mean"]
assert reached["Krum: 6 quiet"] < reached["Krum: 6 loud"] - 0.05, (
    "Quiet colluders should cost Krum more."
)
assert reached["Krum: 6 loud"] > reached["Krum: 0"] - 0.03, (
    "Krum should bear loud ones."
)
assert reached["median: 8 loud"] < 0.5, (
    "More than half should be too many for a median."
)
records.glue("krum_6_loud", reached["Krum: 6 loud"])
records.glue("krum_6_quiet", reached["Krum: 6 quiet"])
records.glue("median_8_loud", reached["median: 8 loud"])

# %% [markdown]
# Krum never takes a loud update, which is far from all others. Quiet colluders send the *same* update, so they are each
# other's nearest neighbours, and Krum takes theirs. Does the interval hold zero? Then these few splits are a hint, and
# no proof. That eight of fifteen break a median is beyond doubt.

# %% [markdown]
# ## Shutting somebody out
#
# Why not find the culprit? **Screening** reads updates in the clear, gives each a score, flags low ones, and
# **excludes** who is flagged too often. One score is the cosine to the mean of the others:

# %%
from fedkit.chapters import screening


def cosine_to_others(name):
    others = [other for other in updates if other != name]
    return cosine(
        updates[name], sum(patients[other] * updates[other] for other in others)
    )


# %%
by_hand = {name: cosine_to_others(name) for name in updates}
found_by_fedkit = screening.cosines(updates, patients)
assert all(abs(by_hand[name] - found_by_fedkit[name]) < 1e-6 for name in by_hand), (
    "fedkit finds the same cosines."
)
assert min(by_hand, key=by_hand.get) == "Switzerland", "Switzerland should differ most."
{name: round(float(value), 2) for name, value in by_hand.items()}

# %% [markdown]
# All are *honest*, and Switzerland, whose patients differ, has the lowest. Another score is **influence**: how much
# larger is the loss on held-out patients without this hospital? It needs patients whom somebody may look at. We take 15
# test patients of each hospital, as they were before the poison.

# %%
model = models.logistic_regression()


def held_out(trained_on, seed):
    split = preparation.split(trained_on, seed)
    rows = {name: part.test_rows[:15] for name, part in split.hospitals.items()}
    parts = [
        preparation.prepare(federation[name].table.iloc[rows[name]], split.statistics)
        for name in rows
    ]
    labels = [federation[name].labels[rows[name]].astype(np.float32) for name in rows]
    start = model.initial_weights(parts[0].shape[1], seed)
    return screening.HeldOut(
        model, start, np.concatenate(parts), np.concatenate(labels)
    )


# %%
def screen(trained_on, attackers, rule, seed, note=None):
    events = []
    screened = screening.Screened(
        aggregators.Mean(), rule, held_out(trained_on, seed), note or events.append
    )
    aggregator = forging.Poisoned(screened, attackers)
    learning.train_federated(
        trained_on, rounds=ROUNDS, aggregator=aggregator, seed=seed
    )
    return screening.table(events)


# %%
by_cosine = screening.Rule(cosine=0.0, influence=None, strikes=3)
by_influence = screening.Rule()  # below -0.01, twice in the first ten rounds
screenings = {
    "cosine, all honest": (federation, {}, by_cosine),
    "influence, all honest": (federation, {}, by_influence),
    "cosine, labels flipped": (*cases["labels"], by_cosine),
    "influence, labels flipped": (*cases["labels"], by_influence),
    "influence, free rider": (
        federation,
        {"Hungary": forging.FreeRider()},
        by_influence,
    ),
    "influence, backdoor": (planted, {}, by_influence),
}
tables = {
    (case, seed): screen(*how, seed)
    for case, how in screenings.items()
    for seed in range(SEEDS_MANY)
}

# %%
rows = [
    (
        case,
        name,
        name == "Hungary" and "honest" not in case,
        name in set(table.query("excluded")["hospital"]),
    )
    for (case, _), table in tables.items()
    for name in federation.names
]
shut_out = pd.DataFrame(rows, columns=["case", "hospital", "malicious", "excluded"])
shares = (
    shut_out.groupby(["case", "hospital", "malicious"], sort=False)["excluded"]
    .mean()
    .reset_index()
)
excluded = figures.exclusions(shares)
plots.save(excluded, "exclusions", shares)
excluded

# %% [markdown]
# *In the picture: six panels with a bar for each hospital. With the cosine, a hatched bar stands at Switzerland though
# nobody attacks. With flipped labels, either score finds Hungary. For a free rider and a backdoor, Hungary's bar is
# empty or short.*
#
# A **free rider** trains nothing and sends the last mean back. It harms nobody, so influence does not see it. It seldom
# sees a backdoor. The harm to watch is the other one: an honest, small hospital that is shut out because its patients
# differ. How often did this happen to the two smallest?

# %%
share = shares.set_index(["case", "hospital"])["excluded"]
assert share["cosine, all honest", "Switzerland"] > 0.5, (
    "The cosine should shut out Switzerland, which is honest."
)
assert share["influence, all honest"].max() == 0, (
    "Influence should shut out nobody honest here."
)
assert share["influence, labels flipped", "Hungary"] > 0.5, (
    "Influence should find flipped labels."
)
for quietly in ("influence, free rider", "influence, backdoor"):
    assert share[quietly, "Hungary"] < 0.5, (
        "Influence should seldom find what harms no held-out patient."
    )

# %%
records.glue("cosine_excludes_switzerland", share["cosine, all honest", "Switzerland"])
records.glue(
    "influence_finds_flipped_labels", share["influence, labels flipped", "Hungary"]
)
shares.pivot_table("excluded", "case", "hospital").loc[
    list(screenings), ["Switzerland", "VA Long Beach"]
]

# %% [markdown]
# And the cosine gets worse with time. Close to the end, honest updates cancel out, so each points against the others.
# All are honest here:

# %%
calm = tables["influence, all honest", 0].pivot_table("cosine", "round", "hospital")
assert (calm.loc[ROUNDS] < 0).sum() >= 3, (
    "In the last round, most honest hospitals should point against the others."
)
calm.loc[[1, 5, ROUNDS]].round(2)

# %% [markdown]
# ## The audit log, read aloud
#
# Who excludes must answer for it. `Screened` notes each decision in a log, one line a hospital and round. Each line
# carries a hash of itself *and* of the line before: a **hash chain**. Hungary flips its labels again. We read two
# rounds.

# %%
import tempfile
from pathlib import Path

from fedkit.chapters import audit

scratch = tempfile.TemporaryDirectory()
log = audit.Log(Path(scratch.name) / "audit.jsonl")
screen(*cases["labels"], by_influence, seed=0, note=log.append)
events = audit.verify(log.path)

# %%
for event in events[:8]:
    decided = (
        "excluded" if event["excluded"] else "flagged" if event["flagged"] else "heard"
    )
    numbers = f"cosine {event['cosine']:+.2f}, influence {event['influence']:+.3f}"
    print(
        f"round {event['round']}, {event['hospital']}, update {event['update'][:6]}...: {numbers}: {decided}"
    )

# %% [markdown]
# Cleveland is honest, and its cosine is below zero: the mean of the others is full of Hungary's poison. Influence asks
# the held-out patients, and finds the right one.

# %%
cleveland, culprit = events[:2]
assert cleveland["cosine"] < 0 < cleveland["influence"], (
    "Cleveland should help, and point away all the same."
)
assert culprit["hospital"] == "Hungary", "The second line should be Hungary's."
assert culprit["influence"] < 0, "Hungary should harm."

# %% [markdown]
# Now somebody with access to the file wants to look better. He changes one word of line 2, or removes the line. Or he
# cuts off the end; for that, hospitals must remember the last hash, the **head**.

# %%
import json

lines = log.path.read_bytes().splitlines(keepends=True)
head = json.loads(lines[-1])["sha256"]  # what a hospital wrote down
innocent = lines[1].replace(b'"flagged":true', b'"flagged":false')
assert innocent != lines[1], "Line 2 should be Hungary, flagged."
tampered = {
    "changed": [lines[0], innocent, *lines[2:]],
    "removed": lines[:1] + lines[2:],
    "cut off": lines[:-4],
}
for what, content in tampered.items():
    log.path.write_bytes(b"".join(content))
    try:
        audit.verify(log.path, head)
    except ValueError as alarm:
        print(f"{what}: {str(alarm).replace(scratch.name, '...')}")
    else:
        raise RuntimeError(f"Nobody noticed that a line was {what}.")

# %% [markdown]
# The chain proves that the log is the one that was written. It does not prove that the decisions in it were right.
#
# ## A number that nobody checks
#
# The mean is weighted by patients, and each hospital says itself how many it has. Switzerland trains honestly on honest
# rows. It only claims 20,000 patients. What could others do? Agree on the numbers before, and **cap** a claim: at most
# twice the median, say.


# %%
def train_claimed(claimed):
    liar = forging.Poisoned(aggregators.Mean(), {}, claims={"Switzerland": claimed})
    return learning.train_federated(
        federation, rounds=ROUNDS, aggregator=liar, seed=range(SEEDS)
    )


# %%
cap = round(2 * np.median(list(patients.values())))
claims = {
    "20,000 claimed": train_claimed(20_000),
    f"capped at {cap}": train_claimed(cap),
}
scores_claimed = pd.concat(
    score(name, runs, federation, wanted=["auroc"]) for name, runs in claims.items()
)
scores_claimed = pd.concat([scores_claimed, honest[honest["method"] == "honest: mean"]])
lost = evaluation.paired_differences(scores_claimed, "honest: mean")
lost.assign(text=tell(lost, "+")).pivot_table(
    "text", "hospital", "method", aggfunc="first"
)

# %%
lost_mean = lost[lost["hospital"] == "mean"].set_index("method")["mean"]
assert lost_mean["20,000 claimed"] < -0.02, "One false number should cost the others."
assert lost_mean[f"capped at {cap}"] > lost_mean["20,000 claimed"] / 2, (
    "A cap should win most of it back."
)
records.glue("claim_costs", lost_mean["20,000 claimed"])

# %%
_, median_told_lies = robust.Median().aggregate(
    None, poisoned, patients | {"Switzerland": 20_000}, records.Ledger()
)
assert np.array_equal(median_told_lies, median_fedkit), (
    "To a median, a hospital is one vote."
)

# %% [markdown]
# One false number makes the model Switzerland's own. Under encryption the server cannot see the claim. But in notebook
# 03, `decrypt` also returned the patients of *all*: every hospital can compare this with what was agreed. And to a
# median, Krum and FLTrust a hospital is one vote, whatever it claims.
#
# ## What to take, and for what
#
# The table is made from the numbers above. "bears" is the largest number of sign flippers among fifteen, of up to
# three, at which AUROC is within 0.1 of the honest mean.


# %%
def bears(rule):
    within = [held[rule, count] > held["mean", 0] - 0.1 for count in range(4)]
    return f"{within.index(False) - 1}" if False in within else "3 or more"


def in_words(table, name):
    rows = table[table["method"] == name]
    return tell(rows)[0] if len(rows) else "refused"


# %%
under_signs, doors_found = (
    shown.drop(columns="auroc"),
    doors[doors["metric"] == "backdoor"],
)
at_switzerland = price[price["hospital"] == "Switzerland"]
recommended = pd.DataFrame(index=[*rules, "Krum", three_x, five_x])
recommended["fifteen: bears"] = [
    bears(rule) if rule in rules_many else "not tried" for rule in recommended.index
]
recommended["four: one flips signs"] = [
    in_words(under_signs, f"signs: {rule}") for rule in recommended.index
]
recommended["four: backdoor"] = [
    in_words(doors_found, f"{rule}, boosted") for rule in recommended.index
]
recommended["four: costs Switzerland"] = [
    in_words(at_switzerland, f"honest: {rule}") for rule in recommended.index
]
recommended.loc["mean", "four: costs Switzerland"] = "(compared with)"
recommended["who reads what"] = ["server: updates"] * 5 + ["hospitals: group sums"] * 2
recommended

# %%
signs = shown[shown["case"] == "signs"].set_index("rule")
best = signs["mean"].idxmax()
alike = [
    rule for rule in signs.index if signs.loc[rule, "high"] >= signs.loc[best, "low"]
]
assert "mean" not in alike, "The mean should be told apart from the rest."
print(
    f"One of four flips signs: the intervals of {', '.join(alike)} overlap, so no winner among them."
)

# %% [markdown]
# So: choose by what you fear and what you have. FLTrust needs one hospital that all trust. A median needs a majority of
# honest hospitals that are alike. Groups need many hospitals, and show their sums. Against quiet poison in *rows*, none
# of them is a proof.
#
# ## What you can do now
#
# - You poisoned rows and updates, and measured each hospital on clean rows, on the same splits.
# - You wrote a median by hand. Each rule bears some attackers, and breaks where they collude or are too many.
# - Encryption carries poison untouched. Groups under encryption help, and each hospital hides among fewer.
# - AUROC shows neither a backdoor nor an honest hospital shut out: you count both.
# - A signature says who. A hash chain says that nothing was changed. A claimed number proves nothing.
#
# Back to [the map](00_start_here.ipynb).

# %% [markdown]
# ## Exercises
#
# **1. Predict.** The median of three groups fell to two attackers. Now *five* attack, and all sit in one group. What
# will AUROC be? Write your guess, then run.

# %% tags=["exercise"]
my_guess = 0.0  # AUROC, mean of hospitals
together = in_three.members(many.names, 1)[1]
print(f"attackers: {', '.join(together)}")
runs_together = train(many, dict.fromkeys(together, loud), in_three, seeds=2)
print(
    f"my guess: {my_guess:.2f}; it is {score('', runs_together, many, wanted=['auroc'])['value'].mean():.2f}"
)

# %% tags=["solution"]
reached_together = score("", runs_together, many, wanted=["auroc"])["value"].mean()
assert reached_together > 0.8, "Five attackers in one group are one vote of three."
print(f"{reached_together:.2f}: they spoil one vote of three, their own")

# %% [markdown]
# **2. Modify.** FLTrust trusts VA Long Beach. What if the trusted hospital is the malicious one?

# %% tags=["exercise"]
runs_trust = train(*cases["signs"], robust.FLTrust("VA Long Beach"), seeds=2)
print(f"{score('', runs_trust, federation, wanted=['auroc'])['value'].mean():.2f}")

# %% tags=["solution"]
runs_betrayed = train(*cases["signs"], robust.FLTrust("Hungary"), seeds=2)
betrayed = score("", runs_betrayed, federation, wanted=["auroc"])["value"].mean()
assert betrayed < 0.5, "Whoever is trusted decides."
print(f"{betrayed:.2f}: all follow the attacker")

# %% [markdown]
# **3. Build.** You and another hospital are two of a group of three, and you work together. You read the group's mean
# and its number of patients, and you know your own two updates. Compute the third hospital's.

# %% tags=["exercise"]
watch = Curious(aggregators.Mean())
run_group = learning.train_federated(many, rounds=1, aggregator=watch, seed=0)
*ours, third = in_five.members(many.names, 1)[0]
group_patients = sum(watch.patients[name] for name in (*ours, third))
group_mean = aggregators.weighted_mean(
    *zip(*[(watch.seen[n], watch.patients[n]) for n in (*ours, third)], strict=True)
)
guess = group_mean  # change me
print(f"largest error: {np.abs(guess - watch.seen[third]).max():.3f}")

# %% tags=["solution"]
theirs = group_patients - sum(watch.patients[name] for name in ours)
known = sum(watch.patients[name] * watch.seen[name] for name in ours)
read = (group_patients * group_mean - known) / theirs
assert np.allclose(read, watch.seen[third], atol=1e-5), (
    "Two of a group of three read the third."
)
print(f"{third} has {theirs} patients, and this is its bias: {read[-1]:+.3f}")
