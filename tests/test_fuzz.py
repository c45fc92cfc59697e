"""Whatever arrives: no crash, no hang, no error but a `MessageError`, and nothing taken that should not be.

Hostile bytes are delivered in processes of their own, up to two thousand cases each, so that a case that ends its
process is noticed, and named: `fuzzing` does it again. ``FUZZ=100 make test TESTS=tests/test_fuzz.py`` tries 100
times as many.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import fuzzing
import pytest

MORE = int(os.environ.get("FUZZ", 1))
BATCH = 2000
SECONDS = 100  # of computing: a batch takes ten, so that a process that takes so long hangs
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


def run(progress, family: str, first: int, last: int, seconds: int = SECONDS) -> tuple[Counter, list[str]]:
    """Run cases in a process: what was said how often, and what went wrong."""
    progress.write_bytes(b"none")
    command = map(str, [sys.executable, fuzzing.__file__, family, first, last, progress, seconds])
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=20 * SECONDS)
    except subprocess.TimeoutExpired:
        return Counter(), [f"case {progress.read_text().strip()}: waits for ever"]
    if done.returncode:
        ended = "hangs" if done.returncode == -signal.SIGXCPU else f"exit {done.returncode}"
        return Counter(), [f"case {progress.read_text().strip()}: {ended}: {done.stderr[-800:]}"]
    told = json.loads(done.stdout)
    return Counter(told["said"]), told["wrong"]


@pytest.mark.parametrize("family", CASES)
def test_hostile_bytes_are_refused(tmp_path, family):
    (cases, sentences), said = CASES[family], Counter()
    for first in range(0, cases * MORE, BATCH):
        found, wrong = run(tmp_path / "progress", family, first, min(first + BATCH, cases * MORE))
        assert wrong == [], f"{family}: {wrong[:5]}"
        said += found
    assert said.total() == cases * MORE
    missing = [sentence for sentence in sentences.split("|") if not any(sentence in one for one in said)]
    assert missing == [], f"these cases never got as far as that: {missing}; {said}"


def test_what_must_not_be_is_noticed_and_named(tmp_path):
    for case, said in enumerate(["KeyError: 'a bug'", "something was taken", "exit -6", "MemoryError", "hangs"]):
        _, (wrong,) = run(tmp_path / "progress", "broken", case, case + 1, seconds=4)
        assert wrong.startswith(f"case {case}: ")
        assert said in wrong
