# %% [markdown]
# # 03. How can a server add numbers that it cannot read?
#
# *One minute to run, 35 minutes to read. To read before: [02](02_federated_learning.ipynb).*
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
GAMES = 50  # how often each attacker guesses; below 36, luck may win them all

# %% tags=["plumbing"]
# Settings: the quick profile, and what the claims below are for
from fedkit.chapters import course

claim = course.settings(
    globals(),
    {"SEEDS": 10, "ROUNDS": 50, "LARGEST": 100_000, "REPEATS": 5, "GAMES": 50},
    {"SEEDS": 3, "ROUNDS": 10, "REPEATS": 2, "GAMES": 36},
)

# %% [markdown]
# ## The curious server
#
# In notebook 02 the server averaged the updates, and it read every one. Our server does its work, but it is
# [curious](glossary.md#curious-server): it keeps a copy of all that passes. A few lines around any aggregator are
# enough. `before` is called with what goes in. It watches one round:


# %% tags=["slide"]
import numpy as np
import pandas as pd
from fedkit import aggregators, hospitals, learning


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights  # nobody would notice
        return own, updates, weights


federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
run_watched = learning.train_federated(federation, rounds=1, aggregator=curious, seed=0)
updates, patients = curious.seen, curious.patients
patients

# %% [markdown]
# It also has the updates: 14 numbers of each hospital. It looks at two of them. Does the bias go
# up where label 1 is common? And if the weight of cholesterol, `chol`, did not move at all, did the hospital measure
# none? We compare with the hospitals' tables, which the server cannot see.

# %%
names = [*federation.columns, "bias"]
known = pd.DataFrame(updates, names).loc[["bias", "chol"]].T.add_suffix(", update")
known["share with label 1"] = [one.labels.mean() for one in federation]
known["chol measured"] = [one.table["chol"].notna().mean() for one in federation]
known.round(3)

# %% [markdown]
# Both are right. Some attacks read whole rows (Zhu, Liu and Han, 2019). But the server only needs the
# sum. So we give it a sum that it cannot open, and nothing else.
#
# ## Step 1: numbers become integers
#
# Encryption works on [integers](glossary.md#integer); an update has fractions. We [encode](glossary.md#encode) them:
# multiply by a large number, the [scale](glossary.md#scale), and round. To go back, divide. Large scales lose less.


# %%
numbers, losses = updates["Switzerland"], {}
for scale in (2**4, 2**10, 2**16, 2**22):
    losses[scale] = np.abs(np.rint(numbers * scale) / scale - numbers).max()
    assert losses[scale] <= 0.5 / scale, "Rounding should lose half a unit at most."
pd.Series(losses, name="largest error").map("{:.0e}".format).to_frame().T

# %% [markdown]
# ## Step 2: a mask and a little noise
#
# A [key](glossary.md#key) is a row of secret bits. For each number we draw a fresh row of random integers, the
# [mask](glossary.md#mask), and send it along openly. To the number we add *mask x key*, and a little random
# [noise](glossary.md#noise). Only who has the key can take *mask x key* away again. Without noise, many numbers would be
# linear equations, and solving them gives the key. All sums wrap around at 2^64, like a clock at 12.


# %% tags=["slide"]
def toy_encrypt(numbers, key, scale, random):
    mask = random.integers(0, 2**64, (len(numbers), len(key)), dtype=np.uint64)
    noise = np.rint(random.normal(0, 3.2, len(numbers)))
    hidden = np.rint(numbers * scale) + noise
    return mask, mask @ key + hidden.astype(np.int64).view(np.uint64)


def toy_decrypt(ciphertext, key, scale):
    mask, body = ciphertext
    return (body - mask @ key).view(np.int64) / scale


# %% [markdown]
# What comes out is a [ciphertext](glossary.md#ciphertext): the mask and the body. Add the masks of two ciphertexts, and
# add their bodies. That is a ciphertext *of the sum*. No key was needed to add.


# %% tags=["slide"]
toy_random = np.random.default_rng(0)  # a real cipher's randomness has no seed
toy_key = toy_random.integers(0, 2, 1024, dtype=np.uint64)
two = [updates[name] for name in ("Hungary", "Switzerland")]
sent = [toy_encrypt(update, toy_key, 2**34, toy_random) for update in two]
total = [one + other for one, other in zip(*sent, strict=True)]  # the server's work
assert np.allclose(toy_decrypt(total, toy_key, 2**34), sum(two), atol=1e-8)

