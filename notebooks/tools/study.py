"""Compute the tables that take longer than a lesson, where what they follow from has changed: `make study`."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import tools
from fedkit.studies import grids
from tools import running

GRIDS = tuple(  # modules that have a GRID
    f"fedkit.studies.{name}" for name in ("differ", "flamby", "policies", "budgets", "leaks", "sectors")
)


def study(module: str, kept: Path | None = None, processes: int = os.cpu_count() or 1) -> bool:
    """Compute a grid, its seeds side by side, and return whether there was anything to do.

    kept : where a finished seed is kept, so that a study that was stopped goes on
    """
    grid = importlib.import_module(module).GRID
    digest = grid.digest()
    if grids.digests().get(grid.name) == digest:
        return False
    home = (kept or tools.root() / ".cache" / "grids") / digest
    home.mkdir(parents=True, exist_ok=True)
    files = {seed: home / f"{seed}.csv" for seed in grid.seeds}
    waiting = [seed for seed, file in files.items() if not file.exists()]
    print(f"{grid.name}: computing {len(waiting)} of {len(files)} seeds ...", flush=True)
    alone = os.environ | running.ONE_ORDER | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parts = filter(None, (waiting[at::processes] for at in range(processes)))
    commands = [[sys.executable, "-m", "tools.study", module, str(home), *map(str, part)] for part in parts]
    working = [subprocess.Popen(command, env=alone) for command in commands]
    ended = [process.wait() for process in working]
    if any(ended):
        raise RuntimeError(f"A process that computed {grid.name} has failed. `make study` goes on where it stopped.")
    table = pd.concat([pd.read_csv(file) for file in files.values()])
    grids.HOME.mkdir(exist_ok=True)
    table.to_csv(grids.HOME / f"{grid.name}.csv", index=False, float_format="%.8g", lineterminator="\n")
    text = json.dumps(grids.digests() | {grid.name: digest}, indent=1, sort_keys=True)
    (grids.HOME / "digests.json").write_text(text + "\n", encoding="utf-8")
    return True


def compute(module: str, home: str, *seeds: str) -> None:
    """Compute seeds of a grid, each into a file of its own."""
    grid = importlib.import_module(module).GRID
    for seed in seeds:
        new = Path(home, f"{seed}.part")
        grid.rows(int(seed)).to_csv(new, index=False)
        new.replace(new.with_suffix(".csv"))  # only what is whole counts


if __name__ == "__main__":
    if sys.argv[1:]:
        compute(*sys.argv[1:])
    else:
        for each in GRIDS:
            print(f"{each}: {'computed' if study(each) else 'up to date'}")
