"""Three attacks against every method: what is plain is read, what is encrypted is not, the model tells as much."""

from dataclasses import replace

import numpy as np

from fedkit import learning
from fedkit.chapters.attacks.panel import CHANCE, panel
from fedkit.encryption import ring


def test_plain_updates_are_read_ciphertexts_are_not_and_the_model_is_the_same(heart):
    how = {"rounds": 1, "seed": range(3)}
    plain = learning.train_federated(heart, **how)
    encrypted = [replace(run, method=f"federated + {name}") for name in ("CKKS", "BFV") for run in plain]
    found = panel([*learning.train_local(heart, **how), *plain, *encrypted], heart)
    mean = found.set_index(["attack", "method"])["mean"]
    for attack in ("a row is read", "share of label 1"):
        assert (mean[attack, "local"], mean[attack, "federated"]) == (0, 1)
        assert max(mean[attack, "federated + BFV"], mean[attack, "federated + CKKS"]) < 0.5
    assert mean["member or not", "federated"] == mean["member or not", "federated + BFV"]
    assert 0.4 < mean["member or not"].min() <= mean["member or not"].max() < 0.75
    assert found[["low", "high"]].stack().between(0, 1).all()
    assert found["chance"].tolist() == [chance for chance in CHANCE.values() for _ in range(4)]


def test_where_encryption_is_off_the_integers_are_read_as_they_stand(heart, monkeypatch):
    runs = learning.train_federated(heart, rounds=1, seed=range(3))
    monkeypatch.setattr(ring, "small", lambda key, count: np.zeros(count, np.int64))  # no key, no noise
    found = panel([replace(run, method="federated + BFV") for run in runs], heart).set_index("attack")["mean"]
    assert found[["a row is read", "share of label 1"]].tolist() == [1, 1]
