"""Golden numbers: what a notebook found, beside what it found when it was last looked at.

A notebook glues a number with `fedkit.records.glue`. ``tests/golden/NN_name.json``
lists each with the value it had at the smoke profile, how far it may move, and why
that far. Values are measured and written by this tool; tolerance and reason are
written by a person.
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
    """Read the golden numbers of a notebook: dicts of name, value, tolerance and reason."""
    return json.loads(path(name).read_text(encoding="utf-8")) if path(name).exists() else []


def glued(notebook: dict) -> dict[str, float]:
    """Collect the numbers that an executed notebook has glued.

    Raises
    ------
    ValueError
        If a name is glued twice.
    """
    found: dict[str, float] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            item = output.get("data", {}).get(MIME)
            if item:
                if item["name"] in found:
                    raise ValueError(f"{item['name']} is glued twice. Give the second a name of its own.")
                found[item["name"]] = item["value"]
    return found


def compare(values: dict[str, float], golden: list[dict]) -> list[str]:
    """Compare numbers with golden ones.

    Parameters
    ----------
    values
        What a notebook glued.
    golden
        As `load` gives them.

    Returns
    -------
    list of str
        A sentence for each that is missing, unknown, out of tolerance, or whose
        tolerance or reason nobody has written; empty where all is well.
    """
    problems = []
    expected = {entry["name"]: entry for entry in golden}
    problems += [f"{name} is glued, and no golden number has that name." for name in values.keys() - expected.keys()]
    for name, entry in expected.items():
        tolerance = entry.get("tolerance")
        if tolerance is None or not entry.get("reason"):
            problems.append(f"{name} needs a tolerance and a reason for it.")
        elif name not in values:
            problems.append(f"{name} is a golden number, and the notebook no longer glues it.")
        elif not math.isclose(values[name], entry["value"], rel_tol=0.0, abs_tol=tolerance):
            away = abs(values[name] - entry["value"])
            problems.append(f"{name} is {values[name]}: {away:.3g} from {entry['value']}, and {tolerance} is allowed.")
    return sorted(problems)


def renew(values: dict[str, float], golden: list[dict]) -> list[dict]:
    """Put fresh values in, keeping each tolerance and reason that a person has written."""
    known = {entry["name"]: entry for entry in golden}
    empty = {"tolerance": None, "reason": ""}
    return [empty | known.get(name, {}) | {"name": name, "value": value} for name, value in values.items()]


def write(name: str, golden: list[dict]) -> Path:
    """Write the golden numbers of a notebook."""
    keys = ("name", "value", "tolerance", "reason")
    ordered = [{key: entry[key] for key in keys} for entry in golden]
    path(name).parent.mkdir(parents=True, exist_ok=True)
    path(name).write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path(name)
