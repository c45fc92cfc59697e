# %% [markdown]
# # 05. Can an encrypted number be shorter than a plain one?
#
# *Two minutes to run, 35 minutes to read. To read before: [03](03_federated_learning_with_encryption.ipynb).*
#
# By the end you can:
#
# - say where the bytes of an encrypted number go, and take them away, one idea a step;
# - choose how many bits a number needs, and how to round it;
# - count what travels up and down, for any model and any number of hospitals;
# - let fedkit choose parameters, and read its reasons;
# - say what the server sees, what is not protected, and which rivals are cheaper.

# %% tags=["parameters"]
PROFILE = "full"  # "full", or "smoke" for a quick test
SEEDS = 10  # how many splits into train and test rows
ROUNDS = 30  # rounds of each training

# %% tags=["plumbing"]
# Settings; and Curious: a server, as in notebook 03, that keeps the updates
from itertools import product

import numpy as np
import pandas as pd

from fedkit import aggregators, hospitals, learning, models, records
from fedkit.chapters import course

claim = course.settings(
    globals(), {"SEEDS": 10, "ROUNDS": 30}, {"SEEDS": 2, "ROUNDS": 10}
)


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights
        return own, updates, weights


# %% [markdown]
# ## Something to send
#
# We need a large update: one round of a [network](glossary.md#network) with two hidden layers. The curious server of
# notebook 03 keeps the updates for us. What a hospital sends is patients x update. Here is Cleveland's, layer by layer.

# %%
federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
two_layers = {"rounds": 1, "model": models.mlp([512, 256]), "seed": 0}
run_network = learning.train_federated(federation, aggregator=curious, **two_layers)
updates, patients = curious.seen, curious.patients
size = len(updates["Cleveland"])
print(f"{size:,} numbers, {4 * size:,} bytes as float32")
weighted = {name: patients[name] * update for name, update in updates.items()}
shapes = [weight.shape for weight in run_network.weights["shared"]]
layers = models.unflatten(weighted["Cleveland"], shapes)
shapes

# %% [markdown]
# ## The start: a framework's default
#
# NVFlare is a well-known framework. We repeat the default settings of its class `HEBuilder` with TenSEAL:
# [CKKS](glossary.md#ckks) with N = 8192, primes of 60, 40 and 40 bits, and a [vector](glossary.md#vector) for each
# layer. A ciphertext has 4,096 [slots](glossary.md#slot).

# %% tags=["plumbing"]
# send_ckks and send_bfv: how a vector is sent; and three contexts for TenSEAL
from fedkit.compat.tenseal import sealapi, ts

CKKS, BFV = ts.SCHEME_TYPE.CKKS, ts.SCHEME_TYPE.BFV
two_primes = {"coeff_mod_bit_sizes": [60, 16]}
one_key = {"encryption_type": ts.ENCRYPTION_TYPE.SYMMETRIC}
context_default = ts.context(CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40], **one_key)
context_default.global_scale = 2**40
context_default.generate_relin_keys()
context_level = ts.context(CKKS, 4096, **two_primes, **one_key)
context_level.global_scale = 2**34
plain_modulus = sealapi.PlainModulus.Batching(4096, 50).value()
context_bfv = ts.context(BFV, 4096, plain_modulus, **two_primes, **one_key)


def send_ckks(numbers, context, slots):
    parts = np.split(numbers.ravel(), range(slots, numbers.size, slots))
    return [ts.ckks_vector(context, part.tolist()).serialize() for part in parts]


def send_bfv(integers):
    parts = np.split(integers, range(4096, len(integers), 4096))
    return [ts.bfv_vector(context_bfv, part.tolist()).serialize() for part in parts]


# %%
lengths = [[len(m) for m in send_ckks(one, context_default, 4096)] for one in layers]
default = pd.DataFrame(index=models.mlp([512, 256]).layers)
default["numbers"] = [layer.size for layer in layers]
default["bytes"] = [sum(parts) for parts in lengths]
default["bytes a number"] = default["bytes"] / default["numbers"]
default.round(1)

# %% [markdown]
# Why so long? A ciphertext is two rows of N [coefficients](glossary.md#coefficient), **c0** and **c1**: the body and
# the mask of notebook 03. Each coefficient has a remainder for each prime, of 8 bytes. The last prime is never sent.
#
# And beside *each layer* it sends its context (class `CKKSVectorDecomposer`), with keys for multiplications that nobody
# does.

# %%
full, context_bytes = lengths[0][0], len(context_default.serialize())
print(f"2 rows x 8192 coefficients x 2 primes x 8 bytes = {2 * 8192 * 2 * 8:,}")
print(f"compressed: {full:,}; {full / 4096:.1f} bytes a number, if no slot is empty")
bytes_default = default["bytes"].sum()
bytes_as_sent = bytes_default + len(layers) * context_bytes
print(f"{bytes_as_sent / size:.1f} with contexts, {bytes_default / size:.1f} without")

# %% [markdown]
# ## Step 1: one prime
#
# The second prime is a level: room for a multiplication. We only add. So one prime is enough, and with one prime a
# ring of N = 4096 is still safe. (TenSEAL wants two in the list. The last is not sent.)

# %%
sent_level = [send_ckks(layer, context_level, 2048) for layer in layers]
bytes_level = sum(len(message) for messages in sent_level for message in messages)
print(f"{bytes_level / size:.1f} bytes a number")

# %% [markdown]
# ## Step 2: one vector
#
# In the table above, `bias 3` is *one* number and takes a whole ciphertext. So we put all layers into one row. For this
# network that saves little. But try the heart model of the other notebooks: 13 weights and a bias.

