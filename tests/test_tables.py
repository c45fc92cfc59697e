"""Anybody's table is taken, or refused with a sentence that names the culprit."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fedkit import hospitals, preparation, tables


def table(**columns):
    """24 patients at two hospitals; columns can be added or replaced."""
    frame = pd.DataFrame({"clinic": ["A", "B"] * 12, "age": np.arange(40.0, 64), "ill": [0, 1, 1, 0] * 6})
    return frame.assign(**columns)


def federation(frame, **options):
    return hospitals.from_frame(frame, **{"site": "clinic", "label": "ill", **options})


REFUSED = {
    "label missing": (table(ill=[np.nan, 1.0] * 12), {}, "label 'ill' is missing in 12 of 24 rows"),
    "label of grades": (table(ill=[0, 1, 2, 3] * 6), {}, r"holds 0, 1, 2, 3.*\(frame\['ill'\] > 0\)"),
    "label from one": (table(ill=[1, 2] * 12), {}, r"holds 1, 2.*\(frame\['ill'\] > 1\)"),
    "label of words": (table(ill=["no", "yes"] * 12), {}, r"holds 'no', 'yes'.*== 'yes'\)"),
    "label of digits": (table(ill=["0", "1"] * 12), {}, "holds '0', '1'"),
    "label of halves": (table(ill=[0.0, 0.5] * 12), {}, "holds 0.0, 0.5"),
    "one label only": (table(ill=1), {}, "is 1 in every row"),
    "site missing": (table(clinic=["A", None] * 12), {}, "'clinic' is missing in 12 of 24 rows"),
    "site blank": (table(clinic=["A", " "] * 12), {}, "'clinic' is missing in 12 of 24 rows"),
    "sites alike": (table(clinic=[1, "1"] * 12), {}, "holds both 1 and '1'"),
    "sites alike but for a space": (table(clinic=["A", "A "] * 12), {}, "holds both 'A' and 'A '"),
    "sites of lists": (table(clinic=[["A"], ["B"]] * 12), {}, "'clinic' holds values that are no single text"),
    "one site": (table(clinic="A"), {}, r"one hospital only \(A\).*partitions"),
    "tiny sites": (table(clinic=["A"] * 20 + ["B"] * 3 + ["C"]), {}, "min_rows=10 patients: B has 3, C has 1"),
    "site with a taken name": (table(clinic=["A", "server"] * 12), {}, "cannot be called mean or server"),
    "no such site": (table(), {"site": "clinik"}, "no column 'clinik'. Did you mean 'clinic'"),
    "no such label": (table(), {"label": "outcome"}, "no column 'outcome'. There are: clinic, age, ill"),
    "no such feature": (table(), {"features": ["Age"]}, "no column 'Age'. Did you mean 'age'"),
    "site is label": (table(), {"site": "ill"}, "'ill' cannot be both"),
    "label as feature": (table(), {"features": ["age", "ill"]}, "'ill' is the label"),
    "site as feature": (table(), {"features": ["clinic", "age"]}, "'clinic' is the hospital"),
    "feature twice": (table(), {"features": ["age", "age"]}, "'age' is named twice"),
    "no feature": (table().drop(columns="age"), {}, "no column to learn from"),
    "empty feature list": (table(), {"features": []}, "no column to learn from"),
    "site column twice": (pd.concat([table(), table()[["clinic"]]], axis=1), {}, "column 'clinic' more than once"),
    "label column twice": (pd.concat([table(), table()[["ill"]]], axis=1), {}, "column 'ill' more than once"),
    "feature column twice": (pd.concat([table(), table()[["age"]]], axis=1), {}, "column 'age' more than once"),
    "names that read the same": (table().assign(**{"1": 1.0}).rename(columns={"age": 1}), {}, "'1' more than once"),
    "no rows": (table().head(0), {}, "empty: it has 0 rows and 3 columns"),
    "infinite": (table(age=[1.0] * 23 + [np.inf]), {}, "'age' is infinite .* in 1 of 24 rows .* at B"),
    "beyond squares": (table(age=[1.0] * 23 + [1e200]), {}, r"beyond 1e\+100"),
    "empty everywhere": (table(x=np.nan), {}, "'x' has no value at any hospital"),
    "blank everywhere": (table(x=""), {}, "'x' has no value at any hospital"),
    "dates": (table(x=pd.Timestamp("2020-02-02")), {}, "'x' holds dates"),
    "dates among objects": (table(x=[pd.Timestamp("2020-02-02").date(), None] * 12), {}, "'x' holds dates"),
    "durations": (table(x=pd.Timedelta("3 days")), {}, "'x' holds dates or times"),
    "numbers and text": (table(x=[1, "?"] * 12), {}, r"'x' is neither all numbers nor all text.*to_numeric"),
    "lists": (table(x=[[1], [2]] * 12), {}, "'x' is neither"),
    "complex": (table(x=1 + 2j), {}, "'x' is neither"),
    "levels alike": (table(x=pd.Categorical([1, "1"] * 12)), {}, "'x' holds both"),
    "too many levels": (
        pd.concat([table()] * 3, ignore_index=True).assign(x=[*map(str, range(1, 73))]),
        {},
        f"'x' holds 72 different texts .* at most {tables.MAX_LEVELS}",
    ),
    "nothing varies": (table(x="same"), {"features": ["x"]}, "no column, since none of the features ever varies"),
    "coded names clash": (table(x=["a", "b"] * 12, **{"x=b": 1.0}), {}, "two columns of the same name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_sentence(case):
    frame, options, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence) as caught:
        federation(frame, **options)
    assert str(caught.value)[0].isupper()
    assert str(caught.value)[-1] in ".?"


def test_what_is_no_table_or_no_list_is_refused():
    with pytest.raises(TypeError, match="must be a pandas DataFrame, and is a dict"):
        federation({"clinic": []})
    with pytest.raises(TypeError, match=r'write \["age"\]'):
        federation(table(), features="age")


NUMBERS = [
    [1, None] * 12,
    pd.array([1, None] * 12, dtype="Int64"),
    np.array([1.0, np.nan] * 12, dtype=np.float32),
    [Decimal("1"), None] * 12,
    pd.Series([1, pd.NA] * 12, dtype=object),
]
LEVELS = [
    (["b", "a", "a", None] * 6, ("a", "b")),
    (pd.array(["b", "a", "a", None] * 6, dtype="string"), ("a", "b")),
    (pd.Categorical([10, 2, 2, None] * 6, categories=[2, 10, 99]), ("2", "10")),
    ([True, False, False, None] * 6, ("False", "True")),
    ([True, False, False, False] * 6, ("False", "True")),
    (pd.array([False, True, True, None] * 6, dtype="boolean"), ("True", "False")),
    (["10", "2", "1", "10"] * 6, ("10", "1", "2")),
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
LABELS = [[0, 1], [0.0, 1.0], [False, True], pd.array([0, 1], "Int64"), pd.array([False, True], "boolean")]


@pytest.mark.parametrize("cells", NUMBERS)
def test_numbers_of_any_make_are_numbers(cells):
    made = federation(table(x=cells))
    assert made.numeric == made.columns == ("age", "x")
    assert made["A"].table["x"].tolist() == [1.0] * 12
    assert made["B"].table["x"].isna().all()


@pytest.mark.parametrize(("cells", "levels"), LEVELS)
def test_text_booleans_and_categories_are_levels_with_the_most_frequent_first(cells, levels):
    made = federation(table(x=cells))
    assert made.numeric == ("age",)
    assert made.categorical == {"x": levels}
    assert list(made["A"].table["x"].cat.categories) == list(levels)
    assert made.columns == preparation.split(made, seed=0).columns == ("age", *(f"x={level}" for level in levels[1:]))


def test_levels_are_those_of_the_whole_federation():
    made = federation(table(x=["only at A", "common"] * 12, y=["p", "p", "q", "q"] * 6))
    assert set(made["B"].table["x"].dropna()) == {"common"}
    assert set(made["B"].table["x"].cat.categories) == {"only at A", "common"}


@pytest.mark.parametrize(("sites", "names"), SITES)
def test_sites_of_any_kind_become_names_in_the_order_of_the_rows(sites, names):
    made = federation(table(clinic=sites))
    assert made.names == names
    assert made[names[0]].table["age"].tolist() == list(np.arange(40.0, 64, 2))


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_zero_and_one_of_any_make(labels):
    made = federation(table(ill=pd.concat([pd.Series(labels)] * 12, ignore_index=True)))
    assert made["A"].labels.dtype == np.int64
    assert (made["A"].labels.tolist(), made["B"].labels.tolist()) == ([0] * 12, [1] * 12)


def test_the_index_of_the_table_plays_no_role_and_the_table_is_not_changed():
    frame = table(x=list("abcdefghijkl") * 2)
    shuffled = frame.set_index(pd.Index([5] * 24))
    before = shuffled.copy()
    assert federation(shuffled).sha256 == federation(frame).sha256
    pd.testing.assert_frame_equal(shuffled, before)
