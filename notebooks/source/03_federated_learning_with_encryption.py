# %% [markdown]
# # 03. How can a server add numbers that it cannot read?
#
# *Two minutes of computing, forty of reading. Read [02](02_federated_learning.ipynb) before.*
#
# By the end you can:
#
# - explain how CKKS hides a number, and why two hidden numbers can still be added;
# - say who holds which key, and what one key for all gives away;
# - encrypt, share, add and decrypt with keys that are used once, by hand and with fedkit;
# - prove that messages are encrypted, with a game that turns red when they are not;
# - name the price in bytes, seconds and error, and what encryption does *not* protect.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 10  # how many splits into train and test rows
ROUNDS = 50  # rounds of each training
LARGEST = 100_000  # parameters of the largest pretend model
REPEATS = 5  # encryptions of each pretend model
GAMES = 50  # how often each attacker guesses

# %%
if PROFILE == "smoke":
    SEEDS, ROUNDS, REPEATS, GAMES = 3, 10, 2, 36

# %% [markdown]
# ## The curious server
#
# In notebook 02 the server averaged the updates, and it read every one. Our server does its work, but it is
# **curious**: it keeps a copy of all that passes. Four lines around any aggregator are enough; `before` is called with
# what goes in.


# %%
from fedkit import aggregators, hospitals, learning, preparation


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights  # nobody would notice
        return own, updates, weights


# %% [markdown]
# It watches one round. It knows how many patients each hospital trained on:


# %%
federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
run_watched = learning.train_federated(federation, rounds=1, aggregator=curious, seed=0)
updates, patients = curious.seen, curious.patients
patients

# %% [markdown]
# And it has the updates: one column a hospital. Look for an exact 0, and at the last line.


# %%
import pandas as pd

names = [*preparation.split(federation, seed=0).columns, "bias"]
pd.DataFrame(updates, index=names).round(3)

# %% [markdown]
# `chol` did not move in Switzerland. Did Switzerland measure no cholesterol? And does the bias go up where label 1 is
# common? We check both guesses with the hospitals' tables, which the server cannot see.


# %%
known = pd.DataFrame(
    {"bias in the update": {name: update[-1] for name, update in updates.items()}}
)
known["share with label 1"] = [one.labels.mean() for one in federation]
known["chol moved"] = [update[names.index("chol")] != 0 for update in updates.values()]
known["chol measured"] = [one.table["chol"].notna().mean() for one in federation]
known.round(2)

# %%
order = known.rank()
assert order["bias in the update"].equals(order["share with label 1"]), (
    "The bias should follow the labels."
)
assert known["chol moved"].equals(known["chol measured"] > 0), (
    "An unmeasured column should not move its weight."
)

# %% [markdown]
# Both guesses are right, from 14 numbers. There are attacks that read whole rows (Zhu, Liu and Han, 2019). But the
# server only needs the sum. So we give it a sum that it cannot open, and nothing else.
#
# ## Step 1: numbers become integers
#
# Encryption works on integers, and an update has fractions. We **encode** them: multiply by a large number, the
# **scale**, and round. To go back, divide. A larger scale should lose less.


# %%
import numpy as np

numbers = updates["Switzerland"]
scales = 2.0 ** np.array([4, 10, 16, 22])
errors = [np.abs(np.rint(numbers * scale) / scale - numbers).max() for scale in scales]
assert all(errors <= 0.5 / scales), "Rounding should lose half a unit at most."
coded = pd.DataFrame(
    {"scale": scales, "first number, encoded": np.rint(numbers[0] * scales)}
).astype(int)
coded.assign(largest_error=[f"{error:.0e}" for error in errors])

# %% [markdown]
# ## Step 2: a mask and a little noise
#
# A **key** is a row of secret bits. For each number we draw a fresh row of random integers, the **mask**, and send it
# along openly. To the number we add *mask x key*, and a little random **noise**. Only who has the key can take *mask x
# key* away again. Without noise, many numbers would be linear equations, and solving them gives the key. All sums wrap
# around at 2^64, like a clock at 12.


