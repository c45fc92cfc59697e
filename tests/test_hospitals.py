"""Federations, the data that comes with the kit, and the split of each hospital's patients."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit import hospitals, preparation

# What only a person can judge of these tables is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore:.*hospitals.check shows more:UserWarning")
DATA = Path(__file__).resolve().parent.parent / "data"
NAMES = ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]


def federation(labels_by_hospital):
    """One numeric column that counts the rows, and the labels that are given."""
    rows = [(name, label) for name, labels in labels_by_hospital.items() for label in labels]
    frame = pd.DataFrame(rows, columns=["site", "y"]).assign(x=np.arange(float(len(rows))))
    return hospitals.from_frame(frame, site="site", label="y", min_rows=1, keep=["x"])


def test_the_heart_data_as_a_federation(heart):
    assert list(heart.names) == NAMES
    assert heart.numeric == ("age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak")
    assert heart.categorical == {"cp": ("4", "1", "2", "3"), "restecg": ("0", "1", "2")}
    assert heart.columns == preparation.split(heart, seed=0).columns
    assert len(heart.columns) == 13
    assert repr(heart).startswith("<Federation heart_disease: 4 hospitals, 920 patients")
    assert repr(heart["Hungary"]) == "<Hospital Hungary: 294 patients>"
    summary = heart.summary().set_index("hospital")
    assert summary["patients"].tolist() == [len(hospital) for hospital in heart] == [303, 294, 123, 200]
    assert summary["positives"].tolist() == [139, 106, 115, 149]
    assert summary.loc["VA Long Beach", "prevalence"] == pytest.approx(0.745)
    assert summary.loc["Cleveland", "missing"] == 0
    # chol is 0 in all of Switzerland: one of ten columns, so more than a tenth is missing.
    assert summary.loc["Switzerland", "missing"] > 0.1
    assert heart["Switzerland"].table["chol"].isna().all()
    assert heart["VA Long Beach"].table["chol"].isna().sum() == 49 + 7
    assert all((hospital.table[["chol", "trestbps"]].min() > 0).all() for hospital in heart if hospital.name[0] != "S")


def test_what_can_be_loaded():
    columns = [*hospitals.load().numeric, "cp", "restecg", "slope", "ca", "thal"]
    assert hospitals.load("heart_disease", features=columns).categorical["thal"] == ("3", "6", "7")
    with pytest.raises(ValueError, match="no column 'num'"):
        hospitals.load("heart_disease", features=["age", "num"])
    for name in ("hearts", "../data/heart_disease", ""):
        with pytest.raises(
            ValueError, match=r"There is no data set .* there are: airports, heart_disease, loans, schools"
        ):
            hospitals.load(name)


def test_an_altered_or_absent_file_is_refused(heart, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(DATA / "heart_disease", tmp_path / "heart_disease"))
    monkeypatch.setattr(hospitals, "ROOTS", (tmp_path,))
    assert hospitals.load().sha256 == heart.sha256
    for file in ("hungary.csv", "dataset.json"):
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole.replace(b"1", b"2", 1))
        with pytest.raises(ValueError, match=f"{file} is not the published file.*make data"):
            hospitals.load()
        (folder / file).write_bytes(whole)
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(ValueError, match="SHA256SUMS says None"):
        hospitals.load()
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ValueError, match="not complete"):
        hospitals.load()


def test_the_hash_follows_the_content(heart):
    again = hospitals.from_frame(heart.frame(), site="hospital", label="label", name=heart.name)
    assert again.sha256 == hospitals.load().sha256 == heart.sha256
    labels = [0, 1] * 5
    others = [heart.without("Hungary"), hospitals.load(features=["age", "cp"]), hospitals.load(features=["age", "sex"])]
    others += [
        federation({"A": labels, other: rows}) for other, rows in [("B", labels), ("B", labels[::-1]), ("C", labels)]
    ]
    zeros = heart.frame().fillna({"chol": 0.0})  # which are not what is missing
    others += [hospitals.from_frame(zeros, site="hospital", label="label", name=heart.name)]
    assert len({made.sha256 for made in (heart, *others)}) == len(others) + 1


def test_a_federation_without_a_hospital(heart):
    three = heart.without("Switzerland")
    assert list(three.names) == [name for name in NAMES if name != "Switzerland"]
    assert three.categorical == heart.categorical
    with pytest.raises(KeyError, match="no hospital 'Swiss' in heart_disease; there are Cleveland"):
        heart.without("Swiss")
    last = three.without("Cleveland").without("Hungary")
    with pytest.raises(ValueError, match="only hospital"):
        last.without("VA Long Beach")
    beach = last.hospitals[0]
    odd = dataclasses.replace(last, hospitals=(dataclasses.replace(beach, table=beach.table.assign(label=0.5)),))
    with pytest.raises(ValueError, match="A feature is called 'label'"):
        odd.frame()


def test_a_hospitals_rows_depend_on_the_seed_and_its_name_only(heart):
    split, again, fewer = (preparation.split(one, seed=1) for one in (heart, heart, heart.without("Cleveland")))
    other = preparation.split(heart, seed=2)
    for name, part in fewer.hospitals.items():
        rows = split.hospitals[name].test_rows
        np.testing.assert_array_equal(rows, again.hospitals[name].test_rows)
        np.testing.assert_array_equal(rows, part.test_rows)
        assert not np.array_equal(rows, other.hospitals[name].test_rows)
        np.testing.assert_array_equal(split.hospitals[name].test_features, again.hospitals[name].test_features)
    # Who takes part decides about the statistics, though.
    assert not np.allclose(split.statistics.moments["mean"], fewer.statistics.moments["mean"])


def test_a_hospital_that_is_left_out_gives_no_sums_and_is_prepared_with_those_of_the_others(heart):
    split, fewer = preparation.split(heart, 1, leave_out=["Hungary"]), preparation.split(heart.without("Hungary"), 1)
    assert list(split.hospitals) == NAMES
    pd.testing.assert_frame_equal(split.statistics.moments, fewer.statistics.moments)
    left_out = split.hospitals["Hungary"]
    expected = preparation.prepare(heart["Hungary"].table.iloc[left_out.test_rows], fewer.statistics)
    np.testing.assert_array_equal(left_out.test_features, expected)
    for wrong in (["Swiss"], NAMES, "Hungary", 1):
        with pytest.raises(ValueError, match=r"leave_out must (name some of Cleveland, Hungary|be a list, such as)"):
            preparation.split(heart, 1, leave_out=wrong)


def test_test_rows_have_no_say_in_the_statistics():
    labels = {"A": [0, 1] * 20, "B": [0, 1] * 20}
    first = preparation.split(federation(labels), seed=0)
    assert not np.array_equal(first.hospitals["A"].test_rows, first.hospitals["B"].test_rows)  # each draws its own
    changed = federation(labels)
    for name, part in first.hospitals.items():
        changed[name].table.loc[part.test_rows, "x"] = 1e6
    second = preparation.split(changed, seed=0)
    for name, part in first.hospitals.items():
        np.testing.assert_array_equal(part.train_features, second.hospitals[name].train_features)


def visits(count=40, each=5):
    """A federation of patients with many rows, some of which have label 1, in no order."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.repeat(np.arange(3 * count), each))
    often = rng.random(3 * count) < 0.4
    columns = {"site": rows % 3, "who": [f"p{row}" for row in rows], "x": rng.normal(size=len(rows))}
    return pd.DataFrame(columns).assign(y=(often[rows] & (rng.random(len(rows)) < 0.5)).astype(int))


