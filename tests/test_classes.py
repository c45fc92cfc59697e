"""More than two classes, everywhere that two work; and two are what they always were."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import KINDS, flowers
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from fedkit import evaluation, exchange, hospitals, learning, models, preparation, records
from fedkit.chapters.attacks import membership, poisoning
from fedkit.chapters.figures import exhibits
from fedkit.exchange import results

# What only a person can judge of these tables is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore:.*hospitals.check shows more:UserWarning")


@pytest.fixture(scope="module")
def trained(iris) -> records.Run:
    return learning.train_federated(iris, rounds=2)


def weights(run) -> np.ndarray:
    return models.flatten(run.weights["shared"])


def probabilities(run) -> np.ndarray:
    return records.probabilities(run.predictions).to_numpy()


# Training


def test_pooled_rows_in_full_batches_lead_to_scikit_learns_model(iris):
    split = preparation.split(iris, 0).hospitals.values()
    rows, labels = (np.concatenate([getattr(own, f"train_{part}") for own in split]) for part in ("features", "labels"))
    oracle = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(rows, labels)
    expected = oracle.predict_proba(np.concatenate([own.test_features for own in split]))
    run = learning.train_centralized(iris, rounds=1, epochs=1000, penalty=2.0, batch_size=None, learning_rate=1.0)
    assert np.abs(probabilities(run) - expected).max() < 1e-4
    assert np.abs(run.weights["shared"][0] - oracle.coef_.T).max() < 1e-4
    assert oracle.score(rows, labels) > 0.7, "an oracle that learned nothing proves nothing"


def test_weights_say_how_many_classes_there_are(iris, trained):
    """So that whoever takes the default model for a run's weights does not read one class as the probability."""
    rows = np.concatenate([own.test_features for own in preparation.split(iris, 0).hospitals.values()])
    assert np.array_equal(models.logistic_regression().predict(trained.weights["shared"], rows), probabilities(trained))


def test_a_study_in_a_folder_trains_the_same_model(iris):
    participant, *_ = exchange.rehearse(iris, rounds=3)
    assert participant.study.settings.classes == tuple(KINDS)
    plain, run = learning.train_federated(iris, rounds=3), results.run(participant, iris)
    assert np.abs(weights(run) - weights(plain)).max() < 1e-6
    assert list(run.predictions) == list(plain.predictions)
    for metric in ("auroc", "brier", "accuracy", "log_loss"):
        assert run.final(metric).tolist() == pytest.approx(plain.final(metric).tolist(), abs=1e-5)
        tests = plain.predictions.groupby("hospital").size()
        mean, tested = participant.scores[3][metric]
        assert tested == tests.sum() == len(plain.predictions)
        assert mean == pytest.approx((plain.final(metric) * tests).sum() / tests.sum(), abs=1e-2)
    for wrong in ((), ("a",), ("a", "a"), ["a", "b"]):
        with pytest.raises(ValueError, match=r"classes must be names, none twice|2 or more"):
            exchange.Settings("t", "l", ("x",), classes=wrong)


# Classes that are missing somewhere


@pytest.fixture(scope="module")
def gaps() -> hospitals.Federation:
    """Hospital B has no setosa, and each hospital at most one flower of a fourth class: nobody is tested on it."""
    frame = flowers()
    frame = frame[(frame["hospital"] != "B") | (frame["kind"] != "setosa")].reset_index(drop=True)
    frame.loc[frame.groupby("hospital").head(1).index, "kind"] = "rare"
    return hospitals.from_frame(frame, site="hospital", label="kind", classes=["rare", *KINDS])


