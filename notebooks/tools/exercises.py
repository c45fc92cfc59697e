"""The exercises of a notebook: the cells that check them, answers to try them with, and what a check says of a value.

``tests/notebooks/answers/NN_name.py`` holds answers: behind a line ``# %% Exercise 2: right`` (or ``wrong``) the code
that a reader would write, behind ``# %% Exercise 2: given`` what the notebook has made before: all but what stands
between the exercise and its check.
"""

import ast
import io
import re
from contextlib import redirect_stdout
from functools import cache

import tools
from fedkit.chapters import course
from tools import pairing


@cache
def written(name: str) -> list[tuple[str, str, str]]:
    """Return the exercise, the kind and the code of each part of a file of answers."""
    text = (tools.root() / "tests" / "notebooks" / "answers" / f"{name}.py").read_text(encoding="utf-8")
    _, *parts = re.split(r"^# %% (Exercise \d): (given|right|wrong)\n", text, flags=re.MULTILINE)
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


@cache
def checks(name: str) -> dict[str, str]:
    """Return the cell that checks each exercise of a notebook."""
    cells = [cell.source for cell in pairing.of(name).cells if "course.check(" in cell.source]
    return {exercise: cell for cell in cells for exercise in re.findall(r'course\.check\(\s*"(Exercise \d)"', cell)}


@cache
def given(name: str, exercise: str) -> dict[str, object]:
    """Return what the notebook has made before the exercise is checked."""
    page = {"__name__": "page"}  # in no file: what a reader trains by a class of their own is kept by no name
    cells = [cell for cell in pairing.of(name).cells if cell.cell_type == "code"]
    end = [cell.source for cell in cells].index(checks(name)[exercise])
    begin = max(at for at in range(end) if "exercise" in cells[at].metadata.get("tags", []))
    helping = [cell.source for cell in cells[begin + 1 : end] if "plumbing" in cell.metadata.get("tags", [])]
    for code in [*helping, *(code for of, kind, code in written(name) if (of, kind) == (exercise, "given"))]:
        exec(code, page)
    return page


def said(name: str, exercise: str, value: object) -> str:
    """Return what the check of an exercise says of a plain value, which stands where the reader's own would."""
    cell = checks(name)[exercise]
    calls = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Call)]
    (asked,) = [call.args[1] for call in calls if ast.unparse(call.func) == "course.check"]
    names = [ast.unparse(one) for one in getattr(asked, "elts", [asked])]
    values = value if len(names) > 1 else [value]
    if not isinstance(values, list) or len(values) != len(names):
        return f"not yet. {' and '.join(names)} were asked for."
    page = given(name, exercise) | dict(zip(names, values, strict=True))
    with redirect_stdout(io.StringIO()):
        exec(cell, page)
    return course.checked[exercise]["said"]
