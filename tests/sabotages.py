"""One fault at a time is put into a copy of the kit, and the tests named for it must go red.

    python tests/sabotages.py [-j JOBS] [WORD ...]

With words, only faults in files whose path holds one of them. Prints a line a fault: caught, NOT CAUGHT, or MISSING,
where the text to replace is not there once. Ends with 1 if one was not caught, or a test is red without any fault.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COPIED = ["fedkit", "tests", "data", "figures", "notebooks/source", "notebooks/tools"]
NOTEBOOK = "tests/notebooks/test_notebooks.py::test_it_runs_without_noise_and_finds_the_golden_numbers[{}]"
SECONDS = 900  # a test that takes so long waits for ever, and is as good as red

# A heading names a file, from the package on, and the tests or notebooks that look after it. A line below it is a
# fault: what the file holds once => what is written in its place.
FAULTS = r"""
encryption/keyring.py: keyring
    (len(part).to_bytes(4), part) => (b"|", part)
    state["head"], repr => bytes(32), repr
    purpose.encode(), state["head"] => b"", state["head"]
    repr(self.parameters).encode() => b""
    *parts, coefficients.to_bytes(8)) => *parts)
    parts = state["number"].to_bytes(8), => parts = bytes(8),
    state |= {"head": head, => state |= {"tail": head,
    if name not in self.within]) => if False])
    if len(listed) < FEWEST: => if False:
    (name.encode(), *self.members[name], listed[name]) => (name.encode(), *self.members[name])
    (name.encode(), *self.members[name], listed[name]) => (name.encode(), listed[name])
    {"number": state["number"] + 1} => {"number": state["number"]}
    "pair", study, *itertools.chain(*both)) => "pair")
    if any(len(set(keys)) < len(members) for => if any(False for
    if name not in members or members[name].exchange != public: => if False:
    shared = exchange.exchange( => shared = (exchange.exchange if any(members[other][1]) else lambda key: bytes(32))(
    if least < FEWEST: => if False:
    enumerate(order) if at != mine] => enumerate(self._order(self.members)) if name in now["pairs"]]
    state["pairs"] = {name: _hash(key, "next") for name, key in state["pairs"].items()} => pass
    for each in ("group", "own")} => for each in ("group",)}
    for each in ("group", "own")} => for each in ("own",)}
    (np.frombuffer(now.pop(each), => (np.frombuffer(now[each],
    "label": label.hex(), "pairs": {}} => "label": label.hex()}
    _hash(now.pop("own"), "letter" => _hash(now["own"], "letter"
    _hash(now.pop("own"), "letter" => _hash(__import__("os").urandom(32), "letter"
    hashlib.sha256(values).digest()) => b"")
    "values": values.tobytes()} => "values": values.tobytes()}; return now["letter"]
    "label": label.hex(), "pairs": {}} => "label": label.hex(), "pairs": {}}; return share
    self.save()  # before it is known => pass  #
    if now["listed"] != dict(listed): => if False:
    if "share" in now: => if False:
    if listed.get(self.name) != messages.digest(now["letter"]): => if False:
    [name for name in listed if name not in now["pairs"] and name != self.name] => []
    if len(listed) < self._state["least"]: => if False:
    len(listed.keys() & {*self._state["known"]} - {self.name})) < KNOWN: => len(listed)) < KNOWN:
    {*self._state["known"]} - {self.name} => {*self._state["known"]}
    if state["failed"] >= (0 if now["purpose"] in _WITHOUT else state["budget"]): => if False:
    (0 if now["purpose"] in _WITHOUT else state["budget"]) => state["budget"]
    ("refused" in now or now["label"] not in now["opened"]) => "refused" in now
    ("refused" in now or now["label"] not in now["opened"]) => now["label"] not in now["opened"]
    ring.small(_hash(secret, "key"), => ring.small(_hash(self._state["study"], self.name),
    if mine == 0: => if mine == -1:
    "group": _hash(state["group"], "sum", about), => "group": about,
    if np.abs(key).max() > COINS * hospitals: => if False:
    if (total.tag - number) % PRIME != _tag(now["group"], label, values, self._ring.size): => if False:
    label, values, self._ring.size): => label, values, self._ring.size) and [setattr(refused, "args", (str(values),))]:
    if now["opened"] not in ({}, seen) or len(seen) < len(sums): => if False:
    (label, hospitals, now["coefficients"]): => (total.label, total.hospitals, len(total.hidden)):
    except ValueError:  # keys => except ZeroDivisionError:  # keys
    now["refused"] = True => pass
    if strangers := [name for name in listed if name not in self.members]: => if strangers := []:
    if whole.coefficients != self.size: => if False:
    and weight == int(weight)) => )
    if not 0 < numbers[0] < 2**53: => if False:
    def __reduce__ => def _reduce
encryption/ring.py: ring
    own += _tossed(coins, len(own)) => pass
    heads -= COINS => heads[:] = np.bitwise_count(np.frombuffer(raw, "<u8", count) & np.uint64(2**12 - 1)) - np.int64(6)
    heads -= COINS => heads[:] = np.frombuffer(raw, "<u8", count).astype(np.int64) % 3 - 1
    own = values[part] * self.delta => own = values[part] * self.delta + values[part] % 2
    axis=-1).max() < 0.5: => axis=-1).max() < 1e9:
    words = words[words < np.uint64(self.modulus)] => words = words % np.uint64(self.modulus)
    np.minimum(part, part - np.uint64(modulus), out=part) => pass
    own -= product => pass
encryption/ring.py: keyring
    own -= product => pass
encryption/ring.py: attacks/test_distinguishing
    own += _tossed(coins, len(own)) => pass
