# ruff: noqa
# %% [markdown]
# ## A published table, put right
#
# [FLamby](https://github.com/owkin/FLamby) (Ogier du Terrail et al., NeurIPS 2022) is a widely used benchmark of
# federated learning. It takes our hospitals: the 740 patients with no empty cell in ten columns. Its authors published
# code, settings, seeds and results. So we can train two of their models again, and compare every number.
#
# Their *pooled* column tests all test rows together, normalised by all training rows. The other columns test one
# hospital each, normalised by its own training rows. Their code gives a reason: this is what is known in each mode. But
# the centralised model learnt from rows that were normalised together. At a hospital it meets inputs of another kind.
# With FedAvg, the *pooled* column does not fit.
#
# Below, *as tested there* is their test. *As trained* gives the same model the inputs that it learnt from. Ours takes
# their rows, columns, split and five seeds. These seeds change no test patient.

# %%
import pandas as pd
from fedkit import aggregators, evaluation, learning
from fedkit.chapters import flamby, grids, heterogeneity

rows = flamby.patients().query("complete").reset_index(drop=True)
test = flamby.drawn(rows)
ours = learning.train_federated(
    flamby.federation(rows, test, "theirs"),
    seed=flamby.SEEDS,
    algorithm=heterogeneity.AtHome(),
    aggregator=aggregators.EncryptedMean(),
)
again = []
for seed, run in zip(flamby.SEEDS, ours):
    found = flamby.theirs(rows, test, seed)
    p = run.predictions["probability"].to_numpy()
    found["fedkit, own intercept, encrypted"] = flamby.scored(rows[test], p)
    again += [(name, seed, *one) for name, part in found.items() for one in part]
again = pd.DataFrame(again, columns=["method", "seed", "hospital", "metric", "value"])
again = again[again["metric"] == "accuracy"]
again = again.pivot_table("value", ["method", "seed"], "hospital", sort=False)
again.groupby("method", sort=False).mean().round(3)

# %% tags=["plumbing"]
# Their numbers come out again, checked
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
assert (gain["pooled"] == 0).all(), "all rows together were tested as trained"
spread = again["pooled"].groupby("method").std()
much = spread["FLamby, FedAvg, as tested there"] > 0.02
assert much and spread["FLamby, centralised, as trained"] < 0.01, "seeds differ much"

# %% [markdown]
# So this is their protocol. Tested as it was trained, their centralised model is clearly better at the hospitals. Their
# FedAvg takes small steps and stops early, so its five seeds differ much.
#
# Now 20 splits by their rule; the first is theirs. *Nested* learns from patients with empty cells too. An inner
# cross-validation of training rows chooses its columns, intercepts and penalty: no test row has a say. `make study`
# computed this table, and we compute one split again. Each number is a difference to their centralised model, as
# trained.

# %%
table, live = flamby.GRID.table(), flamby.GRID.rows(flamby.SPLIT)
assert grids.same(live, table), "the table is not what is computed here"
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
assert (aurocs[0] < 0).all() and (aurocs[1] > 0).all(), "no mean AUROC differs"
assert (low.loc[nested, ("auroc", "pooled")] > 0).all(), "the pooled AUROC does"
pooled = mean["auroc", "pooled"]
assert pooled["fedkit, own intercept"] > pooled["fedkit, FedAvg"] + 0.01, "intercepts"

# %% [markdown]
# The nested models are some points more accurate, but their intervals begin near 0. **The mean AUROC does not differ**:
# each interval of ours holds 0. Their pooled AUROC is higher: own intercepts also order patients of *different*
# hospitals. Federation earns none of this: Newton's method finds the model of the pooled rows. The gain comes from what
# the model knows: empty cells, a penalty, and the level of each hospital.
#
# **Exercise 1.** One more test patient of Switzerland is called right. By how much does the mean accuracy of the four
# hospitals rise? Write a number; `rows` and `test` help.

# %% tags=["exercise"]
rise = ...  # a number

# %% tags=["solution"]
swiss = test[rows["hospital"] == "Switzerland"].sum()
rise = 1 / swiss / 4  # a share of its patients, and a quarter of that

# %% tags=["plumbing"]
# Exercise 1, checked
from fedkit.chapters import course, flamby

complete = flamby.patients().query("complete")
swiss = flamby.drawn(complete)[complete["hospital"] == "Switzerland"].sum()
course.check(
    "Exercise 1",
    rise,
    (
        lambda it: abs(float(it) * 4 * swiss - 1) < 0.05,
        "Count Switzerland's test rows: one patient is which share of them?"
        " The mean takes a quarter of that.",
    ),
)
