"""Whatever arrives: no error but a `MessageError`, no memory for what is only claimed, and nothing wrong is taken.

A *family* is a way to be hostile; a case of it follows from its number alone. Each goes the whole way: through
`envelopes.read` to the server's `take` or `take_share`, or to `Keyring.open` at a hospital. ``FUZZ=100 make test
TESTS=tests/test_fuzz.py`` tries 100 times as many.
"""

import json
import os
import resource
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from parties import Parties, secret
from tampering import enveloped, inside, written

from fedkit import encryption
from fedkit.encryption import MessageError, Server, envelopes
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import letter_bytes, share_bytes, sum_bytes

MORE = int(os.environ.get("FUZZ", 1))
NAMES, SERVER = ("Basel", "Universitätsspital Zürich", "北京协和医院"), "server"
IDENTITIES = {name: Identity(name, secret(name)) for name in (*NAMES, SERVER)}
MEMORY = 300 << 20  # bytes that reading may take beside what the process has
# How many cases of each family, and parts of sentences that must be among what is said about them.
CASES = {
    "changed_on_the_way": (10_000, "is not signed with|has room for|is no message of this version"),
    "sent_as_another": (2000, "taken|is not signed with|has study|has room for"),
    "hostile_head": (3000, "taken|malformed|has round|has purpose|has study|has sender"),
    "hostile_content": (
        5000,
        "taken|has room for|This is no letter|This is no key|This is no sum|for another sum|"
        "for another list|beyond the it is|a tag that is|not the sum of",
    ),
}


class World:
    """Three hospitals' letters, shares and sum, of two numbers: (what they are, bytes)."""

    def __init__(self, **how):
        self.parameters, self.messages, stores = encryption.choose(5, **how), [], {}
        here = Parties(NAMES, self.parameters, stores=stores)
        vectors = {name: np.linspace(-1, 1, how["numbers"]) * len(name) for name in NAMES}
        for number in range(2):
            for purpose in ("update", "scores") if number == 0 else ("update",):
                letters, self.listed = here.send(vectors, purpose, 20)
                self.about = here[NAMES[0]].about
                shares = {name: here[name].share(self.listed) for name in NAMES}
                total = encryption.add(self.parameters, letters, shares)
                sent = [(purpose, letters), ("share", shares), ("sum", {SERVER: total})]
                self.now = [self.signed(what, number, *pair) for what, own in sent for pair in own.items()]
                self.messages += self.now
                self.letters, self.state, self.members = letters, stores[NAMES[0]][-1], here.members
                (self.opened,) = here[NAMES[0]].open([(total, self.listed)])
                for name in NAMES[1:]:
                    here[name].open([(total, self.listed)])
        self.coefficients = struct.unpack_from("<Q", total, 36)[0]
        p, size = self.parameters, self.coefficients
        self.sizes = {"update": letter_bytes(p, size), "share": share_bytes(p, 3), "sum": sum_bytes(p, size, 3)}

    def signed(self, purpose, number, sender, content):
        about = About(self.about.hex(), purpose, number, sender, (sender,) if sender != SERVER else NAMES)
        return about, envelopes.sign(content, about, IDENTITIES[sender])

    def deliver(self, data: bytes, about: About, lenient: bool = False) -> None:
        """Give bytes to whoever expects a message like `about`; a `MessageError` if they are refused."""
        expected = {"study": about.study, "purpose": about.purpose, "round": about.round, "sender": about.sender}
        size = None if lenient else self.sizes[about.purpose]
        _, content = envelopes.read(data, IDENTITIES[about.sender].public, size=size, most=1 << 20, **expected)
        if about.purpose == "sum":
            keys = encryption.restore(NAMES[0], self.parameters, self.members, self.state)
            (found,) = keys.open([(content, self.listed)])
            assert np.array_equal(found, self.opened), "another sum was opened"
            return
        server = Server(self.parameters, self.about, self.coefficients)
        if about.purpose == "update":
            server.take(content)
        else:
            for letter in self.letters.values():
                server.take(letter)
            server.take_share(next(inside(data)[1] for of, data in self.now if of.purpose == "share"))
            server.take_share(content)


