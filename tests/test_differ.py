"""The table of methods: what is chosen, and what is told of a run."""

import numpy as np
import pytest

from fedkit import evaluation, learning
from fedkit.chapters import differ, heterogeneity


def test_every_row_says_what_its_run_was(heart):
    run = learning.train_federated(heart, rounds=12)
    auroc = run.metrics.query("metric == 'auroc'").groupby("round")["value"].mean()
    found = differ.described(run, heart, auroc[4] - 1e-9).set_index("hospital")
    first = auroc.index[auroc >= auroc[4] - 1e-9].min()
    assert found["rounds"].tolist() == [first] * 4
    mine = run.ledger.query("hospital == 'Hungary' and direction == 'up'")
    assert found.loc["Hungary", "bytes_in_all"] == mine["bytes"].sum()
    assert found.loc["Hungary", "bytes"] == mine.query("round <= @first")["bytes"].sum() < mine["bytes"].sum()
    rows = run.predictions.query("hospital == 'Switzerland'")
    assert found.loc["Switzerland", "majority"] == pytest.approx(rows["label"].mean())
    assert found.loc["Hungary", "majority"] > 0.5
    error = evaluation.calibration_error(rows["label"], rows["probability"])
    assert found.loc["Switzerland", "ece"] == pytest.approx(error)
    assert found["accuracy"].to_dict() == run.final("accuracy").to_dict()
    never = differ.described(run, heart, 1.1)
    assert never[["rounds", "bytes"]].isna().all(axis=None)


def test_the_mean_of_hospitals_and_the_distance_from_calibration(heart):
    run = learning.train_federated(heart, rounds=2)
    table = differ.described(run, heart, 0.5).assign(seed=0, method="FedAvg")
    long = differ.long(table).set_index(["metric", "hospital"])["value"]
    assert long["accuracy", "mean"] == pytest.approx(run.final("accuracy").mean())
    assert long["off", "mean"] == pytest.approx(run.final("calibration_intercept").abs().mean())
    assert (long["off"] >= 0).all()


def test_what_begins_several_methods_is_trained_once(heart):
    calls = []
    train = differ._remembered(lambda federation, seed: calls.append(seed) or [federation])
    for seed in ([1], [1], range(2), [0, 1]):
        assert train(heart, seed=seed) == [heart]
    assert calls == [[1], [0, 1]]


def test_a_personal_method_is_told_as_it_serves(heart):
    (run,) = differ.methods()["recalibrated"][""](heart, seed=[3])
    averaged = learning.train_federated(heart, rounds=differ.ROUNDS, seed=3)
    again = heterogeneity.recalibrated(averaged, heart)
    assert np.allclose(run.predictions["probability"], again.predictions["probability"])
