# %% [markdown]
# # 15. A school, an airport, a bank: what carries over from hospitals?
#
# *One minute to run, 30 minutes to read. To read before: [02](02_federated_learning.ipynb),
# [09](09_hospitals_that_differ.ipynb).*
#
# Nothing in federated learning is about medicine. Schools, airports and banks have rows, too, and reasons to keep them.
# We train in all three with the same five lines. Then we look at what changes.
#
# By the end you can:
#
# - make a data set that others may use: rows, a card, a licence and hashes;
# - train in any sector with the same five lines, encrypted;
# - say which clients gain, and what hundreds of clients cost;
# - test a model on later rows, and say what a random split hides;
# - say what does not carry over: who a client is, and what the law asks.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick look
SAMPLE = 0  # the split, from 0 to 39, that is computed again here
FIRST_SEED = 0  # the seed of the other trainings on this page
CLIENTS = 63  # schools in the encrypted round
ROUNDS = 30  # rounds of training at the airports

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"SAMPLE": 0, "FIRST_SEED": 0, "CLIENTS": 63, "ROUNDS": 30},
    {"CLIENTS": 12, "ROUNDS": 20},
)

# %% [markdown]
# ## A sector is a folder
#
# Here is all that fedkit knows about schools. The rows are of 4,049 pupils of inner London, from a famous study. The label: is the exam at 16 above the middle? In fedkit's code, whoever keeps rows is
# called a hospital, and a row is a patient. Here read: a school, and a pupil. A common word for both is
# [client](glossary.md#client).

# %%
import json
from fedkit.studies import grids

home = grids.HOME.parent / "schools"
print(*sorted(file.name for file in home.iterdir()), sep=", ")
about = json.loads((home / "dataset.json").read_text())
{name: about[name] for name in ("licence", "hospitals", "label", "features")}

# %% [markdown]
# There is no code for schools, or for any table whose label is a number above a limit. A small file says which file to read, which column names the client, and what the label
# is. We do by hand what `hospitals.load` does with it.

# %%
import pandas as pd
from fedkit import hospitals

rows = pd.read_csv(home / "schools.csv")
label = about["label"]
rows[label["name"]] = (rows[label["column"]] > label["above"]).astype(int)
for column in about["categorical"]:
    rows[column] = rows[column].astype("category")
table = {"site": "school", "label": label["name"], "features": about["features"]}
by_hand = hospitals.from_frame(rows, name="schools", **table)

schools = hospitals.load("schools")
assert by_hand.sha256 == schools.sha256, "By hand, it should be fedkit's."

# %% [markdown]
# By hand we also look at the rows. `intake` is the band of a pupil at 11. Which band read best?

# %%
rows.groupby("intake", observed=True)["standLRT"].agg(["size", "mean"]).round(2)

# %% [markdown]
# The names are upside down: those in the "bottom 25%" read best. They are so in the source, and have been for many
# years. A model does not mind. A person who reads its weights would be wrong.
#
# May we pass these rows on? That must be known before anything else. So each folder has a [data card](glossary.md#data-card):
# [this one](../data/schools/README.md) says where the rows come from, under which [licence](glossary.md#licence), and
# what was changed. A list holds the hash of each file. `make data` checks all three, and refuses a folder where one
# is missing. See the rule about small schools on the card: two schools had 8 and 2 pupils. Sums over so few would say
# too much about each pupil, so these schools are left out. That is safe, but it is a choice. Whoever is small is not heard.
#
# The three sectors, as they come:

# %% tags=["plumbing"]
# The schools and airports, with the share of the most frequent label: `glance`
airports = hospitals.load("airports")


def glance(federation):
    said = federation.summary()
    guess = said["prevalence"].clip(lower=1 - said["prevalence"])
    sizes = said["patients"]
    return [len(said), sizes.sum(), sizes.min(), sizes.max(), guess.mean()]


# %%
columns = ["clients", "rows", "smallest", "largest", "accuracy of a guess"]
found = {each.name: glance(each) for each in (schools, airports)}
pd.DataFrame(found, columns).T.round(3)

