"""Hostile bytes, made and delivered: what `test_fuzz` runs in processes that may die.

    python tests/fuzzing.py MATERIAL FAMILY FIRST LAST PROGRESS SECONDS

A *family* is a way to be hostile, a case of it follows from its number and from the material (keys, and real messages
under them) alone. Each goes the whole way: through `envelopes.read` to `Sum.add` at the server, or to
`HospitalKeys.decrypt` at a hospital. What is well formed is found out here a second time. Prints one JSON object: how
often which sentence was said, and what went wrong. PROGRESS is a file with the number of the case at hand, SECONDS of
computing are the most that it may take before the system ends it.
"""

import hashlib
import json
import os
import resource
import struct
import sys
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from tampering import enveloped, inside, written

from fedkit import encryption
from fedkit.encryption import HospitalKeys, Server, Sum, envelopes, hospital, packing, quantization
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError

NAMES = ("Basel", "Universitätsspital Zürich", "北京协和医院", "server")
IDENTITIES = {name: Identity(name, hashlib.sha256(name.encode()).digest()) for name in NAMES}
SERVER = "server"
HEAD = struct.Struct("<4sB4s10sIQ")
WORLDS = {
    "small": {"scheme": "bfv", "hospitals": 4, "numbers": 15, "bits": 14, "security": 192},  # has half bytes
    "many": {"scheme": "bfv", "hospitals": 200, "numbers": 15, "bits": 14},  # whose sums have c1 in place of seeds
    "wide": {"scheme": "bfv", "hospitals": 3, "numbers": 9000, "bits": 26},  # of several ciphertexts
    "ckks": {"scheme": "ckks", "hospitals": 3, "numbers": 14, "bits": 26},
}
MEMORY = 300 << 20  # bytes that a worker may take beside what it starts with


@dataclass
class World:
    """Keys, and messages under them: (what they are, bytes)."""

    keys: HospitalKeys
    messages: list[tuple[About, bytes]]

    def __post_init__(self):
        self.server, self.parameters, self.q = Server(self.keys.public), self.keys.parameters, self.keys.ring.modulus
        size = self.parameters.numbers
        exact = quantization.exact_layer(2, self.parameters)
        packed = quantization.packed_layer(size, 1e4, self.parameters)
        real = quantization.real_layer(size, self.parameters)
        self.layout = quantization.Layout((real,) if self.keys.scheme == "ckks" else (exact, packed))
        self.study, self.coefficients = self.keys.key_id.hex(), self.keys.coefficients(self.layout)


def make() -> dict:
    """Material: for each world, rounds 2 and 3, another purpose, another key, and the server's answers."""
    made = {}
    for name, how in WORLDS.items():
        world = World(encryption.generate_keys(**how), [])
        for keys in (world.keys, world.keys.renewed()):
            for round_, purpose in ((2, "update"), (3, "update"), (3, "bounds")):
                rng, total = np.random.default_rng(round_), Sum(Server(keys.public))
                names = [f"hospital {number}" for number in range(min(world.parameters.hospitals, 130))]
                contents = [keys.encrypt(rng.uniform(-1, 1, world.layout.size), 20, world.layout) for _ in names]
                for content in contents:
                    total.add(content)
                sent = [(who, (who,), content) for who, content in zip(NAMES[:3], contents, strict=False)]
                for sender, hospitals, content in [*sent, (SERVER, tuple(names), total.to_bytes())]:
                    about = About(keys.key_id.hex(), purpose, round_, sender, hospitals)
                    signed = envelopes.sign(content, about, IDENTITIES[sender])
                    world.messages.append((about, signed.hex()))
        made[name] = {"secret": world.keys.secret.hex(), "messages": world.messages}
    return made


def load(path) -> dict[str, World]:
    saved = json.loads(Path(path).read_text())
    return {
        name: World(
            HospitalKeys(bytes.fromhex(one["secret"])),
            [(About(*about[:4], tuple(about[4])), bytes.fromhex(data)) for about, data in one["messages"]],
        )
        for name, one in saved.items()
    }


