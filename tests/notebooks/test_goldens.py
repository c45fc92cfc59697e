"""Golden numbers that can fail."""

import pytest
from tools import goldens

GOLDEN = [
    {"name": "auroc", "value": 0.84, "tolerance": 0.001, "reason": "threads add up in another order"},
    {"name": "hospitals", "value": 4, "tolerance": 0, "reason": "counted"},
]
VALUES = {"auroc": 0.8405, "hospitals": 4.0}


def output(name: str, value: float) -> dict:
    return {"data": {goldens.MIME: {"name": name, "value": value}, "text/plain": [f"{name} = {value}"]}}


def test_numbers_are_read_from_outputs():
    cells = [{"outputs": [output("a", 1.5), {"name": "stdout", "text": ["x"]}]}, {}, {"outputs": [output("b", 2.0)]}]
    assert goldens.glued({"cells": cells}) == {"a": 1.5, "b": 2.0}


def test_a_name_glued_twice_is_refused():
    with pytest.raises(ValueError, match="a is glued twice"):
        goldens.glued({"cells": [{"outputs": [output("a", 1.0)]}, {"outputs": [output("a", 1.0)]}]})


def test_within_tolerance_all_is_well():
    assert goldens.compare(VALUES, GOLDEN) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (VALUES | {"auroc": 0.8421}, "auroc is 0.8421: 0.0021 from 0.84, and 0.001 is allowed."),
        (VALUES | {"auroc": float("nan")}, "auroc is nan: nan from 0.84, and 0.001 is allowed."),
        (VALUES | {"hospitals": 5.0}, "hospitals is 5.0: 1 from 4, and 0 is allowed."),
        (VALUES | {"new": 1.0}, "new is glued, and no golden number has that name."),
        ({"auroc": 0.84}, "hospitals is a golden number, and the notebook no longer glues it."),
    ],
)
def test_everything_else_is_red(values, sentence):
    assert goldens.compare(values, GOLDEN) == [sentence]


@pytest.mark.parametrize("lack", [{"tolerance": None}, {"reason": ""}])
def test_a_person_must_write_tolerance_and_reason(lack):
    assert goldens.compare({"a": 1.0}, [{"name": "a", "value": 1.0, "tolerance": 0.1, "reason": "x"} | lack])


def test_fresh_values_keep_what_a_person_wrote(checkout):
    fresh = goldens.renew({"auroc": 0.85, "new": 1.0}, GOLDEN)
    assert fresh[0] == GOLDEN[0] | {"value": 0.85}
    assert fresh[1] == {"name": "new", "value": 1.0, "tolerance": None, "reason": ""}
    goldens.write("01_small", fresh)
    assert goldens.load("01_small") == fresh
    assert goldens.load("02_none") == []