# %%
flat = np.concatenate([layer.ravel() for layer in layers])
bytes_flat = sum(map(len, send_ckks(flat, context_level, 2048)))
print(f"network: {bytes_flat / size:.1f} bytes a number")
for how, parts in {"two": [flat[:13], flat[13:14]], "one": [flat[:14]]}.items():
    heart_bytes = sum(len(send_ckks(part, context_level, 2048)[0]) for part in parts)
    print(f"heart model, in vectors: {how}: {heart_bytes:,} bytes")

# %% [markdown]
# ## Step 3: whole numbers
#
# CKKS uses half of its coefficients: N / 2 slots. [BFV](glossary.md#bfv) uses all N, but wants whole numbers. So we
# [quantise](glossary.md#quantise): a number becomes a whole number of **steps**. How much is a step? The *sum* of four
# hospitals shall fit into 12 bits, sign included. So all agree on a [bound](glossary.md#bound): the most that a number
# may be, times all patients. Each hospital may err by half a step. So the largest sum is 2047, less four halves.

# %% tags=["slide"]
from fedkit.encryption import quantization, schemes

agreed = 1.1 * max(np.abs(vector).max() for vector in updates.values())
bound = sum(patients.values()) * agreed
step = bound / (2**11 - 1 - 4 * 0.5)
whole = {name: np.rint(vector / step).astype(int) for name, vector in weighted.items()}
chosen = schemes.choose(4, numbers=size, bits=12)
layer_12 = quantization.packed_layer(size, bound, chosen, draws=0)
for name, vector in weighted.items():
    assert np.array_equal(layer_12.round(vector), whole[name]), "As fedkit rounds."
print(f"one step is {step:.4f}; Cleveland's first numbers: {whole['Cleveland'][:8]}")
bytes_whole = sum(map(len, send_bfv(whole["Cleveland"])))
print(f"{bytes_whole / size:.1f} bytes a number")

# %% [markdown]
# ## Step 4: four to a coefficient
#
# A coefficient has room for about 50 bits, and a sum needs 12. So four numbers share one, like digits (Zhang et al.,
# 2020, *BatchCrypt*). This is [packing](glossary.md#packing).


# %% tags=["slide"]
from fedkit.encryption import packing


def pack_by_hand(integers):
    digits = np.append(integers, np.zeros(-len(integers) % 4, int)).reshape(-1, 4)
    return digits @ 2 ** (12 * np.arange(4))


packed = {name: pack_by_hand(integers) for name, integers in whole.items()}
of_fedkit = packing.pack(whole["Cleveland"], bits=12, fields=4)
assert np.array_equal(packed["Cleveland"], of_fedkit), "As fedkit packs."
bytes_packed = sum(map(len, send_bfv(packed["Cleveland"])))
print(f"{bytes_packed / size:.2f} bytes a number")

# %% [markdown]
# ## Step 5: keys used once
#
# c1 is as long as c0, and it is nothing but random numbers, which anybody may see. TenSEAL draws new ones for each
# ciphertext, so they must be sent. What if all hospitals take the *same* ones? Call them a. They can be stretched from
# a few agreed bytes, and nobody sends them. With q the prime, m the packed numbers, e small noise and s a key:
#
#     c0 = delta * m + e - a * s      (modulo q)
#
# This is safe as long as a key hides *one* message. So each hospital draws a new key for each sum. The server adds, and
# the sum opens with the sum of the keys. fedkit's `ring` does this arithmetic:

# %% tags=["slide"]
from secrets import token_bytes

from fedkit.encryption import ring

polynomials, agreed, keys, c0 = ring.Ring(chosen), token_bytes(32), {}, {}
first = {name: integers[:4096] for name, integers in packed.items()}
for name, m in first.items():
    keys[name] = ring.small(token_bytes(32), 4096)
    c0[name] = polynomials.hide(m, agreed, keys[name], token_bytes(32))
added, key_of_sum = sum(c0.values()) % chosen.modulus, sum(keys.values())
opened_by_hand = polynomials.show(added, agreed, key_of_sum)
assert np.array_equal(opened_by_hand, sum(first.values())), "The sum opens."

# %% [markdown]
# The server knows a and delta, and no key. What if it takes zeros for the key? See below: it gets garbage.
#
# So hospitals must learn the sum of the keys, and nobody a single one. Each sends its key in a second, short letter,
# the [key share](glossary.md#key-share), under masks that cancel out in the sum (notebook 03). A key has 4,096 small
# numbers, however large the model is. The sum of four needs 9 bits for each.

# %%
without_key = polynomials.show(c0["Cleveland"], agreed, np.zeros(4096))
hits = (without_key == first["Cleveland"]).mean()
assert hits < 0.01, "Without a key there should be garbage."
print(f"right without a key: {hits:.1%}")

