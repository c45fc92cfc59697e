"""Real processes on a faulty folder, killed at random moments: the same final model, to the byte, in every study.

``python tests/test_exchange_faults.py study 0 50`` plays the studies of the seeds 0 to 49, and prints a line of JSON
each; ``boundary`` kills one party between two of its system calls, in ``hostile`` the coordinator attacks. That process
loads everything, and plays a study, once, and forks the others: one starts in milliseconds, and finds versions,
settings and scikit-learn as they are needed. It loads no TensorFlow and has no threads. The kernel keeps what a process
wrote that was killed: nothing waits for the disk.
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import fsspec
from exchange_parts import Class, Logistic, federation, model_of, twice
from fsspec.implementations.local import LocalFileSystem

from fedkit.encryption import messages
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.encryption.keyring import Keyring
from fedkit.encryption.messages import MessageError
from fedkit.exchange import EVERYBODY, Coordinator, Folder, Maker, Participant, Settings, keep, letters, rounds
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO
from fedkit.exchange.study import Added, Study

# So many seeded studies are played, and half as many with a hostile coordinator: ``STUDIES=50`` plays more.
STUDIES = int(os.environ.get("STUDIES", 6))
HOSPITALS, ROUNDS, POLL = 4, 2, 0.03
FEDERATION = federation(HOSPITALS)
SETTINGS = Settings.of(FEDERATION, rounds=ROUNDS, quorum=HOSPITALS)
TEACHER, ADDER = Identity("Teacher", bytes(32)), Identity("Adder", b"\1" * 32)
IDENTITIES = {name: Identity(name, bytes([2 + at]) * 32) for at, name in enumerate(FEDERATION.names)}


def make(folder: Folder) -> None:
    maker = Maker(folder, TEACHER)
    maker.invite(SETTINGS, (ADDER.name, ADDER.public))
    while maker.study.roster is None:
        if len(maker.step()) == HOSPITALS:
            with contextlib.suppress(ValueError):  # just now, its own opening from before a restart came to light
                maker.open()
        else:
            time.sleep(POLL)


def coordinate(folder: Folder, aloud: str, results: Path) -> None:
    Coordinator(folder, ADDER, invitation=aloud, home=results / "home").run(POLL, tell=len)


def take_part(folder: Folder, aloud: str, results: Path, name: str) -> None:
    how = {"invitation": aloud, "home": results / "home", "known": EVERYBODY, "work": Logistic, "waits_for_all": False}
    participant = Participant(folder, IDENTITIES[name], FEDERATION[name], **how)
    participant.public = True  # as in the model of the study in one process
    status = participant.run(POLL, tell=len)
    assert status.stage == "done", status
    (results / f"{name}.part").write_bytes(b"".join(weight.tobytes() for weight in participant.weights))
    os.replace(results / f"{name}.part", results / name)


def forked(job: Callable[[], None]) -> int:
    """Start a process that does a job: its number."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            job()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def undisturbed() -> bytes:
    """The model of the study in one process, where nobody is killed."""
    return model_of(HOSPITALS, rounds=ROUNDS, quorum=HOSPITALS)


