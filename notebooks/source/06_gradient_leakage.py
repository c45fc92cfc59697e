# %% [markdown]
# # 06. What can a curious server read from one update?
#
# *Two minutes of computing, 45 of reading. Read [03](03_federated_learning_with_encryption.ipynb) before.*
#
# By the end you can:
#
# - read a patient's row from one plain update, with one division;
# - say when this succeeds: by batch, by model, by round;
# - find an image by its gradient, and show what a ciphertext leaves of both attacks, and what would leave it whole;
# - name what encryption does *not* touch: sums, colluders, and the finished model;
# - weigh remedies: what they leave to an attacker, and what they cost.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 10  # how many splits, models and draws of patients
ROUNDS = 30  # rounds of the trainings that price the remedies
SEARCHES = 5  # images to search for, of each kind
SHADOWS = 33  # models of the membership attack; fewer would leave patients without some

# %%
if PROFILE == "smoke":
    SEEDS, ROUNDS, SEARCHES = 3, 10, 1

# %% [markdown]
# ## One row
#
# In notebook 03 a curious server learned where label 1 is common. Can it read a *patient*? Our model is a network with
# one hidden layer of 16 units, after five rounds.

# %%
from fedkit import hospitals, learning, models, preparation

federation, network = hospitals.load("heart_disease"), models.mlp([16])
split = preparation.split(federation, seed=0)
weights = learning.train_federated(federation, rounds=5, model=network, seed=0).weights[
    "shared"
]
dict(zip(network.layers, [weight.shape for weight in weights], strict=True))

# %% [markdown]
# Hospitals are honest: they train as always, with the same code. `send` returns the update of each, a list of arrays.

# %%
import numpy as np


def send(model, starts, rows, batch_size=32, learning_rate=0.3):
    plan = learning.Plan(
        model=model, batch_size=batch_size, learning_rate=learning_rate
    )
    orders = [np.arange(len(y), dtype=np.int32)[None] for _, y in rows]
    tasks = [
        learning.Task(w, [], x, y, o)
        for w, (x, y), o in zip(starts, rows, orders, strict=True)
    ]
    shapes = [weight.shape for weight in starts[0]]
    return [
        models.unflatten(done.update, shapes)
        for done in learning.local_updates(plan, tasks)
    ]


# %% [markdown]
# One step, one patient of Switzerland: the one with the fewest gaps. The server does not have `x` and `y`. It has
# `update`.

# %%
swiss = split.hospitals["Switzerland"]
notes = federation["Switzerland"].table.iloc[swiss.train_rows]
at = int(notes.notna().sum(axis=1).argmax())
x, y = swiss.train_features[[at]], swiss.train_labels[[at]]
(update,) = send(network, [weights], [(x, y)])
[part.shape for part in update]

# %% [markdown]
# A hidden unit computes z = x·w + b. The chain rule gives its gradients: for the bias it is some number d, and for the
# kernel it is x times *the same* d. The update is both, times minus the learning rate. So we divide (Phong et al.,
# 2018), and everything but x cancels. Any unit that moved will do. The label is easier still: the last bias goes up
# for label 1 and down for 0 (Zhao et al., 2020).

# %%
from fedkit.chapters.attacks import inversion

kernel, bias = np.float64(update[0]), np.float64(update[1])
moved = bias != 0
rows_by_hand = (kernel[:, moved] / bias[moved]).T
label_by_hand = int(update[-1][0] > 0)

# %%
assert np.array_equal(rows_by_hand, inversion.rows(update[0], update[1])), (
    "fedkit should divide as we do."
)
assert label_by_hand == inversion.label(update[-1]) == y[0], (
    "The label should be right."
)
print(
    f"{moved.sum()} of 16 units moved; largest error {np.abs(rows_by_hand - x).max():.0e}"
)

# %% [markdown]
# This row is standardised. But the server added up the means and spreads itself. So it can go back to what the doctor
# wrote down:

# %%
import pandas as pd

wrote = notes.iloc[at]
stolen = inversion.as_measured(rows_by_hand[0], split.statistics)

# %%
shown = pd.DataFrame(
    {"the doctor wrote": wrote, "the server reads": pd.Series(stolen)}
).reindex(wrote.index)
shown.loc["label"] = [int(y[0]), label_by_hand]
shown.map(lambda value: round(value, 3) + 0.0 if isinstance(value, float) else value)

