# %% [markdown]
# # 06. What can a curious server read from one update?
#
# *One minute to run, 35 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb).*
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
SEARCHES = 5  # images to search for, of each kind: at least 1
SHADOWS = 33  # models of the membership attack; with 3 or fewer there is nothing to see

# %% tags=["plumbing"]
# Settings; and `send`: what hospitals train in a round, and send
import numpy as np

from fedkit import hospitals, learning, models, preparation
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"SEEDS": 10, "ROUNDS": 30, "SEARCHES": 5, "SHADOWS": 33},
    {"SEEDS": 3, "ROUNDS": 10, "SEARCHES": 1},
)


def send(model, starts, rows, batch=32, rate=0.3):
    plan = learning.Plan(model=model, batch_size=batch, learning_rate=rate)
    tasks = [
        learning.Task(start, [], x, y, np.arange(len(y), dtype=np.int32)[None])
        for start, (x, y) in zip(starts, rows, strict=True)
    ]
    shapes = [part.shape for part in starts[0]]
    done = learning.local_updates(plan, tasks)
    return [models.unflatten(one.update, shapes) for one in done]


# %% [markdown]
# ## One row
#
# In notebook 03 a [curious server](glossary.md#curious-server) learned where label 1 is common. Can it read a
# *patient*? Our model is a [network](glossary.md#network) with one hidden [layer](glossary.md#layer) of 16 units, after
# five rounds.

# %%
federation, network = hospitals.load("heart_disease"), models.mlp([16])
split = preparation.split(federation, seed=0)
trained = learning.train_federated(federation, rounds=5, model=network, seed=0)
weights = trained.weights["shared"]
dict(zip(network.layers, [part.shape for part in weights], strict=True))

# %% [markdown]
# Hospitals are honest: they train as always, with the same code. `send` returns the update of each, a list of arrays.
#
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
# A hidden unit computes z = x·w + b. It is a [ReLU](glossary.md#relu): it passes z on if z is above zero. Else it is
# silent, and passes on 0.
#
# The chain rule gives its [gradients](glossary.md#gradient). For the bias it is some number d. For the kernel it is x
# times *the same* d. The update is both, times minus the learning rate. So we divide (Phong et al., 2018), and
# everything but x cancels. Any unit that moved will do. The label is easier still: the last bias goes up for label 1
# and down for 0 (Zhao et al., 2020).

# %% tags=["slide"]
from fedkit.chapters.attacks import inversion

kernel, bias = np.float64(update[0]), np.float64(update[1])
moved = bias != 0
rows_by_hand = (kernel[:, moved] / bias[moved]).T
label_by_hand = int(update[-1][0] > 0)
assert np.array_equal(rows_by_hand, inversion.rows(*update[:2])), "As fedkit divides."
assert label_by_hand == inversion.label(update[-1]) == y[0], "The label is right."
off = np.abs(rows_by_hand - x).max()
print(f"{moved.sum()} of 16 units moved; largest error {off:.0e}")

# %% [markdown]
# This row is standardised. But the server added up the means and spreads itself. So it can go back to what the doctor
# wrote down:

# %%
import pandas as pd

wrote = notes.iloc[at]
stolen = inversion.as_measured(rows_by_hand[0], split.statistics)
shown = pd.DataFrame({"the doctor wrote": wrote, "the server reads": pd.Series(stolen)})
shown.loc["label"] = [int(y[0]), label_by_hand]
shown.loc[[*wrote.index, "label"]].map(
    lambda value: round(value, 3) + 0.0 if isinstance(value, float) else value
)

# %% [markdown]
# Every value that was measured is there. Where the doctor wrote nothing (NaN), the server reads the value that stood
# in for it.
#
# ## When does it work?
#
# With several patients in the step, a unit adds up their rows, each with its own d. One division then gives a
# [mixture](glossary.md#mixture). But a unit is silent for many patients. If it speaks for one patient only, it still
# gives this row away. So wide networks should leak more.
#
# We call a row *read* if some unit has it, and no feature is off by more than 0.01 standard deviations. (A real
# attacker must also recognise it: exercise 3.) We draw batches at all four hospitals, for each seed, and send them with
# four models.

# %% tags=["plumbing"]
# The row is read, checked; and drawn: patients of each seed and hospital
from itertools import product

for column in wrote.dropna().index:
    if column in federation.numeric:
        assert abs(stolen[column] - wrote[column]) < 1e-3, f"{column} is read."
    else:
        assert stolen[column] == wrote[column], f"{column} is read."
BATCHES = (1, 2, 4, 8, 16, 32)
cases = list(product(range(SEEDS), federation.names))
splits = [preparation.split(federation, seed) for seed in range(SEEDS)]


def draw(seed, name, patients):
    rows = splits[seed].hospitals[name]
    random = np.random.default_rng([seed, patients, *name.encode()])
    chosen = random.permutation(len(rows.train_labels))[:patients]
    return rows.train_features[chosen], rows.train_labels[chosen]


drawn = {patients: [draw(*case, patients) for case in cases] for patients in BATCHES}


# %% tags=["slide"]
def share_read(update, x):
    found = inversion.rows(update[0], update[1])
    return (inversion.errors(x, found).max(axis=1) < 0.01).mean() if found.size else 0.0