# %% [markdown]
# The sum opens rightly. This is a toy after Regev (2005, *learning with errors*). It sends 1,024 integers for one number.
#
# ## The same, for real: CKKS
#
# [CKKS](glossary.md#ckks) (Cheon, Kim, Kim and Song, 2017) does this with [polynomials](glossary.md#polynomial). So one
# mask hides thousands of numbers, each in a [slot](glossary.md#slot). The library is TenSEAL. Its **context** holds the
# parameters, and here also the key. N = 4096 makes 2,048 slots, and sums wrap around at a prime of 60 bits, inside the
# standard for 128-bit security (Albrecht et al., 2018).


# %% tags=["slide"]
from fedkit.compat.tenseal import ts


def new_context(scheme, plain_modulus=None):
    kind, how = ts.SCHEME_TYPE[scheme], ts.ENCRYPTION_TYPE.SYMMETRIC
    bits = {"coeff_mod_bit_sizes": [60, 16], "encryption_type": how}
    return ts.context(kind, 4096, plain_modulus, **bits)


context = new_context("CKKS")
context.global_scale = 2**34
context.is_private()  # is there a secret key inside?

# %% [markdown]
# How long is a message of one number, of 14, of 2,048? And what if the same update goes out twice?

# %% tags=["plumbing"]
# Lengths of messages, and the same update twice
given = [np.linspace(-1, 1, n) for n in (1, 14, 2048)] + 2 * [numbers]
vectors = [ts.ckks_vector(context, one.tolist()) for one in given]
lengths = [len(one.serialize()) for one in vectors]
twice = [np.frombuffer(one.serialize()[:65_000], np.uint8) for one in vectors[-2:]]
noise = np.abs(np.subtract(*(one.decrypt() for one in vectors[-2:]))).max()
agree = np.equal(*twice).mean()
assert np.ptp(lengths) < 100, "A full one should be as long as an almost empty one."
assert agree < 0.02, "Two encryptions should not share bytes."
assert noise < 1e-6, "Two encryptions should hold the same numbers."
print(f"bytes: {lengths[:3]}; of the same update twice {agree:.0%} agree")

# %% [markdown]
# Equally long: empty slots travel too. And the server cannot even tell that an update came twice. Opened, they
# differ a little: noise stays inside.
#
# ## One key for all
#
# Say that all hospitals share *one* secret key, made by one of them. Each encrypts its number of patients, and patients
# x update. So the server only adds, and the division comes after decryption. The server's context is a copy without the
# secret key.


# %%
sent_by_hand = {}
for name, update in updates.items():
    slots = [patients[name], *(patients[name] * update)]
    sent_by_hand[name] = ts.ckks_vector(context, slots).serialize()
at_server = ts.context_from(context.serialize(save_secret_key=False))
received = [ts.ckks_vector_from(at_server, each) for each in sent_by_hand.values()]
total_by_hand = sum(received[1:], received[0]).serialize()
at_server.is_private()

# %% [markdown]
# Back at a hospital: decrypt, and divide by the first slot. But Cleveland has the key, too. What if the server shows it
# one message?


# %% tags=["slide"]
def open_by_hand(message):
    count, *rest = ts.ckks_vector_from(context, message).decrypt()
    return np.array(rest) / count


mean_plain = aggregators.weighted_mean(list(updates.values()), list(patients.values()))
assert np.abs(open_by_hand(total_by_hand) - mean_plain).max() < 1e-6, "The plain mean."
stolen = open_by_hand(sent_by_hand["Switzerland"])
assert np.abs(stolen - numbers).max() < 1e-6, "The shared key should open it."
print(f"bias {stolen[-1]:+.3f}: Cleveland reads Switzerland's update")

# %% [markdown]
# The server and *one* hospital read everything. So nobody should have a key that opens a message.
#
# ## Keys that are used once
#
# **First idea:** each hospital makes a key of its own, new for each sum, and all use the *same* mask, which then need
# not be sent. Bodies add up to *mask x sum of keys* and the sum of numbers. So only the *sum of all keys* must become
# known.


