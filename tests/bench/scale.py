"""A server that adds as messages arrive: seconds and memory against the number of hospitals; encryption on cores.

Each point is a server of its own, in a fresh process, which reads signed messages from a
pipe, one at a time. Written to figures/measured/scale.json.
"""

import json
import os
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
from reporting import seconds, target, write
from server import LENGTH

from fedkit import encryption
from fedkit.compat import environment
from fedkit.encryption import HospitalKeys, envelopes, messages, quantization
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import SEED_BYTES

HOSPITALS = (10, 100, 400, 1000)  # from 480 on, seeds are longer than what they stretch to, and added up as well
NUMBERS, BITS = 10_000_000, 16


def keys_and_layout(cores: int = 1) -> tuple[HospitalKeys, Layout, np.ndarray]:
    """The same keys for every point, with room for the most hospitals; and an update of normal values."""
    keys = encryption.generate_keys("bfv", hospitals=max(HOSPITALS), numbers=NUMBERS, bits=BITS, cores=cores)
    update = np.random.default_rng(0).normal(size=NUMBERS)
    bound = 2 * np.abs(update).max() * 100 * max(HOSPITALS)
    return keys, Layout((quantization.packed_layer(NUMBERS, bound, keys.parameters),)), update


def point(hospitals: int, keys: HospitalKeys, layout: Layout, contents: list[bytes]) -> dict:
    """Send a few real messages again and again, each with seeds of its own and signed by another hospital."""
    seeds = SEED_BYTES * messages.ciphertexts(keys.parameters, keys.read(contents[0]).coefficients)
    identities = [Identity.new(f"hospital {number}") for number in range(hospitals)]
    asked = {"study": keys.key_id.hex(), "purpose": "update", "round": 1}
    roster = {who.name: who.public.hex() for who in identities}
    program = [sys.executable, Path(__file__).with_name("server.py")]
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(message: bytes) -> None:
        server.stdin.write(LENGTH.pack(len(message)))
        server.stdin.write(message)
        server.stdin.flush()

    send(keys.public)
    send(json.dumps(asked | {"size": keys.message_bytes(layout), "roster": roster}).encode())
    for who, content in zip(identities, islice(cycle(contents), hospitals), strict=True):
        content = content[:-seeds] + os.urandom(seeds)  # what comes twice is refused; nobody decrypts this sum
        send(envelopes.sign(content, About(**asked, sender=who.name, hospitals=(who.name,)), who))
    found = json.loads(server.communicate()[0])
    print(
        f"  {hospitals:6,} hospitals: peak {found['peak_mb']:6.0f} MB ({found['peak_before_the_first_message_mb']:.0f} "
        f"before the first message), {1e3 * found['seconds_a_message']:6.1f} ms a message (at most "
        f"{found['most_seconds_a_message']:.2f} s), answer {found['answer_mb']:.0f} MB after "
        f"{found['seconds_for_the_answer']:.1f} s"
    )
    return found


def encrypting(cores: int) -> float:
    """Median seconds of encrypting the update on so many cores; the first time starts the processes."""
    keys, layout, update = keys_and_layout(cores)
    return median([seconds(lambda: keys.encrypt(update, 100, layout)) for _ in range(4)][1:])


def main() -> None:
    took = {str(cores): encrypting(cores) for cores in (1, 2)}
    keys, layout, update = keys_and_layout()
    contents = [keys.encrypt(np.roll(update, shift), 100, layout) for shift in range(3)]
    message_mb = len(contents[0]) / 2**20
    print(f"{NUMBERS:,} numbers of {BITS} bits, messages of {message_mb:.1f} MB:")
    print("  encryption: " + ", ".join(f"{value:.2f} s on {cores} core(s)" for cores, value in took.items()))
    points = [point(hospitals, keys, layout, contents) for hospitals in HOSPITALS]
    peaks = [point["peak_mb"] for point in points]
    growth = max(peaks) / min(peaks)
    print("Targets:")
    target(f"peak memory, most by least, {HOSPITALS[0]} to {HOSPITALS[-1]} hospitals", growth, growth < 1.5, " times")
    target("two cores encrypt faster than one", took["1"] / took["2"], took["1"] > took["2"], " times")
    report = {"numbers": NUMBERS, "bits": BITS, "message_mb": message_mb, "points": points}
    write("scale", report | {"encrypt_seconds": took, "versions": environment.versions()})


if __name__ == "__main__":
    main()
