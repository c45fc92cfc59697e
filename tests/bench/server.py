"""The server of a point of `scale.py`, in a process of its own: nothing is loaded that a server does not need.

It reads what it expects and the messages from stdin, each behind its length, list by list, and tells what it took.
"""

import json
import re
import struct
import sys
import time
from pathlib import Path

from fedkit import encryption
from fedkit.encryption import envelopes, messages
from fedkit.encryption.envelopes import Roster

LENGTH = struct.Struct("<Q")


def receive() -> bytes:
    return sys.stdin.buffer.read(*LENGTH.unpack(sys.stdin.buffer.read(LENGTH.size)))


def peak_mb() -> float:
    """Most memory that this process had. (`resource` would count its parent's before it was started.)"""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def main() -> None:
    said = json.loads(receive())
    parameters, coefficients, asked = encryption.Parameters(*said["parameters"]), said["coefficients"], said["asked"]
    roster = Roster({name: bytes.fromhex(public) for name, public in said["roster"].items()})
    size, seconds, answers, absent, before = messages.letter_bytes(parameters, coefficients), [], [], 0, peak_mb()
    for group in said["lists"]:
        server, heard = encryption.Server(parameters, coefficients=coefficients), []
        for name in group:
            message = receive()
            began = time.perf_counter()
            try:
                how = {"purpose": "update", "sender": name, "size": size}
                server.take(envelopes.read(message, roster[name], **asked, **how)[1])
                heard.append(name)
            except encryption.MessageError:
                absent += 1
            seconds.append(time.perf_counter() - began)
            del message
        for name in heard:
            message = receive()
            how = {"purpose": "share", "sender": name, "size": messages.share_bytes(parameters, len(heard))}
            server.take_share(envelopes.read(message, roster[name], **asked, **how)[1])
        began = time.perf_counter()
        answer_mb = len(server.total()) / 2**20  # which goes to the hospitals of the list
        answers.append(time.perf_counter() - began)
    found = {
        "hospitals": len(roster),
        "lists": len(said["lists"]),
        "absent": absent,
        "peak_mb": peak_mb(),
        "peak_before_the_first_message_mb": before,
        "seconds_a_message": sum(seconds) / len(seconds),
        "most_seconds_a_message": max(seconds),
        "most_seconds_for_an_answer": max(answers),
        "answer_mb": answer_mb,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