encryption/keyring.py: attacks/test_distinguishing
    key = ring.small( => key = 0 * ring.small(
    "group": _hash(state["group"], "sum", about), => "group": about,
encryption/keyring.py: aggregators
    encode(np.array([weight])) => encode(np.array([weight]), dither)
encryption/ring.py: schemes aggregators
    (self.modulus - self.delta) // 2) => self.modulus // 2)
encryption/server.py: keyring
    if self._about not in (None, found.about): => if False:
    if self._coefficients not in (None, len(found.hidden)): => if False:
    if self.shares and found.label != self._label: => if False:
    if self._hidden is None or self.letters != self.shares: => if False:
encryption/messages.py: messages
    if len(data) == length(*found[2:]): => if True:
    if not 1 <= hospitals <= => if not hospitals <=
    if not 1 <= hospitals <= parameters.hospitals or => if
    if int(part.max()) > (parameters.modulus - 1) >> dropped: => if False:
    or tag >= PRIME: => :
    part |= np.uint64(1 << dropped - 1) => pass
    and data[:4] == mark: => :
encryption/schemes.py: schemes
    128: {1024: 27, 2048: 54, => 128: {1024: 27, 2048: 56,
    COINS = 42 => COINS = 21
    math.log(2 * 2.0**64) => math.log(2 * 2.0**8)
encryption/schemes.py: keyring
    return (2 * COINS * hospitals).bit_length() => return (2 * COINS * hospitals).bit_length() - 1
encryption/envelopes.py: tampering envelopes
    if not identities.verify(public, data[4:68], _signed(head, content)): => if False:
    {"study": study, "purpose": purpose, "round" => {"purpose": purpose, "round"
    {"study": study, "purpose": purpose, "round" => {"study": study, "round"
    "purpose": purpose, "round": round, "sender": sender} => "purpose": purpose, "sender": sender}
    if found < 0 or (found > most if size is None else found != size): => if found < 0:
    len(about.hospitals) and _written(about) == head: => len(about.hospitals):
    if (owner := owners.setdefault(identities.fingerprint(public), name)) != name: => if (owner := None):
encryption/together.py: tampering aggregators
    if about.hospitals != (name,): => if False:
    if about.hospitals != tuple(listed): => if False:
    if not np.isfinite(readable).all(): => if False:
    if len(hospitals) < FEWEST or SERVER in hospitals: => if SERVER in hospitals:
    phases = dict.fromkeys(arrived, "refused") => pass
    silent.add(name) => pass
    parts = -(-len(hospitals) // MOST_LISTED) => parts = 1
    self.roster[sender], **expected => self.identities[sender].public[::-1], **expected
    keys.accept(sums) => pass
encryption/promises.py: aggregators
    _KEEP = 0.95 => _KEEP = 0.0
    _GROWTH = 2.0 => _GROWTH = 1.0
    weight == self._weight and => True and
    and not (largest > self._bounds).any() =>
    (self.own, weight) if weight else => (self.own, weight) if True else
encryption/shared.py: shared
    serialize(save_secret_key=False, **_NO_MORE)) => serialize(save_secret_key=True))
    serialize(save_secret_key=True, **_NO_MORE)) => serialize())
    if total and [one.size() for one in found] != [one.size() for one in total]: => if False:
    if not np.abs(numbers).max() <= 2**ROOM_BITS / self.parameters.hospitals: => if False:
    if not found or at != len(message): => if at != len(message):
encryption/identities.py: identities
    .verify(data, signature) =>
    .verify(data, signature) => .verify(data[:64], signature)
    and name.isprintable() =>
    {fingerprint(self.public)})" => {self._key.private_bytes_raw().hex()})"
encryption/vault.py: vault
    os.O_CREAT | os.O_EXCL, 0o600 => os.O_CREAT | os.O_EXCL, 0o644
    if mode & 0o077: => if mode & 0o007:
    .derive(text) => .derive(b"")
    _COST = 17 => _COST = 14
    _COSTS = range(14, 21) => _COSTS = range(64)
    salt, nonce = os.urandom(16), os.urandom(12) => salt, nonce = os.urandom(16), bytes(12)
encryption/quantization.py: quantization keyring
    not max(steps.max(initial=0), -steps.min(initial=0)) <= self.limit: => max(steps.max(), -steps.min()) > self.limit:
    if numbers.shape != (self.size,): => if len(numbers) != self.size:
encryption/quantization.py: quantization
    if dither is None or self.bits >= EXACT_BITS: => if dither is None:
    2 ** (bits - 1) - 1 - int(np.ceil(hospitals * rounding)) => 2 ** (bits - 1) - 1
    max(steps.max(initial=0), -steps.min(initial=0)) => steps.max(initial=0)
    (2 ** (bits - 1) - 1) // parameters.hospitals => 2 ** (bits - 1) - 1
    EXACT_STEP = 2.0**-128 => EXACT_STEP = 2.0**-20
encryption/quantization.py: aggregators
    EXACT_STEP = 2.0**-128 => EXACT_STEP = 2.0**-40
compat/tff.py: tff
    "stdin": subprocess.PIPE => "stdin": subprocess.DEVNULL
    ("grpc.enable_http_proxy", 0), =>
    setattr(self, "_stack", default[:]) => setattr(self, "_stack", [None])
    raise self._worker.lost() from None => return
    if self.poll() is not None or time => if time
    "GRPC_ENABLE_FORK_SUPPORT", "0" => "GRPC_ENABLE_FORK_SUPPORT", "1"
    if os.getpid() != home: => if False:
compat/environment.py: environment
    if others := untested(): => if others := []:
compat/tenseal.py: tenseal
    _flags | os.RTLD_DEEPBIND => _flags
hospitals.py: hospitals data tables
    if found != expected: => if False:
    if looks.count(look) > 1}: => if False}:
    digest.update(hospital.labels.astype("<i8").tobytes()) => pass
    if each.severity == "refused"] => if False]
    warnings.warn(f"{each} => print(f"{each}
    np.isin(self.labels, range(self.classes)).all() => True
    dtype != np.float64 and not _is_text_levels(dtype) => False
    if len(sizes) > 1: => if False:
    for own in (hospital.patients, hospital.test): => for own in ():
    len({*self.test.tolist()}) < 2 => False
tables.py: tables
    unicodedata.normalize("NFC", => "".join(
    if unicodedata.category(sign) != "Cf") => )
    name = name.lower() if name.isascii() => name = name if name.isascii()
    .casefold().translate(_ALIKE) => .casefold()
    name.rstrip("0").rstrip(".") if => name if
    found["unit"] or found["money"] or not self.decimal => not self.decimal
    value.get(None, getattr(Cells, name)) => getattr(Cells, name)
    more = [*given, *more] => more = [*more]
    else {None: given}), **more} => else {}), **more}
    [*self.of(column).missing, *own] => own
    if not unclear and not any(np.isnan => if not any(np.isnan
    if len(lines) < 2 or money: => if True:
    all(int(upper) > int(lower) for upper, lower in pairs): => True:
    digits.replace(".", " ").replace(",", ".") => digits.replace(",", ".")
    factor * float(digits) => float(digits)
    "missing", "unknown"} => "missing"}