@pytest.fixture(scope="module")
def worlds():
    """One small, with half bytes, and one of several polynomials."""
    return [World(numbers=15, bits=13), World(numbers=600, bits=26)]


@pytest.fixture
def little_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
    world = worlds[rng.integers(len(worlds))]
    return world, *world.now[rng.integers(len(world.now))]


# The families. Each takes the worlds and a generator, and returns what was said, or "taken".


def changed_on_the_way(worlds, rng) -> str:
    world, about, data = expected(worlds, rng)
    hostile = mutated(rng, data, [other for _, other in world.messages])
    said = taken_or_said(world.deliver, hostile, about)
    assert said != "taken" or hostile == data, "a message that was changed was taken"
    return said if hostile != data else "unchanged"


def sent_as_another(worlds, rng) -> str:
    """Any real message, where any other is expected: another number, sender, purpose or world."""
    (world, wanted, _), other = expected(worlds, rng), expected(worlds, rng)[1:]
    about, data = other if rng.random() < 0.2 else world.messages[rng.integers(len(world.messages))]
    said = taken_or_said(world.deliver, data, wanted)
    assert (said == "taken") == (about[:4] == wanted[:4]), f"{about[:4]} where {wanted[:4]} is expected: {said}"
    return said


def hostile_head(worlds, rng) -> str:
    """Signed by who it says it is, but the head is anything."""
    world, about, data = expected(worlds, rng)
    fields, (honest, content) = about._asdict(), inside(data)
    odd = [None, True, 3.0, -1, 2**70, "", "x" * 300, "\ud800", "a\nb", [], ["Basel"], ["Basel", "Basel"], {}, [[]], 0]
    odd += [float("nan"), "update", "3", [3], about.sender, about.study, ["\u202e"], list(NAMES), {"a": {"b": []}}]
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
    said = taken_or_said(world.deliver, enveloped(head, content, IDENTITIES[about.sender]), about)
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
    """Signed, and the head is right, but the content is nearly right, and sometimes of any length."""
    world, about, data = expected(worlds, rng)
    head, honest = inside(data)
    content = mutated(rng, honest, [inside(other)[1] for _, other in world.messages])
    said = taken_or_said(world.deliver, enveloped(head, content, IDENTITIES[about.sender]), about, rng.random() < 0.5)
    if about.purpose != "sum":  # of which `deliver` says whether it opened to the honest numbers
        start = 44 if about.purpose == "update" else 36  # mark, what it is for, and how long it is
        same = (content[:start], len(content)) == (honest[:start], len(honest))
        assert same or said != "taken", f"{content[:50].hex()}: {said}"
    taken_or_said(Server(world.parameters).take, content)  # where nothing was agreed on, any length will do
    return said


def played(family, worlds, cases: int) -> Counter:
    """What was said how often; an error names its case."""
    said = Counter()
    for number in range(cases):
        try:
            said[family(worlds, np.random.default_rng([number, *family.__name__.encode()]))] += 1
        except Exception as problem:
            raise AssertionError(
                f"case {number} of {family.__name__}: {type(problem).__name__}: {problem}"
            ) from problem
    return said


@pytest.mark.parametrize("family", CASES)
def test_hostile_bytes_are_refused(worlds, little_memory, family):
    cases, sentences = CASES[family]
    said = played(globals()[family], worlds, cases * MORE)
    missing = [sentence for sentence in sentences.split("|") if not any(sentence in one for one in said)]
    assert missing == [], f"these cases never got as far as that: {missing}; {said}"


def a_bug(worlds, rng):
    return {}["a bug"]


def a_claim(worlds, rng):
    return taken_or_said(lambda: np.zeros(2**36, np.uint8))


@pytest.mark.parametrize(("family", "said"), [(a_bug, "KeyError"), (a_claim, "MemoryError")])
def test_what_must_not_be_is_noticed_and_named(worlds, little_memory, family, said):
    with pytest.raises(AssertionError, match=f"case 0 of {family.__name__}: .*{said}"):
        played(family, worlds, 1)