# %%
any_number = {"low": 0, "high": 2**64, "dtype": np.uint64}
toy_mask = toy_random.integers(**any_number, size=(15, 1024))  # everybody knows it
toy_keys, letter_one = {}, {}
for name, update in updates.items():
    toy_keys[name] = toy_random.integers(0, 2, 1024, dtype=np.uint64)
    wanted = np.rint(patients[name] * np.append(1, update) * 2**34)
    hidden = (wanted + np.rint(toy_random.normal(0, 3.2, 15))).astype(np.int64)
    letter_one[name] = toy_mask @ toy_keys[name] + hidden.view(np.uint64)

# %% [markdown]
# **Second idea:** each two hospitals agree on random numbers; one adds them to its key, the other takes them away. This
# [key share](glossary.md#key-share) alone looks random. In the sum of all, they are gone.


# %% tags=["slide"]
from itertools import combinations

letter_two = dict(toy_keys)
for first, second in combinations(updates, 2):
    pad = toy_random.integers(**any_number, size=1024)  # known to these two
    letter_two[first] = letter_two[first] + pad
    letter_two[second] = letter_two[second] - pad
sum_of_keys = sum(letter_two.values())
opened_once = (sum(letter_one.values()) - toy_mask @ sum_of_keys).view(np.int64)
assert np.array_equal(sum_of_keys, sum(toy_keys.values())), "The pads should cancel."
assert np.abs(opened_once[1:] / opened_once[0] - mean_plain).max() < 1e-6
print(f"one number of a share: {letter_two['Hungary'][0]}")

# %% tags=["plumbing"]
# Keys for four hospitals
import os

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fedkit import encryption
from fedkit.encryption.identities import Identity

parameters = encryption.choose(len(updates), numbers=len(names))
private = {name: X25519PrivateKey.generate() for name in updates}
study, group = os.urandom(32), os.urandom(32)
members = {}
for name, key in private.items():
    public = key.public_key().public_bytes_raw()
    members[name] = encryption.Member(Identity.new(name).public, public)
keys = {}
for name, half in private.items():
    own = {"own": os.urandom(32), "known": list(updates)}  # whose keys were compared
    keys[name] = encryption.join(name, parameters, study, members, half, group, **own)

# %% [markdown]
# Here the server learns the sum of keys, and opens the sum. fedkit adds one more mask, the group's, which all hospitals
# know and the server does not. And a [tag](glossary.md#tag) shows if anybody changed the sum.
#
# ## With fedkit: four functions on bytes
#
# First the keys, in the folded cell above. Two hospitals agree on a secret although the server carries all that they write:
# *Diffie-Hellman*, on the curve X25519. It takes the own private half and the other's public half. Each key works
# once: to repeat the next cell, repeat that one.
#
# **Encrypt.** The first of two [letters](glossary.md#letter) needs no list of who takes part. VA Long Beach's letter comes too late: the server
# [lists](glossary.md#list) whose letters arrived. That costs nothing. **Share**, for this list. **Add**, at the server.
# **Decrypt**, at any hospital.

# %%
letters = {at: keys[at].encrypt("update", updates[at], patients[at]) for at in updates}
everybody = {name: encryption.digest(letter) for name, letter in letters.items()}
listed = {name: each for name, each in everybody.items() if name != "VA Long Beach"}
shares = {name: keys[name].share(listed) for name in listed}
total = encryption.add(parameters, {name: letters[name] for name in listed}, shares)
mean_of_three, patients_of_three = keys["Hungary"].decrypt(total, listed)
wanted = sum(patients[at] * updates[at] for at in listed) / patients_of_three
assert np.abs(mean_of_three - wanted).max() < 1e-6, "The mean of the three on the list."
print(f"{patients_of_three:.0f} patients of {len(listed)} hospitals")

# %% [markdown]
# Now the server is unfair. It asks for a second list, with VA Long Beach: the difference of two sums would be its
# update. It asks VA Long Beach for a list of one. And it changes one bit. Each attempt should end in a sentence.


# %% tags=["plumbing"]
# What an unfair server gets
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

# %% tags=["plumbing"]
# A picture: who does what in a round
from fedkit import plots
from fedkit.chapters import diagrams, figures

