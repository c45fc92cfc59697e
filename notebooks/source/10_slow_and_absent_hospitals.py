# %% [markdown]
# # 10. Must everybody wait for the slowest hospital?
#
# *One minute to run, 35 minutes to read. To read before: [02](02_federated_learning.ipynb), [03](03_federated_learning_with_encryption.ipynb).*
#
# By the end you can:
#
# - turn rows, messages and bytes into seconds, and say which of them are invented;
# - write the diary of a round with a deadline, and read the diary of a buffer;
# - share out steps so that all hospitals are done at the same time;
# - compare policies by seconds, bytes and work, on many splits;
# - say who is left out, what it costs them, and what these rows cannot show.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
POLICIES = 6  # how many of the six policies are played here
SPLIT = 0  # the split on which they are played; the table holds 0 to 39
SLOWER = 10.0  # how many times as long the slow hospital computes
DEADLINE = 3.0  # seconds after which a round is over
EPOCHS = 3  # passes through a hospital's rows in a round, where there is more than one
ROW_SECONDS = 0.01  # to train on one row

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {
        "POLICIES": 6,
        "SPLIT": 0,
        "SLOWER": 10.0,
        "DEADLINE": 3.0,
        "EPOCHS": 3,
        "ROW_SECONDS": 0.01,
    },
    {"POLICIES": 2},
)

# %% [markdown]
# ## What is real, and what is invented
#
# So far a round was a number. In a hospital it takes time. Some computers are slow, some links are long, some machines
# are off at night. The fast ones wait for the slowest.
#
# We cannot measure that in one computer. So we use a **simulated clock**. Nothing waits. It only computes *when* each
# hospital would be done.
#
# - **Real:** the rows, the training, the encrypted messages and their bytes. They come from the
#   [ledger](glossary.md#ledger) of a real run. Its seconds are not used, nor those of encryption.
# - **Invented:** speeds, links, absences, and the seconds for a row. We made them up.
#
# So do not trust a number of seconds here. Look at a *ratio*: one way is so many times faster than another. But it
# holds for these inventions only: where rows are fast, a slow computer matters less.

# %%
from fedkit import aggregators, hospitals, learning

federation = hospitals.load("heart_disease")
encrypted = aggregators.EncryptedMean()
run = learning.train_federated(federation, rounds=20, aggregator=encrypted, seed=0)

# %%
moved = run.ledger.query("round > 0 and bytes > 0").groupby("hospital")["bytes"]
per_round = moved.agg(["size", "sum"]) / 20
per_round.round(1)

# %% [markdown]
# A hospital has four messages in a round: letter one, the list, letter two, and the sum. Some rounds need a few more,
# to count all patients. Together they are about five kilobytes.
#
# Now we invent the [sites](glossary.md#site). Switzerland is small, and its computer is slow. VA Long Beach is sometimes
# away.

# %%
import pandas as pd

invented = {"speed": 1.0, "bandwidth": 1e6, "latency": 0.1, "present": 1.0}
sites = pd.DataFrame(invented, federation.names)
sites.loc["Switzerland", "speed"] = 1 / SLOWER
sites.loc["VA Long Beach", "present"] = 0.8
sites

# %% [markdown]
# The **bandwidth** is in bytes a second. The [latency](glossary.md#latency) is how long a message takes that is nearly
# empty, in seconds. Present is the chance to be there when a round begins. What does a round cost each hospital? By
# hand:

# %%
train_rows = run.metrics.query("metric == 'train rows'").set_index("hospital")["value"]
busy = train_rows * ROW_SECONDS / sites["speed"]
link = per_round["sum"] / sites["bandwidth"] + per_round["size"] * sites["latency"]

# %%
from fedkit.chapters import clock

costs = clock.costs(sites, train_rows, run.ledger, ROW_SECONDS)
assert (costs["both"] - busy - link).abs().max() < 1e-9, "fedkit's costs are ours."
costs[["busy", "link", "both"]].round(2)

# %% [markdown]
# The bytes of 14 numbers hardly count; the latency counts more. Switzerland has the fewest rows, and takes the longest.
#
# ## A round, with and without a deadline
#
# A rule that says who works when is a [policy](glossary.md#policy). The plain one waits for all. Another has a
# **deadline**: when it has passed, the round is over, and who is late does not count. Encryption adds a rule. A sum of
# fewer than three is never opened, since each of two would see the other's part. So a round with only two in time is
# lost.
#
# What a policy does, we write into a [diary](glossary.md#diary): when the model moved, and whose work was taken. By
# hand, where nobody is away:


# %% tags=["slide"]
def diary_by_hand(both, until, deadline):
    """When the model moves, and who is taken: a list of pairs."""
    now, diary = 0.0, []
    while True:
        now += min(both.max(), deadline)
        if now > until:
            return diary
        taken = both.index[both <= deadline]
        if len(taken) >= 3:
            diary.append((round(now, 6), [*taken]))


# %%
all_there = costs.assign(present=1.0)
by_hand = diary_by_hand(all_there["both"], until=30, deadline=DEADLINE)
by_hand[:3]

# %% [markdown]
# fedkit's diary has the same, and more: a row for each piece of work.

# %%
diary = clock.rounds(all_there, until=30, deadline=DEADLINE)
taken = diary[diary["taken"]].round(6).groupby("seconds")["hospital"].agg(list)
assert [*taken.items()] == by_hand, "fedkit's diary is ours."
diary.head(4).round(2)

# %% [markdown]
# ## Without rounds: a buffer
#
# With a deadline, a slow hospital works in vain. **FedBuff** (Nguyen et al., 2022) throws nothing away. There are no
# rounds. Who is done sends its update into a [buffer](glossary.md#buffer). When three are in it, the model moves, and
# these three begin again. Who is not done works on, with the *old* model.
#
# An update that missed s steps of the model has a [staleness](glossary.md#staleness) of s. It is shortened: it counts
# $1 / \sqrt{1 + s}$. Under encryption the server cannot shorten what it cannot read. So the hospital does, before it
# encrypts. And an encrypted sum takes one letter of each. In the paper a fast hospital may come twice in a step; here it
# waits for the model to move.

# %%
buffered = clock.buffered(all_there, until=30)
stale = buffered.assign(staleness=buffered["step"] - buffered["began"])
stale = stale.query("staleness > 0")[["step", "hospital", "began", "staleness"]]
stale.head(4)

# %% tags=["plumbing"]
# A picture: who works, and who waits
from fedkit import plots
from fedkit.chapters import figures

shown = {
    "wait for all": clock.rounds(all_there, until=30),
    f"deadline of {DEADLINE:g} seconds": diary,
    "buffer of three": buffered,
}
plots.save(
    figures.timeline(shown),
    "timeline",
    pd.concat(shown, names=["policy", "row"]).reset_index("policy"),
    "Three panels with a line for each hospital, over thirty seconds. Where all wait, "
    "the model moves three times, and the bars of three hospitals are short. With a "
    "deadline it moves ten times, and each bar of Switzerland is too late. With a "
    "buffer it moves most often, and the long bars of Switzerland count.",
)

# %% [markdown]
# A blue bar counts, a red one is in vain. A thin line is waiting, or sending.
#
# Here nobody was away. When VA Long Beach is, and Switzerland is late, only two are left:

# %%
days = clock.rounds(costs, until=240, deadline=DEADLINE)
lost = ~days.groupby("seconds")["taken"].any()
print(f"With a deadline, {lost.sum()} of {len(lost)} rounds are lost.")

# %% [markdown]
# The clock must not change the training. It only says *when* an update is counted. So waiting for all is
# `train_federated`, to the last bit. And so is a buffer in which *all* must be.

# %%
import numpy as np

until = 3 * costs["both"].max() + 0.1
plain = learning.train_federated(federation, rounds=3).weights["shared"]
everybody = clock.rounds(all_there, until), clock.buffered(all_there, until, size=4)
for same in everybody:
    played = clock.train(federation, same).weights["shared"]
    assert all(map(np.array_equal, played, plain)), "The clock changes the training."
print("The same 14 numbers, three times.")

# %% [markdown]
# ## Give each as much as it can do
#
# Or nobody is late, because the slow one gets *less work*. A round of three [epochs](glossary.md#epoch) has a number of
# steps, of 32 rows each. Who takes how many, so that the last one is done as early as possible? This is a small
# [optimisation](glossary.md#optimisation). Each takes one step. Then we give one more, again and again, to whoever
# would be done first.

# %%
step_seconds = 32 * ROW_SECONDS / sites["speed"]
equal = EPOCHS * np.ceil(train_rows / 32)
total = int(equal.sum())