# %%
ciphertexts, share_bytes = -(-len(packed["Cleveland"]) // 4096), chosen.share_bytes(4)
assert share_bytes == 4096 * 9 / 8, "Nine bits for each number of the key."
bytes_once = ciphertexts * c0["Cleveland"].nbytes + share_bytes
print(f"c0: {ciphertexts} x {c0['Cleveland'].nbytes:,} bytes; c1: 0")
print(f"key share: {share_bytes:,} bytes; {bytes_once / size:.2f} bytes a number")

# %% [markdown]
# ## Step 6: noise stays at home
#
# The lowest bits of c0 are the noise that hides the key. Whoever opens the sum rounds them away. Why send them? We drop
# some, and fill in the middle of what they could be. How many is too many?


# %% tags=["slide"]
def right_after(dropped):
    middle = 2 ** (dropped - 1)
    cut = sum((one >> dropped << dropped) + middle for one in c0.values())
    shown = polynomials.show(cut % chosen.modulus, agreed, key_of_sum)
    return (shown == sum(first.values())).mean()


right = {dropped: right_after(dropped) for dropped in (4, 8, 12, 16)}
assert right[chosen.dropped_bits] == 1 > right[12], "What fedkit drops is not missed."
{dropped: f"{share:.0%} right" for dropped, share in right.items()}

# %% [markdown]
# fedkit drops 8. This leaves room for the noise of four hospitals, and a margin, so that no sum is lost. A coefficient
# had 60 bits in 8 bytes. Now it takes 52 bits, 6.5 bytes. The last ciphertext is not full, and its empty coefficients
# stay at home too.
#
# Now fedkit's own letters. `Together` plays all hospitals and the server in one process.

# %% tags=["plumbing"]
# encrypted_sum; and for further below, train and distance
from dataclasses import replace

from fedkit.encryption.together import Together

numbers = {name: (update, patients[name]) for name, update in updates.items()}


def encrypted_sum(parameters, layout):
    ledger, none = records.Ledger(), records.Ledger()
    parties = Together([*numbers], parameters, none, lambda _, message: message)
    (opened,) = parties.sums("update", layout, numbers, ledger)
    return parties, opened.numbers, ledger.frame()


def train(name, aggregator):
    budget = {"rounds": ROUNDS, "seed": range(SEEDS), "model": models.mlp([16])}
    made = learning.train_federated(federation, aggregator=aggregator, **budget)
    return [replace(run, method=name) for run in made]


def distance(run, other):
    ours, plain = (models.flatten(one.weights["shared"]) for one in (run, other))
    return np.linalg.norm(ours - plain) / np.linalg.norm(plain)


# %%
layout_12 = quantization.Layout((layer_12,))
parties, total_12, spent = encrypted_sum(chosen, layout_12)
keyring = parties.keyrings["Cleveland"]
bytes_last = len(keyring.letter) + len(keyring.share(keyring.listed))
bytes_by_hand = len(packed["Cleveland"]) * chosen.sent_bits / 8 + share_bytes
print(f"by hand {bytes_by_hand:,.0f} bytes; fedkit {bytes_last:,}")

# %% [markdown]
# The rest is two heads, and the number of patients.
#
# ## The staircase
#
# The sum comes out right. See which step goes below the line.

# %% tags=["plumbing"]
# The figure: bytes a number, step by step
from fedkit import plots
from fedkit.chapters import figures

ladder = {"as NVFlare sends it": bytes_as_sent, "contexts stay home": bytes_default}
ladder |= {"one prime": bytes_level, "one vector": bytes_flat}
ladder |= {"whole numbers": bytes_whole, "four to a coefficient": bytes_packed}
ladder |= {"keys used once": bytes_once, "noise and gaps stay home": bytes_last}
each = [round(one / size, 0 if one > 10 * size else 2) for one in ladder.values()]
steps = pd.DataFrame({"step": [*ladder], "bytes_per_number": each})
exact = sum(whole.values()) * layer_12.step
assert np.allclose(total_12[1:], exact), "BFV adds exactly."
assert steps["bytes_per_number"].is_monotonic_decreasing, "Each idea saves something."
assert 1.5 < bytes_last / size < 1.12 * 1.5, "The last step is near plain 12 bits."
assert bytes_packed > 4 * size > bytes_once, "The keys make it shorter than float32."
for name, length in ladder.items():
    records.glue(f"bytes_{name.replace(' ', '_')}", length / size)
plots.save(
    figures.staircase(steps, {"plain, 12 bits": 1.5}),
    "staircase",
    steps,
    "Eight steps fall from left to right on a logarithmic scale. Five are far above "
    "the line of plain float32, the sixth is just above it, the last two are below. A "
    "dashed line below them all is a plain number of 12 bits.",
)

# %% [markdown]
# An encrypted number is shorter than a plain float32, because we rounded. It is longer than a plain number that was
# rounded as much, by about a tenth.
#
# ## And down again
#
# The server adds c0 to c0, and share to share. So what comes down is as long as what goes up. Before that, each
# hospital gets the [list](glossary.md#list): whose letters are in the sum. The [ledger](glossary.md#ledger) counts all
# of it, with signatures:

# %%
mine = spent[(spent["hospital"] == "Cleveland") & (spent["bytes"] > 0)]
by_phase = mine.groupby(["direction", "phase"])["bytes"].sum()
by_phase

# %% [markdown]
# ## How few bits are enough?
#
# With few bits, steps are coarse. And there is a trap. Suppose a weight wants to move by 0.3 steps in every round.
# **Nearest** rounding sends 0, for ever. [Stochastic rounding](glossary.md#stochastic-rounding) sends 1 in three rounds
# of ten, at random (Alistarh et al., 2017). With [feedback](glossary.md#feedback), a hospital keeps what rounding left
# over and adds it to the next round (Seide et al., 2014).
#
# Rounding also tells something. Let two hospitals send 0.3 and 0.4, or 0.7 and 0. Both sums are 0.7. But rounded first,
# they are 0 and 1. So sums in steps of many sizes show more. And one hospital alone can choose the step: it says that it
# has very many patients.
#
# [Dither](glossary.md#dither) ends this: before it rounds, each hospital adds two random numbers, of about a step: a
# uniform one and a normal one (Wannamaker et al., 2000). Then sums look alike. `EncryptedMean` does it by itself.

# %%
wish, random, left_over = 0.3, np.random.default_rng(0), 0
arrived = {"nearest": 0, "stochastic": 0, "feedback": 0}
for _ in range(10):
    arrived["nearest"] += np.rint(wish)
    arrived["stochastic"] += np.floor(wish + random.random(1000)).mean()
    arrived["feedback"] += np.rint(wish + left_over)
    left_over += wish - np.rint(wish + left_over)
print("wanted 3.0; arrived", {how: round(float(n), 1) for how, n in arrived.items()})
for pair in ([0.3, 0.4], [0.7, 0.0]):
    dither = random.uniform(-0.5, 0.5, (2, 100_000)) + random.normal(size=(2, 100_000))
    sums = np.rint(np.array(pair)[:, None] + dither).sum(axis=0)
    print(pair, "nearest", np.rint(pair).sum(), end=", ")
    print(f"dithered {sums.mean():.1f}, with a spread of {sums.std():.2f}")

# %% [markdown]
# Does a model notice? We train a small network of 241 weights on the same splits, plain and encrypted. We take 5 bits
# (the fewest for four hospitals) up to 12, each with four ways of rounding, and `most_change=1`.
#
# We measure how far the trained weights are from those of plain training, as a share of their length; and AUROC, minus
# plain on the same split.

# %%
cases = [*product(("nearest", "stochastic", "feedback"), (5, 6, 8, 12))]
cases += product(["dithered"], (8, 12))
runs_plain, runs_rounded = train("plain", aggregators.Mean()), {}
for how, bits in cases:
    joined = aggregators.EncryptedMean(bits=bits, rounding=how, most_change=1)
    runs_rounded[how, bits] = train(f"{bits} bits, {how}", joined)

# %% tags=["plumbing"]
# The figure: what few bits do to a model; and by_hospital, for the table
from fedkit import evaluation

every_run = [*runs_plain, *(run for runs in runs_rounded.values() for run in runs)]
aurocs = evaluation.table(every_run, ["auroc"])
differences = evaluation.paired_differences(aurocs, "plain")
of_mean = differences[differences["hospital"] == "mean"].set_index("method")
columns, rows = ["mean", "low", "high"], []
for case, runs in runs_rounded.items():
    apart = np.mean([*map(distance, runs, runs_plain)])
    rows.append((*case, *of_mean.loc[runs[0].method, columns], apart))
bits_table = pd.DataFrame(rows, columns=["rounding", "bits", *columns, "distance"])
triples = differences[columns].to_numpy()
texts = ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*triple) for triple in triples]
by = {"index": "hospital", "columns": "method", "values": "text", "aggfunc": "first"}
by_hospital = differences.assign(text=texts).pivot_table(**by)
plots.save(
    figures.accuracy_by_bits(bits_table),
    "accuracy_by_bits",
    bits_table,
    "On the left, AUROC minus plain, with intervals that are long at 5 bits and short "
    "at 12; at 5 bits feedback has the shortest. On the right four falling lines, "
    "that of feedback below the others, that of dither above them.",
)