# %%
def toy_encrypt(numbers, key, scale, random):
    mask = random.integers(0, 2**64, (len(numbers), len(key)), dtype=np.uint64)
    noise = np.rint(random.normal(0, 3.2, len(numbers)))
    hidden = np.rint(numbers * scale) + noise
    return mask, mask @ key + hidden.astype(np.int64).view(np.uint64)


def toy_decrypt(ciphertext, key, scale):
    mask, body = ciphertext
    return (body - mask @ key).view(np.int64) / scale


# %% [markdown]
# What comes out is a **ciphertext**: the mask and the body. Add the masks of two ciphertexts, and add their bodies.
# That is a ciphertext *of the sum*. No key was needed to add.


# %%
toy_random = np.random.default_rng(
    0
)  # a real cipher never takes its randomness from a seed
toy_key = toy_random.integers(0, 2, 1024, dtype=np.uint64)
toy_1, toy_2 = (
    toy_encrypt(updates[name], toy_key, 2**34, toy_random)
    for name in ("Hungary", "Switzerland")
)
print("two numbers of the body, as sent:", toy_2[1][:2])

# %%
toy_total = (toy_1[0] + toy_2[0], toy_1[1] + toy_2[1])  # the server's work
toy_opened = toy_decrypt(toy_total, toy_key, 2**34)
assert np.allclose(
    toy_opened, updates["Hungary"] + updates["Switzerland"], atol=1e-8
), "The opened sum is wrong."
print("two numbers of the sum, opened:", toy_opened[:2].round(6))

# %% [markdown]
# This is a toy after Regev (2005, *learning with errors*). It sends 1,024 integers for one number.
#
# ## The same, for real: CKKS
#
# **CKKS** (Cheon, Kim, Kim and Song, 2017) does this with polynomials, so that one mask hides thousands of numbers,
# each in a **slot**. The library is TenSEAL. Its **context** holds the parameters, and here also the key. N = 4096
# makes 2,048 slots, and sums wrap around at a prime of 60 bits, inside the standard for 128-bit security (Albrecht et
# al., 2018).


# %%
from fedkit.compat.tenseal import ts


def new_context(scheme, plain_modulus=None):
    settings = {
        "coeff_mod_bit_sizes": [60, 16],
        "encryption_type": ts.ENCRYPTION_TYPE.SYMMETRIC,
    }
    return ts.context(ts.SCHEME_TYPE[scheme], 4096, plain_modulus, **settings)


context = new_context("CKKS")
context.global_scale = 2**34
context.is_private()  # is there a secret key inside?

# %% [markdown]
# How long is a message of one number, of 14, of 2,048?

# %%
sizes = {
    n: len(ts.ckks_vector(context, np.linspace(-1, 1, n).tolist()).serialize())
    for n in (1, 14, 2048)
}
assert sizes[2048] - sizes[1] < 100, (
    "A full ciphertext should be as long as an almost empty one."
)
pd.Series(sizes, name="bytes").rename_axis("numbers").to_frame()

# %% [markdown]
# Equally long: empty slots travel too. Now the same update twice:


# %%
twice = [ts.ckks_vector(context, numbers.tolist()) for _ in range(2)]
bytes_1, bytes_2 = (np.frombuffer(one.serialize(), np.uint8)[:65_000] for one in twice)
agree, gap = (
    (bytes_1 == bytes_2).mean(),
    np.abs(np.subtract(*(one.decrypt() for one in twice))).max(),
)
assert agree < 0.02, "Two encryptions should not share bytes."
assert gap < 1e-6, "Two encryptions should hold the same numbers."
print(f"bytes that agree: {agree:.0%}; largest difference of the numbers: {gap:.0e}")

# %% [markdown]
# So the server cannot even tell that an update came twice. The numbers differ a little: noise stays inside.
#
# ## One key for all
#
# Say that all hospitals share *one* secret key, made by one of them. Each encrypts its number of patients, and patients
# x update. So the server only adds, and the division comes after decryption.


# %%
sent_by_hand = {}
for name, update in updates.items():
    slots = [patients[name], *(patients[name] * update)]
    sent_by_hand[name] = ts.ckks_vector(context, slots).serialize()