reading/table.py: tables hospitals
    if name != clean(one) and _is_void(name)] => if False]
    count < min_rows} => count < 0}
    if fold(name) in _TAKEN => if name in _TAKEN
    sides.index[sides > 1]] => sides.index[sides > 2]]
    test = test.reindex(index) if => test = test if
    and not index.equals(pd.RangeIndex(rows)) => and False
    and text not in nobody: => :
    codes]]} - {-1} => codes]]}
    - sum(math.lgamma(part + 1) for part in parts) => + rows
    == len(levels):  # a hospital each => < 0:  # a hospital each
    elif 15 * missed <= len(labels) and => elif False and
    elif 15 * missed <= len(labels) and => elif
    if not errors:  # all rows => if False:  # all rows
    if change: => if False:
    if test.dtype == bool and => if False and
    test.max() >= rows => False
    self.say(name, f"The label {{0}} is missing in => (lambda *said, **how: None)(name, f"The label {{0}} is missing in
    and len(values) == 1 and not self._named: => and False:
    if one in (cell, names[at]) or clean(one) => if clean(one)
    for each in values if fold(each) in look} => for each in ()}
    together.get(name, {}) | value if => value if
    pd.factorize(cells)[0], _DROP => who, _DROP
    isin({cells})]  # or join => isin({[*tiny]})]  # or join
    if named or like: => if like:
    if dates.SHEET.search(str(name)) and => if
    if dates.SHEET.search(str(name)) and => if False and
    elif far := _far(known): => elif far := None:
    (2 * np.ptp(rest) if end else rest.std()) => rest.std()
    or min(len(np.unique(rest)), np.ptp(rest)) <= FEW: => or np.ptp(rest) <= FEW:
    & (values != -rest[-1])  # not => # not
    elif all(value in (0, 1) for value in values): => elif len(values) == 2 and (cells := [0, 1]):
    elif one is not None and len(values) > 2: => elif False:
    elif looks[look] > 1 and look not in said: => elif False:
    if not alleles and (dated := dates.among(told)): => if dated := dates.among(told):
    if not alleles and (dated := dates.among(told)): => if dated := []:
    if kind in _DATES and wanted != "levels": => if False:
    if words: => if False:
    how.number(cell) for cell in cells] => float(cell) if str(cell).isdecimal() else how.number(cell) for cell in cells]
    if count < least and not agreed} => if False}
    if fold(each) == tables.OTHER), tables.OTHER) => if False), tables.OTHER)
    if rare and len(total) == 1 < len(levels): => if False:
    plain(cells[at]) for at, level in enumerate(levels) if agreed => level for at, level in enumerate(levels) if agreed
    2 * len(order) > known.sum() > FEW => False
    elif not agreed and len(order) > tables.MAX_LEVELS: => elif False:
    values[values == code] = np.nan => pass
    if wrong.any(): => if False:
    (largest >= tables.SMALLEST) & => True &
    (found := _codes_for_nothing(known))[0]: => (found := ([],))[0]:
    code[beyond].all(): => False:
    & more & ~np.isin(values, (7, 8))) | => & ~np.isin(values, (7, 8))) |
    & more & ~np.isin(values, (7, 8))) | => & more) |
    {code / part for => {code * part for
    if not self._agreed and self._counts_up(values): => if False:
    0.8 for each in (steps[at], lengths) => 0 for each in (steps[at], lengths)
    if visits or => if
    or _dealt_out(known, codes.max() + 1, high - low + 1): => :
    if write := dates.of_numbers(known): => if write := "":
    sites[at[1:]] == sites[at[:-1]] => at[1:] > 0
    return len(values) - table.reshape(-1, many).max(axis=1).sum() => return len(values)
    + 1 - len(np.unique(labels)) => + len(values)
    labels = np.maximum(codes, 0)  # so => pass  # so
    if alone or pure: => if pure:
    if alone or pure: => if alone:
    self._tells(column.name, => (lambda *told: None)(column.name,
    if self.patients is not None: => if False:
    tested.index[tested % 1 == 0]] => tested.index[tested < 0]]
    shares.index[shares == 1]] => shares.index[shares > 1]]
    if column is None or column != column: => if False:
    (classes is not None and one is None) => False
    (agree := patients.known_by(self, cells)): => (agree := []):
    rank.get(it.column, 9), -it.rows => 0, 0
preparation.py: tables::test_a_table_and_its_harmless_rewritings_give_the_same_result
    - mean) / std] => - mean)]
tables.py: tables::test_a_table_and_its_harmless_rewritings_give_the_same_result
    reference = max(levels, key=counts.__getitem__) => reference = levels[0]
reading/dates.py: tables
    |(19|20)\d\d[-/](0?[1-9]|1[0-2])" => "
    if len(found) > 1: => if False:
    found.values() or [("", "")] => found.values()
    found if 10 * len(found) >= len(texts) else [] => found
    [*texts] if eight and of_numbers => [*texts] if False and of_numbers
    return whole or => return
    for english in ({}, months) if => for english in ({},) if
    if fold(clean(cell)) in void] => if False]
    if clocks == {True} else => if False else
    >= 0.8 * len(alike) => > len(alike)
reading/patients.py: tables
    between >= 0.5 * chance and => True and
    within <= 0.05 * chance and => True and
    if len(agree) > 1 or => if len(agree) > 9 or
    or "the label" in agree else => else
    and not renamed) => )
    if count > max(rows / 20, 10 * chance): => if False:
    NAME.fullmatch(str(column)) and => False and
    np.mean(gaps != 0) => np.mean(gaps**2)
reading/report.py: tables
    codes &= np.abs(mean - middle - moved) < 0.4 * np.abs(moved) => pass
    codes = (moved == most - high) & => codes = (moved > 99) &
    units = (np.abs(mean - middle) > => units = (np.abs(mean - middle) < -
    flat = (spread == 0) & => flat = (spread < 0) &
    units &= ((least < low) | (most > high)) & => units &=
    | (np.maximum(most, high) > FEW)) => | True)
    if at and not read.cells: => if False:
    getattr(read.agreed, "hospitals", ()) => ()
    abs(mean - 32 - 1.8 * middle) < wide < spread => False
    read.tells.get(name, np.nan) => np.nan
    if read.cells: => if False:
    alone = (count >= 5) => alone = (count < 0)
    np.where(known, mine - mean[own], 0) ** 2 => np.where(known, mine, 0) ** 2
