"""Forged updates: what passes, through whom."""

import numpy as np
import pytest
from playing import Training

from fedkit import aggregators, learning, models
from fedkit.aggregators import EncryptedMean, Mean, SharedKeyMean, Wrapped
from fedkit.chapters.attacks import forging

PATIENTS = {"A": 100, "B": 50, "C": 50, "D": 200}


class Spy(Wrapped):
    """Remembers what arrived."""

    def before(self, own, updates, weights, ledger):
        self.updates, self.weights = dict(updates), dict(weights)
        return own, updates, weights


def updates(seed=1):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=4) for name in PATIENTS}


def sent(attackers, rounds=1, **how):
    """What enters the aggregator, and what comes out, in the last of some rounds."""
    spy = Spy(Mean())
    training = Training(forging.Poisoned(spy, attackers, **how), PATIENTS)
    return spy, [training.play(updates(round), PATIENTS) for round in range(1, rounds + 1)][-1]


def test_honest_updates_pass_as_they_are():
    spy, _ = sent({"A": forging.SignFlip(2)})
    assert all(np.array_equal(spy.updates[name], updates()[name]) for name in "BCD")
    assert np.array_equal(spy.updates["A"], -2 * updates()["A"])
    assert spy.weights == PATIENTS


def test_a_full_boost_replaces_the_mean():
    _, mean = sent({"B": forging.Boost()})
    others = sum(PATIENTS[name] * updates()[name] for name in "ACD") / 400
    assert np.allclose(mean, updates()["B"] + others, atol=1e-6)


def test_a_free_rider_sends_what_moved_the_model_last():
    spy, moved = sent({"C": forging.FreeRider(0.5)}, seed=3)
    assert not spy.updates["C"].any(), "nothing has moved yet"
    drawn = np.random.default_rng([3, 2, *b"C"]).standard_normal(4) / 2  # of seed, round and name
    spy, _ = sent({"C": forging.FreeRider(0.5)}, rounds=2, seed=3)
    assert np.allclose(spy.updates["C"], moved + 0.5 * np.linalg.norm(moved) * drawn)


def test_colluders_send_one_update_inside_their_spread_and_a_lone_one_is_honest():
    attack = forging.LittleIsEnough(1.5)
    spy, _ = sent(dict.fromkeys("ABC", attack))
    trained = np.stack([updates()[name] for name in "ABC"])
    expected = trained.mean(axis=0) - 1.5 * trained.std(axis=0) * np.sign(trained.mean(axis=0))
    assert np.allclose([spy.updates[name] for name in "ABC"], [expected] * 3)
    assert np.array_equal(sent({"A": attack})[0].updates["A"], updates()["A"])


def test_z_is_the_papers():
    """50 workers, 24 corrupted: s = 26 - 24 = 2, and (26 - 2) / 26 of a normal lies below 1.43."""
    assert forging.LittleIsEnough.largest_z(50, 24) == pytest.approx(1.43, abs=0.005)
    assert forging.LittleIsEnough.largest_z(10, 1) == 0.0


def test_a_claim_changes_the_weight_and_nothing_else():
    spy, mean = sent({}, claims={"B": 5000})
    assert spy.weights == {**PATIENTS, "B": 5000}
    assert np.allclose(mean, aggregators.weighted_mean(list(updates().values()), [100, 5000, 50, 200]), atol=1e-6)


def test_who_does_not_train_cannot_attack():
    with pytest.raises(ValueError, match="'Bern' cannot attack"):
        sent({"Bern": forging.Boost()})


@pytest.mark.parametrize("secretly", [EncryptedMean, SharedKeyMean])
def test_poison_passes_through_encryption_untouched(heart, secretly):
    attackers = {"Hungary": forging.Boost(3), "Switzerland": forging.SignFlip(5)}
    kinds = [forging.Poisoned(Mean(), attackers), forging.Poisoned(secretly(), attackers), Mean()]
    runs = [learning.train_federated(heart, rounds=4, aggregator=each) for each in kinds]
    plain, secret, honest = (models.flatten(run.weights["shared"]) for run in runs)
    assert np.abs(plain - secret).max() < 1e-6
    assert np.abs(plain - honest).max() > 0.1, "a poison that moves nothing proves nothing"
    assert runs[1].ledger.query("direction == 'up' and phase == 'send'")["bytes"].min() > 4 * 14
    assert runs[1].method == f"federated + {secretly.name}, 2 malicious"