# %%
tried = {"logistic regression": models.logistic_regression()}
tried |= {f"network, {width} units": models.mlp([width]) for width in (16, 64, 256)}
budget, starts, sent = {"rounds": 5, "seed": range(SEEDS)}, {}, {}
for name, model in tried.items():
    runs = learning.train_federated(federation, model=model, **budget)
    starts[name] = [runs[seed].weights["shared"] for seed, _ in cases]
    for patients in BATCHES:
        sent[name, patients] = send(model, starts[name], drawn[patients])

# %% [markdown]
# Beside them, the same attacker gets [letters](glossary.md#letter): updates that each hospital hid under a key of its
# own, used once (notebook 03). It is a good attacker, and knows the format: integers times delta, plus a little noise,
# minus a x key. It takes the head off, takes zeros for the key, divides by delta, and unpacks the integers.

# %% tags=["plumbing"]
# parameters and new_keys, for four hospitals; refused: somebody must say no
from fedkit import encryption, records
from fedkit.encryption import messages, quantization, ring
from fedkit.encryption.together import Together

wide = "network, 256 units"
shapes = [part.shape for part in starts[wide][0]]
parameters = encryption.choose(4, numbers=sum(map(np.prod, shapes)))
no_key = np.zeros(parameters.ring_dimension)


def new_keys():
    ledger, names = records.Ledger(), federation.names
    return Together(names, parameters, ledger, lambda _, message: message).keyrings


def refused(what, attempt, *given):
    try:
        attempt(*given)
    except encryption.MessageError as refusal:
        print(f"{what}:\n    {refusal}")
    else:
        raise RuntimeError(f"{what} should be refused.")


# %% tags=["slide"]
cleveland = new_keys()["Cleveland"]


def read_letter(letter, shapes):
    layout = cleveland.plain_layout(sum(map(np.prod, shapes)))  # what a step is worth
    hidden = messages.Letter.from_bytes(letter, parameters).hidden
    integers = ring.Ring(parameters).show(hidden, bytes(32), no_key)
    return models.unflatten(layout.decode(integers[-layout.coefficients :]), shapes)


# %% [markdown]
# Is it as good as we say? An attack that always fails proves nothing. So we give it one letter of a hospital that
# *forgot* the key: all the rest is as it should be. It must read the row.


# %% tags=["slide"]
def letter_without_key(update):
    count = quantization.exact_layer(1, parameters, 1.0, 64)
    layout = quantization.Layout((count, *cleveland.plain_layout(len(update)).layers))
    integers = layout.encode(np.append(1, update))
    hidden = ring.Ring(parameters).hide(integers, bytes(32), no_key, bytes(32))
    return messages.Letter(bytes(32), hidden).to_bytes(parameters)


# %%
open_letter = letter_without_key(models.flatten(sent[wide, 1][0]))
of_open = share_read(read_letter(open_letter, shapes), drawn[1][0][0])
assert of_open == 1, "Without a key, the attacker should read."
print("from a letter without a key, the row is read")

# %%
hidden_case = "the same, encrypted"
for patients in BATCHES:
    plain = [models.flatten(one) for one in sent[wide, patients]]
    letters = [cleveland.encrypt("update", numbers, patients) for numbers in plain]
    sent[hidden_case, patients] = [read_letter(one, shapes) for one in letters]

# %% [markdown]
# We take the mean of four hospitals, and its [interval](glossary.md#interval) over seeds. Below is each hospital, with 8
# patients in the step. See how each line falls, and where the encrypted one lies.

# %% tags=["plumbing"]
# summed_up: mean, interval, each hospital; shares_read: of many updates
from fedkit import evaluation, plots
from fedkit.chapters import figures


def summed_up(values, most=np.inf):
    of_seeds = np.reshape(values, (SEEDS, -1))  # one value a case, or a seed
    mean, low, high = evaluation.interval(of_seeds.mean(axis=1))
    found = {"mean": mean, "low": max(low, 0), "high": min(high, most)}
    several = len(federation) if of_seeds.shape[1] > 1 else 0
    return found | dict(
        zip(federation.names[:several], of_seeds.mean(axis=0), strict=False)
    )


def shares_read(updates, rows):
    return [share_read(u, x) for u, (x, _) in zip(updates, rows, strict=True)]


# %% tags=["plumbing"]
# The figure: shares that are read, and what the text says of them
rows = [
    {"model": model, "patients": patients}
    | summed_up(shares_read(updates, drawn[patients]), most=1)
    for (model, patients), updates in sent.items()
]
leaks = pd.DataFrame(rows)
means = leaks.set_index(["model", "patients"])["mean"]
assert means[hidden_case].max() == 0, "A letter should give no row away."
assert (means.loc[list(tried), 1] == 1).all(), "A patient alone is always read."
claim(means["logistic regression"].drop(1).max() == 0, "A lone unit gives no row away.")
claim(means[wide, 32] < 0.1, "Of 32 patients, hardly one is read.")
for name in tried:
    glued = name.replace(" ", "_").replace(",", "")
    records.glue(f"read_of_8_{glued}", means[name, 8])