# %% [markdown]
# The server's context is a copy without the secret key.


# %%
context_server = ts.context_from(context.serialize(save_secret_key=False))
received = [
    ts.ckks_vector_from(context_server, message) for message in sent_by_hand.values()
]
total_by_hand = sum(received[1:], received[0]).serialize()
context_server.is_private()

# %% [markdown]
# Back at a hospital: decrypt, and divide by the first slot.


# %%
opened = np.array(ts.ckks_vector_from(context, total_by_hand).decrypt())
mean_by_hand = opened[1:] / opened[0]
mean_plain = aggregators.weighted_mean(list(updates.values()), list(patients.values()))
assert np.abs(mean_by_hand - mean_plain).max() < 1e-6, (
    "The encrypted mean should be the plain mean."
)
print(
    f"{opened[0]:.0f} patients; largest difference from the plain mean {np.abs(mean_by_hand - mean_plain).max():.0e}"
)

# %% [markdown]
# But Cleveland has the key, too. What if the server shows it one message?


# %%
stolen = np.array(ts.ckks_vector_from(context, sent_by_hand["Switzerland"]).decrypt())
read_by_cleveland = stolen[1:] / stolen[0]
assert np.abs(read_by_cleveland - updates["Switzerland"]).max() < 1e-6, (
    "The shared key should open it."
)
print(
    f"{stolen[0]:.0f} patients, bias {read_by_cleveland[-1]:+.3f}: Cleveland reads Switzerland's update"
)

# %% [markdown]
# The server and *one* hospital read everything. So nobody should have a key that opens a message.
#
# ## Keys that are used once
#
# **First idea:** each hospital makes a key of its own, new for each sum, and all use the *same* mask, which then need
# not be sent. Bodies add up to *mask x sum of keys* and the sum of numbers. So only the *sum of all keys* must become
# known.


# %%
toy_mask = toy_random.integers(
    0, 2**64, (15, 1024), dtype=np.uint64
)  # everybody knows it
toy_keys = {name: toy_random.integers(0, 2, 1024, dtype=np.uint64) for name in updates}
letter_one = {}
for name, update in updates.items():
    wanted = np.rint(patients[name] * np.append(1, update) * 2**34)
    hidden = (wanted + np.rint(toy_random.normal(0, 3.2, 15))).astype(np.int64)
    letter_one[name] = toy_mask @ toy_keys[name] + hidden.view(np.uint64)

# %% [markdown]
# **Second idea:** each two hospitals agree on random numbers; one adds them to its key, the other takes them away. This
# **key share** alone looks random. In the sum of all, they are gone.


# %%
from itertools import combinations

letter_two = dict(toy_keys)
for first, second in combinations(updates, 2):
    pad = toy_random.integers(0, 2**64, 1024, dtype=np.uint64)  # known to these two
    letter_two[first] = letter_two[first] + pad
    letter_two[second] = letter_two[second] - pad
sum_of_keys = sum(letter_two.values())
opened_once = (sum(letter_one.values()) - toy_mask @ sum_of_keys).view(np.int64) / 2**34
assert np.array_equal(sum_of_keys, sum(toy_keys.values())), "The pads should cancel."
assert np.abs(opened_once[1:] / opened_once[0] - mean_plain).max() < 1e-6, (
    "It should be the plain mean."
)
print(
    f"{opened_once[0]:.0f} patients; one number of a share: {letter_two['Hungary'][0]}"
)

# %% [markdown]
# Here the server learns the sum of keys, and opens the sum. fedkit adds one more mask, the group's, which all hospitals
# know and the server does not. And a **tag** shows if anybody changed the sum.
#
# ## With fedkit: four functions on bytes
#
# First the keys. Two hospitals agree on a secret although the server carries all that they write: *Diffie-Hellman*, on
# the curve X25519. It takes the own private half and the other's public half.


# %%
import os

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fedkit import encryption
from fedkit.encryption.identities import Identity