words = ["train", "weight", "encrypt", "list", "share", "add", "open", "apply"]
where = ["hospital"] * 3 + ["server", "hospital", "server"] + ["hospital"] * 2
plots.save(
    diagrams.workflow(),
    "workflow",
    pd.DataFrame({"step": range(1, 9), "what": words, "where": where}),
    "At every hospital: train, weight, encrypt, share, open, apply. At the server: "
    "list and add. Two letters go to the server and the sum comes back, each with a "
    "lock. The list has none.",
)

# %% [markdown]
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
#
# ## Why not masks alone?
#
# Masks that cancel could hide the updates themselves (Bonawitz et al., 2017), with fewer bytes. But masks must know
# *who takes part*: if somebody drops out, masks stay in the sum. Here the long letter is made before anybody knows the
# list. Only the share depends on it. How long is that?


# %%
model_sizes = [10, *(n for n in (100, 1_000, 10_000, 100_000) if n <= LARGEST)]
chosen = [encryption.choose(len(updates), numbers=size) for size in model_sizes]
both = [one.message_bytes(one.coefficients(one.numbers)) for one in chosen]
share = [one.share_bytes(len(updates)) for one in chosen]
assert max(share) < 6_000, "A share should have 1 to 6 kB."
pd.DataFrame({"both letters, bytes": both, "of these the share": share}, model_sizes)

# %% [markdown]
# This is what homomorphic encryption buys: of a model of any size, only 1 to 6 kB depend on who takes part.
#
# ## Whole numbers: BFV
#
# CKKS leaves noise in the result. [BFV](glossary.md#bfv) (Fan and Vercauteren, 2012) adds integers, *exactly*. We round,
# in steps that the hospitals agree on. One slot has room for *two* of our integers: the second is multiplied by 2^26.
# This is [packing](glossary.md#packing). Packed integers are added like others, as long as no sum needs more than its 26
# bits.


# %%
from fedkit.encryption import packing


def pack_by_hand(integers):
    return integers[0::2] + integers[1::2] * 2**26


step = 2.0**-16  # in patients x update
rounded = [np.rint(patients[at] * updates[at] / step).astype(int) for at in updates]
packed = [pack_by_hand(one) for one in rounded]
assert np.array_equal(packed[0], packing.pack(rounded[0], bits=26, fields=2))
context_bfv = new_context("BFV", plain_modulus=2**52 + 172_033)  # a prime
sealed = [ts.bfv_vector(context_bfv, one.tolist()) for one in packed]
opened = np.array(sum(sealed[1:], sealed[0]).decrypt())
total_bfv = packing.unpack(opened, bits=26, fields=2, size=len(names))
assert np.array_equal(total_bfv, sum(rounded)), "BFV should add integers exactly."
print("first sums, in steps:", total_bfv[:4])

# %% [markdown]
# Exact also means repeatable, whatever the keys. So fedkit's letters
# hold packed integers.
#
# ## The whole training, encrypted
#
# Only the aggregator changes: in the clear; CKKS with one shared key; BFV with keys used once. Then see the largest
# difference of a weight from the plain model. Just above 1, a plain number moves in steps of 1.2e-07.


# %%
from fedkit import models


def train(aggregator):
    how = {"rounds": ROUNDS, "seed": range(SEEDS)}
    return learning.train_federated(federation, aggregator=aggregator, **how)


def largest_gap(*both):
    weights = [[models.flatten(run.weights["shared"]) for run in runs] for runs in both]
    return np.abs(np.subtract(*weights)).max()


runs_plain = train(aggregators.Mean())
runs_ckks = train(aggregators.SharedKeyMean())
runs_bfv = train(aggregators.EncryptedMean())
runs_all = [*runs_plain, *runs_ckks, *runs_bfv]
gaps = {run[0].method: largest_gap(run, runs_plain) for run in (runs_ckks, runs_bfv)}
assert max(gaps.values()) < 1e-5, "Encrypted training should give the plain model."
print({scheme: f"{gap:.0e}" for scheme, gap in gaps.items()})

# %% [markdown]
# Then AUROC at each hospital, with its 95% interval. Do methods differ along a line?


# %% tags=["plumbing"]
# AUROC and its interval, for each hospital and method
from fedkit import evaluation

aurocs = evaluation.table(runs_all, metrics=["auroc"])
found = evaluation.summary(aurocs)
ends = zip(found["mean"], found["low"], found["high"], strict=True)
found["AUROC"] = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in ends]
found.pivot_table("AUROC", "hospital", "method", "first")

