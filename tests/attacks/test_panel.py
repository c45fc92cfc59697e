"""Three attacks against every method: what is plain is read, what is encrypted is not, the model tells as much."""

from dataclasses import replace

import numpy as np
import pytest

from fedkit import learning
from fedkit.chapters.attacks import inference, panel
from fedkit.encryption import ring


def test_plain_updates_are_read_ciphertexts_are_not_and_the_model_is_the_same(heart):
    how = {"rounds": 1, "seed": range(3)}
    plain = learning.train_federated(heart, **how)
    encrypted = [replace(run, method=f"federated + {name}") for name in ("CKKS", "BFV") for run in plain]
    found = panel.panel([*learning.train_local(heart, **how), *plain, *encrypted], heart)
    mean = found.set_index(["attack", "method"])["mean"]
    for attack, chance in (("a row is read", 0), ("share of label 1", 0.25)):
        assert (mean[attack, "local"], mean[attack, "federated"]) == (chance, 1)
        assert max(mean[attack, "federated + BFV"], mean[attack, "federated + CKKS"]) < chance + 0.25
    assert mean["member or not", "federated"] == mean["member or not", "federated + BFV"]
    assert 0.4 < mean["member or not"].min() <= mean["member or not"].max() < 0.75
    assert found[["low", "high"]].stack().between(0, 1).all()
    assert found["chance"].tolist() == [chance for chance in (0, 0.25, 0.5) for _ in range(4)]


@pytest.mark.parametrize("reading", [0.0, 0.5, 0.553, 1e30, -3.0])
def test_chance_is_what_an_attacker_reaches_who_hears_nothing(heart, monkeypatch, reading):
    """A float near 0 reads as a share of 0.5, which fits one hospital of four; nobody's share is two hospitals'."""
    runs = learning.train_federated(heart, rounds=1, seed=[0, 1])
    monkeypatch.setattr(inference, "prevalence", lambda *_: reading)
    found = panel.panel(runs, heart).set_index("attack").loc["share of label 1"]
    assert 0 <= found["mean"] <= found["chance"] == 0.25
    assert 0 < reading < 1 or found["mean"] == found["chance"], "what is no share is guessed"


@pytest.mark.parametrize(
    ("shares", "guess", "right"), [([0.2, 0.28, 0.9], 0.24, 2 / 3), ([0.5], 0.5, 1), ([0.1, 0.5, 0.9], 0.1, 1 / 3)]
)
def test_the_best_guess_is_right_of_most(shares, guess, right):
    said, found = panel.best_guess(shares)
    assert said == pytest.approx(guess, abs=panel.WITHIN)
    assert found == right


def test_with_two_splits_there_are_too_few_shadows_to_tell_members(heart):
    found = panel.panel(learning.train_federated(heart, rounds=1, seed=[0, 1]), heart).set_index("attack")
    assert found["mean"].isna().to_dict() == {attack: attack == "member or not" for attack in panel.ATTACKS}


def test_where_encryption_is_off_the_integers_are_read_as_they_stand(heart, monkeypatch):
    runs = learning.train_federated(heart, rounds=1, seed=range(3))
    monkeypatch.setattr(ring, "small", lambda key, count: np.zeros(count, np.int64))  # no key, no noise
    found = panel.panel([replace(run, method="federated + BFV") for run in runs], heart).set_index("attack")["mean"]
    assert found[["a row is read", "share of label 1"]].tolist() == [1, 1]
