"""The checks of the exercises: every right answer passes, wrong ones are told so, and the stub as it stands is neither.

``answers/NN_name.py`` holds answers to the exercises of a notebook: behind a line ``# %% Exercise 2: right`` (or
``wrong``) the code that a reader would write, behind ``# %% Exercise 2: given`` what the notebook has made before.
"""

import io
import re
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import nbformat
import pytest
import tools
from tools import pairing

ANSWERS = Path(__file__).parent / "answers"


@cache
def written(name: str) -> list[tuple[str, str, str]]:
    """The exercise, the kind and the code of each part of a file of answers."""
    text = (ANSWERS / f"{name}.py").read_text(encoding="utf-8")
    _, *parts = re.split(r"^# %% (Exercise \d): (given|right|wrong)\n", text, flags=re.MULTILINE)
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


@cache
def checks(name: str) -> dict[str, str]:
    """The cell that checks each exercise."""
    cells = [cell.source for cell in pairing.of(name).cells if "course.check(" in cell.source]
    return {exercise: cell for cell in cells for exercise in re.findall(r'course\.check\(\s*"(Exercise \d)"', cell)}


ALL = [(name, *part) for name in tools.names() for part in written(name) if part[1] != "given"]


@cache
def given(name: str, exercise: str) -> dict[str, object]:
    """What the notebook has made before the exercise."""
    page = {"__name__": "page"}  # in no file: what a reader trains by a class of their own is kept by no name
    for of, kind, code in written(name):
        if (of, kind) == (exercise, "given"):
            exec(code, page)
    return page


@pytest.mark.parametrize(("name", "exercise", "kind", "code"), ALL, ids=[f"{one[:2]}-{two}" for one, two, *_ in ALL])
def test_an_answer_is_judged(name, exercise, kind, code, monkeypatch):
    """What the check trains to know what is right, it trains once for all answers."""
    monkeypatch.setenv("FEDKIT_RUNS", str(tools.root() / ".cache" / "runs"))
    page, printed = dict(given(name, exercise)), io.StringIO()
    exec(code, page)
    with redirect_stdout(printed):
        exec(checks(name)[exercise], page)
    said = re.findall(rf"^{exercise}: (right\.|not yet\. .+)", printed.getvalue(), flags=re.MULTILINE)
    assert [one.partition(".")[0] for one in said] == [{"right": "right", "wrong": "not yet"}[kind]], printed.getvalue()


@pytest.mark.parametrize("name", tools.names())
def test_each_exercise_has_three_right_and_three_wrong_answers(name):
    kinds = [(exercise, kind) for exercise, kind, _ in written(name) if kind != "given"]
    wanted = {(exercise, kind) for exercise in checks(name) for kind in ("right", "wrong")}
    assert set(kinds) == wanted
    assert min(map(kinds.count, wanted)) >= 3
    exercises = [cell for cell in pairing.of(name).cells if "exercise" in cell.metadata.get("tags", [])]
    assert len(checks(name)) == len(exercises) >= 3


@pytest.mark.parametrize(("solutions", "said"), [(False, "not answered yet."), (True, "right.")])
@pytest.mark.parametrize("name", tools.names())
def test_the_stub_is_no_answer_and_the_solution_is_right(name, solutions, said):
    cells = nbformat.read(pairing.path(name, solutions), as_version=4).cells
    printed = "".join(output.text for cell in cells for output in cell.get("outputs", []) if "text" in output)
    assert re.findall(r"^(Exercise \d): (.+)$", printed, flags=re.MULTILINE) == [
        (exercise, said) for exercise in checks(name)
    ]
