"""A class of thirty on one folder: seconds and bytes of a round. Written to figures/measured/exchange.json.

The steps are timed with all parties in one process, so that the seconds are work, not
waiting: on thirty machines the hospitals' run side by side. Then thirty-one real
processes share the folder, and this machine's cores: once all to the end, and once one
is killed for good in each of five rounds, and two are stopped for a while.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from reporting import seconds, write

sys.path.insert(0, str(Path(__file__).parents[1]))

from exchange_parts import Class, Logistic, federation

from fedkit.compat import environment
from fedkit.exchange import EVERYBODY, Coordinator, Participant, classroom, keep, rounds
from fedkit.exchange.folder import quoted
from fedkit.exchange.work import Training
from fedkit.hospitals import Federation

HOSPITALS, ROUNDS, POLL = 30, 6, 0.2
STOPPED = 10.0  # seconds: a minute of a lesson, whose deadlines are two minutes


def steps(patients: Federation, work: type) -> dict[str, float]:
    """Median seconds of what each party does in a round, and its bytes."""
    with tempfile.TemporaryDirectory() as root:
        room = Class(Path(root), patients, work=work, rounds=ROUNDS, group_size=5).open()
        room.until(3)  # the first two make ready what the others use again
        one, two, adding = [], [], []
        for _ in range(3, ROUNDS + 1):
            adding.append(seconds(room.coordinator.step))
            two += [seconds(hospital.step) for hospital in room.hospitals.values()]
            adding[-1] += seconds(room.coordinator.step)
            one += [seconds(hospital.step) for hospital in room.hospitals.values()]
        room.step()
        idle = [seconds(hospital.step) for hospital in room.hospitals.values()]
        sizes = {what: [path.stat().st_size for path in room.files(what, ROUNDS)] for what in rounds.LETTERS}
        return {
            "numbers": sum(room.settings.layers),
            "hospital_seconds": median(one) + median(two),
            "coordinator_seconds": median(adding),
            "idle_look_seconds": median(idle),
            "up_bytes": max(sizes["one"]) + max(sizes["two"]),
            "down_bytes": sum(sizes["list"] + sizes["sum"]),
            "round_bytes_in_the_folder": sum(map(sum, sizes.values())),
        }


def processes(patients: Federation, killed: int = 0, stopped: int = 0) -> dict[str, float]:
    """Median seconds of a round, when each party is a process of its own (forked: no TensorFlow here).

    In each of the first rounds one more hospital is killed for good; some are stopped in the second for a while.
    """
    patience = {"deadline_seconds": 2 * STOPPED, "share_seconds": 2 * STOPPED, "budget": 2 * ROUNDS}
    with tempfile.TemporaryDirectory() as base:
        root = Path(base, "folder")
        root.mkdir()
        room = Class(root, patients, rounds=ROUNDS, group_size=5, **patience if killed else {}).open()
        how = {"invitation": room.fingerprint, "home": room.home}
        while keep._LOCKS:  # the homes are their processes' from here on
            keep._LOCKS.popitem()[1].close()
        parties = [
            partial(Participant, root, room.identities[rows.name], rows, work=Logistic, known=EVERYBODY, **how)
            for rows in patients
        ]
        models = Path(base, "models")
        models.mkdir()
        children = [fork(party, models) for party in [*parties, partial(Coordinator, root, room.boss, **how)]]
        began, sleeping = time.monotonic(), children[killed : killed + stopped]
        try:
            for round in range(1, killed + 1):
                while not list(Path(root, rounds.place(rounds.ONE, round + 1)).iterdir()):
                    time.sleep(POLL)
                os.kill(children[round - 1], signal.SIGKILL)
                for child in sleeping if round == 2 else []:
                    os.kill(child, signal.SIGSTOP)
                if round == 2 and sleeping:
                    time.sleep(STOPPED)
                    for child in sleeping:
                        os.kill(child, signal.SIGCONT)
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        except BaseException:
            for child in children:
                os.kill(child, signal.SIGKILL)
            raise
        assert codes == [-signal.SIGKILL] * killed + [0] * (len(children) - killed), f"A process failed: {codes}"
        ends = {path.read_bytes() for path in models.iterdir()}
        assert len(ends) == 1, "Those who are left hold different models."
        every = [room.files(rounds.SUM, number) for number in range(1, ROUNDS + 2)]
        sums = [min(path.stat().st_mtime for path in files) for files in every if files]
        each = median(after - before for before, after in pairwise(sums))
        return {"round_seconds": each, "study_seconds": time.monotonic() - began}


def fork(party: Callable, models: Path) -> int:
    if (child := os.fork()) == 0:
        try:
            one = party()
            if done := one.run(POLL, tell=len).stage == "done" and isinstance(one, Participant):
                weights = b"".join(weight.tobytes() for weight in one.weights)
                (models / quoted(one.identity.name)).write_bytes(weights)
            os._exit(not done and isinstance(one, Participant))
        finally:
            os._exit(1)
    return child


def main() -> None:
    seats = classroom.seat_federation(HOSPITALS)
    together = processes(seats)  # first: what is forked has no threads yet
    fewer = processes(seats, killed=5, stopped=2)
    measured = {
        "hospitals": HOSPITALS,
        "processes": together | {"cores": os.cpu_count(), "poll_seconds": POLL},
        "five killed, two stopped": fewer | {"stopped_seconds": STOPPED},
        "heart disease, TensorFlow Federated": steps(seats, Training),
        "2,000 columns, numpy": steps(federation(HOSPITALS, columns=2000), Logistic),
        "versions": environment.versions(),
    }
    print(
        f"A round of {HOSPITALS} hospitals, each a process, {os.cpu_count()} cores: {together['round_seconds']:.2f} s"
    )
    print(
        f"  one killed in each of five rounds, two stopped for {STOPPED:.0f} s: {fewer['study_seconds']:.0f} s in all"
    )
    for what, row in measured.items():
        if isinstance(row, dict) and "numbers" in row:
            print(
                f"  {what}: {row['hospital_seconds'] * 1e3:.0f} ms a hospital, {row['coordinator_seconds'] * 1e3:.0f} "
                f"ms to add up, {row['idle_look_seconds'] * 1e3:.1f} ms a look; {row['up_bytes']:,} bytes up, "
                f"{row['down_bytes']:,} down, {row['round_bytes_in_the_folder'] / 1e3:,.0f} kB a round in the folder"
            )
    write("exchange", measured)


if __name__ == "__main__":
    main()