@pytest.mark.parametrize("train", [learning.train_federated, learning.train_local, learning.train_centralized])
def test_a_hospital_without_a_class_and_a_class_without_test_rows(gaps, train):
    run = train(gaps, rounds=5)
    tested = run.predictions.groupby("hospital")["label"].agg(set).to_dict()
    assert tested == {"A": {1, 2, 3}, "B": {1, 3}, "C": {1, 2, 3}}
    for name, rows in run.predictions.groupby("hospital"):
        p = records.probabilities(rows).to_numpy()
        each = [sk.roc_auc_score(rows["label"] == at, p[:, at]) for at in sorted(tested[name])]
        assert run.final("auroc")[name] == pytest.approx(np.mean(each), abs=1e-12)
    assert run.metrics.query("metric == 'calibration_slope'")["value"].isna().all()
    others = run.metrics[~run.metrics["metric"].str.startswith("calibration")]
    assert np.isfinite(others["value"]).all()


def test_each_class_is_split_by_itself(gaps):
    for seed in range(5):
        for name, rows in preparation.split(gaps, seed).hospitals.items():
            for label in range(4):
                of_class = (gaps[name].labels == label).sum()
                tests = (rows.test_labels == label).sum()
                assert tests == (min(max(round(0.3 * of_class), 1), of_class - 1) if of_class > 1 else 0)


# Scores

tables = st.integers(3, 6).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.lists(st.integers(1, 9), min_size=classes, max_size=classes)),
        min_size=1,
        max_size=40,
    )
)