def study(seed: int, patience: float = 120) -> dict:
    """Play one study, and kill processes in it; what is wrong with its end stands in "wrong", or nothing."""
    draw = random.Random(seed)
    kills = draw.randint(6, 16)
    where, results = tempfile.mkdtemp(), Path(tempfile.mkdtemp())
    # Elsewhere, the same invitation that the maker's process will write: all must be told its fingerprint.
    elsewhere = Folder(where, fsspec.filesystem("memory"))
    aloud = Maker(elsewhere, TEACHER).invite(SETTINGS, (ADDER.name, ADDER.public))
    jobs = [(make,), (coordinate, aloud, results)]
    jobs += [(take_part, aloud, results, name) for name in FEDERATION.names]
    began, killed, starts, wrong = time.monotonic(), 0, itertools.count(1000 * seed), []
    running: dict[int, tuple] = {}

    def launch(job: tuple) -> None:
        seed = next(starts)
        running[forked(lambda: job[0](Folder(where, Faulty(seed)), *job[1:]))] = job

    def ended(child: int, status: int) -> tuple:
        job = running.pop(child)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            wrong.append(f"{job[0].__name__} {job[3:]} ended with {os.WEXITSTATUS(status)}")
        return job

    for job in jobs:
        launch(job)
    while running and not wrong:
        time.sleep(draw.random() * 0.15)
        while running and (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended(*found)
        if killed < kills and running:
            victim = draw.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            status = os.waitpid(victim, 0)[1]
            job = ended(victim, status)
            if os.WIFSIGNALED(status):
                killed += 1
                launch(job)
        if time.monotonic() - began > patience:
            wrong.append(f"not done after {patience} s")
    for child in running:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    wrong += look(where, aloud, results) if not wrong else []
    found = {"seed": seed, "kills": killed, "left aside": len(list(Path(where, "incoming").iterdir())), "wrong": wrong}
    shutil.rmtree(where)
    shutil.rmtree(results)
    return found


def look(where: str, aloud: str, results: Path) -> list[str]:
    """What is wrong with the end of a study, in sentences."""
    models = {name: (results / name).read_bytes() for name in FEDERATION.names if (results / name).exists()}
    wrong = [f"{name} has another model, or none" for name in FEDERATION.names if models.get(name) != undisturbed()]
    reader = Study(Folder(where), aloud)
    reader.refresh()
    if len(reader.steps()) != ROUNDS + 4:
        wrong.append(f"{len(reader.steps()) - 1} numbers were added up")
    for step, closed, added in reader.steps()[:-1]:
        counted = {name for at in added.which for name in closed.groups[at]} if added else set()
        if counted != set(FEDERATION.names):
            wrong.append(f"{step} counted {sorted(counted)}")
    wrong += twice(Path(where))
    try:
        events(Folder(where))
    except ValueError as problem:
        wrong.append(str(problem))
    return wrong


class Faulty(LocalFileSystem):
    """A synchronised folder on a bad day, the same on every run with one seed.

    Files show up up to `delay` seconds late (one of ten, five times as late), listings are stale and shuffled, reads
    come back short, copies named "(1)" appear, whole or cut, and a file may stand half written under its final name.
    """

    cachable = False

    def __init__(self, seed: int, delay: float = 0.02) -> None:
        super().__init__()
        self._random, self._delay = random.Random(seed), delay
        self._seen_from: dict[str, float] = {}
        self._before: dict[str, list[list[dict]]] = {}

    def ls(self, path, detail=False, **kwargs):
        draw = self._random
        if path in self._before and draw.random() < 0.2:
            return draw.choice(self._before[path])
        entries = []
        for found in os.scandir(path):
            kind = "directory" if found.is_dir() else "file"
            entry = {"name": found.path, "size": found.stat().st_size, "type": kind, "islink": found.is_symlink()}
            wait = draw.random() * self._delay * (5 if draw.random() < 0.1 else 1)
            shown = self._seen_from.setdefault(entry["name"], time.monotonic() + wait)
            if entry["type"] == "directory" or time.monotonic() >= shown:
                entries.append(entry)
        letters = [entry["name"] for entry in entries if entry["name"].endswith(".letter")]
        if letters and draw.random() < 0.02:
            self._copy(draw.choice(letters))
        draw.shuffle(entries)
        self._before[path] = [*self._before.get(path, [])[-4:], entries]
        return entries

    def cat_file(self, path, start=None, end=None, **kwargs):
        assert "/incoming/" not in path, "nobody ever reads what is being written"
        data = super().cat_file(path, start, end, **kwargs)
        return data[: self._random.randrange(len(data) + 1)] if self._random.random() < 0.1 else data

    def pipe_file(self, path, value, **kwargs):
        half = self._random.randrange(len(value))
        with open(path, "wb") as file:
            file.write(value[:half])
            file.flush()
            time.sleep(0.03)  # in which some are killed
            file.write(value[half:])

    def mv(self, path1, path2, **kwargs):
        if self._random.random() < 0.2:  # no atomic rename, this time
            with open(path1, "rb") as file, open(path2, "wb") as target:
                target.write(file.read()[:-7])
            time.sleep(0.002)
        os.replace(path1, path2)

    def _copy(self, path):
        ending = self._random.choice([" (1).letter", ".letter (1)", " (2).letter"])
        with open(path, "rb") as file:
            data = file.read()
        cut = self._random.choice([len(data), self._random.randrange(len(data) + 1)])
        with open(path.removesuffix(".letter") + ending, "wb") as copy:
            copy.write(data[:cut])


class Restless(Logistic):
    """Never trains the same twice: what is made anew after a restart has other bytes."""

    def train(self, *about):
        move, state, patients = super().train(*about)
        return move * (1 + 1e-3 * int.from_bytes(os.urandom(2), "big") / 2**16), state, patients


def boundary(seed: int) -> dict:
    """A study in which one hospital, or the coordinator, is killed between two system calls, again and again."""
    draw, base = random.Random(seed), Path(tempfile.mkdtemp())
    (base / "folder").mkdir()
    patience = {"deadline_seconds": 60.0} if seed % 2 else {}
    room = Class(base / "folder", federation(4), work=Restless, rounds=2, **patience).open()
    first, *others = room.federation.names
    kills = 0

    def act() -> None:
        if seed % 2:  # who closes lists as soon as it may, so that each holds other letters
            room.restart()
            room.coordinator._clock = itertools.count(0, 61).__next__
            room.coordinator.step()
        else:
            room.restart(first)
            room.step(first)

    def life(calls: int) -> int:
        """Play what `act` does in a process that ends before so many system calls on the disk: -9, or 0."""
        for lock in keep._LOCKS.values():  # this process has the homes no more
            lock.close()
        keep._LOCKS.clear()

        def mortal() -> None:
            left = iter(range(calls))

            def hook(event: str, about: tuple) -> None:
                ours = event in ("open", "os.rename", "os.remove", "os.mkdir", "os.scandir") and str(base) in str(about)
                if ours and next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            act()

        return os.waitstatus_to_exitcode(os.waitpid(forked(mortal), 0)[1])

    wrong, said = [], []
    for turn in range(150):
        code = life(draw.randrange(1, 120) if kills < 40 else 10**6)
        kills += code == -signal.SIGKILL
        if code > 0:
            wrong.append(f"turn {turn} ended with {code}")
            break
        if seed % 2:
            room.step(*draw.sample(room.federation.names, 3))
            said = [hospital.study.step.purpose for hospital in room.hospitals.values()]
        else:
            said = [*room.step(*others).values(), room.coordinator.step()]
            said = ["done" if status.ended else "" for status in said]
        if set(said) == {"done"}:
            break
    wrong += [f"it ended with {said}"] * (set(said) != {"done"}) + twice(room.root)
    left = [path.name for path in room.root.rglob("*") if path.name.startswith(".")]
    shutil.rmtree(base)
    return {"seed": seed, "kills": kills, "wrong": wrong + left, "turns": turn}


class Adversary:
    """Who adds up, makes the study, and enrols three hospitals of its own, for odd seeds together with a real one.

    In each turn it does something else: it withholds letters from some, posts lists of any hospitals, two of a number,
    lists and sums of before, sums that it changed, and shows each hospital another folder.
    """

    def __init__(self, seed: int, base: Path) -> None:
        self.draw = random.Random(seed)
        (base / "folder").mkdir()
        patience = {"deadline_seconds": 60.0, "share_seconds": 60.0, "budget": 2}
        self.room = room = Class(base / "folder", federation(7), rounds=2, quorum=3, **patience)
        self.real = room.federation.names[: 4 - seed % 2]
        self.known = [fingerprint(room.identities[name].public) for name in room.federation.names[:4]]
        self.aside, self.listed = base / "aside", {}
        self.note()
        self.aside.mkdir()
        self.restart(*self.real)
        room.open().until(seed % 5)  # so far, it was honest

    def restart(self, *names: str) -> None:
        self.room.known = self.known
        self.room.restart(*names)

    def turn(self) -> None:
        room, draw = self.room, self.draw
        room.coordinator.study.refresh()
        step, _, _ = room.coordinator.study.steps()[-1]
        if step.ended:
            return
        number = draw.choice([step.number] * 4 + [max(step.number - 1, 0)])
        tricks = [self.honest, self.honest, self.any_list, self.any_list, self.any_sum, self.replay, self.wait]
        draw.choice(tricks)(step, number)
        for name in draw.sample(room.federation.names, draw.randint(1, 7)):
            hidden = draw.sample(sorted(room.root.glob("*-?????/*.letter")), draw.choice([0, 0, 1, 3]))
            for path in hidden:
                path.rename(self.aside / f"{path.parent.name} {path.name}")
            if name in self.real and draw.random() < 0.2:
                self.restart(name)
            room.step(name)
            for path in self.aside.iterdir():
                place, _, rest = path.name.partition(" ")
                path.rename(room.root / place / rest)

    def honest(self, step, number) -> None:
        self.room.restart()
        self.room.coordinator.step()

    def wait(self, step, number) -> None:
        self.room.time += self.draw.choice([20, 40, 100])
        self.room.coordinator.step()

    def any_list(self, step, number) -> None:
        """Of any of the letters that are there, its own among them, and for any sum; or of nobody."""
        sent, abouts = {}, {"ab" * 32}
        for path in self.room.root.glob(f"{rounds.place(ONE, self.draw.choice([number, number, 1]))}/*.letter"):
            content, sender = path.read_bytes(), unquote(path.name.split(".")[1].split(" (")[0])
            at = content.find(b"FKL1")
            sent.setdefault(sender, []).append(messages.digest(content[at:]).hex())
            abouts.add(content[at + 4 : at + 36].hex())
        chosen = self.draw.sample(sorted(sent), self.draw.randint(0, len(sent)))
        of = {name: self.draw.choice(sent[name]) for name in chosen}
        said = {"about": self.draw.choice(sorted(abouts)), "groups": [of] if of else []}
        self.room.say(LIST, number, said)

    def any_sum(self, step, number) -> None:
        """Of the letters and shares that are there, or none."""
        lists = [path.name[:32] for path in self.room.root.glob(f"{rounds.place(LIST, number)}/*.letter")]
        sums = [path for path in self.room.root.glob("sum-?????/*.letter") if b"FKT1" in path.read_bytes()]
        if not lists:
            return
        content = Added.content(self.draw.choice(lists), {})
        if sums and self.draw.random() < 0.7:
            old = self.draw.choice(sorted(sums)).read_bytes()
            numbers = bytearray(old[old.find(b"FKT1") :])
            if self.draw.random() < 0.5:
                numbers[self.draw.randrange(48, len(numbers))] ^= 1 << self.draw.randrange(8)
            content = Added.content(self.draw.choice(lists), {0: bytes(numbers)})
        self.room.say(SUM, number, content)

    def replay(self, step, number) -> None:
        """A letter of before, as it was, where another is waited for."""
        path = self.draw.choice(sorted(self.room.root.glob("*-?????/*.letter")))
        what = path.parent.name.rpartition("-")[0]
        self.room.put(rounds.place(what, number), unquote(path.name.split(".")[1].split(" (")[0]), path.read_bytes())

    def broken(self) -> list[str]:
        """What a real hospital must never have said, in sentences."""
        wrong, room = [], self.room
        for name in self.real:
            for number in range(60):
                shares = set()
                for found in Folder(room.root).new(rounds.place(TWO, number), 10**6):
                    if found.sender != name:
                        continue
                    with contextlib.suppress(MessageError):  # the adversary's copies
                        shares.add(letters.read(found, None, TWO, number).content)
                labels = {share[4:36] for share in shares}
                if len(shares) > 1:
                    wrong.append(f"{name} answered {len(labels)} lists of number {number}")
                for label in labels:
                    if len(self.listed.get(label, ())) < 2:
                        wrong.append(f"{name} answered number {number} for {self.listed.get(label)}")
        return wrong

    def note(self) -> None:
        """Remember which real hospitals are in the list that each label stands for."""
        share = Keyring.share

        def noted(keys: Keyring, listed: dict) -> bytes:
            found = share(keys, listed)
            self.listed[found[4:36]] = set(listed) & set(self.real)
            return found

        Keyring.share = noted


def hostile(seed: int) -> dict:
    """A study whose coordinator is an `Adversary`: no letter opens alone, no number has two answers, and no error."""
    base = Path(tempfile.mkdtemp())
    adversary, wrong = Adversary(seed, base), []
    began = time.monotonic()
    try:
        for _ in range(60):
            adversary.turn()
    except Exception as problem:
        wrong.append("".join(traceback.format_exception(problem)))
    wrong += adversary.broken()
    found = {"seed": seed, "wrong": wrong, "seconds": round(time.monotonic() - began, 1)}
    room = adversary.room
    found["answers"] = len(adversary.listed)
    found["numbers"] = max(each.study.step.number for each in room.hospitals.values() if each.study.roster)
    shutil.rmtree(base)
    return found


def played(what: str, studies: int) -> list[dict]:
    """Studies in a process that has no threads, so that what it forks is whole."""
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, what, "0", str(studies)]
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["seed"], each["wrong"]) for each in found] == [(seed, []) for seed in range(studies)], done.stderr
    return found