def deliver(world: World, data: bytes, about: About, lenient: bool = False) -> None:
    """Give bytes to whoever expects a message like `about`; a `MessageError` if they are refused."""
    expected = {"study": about.study, "purpose": about.purpose, "round": about.round, "sender": about.sender}
    size = None if lenient or about.sender == SERVER else world.keys.message_bytes(world.layout)
    public = IDENTITIES[about.sender].public
    _, content = envelopes.read(data, public, size=size, most=1 << 20, **expected)
    if about.sender != SERVER:
        total = Sum(world.server, world.coefficients)
        total.add(content)
        honest = (inside(data)[1] for about, data in world.messages if about[:3] == (world.study, "update", 3))
        seeds = world.server.read(content).seeds
        total.add(next(other for other in honest if world.server.read(other).seeds != seeds))
        content = total.to_bytes()
    mean, patients = world.keys.decrypt(content, world.layout)
    assert np.isfinite(mean).all()
    assert 0 < patients < np.inf


def mutated(rng: np.random.Generator, data: bytes, others: list[bytes]) -> bytes:
    """Bytes that are nearly these."""
    for _ in range(rng.integers(1, 4)):
        data = changed_once(rng, data, others[rng.integers(len(others))])
    return data


def changed_once(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    # half of the places are near the start, where the lengths and names are
    end = len(data) if rng.random() < 0.5 else min(len(data), 240)
    first, last = sorted(int(place) for place in rng.integers(0, end + 1, 2))
    before, after, some = data[:first], data[last:], other[first:last]
    length = rng.choice([0, 1, len(data) & 0xFFFF, 0xFFFF, rng.integers(0xFFFF)])
    ways = (
        lambda: before + bytes(one ^ 1 << int(rng.integers(8)) for one in data[first : first + 1]) + data[first + 1 :],
        lambda: data[:last],
        lambda: data + rng.bytes(int(rng.integers(1, 80))),
        lambda: before + after,
        lambda: before + some + after,
        lambda: before + other[first:],
        lambda: before + [bytes(8), b"\xff" * 8, rng.bytes(8)][rng.integers(3)] + data[first + 8 :],
        lambda: data[:68] + struct.pack("<H", length) + data[70:],
        lambda: before + some + data[first:],
        lambda: before + rng.bytes(len(data) - first),
        lambda: before + rng.bytes(int(rng.integers(300))),
    )
    return ways[rng.integers(len(ways))]()


def taken_or_said(function, *arguments, **how) -> str:
    """Whether something was taken; otherwise the sentence, without its numbers. Other errors pass."""
    try:
        function(*arguments, **how)
    except MessageError as problem:
        return " ".join(word for word in str(problem).split() if word.isalpha())[:60]
    return "taken"


def expected(worlds, rng) -> tuple[World, About, bytes]:
    """Any world, and a message that is expected there now."""
    world = list(worlds.values())[rng.integers(len(worlds))]
    now = [pair for pair in world.messages if pair[0][:3] == (world.study, "update", 3)]
    return world, *now[rng.integers(len(now))]


# The families. Each takes the worlds and a generator, and returns what was said, or "taken".


def changed_on_the_way(worlds, rng) -> str:
    world, about, data = expected(worlds, rng)
    hostile = mutated(rng, data, [other for _, other in world.messages])
    said = taken_or_said(deliver, world, hostile, about)
    assert said != "taken" or hostile == data, "a message that was changed was taken"
    return said if hostile != data else "unchanged"


def sent_as_another(worlds, rng) -> str:
    """Any real message, where any other is expected: another round, sender, purpose, key or world."""
    (world, wanted, _), other = expected(worlds, rng), expected(worlds, rng)[1:]
    about, data = other if rng.random() < 0.2 else world.messages[rng.integers(len(world.messages))]
    said = taken_or_said(deliver, world, data, wanted)
    assert (said == "taken") == (about[:4] == wanted[:4]), f"{about[:4]} where {wanted[:4]} is expected: {said}"
    return said


def hostile_head(worlds, rng) -> str:
    """Signed by who it says it is, but the head is anything."""
    world, about, data = expected(worlds, rng)
    fields, (honest, content) = about._asdict(), inside(data)
    odd = [None, True, 3.0, -1, 2**70, "", "x" * 300, "\ud800", "a\nb", [], ["Basel"], ["Basel", "Basel"], {}, [[]], 0]
    odd += [float("nan"), "update", "3", [3], about.sender, world.study, ["\u202e"], list(NAMES), {"a": {"b": []}}]
    for _ in range(rng.integers(1, 3)):
        name = str(rng.choice([*fields, "more"]))
        if rng.integers(3):
            fields[name] = odd[rng.integers(len(odd))]
        else:
            fields.pop(name, None)
    head = written(fields)
    match rng.integers(5):
        case 0:
            head = mutated(rng, honest, [head, *(inside(data)[0] for _, data in world.messages)])[:0xFFFF]
        case 1:
            head = (b"[" * 30_000, b'{"round":' * 6_000, b'{"round":' + b"9" * 60_000 + b"}")[rng.integers(3)]
    said = taken_or_said(deliver, world, enveloped(head, content, IDENTITIES[about.sender]), about)
    assert (said == "taken") == head_is_right(head, about), f"{head[:200]}: {said}"
    return said


def head_is_right(head: bytes, about: About) -> bool:
    try:
        names = json.loads(head)["hospitals"]
        good = type(names) is list and len(set(names)) == len(names) > 0
        good = good and all(1 <= len(name) <= 100 and name == name.strip() and name.isprintable() for name in names)
        return good and head == written(about._asdict() | {"hospitals": names})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return False


def hostile_content(worlds, rng) -> str:
    """Signed, and the head is right, but the content is anything: nearly right, or made from the format."""
    world, about, data = expected(worlds, rng)
    head, content = inside(data)
    if rng.random() < 0.3:
        content = mutated(rng, content, [inside(other)[1] for _, other in world.messages])
    else:
        content = composed(world, rng, content)
    lenient = rng.random() < 0.5
    said = taken_or_said(deliver, world, enveloped(head, content, IDENTITIES[about.sender]), about, lenient)
    opened = said == "taken" or "patients sum to" in said
    assert opened == is_well_formed(world, content, about.sender), f"{content[:40].hex()}, {len(content)} bytes: {said}"
    taken_or_said(world.server.add, [content])  # where nothing was agreed on, any length will do
    taken_or_said(world.keys.decrypt, content)
    return said


def composed(world: World, rng, honest: bytes) -> bytes:
    """A content with some fields as they should be, and some as they should not."""
    mark, *now = HEAD.unpack_from(honest)
    room, slots = world.parameters.hospitals, world.parameters.slots
    hostile = [
        [0, 1, 2, 3, 4, 255],
        [b"bfv", b"ckks", b"\xff\xfe\0\0", b""],
        [bytes(10), rng.bytes(10)],
        [0, 1, 2, 3, room, room + 1, 2**31, 2**32 - 1],
        [0, 1, now[4] - 1, now[4] + 1, slots, slots + 1, 2**32, 2**63, 2**64 - 1],
    ]
    for _ in range(rng.integers(3)):
        field = rng.integers(5)
        now[field] = hostile[field][rng.integers(len(hostile[field]))]
    kind, _, _, hospitals, coefficients = now
    seeds, *parts = layout_of(world, kind, hospitals, coefficients)
    body = honest[HEAD.size :]
    if 64 * seeds + sum(packing.byte_count(size, bits) for size, bits, _ in parts) < 300_000:
        body = b"".join(numbers(rng, *part) for part in parts)
        one = [bytes(64), b"\xff" * 64, rng.bytes(64)][rng.integers(3)]
        body += rng.bytes(64 * seeds) if rng.random() < 0.5 else one * seeds
    return HEAD.pack(mark, *now) + body


def numbers(rng, size: int, bits: int, most: int) -> bytes:
    """Packed numbers: within what is allowed, all as large as that, zero, or one beyond."""
    values = rng.integers(0, most, size, np.uint64, endpoint=True)
    match rng.integers(6):
        case 0:
            values[:] = rng.choice([0, most])
        case 1 | 2 as way if size:
            values[rng.integers(size)] = min(most + 1, 2**bits - 1) if way == 1 else 2**bits - 1
    return packing.to_bytes(values, bits)


def layout_of(world: World, kind: int, hospitals: int, coefficients: int) -> list:
    """How many seeds a content has; before them, how many numbers in c0 and c1, of how many bits, and at most what."""
    p = world.parameters
    ciphertexts = -(-coefficients // p.slots)
    size = ciphertexts * p.ring_dimension
    c0 = (coefficients if p.scheme == "bfv" else size, p.sent_bits, (world.q - 1) >> p.dropped_bits)
    c1 = (size, -(-p.modulus_bits // 4) * 4, world.q - 1)
    return [0, c0, c1] if kind == 3 else [ciphertexts * hospitals, c0]


def is_well_formed(world: World, content: bytes, sender: str) -> bool:
    if len(content) < HEAD.size:
        return False
    mark, kind, scheme, key, hospitals, coefficients = HEAD.unpack_from(content)
    named = (mark, scheme, key) == (b"FKM2", world.keys.scheme.encode().ljust(4, b"\0"), world.keys.key_id)
    if sender == SERVER:
        summed = kind in (2, 3) and 2 <= hospitals <= world.parameters.hospitals
    else:
        summed = (kind, hospitals) == (1, 1)
    if not named or not summed or coefficients != world.coefficients:
        return False
    seeds, *parts = layout_of(world, kind, hospitals, coefficients)
    at = HEAD.size
    if len(content) != at + 64 * seeds + sum(packing.byte_count(size, bits) for size, bits, _ in parts):
        return False
    for size, bits, most in parts:
        if packing.from_bytes(content[at:], bits, size).max() > most:
            return False
        at += packing.byte_count(size, bits)
    if kind == 3:
        return 64 * hospitals > packing.byte_count(world.parameters.ring_dimension, parts[1][1])
    return len({content[place : place + 64] for place in range(at, len(content), 64)}) == seeds


def hostile_keys(worlds, rng) -> str:
    """Keys that somebody hands over. What SEAL reads of them may be hostile, too, and its name right."""
    world, *_ = expected(worlds, rng)
    keys, others = world.keys, [other.keys.secret for other in worlds.values()]
    try:
        match rng.integers(3):
            case 0:
                Server(mutated(rng, keys.public, others))
            case 1:
                found = HospitalKeys(mutated(rng, keys.secret, others))
                assert any(found.key_id == other.keys.key_id for other in worlds.values()), "a changed key was taken"
            case 2:
                secret = mutated(rng, keys.secret[8 + len(keys.public) :], others)
                named = hospital._key_id(keys.parameters, secret).hex().encode()
                public = keys.public.replace(keys.key_id.hex().encode(), named)
                found = HospitalKeys(struct.pack("<4sI", b"FKS2", len(public)) + public + secret)
                sent = [found.encrypt(np.ones(world.layout.size), 20, world.layout) for _ in range(2)]
                found.decrypt(Server(found.public).add(sent), world.layout)
    except ValueError as problem:
        return str(problem)[:60]
    return "taken"


def broken(worlds, case) -> str:
    """What `test_fuzz` must notice, by the number of the case."""
    faults = [lambda: {}["a bug"], lambda: np.testing.assert_equal(1, 2, "something was taken"), os.abort]
    faults += [lambda: np.zeros(2**36, np.uint8), lambda: deque(count(), maxlen=0)]
    return faults[case]()


FAMILIES = (changed_on_the_way, sent_as_another, hostile_head, hostile_content, hostile_keys, broken)


def main(material: str, family: str, first: str, last: str, progress: str, seconds: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 10))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    worlds = load(material)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    said, wrong = Counter(), []
    (run,) = (one for one in FAMILIES if one.__name__ == family)
    with open(progress, "wb", buffering=0) as file:
        for number in range(int(first), int(last)):
            os.pwrite(file.fileno(), b"%12d" % number, 0)
            rng = number if family == "broken" else np.random.default_rng([number, *family.encode()])
            try:
                said[run(worlds, rng)] += 1
            except Exception as problem:
                wrong.append(f"case {number}: {type(problem).__name__}: {problem}")
    print(json.dumps({"said": said, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
