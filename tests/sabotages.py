"""One fault at a time is put into a copy of the kit, and the tests named for it must go red.

    python tests/sabotages.py [-j JOBS] [WORD ...]

With words, only files of the package whose path holds one of them. Prints a line a fault (caught, NOT CAUGHT,
or MISSING, where the text to replace is not there exactly once) and ends with 1 if any was not caught. The tests that
are named must be green without a fault: that is tried first.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COPIED = ["fedkit", "tests", "data", "figures", "notebooks/source", "notebooks/tools"]
SECONDS = 900  # a test that takes so long was made to wait for ever, and is as good as red

# A heading names a file of the package, and the tests that look after it; each line below
# is one fault: the text as it is, which the file holds once, and what is written in its place.
FAULTS = r"""
encryption/envelopes.py: envelopes
    if not identities.verify(public, signature, _signed(head, content)): => if False:
    head + hashlib.sha256(content).digest() => head
    b"fedkit envelope 1\0" => b"\0"
    {"study": study, "purpose": purpose, "round" => {"purpose": purpose, "round"
    {"study": study, "purpose": purpose, "round" => {"study": study, "round"
    "purpose": purpose, "round": round, "sender": sender} => "purpose": purpose, "sender": sender}
    "purpose": purpose, "round": round, "sender": sender} => "purpose": purpose, "round": round}
    if found < 0 or (found > most if size is None else found != size): => if found < 0:
    len(about.hospitals) and _written(about) == head: => len(about.hospitals):
    0 < len(set(about.hospitals)) == len(about.hospitals) => 0 < len(about.hospitals)
    if about.sender != identity.name: => if False:
    if (owner := owners.setdefault(public, name)) != name: => if (owner := owners.setdefault(public, name)) is None:
    or len(public) != 32 =>
encryption/messages.py: messages encryption
    if found_key != key_id: => if False:
    if not 1 <= hospitals <= parameters.hospitals or => if not 1 <= hospitals or
    hospitals <= parameters.hospitals or (kind == OWN and hospitals != 1): => hospitals <= parameters.hospitals:
    or len(data) != message_bytes(parameters, coefficients, hospitals, kind) =>
    if kind == LARGE_SUM and sends_seeds(parameters, hospitals): => if False:
    if int(c0.max()) > (modulus - 1) >> parameters.dropped_bits: => if False:
    if int(c1.max()) >= modulus: => if int(c1.max()) > modulus:
    if len(set(every)) < len(every): => if False:
    np.uint64(1 << parameters.dropped_bits - 1) => np.uint64(0)
    doubles[odd_double].byteswap().view("<u8"), swapped_pairs => doubles[odd_double].byteswap().view("<u8")
    bool(np.isin(needles, windows).any()) => False
encryption/hospital.py: encryption
    if not np.isfinite(vector).all(): => if False:
    and weight == int(weight)) => )
    if total.kind == messages.OWN or total.hospitals < least: => if total.kind == messages.OWN:
    if total.kind == messages.OWN or total.hospitals < least: => if total.hospitals < least:
    if not 0 < numbers[0] < 2**53 or numbers[0] % 1: => if False:
    if _key_id(self.parameters, key) != self.key_id: => if False:
    def __reduce__ => def _reduce
    repr(parameters).encode() + secret => repr(parameters).encode()
    return _new_keys(self.parameters, self.cores) => return self
encryption/server.py: encryption
    if isinstance(public, bytes) and public.startswith(SECRET): => if False:
    if found.kind != messages.OWN: => if False:
    if (self._seen[np.searchsorted(self._seen, own)] == own).any(): => if False:
    self._seen[np.searchsorted(self._seen, own)] == own).any() => self._seen[np.searchsorted(self._seen, own)] == own).all()
    if self._coefficients not in (None, found.coefficients): => if False:
    if self.hospitals == parameters.hospitals: => if False:
    own if self._c1 is None else own[:1] => own[:1] if self._c1 is None else own[:0]
encryption/party.py: encryption
    len(self.key_id) != messages.KEY_ID_BYTES => False