parameters = encryption.choose(len(updates), numbers=len(names))
private, study, group = (
    {name: X25519PrivateKey.generate() for name in updates},
    os.urandom(32),
    os.urandom(32),
)
members = {
    name: encryption.Member(
        Identity.new(name).public, key.public_key().public_bytes_raw()
    )
    for name, key in private.items()
}
keys = {}
for name, half in private.items():
    how = {
        "own": os.urandom(32),
        "known": list(updates),
    }  # known: whose keys were compared by phone
    keys[name] = encryption.join(name, parameters, study, members, half, group, **how)

# %% [markdown]
# **Encrypt.** Letter one needs no list of who takes part. VA Long Beach's letter comes too late: the server **lists**
# whose letters arrived. That costs nothing.

# %%
letters = {
    name: keys[name].encrypt("update", update, patients[name])
    for name, update in updates.items()
}
everybody = {name: encryption.digest(letter) for name, letter in letters.items()}
listed = {name: each for name, each in everybody.items() if name != "VA Long Beach"}
{name: f"{len(letter)} bytes" for name, letter in letters.items()}

# %% [markdown]
# **Share**, for this list. **Add**, at the server. **Decrypt**, at any hospital.


# %%
shares = {name: keys[name].share(listed) for name in listed}
total = encryption.add(parameters, {name: letters[name] for name in listed}, shares)
mean_of_three, patients_of_three = keys["Hungary"].decrypt(total, listed)
wanted = aggregators.weighted_mean(
    [updates[name] for name in listed], [patients[name] for name in listed]
)
assert np.abs(mean_of_three - wanted).max() < 1e-6, (
    "It should be the mean of the three that are listed."
)
print(
    f"{patients_of_three:.0f} patients of {len(listed)} hospitals; a share has {len(shares['Hungary'])} bytes"
)

# %% [markdown]
# Now the server is unfair. It asks for a second list, with VA Long Beach: the difference of two sums would be its
# update. It asks VA Long Beach for a list of one. And it changes one bit. Each attempt should end in a sentence.


# %%
from fedkit.encryption.messages import MessageError

alone = {"VA Long Beach": everybody["VA Long Beach"]}
changed = total[:-1] + bytes([total[-1] ^ 1])
attempts = {
    "a second list": lambda: keys["Hungary"].share(everybody),
    "a list of one": lambda: keys["VA Long Beach"].share(alone),
    "one bit changed": lambda: keys["Cleveland"].decrypt(changed, listed),
}
for what, attempt in attempts.items():
    try:
        attempt()
    except MessageError as refusal:
        print(f"{what}:\n    {refusal}")
    else:
        raise RuntimeError(f"The server could do this: {what}.")

# %% [markdown]
# A thief deletes such checks. The game below puts what is left, the mathematics, to the test.
#
# ## Who holds which key
#
# | | each hospital | the server |
# | --- | --- | --- |
# | patients' rows, updates, numbers of patients | its own | none |
# | the key of a letter, used once | its own | **none** |
# | a pair's secret, for masks | with each other | none |
# | the group's secret | yes | none |
# | key for signatures | its own | its own |
# | letters one and two | its own | all |
# | the sum, readable | yes | no |

# %%
from fedkit import plots
from fedkit.chapters import diagrams, figures

words = ["train", "weight", "encrypt", "list", "share", "add", "open", "apply"]
where = ["hospital"] * 3 + ["server", "hospital", "server"] + ["hospital"] * 2
workflow = diagrams.workflow()
plots.save(
    workflow,
    "workflow",
    pd.DataFrame({"step": range(1, 9), "what": words, "where": where}),
)
workflow

# %% [markdown]
# *In the picture: above, at every hospital, train, weight, encrypt, share, open, apply; below, at the server, list and
# add. Two letters go down and the sum comes up, each with a padlock; the list has none.*
#
# ## Why not masks alone?
#
# Masks that cancel could hide the updates themselves (Bonawitz et al., 2017), with fewer bytes. But masks must know
# *who takes part*: if somebody drops out, masks stay in the sum. Here the long letter is made before anybody knows the
# list. Only the share depends on it. How long is that?


