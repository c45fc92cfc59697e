"""Overfitting tells members from others; a likelihood ratio tells them better than a loss does."""

import numpy as np
import pandas as pd
import pytest

from fedkit import learning, models
from fedkit.chapters.attacks import membership

SEEDS = 25


@pytest.fixture(scope="module")
def overfit(heart):
    """A network that each hospital trained for long, on its own: one run a seed."""
    model = models.mlp((32,))
    runs = learning.train_local(heart, rounds=1, epochs=60, learning_rate=1.0, seed=range(SEEDS), model=model)
    return membership.signals(runs, heart, model)


def mean(found, score, **how):
    """Mean scores of an attack over ten targets."""
    return pd.DataFrame([membership.detection(found.member[i], score(found, i, **how)) for i in range(10)]).mean()


def test_members_are_the_rows_that_were_trained_on(heart, overfit):
    assert overfit.confidence.shape == overfit.member.shape == (SEEDS, 920)
    assert overfit.member.mean() == pytest.approx(0.7, abs=0.01)
    assert overfit.hospitals.tolist()[:303] == ["Cleveland"] * 303
    absent = membership.signals([learning.train_federated(heart, rounds=1, leave_out=["Cleveland"])], heart)
    assert not absent.member[0, absent.hospitals == "Cleveland"].any()
    assert absent.member[0, absent.hospitals == "Hungary"].mean() > 0.6


def test_rows_are_asked_about_as_they_were_trained_on(heart):
    for prepared in ("together", "alone"):
        run = learning.train_local(heart, rounds=2, prepared=prepared)
        found = membership.signals([run], heart)
        p = np.where(run.predictions["label"] == 1, run.predictions["probability"], 1 - run.predictions["probability"])
        np.testing.assert_allclose(found.confidence[0, ~found.member[0]], np.log(p / (1 - p)), atol=1e-4)


def test_a_likelihood_ratio_tells_more_and_is_sure_of_some(overfit):
    loss, online = mean(overfit, membership.by_loss), mean(overfit, membership.by_likelihood_ratio)
    offline = mean(overfit, membership.by_likelihood_ratio, online=False)
    assert online["auroc"] > 0.67
    assert loss["auroc"] > 0.57, "an overfitted model tells who its patients were"
    assert online["auroc"] > offline["auroc"] > loss["auroc"]
    assert online["tpr at 0.1"] > 2 * loss["tpr at 0.1"]
    assert loss["tpr at 0.1"] == pytest.approx(0.1, abs=0.03), "by the loss alone nobody is found for sure"


def test_too_few_shadows_and_equal_seeds_are_refused(heart, overfit):
    few = membership.Signals(overfit.hospitals, overfit.confidence[:3], overfit.member[:3])
    with pytest.raises(ValueError, match="more seeds"):
        membership.by_likelihood_ratio(few, 0)
    run = learning.train_federated(heart, rounds=1)
    with pytest.raises(ValueError, match="each seed once"):
        membership.signals([run, run], heart)


def test_detection_by_hand():
    found = membership.detection([1, 1, 0, 0], [4.0, 2.0, 3.0, 1.0], at=(0, 0.5))
    assert found == {"auroc": 0.75, "tpr at 0": 0.5, "tpr at 0.5": 1.0}
    with pytest.raises(ValueError, match="both groups"):
        membership.detection([1, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match="finite"):
        membership.detection([1, 0], [np.inf, 1.0])