preparation.py: preparation hospitals
    kept[hospital.name]], *columns) => tested[hospital.name]], *columns)
    own = features[train], labels[train] => own = features, labels
    SeedSequence([seed, name]) => SeedSequence([seed])
    if hospital.patients is None else pd.factorize => if True else pd.factorize
    if hospital.test is not None: => if False:
    np.maximum.at(label_of, whose, hospital.labels) => pass
    if not (np.abs(vector) < 2**53).all(): => if False:
    variance = mean_square - mean**2 => variance = max(float(mean_square) - float(mean) ** 2, 0)
    variance > mean_square * _ROUNDING => variance > 0
    any(0 < squares < SMALLEST**2 => any(False
    _BITS = {"sum": 117, "squares": 234} => _BITS = {"sum": 40, "squares": 80}
    _BASE, _DIGITS = 36, => _BASE, _DIGITS = 40,
    sum(value * value for value in whole) => int(sum(float(value * value) for value in whole))
    if largest and not SMALLEST <= largest < LARGEST: => if False:
    if largest and not SMALLEST <= largest < LARGEST: => if not largest < LARGEST:
    raise ValueError(f"{hospital.name}: {problem}") from None => raise
    or max(counted, default=0) > rows: => :
    min([*counted, *spread], default=0) => min([*counted], default=0)
preparation.py: learning
    for one in federation] if prepared == "alone" else => for one in federation] if False else
learning.py: learning
    except (OSError, TypeError): => except TypeError:
    slope + decay * w if w.shape.rank > 1 => slope if w.shape.rank > 1
    if w.shape.rank > 1 else slope for => for
    (task.together or len(task.labels)) => len(task.labels)
    together = 0 if kind == "local" else => together =
    f"{method}, prepared {prepared}" => method
    table=hospital.table.iloc[rows], **own => table=hospital.table.iloc[: len(rows)], **own
    rows = split.hospitals[hospital.name].train_rows => rows = split.hospitals[hospital.name].test_rows
    tuple(one for one in parts if one.name not in leave_out) => tuple(parts)
    min(losses, key=losses.get) => max(losses, key=losses.get)
    [len(each.train_rows), len(each.test_rows)] => [len(each.test_rows), len(each.train_rows)]
    [seed, round, *client.encode()] => [seed, *client.encode()]
    [-part for part in step] => step
    if not np.isfinite(local.update).all(): => if False:
    type(other) is type(self) and vars(other) == vars(self) => other is self
    tf.timestamp() - began => began
    method, federation.name, federation.sha256, repr(plan), seed => method, federation.name, repr(plan), seed
    method, federation.name, federation.sha256, repr(plan), seed => method, federation.name, federation.sha256, seed
    *home.glob("*.py"), =>
aggregators.py: aggregators tampering
    own.dtype.kind == "i" => True
    return weights @ np.asarray(vectors, => return np.ones(len(weights)) @ np.asarray(vectors,
    {"nearest": 0.5, "stochastic": 1.0, "feedback": 0.5} => dict.fromkeys(("nearest", "stochastic", "feedback"), 0.0)
    int.from_bytes(hashlib.sha256(vector.tobytes()).digest(), "big") => None
    ledger, self.dither, clear, groups) => ledger, lambda vector: None, clear, groups)
    ledger, self.dither, clear, groups) => ledger, self.dither, clear)
    state.residuals | left => state.residuals
    for name, vector in vectors.items() if name in heard}, found => for name, vector in vectors.items()}, found
    np.full(size, layer not in self.in_the_clear) => np.full(size, True)
    ledger.add(other, "peer", "keys", keys.secret_bytes()) => pass
    self.inner.total(state.inner, purpose => self.inner.total(state, purpose
    own, mean = self.after(own, mean, ledger) => _, mean = self.after(own, mean, ledger)
    own, updates, weights = self.before(state.own, => own, updates, _ = self.before(state.own,
records.py: records
    "float_precision": "round_trip" => "float_precision": None
    if digests is not None and digests.get(path.name) != => if False and None !=
    allow_pickle=False => allow_pickle=True
    (folder / "run.json").unlink(missing_ok=True) => pass
    for a, b in zip(ours, theirs, strict=True)])) <= tolerance => for a, b in zip(ours, theirs, strict=True)])) <= 1e-6
evaluation.py: evaluation
    interval(group["value"], ratio) => interval(group["value"])
    dict.fromkeys(COUNTS, "sum") => dict.fromkeys(COUNTS, "first")
    if paired.empty: => if False:
    (1 / kept.size + test_to_train) * kept.var(ddof=1) => kept.var(ddof=1) / kept.size
    healthy.searchsorted(ill, "right") => healthy.searchsorted(ill)
    LogisticRegression(C=np.inf, => LogisticRegression(C=1.0,
plots.py: figures
    {"Date": None, "Creator": None, => {"Creator": None,
    alt="{escape(self.alt)}" => alt="{self.alt}"
    "Software": None, "Description": self.alt} => "Software": None}
    len(self.alt) < 40 or => False or
    plt.close(figure)  # => pass  #
    if np.isnan(row.mean): => if False:
    kept > 0 and => False and
    axes.flat[count:]: => axes.flat[count + 1 :]:
    else "·".join(f"{ord(sign):04X}" for sign in run) => else "".join(run)
plots.mplstyle: figures
    svg.hashsalt => # svg.hashsalt
models.py: classes::test_pooled_rows_in_full_batches_lead_to_scikit_learns_model
    softmax(values, axis=1) => softmax(values, axis=0)
    labels = tf.cast(labels, tf.int32) => labels = tf.cast(labels > 0, tf.int32)
models.py: classes::test_weights_say_how_many_classes_there_are
    if len(bias) == 1 else softmax => if self.classes == 2 else softmax
hospitals.py: classes::test_the_hash_follows_the_names_of_the_classes_and_the_pooled_table_leads_back
    [self.classes] if len(self.classes) > 2 => [] if len(self.classes) > 2
    np.array(self.classes, dtype=object) => np.array(sorted(self.classes), dtype=object)
hospitals.py: classes::test_labels_that_are_no_class_are_refused_in_a_hospital_and_a_federation_made_by_hand
    np.isin(self.labels, range(self.classes)) => np.isin(self.labels, range(99))
    if hospital.classes != len(self.classes): => if False:
hospitals.py: classes::test_two_classes_with_names_are_the_two_they_always_were
    [self.classes] if len(self.classes) > 2 => [self.classes] if len(self.classes) > 1
hospitals.py: classes::test_a_summary_counts_each_class
    enumerate(self.classes)} => enumerate(sorted(self.classes))}
reading/table.py: classes::test_a_class_is_numbered_by_its_place_among_those_named
    [*map(self.classes.index, names), 0] => [*map(sorted(self.classes).index, names), 0]
reading/table.py: classes::test_classes_that_mean_nothing_are_refused
    if name not in self.classes]: => if False]:
tables.py: classes::test_classes_that_mean_nothing_are_refused
    isinstance(classes, str | Set) or => False or
    < max(len(names), 2) => < 2
    for each in names): => for each in ()):
preparation.py: classes::test_each_class_is_split_by_itself
    for label in np.unique(label_of): => for label in (0, 1):
evaluation.py: classes::test_scores_are_what_their_definitions_say
    np.mean(p.argmax(axis=1) == y) => np.mean(p[:, 1:].argmax(axis=1) + 1 == y)
    (y == at, p[:, int(at)]) => (y == at, p[:, -1])
    for at in np.unique(y)]) => for at in np.unique(y)[1:]])
    np.arange(p.shape[1]))).sum(axis=1) => np.arange(p.shape[1]))).mean(axis=1)
    p[np.arange(len(y)), y.astype(int)] => p.max(axis=1)
evaluation.py: classes::test_what_cannot_be_scored_is_refused
    - 1).max() > 1e-4: => - 1).max() > 2:
    or p.shape[1:] == (2,) or => or
    (y == np.rint(y)) & => (y == y) &
evaluation.py: classes::test_confusion_counts_every_test_row_under_its_own_name
    chosen = p.argmax(axis=1) => chosen = p.argmin(axis=1)
    [column.partition("=")[2] for column in columns] => sorted(column.partition("=")[2] for column in columns)
    confusion_matrix(rows["label"], chosen, => confusion_matrix(chosen, rows["label"],
evaluation.py: classes::test_an_interval_of_the_brier_score_of_several_classes_ends_at_two
    & several, 2, 1)[bounded] => & several, 1, 1)[bounded]
    & several, 2, 1)[bounded] => , 2, 1)[bounded]
    classes = max(2, *( => classes = min(2, *(
records.py: classes::test_predictions_that_are_damaged_are_refused
    | {"label": len(several) - 1} => | {"label": 99}
    dict.fromkeys(several, 1) | => {} |
records.py: classes::test_compare_looks_at_every_probability
    ["value", *probabilities(ours)] => ["value"]
records.py: classes::test_confusion_counts_every_test_row_under_its_own_name classes::test_a_run_is_saved_and_read_back
    for one in federation.classes] if => for one in sorted(federation.classes)] if
chapters/course.py: course
    if not holds and published: => if False:
    for name, value in full.items() if names[name] == value] => for name in full]
    {name: chosen[name] for name in left} => {}
    if quick := [ => if False and [
    published = all( => published = not all(
    print(f"With your settings this is not so: {sentence}") => pass
    {error}. {sentence}" => {error}."
    if good is ...: => if good is None:
    if not good: => if False:
    except Exception as error: => except ZeroDivisionError as error:
chapters/figures/exhibits.py: classes::test_what_is_of_two_classes_says_so
    for hospital in hospitals) > 1: => for hospital in hospitals) > 9:
chapters/figures/rounds.py: figures
    every[0].set_ylim(bottom=0) => pass
chapters/flamby.py: flamby::test_what_they_published_comes_out_again_to_the_patient
    p["shared"], p["own"]) => p["shared"])
    random_state=state, stratify=labels => random_state=state
    _words(generator, 2)[1] => _words(generator, 2)[0]
    axis=0, weights=sizes) => axis=0)
    / 2**23 - 1) => / 2**23 - 0.9)
chapters/flamby.py: flamby::test_as_trained_all_rows_together_are_the_hospitals_in_their_sizes
    scored(rows[test], p[how]) => scored(rows[test], p[how], p["own"])
    scored(rows[test], p[how]) => scored(rows[test], p["own"])
chapters/flamby.py: flamby::test_normalised_rows_have_mean_0_and_spread_1_where_they_were_trained_on
    coded[~test].groupby(group[~test]) => coded.groupby(group)
chapters/flamby.py: flamby::test_no_choice_looks_at_a_test_row
    train = rows[~test].reset_index( => train = rows.reset_index(
chapters/flamby.py: flamby::test_the_split_of_a_federation_is_the_one_that_was_given
    .replace(0, np.nan) => .replace(-1, np.nan)
    label="label", test="test") => label="label", features=[*frame][:-3])
chapters/flamby.py: flamby::test_scores_of_a_mean_leave_out_an_auroc_of_one_patient
    table.loc["Switzerland", "auroc"] = np.nan => pass
chapters/heterogeneity.py: algorithms
    zip(found, weights, start, strict=True)) => zip(found, start, start, strict=True))
    slope - m + s for => slope + m - s for
    zip(task.own[n:], update, strict=True)] => zip(task.own[:n], update, strict=True)]
    return loss**self.q, own => return 1.0, own
    self.rate * loss) => 0 * loss)
    return own or weights => return weights
    zip(mine, weights[n:], start[:n] => zip(mine, weights[:n], start[:n]
    return update[: -self.arrays], mine => return update[: -self.arrays], task.own
    tf.constant(self.weights, => tf.constant(self.weights[::-1],
    (slope - curve[:n] @ step) / curve[d] => slope / curve[d]
    full[d]) / curve[d, d] for full => full[d]) / curve.sum() for full
    expit(known + shift) - rows.train_labels) => expit(known + shift) - 0.5)
    zip(weights, moves, strict=True)] => zip(weights[::1], [0 * move for move in moves], strict=True)]
    ledger.add(name, "peer", "send" => ledger.add(name, "up", "send"
learning.py: algorithms::test_steps_a_round_are_the_same_number_at_all_hospitals_whatever_their_rows
    (self.steps or self.epochs => (self.epochs
    -(-steps * each // rows)) => steps)
    if steps is None: => if True:
learning.py: learning::test_a_way_is_chosen_without_a_look_at_test_rows
    rows = split.hospitals[hospital.name].train_rows => rows = split.hospitals[hospital.name].test_rows
evaluation.py: evaluation::test_the_expected_calibration_error_is_the_mean_gap_of_equal_bins
    abs(p[part].sum() - y[part].sum()) => (p[part].sum() - y[part].sum())
    p.argsort(kind="stable"), min(bins, => np.arange(len(p)), min(bins,
chapters/differ.py: differ
    (sent, sent[sent["round"] <= last])] => (sent, sent)]
    auroc >= near].min() => auroc >= near].max()
    labels.mean() > 0.5)) => labels.mean() > 0))
    table["calibration_intercept"].abs() => table["calibration_intercept"]
    kept(federation, tuple(seed)) => train(federation, seed=list(seed))
chapters/partitions.py: partitions
    strength * ranks + => ranks +
    if not 0 < alpha < np.inf: => if alpha < 0:
    rng.dirichlet(alpha * prior) => rng.dirichlet(prior)