# %%
model_sizes = [size for size in (10, 100, 1_000, 10_000, 100_000) if size <= LARGEST]
chosen = {size: encryption.choose(len(updates), numbers=size) for size in model_sizes}
both = pd.DataFrame(
    {
        "both letters, bytes": {
            n: one.message_bytes(one.coefficients(n)) for n, one in chosen.items()
        }
    }
)
both["of these the share"] = {
    n: one.share_bytes(len(updates)) for n, one in chosen.items()
}
assert both["of these the share"].between(1_000, 6_000).all(), (
    "A share should have 1 to 6 kB."
)
both.rename_axis("numbers")

# %% [markdown]
# This is what homomorphic encryption buys: of a model of any size, only 1 to 6 kB depend on who takes part.
#
# ## Whole numbers: BFV
#
# CKKS leaves noise in the result. **BFV** (Fan and Vercauteren, 2012) adds integers, *exactly*. We round, in steps that
# the hospitals agree on. One slot has room for *two* of our integers: the second is multiplied by 2^26. This is
# **packing**.


# %%
from fedkit.encryption import packing


def pack_by_hand(integers):
    return integers[0::2] + integers[1::2] * 2**26


step = 2.0**-16  # in patients x update
rounded = [
    np.rint(patients[name] * update / step).astype(int)
    for name, update in updates.items()
]
assert np.array_equal(
    pack_by_hand(rounded[0]), packing.pack(rounded[0], bits=26, fields=2)
)
pack_by_hand(rounded[0])[:2]

# %% [markdown]
# Packed integers are added like others, as long as no sum outgrows its 26 bits:

# %%
context_bfv = new_context(
    "BFV", plain_modulus=2**52 + 172_033
)  # a prime, as slots ask for
sealed = [ts.bfv_vector(context_bfv, pack_by_hand(one).tolist()) for one in rounded]
opened_bfv = sum(sealed[1:], sealed[0]).decrypt()
total_bfv = packing.unpack(np.array(opened_bfv), bits=26, fields=2, size=len(names))
assert np.array_equal(total_bfv, sum(rounded)), "BFV should add integers exactly."
print("first sums, in steps:", total_bfv[:4])

# %% [markdown]
# Exact also means repeatable, whatever the keys. CKKS is good to learn with. BFV is the one to use: fedkit's letters
# hold packed integers.
#
# ## The whole training, encrypted
#
# Only the aggregator changes: in the clear; CKKS with one shared key; BFV with keys used once.


# %%
def train(aggregator):
    return learning.train_federated(
        federation, rounds=ROUNDS, aggregator=aggregator, seed=range(SEEDS)
    )


runs_plain = train(aggregators.Mean())
runs_ckks, runs_bfv = (
    train(aggregators.SharedKeyMean()),
    train(aggregators.EncryptedMean()),
)
runs_plain[0], runs_ckks[0], runs_bfv[0]

# %% [markdown]
# First the weights: the largest difference from the plain model. Just above 1, a float32 moves in steps of 1.2e-07.


# %%
from fedkit import models


def largest_gap(*both):
    first, second = (
        np.array([models.flatten(run.weights["shared"]) for run in runs])
        for runs in both
    )
    return np.abs(first - second).max()


gaps = {
    "CKKS": largest_gap(runs_ckks, runs_plain),
    "BFV": largest_gap(runs_bfv, runs_plain),
}
assert max(gaps.values()) < 1e-6, "Encrypted training should give the plain model."
print({scheme: f"{gap:.0e}" for scheme, gap in gaps.items()})

# %% [markdown]
# Then AUROC at each hospital, with its 95% interval. Do the methods differ along a line?


# %%
from fedkit import evaluation

aurocs = evaluation.table([*runs_plain, *runs_ckks, *runs_bfv], metrics=["auroc"])
summary = evaluation.summary(aurocs)
summary["AUROC"] = [
    f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
    for row in summary.itertuples(index=False)
]
summary.pivot_table(index="hospital", columns="method", values="AUROC", aggfunc="first")

# %%
from fedkit import records

differences = (
    evaluation.paired_differences(aurocs, "federated").set_index("method")["mean"].abs()
)
assert differences.max() < 0.0005, (
    "Encryption should not move AUROC in the digits shown."
)
for scheme in ("CKKS", "BFV"):
    records.glue(
        f"largest_auroc_difference_{scheme}", differences[f"federated + {scheme}"].max()
    )
