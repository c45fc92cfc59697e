"""Golden numbers: what a notebook found, beside what it found when it was last looked at.

A notebook glues a number with `fedkit.records.glue`. ``tests/golden/NN_name.json`` lists each with the value it had at
the smoke profile, how far it may move, and why that far. This tool writes the values, a person the rest.
"""

import json
import math
from pathlib import Path

import tools

MIME = "application/vnd.fedkit+json"


def path(name: str) -> Path:
    """Return where the golden numbers of a notebook lie."""
    return tools.root() / "tests" / "golden" / f"{name}.json"


def load(name: str) -> list[dict]:
    """Read the golden numbers of a notebook: dicts of name, value, tolerance and reason; none if there is no file."""
    return json.loads(path(name).read_text(encoding="utf-8")) if path(name).exists() else []


def glued(notebook: dict) -> dict[str, float]:
    """Collect the numbers that an executed notebook has glued (ValueError if a name is glued twice)."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    items = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    found = {item["name"]: item["value"] for item in items}
    if len(found) < len(items):
        raise ValueError(f"A name is glued twice: {', '.join(sorted(item['name'] for item in items))}.")
    return found


def compare(values: dict[str, float], golden: list[dict]) -> list[str]:
    """Say of each number that it is missing, unknown, out of tolerance, or has no tolerance or reason."""
    expected = {entry["name"]: entry for entry in golden}
    problems = [f"{name} is glued, and no golden number has that name." for name in values.keys() - expected.keys()]
    for name, entry in expected.items():
        value, tolerance = entry["value"], entry["tolerance"]
        if tolerance is None or not entry["reason"]:
            problems.append(f"{name} needs a tolerance and a reason for it.")
        elif name not in values:
            problems.append(f"{name} is a golden number, and the notebook no longer glues it.")
        elif not math.isclose(values[name], value, rel_tol=0.0, abs_tol=tolerance):
            away = f"{abs(values[name] - value):.3g} from {value}"
            problems.append(f"{name} is {values[name]}: {away}, and {tolerance} is allowed.")
    return sorted(problems)


def write(name: str, values: dict[str, float]) -> Path:
    """Write fresh values, keeping each tolerance and reason that a person has written."""
    known = {entry["name"]: (entry["tolerance"], entry["reason"]) for entry in load(name)}
    rows = [(number, value, *known.get(number, (None, ""))) for number, value in values.items()]
    fresh = [dict(zip(("name", "value", "tolerance", "reason"), row, strict=True)) for row in rows]
    path(name).write_text(json.dumps(fresh, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path(name)