chapters/robust.py: robust
    [self.trim : len(updates) - self.trim] => [self.trim :]
    taken = np.isfinite(vector).all() => taken = True
    self.malicious - 1] => self.malicious]
    if least < FEWEST: => if least < 2:
    if not hasattr(inner, "sums"): => if False:
    if len(sums) < 3: => if False:
    weights, ledger, groups) => weights, ledger)
    return np.median(updates, axis=0) => return np.mean(updates, axis=0)
    [self.seed, round if self.regroup else 0] => [self.seed, 0]
    trust = np.maximum(directions @ directions[hospitals.index(self.trusted)], 0) => trust = np.ones(len(updates))
chapters/screening.py: screening
    len(excluded) < (len(updates) - 1) // 2 => True
    for name, update in heard.items() if name not in excluded} => for name, update in heard.items()}
    own.held_out and own.held_out.moved(mean) => own.held_out
    return round <= rule.rounds and => return
    {name: loss([other for other in updates if other != name]) - everybody => {name: everybody
chapters/attacks/forging.py: attacks/test_forging
    mean - z * np.sign(mean) * spread => mean + z * np.sign(mean) * spread
    [self.seed, ledger.round, *name.encode()] => [self.seed, *name.encode()]
    self.claims.get(name, weight) => weight
    return mean, mean => return own, mean
chapters/attacks/membership.py: attacks/test_membership
    run.settings.get("prepared", "together") => "together"
    _log_density(own, *inside) - _log_density(own, *outside) => _log_density(own, *inside)
    trained & (hospital.name not in left_out) => trained
chapters/attacks/inversion.py: attacks/test_inversion
    moved = bias != 0 => moved = bias >= 0
    np.argmax([0.5, *coded]) => np.argmax([1.5, *coded])
chapters/attacks/inference.py: attacks/test_inversion
    predicted + bias / learning_rate => predicted - bias / learning_rate
chapters/attacks/poisoning.py: attacks/test_poisoning
    clean[name].labels[prepared.test_rows] => trained_on[name].labels[prepared.test_rows]
    victims = table[labels != backdoor.target] => victims = table
chapters/attacks/panel.py: attacks/test_panel
    return {name: seen.read(name) / patients[name] for name in rows} => return updates
    if seen.layout: => if False:
    (0, luck, 0.5) => (0, 0.1, 0.5)
    (share if 0 < share < 1 else guess) => share
    tried[right.argmax()] => tried[right.argmin()]
chapters/audit.py: audit
    if head is not None and head not in heads: => if False:
    | os.O_NOFOLLOW =>
    "line": number, "previous": previous} => "line": number, "previous": START}
    found["line"] != number or found["previous"] != previous => found["line"] != number
    if not line.endswith(b"\n"): => if False:
    if len(line) >= LONGEST: => if len(line) > LONGEST + 1:
exchange/folder.py: exchange_folder exchange_intruders
    if digest(data) == parts(name)[0]: => if True:
    if size > largest: => if False:
    sender.isprintable() and match => match
    entry["type"] == "file" and not entry.get("islink") and => True and
    (place, hash_, said) in self._taken or => any(one[:2] == (place, hash_) for one in self._taken) or
    os.replace(path1, path2) => __import__("shutil").move(path1, path2)
    os.path.islink(f"{self.root}/{parent}"): => False:
    self.filesystem.rm_file(aside) => pass
exchange/joining.py: exchange exchange_intruders
    if rows.classes != len(settings.classes): => if False:
    if fingerprint(found.data) != spoken: => if False:
    if (letter.sender, letter.public) != (name, public): => if letter.sender != name:
exchange/work.py: algorithms
    if ours != settings.algorithm: => if False:
exchange/keep.py: exchange exchange_intruders
    self._identity.locked(data, f"{self._study} {name}") => data
    if _OWNERS[self._place] is not self: => if False:
    fcntl.LOCK_EX | fcntl.LOCK_NB => fcntl.LOCK_SH
    os.unlink(aside) => pass
exchange/study.py: exchange_intruders exchange
    if letter.json().get("opening") != self.opening: => if False:
    bool(closed.groups) and all( => all(
    if step.purpose != "update" or fresh: => if fresh:
    if step.purpose != "update" or fresh: => if step.purpose != "update":
    if said.by not in {each[:2] for each in self.coordinators}: => if False:
    if pinned not in ("", letter.digest): => if False:
    if len(set(homes)) == len(homes) and all(groups): => if True:
exchange/replica.py: algorithms exchange exchange_intruders
    if self.work.keeps and counted: => if self.work.keeps:
    if self.work.keeps and counted: => if False:
    np.clip(vector, -most, most) => vector
    np.clip(total[1 : 1 + layers], 2.0**-60, most) => total[1 : 1 + layers]
exchange/arrivals.py: exchange_intruders exchange
    if letter.public != study.roster[sender]: => if False:
    if not letter.study.startswith(study.id): => if False:
    if what == ONE and ( => if False and (
exchange/party.py: exchange_intruders
    if code in self.folder.digests(place, len(data)) and ( => if self._looks[place] > 1 and (True or
exchange/coordinator.py: exchange_intruders exchange
    if in_charge[:2] != (self.identity.name, self.identity.public): => if False:
    for what in (LIST, SUM): => for what in ():
    least = study.least => least = 1
exchange/maker.py: exchange
    sorted(names, key=_seat) => sorted(names)
    if not request.problems and not request.twice] => if not request.problems]
exchange/hospital.py: exchange exchange_intruders
    self._arrivals.look(ONE, step)  # since => pass  # since
    if closed.about != self._keys.about: => if False:
    listed.items() - {(each.sender, each.code) for each in here}): => []):
    if left_out: => if False:
    elif keys.listed != listed: => elif False:
    if self._keys.number < step.number and => if False and
    if self._arrivals.look(TWO, step, self.identity.name): => if False:
    if len(counts) < self._keys.least: => if False:
    if self._arrivals.look(TWO, failed.step, name): => if False:
    for other in study.group(name) if => for other in study.roster if
    and self._keys.listed is None: => and False:
    if keys.number > number or keys.letter is None: => if keys.letter is None:
    self._keys = None  # what is not on the disk did not happen => pass
    if kept.get("opening") != self.study.opening: => if True:
    if len(known) < KNOWN: => if False:
    study.refused(tally.added.digest, "", "A sum was refused.") => study.refused("", "", study.sums(tally)[0][0].hex())
    letters.packed(seal_for(who.exchange, group)) => letters.packed(group)
exchange/work.py: exchange
    order, rows.together) => order)