# %% [markdown]
# *A guess* says each client's most frequent label to everybody there. The third sector is a bank's
# [loans](../data/loans/README.md). Its card states no licence. So no row of it is in this kit, and only results are shown
# below. `make data NAME=loans` builds the rows on your own computer.
#
# ## The same five lines
#
# These are the five lines of notebook 00. Only the name is another. The first twelve schools are enough here.

# %%
from dataclasses import replace
from fedkit import aggregators, learning

few = replace(schools, hospitals=schools.hospitals[:12])
encrypted = aggregators.EncryptedMean()
run = learning.train_federated(few, rounds=2, aggregator=encrypted, seed=FIRST_SEED)
run

# %%
plain = learning.train_federated(few, rounds=2, seed=FIRST_SEED)
gap = (run.predictions["probability"] - plain.predictions["probability"]).abs().max()
assert gap < 1e-5, "Encryption should change nothing."
print(f"encrypted - plain: at most {gap:.0e} in any probability")

# %% [markdown]
# As in notebook 03, each school makes its own keys and uses them once. The server has none and reads no update. It does see
# who takes part. All schools read the sum.
#
# What if there are many schools? Keys are shared among all, and each client reads a list with a part for each. We count
# the bytes of one encrypted round.


# %% tags=["slide"]
def kilobytes(count):
    """What one round moves, for each client."""
    part = replace(schools, hospitals=schools.hospitals[:count])
    how = {"rounds": 1, "seed": FIRST_SEED}
    done = learning.train_federated(part, aggregator=encrypted, **how)
    return done.ledger["bytes"].sum() / len(part) / 1e3


sizes = sorted({3, 12, min(max(CLIENTS, 3), len(schools))})
moved = {count: kilobytes(count) for count in sizes}
pd.Series(moved, name="kB a client").rename_axis("clients").round(1).to_frame()

# %% tags=["plumbing"]
# What the text says of bytes, checked
from fedkit import records

most = max(moved)
steps = (moved[12] - moved[3]) / 9, (moved[most] - moved[3]) / (most - 3)
assert 0.7 < steps[0] / steps[1] < 1.4, "Each further client should add about the same."
records.glue("kilobytes_a_client_of_twelve", moved[12])
records.glue("kilobytes_of_each_further_client", steps[0])

# %% [markdown]
# Each further client adds about the same to what *each* client moves. So the sum grows with the square of their number.
# For some dozens of schools this is little. For thousands one would build groups, and add up the groups' sums.
#
# ## Who gains?
#
# 40 random splits take longer than a lesson. `make study` has computed a table with four methods. We compute one split
# again here, and compare.

# %%
from fedkit.studies import sectors

table = sectors.GRID.table()
open_ones = ["schools", "airports"] if PROFILE == "full" else ["airports"]
live = sectors.rows(SAMPLE, open_ones)
kept = table[table["sector"].isin(open_ones)]
held = SAMPLE in sectors.GRID.seeds
assert not held or grids.same(live, kept), "The table is not what is computed here."
verdict = "agree with the table" if held else "are in no table"
print(f"{len(live)} rows of split {SAMPLE} {verdict}")

# %% tags=["plumbing"]
# Where the loans are, their split is computed again, too
built = (home.parent / "loans" / "loans.csv").exists()
if built and PROFILE == "full" and held:
    bank = table[table["sector"] == "loans"]
    assert grids.same(sectors.rows(SAMPLE, ["loans"]), bank), "It is another table."

# %% [markdown]
# Every method has the same rows. *Local* is each client alone, with a [penalty](glossary.md#penalty) and five times as many
# steps, as in notebook 02. *Own intercept* is the federated model of notebook 09: each client keeps its own bias. All
# are compared with *central*, which has all rows in one place. Numbers are means over clients.

# %% tags=["plumbing"]
# Paired differences to the centralised model, on two sets of splits: `versus`
from fedkit import evaluation

long = table.melt(
    ["seed", "sector", "metric", "hospital"], [*sectors.METHODS], "method"
)
long["metric"] = long["sector"] + ", " + long["metric"]
SETS = {"splits 0 to 19": range(20), "splits 20 to 39": range(20, 40)}
parts = {name: long[long["seed"].isin(seeds)] for name, seeds in SETS.items()}


