# %% [markdown]
# # 05. Can an encrypted number be shorter than a plain one?
#
# *Two minutes of computing, 45 of reading. Read [03](03_federated_learning_with_encryption.ipynb) before.*
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

# %%
if PROFILE == "smoke":
    SEEDS, ROUNDS = 2, 10

# %% [markdown]
# ## Something to send
#
# We need an update that is large enough to be expensive: one round of a network with two hidden layers. The curious
# server of notebook 03 keeps the updates for us.

# %%
from fedkit import aggregators, hospitals, learning, models


class Curious(aggregators.Wrapped):
    def before(self, own, updates, weights, ledger):
        self.seen, self.patients = updates, weights
        return own, updates, weights


# %%
federation, curious = hospitals.load("heart_disease"), Curious(aggregators.Mean())
run_network = learning.train_federated(
    federation, rounds=1, model=models.mlp([512, 256]), aggregator=curious, seed=0
)
updates, patients = curious.seen, curious.patients
size = len(updates["Cleveland"])
print(f"{size:,} numbers, {4 * size:,} bytes as float32")

# %% [markdown]
# What a hospital sends is patients x update. Here is Cleveland's, layer by layer.

# %%

weighted = {name: patients[name] * update for name, update in updates.items()}
shapes = [weight.shape for weight in run_network.weights["shared"]]
layers = models.unflatten(weighted["Cleveland"], shapes)
shapes

# %% [markdown]
# ## The start: a framework's default
#
# NVFlare is a well-known framework. We repeat the default settings of its class `HEBuilder` with TenSEAL: CKKS with
# N = 8192, primes of 60, 40 and 40 bits, and a vector for each layer. A ciphertext has 4,096 slots.

# %%
from fedkit.compat.tenseal import sealapi, ts

SYMMETRIC = {"encryption_type": ts.ENCRYPTION_TYPE.SYMMETRIC}
context_default = ts.context(
    ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40], **SYMMETRIC
)
context_default.global_scale = 2**40
context_default.generate_relin_keys()


# %%
import numpy as np


def send_ckks(numbers, context, slots):
    parts = np.split(numbers.ravel(), range(slots, numbers.size, slots))
    return [ts.ckks_vector(context, part.tolist()).serialize() for part in parts]


# %%
import pandas as pd

by_layer = [
    [len(message) for message in send_ckks(layer, context_default, 4096)]
    for layer in layers
]
default = pd.DataFrame(
    {
        "numbers": [layer.size for layer in layers],
        "bytes": [sum(sizes) for sizes in by_layer],
    }
)
default["bytes a number"] = default["bytes"] / default["numbers"]
default.index = models.mlp([512, 256]).layers
default.round(1)

# %% [markdown]
# Why so long? A ciphertext is two rows of N coefficients, **c0** and **c1**: the body and the mask of notebook 03. Each
# coefficient has a remainder for each prime, of 8 bytes. The last prime is never sent.

# %%
full = by_layer[0][0]
print(
    f"2 rows x 8192 coefficients x 2 primes x 8 bytes = {2 * 8192 * 2 * 8:,}; compressed: {full:,}"
)
print(f"{full / 4096:.1f} bytes a number, if every slot is in use")

# %% [markdown]
# And beside *each layer* it sends its context (class `CKKSVectorDecomposer`), with keys for multiplications that nobody
# does.

# %%
context_bytes = len(context_default.serialize())
bytes_as_sent = default["bytes"].sum() + len(layers) * context_bytes
bytes_default = default["bytes"].sum()
with_it, without = bytes_as_sent / size, bytes_default / size
print(
    f"{context_bytes / 1e3:.0f} kB a layer; {with_it:.1f} bytes a number with it, {without:.1f} without"
)

# %% [markdown]
# ## Step 1: one prime
#
# The second prime is a level: room for a multiplication. We only add. So one prime is enough, and with one prime a
# ring of N = 4096 is still safe. (TenSEAL wants two in the list. The last is not sent.)

# %%
context_level = ts.context(
    ts.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[60, 16], **SYMMETRIC
)
context_level.global_scale = 2**34
bytes_level = sum(
    len(message)
    for layer in layers
    for message in send_ckks(layer, context_level, 2048)
)
print(f"{bytes_level / size:.1f} bytes a number")

# %% [markdown]
# ## Step 2: one vector
#
# In the table above, `bias 3` is *one* number and takes a whole ciphertext. So we put all layers into one row. For this
# network that saves little. But try the heart model of the other notebooks: 13 weights and a bias.