encryption/identities.py: identities
    .verify(signature, data) =>
    Ed25519PublicKey.from_public_bytes(public).verify(signature, data) => Ed25519PublicKey.from_public_bytes(public).verify(signature, data[:64])
    and name.isprintable() =>
    and name == name.strip() =>
    def __reduce__ => def _reduce
    {fingerprint(self.public)})" => {self._key.private_bytes_raw().hex()})"
    digest()[:10] => digest()[-10:]
    return cls(name, secrets.token_bytes(32)) => return cls(name, name.encode().ljust(32)[:32])
encryption/vault.py: vault
    os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 => os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644
    if mode & 0o077: => if False:
    .derive(text) => .derive(b"")
    _COST = 17 => _COST = 14
    _COSTS = range(14, 21) => _COSTS = range(64)
    os.O_CREAT | os.O_EXCL => os.O_CREAT
    salt, nonce = os.urandom(16), os.urandom(12) => salt, nonce = bytes(16), os.urandom(12)
    salt, nonce = os.urandom(16), os.urandom(12) => salt, nonce = os.urandom(16), bytes(12)
    if len(passphrase.strip()) < _LEAST: => if len(passphrase) < _LEAST:
    unicodedata.normalize("NFKC", passphrase).encode => passphrase.encode
    if found != _field(kind): => if False:
    os.unlink(path)  # => pass  #
encryption/rings.py: rings
    return _read(file) => return _stream((key := _decompressed(_read(file)))[:-8 * self.parameters.ring_dimension] + bytes(8 * self.parameters.ring_dimension))
    seeds.append(members[end + tail :]) => seeds.append(bytes(64))
    np.minimum(one, one - np.uint64(modulus), out=one) => pass
    f"TC{parameters.security}" => "NONE"
    os.close(file) => pass
    if len(members) != end + tail + SEED_BYTES or members[: len(self._about)] != self._about: => if False:
    if (mark, size, length) != (_MARK, _HEAD.size, len(stream)) or => if
encryption/schemes.py: schemes rings
    128: {1024: 27, 2048: 54, => 128: {1024: 27, 2048: 55,
    math.log(2 * 2.0**80) => math.log(2 * 2.0**8)
    _FRESH_BOUND, _FRESH_VARIANCE = 21, 10.5 => _FRESH_BOUND, _FRESH_VARIANCE = 11, 5.5
    modulus_bits - 1 - math.log2(noise) => modulus_bits - math.log2(noise)
    hospitals * (_FRESH_BOUND + 0.5 + rounding) + rounding => hospitals * (_FRESH_BOUND + 0.5)
    if bits < (hospitals - 1).bit_length() + 3: => if False:
encryption/packing.py: packing quantization
    return digit, (integers - digit) >> bits => return digit, integers >> bits
    high[::2] | high[1::2] << 4 => high[::2] << 4 | high[1::2]
    integers[:, None] + sum(half << place for place in places[:-1]) => integers[:, None]
encryption/quantization.py: quantization encryption
    2 ** (bits - 1) - 1 - int(np.ceil(hospitals * rounding)) => 2 ** (bits - 1) - 1
    max(steps.max(initial=0), -steps.min(initial=0)) => steps.max(initial=0)
    (2 ** (bits - 1) - 1) // parameters.hospitals => 2 ** (bits - 1) - 1
    2 ** (parameters.room_bits - 1) / parameters.hospitals => 2 ** (parameters.room_bits - 1)
    return np.floor(steps + dither.random(self.size)) => return np.rint(steps)
    EXACT_STEP = 2.0**-40 => EXACT_STEP = 2.0**-20
encryption/cores.py: encryption
    if self._cores == 1 or share < => if True or share <
    b"".join(seeds for _, seeds in pairs) => b"".join(seeds for _, seeds in pairs[::-1])
exchange/chain.py: exchange_folder
    min(after.get(link.after, (0, "")), (length - 1, link.digest)) => max(after.get(link.after, (0, "")), (length - 1, link.digest))
    before is not None and before.round == link.round - 1 => before is not None
    min(roots, key=lambda root: (after.get(root, (0, ""))[0], root)) => min(roots)
exchange/folder.py: exchange_folder exchange_intruders
    return data if digest(data) == parts(name)[0] else None => return data
    if size > largest: => if False:
    0, largest + 1) => 0, None)
    sender.isprintable() and match => match
    and quote(sender, safe="") == match[2] =>
    if tries & (tries - 1) and tries > 2: => if False:
    if entry["type"] == "file"} => }
    (place, hash_, said) in self._taken or => any(one[:2] == (place, hash_) for one in self._taken) or
    self.filesystem.mv(aside, path) => self.filesystem.cp_file(aside, path)