plots.save(
    figures.rows_read(leaks),
    "rows_read",
    leaks,
    "Five lines over batches of 1 to 32 patients. At 1 all plain models stand at 1. "
    "Logistic regression drops to 0 at once, networks fall later, the widest last. "
    "The encrypted line lies at 0.",
)

# %%
of_8 = leaks[leaks["patients"] == 8].set_index("model")[["mean", *federation.names]]
of_8.round(2)

# %% [markdown]
# At each hospital, the wide network gives more away than the narrow one. There are two more cases in which *nothing* is
# read. In the very first round, our networks start with a last layer of zeros, so nothing comes back to the hidden
# layer. And a whole round with our usual settings mixes all rows of a hospital, over several steps.

# %%
first = send(tried[wide], [tried[wide].initial_weights(13, seed=0)], [(x, y)])[0]
assert not inversion.rows(*first[:2]).size, "At first, no hidden unit should move."
everybody = [one.hospitals[name] for one in splits for name in federation.names]
whole = [(rows.train_features, rows.train_labels) for rows in everybody]
of_whole = shares_read(send(tried[wide], starts[wide], whole), whole)
print(f"rows read from {len(of_whole)} whole rounds: {sum(of_whole):.0f}")

# %% [markdown]
# "Not read by *this* attack" is no promise. Others search where we divide.
#
# ## A head
#
# Hospitals also have images. This is a real MR slice that is shipped with Matplotlib, which says nothing about its
# origin. We shrink it to 32 x 32 pixels, and **its label is made up**: 1.
#
# A [convolution](glossary.md#convolution) slides small kernels over the image; no unit sees all of it, and nothing can
# be divided. So the attacker *searches* (Zhu et al., 2019; Geiping et al., 2020). It starts from noise, computes the
# gradient that this would give, and changes pixels until the gradient points where the update points. The score is
# [PSNR](glossary.md#psnr) in decibels (dB): above 30, an eye hardly sees a difference.
#
# We also give it what it reads of a letter with this update, with and without a key; and, for chance level, random
# numbers.

# %%
from matplotlib import cbook

with cbook.get_sample_data("s1045.ima.gz") as file:
    scan = np.frombuffer(file.read(), "<u2").reshape(256, 256) / 55040
head = scan.reshape(32, 8, 32, 8).mean(axis=(1, 3)).astype(np.float32)
print(f"{head.shape} pixels, from {head.min():.2f} to {head.max():.2f}")

# %% tags=["plumbing"]
# kinds_of: an update for the image, what two letters show of it, and chance
from fedkit.chapters.attacks import matching

camera, ill = matching.Convolutional(), np.ones(1, np.float32)
start_of = [camera.initial_weights(1024, seed) for seed in range(SEARCHES)]
image_shapes = [part.shape for part in start_of[0]]


def kinds_of(seed):
    rows = [(head.reshape(1, -1), ill)]
    (plain,) = send(camera, [start_of[seed]], rows, rate=0.1)
    numbers, random = models.flatten(plain), np.random.default_rng(seed)
    letters = {"letter without a key": letter_without_key(numbers)}
    letters["ciphertext"] = cleveland.encrypt("update", numbers, 1)
    kinds = {"plain update": plain}
    kinds |= {kind: read_letter(one, image_shapes) for kind, one in letters.items()}
    noise = [random.normal(size=shape) for shape in image_shapes]
    return kinds | {"random numbers": noise}


# %%
found = {
    (kind, seed): matching.reconstruct(camera, start, numbers, [1], 1024, seed=seed)
    for seed, start in enumerate(start_of)
    for kind, numbers in kinds_of(seed).items()
}
psnr = pd.Series(
    {case: inversion.psnr(head.ravel(), one) for case, one in found.items()}
)
quality = psnr.groupby(level=0, sort=False).agg(["mean", "min", "max", "count"])
quality.round(1)

# %% tags=["plumbing"]
# The pictures, and what the text says of them
claim(max(of_whole) == 0, "A whole round hides rows from a division.")
narrow = of_8.loc["network, 16 units"]
claim((of_8.loc[wide] > narrow + 0.2).all(), "At each hospital, width leaks.")
open_kinds, other_kinds = quality.index[:2], quality.index[2:]
claim(quality.loc[open_kinds, "min"].min() > 28, "The head is seen in each search.")
assert quality.loc["ciphertext", "max"] < 12, "A letter should show no head."
claim(quality.loc[other_kinds, "max"].max() < 8, "Else there is nothing to see.")
records.glue("psnr_plain", quality.loc["plain update", "mean"])
records.glue("psnr_ciphertext", quality.loc["ciphertext", "mean"])
squares, notes_below = {"the slice": head}, {"the slice": "32 x 32 pixels"}
for kind in ("plain update", *other_kinds):
    squares[f"from {kind}"] = found[kind, 0].reshape(32, 32)
    notes_below[f"from {kind}"] = f"{psnr[kind, 0]:.1f} dB"
psnr_table = psnr.rename_axis(["from", "seed"]).reset_index(name="psnr")
plots.save(
    figures.images(squares, notes_below),
    "image_from_update",
    psnr_table,
    "Four squares. First a head in a scanner, from the side. The second, of the plain "
    "update, looks the same. The third, from the ciphertext, and the fourth, from "
    "random numbers, are black and white grain.",
    measured=True,
)