def against(reference, hospital="mean"):
    """Differences on the same splits: set -> a row a method and metric."""
    told = {}
    for name, part in parts.items():
        part = part[part["hospital"] == hospital]
        told[name] = evaluation.paired_differences(part, reference)
    return told


versus = against("central")

# %% tags=["plumbing"]
# Figure: who gains, in three sectors
from fedkit import plots
from fedkit.chapters import figures

TITLES = {f"{sector}, auroc": f"{sector}: AUROC" for sector in sectors.SECTORS}
figure = figures.side_by_side(versus, TITLES, "central")
for axes in figure.axes:
    axes.locator_params(axis="x", nbins=3)
plots.save(
    figure,
    "sectors_side_by_side",
    pd.concat(versus, names=["set"]).reset_index(level=0),
    "Three panels, one for each sector, with a line for each method and two intervals "
    "on each line. For schools and loans, local lies to the left of zero. The "
    "federated models lie near zero. Each panel has a scale of its own.",
)

# %%
means = table[table["hospital"] == "mean"].groupby(["metric", "sector"], sort=False)
means[[*sectors.METHODS]].mean().round(3)

# %% tags=["plumbing"]
# The claims of this section, checked on both sets of splits
local = against("local")
for name in SETS:
    ends, alone = (
        each[name].pivot_table(["mean", "low", "high"], "method", "metric")
        for each in (versus, local)
    )
    near = ends["mean"].filter(like="auroc").loc["federated"].abs()
    claim((near < 0.02).all(), f"Federated is near central, on {name}.")
    gain, low = (alone[end].loc["federated"] for end in ("mean", "low"))
    claim(low["schools, auroc"] > 0, f"Schools order pupils better, on {name}.")
    claim(low["loans, auroc"] > 0, f"The bank's divisions gain, on {name}.")
    claim(abs(gain["airports, auroc"]) < 0.005, f"Airports gain nothing, on {name}.")
    claim(low["airports, auroc"] < 0, f"Nothing can be shown there, on {name}.")
    own = alone["mean"].loc["own intercept", "schools, accuracy"]
    claim(gain["schools, accuracy"] < -0.015, f"Schools lose accuracy, on {name}.")
    claim(abs(own) < 0.01, f"An own intercept gives it back, on {name}.")
    accuracy = ends["mean"]["loans, accuracy"].abs()
    claim(accuracy.max() < 0.005, f"Accuracy tells no two methods apart, on {name}.")
for sector in sectors.SECTORS:
    gain = local["splits 0 to 19"].set_index(["metric", "method"])["mean"]
    records.glue(
        f"{sector}_federated_minus_local", gain[f"{sector}, auroc", "federated"]
    )

# %% [markdown]
# On both sets of splits (surely means that the interval leaves out zero):
#
# - **Schools** have few pupils each. The federated model surely puts them in a better order than the local models here.
#   But it calls fewer right: schools differ in their level, as hospitals do. An own intercept gives the accuracy back.
#   So notebook 09 carries over.
# - **Airports** have about a thousand rows each to train on, and much the same weather. Each can learn alone.
#   Federation gains nothing.
# - **Loans**: only one in twenty is bad, so even a large division has few bad ones. It surely gains on its local model.
#   Look at accuracy: all methods have nearly the same. To say "good" to everybody has it, too. So it tells nothing.
#
# But is "local" a strong opponent? Its penalty is that of notebook 02, and nobody has chosen it for schools. With few
# rows, it learns chance as well. So we try what needs no training at all: the order of *one column*, the
# reading test at 11. Each school could use that alone.

# %%
import numpy as np
from fedkit import preparation

everyone, found = sectors.at_random(schools), []
for seed in sectors.GRID.seeds if PROFILE == "full" else range(3):
    parts_of = preparation.split(everyone, seed).hospitals
    for one in everyone:
        test = parts_of[one.name]
        order = one.table["standLRT"].rank(pct=True).iloc[test.test_rows]
        right = evaluation.scores(test.test_labels, order, ["auroc"])
        found.append((seed, right["auroc"]))