exchange/joining.py: exchange_intruders exchange
    if fingerprint(found.data) != spoken: => if False:
    if (letter.sender, letter.public) != (name, public): => if letter.sender != name:
    if (letter.sender, letter.public) != (name, public): => if letter.public[:1] != public[:1]:
    if coordinator.public in roster.values(): => if False:
    if theirs.get(name) != ours[name]: => if False:
exchange/study.py: exchange_intruders exchange
    and self.in_charge(link.round)[:2] == (link.sender, link.public) =>
    and len(link.counted) >= self.settings.quorum =>
    if said.get("opening") != self.opening: => if False:
    if server.parameters != self.parameters: => if False:
    if numbers.kind == messages.OWN or (numbers.hospitals, numbers.coefficients) != wanted: => if False:
    _ = self.roster[hospital] => _ = hospital
    if new.public in self.roster.values(): => if False:
    if not self.opening or letter.digest < self.opening: => if not self.opening:
    joining.signed_by(letter, maker, self.roster[maker]) => pass
exchange/replica.py: exchange_intruders exchange
    if keys.public != letters.unpacked(said, "public"): => if False:
    if seeds & held.seeds: => if False:
    for digest in self._held.keys() - set(chain[-2:]): => for digest in self._held.keys() - set(chain[-1:]):
exchange/coordinator.py: exchange_intruders exchange
    if letter.public != study.roster[letter.sender]: => if False:
    if letter.hospitals != (letter.sender,): => if False:
    if own.to != rounds.mark(self.identity.public): => if False:
    if by != rounds.mark(letter.public): => if False:
    if found.kind != OWN or found.coefficients != wanted: => if False:
    (late and len(chosen) >= settings.quorum) => late
    if in_charge[:2] != (self.identity.name, self.identity.public): => if False:
    votes = Counter(tag for _, tag in {(each.hospital, each.tag) for each in candidates}) => votes = Counter(each.tag for each in candidates[:1])
    if each.tag == tag: => if True:
    sorted(candidates, key=lambda each: (each.hospital, each.digest)) => candidates
exchange/maker.py: exchange exchange_intruders
    if self.study.roster and public in self.study.roster.values(): => if False:
    if not request.problems and not request.twice] => if not request.problems]
    if letter.public == self.study.in_charge(0).public: => if False:
    if len(own) > 1: => if False:
    if not settings.quorum <= len(names) <= settings.most_hospitals: => if False:
    if len(self.study.chain()) > 1: => if False:
exchange/hospital.py: exchange exchange_intruders
    if name not in study.roster or study.roster[name] != self.identity.public: => if name not in study.roster:
    if key in self._posted or self._is_there(key): => if key in self._posted:
    letters.packed(seal_to(public, keys.secret)) => letters.packed(keys.secret)
    sealed = seal_to(to, rounds.mark(self.identity.public) + message) => sealed = bytes(48) + rounds.mark(self.identity.public) + message
    if letter.public == self.identity.public: => if True:
exchange/rounds.py: exchange exchange_intruders
    hmac.new(secret, => hmac.new(b"all",
    STEP = 52, 2.0**-22 => STEP = 52, 2.0**-2
    if len(ids[-1]) != 2 * ID: => if False:
exchange/work.py: exchange
    settings.batch_size or count, rate) => count, rate)
    settings.seed, round, hospital, count => settings.seed, 1, hospital, count
exchange/journal.py: exchange exchange_intruders
    audit.verify(path, head) => audit.verify(path)
    if stat.S_ISREG(path.lstat().st_mode)) => )
    alone=True), None => ), None
