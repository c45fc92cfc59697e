"""Golden numbers that can fail."""

import pytest
from tools import goldens

GOLDEN = [
    {"name": "auroc", "value": 0.84, "tolerance": 0.001, "reason": "threads add up in another order"},
    {"name": "hospitals", "value": 4, "tolerance": 0, "reason": "counted"},
]
VALUES = {"auroc": 0.8405, "hospitals": 4.0}


def notebook(*names: str) -> dict:
    outputs = [{"data": {goldens.MIME: {"name": name, "value": 1.5}}} for name in names]
    return {"cells": [{"outputs": [{"name": "stdout", "text": ["x"]}]}, {}, {"outputs": outputs}]}


def test_numbers_are_read_from_outputs_and_a_name_glued_twice_is_refused():
    assert goldens.glued(notebook("a", "b")) == {"a": 1.5, "b": 1.5}
    with pytest.raises(ValueError, match="glued twice: a, a"):
        goldens.glued(notebook("a", "a"))


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        (VALUES, []),
        (VALUES | {"auroc": 0.8421}, ["auroc is 0.8421: 0.0021 from 0.84, and 0.001 is allowed."]),
        (VALUES | {"auroc": float("nan")}, ["auroc is nan: nan from 0.84, and 0.001 is allowed."]),
        (VALUES | {"hospitals": 5.0}, ["hospitals is 5.0: 1 from 4, and 0 is allowed."]),
        (VALUES | {"new": 1.0}, ["new is glued, and no golden number has that name."]),
        ({"auroc": 0.84}, ["hospitals is a golden number, and the notebook no longer glues it."]),
    ],
)
def test_what_is_not_within_its_tolerance_is_red(values, problems):
    assert goldens.compare(values, GOLDEN) == problems


@pytest.mark.parametrize("lack", [{"tolerance": None}, {"reason": ""}])
def test_a_person_must_write_tolerance_and_reason(lack):
    assert goldens.compare({"a": 1.0}, [{"name": "a", "value": 1.0, "tolerance": 0.1, "reason": "x"} | lack])


def test_fresh_values_keep_what_a_person_wrote(checkout):
    assert goldens.load("01_small") == []
    goldens.write("01_small", VALUES)
    assert goldens.load("01_small")[0] == {"name": "auroc", "value": 0.8405, "tolerance": None, "reason": ""}
    text = goldens.path("01_small").read_text().replace("null", "0.5").replace('""', '"why"')
    goldens.path("01_small").write_text(text)
    goldens.write("01_small", {"auroc": 0.9})
    assert goldens.load("01_small") == [{"name": "auroc", "value": 0.9, "tolerance": 0.5, "reason": "why"}]