# %%
measured = [column for column in federation.numeric if pd.notna(wrote[column])]
assert all(abs(stolen[column] - wrote[column]) < 1e-3 for column in measured), (
    "Numbers should be read exactly."
)
levels = [column for column in federation.categorical if pd.notna(wrote[column])]
assert all(stolen[column] == wrote[column] for column in levels), "So should levels."

# %% [markdown]
# Every value that was measured is there. Where the doctor wrote nothing (NaN), the server reads the value that stood
# in for it.
#
# ## When does it work?
#
# With several patients in the step, a unit adds up their rows, each with its own d. One division then gives a
# **mixture**. But a ReLU unit is silent for many patients. If it speaks for one patient only, it still gives this row
# away. So wide networks should leak more.
#
# We call a row *read* if some unit has it, and no feature is off by more than 0.01 standard deviations. (A real
# attacker must also recognise it: exercise 3.) We draw batches at all four hospitals, for many seeds.

# %%
from itertools import product


def share_read(update, x):
    found = inversion.rows(update[0], update[1])
    return (inversion.errors(x, found).max(axis=1) < 0.01).mean() if found.size else 0.0


# %%
cases = list(product(range(SEEDS), federation.names))
splits = [preparation.split(federation, seed) for seed in range(SEEDS)]


def draw(seed, name, patients):
    rows = splits[seed].hospitals[name]
    chosen = np.random.default_rng([seed, patients, *name.encode()]).permutation(
        len(rows.train_labels)
    )[:patients]
    return rows.train_features[chosen], rows.train_labels[chosen]


# %%
BATCHES = (1, 2, 4, 8, 16, 32)
drawn = {patients: [draw(*case, patients) for case in cases] for patients in BATCHES}
tried = {"logistic regression": models.logistic_regression()}
tried |= {f"network, {width} units": models.mlp([width]) for width in (16, 64, 256)}
starts, sent = {}, {}
for name, model in tried.items():
    runs_started = learning.train_federated(
        federation, rounds=5, seed=range(SEEDS), model=model
    )
    starts[name] = [runs_started[seed].weights["shared"] for seed, _ in cases]
    sent |= {
        (name, patients): send(model, starts[name], rows)
        for patients, rows in drawn.items()
    }

# %% [markdown]
# Beside them, the same attacker gets **letters**: updates that each hospital hid under a key of its own, used once
# (notebook 03). It is a good attacker, and knows the format: integers times delta, plus a little noise, minus a x key.
# It takes the head off, takes zeros for the key, divides by delta, and unpacks the integers.

# %%
from fedkit import encryption, records
from fedkit.encryption import messages, quantization, ring
from fedkit.encryption.together import Together

wide = "network, 256 units"
shapes = [weight.shape for weight in starts[wide][0]]
parameters = encryption.choose(4, numbers=sum(map(np.prod, shapes)))
no_key = np.zeros(parameters.ring_dimension)


def new_keys():
    return Together(
        federation.names, parameters, records.Ledger(), lambda sender, message: message
    ).keyrings


cleveland = new_keys()["Cleveland"]


def read_letter(letter, shapes):
    layout = cleveland.plain_layout(sum(map(np.prod, shapes)))  # what a step is worth
    hidden = messages.Letter.from_bytes(letter, parameters).hidden
    integers = ring.Ring(parameters).show(hidden, bytes(32), no_key)
    return models.unflatten(layout.decode(integers[-layout.coefficients :]), shapes)


# %% [markdown]
# Is it as good as we say? An attack that always fails proves nothing. So we give it one letter of a hospital that
# *forgot* the key: all the rest is as it should be. It must read the row.


# %%
def letter_without_key(update):
    count = quantization.exact_layer(1, parameters, 1.0, 64)
    layout = quantization.Layout((count, *cleveland.plain_layout(len(update)).layers))
    integers = layout.encode(np.append(1, update))
    hidden = ring.Ring(parameters).hide(integers, bytes(32), no_key, bytes(32))
    return messages.Letter(bytes(32), hidden).to_bytes(parameters)


one_update, one_row = sent[wide, 1][0], drawn[1][0][0]
read_in_clear = read_letter(letter_without_key(models.flatten(one_update)), shapes)
assert share_read(read_in_clear, one_row) == 1, (
    "Without a key, the attacker should read."
)
print("from a letter without a key, the row is read")