# %%
steps = pd.Series(1, federation.names)
while steps.sum() < total:
    done_with_one_more = link + step_seconds * (steps + 1)
    steps[done_with_one_more.idxmin()] += 1

# %%
assert steps.equals(clock.allocate(link, step_seconds, total)), "fedkit's are ours."
shares = {"equal epochs": equal, "own steps": steps}
done = {f"{name}, done at": link + step_seconds * each for name, each in shares.items()}
pd.DataFrame(shares | done).round(1)

# %% [markdown]
# As many steps, and the round is over several times sooner. Nobody could take one more step before the last one is done.
# The price: Switzerland takes two steps, and the others many more. Its patients are heard less.
#
# ## Which is faster?
#
# Six policies, and two places for the slow computer: at the smallest hospital, Switzerland, and at the largest,
# Cleveland.
#
# - **wait for all**: one epoch a round;
# - **ask three**: each round asks three of those who are there, drawn at random;
# - **more epochs**: three epochs a round, and so fewer rounds;
# - **own steps**: as many steps as in three epochs, shared out as above;
# - **deadline**: three seconds;
# - **buffer**: of three.
#
# Each has 240 seconds. We tuned none of these numbers. On 40 splits this takes longer than a lesson, so it is in a table that came with the kit. The
# table knows from which code it was made. Here we play one split again. It must agree with the table.

# %%
from fedkit.studies import grids, policies

how = {"slower": SLOWER, "deadline": DEADLINE, "epochs": EPOCHS}
how |= {"row_seconds": ROW_SECONDS}
played = policies.POLICIES[:POLICIES]
live = policies.rows(SPLIT, played, **how)

# %%
end = live.query("at == 240 and hospital == 'mean' and metric == 'log_loss'")
end.set_index("slow")[[*played]].round(3)

# %% tags=["plumbing"]
# Is it what the table holds?
from fedkit import records

published = {"slower": 10.0, "deadline": 3.0, "epochs": 3, "row_seconds": 0.01}
table = policies.GRID.table()
smooth = table[[*live]].query("metric == 'log_loss'")  # an AUROC jumps where two swap
if how != published or SPLIT not in policies.GRID.seeds:
    print("The table is of the published settings and splits: yours are not compared.")
else:
    mine = live.query("metric == 'log_loss'")
    assert grids.same(mine, smooth), "The table should hold what was computed here."
    print(f"The table holds the same {len(mine)} rows of split {SPLIT}.")
records.glue("log_loss_waiting_one_split", end["wait for all"].mean())

# %% tags=["plumbing"]
# What each policy has spent by then
POLICY, MEAN = [*policies.POLICIES], table["hospital"] == "mean"


def spending(slow):
    """What all hospitals have spent at each time, on the days of one split."""
    made, parts = policies.diaries(policies.invented(slow, 10.0), seed=0), []
    for policy, (days, _) in made.items():
        for at in policies.AT:
            spent = days[days["seconds"] <= at][["bytes", "busy"]].sum()
            parts.append([slow, policy, at, spent["bytes"] / 1000, spent["busy"]])
    return parts


# %% tags=["plumbing"]
# A picture: what a log loss costs
curve = table[MEAN & (table["metric"] == "log_loss")]
curve = curve.groupby(["slow", "at"], sort=False)[POLICY].mean()
drawn = pd.DataFrame(
    [row for slow in policies.SLOW for row in spending(slow)],
    columns=["slow", "policy", "seconds", "kB", "busy"],
)
places = zip(drawn["slow"], drawn["seconds"], drawn["policy"], strict=True)
drawn["log_loss"] = [curve.loc[(slow, at), policy] for slow, at, policy in places]
drawn = drawn[drawn["kB"] > 0]
plots.save(
    figures.score_by_cost(drawn),
    "score_by_cost",
    drawn,
    "Six panels. Above Switzerland is slow, below Cleveland. Log loss goes up, and "
    "seconds, bytes and the work of computers go to the right. Below, three lines fall "
    "far earlier than the others: own steps, deadline and buffer. Above, they fall "
    "first too, and then the deadline ends highest.",
)