exchange/settings.py: exchange
    "learning_rate", "penalty", "model") => "learning_rate", "model")
exchange/rounds.py: exchange
    purpose = "update" if purpose == "update" else "stopped" => pass
exchange/classroom.py: classroom
    if file.is_relative_to(Path(where).resolve()): => if False:
encryption/keyring.py: 03_federated_learning_with_encryption
    ring.small(_hash(secret, "key"), self._ring.size) => np.zeros(self._ring.size, np.int64)
    key, tag = key + sign * words, tag + sign * number => pass
encryption/ring.py: 03_federated_learning_with_encryption
    own += _tossed(coins, len(own)) => pass
encryption/keyring.py: 04_comparison_of_outcomes
    ring.small(_hash(secret, "key"), self._ring.size) => np.zeros(self._ring.size, np.int64)
encryption/keyring.py: 06_gradient_leakage
    ring.small(_hash(secret, "key"), self._ring.size) => np.zeros(self._ring.size, np.int64)
encryption/keyring.py: 05_communication_cost
    ring.small(_hash(secret, "key"), self._ring.size) => np.zeros(self._ring.size, np.int64)
encryption/together.py: robust aggregators
    if name not in numbers): => if False):
chapters/attacks/distinguishing.py: attacks/test_distinguishing
    (attacker(seen) or random.choice((-1, 1))) > 0 => random.choice((-1, 1)) > 0
    map(seen.letter, "AAC", (-1, -2, -1)) => map(seen.letter, "AAA", (-1, -2, -2))
    map(seen.letter, "AAC", (-1, -2, -1)) => map(seen.letter, "AAA", (-1, -1, -1))
    if (first * other - second * one) % q == 0: => if False:
    found = [sign * centred( => found = [-sign * centred(
    beyond = table["right"].clip(games - table["right"]) > => beyond = table["right"] >
    2 * attackers * sum( => 2 * sum(
chapters/clock.py: clock::test_what_a_clock_cannot_play_is_a_sentence
    if not FEWEST <= size <= len(costs): => if False:
    is not learning.Algorithm.own: => is None:
chapters/clock.py: clock
    / np.sqrt(1 + ledger.round - began) => / 1
    / np.sqrt(1 + ledger.round - began) => / (1 + ledger.round - began)
    updates.items() if (ledger.round, name) in self.begun} => updates.items()}
    began in self.done[ledger.round].items()} => began in self.done[ledger.round].items() if began < 2}
    taken = here["both"] <= deadline => taken = here["both"] > 0
    moves = bool(taken.sum() >= FEWEST) => moves = True
    step += moves => step += 1
    now += min(here["both"].max(), deadline) => now += min(here["both"].mean(), deadline)
    now += min(here["both"].max(), deadline) => now += here["both"].max()
    taken & moves, here => taken, here
    here["busy"].clip(upper=deadline) => here["busy"]
    costs[rng.random(len(costs)) < costs["present"]] => costs
    [:sample])] => )]
    now + rng.geometric(costs["present"][name]) * => now +
    costs["both"][name], name, step)) => costs["both"][name], name, 1))
    for _ in range(size)] => for _ in range(2)]
    each.reindex(sites.index).fillna(each.mean()) => each.reindex(sites.index).fillna(0)
    + messages * sites["latency"] => + sites["latency"]
    size / sites["bandwidth"] + => 0 +
    row_seconds / sites["speed"] => row_seconds
    (before + step * (steps + 1)).idxmin() => (before + step * steps).idxmin()
    (before + step * (steps + 1)).idxmin() => (step * (steps + 1)).idxmin()
    if not diary["taken"].any(): => if False:
chapters/clock_grid.py: clock
    moved.searchsorted(AT, side="right") => moved.searchsorted(AT, side="left") + 1
    np.cumsum([np.zeros(features + 1), *moves], axis=0) => np.asarray([np.zeros(features + 1), *moves])
    name, at): own[metric] for => name, at): 1 - own[metric] for
learning.py: clock
    self.algorithm.steps(self, client), min( => self.steps, min(
chapters/grids.py: grids
    parts |= {"body": node.body[1:]} if documented else {} => pass
    for name in CORE] => for name in CORE[1:]]
    [code, sums, list(self.seeds)] => [code, sums, 0]
    [code, sums, list(self.seeds)] => [code, list(self.seeds)]
    (*self.follows, sys.modules[self.rows.__module__]) => self.follows
    (*self.follows, sys.modules[self.rows.__module__]) => (sys.modules[self.rows.__module__],)
    return repr(node) => return type(node).__name__
    if digests().get(self.name) != self.digest(): => if False:
    tolerance: float = 1e-5 => tolerance: float = 1e-2
chapters/heterogeneity.py: algorithms
    return [*weights[: -self.arrays], *own] if own else weights => return weights
    mine = [own + part for own, part in zip(task.own, update[-self.arrays :], strict=True)] => mine = task.own
chapters/heterogeneity.py: 04_comparison_of_outcomes
    return [*weights[: -self.arrays], *own] if own else weights => return weights
exchange/watch.py: exchange::test_an_update_that_outgrew_its_promise_makes_the_number_void_and_bounds_go_first
    ("late" if tally.listed else "posted") => ("late" if closed else "posted")
network/post.py: network::test_the_server_takes_no_letter_that_is_not_one_of_the_study
    if fingerprint(data[:32]) != self._roster.get(sender): => if False:
    if kind not in kinds or int(number or 0) => if int(number or 0)
    or int(number or 0) >= self._numbers or => or
    or len(data) > self._largest: => or False:
    if letter.whole.hex()[:32] != digest: => if False:
    None, None, int(number or 0)) => None, None, int(number or 0) + (number == "00001"))
network/post.py: network::test_the_server_takes_no_more_than_eight_letters_of_one_kind
    if self._count[at] == _MOST: => if False:
    if (place, name) not in self._taken: => if True:
network/post.py: network::test_what_is_no_question_is_refused_with_a_sentence
    if name not in self._roster or type(after) => if type(after)
    or not 0 <= after <= len(self._order): => or False:
network/post.py: network::test_second_letters_are_shown_to_nobody_else_and_first_ones_to_the_group
    kind not in (ONE, TWO, "request") or => kind not in (ONE, "request") or
    or (kind == ONE and sender in fellows) => or kind == ONE
    or (kind == ONE and sender in fellows) => or False
    while self.groups is not None and after => while after
