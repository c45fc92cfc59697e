"""Metrics against their definitions and other libraries, and what is concluded from many of them."""

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score

from fedkit import evaluation


def a_run(method, seed, values, metric="auroc", **tables):
    """Make what `evaluation` needs of a Run: hospital -> value at the last round."""
    rows = [(round, hospital, metric, value * round / 2) for hospital, value in values.items() for round in (1, 2)]
    recorded = pd.DataFrame(rows, columns=["round", "hospital", "metric", "value"])
    tables = {"predictions": pd.DataFrame(columns=["probability"])} | tables
    return SimpleNamespace(method=method, settings={"seed": seed}, metrics=recorded, **tables)


def compared(federated, centralized, metric="auroc"):
    """A table of two methods with one hospital, A, and a value a seed."""
    methods = {"federated": federated, "centralized": centralized}
    runs = [
        a_run(name, seed, {"A": one}, metric) for name, values in methods.items() for seed, one in enumerate(values)
    ]
    return evaluation.table(runs, [metric])


# Few distinct probabilities, so that ties are common.
patients = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=60)


@settings(max_examples=300)
@given(patients)
@example([(0, 10), (1, 10)])
@example([(0, 10), (1, 10), (1, 10), (1, 11), (0, 9)])
def test_scores_are_what_their_definitions_say(rows):
    labels, probabilities = np.array([row[0] for row in rows], float), np.array([row[1] / 20 for row in rows])
    found = evaluation.scores(labels, probabilities, evaluation.METRICS[:5])
    assert found["brier"] == pytest.approx(np.mean((probabilities - labels) ** 2))
    assert found["accuracy"] == pytest.approx(np.mean((probabilities > 0.5) == (labels == 1)))
    given = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), 1e-7, 1 - 1e-7)
    assert found["log_loss"] == pytest.approx(-np.log(given).mean())
    if labels.min() == labels.max():
        assert np.isnan([found["auroc"], found["auprc"]]).all()
        return
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-14)
    recalls, precisions = [0.0], []
    for cut in sorted(set(probabilities), reverse=True):
        chosen = labels[probabilities >= cut]
        recalls.append(chosen.sum() / labels.sum())
        precisions.append(chosen.mean())
    assert found["auprc"] == pytest.approx(np.diff(recalls) @ precisions)


@settings(max_examples=200)
@given(patients, st.floats(0.1, 8), st.floats(-6, 6))
@example([(1, 4), (1, 9)], 1.0, 0.0)  # one label
@example([(0, 1), (0, 3), (1, 3), (1, 9)], 1.0, 0.0)  # separated
@example([(0, 10), (1, 10), (0, 10)], 1.0, 0.0)  # constant
def test_calibration_is_defined_exactly_where_it_should_be(rows, spread, shift):
    labels, logits = np.array([row[0] for row in rows], float), np.array([(row[1] - 10) / 10 for row in rows])
    probabilities = 1 / (1 + np.exp(-(spread * logits + shift)))
    found = evaluation.scores(labels, probabilities, ["calibration_intercept", "calibration_slope"])
    ill, healthy = logits[labels == 1], logits[labels == 0]
    both = ill.size > 0 and healthy.size > 0
    assert np.isfinite(found["calibration_intercept"]) == both
    overlap = both and ill.min() < healthy.max() and healthy.min() < ill.max()
    assert np.isfinite(found["calibration_slope"]) == overlap


def test_calibration_of_a_certain_model_is_finite():
    found = evaluation.scores([0, 1, 1, 0], [0.0, 1.0, 0.0, 1.0], ["calibration_intercept", "calibration_slope"])
    assert np.isfinite([*found.values()]).all()


def test_auroc_is_cheap_enough_for_every_round():
    labels, probabilities = np.arange(90) % 2, np.random.default_rng(0).random(90).astype(np.float32)

    def seconds(work):
        began = time.process_time()
        for _ in range(20):
            work(labels, probabilities)
        return time.process_time() - began

    ours = min(seconds(lambda y, p: evaluation.scores(y, p, ("auroc",))) for _ in range(30))
    assert 8 * ours < min(seconds(roc_auc_score) for _ in range(30))  # 20 microseconds; theirs 800 on a quiet machine


