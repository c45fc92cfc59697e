"""Statistics from the hospitals' sums are those of the pooled rows, and prepare every row alike."""

from functools import reduce

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit import preparation
from fedkit.preparation import aggregate_statistics, local_sums, prepare

LEVELS = {"pain": ("none", "mild", "severe")}
numbers = st.one_of(st.none(), st.floats(-1e4, 1e4, width=32))
rows = st.tuples(numbers, numbers, st.sampled_from([None, *LEVELS["pain"]]))
federations = st.lists(st.lists(rows, min_size=1, max_size=12), min_size=1, max_size=4)


def frame(cells):
    return pd.DataFrame(cells, columns=["age", "pulse", "pain"]).astype({"age": float, "pulse": float})


def statistics(tables):
    return aggregate_statistics(local_sums(table, ["age", "pulse"], LEVELS) for table in tables)


@given(federations)
def test_statistics_from_sums_are_those_of_the_pooled_rows(hospitals):
    tables = [frame(cells) for cells in hospitals]
    found, pooled = statistics(tables), pd.concat(tables)
    assert found.rows == len(pooled)
    for column in ("age", "pulse"):
        values = pooled[column].dropna().to_numpy()
        mean, std = found.moments.loc[column]
        if not len(values):
            assert (mean, std) == (0, np.inf)
            continue
        size = np.abs(values).max()
        assert mean == pytest.approx(values.mean(), abs=1e-12 * size)
        if values.std() > 2e-6 * size:
            assert std == pytest.approx(values.std(), rel=1e-3)
        elif values.std() < 1e-7 * size or size == 0:
            assert std == 1  # what differs by so little is constant
    counts = pooled["pain"].value_counts()
    if len(counts):
        assert counts[found.most_frequent["pain"]] == counts.max()
    prepared = np.concatenate([prepare(table, found) for table in tables])
    assert (prepared.dtype, prepared.shape) == (np.float32, (found.rows, len(found.columns)))
    # A missing number is the mean, so it pulls nothing away from zero.
    np.testing.assert_allclose(prepared[:, :2].mean(axis=0, dtype=np.float64), 0, atol=1e-4)
    assert set(np.unique(prepared[:, 2:])) <= {0, 1}
    assert (prepared[:, 2:].sum(axis=1) <= 1).all()


def test_by_hand():
    first, second = frame([(50, 60, "mild"), (70, None, None)]), frame([(60, 80, "mild"), (None, 100, "severe")])
    sums = local_sums(first, ["age", "pulse"], LEVELS)
    assert sums.moments.to_numpy().tolist() == [[2, 120, 50**2 + 70**2], [1, 60, 60**2]]
    assert sums.levels["pain"].to_dict() == {"none": 0, "mild": 1, "severe": 0}
    found = statistics([first, second])
    assert found.columns == ("age", "pulse", "pain=mild", "pain=severe")
    assert found.moments.loc["age"].tolist() == pytest.approx([60, np.sqrt(200 / 3)])
    assert found.most_frequent == {"pain": "mild"}
    # The missing pain of the second patient becomes "mild", the missing pulse the mean.
    np.testing.assert_allclose(prepare(first, found)[1], [10 / np.sqrt(200 / 3), 0, 1, 0], rtol=1e-6)


@given(federations, st.floats(-(2.0**-40), 2.0**-40))
def test_sums_travel_as_a_vector(hospitals, error):
    """And come back as what they are, though the total of the vectors is only exact to 2^-40."""
    sums = [local_sums(frame(cells), ["age", "pulse"], LEVELS) for cells in hospitals]
    total = np.sum([own.to_vector() for own in sums], axis=0) + error
    found, expected = sums[0].with_vector(total), reduce(preparation.Sums.__add__, sums)
    assert found.rows == expected.rows
    assert found.moments["count"].tolist() == expected.moments["count"].tolist()
    np.testing.assert_allclose(found.moments, expected.moments, rtol=0, atol=2.0**-39)
    assert found.levels["pain"].to_dict() == expected.levels["pain"].to_dict()
    assert found.levels["pain"].dtype == np.int64


def test_the_order_of_the_hospitals_does_not_matter():
    tables = [frame([(age, 0.1, "none"), (age**2, None, "mild")]) for age in (1, 2, 4)]
    pd.testing.assert_frame_equal(statistics(tables).moments, statistics(tables[::-1]).moments)


@pytest.mark.parametrize("value", [0.1, -3e-7, 12345.678, 0.0])
def test_a_column_that_never_varies_is_zero_and_is_not_blown_up(value):
    table = frame([(value, 1, "none")] * 7)
    found = statistics([table, table])
    assert found.moments.loc["age", "std"] == 1
    assert np.abs(prepare(table, found)[:, 0]).max() < 1e-6


def test_a_column_without_any_value_is_zero_for_everyone_and_an_unknown_level_counts_as_missing():
    found = statistics([frame([(None, 60, "mild"), (None, 70, "mild")])])
    strange = prepare(frame([(None, 60, "unbearable"), (250, 60, None)]), found)
    assert strange[:, 0].tolist() == [0, 0]
    assert strange[:, 2:].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(("place", "nonsense"), [(1, np.nan), (1, -1e12), (1, 1e12), (2, np.nan), (2, 1e20), (3, -1)])
def test_sums_that_cannot_be_are_refused(place, nonsense):
    with pytest.raises(ValueError, match="no sums to aggregate"):
        aggregate_statistics([])
    sums = local_sums(pd.DataFrame({"age": [50.0, 60.0]}), ("age",), {})
    with pytest.raises(ValueError, match="some hospital sent nonsense"):
        sums.with_vector(np.where(np.arange(4) == place, nonsense, sums.to_vector()))
