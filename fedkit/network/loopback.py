"""A study on one machine, as a trial: a server and hospitals, each a process of its own that talks to 127.0.0.1."""

import contextlib
import ctypes
import json
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fedkit import hospitals
from fedkit.exchange import Settings, Watch
from fedkit.hospitals import Federation
from fedkit.network import environment, kits, parties

SERVER = "Coordinator"


class Loopback:
    """Kits in a new folder, and their processes; as a context, it ends all that it started.

    work : see `python -m fedkit.network site --work`; TensorFlow Federated's if empty
    **settings : of the study

    Attributes
    ----------
    kits, processes : name -> folder; name -> process, of the server (`SERVER`) and of each hospital
    """

    def __init__(self, place: Path, federation: Federation, work: str = "", **settings: object) -> None:
        self.place, self.work, names = place, work, [SERVER, *federation.names]
        self.kits = {name: place / name.lower().replace(" ", "-") for name in names}
        self.processes: dict[str, subprocess.Popen] = {}
        self._secrets = {name: secrets.token_hex(16) for name in names}
        people = {name: kits.make(kit, name, self._secrets[name]) for name, kit in self.kits.items()}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        plan = {"settings": Settings.of(federation, **settings).to_json(), "host": "127.0.0.1", "port": self.port}
        cards, out = [kit / "card.json" for kit in self.kits.values()], place / "certificates"
        me = self.kits[SERVER], people[SERVER], self._secrets[SERVER]
        self.invitation = kits.provision(*me, plan, cards, out)
        for rows in federation:
            kit = self.kits[rows.name]
            shutil.copytree(out / kits.site(people[rows.name].public), kit, dirs_exist_ok=True)
            rows.table.assign(label=rows.labels).to_csv(kit / "rows.csv", index=False)

    def start(self, *names: str) -> None:
        """Start processes by name; all that do not run if none is named."""
        for name in names or [each for each in self.kits if each not in self.processes]:
            what = "serve" if name == SERVER else "site"
            command = [environment.PYTHON, "-m", "fedkit.network", what, self.kits[name]]
            command += ["--work", self.work] if self.work and name != SERVER else []
            with open(self.kits[name] / "out.txt", "ab") as out:
                how = {"stdin": subprocess.PIPE, "stdout": out, "stderr": out, "start_new_session": True}
                one = subprocess.Popen(command, preexec_fn=_die_with_parent, **how)
            one.stdin.write(f"{self._secrets[name]}\n".encode())
            one.stdin.close()
            self.processes[name] = one

    def kill(self, *names: str, how: int = signal.SIGKILL) -> None:
        """End processes, without notice; all if none is named."""
        for name in names or list(self.processes):
            one = self.processes.pop(name)
            with contextlib.suppress(ProcessLookupError):
                one.send_signal(how)
            one.wait()

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

    def __enter__(self) -> "Loopback":
        return self

    def __exit__(self, *problem: object) -> None:
        self.kill()


def _die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends, however that happens (prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    """Ten rounds on the four real hospitals: who posted when, the model at each site, bytes, and seconds."""
    federation = hospitals.load("heart_disease")
    with tempfile.TemporaryDirectory() as place, Loopback(Path(place), federation, rounds=10, epochs=5) as study:
        watch, printed = Watch(study.kits[SERVER] / "study", study.invitation), ""
        study.start()

        def done() -> bool:
            nonlocal printed
            progress = watch.look()
            if str(progress) != printed:
                printed = str(progress)
                print(progress, flush=True)
            return all("model" in study.status(name) for name in federation.names)

        seconds = study.until(done, 600)
        for name, said in ((name, study.status(name)) for name in federation.names):
            print(f"{name}: {said['model']}, AUROC {said['auroc']:.3f}, {said['up']:,} bytes up, {said['down']:,} down")
        print(f"{seconds:.0f} seconds; all processes have ended.")


if __name__ == "__main__":
    main()