@pytest.mark.parametrize("stretch", [0.3, 1.0, 5.0])
def test_calibration_is_the_most_likely_one(stretch):
    random = np.random.default_rng(0)
    logits = random.normal(size=400)
    labels = (random.random(400) < 1 / (1 + np.exp(-(0.7 + 0.5 * logits)))).astype(float)
    found = evaluation.scores(labels, 1 / (1 + np.exp(-stretch * logits)))

    def loss(a, b):
        return np.sum(np.logaddexp(0, a + b * stretch * logits) - labels * (a + b * stretch * logits))

    slope = optimize.minimize(lambda ab: loss(*ab), [0, 1 / stretch], tol=1e-10).x[1]
    intercept = optimize.minimize_scalar(lambda a: loss(a, 1)).x
    assert (found["calibration_slope"], found["calibration_intercept"]) == pytest.approx((slope, intercept), abs=1e-4)


def test_table_takes_the_last_round_or_the_one_asked_for_and_adds_the_mean():
    run = a_run("federated", 0, {"A": 0.8, "B": 0.6})
    last, first = (evaluation.table([run], ["auroc"], round=round) for round in (None, 1))
    assert last["hospital"].tolist() == ["A", "B", "mean"]
    assert last["value"].tolist() == pytest.approx([0.8, 0.6, 0.7]) == (2 * first["value"]).tolist()


def test_mean_is_over_the_hospitals_that_every_run_has_a_value_for():
    values = {("local", 0): (0.8, np.nan, 0.6), ("local", 1): (0.8, 0.1, 0.6), ("federated", 0): (0.9, 0.1, 0.7)}
    table = evaluation.table(
        [a_run(*key, dict(zip("ABC", each, strict=True))) for key, each in values.items()], ["auroc"]
    )
    means = table[table["hospital"] == "mean"].set_index(["method", "seed"])["value"]
    assert means.to_dict() == pytest.approx({("local", 0): 0.7, ("local", 1): 0.7, ("federated", 0): 0.8})


def test_table_scores_the_predictions_where_a_metric_was_not_recorded():
    predictions = pd.DataFrame({"hospital": ["A"] * 4, "label": [0, 1, 0, 1], "probability": [0.1, 0.4, 0.6, 0.9]})
    run = a_run("local", 0, {"A": 0.75}, predictions=predictions)
    table = evaluation.table([run], ["auroc", "brier"]).set_index(["hospital", "metric"])["value"]
    assert table["A", "brier"] == pytest.approx(np.mean([0.01, 0.36, 0.36, 0.01]))
    assert table["A", "auroc"] == 0.75
    with pytest.raises(ValueError, match="'brier' was not recorded at round=1"):
        evaluation.table([run], ["brier"], round=1)


def test_interval_is_the_usual_t_interval_corrected_for_splits_that_overlap():
    values = np.random.default_rng(0).normal(size=12)
    usual = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    assert evaluation.interval(values, test_to_train=0, level=0.9)[1:] == pytest.approx(usual)
    _, low, high = evaluation.interval(np.tile([0.7, 0.8], 5000))
    # More splits do not shrink it to nothing: sqrt(3/7) s on either side, times 1.96.
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(3 / 7) * 0.05, rel=1e-3)
    assert evaluation.interval([0.5, np.nan, 0.7]) == evaluation.interval([0.5, 0.7])
    assert evaluation.interval([0.5, np.nan]) == pytest.approx((0.5, np.nan, np.nan), nan_ok=True)
    assert np.isnan(evaluation.interval([])).all()


