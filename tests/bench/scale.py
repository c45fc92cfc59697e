"""A server that adds as messages arrive: seconds and memory against the number of hospitals; encryption on cores.

Each point is a server of its own, in a fresh process, which reads signed messages from a
pipe, one at a time. Written to figures/measured/scale.json, drawn as figures/measured/scale.png.
"""

import json
import os
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from reporting import target, write
from server import LENGTH

from fedkit import encryption
from fedkit.compat import environment
from fedkit.encryption import HospitalKeys, envelopes, messages, quantization
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import SEED_BYTES
from fedkit.plots import BLUE, FAINT, INK, STYLE, VERMILLION, save, sheet

HOSPITALS = (10, 100, 400, 1000)
NUMBERS, BITS = 10_000_000, 16
SEEDS = 480  # hospitals: 64 bytes of seeds each are as long as the 4096 * 7.5 bytes that they stretch to


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
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        keys.encrypt(update, 100, layout)
        seconds.append(time.perf_counter() - began)
    return sorted(seconds[1:])[1]


@matplotlib.rc_context(STYLE)
def drawn(points: pd.DataFrame, message_mb: float) -> Figure:
    """Memory and time against the number of hospitals.

    What to see: neither grows with the number of hospitals, but that from the dotted line on the
    seeds are longer than the sum of what they stretch to, and the server takes time to add that up.
    """
    figure, axes = sheet(f"A server that adds as messages arrive: {NUMBERS:,} numbers a message", 8, 3.5, columns=2)
    memory, seconds = axes[0]
    hospitals = points["hospitals"]
    memory.plot(hospitals, points["peak_mb"], color=BLUE, marker="o", label="one message at a time (measured)")
    line = {"color": VERMILLION, "linestyle": (0, (4, 2)), "label": "all messages at once"}
    memory.plot(hospitals, hospitals * message_mb, **line)
    memory.axhline(message_mb, color=FAINT, linestyle=(0, (3, 2)), label="one message")
    seconds.plot(hospitals, 1e3 * points["seconds_a_message"], color=BLUE, marker="o")
    memory.set(title="Peak memory of its process", ylabel="MB (log scale)", yscale="log")
    seconds.set(title="To check a message and add it", ylabel="ms a message (mean)")
    for panel in (memory, seconds):
        panel.axvline(SEEDS, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
        panel.set(xscale="log", xlabel="hospitals (log scale)")
        panel.xaxis.set_major_formatter("{x:,g}")
        panel.grid()
    memory.yaxis.set_major_formatter("{x:,g}")
    seconds.set_ylim(bottom=0)
    place = {"transform": seconds.get_xaxis_transform(), "ha": "right", "va": "top", "fontsize": 8.5}
    seconds.text(0.92 * SEEDS, 0.97, "from here on, the seeds\nare added up as well", **place)
    memory.legend(loc="upper left", fontsize=8.5)
    return figure


def main() -> None:
    seconds = {str(cores): encrypting(cores) for cores in (1, 2)}
    keys, layout, update = keys_and_layout()
    contents = [keys.encrypt(np.roll(update, shift), 100, layout) for shift in range(3)]
    message_mb = len(contents[0]) / 2**20
    print(f"{NUMBERS:,} numbers of {BITS} bits, messages of {message_mb:.1f} MB:")
    print("  encryption: " + ", ".join(f"{value:.2f} s on {cores} core(s)" for cores, value in seconds.items()))
    points = [point(hospitals, keys, layout, contents) for hospitals in HOSPITALS]
    table = pd.DataFrame(points)
    growth = table["peak_mb"].max() / table["peak_mb"].min()
    print("Targets:")
    target(f"peak memory, most by least, {HOSPITALS[0]} to {HOSPITALS[-1]} hospitals", growth, growth < 1.5, " times")
    target("two cores encrypt faster than one", seconds["1"] / seconds["2"], seconds["1"] > seconds["2"], " times")
    report = {"numbers": NUMBERS, "bits": BITS, "message_mb": message_mb, "points": points}
    write("scale", report | {"encrypt_seconds": seconds, "versions": environment.versions()})
    save(drawn(table, message_mb), "scale", table, measured=True)


if __name__ == "__main__":
    main()