def test_the_rows_of_a_patient_stay_on_one_side():
    frame = visits()
    made = hospitals.from_frame(frame, site="site", label="y", patient="who")
    assert made.numeric == ("x",)
    for seed in range(5):
        split = preparation.split(made, seed)
        for hospital in made:
            part, whose = split.hospitals[hospital.name], hospital.patients
            assert not {*whose[part.train_rows]} & {*whose[part.test_rows]}
            assert sorted([*part.train_rows, *part.test_rows]) == list(range(len(hospital)))
            ever = {who for who, label in zip(whose, hospital.labels, strict=True) if label}
            tested = {*whose[part.test_rows]}
            assert len(tested & ever) == round(0.3 * len(ever))
            assert len(tested - ever) == round(0.3 * (40 - len(ever)))
    back = hospitals.from_frame(made.frame(), site="hospital", label="label", patient="patient")
    plain = hospitals.from_frame(frame, site="site", label="y", features=["x"])
    assert back.sha256 == made.sha256 != plain.sha256


def test_each_row_is_a_patient_where_nobody_says_otherwise(heart):
    named = [dataclasses.replace(one, patients=np.arange(len(one)).astype(str).astype(object)) for one in heart]
    for one, other in zip(heart, named, strict=True):
        np.testing.assert_array_equal(preparation._test_rows(one, 3, 0.3), preparation._test_rows(other, 3, 0.3))


