"""Poisoned rows: they do what they should, and clean rows are what is scored."""

import numpy as np
import pytest

from fedkit import learning, preparation
from fedkit.chapters.attacks import poisoning

TRIGGER = poisoning.Backdoor({"trestbps": 200.0, "chol": 85.0}, target=0)


@pytest.fixture(scope="module")
def flipped(heart):
    return poisoning.flip_labels(heart, ["Hungary"])


def test_only_the_attackers_labels_are_flipped(heart, flipped):
    poisoned = poisoning.flip_labels(heart, ["Hungary"], share=0.5)
    changed = poisoned["Hungary"].labels != heart["Hungary"].labels
    assert changed.sum() == 147
    assert all(poisoned[name] is heart[name] for name in heart.names if name != "Hungary")
    assert np.array_equal(poisoning.flip_labels(heart, ["Hungary"], 0.5)["Hungary"].labels, poisoned["Hungary"].labels)
    assert (flipped["Hungary"].labels == 1 - heart["Hungary"].labels).all()


def test_a_trigger_is_planted_with_its_label(heart):
    poisoned = poisoning.Backdoor({"chol": 85.0, "cp": "1"}).plant(heart, ["Cleveland"], share=0.3)["Cleveland"]
    planted = (poisoned.table["chol"] == 85) & (poisoned.table["cp"] == "1")
    assert planted.sum() == 91
    assert not poisoned.labels[planted].any()
    assert not (heart["Cleveland"].table["chol"] == 85).any(), "the honest rows must stay as they were"


def test_triggers_that_do_not_fit_wrong_attackers_and_shares_are_refused(heart):
    for trigger in ({"cp": "9"}, {"weight": 1.0}):
        with pytest.raises(ValueError, match="does not fit"):
            poisoning.Backdoor(trigger).plant(heart, ["Cleveland"])
    with pytest.raises(KeyError, match="Bern"):
        poisoning.flip_labels(heart, ["Bern"])
    with pytest.raises(ValueError, match="share"):
        poisoning.flip_labels(heart, ["Hungary"], share=0)


def test_the_scored_rows_are_clean_and_were_not_trained_on(heart, flipped):
    """Honest hospitals score as in the run itself; an attacker's test rows keep their true labels."""
    run = learning.train_federated(flipped, rounds=3)
    found = poisoning.evaluate(run, heart, flipped)
    auroc, recorded = found[found["metric"] == "auroc"].set_index("hospital")["value"], run.final("auroc")
    assert np.allclose(auroc.drop("Hungary"), recorded.drop("Hungary"), atol=1e-6)
    assert auroc["Hungary"] == pytest.approx(1 - recorded["Hungary"])


def test_success_is_counted_over_victims_only(heart):
    """By a model that finds everybody ill, nobody's label 1 becomes a 0, trigger or not."""
    run = learning.train_federated(heart, rounds=1)
    run.weights["shared"] = [np.zeros((13, 1), np.float32), np.full(1, 9, np.float32)]
    found = poisoning.evaluate(run, heart, backdoor=TRIGGER).set_index(["metric", "hospital"])["value"]
    assert (found["backdoor"] == 0).all()
    reads_the_trigger = np.where(np.arange(13) == heart.columns.index("trestbps"), -10, 0)
    run.weights["shared"] = [reads_the_trigger[:, None].astype(np.float32), np.full(1, 20, np.float32)]
    opened = poisoning.evaluate(run, heart, backdoor=TRIGGER).set_index(["metric", "hospital"])["value"]
    assert (opened["backdoor"] == 1).all()
    assert (opened["no trigger"] < 0.2).all()
    for name, rows in preparation.split(heart, 0).hospitals.items():
        assert found["accuracy", name] == pytest.approx(rows.test_labels.mean())