# %%
for patients in BATCHES:
    letters = (
        cleveland.encrypt("update", models.flatten(plain), patients)
        for plain in sent[wide, patients]
    )
    sent["the same, encrypted", patients] = [
        read_letter(letter, shapes) for letter in letters
    ]

# %% [markdown]
# One value a seed, the mean of four hospitals; then the interval of notebook 04 over seeds.

# %%
from fedkit import evaluation, plots
from fedkit.chapters import figures


def by_seed(values):
    return np.asarray(values, dtype=float).reshape(SEEDS, -1).mean(axis=1)


def bounded(values):
    mean, low, high = evaluation.interval(by_seed(values))
    return mean, max(low, 0), min(high, 1)


# %%
shares = {
    case: [
        share_read(u, x) for u, (x, _) in zip(sent[case], drawn[case[1]], strict=True)
    ]
    for case in sent
}
leaks = pd.DataFrame([(*case, *bounded(values)) for case, values in shares.items()])
leaks.columns = ["model", "patients", "mean", "low", "high"]
picture_rows = figures.rows_read(leaks)
plots.save(picture_rows, "rows_read", leaks)
picture_rows

# %% [markdown]
# *In the picture: five lines over batches of 1 to 32 patients. At 1 all plain models stand at 1. Logistic regression
# drops to 0 at once. The networks fall later, the widest last, and are near 0 at 32. The encrypted line lies at 0.*

# %%
from fedkit import records

means = leaks.set_index(["model", "patients"])["mean"]
assert (means.loc[list(tried), 1] == 1).all(), "A patient alone should always be read."
assert means["logistic regression"].drop(1).max() == 0, "A lone mixture is no patient."
assert means["network, 16 units", 8] < means[wide, 8] - 0.2, "Width should leak."
assert means["the same, encrypted"].max() == 0, "A letter should give no row away."

# %%
for name in tried:
    records.glue(f"read_of_8_{name.replace(' ', '_').replace(',', '')}", means[name, 8])

# %% [markdown]
# Two cases in which *nothing* is read. In the very first round, our networks start with a last layer of zeros, so
# nothing comes back to the hidden layer. And after a whole round with our usual settings, hundreds of rows are mixed.

# %%
first = send(tried[wide], [tried[wide].initial_weights(13, seed=0)], [(x, y)])[0]
assert not inversion.rows(first[0], first[1]).size, (
    "In the first round no hidden unit should move."
)
whole = [
    (rows.train_features, rows.train_labels)
    for one in splits
    for rows in one.hospitals.values()
]
of_whole = [
    share_read(u, x)
    for u, (x, _) in zip(send(tried[wide], starts[wide], whole), whole, strict=True)
]
assert max(of_whole) == 0, "A whole round should hide rows from a division."
print(
    f"rows read from {len(of_whole)} whole rounds: {sum(of_whole):.0f}; from the first round: none"
)

# %% [markdown]
# "Not read by *this* attack" is no promise. Others search where we divide.
#
# ## A head
#
# Hospitals also have images. This is a real MR slice that is shipped with Matplotlib, which says nothing about its
# origin. We shrink it to 32 x 32 pixels, and **its label is made up**: 1.

# %%
from matplotlib import cbook

with cbook.get_sample_data("s1045.ima.gz") as file:
    scan = np.frombuffer(file.read(), "<u2").reshape(256, 256) / 55040
head = scan.reshape(32, 8, 32, 8).mean(axis=(1, 3)).astype(np.float32)
print(
    f"{scan.shape} pixels become {head.shape}, from {head.min():.2f} to {head.max():.2f}"
)

# %% [markdown]
# A **convolution** slides small kernels over the image; no unit sees all of it, and nothing can be divided. So the
# attacker *searches* (Zhu et al., 2019; Geiping et al., 2020). It starts from noise, computes the gradient that this
# would give, and changes pixels until the gradient points where the update points. The score is **PSNR** in decibels
# (dB): above 30, an eye hardly sees a difference.
#
# We also give it what it reads of the letter with this update, and, for chance level, random numbers.

# %%
from fedkit.chapters.attacks import matching