def test_intervals_take_each_hospitals_own_counts():
    counts = {"A": (5, 5), "B": (70, 30)}
    runs = [a_run("federated", seed, {"A": 0.7 + seed / 50, "B": 0.8 - seed / 90}) for seed in range(4)]
    for number, run in enumerate(runs):
        rows = [
            (0, name, kind, n) for name, both in counts.items() for kind, n in zip(evaluation.COUNTS, both, strict=True)
        ]
        run.metrics = pd.concat([pd.DataFrame(rows, columns=[*run.metrics]), run.metrics], ignore_index=True)
        run.predictions = pd.DataFrame({"hospital": ["A", "B"], "label": 1, "probability": 0.5 + number / 20})
    table = evaluation.table(runs, ["auroc", "log_loss"])  # one was recorded, and one was not
    for metric, rows in table.groupby("metric"):
        found = evaluation.summary(rows).set_index("hospital")
        for name, ratio in {"A": 1.0, "B": 3 / 7, "mean": 35 / 75}.items():
            values = rows.loc[rows["hospital"] == name, "value"]
            expected = evaluation.interval(values, ratio)
            assert found.loc[name, ["mean", "low", "high"]].tolist() == pytest.approx(expected), (metric, name)
    base = evaluation.table([a_run("local", seed, {"A": 0.6, "B": 0.6}) for seed in range(4)], ["auroc"])
    paired = evaluation.paired_differences(pd.concat([table, base]), "local").set_index("hospital")
    values = table.query("metric == 'auroc' and hospital == 'A'")["value"] - 0.6
    assert paired.loc["A", ["mean", "low", "high"]].tolist() == pytest.approx(evaluation.interval(values, 1.0))


def shuffled(methods, hospitals=("B", "A", "C"), seeds=(2, 0, 1)):
    """Runs in an order that is neither sorted nor the same for each method."""
    runs = [
        a_run(method, seed, {hospital: gain + seed / 10 + ord(hospital) / 1000 for hospital in hospitals})
        for number, (method, gain) in enumerate(methods.items())
        for seed in (seeds if number % 2 else seeds[::-1])
    ]
    return evaluation.table(runs, ["auroc"])


def test_paired_differences_match_seed_and_hospital_whatever_the_order():
    table = shuffled({"local": 0.30, "federated": 0.34, "centralized": 0.35})
    paired = evaluation.paired_differences(table, "centralized").set_index(["method", "hospital"])
    assert set(paired.index) == set(itertools.product(("local", "federated"), ("A", "B", "C", "mean")))
    for (method, _), row in paired.iterrows():
        expected = {"local": -0.05, "federated": -0.01}[method]
        assert [row["mean"], row["low"], row["high"]] == pytest.approx([expected] * 3)  # the seeds' part cancels
        assert row["n"] == 3


VERDICTS = [(0.02, "inconclusive", "auroc"), (0.05, "non-inferior", "auroc"), (0.001, "inferior", "auroc")]
VERDICTS += [(0.02, "non-inferior", "brier")]  # of which less is better


@pytest.mark.parametrize(("margin", "expected", "metric"), VERDICTS)
def test_non_inferiority_holds_the_interval_against_the_margin(margin, expected, metric):
    table = compared([0.77, 0.78, 0.775, 0.78], [0.8] * 4, metric)
    row = evaluation.non_inferiority(table, "federated", "centralized", margin, metric).set_index("hospital").loc["A"]
    assert row["verdict"] == expected
    assert row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx(-0.02375 if metric == "auroc" else 0.02375)


TABLE = shuffled({"local": 0.3, "federated": 0.3})
UNPAIRED = TABLE[(TABLE["method"] != "local") | (TABLE["seed"] != 2)]
ONE = pd.DataFrame({"hospital": ["A"], "label": [1], "probability": [0.5]})
APART = TABLE.assign(hospital=TABLE["hospital"] + " of " + TABLE["method"])  # as where one says 1, and the other "1"
REFUSED = [
    ("one row a patient", evaluation.scores, [0, 1], [0.5]),
    ("at least one", evaluation.scores, [], []),
    ("must be 0 or 1", evaluation.scores, [1, 2], [0.5, 0.5]),
    ("from 0 to 1", evaluation.scores, [0, 1], [0.5, 1.5]),
    ("from 0 to 1", evaluation.scores, [0, 1], [-0.5, 0.5]),
    ("from 0 to 1", evaluation.scores, [0, 1], [0.5, np.nan]),
    ("Unknown metric 'auc'", evaluation.scores, [0, 1], [0.5, 0.5], ("auc",)),
    ("Two runs of 'local' have seed 3", evaluation.stack, [a_run("local", 3, {"A": 1})] * 2),
    ("runs must be a list of runs", evaluation.stack, []),
    ("runs must be a list of runs", evaluation.table, a_run("local", 3, {"A": 1})),
    ("runs must be a list of runs", evaluation.table, ["federated"]),
    ("metrics must be a list of names", evaluation.table, [a_run("local", 3, {"A": 1})], "auroc"),
    ("runs must be a list of runs", evaluation.costs, TABLE),
    ("table must be what evaluation.table makes", evaluation.summary, [a_run("local", 3, {"A": 1})]),
    ("level must be below 1", evaluation.interval, [1, 2, 3], 0.3, 95),
    ("part must be 'metrics'", evaluation.stack, [a_run("local", 3, {"A": 1})], "weights"),
    ("'local' and 'federated' were not run with the same", evaluation.paired_differences, UNPAIRED, "federated"),
    ("No method 'pooled'", evaluation.paired_differences, TABLE, "pooled"),
    ("No method has a value of 'federated''s hospitals", evaluation.non_inferiority, APART, "local", "federated", 0.05),
    ("margin must be positive", evaluation.non_inferiority, TABLE, "federated", "local", 0),
    ("no better and worse", evaluation.non_inferiority, TABLE, "federated", "local", 0.1, "calibration_slope"),
    ("lack the column 'probability'", evaluation.calibration_curve, ONE.drop(columns="probability")),
    ("at least one bin", evaluation.calibration_curve, ONE, 0),
]


