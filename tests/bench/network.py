"""A study over NVFlare under faults, with real processes on this machine: what happens, and are the bytes equal?

    python tests/bench/network.py [--kills 3] [FAULT ...]
    python tests/bench/network.py --kills 0 real    # what `make network` plays

Work is a gradient step in numpy. Each line names a fault, the seconds from start to end, and what came of it; it ends
with 1 if a model was not the rehearsal's up to rounding, or a process stayed behind.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = f"{Path(__file__).parents[2]}:{Path(__file__).parents[1]}"

from exchange_parts import federation
from network_parts import DATA, Trial, letter

from fedkit import exchange, hospitals
from fedkit.encryption import messages, vault
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Watch
from fedkit.exchange.rounds import parameters
from fedkit.network import environment
from fedkit.network.loopback import SERVER, Loopback
from fedkit.network.post import Board

vault._COST = 14
ROUNDS = 20


class Line:
    """A slow or cut line on loopback, in front of a server's port (`to`)."""

    def __init__(self, seconds: float = 0.0, bytes_a_second: float = 1e9) -> None:
        self.to, self.seconds, self.speed, self.cut = 0, seconds, bytes_a_second, False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self.socket.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.to))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                while self.cut:
                    time.sleep(0.05)
                time.sleep(self.seconds + len(data) / self.speed)
                sink.sendall(data)
        for each in (source, sink):
            each.close()


