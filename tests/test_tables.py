"""Anybody's table is taken, or refused with all that is wrong and the lines that help."""

import functools
import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fedkit import evaluation, hospitals, preparation, tables

# Most tables here are odd; who looks at warnings sees them all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*hospitals.check shows more:UserWarning")
AGES = 40.0 + 7 * np.arange(24) % 24  # all different, in no order
RNG = np.random.default_rng(0)


def table(**columns):
    """24 patients at two hospitals; columns can be added or replaced."""
    frame = pd.DataFrame({"clinic": ["A", "B"] * 12, "age": AGES, "ill": [0, 1, 1, 0] * 6})
    return frame.assign(**columns)


def large(**columns):
    """90 patients at three hospitals, as their files came, one after the other."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"clinic": np.repeat(["A", "B", "C"], 30), "age": rng.normal(60, 9, 90).round(1)})
    return frame.assign(**{"ill": rng.integers(0, 2, 90)} | columns)


def small(**columns):
    """40 patients at each of three hospitals, of whom about 50 are ill."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"clinic": np.repeat(["N", "S", "W"], 40), "age": rng.normal(60, 9, 120).round(1)})
    return frame.assign(crp=rng.lognormal(2, 1, 120), ill=(rng.random(120) < 0.4).astype(int)).assign(**columns)


def x(cells):
    return large(x=cells)


def words(*choices, rows=90, seed=2):
    return np.array(choices, dtype=object)[np.random.default_rng(seed).integers(0, len(choices), rows)]


def some(code, rest, part=0.1):
    """A code in a part of the rows."""
    return np.where(RNG.random(90) < part, code, rest)


def shuffled(values, seed=3):
    return np.random.default_rng(seed).permutation(values)


def federation(frame, **options):
    return hospitals.from_frame(frame, **{"site": "clinic", "label": "ill", **options})


def looked_at(frame, **options):
    """What the check complains of."""
    return hospitals.check(frame, **{"site": "clinic", "label": "ill"} | options).complaints


def problems(frame, **options):
    return "\n".join(looked_at(frame, **options)["problem"])


def refused(frame, sentence, **options):
    """What is wrong, where the sentence is in what is said."""
    with pytest.raises(tables.Refused, match=sentence) as caught:
        federation(frame, **options)
    return caught.value.complaints


def done(frame, line):
    """Do what one complaint says to write: a line of pandas."""
    made = {"frame": frame.copy(), "pd": pd, "np": np}
    exec(line, made)
    return made["frame"]


def obeyed(frame, complaints, **options):
    """Do all that is said, at once: the federation of what is then there."""
    options = {"label": "ill"} | options
    for complaint in complaints:
        if complaint.write.startswith("frame"):
            frame = done(frame, complaint.write)
        else:
            options |= eval(f"dict({complaint.write}\n)", {"np": np})  # behind a comment, a new line
    return federation(frame, **options)


def mended(frame, sentence, **options):
    return obeyed(frame, refused(frame, sentence, **options), **options)


# What is refused: a table, a sentence, options.

