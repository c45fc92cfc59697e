"""The server of a point of `scale.py`, in a process of its own: nothing is loaded that a server does not need.

It reads its keys, what it expects, and the messages from stdin, each behind its length, and
tells what it took.
"""

import json
import re
import struct
import sys
import time
from pathlib import Path

from fedkit import encryption
from fedkit.encryption import envelopes
from fedkit.encryption.envelopes import Roster

LENGTH = struct.Struct("<Q")


def receive() -> bytes:
    return sys.stdin.buffer.read(*LENGTH.unpack(sys.stdin.buffer.read(LENGTH.size)))


def peak_mb() -> float:
    """Most memory that this process had. (`resource` would count its parent's before it was started.)"""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def main() -> None:
    server, about = encryption.Server(receive()), json.loads(receive())
    roster = Roster({name: bytes.fromhex(public) for name, public in about.pop("roster").items()})
    total, seconds, before = encryption.Sum(server), [], peak_mb()
    for name in roster:
        message = receive()
        began = time.perf_counter()
        _, content = envelopes.read(message, roster[name], **about, sender=name, most=0)
        total.add(content)
        seconds.append(time.perf_counter() - began)
        del message, content
    began = time.perf_counter()
    answer = total.to_bytes()
    found = {
        "hospitals": len(roster),
        "peak_mb": peak_mb(),
        "peak_before_the_first_message_mb": before,
        "seconds_a_message": sum(seconds) / len(seconds),
        "most_seconds_a_message": max(seconds),
        "seconds_for_the_answer": time.perf_counter() - began,
        "answer_mb": len(answer) / 2**20,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