# %% [markdown]
# Encryption changed no digit.
#
# ## Prove that it is encrypted
#
# If encryption is off, nobody notices: training works just as well. To look for the numbers in the bytes proves little:
# they could stand there in another form. [Cryptographers](glossary.md#cryptographer) play a [game](glossary.md#game)
# instead:
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
# With an honest cipher, somebody is above "luck" once in a billion times.


# %% tags=["slide"]
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
# zeros. The model is the same as before, and our check must be red now.


# %%
from unittest import mock

from fedkit.encryption import ring

off = mock.patch.object(ring, "small", lambda key, count: np.zeros(count, int))
with off:
    how = {"rounds": 1, "aggregator": aggregators.EncryptedMean(), "seed": 0}
    run_off = learning.train_federated(federation, **how)
    game_off = play(aggregators.EncryptedMean)
assert largest_gap([run_off], [run_watched]) < 1e-5, "It should be the same model."
assert game_off.loc["reads", "right"] == GAMES, "Who reads should win every game."
alarm = ""
try:
    check_encrypted(game_off)
except AssertionError as error:
    alarm = f"red: {error}"
claim(alarm, "The check is red when encryption is off.")
print(alarm)

# %% [markdown]
# Only the game tells. And if hospital C helps the server, with all its keys? It reads the sum anyway. So A and B now
# send *opposite* updates, of which the sum is zero.


# %%
once = play(aggregators.EncryptedMean, insider=True)
shared = play(aggregators.SharedKeyMean, insider=True)
check_encrypted(once)
assert shared.loc["opens", "right"] == GAMES, "The shared key should open every letter."
pd.concat({"keys used once": once, "one key for all": shared}, names=["keys"])

# %% [markdown]
# With one key for all, C wins each game. With keys used once, it is at half.
#
# This proves that none of *these* attackers tells anything. That the cipher is strong rests on mathematics, and on
# parameters that experts have checked.
#
# ## What the server sees
#
# The update of Switzerland, in the clear and encrypted with CKKS:


# %% tags=["plumbing"]
# A picture: an update and its message
message = sent_by_hand["Switzerland"]
seen = {"weight": names, "change": numbers, "message_bytes": len(message)}
plots.save(
    figures.server_view(numbers, message, names),
    "server_view",
    pd.DataFrame(seen),
    "On the left are 14 bars, one for each weight. The bar of the bias is the longest, "
    "and cholesterol's is 0. On the right is a square of noise with dark stripes.",
    measured=True,
)

# %% [markdown]
# Of each eight bytes of the message the last is small, whatever is inside: these are the stripes.
#
# ## The price
#
# One training: kilobytes of all hospitals and rounds together, by direction. "peer" goes from hospital to hospital: the
# shared key, or the group's secret. Behind them are [milliseconds](glossary.md#millisecond) of work, which differ from
# run to run.

# %%
costs = evaluation.costs(runs_all)
moved = costs.query("bytes > 0").pivot_table("bytes", "method", "direction", "sum")
work = costs.query("seconds > 0").pivot_table("seconds", "method", "phase", "sum")
times = moved["up"] / moved.loc["federated", "up"]
phases = ["train", "encrypt", "share", "add", "decrypt"]
(moved / 1e3).join(work[phases].add_suffix(", ms") * 1e3).round(0)

# %% [markdown]
# CKKS sends hundreds of times as many bytes as plain training: its ciphertext is as long for 14 numbers as
# for two thousand. BFV stays below fifty times; of what goes up, most are shares and signatures.
#
# And for larger models? `pretend` plays one round with random updates:


# %% tags=["plumbing"]
# pretend: one round, for its bytes and its error
from itertools import product

from fedkit import records


def pretend(aggregator, size, repeat):
    random, ledger = np.random.default_rng([size, repeat]), records.Ledger()
    pretended = {name: random.normal(0, 0.1, size) for name in patients}
    state = aggregator.start(list(patients), {"kernel": (size,)}, ledger)
    for number in (1, 2):  # in the first round, BFV also agrees on its steps
        ledger.round = number
        state, mean = aggregator.aggregate(state, pretended, patients, ledger)
    plain = list(pretended.values()), list(patients.values())
    error = float(np.abs(mean - aggregators.weighted_mean(*plain)).max())
    up = ledger.frame().query("round == 2 and direction == 'up'")["bytes"].sum()
    found = {"scheme": aggregator.name, "parameters": size, "error": error}
    return found | {"bytes": float(up / len(patients) / size)}  # of one hospital