camera, one, found = matching.Convolutional(), np.ones(1, np.float32), {}
image_shapes = [weight.shape for weight in camera.initial_weights(1024, 0)]
for seed in range(SEARCHES):
    start = camera.initial_weights(1024, seed)
    (plain,) = send(camera, [start], [(head.reshape(1, -1), one)], learning_rate=0.1)
    secret = read_letter(
        cleveland.encrypt("update", models.flatten(plain), 1), image_shapes
    )
    noise = [np.random.default_rng(seed).normal(size=shape) for shape in image_shapes]
    for kind, numbers in {
        "plain update": plain,
        "ciphertext": secret,
        "random numbers": noise,
    }.items():
        guess = matching.reconstruct(camera, start, numbers, [1], 1024, seed=seed)
        found[kind, seed] = guess.reshape(32, 32)

# %%
psnr = pd.Series({case: inversion.psnr(head, guess) for case, guess in found.items()})
quality = psnr.groupby(level=0, sort=False).agg(["mean", "min", "max", "count"])
quality.round(1)

# %%
assert quality.loc["plain update", "min"] > 28, "The head should be seen."
assert quality.drop("plain update")["max"].max() < 8, (
    "Without the update there should be nothing to see."
)
records.glue("psnr_plain", quality.loc["plain update", "mean"])
records.glue("psnr_ciphertext", quality.loc["ciphertext", "mean"])

# %%
pictures = {"the slice": head} | {
    f"from {kind}": found[kind, 0] for kind in quality.index
}
below = {"the slice": "32 x 32 pixels"} | {
    f"from {kind}": f"{psnr[kind, 0]:.1f} dB" for kind in quality.index
}
image_row = figures.images(pictures, below)
plots.save(
    image_row,
    "image_from_update",
    psnr.rename_axis(["from", "seed"]).reset_index(name="psnr"),
    measured=True,
)
image_row

# %% [markdown]
# *In the picture: four squares. First a head in a scanner, from the side. The second looks the same. The third and the
# fourth are black and white grain.*
#
# ## Who holds what
#
# | | each hospital | the server |
# | --- | --- | --- |
# | keys | its own, new for each sum | **none** |
# | rows; own update | its own | none |
# | letters with hidden updates | its own | all |
# | the sum, and the finished model | yes | no |
#
# So encryption ended both attacks of the *server*. Two ways stay open, and a third if all hospitals share one key.
#
# ## Open: the sum
#
# A mean of updates of one step each is the update of one large batch. So a sum of n hospitals leaks like a batch of n.

# %%
x_4, y_4 = drawn[4][0]
alone = [send(network, [weights], [(x_4[[i]], y_4[[i]])])[0] for i in range(4)]
together = send(network, [weights], [(x_4, y_4)])[0]
assert np.allclose(
    np.mean([models.flatten(a) for a in alone], axis=0),
    models.flatten(together),
    atol=1e-6,
)
print(f"share read from the sum of four: {share_read(together, x_4):.2f}")

# %% [markdown]
# All hospitals read the sum. Of *two*, each subtracts its own part, so fedkit refuses two. Of three, two must work
# together. Hungary and VA Long Beach do, after one encrypted round with one step over all rows. From the bias they read
# how common label 1 is at the third: the step moves it by learning rate x (share of label 1 - mean prediction), and the
# first prediction is 0.5.

# %%
from fedkit import aggregators
from fedkit.chapters.attacks import inference

three, one_step = (
    federation.without("Cleveland"),
    {"rounds": 1, "batch_size": None, "seed": 0},
)
mean = learning.train_federated(
    three, aggregator=aggregators.EncryptedMean(), **one_step
).weights["shared"]
alone_at = learning.train_local(three, **one_step).weights
known = {name: models.flatten(alone_at[name]) for name in ("Hungary", "VA Long Beach")}
truth = preparation.split(three, seed=0).hospitals
patients = {name: len(rows.train_labels) for name, rows in truth.items()}

# %%
other = inversion.subtract(models.flatten(mean), patients, known)
share_by_hand = 0.5 + other[-1] / 0.3
assert share_by_hand == inference.prevalence(other[-1], 0.3), (
    "fedkit should compute the same."
)
assert abs(share_by_hand - truth["Switzerland"].train_labels.mean()) < 1e-4, (
    "The share should be exact."
)
print(
    f"the two read that {share_by_hand:.1%} of Switzerland's training patients have label 1"
)

# %% [markdown]
# ## One key for all?
#
# Many kits give all hospitals *one* key. Then a single hospital is enough. Switzerland sends the update of above under
# such a shared key, here with CKKS. The server passes it to Cleveland, who opens it:

