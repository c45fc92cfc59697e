"""Rows read from updates that the honest client work made."""

import numpy as np
import pytest
from honest import sent

from fedkit import aggregators, models, preparation
from fedkit.chapters.attacks import inference, inversion

LOGISTIC = models.logistic_regression()


@pytest.fixture(scope="module")
def split(heart):
    return preparation.split(heart, 0)


def first_patients(split, name, count=1):
    rows = split.hospitals[name]
    return rows.train_features[:count], rows.train_labels[:count]


def trained(model):
    """Weights as a round or two leave them: no layer at zero."""
    generator = np.random.default_rng(0)
    return [w + 0.3 * generator.standard_normal(w.shape).astype(np.float32) for w in model.initial_weights(13, 0)]


@pytest.mark.parametrize("model", [LOGISTIC, models.mlp((16,))])
@pytest.mark.parametrize("patient", [0, 1, 2])
def test_one_patient_a_step_is_read_exactly(split, model, patient):
    rows = split.hospitals["Switzerland"]
    x, y = rows.train_features[[patient]], rows.train_labels[[patient]]
    update = sent(model, trained(model), x, y)
    assert inversion.errors(x, inversion.rows(*update[:2])).max() < 1e-3
    assert inversion.label(update[-1]) == y[0]


def test_the_row_is_what_the_doctor_wrote_down(heart, split):
    prepared, hospital = split.hospitals["Cleveland"], heart["Cleveland"]
    for row, at in zip(prepared.train_features[:20], prepared.train_rows[:20], strict=True):
        found, wrote = inversion.as_measured(row, split.statistics), hospital.table.iloc[at]
        assert all(found[column] == pytest.approx(wrote[column], abs=1e-3) for column in heart.numeric)
        assert all(found[column] == wrote[column] for column in heart.categorical)


def test_a_batch_is_a_mixture_and_hidden_units_give_some_of_it_away(split):
    (x, y), wide = first_patients(split, "Hungary", 8), models.mlp((256,))
    one_unit = inversion.rows(*sent(LOGISTIC, trained(LOGISTIC), x, y))
    assert inversion.errors(x, one_unit).max(axis=1).min() > 0.5, "one mixture is no patient's row"
    kernel, bias, *_ = sent(wide, trained(wide), x, y)
    per_patient = inversion.errors(x, inversion.rows(kernel, bias)).max(axis=1)
    assert (per_patient < 1e-2).sum() >= 3, "no patient has a unit alone: the attack is broken"


def test_the_first_round_of_a_network_gives_no_row_away(split):
    """Its last layer starts at zero, so that nothing reaches the hidden one."""
    (x, y), model = first_patients(split, "Hungary"), models.mlp((16,))
    kernel, bias, *_ = sent(model, model.initial_weights(13, 0), x, y)
    assert not inversion.rows(kernel, bias).size
    with pytest.raises(ValueError, match="no unit"):
        inversion.errors(x, inversion.rows(kernel, bias))


def test_who_knows_all_updates_but_one_reads_the_last():
    patients = {"A": 100, "B": 50, "C": 7}
    updates = dict(zip(patients, np.random.default_rng(0).normal(size=(3, 5)), strict=True))
    mean = aggregators.weighted_mean(list(updates.values()), list(patients.values()))
    assert np.allclose(inversion.subtract(mean, patients, {name: updates[name] for name in "AB"}), updates["C"])
    rest = aggregators.weighted_mean([updates["B"], updates["C"]], [50, 7])
    assert np.allclose(inversion.subtract(mean, patients, {"A": updates["A"]}), rest)
    with pytest.raises(ValueError, match="nothing left"):
        inversion.subtract(mean, patients, updates)


def test_scores():
    image = np.linspace(0, 1, 16).reshape(4, 4)
    assert inversion.psnr(image, image) == np.inf
    assert inversion.psnr(image, image + 0.1) == pytest.approx(20)
    with pytest.raises(ValueError, match="bytes cannot hold"):
        inversion.read(b"123", 1)
    assert inversion.read(np.array([1.5, np.nan], "<f4").tobytes(), 2).tolist() == [1.5, 0]


@pytest.mark.parametrize("model", [LOGISTIC, models.mlp((8,))])
def test_the_bias_of_one_full_step_says_exactly_how_many_are_ill(split, model):
    for rows in split.hospitals.values():
        update = sent(model, model.initial_weights(13, 0), rows.train_features, rows.train_labels)
        assert inference.prevalence(update[-1].item(), 0.3) == pytest.approx(rows.train_labels.mean(), abs=1e-5)