order = pd.DataFrame(found, columns=["seed", "value"]).groupby("seed").mean()

# %%
order = order.reset_index().assign(hospital="mean", method="one column")
order["metric"] = "schools, auroc"
trained = long[long["hospital"].eq("mean") & long["metric"].eq("schools, auroc")]
both = pd.concat([trained[trained["seed"].isin(order["seed"])], order])
to_one = {
    name: evaluation.paired_differences(both[both["seed"].isin(seeds)], "one column")
    for name, seeds in SETS.items()
    if both["seed"].isin(seeds).any()
}
to_one = pd.concat(to_one).droplevel(1).set_index("method", append=True)
to_one[["mean", "low", "high"]].round(3)

# %% tags=["plumbing"]
# What the text says of one column, checked
for (name, method), row in to_one.iterrows():
    if method == "federated":
        claim(row["low"] > 0, f"It is surely above one column, on {name}.")
        claim(row["mean"] < 0.02, f"But by little, on {name}.")
    if method == "local":
        claim(row["mean"] < 0, f"One column is above the local model, on {name}.")

# %% [markdown]
# One column, without any training, does as well as the local models, or better. The federated model is surely above
# it, but only by a little. So most of its gain says that *local* was weak. Ask it of every gain:
# over whom? For loans, try it at home: `make data NAME=loans`, and the order of `int_rate`, the price that the lender
# had set.
#
# How many schools win? Here is the gain of the own intercept over the school alone, as a mean of 40 splits:

# %% tags=["plumbing"]
# Each school's gain in AUROC, and its size: `by_school`
pupils = schools.summary().set_index("hospital")["patients"].rename("pupils")
one = table.query("sector == 'schools' and metric == 'auroc' and hospital != 'mean'")
gain = one.assign(gain=one["own intercept"] - one["local"])
by_school = gain.groupby("hospital")["gain"].mean().to_frame().join(pupils)
groups = pd.qcut(by_school["pupils"], 3, ["small", "middle", "large"])

# %%
wins = by_school.assign(wins=by_school["gain"] > 0).groupby(groups, observed=True)
wins.agg({"pupils": "median", "wins": ["sum", "count"], "gain": "mean"}).round(3)

# %% tags=["plumbing"]
# Figure: a school's size and its gain
import matplotlib

with matplotlib.rc_context(plots.STYLE):
    figure, ((axes,),) = plots.sheet(
        "What each school gains by training together", 7, 3.6
    )
    axes.axhline(0, color=plots.INK, linewidth=1)
    axes.scatter(by_school["pupils"], by_school["gain"], s=22, color=plots.BLUE)
    axes.set(
        xlabel="pupils of the school", ylabel="AUROC, minus that of the school alone"
    )
    axes.grid()
plots.save(
    figure,
    "schools_gain_by_size",
    by_school.reset_index(),
    "A dot for each school: its number of pupils to the right, its gain upwards. Dots "
    "of small schools lie higher, and spread more, than those of large ones. Many "
    "large schools lie on zero.",
)

# %% tags=["plumbing"]
# That the small gain most, checked on both sets of splits
for name, seeds in SETS.items():
    part = gain[gain["seed"].isin(seeds)].groupby("hospital")["gain"].mean()
    part = part.groupby(groups, observed=True).mean()
    claim(part["small"] > 0.015, f"Small schools gain, on {name}.")
    claim(abs(part["large"]) < 0.01, f"Large schools do not, on {name}.")
    claim(part.is_monotonic_decreasing, f"The smaller, the more, on {name}.")
records.glue("schools_that_win", (by_school["gain"] > 0).sum())

# %% [markdown]
# The small schools gain most on their local model, which had the fewest rows to learn from. The large ones gain nothing.
# A small school's test has a few pupils only, so its dot is largely luck. Do not tell one school that it lost. Tell how
# many did.
#
# ## Time: a random split hides it
#
# Rows of airports have a day. The label: were more than a quarter of an hour's flights late? A random split tests on
# hours of the same days that it has learned from. A real model is used *later*. So the folder says: train on January to
# August, test on September to December. We compare both.