ALIKE, DATES, AS_TEXT = "'x' holds values that look alike", "'x' holds dates or times", "'x' holds numbers as text"
NAMED, TELLS, WORDS = "'x' numbers or names rows", "'x' tells the label", "'x' holds what people write for nothing"
RANGE = r"'x' is not from 5e-20 to 2e\+19"
# A person must say what is meant: there is no line to copy.
ASKED = {
    "label of grades": (table(ill=[0, 1, 2, 3] * 6), "must hold two values, and holds 4: 0, 1, 2, 3"),
    "label from one": (table(ill=[1, 2] * 12), "which of them is 1 is yours to say: 1, 2"),
    "label of words": (table(ill=["no", "yes"] * 12), "is yours to say: 'no', 'yes'"),
    "label of digits": (table(ill=["0", "1"] * 12), "is yours to say: '0', '1'"),
    "label of halves": (table(ill=[0.0, 0.5] * 12), "is yours to say: 0.0, 0.5"),
    "label by a value, and a third": (
        table(ill=["dead", "alive", "lost"] * 8),
        "more than two values: 'alive', 'dead', 'lost'",
        {"label": ("ill", "dead")},
    ),
    "label a number": (large(ill=RNG.normal(5, 2, 90)), "tells classes apart: it predicts no number"),
    "label a date": (large(ill=pd.Timestamp("2020-01-01")), "no date and no time to an event"),
    "one label only": (table(ill=1), "is 1 in every row"),
    "site missing": (table(clinic=["A", None, "B"] * 8), "'clinic' is missing in 8 of 24 rows", {"min_rows": 5}),
    "site blank": (table(clinic=["A", " "] * 12), "'clinic' is missing in 12 of 24 rows"),
    "sites of lists": (table(clinic=[["A"], ["B"]] * 12), "'clinic' holds what is no single text"),
    "sites of bytes": (table(clinic=[b"A", b"B"] * 12), "'clinic' holds what is no single text or number"),
    "one site": (table(clinic="A"), "one hospital only, and a federation needs two: 'A'.*partitions"),
    "site with a taken name": (table(clinic=["A", "Server "] * 12), "cannot be called mean or server"),
    "no such site": (table(), "no column 'clinik', and there are: 'clinic'", {"site": "clinik"}),
    "no such label": (table(), "no column 'outcome', and there are: 'clinic', 'age', 'ill'", {"label": "outcome"}),
    "site is label": (table(), "two roles: 'ill'", {"site": "ill"}),
    "label as feature": (table(), "two roles: 'ill'", {"features": ["age", "ill"]}),
    "feature twice": (table(), "named twice, or has two roles: 'age'", {"features": ["age", "age"]}),
    "no feature": (table().drop(columns="age"), "no column to learn from"),
    "empty feature list": (table(), "no column to learn from", {"features": []}),
    "complex": (table(x=1 + 2j), "'x' is neither numbers nor text"),
    "points where commas are agreed on": (x(words("1.234", "27,5")), AS_TEXT, {"decimal": ","}),
    "codes here and words there": (
        x(np.repeat(np.array([1, "M", "F"], dtype=object), 30)),
        r"numbers at some hospitals \(A\) and text at others.*replace\(\{1: \.\.\.\}\)",
    ),
    "a split without test rows": (large(), "no row to train on, or none to test on: 'C'", {"test": range(0, 60, 3)}),
    "a split without a class": (
        large(set=words("test", "train")).assign(set=lambda frame: frame["set"].mask(frame["ill"] == 1, "test")),
        "no row of a class to train on: 'A: 1', 'B: 1', 'C: 1'",
        {"test": "set"},
    ),
    "patient missing": (x(["p", None] * 45), "patient 'x' is missing in 45 of 90", {"patient": "x", "min_rows": 1}),
    "few patients": (x([f"p{n // 6}" for n in range(90)]), "A has 5, B has 5, C has 5", {"patient": "x"}),
    "a split of other words": (x(words("train", "dev", "test")), "'x' must be 'train' or 'test'", {"test": "x"}),
    "positions that are none": (large(), "positions of rows, from 0 to 89: 3, 90", {"test": [3, 90]}),
    "positions of words": (large(), "positions of rows, from 0 to 89: '3'", {"test": ["3"]}),
    "patients on both sides": (
        large(p=[f"p{n // 2}" for n in range(90)], x=["train", "test"] * 45),
        "stand on both sides of the split: 'p0'",
        {"patient": "p", "test": "x"},
    ),
}
# It is taken when it is done as it says.
REFUSED = {
    "label missing": (table(ill=[np.nan, 1.0, 0.0, 1.0] * 6), "'ill' is missing in 6 of 24 rows", {"min_rows": 5}),
    "label by a value that nobody has": (
        table(ill=["dead", "alive"] * 12),
        r"never 'deed'.* Write: label=\('ill', 'dead'\)",
        {"label": ("ill", "deed")},
    ),
    "label alike": (
        large(ill=words("Yes", "Yes ", "No")),
        "'ill' holds values that look alike",
        {"label": ("ill", "Yes")},
    ),
    "sites alike": (table(clinic=[1, "1", 2] * 8), "'clinic' holds values that look alike: 1, '1'", {"min_rows": 5}),
    "sites alike but for a space": (table(clinic=["A", "A ", "B"] * 8), "look alike: 'A ', 'A'", {"min_rows": 5}),
    "tiny sites": (
        table(clinic=["A"] * 5 + ["B"] * 8 + ["C"] * 8 + ["D"] * 3),
        "min_rows=6 patients: A has 5, D has 3",
        {"min_rows": 6},
    ),
    "site with a long name": (table(clinic=["A", "B" * 101] * 12), "too long, or cannot be printed"),
    "site in the index": (large().set_index("clinic"), r"no column 'clinic'.*Write: frame = frame[.]reset_index\(\)"),
    "no such feature": (table(), "no column 'Age', and there are: 'age'", {"features": ["Age"]}),
    "site column twice": (pd.concat([table(), table()[["clinic"]]], axis=1), "column 'clinic' more than once"),
    "label column twice": (pd.concat([table(), table()[["ill"]]], axis=1), "column 'ill' more than once"),
    "feature column twice": (pd.concat([table(), table()[["age"]]], axis=1), "column 'age' more than once"),
    "names that read the same": (table().assign(**{"1": 1.0}).rename(columns={"age": 1}), "'1' more than once"),
    "columns alike": (
        table(age=np.where(AGES > 50, AGES, np.nan), **{"Age ": np.where(AGES > 50, np.nan, AGES)}),
        "columns whose names look alike: 'age', 'Age '",
    ),
    "column with a line break": (table(**{"a\nb": AGES}), "too long, or cannot be printed"),
    "infinite": (table(age=[*AGES[1:], np.inf]), "'age' is not from .*, first at B: inf"),
    "beyond sums": (table(age=[*AGES[1:], 1e200]), r"'age' is not from 5e-20 to 2e\+19.* at B"),
    "in too small a unit": (x(RNG.normal(1e30, 1e28, 90)), RANGE),
    "in too large a unit": (x(RNG.normal(0, 1e-25, 90)), RANGE),
    "too small at one hospital": (
        x(np.where(np.arange(90) < 30, 1e-25, 1) * RNG.normal(size=90)),
        "not from 5e-20.* at A",
    ),
    "empty everywhere": (table(x=np.nan), "'x' has no value at any hospital"),
    "blank everywhere": (table(x=""), "'x' has no value at any hospital"),
    "dates with two digits": (x(words("31.1.20", "1.2.20", "")), DATES),
    "months as text": (x(words("2020-01", "2021-12")), DATES),
    "days of the week": (x(words("Mon, 3 Jan 2020", "Tuesday 4 Feb 2020")), DATES),
    "milliseconds since 1970": (x(1.7e12 + RNG.integers(0, 10**5, 90)), DATES),
    "lists": (table(x=[[1], [2]] * 12), "'x' holds what is no single text or number"),
    "question marks": (x(words("0.0", "1.0", "?")), f"{AS_TEXT}: '?'"),
    "digits": (x(words("31", "32", "40")), AS_TEXT),
    "decimal commas": (x(words("27,5", "28", "31,25")), r"Write: decimal=\{'x': ','\}"),
    "exponents": (x(words("1e3", "2.5E-2", "−8.5")), AS_TEXT),
    "a point for nothing": (x(words("1.5", "2.5", ".")), r"missing=\{'x': \['\.'\]\}, decimal=\{'x': '\.'\}"),
    "below detection": (x(words("<0.01", "0.02", ">50", "3")), "below=0.5, above=1"),
    "units in numbers": (x(words("70 kg", "81")), AS_TEXT, {"decimal": "."}),
    "numbers as long text": (x(shuffled([f"{n}.5" for n in range(90)])), AS_TEXT),
    "numbers and words": (x(words("250", "V45", "3")), "'x' is neither all numbers nor all text"),
    "below detection in words": (x(words(1, 2.5, "below")), "'x' is neither all numbers nor all text"),
    "words for nothing": (x(words("a", "b", "NA", "nan", "unknown", "None")), WORDS),
    "words for nothing in a category": (x(pd.Categorical(words("a", "b", "?"))), rf"{WORDS}: '\?'"),
    "levels alike": (x(pd.Categorical(words(1, "1", 2))), ALIKE),
    "levels alike but for a point": (x(pd.Categorical(words(1, "1.0", 2))), f"{ALIKE}: 1, '1[.]0'"),
    "levels with odd spaces": (x(words("a b", "a\xa0b", "a  b", "c")), r"'a\\xa0b'"),
    "levels with nothing visible": (x(words("a", "a\u200b", "c")), r"look alike: 'a\\u200b', 'a'"),
    "too many levels": (x([f"code {n % 60}" for n in shuffled(range(90))]), "numbers or names"),
    "too many codes": (
        pd.concat([large()] * 9).assign(x=[f"I{min(n % 99, n % 71)}" for n in shuffled(range(810))]),
        "'x' holds [67]. levels, and at most 50 can be.*Write: rare=",
    ),
    "a saved index": (large().reset_index(names="Unnamed: 0"), "'Unnamed: 0' numbers or names rows"),
    "row numbers as floats": (x(np.arange(90.0)), NAMED),
    "row numbers, dealt out": (x(shuffled(range(90))), NAMED),
    "row numbers of each hospital": (x([*range(30)] * 3), NAMED),
    "numbers of patients, with visits": (x(np.arange(90) // 5), NAMED),
    "long numbers of patients, with visits": (x(RNG.integers(10**6, 10**7, 18)[np.arange(90) // 5]), "names rows"),
    "numbers by tens": (x(10 * np.arange(90) + 3), NAMED),
    "row numbers and a half": (x(np.arange(90) / 10 + 0.05), NAMED),
    "names of patients": (x([f"P{n}" for n in shuffled(range(90))]), NAMED),
    "names of patients, with visits": (x([f"P{n // 5}" for n in range(90)]), NAMED),
    "a code for nothing": (x(np.where(np.arange(90) % 9, RNG.normal(37, 1, 90), -999)), "for nothing.*-999"),
    "two codes for nothing": (x(some([998, 999] * 45, 37.5)), "for nothing"),
    "a code with a point": (x(some(99.9, RNG.normal(37, 1, 90))), "for nothing.*99.9"),
    "a code beyond a small scale": (x(some(9, RNG.integers(1, 6, 90))), "nothing.*9"),
    "a code for nothing below a small scale": (x(words(-9, 1, 2, 3).astype(int)), "nothing.*-9"),
    "99 beside small counts": (x(some(99, RNG.poisson(2, 90))), "nothing.*99"),
    "9 beyond a tail, several times": (x(shuffled(np.repeat([0, 1, 2, 3, 9], [46, 28, 10, 1, 5]))), "nothing.*9"),
    "one -99.99": (x([-99.99, *RNG.normal(5, 1, 89)]), r"nothing.*: -99.99\. Write"),
    "-9 among numbers of both signs": (x(some(-9, RNG.normal(size=90))), "nothing"),
    "-1 among counts": (x(RNG.integers(-1, 5, 90)), "for nothing.*-1"),
    "a code among codes": (x(words(0, 1, 1, 9).astype(int)), r"for nothing.*Write: missing=\{'x': \[9.0\]\}"),
    "a copy of the label": (x(7 - 2 * large()["ill"]), TELLS),
    "what the label was made of": (x(large()["ill"] * RNG.integers(1, 5, 90)), TELLS),
    "known with one label only": (x(RNG.normal(size=90) / large()["ill"].where(large()["ill"] > 0)), TELLS),
    "said with one label only": (x(np.where(large()["ill"], words("a", "b"), None)), TELLS),
    "a date known with one label only": (
        x(pd.Series(words("2020-01-31", "2021-12-05")).where(large()["ill"] == 1)),
        f"for 2 reasons(.|\n)*{TELLS}",
    ),
    "the label in words": (x(np.where(large()["ill"], "ja", "nein")), TELLS),
    "no level is frequent": (x(words("a", "b")), "No level of column 'x' has the rows of", {"rare": {"x": 60}}),
    "a column without a name": (large(**{"x": 1.5}).rename(columns={"x": None}), "A column has no name"),
}


@pytest.mark.parametrize("case", [*ASKED, *REFUSED])
def test_it_is_refused_with_a_sentence_and_taken_when_it_is_done_as_it_says(case):
    frame, sentence, options = (*(ASKED | REFUSED)[case], {})[:3]
    complaints = refused(frame, sentence, **options)
    assert str(tables.Refused(complaints))[0].isupper()
    assert {severity for severity, *_ in complaints} == {"refused"}
    found = looked_at(frame, **options)
    assert found[found["severity"] == "refused"].to_numpy().tolist() == [list(each) for each in complaints]
    if case in REFUSED:
        obeyed(frame, complaints, **options)


def test_what_is_no_table_or_cannot_be_prepared_is_refused():
    with pytest.raises(TypeError, match="must be a pandas DataFrame, and is a dict"):
        federation({"clinic": []})
    with pytest.raises(ValueError, match="no column, since none of the features ever varies"):
        federation(table(x="same"), features=["x"])
    with pytest.raises(ValueError, match="two columns of the same name"):
        federation(table(x=["a", "b", "b", "a", "a", "b"] * 4, **{"x=b": 1.0}))
    with pytest.raises(ValueError, match=r"two rows of names. Write: frame.columns = \[[*]map"):
        federation(pd.concat({"x": small()}, axis=1))
    with pytest.raises(ValueError, match=r"one column. Write: frame = pd.read_csv\(..., sep=';'\)"):
        federation(pd.DataFrame({"clinic;age;ill": ["A;27,5;0"]}))


def test_of_many_reasons_the_worst_are_said_and_all_are_kept():
    frame = large(**{f"x{at}": words("27,5", "28") for at in range(31)})
    found = refused(frame, r"for 31 reasons, the worst 20 of `complaints` first:(\n\d+[.] .*){20}$")
    assert len(found) == 31


def test_all_that_is_wrong_is_said_at_once_the_worst_first():
    frame = large(text=words("27,5", "28"), x=words("m", "M", "f"), ill=words("dead", "alive"), at="2020-01-31")
    frame.loc[:2, "clinic"] = None
    found = refused(frame, r"for 5 reasons, the worst first:\s1[.] ")
    assert [each.column for each in found] == ["ill", "clinic", "text", "x", "at"]
    assert found[1].rows == 3
    assert "'27,5'" in str(found[2])


def test_what_tells_the_label_is_said_before_it_is_said_what_is_1():
    label = small()["ill"].map({0: "no", 1: "yes"})
    refused(small(ill=label, x=label), rf"for 2 reasons(.|\n)*{TELLS}")


def test_the_index_of_the_table_plays_no_role_and_the_table_is_not_changed():
    frame = table(x=list("abcdefghijkl") * 2)
    other = frame.set_index(pd.Index([5] * 24))
    before = other.copy()
    assert federation(other).sha256 == federation(frame).sha256
    pd.testing.assert_frame_equal(other, before)


ARGUMENTS = [
    ({"decimal": ";"}, "must be '.' or ','"),
    ({"missing": "?"}, r"`missing` is a list: write \['\?'\]"),
    ({"missing": -999}, r"`missing` is a list: write \[-999\]"),
    ({"missing": {"age": "NA"}}, r"`missing` is a list: write \['NA'\]"),
    ({"mising": ["?"]}, "hospitals.from_frame has no setting 'mising'. Did you mean missing"),
    ({"min_row": 5}, "Did you mean min_rows"),
    ({"min_rows": 2.5}, "min_rows must be a whole number"),
    ({"min_rows": True}, "min_rows must be a whole number"),
    ({"keep": "age"}, "`keep` is a list"),
    ({"keep": 7}, r"`keep` is a list: write \[7\]"),
    ({"rare": "20"}, "`rare` must be a number, and is '20'"),
    ({"below": "half"}, "`below` must be a number"),
    ({"min_rows": "5"}, "min_rows must be a whole number of patients, and it is '5'"),
    ({"features": "age"}, r"write \['age'\]"),
    ({"features": 3}, r"`features` must be a list of column names: write \[3\]"),
    ({"label": None}, "needs a label"),
    ({"label": ["ill"]}, "`label` is the name of one column, and not a list"),
    ({"label": ("ill", "yes"), "classes": ["no", "yes"]}, "not with both"),
    ({"site": ["clinic"]}, "`site` is the name of one column, and not a list"),
    ({"site": None}, "name their column with site="),
    ({"patient": ["age"]}, "`patient` is the name of one column, and not a list"),
]


@pytest.mark.parametrize(("how", "sentence"), ARGUMENTS)
def test_an_argument_that_makes_no_sense_gets_a_sentence(how, sentence):
    with pytest.raises((TypeError, ValueError) if how.keys() & {"decimal", "min_rows"} else TypeError, match=sentence):
        federation(table(), **how)


def test_a_name_that_no_column_has_is_not_passed_over():
    for how in ({"missing": {"aeg": [-55]}}, {"decimal": {"aeg": ","}}, {"keep": ["aeg"]}):
        with pytest.warns(UserWarning, match="what 'aeg' holds, and there is no such column: 'age'"):
            federation(small(), **how)


def test_a_check_of_nothing_that_can_be_used_is_a_check_all_the_same():
    found = hospitals.check(table(), site="clinic", label="zz", features=["q"])
    assert len(found.report) == 0
    assert repr(found).count("The table has no column") == 2


# What cells mean


LEVELS = [
    (["b", "a", "a", None] * 6, ("a", "b")),
    (pd.array(["b", "a", "a", None] * 6, dtype="string"), ("a", "b")),
    (pd.Categorical([10, 2, 2, None] * 6, categories=[2, 10, 99]), ("2", "10")),
    ([True, False, False, None] * 6, ("False", "True")),
    ([True, False, False, False] * 6, ("False", "True")),
    (pd.array([False, True, True, None] * 6, dtype="boolean"), ("True", "False")),
    (pd.Categorical(["10", "2", "1", "10"] * 6), ("10", "1", "2")),
    (["b", " ", "a", "b"] * 6, ("b", "a")),
]
SITES = [
    ([7, 3] * 12, ("7", "3")),
    ([7.0, 3.0] * 12, ("7", "3")),
    ([7.5, 3.0] * 12, ("7.5", "3")),
    ([True, False] * 12, ("True", "False")),
    (pd.Categorical(["n", "m"] * 12, categories=["m", "n", "never"]), ("n", "m")),
    ([" Ålesund ", "Bodø"] * 12, ("Ålesund", "Bodø")),
]


@pytest.mark.parametrize(("cells", "levels"), LEVELS)
def test_text_booleans_and_categories_are_levels_with_the_most_frequent_first(cells, levels):
    made = federation(table(x=cells), keep=["x"])  # some are the label by another name
    assert made.numeric == ("age",)
    assert made.categorical == {"x": levels}
    assert list(made["A"].table["x"].cat.categories) == list(levels)
    assert made.columns == preparation.split(made, seed=0).columns == ("age", *(f"x={level}" for level in levels[1:]))


def test_levels_are_those_of_the_whole_federation_and_other_is_one_however_it_is_written():
    made = federation(table(x=["only at A", "common"] * 12, y=["p", "p", "q", "q"] * 6))
    assert set(made["B"].table["x"].dropna()) == {"common"}
    assert set(made["B"].table["x"].cat.categories) == {"only at A", "common"}
    frame = large(x=np.repeat(["Other", "b", "c", "d"], [40, 40, 6, 4]), y=np.repeat(["b", "a"], [83, 7]))
    assert federation(frame, rare={"x": 10}).categorical == {"x": ("Other", "b"), "y": ("b", "a")}, "rare is of x"


@pytest.mark.parametrize(("sites", "names"), SITES)
def test_sites_of_any_kind_become_names_in_the_order_of_the_rows(sites, names):
    made = federation(table(clinic=sites))
    assert made.names == names
    assert made[names[0]].table["age"].tolist() == list(AGES[::2])


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], pd.array([0, 1], "Int64"),
                                    pd.array([False, True], "boolean")])  # fmt: skip
def test_labels_of_zero_and_one_of_any_make(labels):
    made = federation(table(ill=pd.concat([pd.Series(labels)] * 12, ignore_index=True)))
    assert made["A"].labels.dtype == np.int64
    assert (made["A"].labels.tolist(), made["B"].labels.tolist()) == ([0] * 12, [1] * 12)


def test_columns_are_called_what_they_are():
    frame = x(RNG.normal(size=90)).rename(columns={"x": 7})
    assert federation(frame).numeric == ("age", "7")
    assert federation(frame.rename(columns={7: ("x", "y")})).numeric == ("age", "('x', 'y')")


# Cells, options, and the values that are read: of a column of numbers, or of levels.
READ = {
    "commas": (words("27,5", "28", None), {"decimal": ","}, [27.5, 28]),
    "commas of this column": (words("27,5", "28"), {"decimal": {"x": ",", "age": "."}}, [27.5, 28]),
    "points": (words("27.5", "1e1", " 3 ", "−4.5", 2), {"decimal": "."}, [27.5, 10, 3, -4.5, 2]),
    "one point nothing": (words("1", "1.0", "2"), {"decimal": "."}, [1, 2]),
    "question marks": (words("0.0", "1.0", "?"), {"decimal": ".", "missing": ["?"]}, [0, 1]),
    "question marks among numbers": (words(1, 2.5, "?"), {"missing": {"x": ["?"]}}, [1, 2.5]),
    "below and above": (
        words("<0.01", "≤ 2", "7", ">50"),
        {"decimal": ".", "below": 0.5, "above": 2},
        [0.005, 1, 7, 100],
    ),
    "codes for nothing": (np.where(np.arange(90) % 9, 36.5, -999), {"missing": [-999]}, [36.5]),
    "identifiers that were measured": (np.arange(90.0), {"keep": ["x"]}, range(90)),
    "a code that was measured": (words(0, 1, 9).astype(int), {"keep": ["x"]}, [0, 1, 9]),
    "numbers and None": ([1, None] * 45, {}, [1]),
    "whole numbers of pandas": (pd.array([1, None] * 45, dtype="Int64"), {}, [1]),
    "small floats": (np.array([1.0, np.nan] * 45, dtype=np.float32), {}, [1]),
    "decimals": ([Decimal("1"), None] * 45, {}, [1]),
    "what is not available": (pd.Series([1, pd.NA] * 45, dtype=object), {}, [1]),
    "a scale from -1": (words(-1, 0, 1).astype(int), {}, [-1, 0, 1]),
    "a scale to 7": (words(1, 2, 3, 4, 7).astype(int), {}, [1, 2, 3, 4, 7]),
    "years": (words(1999, 2001, 2020).astype(int), {}, [1999, 2001, 2020]),
    "whole measurements, all different": (shuffled(range(0, 90_000, 1000)), {}, range(0, 90_000, 1000)),
    "codes": (pd.Categorical(words("0", "1", "2")), {}, {"0", "1", "2"}),
    "codes and one point nothing": (pd.Categorical(words("1", "1.0", "2")), {}, {"1.0", "2"}),
    "codes of halves": (pd.Categorical(words(1.0, 2.5)), {}, {"1", "2.5"}),
    "codes that are kept": (words("0", "1", "?"), {"keep": ["x"]}, {"0", "1", "?"}),
    "truth and a word": (words(True, False, "unknown"), {"missing": ["unknown"]}, {"True", "False"}),
    "no pain": (words("none", "mild", "severe"), {}, {"none", "mild", "severe"}),
    "brackets": (words("[70-80)", "[80-90)", "<3a>"), {}, {"[70-80)", "[80-90)", "<3a>"}),
    "stages": (words("1a", "1b", "2nd"), {"keep": ["x"]}, {"1a", "1b", "2nd"}),
    "spaces around": (words(" a", "\u00a0b\u200b"), {}, {"a", "b"}),
    "an encoding": (words("Zu\u0308rich", "Bern"), {}, {"Zürich", "Bern"}),
    "rare levels": (np.repeat(["a", "b", "c", "d"], [50, 30, 6, 4]), {"rare": 10, "keep": ["x"]}, {"a", "b", "other"}),
    "a hundred codes": (
        shuffled([*range(60), *[60, 61] * 15]).astype(str),
        {"rare": 5, "keep": ["x"]},
        {"60", "61", "other"},
    ),
    "other by name": (np.repeat(["a", "other", "c"], [50, 30, 10]), {"rare": 20, "keep": ["x"]}, {"a", "other"}),
    "alleles": (words("02:01", "24:02", "57:01", "?"), {"missing": ["?"]}, {"02:01", "24:02", "57:01"}),
}


@pytest.mark.parametrize("case", READ)
def test_a_cell_means_what_it_says_or_what_the_caller_says(case):
    cells, options, expected = READ[case]
    frame = x(cells)
    made = federation(frame, **options)
    found = [value for hospital in made for value in hospital.table["x"].dropna()]
    assert {*found} == {*expected}
    assert ("x" in made.categorical) == isinstance(expected, set)
    assert frame["x"].equals(x(cells)["x"]), "the caller's table was changed"


# What people write for days and numbers, and what is there once the line that is written was copied.
DAYS = pd.to_datetime(["2020-01-31", "2021-12-05", "2020-02-29"] * 30)
SINCE_2000 = [7335, 8009, 7364]
DATED = {
    way: (DAYS.strftime(way), SINCE_2000) for way in ("%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%d%b%Y", "%Y-%m-%dT%H:%M:%S")
}
DATED |= {
    "whole numbers": (DAYS.strftime("%Y%m%d").astype(int), SINCE_2000),
    "numbers with a point": (np.where(np.arange(90) < 3, np.nan, DAYS.strftime("%Y%m%d").astype(float)), SINCE_2000),
    "months": (DAYS.strftime("%Y%m").astype(float), [7305, 8005, 7336]),
    "seconds": (DAYS.astype("int64") / 1e9, SINCE_2000),
    "with a time": (DAYS.strftime("%d.%m.%Y 18:00"), [day + 0.75 for day in SINCE_2000]),
    "before noon": (DAYS.strftime("%m/%d/%Y 6:00 AM"), [day + 0.25 for day in SINCE_2000]),
    "some unknown": (np.where(np.arange(90) % 4, DAYS.strftime("%d.%m.%Y"), "unknown"), SINCE_2000),
    "categories": (pd.Categorical(DAYS.strftime("%d.%m.%Y")), SINCE_2000),
    "timestamps": (DAYS, SINCE_2000),
    "days of Python": ([*DAYS.date[:-1], None], SINCE_2000),
    "times of the day": (words("12:30", "7:15", None), [12.5, 7.25]),
    "at one hospital otherwise": (["31.01.2020", "2021-12-05"], [7335, 8009]),
    "one unknown": (["31.01.2020", "2021-12-05", "?"], [7335, 8009]),
    "German days": (["31. Jänner 2020", "5. Dez. 2021", "29. Feb. 2020"], SINCE_2000),
    "French days": (["31 janvier 2020", "5 déc. 2021", "29 févr. 2020"], SINCE_2000),
    "Spanish days": (["31 de enero de 2020", "5 de diciembre de 2021"], SINCE_2000[:2]),
    "Italian months": (["gennaio 2020", "dicembre 2021"], [7305, 8005]),
    "day first, without a mark": (["31012020", "05122021", "29022020"], SINCE_2000),
    "day first, as a number": ([31012020, 5122021, 29022020], SINCE_2000),
    "in two time zones": (["2020-01-31T01:00+01:00", "2021-12-05T00:00Z"], SINCE_2000[:2]),
    "in a time zone": ([pd.Timestamp("2020-01-31", tz="UTC"), pd.Timestamp("2021-12-05", tz="UTC")], SINCE_2000[:2]),
    "durations": (pd.to_timedelta(["36h", "2d"]), [1.5, 2]),
}
WRITTEN = DATED | {
    "dollars": (["$1,200", "-$35", None], [1200, -35]),
    "pounds of money": (["£ 3.50", "£12"], [3.5, 12]),
    "euros": (["1.200,50 €", "3,00 €", "?"], [1200.5, 3]),
    "francs": (["CHF 12'000", "chf 3"], [12000, 3]),
    "thousands": (["2,569,258", "1,234"], [2569258, 1234]),
    "thousands with points": (["1.970,05", "543,21"], [1970.05, 543.21]),
    "thousands with spaces": (["1 234,5", "12"], [1234.5, 12]),
    "a unit": (["70 kg", "81.5kg", "NA"], [70, 81.5]),
    "a unit, and commas": (["27,5 kg", "30,2 kg"], [27.5, 30.2]),
    "a share": (["12 %", "3%"], [12, 3]),
    "commas at one hospital": (["27,5", "27.25"], [27.5, 27.25]),
    "commas beside numbers": (["27,5", 27.25], [27.5, 27.25]),
    "pressures": (["120/80", "140/90", "?"], [120, 140]),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_a_line_reads_what_people_write(case):
    cells, values = WRITTEN[case]
    frame = x(pd.Series([*cells] * 90)[:90])
    (said,) = refused(frame, DATES if case in DATED else "'x' ")
    assert "..." not in said.write
    made = obeyed(frame, [said])
    assert {round(value, 6) for hospital in made for value in hospital.table["x"].dropna()} == {*values}


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1,234", "950"], "frame['x'] = ...  # which is right?"),
        (["2,569,258", "1,234"], "frame['x'] = pd.to_numeric("),
        (["1.234", "27,5"], "frame['x'] = ...  # which is right?"),
        (["-5 kg", "<3 kg"], "frame['x'] = frame['x'].astype('category')  # or, write plain numbers"),
        (["1/2", "2/2"], "frame['x'] = frame['x'].astype('category')"),
        (["9-11 years", "12 years", "1. White"], "frame['x'] = frame['x'].astype('category')"),
        ([f"{7 * each % 30} {'kg' if each % 2 else 'lb'}" for each in range(30)], "frame['x'] = pd.to_numeric("),
        (["70 kg", "154 lb"], "frame['x'] = frame['x'].astype('category')  # or, write plain numbers"),
        (["250", "V45", "3"], "frame['x'] = frame['x'].astype('category')"),
        (["4.1", "4.8", "hemolysed"], "missing={'x': ["),  # numbers that were measured do not become levels
        ([*map(str, range(30, 59)), "n.b."], "missing={'x': ["),
        (["31.01.2020", "31.01.20"], "frame = frame.drop(columns=['x'])  # or write numbers"),
        (["31.01.2020", "soon, 5 May 20"], "frame = frame.drop(columns=['x'])  # or write numbers"),
        (["9999-12-31", "2020-1-1"], "frame = frame.drop(columns=['x'])  # or write numbers"),
    ],
)
def test_no_line_is_written_that_reads_other_numbers_than_are_there(cells, line):
    assert refused(x((cells * 90)[:90]), "'x' ")[0].write.startswith(line)


def test_a_person_says_the_order_of_day_and_month_where_both_can_be():
    refused(x(words("01/02/2020", "03/12/2020")), r"format=\.\.\.\)  # in which order\? '%d/%m/%Y' or '%m/%d/%Y'")


def test_what_is_no_date_is_none():
    for cells in (["marquru01", "maranra01"], ["DEC 10 b", "x"], ["1. April 2020", *"abcdefghijkl"], ["1/86", "2/86"]):
        assert "dates" not in problems(x(words(*cells)))
    for whole in (RNG.integers(10**6, 3 * 10**7, 90), RNG.integers(40_000, 46_000, 90)):
        assert not re.search("dates|days", problems(x(whole)))
    assert "dates" not in problems(x(words("15:01", "04:11", "13:02:01")), keep=["x"])
    assert "dates" in problems(x(words("08:05", "09:30", "11:00")))


def test_days_of_a_spreadsheet_are_asked_about_by_their_name():
    days = RNG.integers(43_000, 45_000, 120)
    found = looked_at(small(**{"Date of birth": days, "platelets": days}))
    said = found[found["problem"].str.contains("spreadsheets")]
    assert (said["column"].tolist(), said["severity"].tolist()) == (["Date of birth"], ["look"])


ADDED = {
    "words": ({"missing": ["NA"]}, {"x": words(1, 2, "?", rows=120)}, ["missing=['NA', '?']"]),
    "a code": (
        {"missing": ["NA"]},
        {"x": words(1, 2, -9, rows=120).astype(int)},
        ["missing={None: ['NA'], 'x': ['NA', -9.0]}"],
    ),
    "commas": (
        {"decimal": "."},
        {"x": words("1,5", "2", rows=120), "y": words("1.5", "2", rows=120, seed=3)},
        ["decimal={None: '.', 'x': ','}"],
    ),
    "kept": (
        {"keep": ["age"], "missing": {"age": ["-"]}},
        {"x": words(1, 2, -9, rows=120).astype(int)},
        ["missing={'age': ['-'], 'x': [-9.0]}  # or, if it was measured: keep=['age', 'x']"],
    ),
    "rare": ({"rare": 2}, {"x": shuffled([f"I{n % 59}" for n in range(120)])}, ["rare={None: 2, 'x': "]),
    "two columns": (
        {},
        {
            "x": words("1,5", "?", rows=120),
            "y": words("2,5", "3", rows=120),
            "z": words(1, 2, -9, rows=120).astype(int),
        },
        ["missing={'x': ['?'], 'z': [-9.0]}", "decimal={'x': ',', 'y': ','}"],
    ),
    "three": (
        {},
        {name: words("1.5", "?", f"n{name}", *map(str, range(20)), rows=120, seed=ord(name)) for name in "uvw"},
        ["missing=['?', 'nu', 'nv', 'nw'], decimal='.'"],
    ),
}


@pytest.mark.parametrize("case", ADDED)
def test_what_is_to_be_said_joins_what_was_said(case):
    given, columns, lines = ADDED[case]
    complaints = refused(small(**columns), "Write: ", **given)
    for line in lines:
        assert any(line in each.write for each in complaints)
    obeyed(small(**columns), complaints, **given)


# The label and the test rows


def test_the_value_that_is_1_may_be_said_as_it_is_meant():
    ill = small()["ill"].astype(bool)
    tries = [(ill, 1), (ill, True), (ill, "True"), (ill.astype(int), True), (ill.astype(float), "1"), (~ill, 0)]
    for cells, one in [*tries, (np.where(ill, "died", "lived"), "died")]:
        made = federation(small(ill=cells), label=("ill", one))
        assert np.concatenate([each.labels for each in made]).tolist() == ill.astype(int).tolist()


def test_a_word_for_nothing_is_no_class_no_level_no_hospital_and_no_patient():
    for word in "? . - -- NA N/A n.a. #N/A nan NaN <NA> NULL nil ND missing unknown None".split():
        refused(x(words("a", word)), rf"{WORDS}|{AS_TEXT}")
    for word in ("unknown", "?", "NA"):
        sentence = rf"no class: '{re.escape(word)}'.*isin\(\['{re.escape(word)}'\]\)"
        refused(large(ill=["dead", word, "dead"] * 30), sentence, label=("ill", "dead"))
    for word in ("?", "unknown", "nan", "None"):
        made = mended(small(clinic=words("N", "S", word, rows=120)), "hospital 'clinic' is missing in")
        assert {*made.names} == {"N", "S"}
        refused(small(p=words("a", word, rows=120)), "patient 'p' is missing in", patient="p")


def test_a_blank_may_be_the_other_value_of_the_label():
    ill = small()["ill"] == 1
    for cells, label in ((ill.map({True: "yes"}), "ill"), (ill.map({True: "yes", False: " "}), ("ill", "yes"))):
        (said,) = refused(small(ill=cells), "label 'ill' is 'yes' or blank", label=label)
        changed = done(small(ill=cells), said.write.replace("...", "'no'"))
        assert sum(each.labels.sum() for each in federation(changed, label=label)) == ill.sum()


def test_a_class_in_other_letters_is_told_apart_from_none_of_them():
    frame, how = small(ill=words("Stable", "worse", rows=120)), {"classes": ["stable", "worse"]}
    (said,) = refused(frame, r"none of the classes.*replace\(\{'Stable': 'stable'\}\)", **how)
    assert federation(done(frame, said.write), **how).classes == ("stable", "worse")


def test_positions_of_any_kind_are_positions():
    frame, tested = large(), range(0, 90, 3)
    kinds = [tested, [*tested], tuple(tested), np.array(tested)]
    assert len({tuple(one.test.tolist()) for kind in kinds for one in federation(frame, test=kind)}) == 1
    for wrong in (slice(3), [], {}, np.array([], int)):
        refused(frame, "must be positions of rows", test=wrong)


def test_test_rows_of_another_index_are_found_by_their_label_or_refused():
    frame = small().sample(frac=1, random_state=1)
    tested = frame.index[np.arange(120) % 4 == 0]
    there = frame.index.isin(tested)
    for test in (there, np.flatnonzero(there), pd.Series(there, frame.index), pd.Series(there, frame.index)[::-1]):
        made = federation(frame, test=test)
        expected = frame.assign(test=there).groupby("clinic", sort=False)["test"]
        assert all(one.test.tolist() == expected.get_group(one.name).tolist() for one in made)
    for test in (tested, pd.Series(tested)):
        refused(frame, r"labels of the table's index.*test=frame[.]index[.]isin", test=test)
    assert federation(small(), test=small().index[::4])["N"].test.sum() == 10


# A hospital that joins

STUDY = hospitals.Federation(
    "study", (), ("age",), {"sex": ("m", "f"), "smoker": ("False", "True"), "code": ("1", "other")}
)


def own(**columns):
    """A hospital's own table for the study."""
    sexes = {"smoker": words(True, False, rows=30), "sex": words("f", "m", rows=30)}
    return pd.DataFrame(sexes | {"code": 1, "age": 60.5}).assign(**{"ill": [0, 1] * 15} | columns)


def joined(frame, **options):
    return hospitals.join(frame, STUDY, **{"name": "A", "label": "ill"} | options)


def test_one_hospital_joins_with_the_columns_that_others_agreed_on():
    made = joined(own(more="text", age=words("60,5", "", rows=30)), decimal=",")
    assert (made.name, len(made), [*made.table]) == ("A", 30, ["age", *STUDY.categorical])
    assert {name: tuple(made.table[name].cat.categories) for name in STUDY.categorical} == STUDY.categorical
    assert made.table["smoker"].tolist() == [*map(str, own()["smoker"])]
    assert made.table["code"].tolist() == ["1"] * 30
    preparation.local_sums(made.table, STUDY.numeric, STUDY.categorical)
    assert joined(own(age=range(30))).table["age"].tolist() == [*range(30)], "a table may be in order of age"
    assert joined(own(age=np.nan, ill=0)).labels.tolist() == [0] * 30
    assert {*joined(own(code=words(1, 2, "x", rows=30)), rare=5).table["code"]} == {"1", "other"}
    assert hospitals.check(own(sex="male"), STUDY, name="A", label="ill").complaints["hospital"].tolist() == [""]
    assert hospitals.check(own(), STUDY, label="ill").report["hospital"].unique().tolist() == ["here"]
    for name in ("", None, " ", "x" * 101):
        with pytest.raises(TypeError, match="names of its hospitals: say its own"):
            joined(own(), name=name)


UNFIT = [
    (own(sex="male"), "'sex' holds levels that the study does not know: 'male'.*the study knows 'm', 'f'"),
    (own(sex="F"), r"\.replace\(\{'F': 'f'\}\)"),
    (own(code=2), r"'code' holds levels that the study does not know: '2'.*\.replace\(\{2: \.\.\.\}\)"),
    (own(age="old"), "'age' holds text, where numbers are asked for: 'old'"),
    (own(age=[60, -999] * 15), "a code for nothing"),
    (own(age=np.inf), "'age' is not from .*, first at A: inf"),
    (own(ill=[1, 2] * 15, sex=1), r"for 2 reasons(.|\n)*which of them is 1(.|\n)*'sex' holds levels"),
    (own(Sex="m"), "names look alike: 'sex', 'Sex'"),
    (own().drop(columns="age"), "no column 'age'"),
    (own().head(29), r"A has 29[.] Write: min_rows=29"),
]


@pytest.mark.parametrize(("frame", "sentence"), UNFIT)
def test_a_hospital_that_does_not_fit_is_refused_with_all_that_is_wrong(frame, sentence):
    with pytest.raises(tables.Refused, match=sentence):
        joined(frame, min_rows=30)


def test_a_hospital_made_by_hand_is_looked_at_all_the_same():
    good = pd.DataFrame({"age": [60.0, 61, 62], "sex": pd.Categorical(["m", "f", "m"])})
    labels, bad = np.array([0, 1, 1]), {"age": [60, 61, 62], "sex": ["m", "f", "m"], "smoker": [True, False, True]}
    assert len(hospitals.Hospital("A", good, labels)) == 3
    tries = [(good.assign(**{name: cells}), labels, f"neither float64 nor .*{name}") for name, cells in bad.items()]
    tries += [(good.assign(sex=pd.Categorical([1, 0, 1])), labels, r"neither float64 nor categories of text \(sex\)")]
    tries += [(good.assign(age=np.inf), labels, "infinite")]
    tries += [(good, np.array(wrong), "not 0 to 1, of int64") for wrong in ([1, 2, 2], [-1, 1, 1], [0.0, 1, 1])]
    tries += [(good, [0, 1, 1], "not 0 to 1, of int64"), (good, labels[:2], "3 rows in its table, and 2 labels")]
    for frame, classes, sentence in tries:
        with pytest.raises(ValueError, match=rf"A has .*{sentence}.*hospitals[.]join"):
            hospitals.Hospital("A", frame, classes)
    with pytest.raises(ValueError, match="no row to train on"):
        hospitals.Hospital("A", good, labels, test=np.ones(3, bool))


def test_two_hospitals_of_one_name_are_refused():
    made = federation(small())
    again = hospitals.join(small().head(40), made, name=" n", label="ill")
    with pytest.raises(ValueError, match="Two hospitals of table have one name: 'N', 'n'"):
        hospitals.Federation("table", (*made, again), made.numeric, made.categorical)


@pytest.mark.parametrize("change", [lambda x: x * 2.2046, lambda x: x / 1000, lambda x: x + 900, lambda x: 0 * x])
def test_a_hospital_that_joins_a_federation_is_compared_with_it(change):
    rng = np.random.default_rng(9)
    whole = large(x=rng.normal(75, 9, 90), n=rng.integers(1, 4, 90), w=words("p", "q"))
    made = federation(whole.iloc[:60])
    new = whole.iloc[60:].drop(columns="clinic")
    how = {"name": "C", "label": "ill"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hospitals.join(new, made, **how)
    with pytest.warns(UserWarning, match="Column 'x' at C") as caught:
        hospitals.join(new.assign(x=change(new["x"])), made, **how)
    assert caught[0].filename == __file__
    complaints, report = hospitals.check(new.assign(n=new["n"] + 1), made, **how)
    assert complaints["problem"].tolist() == ["Column 'n' at C has the values of A moved by 1, as if coded otherwise"]
    assert {*report["hospital"]} == {"C", "A", "B"}
    (said,) = complaints.itertuples()
    assert not len(hospitals.check(done(new.assign(n=new["n"] + 1), said.write), made, **how).complaints)
    pounds = whole["x"].mask(whole["clinic"] == "B", 2.2046 * whole["x"])
    others = federation(whole.assign(x=pounds).iloc[:60])
    assert {*hospitals.check(new, others, **how).complaints["hospital"]} <= {"", "C"}


# What only a person can judge


def odd():
    """Three hospitals that do not measure alike."""
    rng = np.random.default_rng(4)
    frame = large(weight=rng.normal(75, 12, 90), sex=[0, 1] * 45, chol=rng.normal(230, 40, 90), g=["m", "f", "f"] * 30)
    frame.loc[frame["clinic"] == "B", "weight"] *= 2.2
    frame.loc[frame["clinic"] == "C", "sex"] += 1
    frame.loc[frame["clinic"] == "A", "chol"] = 0
    return frame.assign(g=frame["g"].mask(frame["clinic"] == "B", frame["g"].map({"m": "male", "f": "female"})))


LOOKS = {
    "another unit": (odd(), {}, "weight", "B", "2.[0-9]* times the mean of"),
    "other codes": (odd(), {}, "sex", "C", "moved by 1"),
    "zeros": (odd(), {}, "chol", "A", "is 0 in every row"),
    "other words": (odd(), {}, "g", "B", "only levels that no other hospital has"),
    "zeros here and there": (x(some(0, RNG.normal(230, 40, 90))), {}, "x", "", "is 0 in .* rows, far from all others"),
    "two beyond a tail": (x(shuffled(np.repeat([0, 1, 2, 3, 9], [46, 28, 10, 4, 2]))), {}, "x", "", "for nothing"),
    "8 beyond a tail": (x([8, *RNG.poisson(1, 89).clip(0, 4)]), {}, "x", "", "code for nothing, apart from the rest"),
    "9 beyond a tail": (x([9, *RNG.poisson(1, 89).clip(0, 4)]), {}, "x", "", "code for nothing, apart from the rest"),
    "777 beyond a tail": (
        x([777, *np.floor(RNG.lognormal(4, 1, 89)).clip(0, 300)]),
        *({}, "x", "", "a code for nothing, apart from the rest"),
    ),
    "long numbers, all different": (x(RNG.integers(10**7, 10**8, 90)), {}, "x", "", "numbers or names"),
    "copies of rows": (pd.concat([large(y=RNG.normal(size=90))] * 2), {}, "", "", "180 rows are near copies"),
    "patients": (large(patient=np.arange(90) // 2), {"features": ["age"]}, "patient", "", "names patients"),
}


@pytest.mark.parametrize("case", LOOKS)
def test_what_only_a_person_can_judge_is_a_warning_and_stands_in_the_check(case):
    frame, options, column, hospital, problem = LOOKS[case]
    with pytest.warns(UserWarning, match=problem) as caught:
        federation(frame, **options)
    assert caught[0].filename == __file__
    complaints = looked_at(frame, **options)
    assert (complaints["severity"] == "look").all()
    row = complaints[(complaints["column"] == column) & (complaints["hospital"] == hospital)]
    assert row["problem"].str.contains(problem).any()


def test_a_patient_of_two_hospitals_is_told_of_since_each_draws_its_own_test_rows():
    frame = large(who=np.arange(90) % 40)
    (said,) = looked_at(frame, patient="who").itertuples()
    assert said.problem == "40 patients are named at more than one hospital, and may be on both sides of a split"
    one, other = (done(frame, line.strip()) for line in said.write.split("  # or, if others: "))
    for changed in (one, other):
        assert not len(looked_at(changed, patient="who", min_rows=1))
    assert other["who"].nunique() == 90


def test_nothing_is_odd_about_hospitals_that_are_alike(heart):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hospitals.load()
        federation(x([0, *[2] * 28, 3, 1, *[2] * 28, 4, 0, *[2] * 28, 3]))  # two extremes are no other code
        for seed in range(20):
            rng = np.random.default_rng(100 + seed)
            federation(large(x=rng.normal(5, 2, 90), y=rng.integers(0, 2, 90), z=rng.choice(["a", "b"], 90)))
    frame = pd.concat([large()] * 3).assign(age=RNG.normal(60, 9, 270).round(), x=RNG.normal(size=270))
    for by in (["age"], ["clinic", "age"], ["x"]):  # a file may be in order
        federation(frame.sort_values(by))


HONEST = {
    "a score to nine": RNG.integers(1, 10, 90),
    "counts": RNG.poisson(3, 90),
    "signed": RNG.integers(-3, 4, 90),
    "two values": words(7, 12.5).astype(float),
    "hours": np.arange(90) % 24,
    "in order, with like ones": np.sort(RNG.integers(1990, 2020, 90)),
    "in order, all different": np.sort(RNG.choice(10**5, 90, replace=False)),
    "wards one after the other": np.sort([f"ward {letter}" for letter in RNG.choice([*"abcdefghijklm"], 90)]),
}


@pytest.mark.parametrize("case", HONEST)
def test_what_was_measured_is_not_complained_of(case):
    assert not re.search("code for nothing|names rows|tells", problems(x(HONEST[case])))


def test_the_report_describes_each_column_at_each_hospital():
    frame = odd()
    frame.loc[:4, "weight"] = np.nan
    found = hospitals.check(frame, site="clinic", label="ill")
    report = found.report.set_index(["column", "hospital"])
    assert len(report) == 6 * 3
    for name, rows in frame.groupby("clinic"):
        weight, of = rows["weight"], report.loc[("weight", name)]
        counted = [weight.count(), weight.isna().sum(), weight.min(), weight.max()]
        assert of[["count", "missing", "least", "most"]].tolist() == counted
        assert of["mean"] == pytest.approx(weight.mean())
        assert of["spread"] == pytest.approx(weight.std(ddof=0))
        apart = (weight.mean() - frame["weight"].mean()) / frame["weight"].std(ddof=0)
        assert of["apart"] == pytest.approx(apart)
        assert report.loc[("ill", name), "mean"] == rows["ill"].mean()
    assert report.loc[("g", "A"), "levels"] == "f 20, m 10"
    assert report.loc[("g", "B"), "apart"] == pytest.approx(2 / 3)
    assert "only levels" not in problems(large(x=[f"name {at}" for at in range(90)])), "which is refused already"
    html = found._repr_html_()
    assert html.count("<table") == 2
    assert "&#x27;" in html or "'" in html


def test_the_line_for_one_hospital_changes_it_alone():
    frame = odd().drop(columns="g").assign(clinic=lambda each: each["clinic"].map({"A": 1, "B": 2, "C": 3}))
    found = looked_at(frame)
    assert {*found["column"]} == {"weight", "sex", "chol"}
    assert found["write"].str.contains("frame['weight'] / 2.2046", regex=False).any()  # 32 + 1.8 * 75 is as near
    changed = frame
    for said in found[found["hospital"] != ""].itertuples():
        changed = done(changed, said.write)
    assert not len(looked_at(changed))
    for column, at in {"weight": [1, 3], "sex": [1, 2], "chol": [2, 3]}.items():
        assert (changed[column] == frame[column])[frame["clinic"].isin(at)].all()
    np.testing.assert_allclose(changed["weight"].groupby(changed["clinic"]).mean(), 75, atol=7)
    warm = frame.assign(weight=np.random.default_rng(11).normal(37, 0.5, 90))
    warm["weight"] = warm["weight"].mask(frame["clinic"] == 2, 32 + 1.8 * warm["weight"])
    assert looked_at(warm)["write"].str.contains("(frame['weight'] - 32) / 1.8", regex=False).any()


def test_codes_that_differ_in_share_are_in_no_other_unit():
    rng, north = np.random.default_rng(11), np.arange(120) < 40
    low, wide = np.where(rng.random(120) < 0.9, 1, 3), np.where(rng.random(120) < 0.9, 20.5, 80)
    for cells in (np.where(north, low, 4 - low), np.where(north, wide, 100.5 - wide), np.where(north, 1 + low % 2, 5)):
        assert "unit" not in problems(small(x=cells))


@pytest.mark.parametrize("code", [96, 97, 997, 9996, 9999999, 99999999, -32768, 65535, 2147483647, -2147483648])
def test_more_codes_for_nothing(code):
    cells = np.where(np.arange(120) % 11, RNG.normal(5, 1, 120), code)
    assert "'x' holds what looks like a code for nothing" in problems(small(x=cells))


@pytest.mark.parametrize(("rows", "code"), [(2, 500), (5, 1234), (4, -250), (3, 0)])
def test_a_value_that_rows_share_far_from_all_others_is_asked_about(rows, code):
    rng = np.random.default_rng(11)
    ages = rng.integers(20, 90, 120) + 60 * (code == 0)
    (found,) = looked_at(small(x=np.where(np.arange(120) < rows, code, ages))).to_dict("records")
    assert found["severity"] == "look"
    assert f"is {code} in {rows} rows, far from all others" in found["problem"]
    assert found["write"].startswith(f"missing={{'x': [{code}.0]}}")
    skewed = rng.lognormal(2, 1.5, 120), np.floor(rng.lognormal(3, 1.2, 120)).clip(0, 90), rng.choice([5, 500], 120)
    for lab in skewed:
        assert not len(looked_at(small(x=lab)))
    for end, rest in ((400, rng.choice([10, 20, 30, 60], 120)), (140, rng.integers(20, 90, 120))):
        assert not len(looked_at(small(x=np.where(np.arange(120) < 9, end, rest))))


# What tells the label

STATES = np.array(["stable", "worse", "dead"], dtype=object)[RNG.choice(3, 900, p=[0.5, 0.3, 0.2])]
CODES = pd.Series(STATES).map({"stable": 2, "worse": 1, "dead": 3})
TOLD = {
    "numbers": (CODES, "refused"),
    "words": (CODES.map({1: "b", 2: "a", 3: "c"}), "refused"),
    "several words": (CODES.map({1: "b", 2: "a", 3: "c"}) + words("x", "y", rows=900), "refused"),
    "a measurement": (10.0 * CODES + RNG.normal(size=900), "refused"),
    "numbers with errors": (CODES.mask(np.arange(900) % 150 == 7, 2), "look"),
    "a measurement with errors": ((10.0 * CODES + RNG.normal(size=900)).mask(np.arange(900) % 450 == 7, 20.3), "look"),
    "a time of death": (pd.Series(RNG.normal(5, 1, 900)).where(CODES == 3), "refused"),
    "nothing": (RNG.normal(size=900) + CODES, ""),
    "years": (RNG.integers(1990, 2020, 900), ""),
    "levels": (words("a", "b", "c", rows=900), ""),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_tells_one_of_several_classes_is_found(case):
    cells, severity = TOLD[case]
    frame = pd.DataFrame({"clinic": np.repeat(["A", "B", "C"], 300), "age": RNG.normal(60, 9, 900), "ill": STATES})
    found = looked_at(frame.assign(x=np.asarray(cells)), classes=["stable", "worse", "dead"])
    told = found[found["problem"].str.contains("tells the label")]
    assert told["severity"].tolist() == [severity] * bool(severity)


@pytest.mark.parametrize("few", [5, 19])
def test_a_copy_of_a_label_that_few_have_is_found(few):
    ill = np.isin(np.arange(120), 7 * np.arange(few))
    copies = (ill.astype(int), np.where(ill, "ja", "nein"), np.where(ill, 1.5, np.nan), np.where(ill, "x", None))
    for copy in copies:
        assert TELLS in problems(small(ill=ill, x=copy))
    states = np.where(ill, "dead", words("ill", "well", rows=120))
    assert TELLS in problems(small(ill=states, x=copies[3]), classes=["well", "ill", "dead"])
    ill = np.isin(np.arange(30), range(0, 30, 5))
    for copy in ({"smoker": ill}, {"age": 60.0 + ill}):
        with pytest.raises(tables.Refused, match=f"{next(iter(copy))!r} tells the label"):
            joined(own(ill=ill, **copy))


def test_what_goes_with_the_label_by_chance_is_taken():
    ill = np.isin(np.arange(120), [3, 50])
    for cells in (ill.astype(int), np.where(ill, np.nan, 2.5 + np.arange(120) % 2)):
        assert "tells" not in problems(small(ill=ill, x=cells))
    rng = np.random.default_rng(8)
    big = pd.concat([small()] * 500, ignore_index=True)
    big = big.assign(age=rng.normal(size=60_000), crp=rng.normal(size=60_000) + big["ill"])
    assert "tells" not in problems(big)
    assert TELLS in problems(big.assign(x=big["ill"] + rng.random(60_000) / 2))


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_a_copy_of_the_label_with_errors_is_asked_about_and_seen(share):
    rng = np.random.default_rng(11)
    ill = np.arange(600) % 5 < 2
    wrong = rng.permutation(np.arange(600) < round(600 * share)) != ill
    frame = pd.concat([small()] * 5, ignore_index=True).assign(age=rng.normal(60, 9, 600), crp=rng.lognormal(2, 1, 600))
    for copy in (wrong.astype(int), np.where(wrong, "p", "q"), wrong + rng.normal(0, 0.05, 600)):
        found, report = hospitals.check(frame.assign(ill=ill, x=copy), site="clinic", label="ill")
        told = found[found["problem"].str.contains("tells the label in 9.*% of the rows")]
        assert (told["column"].tolist(), told["severity"].tolist()) == (["x"], ["look"])
        tells = report.groupby("column")["tells"].max()
        assert 0.96 - 4 * share < tells["x"] < 1
        assert tells["age"] < 0.5
        assert np.isnan(tells["ill"])
    known = np.where(np.arange(600) % 9, ill, np.nan + ill)
    found = looked_at(frame.assign(ill=ill, x=known, y=rng.normal(size=600) + 2.5 * ill))
    assert found["column"].tolist() == ["x"], "what predicts well is no copy"
    assert not len(looked_at(frame.assign(ill=ill, x=ill ^ (np.arange(600) % 40 < 3))))


def test_a_few_errors_in_many_rows_are_errors():
    rng = np.random.default_rng(11)
    big = pd.DataFrame({"clinic": np.repeat(["N", "S"], 30_000), "age": rng.normal(size=60_000)})
    big = big.assign(ill=rng.integers(0, 2, 60_000), x=lambda each: each["ill"] ^ (np.arange(60_000) % 15_000 == 7))
    assert looked_at(big)[["column", "severity"]].to_numpy().tolist() == [["x", "look"]]


# What names patients

_DROPPED = "frame = frame.drop(columns=['again'])"


def visits(**columns):
    """Six rows of each of 45 patients, in no order, at three hospitals."""
    rng = np.random.default_rng(6)
    who = rng.permutation(np.repeat(np.arange(45), 6))
    frame = pd.DataFrame(
        {"clinic": np.array([*"ABC"])[who // 15], "x": rng.normal(size=270), "ill": rng.integers(0, 2, 270)}
    )
    frame["sex"], frame["height"] = rng.choice(["m", "f"], 45)[who], rng.normal(170, 9, 45).round()[who]
    return frame.assign(**{name: make(who) for name, make in columns.items()})


@pytest.mark.parametrize(
    "name",
    [
        lambda who: [f"K{37 * one % 101:03d}" for one in who],
        lambda who: 37 * who % 101,
        lambda who: [f"S{one % 15}" for one in who],
        lambda who: (37 * who % 101).astype(float),
    ],
)
def test_rows_of_one_patient_are_known_by_what_they_do(name):
    frame = visits(nummer=name)
    made = mended(frame, r"the same 'nummer' agree in other columns.*'sex', 'height'")
    assert sum(len({*hospital.patients}) for hospital in made) == 45
    twice = frame.assign(again=frame["nummer"].astype(str) + "x")
    for how, lines in (({}, ["patient='nummer'", _DROPPED]), ({"patient": "nummer"}, [_DROPPED])):
        found = looked_at(twice, **how)
        assert [line.partition("  # ")[0] for line in found.loc[found["severity"] == "refused", "write"]] == lines
    federation(frame, keep=["nummer"])
    with pytest.warns(UserWarning, match="Rows with the same 'nummer'"):
        federation(frame, features=["x", "sex", "height"])
    told = visits(nummer=name, ill=lambda who: 7 * who % 10 // 5).drop(columns=["sex", "height"])
    refused(told, r"agree in other columns.*: 'the label'")


def test_patients_with_visits_are_counted_in_each_of_many_small_hospitals():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"clinic": np.repeat([*"ABCDEFGHIJKL"], 12), "y": rng.normal(size=144)})
    refused(frame.assign(ill=rng.integers(0, 2, 144), x=np.tile(np.arange(12) // 4, 12)), NAMED)


def test_a_column_that_others_are_made_of_names_no_patient():
    frame = visits(age=lambda who: RNG.integers(30, 80, 270), ward=lambda who: RNG.choice([*"abcdefghijklmno"], 270))
    frame = frame.drop(columns=["sex", "height"]).assign(
        born=2020 - frame["age"], old=np.where(frame["age"] > 60, "y", "n")
    )
    assert "same" not in problems(frame.assign(name=frame["ward"] * 2))
    again = visits(nummer=lambda who: 37 * who % 101, again=lambda who: who, more=lambda who: 90 - who)
    assert "same" not in problems(again.drop(columns=["sex", "height"])), "a column once more"


def test_columns_that_agree_only_where_all_are_small_name_no_patients():
    rng = np.random.default_rng(11)
    size = np.where(rng.random(120) < 0.85, rng.integers(0, 25, 120), rng.integers(1000, 90_000, 120))
    counts = {f"n{part}": np.round(size / 4) + rng.integers(0, 9, 120) for part in range(4)}
    assert "agree" not in problems(small(size=size, **counts))


@pytest.mark.parametrize("name", "record_id participant_id study_id pat_id PatNr id ID hadm_id Fallnummer".split())
def test_a_number_of_a_patient_is_known_by_its_name(name):
    found = looked_at(small(**{name: RNG.permutation(np.repeat(RNG.choice(10**5, 40), 3))}))
    assert (found["problem"].str.contains("names patients") & (found["write"] == f"patient={name!r}")).any()
    once = small(**{name: np.where(np.arange(120) % 2, RNG.choice(10**5, 120, replace=False), np.nan)})
    assert "names patients" not in problems(once)


@pytest.mark.parametrize("name", ["pidnum", "Patient ID", "case_no", "MRN"])
def test_numbers_of_patients_are_refused_by_their_name_if_all_differ(name):
    numbers = np.sort(np.random.default_rng(11).choice(10**5, 120, replace=False))
    refused(small(**{name: numbers}), f"'{name}' numbers or names")
    federation(small(platelets=numbers))


def test_text_of_many_levels_each_at_one_hospital_may_name_patients():
    who = np.arange(120) // 40 * 20 + np.concatenate([shuffled(range(40), seed) % 20 for seed in range(3)])
    names = np.array([f"K{37 * one % 101}" for one in who])
    lines = [looked_at(small(x=each))["write"] for each in (names, RNG.permutation(names))]
    assert [line.str.startswith("patient='x'").any() for line in lines] == [True, False]
    assert all(line.str.contains("rare=").any() for line in lines)


# Names that are one, and hospitals of few patients


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mitte", "Мitte"),
        ("AB", "ΑΒ"),
        ("O'Neill", "O’Neill"),
        ("A-1", "A–1"),
        ("stable", "Stable"),
        ("Zürich", "Zu\u0308rich"),
    ],
)
def test_names_that_look_alike_are_one(one, other):
    for column in ("clinic", "x"):
        frame = small(x=words("m", "f", rows=120))
        first = one if column == "x" else frame["clinic"].replace("N", one)
        frame[column] = np.where(np.arange(120) % 5, first, other)
        made = mended(frame, f"'{column}' holds values that look alike")
        assert len(made) == 3 if column == "clinic" else len(made.categorical["x"]) == 1
    assert tables.fold("μg") != tables.fold("mg")


def test_hospitals_of_one_number_are_one_and_rows_of_none_are_no_hospital():
    sites = small(clinic=np.where(np.arange(120) < 40, words("1", "1.0", rows=120), "2"))
    assert federation(sites).names == ("1", "2")
    frame = small(x=np.where(np.arange(120) < 40, words("p", rows=120), words(1, 2, rows=120)))
    frame.loc[:39, "clinic"] = None
    assert "at some hospitals" not in problems(frame)


def test_hospitals_with_few_patients_are_named_by_their_cells_and_by_whose_the_rows_are():
    frame = small(clinic=np.repeat([5, 7, 9.5], [75, 40, 5]))
    sentence = r"9.5 has 5. Write: frame = frame\[~frame\['clinic'\].isin\(\[9.5\]\)\]"
    assert mended(frame, sentence).names == ("5", "7")
    shares = {"clinic": lambda who: np.where(who < 5, "A", np.where(who < 25, "B", "C"))}
    frame = visits(nummer=lambda who: 37 * who % 101, **shares)
    assert mended(frame, r"A has 5(.|\n)*the same 'nummer' agree").names == ("C", "B")


REWRITTEN = {
    "columns": lambda frame, rng: frame[rng.permutation(frame.columns)],
    "dtypes": lambda frame, rng: frame.convert_dtypes(),
    "floats": lambda frame, rng: frame.astype({"whole": np.float32, "ill": bool}),
    "objects": lambda frame, rng: frame.astype(object),
    "units": lambda frame, rng: frame.assign(age=frame["age"] * 12 - 700, whole=32 + 1.8 * frame["whole"]),
    "levels": lambda frame, rng: frame.assign(ward=frame["ward"].astype(object).map({"a": "z", "b": "y", "c": "x"})),
    "sites": lambda frame, rng: frame.assign(clinic=frame["clinic"].map({"A": "north", "B": "17", "C": "Åre"})),
    "rows": lambda frame, rng: frame.sample(frac=1, random_state=int(rng.integers(2**31))),
    "index": lambda frame, rng: frame.set_index(rng.permutation(len(frame))),
    "label": lambda frame, rng: frame.assign(ill=frame["ill"].astype(int).map({0: "no", 1: "yes"})),
}


@functools.cache
def original():
    """A table, and how well its model predicts."""
    rng = np.random.default_rng(5)
    frame = large(whole=rng.poisson(50, 90), ward=words("a", "b", "c"), ill=rng.integers(0, 2, 90))
    frame = frame.assign(set=np.where(rng.random(90) < 0.3, "test", "train"), age=frame["age"] + 9 * frame["ill"])
    frame.loc[3, "age"] = np.nan
    return frame, fitted(frame, test="set")


def fitted(frame, **options):
    """How well each hospital is predicted by one model of all prepared rows: on a given split, so nothing is drawn."""
    parts = preparation.split(federation(frame, **options), seed=0).hospitals.values()
    rows, labels = (np.concatenate([getattr(own, f"train_{what}") for own in parts]) for what in ("features", "labels"))
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(rows.astype(float), labels)
    tested = [(own.test_labels, model.predict_proba(own.test_features)[:, 1]) for own in parts]
    return sorted(evaluation.scores(labels, found)["log_loss"] for labels, found in tested)


@settings(max_examples=12)
@given(st.lists(st.sampled_from([*REWRITTEN]), min_size=1, unique=True), st.integers(0, 2**32 - 1))
def test_a_table_and_its_harmless_rewritings_give_the_same_result(ways, seed):
    frame, expected = original()
    for way in sorted(ways, key="label".__eq__):  # which others could not read
        frame = REWRITTEN[way](frame, np.random.default_rng(seed))
    label = ("ill", "yes") if "label" in ways else "ill"
    np.testing.assert_allclose(fitted(frame, test="set", label=label), expected, rtol=0, atol=1e-5)