# %% [markdown]
# Each line is the mean of the four hospitals over 40 splits; lower is better. Bytes and work are of split 0. Who comes
# too late has worked and sent all the same, and we count that. Left, time. In the middle, bytes. Right, how long
# computers worked, all together. If each computer draws the same power, and none while it waits, this is also the
# **energy** that they use, up to a factor.
#
# How many times sooner does each policy reach what waiting has after two minutes? We ask this of each split. The first
# 20 splits and the other 20 stand side by side, and each split has absences of its own. A policy that never gets there
# is counted with 240 seconds.


# %% tags=["plumbing"]
# How many times sooner: the mean of the splits, and its interval
from fedkit import evaluation

HALF = {"splits 0 to 19": range(20), "splits 20 to 39": range(20, 40)}


def first(values, target):
    """When a curve first reaches a log loss: the last time if it never does."""
    reached = values.index[values <= target]
    return reached[0] if len(reached) else values.index[-1]


def sooner(slow, policy, seeds):
    rows = table[MEAN & (table["metric"] == "log_loss") & (table["slow"] == slow)]
    found = []
    for seed in seeds:
        one = rows[rows["seed"] == seed].set_index("at")
        waiting = one["wait for all"]
        times = [first(curve, waiting[120]) for curve in (waiting, one[policy])]
        found.append(np.log(times[0] / times[1]))
    return np.exp(evaluation.interval(found))


# %%
faster = {
    (slow, policy): {half: sooner(slow, policy, seeds) for half, seeds in HALF.items()}
    for slow in policies.SLOW
    for policy in POLICY[1:]
}
told = pd.DataFrame(faster).T.rename_axis(["slow", "policy"])
told.map(lambda found: "{:.1f} [{:.1f}, {:.1f}]".format(*found))

# %% [markdown]
# Where *Cleveland* is slow, own steps, deadline and buffer are several times as fast. Their whole intervals are above
# 1, on both halves. Where *Switzerland* is slow, these three are not clearly faster, and a deadline even needs
# *longer* on average, perhaps by luck. The model hears less from Switzerland, whose patients differ most. More epochs
# save no time; where Cleveland is slow, they surely cost some.
#
# So "how much faster" depends on who is slow. And on the score: here is the AUROC after two minutes. The three are
# ahead in both cases, perhaps by luck.

# %%
order = table[MEAN & (table["metric"] == "auroc") & (table["at"] == 120)]
order.groupby("slow", sort=False)[POLICY].mean().round(3)

# %% tags=["plumbing"]
# What the text says of time, checked
finish = link + step_seconds * steps
claim(finish.max() <= (finish + step_seconds).min(), "Nobody could take one more.")
times = (link + step_seconds * equal).max() / finish.max()
claim(times > 3, "With steps of their own, the round is several times as short.")
claim(0.1 < lost.mean() < 0.4, "With a deadline, some rounds are lost.")
FAST = ["own steps", "deadline", "buffer"]
for half in HALF:
    lows = [faster["Cleveland", policy][half][1] for policy in FAST]
    claim(min(lows) > 1, "With a slow Cleveland, three policies are faster.")
    lows = [faster["Switzerland", policy][half][1] for policy in FAST]
    claim(max(lows) < 1, "With a slow Switzerland, none is clearly faster.")
    claim(faster["Switzerland", "deadline"][half][0] < 0.9, "A deadline is slower.")
    claim(faster["Switzerland", "deadline"][half][2] > 1, "Perhaps by luck.")
    claim(faster["Cleveland", "more epochs"][half][2] < 1, "More epochs cost time.")
    lows = [faster[slow, "more epochs"][half][1] for slow in policies.SLOW]
    claim(max(lows) < 1.0, "More epochs are not clearly faster.")
ahead = order.groupby("slow")[POLICY].mean()
ahead = ahead[FAST].sub(ahead["wait for all"], axis=0)
claim((ahead > 0).all(axis=None), "By AUROC, the three are ahead in both cases.")
for slow, policy in [("Cleveland", "buffer"), ("Switzerland", "deadline")]:
    both = np.exp(np.mean([np.log(faster[slow, policy][half][0]) for half in HALF]))
    records.glue(f"times_sooner_{policy}_slow_{slow.lower()}", both)

# %% [markdown]
# ## Who is left out, and what does it cost them?
#
# With a slow Switzerland and a deadline, no update of Switzerland ever counts. Does this harm its patients? We compare
# each hospital after 240 seconds with *waiting for all*, on the same splits. First the log loss: above zero is worse.