# %% [markdown]
# Stochastic rounding is right on average, but adds noise, and dither adds more: to hide costs about two bits. From 8
# bits on, the mean AUROC hardly moves. Still we should not say "8 are enough": the model is another one. At each
# hospital the interval says how much that may matter:

# %%
by_hospital[["5 bits, nearest", "5 bits, feedback", "12 bits, dithered"]]

# %% tags=["plumbing"]
# What the text says of bytes down and of bits, checked
bytes_down = by_phase["down"].sum()
assert bytes_down < 1.02 * by_phase["up"].sum(), "Down is as long as up."
assert full / 4096 > 57, "The start is as long as we say."
wishes, draw = np.full(1000, 0.3), quantization.Dither(b"").draw
layer = quantization.Layer(1000, step=1.0, bits=12, limit=2000, draws=2)
as_fedkit = layer.round(wishes, quantization.Dither(b""))
assert np.array_equal(as_fedkit, np.rint(wishes + draw(wishes, 2))), "As fedkit."
far = bits_table.set_index(["rounding", "bits"])["distance"]
claim(2 * far["feedback", 5] < far["nearest", 5], "Feedback wins most back.")
claim((far["feedback"] < far["nearest"]).all(), "Feedback is nearer than nearest.")
claim((far["feedback"] < far["stochastic"]).all(), "And nearer than stochastic.")
width = (of_mean["high"] - of_mean["low"])[["5 bits, nearest", "5 bits, feedback"]]
claim(width.iloc[1] < width.iloc[0], "With feedback, 5 bits move AUROC less.")
claim(1.5 * far["nearest", 6] > far["dithered", 8] > far["nearest", 8], "Two bits.")
moved = of_mean.loc[["12 bits, nearest", "12 bits, dithered"], "mean"].abs()
claim(moved.max() < 0.003, "12 bits do not move AUROC.")
enough = of_mean.filter(regex="^(8|12) bits", axis=0)["mean"].abs()
claim(enough.max() < 0.02, "The mean AUROC hardly moves.")
records.glue("bytes_down", bytes_down / size)
records.glue("distance_5_bits_nearest", far["nearest", 5])
records.glue("distance_5_bits_feedback", far["feedback", 5])
of_method = aurocs.query("hospital == 'mean'").groupby("method")["value"].mean()
records.glue("auroc_plain", of_method["plain"])
records.glue("auroc_12_bits", of_method["12 bits, nearest"])

# %% [markdown]
# ## What does it cost for *my* model?
#
# `schemes.choose` tries all rings of the standard for 128-bit security, and ways to pack, and takes the shortest. It
# says why. A small model gets a small ring. If something is impossible, it says what to relax:

# %%
for numbers_bits in ({"numbers": size, "bits": 12}, {"numbers": 14, "bits": 26}):
    print(schemes.choose(4, **numbers_bits).explain(), end="\n\n")
