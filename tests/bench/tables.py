"""How long anybody's table takes to become a federation: many rows, many columns, many hospitals.

Each size is timed beside half of it: linear is twice. Written to figures/measured/tables.json.
"""

from functools import partial

import numpy as np
import pandas as pd
from reporting import cpu_seconds, target, write

from fedkit import hospitals
from fedkit.compat import environment

SIZES = {"rows": (1_000_000, 20, 10), "columns": (300, 20_000, 3), "hospitals": (100_000, 20, 1_000)}
MOST = 10  # seconds of this process, of which other work on the machine takes none away


def made(rows: int, columns: int, sites: int) -> pd.DataFrame:
    """A table with numbers, whole numbers, text, truth and cells that are missing."""
    rng = np.random.default_rng(0)
    values = {f"number {at}": rng.normal(60, 9, rows) for at in range(columns - columns // 4)}
    values |= {f"whole {at}": rng.poisson(50, rows) for at in range(columns // 4 - 4)}
    values |= {f"text {at}": rng.choice(["a", "b", "c"], rows) for at in range(2)}
    values |= {f"truth {at}": rng.random(rows) < 0.3 for at in range(2)}
    frame = pd.DataFrame(values).mask(rng.random((rows, columns)) < 0.01).convert_dtypes(convert_floating=False)
    return frame.assign(hospital=rng.permutation(np.arange(rows) % sites), ill=rng.integers(0, 2, rows))


def main() -> None:
    report = {}
    for what, size in SIZES.items():
        half = tuple(max(number // 2, 20) if at == [*SIZES].index(what) else number for at, number in enumerate(size))
        took = [
            cpu_seconds(partial(hospitals.from_frame, made(*each), site="hospital", label="ill"))
            for each in (half, size)
        ]
        report[what] = {"rows, columns, hospitals": size, "seconds": took[1], "times_half": took[1] / took[0]}
        target(f"{size[0]:,} rows, {size[1]:,} columns, {size[2]:,} hospitals", took[1], took[1] <= MOST, " s")
        target(f"  times half as many {what}", took[1] / took[0], took[1] <= 3 * took[0])
    write("tables", report | {"versions": environment.versions()})


if __name__ == "__main__":
    main()