records.glue(
    "auroc_mean_of_hospitals", summary.query("hospital == 'mean'")["mean"].mean()
)

# %% [markdown]
# Encryption changed none of the three digits, at no hospital.
#
# ## Prove that it is encrypted
#
# If encryption is off, nobody notices: training works just as well. To look for the numbers in the bytes proves little:
# they could stand there in another form. Cryptographers play a **game** instead:
#
# 1. The attacker picks two updates: all weights up, or all weights down.
# 2. A coin decides which one hospitals A and B send. C sends zeros.
# 3. The attacker gets everything that travels: both letters of each hospital, list and sum.
# 4. It guesses the coin.
#
# If the bytes tell nothing, it is right half of the time. Five attackers play, and all know fedkit's code:
#
# - **reads** takes the letter's integers as if nothing hid them, packed as they are;
# - **subtracts** an older letter, in case a key was used twice;
# - **solves** for the key, in case the noise is missing;
# - **opens** letters with the shares, in case masks are missing;
# - **practises** alone before, and compares bits, place by place.
#
# An honest cipher is above "luck" once in a billion times.


# %%
from fedkit.chapters.attacks import distinguishing


def play(aggregator, insider=False):
    return distinguishing.game(distinguishing.scene(aggregator, insider), GAMES)


def check_encrypted(table):
    winners = ", ".join(table.index[table["found"] != "nothing"])
    assert not winners, f"these attackers tell the coin: {winners}"


honest = play(aggregators.EncryptedMean)
check_encrypted(honest)
honest

# %% [markdown]
# Green. A test that is always green proves nothing. We switch encryption off inside fedkit: keys and noise become
# zeros.


# %%
from unittest import mock

from fedkit.encryption import ring

encryption_off = mock.patch.object(
    ring, "small", lambda key, count: np.zeros(count, int)
)
with encryption_off:
    run_off = learning.train_federated(
        federation, rounds=1, aggregator=aggregators.EncryptedMean(), seed=0
    )
    game_off = play(aggregators.EncryptedMean)
assert largest_gap([run_off], [run_watched]) < 1e-6, (
    "The model should be the same all the same."
)
assert game_off.loc["reads", "right"] == GAMES, "Who reads should win every game."
game_off

# %% [markdown]
# The same model as before: only the game tells. Our check must be red now:


# %%
try:
    check_encrypted(game_off)
except AssertionError as alarm:
    print("red:", alarm)
else:
    raise RuntimeError("The test did not notice that encryption is off.")

# %% [markdown]
# And if hospital C helps the server, with all its keys? It reads the sum anyway. So A and B now send *opposite*
# updates, of which the sum is zero.


# %%
insider = {"keys used once": play(aggregators.EncryptedMean, insider=True)}
insider["one key for all"] = play(aggregators.SharedKeyMean, insider=True)
check_encrypted(insider["keys used once"])
assert insider["one key for all"].loc["opens", "right"] == GAMES, (
    "The shared key should open every letter."
)
pd.concat(insider, names=["keys"])

# %% [markdown]
# With one key for all, C wins each game. With keys used once, it is at half.
#
# This proves that none of *these* attackers tells anything. That the cipher is strong rests on mathematics, and on
# parameters that experts have checked.
#
# ## What the server sees
#
# The update of Switzerland, in the clear and encrypted with CKKS:


# %%
seen = pd.DataFrame(
    {
        "weight": names,
        "change": numbers,
        "message_bytes": len(sent_by_hand["Switzerland"]),
    }
)
view = figures.server_view(numbers, sent_by_hand["Switzerland"], names)
plots.save(view, "server_view", seen, measured=True)
view

# %% [markdown]
# *In the picture: on the left 14 bars, one a weight; the bias is the longest and `chol` is 0. On the right a square of
# noise with dark stripes.* Of each eight bytes the last is small, whatever is inside.
#
# ## The price
#
# One training: kilobytes of all hospitals and rounds together, by direction. "peer" goes from hospital to hospital: the
# shared key, or the group's secret.