# %%
how = {"rounds": ROUNDS, "seed": FIRST_SEED}
later = learning.train_federated(airports, **how)
drawn = learning.train_federated(sectors.at_random(airports), **how)
kept = table.query("sector == 'airports' and metric == 'auroc' and hospital == 'mean'")
scores = {"random hours": drawn.final().mean(), "later days": later.final().mean()}
scores["random hours, 40 splits"] = kept["federated"].mean()
pd.Series(scores, name="AUROC").round(3).to_frame()

# %% [markdown]
# The later days are harder. And AUROC does not show the worst of it. For each month, look at the mean probability, beside
# what happened. We also try a remedy: *monthly* trains again before each month, with all months up to then.

# %%
days = pd.read_csv(home.parent / "airports" / "airports.csv")
days["hospital"] = pd.Categorical(days["airport"], airports.names)
days = days.sort_values("hospital", kind="stable").drop(columns="hospital")
tested = days[days["part"] == "test"].assign(
    predicted=later.predictions["probability"].to_numpy(),
    seen=later.predictions["label"].to_numpy(),
)
assert (tested["seen"] == (tested["late"] > 0.25)).all(), "The rows should be these."

# %%
everything = airports.frame()  # public rows: no real federation could
everything["month"] = days["month"].to_numpy()
monthly = {}
for month in range(9, 13):
    known = everything[everything["month"] <= month]
    known = known.assign(test=known["month"] == month)
    part = hospitals.from_frame(
        known.drop(columns="month"), site="hospital", label="label", test="test"
    )
    trained = learning.train_federated(part, **how)
    monthly[month] = trained.predictions["probability"].mean()

# %% tags=["plumbing"]
# The means of each month, and what the text says of them, checked
months = tested.groupby("month")[["predicted", "seen"]].mean()
months["monthly"] = pd.Series(monthly)
off = months["predicted"] - months["seen"]
claim((off.loc[9:11] > 0.05).all(), "In autumn it says too much.")
claim(off.loc[12] < -0.1, "In December it says too little.")
claim(scores["later days"] < scores["random hours"] - 0.01, "Later days are harder.")
records.glue("auroc_random_hours", scores["random hours"])
records.glue("auroc_later_days", scores["later days"])
records.glue("predicted_minus_seen_september", off.loc[9])
again = months["monthly"] - months["seen"]
claim((again.loc[9:11] > 0).all(), "Trained again, it still says too much in autumn.")
claim(again.loc[12] < 0, "And too little in December.")
months.round(3)

# %% tags=["plumbing"]
# Figure: predicted and seen, month by month
LINES = {"predicted": ("trained until August", "o-", plots.BLUE)}
LINES["monthly"] = ("trained again each month", "s--", plots.ORANGE)
names = ["September", "October", "November", "December"]
heading = "Hours with many late flights: predicted and seen"
with matplotlib.rc_context(plots.STYLE):
    figure, ((axes,),) = plots.sheet(heading, 7, 3.4)
    bars = {"color": plots.BAND, "edgecolor": plots.INK, "label": "seen"}
    axes.bar(names, months["seen"], 0.5, **bars)
    for column, (label, line, color) in LINES.items():
        axes.plot(names, months[column], line, color=color, label=label)
    axes.set(ylabel="share of hours", ylim=(0, None))
    axes.legend()
plots.save(
    figure,
    "airports_by_month",
    months.reset_index(),
    "Four bars, one a month, show the share of hours with many late flights. It is low "
    "in three months and very high in December. Two lines of predictions hardly "
    "follow: both lie above the first three bars and below the last.",
)

# %% [markdown]
# The weather in the table does not explain it all: autumn was calm, and December was not. So what a model
# learnt gets old. To train again each month comes too late for December. (July had nearly as many late
# hours, for other reasons.) One year has one December, so no interval can be given here. What carries over: test on later rows wherever
# rows have a day, in a hospital too. The table of loans has no day, so nobody can test it in this way.
#
# ## Fair to whom?
#
# Groups have rights. Does the model of schools treat girls and boys alike? We count the share that is called "above", beside
# the share that is. And we ask what happens if the column is not there.