# %% [markdown]
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

# %% tags=["slide"]
x_4, y_4 = drawn[4][0]
alone = [(x_4[[i]], y_4[[i]]) for i in range(4)]
of_each = [models.flatten(one) for one in send(network, [weights] * 4, alone)]
together = send(network, [weights], [(x_4, y_4)])[0]
assert np.allclose(np.mean(of_each, axis=0), models.flatten(together), atol=1e-6)
print(f"share read from the sum of four: {share_read(together, x_4):.2f}")

# %% [markdown]
# All hospitals read the sum. Of *two*, each subtracts its own part, so fedkit refuses two. Of three, two must
# [collude](glossary.md#collude): work together in secret. Hungary and VA Long Beach do, after one encrypted round with
# one step over all rows. From the bias they read how common label 1 is at the third. The step moves the bias by
# learning rate x (share of label 1 - mean prediction). The first prediction is 0.5.

# %%
from fedkit import aggregators
from fedkit.chapters.attacks import inference

three = federation.without("Cleveland")
one_step = {"rounds": 1, "batch_size": None, "seed": 0}
encrypted = learning.train_federated(
    three, aggregator=aggregators.EncryptedMean(), **one_step
)
mean = models.flatten(encrypted.weights["shared"])
own = learning.train_local(three, **one_step).weights
known = {name: models.flatten(own[name]) for name in ("Hungary", "VA Long Beach")}

# %%
truth = preparation.split(three, seed=0).hospitals
patients_of = {name: len(rows.train_labels) for name, rows in truth.items()}
other = inversion.subtract(mean, patients_of, known)
share_by_hand = 0.5 + other[-1] / 0.3
assert share_by_hand == inference.prevalence(other[-1], 0.3), "As fedkit computes it."
true_share = truth["Switzerland"].train_labels.mean()
assert abs(share_by_hand - true_share) < 1e-4, "The share should be exact."
print(f"the two read: {share_by_hand:.1%} of Switzerland's patients have label 1")

# %% [markdown]
# ## One key for all?
#
# Many kits give all hospitals *one* key. Then a single hospital is enough. Switzerland sends the update of above under
# such a shared key, here with CKKS. The server passes it to Cleveland, who opens it:

# %%
network_shapes = [part.shape for part in update]
shared = encryption.SharedKeys(hospitals=4)
message = shared.encrypt(models.flatten(update), 1)  # at Switzerland
opened, _ = shared.decrypt(message)  # at Cleveland, who holds the same key
candidates = inversion.rows(*models.unflatten(opened, network_shapes)[:2])
through_shared = inversion.errors(x, candidates).max()
assert through_shared < 0.01, "The row should be read through the shared key."
age = inversion.as_measured(candidates[0], split.statistics)["age"]
print(f"age {age:.0f}, error {through_shared:.0e}")

# %% [markdown]
# The same row as above. With keys used once, nobody but Switzerland ever has the key of its letter. All others can have
# is the sum of the keys of a list. So the server tries other lists, and then a sum in which there is nobody but
# Switzerland. Who refuses?

# %%
keyrings, plain = new_keys(), models.flatten(update)
switzerland = keyrings["Switzerland"]
secret = {name: keys.encrypt("update", plain, 1) for name, keys in keyrings.items()}
listed = {name: encryption.digest(letter) for name, letter in secret.items()}
lone = {"Switzerland": listed["Switzerland"]}
refused("a list of Switzerland alone", switzerland.share, lone)
shares = {name: keys.share(listed) for name, keys in keyrings.items()}
shorter = {name: digest for name, digest in listed.items() if name != "Hungary"}
refused("after a list of four, one without Hungary", switzerland.share, shorter)

# %%
one = messages.Letter.from_bytes(secret["Switzerland"], parameters)
two = messages.Share.from_bytes(shares["Switzerland"], parameters, 4)
said_to_be_four = messages.Sum(two.label, 4, one.hidden, two.key, two.tag)
forged = said_to_be_four.to_bytes(parameters)
refused("a sum of one", keyrings["Hungary"].decrypt, forged, listed)

# %% [markdown]
# Without the second refusal, the difference of two sums would be Hungary's update. The last one needs no honesty: the
# key share that Switzerland sent is masked, and no key comes out of it. What is left is the sum of four, for which all
# answered, and the letter itself:

# %% tags=["slide"]
total = encryption.add(parameters, secret, shares)
mean_of_four, _ = keyrings["Cleveland"].decrypt(total, listed)
assert np.allclose(mean_of_four, plain, atol=1e-6), "The sum of the list should open."
guess_of_row = inversion.rows(*read_letter(secret["Switzerland"], network_shapes)[:2])
through_letter = inversion.errors(x, guess_of_row).max()
assert through_letter > 0.1, "The row should not be read from the letter."
print(f"error of the row: {through_shared:.0e} through the shared key")
print(f"error of the row: {through_letter:.1f} from the letter")