@settings(max_examples=60)
@given(tables)
def test_scores_are_what_their_definitions_say(rows):
    labels, p = np.array([label for label, _ in rows]), np.array([counts for _, counts in rows], float)
    p /= p.sum(axis=1, keepdims=True)
    found, classes = evaluation.scores(labels, p), range(p.shape[1])
    squares = [sum((each[at] - (at == label)) ** 2 for at in classes) for label, each in zip(labels, p, strict=True)]
    assert found["brier"] == pytest.approx(np.mean(squares))
    first = [max(classes, key=lambda at, each=each: each[at]) for each in p]
    assert found["accuracy"] == pytest.approx(np.mean([one == label for one, label in zip(first, labels, strict=True)]))
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, p, labels=list(classes)))
    assert np.isnan([found["calibration_intercept"], found["calibration_slope"]]).all()
    if len(set(labels)) == 1:
        assert np.isnan([found["auroc"], found["auprc"]]).all()
        return
    there = sorted(set(labels))
    assert found["auprc"] == pytest.approx(
        np.mean([sk.average_precision_score(labels == at, p[:, at]) for at in there])
    )
    if len(there) == len(classes):
        expected = sk.roc_auc_score(labels, p, multi_class="ovr", average="macro")
        assert found["auroc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "p", "sentence"),
    [
        ([0, 3], [[0.2, 0.3, 0.5]] * 2, "Labels must be whole numbers from 0 to 2"),
        ([0, -1], [[0.2, 0.3, 0.5]] * 2, "Labels must be whole numbers from 0 to 2"),
        ([0, 0.5], [[0.2, 0.3, 0.5]] * 2, "Labels must be whole numbers from 0 to 2"),
        ([0, 1], [[0.2, 0.3, 0.6]] * 2, "must add up to 1: apply the softmax"),
        ([0, 1], [[0.4, 0.6]] * 2, "of two classes, give the probability of label 1 alone"),
        ([0], [[0.2, 0.3, 0.5]] * 2, "one row a patient"),
        ([0, 1], [[[0.2, 0.3, 0.5]]] * 2, "one row a patient"),
        ([0, 1], [[np.nan, 0.3, 0.7]] * 2, "from 0 to 1 and not be NaN"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels, p, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluation.scores(labels, p)


def test_an_interval_of_the_brier_score_of_several_classes_ends_at_two(iris, heart):
    for classes, made in ((3, iris), (2, heart)):
        table = evaluation.table(learning.train_federated(made, rounds=1, seed=[0, 1]), ["brier", "accuracy"])
        assert (table["classes"] == classes).all()
        wide = table.assign(value=np.where(table["seed"] == 0, 0.1, 0.9))
        found = evaluation.summary(wide).groupby("metric")[["low", "high"]].agg(["min", "max"])
        assert found.loc["brier"].tolist() == [0, 0, classes - 1, classes - 1]
        assert found.loc["accuracy"].tolist() == [0, 0, 1, 1]
    assert evaluation.summary(wide.drop(columns="classes"))["high"].max() == 1


def test_confusion_counts_every_test_row_under_its_own_name(iris):
    predictions = pd.DataFrame({"hospital": [*"AAAABB"], "label": [0, 0, 1, 2, 2, 2]})
    for at, name in enumerate(KINDS):
        predictions[f"probability={name}"] = np.where(np.array([0, 1, 1, 2, 2, 0]) == at, 0.6, 0.2)
    found = evaluation.confusion(predictions)
    assert list(found) == ["hospital", "label", *(f"predicted={name}" for name in KINDS)]
    assert found["label"].tolist() == KINDS * 2
    assert found.query("hospital == 'A'").iloc[:, 2:].to_numpy().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.query("hospital == 'B'").iloc[:, 2:].to_numpy().tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]
    runs = learning.train_federated(iris, rounds=5, seed=[0, 1])
    counted = evaluation.confusion(evaluation.stack(runs, "predictions"))
    right = sum(counted[f"predicted={name}"][counted["label"] == name].sum() for name in KINDS)
    assert counted.iloc[:, 3:].to_numpy().sum() == sum(len(run.predictions) for run in runs)
    tested = [run.final("accuracy") * run.predictions.groupby("hospital").size() for run in runs]
    assert right == pytest.approx(sum(each.sum() for each in tested))
    two = pd.DataFrame({"hospital": "A", "label": [0, 0, 1], "probability": [0.5, 0.6, 0.9]})
    assert evaluation.confusion(two).to_numpy().tolist() == [["A", "0", 1, 1], ["A", "1", 0, 1]]
    with pytest.raises(ValueError, match="lack the column 'probability'"):
        evaluation.confusion(two.drop(columns="probability"))


def test_what_is_not_recorded_is_scored_from_the_predictions(trained):
    bare = dataclasses.replace(trained, metrics=trained.metrics[~trained.metrics["metric"].isin(["brier", "auprc"])])
    for metric in ("brier", "auprc"):
        found = evaluation.table([bare], [metric]).set_index("hospital")["value"]
        assert found[[*"ABC"]].tolist() == pytest.approx(trained.final(metric)[[*"ABC"]].tolist(), abs=1e-12)


def test_what_is_of_two_classes_says_so(iris, trained):
    predictions = trained.predictions
    with pytest.raises(ValueError, match="A calibration curve is of two classes"):
        evaluation.calibration_curve(predictions)
    one = predictions.assign(label=predictions["label"] == 2, probability=predictions["probability=versicolor"])
    assert evaluation.calibration_curve(one)["rows"].sum() == len(one)
    with pytest.raises(ValueError, match="This picture is of two classes"):
        exhibits.hospitals_at_a_glance(iris, "sepal length (cm)")
    with pytest.raises(ValueError, match="probability of label 1, and here are 3 classes"):
        membership.signals([], iris)
    with pytest.raises(ValueError, match="between two classes, and here are 3"):
        poisoning.evaluate(None, iris, backdoor=poisoning.Backdoor({}, 1))
    with pytest.raises(ValueError, match="has labels that are not 0 to 2"):
        poisoning.flip_labels(iris, ["A"])


# Runs


def test_a_run_is_saved_and_read_back(tmp_path):
    frame, strange = flowers(), ["医院", 'a,"=b', "1e3"]
    frame["kind"] = frame["kind"].map(dict(zip(KINDS, ["1e3", 'a,"=b\n', "医院"], strict=True)))
    data = hospitals.from_frame(frame, site="hospital", label="kind", classes=strange)
    run = learning.train_federated(data, rounds=1)
    assert list(run.predictions) == ["hospital", "label", *(f"probability={name}" for name in strange)]
    run.save(tmp_path)
    again = records.load(tmp_path)
    assert records.compare(run, again).empty
    pd.testing.assert_frame_equal(run.predictions, again.predictions)


def test_compare_looks_at_every_probability(trained):
    run = trained
    for column in [*run.predictions][2:]:
        moved = dataclasses.replace(run, predictions=run.predictions.assign(**{column: run.predictions[column] + 1e-9}))
        assert records.compare(run, moved)["what"].tolist() == ["predictions"]
        assert records.compare(run, moved, tolerance=1e-8).empty
    renamed = run.predictions.rename(columns={"probability=setosa": "probability=tulip"})
    assert records.compare(run, dataclasses.replace(run, predictions=renamed))["what"].tolist() == ["predictions"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: it.assign(label=3), "label must lie from 0 to 2"),
        (lambda it: it.assign(**{"probability=setosa": 1.5}), "probability=setosa must lie from 0 to 1"),
        (lambda it: it.assign(**{"probability=setosa": "x"}), "could not convert"),
        (lambda it: it[["label", "hospital", *[*it][2:]]], "its columns are label"),
        (lambda it: it.assign(more=1.0), "its columns are"),
        (lambda it: it[[*it][:4]], "must be hospital, label, probability"),
    ],
)
def test_predictions_that_are_damaged_are_refused(trained, tmp_path, change, sentence):
    dataclasses.replace(trained, predictions=change(trained.predictions)).save(tmp_path)
    with pytest.raises(ValueError, match=f"predictions.csv is damaged.*{sentence}"):
        records.load(tmp_path)


