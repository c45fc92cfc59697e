"""Settings, claims and the checks of exercises: each says what it should, and no more."""

import numpy as np
import pytest

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

    course.check("Exercise 3", lambda x: power if power is ... else x**power, (rule, "Square it."))
    assert capsys.readouterr().out == f"Exercise 3: {said}\n"