# %% tags=["plumbing"]
# A picture: who pays, where Switzerland is slow
ends = table[(table["at"] == 240) & ~MEAN & (table["slow"] == "Switzerland")]
ends = ends.melt(["seed", "hospital", "metric"], POLICY, "method")
ends = ends[ends["method"].isin(["wait for all", *FAST])]
pays = evaluation.paired_differences(ends, "wait for all")
plots.save(
    figures.auroc_forest(
        pays, "log_loss", "Switzerland is slow: log loss minus that of waiting for all"
    ),
    "who_pays_for_speed",
    pays,
    "A group for each hospital, with an interval for own steps, deadline and buffer, "
    "and numbers at the right. At Switzerland the mean of the deadline lies most to "
    "the right, which is worse. The other hospitals lie near zero.",
)

# %% [markdown]
# And the one who is left out by a deadline, in three scores, on each half of the splits. Where Switzerland is slow that
# is Switzerland, and where Cleveland is slow it is Cleveland:

# %% tags=["plumbing"]
# A deadline minus waiting for all, at the hospital that is late
halves = []
for seeds in HALF.values():
    late = table[(table["at"] == 240) & (table["hospital"] == table["slow"])]
    late = late[late["seed"].isin(seeds)]
    late = late.melt(["seed", "hospital", "metric"], POLICY, "method")
    late = late[late["method"].isin(["wait for all", "deadline"])]
    halves.append(evaluation.paired_differences(late, "wait for all"))
halves = pd.concat(halves, keys=HALF, names=["splits", "row"]).reset_index()
halves = halves.set_index(["hospital", "metric", "splits"]).sort_index()

# %%
halves[["mean", "low", "high"]].round(3)

# %% [markdown]
# Three scores, and not one answer:
#
# - At Switzerland the log loss is worse, on both halves, and both intervals are above zero. The *probabilities* of its
#   patients suffer when nobody hears it. This harm can be shown.
# - In AUROC and in accuracy, **harm cannot be shown on these rows**: all intervals hold zero. That is not "no harm".
#   Switzerland has very few test patients with label 0, so its intervals are wide.
# - At Cleveland the log loss is worse on average. One interval holds zero, one does not: we leave that open.
#
# In the picture, own steps and buffer lie nearer to zero at Switzerland than the deadline does: own steps surely so, on
# both halves. To be heard a little is better than never to be heard. All splits are of the same patients: about other
# hospitals these intervals say nothing.

# %% [markdown]
# ## Fewer bytes
#
# Two ways to save bytes: rounds that are **less frequent**, with more epochs in between, or numbers of **fewer bits**
# (notebook [05](05_communication_cost.ipynb)). The second helps only a large model. Here are real encrypted sums, for
# three sizes of a model. The last two columns invent a slow link, of 10 kilobytes a second.


# %% tags=["plumbing"]
# kilobytes_by_size: what a hospital sends and gets in one encrypted round
SIZES = pd.Index([14, 1_000, 50_000], name="numbers")


def kilobytes(numbers, bits):
    ledger, secret = records.Ledger(), aggregators.EncryptedMean(bits=bits)
    state = secret.start(federation.names, {"all": (numbers,)}, ledger)
    rng = np.random.default_rng(0)
    updates = {name: rng.normal(size=numbers) for name in federation.names}
    patients = dict.fromkeys(updates, 100)
    for ledger.round in (1, 2):  # in the first, patients are counted
        state, _ = secret.aggregate(state, updates, patients, ledger)
    return ledger.frame().query("round == 2")["bytes"].sum() / 4 / 1000


def kilobytes_by_size(bits):
    return [kilobytes(size, bits) for size in SIZES]


# %%
sent = {f"{bits} bits, kB": kilobytes_by_size(bits) for bits in (26, 12)}
sent = pd.DataFrame(sent, index=SIZES)
seconds = (sent / 10).rename(columns=lambda name: name.replace("kB", "seconds"))
sent.join(seconds).round(1)

# %% [markdown]
# With 14 numbers, fewer bits save next to nothing: the list and letter two are as long as before. With 50,000 numbers
# they save more than half, in bytes and on a slow link in seconds. Less frequent rounds save bytes at any size. How
# many kilobytes does each policy need for a log loss of 0.5, where Switzerland is slow? We read it off the picture.