# %%
bfv = aggregators.EncryptedMean(bits=26, most_change=1)
schemes = [aggregators.SharedKeyMean(), bfv]
cases = product(schemes, model_sizes, range(REPEATS))
tried = pd.DataFrame([pretend(*case) for case in cases])
a_number = tried.pivot_table("bytes", "parameters", "scheme").assign(plain=4.0)
a_number.round(1)

# %% [markdown]
# A larger model fills its ciphertexts. Then BFV gets below the four bytes of a plain number. But a sum of more
# hospitals needs more room. Bytes for one number of a large model, by its bits:

# %%
more = pd.DataFrame(index=[26, 20, 13], columns=[4, 17, 64], dtype=float)
for bits, count in product(more.index, more.columns):
    one = encryption.choose(count, numbers=100_000, bits=bits)
    more.loc[bits, count] = one.message_bytes(one.coefficients(100_000)) / 100_000
more = more.rename_axis("bits").rename_axis("hospitals", axis=1)
more.round(2)

# %% [markdown]
# So only a few hospitals send less than in the clear with 26 bits. With fewer bits, many do
# ([notebook 05](05_communication_cost.ipynb)). Now the error. The dotted line is what a plain number near 1 loses
# anyway.


# %% tags=["plumbing"]
# A picture: the error of the mean
plots.save(
    figures.encryption_error(tried),
    "encryption_error",
    tried,
    "Two lines, CKKS and BFV, rise slowly from left to right with the size of the "
    "model. CKKS stays below the dotted line: what a plain number loses anyway. BFV is "
    "a little above it.",
    measured=True,
)

# %% tags=["plumbing"]
# What the claims say, checked
order, wide = known.rank(), aurocs.pivot_table("value", "hospital", "method")
same_order = order["bias, update"].equals(order["share with label 1"])
claim(same_order, "The bias follows the share with label 1.")
still = (known["chol, update"] == 0).equals(known["chol measured"] == 0)
claim(still, "A column that was not measured does not move its weight.")
different = wide.sub(wide["federated"], axis=0).abs().max()
claim(different.max() < 0.0005, "Encryption moves no AUROC in the digits shown.")
claim(times["federated + CKKS"] > 100, "CKKS costs much for 14 numbers.")
claim(5 < times["federated + BFV"] < 50, "BFV costs far less, and still much.")
largest = a_number.iloc[-1]
claim(largest["BFV"] < 4 < largest["CKKS"], "Of the two, only BFV is below plain.")
claim((more.loc[26] < 4).tolist() == [True, False, False], "26 bits are for few.")
claim((more.loc[[20, 13]] < 4).all(axis=None), "20 bits and fewer are for many.")
error = tried.groupby("scheme")["error"].max()
claim(error["CKKS"] < 2.0**-24 < error["BFV"], "BFV loses more than a plain number.")
claim(error["BFV"] < 2.0**-21, "But hardly more.")
for scheme in ("CKKS", "BFV"):
    off_by = different[f"federated + {scheme}"]
    records.glue(f"largest_auroc_difference_{scheme}", off_by)
records.glue("auroc_mean_of_hospitals", wide.loc["mean"].mean())
records.glue("bytes_a_parameter_BFV_100000", largest["BFV"])

# %% [markdown]
# BFV errs more here: by rounding, which we choose and can repeat. CKKS errs by noise.
#
# ## What this does *not* protect
#
# Each hospital subtracts its own part of the sum. Hungary, in the list of three above:


# %% tags=["slide"]
weighted = {name: patients[name] * updates[name] for name in listed}
others = mean_of_three * patients_of_three - weighted["Hungary"]
assert np.allclose(others, weighted["Cleveland"] + weighted["Switzerland"], atol=1e-3)
read = (others - weighted["Cleveland"]) / patients["Switzerland"]
assert np.abs(read - numbers).max() < 1e-5, "Two of three should read the third."
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
# - **The server still sees** who sends, when, how much, and whose update was too large to be sent.
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
#
# ## Exercises
#
# **1. Predict.** A model has 5,000 weights. A CKKS ciphertext has 2,048 slots, and one slot goes to the number of
# patients. How many kilobytes has the message? One kilobyte is 1,000 bytes.

