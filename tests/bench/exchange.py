"""A class of thirty on one folder: seconds and bytes of a round. Written to figures/measured/exchange.json.

The steps are timed with all parties in one process, so that the seconds are work, not
waiting: on thirty machines the hospitals' run side by side. Then thirty-one real
processes share the folder, and this machine's cores.
"""

import os
import signal
import sys
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from reporting import seconds, write

sys.path.insert(0, str(Path(__file__).parents[1]))

from exchange_parts import Class, Logistic, federation

from fedkit.compat import environment
from fedkit.exchange import Coordinator, Participant, classroom, rounds
from fedkit.exchange.work import Training
from fedkit.hospitals import Federation

HOSPITALS, ROUNDS, POLL = 30, 6, 0.2


def steps(patients: Federation, work: type) -> dict[str, float]:
    """Median seconds of what each party does in a round, and its bytes."""
    with tempfile.TemporaryDirectory() as root:
        room = Class(Path(root), patients, work=work, rounds=ROUNDS).open()
        room.until(2)  # the first two make ready what the others use again
        room.coordinator.step()
        work_seconds, adding = [], []
        for _ in range(3, ROUNDS + 1):
            work_seconds += [seconds(hospital.step) for hospital in room.hospitals.values()]
            adding.append(seconds(room.coordinator.step))
        room.step()
        idle = [seconds(hospital.step) for hospital in room.hospitals.values()]
        sent = [path.stat().st_size for path in Path(root, rounds.place(ROUNDS)).iterdir()]
        (total,) = Path(root, rounds.sum_place(ROUNDS)).iterdir()
        (keys,) = Path(root, "keys").iterdir()
        return {
            "numbers": room.settings.numbers,
            "hospital_seconds": median(work_seconds),
            "coordinator_seconds": median(adding),
            "idle_look_seconds": median(idle),
            "up_bytes": max(sent),
            "down_bytes": total.stat().st_size,
            "round_bytes_in_the_folder": sum(sent) + total.stat().st_size,
            "keys_bytes": keys.stat().st_size,
        }


def processes(patients: Federation) -> float:
    """Median seconds of a round, when each party is a process of its own (forked: no TensorFlow here)."""
    with tempfile.TemporaryDirectory() as root:
        room = Class(Path(root), patients, rounds=ROUNDS).open()
        how = {"invitation": room.fingerprint}
        parties = [
            partial(Participant, root, room.identities[rows.name], rows, work=Logistic, **how) for rows in patients
        ]
        children = [fork(party) for party in [*parties, partial(Coordinator, root, room.boss, **how)]]
        try:
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        except BaseException:
            for child in children:
                os.kill(child, signal.SIGTERM)
            raise
        assert codes == [0] * len(children), "A process of the study failed."
        sums = [min(Path(root, rounds.sum_place(round)).iterdir()) for round in range(ROUNDS + 1)]
        return median(after - before for before, after in pairwise(path.stat().st_mtime for path in sums[1:]))


def fork(party) -> int:
    if (child := os.fork()) == 0:
        try:
            os._exit(party().run(POLL, tell=len).stage != "done")
        finally:
            os._exit(1)
    return child


def main() -> None:
    seats = classroom.seat_federation(HOSPITALS)
    together = processes(seats)  # first: what is forked has no threads yet
    measured = {
        "hospitals": HOSPITALS,
        "processes": {"round_seconds": together, "cores": os.cpu_count(), "poll_seconds": POLL},
        "heart disease, TensorFlow Federated": steps(seats, Training),
        "2,000 columns, numpy": steps(federation(HOSPITALS, columns=2000), Logistic),
        "versions": environment.versions(),
    }
    print(f"A round of {HOSPITALS} hospitals, each a process, on {os.cpu_count()} cores: {together:.2f} s")
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