# %% [markdown]
# ## Open: the finished model
#
# **[Membership inference](glossary.md#membership-inference)** asks of a patient: was this row trained on? Models are
# surer of rows that they have seen. The *loss* attack takes a small loss for a yes. The *likelihood ratio*
# ([LiRA](glossary.md#lira); Carlini et al., 2022) trains [shadow models](glossary.md#shadow-model), and compares how
# sure they are of this patient, with and without it. *Offline*, it only has shadows without.
#
# We attack two kinds of model: a network that each hospital trained far too long on its own rows, and our federated
# logistic regression. Each seed is the target once, and the others are shadows. That attacker is strong: it has
# data of the same hospitals.
#
# How well does each attack tell members from others? AUROC of 0.5 is chance. [TPR](glossary.md#tpr) is the share of
# members that is found while 1 in 100 others is accused wrongly.

# %%
from fedkit.chapters.attacks import membership

small, shadows = models.mlp([32]), {"seed": range(SHADOWS)}
too_long = {"rounds": 1, "epochs": 120, "learning_rate": 0.5, "model": small}
over = learning.train_local(federation, **too_long, **shadows)
calm = learning.train_federated(federation, rounds=20, **shadows)
heard = {"alone, far too long": membership.signals(over, federation, small)}
heard["federated, logistic"] = membership.signals(calm, federation)

# %% tags=["plumbing"]
# aurocs and tprs of three attacks: all patients, and each hospital's
ratio = membership.by_likelihood_ratio
attacks = {
    "loss": membership.by_loss,
    "LiRA, online": ratio,
    "LiRA, offline": lambda signals, target: ratio(signals, target, online=False),
}
aurocs, tprs = {}, {}
for (which, signals), (how, attack) in product(heard.items(), attacks.items()):
    times = signals.member.sum(axis=0)  # in how many models; a spread takes two
    few = (times < 2) | (times > SHADOWS - 2)
    patients = [part[..., ~few] for part in vars(signals).values()]
    kept, scored = membership.Signals(*patients), []
    for target in range(SHADOWS if len(kept.hospitals) else 0):
        member, score = kept.member[target], attack(kept, target)
        groups = {name: kept.hospitals == name for name in federation.names}
        all_of_them = membership.detection(member, score)
        scored.append({"TPR": all_of_them["tpr at 0.01"], "all": all_of_them["auroc"]})
        for name, mine in groups.items():
            scored[-1][name] = membership.detection(member[mine], score[mine])["auroc"]
    columns = ["TPR", "all", *federation.names]
    table = pd.DataFrame(scored, columns=columns, dtype=float)
    tprs[which, how] = table.pop("TPR").mean()
    aurocs[which, how] = {name: evaluation.interval(table[name]) for name in table}

# %%
shown = pd.DataFrame(aurocs).T.map(lambda one: "{:.2f} [{:.2f}, {:.2f}]".format(*one))
shown.assign(TPR=pd.Series(tprs).map("{:.1%}".format))

# %% [markdown]
# A model that learned rows by heart tells who they were. Ours tells little, but offline LiRA is above chance over all
# patients. At most single hospitals the interval holds 0.5: fewer patients, more luck.
# Encryption has no part in this: the model is what all hospitals *want* to have.
#
# ## Remedies
#
# **More hospitals in the sum.** We deal all patients to pretend hospitals that differ in label 1. One subtracts itself,
# and takes the rest for each of the others. How far off is its share of label 1? Beside it: knowing only the share of
# all.
#
# **More local steps.** A hospital makes many steps before it sends: one patient after the other, or the *same* patient
# again and again.
#
# **Noise.** The hospital cuts its update to a length of 1 ([clipping](glossary.md#clipping)), and adds normal noise to
# each number, *before* it sends. We attack the update of one patient, with 16 units.


# %% tags=["slide"]
def blur(update, noise, random):
    clipped = update / max(1, np.linalg.norm(update))
    return clipped + random.normal(0, noise, update.shape)


# %% tags=["plumbing"]
# left: what each remedy leaves to an attacker. First, more hospitals in the sum
from fedkit.chapters import partitions

pooled = federation.frame().drop(columns="hospital")
logistic = models.logistic_regression()


def prevalence_errors(count, seed):
    dealt = partitions.by_label_skew(pooled, "label", count, 1.0, seed)
    pretended = hospitals.from_frame(dealt, site="hospital", label="label")
    prepared = preparation.split(pretended, seed).hospitals
    rows = [(one.train_features, one.train_labels) for one in prepared.values()]
    starts = [logistic.initial_weights(13, 0)] * count
    updates = [models.flatten(one) for one in send(logistic, starts, rows, batch=1000)]
    number = {name: len(one.train_labels) for name, one in prepared.items()}
    total = aggregators.weighted_mean(updates, list(number.values()))
    rest = inversion.subtract(total, number, {next(iter(number)): updates[0]})
    shares = np.array([labels.mean() for _, labels in rows])
    of_all = np.average(shares, weights=list(number.values()))
    guesses = inference.prevalence(rest[-1], 0.3), of_all
    return [np.abs(guess - shares[1:]).mean() for guess in guesses]


# %% tags=["plumbing"]
# left: what each remedy leaves, a row for each line and place in the figure
left = {}


