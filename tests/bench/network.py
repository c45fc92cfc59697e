"""A study over NVFlare under faults, with real processes on this machine: what happens, and are the bytes equal?

    python tests/bench/network.py [--kills 3] [FAULT ...]
    python tests/bench/network.py --kills 0 real    # what `make network` plays

Work is a gradient step in numpy. Each line names a fault, the seconds from start to end, and what came of it; it ends
with 1 if a model was not the rehearsal's, or a process stayed behind.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = f"{Path(__file__).parents[2]}:{Path(__file__).parents[1]}"

from exchange_parts import Logistic, federation

from fedkit import exchange, hospitals
from fedkit.encryption import messages, vault
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, Watch, letters
from fedkit.exchange.folder import digest, quoted
from fedkit.exchange.rounds import parameters
from fedkit.network import environment
from fedkit.network.loopback import SERVER, Loopback
from fedkit.network.post import Board

vault._COST = 14
DATA, ROUNDS, WORK = federation(3), 20, "exchange_parts:Logistic"


class Line:
    """A slow or cut line on loopback, in front of a server."""

    def __init__(self, port: int, seconds: float = 0.0, bytes_a_second: float = 1e9) -> None:
        self.to, self.seconds, self.speed, self.cut = port, seconds, bytes_a_second, False
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
def study():
    with tempfile.TemporaryDirectory() as place, Loopback(Path(place), DATA, work=WORK, rounds=ROUNDS) as made:
        yield made


def round_(made: Loopback) -> int:
    return made.status(SERVER).get("round", 0)


def done(made: Loopback, seconds: float = 300) -> float:
    return made.until(lambda: all("model" in made.status(name) for name in DATA.names), seconds)


def equal(made: Loopback) -> bool:
    wanted = [each.tobytes() for each in exchange.rehearse(DATA, rounds=ROUNDS, work=Logistic)[0].weights]
    found = [np.load(made.kits[name] / "model.npz") for name in DATA.names]
    return all([each[f"arr_{at}"].tobytes() for at in range(2)] == wanted for each in found)


def undisturbed() -> str:
    with study() as made:
        made.start()
        made.until(lambda: round_(made) >= 1, 120)
        seconds = done(made) / ROUNDS
        counts = [made.status(name) for name in DATA.names]
        up, down = (sum(each[way] for each in counts) / len(counts) / 1e3 for way in ("up", "down"))
        return f"{equal(made)}: {seconds:.2f} s a round; a hospital sent {up:.0f} kB and read {down:.0f} kB"


def kills(seed: int) -> str:
    rng, said = random.Random(seed), []
    with study() as made:
        made.start()
        for at in sorted(rng.sample(range(1, ROUNDS - 2), 3)):
            made.until(lambda at=at: round_(made) >= at, 300)
            time.sleep(rng.random())
            victims = rng.sample([SERVER, *DATA.names], rng.choice((1, 1, 2)))
            made.kill(*victims)
            time.sleep(rng.choice((0.0, 2.0)))
            made.start(*victims)
            said.append(f"round {at}: {' and '.join(victims)}")
        done(made)
        return f"{equal(made)}: {'; '.join(said)}"


def slow() -> str:
    with study() as made:
        line = Line(made.port, 0.1, 50_000)
        towards(made, "Hospital 1", line.port)
        made.start()
        made.until(lambda: round_(made) >= 1, 120)
        return f"{done(made) / ROUNDS:.1f} s a round with 0.1 s and 50 kB/s each way at one hospital: {equal(made)}"


def partition() -> str:
    with study() as made:
        line = Line(made.port)
        towards(made, "Hospital 1", line.port)
        made.start()
        made.until(lambda: round_(made) >= 3, 120)
        line.cut = True
        here = made.until(lambda: "Hospital 1" in made.status(SERVER)["wrong"], 30)
        there = made.until(lambda: made.status("Hospital 1")["wrong"], 30)
        time.sleep(15)
        line.cut = False
        after = done(made)
        return (
            f"said at the server after {here:.0f} s, there {there:.0f} s later; on after {after:.0f} s: {equal(made)}"
        )


def towards(made: Loopback, name: str, port: int) -> None:
    """Have a hospital speak to another port."""
    file = made.kits[name] / "consent.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"port": port}))


def full_disk() -> str:
    """Each kit in turn on a file system of its own, which is full for a while."""
    said = []
    for name in (SERVER, "Hospital 1"):
        with study() as made:
            kit = made.kits[name]
            shutil.copytree(kit, aside := kit.with_suffix(".aside"))
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", kit], check=True)
            try:
                kit.chmod(0o700)
                shutil.copytree(aside, kit, dirs_exist_ok=True)
                made.start()
                made.until(lambda: round_(made) >= 3, 120)
                with contextlib.suppress(OSError), open(kit / "filler", "wb") as filler:
                    while filler.write(b"0" * 4096):
                        filler.flush()
                time.sleep(8)
                out = [line for line in (kit / "out.txt").read_text().splitlines() if "No space left" in line]
                elsewhere = made.status(name)["wrong"]
                alive = made.processes[name].poll() is None
                (kit / "filler").unlink()
                if not alive:
                    made.kill(name)
                    made.start(name)
                done(made)
                said.append(f"{name}: {equal(made)}, alive {alive}, said {(out or [elsewhere])[-1][:90]!r}")
            finally:
                made.kill()
                subprocess.run(["umount", "-l", kit], check=True)
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
    return f"{len(models) == 1}: {seconds:.0f} s; all processes have ended"


def thousand(count: int = 1000, group: int = 50) -> str:
    """A board without an engine, and 1,000 hospitals in groups, 1% of them absent: a round of letters of real size."""
    people = [Identity(f"hospital {at}", at.to_bytes(32)) for at in range(count)]
    boss = Identity("Server", b"S" * 32)
    roster = {one.name: fingerprint(one.public) for one in [boss, *people]}
    here, groups = people[: count * 99 // 100], [people[at : at + group] for at in range(0, count, group)]
    given = parameters(exchange.Settings.of(federation(3, columns=13), most_hospitals=count), count)
    one, two = messages.letter_bytes(given, 271), messages.share_bytes(given, group)
    total = len(groups) * messages.sum_bytes(given, 271, group)

    def letter(me: Identity, kind: str, size: int) -> tuple[str, str, bytes]:
        data = letters.signed(os.urandom(size), About("0" * 32, kind, 2, me.name, (me.name,)), me)
        return f"{kind}-00002", f"{digest(data)}.{quoted(me.name)}.letter", data

    with tempfile.TemporaryDirectory() as place:
        folder = Folder(place)
        board, after, moved, spent = Board(folder, roster, 60), {}, Counter(), Counter()
        board.groups = [{one.name for one in each} for each in groups]

        def ask(name: str, phase: str, *new: tuple) -> None:
            question = {"name": name, "board": board._id, "after": after.get(name, 0), "letters": [*new]}
            began = time.process_time()
            answer = board.answer(question)
            spent[phase] += time.process_time() - began
            after[name] = answer["after"]
            moved["up"] += sum(len(data) for *_, data in new)
            moved["down"] += sum(len(data) for *_, data in answer["letters"])

        for phase, kind, size, by in (("one", "one", one, "list"), ("two", "two", two, "sum")):
            for me in here:
                ask(me.name, phase, letter(me, kind, size))
            said = letter(boss, by, 40 * count if by == "list" else total)
            began = time.process_time()
            folder.post(said[0], boss.name, said[2])
            board.look()
            spent[by] += time.process_time() - began
            for me in here:
                ask(me.name, by)
        for me in here:
            ask(me.name, "idle")
        idle = spent.pop("idle") / len(here)
        memory = psutil.Process().memory_info().rss / 1e6
        kilo = {way: moved[way] / len(here) / 1e3 for way in moved}
        phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in spent.items())
        return (
            f"True: {sum(spent.values()):.1f} s of the board a round ({phases}), a hospital sends {kilo['up']:.1f} kB "
            f"and reads {kilo['down']:.1f}; an idle question takes {idle * 1e3:.2f} ms without the engine, and "
            f"{count / board.again:.0f} come a second; {memory:.0f} MB with all of it"
        )


FAULTS = {
    "thousand": thousand,
    "undisturbed": undisturbed,
    "slow": slow,
    "partition": partition,
    "full_disk": full_disk,
    "real": real,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="how many seeded runs of kills")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("faults", nargs="*", help=", ".join(FAULTS))
    given, bad = parser.parse_args(), 0
    wanted = given.faults or [name for name in FAULTS if name != "real"]
    if not environment.ready():
        print(environment.ABSENT)
        wanted, given.kills = ["thousand"], 0
    runs = [(name, FAULTS[name]) for name in wanted]
    seeds = range(given.first, given.first + given.kills)
    runs += [(f"kills, seed {seed}", lambda seed=seed: kills(seed)) for seed in seeds]
    for name, run in runs:
        began = time.monotonic()
        try:
            said = run()
        except Exception as problem:
            said = f"False: {type(problem).__name__}: {problem}"
        left = [each.pid for each in psutil.Process().children(recursive=True) if each.status() != "zombie"]
        bad += "False:" in said or ": False" in said or bool(left)
        print(f"{name}: {time.monotonic() - began:.0f} s, {said}{f'; LEFT {left}' if left else ''}", flush=True)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
