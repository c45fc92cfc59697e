"""Statistics from the hospitals' sums are those of the pooled rows, and prepare every row alike."""

from functools import reduce
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fedkit import preparation
from fedkit.encryption import quantization, schemes
from fedkit.encryption.quantization import Layout
from fedkit.hospitals import Federation, Hospital
from fedkit.preparation import aggregate_statistics, local_sums, prepare

LEVELS = {"pain": ("none", "mild", "severe")}
numbers = st.one_of(st.none(), st.integers(-9999, 9999), st.floats(-1e4, 1e4).map(lambda one: round(one, 3)))
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
        right = np.longdouble(values)
        assert mean == pytest.approx(float(right.mean()), rel=1e-15, abs=1e-18)
        assert std == (1 if len(set(values)) == 1 else pytest.approx(float(right.std()), rel=1e-9))
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


@given(federations, st.floats(-0.4, 0.4))
def test_sums_travel_as_a_vector(hospitals, error):
    """And come back as what they are to the last bit, though the total of the vectors is not exact (CKKS has noise)."""
    sums = [local_sums(frame(cells), ["age", "pulse"], LEVELS) for cells in hospitals]
    total = np.sum([own.to_vector() for own in sums], axis=0) + error
    found, expected = sums[0].with_vector(total), reduce(preparation.Sums.__add__, sums)
    assert found.rows == expected.rows
    assert found.moments.to_numpy().tolist() == expected.moments.to_numpy().tolist()
    assert found.levels["pain"].to_dict() == expected.levels["pain"].to_dict()
    assert found.levels["pain"].dtype == np.int64


def test_a_column_without_any_value_is_zero_for_everyone_and_an_unknown_level_counts_as_missing():
    found = statistics([frame([(None, 60, "mild"), (None, 70, "mild")])])
    strange = prepare(frame([(None, 60, "unbearable"), (250, 60, None)]), found)
    assert strange[:, 0].tolist() == [0, 0]
    assert strange[:, 2:].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("place", "nonsense"),
    [(0, 1), (1, np.nan), (1, -1), (1, 3), (2, np.nan), (2, 1e20), (6, 1e6), (18, -1), (19, -1), (20, 3)],
)
def test_sums_that_cannot_be_are_refused(place, nonsense):
    with pytest.raises(ValueError, match="no sums to aggregate"):
        aggregate_statistics([])
    table = pd.DataFrame({"age": [50.0, 60.0], "pain": ["none", "mild"]})
    sums = local_sums(table, ("age",), {"pain": ("none", "mild")})
    assert len(sums.to_vector()) == 1 + preparation.NUMBERS + 2
    with pytest.raises(ValueError, match="some hospital sent nonsense"):
        sums.with_vector(np.where(np.arange(21) == place, nonsense, sums.to_vector()))


@pytest.mark.parametrize("scale", [1e-15, 1e18])
def test_very_small_and_very_large_numbers_are_right_to_nine_digits(scale):
    values = np.random.default_rng(0).normal(0, scale, 300)
    found = moments_of(np.split(values, [10, 150]))
    assert found == pytest.approx(by_numpy(values), rel=1e-9, abs=0)


def moments_of(hospitals):
    """Mean and std from the sums of hospitals: as they are, added as float64, and in the coefficients of a letter."""
    sums = [local_sums(pd.DataFrame({"v": values}), ["v"], {}) for values in hospitals]
    vectors = [own.to_vector() for own in sums]
    layer = Layout((quantization.whole_layer(len(vectors[0]), schemes.choose(len(hospitals))),))
    found = aggregate_statistics(sums).moments.loc["v"].tolist()
    for total in (np.sum(vectors, axis=0, dtype=float), layer.decode(sum(map(layer.encode, vectors)))):
        same = aggregate_statistics([sums[0].with_vector(total)]).moments.loc["v"].tolist()
        assert same == found, "exact, whoever adds them up, and however"
    return found