def note(remedy, attack, amount, measure, values):
    said = {"remedy": remedy, "attack": attack, "amount": amount, "measure": measure}
    left[tuple(said.values())] = said | summed_up(values)  # once, if run twice


for count in (2, 4, 8, 16, 32):
    errors = np.array([prevalence_errors(count, seed) for seed in range(SEEDS)])
    assert count > 2 or errors[:, 0].max() < 1e-4, "Of two, each reads the other."
    for attack, values in zip(("sum minus own", "share of all"), errors.T, strict=True):
        note("hospitals in the sum", attack, count, "error, share of label 1", values)
for steps in BATCHES:
    new, start = drawn[steps], starts["network, 64 units"]
    same = [(np.repeat(x[:1], steps, 0), np.repeat(y[:1], steps)) for x, y in new]
    for attack, rows in {"new patients": new, "the same patient": same}.items():
        values = shares_read(send(models.mlp([64]), start, rows, batch=1), rows)
        note("steps in one update", attack, steps, "share read exactly", values)

# %% tags=["plumbing"]
# Noise: the error of the row that is read, and of a guess
NOISES = (0, 0.001, 0.01, 0.03, 0.1, 0.3, 1)
guessed = [np.abs(x).mean() for x, _ in drawn[1]]


def error_of(update, x, noise, random):
    blurred = blur(models.flatten(update), noise, random)
    found = inversion.rows(*models.unflatten(blurred, network_shapes)[:2]).clip(-5, 5)
    return inversion.errors(x, found if found.size else 0 * x).mean()


for noise in NOISES:
    random, measure = np.random.default_rng(0), "error of the row, std. dev."
    pairs = zip(sent["network, 16 units", 1], drawn[1], strict=True)
    values = [error_of(u, x, noise, random) for u, (x, _) in pairs]
    note("noise on each number", "division", noise, measure, values)
    note("noise on each number", "guess: mean patient", noise, measure, guessed)

# %% [markdown]
# And the price: AUROC of the network with 16 units, minus that without any remedy, on the same splits. `Wrapped` stands
# around another aggregator; what is in `before` happens to the updates first.
#
# The first panel of the picture is about pretend hospitals. The others show means of four hospitals. The tables behind
# it have each of them.


# %% tags=["slide"]
class Noisy(aggregators.Wrapped):
    def __init__(self, noise):
        super().__init__(aggregators.Mean())
        self.noise, self.random = noise, np.random.default_rng(0)

    def before(self, own, updates, weights, ledger):
        blurred = {
            name: blur(update, self.noise, self.random)
            for name, update in updates.items()
        }
        return own, blurred, weights


# %%
from dataclasses import replace

remedies = {
    "none": {},
    "encrypted sum": {"aggregator": aggregators.EncryptedMean()},
    "all rows in one step": {"batch_size": None},
    "5 epochs a round": {"epochs": 5},
}
remedies |= {f"noise {noise:g}": {"aggregator": Noisy(noise)} for noise in NOISES[3:]}
budget, runs = {"rounds": ROUNDS, "seed": range(SEEDS), "model": network}, []
for name, how in remedies.items():
    made = learning.train_federated(federation, **budget, **how)
    runs += [replace(run, method=name) for run in made]

# %% tags=["plumbing"]
# The figure: what remedies leave, and what they cost
aurocs_of = evaluation.table(runs, ["auroc"])
differences = evaluation.paired_differences(aurocs_of, "none")
prices = differences.query("hospital == 'mean'").rename(columns={"method": "remedy"})
differences["text"] = [
    f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
    for one in differences.itertuples(index=False)
]
table = pd.DataFrame(left.values())
plots.save(
    figures.remedies(table, prices),
    "remedies",
    pd.concat([table, prices], ignore_index=True),
    "Four panels. Hospitals in the sum: the error is 0 for two, and soon as large as "
    "for somebody who knows only the share of all. Steps: the line of new patients "
    "falls, that of the same patient stays at 1. Noise: the error climbs to that of a "
    "guess, and past it. Prices: the encrypted sum stands at zero, strong noise is far "
    "to the left.",
)

# %%
each = table.set_index(["remedy", "attack", "amount"])[[*federation.names]].dropna()
each = each.drop(["guess: mean patient", "the same patient"], level="attack")
print(each.rename("{:g}".format, level="amount").round(2).to_string())
by_method = {"index": "method", "columns": "hospital", "values": "text"}
differences.pivot_table(**by_method, aggfunc="first", sort=False)