@contextlib.contextmanager
def study(rounds: int = ROUNDS, line: "Line | None" = None, disk: str = ""):
    """A trial; a hospital may be behind a line, and a kit on a small disk of its own."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as after:
        if disk:
            (kit := Path(place, disk)).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", kit], check=True)
            after.callback(subprocess.run, ["umount", "-l", kit], check=True)
        made = after.enter_context(Trial(Path(place), rounds))
        if line:
            line.to = made.port
            consent = made.kits["Hospital 1"] / "consent.json"
            consent.write_text(json.dumps(json.loads(consent.read_text()) | {"port": line.port}))
        yield made


def undisturbed() -> str:
    with study() as made:
        made.start()
        made.reach(1)
        seconds = made.end() / ROUNDS
        counts = [made.status(name) for name in DATA.names]
        up, down = (sum(each[way] for each in counts) / len(counts) / 1e3 for way in ("up", "down"))
        return f"{seconds:.2f} s a round; a hospital sent {up:.0f} kB and read {down:.0f} kB"


def kills(seed: int) -> str:
    rng, said = random.Random(seed), []
    with study() as made:
        made.start()
        for at in sorted(rng.sample(range(1, ROUNDS - 2), 3)):
            made.reach(at, 300)
            time.sleep(rng.random())
            victims = rng.sample([SERVER, *DATA.names], rng.choice((1, 1, 2)))
            made.kill(*victims)
            time.sleep(rng.choice((0.0, 2.0)))
            made.start(*victims)
            said.append(f"round {at}: {' and '.join(victims)}")
        made.end()
        return "; ".join(said)


def slow() -> str:
    with study(line=Line(0.1, 50_000)) as made:
        made.start()
        made.reach(1)
        return f"{made.end() / ROUNDS:.1f} s a round with 0.1 s and 50 kB/s each way at one hospital"


def partition() -> str:
    with study(line=(line := Line())) as made:
        made.start()
        made.reach(3)
        line.cut = True
        here = made.hear(SERVER, "Hospital 1", 30)
        there = made.until(lambda: made.status("Hospital 1")["wrong"], 30)
        time.sleep(15)
        line.cut = False
        return f"said at the server after {here:.0f} s, there {there:.0f} s later; on after {made.end():.0f} s"


def full_disk() -> str:
    """Each kit in turn on a file system of its own, which is full for a while."""
    said = []
    for name in (SERVER, "Hospital 1"):
        with study(disk=name) as made:
            made.start()
            made.reach(3)
            filler, out = made.kits[name] / "filler", made.kits[name] / "out.txt"
            with contextlib.suppress(OSError), open(filler, "wb") as file:
                while file.write(b"0" * 4096):
                    file.flush()
            time.sleep(8)
            heard = [line for line in out.read_text().splitlines() if "No space left" in line]
            heard, alive = heard or [made.status(name)["wrong"]], made.processes[name].poll() is None
            filler.unlink()
            if not alive:
                made.kill(name)
                made.start(name)
            made.end()
            said.append(f"{name}: alive {alive}, said {heard[-1][:90]!r}")
    return "; ".join(said)


def real() -> str:
    """Ten rounds of TensorFlow Federated on the four real hospitals: who posted when, the model at each, and bytes."""
    federation = hospitals.load("heart_disease")
    with tempfile.TemporaryDirectory() as place, Loopback(Path(place), federation, rounds=10, epochs=5) as made:
        watch, printed = Watch(made.kits[SERVER] / "study", made.invitation), ""
        made.start()

        def ended() -> bool:
            nonlocal printed
            progress = watch.look()
            if str(progress) != printed:
                printed = str(progress)
                print(progress, flush=True)
            return all("model" in made.status(name) for name in federation.names)

        seconds, models = made.until(ended, 600), set()
        for name, said in ((name, made.status(name)) for name in federation.names):
            models.add(said["model"])
            print(f"{name}: {said['model']}, AUROC {said['auroc']:.3f}, {said['up']:,} bytes up, {said['down']:,} down")
    assert len(models) == 1, "The models differ."
    return f"{seconds:.0f} s; all processes have ended"


def thousand(count: int = 1000, group: int = 50) -> str:
    """A board without an engine, and 1,000 hospitals in groups, 1% of them absent: a round of letters of real size."""
    people = [Identity(f"hospital {at}", at.to_bytes(32)) for at in range(count)]
    boss = Identity("Server", b"S" * 32)
    roster = {one.name: fingerprint(one.public) for one in [boss, *people]}
    here, groups = people[: count * 99 // 100], [people[at : at + group] for at in range(0, count, group)]
    given = parameters(exchange.Settings.of(federation(3, columns=13), most_hospitals=count), count)
    first = "one", messages.letter_bytes(given, 271), "list", 40 * count
    second = "two", messages.share_bytes(given, group), "sum", len(groups) * messages.sum_bytes(given, 271, group)

    def random_letter(me: Identity, kind: str, size: int) -> tuple[str, str, bytes]:
        return letter(me, f"{kind}-00002", os.urandom(size), kind, 2)

    with tempfile.TemporaryDirectory() as place:
        board, after, moved, spent = Board(place, roster, 60), {}, Counter(), Counter()
        board.groups = [{one.name for one in each} for each in groups]

        def ask(name: str, phase: str, *new: tuple) -> None:
            question = {"name": name, "board": board._id, "after": after.get(name, 0), "letters": [*new]}
            began = time.process_time()
            answer = board.answer(question)
            spent[phase] += time.process_time() - began
            after[name] = answer["after"]
            moved["up"] += sum(len(data) for *_, data in new)
            moved["down"] += sum(len(data) for *_, data in answer["letters"])

        for kind, size, by, whole in (first, second):
            for me in here:
                ask(me.name, kind, random_letter(me, kind, size))
            place, _, data = random_letter(boss, by, whole)
            began = time.process_time()
            board._folder.post(place, boss.name, data)
            board.look()
            spent[by] += time.process_time() - began
            for me in here:
                ask(me.name, by)
        for me in here:
            ask(me.name, "idle")
        idle = spent.pop("idle") / len(here)
        kilo = {way: moved[way] / len(here) / 1e3 for way in moved}
        phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in spent.items())
        return (
            f"{sum(spent.values()):.1f} s of the board a round ({phases}), a hospital sends {kilo['up']:.1f} kB "
            f"and reads {kilo['down']:.1f}; an idle question takes {idle * 1e3:.2f} ms without the engine, and "
            f"{count / board.again:.0f} come a second"
        )


RUNS = (thousand, undisturbed, slow, partition, full_disk, real)
FAULTS = {run.__name__: run for run in RUNS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="how many seeded runs of kills")
    parser.add_argument("faults", nargs="*", help=", ".join(FAULTS))
    given, bad = parser.parse_args(), 0
    wanted = given.faults or [name for name in FAULTS if name != "real"]
    if not environment.ready():
        print(environment.ABSENT)
        wanted, given.kills = ["thousand"], 0
    runs = {name: FAULTS[name] for name in wanted}
    runs |= {f"kills, seed {seed}": partial(kills, seed) for seed in range(given.kills)}
    for name, run in runs.items():
        began = time.monotonic()
        try:
            said = run()
        except Exception as problem:
            bad, said = 1, f"FAILED, {type(problem).__name__}: {problem}"
        if left := [each.pid for each in psutil.Process().children(recursive=True) if each.status() != "zombie"]:
            bad, said = 1, f"{said}; LEFT {left}"
        print(f"{name}: {time.monotonic() - began:.0f} s, {said}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