# %%
shared = encryption.SharedKeys(hospitals=4)
message = shared.encrypt(models.flatten(update), 1)  # at Switzerland
opened, _ = shared.decrypt(message)  # at Cleveland, who holds the same key
candidates = inversion.rows(
    *models.unflatten(opened, [part.shape for part in update])[:2]
)
through_shared = inversion.errors(x, candidates).max()
assert through_shared < 0.01, "The row should be read through the shared key."
print(
    f"age {inversion.as_measured(candidates[0], split.statistics)['age']:.0f}, error {through_shared:.0e}"
)

# %% [markdown]
# The same row as above. With keys used once, nobody but Switzerland ever has the key of its letter. All others can have
# is the sum of the keys of a list. So the server tries other lists, and then a sum in which there is nobody but
# Switzerland. Who refuses?

# %%
keyrings = new_keys()
secret = {
    name: keys.encrypt("update", models.flatten(update), 1)
    for name, keys in keyrings.items()
}
switzerland, listed = (
    keyrings["Switzerland"],
    {name: encryption.digest(letter) for name, letter in secret.items()},
)


def refused(what, attempt):
    try:
        attempt()
    except encryption.MessageError as refusal:
        print(f"{what}:\n    {refusal}")
    else:
        raise RuntimeError(f"{what} should be refused.")


# %%
refused(
    "a list of Switzerland alone",
    lambda: switzerland.share({"Switzerland": listed["Switzerland"]}),
)
shares = {name: keys.share(listed) for name, keys in keyrings.items()}
shorter = {name: digest for name, digest in listed.items() if name != "Hungary"}
refused("after a list of four, one without Hungary", lambda: switzerland.share(shorter))

# %%
letter_one = messages.Letter.from_bytes(secret["Switzerland"], parameters)
letter_two = messages.Share.from_bytes(shares["Switzerland"], parameters, 4)
said_to_be_four = messages.Sum(
    letter_two.label, 4, letter_one.hidden, letter_two.key, letter_two.tag
)
forged = said_to_be_four.to_bytes(parameters)
refused("a sum of one", lambda: keyrings["Hungary"].decrypt(forged, listed))

# %% [markdown]
# Without the second refusal, the difference of two sums would be Hungary's update. The last one needs no honesty: the
# key share that Switzerland sent is masked, and no key comes out of it. What is left is the sum of four, for which all
# answered, and the letter itself:

# %%
total = encryption.add(parameters, secret, shares)
mean_of_four, _ = keyrings["Cleveland"].decrypt(total, listed)
assert np.allclose(mean_of_four, models.flatten(update), atol=1e-6), (
    "The sum of the list should open."
)
guess = inversion.rows(
    *read_letter(secret["Switzerland"], [part.shape for part in update])[:2]
)
through_letter = inversion.errors(x, guess).max()
assert through_letter > 0.1, "The row should not be read from the letter."
print(
    f"error of the row: {through_shared:.0e} through the shared key, {through_letter:.1f} from the letter"
)

# %% [markdown]
# ## Open: the finished model
#
# **Membership inference** asks of a patient: was this row trained on? Models are surer of rows that they have seen. The
# *loss* attack takes a small loss for a yes. The *likelihood ratio* (LiRA; Carlini et al., 2022) trains **shadow**
# models, and compares how sure they are of this patient, with and without it. *Offline*, it only has shadows without.
#
# We attack two kinds of model: a network that each hospital trained far too long on its own rows, and our federated
# logistic regression. Of 33 seeds each is the target once, and the others are shadows. That attacker is strong: it has
# data of the same hospitals. AUROC of 0.5 is chance. **TPR** is the share of members found while 1 in 100 others is
# accused wrongly.

# %%
from fedkit.chapters.attacks import membership

small = models.mlp([32])
over = learning.train_local(
    federation,
    rounds=1,
    epochs=120,
    learning_rate=0.5,
    seed=range(SHADOWS),
    model=small,
)
calm = learning.train_federated(federation, rounds=20, seed=range(SHADOWS))
heard = {"alone, far too long": membership.signals(over, federation, small)}
heard["federated, logistic"] = membership.signals(calm, federation)
attacks = {"loss": membership.by_loss, "LiRA, online": membership.by_likelihood_ratio}
attacks["LiRA, offline"] = lambda signals, target: membership.by_likelihood_ratio(
    signals, target, online=False
)