# %%
cheap = drawn[(drawn["slow"] == "Switzerland") & (drawn["log_loss"] <= 0.5)]
cheap = cheap.groupby("policy", sort=False)[["seconds", "kB", "busy"]].first()
cheap.round(0)


# %% tags=["plumbing"]
# What the text says of those who are left out, and of bytes, checked
low, high = halves["low"], halves["high"]
for metric in ("auroc", "accuracy"):
    here = halves.index.get_level_values("metric") == metric
    within = ((low < 0) & (high > 0))[here].all()
    claim(within, "In AUROC and accuracy no harm can be shown.")
claim((low["Switzerland", "log_loss"] > 0).all(), "Swiss log loss is worse.")
worse = halves["mean"]["Cleveland", "log_loss"]
claim((worse > 0).all(), "At Cleveland the log loss is worse on average.")
decided = (low["Cleveland", "log_loss"] > 0).sum()
claim(decided == 1, "One interval of Cleveland holds zero, and one does not.")
swiss = pays[(pays["hospital"] == "Switzerland") & (pays["metric"] == "log_loss")]
swiss = swiss.set_index("method")["mean"]
claim(swiss.idxmax() == "deadline", "A deadline does most harm to Switzerland.")
saved = 1 - sent["12 bits, kB"] / sent["26 bits, kB"]
claim(saved.iloc[0] < 0.05, "Fewer bits save hardly anything of a small message.")
claim(saved.iloc[2] > 0.4, "They save much of a large one.")
claim(cheap["kB"].idxmin() == "more epochs", "Less frequent rounds need fewest bytes.")
records.glue("log_loss_switzerland_deadline", swiss["deadline"])
records.glue("kilobytes_for_half_more_epochs", cheap["kB"]["more epochs"])
records.glue("share_saved_by_12_bits_large", saved.iloc[2])

# %% [markdown]
# ## A thousand hospitals
#
# The clock needs no rows, only costs. So it takes a thousand hospitals as well. All of them are pretended: nobody trains,
# and each sends what one of our four sends. (In a list of a hundred, the list itself would be longer.) Their speeds are
# drawn at random. The slowest is many times as slow as the middle one, and each is away now and then.

# %%
rng, count = np.random.default_rng(0), 1_000
drawn_at_random = {"speed": rng.lognormal(0, 0.8, count)}
drawn_at_random["bandwidth"] = 10 ** rng.uniform(4, 7, count)
drawn_at_random["latency"] = rng.uniform(0.02, 0.4, count)
drawn_at_random["present"] = rng.uniform(0.3, 0.9, count)
crowd = pd.DataFrame(drawn_at_random).rename("hospital {}".format)

# %%
many = clock.costs(crowd, dict.fromkeys(crowd.index, 160), run.ledger, ROW_SECONDS)
many["both"].describe()[["min", "50%", "max"]].round(1)

# %% [markdown]
# In two minutes: how often does the model move, how many updates count, how many work in vain, and how large is the share
# of the slowest tenth? If all were heard alike, it would be 10%.

# %%
middle = many["both"].median()
crowds = {
    "wait for all": clock.rounds(many, 120),
    "ask 100": clock.rounds(many, 120, sample=100),
    "deadline for half": clock.rounds(many, 120, deadline=middle),
    "buffer of 100": clock.buffered(many, 120, size=100),
}

# %% tags=["plumbing"]
# Whose updates count, in these two minutes
slowest, seen = many["both"].nlargest(100).index, {}
for policy, days in crowds.items():
    counted = days[days["taken"]]
    seen[policy] = {
        "steps": counted["step"].max(),
        "updates": len(counted),
        "in vain, %": 100 * (~days["taken"]).mean(),
        "slowest tenth, %": 100 * counted["hospital"].isin(slowest).mean(),
    }
seen = pd.DataFrame(seen).T
share = seen["slowest tenth, %"]
claim(2 < share["wait for all"] < 20, "Waiting for all hears them.")
claim(0 < share["buffer of 100"] < share["wait for all"], "A buffer hears them rarely.")
claim(seen["steps"].idxmax() == "buffer of 100", "A buffer moves most often.")

# %%
seen.round(1)

