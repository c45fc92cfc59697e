"""Poisoned rows: they do what they should, and clean rows are what is scored."""

import numpy as np
import pytest

from fedkit import aggregators, learning, preparation
from fedkit.chapters.attacks import forging, poisoning

TRIGGER = poisoning.Backdoor({"trestbps": 200.0, "chol": 85.0}, target=0)


def means(runs, clean, trained_on=None, **how):
    """Metric -> mean over runs and hospitals."""
    found = [poisoning.evaluate(run, clean, trained_on, **how) for run in runs]
    return {metric: np.mean([f[f["metric"] == metric]["value"].mean() for f in found]) for metric in found[0]["metric"]}


def test_only_the_attackers_labels_are_flipped(heart):
    poisoned = poisoning.flip_labels(heart, ["Hungary"], share=0.5)
    changed = poisoned["Hungary"].labels != heart["Hungary"].labels
    assert changed.sum() == 147
    assert all(poisoned[name] is heart[name] for name in heart.names if name != "Hungary")
    assert np.array_equal(poisoning.flip_labels(heart, ["Hungary"], 0.5)["Hungary"].labels, poisoned["Hungary"].labels)
    assert (poisoning.flip_labels(heart, ["Hungary"])["Hungary"].labels == 1 - heart["Hungary"].labels).all()


def test_a_trigger_is_planted_with_its_label(heart):
    poisoned = poisoning.Backdoor({"chol": 85.0, "cp": "1"}).plant(heart, ["Cleveland"], share=0.3)["Cleveland"]
    planted = (poisoned.table["chol"] == 85) & (poisoned.table["cp"] == "1")
    assert planted.sum() == 91
    assert not poisoned.labels[planted].any()
    assert not (heart["Cleveland"].table["chol"] == 85).any(), "the honest rows must stay as they were"


@pytest.mark.parametrize("trigger", [{"cp": "9"}, {"weight": 1.0}])
def test_a_trigger_that_does_not_fit_is_refused(heart, trigger):
    with pytest.raises(ValueError, match="does not fit"):
        poisoning.Backdoor(trigger).plant(heart, ["Cleveland"])


def test_wrong_attackers_and_shares_are_refused(heart):
    with pytest.raises(KeyError, match="Bern"):
        poisoning.flip_labels(heart, ["Bern"])
    with pytest.raises(ValueError, match="share"):
        poisoning.flip_labels(heart, ["Hungary"], share=0)


def test_the_scored_rows_are_clean_and_were_not_trained_on(heart):
    """Honest hospitals score as in the run itself; an attacker's test rows keep their true labels."""
    poisoned = poisoning.flip_labels(heart, ["Hungary"])
    run = learning.train_federated(poisoned, rounds=3)
    found = poisoning.evaluate(run, heart, poisoned)
    auroc = found[found["metric"] == "auroc"].set_index("hospital")["value"]
    recorded = run.final("auroc")
    assert np.allclose(auroc.drop("Hungary"), recorded.drop("Hungary"), atol=1e-6)
    assert auroc["Hungary"] == pytest.approx(1 - recorded["Hungary"])


def test_one_of_four_hospitals_spoils_the_model_with_labels_alone(heart):
    poisoned = poisoning.flip_labels(heart, ["Hungary"])
    honest = means(learning.train_federated(heart, rounds=20, seed=range(3)), heart)
    harmed = means(learning.train_federated(poisoned, rounds=20, seed=range(3)), heart, poisoned)
    assert harmed["auroc"] < honest["auroc"] - 0.15


def test_a_backdoor_opens_and_the_scores_do_not_show_it(heart):
    planted = TRIGGER.plant(heart, ["Hungary"], share=0.3)
    boosted = forging.Poisoned(aggregators.Mean(), {"Hungary": forging.Boost(3)})
    honest = means(learning.train_federated(heart, rounds=20, seed=range(3)), heart, backdoor=TRIGGER)
    runs = learning.train_federated(planted, rounds=20, seed=range(3), aggregator=boosted)
    harmed = means(runs, heart, planted, backdoor=TRIGGER)
    assert harmed["backdoor"] > 0.85 > 0.55 > honest["backdoor"]
    assert harmed["auroc"] > honest["auroc"] - 0.03
    assert harmed["no trigger"] < honest["no trigger"] + 0.15


def test_success_is_counted_over_victims_only(heart):
    """By a model that finds everybody ill, nobody's label 1 becomes a 0, trigger or not."""
    run = learning.train_federated(heart, rounds=1)
    run.weights["shared"] = [np.zeros((13, 1), np.float32), np.full(1, 9, np.float32)]
    found = poisoning.evaluate(run, heart, backdoor=TRIGGER).set_index(["metric", "hospital"])["value"]
    assert (found["backdoor"] == 0).all()
    split = preparation.split(heart, 0)
    for name, rows in split.hospitals.items():
        assert found["accuracy", name] == pytest.approx(rows.test_labels.mean())
