"""Rows read from updates that the honest client work made."""

import numpy as np
import pytest

from fedkit import aggregators, learning, models, preparation, records
from fedkit.chapters.attacks import inversion

RATE = 0.3


@pytest.fixture(scope="module")
def split(heart):
    return preparation.split(heart, 0)


def update(model, weights, features, labels, batch_size=None, epochs=1):
    """What a hospital with these rows would send: the arrays of its update."""
    plan = learning.Plan(model=model, batch_size=batch_size, learning_rate=RATE)
    order = np.tile(np.arange(len(labels), dtype=np.int32), (epochs, 1))
    (local,) = learning.local_updates(plan, [learning.Task(weights, [], features, labels, order)])
    return models.unflatten(local.update, [weight.shape for weight in weights])


def trained(model, features, seed=0):
    """Weights as a round or two leave them: no layer at zero."""
    generator = np.random.default_rng(seed)
    return [w + 0.3 * generator.standard_normal(w.shape).astype(np.float32) for w in model.initial_weights(features, 0)]


@pytest.mark.parametrize("model", [models.logistic_regression(), models.mlp((16,))])
@pytest.mark.parametrize("patient", [0, 1, 2])
def test_one_patient_a_step_is_read_exactly(split, model, patient):
    rows = split.hospitals["Switzerland"]
    x, y = rows.train_features[[patient]], rows.train_labels[[patient]]
    sent = update(model, trained(model, x.shape[1]), x, y)
    candidates = inversion.rows(sent[0], sent[1])
    assert inversion.errors(x, candidates).max() < 1e-3
    assert inversion.label(sent[-1]) == y[0]


def test_the_row_is_what_the_doctor_wrote_down(heart, split):
    prepared, hospital = split.hospitals["Cleveland"], heart["Cleveland"]
    for row, at in zip(prepared.train_features[:20], prepared.train_rows[:20], strict=True):
        found, wrote = inversion.as_measured(row, split.statistics), hospital.table.iloc[at]
        assert all(found[column] == pytest.approx(wrote[column], abs=1e-3) for column in heart.numeric)
        assert all(found[column] == wrote[column] for column in heart.categorical)


def test_a_batch_is_a_mixture_and_hidden_units_give_some_of_it_away(split):
    rows = split.hospitals["Hungary"]
    x, y = rows.train_features[:8], rows.train_labels[:8]
    one_unit = update(models.logistic_regression(), trained(models.logistic_regression(), 13), x, y)
    assert inversion.errors(x, inversion.rows(*one_unit)).max(axis=1).min() > 0.5, "one mixture is no patient's row"
    wide = models.mlp((256,))
    sent = update(wide, trained(wide, 13), x, y)
    per_patient = inversion.errors(x, inversion.rows(sent[0], sent[1])).max(axis=1)
    assert (per_patient < 1e-2).sum() >= 3, "no patient has a unit alone: the attack is broken"


def test_the_first_round_of_a_network_gives_no_row_away(split):
    """Its last layer starts at zero, so that nothing reaches the hidden one."""
    rows, model = split.hospitals["Hungary"], models.mlp((16,))
    sent = update(model, model.initial_weights(13, 0), rows.train_features[:1], rows.train_labels[:1])
    assert not inversion.rows(sent[0], sent[1]).size
    with pytest.raises(ValueError, match="no unit"):
        inversion.errors(rows.train_features[:1], inversion.rows(sent[0], sent[1]))


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_the_same_attack_on_a_ciphertext_is_no_better_than_chance(split, scheme):
    rows, model = split.hospitals["Cleveland"], models.logistic_regression()
    caught = []
    aggregator = aggregators.EncryptedMean(scheme, network=lambda _, message: caught.append(message) or message)
    shapes = dict(zip(model.layers, [(13, 1), (1,)], strict=True))
    state = aggregator.start(["Cleveland"], shapes, records.Ledger())
    plain, secret, chance = [], [], []
    for patient in range(10):
        x, y = rows.train_features[[patient]], rows.train_labels[[patient]]
        vector = models.flatten(update(model, trained(model, 13), x, y))
        aggregator.aggregate(state, {"Cleveland": vector}, {"Cleveland": 1}, records.Ledger())
        for message, errors in [(vector.astype("<f4").tobytes(), plain), (caught[-1][-56:], secret)]:
            kernel, bias = models.unflatten(inversion.read(message, 14), [(13, 1), (1,)])
            found = np.clip(inversion.rows(kernel, bias), -5, 5) if bias else np.zeros((1, 13))
            errors.append(inversion.errors(x, found).mean())
        chance.append(np.abs(x).mean())
    assert max(plain) < 1e-3
    assert np.mean(secret) > 0.9 * np.mean(chance)


def test_who_knows_all_updates_but_one_reads_the_last():
    generator = np.random.default_rng(0)
    patients = {"A": 100, "B": 50, "C": 7}
    updates = {name: generator.normal(size=5) for name in patients}
    mean = aggregators.weighted_mean(list(updates.values()), list(patients.values()))
    left = inversion.subtract(mean, patients, {name: updates[name] for name in "AB"})
    assert np.allclose(left, updates["C"])
    rest = aggregators.weighted_mean([updates["B"], updates["C"]], [50, 7])
    assert np.allclose(inversion.subtract(mean, patients, {"A": updates["A"]}), rest)
    with pytest.raises(ValueError, match="nothing left"):
        inversion.subtract(mean, patients, updates)


def test_scores():
    image = np.linspace(0, 1, 16).reshape(4, 4)
    assert inversion.psnr(image, image) == np.inf
    assert inversion.psnr(image, image + 0.1) == pytest.approx(20)
    assert inversion.psnr(255 * image, 255 * (image + 0.1), peak=255) == pytest.approx(20)
    with pytest.raises(ValueError, match="bytes cannot hold"):
        inversion.read(b"123", 1)
    assert inversion.read(np.array([1.5, np.nan], "<f4").tobytes(), 2).tolist() == [1.5, 0]