for impossible in ({"hospitals": 1000, "bits": 8}, {"hospitals": 4, "security": 100}):
    try:
        schemes.choose(**impossible)
    except ValueError as refusal:
        print(refusal)

# %% [markdown]
# Now many models and federations. Nothing needs to be encrypted for that: a length follows from the parameters. We
# check that with the real letters of above. In the picture, CKKS under a shared key gets its ciphertexts only. NVFlare's
# default gets one vector and no context.


# %%
from fedkit.encryption import messages

in_list = by_phase["down", "list"] / 4  # bytes a hospital


def lengths_of(bits, numbers, hospitals):
    choice = schemes.choose(hospitals, numbers=numbers, bits=bits)
    needed = choice.coefficients(numbers) + choice.digits(64)  # the patients, exact
    up = messages.letter_bytes(choice, needed) + messages.share_bytes(choice, hospitals)
    down = messages.sum_bytes(choice, needed, hospitals) + in_list * hospitals
    return up / numbers, down / numbers


up, down = lengths_of(12, size, 4)
assert up == bytes_last / size, "The formula should be the truth."
assert 0 < bytes_down / size - down < 0.01, "And down, but for an envelope."

# %% tags=["plumbing"]
# The figure: bytes a number, by size of the model and by hospitals
grid = list(product((10, 100, 1_000, 10_000, 100_000, 1_000_000), (3, 10, 30, 100)))
rows = []
for name, bits in {"federated + BFV": 26, "BFV, 12 bits": 12}.items():
    rows += [(name, n, k, *lengths_of(bits, n, k)) for n, k in grid]
