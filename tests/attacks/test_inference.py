"""How many are ill, read from updates."""

import numpy as np
import pytest

from fedkit import hospitals, learning, models, preparation
from fedkit.chapters import partitions
from fedkit.chapters.attacks import inference

RATE = 0.3


def updates(split, model, weights, batch_size, seed=0, epochs=1):
    """What each hospital would send in round 1."""
    plan, tasks = learning.Plan(model=model, batch_size=batch_size, learning_rate=RATE), []
    for name, rows in split.hospitals.items():
        order = learning.row_order(seed, 1, name, len(rows.train_labels), epochs)
        tasks.append(learning.Task(weights, [], rows.train_features, rows.train_labels, order))
    return [local.update for local in learning.local_updates(plan, tasks)]


@pytest.mark.parametrize("model", [models.logistic_regression(), models.mlp((8,))])
def test_the_bias_of_one_full_step_says_exactly_how_many_are_ill(heart, model):
    split = preparation.split(heart, 0)
    for rows, sent in zip(
        split.hospitals.values(), updates(split, model, model.initial_weights(13, 0), 1000), strict=True
    ):
        assert inference.prevalence(sent[-1], RATE) == pytest.approx(rows.train_labels.mean(), abs=1e-5)


def test_a_whole_round_tells_it_to_another_hospital(heart):
    """Cleveland guesses the others' shares from their updates, having only its own rows to learn from."""
    guessed, ignorant = [], []
    for seed in range(3):
        split, model = preparation.split(heart, seed), models.logistic_regression()
        weights, own = model.initial_weights(13, 0), split.hospitals["Cleveland"]
        shares = np.random.default_rng(seed).uniform(0, 1, 200)
        shadows = inference.shadow_updates(
            model, weights, own.train_features, own.train_labels, own.train_labels == 1, shares, seed=seed
        )
        attack = inference.Regression.fit(shadows, shares)
        for rows, sent in list(zip(split.hospitals.values(), updates(split, model, weights, 32, seed), strict=True))[
            1:
        ]:
            truth = rows.train_labels.mean()
            guessed.append(abs(attack.guess(sent) - truth))
            ignorant.append(abs(own.train_labels.mean() - truth))
    assert np.mean(guessed) < 0.15 < 0.25 < np.mean(ignorant)


def test_the_share_of_women_too_where_hospitals_are_otherwise_alike(pooled):
    truth, guessed = [], []
    for seed in (0, 2):
        table = partitions.by_label_skew(pooled, "sex", 10, 1.0, seed)
        split = preparation.split(hospitals.from_frame(table, site="hospital", label="disease"), seed)
        model, column = models.logistic_regression(), split.columns.index("sex")
        traits = [rows.train_features[:, column] > 0 for rows in split.hospitals.values()]
        own = int(np.argmin([abs(trait.mean() - 0.5) for trait in traits]))
        rows = list(split.hospitals.values())[own]
        weights, shares = model.initial_weights(13, 0), np.random.default_rng(seed).uniform(0, 1, 200)
        shadows = inference.shadow_updates(
            model, weights, rows.train_features, rows.train_labels, traits[own], shares, rows=64, seed=seed
        )
        attack = inference.Regression.fit(shadows, shares)
        sent = updates(split, model, weights, 32, seed)
        truth += [trait.mean() for number, trait in enumerate(traits) if number != own]
        guessed += [attack.guess(update) for number, update in enumerate(sent) if number != own]
    assert np.corrcoef(truth, guessed)[0, 1] > 0.7


def test_one_kind_of_patient_teaches_nothing():
    with pytest.raises(ValueError, match="both kinds"):
        inference.shadow_updates(
            models.logistic_regression(), [], np.ones((3, 2)), np.ones(3), np.ones(3, bool), np.array([0.5])
        )