# %% tags=["plumbing"]
# What the text says of members and of remedies, checked
far, near = (pd.DataFrame(aurocs)[which].loc["all"].str[0] for which in heard)
claim(far["LiRA, online"] > far["LiRA, offline"] + 0.02, "Shadows with a row help.")
claim(far["LiRA, offline"] > far["loss"] + 0.02, "Shadows without it help.")
claim(near.max() < 0.58 < far.min(), "A small model of many rows tells little.")
lows = pd.DataFrame(aurocs)["federated, logistic", "LiRA, offline"].str[1]
claim(lows["all"] > 0.5, "Offline LiRA is above chance.")
claim((lows[[*federation.names]] < 0.5).sum() > 2, "At most hospitals it may be luck.")
after = table.set_index(["attack", "amount"])["mean"]
price = prices.set_index("remedy")["mean"]
claim(after["sum minus own", 8] > 0.9 * after["share of all", 8], "A sum hides each.")
claim(after["the same patient"].min() == 1, "Repeating a patient hides nothing.")
claim(after["new patients", 32] < 0.05, "Many patients hide each other.")
claim(after["division", 0.001] < 0.1, "A little noise does not stop the division.")
claim(after["division", 0.1] > 0.9 * np.mean(guessed), "Noise of 0.1 does.")
claim(abs(price["encrypted sum"]) < 0.0005, "Encryption costs no AUROC.")
claim(price["noise 1"] < -0.05, "Strong noise does.")
numbers = {"membership_loss": far["loss"], "membership_lira": far["LiRA, online"]}
numbers["membership_federated"] = near["LiRA, offline"]
for name, value in numbers.items():
    if np.isfinite(value):  # three shadow models or fewer say nothing
        records.glue(name, value)
records.glue("row_error_noise_0.03", after["division", 0.03])
records.glue("auroc_price_noise_1", price["noise 1"])
records.glue("prevalence_error_of_8", after["sum minus own", 8])

# %% [markdown]
# - Each remedy stops *something*. A sum of many hides each one. Large batches hide rows, and leave fewer steps. More
#   local steps hide rows only if more patients are in them: one patient's row stays whole, however often it is used.
# - With noise of 0.1, the division finds no more than a guess would. See its price. Is that private, then? **We do
#   not know.** A better attack, or all rounds together, may find more. A promise against *all* attacks needs somebody
#   who counts what each round gives away. This is [differential privacy](glossary.md#differential-privacy). Our noise
#   here comes without a promise. Notebook [11](11_differential_privacy.ipynb) adds noise that comes with one.
# - Noise also blurs what other hospitals and the model tell. Encryption does not. They answer different questions.
#
# ## What you can do now
#
# - You read a row, as a doctor wrote it, with one division; and its label from a sign.
# - You know when: always with one patient; less with larger batches, narrower models, whole rounds; never before the
#   last layer has moved.
# - You found a head by its gradient. In a letter, the same search finds it only if the key is left out.
# - You opened what encryption leaves: a sum when all others collude, a message under a shared key, a finished model.
# - You weighed hospitals, steps, batches, encryption and noise, by what they hide and what they cost.
#
# ## Exercises
#
# **1. Predict.** Two patients in one step have the same row, and different labels. Of their two rows, what share will
# the division read: a number from 0 to 1? Think of the sum of their d's, and of the sum of x times d.

# %% tags=["exercise"]
my_share = ...

# %% tags=["solution"]
my_share = 1  # x times the sum of the d's, divided by the sum of the d's, is x

# %% tags=["plumbing"]
# Is it right? The step is made now, with the patient of above
twins = np.repeat(x, 2, axis=0), np.float32([0, 1])
(of_twins,) = send(network, [weights], [twins])
course.check(
    "Exercise 1",
    my_share,
    (
        lambda share: abs(float(share) - share_read(of_twins, twins[0])) < 0.01,
        "Write the two sums down. They have the same x: what is left when you divide?",
    ),
)

# %% [markdown]
# **2. Modify.** To save bytes, somebody leaves layers in the clear. Which ones let the server divide? `overheard` gives
# what travels in the clear, for example `overheard(["bias 2"], update)`. Name the layers with which it reads a row, and
# no more of them than it needs.


# %% tags=["exercise"]
def overheard(open_layers, update):
    if len(open_layers) == 0:
        return {}  # nothing travels in the clear
    seen, names = [], federation.names
    mean = aggregators.EncryptedMean(
        in_the_clear=[*open_layers],
        network=lambda sender, message: seen.append(message) or message,
    )
    layers = dict(zip(network.layers, [part.shape for part in update], strict=True))
    state = mean.start(names, layers, records.Ledger())
    numbers = dict.fromkeys(names, models.flatten(update))
    mean.aggregate(state, numbers, dict.fromkeys(names, 1), records.Ledger())
    shapes = [shape for name, shape in layers.items() if name in open_layers]
    size = sum(map(np.prod, shapes))
    message = next(one for one in seen if b'"purpose":"clear"' in one)
    clear = models.unflatten(inversion.read(message[-4 * size :], size), shapes)
    return dict(
        zip([name for name in layers if name in open_layers], clear, strict=True)
    )


open_layers = ...  # a list of names from network.layers

# %% tags=["solution"]
open_layers = ["kernel 1", "bias 1"]  # so all layers are encrypted, or none is


# %% tags=["plumbing"]
# Is it right? We send another patient's update, and divide what is open and fits
def reads(layers):
    open_now = overheard(layers, sent_now).values()
    pairs = [
        (k, b) for k, b in product(open_now, open_now) if k.shape == (13, *b.shape)
    ]
    found = [inversion.errors(fresh[0], inversion.rows(*pair)).max() for pair in pairs]
    return min(found, default=1) < 0.01