# Tables


def federation(values, classes, **options):
    frame = pd.DataFrame({"site": ["A", "B"] * 15, "x": np.arange(30.0), "y": values})
    return hospitals.from_frame(frame, site="site", label="y", classes=classes, keep=["x"], **options)


LABELS = [
    (["b", "a", "c"] * 10, ["c", "a", "b"], ("c", "a", "b")),
    (["b", " a ", "c"] * 10, ("a", "b", "c"), ("a", "b", "c")),
    ([3, 1, 2] * 10, [2, 3, 1], ("2", "3", "1")),
    ([3.0, 1.0, 2.5] * 10, [1, 2.5, 3], ("1", "2.5", "3")),
    (["3", "1", "2"] * 10, range(1, 4), ("1", "2", "3")),
    (pd.Categorical(["b", "a", "c"] * 10, categories=[*"zcba"]), [*"bca"], (*"bca",)),
    (pd.array([3, 1, 2] * 10, dtype="Int64"), np.array([1, 2, 3]), ("1", "2", "3")),
    (["yes", "no", "no"] * 10, ["no", "yes"], ("no", "yes")),
    ([True, False, False] * 10, [True, False], ("True", "False")),
    (["b", "a", "c"] * 10, ["a", "b", "c", "nobody"], ("a", "b", "c", "nobody")),
]


@pytest.mark.parametrize(("values", "classes", "names"), LABELS, ids=range(len(LABELS)))
def test_a_class_is_numbered_by_its_place_among_those_named(values, classes, names):
    made = federation(values, classes)
    assert made.classes == names
    for start, hospital in enumerate(made):
        assert hospital.labels.dtype == np.int64
        own = pd.Series(values).astype(object)[start::2]
        written = [f"{each:g}" if isinstance(each, float) else str(each).strip() for each in own]
        assert [names[label] for label in hospital.labels] == written