# %%
flat = np.concatenate([layer.ravel() for layer in layers])
assert np.array_equal(flat, models.flatten(layers)), (
    "This should be what fedkit calls flatten."
)
bytes_flat = sum(map(len, send_ckks(flat, context_level, 2048)))
heart = {"two layers": [flat[:13], flat[13:14]], "one vector": [flat[:14]]}
heart_bytes = {
    how: sum(len(send_ckks(part, context_level, 2048)[0]) for part in parts)
    for how, parts in heart.items()
}
print(
    f"network: {bytes_flat / size:.1f} bytes a number; heart model, in bytes: {heart_bytes}"
)

# %% [markdown]
# ## Step 3: whole numbers
#
# CKKS uses half of its coefficients: N / 2 slots. BFV uses all N, but wants whole numbers. So we **quantise**: a number
# becomes a whole number of **steps**. How much is a step? The *sum* of four hospitals shall fit into 12 bits, sign
# included. Each hospital promises a **bound**, its largest number. The bounds are added, and each hospital may err by
# half a step.

# %%
bound = sum(np.abs(vector).max() for vector in weighted.values())
room = (
    2**11 - 1 - 4 * 0.5
)  # the largest sum in 12 bits, less the rounding of four hospitals
step = bound / room
whole = {name: np.rint(vector / step).astype(int) for name, vector in weighted.items()}
print(f"one step is {step:.4f}; Cleveland's first numbers: {whole['Cleveland'][:8]}")

# %%
from fedkit.encryption import quantization, schemes

chosen = schemes.choose(4, numbers=size, bits=12)
layer_12 = quantization.packed_layer(size, bound, chosen)
assert all(
    np.array_equal(layer_12.round(weighted[name]), whole[name]) for name in whole
), "fedkit rounds the same."
assert np.abs(sum(whole.values())).max() < 2**11, "The sum should fit into 12 bits."

# %%
plain_modulus = sealapi.PlainModulus.Batching(4096, 50).value()
context_bfv = ts.context(
    ts.SCHEME_TYPE.BFV, 4096, plain_modulus, coeff_mod_bit_sizes=[60, 16], **SYMMETRIC
)


def send_bfv(integers):
    parts = np.split(integers, range(4096, len(integers), 4096))
    return [ts.bfv_vector(context_bfv, part.tolist()).serialize() for part in parts]


bytes_whole = sum(map(len, send_bfv(whole["Cleveland"])))
print(f"{bytes_whole / size:.1f} bytes a number")

# %% [markdown]
# ## Step 4: four to a coefficient
#
# A coefficient has room for about 50 bits, and a sum needs 12. So four numbers share one, like digits (Zhang et al.,
# 2020, *BatchCrypt*).


# %%
def pack_by_hand(integers):
    digits = np.append(integers, np.zeros(-len(integers) % 4, int)).reshape(-1, 4)
    return digits @ 2 ** (12 * np.arange(4))


# %%
from fedkit.encryption import packing

packed = {name: pack_by_hand(integers) for name, integers in whole.items()}
assert np.array_equal(
    packed["Cleveland"], packing.pack(whole["Cleveland"], bits=12, fields=4)
), "fedkit packs the same."
bytes_packed = sum(map(len, send_bfv(packed["Cleveland"])))
unpacked = packing.unpack(sum(packed.values()), bits=12, fields=4, size=size)
assert np.array_equal(unpacked, sum(whole.values())), (
    "A sum of packed numbers should be the packed sum."
)
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

# %%
from secrets import token_bytes

from fedkit.encryption import ring

polynomials, agreed = ring.Ring(chosen), token_bytes(32)
first = {name: integers[:4096] for name, integers in packed.items()}
keys = {name: ring.small(token_bytes(32), 4096) for name in first}
c0 = {
    name: polynomials.hide(m, agreed, keys[name], token_bytes(32))
    for name, m in first.items()
}
added = sum(c0.values()) % chosen.modulus
opened_by_hand = polynomials.show(added, agreed, sum(keys.values()))
assert np.array_equal(opened_by_hand, sum(first.values())), (
    "The sum of the keys should open the sum."
)

# %% [markdown]
# The server knows a and delta, and no key. What if it takes zeros for the key?

# %%
without_key = polynomials.show(c0["Cleveland"], agreed, np.zeros(4096))
hits = (without_key == first["Cleveland"]).mean()
assert hits < 0.01, "Without a key there should be garbage."
print(f"right without a key: {hits:.1%}")

# %% [markdown]
# So hospitals must learn the sum of the keys, and nobody a single one. Each sends its key in a second, short letter,
# the **key share**, under masks that cancel out in the sum (notebook 03). A key has 4,096 small numbers, however large
# the model is. The sum of four needs 9 bits for each.

