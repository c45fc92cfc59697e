"""A server that adds as messages arrive, list by list: seconds and memory against the number of hospitals.

Each point is a server of its own, in a fresh process, which reads signed messages from a pipe, one at a time. A few
real keyrings make the letters and the shares; the other hospitals sign the same bytes, each with a key of its own. The
server cannot tell, since all are as random to it, and nobody opens these sums. Every hundredth hospital is absent.
Written to figures/measured/scale.json.
"""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from reporting import seconds, target, write
from server import LENGTH

from fedkit import encryption
from fedkit.compat import environment
from fedkit.encryption import Keyring, envelopes, quantization
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.quantization import Layout

HOSPITALS = (10, 100, 1000)
LISTED, REAL, ABSENT = 30, 3, 100  # hospitals in a list; with keys; and of how many one is absent
NUMBERS, BITS = 10_000_000, 16
ASKED = {"study": "00", "round": 0}


class Hospitals:
    """A list's keys, of which a few are real, and what they sent."""

    def __init__(self) -> None:
        self.parameters = encryption.choose(LISTED, numbers=NUMBERS, bits=BITS)
        names = [f"hospital {number}" for number in range(LISTED)]
        exchange = {name: X25519PrivateKey.generate() for name in names}
        members = {n: encryption.Member(os.urandom(32), k.public_key().public_bytes_raw()) for n, k in exchange.items()}
        how = self.parameters, os.urandom(32), members
        group, self.stored, self.keys = os.urandom(32), {}, {}
        for name in names[:REAL]:
            self.keys[name] = encryption.join(name, *how, exchange[name], group, own=os.urandom(32), known=names)
            self.keys[name].store = lambda state, name=name: self.stored.update({name: state})
        update = np.random.default_rng(0).normal(size=NUMBERS)
        bound = 2 * np.abs(update).max() * 100 * LISTED
        self.layout = Layout((quantization.packed_layer(NUMBERS, bound, self.parameters),))
        self.took = []
        for keys in self.keys.values():
            self.took.append(seconds(lambda keys=keys: keys.encrypt("update", update, 100, self.layout)))
        self.letters = [keys.letter for keys in self.keys.values()]
        self.memory_mb = self._memory(next(iter(self.keys.values())), update)

    def _memory(self, keys: Keyring, update: np.ndarray) -> float:
        """Most memory that a further letter takes, beside the update and what is kept of the last one."""
        keys.store = None
        tracemalloc.start()
        keys.encrypt("update", update, 100, self.layout)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        return peak

    def shares(self, heard: int) -> list[bytes]:
        """Second letters for a list of so many, from the state after the first ones."""
        names, digests = list(self.keys), [encryption.digest(letter) for letter in self.letters]
        listed = {f"hospital {number}": digests[number % REAL] for number in range(heard)}
        found = []
        for name in names:
            keys = encryption.restore(name, self.parameters, self.keys[name].members, self.stored[name])
            found.append(keys.share(listed))
        return found


def point(count: int, hospitals: Hospitals) -> dict:
    """Play so many hospitals, in lists of at most `LISTED`, to a server."""
    identities = [Identity.new(f"hospital {number}") for number in range(count)]
    groups = [identities[at :: -(-count // LISTED)] for at in range(-(-count // LISTED))]
    absent = {who.name for who in identities[ABSENT - 1 :: ABSENT]}
    said = {
        "parameters": hospitals.parameters,
        "coefficients": next(iter(hospitals.keys.values())).coefficients(hospitals.layout),
        "asked": ASKED,
        "lists": [[who.name for who in group] for group in groups],
        "roster": {who.name: who.public.hex() for who in identities},
    }
    program = [sys.executable, Path(__file__).with_name("server.py")]
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(message: bytes) -> None:
        server.stdin.write(LENGTH.pack(len(message)))
        server.stdin.write(message)
        server.stdin.flush()

    def sign(content: bytes, who: Identity, purpose: str) -> bytes:
        return envelopes.sign(content, About(**ASKED, purpose=purpose, sender=who.name, hospitals=(who.name,)), who)

    send(json.dumps(said).encode())
    shares = {}
    for group in groups:
        heard = [who for who in group if who.name not in absent]
        for number, who in enumerate(group):
            send(sign(hospitals.letters[number % REAL], who, "update") if who in heard else b"")
        if len(heard) not in shares:
            shares[len(heard)] = hospitals.shares(len(heard))
        for number, who in enumerate(heard):
            send(sign(shares[len(heard)][number % REAL], who, "share"))
    found = json.loads(server.communicate()[0])
    print(
        f"  {count:5,} hospitals, {found['lists']:2} lists, {found['absent']:2} absent: peak {found['peak_mb']:3.0f} MB "
        f"({found['peak_before_the_first_message_mb']:.0f} before the first message), "
        f"{1e3 * found['seconds_a_message']:5.1f} ms a message (at most {found['most_seconds_a_message']:.2f} s), an "
        f"answer of {found['answer_mb']:.0f} MB after at most {found['most_seconds_for_an_answer']:.2f} s"
    )
    return found


def main() -> None:
    hospitals = Hospitals()
    message_mb = len(hospitals.letters[0]) / 2**20
    print(f"{NUMBERS:,} numbers of {BITS} bits, letters of {message_mb:.1f} MB, lists of {LISTED}:")
    print(
        f"  a letter takes {median(hospitals.took):.2f} s with what is stored, and {hospitals.memory_mb:.0f} MB beside "
        f"the update's {8 * NUMBERS / 2**20:.0f}"
    )
    points = [point(count, hospitals) for count in HOSPITALS]
    peaks = [point["peak_mb"] for point in points]
    growth, steps = max(peaks) / min(peaks), ("most_seconds_a_message", "most_seconds_for_an_answer")
    stall = max(points[-1][step] for step in steps)
    print("Targets:")
    target(f"peak memory, most by least, {HOSPITALS[0]} to {HOSPITALS[-1]} hospitals", growth, growth < 1.1, " times")
    target("no stall: the slowest message and answer, at most", stall, stall < 2, " s")
    report = {"numbers": NUMBERS, "bits": BITS, "listed": LISTED, "message_mb": message_mb, "points": points}
    report |= {"encrypt_seconds": median(hospitals.took), "encrypt_mb": hospitals.memory_mb}
    write("scale", report | {"versions": environment.versions()})


if __name__ == "__main__":
    main()