# %%
auroc_of, rows_of = {}, {}
for (which, signals), (how, attack) in product(heard.items(), attacks.items()):
    scored = pd.DataFrame(
        [
            membership.detection(signals.member[i], attack(signals, i))
            for i in range(SHADOWS)
        ]
    )
    auroc_of[which, how], low, high = evaluation.interval(scored["auroc"])
    text = f"{auroc_of[which, how]:.2f} [{low:.2f}, {high:.2f}]"
    few, fewest, most = evaluation.interval(scored["tpr at 0.01"])
    rows_of[which, how] = {
        "AUROC": text,
        "TPR": f"{few:.1%} [{max(fewest, 0):.1%}, {most:.1%}]",
    }
pd.DataFrame(rows_of).T

# %%
far, near = (pd.Series(auroc_of)[which] for which in heard)
assert far["LiRA, online"] > far["LiRA, offline"] + 0.02 > far["loss"] + 0.04, (
    "Shadows should help, twice."
)
assert near.max() < 0.58 < far.min(), "A small model of many rows should tell little."
records.glue("membership_loss", far["loss"])
records.glue("membership_lira", far["LiRA, online"])
records.glue("membership_federated", near["LiRA, offline"])

# %% [markdown]
# A model that learned rows by heart tells who they were. Ours tells little, but offline LiRA is above chance.
# Encryption has no part in this: the model is what all hospitals *want* to have.
#
# ## Remedies
#
# **More hospitals in the sum.** We deal all patients to pretend hospitals that differ in label 1. One subtracts itself,
# and takes the rest for each of the others. How far off is its share of label 1? Beside it: knowing only the share of
# all.

# %%
from fedkit.chapters import partitions

pooled = (
    federation.frame().drop(columns="hospital").rename(columns={"label": "disease"})
)
logistic = models.logistic_regression()


def prevalence_errors(count, seed):
    dealt = partitions.by_label_skew(pooled, "disease", count, 1.0, seed)
    prepared = preparation.split(
        hospitals.from_frame(dealt, site="hospital", label="disease"), seed
    ).hospitals
    rows = [(one.train_features, one.train_labels) for one in prepared.values()]
    mine, *others = map(
        models.flatten,
        send(logistic, [logistic.initial_weights(13, 0)] * count, rows, 1000),
    )
    number = {name: len(one.train_labels) for name, one in prepared.items()}
    total = aggregators.weighted_mean([mine, *others], list(number.values()))
    rest = inversion.subtract(total, number, {next(iter(number)): mine})
    shares = np.array([labels.mean() for _, labels in rows])
    guesses = (
        inference.prevalence(rest[-1], 0.3),
        np.average(shares, weights=list(number.values())),
    )
    return [np.abs(guess - shares[1:]).mean() for guess in guesses]


# %%
def row(remedy, attack, amount, measure, values):
    mean, low, high = evaluation.interval(values)
    found = {"mean": mean, "low": max(low, 0), "high": high}
    return {
        "remedy": remedy,
        "attack": attack,
        "amount": amount,
        "measure": measure,
    } | found


in_sum = ("hospitals in the sum", "error, share of label 1")
left = []
for count in (2, 4, 8, 16, 32):
    errors = np.array([prevalence_errors(count, seed) for seed in range(SEEDS)])
    for attack, values in zip(("sum minus own", "share of all"), errors.T, strict=True):
        left.append(row(in_sum[0], attack, count, in_sum[1], values))

# %% [markdown]
# **More local steps.** One patient after the other, or the *same* patient again and again. What do you expect?

# %%
middle = "network, 64 units"
for steps in BATCHES:
    again = [
        (np.repeat(x[:1], steps, axis=0), np.repeat(y[:1], steps))
        for x, y in drawn[steps]
    ]
    for attack, rows in {
        "new patients": drawn[steps],
        "the same patient": again,
    }.items():
        updates = send(tried[middle], starts[middle], rows, batch_size=1)
        values = by_seed(
            [share_read(u, x) for u, (x, _) in zip(updates, rows, strict=True)]
        )
        left.append(
            row("steps in one update", attack, steps, "share read exactly", values)
        )

# %% [markdown]
# **Noise.** The hospital cuts its update to a length of 1 (**clipping**), and adds normal noise to each number,
# *before* it sends. We attack the update of one patient, with 16 units.


# %%
def blur(update, noise, random):
    clipped = update / max(1, np.linalg.norm(update))
    return clipped + random.normal(0, noise, update.shape)


def error_of(update, x, noise, random):
    blurred = models.unflatten(
        blur(models.flatten(update), noise, random), [part.shape for part in update]
    )
    return inversion.errors(x, inversion.rows(*blurred[:2]).clip(-5, 5)).mean()