# %% tags=["plumbing"]
# The federated model of schools with and without the column: `shares`
rounds, epochs = sectors.SECTORS["schools"]
plan = {"rounds": rounds, "epochs": epochs, "seed": FIRST_SEED}
without = [each for each in about["features"] if each != "sex"]
blind = hospitals.load("schools", features=without)
both = {"with sex": schools, "without": blind}
trained = {name: learning.train_federated(data, **plan) for name, data in both.items()}
from fedkit import preparation

split = preparation.split(schools, FIRST_SEED).hospitals
sex = [schools[name].table["sex"].iloc[own.test_rows] for name, own in split.items()]
sex = pd.concat(sex, ignore_index=True).map({"F": "girls", "M": "boys"}).astype(str)


def shares(run):
    called = run.predictions.assign(called=run.predictions["probability"] > 0.5)
    found = called.groupby(sex.rename("pupils"))[["label", "called"]].mean()
    return found.rename(columns={"label": "are above", "called": "are called above"})


# %%
fair = pd.concat({name: shares(run) for name, run in trained.items()}, axis=1)
fair.round(3)

# %% tags=["plumbing"]
# What the text says of girls and boys, checked
called = fair.xs("are called above", axis=1, level=1)
gaps = called.loc["girls"] - called.loc["boys"]
seen = fair["with sex", "are above"]
seen = seen["girls"] - seen["boys"]
claim(gaps["with sex"] > gaps["without"], "The column makes the gap larger.")
claim(gaps["with sex"] > seen, "Larger than it is.")
records.glue("gap_with_sex", gaps["with sex"])
records.glue("gap_without_sex", gaps["without"])

# %% [markdown]
# More girls are above than boys. With the column, the model knows that, and makes the gap larger than it is. Without it,
# the gap is smaller: on some splits too large, on some too small. The model can guess: in a school for girls, all pupils are girls. So to leave
# a column out does not make a model blind. Which gap is right? That depends on what the answer is used for.
#
# ## What does not carry over
#
# Here are facts to look up with somebody who knows the law. This is no legal advice.
#
# | | hospital | school | airport | bank |
# |---|---|---|---|---|
# | a client is | a hospital, with its own duty to keep secrets | a school; its pupils are children | a company or a city; rows need not be about people | a bank, and banks compete. Our divisions are of one company, so here federation is pretended |
# | a row is | a patient | a pupil, inside a class and a school | an hour: near hours are alike | a loan that was *given*; the refused are missing |
# | sex as a feature | often needed | asked with care | - | not allowed for credit in the USA (Equal Credit Opportunity Act) |
# | who is refused must hear why | | | | yes, by the same act |
# | "high risk" in the EU's AI Act, Annex III | some uses | deciding on access, and grading | not there: aviation has laws of its own | whether people get credit |
# | later rows | new machines, new patients | new exams | seasons | good and bad years |
#
# Encryption answers none of these. It hides updates from the server, and nothing else: not who takes part, not the
# model, and not what a model says about a group.
#
# ## What you can do now
#
# - **Make a data set.** A folder with rows, a card, a licence and hashes. No code: by hand, our reading was
#   fedkit's. Without a licence, rows stay at home.
# - **Train in any sector.** The five lines are the same, and encryption changed nothing.
# - **Say who gains, and over whom.** A weak local model makes a gain look large: try one column first. Large clients that
#   are alike gain nothing. Each client's bytes grow with the number of clients.
# - **Test on later rows.** A random split hid what a season does, and probabilities suffered more than the order.
# - **Say what does not carry over.** Ask who the clients are, whose rows are missing, and which law there is.
#
# ## Exercises
#
# **1. Predict.** How many kilobytes does each of 24 schools move in one encrypted round? Use the table of bytes above. Write a
# number. It may be wrong by a tenth.

# %% tags=["exercise"]
guess = ...

# %% tags=["solution"]
guess = 13.8 + 21 * (25.3 - 13.8) / 9  # 21 clients more than three, each adds as much

