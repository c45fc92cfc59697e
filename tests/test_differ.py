"""The table of methods: what is chosen, and what is told of a run."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedkit import evaluation, learning, preparation
from fedkit.chapters import heterogeneity
from fedkit.studies import choice, differ


def test_a_way_is_chosen_without_a_look_at_test_rows(heart):
    seen, losses = [], {0.0: 0.6, 1.0: 0.4, 10.0: 0.5}

    def train(inner, *, seed, penalty):
        seen.append(list(seed))
        final = {"log_loss": pd.Series([losses[penalty]] * 2), "auroc": pd.Series([penalty] * 2)}
        return [SimpleNamespace(final=final.get) for _ in seed]

    inner = choice.training_part(heart, 3)
    assert choice.choose({it: partial(train, penalty=it) for it in losses}, inner, folds=2) == 1.0
    assert seen == [[0, 1]] * 3
    assert choice.choose({"alone": None}, inner) == "alone"
    split = preparation.split(heart, 3)
    for own in inner:
        rows = split.hospitals[own.name].train_rows
        pd.testing.assert_frame_equal(own.table, heart[own.name].table.iloc[rows])
        assert np.array_equal(own.labels, heart[own.name].labels[rows])
    visits = [
        dataclasses.replace(one, patients=np.arange(len(one)) // 2, test=np.arange(len(one)) > 60) for one in heart
    ]
    part = choice.training_part(dataclasses.replace(heart, hospitals=tuple(visits)), 0)
    assert [(len(own), len(own.patients)) for own in part] == [(61, 61)] * 4
    assert choice.training_part(heart, 0, ["Hungary"]).names == heart.without("Hungary").names
    ways = {it: partial(learning.train_local, rounds=3, penalty=it) for it in (1.0, 100.0)}
    assert choice.choose(ways, inner, folds=2) == 1.0, "no kernel may be much above zero with 100"


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


def test_class_weights_are_from_the_training_rows_of_a_split(heart):
    (run,) = differ.methods()["class weights"][""](heart, seed=[3])
    labels = np.concatenate([own.train_labels for own in preparation.split(heart, 3).hospitals.values()]).astype(int)
    counted = heterogeneity.ClassWeights(tuple(len(labels) / 2 / np.bincount(labels)))
    again = learning.train_federated(heart, rounds=differ.ROUNDS, seed=3, algorithm=counted)
    assert np.allclose(run.predictions["probability"], again.predictions["probability"])


@pytest.mark.parametrize("seeds", [range(20), range(20, 40)], ids=["first half", "second half"])
def test_the_table_holds_what_notebook_09_says_and_its_own_claims_do_not_ask(seeds):
    table = differ.GRID.table().query("seed in @seeds")
    long = differ.long(table)
    cures = ["own intercept", "recalibrated", "Newton, own intercepts"]

    def against(reference, metric):
        found = evaluation.paired_differences(long, reference).query("metric == @metric")
        return found.set_index(["method", "hospital"])

    alone = against("FedAvg", "accuracy").loc[("local", "mean")]
    assert alone["mean"] > 0, "hospitals alone are ahead"
    assert (alone["low"] > 0) == (seeds[0] == 20), "surely so on the second half only"
    even = against("central, recalibrated", "accuracy").xs("mean", level="hospital").loc[cures]
    assert ((even["low"] < 0) & (even["high"] > 0)).all(), "a centralised model gains about as much"
    for metric in ("auroc", "accuracy"):
        assert (against("own intercept", metric).loc["local", "low"] < 0).all(), "nobody surely gains by staying alone"
    assert against("own intercept", "auroc").loc[("local", "VA Long Beach"), "high"] < 0
    swiss = table.query("hospital == 'Switzerland'").groupby("method")[["accuracy", "majority"]].mean()
    assert (swiss["accuracy"] - swiss["majority"]).loc[cures].max() < 0.01, "there, the cures reach the guess only"
    error = table.groupby("method")["ece"].mean()
    assert (error[cures] / error["central"]).between(0.54, 0.66).all(), "two fifths of the error are gone"
    reached = table.groupby("method")["rounds"].apply(lambda rounds: rounds.notna().mean())
    assert (reached[["Newton", "Newton, recalibrated", "cyclic"]] == 1).all()
    assert 0.8 < reached["Newton, own intercepts"] < 1


def test_more_epochs_of_fine_tuning_give_better_probabilities_as_notebook_09_says(heart):
    averaged = learning.train_federated(heart, rounds=differ.ROUNDS, seed=[0, 1, 20, 21])

    def loss(epochs):
        tuned = [heterogeneity.fine_tuned(run, heart, learning.Plan(epochs=epochs)) for run in averaged]
        return np.mean([run.final("log_loss").mean() for run in tuned])

    assert loss(20) < loss(1) - 0.02