network/post.py: network::test_a_server_that_promises_more_for_ever_or_names_absurd_times_stops_nobody
    min(max(0.1, float(said["again"])), 600.0) => float(said["again"])
network/post.py: network::test_a_letter_that_may_not_leave_stays
    self._may(self._read(*each).purpose) => pass
network/consent.py: network::test_what_was_not_agreed_to_ends_before_any_number_leaves
    if more := sorted( => if False and sorted(
    if settings.rounds > self.most_rounds: => if False:
    if min(settings.quorum, study.least) < self.fewest_hospitals: => if False:
    != self.hospitals: => is None:
network/consent.py: network::test_another_hospital_in_the_opening_is_noticed_before_a_key_is_given
    != self.hospitals: => is None:
    != self.hospitals: => .keys() != self.hospitals.keys():
network/consent.py: network::test_a_consent_that_is_not_as_it_must_be_is_none
    if wrong or len(said.server) != 1 => if len(said.server) != 1
    if wrong or len(said.server) != 1 => if wrong or len(said.server) > 1
network/parties.py: network::test_what_was_not_agreed_to_ends_before_any_number_leaves
    if why := Consent.read(kit).problems(study): => if why := "":
network/parties.py: network::test_who_does_not_ask_is_named_within_ten_seconds_and_no_more_once_it_does
    board.heard.get(name, began) < late => False
    : busy, or away." if absent else "") => : busy, or away." if absent else None)
network/parties.py: network::test_status_says_what_the_process_said_and_that_it_is_silent
    > SILENT: => > 1e9:
    if not said["over"] and (silent => if (silent
network/kits.py: network::test_a_card_that_was_changed_gets_no_certificate
    if name in people or not verify( => if name in people or not bytes(
    f"card {name} {tls}".encode()).hex() => f"card {name}".encode()).hex()
network/kits.py: network::test_every_key_stays_where_it_was_made_and_no_file_of_it_is_for_others
    os.O_CREAT | os.O_EXCL, 0o600) => os.O_CREAT | os.O_EXCL, 0o644)
    serialization.BestAvailableEncryption(passphrase.encode()) => serialization.NoEncryption()
    kit.mkdir(mode=0o700, => kit.mkdir(mode=0o755,
network/kits.py: network::test_what_is_wrong_with_the_way_to_the_server_is_said
    made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=True) => pass
network/kits.py: network::test_the_engine_trusts_the_studys_authority_and_none_that_the_machine_trusts
    os.environ |= {"SSL_CERT_FILE" => os.environ |= {"SSL_CERT_FILES"
network/loopback.py: network::test_what_a_trial_started_ends_with_it_though_it_is_killed
    prctl(1, signal.SIGKILL) => prctl(1, 0)
network/kits.py: network::test_a_certificate_is_good_for_its_time_alone
    if good[0].timestamp() <= now <= good[1].timestamp(): => if good[0].timestamp() <= now:
    if good[0].timestamp() <= now <= good[1].timestamp(): => if now <= good[1].timestamp():
network/kits.py: network::test_the_engine_is_told_to_do_nothing_for_anybody
    dict.fromkeys(_RIGHTS, "none")) => dict.fromkeys(_RIGHTS[1:], "none"))
    "allow_log_streaming": False} => "allow_log_streaming": True}
    {"class_allow_list": ["fedkit.network"], => {"class_allow_list": ["fedkit"],
    "components": [ours] => "components": [ours, ours]
../notebooks/source/02_federated_learning.py: 02_federated_learning
    np.random.default_rng(0).permutation(rows["hospital"]) => rows["hospital"].to_numpy()
../notebooks/source/04_comparison_of_outcomes.py: 04_comparison_of_outcomes
    hospital.labels.mean() > 0.5 for => hospital.labels.mean() < 0.5 for
"""


class Fault(NamedTuple):
    """A line of the list."""

    file: str
    old: str
    new: str
    tests: list[str]


def faults(words: list[str]) -> list[Fault]:
    """Return those in files whose path holds one of the words; all, if there are none."""
    found, file, tests = [], "", []
    for line in FAULTS.strip().splitlines():
        if line.startswith(" "):
            old, _, new = line.strip().partition(" =>")
            found.append(Fault(file, old, new.strip(), tests))
        else:
            file, named = line.split(": ")
            tests = []
            for name in named.split():
                path, colons, test = name.partition("::")  # a notebook, or a file of tests and one of its tests
                path = (
                    NOTEBOOK.format(path) if path[0].isdigit() else f"tests/{'' if '/' in path else 'test_'}{path}.py"
                )
                tests.append(path + colons + test)
    return [fault for fault in found if not words or any(word in fault.file for word in words)]


def copied(folder: str) -> Path:
    """Copy what the tests need."""
    place = Path(tempfile.mkdtemp(dir=folder))
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, place)
    return place


def red(place: Path, tests: list[str]) -> str:
    """Run tests in a copy: the first that is red, or nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    how = os.environ | {"PYTHONPATH": f"{place}:{place}/notebooks", "PYTHONDONTWRITEBYTECODE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.Popen(command, cwd=place, env=how, start_new_session=True, **pipes)
    try:
        said, _ = run.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{tests}, which wait for ever"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # nothing stays behind
    first = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (first or said.strip().splitlines())[-1].split(" - ")[0] if run.returncode else ""


def tried(fault: Fault, places: Queue) -> bool:
    """Whether a fault is caught, which is also printed."""
    place = places.get()
    file = place / "fedkit" / fault.file
    text = file.read_text() if file.exists() else ""
    if text.count(fault.old) == 1:
        file.write_text(text.replace(fault.old, fault.new))
        found = red(place, fault.tests)
        file.write_text(text)
        said = f"caught by {found}" if found else "NOT CAUGHT"
    else:
        said = f"MISSING, {text.count(fault.old)} times there"
    places.put(place)
    print(f"{fault.file}: {fault.old} => {fault.new}\n    {said}", flush=True)
    return said.startswith("caught")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=os.cpu_count(), dest="jobs", help="how many at a time")
    parser.add_argument("words", nargs="*")
    asked, places = parser.parse_args(), Queue()
    chosen = faults(asked.words)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        whole, *every = (copied(folder) for _ in range(asked.jobs + 1))
        for place in every:
            places.put(place)
        caught = sum(pool.map(lambda fault: tried(fault, places), chosen))
        before = red(whole, sorted({test for fault in chosen for test in fault.tests}))
    print(f"RED WITHOUT ANY FAULT: {before}\n" * bool(before) + f"{caught} of {len(chosen)} faults were caught.")
    return int(bool(before) or caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