# %%
costs = evaluation.costs([*runs_plain, *runs_ckks, *runs_bfv])
moved = costs[costs["bytes"] > 0].pivot_table(
    index="method", columns="direction", values="bytes", aggfunc="sum"
)
times = moved["up"] / moved.loc["federated", "up"]
assert times["federated + CKKS"] > 100, "CKKS should cost dearly for 14 numbers."
assert 5 < times["federated + BFV"] < 50, "BFV should cost far less, and still much."
(moved / 1e3).round(1)

# %% [markdown]
# CKKS sends hundreds of times as many bytes as plain training: its ciphertext is as long for 14 numbers as
# for two thousand. BFV stays below fifty times, most of it shares and signatures.
#
# Now milliseconds, which differ from run to run:


# %%
work = costs[costs["seconds"] > 0].pivot_table(
    index="method", columns="phase", values="seconds", aggfunc="sum"
)
(work[["keys", "train", "encrypt", "share", "add", "decrypt"]] * 1e3).round(1)

# %% [markdown]
# And for larger models? We pretend, with random updates:


# %%
def pretend(aggregator, size, repeat):
    random, ledger = np.random.default_rng([size, repeat]), records.Ledger()
    pretended = {name: random.normal(0, 0.1, size) for name in patients}
    state = aggregator.start(list(patients), {"kernel": (size,)}, ledger)
    for number in (1, 2):  # in the first round, BFV also agrees on its steps
        ledger.round = number
        state, mean = aggregator.aggregate(state, pretended, patients, ledger)
    error = np.abs(
        mean
        - aggregators.weighted_mean(list(pretended.values()), list(patients.values()))
    ).max()
    up = (
        ledger.frame().query("round == 2 and direction == 'up'")["bytes"].sum()
    )  # of four hospitals
    sent = float(up / len(patients) / size)
    return {
        "scheme": aggregator.name,
        "parameters": size,
        "error": float(error),
        "bytes": sent,
    }


# %%
from itertools import product

schemes = [aggregators.SharedKeyMean(), aggregators.EncryptedMean()]
tried = pd.DataFrame(
    pretend(*case) for case in product(schemes, model_sizes, range(REPEATS))
)
per_number = tried.pivot_table(
    index="parameters", columns="scheme", values="bytes"
).assign(plain=4.0)
assert per_number.loc[LARGEST, "BFV"] < 4 < per_number.loc[LARGEST, "CKKS"], (
    "Only BFV should be smaller than plain."
)
records.glue("bytes_a_parameter_BFV_100000", per_number.loc[LARGEST, "BFV"])
per_number.round(1)

# %% [markdown]
# A larger model fills its ciphertexts. Then BFV gets *below* the four bytes of a plain float32.
# With fewer bits a number it falls below two ([notebook 05](05_communication_cost.ipynb)).
#
# Now the error. The dashed line is what a float32 near 1 loses anyway.


# %%
picture = figures.encryption_error(tried)
plots.save(picture, "encryption_error", tried, measured=True)
lost = tried.groupby("scheme")["error"].max()
assert lost.max() < 2.0**-23, "Neither should lose more than float32 does."
picture

# %% [markdown]
# *In the picture: two lines rise slowly from left to right, and both stay below the dashed line.* The error of BFV is
# rounding, which we choose and can repeat. The error of CKKS is noise.
#
# ## What this does *not* protect
#
# Each hospital subtracts its own part of the sum. Hungary, in the list of three above:


# %%
sum_of_others = (
    mean_of_three * patients_of_three - patients["Hungary"] * updates["Hungary"]
)
of_two = sum(patients[name] * updates[name] for name in ("Cleveland", "Switzerland"))
assert np.abs(sum_of_others - of_two).max() < 1e-3, (
    "It should be the sum of the other two."
)
with_cleveland = (
    sum_of_others - patients["Cleveland"] * updates["Cleveland"]
) / patients["Switzerland"]
assert np.abs(with_cleveland - updates["Switzerland"]).max() < 1e-5, (
    "Two of three should read the third."
)
print("Hungary reads the sum of two; with Cleveland's help, also Switzerland's update")