# %% tags=["plumbing"]
# `each_of` trains one encrypted round, and counts
from dataclasses import replace
from fedkit import aggregators, hospitals, learning


def each_of(count):
    schools = hospitals.load("schools")
    part = replace(schools, hospitals=schools.hospitals[:count])
    how = {"rounds": 1, "seed": 0, "aggregator": aggregators.EncryptedMean()}
    return learning.train_federated(part, **how).ledger["bytes"].sum() / count / 1e3


# %% tags=["plumbing"]
# Exercise 1, checked: it is counted
from fedkit.chapters import course

number = (lambda said: float(said) > 0, "Write a number of kilobytes, such as 20.")
look = "How much more does each move with 12 than with 3? So what does one client add?"
right = (lambda said: abs(float(said) / each_of(24) - 1) < 0.1, look)
course.check("Exercise 1", guess, number, right)

# %% [markdown]
# **2. Build.** A new sector: buses. The file `buses.csv` has the columns `depot`, `rain`, `day` (weekday or weekend) and
# `minutes`. A client is a depot. A bus is late if it is more than 5 minutes behind. Learn from rain and day. Write its
# `dataset.json` as a `dict`, like the one of schools. It needs `hospitals`, `label`, `features`, `categorical` and `missing`
# (here `{}`).

# %% tags=["exercise"]
buses = ...

# %% tags=["solution"]
buses = {
    "hospitals": [{"file": "buses.csv", "column": "depot"}],
    "label": {"name": "late", "column": "minutes", "above": 5},
    "features": ["rain", "day"],
    "categorical": ["day"],
    "missing": {},
}

# %% tags=["plumbing"]
# `read` writes a folder with fresh rows and this file, and loads it
import hashlib
import json
import tempfile
from pathlib import Path
from fedkit import hospitals


def read(about, rows):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows.to_csv(folder / "buses.csv", index=False)
        (folder / "dataset.json").write_text(json.dumps(about))
        files = [folder / "buses.csv", folder / "dataset.json"]
        sums = [
            f"{hashlib.sha256(it.read_bytes()).hexdigest()}  {it.name}\n"
            for it in files
        ]
        (folder / "SHA256SUMS").write_text("".join(sums))
        return hospitals.load(folder)


# %% tags=["plumbing"]
# Fresh rows of 60 buses: `fresh`
import numpy as np
import pandas as pd

rng = np.random.default_rng()
fresh = pd.DataFrame({"depot": ["East", "North", "South"] * 20})
fresh["rain"] = rng.random(60).round(3)
fresh["day"] = rng.permutation(["weekday", "weekend"] * 30)
fresh["minutes"] = rng.permutation(np.arange(60) / 6).round(2)

# %% tags=["plumbing"]
# Exercise 2, checked
from fedkit.chapters import course

late = (fresh["minutes"] > 5).groupby(fresh["depot"]).sum()
shape = (lambda it: isinstance(it, dict), "Write a dict, with braces.")
can_read = (lambda it: len(read(it, fresh)) > 0, "`hospitals.load` cannot read it.")
clients = (
    lambda it: set(read(it, fresh).names) == {"East", "North", "South"},
    "Which column names the client?",
)
labels = (
    lambda it: (
        {one.name: one.labels.sum() for one in read(it, fresh)} == late.to_dict()
    ),
    "When is a bus late? Compare with the label of schools.",
)
learnt = (
    lambda it: (
        set(read(it, fresh).columns)
        in ({"rain", "day=weekday"}, {"rain", "day=weekend"})
    ),
    "Which columns may the model learn from? One of them is no number.",
)
course.check("Exercise 2", buses, shape, can_read, clients, labels, learnt)

# %% [markdown]
# **3. Build.** Write a function that measures a gap. Given probabilities and the group of each row (two groups), it returns
# by how much the shares called 1 differ: the larger minus the smaller. A row is called 1 if its probability is
# above 0.5.


# %% tags=["exercise"]
def gap_between(probabilities, groups):
    """Two lists of the same length -> a number from 0 to 1."""
    return ...


