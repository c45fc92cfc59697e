"""Notebooks with the settings that a reader might try: each runs to its end."""

import ast
from pathlib import Path

import jupytext

from tools import pairing, running

# What a parameter becomes, one at a time; of a number that is not named here, half and double, and other seeds for 0.
GRID = {
    "SEEDS": (1, 2, 5, 40),
    "ROUNDS": (1, 2, 25, 200),
    "EPOCHS": (1, 2, 10),
    "LEARNING_RATE": (0.01, 1.0, 3.0),
    "BATCH": (1, 8, 10_000),
}
LEAST = {"SEEDS": 1, "ROUNDS": 2}  # the point that the tests take: where most of what can be empty is


def parameters(name: str) -> dict[str, object]:
    """Read a notebook's parameters and their values from its source."""
    cells = jupytext.read(pairing.source(name)).cells
    (cell,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    return {one.targets[0].id: ast.literal_eval(one.value) for one in ast.parse(cell.source).body}


def points(name: str) -> list[dict[str, object]]:
    """List the settings to try with a notebook, each different from the published ones."""
    found = []
    for key, value in parameters(name).items():
        if isinstance(value, str | bool):
            continue
        near = (type(value)(value / 2), 2 * value) if value else (7, 40)
        values = GRID.get(key, near)
        found += [{key: other} for other in values if other != value]
    return found


def least(name: str) -> dict[str, object]:
    """Return the one point that the tests take."""
    return {key: value for key, value in LEAST.items() if key in parameters(name)}


def play(name: str, output: Path) -> list[str]:
    """Try all points with a notebook at the smoke profile: what went wrong, nothing at best."""
    wrong = []
    for point in points(name):
        said = ", ".join(f"{key}={value!r}" for key, value in point.items())
        try:
            running.execute(pairing.of(name), output / f"{name}.ipynb", "smoke", output / "figures", changed=point)
        except RuntimeError as error:
            wrong.append(f"{name} with {said}: {str(error)[-600:]}")
        print(f"{name}, {said}: {'FAILED' if wrong and said in wrong[-1] else 'ran'}", flush=True)
    return wrong