# %% [markdown]
# To wait for a thousand is to wait for the slowest. Asking a hundred saves little: among them there is nearly always a
# very slow one. A deadline shuts the slowest tenth out for good. A buffer moves most often and wastes nothing, but
# hears slow hospitals rarely. Such speed has a price: **fast hospitals are heard more often**. If the slow ones are
# poor, the model is made for the patients of the rich.
#
# ## What a clock tells others
#
# Who holds which key has not changed: each hospital has keys of its own, and the server has none. But the server sees
# *when* each letter comes. So it learns how fast a hospital computes, and when it is away.
#
# ## What you can do now
#
# - You turned rows, messages and bytes into seconds. The bytes are real, the speeds are invented: a ratio holds for
#   these speeds only.
# - You wrote a diary with a deadline by hand, and read the diary of a buffer. With all hospitals in it, both are
#   federated averaging, to the last bit.
# - You shared out steps, one at a time, until nobody could take one more before the last one was done.
# - You compared six policies by seconds, bytes and work. Three are several times faster where the *largest* hospital is
#   slow. Where a small one is slow whose patients differ, they are not.
# - You can say who is left out, and which harm these rows show and which they cannot show.
#
# Back to [the map](00_start_here.ipynb).

# %% [markdown]
# ## Exercises
#
# **1. Predict.** Switzerland is ten times slower, and gets a gift: a link of ten times the bandwidth. All wait for all,
# and nobody is away. How often does the model move in 240 seconds? Is it "twice as often" or even more, "more often", but
# less than twice, or "as often" as before? The check runs the clock.

# %% tags=["exercise"]
guess = ...  # "twice as often", "more often" or "as often"

# %% tags=["solution"]
guess = "as often"  # five kilobytes take no time: rows and messages do

# %% tags=["plumbing"]
# Is exercise 1 right?
from fedkit.chapters import clock, course
from fedkit.studies import policies


def moves(**gift):
    here = policies.invented("Switzerland", 10.0).assign(present=1.0)
    for column, times in gift.items():
        here.loc["Switzerland", column] *= times
    ledger, rows = policies.measured()
    return clock.rounds(clock.costs(here, rows, ledger, 0.01), 240)["step"].max()


def right(word):
    times = moves(bandwidth=10) / moves()
    found = (
        "twice as often" if times >= 2 else "more often" if times > 1 else "as often"
    )
    return word.strip(" .").lower() == found


words, one = ["twice as often", "more often", "as often"], "Write one of the three."
look = "Which part of a round is longest there: busy, or link? And how long are bytes?"
is_word = (lambda it: it.strip(" .").lower() in words, one)
course.check("Exercise 1", guess, is_word, (right, look))

# %% [markdown]
# **2. Modify.** Why a deadline of three seconds? Choose it by the hospitals instead. Write a function that returns the *shortest* deadline with which at least a `share` of the hospitals is in time. `both` holds
# the seconds that a round takes each of them. Who needs exactly as long as the deadline is in time.


# %% tags=["exercise"]
def deadline_for(both, share):
    """Seconds of each hospital, and a share above 0 -> seconds."""
    return ...


# %% tags=["solution"]
def deadline_for(both, share):
    """Seconds of each hospital, and a share above 0 -> seconds."""
    needed = int(np.ceil(share * len(both) - 1e-9))  # so many hospitals
    return sorted(both)[needed - 1]


# %% tags=["plumbing"]
# Is exercise 2 right? On eight fresh hospitals
import numpy as np
import pandas as pd

from fedkit.chapters import course


def fits(share, needed):
    fresh = np.random.default_rng().uniform(1, 60, 8)
    both = pd.Series(fresh, [*"abcdefgh"])

    def agrees(function):
        found = function(both.copy(), share)
        return ... if found is ... else np.isclose(found, np.sort(fresh)[needed - 1])

    return agrees


course.check(
    "Exercise 2",
    deadline_for,
    (fits(1.0, 8), "With a share of 1 all are in time: who is the last?"),
    (fits(0.5, 4), "Half of eight are four: sort the seconds, and count."),
    (fits(0.6, 5), "0.6 of eight is 4.8: are four of eight enough for that?"),
)

# %% [markdown]
# **3. Build.** Servers of phones often ask *more* than they need, and close a round when enough are done (Bonawitz et
# al., 2019). Write this policy. All hospitals begin together. When `count` of them are done, the model moves, the others
# stop, and all begin again. Return a list of pairs, as our first diary by hand: when the model moves, and a list of
# who is taken. `both` is a series of seconds, by hospital. What would be later than `until` is left out.