# %% tags=["solution"]
def gap_between(probabilities, groups):
    """Two lists of the same length -> a number from 0 to 1."""
    called = pd.Series(probabilities) > 0.5
    shares = called.groupby(list(groups)).mean()
    return shares.max() - shares.min()


# %% tags=["plumbing"]
# `close` says whether a function gives what is wanted
import numpy as np


def close(probabilities, groups, wanted):
    def rule(function):
        found = function(probabilities, groups)
        return ... if found is ... else abs(float(found) - wanted) < 1e-6

    return rule


# %% tags=["plumbing"]
# Exercise 3, checked: on small rows, and on fresh ones
from fedkit.chapters import course

rng = np.random.default_rng()
p, who = rng.random(200).round(3), rng.permutation(["a"] * 150 + ["b"] * 50)
above = [np.mean(p[who == one] > 0.5) for one in "ab"]
xy = ["x", "x", "y", "y"]
all_of_x = close([0.9, 0.8, 0.1, 0.2], xy, 1.0)
minus = close([0.1, 0.9, 0.9, 0.9], xy, 0.5)
half = close([0.5, 0.5, 0.4, 0.4], xy, 0.0)
course.check(
    "Exercise 3",
    gap_between,
    (all_of_x, "If all of x are called 1, and none of y: how large is the gap?"),
    (minus, "It is the larger share minus the smaller, whichever group that is."),
    (half, "Is 0.5 above 0.5?"),
    (close(p, who, np.ptp(above)), "Groups of unlike size: take the share in each."),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. A folder has rows and a card, but no licence is stated. What follows?**
#
# <details><summary>Nothing is forbidden, so the rows may travel in the kit</summary>
#
# Not this one: without a licence, the right stays with who made them.
#
# </details>
# <details><summary>The rows stay out, and each reader may build them at home</summary>
#
# Right: a recipe is ours to give, and results may be shown. The rows are not ours.
#
# </details>
# <details><summary>A licence of our own is chosen, and put into the folder</summary>
#
# Not this one: only who holds the rights can choose one.
#
# </details>
#
# **2. Airports gain nothing by training together. What is the best reason?**
#
# <details><summary>Each has enough rows, of much the same weather, to learn alone</summary>
#
# Right: where everybody knows enough already, a mean adds nothing.
#
# </details>
# <details><summary>Encryption adds noise, and so it takes the gain away again</summary>
#
# Not this one: the encrypted model is the plain one, as the page shows.
#
# </details>
# <details><summary>Three clients are too few for a mean to be of any use at all</summary>
#
# Not this one: four hospitals gained. It is what each lacks that counts.
#
# </details>
#
# **3. One loan in twenty is bad. Why does accuracy tell nothing there?**
#
# <details><summary>It needs more rows than AUROC to be computed</summary>
#
# Not this one: it is computed from the same rows.
#
# </details>
# <details><summary>A bank does not want to know how often it is right</summary>
#
# Not this one: it may want to. But this number would not tell it who is worth asking.
#
# </details>
# <details><summary>Saying good to everybody is right about as often</summary>
#
# Right: so a model may know nothing, and still look well. Put the guess beside it.
#
# </details>
#
# **4. The model is trained until August. Which test says how it will do in autumn?**
#
# <details><summary>Random days of the whole year, because they are most like the rows</summary>
#
# Not this one: they lie between the days that were trained on. Nobody has such days when a model is used.
#
# </details>
# <details><summary>The days from September on, because a model is used later</summary>
#
# Right: what changes with time is in these rows, and in no random split.
#
# </details>
# <details><summary>More random splits, because their interval gets narrow</summary>
#
# Not this one: a narrow interval around the wrong question does not help.
#
# </details>
#
# **5. Two schools with very few pupils were left out. What is the price of that rule?**
#
# <details><summary>Their pupils are protected, and nobody speaks for them</summary>
#
# Right: a model for all was made without them. A rule that protects may also leave out.
#
# </details>
# <details><summary>The federated model loses a large part of its rows</summary>
#
# Not this one: it was ten rows of more than four thousand.
#
# </details>
# <details><summary>Their sums could be read by every other school</summary>
#
# Not this one: that is what the rule prevents: nothing of them was sent.
#
# </details>