def test_a_hundred_thousand_hospitals_have_room():
    values = np.random.default_rng(0).uniform(-1, 1, 500) * 2.0**63
    own = local_sums(pd.DataFrame({"v": values}), ["v"], {})
    total = own.with_vector(own.to_vector() * float(schemes.MOST_HOSPITALS))
    assert total.moments.loc["v"].tolist() == [schemes.MOST_HOSPITALS * each for each in own.moments.loc["v"]]


def by_numpy(values):
    """Of centred values, in more digits."""
    centre = np.longdouble(values[len(values) // 2])
    centred = np.longdouble(values) - centre
    return [float(centre + centred.mean()), float(centred.std())]


@given(
    st.lists(st.integers(-(10**9), 10**9).map(lambda one: one / 1e9), min_size=4, max_size=40),
    st.floats(-10, 12),
    st.one_of(st.just(0.0), st.floats(-10, 13), st.floats(-10, 13)),
    st.randoms(),
)
@example([0.0] * 4, -7.0, 9.0, Random(0))  # a spread of 4e-8 beside 1e9 is its last bit alone
def test_mean_and_std_are_right_to_nine_digits_whatever_offset_and_scale(values, scale, offset, random):
    values = (10**offset if offset else 0.0) + np.array([*values, -0.75, 0.5]) * 10**scale
    if len(set(values)) == 1:  # the offset swallowed them
        values[0] = np.nextafter(values[0], np.inf)
    mean, std = moments_of([values[:2], values[2:5], values[5:]])
    right, size = by_numpy(values), np.sqrt(np.mean(np.longdouble(values) ** 2))
    assume(abs(right[1] / size - 2.0**-52) > 1e-9 * 2.0**-52)  # on the border itself, either is right
    assert std == pytest.approx(right[1] if right[1] > size * 2.0**-52 else 1.0, rel=1e-9, abs=0)
    assert mean == pytest.approx(right[0], rel=1e-9, abs=1e-9 * right[1])
    random.shuffle(values)
    assert moments_of([values[:3], values[3:]]) == [mean, std], "neither order nor grouping changes a bit"


@pytest.mark.parametrize("value", [1e20, -1e20, np.inf, 1e-20, 1e-320])
def test_what_no_sum_can_carry_is_refused_by_the_hospital_that_has_it(value):
    other, own = (Hospital(name, pd.DataFrame({"dose": [1.0, 2.0, 3.0, 4.0]}), np.array([0, 0, 1, 1])) for name in "AB")
    own.table["dose"] = [0.0, value, 0.0, value]
    with pytest.raises(ValueError, match=r"^B: The largest value of 'dose' is .* take another unit"):
        preparation.split(Federation("made", (other, own), ("dose",), {}), 0)
    own.table["dose"] = [0.0, 1e-300, 1e-19, 1e19]  # a small one beside larger ones is no matter
    preparation.split(Federation("made", (other, own), ("dose",), {}), 0)


def test_the_last_bit_of_a_constant_is_no_spread():
    """0.1 + 0.2 is not 0.3; where nothing else differs, nothing does."""
    told = [local_sums(pd.DataFrame({"x": [value] * 5}), ["x"], {}) for value in (0.3, 0.1 + 0.2)]
    assert aggregate_statistics(told).moments["std"].tolist() == [1.0]


def test_squares_that_no_hospital_can_have_are_refused():
    """One unit more: a spread that would blow up the rows of somebody whose test rows differ."""
    told = local_sums(pd.DataFrame({"x": [0.0] * 5}), ["x"], {})
    vector = told.to_vector().astype(float)
    assert told.with_vector(vector).rows == 5
    vector[2 + 6] += 1  # behind the rows, the count and the six digits of the sum: the lowest of the squares
    with pytest.raises(ValueError, match="some hospital sent nonsense"):
        told.with_vector(vector)