REFUSED = [
    (["a", "b", "c"], "abc", TypeError, "`classes` must be a list"),
    (["a", "b", "c"], {"a", "b", "c"}, TypeError, "`classes` must be a list"),
    (["a", "b", "c"], 3, TypeError, "`classes` must be a list"),
    (["a", "b", "c"], ["a"], ValueError, "must name two classes or more"),
    (["a", "b", "c"], ["a", "b", "c", "c"], ValueError, "each once"),
    (["a", "b", "c"], ["a", "b", "c", None], ValueError, "must name two classes"),
    (["a", "b", "c"], ["a", "b", "c", "A "], ValueError, "each once, and names 'a', 'b', 'c', 'A '"),
    (["a", "b", "c"], ["a", "b"], ValueError, r"holds what is none of the classes 'a', 'b': 'c'.*isin\(\['a', 'b'\]\)"),
    (["a", "b", None], ["a", "b"], ValueError, "missing in 10 of 30 rows"),
    (["a", "b", " "], ["a", "b"], ValueError, "missing in 10 of 30 rows"),
    (["a"] * 3, ["a", "b", "c"], ValueError, "is 'a' in every row"),
    (["a", "b", "c"], None, ValueError, r"name them in order: classes=\[...\]"),
]


@pytest.mark.parametrize(("values", "classes", "error", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_classes_that_mean_nothing_are_refused(values, classes, error, sentence):
    with pytest.raises(error, match=sentence):
        federation(values * 10, classes)


def test_labels_that_are_no_class_are_refused_in_a_hospital_and_a_federation_made_by_hand(iris, heart):
    for made, label in ((iris, 3), (heart, 2)):
        first = made.hospitals[0]
        for wrong in (label, -1):
            with pytest.raises(ValueError, match=f"has labels that are not 0 to {label - 1}, of int64"):
                dataclasses.replace(first, labels=np.where(np.arange(len(first)), 0, wrong))
    first = dataclasses.replace(heart.hospitals[0], classes=3)
    with pytest.raises(ValueError, match=r"Cleveland has labels of 3 classes, and not of 2 classes \(0, 1\)"):
        dataclasses.replace(heart, hospitals=(first, *heart.hospitals[1:]))


def test_the_hash_follows_the_names_of_the_classes_and_the_pooled_table_leads_back(iris):
    frame = iris.frame()
    assert set(frame["label"]) == {*KINDS}
    how = {"site": "hospital", "label": "label", "name": "iris"}
    again = hospitals.from_frame(frame, classes=iris.classes, **how)
    assert again.sha256 == iris.sha256
    assert hospitals.from_frame(frame, classes=sorted(KINDS), **how).sha256 != iris.sha256
    assert dataclasses.replace(iris, classes=("a", "b", "c")).sha256 != iris.sha256
    numbers = hospitals.from_frame(frame.assign(label=frame["label"].map(KINDS.index)), classes=[0, 1, 2], **how)
    assert hospitals.from_frame(numbers.frame(), classes=numbers.classes, **how).sha256 == numbers.sha256


def test_a_summary_counts_each_class(iris):
    summary = iris.summary()
    assert list(summary) == ["hospital", "patients", *(f"label={name}" for name in KINDS), "missing"]
    for name in KINDS:
        assert summary[f"label={name}"].sum() == (flowers()["kind"] == name).sum()
    assert (summary.iloc[:, 2:5].sum(axis=1) == summary["patients"]).all()


def test_two_classes_with_names_are_the_two_they_always_were(heart):
    frame = heart.frame()
    named = hospitals.from_frame(
        frame.assign(label=frame["label"].map({0: "well", 1: "ill"})),
        site="hospital",
        label="label",
        classes=["well", "ill"],
        name=heart.name,
    )
    assert heart.classes == ("0", "1")
    assert named.sha256 == heart.sha256 == "f8cd0704f4a5c3b811f93fd68dcb65c5d712cb795c9134ee9852b8b8308f4925"
    first, second = (learning.train_federated(each, rounds=2) for each in (heart, named))
    assert records.compare(first, second).empty
    assert list(first.predictions) == ["hospital", "label", "probability"]
    assert first.weights["shared"][0].shape == (13, 1)
    assert set(named.frame()["label"]) == {"well", "ill"}


@pytest.mark.parametrize("classes", [1, 0, 2.0, "3", None])
def test_a_model_of_fewer_than_two_classes_is_refused(classes):
    with pytest.raises(ValueError, match="classes must be a whole number, 2 or more"):
        models.Model(classes=classes)