# %%
NOISES = (0, 0.001, 0.01, 0.03, 0.1, 0.3, 1)
lone, chance = (
    sent["network, 16 units", 1],
    by_seed([np.abs(x).mean() for x, _ in drawn[1]]),
)
for noise in NOISES:
    random = np.random.default_rng(0)
    values = by_seed(
        [
            error_of(u, x, noise, random)
            for u, (x, _) in zip(lone, drawn[1], strict=True)
        ]
    )
    for attack, errors in {"division": values, "guess: mean patient": chance}.items():
        left.append(
            row(
                "noise on each number",
                attack,
                noise,
                "error of the row, std. dev.",
                errors,
            )
        )

# %% [markdown]
# And the price: AUROC of the network with 16 units, minus that without any remedy, on the same splits. `Wrapped` stands
# around another aggregator; what is in `before` happens to the updates first.


# %%
class Noisy(aggregators.Wrapped):
    def __init__(self, noise):
        super().__init__(aggregators.Mean())
        self.noise, self.random = noise, np.random.default_rng(0)

    def before(self, own, updates, weights, ledger):
        return (
            own,
            {
                name: blur(update, self.noise, self.random)
                for name, update in updates.items()
            },
            weights,
        )


# %%
from dataclasses import replace

remedies = {"none": {}, "encrypted sum": {"aggregator": aggregators.EncryptedMean()}}
remedies |= {
    "all rows in one step": {"batch_size": None},
    "5 epochs a round": {"epochs": 5},
}
remedies |= {f"noise {noise:g}": {"aggregator": Noisy(noise)} for noise in NOISES[3:]}
budget = {"rounds": ROUNDS, "seed": range(SEEDS), "model": network}
runs = [
    replace(run, method=name)
    for name, how in remedies.items()
    for run in learning.train_federated(federation, **budget, **how)
]

# %%
differences = evaluation.paired_differences(evaluation.table(runs, ["auroc"]), "none")
prices = differences[differences["hospital"] == "mean"].rename(
    columns={"method": "remedy"}
)
table = pd.DataFrame(left)
picture_remedies = figures.remedies(table, prices)
plots.save(picture_remedies, "remedies", pd.concat([table, prices], ignore_index=True))
picture_remedies

# %% [markdown]
# *In the picture, four panels. Hospitals in the sum: the error is 0 for two, and soon as large as for somebody who
# knows only the share of all. Steps: the line of different patients falls; that of the same patient stays at 1. Noise:
# the error climbs to that of a guess. Prices: the encrypted sum stands at zero; strong noise is far to the left.*

# %%
after = table.set_index(["remedy", "attack", "amount"])["mean"].sort_index()
division, price = (
    after["noise on each number", "division"],
    prices.set_index("remedy")["mean"],
)
assert (
    after[in_sum[0], "sum minus own"][2]
    < 1e-5
    < 0.1
    < after[in_sum[0], "sum minus own"][8]
), "Sums should hide."
assert after["steps in one update", "the same patient"].min() == 1, (
    "Repeating a patient hides nothing."
)
assert after["steps in one update", "new patients", 32] < 0.05, (
    "Many patients hide each other."
)
assert division[0.001] < 0.1 < 0.9 * chance.mean() < division[0.1], (
    "Noise should spoil the division."
)
assert abs(price["encrypted sum"]) < 0.0005, "Encryption should cost no AUROC."
assert price["noise 1"] < -0.05, "Strong noise should."

# %%
records.glue("row_error_noise_0.03", division[0.03])
records.glue("auroc_price_noise_1", price["noise 1"])
records.glue("prevalence_error_of_8", after[in_sum[0], "sum minus own"][8])

# %%
texts = [
    f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
    for one in differences.itertuples(index=False)
]
differences.assign(text=texts).pivot_table(
    "text", "method", "hospital", aggfunc="first", sort=False
)