def test_killed_processes_on_a_faulty_folder_make_the_same_model():
    """SIGKILL at random moments, in studies of 4 hospitals, a coordinator and a maker, each a process."""
    studies = played("study", STUDIES)
    assert min(study["kills"] for study in studies) >= 3
    assert sum(study["left aside"] for study in studies) > 0, "it was no fair weather"


def test_nothing_is_ever_said_twice_in_two_ways_by_who_is_killed_between_two_system_calls():
    """Rule 6: of each number at most one letter one and one letter two of a hospital, one list and one sum."""
    kills = [study["kills"] for study in played("boundary", STUDIES)]
    assert min(kills) >= 1
    assert sum(kills) >= 5 * len(kills)


def test_a_hostile_coordinator_learns_no_update_and_stops_nobody_s_program():
    """Alone, and with one hospital: what real hospitals answered is never of fewer than two real ones."""
    studies = played("hostile", STUDIES // 2)
    assert sum(study["answers"] for study in studies) > len(studies), "some were honest, so that it went on"
    assert max(study["numbers"] for study in studies) > 2


if __name__ == "__main__":
    play = {"study": study, "boundary": boundary, "hostile": hostile}[sys.argv[1]]
    undisturbed()
    os.fsync = lambda descriptor: None
    for each in range(int(sys.argv[2]), int(sys.argv[3])):
        print(json.dumps(play(each)), flush=True)
