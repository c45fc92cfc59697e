"""Settings, claims and the checks of exercises: each says what it should, and no more."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from fedkit.chapters import course

FULL, SMOKE = {"SEEDS": 20, "ROUNDS": 50, "RATE": 0.3}, {"SEEDS": 3, "ROUNDS": 15}


def settled(**changed):
    names = {"PROFILE": "full", **FULL, **changed}
    return names, course.settings(names, FULL, SMOKE)


@pytest.mark.parametrize(
    ("changed", "then", "sets"),
    [
        ({}, (20, 50, 0.3), ""),
        ({"SEEDS": 5}, (5, 50, 0.3), ""),
        ({"PROFILE": "smoke"}, (3, 15, 0.3), "SEEDS = 3, ROUNDS = 15"),
        ({"PROFILE": "smoke", "SEEDS": 5}, (5, 15, 0.3), "ROUNDS = 15"),
        ({"PROFILE": "smoke", "RATE": 1.0}, (3, 15, 1.0), "SEEDS = 3, ROUNDS = 15"),
    ],
)
def test_the_profile_sets_what_the_reader_left_alone_and_claims_are_for_the_published_settings(
    capsys, changed, then, sets
):
    names, claim = settled(**changed)
    assert capsys.readouterr().out == (f"The quick profile sets {sets}.\n" if sets else "")
    assert tuple(names[name] for name in FULL) == then
    claim(np.bool_(True), "It rises.")
    if changed in ({}, {"PROFILE": "smoke"}):
        with pytest.raises(AssertionError, match=r"It rises\."):
            claim(np.bool_(False), "It rises.")
    else:
        claim(np.bool_(False), "It rises.")
        assert capsys.readouterr().out == "With your settings this is not so: It rises.\n"


def test_a_profile_that_is_none_is_refused():
    with pytest.raises(ValueError, match="PROFILE is 'ful': write 'full', or 'smoke'"):
        settled(PROFILE="ful")


def test_a_restarted_kernel_is_told_which_cell_to_run():
    with pytest.raises(ValueError, match=r"Not set: PROFILE, ROUNDS\. Run the cell of parameters above"):
        course.settings({}, {"ROUNDS": 50}, {})


RULES = [(lambda answer: answer > 0, "Look at the sign."), (lambda answer: answer < 9, "Look at the size.")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., "not answered yet."),
        (5, "right."),
        (-5, "not yet. Look at the sign."),
        (10, "not yet. Look at the size."),
        ("a", "not yet. Your code stopped with TypeError: "),
        (None, "Look at the sign."),
    ],
)
def test_a_check_knows_three_states_and_says_what_to_look_at(capsys, answer, said):
    course.check("Exercise 1", answer, *RULES)
    printed = capsys.readouterr().out
    assert printed.startswith("Exercise 1: ")
    assert printed.count("\n") == 1
    assert said in printed


@pytest.mark.parametrize(("power", "said"), [(..., "not answered yet."), (2, "right."), (1, "not yet. Square it.")])
def test_a_function_that_gives_no_answer_yet_is_no_wrong_one(capsys, power, said):
    def rule(function):
        got = function(2)
        return got if got is ... else got == 4

    later = (lambda function: function(3) == 9, "Square it.")
    course.check("Exercise 3", lambda x: power if power is ... else x**power, (rule, "Square it."), later)
    assert capsys.readouterr().out == f"Exercise 3: {said}\n"


class Study(NamedTuple):
    """More than its parts: a check asks for them by name."""

    rounds: int


@pytest.mark.parametrize(
    ("cell", "answer", "kept"),
    [
        ("answer = 7", "answer", {"value": 7}),
        ("answer = np.float32([0.5, 1])", "answer", {"value": [0.5, 1.0]}),
        ("answer = np.int64(7), {'b', 'a'}", "answer", {"value": [7, ["a", "b"]]}),
        ("answer = pd.Series([True, None])", "answer", {"value": [True, None]}),
        ("answer = {'rounds': (1, 2)}", "answer", {"value": {"rounds": [1, 2]}}),
        ("one, two = 'same', 'smaller'", "(one, two)", {"value": ["same", "smaller"]}),
        ("answer = float('nan')", "answer", None),
        ("answer = Study(3)", "answer", None),
        ("answer=lambda x: x", "answer", None),
        ("def answer(x):\n    return x", "answer", None),
        ("@dataclass\nclass answer:\n    x: int = 1", "answer", None),
        ("def one(): pass\ndef two(): pass", "(one, two)", None),
        ("class Other: pass\nanswer = Other()", "answer", None),
    ],
)
def test_of_an_answer_its_value_is_kept_or_else_the_cell_that_made_it_last(cell, answer, kept, capsys):
    shell, names = InteractiveShell(), {"np": np, "pd": pd, "Study": Study, "dataclass": dataclass}
    shell.push(names | {"check": course.check})
    before = re.sub(r"\b(one|two|answer)\b", r"\1_old", cell)
    for code in (
        "def answer(x): return 'an older answer'\none = two = answer",
        before,
        cell,
        "x = 1",
        "answer\none == two",
    ):
        shell.run_cell(code, store_history=True)
    result = shell.run_cell(f"check('Exercise 1', {answer}, (lambda it: False, 'Look.'))", store_history=True)
    result.raise_error()
    assert course.checked["Exercise 1"] == (kept or {"code": cell}) | {"said": "not yet. Look."}


def test_an_answer_that_is_none_yet_is_not_kept_and_an_old_one_is_forgotten():
    for answer in (1, ...):
        course.check("Exercise 1", answer, (lambda it: it, "Look."))
    assert course.checked["Exercise 1"] == {"said": "not answered yet."}
