"""A partition covers each row once, leaves no hospital empty, and is skewed as it says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit import hospitals
from fedkit.chapters import partitions

alphas = st.floats(1e-6, 1e6)
seeds = st.integers(0, 2**63)


def table(rows, classes=2):
    index = pd.Index(range(100, 100 + rows), name="patient")
    return pd.DataFrame({"x": np.arange(rows) * 1.0, "ill": np.arange(rows) % classes}, index=index)


def sizes(frame):
    return frame["hospital"].value_counts().to_numpy()


@given(st.integers(1, 80), st.data(), alphas, seeds, st.integers(1, 4))
def test_every_row_belongs_to_one_hospital_and_none_is_empty(rows, data, alpha, seed, classes):
    count, frame = data.draw(st.integers(1, rows)), table(rows, classes)
    least = data.draw(st.integers(0, rows // count))
    even = [partitions.iid(frame, count, seed), partitions.by_label_skew(frame, "ill", count, alpha, seed)]
    uneven = partitions.by_quantity_skew(frame, count, alpha, seed, min_rows=least)
    for made in (*even, uneven):
        pd.testing.assert_frame_equal(made.drop(columns="hospital"), frame)
        assert set(made["hospital"]) == {f"hospital {number}" for number in range(1, count + 1)}
    assert max(np.ptp(sizes(made)) for made in even) <= 1
    assert sizes(uneven).min() >= least


def test_the_same_seed_gives_the_same_partition_and_another_one_does_not():
    frame = table(200)
    for split in (
        lambda seed: partitions.iid(frame, 4, seed),
        lambda seed: partitions.by_label_skew(frame, "ill", 4, 0.5, seed),
        lambda seed: partitions.by_quantity_skew(frame, 4, 0.5, seed),
    ):
        pd.testing.assert_frame_equal(split(1), split(1))
        assert not split(1).equals(split(2))
    assert "hospital" not in frame


def test_alpha_sets_how_far_the_label_shares_are_apart():
    frame = table(2000)

    def spread(alpha):
        made = [partitions.by_label_skew(frame, "ill", 10, alpha, seed) for seed in range(10)]
        return np.mean([one.groupby("hospital")["ill"].mean().std() for one in made])

    # Shares from Dirichlet(alpha / 2, alpha / 2) have the variance 1 / (4 (alpha + 1)).
    assert spread(1e5) < 0.06
    assert spread(10) == pytest.approx(0.5 / np.sqrt(11), abs=0.05)
    assert spread(0.01) > 0.4
    uneven = table(3000).assign(ill=lambda made: (np.arange(len(made)) % 10 == 0).astype(int))
    made = pd.concat([partitions.by_label_skew(uneven, "ill", 6, 1e6, seed) for seed in range(5)])
    np.testing.assert_allclose(made.groupby("hospital")["ill"].mean(), 0.1, atol=0.03)  # the table's own share


@pytest.mark.parametrize(("alpha", "least", "most"), [(1e5, 400, 450), (0.1, 1000, 2000)])
def test_alpha_sets_how_far_the_sizes_are_apart(alpha, least, most):
    largest = [sizes(partitions.by_quantity_skew(table(2000), 5, alpha, seed)).max() for seed in range(20)]
    assert least < np.mean(largest) < most


def test_text_labels_will_do_and_a_partition_is_a_federation():
    frame = table(200).assign(ill=["yes", "no"] * 100)
    assert len(partitions.by_label_skew(frame, "ill", 5, 1.0, 0)) == 200
    dealt = partitions.by_quantity_skew(table(200), 4, alpha=0.5, seed=0)
    made = hospitals.from_frame(dealt, site="hospital", label="ill", keep=["x"])
    assert sorted(made.names) == ["hospital 1", "hospital 2", "hospital 3", "hospital 4"]
    assert sum(map(len, made)) == 200


REFUSED = {
    "3 rows cannot be split into 4 hospitals": lambda: partitions.iid(table(3), 4, 0),
    "hospitals must be a whole number, at least 1": lambda: partitions.iid(table(3), 0, 0),
    "column 'hospital' already": lambda: partitions.iid(table(3).assign(hospital=1), 2, 0),
    "39 rows .* at least 40 rows are needed": lambda: partitions.by_quantity_skew(table(39), 4, 1.0, 0),
    "frame must be a table": lambda: partitions.iid("table.csv", 4, 0),
    "hospitals must be .*'3'": lambda: partitions.iid(table(9), "3", 0),
    "min_rows must be": lambda: partitions.by_quantity_skew(table(99), 4, 1.0, 0, min_rows="10"),
    "alpha must be a number above 0, and it is 0": lambda: partitions.by_quantity_skew(table(99), 4, 0.0, 0),
    "alpha must be a number above 0": lambda: partitions.by_label_skew(table(9), "ill", 2, float("nan"), 0),
    "label 'well' must be a column": lambda: partitions.by_label_skew(table(9), "well", 2, 1.0, 0),
    "without missing": lambda: partitions.by_label_skew(table(9).assign(ill=np.nan), "ill", 2, 1.0, 0),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_it_is_refused_with_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence]()


def test_strength_sets_how_far_the_values_of_a_feature_are_apart():
    frame = table(400)
    frame.loc[frame.index[:5], "x"] = np.nan
    for strength, low, high in ((0, -40, 40), (1, 60, 250), (1e6, 280, 400)):
        made = partitions.by_feature_shift(frame, "x", 4, strength, seed=3)
        assert sizes(made).tolist() == [100] * 4
        means = made.groupby("hospital")["x"].mean()
        assert low <= means["hospital 4"] - means["hospital 1"] <= high
    pd.testing.assert_frame_equal(made.drop(columns="hospital"), frame)
    assert not partitions.by_feature_shift(frame, "x", 4, 1.0, 1).equals(
        partitions.by_feature_shift(frame, "x", 4, 1.0, 2)
    )
    for wrong in ({"feature": "nothing"}, {"strength": -1.0}, {"strength": np.inf}, {"hospitals": 401}):
        with pytest.raises(ValueError, match=r"numeric column|cannot be split"):
            partitions.by_feature_shift(
                **{"frame": frame, "feature": "x", "hospitals": 4, "strength": 1.0, "seed": 0} | wrong
            )