# %%
ciphertexts, share_bytes = -(-len(packed["Cleveland"]) // 4096), chosen.share_bytes(4)
assert share_bytes == 4096 * 9 / 8, (
    "A key share should have 9 bits for each number of the key."
)
bytes_once = ciphertexts * c0["Cleveland"].nbytes + share_bytes
print(
    f"c0: {ciphertexts} x {c0['Cleveland'].nbytes:,} bytes; key share: {share_bytes:,}; c1: 0"
)
print(f"{bytes_once / size:.2f} bytes a number")

# %% [markdown]
# ## Step 6: noise stays at home
#
# The lowest bits of c0 are the noise that hides the key. Whoever opens the sum rounds them away. Why send them? We drop
# some, and fill in the middle of what they could be. How many is too many?


# %%
def without_lowest(c0, dropped):
    return (c0 >> dropped << dropped) + 2 ** (dropped - 1)


def right_after(dropped):
    cut = sum(without_lowest(one, dropped) for one in c0.values()) % chosen.modulus
    return (
        polynomials.show(cut, agreed, sum(keys.values())) == sum(first.values())
    ).mean()


right = {dropped: right_after(dropped) for dropped in (4, 8, 12, 16)}
assert right[chosen.dropped_bits] == 1 > right[12], (
    "The bits that fedkit drops should not be missed."
)
{dropped: f"{share:.0%} right" for dropped, share in right.items()}

# %% [markdown]
# fedkit drops 8. This leaves room for the noise of four hospitals, and a margin, so that no sum is lost. A coefficient
# had 60 bits in 8 bytes. Now it takes 52 bits, 6.5 bytes. The last ciphertext is not full, and its empty coefficients
# stay at home too.
#
# Now fedkit's own letters. `Together` plays all hospitals and the server in one process.

# %%
from fedkit import records
from fedkit.encryption.together import Together

numbers = {name: (update, patients[name]) for name, update in updates.items()}


def encrypted_sum(parameters, layout):
    ledger = records.Ledger()
    parties = Together(
        list(numbers), parameters, records.Ledger(), lambda sender, message: message
    )
    (opened,) = parties.sums("update", layout, numbers, ledger)
    return parties, opened.numbers, ledger.frame()


# %%
layout_12 = quantization.Layout((layer_12,))
parties, total_12, spent = encrypted_sum(chosen, layout_12)
keyring = parties.keyrings["Cleveland"]
letter, share = keyring.letter, keyring.share(keyring.listed)
bytes_last = len(letter) + len(share)
by_hand = (
    len(
        packing.to_bytes(
            np.zeros(len(packed["Cleveland"]), np.uint64), chosen.sent_bits
        )
    )
    + share_bytes
)
print(
    f"by hand {by_hand:,} bytes; fedkit {bytes_last:,}: two heads, and the number of patients, are in it"
)

# %% [markdown]
# ## The staircase
#
# Does the sum still come out right? Then the picture: look for the step that goes below the line.

# %%
assert np.allclose(total_12[1:], sum(whole.values()) * layer_12.step), (
    "BFV should add exactly."
)
mean_12 = total_12[1:] / total_12[0]

# %%
from fedkit import plots
from fedkit.chapters import figures

names = [
    "as NVFlare sends it",
    "contexts stay home",
    "one prime",
    "one vector",
    "whole numbers",
]
names += ["four to a coefficient", "keys used once", "noise and gaps stay home"]
lengths = [
    bytes_as_sent,
    bytes_default,
    bytes_level,
    bytes_flat,
    bytes_whole,
    bytes_packed,
    bytes_once,
    bytes_last,
]
rounded = [round(length / size, 0 if length > 10 * size else 2) for length in lengths]
steps = pd.DataFrame({"step": names, "bytes_per_number": rounded})
assert steps["bytes_per_number"].is_monotonic_decreasing, (
    "Each idea should save something."
)
staircase = figures.staircase(steps, {"plain, 12 bits": 1.5})
plots.save(staircase, "staircase", steps)
staircase

# %% [markdown]
# *In the picture: eight steps fall from left to right on a logarithmic scale. Five are far above the line of plain
# float32, the sixth is just above it, and the last two are below. A dashed line below them all is a plain number of 12
# bits.*
#
# An encrypted number is shorter than a plain float32, because we rounded. It is longer than a plain number that was
# rounded as much, by about a tenth:

# %%
assert 1.5 < bytes_last / size < 1.12 * 1.5, (
    "The last step should be near plain 12 bits."
)
assert full / 4096 > 57, "The start should be as dear as we say."
for name, length in zip(names, lengths, strict=True):
    records.glue(f"bytes_{name.replace(' ', '_')}", length / size)

# %% [markdown]
# ## And down again
#
# The server adds c0 to c0, and share to share. So what comes down is as long as what goes up. Before that, each
# hospital gets the **list**: whose letters are in the sum. The ledger counts all of it, with signatures:

# %%
mine = spent[(spent["hospital"] == "Cleveland") & (spent["bytes"] > 0)]
by_phase = mine.groupby(["direction", "phase"])["bytes"].sum()
by_phase

# %%
bytes_down = by_phase["down"].sum()
assert bytes_down < 1.02 * by_phase["up"].sum(), (
    "What comes down should be as long as what goes up."
)
records.glue("bytes_down", bytes_down / size)

# %% [markdown]
# ## How few bits are enough?
#
# With few bits, steps are coarse. And there is a trap. Suppose a weight wants to move by 0.3 steps in every round.
# **Nearest** rounding sends 0, for ever. **Stochastic** rounding sends 1 in three rounds of ten, at random
# (Alistarh et al., 2017). With **feedback**, a hospital keeps what rounding left over and adds it to the next round
# (Seide et al., 2014).

# %%
wish, random = np.full(1000, 0.3), np.random.default_rng(0)
nearest = sum(np.rint(wish) for _ in range(10))
stochastic = sum(np.floor(wish + random.random(1000)) for _ in range(10))
arrived, left_over = np.zeros(1000), np.zeros(1000)
for _ in range(10):
    arrived, left_over = (
        arrived + np.rint(wish + left_over),
        wish + left_over - np.rint(wish + left_over),
    )
print(
    f"wanted 3.0; nearest {nearest.mean():.1f}, stochastic {stochastic.mean():.1f}, feedback {arrived.mean():.1f}"
)

# %%
one_step = quantization.Layer(1000, step=1.0, bits=12, limit=2000)
assert np.array_equal(
    one_step.round(wish, np.random.default_rng(1)),
    np.floor(wish + np.random.default_rng(1).random(1000)),
)

# %% [markdown]
# Does a model notice? We train a small network of 241 weights on the same splits, plain and encrypted: 5 bits, the
# fewest for four hospitals, up to 12, each with three ways of rounding.

# %%
from dataclasses import replace


def train(name, aggregator):
    budget = {"rounds": ROUNDS, "seed": range(SEEDS), "model": models.mlp([16])}
    return [
        replace(run, method=name)
        for run in learning.train_federated(federation, aggregator=aggregator, **budget)
    ]


# %%
from itertools import product

cases = list(product(("nearest", "stochastic", "feedback"), (5, 6, 8, 12)))
runs_plain = train("plain", aggregators.Mean())
runs_rounded = {
    (rounding, bits): train(
        f"{bits} bits, {rounding}",
        aggregators.EncryptedMean(bits=bits, rounding=rounding),
    )
    for rounding, bits in cases
}

# %% [markdown]
# We measure how far the trained weights are from those of plain training, as a share of their length; and AUROC, minus
# plain on the same split.


# %%
def distance(runs):
    pairs = [
        [models.flatten(run.weights["shared"]) for run in pair]
        for pair in zip(runs, runs_plain, strict=True)
    ]
    return np.mean(
        [
            np.linalg.norm(rounded - plain) / np.linalg.norm(plain)
            for rounded, plain in pairs
        ]
    )


# %%
from fedkit import evaluation

aurocs = evaluation.table(
    [*runs_plain, *(run for runs in runs_rounded.values() for run in runs)], ["auroc"]
)
differences = evaluation.paired_differences(aurocs, "plain")
of_mean = differences[differences["hospital"] == "mean"].set_index("method")
rows = [
    (*case, *of_mean.loc[runs[0].method, ["mean", "low", "high"]], distance(runs))
    for case, runs in runs_rounded.items()
]
bits_table = pd.DataFrame(
    rows, columns=["rounding", "bits", "mean", "low", "high", "distance"]
)
by_bits = figures.accuracy_by_bits(bits_table)
plots.save(by_bits, "accuracy_by_bits", bits_table)
by_bits

# %% [markdown]
# *In the picture: on the left, AUROC minus plain, with intervals that are long at 5 bits and short at 12; at 5 bits
# feedback has the shortest. On the right three falling lines; feedback lies below the other two.* Stochastic rounding
# is right on average, but adds noise.
#
# The mean AUROC hardly moves. Still we should not say "5 bits are enough": the model is another one. At each hospital
# the interval says how much that may matter:

# %%
texts = [
    f"{row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
    for row in differences.itertuples(index=False)
]
by_hospital = differences.assign(text=texts).pivot_table(
    "text", "hospital", "method", aggfunc="first"
)
crossing = (of_mean["low"] <= 0) & (of_mean["high"] >= 0)
print(f"{crossing.sum()} of {len(crossing)} intervals of the mean hold zero")
by_hospital[["5 bits, nearest", "5 bits, feedback", "12 bits, nearest"]]

# %%
far = bits_table.set_index(["rounding", "bits"])["distance"]
assert far["feedback", 5] < far["nearest", 5] / 3, (
    "Feedback should win back most of what few bits cost."
)
assert abs(of_mean.loc["12 bits, nearest", "mean"]) < 0.002, (
    "12 bits should not move AUROC."
)
records.glue("distance_5_bits_nearest", far["nearest", 5])
records.glue("distance_5_bits_feedback", far["feedback", 5])
records.glue(
    "auroc_plain",
    aurocs.query("method == 'plain' and hospital == 'mean'")["value"].mean(),
)
records.glue(
    "auroc_12_bits",
    aurocs.query("method == '12 bits, nearest' and hospital == 'mean'")["value"].mean(),
)

# %% [markdown]
# ## What does it cost for *my* model?
#
# `schemes.choose` tries all rings of the standard for 128-bit security, and ways to pack, and takes the shortest. It
# says why:

# %%
print(schemes.choose(4, numbers=size, bits=12).explain())
print()
print(schemes.choose(4, numbers=14, bits=26).explain())

# %% [markdown]
# A small model gets a small ring. If something is impossible, it says what to relax:

# %%
for impossible in ({"hospitals": 1000, "bits": 8}, {"hospitals": 4, "security": 100}):
    try:
        schemes.choose(**impossible)
    except ValueError as refusal:
        print(refusal)

# %% [markdown]
# Now many models and federations. Nothing needs to be encrypted for that: a length follows from the parameters. We
# check that with the real letters of above. CKKS under a shared key gets its ciphertexts only. NVFlare's default gets
# one vector and no context, which is kind.


# %%
from fedkit.encryption import messages

in_list = by_phase["down", "list"] / 4  # bytes a hospital


def lengths_of(bits, numbers, hospitals):
    choice = schemes.choose(hospitals, numbers=numbers, bits=bits)
    needed = choice.coefficients(numbers) + choice.digits(64)  # the patients, exact
    up = messages.letter_bytes(choice, needed) + messages.share_bytes(choice, hospitals)
    return up / numbers, (
        messages.sum_bytes(choice, needed, hospitals) + in_list * hospitals
    ) / numbers


assert lengths_of(12, size, 4)[0] == bytes_last / size, (
    "The formula should be the truth."
)
assert 0 < bytes_down / size - lengths_of(12, size, 4)[1] < 0.01, (
    "And down, but for an envelope."
)

# %%
grid = list(product((10, 100, 1_000, 10_000, 100_000, 1_000_000), (3, 10, 30, 100)))
rows_kit = [("federated + BFV", n, k, *lengths_of(26, n, k)) for n, k in grid]
rows_kit += [("BFV, 12 bits", n, k, *lengths_of(12, n, k)) for n, k in grid]
one_ckks = round(bytes_flat / -(-size // 2048), -3)
tenseal = {
    "federated + CKKS": (2048, one_ckks),
    "NVFlare's default": (4096, round(full, -3)),
}
rows_kit += [
    (name, n, k, *[-(-n // slots) * one / n] * 2)
    for name, (slots, one) in tenseal.items()
    for n, k in grid
]
sizes = pd.DataFrame(rows_kit, columns=["method", "numbers", "hospitals", "up", "down"])
by_size = figures.cost_by_size(sizes)
plots.save(by_size, "cost_by_size", sizes)
by_size

# %% [markdown]
# *In the picture: on the left four lines fall and become flat. NVFlare's default stays highest, then comes CKKS. BFV
# with 26 bits ends just below the line of plain float32, with 12 bits far below it. On the right all lines are nearly
# flat: from 3 to 100 hospitals, BFV rises by half a byte at the most, up and down alike.*
#
# Small models pay for what every message has, above all the key share. Many hospitals need a few bits more room for a
# sum. So with 26 bits, ten hospitals are just *above* float32. And what do bits save? Bytes of a number, up:

# %%
at_million = sizes[sizes["numbers"] == 1_000_000].set_index(["method", "hospitals"])
growth = at_million.xs(100, level="hospitals") - at_million.xs(3, level="hospitals")
assert growth[["up", "down"]].max().max() < 0.6, (
    "Neither way should grow much with the hospitals."
)
assert (
    at_million.loc[("federated + BFV", 3), "up"]
    < 4
    < at_million.loc[("federated + BFV", 10), "up"]
    < 4.1
)
pd.Series(
    {bits: lengths_of(bits, size, 4)[0] for bits in (5, 6, 8, 12, 26)},
    name="bytes a number",
).round(2)

# %% [markdown]
# ## All in one table
#
# The same updates, in the same run. The error is that of the mean, as a share of its length. Seconds differ from run to
# run.

# %%
from time import perf_counter

from fedkit import encryption

mean_true = aggregators.weighted_mean(list(updates.values()), list(patients.values()))


def compared(up, down, mean, seconds=0):
    error = float(np.linalg.norm(mean - mean_true) / np.linalg.norm(mean_true))
    return {
        "up": up / size,
        "down": down / size,
        "error": error,
        "encrypt, ms": 1e3 * seconds / len(updates),
    }


# %%
def compare_bfv(bits):
    parameters = schemes.choose(4, numbers=size, bits=bits)
    layout = quantization.Layout((quantization.packed_layer(size, bound, parameters),))
    _, total, spent = encrypted_sum(parameters, layout)
    moved = spent[spent["hospital"] == "Cleveland"].groupby("direction")["bytes"].sum()
    seconds = spent.loc[spent["phase"].isin(["encrypt", "share"]), "seconds"].sum()
    return compared(moved["up"], moved["down"], total[1:] / total[0], seconds)


# %%
def compare_ckks():
    shared, began = encryption.SharedKeys(4), perf_counter()
    mine = [shared.encrypt(updates[name], patients[name]) for name in updates]
    seconds, answer = perf_counter() - began, shared.server.add(mine)
    return compared(len(mine[0]), len(answer), shared.decrypt(answer)[0], seconds)


# %%
def compare_default():
    began = perf_counter()
    mine = [send_ckks(vector, context_default, 4096) for vector in weighted.values()]
    seconds = perf_counter() - began
    places = [
        [ts.ckks_vector_from(context_default, part) for part in parts]
        for parts in zip(*mine, strict=True)
    ]
    sums = [sum(parts[1:], parts[0]) for parts in places]
    mean = np.concatenate([part.decrypt() for part in sums]) / sum(patients.values())
    return compared(
        sum(map(len, mine[0])),
        sum(len(part.serialize()) for part in sums),
        mean,
        seconds,
    )


# %% [markdown]
# Two honest rivals. The first does not encrypt: step 3, in 12 bits. The second has no ciphertexts at all: **masks**
# (Bonawitz et al., 2017). Each pair of hospitals shares a secret, and stretches it to random numbers. One of the two
# adds them to its whole update, the other takes them away. (The server then reads the sum. One more mask, known to all
# hospitals, would keep it out.)

# %%
from hashlib import shake_256


def stream(pair, round):
    secret = f"only {pair} know this; round {round}"
    return np.frombuffer(shake_256(secret.encode()).digest(2 * size), np.uint16).astype(
        int
    )


def mask(name, round):
    before, after = (
        [other for other in whole if side(other)] for side in (name.__gt__, name.__lt__)
    )
    added = sum(stream(f"{name} and {other}", round) for other in after)
    return added - sum(stream(f"{other} and {name}", round) for other in before)


def signed(numbers):
    return (numbers + 2**11) % 2**12 - 2**11


# %%
began = perf_counter()
hidden = {name: (whole[name] + mask(name, 1)) % 2**12 for name in whole}
seconds_masked = perf_counter() - began
opened = signed(sum(hidden.values()))
assert np.array_equal(opened, sum(whole.values())), "The masks should cancel out."
bytes_masked = len(packing.to_bytes(hidden["Cleveland"], 12))

# %%
mean_rounded = step * opened / sum(patients.values())
table = {"NVFlare's default": compare_default(), "CKKS, shared key": compare_ckks()}
table |= {f"fedkit, {bits} bits": compare_bfv(bits) for bits in (26, 12)}
table["plain float32"] = compared(4 * size, 4 * size, mean_true.astype(np.float32))
table["plain, 12 bits"] = compared(bytes_masked, bytes_masked, mean_rounded)
table["masks, 12 bits"] = compared(
    bytes_masked, bytes_masked, mean_rounded, seconds_masked
)
final = pd.DataFrame(table).T
final.assign(error=final["error"].map("{:.0e}".format)).round(
    {"up": 2, "down": 2, "encrypt, ms": 0}
)

# %%
ups = final["up"]
assert ups["fedkit, 12 bits"] < ups["NVFlare's default"] / 30, (
    "12 bits should be 30 times shorter."
)
assert ups["fedkit, 26 bits"] < min(4, ups["NVFlare's default"] / 15), (
    "26 bits should be below float32."
)
records.glue("error_12_bits", final.loc["fedkit, 12 bits", "error"])

# %% [markdown]
# NVFlare's default is finer than a float32 can show, which nobody needs here. With 26 bits we are near float32, at a
# fifteenth of the bytes. (Exercise 2 makes steps finer, for nothing.)
#
# And be fair to masks. They hide as much, and cost no byte. So why encrypt? Suppose that Hungary's message does not
# arrive:

# %%
rest = [name for name in whole if name != "Hungary"]
lost = signed(sum(hidden[name] for name in rest)) == sum(whole[name] for name in rest)
assert lost.mean() < 0.01, "Without Hungary, the masks of the others should not cancel."
without_hungary = sum(c0[name] for name in rest) % chosen.modulus
found = polynomials.show(without_hungary, agreed, sum(keys[name] for name in rest))
assert np.array_equal(found, sum(first[name] for name in rest)), (
    "The ciphertexts of the others should add up."
)
print(f"right without Hungary: masks {lost.mean():.1%}, ciphertexts 100%")

# %% [markdown]
# Masks fit one list of hospitals, fixed *before* anybody sends. Who drops out then makes all others send everything
# anew. A ciphertext fits any list: the long letter is made before the list is known, and only the key share, a few kB,
# depends on it. That is what homomorphic encryption buys here. (Who drops out *between* the two letters costs a round.)
#
# ## A layer in the clear?
#
# Since encryption is thought dear, often only some layers are encrypted. fedkit can do it: `in_the_clear`. We leave the
# bias of the heart model open, and watch the network. Every message has a head that anybody can read.

# %%
import json


class Tap:
    def __init__(self):
        self.seen = []

    def __call__(self, sender, message):
        end = 70 + int.from_bytes(message[68:70], "little")
        self.seen.append(
            json.loads(message[70:end])
            | {"bytes": len(message), "content": message[end:]}
        )
        return message


# %%
tap_clear, tap_hidden = Tap(), Tap()
mean_clear = aggregators.EncryptedMean(in_the_clear=["bias"], network=tap_clear)
mean_hidden = aggregators.EncryptedMean(network=tap_hidden)
run_clear = learning.train_federated(
    federation, rounds=3, aggregator=mean_clear, seed=0
)
run_hidden = learning.train_federated(
    federation, rounds=3, aggregator=mean_hidden, seed=0
)

# %%
pairs = {"bias in the clear": run_clear, "all encrypted": run_hidden}
last_rounds = {
    how: run.ledger.query("direction == 'up' and round == 3")
    for how, run in pairs.items()
}
moved = pd.DataFrame(
    {how: rows.groupby("phase")["bytes"].sum() for how, rows in last_rounds.items()}
).T
moved = moved.fillna(0).astype(int)
assert moved.loc["bias in the clear"].sum() > moved.loc["all encrypted"].sum(), (
    "A clear layer should cost bytes."
)
moved

# %% [markdown]
# The ledger has a column "clear". And there are *more* bytes: the open bias needs a signed envelope of its own. What
# does the server read in it? A number that says where label 1 is common:

# %%
clear = [message for message in tap_clear.seen if message["purpose"] == "clear"][:4]
exposed = pd.DataFrame(index=[message["sender"] for message in clear])
exposed["patients x bias"] = [
    float(np.frombuffer(message["content"], "<f4")[0]) for message in clear
]
exposed["share with label 1"] = [
    federation[name].labels.mean() for name in exposed.index
]
assert (
    (exposed["patients x bias"] > 0) == (exposed["share with label 1"] > 0.5)
).all(), "The sign should tell."
exposed.round(2)

# %% [markdown]
# A layer in the clear costs bytes and tells secrets. Encrypt all of them.
#
# ## What else travels
#
# To prepare rows, hospitals need means and spreads of all columns; to weight, numbers of patients; to round, bounds.
# All of these are sums, so they travel encrypted, too. `total` adds any numbers:

# %%
tap_sums = Tap()
adder = aggregators.EncryptedMean(network=tap_sums)
state = adder.start(
    federation.names, {"kernel": (13, 1), "bias": (1,)}, records.Ledger()
)
own_sums = {
    one.name: np.array([len(one.labels), one.table["age"].sum()]) for one in federation
}
count, ages = adder.total(state, "statistics", own_sums, records.Ledger())
assert (count, ages) == tuple(sum(own_sums.values())), "Sums should be exact."

# %% [markdown]
# Does a letter hide them? A good attacker knows the format: it takes the head off, takes zeros for the key, and unpacks
# the rest.


# %%
def read_without_key(letter, parameters, layout):
    hidden = messages.Letter.from_bytes(letter, parameters).hidden
    no_key = np.zeros(parameters.ring_dimension)
    return layout.decode(ring.Ring(parameters).show(hidden, bytes(32), no_key))


# %%
used = state.parties.parameters
exact = quantization.Layout(
    (quantization.exact_layer(1, used, 1.0, 64), quantization.exact_layer(2, used))
)
letters = {
    one["sender"]: one["content"]
    for one in tap_sums.seen
    if one["purpose"] == "statistics"
}
read = {name: read_without_key(letter, used, exact) for name, letter in letters.items()}
near = [
    np.isclose(read[name][1:], own, rtol=0.01).any() for name, own in own_sums.items()
]
assert not any(near), "No hospital's sums should be read from its letter."
print(f"{count:.0f} patients, mean age {ages / count:.1f}; nobody showed their own")

# %% [markdown]
# This is the server's whole view of the training from above: number of the sum, purpose, sender and length.

# %%
view = pd.DataFrame(tap_hidden.seen).rename(columns={"round": "sum"})
view.pivot_table(
    index=["sum", "purpose"], columns="sender", values="bytes", aggfunc="sum"
)

# %%
spans = (
    view[view["sender"] != "server"].groupby(["sum", "purpose"])["bytes"].agg(np.ptp)
)
assert spans.max() < 30, "Lengths should differ by the letters of a name only."

# %% [markdown]
# Hospitals differ only by the letters of their names. Who holds and sees what:
#
# | | each hospital | the server |
# | --- | --- | --- |
# | keys | its own, new for each sum | **none** |
# | own update, patients, bounds, column sums | its own | none |
# | their sums, and the sum of the keys | yes | no |
# | ciphertexts and key shares | its own, and the sum | all |
# | who takes part, when, how long a message is | yes | yes |
# | that an update outgrew its bound (one more "bounds" message) | yes | yes, not whose |
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

# %% [markdown]
# ## Exercises
#
# **1. Predict.** A million numbers, 16 bits, four hospitals. Three such numbers share a coefficient, and 52 bits of it
# are sent. How many bytes a number? Write your guess, then run.

# %% tags=["exercise"]
my_guess = 0.0  # bytes a number
print(f"my guess: {my_guess}; it is {lengths_of(16, 1_000_000, 4)[0]:.2f}")

# %% tags=["solution"]
predicted = 52 / 8 / 3  # bytes of a coefficient, shared by three
assert abs(lengths_of(16, 1_000_000, 4)[0] - predicted) < 0.01, (
    "The key share and the heads should hardly count."
)
print(f"{predicted:.2f} bytes a number")

# %% [markdown]
# **2. Modify.** We used one bound for the whole network. Give each layer a bound of its own, as `EncryptedMean` does.
# What happens to the error, and to the length?

# %% tags=["exercise"]
bounds_mine = [bound]  # change me: one bound for each of `layers`
sizes_mine = [size]  # and their sizes

layers_mine = [
    quantization.packed_layer(*pair, chosen)
    for pair in zip(sizes_mine, bounds_mine, strict=True)
]
layout_mine = quantization.Layout(tuple(layers_mine))
parties_mine, total_mine, _ = encrypted_sum(chosen, layout_mine)
letter_mine = parties_mine.keyrings[federation.names[0]].letter
compared(len(letter_mine) + share_bytes, 0, total_mine[1:] / total_mine[0])

# %% tags=["solution"]
sizes_of_layers = [layer.size for layer in layers]
maxima = [quantization.maxima(vector, sizes_of_layers) for vector in weighted.values()]
finer = [
    quantization.packed_layer(*pair, chosen)
    for pair in zip(sizes_of_layers, sum(maxima), strict=True)
]
layout_finer = quantization.Layout(tuple(finer))
parties_finer, total_finer, _ = encrypted_sum(chosen, layout_finer)
mean_finer = total_finer[1:] / total_finer[0]
errors = [compared(0, 0, mean)["error"] for mean in (mean_12, mean_finer)]
assert errors[1] < errors[0] / 3, "Small layers should get small steps."
letter_finer = parties_finer.keyrings[federation.names[0]].letter
assert len(letter_finer) <= len(letter) + 50, "It should cost almost no bytes."
print(f"error {errors[0]:.1e} with one bound, {errors[1]:.1e} with one a layer")

# %% [markdown]
# **3. Build.** A key used once, used twice. Hungary forgets to count rounds: it uses the mask of round 1 in round 2 as
# well. Build the server's attack: from the two messages, read how the update changed.

# %% tags=["exercise"]
round_1, round_2 = (
    hidden["Hungary"],
    (whole["Hungary"] + 3 + mask("Hungary", 1)) % 2**12,
)


def attack(first, second):
    return np.zeros(size)  # change me


print("the update changed by", np.unique(attack(round_1, round_2)))


# %% tags=["solution"]
def change(first, second):
    return signed(second - first)  # the mask cancels out


with_same, with_fresh = (
    (whole["Hungary"] + 3 + mask("Hungary", round)) % 2**12 for round in (1, 2)
)
assert set(change(hidden["Hungary"], with_same)) == {3}, (
    "With the same mask, the server should read the change."
)
assert len(set(change(hidden["Hungary"], with_fresh))) > 4000, (
    "With a fresh mask, it should see noise."
)
print(
    "the change, read without any key:", np.unique(change(hidden["Hungary"], with_same))
)
