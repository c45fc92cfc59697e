"""The checks of the exercises: every right answer passes, wrong ones are told so, and the stub is neither of them.

The answers lie in ``answers``: see ``notebooks/tools/exercises.py``.
"""

import io
import re
from contextlib import redirect_stdout

import nbformat
import pytest
import tools
from tools import exercises, pairing
from tools.exercises import checks, given, written

from fedkit.chapters import course

ALL = [(name, *part) for name in tools.names() for part in written(name) if part[1] != "given"]


@pytest.mark.parametrize(("name", "exercise", "kind", "code"), ALL, ids=[f"{one[:2]}-{two}" for one, two, *_ in ALL])
def test_an_answer_is_judged(name, exercise, kind, code, monkeypatch):
    """What the check trains to know what is right, it trains once for all answers."""
    monkeypatch.setenv("FEDKIT_RUNS", str(tools.root() / ".cache" / "runs"))
    page, printed = given(name, exercise) | {"In": ["", code]}, io.StringIO()
    exec(code, page)
    with redirect_stdout(printed):
        exec(checks(name)[exercise], page)
    said = re.findall(rf"^{exercise}: (right\.|not yet\. .+)", printed.getvalue(), flags=re.MULTILINE)
    assert [one.partition(".")[0] for one in said] == [{"right": "right", "wrong": "not yet"}[kind]], printed.getvalue()
    kept = course.checked[exercise]  # what is handed in: a teacher's kit says the same of it
    assert kept["code"] == code if "code" in kept else exercises.said(name, exercise, kept["value"]) == kept["said"]


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
