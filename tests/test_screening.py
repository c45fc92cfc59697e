"""Contributions scored, attackers excluded, honest hospitals too where the wrong rule is used; and all of it noted."""

import hashlib

import numpy as np
import pytest
from playing import SHAPES, Training

from fedkit import aggregators, learning, models, preparation
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.chapters import audit, screening
from fedkit.chapters.attacks import forging
from fedkit.chapters.screening import HeldOut, Rule, Screened

MODEL = models.logistic_regression()
BY_COSINE = Rule(cosine=0.0, influence=None, strikes=3)


@pytest.fixture(scope="module")
def held_out(heart):
    """Fifteen test patients of each hospital."""
    split = preparation.split(heart, 0)
    features = [rows.test_features[:15] for rows in split.hospitals.values()]
    labels = [rows.test_labels[:15] for rows in split.hospitals.values()]
    return HeldOut(MODEL, MODEL.initial_weights(13, 0), np.concatenate(features), np.concatenate(labels))


def train(federation, rule, held_out, attack=None, rounds=12):
    """Who was excluded if Hungary attacks, the table, and the run."""
    events = []
    aggregator = Screened(Mean(), rule, held_out, events.append)
    if attack:
        aggregator = forging.Poisoned(aggregator, {"Hungary": attack})
    run = learning.train_federated(federation, rounds=rounds, aggregator=aggregator)
    found = screening.table(events)
    return set(found.loc[found["excluded"], "hospital"]), found, run


def play(aggregator, updates):
    """One round without a training: who is excluded, and the mean."""
    training = Training(aggregator, updates)
    mean = training.play(updates, dict.fromkeys(updates, 10))
    return training.state.own.excluded, mean


def test_cosines_by_hand():
    updates = {"A": np.array([1.0, 0]), "B": np.array([0, 1.0]), "C": np.array([-1.0, -1]), "D": np.zeros(2)}
    found = screening.cosines(updates, {"A": 1, "B": 1, "C": 1, "D": 9})
    assert found == pytest.approx({"A": -1, "B": -1, "C": -1, "D": 0})
    heavy = screening.cosines({"A": np.array([1.0, 0]), "B": np.array([1.0, 1])}, {"A": 3, "B": 1})
    assert heavy == pytest.approx({"A": np.sqrt(0.5), "B": np.sqrt(0.5)})


def test_influence_is_the_loss_without_a_hospital_less_the_loss_with_it(held_out):
    generator, patients = np.random.default_rng(0), {"A": 10, "B": 20, "C": 30}
    updates = {name: generator.normal(size=14) for name in patients}

    def loss(names):
        step = aggregators.weighted_mean([updates[name] for name in names], [patients[name] for name in names])
        p = MODEL.predict(models.unflatten(step, list(SHAPES.values())), held_out.features).astype(float)
        return -np.mean(np.log(np.where(held_out.labels == 1, p, 1 - p)))

    found = screening.influences(updates, patients, held_out)
    assert found["B"] == pytest.approx(loss("AC") - loss("ABC"), abs=1e-5)


def test_an_attacker_is_excluded_and_nobody_else(heart, held_out):
    excluded, found, run = train(heart, Rule(), held_out, forging.SignFlip())
    assert excluded == {"Hungary"}
    assert found.groupby("round").size().tolist() == [4, 4, *[3] * 10], "two strikes, and it is not heard any more"
    assert run.final("auroc").mean() > 0.72
    assert train(heart, Rule(), held_out, forging.FreeRider())[0] == set(), "who harms nobody"
    excluded, _, run = train(heart, BY_COSINE, held_out)
    assert (excluded, run.method) == ({"Switzerland"}, "federated + mean, screened"), "who is honest and differs"


def test_the_excluded_are_not_heard_and_are_never_half_nor_late():
    updates = {name: np.full(14, value) for name, value in zip("ABCDE", [1.0, 1, 1, 1, -2], strict=True)}
    excluded, mean = play(Screened(Mean(), Rule(cosine=0.0, influence=None, strikes=1)), updates)
    assert (excluded, mean.tolist()) == ({"E"}, [1] * 14)
    everybody = Screened(Mean(), Rule(cosine=1.1, influence=None, strikes=1))
    assert [len(play(everybody, {str(n): np.ones(14) for n in range(count)})[0]) for count in (3, 4, 5)] == [1, 1, 2]
    late = Screened(Mean(), Rule(cosine=1.1, influence=None, strikes=1, rounds=0))
    assert not play(late, updates)[0], "after the rule's rounds nobody is flagged"


@pytest.mark.parametrize("poison", [np.nan, 1e38, -1e300])
def test_what_is_no_number_is_flagged_left_out_and_can_be_logged(held_out, tmp_path, poison):
    log = audit.Log(tmp_path / "audit.jsonl")
    updates = {"A": np.full(14, 0.01), "B": np.full(14, 0.02), "C": np.full(14, poison)}
    excluded, mean = play(Screened(Mean(), Rule(strikes=1), held_out, log.append), updates)
    assert np.allclose(mean, 0.015)
    assert excluded == {"C"}
    found = screening.table(audit.verify(log.path))
    assert [found.query(what)["hospital"].tolist() for what in ("flagged", "excluded")] == [["C"], ["C"]]


def test_an_event_says_what_was_sent_and_what_was_decided():
    events = []
    play(Screened(Mean(), Rule(influence=None), note=events.append), {"A": np.ones(14), "B": np.zeros(14)})
    digest = hashlib.sha256(np.ones(14, "<f4").tobytes()).hexdigest()
    scored = {"cosine": 0.0, "influence": None, "flagged": False, "excluded": False}
    assert events[0] == {"training": 0, "round": 1, "hospital": "A", "update": digest} | scored


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="BFV encrypts them"):
        Screened(EncryptedMean(), Rule(influence=None))
    with pytest.raises(ValueError, match="needs held-out patients"):
        Screened(Mean())