# %% [markdown]
# - **The sum.** Up to K - 2 of K hospitals, with the server's help, read the *sum of the others*, and no single update.
#   They can also change it. Against all but one there is nothing to hide.
# - **The model may tell something about rows.** Encryption adds no *differential privacy*.
# - **Nonsense goes through**, signed and hidden (*poisoning*). A wrong share stops the round, and nobody can say whose
#   it was.
# - **A quantum computer with the archive** reads every letter: the masks hang on X25519.
# - **A decrypted CKKS sum must never go back to the server.** It shows the noise, and the noise betrays the key (Li and
#   Micciancio, 2021).
# - **The server still sees** who sends, when, how much, and that some update outgrew its agreed bound.
#
# ## What you can do now
#
# - You can explain CKKS: encode with a scale, hide under mask x key and noise. Masks add, bodies add, so numbers add.
# - You know who holds what. One key for all opens all; a key used once opens only its sum.
# - You did both letters by hand, and with `encrypt`, `share`, `add`, `decrypt`.
# - You have a game that is green, and red when encryption is off.
# - You know the price, above all bytes, and what stays open, above all the sum.
#
# Next: [does it all pay?](04_comparison_of_outcomes.ipynb)

# %% [markdown]
# ## Exercises
#
# **1. Predict.** A model has 5,000 weights. A CKKS ciphertext has 2,048 slots, and one slot goes to the number of
# patients. How many kilobytes has the message? Write your guess, then run.

# %% tags=["exercise"]
my_guess = 0  # kB
message_large = encryption.SharedKeys(hospitals=4).encrypt(
    np.linspace(-1, 1, 5_000), 100
)
print(f"my guess: {my_guess} kB; it is {len(message_large) / 1e3:.0f} kB")

# %% tags=["solution"]
ciphertexts = -(-(5_000 + 1) // 2_048)  # divided, and rounded up
predicted = ciphertexts * len(sent_by_hand["Hungary"])
assert abs(len(message_large) - predicted) < 1_000
print(
    f"{ciphertexts} ciphertexts of {len(sent_by_hand['Hungary']) / 1e3:.1f} kB: {predicted / 1e3:.0f} kB"
)

# %% [markdown]
# **2. Modify.** `EncryptedMean(bits=26)` gives each number 26 bits. Give it 13. What happens to the bytes for
# each parameter, and to the error of the mean?

# %% tags=["exercise"]
pretend(aggregators.EncryptedMean(bits=26), size=20_000, repeat=0)

# %% tags=["solution"]
fine, coarse = (
    pretend(aggregators.EncryptedMean(bits=bits), 20_000, 0) for bits in (26, 13)
)
assert coarse["bytes"] < 0.6 * fine["bytes"], (
    "Half the bits should save about half the bytes."
)
assert coarse["error"] > 100 * fine["error"], "And their steps should be much coarser."
print(
    f"bytes x {coarse['bytes'] / fine['bytes']:.2f}, error x {coarse['error'] / fine['error']:,.0f}"
)

# %% [markdown]
# **3. Build.** The game takes any function from a coin to bytes. Build a cipher that *practises* does not see through,
# and that anybody can undo: no secret is left out of its bytes. Then build the attacker that undoes it.


# %% tags=["exercise"]
def bad_cipher(coin):
    return np.full(14, 0.5 if coin else -0.5).tobytes()  # change me


def undoes(message):
    return 0  # change me: above 0 means up, below 0 down


distinguishing.game(bad_cipher, GAMES, more={"undoes": undoes})


# %% tags=["solution"]
def pad_beside(coin):
    update, pad = np.full(14, 0.5 if coin else -0.5).tobytes(), os.urandom(112)
    return pad + bytes(
        a ^ b for a, b in zip(pad, update, strict=True)
    )  # the key travels along


def uses_the_pad(message):
    pad, body = message[:112], message[112:]
    return np.frombuffer(bytes(a ^ b for a, b in zip(pad, body, strict=True)))[0]


solved = distinguishing.game(pad_beside, GAMES, more={"undoes": uses_the_pad})
assert solved["found"].to_dict() == {"practises": "nothing", "undoes": "the coin"}
solved