# %% tags=["exercise"]
kilobytes = ...

# %% tags=["solution"]
ciphertexts = -(-(5_000 + 1) // 2_048)  # divided, and rounded up
kilobytes = ciphertexts * len(sent_by_hand["Hungary"]) / 1_000

# %% tags=["plumbing"]
# Is exercise 1 right?
import numpy as np
from fedkit import encryption
from fedkit.chapters import course

message = encryption.SharedKeys(hospitals=4).encrypt(np.linspace(-1, 1, 5_000), 100)
few = "How long is one ciphertext above? How many are needed for 5,001 numbers?"
course.check(
    "Exercise 1",
    kilobytes,
    (lambda it: 0 < float(it) < 10_000, "Write a number of kilobytes, not bytes."),
    (lambda it: abs(float(it) * 1_000 / len(message) - 1) < 0.1, few),
)

# %% [markdown]
# **2. Modify.** `EncryptedMean(bits=26)` gives each number 26 bits. Fewer bits are fewer bytes, and coarser steps. Which
# is the smallest number with which no number of the mean is wrong by 0.001 or more? Try with `pretend`, and 5,000.

# %% tags=["exercise"]
how = {"rounding": "nearest", "most_change": 1}
print(pretend(aggregators.EncryptedMean(bits=26, **how), 5_000, 0))  # change me
fewest_bits = ...

# %% tags=["solution"]
how = {"rounding": "nearest", "most_change": 1}
for bits in range(26, 5, -1):
    if pretend(aggregators.EncryptedMean(bits=bits, **how), 5_000, 0)["error"] >= 0.001:
        break
    fewest_bits = bits

# %% tags=["plumbing"]
# Is exercise 2 right?
import numpy as np
from fedkit import aggregators, records
from fedkit.chapters import course


def error(bits):
    how, ledger = {"rounding": "nearest", "most_change": 1}, records.Ledger()
    joined = aggregators.EncryptedMean(bits=int(bits), **how)
    drawn = np.random.default_rng().normal(0, 0.1, (4, 5_000))
    weights = {"A": 212, "B": 206, "C": 86, "D": 140}
    state = joined.start(list(weights), {"kernel": (5_000,)}, ledger)
    given = dict(zip(weights, drawn, strict=True))
    for _ in range(2):
        state, mean = joined.aggregate(state, given, weights, ledger)
    return np.abs(mean - np.average(drawn, 0, list(weights.values()))).max()


course.check(
    "Exercise 2",
    fewest_bits,
    (lambda it: it in range(6, 27), "It should be a whole number, from 6 to 26."),
    (lambda it: error(it) < 0.001, "Look at the error: are your steps fine enough?"),
    (lambda it: error(it - 1) >= 0.001, "What is the error with one bit less?"),
)

# %% [markdown]
# **3. Build.** Two hospitals share a fresh `key` of 112 random bytes, and the attacker does not have it. Write
# `hide(update, key)`, which makes bytes out of 14 numbers, and `show(message, key)`, which gives the numbers back. The
# check plays the game with your pair. *Practises* plays, and two more: *compares* holds each byte against each other
# one, and *no key* calls your `show` with a key of its own. Does a random byte that you send along help?


# %% tags=["plumbing"]
# The game of exercise 3, and its attackers
from contextlib import suppress


def compared(message):
    seen = np.resize(np.frombuffer(message, np.uint8), 224)
    bits = [seen ^ np.roll(seen, places) for places in range(1, 113)]
    counts = np.bincount(seen, minlength=256)
    alike = [not each[places:112].any() for places, each in enumerate(bits, 1)]
    return np.unpackbits(np.uint8([*np.ravel(bits), *counts, *alike]))


def against(hide, show):
    def sent(coin):
        down = np.repeat([1000.3, -0.7, -1000.3], [7, 6, 1])  # other sizes and signs
        return bytes(hide(np.full(14, 1000.3) if coin else down, os.urandom(112)))

    def no_key(message):
        with suppress(Exception):  # a good cipher may refuse a wrong key
            return show(message, os.urandom(112))[-1]

    up, down = ([compared(sent(coin)) for _ in range(12)] for coin in (True, False))
    tells = np.abs(np.mean(up, axis=0) - np.mean(down, axis=0)) == 1
    wins = lambda one: np.sum((compared(one) == up[0])[tells] - 0.5)  # noqa: E731
    return sent, GAMES, {"compares": wins, "no key": no_key}


# %% tags=["exercise"]
def hide(update, key):
    return ...


def show(message, key):
    return ...


# %% tags=["solution"]
def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def hide(update, key):
    return xor(np.asarray(update, dtype=np.float64).tobytes(), key)


def show(message, key):
    return np.frombuffer(xor(message, key))


# %% tags=["plumbing"]
# Is exercise 3 right?
import os

import numpy as np
from fedkit.chapters import course
from fedkit.chapters.attacks import distinguishing


def back(two):
    update, key = np.random.default_rng().normal(size=14), os.urandom(112)
    message = two[0](update, key)
    found = message if message is ... else two[1](message, key)
    return found if found is ... else np.allclose(found, update, atol=1e-6)


def private(two):
    played = distinguishing.game(*against(*two))
    print(played)
    return set(played["found"]) == {"nothing"}


same = "Does show(hide(update, key), key) give the 14 numbers back?"
told = "The table says who found the coin. What does your message tell this attacker?"
course.check("Exercise 3", (hide, show), (back, same), (private, told))

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. How can a server add ciphertexts without a key?**
#
# <details><summary>It opens them for a moment, and hides the sum again</summary>
#
# Not this one: it has no key to open them with, not even for a moment.
#
# </details>
# <details><summary>Added ciphertexts are themselves a ciphertext of the sum</summary>
#
# Right: masks add up, and bodies add up. That needs no key: only opening needs one, and the server has none.
#
# </details>
# <details><summary>It has the public keys, which open a sum, but no letter</summary>
#
# Not this one: a public key opens nothing. Two hospitals need each other's to agree on a secret.
#
# </details>
#
# **2. All hospitals share one secret key. How many of them must help the server, so that it reads Hungary's update?**
#
# <details><summary>None, because all messages pass through the server</summary>
#
# Not this one: it has the messages, and no key. Somebody has to open one for it.
#
# </details>
# <details><summary>One, because each has the key for all messages</summary>
#
# Right: the server has the message, and each hospital has the key. So one dishonest hospital is enough.
#
# </details>
# <details><summary>Three, because they have to subtract their parts</summary>
#
# Not this one: so it is with keys that are used once. With one key for all, it takes far less.
#
# </details>
#
# **3. A training runs to its end, and its model is good. What does that say about the encryption?**
#
# <details><summary>It is on: with encryption off, no sum could be opened</summary>
#
# Not this one: we put zeros in place of the keys. All sums were opened, and nobody would have noticed.
#
# </details>
# <details><summary>It is off: with encryption on, the model would be worse</summary>
#
# Not this one: encryption changed no digit of the AUROC that we show. A good model may well be encrypted.
#
# </details>
# <details><summary>Nothing: on or off, the same model comes out</summary>
#
# Right: this is why we play the game. It is red when the encryption is off.
#
# </details>
#
# **4. In the game, all five attackers are right in about half of their guesses. What was shown?**
#
# <details><summary>They can read about half of what the hospitals send</summary>
#
# Not this one: half is what anybody gets by guessing. It means that they read nothing that helps.
#
# </details>
# <details><summary>These five find nothing in the bytes that helps them guess</summary>
#
# Right: they do no better than a coin. That no other attacker does rests on mathematics.
#
# </details>
# <details><summary>Nobody can ever read a letter, with any attack</summary>
#
# Not this one: the game tries these five only. That the cipher is strong rests on mathematics, and on parameters that
# experts checked.
#
# </details>
#
# **5. Hungary opens the sum of three hospitals. What can it work out alone?**
#
# <details><summary>Both other updates, since it now has the sum of all keys</summary>
#
# Not this one: the sum of the keys opens the sum of the letters, and no single letter.
#
# </details>
# <details><summary>Nothing more, since its own key opens its own letter only</summary>
#
# Not this one: every hospital opens the sum, and each knows its own part of it. So it can subtract.
#
# </details>
# <details><summary>The sum of the two others, since it knows its own part</summary>
#
# Right: it takes its own part away. If Cleveland helps, the two also work out Switzerland's update.
#
# </details>
