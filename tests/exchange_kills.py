"""Whole studies of real processes on one faulty folder, which are killed (SIGKILL) and started again.

``python tests/exchange_kills.py 0 50`` plays the seeds 0 to 49, and prints a line of
JSON a study. This process loads everything once and forks the others, so that a
process starts in milliseconds; it loads no TensorFlow and has no threads.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import exchange_parts
import fsspec
from exchange_faults import Faulty

from fedkit.encryption.identities import Identity
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings
from fedkit.exchange.journal import events
from fedkit.exchange.study import Study

HOSPITALS, ROUNDS, POLL = 6, 3, 0.01
FEDERATION = exchange_parts.federation(HOSPITALS)
SETTINGS = Settings.of(FEDERATION, rounds=ROUNDS, quorum=HOSPITALS)
TEACHER, ADDER = Identity("Teacher", bytes(32)), Identity("Adder", b"\1" * 32)
IDENTITIES = {name: Identity(name, bytes([2 + at]) * 32) for at, name in enumerate(FEDERATION.names)}


def make(folder: Folder) -> None:
    maker = Maker(folder, TEACHER)
    maker.invite(SETTINGS, (ADDER.name, ADDER.public))
    while maker.study.roster is None:
        if len(maker.requests()) == HOSPITALS:
            with contextlib.suppress(ValueError):  # just now, its own opening from before a restart came to light
                maker.open()
        else:
            time.sleep(POLL)


def coordinate(folder: Folder, aloud: str) -> None:
    Coordinator(folder, ADDER, invitation=aloud).run(POLL, tell=len)


def take_part(folder: Folder, aloud: str, name: str, results: Path) -> None:
    work = exchange_parts.Logistic
    participant = Participant(folder, IDENTITIES[name], FEDERATION[name], invitation=aloud, work=work)
    status = participant.run(POLL, tell=len)
    assert status.stage == "done", status
    (results / f"{name}.part").write_bytes(b"".join(weight.tobytes() for weight in participant.weights))
    os.replace(results / f"{name}.part", results / name)


def start(job: Callable, where: str, seed: int, *about: object) -> int:
    """Fork a process that does a job on a faulty folder."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            job(Folder(where, Faulty(seed)), *about)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def study(seed: int, kills: int | None = None, patience: float = 120) -> dict:
    """Play one study, and kill processes in it; what is wrong with its end stands in "wrong", or nothing."""
    draw = random.Random(seed)
    kills = draw.randint(6, 16) if kills is None else kills
    where, results = tempfile.mkdtemp(), Path(tempfile.mkdtemp())
    # Elsewhere, the same invitation that the maker's process will write: all must be told its fingerprint.
    elsewhere = Folder(where, fsspec.filesystem("memory"))
    aloud = Maker(elsewhere, TEACHER).invite(SETTINGS, (ADDER.name, ADDER.public))
    jobs = [(make,), (coordinate, aloud), *((take_part, aloud, name, results) for name in FEDERATION.names)]
    began, killed, starts = time.monotonic(), 0, 0
    running: dict[int, tuple] = {}

    def launch(job: tuple) -> None:
        nonlocal starts
        running[start(job[0], where, 1000 * seed + starts, *job[1:])] = job
        starts += 1

    wrong = []
    for job in jobs:
        launch(job)
    while running and not wrong:
        time.sleep(draw.random() * 0.15)
        while (ended := os.waitpid(-1, os.WNOHANG) if running else (0, 0))[0]:
            job = running.pop(ended[0])
            if os.waitstatus_to_exitcode(ended[1]) != 0:
                wrong.append(f"{job[0].__name__} {job[1:2]} ended with {os.waitstatus_to_exitcode(ended[1])}")
        if killed < kills and running:
            victim = draw.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            job, status = running.pop(victim), os.waitpid(victim, 0)[1]
            if os.WIFSIGNALED(status):
                killed += 1
                launch(job)
            elif os.waitstatus_to_exitcode(status):
                wrong.append(f"{job[0].__name__} {job[1:2]} ended with {os.waitstatus_to_exitcode(status)}")
        if time.monotonic() - began > patience:
            wrong.append(f"not done after {patience} s")
    for child in running:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    seconds = time.monotonic() - began
    wrong += look(where, aloud, results) if not wrong else []
    letters = {path.name[:32] for path in Path(where).glob("round-*/*")}
    sums = {path.name[:32] for path in Path(where).glob("sum-*/*")}
    found = {
        "seed": seed,
        "kills": killed,
        "seconds": round(seconds, 2),
        "letters twice": len(letters) - HOSPITALS * (ROUNDS + 2),
        "sums twice": len(sums) - (ROUNDS + 2),
        "left aside": len(list(Path(where, "incoming").iterdir())),
        "models": sorted({file.read_bytes().hex() for file in results.iterdir()}),
    }
    shutil.rmtree(where)
    shutil.rmtree(results)
    return found | {"wrong": wrong}


def look(where: str, aloud: str, results: Path) -> list[str]:
    """What is wrong with the end of a study, in sentences."""
    wrong = [f"{name} has no model" for name in FEDERATION.names if not (results / name).exists()]
    reader = Study(Folder(where), aloud)
    reader.refresh()
    chain = reader.chain()
    if len(chain) != ROUNDS + 3:
        wrong.append(f"{len(chain) - 1} rounds were closed")
    for round, digest in enumerate(chain[1:]):
        counted = reader.links[digest].counted
        lying = {name[:32] for name in os.listdir(f"{where}/round-{round:05d}")}
        if set(counted) != set(FEDERATION.names) or len(set(counted.values())) != HOSPITALS:
            wrong.append(f"round {round} counted {counted}")
        if not set(counted.values()) <= lying:
            wrong.append(f"round {round} lost a letter")
    try:
        events(Folder(where))
    except ValueError as problem:
        wrong.append(str(problem))
    return wrong


if __name__ == "__main__":
    for each in range(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(study(each)), flush=True)
