"""Load run: a class of thirty on one folder. Seconds and bytes of a round, without TensorFlow's training.

All parties take steps in one process, so the seconds are work, not waiting: on thirty
machines the hospitals' run side by side.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from exchange_parts import Class, federation

from fedkit.exchange import rounds


def rows(hospitals: int = 30, rounds_: int = 4, columns: tuple[int, ...] = (13, 2000)) -> list[dict[str, float]]:
    """One row a model size, of median seconds and of bytes."""
    return [_row(hospitals, rounds_, count) for count in columns]


def _row(hospitals: int, rounds_: int, columns: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as root:
        room = Class(Path(root), federation(hospitals, columns=columns), rounds=rounds_).open()
        room.until(1)
        room.coordinator.step()
        a_round, work, adding = [], [], []
        for _ in range(2, rounds_ + 1):
            work += [_seconds(hospital.step) for hospital in room.hospitals.values()]
            adding.append(_seconds(room.coordinator.step))
            a_round.append(sum(work[-hospitals:]) + adding[-1])
        room.step()
        idle = [_seconds(hospital.step) for hospital in room.hospitals.values()]
        place, sum_place = Path(root, rounds.place(1)), Path(root, rounds.sum_place(1))
        (keys,) = Path(root, "keys").iterdir()
        (total,) = sum_place.iterdir()
        sent = [path.stat().st_size for path in place.iterdir()]
        return {
            "hospitals": hospitals,
            "numbers": room.settings.numbers,
            "round_seconds": median(a_round),
            "hospital_seconds": median(work),
            "coordinator_seconds": median(adding),
            "idle_look_seconds": median(idle),
            "up_bytes": median(sent),
            "down_bytes": total.stat().st_size,
            "folder_bytes": sum(sent) + total.stat().st_size,
            "keys_bytes": keys.stat().st_size,
        }


def _seconds(step) -> float:
    before = time.perf_counter()
    step()
    return time.perf_counter() - before


if __name__ == "__main__":
    for row in rows():
        print(row)