@pytest.mark.parametrize("kind", ["words", "truth", "positions", "array", "mask"])
def test_a_split_of_ones_own_is_taken_as_it_is(kind):
    frame = visits()
    tested = np.random.default_rng(1).random(len(frame)) < 0.2
    column = {"words": np.where(tested, "test", "train"), "truth": tested}.get(kind)
    test = "set" if column is not None else np.flatnonzero(tested)
    frame = frame.drop(columns="who") if column is None else frame.drop(columns="who").assign(set=column)
    given = {"positions": [*test], "mask": tested}.get(kind, test)
    made = hospitals.from_frame(frame, site="site", label="y", test=given)
    assert made.numeric == ("x",)
    for seed, fraction in [(0, 0.3), (7, 0.9)]:
        for name, part in preparation.split(made, seed, fraction).hospitals.items():
            np.testing.assert_array_equal(part.test_rows, np.flatnonzero(tested[frame["site"] == int(name)]))
    assert hospitals.from_frame(made.frame(), site="hospital", label="label", test="test").sha256 == made.sha256


classes = st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda counts: max(counts) >= 2)


@given(st.lists(classes, min_size=2, max_size=3), st.integers(0, 2**64), st.floats(0.01, 0.99))
def test_every_row_is_on_one_side_and_each_class_on_both(counts, seed, fraction):
    labels = {f"h{number}": [0] * none + [1] * ill for number, (none, ill) in enumerate(counts)}
    if len({label for rows in labels.values() for label in rows}) < 2:
        return
    made = federation(labels)
    split = preparation.split(made, seed, fraction)
    for hospital in made:
        part = split.hospitals[hospital.name]
        assert sorted([*part.train_rows, *part.test_rows]) == list(range(len(hospital)))
        assert (part.test_labels.dtype, part.train_features.shape) == (np.float32, (len(part.train_rows), 1))
        np.testing.assert_array_equal(part.test_labels, hospital.labels[part.test_rows])
        np.testing.assert_array_equal(part.train_labels, hospital.labels[part.train_rows])
        for label in (0, 1):
            rows, tested = (hospital.labels == label).sum(), (part.test_labels == label).sum()
            assert tested == (0 if rows < 2 else min(max(round(fraction * rows), 1), rows - 1))


def test_a_hospital_may_lack_a_column_which_becomes_the_federations_mean_or_a_class():
    frame = pd.DataFrame({"site": ["A", "B"] * 20, "y": [0, 0, 1, 1] * 10, "x": [np.nan, 1.0, np.nan, 3.0] * 10})
    split = preparation.split(hospitals.from_frame(frame, site="site", label="y"), seed=0)
    assert (split.hospitals["A"].train_features == 0).all()
    assert split.hospitals["B"].train_features.std() > 0.9
    split = preparation.split(federation({"A": [1] * 10, "B": [0, 1] * 5}), seed=0)
    assert split.hospitals["A"].test_labels.tolist() == [1, 1, 1]


def test_who_joins_takes_classes_and_features_as_they_were_agreed_on(heart):
    table = hospitals.example()
    agreed = hospitals.from_frame(table, site="hospital", label=("outcome", "died"))
    here = table[table["hospital"] == "Hill"].drop(columns="hospital")
    for wrong in ({"classes": ["lived", "died"]}, {"features": ["age"]}):
        for read in (hospitals.join, hospitals.check):
            with pytest.raises(TypeError, match=f"{read.__name__} has no setting '{next(iter(wrong))}'"):
                read(here, agreed, name="Hill", label=("outcome", "died"), **wrong)
    with pytest.raises(TypeError, match="from_frame has no setting 'agreed'"):
        hospitals.from_frame(table, site="hospital", label=("outcome", "died"), agreed=agreed)
    with pytest.raises(ValueError, match="agreed must be the settings of a study, or a federation"):
        hospitals.join(here, "agreed", name="Hill", label=("outcome", "died"))


REFUSED = [([0, 1] * 5, seed, 0.3, "seed must be a whole number from 0 on") for seed in (-1, 0.5)]
REFUSED += [([0, 1] * 5, 0, wrong, "test_fraction must be between 0 and 1") for wrong in (0, 1, np.nan, "0.3")]
REFUSED += [([0, 1], 0, 0.3, r"B has too few patients \(2\)")]


@pytest.mark.parametrize(("labels", "seed", "fraction", "sentence"), REFUSED)
def test_what_cannot_be_split_is_refused(labels, seed, fraction, sentence):
    with pytest.raises(ValueError, match=sentence):
        preparation.split(federation({"A": [0, 1] * 5, "B": labels}), seed, fraction)