@pytest.mark.parametrize(("sentence", "function", "given"), [(case[0], case[1], case[2:]) for case in REFUSED])
def test_what_means_nothing_is_refused(sentence, function, given):
    with pytest.raises(ValueError, match=sentence):
        function(*given)


def test_costs_add_rounds_and_hospitals_and_average_seeds():
    columns = ["round", "hospital", "direction", "phase", "bytes", "seconds"]
    runs = [
        a_run(
            "federated",
            seed,
            {},
            ledger=pd.DataFrame([(1, h, "up", "send", sent, 0.5) for h in "AABB"], columns=columns),
        )
        for seed, sent in enumerate((10, 30))
    ]
    assert evaluation.costs(runs).to_numpy().tolist() == [["federated", "up", "send", 80, 2.0]]


def test_calibration_curve_keeps_every_row_and_more_seeds_do_not_narrow_it():
    random = np.random.default_rng(0)
    one = pd.DataFrame({"hospital": "A", "probability": random.random(103)})
    one["label"] = (random.random(103) < one["probability"]).astype(int)
    curve = evaluation.calibration_curve(one, bins=4)
    assert curve["rows"].sum() == 103
    assert curve["rows"].max() - curve["rows"].min() <= 1
    assert curve["predicted"].is_monotonic_increasing
    assert (curve["observed"] * curve["rows"]).sum() == pytest.approx(one["label"].sum())
    assert ((curve["low"] < curve["observed"]) & (curve["observed"] < curve["high"])).all()
    first = curve.iloc[0]
    oracle = stats.binomtest(round(first["observed"] * first["rows"]), int(first["rows"]))
    assert (first["low"], first["high"]) == pytest.approx(oracle.proportion_ci(method="wilson"), abs=1e-6)
    twice = evaluation.calibration_curve(pd.concat([one.assign(seed=0), one.assign(seed=1)]), bins=4)
    assert (twice["high"] - twice["low"]).mean() == pytest.approx((curve["high"] - curve["low"]).mean(), rel=0.05)


def test_the_expected_calibration_error_is_the_mean_gap_of_equal_bins():
    y, p = [0, 1, 1, 1, 0, 0], [0.9, 0.2, 0.8, 0.6, 0.1, 0.3]
    # In order: .1 .2 | .3 .6 | .8 .9, of which 1, 1 and 1 are ill.
    assert evaluation.calibration_error(y, p, bins=3) == pytest.approx((0.7 + 0.1 + 0.7) / 6)
    assert evaluation.calibration_error(y, p, bins=1) == pytest.approx(0.1 / 6)
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20000)
    y = rng.uniform(size=20000) < p
    assert evaluation.calibration_error(y, p) < 0.02 < 0.1 < evaluation.calibration_error(y, p**2)
    curve = evaluation.calibration_curve(pd.DataFrame({"hospital": "A", "label": y.astype(int), "probability": p**2}))
    gap = (curve["predicted"] - curve["observed"]).abs()
    assert np.average(gap, weights=curve["rows"]) == pytest.approx(evaluation.calibration_error(y, p**2))