fresh = swiss.train_features[[at - 1]], swiss.train_labels[[at - 1]]
(sent_now,) = send(network, [weights], [fresh])
course.check(
    "Exercise 2",
    open_layers,
    (lambda names: {*names} <= {*network.layers}, "Take names from network.layers."),
    (reads, "Go back to the first division: which parts of the update does it use?"),
    (
        lambda names: not any(reads({*names} - {name}) for name in names),
        "The row is read, but with fewer open layers it is read as well.",
    ),
)

# %% [markdown]
# **3. Build.** `inversion.errors` knows the truth and picks the nearest candidate. A real attacker must *recognise*
# rows among mixtures. Build `looks_real(candidates)`: True for each row that may be a patient.
#
# First come `len(federation.numeric)` standardised numbers, age first; all behind them are levels. In a true row, levels
# are 0 or 1, and the age is a whole number of years. Try it on `mixed`.

# %% tags=["exercise"]
mixed = inversion.rows(*sent[wide, 8][0][:2])


def looks_real(candidates):
    return ...


# %% tags=["solution"]
def looks_real(candidates):
    levels = candidates[:, len(federation.numeric) :]
    ages = [inversion.as_measured(one, split.statistics)["age"] for one in candidates]
    whole_years = np.abs(ages - np.rint(ages)) < 0.02
    return (np.abs(levels - (levels > 0.5)) < 0.001).all(axis=1) & whole_years


# %% tags=["plumbing"]
# Is it right? Rows of Hungary, with other ages, and with one wrong level
def judged(candidates, wanted):
    def rule(function):
        said = function(candidates)
        return said if said is ... else [*map(bool, said)] == [wanted] * 20

    return rule


random = np.random.default_rng(SEEDS)
some = random.permutation(split.hospitals["Hungary"].train_features)[:20]
real = some + random.normal(0, 1e-5, some.shape)  # as a division leaves them
older, between = real.copy(), real.copy()
older[:, 0] += random.uniform(0.3, 0.7, 20) / split.statistics.moments["std"]["age"]
one = range(20), len(federation.numeric) + np.arange(20) % 5  # one level a row
between[one] += random.uniform(0.2, 0.6, 20) * (1 - 2 * some[one])
course.check(
    "Exercise 3",
    looks_real,
    (judged(real, True), "True rows are refused: a division leaves small errors."),
    (judged(older, False), "Look at the ages of what you accept, in years."),
    (judged(between, False), "Look at each column of levels, behind the numbers."),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. From which update of our network does one division read a row?**
#
# <details><summary>A whole round over all rows, with the settings that we use</summary>
#
# Not this one: it mixes all rows of a hospital, over several steps. This attack read none of them.
#
# </details>
# <details><summary>The very first step of the training, on one patient</summary>
#
# Not this one: the last layer starts with zeros. So nothing comes back to the hidden layer, and it does not move.
#
# </details>
# <details><summary>One step on one patient, when the training is under way</summary>
#
# Right: each unit that has moved gives the same row. There is nobody else in the step to hide it.
#
# </details>
#
# **2. A hospital trains on one patient again and again before it sends. What is left of the row?**
#
# <details><summary>It is whole: no other patient is in the update</summary>
#
# Right: more steps hide rows only if more patients are in them.
#
# </details>
# <details><summary>It is blurred: the model has changed with every step</summary>
#
# Not this one: the model does change, but nobody else comes into the update. The division found the row each time.
#
# </details>
# <details><summary>It is gone: only the last of the steps is sent</summary>
#
# Not this one: an update says how far all steps together moved the model.
#
# </details>
#
# **3. Why does a wide network give more rows away than a narrow one?**
#
# <details><summary>It learns more of the rows by heart while it is trained</summary>
#
# Not this one: that matters for the finished model. Here a single step is enough, whatever was learned before.
#
# </details>
# <details><summary>It is more likely that some unit speaks for one patient only</summary>
#
# Right: such a unit gives this patient's row away. With more units, there is more often one.
#
# </details>
# <details><summary>It has a longer update, which is harder to encrypt</summary>
#
# Not this one: the longest update was encrypted as well, and no row was read from it.
#
# </details>
#
# **4. A model was trained encrypted. What does that change for membership inference?**
#
# <details><summary>It stops the attack, since no update can be read</summary>
#
# Not this one: the attack does not need an update. It asks the finished model.
#
# </details>
# <details><summary>It weakens the attack, since encryption adds some noise</summary>
#
# Not this one: the noise of our letters is rounded away when the sum is opened. The model is as without encryption.
#
# </details>
# <details><summary>It changes nothing, since the attack asks the model</summary>
#
# Right: the model is what all hospitals want to have. So encryption does not hide it from them.
#
# </details>
#
# **5. Two of three hospitals collude against the third. What would help it?**
#
# <details><summary>A longer key, so that nobody can open its letter</summary>
#
# Not this one: they open no letter. They read the sum, as they may, and take their own parts away.
#
# </details>
# <details><summary>More hospitals in the sum, which do not collude</summary>
#
# Right: then only a sum of several is left. With enough of them, it tells little about each.
#
# </details>
# <details><summary>Another server, which does not work with the two</summary>
#
# Not this one: the server plays no part in this. Hospitals read the sum without its help.
#
# </details>