# %% tags=["exercise"]
def first_done(both, until, count):
    """Seconds by hospital -> a list of pairs: seconds, and the names that are taken."""
    return ...


# %% tags=["solution"]
def first_done(both, until, count):
    """Seconds by hospital -> a list of pairs: seconds, and the names that are taken."""
    fastest = both.nsmallest(count)
    rounds = int(until / fastest.max())
    names = [*fastest.index]
    return [(number * fastest.max(), names) for number in range(1, rounds + 1)]


# %% tags=["plumbing"]
# Is exercise 3 right? On six fresh hospitals
import numpy as np
import pandas as pd
from fedkit.chapters import course


def played(function, part):
    order = np.random.default_rng().permutation(6)
    both = pd.Series(2.0 + 2.0 * order, [*"abcdef"])
    found = function(both.copy(), 27.0, 3)
    if found is ...:
        return ...
    fast, times = {*both.index[both <= 6]}, [at for at, _ in found]
    right = {"names": times and all(set(who) == fast for _, who in found)}
    right["times"] = np.allclose(times, 6.0 * np.arange(1, len(times) + 1))
    return right[part] if part in right else len(times) == 4


course.check(
    "Exercise 3",
    first_done,
    (lambda it: played(it, "names"), "Who are the three that are done first?"),
    (lambda it: played(it, "times"), "When is the third of them done? Then all begin."),
    (lambda it: played(it, "count"), "How many whole rounds are over by then?"),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. The clock is simulated. Which of its results may you use?**
#
# <details><summary>Seconds, because the rows and the bytes are real</summary>
#
# Not this one: rows and bytes are real, speeds and links are invented. So the seconds are invented, too.
#
# </details>
# <details><summary>Ratios, and they hold for other hospitals as well</summary>
#
# Not this one: with other speeds there are other ratios. Where rows are fast, a slow computer matters less.
#
# </details>
# <details><summary>Ratios, and they hold for these speeds only</summary>
#
# Right: one way can be so many times faster than another. Other speeds would give another ratio.
#
# </details>
#
# **2. A late update should count less, and it is encrypted. How is this done?**
#
# <details><summary>The hospital makes it smaller before it encrypts</summary>
#
# Right: it knows how many steps it has missed. So nobody else has to read its update.
#
# </details>
# <details><summary>The server reads how large it is, and makes it smaller</summary>
#
# Not this one: the server cannot read an update, and so it cannot see how large it is.
#
# </details>
# <details><summary>It is left out, since nobody can change it</summary>
#
# Not this one: FedBuff throws nothing away. Its own hospital can still change it.
#
# </details>
#
# **3. A deadline has passed, and only two hospitals are in time. What happens?**
#
# <details><summary>Both updates count, since two are still better than none</summary>
#
# Not this one: each of the two knows its own part. So it could read the other's from the sum.
#
# </details>
# <details><summary>The round is lost, since two would read each other</summary>
#
# Right: a sum of fewer than three is never opened. It is a price of encryption.
#
# </details>
# <details><summary>The server waits until a third hospital is done</summary>
#
# Not this one: with a deadline the round is over. Waiting is another policy.
#
# </details>
#
# **4. With a slow Cleveland three policies are clearly faster, with a slow Switzerland they are not. Why?**
#
# <details><summary>Because Switzerland has more rows, and needs longer</summary>
#
# Not this one: it has the fewest rows. Its computer is as many times slower as Cleveland's was.
#
# </details>
# <details><summary>Because Switzerland's messages are longer than others'</summary>
#
# Not this one: all hospitals send about the same number of bytes.
#
# </details>
# <details><summary>Because the model then hears less of unlike patients</summary>
#
# Right: Switzerland's patients differ most. What is saved in time is lost in what the model knows.
#
# </details>
#
# **5. A deadline leaves Switzerland out. In AUROC and accuracy, the intervals there hold zero. What may you say?**
#
# <details><summary>Leaving it out does no harm to its patients</summary>
#
# Not this one: "Not shown" is not "no harm". And its log loss does get worse.
#
# </details>
# <details><summary>The log loss shows harm there, and these two do not</summary>
#
# Right: it has few test patients with label 0, so two intervals are wide. The probabilities got worse all the same.
#
# </details>
# <details><summary>With so few patients, no score can show any harm</summary>
#
# Not this one: its log loss is worse, with intervals above zero on both halves of the splits.
#
# </details>
