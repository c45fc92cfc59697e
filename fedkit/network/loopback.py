"""A study on one machine, as a trial: a server and hospitals, each a process of its own that talks to 127.0.0.1."""

import contextlib
import ctypes
import json
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fedkit.encryption.identities import fingerprint
from fedkit.exchange import Settings
from fedkit.hospitals import Federation
from fedkit.network import environment, kits, parties, post

SERVER = "Coordinator"


class Loopback(contextlib.AbstractContextManager):
    """Kits in a new folder, and their processes; as a context, it ends all that it started.

    work : see `python -m fedkit.network site --work`; TensorFlow Federated's if empty
    **settings : of the study
    kits, processes : attributes, name -> folder; name -> process, of the server (`SERVER`) and of each hospital
    """

    program = ("-m", "fedkit.network")  # what a process runs

    def __init__(self, place: Path, federation: Federation, work: str = "", **settings: object) -> None:
        self.kits = {name: place / name for name in (SERVER, *federation.names)}
        self.processes: dict[str, subprocess.Popen] = {}
        self.passphrase, self._work = secrets.token_hex(16), ["--work", work] if work else []
        people = {name: kits.make(kit, name, self.passphrase) for name, kit in self.kits.items()}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        plan = {"settings": Settings.of(federation, **settings).to_json(), "host": "127.0.0.1", "port": self.port}
        cards, out = [kit / "card.json" for kit in self.kits.values()], place / "certificates"
        self.invitation = kits.provision(self.kits[SERVER], people[SERVER], plan, cards, out)
        for rows in federation:
            given = out / post.site(fingerprint(people[rows.name].public))
            kit = shutil.copytree(given, self.kits[rows.name], dirs_exist_ok=True)
            rows.table.assign(label=rows.labels).to_csv(kit / "rows.csv", index=False)

    def start(self, *names: str) -> None:
        """Start processes by name; all that do not run if none is named."""
        for name in names or [each for each in self.kits if each not in self.processes]:
            what = ["serve", self.kits[name]] if name == SERVER else ["site", self.kits[name], *self._work]
            how = {"stdin": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
            with open(self.kits[name] / "out.txt", "ab") as out:
                command = [environment.PYTHON, *self.program, *what]
                one = subprocess.Popen(command, stdout=out, preexec_fn=_die_with_parent, **how)
            with one.stdin:
                one.stdin.write(f"{self.passphrase}\n".encode())
            self.processes[name] = one

    def kill(self, *names: str) -> None:
        """End processes, without notice; all if none is named."""
        for name in names or list(self.processes):
            self.processes[name].kill()
            self.processes.pop(name).wait()

    def status(self, name: str) -> dict:
        """Return what a process said last."""
        return parties.status(self.kits[name])

    def until(self, true: Callable[[], object], seconds: float) -> float:
        """Wait until something is true, and return the seconds; TimeoutError with what all said last if it is not."""
        began = time.monotonic()
        while not true():
            dead = [name for name, one in self.processes.items() if one.poll()]
            if dead or time.monotonic() - began > seconds:
                said = {name: {each: self.status(name)[each] for each in ("says", "wrong")} for name in self.kits}
                raise TimeoutError(f"{dead or 'It'} did not come in {seconds:.0f} s: {json.dumps(said, indent=1)}")
            time.sleep(0.05)
        return time.monotonic() - began

    def __exit__(self, *problem: object) -> None:
        self.kill()


def _die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends, however that happens (prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