exchange/classroom.py: classroom
    if file.is_relative_to(Path(where).resolve()): => if False:
    if getpass.getpass("The same again: ") != passphrase: => if False:
    if not request.problems] => ]
compat/tff.py: tff
    stdin=subprocess.PIPE, => stdin=subprocess.DEVNULL,
    start_new_session=True, =>
    graph_optimizations.optimize_graph_spec = => graph_optimizations.was =
compat/environment.py: environment
    (requirement.name): => ("pip"):
    if pip.returncode != 0: => if False:
compat/tenseal.py: tenseal
    _flags | os.RTLD_DEEPBIND => _flags
hospitals.py: hospitals data
    if found != expected: => if False:
    np.where(np.isnan(values), np.nan, values) => np.nan_to_num(values)
    if len(self) == 1: => if False:
tables.py: tables hospitals
    if tiny: => if False:
    if len(levels) > MAX_LEVELS: => if False:
    reference = max(levels, => reference = min(levels,
preparation.py: preparation
    sides[hospital.name][0]], federation.numeric => sides[hospital.name][1]], federation.numeric
    variance = mean_square - mean**2 => variance = mean_square
    Prepared(features[train], labels[train] => Prepared(features, labels
    SeedSequence([seed, name]) => SeedSequence([seed])
    count > 0, std, np.inf => count > 0, std, 1.0
    if not (np.abs(vector) < 2**53).all(): => if False:
    np.arange(1, len(levels)) => np.arange(len(levels) - 1)
models.py: learning
    tf.nn.relu(features @ hidden_kernel + hidden_bias) => features @ hidden_kernel + hidden_bias
    np.sqrt(2 / inputs) => np.sqrt(1 / inputs)
    if sum(sizes) != len(vector): => if False:
learning.py: learning
    [seed, round, *client.encode()] => [seed, *client.encode()]
    np.linalg.norm(update - moved) => np.linalg.norm(update)
    models.unflatten(-mean, shapes) => models.unflatten(mean, shapes)
    if name not in leave_out => if True
    last=round == rounds => last=False
    if not np.isfinite(update).all(): => if False:
aggregators.py: aggregators
    content = keys.encrypt(vector, weights[hospital], layout, dither) => content = vector.astype("<f4").tobytes().ljust(size)
    if found.hospitals != (hospital,): => if False:
    if not np.isfinite(readable).all(): => if False:
    keys.read(content).hospitals != len(about.hospitals) => False
    not set(about.hospitals) <= set(vectors) or =>
    server = encryption.Server(keys.public) => server = keys
    vectors = {hospital: vectors[hospital] for hospital in told.hospitals} => pass
    weights != state.weights or outgrown => weights != state.weights
    (ledger.round - 1) % self.renew_keys_every == 0 => False
    left = {h: v * weights[h] - state.layout => left = {h: 0 * state.layout
    rounding = 1.0 if self.rounding == "stochastic" else 0.5 => rounding = 0.5
    hashlib.sha256(vector.tobytes()).digest() => __import__("os").urandom(8)
    return weights @ np.asarray(vectors, dtype=np.float64) / weights.sum() => return np.mean(vectors, axis=0, dtype=np.float64)
records.py: records
    "float_precision": "round_trip" => "float_precision": None
    allow_pickle=False => allow_pickle=True
    elif gap := max( => elif gap := min(
evaluation.py: evaluation
    (1 / kept.size + test_to_train) * kept.var(ddof=1) => kept.var(ddof=1) / kept.size
    return "non-inferior" if low > -margin => return "non-inferior" if high > -margin
    ["value"].transform("count") == len(runs) => ["value"].transform("count") > 0
    sign = 1 if HIGHER_IS_BETTER[metric] else -1 => sign = 1
    np.clip(probabilities, CLIP, 1 - CLIP) => probabilities
plots.py: figures
    {"Date": None, "Creator": None} => {"Creator": None}
    "svg.hashsalt": "fedkit", =>
    raise ValueError(f"No look left => print(f"No look left
chapters/robust.py: robust
    updates[np.argsort(self.scores(updates), kind="stable")[: self.keep]] => updates[: self.keep]
    [self.trim : len(updates) - self.trim] => [self.trim :]
    np.median(updates, axis=0) => updates.mean(axis=0)
    taken = np.isfinite(vector).all() => taken = True
    np.maximum(directions @ directions => np.abs(directions @ directions
chapters/screening.py: screening
    len(excluded) < (len(updates) - 1) // 2 => True
    {name: update for name, update in arrived.items() if name not in state.excluded} => arrived
chapters/groupwise.py: groupwise
    if least < 2: => if False:
    states.get(group, state.first) => state.first
    round if self.regroup else 0 => 0
chapters/attacks/forging.py: robust
    mean - z * np.sign(mean) * spread => mean + z * np.sign(mean) * spread
    view.last_mean + self.noise => view.own + self.noise
chapters/attacks/membership.py: attacks/test_membership
    _log_density(own, *inside) - _log_density(own, *outside) => _log_density(own, *inside)
chapters/audit.py: audit
    found["previous"] != previous: => False:
    if head is not None and head not in heads: => if False:
    | os.O_NOFOLLOW =>
    fcntl.flock(file, fcntl.LOCK_EX) => pass
chapters/partitions.py: partitions
    rng.permutation(np.repeat( => (np.repeat(
    rng.dirichlet(alpha * prior) => rng.dirichlet(prior)
"""


class Fault(NamedTuple):
    """A line of the list."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def faults(words: list[str]) -> list[Fault]:
    """Return those of files whose path holds one of the words; all, if there are none."""
    found, file, tests = [], "", ()
    for line in FAULTS.strip().splitlines():
        if line.startswith(" "):
            old, _, new = line.strip().partition(" =>")
            found.append(Fault(file, old, new.strip(), tests))
        else:
            file, named = line.split(": ")
            tests = tuple(f"tests/{name if '/' in name else 'test_' + name}.py" for name in named.split())
    return [fault for fault in found if not words or any(word in fault.file for word in words)]


def copied(folder: str) -> Path:
    """Copy what the tests need."""
    place = Path(tempfile.mkdtemp(dir=folder))
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, place)
    return place


def red(place: Path, tests: tuple[str, ...]) -> str:
    """Run tests in a copy: the first that is red, or nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    how = {"PYTHONPATH": f"{place}:{place}/notebooks", "PYTHONDONTWRITEBYTECODE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.Popen(command, cwd=place, env=os.environ | how, start_new_session=True, **pipes)
    try:
        said, _ = run.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"waits for more than {SECONDS} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # nothing stays behind
    first = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "" if run.returncode == 0 else (first or said.strip().splitlines() or ["red"])[-1].split(" - ")[0]


def tried(fault: Fault, places: Queue) -> str:
    """What becomes of a fault."""
    place = places.get()
    file = place / "fedkit" / fault.file
    try:
        text = file.read_text() if file.exists() else ""
        if text.count(fault.old) != 1:
            return f"MISSING ({text.count(fault.old)} times)"
        file.write_text(text.replace(fault.old, fault.new))
        found = red(place, fault.tests)
        file.write_text(text)
        return f"caught by {found}" if found else "NOT CAUGHT"
    finally:
        places.put(place)


def main() -> int:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=os.cpu_count(), dest="jobs", help="how many at a time")
    parser.add_argument("words", nargs="*")
    asked, began = parser.parse_args(), time.monotonic()
    chosen, places = faults(asked.words), Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        spare, *every = (copied(folder) for _ in range(asked.jobs + 1))
        for place in every:
            places.put(place)
        said = list(pool.map(lambda fault: _told(fault, tried(fault, places)), chosen))
        named = sorted({test for fault in chosen for test in fault.tests})
        whole = red(spare, tuple(named))
    lost = [each for each in said if not each.startswith("caught")]
    if whole:
        print(f"RED WITHOUT ANY FAULT: {whole}")
    print(f"{len(said) - len(lost)} of {len(said)} faults were caught, in {time.monotonic() - began:.0f} s.")
    return bool(lost or whole)


def _told(fault: Fault, said: str) -> str:
    print(f"{said}: {fault.file}: {fault.old} => {fault.new}", flush=True)
    return said


if __name__ == "__main__":
    sys.exit(main())