one_ckks = round(bytes_flat / -(-size // 2048), -3)
tenseal = {"federated + CKKS": (2048, one_ckks)}
tenseal |= {"NVFlare's default": (4096, round(full, -3))}
for name, (slots, one) in tenseal.items():
    rows += [(name, n, k, *[-(-n // slots) * one / n] * 2) for n, k in grid]
sizes = pd.DataFrame(rows, columns=["method", "numbers", "hospitals", "up", "down"])
plots.save(
    figures.cost_by_size(sizes),
    "cost_by_size",
    sizes,
    "On the left four lines fall and become flat. NVFlare's default stays highest, "
    "then comes CKKS. BFV with 26 bits ends just below the line of plain float32, "
    "with 12 bits far below it. On the right all lines are nearly flat, up and down, "
    "but BFV with 26 bits crosses float32 at about ten hospitals.",
)

# %% [markdown]
# Small models pay for what every message has, above all the key share. Many hospitals need a few bits more room for a
# sum. From 3 to 100 hospitals that is half a byte. So with 26 bits, ten hospitals are just *above* float32.
#
# ## All in one table
#
# The error is that of the mean, as a share of its length. Seconds differ from run to run.
#
# Beside fedkit stand two honest rivals. The first does not encrypt: step 3, in 12 bits. The second has no ciphertexts
# at all: simple [masks](glossary.md#mask), an idea of Bonawitz et al. (2017). Each pair of hospitals shares a secret, and
# stretches it to random numbers. One of the two adds them to its whole update, the other takes them away. (The server
# then reads the sum. One more mask, known to all hospitals, would keep it out.)

# %%
from hashlib import shake_256


def stream(one, other, round):
    secret = f"only {one} and {other} know this; round {round}".encode()
    return np.frombuffer(shake_256(secret).digest(2 * size), np.uint16).astype(int)


def mask(name, round):
    added = sum(stream(name, other, round) for other in whole if other > name)
    return added - sum(stream(other, name, round) for other in whole if other < name)


def signed(numbers):
    return (numbers + 2**11) % 2**12 - 2**11


hidden = {name: (whole[name] + mask(name, 1)) % 2**12 for name in whole}
opened = signed(sum(hidden.values()))
assert np.array_equal(opened, sum(whole.values())), "The masks should cancel out."

# %% tags=["plumbing"]
# compared and compare_bfv: bytes up and down, error, seconds
from time import perf_counter

from fedkit import encryption

mean_true = aggregators.weighted_mean(list(updates.values()), list(patients.values()))


def compared(up, down, mean, seconds=0):
    error = np.linalg.norm(mean - mean_true) / np.linalg.norm(mean_true)
    said = {"up": up / size, "down": down / size, "error": float(error)}
    return said | {"encrypt, ms": 1e3 * seconds / len(updates)}


def compare_bfv(bits):
    parameters = schemes.choose(4, numbers=size, bits=bits)
    layer = quantization.packed_layer(size, bound, parameters, draws=0)
    _, total, spent = encrypted_sum(parameters, quantization.Layout((layer,)))
    moved = spent[spent["hospital"] == "Cleveland"].groupby("direction")["bytes"].sum()
    seconds = spent.loc[spent["phase"].isin(["encrypt", "share"]), "seconds"].sum()
    return compared(moved["up"], moved["down"], total[1:] / total[0], seconds)


# %% tags=["plumbing"]
# compare_ckks, compare_default, compare_masks: the others
def compare_ckks():
    shared, began = encryption.SharedKeys(4), perf_counter()
    mine = [shared.encrypt(updates[name], patients[name]) for name in updates]
    seconds, answer = perf_counter() - began, shared.server.add(mine)
    return compared(len(mine[0]), len(answer), shared.decrypt(answer)[0], seconds)


def compare_default():
    began = perf_counter()
    up = [send_ckks(vector, context_default, 4096) for vector in weighted.values()]
    seconds, sums = perf_counter() - began, []
    for parts in zip(*up, strict=True):
        one, *others = (ts.ckks_vector_from(context_default, part) for part in parts)
        sums.append(sum(others, one))
    mean = np.concatenate([part.decrypt() for part in sums]) / sum(patients.values())
    down = sum(len(part.serialize()) for part in sums)
    return compared(sum(map(len, up[0])), down, mean, seconds)


def compare_masks():
    began = perf_counter()
    _ = [(whole[name] + mask(name, 1)) % 2**12 for name in whole]
    return compared(bytes_12, bytes_12, mean_12, perf_counter() - began)


# %%
mean_12 = step * opened / sum(patients.values())
bytes_12 = len(packing.to_bytes(hidden["Cleveland"], 12))
table = {"NVFlare's default": compare_default(), "CKKS, shared key": compare_ckks()}
table |= {f"fedkit, {bits} bits": compare_bfv(bits) for bits in (26, 12)}
table["plain float32"] = compared(4 * size, 4 * size, mean_true.astype(np.float32))
table["plain, 12 bits"] = compared(bytes_12, bytes_12, mean_12)
table["masks, 12 bits"] = compare_masks()
final = pd.DataFrame(table).T
final["error"] = final["error"].map("{:.0e}".format)
final.round({"up": 2, "down": 2, "encrypt, ms": 0})

# %% [markdown]
# NVFlare's default is finer than a float32 can show. 26 bits take a fifteenth of its bytes, and err tens of times as
# much as float32. (Exercise 2 makes steps finer, for nothing.)
#
# And be fair to masks. They hide as much, and cost no byte. So why encrypt? Suppose that Hungary's message does not
# arrive:

# %% tags=["slide"]
rest = [name for name in whole if name != "Hungary"]
lost = signed(sum(hidden[name] for name in rest)) == sum(whole[name] for name in rest)
assert lost.mean() < 0.01, "Without Hungary, the masks should not cancel."
c0_rest, keys_rest, first_rest = (
    sum(of[name] for name in rest) for of in (c0, keys, first)
)
found = polynomials.show(c0_rest % chosen.modulus, agreed, keys_rest)
assert np.array_equal(found, first_rest), "Ciphertexts add up."
print(f"right without Hungary: masks {lost.mean():.1%}, ciphertexts 100%")

# %% [markdown]
# These simple masks fit one list of hospitals, fixed *before* anybody sends. Who drops out then makes all others send
# everything again. Bonawitz et al. repair this with shares of the secrets, which costs more messages. A ciphertext fits
# any list: the long letter is made before the list is known, and only one short message depends on it, the key share.
# That is what homomorphic encryption buys here. (Who drops out *between* the two costs a round.)
#
# ## A layer in the clear?
#
# Encryption costs, so often only some layers are encrypted. fedkit can do it: `in_the_clear`. We leave the bias of the
# heart model open, and watch the network. Every message has a head that anybody can read.
#
# The table of bytes has a column "clear". And there are *more* bytes: the open bias needs a signed envelope of its own.
# What does the server read in it? A number that says where label 1 is common:

# %% tags=["plumbing"]
# Tap: it keeps what it hears; read_without_key: an attacker
import json


class Tap:
    def __init__(self):
        self.seen = []

    def __call__(self, sender, message):
        end = 70 + int.from_bytes(message[68:70], "little")
        head = json.loads(message[70:end])
        self.seen.append(head | {"bytes": len(message), "content": message[end:]})
        return message


def read_without_key(letter, used):
    exact = (
        quantization.exact_layer(1, used, 1.0, 64),
        quantization.exact_layer(2, used),
    )
    hidden = messages.Letter.from_bytes(letter, used).hidden
    shown = ring.Ring(used).show(hidden, bytes(32), np.zeros(used.ring_dimension))
    return quantization.Layout(exact).decode(shown)[1:]


# %%
tap_clear, tap_hidden, moved = Tap(), Tap(), {}
tries = {"bias in the clear": (["bias"], tap_clear), "all encrypted": ([], tap_hidden)}
for how, (layers_open, tap) in tries.items():
    mean = aggregators.EncryptedMean(in_the_clear=layers_open, network=tap)
    short = learning.train_federated(federation, rounds=3, aggregator=mean, seed=0)
    last_up = short.ledger.query("direction == 'up' and round == 3")
    moved[how] = last_up.groupby("phase")["bytes"].sum()
print(pd.DataFrame(moved).T.fillna(0).astype(int), end="\n\n")
clear = [message for message in tap_clear.seen if message["purpose"] == "clear"][:4]
read = {one["sender"]: np.frombuffer(one["content"], "<f4")[0] for one in clear}
exposed = pd.DataFrame({"patients x bias": read}, dtype=float)
exposed["share with label 1"] = [
    federation[name].labels.mean() for name in exposed.index
]
exposed.round(2)

# %% [markdown]
# A layer in the clear costs bytes and tells secrets. Encrypt all of them.
#
# ## What else travels
#
# To prepare rows, hospitals need means and spreads of all columns; to weight and to round, numbers of patients.
# All of these are sums, so they travel encrypted, too. `total` adds any numbers. Does a letter hide them? A good attacker
# knows the format: it takes the head off, takes zeros for the key, and unpacks the rest.

# %%
tap_sums, heart = Tap(), {"kernel": (13, 1), "bias": (1,)}
adder, own_sums = aggregators.EncryptedMean(network=tap_sums), {}
state = adder.start(federation.names, heart, records.Ledger())
for one in federation:
    own_sums[one.name] = np.array([len(one.labels), one.table["age"].sum()])
count, ages = adder.total(state, "statistics", own_sums, records.Ledger())
assert (count, ages) == tuple(sum(own_sums.values())), "Sums should be exact."
print(f"{count:.0f} patients, mean age {ages / count:.1f}")
letters = [one for one in tap_sums.seen if one["purpose"] == "statistics"]
for one in letters:
    found = read_without_key(one["content"], state.parties.parameters)
    near = np.isclose(found, own_sums[one["sender"]], rtol=0.01)
    assert not near.any(), "No hospital's sums should be read from its letter."
print(f"{len(letters)} letters, and no hospital's own sums are read from one")

# %% [markdown]
# This is what the server sees of the training from above: number of the sum, purpose, sender and length. (Not shown:
# the study and the list.)

# %%
view = pd.DataFrame(tap_hidden.seen).rename(columns={"round": "sum"})
by = {"index": ["sum", "purpose"], "columns": "sender", "values": "bytes"}
view.pivot_table(**by, aggfunc="sum")

# %% tags=["plumbing"]
# What the text says of lengths and of the server's view, checked
at_million = sizes[sizes["numbers"] == 1_000_000].set_index(["method", "hospitals"])
growth = at_million.xs(100, level="hospitals") - at_million.xs(3, level="hospitals")
assert growth[["up", "down"]].max().max() < 0.6, "Half a byte from 3 to 100 hospitals."
of_bfv = at_million.loc["federated + BFV", "up"]
assert of_bfv[3] < 4 < of_bfv[10] < 4.1, "Ten hospitals are just above float32."
ups = final["up"]
twelve, other = ups["fedkit, 12 bits"], ups["NVFlare's default"]
assert twelve < other / 30, "12 bits should be 30 times shorter."
assert ups["fedkit, 26 bits"] < min(4, other / 15), "26 bits should be below float32."
errors = pd.DataFrame(table).loc["error"]
coarser = errors["fedkit, 26 bits"] / errors["plain float32"]
assert 10 < coarser < 100, "26 bits should be tens of times coarser than float32."
records.glue("error_12_bits", table["fedkit, 12 bits"]["error"])
with_open, all_hidden = (one.sum() for one in moved.values())
assert with_open > all_hidden, "A clear layer should cost bytes."
often = exposed["share with label 1"] > 0.5
assert ((exposed["patients x bias"] > 0) == often).all(), "The sign should tell."
of_hospitals = view[view["sender"] != "server"].groupby(["sum", "purpose"])["bytes"]
assert of_hospitals.agg(np.ptp).max() < 30, "Lengths differ by letters of a name only."

# %% [markdown]
# Hospitals differ only by the letters of their names. Who holds and sees what:
#
# | | each hospital | the server |
# | --- | --- | --- |
# | keys | its own, new for each sum | **none** |
# | own update, patients, column sums | its own | none |
# | their sums, and the sum of the keys | yes | no |
# | ciphertexts and key shares | its own, and the sum | all |
# | who takes part, when, how long a message is | yes | yes |
# | that an update was too large to be sent | yes | yes |
#
# ## What this does *not* protect
#
# Shorter messages hide as much as long ones: the server gets *fewer* bits of the same ciphertext. And what notebook 03
# said still stands. All hospitals of a list but one, together, read the last one: they subtract. All hospitals read
# every sum. A false update is added like a true one. The model may tell something about rows, and rounding is no
# *differential privacy*. Who can stop messages can stop the training.
#
# ## What you can do now
#
# - You know where the bytes go: two rows, primes, slots, half-empty ciphertexts, a mask, noise. You took them away.
# - You choose bits by what they change in the model, and use feedback when they are few.
# - You count bytes with `schemes.choose` and `messages.letter_bytes`, without encrypting anything.
# - You read `explain()`, and know what to relax when `choose` refuses.
# - You know the server's view, what stays open, and two cheaper rivals.
#
# ## Exercises
#
# **1. Predict.** A million numbers, 16 bits, four hospitals. Three such numbers share a coefficient, and 52 bits of it
# are sent. How many bytes does a number take on its way up? One digit behind the point is enough.

# %% tags=["exercise"]
my_bytes = ...

# %% tags=["solution"]
my_bytes = 52 / 8 / 3  # bytes of a coefficient, shared by three

# %% tags=["plumbing"]
# Is it right? The length is counted now
course.check(
    "Exercise 1",
    my_bytes,
    (
        lambda guess: abs(float(guess) - lengths_of(16, 1_000_000, 4)[0]) < 0.1,
        "Bits become bytes. Then see how many numbers share these bytes (step 4).",
    ),
)

# %% [markdown]
# **2. Modify.** We used one bound for the whole network, and layers differ in size. Suppose that all agree on one for each
# layer. Write `bounds_of(all_layers)`. It gets a list with one entry a hospital: its layers, as arrays. It returns one
# bound for each layer: the hospitals' largest numbers added up. (The largest of them times their number counts, too.)

# %% tags=["exercise"]
layers_of_all = [models.unflatten(vector, shapes) for vector in weighted.values()]


def bounds_of(all_layers):
    return ...  # now one for all: sum(np.abs(vector).max() ...)


# %% tags=["solution"]
def bounds_of(all_layers):
    of_each_layer = zip(*all_layers, strict=True)
    return [sum(np.abs(one).max() for one in layer) for layer in of_each_layer]


# %% tags=["solution"]
finer = [
    quantization.packed_layer(layer.size, bound_of_layer, chosen, draws=0)
    for layer, bound_of_layer in zip(layers, bounds_of(layers_of_all), strict=True)
]
parties_finer, total_finer, _ = encrypted_sum(chosen, quantization.Layout(tuple(finer)))
error = compared(0, 0, total_finer[1:] / total_finer[0])["error"]
claim(error < table["fedkit, 12 bits"]["error"] / 3, "Small layers get small steps.")
letter_finer = parties_finer.keyrings["Cleveland"].letter
assert len(letter_finer) <= len(keyring.letter) + 50, "It should cost hardly a byte."
print(f"error {table['fedkit, 12 bits']['error']:.1e} becomes {error:.1e}")

# %% tags=["plumbing"]
# Is it right? We draw three layers of five hospitals, and they differ in size
random = np.random.default_rng(SEEDS)
sizes_drawn = {(9, 4): 3, (4,): 0.1, (4, 1): 1}  # shape and spread
drawn = [[random.normal(0, s, n) for n, s in sizes_drawn.items()] for _ in range(5)]
most = np.array([[np.abs(layer).max() for layer in one] for one in drawn])


def three_bounds(function):
    said = function(drawn)
    return said if said is ... else len(said) == 3


course.check(
    "Exercise 2",
    bounds_of,
    (three_bounds, "Return one bound for each layer."),
    (
        lambda function: (np.array(function(drawn)) > 0.999 * most.sum(axis=0)).all(),
        "Every hospital may send its largest number. Mind the signs, too.",
    ),
    (
        lambda function: (np.array(function(drawn)) < 5.001 * most.max(axis=0)).all(),
        "A bound is larger than needed: does each layer have its own?",
    ),
)

# %% [markdown]
# **3. Build.** Hungary forgets to count rounds: it uses the mask of round 1 in round 2 as well. Build the server's
# attack: from the two messages, read by how many steps each number changed. A change is less than 2,000 steps, up or
# down.

# %% tags=["exercise"]
round_1 = hidden["Hungary"]
round_2 = (whole["Hungary"] + 3 + mask("Hungary", 1)) % 2**12


def attack(first, second):
    return ...


# %% tags=["solution"]
def attack(first, second):
    return signed(second - first)  # the mask cancels out


print("read without any key: a change of", np.unique(attack(round_1, round_2)))

# %% tags=["plumbing"]
# Is it right? We draw other updates and masks
random = np.random.default_rng(SEEDS)
before, mask_now = random.integers(-900, 900, 50), random.integers(0, 2**12, 50)
change = random.integers(-1900, 1900, 50)
both = [(numbers + mask_now) % 2**12 for numbers in (before, before + change)]


def attacked(function):
    said = function(*both)
    return ... if said is ... else np.asarray(said)


def up_to_rounds(function):
    said = attacked(function)
    return said if said is ... else ((said - change) % 2**12 == 0).all()


course.check(
    "Exercise 3",
    attack,
    (up_to_rounds, "What do both messages have in common? Take it away."),
    (lambda function: (attacked(function) == change).all(), "Look at `signed`."),
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose an answer, and open it.
#
# **1. In a large model, an encrypted number of 12 bits is shorter than a plain float32. Why?**
#
# <details><summary>A ciphertext is packed tightly, as files are in a zip file</summary>
#
# Not this one: a ciphertext looks like noise, and noise cannot be made shorter. A plain number of 12 bits is shorter
# still.
#
# </details>
# <details><summary>It was rounded before, and its mask need not be sent</summary>
#
# Right: rounding makes it short, and encryption then adds only a little. Still it is longer than a plain number of 12
# bits.
#
# </details>
# <details><summary>Only the numbers that changed much are sent at all</summary>
#
# Not this one: all numbers are sent, and each has its bits in a coefficient.
#
# </details>
#
# **2. All hospitals use the same mask, and everybody may know it. Why is that safe?**
#
# <details><summary>The numbers are rounded, so there is little to read</summary>
#
# Not this one: rounded numbers still tell of patients. What hides them is a key.
#
# </details>
# <details><summary>The server takes the mask away before it adds up</summary>
#
# Not this one: it cannot: in a letter, the mask is multiplied by a key, which the server does not have.
#
# </details>
# <details><summary>Each key hides one message, and is not used again</summary>
#
# Right: two messages under the same key and the same mask would show their difference.
#
# </details>
#
# **3. A weight wants to move by 0.3 steps in every round. What does rounding to the nearest do?**
#
# <details><summary>It sends one step in about three rounds of ten, at random</summary>
#
# Not this one: so it is with stochastic rounding. Its mean is right, but it adds noise.
#
# </details>
# <details><summary>It sends zero in every round, so the weight never moves</summary>
#
# Right: this is the trap. A small wish that comes again and again is lost each time.
#
# </details>
# <details><summary>It sends zero at first, and makes up for it later</summary>
#
# Not this one: so it is with feedback: a hospital keeps what was left over, and adds it to the next round.
#
# </details>
#
# **4. Masks that cancel hide as much, and take fewer bytes. What do ciphertexts give us?**
#
# <details><summary>The long letter is made before anybody knows who takes part</summary>
#
# Right: so it is of use even if another one is missing. Only a short message, the key share, depends on who takes
# part.
#
# </details>
# <details><summary>The numbers in them are hidden better than under a mask</summary>
#
# Not this one: simple masks hide as much. The difference is what happens when somebody drops out.
#
# </details>
# <details><summary>The hospitals no longer have to agree on secrets in pairs</summary>
#
# Not this one: they still do: the key shares travel under such masks.
#
# </details>
#
# **5. To save bytes, we left the bias of the heart model in the clear. What came of it?**
#
# <details><summary>Fewer bytes, and a bias is of no use without the weights</summary>
#
# Not this one: there were more bytes. And the bias by itself tells which label is the more common one.
#
# </details>
# <details><summary>Fewer bytes, and the server reads where label 1 is common</summary>
#
# Not this one: there were more bytes. What is in the clear needs a signed envelope of its own.
#
# </details>
# <details><summary>More bytes, and the server reads where label 1 is common</summary>
#
# Right: the open bias needs a signed envelope of its own. And its sign tells which label is the more common one.
#
# </details>
