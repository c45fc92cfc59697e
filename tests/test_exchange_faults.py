"""Real processes on a faulty folder, killed at random moments: the same final model, to the byte, in every study."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import exchange_kills
import pytest
from exchange_faults import Faulty
from exchange_parts import Class

from fedkit.exchange import Folder
from fedkit.exchange.folder import digest

STUDIES = 50


@pytest.fixture(scope="module")
def undisturbed():
    room = Class("memory://undisturbed", exchange_kills.FEDERATION, rounds=exchange_kills.ROUNDS, quorum=6).open()
    room.play()
    (model,) = room.models()
    return model.hex()


def test_killed_processes_on_a_faulty_folder_make_the_same_model(undisturbed):
    """SIGKILL at random moments, in studies of 6 hospitals, a coordinator and a maker, each a process."""
    script = Path(exchange_kills.__file__)
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # what forks has no threads
    command = [sys.executable, script, "0", str(STUDIES)]
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    studies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [study["wrong"] for study in studies] == [[]] * STUDIES, done.stderr
    assert [study["models"] for study in studies] == [[undisturbed]] * STUDIES
    assert min(study["kills"] for study in studies) >= 3
    # It was no fair weather: letters were sent twice, since their writer did not see them, or never ended.
    assert sum(study["letters twice"] for study in studies) > 0
    assert sum(study["left aside"] for study in studies) > 0


def test_the_faults_happen(tmp_path):
    """Late, stale, shuffled, short, twice and half written: a folder on a bad day."""
    for number in range(20):
        Folder(tmp_path).post("place", "Basel", bytes([number]) * 50)
    names = [f"{tmp_path}/place/{digest(bytes([number]) * 50)}.Basel.letter" for number in range(20)]
    faulty = Faulty(1, delay=0.05)
    listings = [[entry["name"] for entry in faulty.ls(f"{tmp_path}/place", detail=True)] for _ in range(400)]
    assert len(listings[0]) < 20, "late"
    assert any(listing != sorted(listing) for listing in listings), "shuffled"
    assert any(set(after) < set(before) for before, after in pairwise(listings)), "stale"
    assert any(f"({copy})" in name for name in os.listdir(tmp_path / "place") for copy in (1, 2)), "twice"
    assert {len(faulty.cat_file(names[0])) for _ in range(200)} > {50}
    with pytest.raises(AssertionError, match="nobody ever reads"):
        faulty.cat_file(f"{tmp_path}/incoming/x")


def test_a_faulty_folder_in_one_process_shows_every_letter_once_in_the_end(tmp_path):
    reader, seen = Folder(tmp_path, Faulty(2, delay=0.01)), []
    writer = Folder(tmp_path, Faulty(3))
    for number in range(30):
        writer.post("place", "Basel", bytes([number]) * 50)
        seen += [found.data[0] for found in reader.new("place", 100)]
    for _ in range(2000):
        seen += [found.data[0] for found in reader.new("place", 100)]
        if len(seen) >= 30:
            break
    assert sorted(seen) == list(range(30))