# %% [markdown]
# - Each remedy stops *something*. A sum of many hides each one. Large batches hide rows, and leave fewer steps. More
#   local steps hide rows only if more patients are in them: one patient's row stays whole, however often it is used.
# - With noise of 0.1, the division finds no more than a guess would. Look at its price. Is that private, then? **We do
#   not know.** A better attack, or all rounds together, may find more. A promise against *all* attacks needs an
#   accountant of what each round gives away: **differential privacy**, in a later notebook.
# - Noise also blurs what other hospitals and the model tell. Encryption does not. They answer different questions.
#
# ## What you can do now
#
# - You read a row, as a doctor wrote it, with one division; and its label from a sign.
# - You know when: always with one patient; less with larger batches, narrower models, whole rounds; never before the
#   last layer has moved.
# - You found a head by its gradient. In a letter the same search is at chance level; without its key it would not be.
# - You opened what encryption leaves: a sum when all others collude, a message under a shared key, a finished model.
# - You weighed hospitals, steps, batches, encryption and noise, by what they hide and what they cost.
#
# ## Exercises
#
# **1. Predict.** Two patients in one step have the same row, and different labels. What share of their rows will the
# division read? Think of the sum of their d's.

# %% tags=["exercise"]
my_guess = None  # from 0 to 1
twins = np.repeat(x, 2, axis=0)
(update_twins,) = send(network, [weights], [(twins, np.float32([0, 1]))])
print(f"my guess: {my_guess}; it is {share_read(update_twins, twins):.0f}")

# %% tags=["solution"]
assert share_read(update_twins, twins) == 1, (
    "x times the sum of d's, divided by the sum of d's, is x."
)
print("all: x times the sum of the d's, divided by that sum, is x")

# %% [markdown]
# **2. Modify.** To save bytes, somebody leaves a layer in the clear. Which layers are harmless? Try
# `["kernel 1", "bias 1"]`. The network's messages tell what the server reads.

# %% tags=["exercise"]
LAYERS_IN_THE_CLEAR = ["bias 2"]  # change me
seen, names = [], ["Switzerland", "Hungary", "Cleveland"]
leaky = aggregators.EncryptedMean(
    in_the_clear=LAYERS_IN_THE_CLEAR, network=lambda _, sent: seen.append(sent) or sent
)
layers = dict(zip(network.layers, [part.shape for part in update], strict=True))
state = leaky.start(names, layers, records.Ledger())
same = dict.fromkeys(names, models.flatten(update))
aggregated = leaky.aggregate(state, same, dict.fromkeys(names, 1), records.Ledger())
print([len(message) for message in seen])

# %% tags=["solution"]
tapped, first_layer = [], ["kernel 1", "bias 1"]
open_first = aggregators.EncryptedMean(
    in_the_clear=first_layer, network=lambda _, sent: tapped.append(sent) or sent
)
state_first = open_first.start(names, layers, records.Ledger())
open_first.aggregate(state_first, same, dict.fromkeys(names, 1), records.Ledger())
in_clear = [
    inversion.read(message[-4 * 224 :], 224)
    for message in tapped
    if b'"purpose":"clear"' in message
]
read = [
    inversion.rows(*models.unflatten(numbers, [(13, 16), (16,)]))
    for numbers in in_clear
]
nearest = max(inversion.errors(x, rows).max() for rows in read)
assert nearest < 0.01, "With the first layer in the clear, the row should be read."
print(f"the row is read from the network, error {nearest:.0e}: encrypt all layers")

# %% [markdown]
# **3. Build.** `inversion.errors` knows the truth and picks the nearest candidate. A real attacker must *recognise*
# rows among mixtures. Build `looks_real`: in a true row, columns of levels are 0 or 1, and the age is a whole number.

# %% tags=["exercise"]
x_8, y_8 = drawn[8][0]
mixed = inversion.rows(*sent[wide, 8][0][:2])


def looks_real(candidates):
    return np.ones(len(candidates), dtype=bool)  # change me


print(
    f"{looks_real(mixed).sum()} of {len(mixed)} candidates look like rows; there are {len(x_8)} patients"
)


# %% tags=["solution"]
def is_real(candidates):
    levels_of = candidates[:, len(federation.numeric) :]
    years = np.array(
        [
            inversion.as_measured(candidate, split.statistics)["age"]
            for candidate in candidates
        ]
    )
    return (np.abs(levels_of - (levels_of > 0.5)) < 1e-3).all(axis=1) & (
        np.abs(years - np.rint(years)) < 1e-2
    )


kept = mixed[is_real(mixed)]
off = np.array([np.abs(x_8 - candidate).max(axis=1).min() for candidate in kept])
assert (off < 0.01).mean() > 0.8, "Most that look real should be real."
print(f"{len(kept)} of {len(mixed)} look real, and {(off < 0.01).sum()} of them are")
